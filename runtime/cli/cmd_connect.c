/* tidemill connect: looking at the connectors of a script, setting where they stand, taking configs of Kafka Connect
 * over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/connect_check.h"
#include "cli/connect_import.h"
#include "cli/connect_offsets.h"
#include "cli/pipeline.h"
#include "cli/print.h"
#include "cli/reset_state.h"
#include "engine/connector.h"

#define CONFIG_SIZE ((size_t)1 << 20)

struct connect_options {
    struct connection_options connection;
    char *output;
    char *position;
    char *state_dir;
    int64_t task;
    bool target;
    bool json;
};

struct connect {
    const struct connect_options *options;
    char **arguments; /* behind the words */
    int count;
    struct pipeline pipeline;
    struct bytes out;
};

/* ---- the connectors of a script ---- */

static bool is_named(const struct connect *connect, const char *name)
{
    for (int i = 1; i < connect->count; i++) {
        if (strcmp(connect->arguments[i], name) == 0) {
            return true;
        }
    }
    return connect->count == 1;
}

static const struct connector_use *use_at(const struct connect *connect, int id)
{
    return graph_node(connect->pipeline.graph, id)->connector;
}

static int unknown_connector(const struct connect *connect, const char *name, struct err *err)
{
    int nodes = graph_node_count(connect->pipeline.graph);
    const char **names = memory_alloc(sizeof *names * ((size_t)nodes + 1));
    size_t count = 0;
    for (int id = 0; id < nodes; id++) {
        if (use_at(connect, id) != NULL) {
            names[count++] = use_at(connect, id)->name;
        }
    }
    const char *nearest = option_nearest(name, names, count);
    err_set(err, ERR_FATAL, ERR_CONFIG, "The script has no connector %.200s%s%s.", name,
            nearest != NULL ? "; the nearest is " : "", nearest != NULL ? nearest : "");
    free(names);
    return -1;
}

static int find_use(const struct connect *connect, const char *name, const struct connector_use **use, struct err *err)
{
    for (int id = 0; id < graph_node_count(connect->pipeline.graph); id++) {
        *use = use_at(connect, id);
        if (*use != NULL && strcmp((*use)->name, name) == 0) {
            return 0;
        }
    }
    return unknown_connector(connect, name, err);
}

/* Loads the script and checks that it has the connectors that are named. */
static int open_pipeline(struct connect *connect, struct err *err)
{
    if (pipeline_open(connect->arguments[0], &connect->options->connection.set, 0, &connect->pipeline, err) != 0) {
        return -1;
    }
    for (int i = 1; i < connect->count; i++) {
        const struct connector_use *use;
        if (find_use(connect, connect->arguments[i], &use, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- check ---- */

static int check(struct connect *connect, struct err *err)
{
    bool bad = false;
    bool any = false;
    if (open_pipeline(connect, err) != 0) {
        return -1;
    }
    for (int id = 0; id < graph_node_count(connect->pipeline.graph); id++) {
        const struct node *node = graph_node(connect->pipeline.graph, id);
        if (node->connector != NULL && is_named(connect, node->connector->name)) {
            any = true;
            connect_check(node, connect->pipeline.settings->id, connect->options->json, &connect->out, &bad);
        }
    }
    if (!any && !connect->options->json) {
        bytes_append_text(&connect->out, "The script has no connectors.\n");
    }
    return bad ? COMMAND_FAILED : COMMAND_DONE;
}

/* ---- offsets ---- */

/* The lock tells that no process of the app runs in this directory; the group tells it of all others. */
static int lock_state(const struct connect *connect, struct reset_state *state, struct err *err)
{
    const struct connect_options *options = connect->options;
    const char *data = connection_data(&options->connection);
    char *directory = options->state_dir != NULL ? memory_copy_text(options->state_dir)
                                                 : pipeline_state_directory(connect->pipeline.settings, data);
    int result = reset_state_lock(directory, connect->pipeline.settings->id, state, err);
    free(directory);
    return result;
}

static int show_all(struct connect *connect, struct connect_offsets *offsets, struct err *err)
{
    offsets->target = connect->options->target;
    connect_offsets_begin(offsets);
    for (int id = 0; id < graph_node_count(connect->pipeline.graph); id++) {
        const struct connector_use *use = use_at(connect, id);
        if (use != NULL && is_named(connect, use->name) && connect_offsets_show(offsets, use, err) != 0) {
            return -1;
        }
    }
    if (!offsets->json) {
        columns_print(&offsets->columns, &connect->out);
    }
    return 0;
}

static int change_one(struct connect *connect, struct connect_offsets *offsets, struct slice position, struct err *err)
{
    const struct connector_use *use;
    struct reset_state state = {0};
    if (find_use(connect, connect->arguments[1], &use, err) != 0) {
        return -1;
    }
    int result = lock_state(connect, &state, err);
    if (result == 0) {
        result = connect_offsets_set(offsets, use, connect->options->task, position, err);
    }
    reset_state_release(&state);
    return result;
}

/* `act` works on an open log; what it prints is behind what stands in `connect` already. */
static int with_log(struct connect *connect, enum connection_use use, struct slice position,
                    int (*act)(struct connect *, struct connect_offsets *, struct slice, struct err *), struct err *err)
{
    struct connection connection = {0};
    if (open_pipeline(connect, err) != 0) {
        return -1;
    }
    int result = connection_open(&connect->options->connection, connect->pipeline.settings, use, &connection, err);
    struct connect_offsets offsets = {
        .transport = connection.transport, .app = connect->pipeline.settings->id, .json = connect->options->json};
    if (result == 0) {
        result = act(connect, &offsets, position, err);
    }
    bytes_append_slice(&connect->out, bytes_slice(&offsets.out));
    connect_offsets_free(&offsets);
    connection_close(&connection);
    return result;
}

static int show_act(struct connect *connect, struct connect_offsets *offsets, struct slice position, struct err *err)
{
    (void)position;
    return show_all(connect, offsets, err);
}

static int offsets_show(struct connect *connect, struct err *err)
{
    return with_log(connect, CONNECTION_READS, SLICE_NULL, show_act, err);
}

static int check_position(const char *text, struct err *err)
{
    struct json_problem problem;
    if (text == NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "Say where it goes on with --position JSON; `tidemill connect "
                       "offsets show` shows the form.");
    }
    if (!json_check(slice_text(text), &problem)) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The option --position is no JSON: at byte %zu, %s.", problem.at,
                       problem.reason);
    }
    return strlen(text) <= SOURCE_POSITION_SIZE
               ? 0
               : err_set(err, ERR_FATAL, ERR_USAGE, "The option --position is longer than %d bytes.",
                         SOURCE_POSITION_SIZE);
}

static int check_name(const struct connect *connect, struct err *err)
{
    return connect->count == 2 ? 0
                               : err_set(err, ERR_FATAL, ERR_USAGE,
                                         "Name one connector behind the script, such as "
                                         "pipeline.lua orders.");
}

static int offsets_set(struct connect *connect, struct err *err)
{
    const char *position = connect->options->position;
    if (check_name(connect, err) != 0 || check_position(position, err) != 0) {
        return -1;
    }
    return with_log(connect, CONNECTION_READS_STATE, slice_text(position), change_one, err);
}

static int offsets_reset(struct connect *connect, struct err *err)
{
    return check_name(connect, err) != 0 ? -1 : with_log(connect, CONNECTION_READS_STATE, SLICE_NULL, change_one, err);
}

/* ---- import ---- */

static int read_config(const char *path, struct bytes *text, struct err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "%s can't be opened: %s.", path, strerror(errno));
    }
    text->size = fread(bytes_reserve(text, CONFIG_SIZE + 1), 1, CONFIG_SIZE + 1, file);
    int reason = ferror(file) != 0 ? errno : 0;
    if (file != stdin) {
        fclose(file);
    }
    if (reason != 0) {
        return err_set(err, ERR_FATAL, ERR_IO, "%s can't be read: %s.", path, strerror(reason));
    }
    return text->size <= CONFIG_SIZE
               ? 0
               : err_set(err, ERR_FATAL, ERR_CONFIG, "%s is longer than 1 MB, which no config is.", path);
}

static int write_script(const char *path, const struct bytes *script, struct err *err)
{
    FILE *file = fopen(path, "wx");
    bool good = file != NULL && fwrite(script->data, 1, script->size, file) == script->size;
    int reason = errno;
    if (file != NULL && fclose(file) != 0) {
        good = false;
        reason = errno;
    }
    return good ? 0
                : err_set(err, ERR_FATAL, ERR_IO, "%s can't be written: %s.%s", path, strerror(reason),
                          reason == EEXIST ? " Delete it first, or choose another name." : "");
}

static int import(struct connect *connect, struct err *err)
{
    struct bytes text = {0};
    const char *path = connect->arguments[0];
    const char *output = connect->options->output;
    const char *slash = strrchr(path, '/');
    int result = read_config(path, &text, err);
    if (result == 0 && connect_import(bytes_slice(&text), slash != NULL ? slash + 1 : path, &connect->out, err) != 0) {
        result = err_wrap(err, "reading %s", path);
    }
    if (result == 0 && output != NULL) {
        result = write_script(output, &connect->out, err);
        bytes_clear(&connect->out);
        bytes_append_format(&connect->out, "%s is written; look at its comments, then `tidemill check %s`.\n", output,
                            output);
    }
    bytes_free(&text);
    return result;
}

/* ---- the command ---- */

static const struct act {
    const char *word;
    const char *second; /* NULL: none */
    int (*act)(struct connect *connect, struct err *err);
    const char *missing; /* what is to be named */
} acts[] = {
    {"check", NULL, check, "the script: tidemill connect check PIPELINE.lua"},
    {"offsets", "show", offsets_show, "the script: tidemill connect offsets show PIPELINE.lua"},
    {"offsets", "set", offsets_set, "script and connector: tidemill connect offsets set PIPELINE.lua NAME"},
    {"offsets", "reset", offsets_reset, "script and connector: tidemill connect offsets reset PIPELINE.lua NAME"},
    {"import", NULL, import, "the config: tidemill connect import FILE.json"},
};
#define ACT_COUNT (sizeof acts / sizeof acts[0])
static const char *const words[] = {"check", "offsets", "import", NULL};
static const char *const second_words[] = {"show", "set", "reset", NULL};

static int unknown_word(const char *before, const char *word, const char *const *list, size_t count, const char *all,
                        struct err *err)
{
    if (word == NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "`tidemill connect%s` can %s: say which.", before, all);
    }
    const char *nearest = option_nearest(word, list, count);
    return err_set(err, ERR_FATAL, ERR_USAGE, "`tidemill connect%s` can't \"%.100s\"%s%s; it can %s.", before, word,
                   nearest != NULL ? "; the nearest is " : "", nearest != NULL ? nearest : "", all);
}

static const struct act *find_act(char **arguments, int count, struct err *err)
{
    const char *second = count > 1 ? arguments[1] : NULL;
    bool known = false;
    for (size_t i = 0; i < ACT_COUNT; i++) {
        bool word = strcmp(acts[i].word, arguments[0]) == 0;
        known = known || word;
        if (word && (acts[i].second == NULL || (second != NULL && strcmp(acts[i].second, second) == 0))) {
            return &acts[i];
        }
    }
    if (known) {
        unknown_word(" offsets", second, second_words, 3, "show, set and reset", err);
    } else {
        unknown_word("", arguments[0], words, 3, "check, offsets show, offsets set, offsets reset and import", err);
    }
    return NULL;
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    const struct act *act = find_act(arguments, count, err);
    if (act == NULL) {
        return -1;
    }
    int skip = act->second != NULL ? 2 : 1;
    struct connect connect = {.options = data, .arguments = arguments + skip, .count = count - skip};
    if (connect.count == 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "Name %s.", act->missing);
    }
    int result = act->act(&connect, err);
    struct err printing;
    if (print_flush(&connect.out, &printing) != 0 && result >= 0) {
        *err = printing;
        result = -1;
    }
    pipeline_close(&connect.pipeline);
    bytes_free(&connect.out);
    return result;
}

#define FIELD(name) offsetof(struct connect_options, name)

/* clang-format off */
static const struct option options[] = {
    {.name = "output", .type = OPTION_TEXT, .offset = FIELD(output), .argument = "FILE", .letter = 'o',
     .text = "import: the script is written into this file, which must not be there yet."},
    {.name = "task", .type = OPTION_INTEGER, .offset = FIELD(task), .default_text = "-1", .low = -1, .high = 100000,
     .argument = "N", .text = "offsets set, reset: the task, from 0; all of them when not given."},
    {.name = "position", .type = OPTION_TEXT, .offset = FIELD(position), .argument = "JSON",
     .text = "offsets set: where it goes on, in the form that offsets show prints; an offset for a sink."},
    {.name = "target", .type = OPTION_FLAG, .offset = FIELD(target),
     .text = "offsets show: asks the targets of the sinks too; the app should not run meanwhile."},
    {.name = "state_dir", .type = OPTION_TEXT, .offset = FIELD(state_dir), .argument = "DIR",
     .text = "offsets set, reset: directory of the state, if it is not in the data directory."},
    {.name = "json", .type = OPTION_FLAG, .offset = FIELD(json),
     .text = "check, offsets show: prints a JSON object per connector, or per task."},
    CONNECTION_OPTIONS(struct connect_options, CONNECTION_SET_APP),
};
/* clang-format on */

static const struct option_table table = {"tidemill connect", options, sizeof options / sizeof options[0]};

const struct command cmd_connect = {
    .name = "connect",
    .usage = "check PIPELINE.lua [NAME...] | offsets show PIPELINE.lua [NAME...] | offsets set|reset PIPELINE.lua NAME "
             "| import FILE.json [options]",
    .text = "Checks connectors, shows and sets where they stand, translates configs of Kafka Connect.",
    .details = "check connects to the databases of the script, says what is missing and prints the statements that "
               "mend it; status 1 when something is. offsets show prints where sources and sinks stand; set and reset "
               "change it while the app is not running. import takes the JSON of a JDBC sink or source or "
               "of Debezium's PostgreSQL source.",
    .example = "tidemill connect check pipeline.lua\n"
               "tidemill connect offsets show pipeline.lua\n"
               "tidemill connect offsets reset pipeline.lua orders\n"
               "tidemill connect import orders-sink.json --output orders-sink.lua",
    .words = words,
    .verb = "offsets",
    .verb_words = second_words,
    .options = &table,
    .options_size = sizeof(struct connect_options),
    .least = 1,
    .most = -1,
    .run = run,
};
