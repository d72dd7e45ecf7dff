/* tidemill lag: how far an app is behind in each partition. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/columns.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/print.h"

struct lag_options {
    struct connection_options connection;
    char *app;
    bool json;
};

struct lag {
    const struct lag_options *options;
    struct connection connection;
    struct group_position *list;
    size_t count;
    struct columns columns;
    struct bytes out;
    int64_t total;
};

static int compare(const void *one, const void *other)
{
    const struct group_position *a = one;
    const struct group_position *b = other;
    int order = strcmp(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static void write_row(struct lag *lag, const struct group_position *at, int64_t end, int64_t behind)
{
    struct json_writer writer = json_writer(&lag->out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("topic"));
    json_text(&writer, at->topic);
    json_name(&writer, slice_text("partition"));
    json_integer(&writer, at->partition);
    json_name(&writer, slice_text("committed"));
    json_integer(&writer, at->committed);
    json_name(&writer, slice_text("end"));
    json_integer(&writer, end);
    json_name(&writer, slice_text("lag"));
    json_integer(&writer, behind);
    json_end_object(&writer);
    bytes_append_byte(&lag->out, '\n');
}

static int add_row(struct lag *lag, const struct group_position *at, struct err *err)
{
    struct transport *transport = lag->connection.transport;
    int64_t low;
    int64_t high;
    if (transport->class->watermarks(transport, at->topic, at->partition, &low, &high, err) != 0) {
        return -1;
    }
    int64_t from = at->committed < low ? low : at->committed;
    int64_t behind = high > from ? high - from : 0;
    lag->total += behind;
    if (lag->options->json) {
        write_row(lag, at, high, behind);
        return 0;
    }
    columns_text(&lag->columns, at->topic);
    columns_integer(&lag->columns, at->partition);
    if (at->committed >= 0) {
        columns_integer(&lag->columns, at->committed);
    } else {
        columns_text(&lag->columns, "-");
    }
    columns_integer(&lag->columns, high);
    columns_integer(&lag->columns, behind);
    return 0;
}

/* The partitions of a topic that nothing is committed for are behind by all they hold. */
static int add_topic(struct lag *lag, size_t from, size_t to, struct err *err)
{
    struct transport *transport = lag->connection.transport;
    struct topic_info info = {0};
    if (transport->class->describe_topic(transport, lag->list[from].topic, &info, err) != 0) {
        return -1;
    }
    for (int32_t partition = 0; info.exists && partition < info.partitions; partition++) {
        struct group_position at = {.topic = lag->list[from].topic, .partition = partition, .committed = OFFSET_NONE};
        for (size_t i = from; i < to; i++) {
            at.committed = lag->list[i].partition == partition ? lag->list[i].committed : at.committed;
        }
        if (add_row(lag, &at, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int show(struct lag *lag, struct err *err)
{
    char number[PRINT_NUMBER_SIZE];
    if (lag->count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The app %s has committed no positions here: it has not run yet, or its id is another.",
                       lag->options->app);
    }
    qsort(lag->list, lag->count, sizeof *lag->list, compare);
    columns_begin(&lag->columns, "topic partition committed end lag");
    for (size_t from = 0, to = 0; from < lag->count; from = to) {
        while (to < lag->count && strcmp(lag->list[to].topic, lag->list[from].topic) == 0) {
            to++;
        }
        if (add_topic(lag, from, to, err) != 0) {
            return -1;
        }
    }
    if (!lag->options->json) {
        columns_print(&lag->columns, &lag->out);
        bytes_append_format(&lag->out, "%s records behind\n", print_number(lag->total, number));
    }
    return print_flush(&lag->out, err);
}

static int measure(struct lag *lag, struct err *err)
{
    const struct lag_options *options = lag->options;
    if (options->app == NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "Name the app with --app ID.");
    }
    if (connection_check_set(&options->connection, err) != 0 ||
        connection_open(&options->connection, NULL, CONNECTION_READS, &lag->connection, err) != 0) {
        return -1;
    }
    struct transport *transport = lag->connection.transport;
    if (transport->class->group_positions(transport, options->app, &lag->list, &lag->count, err) != 0) {
        return -1;
    }
    return show(lag, err);
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)arguments;
    (void)count;
    struct lag lag = {.options = data};
    int result = measure(&lag, err);
    for (size_t i = 0; i < lag.count; i++) {
        free(lag.list[i].topic);
        free(lag.list[i].metadata);
    }
    free(lag.list);
    columns_free(&lag.columns);
    bytes_free(&lag.out);
    connection_close(&lag.connection);
    return result;
}

#define FIELD(name) offsetof(struct lag_options, name)

/* clang-format off */
static const struct option options[] = {
    {.name = "app", .type = OPTION_TEXT, .offset = FIELD(app), .argument = "ID", .letter = 'a',
     .text = "The app's id, or the name of a group."},
    {.name = "json", .type = OPTION_FLAG, .offset = FIELD(json), .text = "Prints a JSON object per partition."},
    CONNECTION_OPTIONS(struct lag_options, CONNECTION_SET_KAFKA),
};
/* clang-format on */

static const struct option_table table = {"tidemill lag", options, sizeof options / sizeof options[0]};

const struct command cmd_lag = {
    .name = "lag",
    .usage = "--app ID [options]",
    .text = "Prints how many records an app has still to process, by partition.",
    .example = "tidemill lag --app shop\n"
               "tidemill lag --app shop --brokers kafka:9092 --json",
    .options = &table,
    .options_size = sizeof(struct lag_options),
    .least = 0,
    .most = 0,
    .run = run,
};
