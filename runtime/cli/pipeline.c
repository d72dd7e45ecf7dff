#include "cli/pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "connectors/all.h"
#include "kafka/kafka.h"
#include "operators/all.h"
#include "scripts/program.h"

/* A property is looked at here, so that a mistake shows before anything is connected. */
static int check_property(const char *name, struct err *err)
{
    return strncmp(name, "kafka.", 6) == 0 ? kafka_check_property(name + 6, err) : 0;
}

static int override(struct program *program, const char *item, struct err *err)
{
    const char *equals = strchr(item, '=');
    if (equals == NULL || equals == item) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The option --set takes NAME=VALUE, not \"%.100s\".", item);
    }
    char *name = memory_format("%.*s", (int)(equals - item), item);
    int result = check_property(name, err);
    if (result == 0) {
        result = program_override(program, name, equals + 1, err);
    }
    free(name);
    return result;
}

int pipeline_open(const char *script, const struct option_list *set, int64_t threads, struct pipeline *pipeline,
                  struct err *err)
{
    *pipeline = (struct pipeline){0};
    if (program_open(script, &operators_all, &connectors_all, &pipeline->program, err) != 0) {
        return -1;
    }
    struct program *program = pipeline->program;
    for (size_t i = 0; i < set->count; i++) {
        if (override(program, set->items[i], err) != 0) {
            return -1;
        }
    }
    char number[32];
    snprintf(number, sizeof number, "%" PRId64, threads);
    if (threads > 0 && program_override(program, "threads", number, err) != 0) {
        return -1;
    }
    if (program->class->load(program, &pipeline->instance, err) != 0) {
        return -1;
    }
    pipeline->settings = program->class->settings(pipeline->instance);
    pipeline->graph = program->class->graph(pipeline->instance);
    return 0;
}

void pipeline_close(struct pipeline *pipeline)
{
    if (pipeline->instance != NULL) {
        pipeline->program->class->unload(pipeline->instance);
    }
    if (pipeline->program != NULL) {
        program_close(pipeline->program);
    }
    *pipeline = (struct pipeline){0};
}

char *pipeline_state_directory(const struct app_settings *settings, const char *data)
{
    bool own = settings->state_dir != NULL && settings->state_dir[0] != '\0';
    return own ? memory_copy_text(settings->state_dir) : memory_format("%s/state", data);
}
