/* tidemill check: does the pipeline build, and what would it read, write and create. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/check_against.h"
#include "cli/check_state.h"
#include "cli/columns.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/pipeline.h"
#include "cli/print.h"
#include "engine/connector.h"
#include "engine/memory_transport.h"
#include "engine/topic_plan.h"
#include "local/local.h"

struct check_options {
    struct connection_options connection;
    bool connect;
    bool against_running;
    bool json;
};

struct check {
    const struct check_options *options;
    const char *script;
    struct pipeline pipeline;
    struct connection connection;
    struct topic_plan *plan;
    bool asked;                   /* a real log was asked: counts and existence are known */
    struct check_against against; /* --against-running */
    struct check_state state;     /* --data */
    struct option_list warnings;
    struct bytes out;
};

/* ---- asking ---- */

/* Without a log to ask the plan is made against an empty one, for names and roles. */
static int open_imaginary(struct check *check, struct err *err)
{
    struct memory_transport_config config = {.clock = &CLOCK_SYSTEM};
    check->connection.embedded = true;
    return memory_transport_open(&config, &check->connection.transport, err);
}

static int open_log(struct check *check, struct err *err)
{
    const struct check_options *options = check->options;
    bool kafka;
    bool wanted = options->connect || options->against_running || options->connection.data != NULL;
    if (!wanted) {
        return open_imaginary(check, err);
    }
    if (connection_is_kafka(&options->connection, check->pipeline.settings, &kafka, err) != 0) {
        return -1;
    }
    check->asked = kafka || local_exists(connection_data(&options->connection));
    if (!check->asked) {
        return open_imaginary(check, err);
    }
    if (!kafka && options->connection.data != NULL && !options->against_running &&
        local_check(options->connection.data, err) != 0) {
        return -1;
    }
    enum connection_use use = options->against_running ? CONNECTION_READS_STATE : CONNECTION_READS;
    return connection_open(&options->connection, check->pipeline.settings, use, &check->connection, err);
}

static bool reads_state(const struct check *check)
{
    return check->options->connection.data != NULL && !check->options->against_running;
}

static int look_at_state(struct check *check, struct err *err)
{
    if (!reads_state(check)) {
        return 0;
    }
    char *directory = pipeline_state_directory(check->pipeline.settings, check->options->connection.data);
    int result = check_state(directory, check->pipeline.settings->id, &check->state, err);
    free(directory);
    return result;
}

static void warn(struct check *check, const char *text)
{
    option_list_add(&check->warnings, text);
}

/* Kafka counts age from the records' own time: old events in a topic of seven days are gone within minutes. What can't
 * be found out is passed over, as this is a warning. */
static void check_age(struct check *check, const struct planned_topic *topic)
{
    struct transport *transport = check->connection.transport;
    struct topic_info info = {0};
    struct record record;
    struct reader *reader;
    struct err ignored;
    size_t count = 0;
    struct position position = {topic->name, 0, OFFSET_BEGINNING, NULL};
    struct reader_config config = {&position, 1, false};
    if (transport->class->describe_topic(transport, topic->name, &info, &ignored) != 0 || !info.config_known ||
        !info.deleted_by_age || info.retention_ms < 0 ||
        transport->class->reader_open(transport, &config, &reader, &ignored) != 0) {
        return;
    }
    if (transport->class->read(reader, 2000, &record, 1, &count, &ignored) == 0 && count == 1 &&
        record.timestamp + info.retention_ms < clock_wall_ms(&CLOCK_SYSTEM)) {
        char when[CLOCK_TEXT_SIZE];
        char kept[PRINT_NUMBER_SIZE];
        clock_format_time(record.timestamp, when);
        char *text = memory_format("The topic %s keeps records for %s and holds some of %s: Kafka will delete them. "
                                   "Set its retention.ms to -1 while such records are processed.",
                                   topic->name, print_duration(info.retention_ms, kept), when);
        warn(check, text);
        free(text);
    }
    transport->class->reader_close(reader);
}

static void check_ages(struct check *check)
{
    for (int i = 0; i < topic_plan_count(check->plan); i++) {
        const struct planned_topic *topic = topic_plan_get(check->plan, i);
        if (!check->connection.embedded && topic->exists && !topic->internal && topic->subtopology >= 0) {
            check_age(check, topic);
        }
    }
}

/* ---- printing ---- */

static bool is_positions(const struct check *check, const struct planned_topic *topic)
{
    const struct graph *graph = check->pipeline.graph;
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (store->spec.positions && store->changelog != NULL && strcmp(store->changelog, topic->name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *role_of(const struct check *check, const struct planned_topic *topic)
{
    if (topic->changelog) {
        return is_positions(check, topic) ? "positions" : "changelog";
    }
    switch (topic->role) {
    case TOPIC_INPUT:
        return topic->written ? "reads, writes" : "reads";
    case TOPIC_OUTPUT:
        return "writes";
    case TOPIC_REPARTITION:
        return "repartition";
    case TOPIC_GLOBAL:
        return "reads (global)";
    case TOPIC_POSITIONS:
        return "positions";
    }
    return "";
}

/* What run would do about the topic. */
static const char *state_of(const struct check *check, const struct planned_topic *topic)
{
    if (check->asked) {
        return topic->exists ? "exists" : "is created";
    }
    return topic->internal ? "is created if missing" : "";
}

static void print_topics(struct check *check)
{
    struct columns columns;
    columns_begin(&columns, check->asked ? "use topic partitions state" : "use topic state");
    for (int i = 0; i < topic_plan_count(check->plan); i++) {
        const struct planned_topic *topic = topic_plan_get(check->plan, i);
        columns_text(&columns, role_of(check, topic));
        columns_text(&columns, topic->name);
        if (check->asked) {
            columns_integer(&columns, topic->partitions);
        }
        columns_text(&columns, state_of(check, topic));
    }
    columns_print(&columns, &check->out);
    columns_free(&columns);
}

static void print_connectors(struct check *check)
{
    const struct graph *graph = check->pipeline.graph;
    struct columns columns;
    columns_begin(&columns, "connector side kind");
    for (int id = 0; id < graph_node_count(graph); id++) {
        const struct connector_use *use = graph_node(graph, id)->connector;
        if (use != NULL) {
            columns_text(&columns, use->name);
            columns_text(&columns, use->sink ? "sink" : "source");
            columns_text(&columns, use->connector->kind);
        }
    }
    if (columns.cell_count > columns.count) {
        bytes_append_byte(&check->out, '\n');
        columns_print(&columns, &check->out);
        bytes_append_text(&check->out, "`tidemill connect check` looks at what connectors need.\n");
    }
    columns_free(&columns);
}

static void print_plan(struct check *check)
{
    struct columns columns;
    columns_begin(&columns, "kind name plan why");
    for (size_t i = 0; i < check->against.count; i++) {
        const struct check_row *row = &check->against.rows[i];
        columns_text(&columns, row->topic ? "topic" : "store");
        columns_text(&columns, row->name);
        columns_text(&columns, check_fate_name(row->fate));
        columns_text(&columns, row->why);
    }
    columns_print(&columns, &check->out);
    columns_free(&columns);
}

static void print_state(struct check *check)
{
    const struct check_state *state = &check->state;
    if (state->workers > 0) {
        bytes_append_format(&check->out, "\nThe files of %zu workers' stores were read: %zu damaged.\n", state->workers,
                            state->count);
    }
    for (size_t i = 0; i < state->count; i++) {
        bytes_append_format(&check->out, "Damaged: %s: %s\n", state->damages[i].file, state->damages[i].why);
    }
}

static void print_plainly(struct check *check)
{
    const struct graph *graph = check->pipeline.graph;
    bytes_append_format(&check->out, "%s builds the app %s: %d nodes, %d sub-topologies, %d stores.\n", check->script,
                        check->pipeline.settings->id, graph_node_count(graph), graph_subtopology_count(graph),
                        graph_store_count(graph));
    print_topics(check);
    print_connectors(check);
    if (check->options->against_running) {
        bytes_append_text(&check->out, "\nAgainst what ran before:\n");
        print_plan(check);
    }
    print_state(check);
    for (size_t i = 0; i < check->warnings.count; i++) {
        bytes_append_format(&check->out, "Warning: %s\n", check->warnings.items[i]);
    }
}

static void write_topic(const struct check *check, struct json_writer *writer, const struct planned_topic *topic)
{
    json_begin_object(writer);
    json_name(writer, slice_text("topic"));
    json_text(writer, topic->name);
    json_name(writer, slice_text("use"));
    json_text(writer, role_of(check, topic));
    json_name(writer, slice_text("internal"));
    json_bool(writer, topic->internal);
    if (check->asked) {
        json_name(writer, slice_text("exists"));
        json_bool(writer, topic->exists);
        json_name(writer, slice_text("partitions"));
        json_integer(writer, topic->partitions);
    }
    json_end_object(writer);
}

static void write_stores(const struct check *check, struct json_writer *writer)
{
    const struct graph *graph = check->pipeline.graph;
    json_name(writer, slice_text("stores"));
    json_begin_array(writer);
    for (int i = 0; i < graph_store_count(graph); i++) {
        json_text(writer, graph_store(graph, i)->spec.name);
    }
    json_end_array(writer);
}

static void write_connectors(const struct check *check, struct json_writer *writer)
{
    const struct graph *graph = check->pipeline.graph;
    json_name(writer, slice_text("connectors"));
    json_begin_array(writer);
    for (int id = 0; id < graph_node_count(graph); id++) {
        const struct connector_use *use = graph_node(graph, id)->connector;
        if (use != NULL) {
            json_begin_object(writer);
            json_name(writer, slice_text("connector"));
            json_text(writer, use->name);
            json_name(writer, slice_text("side"));
            json_text(writer, use->sink ? "sink" : "source");
            json_name(writer, slice_text("kind"));
            json_text(writer, use->connector->kind);
            json_end_object(writer);
        }
    }
    json_end_array(writer);
}

static void write_plan(const struct check *check, struct json_writer *writer)
{
    json_name(writer, slice_text("plan"));
    json_begin_array(writer);
    for (size_t i = 0; i < check->against.count; i++) {
        const struct check_row *row = &check->against.rows[i];
        json_begin_object(writer);
        json_name(writer, slice_text(row->topic ? "topic" : "store"));
        json_text(writer, row->name);
        json_name(writer, slice_text("plan"));
        json_text(writer, check_fate_name(row->fate));
        json_name(writer, slice_text("why"));
        json_text(writer, row->why);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void write_state(const struct check *check, struct json_writer *writer)
{
    json_name(writer, slice_text("state"));
    json_begin_object(writer);
    json_name(writer, slice_text("workers"));
    json_integer(writer, (int64_t)check->state.workers);
    json_name(writer, slice_text("damaged"));
    json_begin_array(writer);
    for (size_t i = 0; i < check->state.count; i++) {
        json_begin_object(writer);
        json_name(writer, slice_text("file"));
        json_text(writer, check->state.damages[i].file);
        json_name(writer, slice_text("why"));
        json_text(writer, check->state.damages[i].why);
        json_end_object(writer);
    }
    json_end_array(writer);
    json_end_object(writer);
}

static void print_json(struct check *check)
{
    struct json_writer writer = json_writer(&check->out);
    const struct graph *graph = check->pipeline.graph;
    json_begin_object(&writer);
    json_name(&writer, slice_text("app"));
    json_text(&writer, check->pipeline.settings->id);
    json_name(&writer, slice_text("nodes"));
    json_integer(&writer, graph_node_count(graph));
    json_name(&writer, slice_text("subtopologies"));
    json_integer(&writer, graph_subtopology_count(graph));
    json_name(&writer, slice_text("topics"));
    json_begin_array(&writer);
    for (int i = 0; i < topic_plan_count(check->plan); i++) {
        write_topic(check, &writer, topic_plan_get(check->plan, i));
    }
    json_end_array(&writer);
    write_stores(check, &writer);
    write_connectors(check, &writer);
    if (check->options->against_running) {
        write_plan(check, &writer);
    }
    if (reads_state(check)) {
        write_state(check, &writer);
    }
    json_name(&writer, slice_text("warnings"));
    json_begin_array(&writer);
    for (size_t i = 0; i < check->warnings.count; i++) {
        json_text(&writer, check->warnings.items[i]);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    bytes_append_byte(&check->out, '\n');
}

/* ---- the command ---- */

static int compare(struct check *check, struct err *err)
{
    const char *app = check->pipeline.settings->id;
    if (!check->options->against_running) {
        for (int i = 0; i < topic_plan_count(check->plan); i++) {
            if (topic_plan_fits(check->plan, i, app, err) != 0) {
                return -1;
            }
        }
        return 0;
    }
    char *state = pipeline_state_directory(check->pipeline.settings, connection_data(&check->options->connection));
    struct check_request request = {check->pipeline.graph, check->plan, check->connection.transport, app, state};
    int result = check_against(&request, &check->against, err);
    free(state);
    return result;
}

/* With the plan printed before: what keeps the script from running on what is there. */
static int tell_incompatible(const struct check *check, struct err *err)
{
    for (size_t i = 0; i < check->against.count; i++) {
        const struct check_row *row = &check->against.rows[i];
        if (row->fate == FATE_INCOMPATIBLE) {
            return row->topic ? err_set(err, ERR_FATAL, ERR_TOPIC, "%s", row->why)
                              : err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                                        "The state of the store %s can't be used: %s. Give the store a new name, or "
                                        "start over with: tidemill reset --app %s --to-earliest --execute",
                                        row->name, row->why, check->pipeline.settings->id);
        }
    }
    return 0;
}

static int tell_damaged(const struct check *check, struct err *err)
{
    return check->state.count == 0
               ? 0
               : err_set(err, ERR_FATAL, ERR_CORRUPT,
                         "%zu state files of the app %s are damaged. Whoever comes upon the damage, the next start or "
                         "a later access, puts them aside as *.quarantine-<time> and rebuilds the stores from their "
                         "changelogs; a store without one begins empty. To have that done at once, stop the app and "
                         "move the files away.",
                         check->state.count, check->pipeline.settings->id);
}

static int look(struct check *check, struct err *err)
{
    const struct check_options *options = check->options;
    if (pipeline_open(check->script, &options->connection.set, 0, &check->pipeline, err) != 0 ||
        open_log(check, err) != 0 ||
        topic_plan_make(check->pipeline.graph, check->pipeline.settings, check->connection.transport,
                        check->connection.embedded, true, NULL, &check->plan, err) != 0 ||
        compare(check, err) != 0 || look_at_state(check, err) != 0) {
        return -1;
    }
    check_ages(check);
    if (options->json) {
        print_json(check);
    } else {
        print_plainly(check);
    }
    return print_flush(&check->out, err) != 0 || tell_incompatible(check, err) != 0 ? -1 : tell_damaged(check, err);
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)count;
    struct check check = {.options = data, .script = arguments[0]};
    int result = look(&check, err);
    check_against_free(&check.against);
    check_state_free(&check.state);
    topic_plan_free(check.plan);
    connection_close(&check.connection);
    pipeline_close(&check.pipeline);
    for (size_t i = 0; i < check.warnings.count; i++) {
        free(check.warnings.items[i]);
    }
    free(check.warnings.items);
    bytes_free(&check.out);
    return result;
}

#define FIELD(name) offsetof(struct check_options, name)

/* clang-format off */
static const struct option options[] = {
    {.name = "connect", .type = OPTION_FLAG, .offset = FIELD(connect),
     .text = "Asks the brokers, or the embedded log, about the topics: whether they exist and fit."},
    {.name = "against_running", .type = OPTION_FLAG, .offset = FIELD(against_running),
     .text = "Compares with the app as it ran last, or runs: which stores and internal topics are created, reused, "
             "orphaned or incompatible."},
    {.name = "json", .type = OPTION_FLAG, .offset = FIELD(json), .text = "Prints one JSON object."},
    CONNECTION_OPTIONS(struct check_options, CONNECTION_SET_APP),
};
/* clang-format on */

static const struct option_table table = {"tidemill check", options, sizeof options / sizeof options[0]};

const struct command cmd_check = {
    .name = "check",
    .usage = "PIPELINE.lua [options]",
    .text = "Builds a pipeline without running it, and prints what it would read, write and create.",
    .details = "A script that does not build ends with status 3. --data DIR also reads the whole embedded log there "
               "and the app's stores, and verifies their checksums, also while the app runs; damage ends with status "
               "5. --against-running ends with status 3 when the script can't run on the state "
               "and the topics that are there, and names the way out.",
    .example = "tidemill check pipeline.lua\n"
               "tidemill check pipeline.lua --connect --brokers kafka:9092\n"
               "tidemill check pipeline.lua --against-running --data tidemill-data",
    .options = &table,
    .options_size = sizeof(struct check_options),
    .least = 1,
    .most = 1,
    .run = run,
};
