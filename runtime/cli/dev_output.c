#include "cli/dev_output.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/consume_show.h"
#include "cli/print.h"
#include "scripts/program.h"

#define BATCH 200

struct dev_topic {
    char *name;
    struct reader *reader; /* NULL: not shown */
    enum consume_codec key, value;
};

struct dev_output {
    struct transport *transport;
    const struct topic_plan *plan;
    const struct graph *graph;
    struct instance *instance;
    struct dev_topic *topics;
    size_t count;
    size_t capacity;
    struct bytes text;
};

struct dev_output *dev_output_open(struct transport *transport, const struct topic_plan *plan,
                                   const struct graph *graph, struct instance *instance)
{
    struct dev_output *output = memory_alloc(sizeof *output);
    *output = (struct dev_output){.transport = transport, .plan = plan, .graph = graph, .instance = instance};
    return output;
}

void dev_output_close(struct dev_output *output)
{
    if (output == NULL) {
        return;
    }
    for (size_t i = 0; i < output->count; i++) {
        if (output->topics[i].reader != NULL) {
            output->transport->class->reader_close(output->topics[i].reader);
        }
        free(output->topics[i].name);
    }
    free(output->topics);
    bytes_free(&output->text);
    free(output);
}

/* ---- topics ---- */

/* What the runtime keeps for itself and what was only fed is not shown. */
static bool is_shown(const struct dev_output *output, const char *name)
{
    const struct planned_topic *planned = topic_plan_find(output->plan, name);
    return planned == NULL || (planned->written && !planned->internal && !planned->changelog);
}

static enum consume_codec codec_of(const char *name)
{
    if (strncmp(name, "session_windowed", 16) == 0) {
        return CONSUME_SESSION_WINDOWED;
    }
    if (strncmp(name, "windowed", 8) == 0) {
        return CONSUME_WINDOWED;
    }
    for (int i = 0; consume_codecs[i] != NULL; i++) {
        if (strcmp(consume_codecs[i], name) == 0) {
            return (enum consume_codec)i;
        }
    }
    return CONSUME_STRING;
}

static void find_codecs(const struct dev_output *output, struct dev_topic *topic)
{
    topic->key = CONSUME_STRING;
    topic->value = CONSUME_JSON;
    for (int i = 0; i < graph_topic_count(output->graph); i++) {
        const struct graph_topic *use = graph_topic(output->graph, i);
        if (use->role == TOPIC_OUTPUT && strcmp(use->name, topic->name) == 0) {
            const char *key, *value;
            program_codecs(output->instance, use->node, &key, &value);
            topic->key = codec_of(key);
            topic->value = codec_of(value);
            return;
        }
    }
}

static int open_reader(struct dev_output *output, struct dev_topic *topic, struct err *err)
{
    const struct transport_class *class = output->transport->class;
    struct topic_info info;
    if (class->describe_topic(output->transport, topic->name, &info, err) != 0) {
        return -1;
    }
    struct position *positions = memory_alloc(sizeof *positions * (size_t)(info.partitions + 1));
    for (int32_t i = 0; i < info.partitions; i++) {
        positions[i] = (struct position){topic->name, i, OFFSET_BEGINNING, NULL};
    }
    struct reader_config config = {.positions = positions, .count = (size_t)info.partitions};
    int result = class->reader_open(output->transport, &config, &topic->reader, err);
    free(positions);
    return result;
}

static bool is_known(const struct dev_output *output, const char *name)
{
    for (size_t i = 0; i < output->count; i++) {
        if (strcmp(output->topics[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int add_topic(struct dev_output *output, const char *name, struct err *err)
{
    if (is_known(output, name)) {
        return 0;
    }
    output->topics = memory_grow(output->topics, output->count, &output->capacity, sizeof *output->topics);
    struct dev_topic *topic = &output->topics[output->count++];
    *topic = (struct dev_topic){.name = memory_copy_text(name)};
    find_codecs(output, topic);
    return is_shown(output, name) ? open_reader(output, topic, err) : 0;
}

static int find_topics(struct dev_output *output, struct err *err)
{
    struct option_list names = {0};
    int result = output->transport->class->list_topics(output->transport, &names, err);
    for (size_t i = 0; i < names.count; i++) {
        result = result == 0 ? add_topic(output, names.items[i], err) : result;
        free(names.items[i]);
    }
    free(names.items);
    return result;
}

/* ---- records ---- */

static void show(struct dev_output *output, const struct dev_topic *topic, const struct record *record)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format_time(record->timestamp, time);
    bytes_append_format(&output->text, "%s  ", topic->name);
    consume_show_safely(topic->key, record->key, &output->text);
    bytes_append_text(&output->text, "  ");
    consume_show_safely(topic->value, record->value, &output->text);
    bytes_append_format(&output->text, "  %s\n", time);
}

static int show_topic(struct dev_output *output, struct dev_topic *topic, size_t *count, struct err *err)
{
    struct record records[BATCH];
    size_t read = BATCH;
    while (topic->reader != NULL && read > 0) {
        if (output->transport->class->read(topic->reader, 0, records, BATCH, &read, err) != 0) {
            return err_wrap(err, "reading the output topic %s", topic->name);
        }
        for (size_t i = 0; i < read; i++) {
            show(output, topic, &records[i]);
        }
        *count += read;
        if (print_flush(&output->text, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int dev_output_show(struct dev_output *output, size_t *count, struct err *err)
{
    *count = 0;
    if (find_topics(output, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < output->count; i++) {
        if (show_topic(output, &output->topics[i], count, err) != 0) {
            return -1;
        }
    }
    return 0;
}
