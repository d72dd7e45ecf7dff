/* tidemill reset: an app as if it had never run: positions, internal topics and local state together. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/columns.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/internal_topic.h"
#include "cli/pipeline.h"
#include "cli/print.h"
#include "cli/reset_state.h"
#include "cli/reset_targets.h"

struct reset_options {
    struct connection_options connection;
    char *app;
    char *state_dir;
    bool to_earliest;
    bool to_latest;
    char *to_datetime;
    int64_t to_offset;
    bool dry_run;
    bool execute;
};

struct reset {
    const struct reset_options *options;
    const char *app;
    struct pipeline pipeline; /* when a script was named */
    struct connection connection;
    char *state_directory;
    struct reset_state state;
    struct group_position *committed;
    size_t committed_count;
    struct option_list internal; /* topics that are deleted */
    struct position *positions;  /* of the inputs, as they are set */
    size_t position_count;
    size_t position_capacity;
    int64_t time;
    struct bytes out;
};

/* ---- which topics are the app's own ---- */

static bool in_list(const struct option_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void free_list(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct option_list){0};
}

static void find_by_name(struct reset *reset, const struct option_list *topics)
{
    struct option_list apps = {0};
    reset_state_apps(reset->state_directory, &apps);
    for (size_t i = 0; i < topics->count; i++) {
        const char *topic = topics->items[i];
        if (internal_topic_is_of(topic, reset->app, &apps)) {
            option_list_add(&reset->internal, topic);
        }
    }
    free_list(&apps);
}

/* The script knows exactly what it owns. */
static void find_by_graph(struct reset *reset, const struct option_list *topics)
{
    const struct graph *graph = reset->pipeline.graph;
    struct option_list *internal = &reset->internal;
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *topic = graph_topic(graph, i);
        bool own = topic->role == TOPIC_REPARTITION || topic->role == TOPIC_POSITIONS;
        if (own && in_list(topics, topic->name) && !in_list(internal, topic->name)) {
            option_list_add(internal, topic->name);
        }
    }
    for (int i = 0; i < graph_store_count(graph); i++) {
        const char *changelog = graph_store(graph, i)->changelog;
        if (changelog != NULL && in_list(topics, changelog) && !in_list(internal, changelog)) {
            option_list_add(internal, changelog);
        }
    }
}

static int find_internal(struct reset *reset, struct err *err)
{
    struct option_list topics = {0};
    struct transport *transport = reset->connection.transport;
    int result = transport->class->list_topics(transport, &topics, err);
    if (result == 0 && reset->pipeline.graph != NULL) {
        find_by_graph(reset, &topics);
    } else if (result == 0) {
        find_by_name(reset, &topics);
    }
    free_list(&topics);
    return result;
}

/* ---- where the inputs shall stand ---- */

static int target_of(struct reset *reset, const char *topic, int32_t partition, int64_t *offset, struct err *err)
{
    const struct reset_options *options = reset->options;
    struct transport *transport = reset->connection.transport;
    int64_t low;
    int64_t high;
    if (transport->class->watermarks(transport, topic, partition, &low, &high, err) != 0) {
        return -1;
    }
    *offset = low;
    if (options->to_latest) {
        *offset = high;
    } else if (options->to_datetime != NULL) {
        return transport->class->offset_for_time(transport, topic, partition, reset->time, offset, err);
    } else if (options->to_offset >= 0) {
        *offset = options->to_offset < low ? low : options->to_offset > high ? high : options->to_offset;
    }
    return 0;
}

static void add_position(struct reset *reset, const char *topic, int32_t partition, int64_t offset)
{
    reset->positions =
        memory_grow(reset->positions, reset->position_count, &reset->position_capacity, sizeof *reset->positions);
    reset->positions[reset->position_count++] = (struct position){topic, partition, offset, NULL};
}

static bool has_position(const struct reset *reset, const char *topic)
{
    for (size_t i = 0; i < reset->position_count; i++) {
        if (strcmp(reset->positions[i].topic, topic) == 0) {
            return true;
        }
    }
    return false;
}

static int add_input(struct reset *reset, const char *topic, struct err *err)
{
    struct transport *transport = reset->connection.transport;
    struct topic_info info = {0};
    if (has_position(reset, topic)) {
        return 0;
    }
    if (transport->class->describe_topic(transport, topic, &info, err) != 0) {
        return -1;
    }
    for (int32_t i = 0; info.exists && i < info.partitions; i++) {
        int64_t offset;
        if (target_of(reset, topic, i, &offset, err) != 0) {
            return -1;
        }
        add_position(reset, topic, i, offset);
    }
    return 0;
}

static int plan_positions(struct reset *reset, struct err *err)
{
    struct transport *transport = reset->connection.transport;
    if (transport->class->group_positions(transport, reset->app, &reset->committed, &reset->committed_count, err) !=
        0) {
        return -1;
    }
    for (size_t i = 0; i < reset->committed_count; i++) {
        const struct group_position *at = &reset->committed[i];
        if (in_list(&reset->internal, at->topic)) {
            if (at->committed >= 0) {
                add_position(reset, at->topic, at->partition, OFFSET_NONE);
            }
        } else if (add_input(reset, at->topic, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- showing and doing ---- */

static int64_t committed_of(const struct reset *reset, const struct position *position)
{
    for (size_t i = 0; i < reset->committed_count; i++) {
        const struct group_position *at = &reset->committed[i];
        if (at->partition == position->partition && strcmp(at->topic, position->topic) == 0) {
            return at->committed;
        }
    }
    return OFFSET_NONE;
}

static void show_positions(struct reset *reset)
{
    struct columns columns;
    columns_begin(&columns, "topic partition committed new");
    for (size_t i = 0; i < reset->position_count; i++) {
        const struct position *position = &reset->positions[i];
        if (position->offset == OFFSET_NONE) {
            continue;
        }
        columns_text(&columns, position->topic);
        columns_integer(&columns, position->partition);
        columns_integer(&columns, committed_of(reset, position));
        columns_integer(&columns, position->offset);
    }
    if (columns.cell_count > columns.count) {
        columns_print(&columns, &reset->out);
    }
    columns_free(&columns);
}

static void show(struct reset *reset)
{
    show_positions(reset);
    if (reset->pipeline.graph != NULL && (reset->internal.count > 0 || reset->position_count > 0)) {
        reset_targets_show(reset->pipeline.graph, &reset->out);
    }
    for (size_t i = 0; i < reset->internal.count; i++) {
        bytes_append_format(&reset->out, "delete topic %s\n", reset->internal.items[i]);
    }
    if (reset->state.count > 0) {
        bytes_append_format(&reset->out, "delete state %s\n", reset->state.directory);
    }
    if (reset->out.size == 0) {
        bytes_append_format(&reset->out, "There is nothing of the app %s here.\n", reset->app);
    } else if (!reset->options->execute) {
        bytes_append_text(&reset->out, "Nothing was changed: --execute does it.\n");
    }
}

static int incomplete(const struct reset *reset, struct err *err)
{
    return err_wrap(err, "resetting the app %s, which is now half done: run the same command again before the app",
                    reset->app);
}

/* Positions first: setting them is refused while the app runs, before anything is lost. */
static int execute(struct reset *reset, struct err *err)
{
    struct transport *transport = reset->connection.transport;
    if (reset->position_count > 0 && transport->class->set_group_positions(transport, reset->app, reset->positions,
                                                                           reset->position_count, err) != 0) {
        return -1;
    }
    struct reset_targets targets = {reset->pipeline.graph, reset->app, reset->positions, reset->position_count};
    if (reset->pipeline.graph != NULL && reset_targets_put_back(&targets, transport, err) != 0) {
        return incomplete(reset, err);
    }
    for (size_t i = 0; i < reset->internal.count; i++) {
        if (transport->class->delete_topic(transport, reset->internal.items[i], err) != 0) {
            return incomplete(reset, err);
        }
    }
    if (reset_state_delete(&reset->state, err) != 0) {
        return incomplete(reset, err);
    }
    bytes_append_format(&reset->out, "The app %s is reset. Its output topics are as they were.\n", reset->app);
    return 0;
}

/* ---- the command ---- */

static int check_options(struct reset *reset, struct err *err)
{
    const struct reset_options *options = reset->options;
    int targets =
        options->to_earliest + options->to_latest + (options->to_datetime != NULL) + (options->to_offset >= 0);
    if (targets > 1) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "Choose one of --to-earliest, --to-latest, --to-datetime, --to-offset.");
    }
    if (options->execute && options->dry_run) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The options --execute and --dry-run exclude each other.");
    }
    if (options->to_datetime != NULL && clock_parse_time(options->to_datetime, &reset->time) != 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The option --to-datetime can't be \"%.100s\": it must be ISO 8601, such as "
                       "2013-01-01T00:00:00Z.",
                       options->to_datetime);
    }
    return 0;
}

static int find_app(struct reset *reset, const char *script, struct err *err)
{
    const struct reset_options *options = reset->options;
    if (script == NULL && options->app == NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "Name the app with --app ID, or its script.");
    }
    if (script != NULL && pipeline_open(script, &options->connection.set, 0, &reset->pipeline, err) != 0) {
        return -1;
    }
    if (script == NULL && connection_check_set(&options->connection, err) != 0) {
        return -1;
    }
    reset->app = script != NULL ? reset->pipeline.settings->id : options->app;
    if (options->app != NULL && strcmp(options->app, reset->app) != 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The script builds the app %s, not %s.", reset->app, options->app);
    }
    if (reset->app[0] == '\0' || strchr(reset->app, '/') != NULL || reset->app[0] == '.') {
        return err_set(err, ERR_FATAL, ERR_USAGE, "\"%s\" can't be the id of an app.", reset->app);
    }
    return 0;
}

static void choose_state_directory(struct reset *reset)
{
    const char *data = connection_data(&reset->options->connection);
    if (reset->options->state_dir != NULL) {
        reset->state_directory = memory_copy_text(reset->options->state_dir);
    } else if (reset->pipeline.settings != NULL) {
        reset->state_directory = pipeline_state_directory(reset->pipeline.settings, data);
    } else {
        reset->state_directory = memory_format("%s/state", data);
    }
}

static int reset_app(struct reset *reset, const char *script, struct err *err)
{
    if (check_options(reset, err) != 0 || find_app(reset, script, err) != 0) {
        return -1;
    }
    choose_state_directory(reset);
    if (connection_open(&reset->options->connection, reset->pipeline.settings, CONNECTION_READS_STATE,
                        &reset->connection, err) != 0 ||
        reset_state_lock(reset->state_directory, reset->app, &reset->state, err) != 0 ||
        find_internal(reset, err) != 0 || plan_positions(reset, err) != 0) {
        return -1;
    }
    show(reset);
    return reset->options->execute ? execute(reset, err) : 0;
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    struct reset reset = {.options = data};
    struct err printing;
    int result = reset_app(&reset, count > 0 ? arguments[0] : NULL, err);
    if (print_flush(&reset.out, &printing) != 0 && result == 0) {
        *err = printing;
        result = -1;
    }
    for (size_t i = 0; i < reset.committed_count; i++) {
        free(reset.committed[i].topic);
        free(reset.committed[i].metadata);
    }
    free(reset.committed);
    free(reset.positions);
    free_list(&reset.internal);
    reset_state_release(&reset.state);
    connection_close(&reset.connection);
    pipeline_close(&reset.pipeline);
    free(reset.state_directory);
    bytes_free(&reset.out);
    return result;
}

#define FIELD(name) offsetof(struct reset_options, name)

/* clang-format off */
static const struct option options[] = {
    {.name = "app", .type = OPTION_TEXT, .offset = FIELD(app), .argument = "ID", .letter = 'a',
     .text = "The app's id; its internal topics are then found by their names."},
    {.name = "to_earliest", .type = OPTION_FLAG, .offset = FIELD(to_earliest),
     .text = "Inputs are read from their beginning again; this is the default."},
    {.name = "to_latest", .type = OPTION_FLAG, .offset = FIELD(to_latest),
     .text = "What the inputs hold now is passed over."},
    {.name = "to_datetime", .type = OPTION_TEXT, .offset = FIELD(to_datetime), .argument = "TIME",
     .text = "Inputs are read from the first record of that time on, in ISO 8601."},
    {.name = "to_offset", .type = OPTION_INTEGER, .offset = FIELD(to_offset), .default_text = "-1", .low = -1,
     .high = INT64_MAX, .argument = "N", .text = "Every partition of the inputs is read from this offset."},
    {.name = "execute", .type = OPTION_FLAG, .offset = FIELD(execute), .text = "Does it."},
    {.name = "dry_run", .type = OPTION_FLAG, .offset = FIELD(dry_run),
     .text = "Shows what would be done; this is the default."},
    {.name = "state_dir", .type = OPTION_TEXT, .offset = FIELD(state_dir), .argument = "DIR",
     .text = "Directory of the state, if it is not in the data directory."},
    CONNECTION_OPTIONS(struct reset_options, CONNECTION_SET_APP),
};
/* clang-format on */

static const struct option_table table = {"tidemill reset", options, sizeof options / sizeof options[0]};

const struct command cmd_reset = {
    .name = "reset",
    .usage = "[PIPELINE.lua | --app ID] [options]",
    .text = "Sets an app back: its positions, its internal topics and its local state together.",
    .details = "Refused while the app runs. Output topics stay as they are, and so do rows that sinks have written; "
               "where sinks stand in their "
               "targets is put back with the script, and not with --app. With the script the internal topics are "
               "known exactly; with --app they are those that begin with the id and end like an internal topic, so "
               "look at the list before --execute. State on other machines has to be deleted there.",
    .example = "tidemill reset pipeline.lua\n"
               "tidemill reset pipeline.lua --execute\n"
               "tidemill reset --app shop --to-datetime 2013-01-01T00:00:00Z --execute --brokers kafka:9092",
    .options = &table,
    .options_size = sizeof(struct reset_options),
    .least = 0,
    .most = 1,
    .run = run,
};
