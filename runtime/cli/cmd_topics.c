/* tidemill topics: what topics there are; making, describing, growing and deleting them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/columns.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/print.h"

#define PARTITIONS_DEFAULT 4

struct topics_options {
    struct connection_options connection;
    int64_t partitions;
    int64_t replication;
    bool compact;
    int64_t retention_ms;
    bool for_ever;
    int64_t retention_bytes;
    bool all;
    bool json;
};

struct topics_call {
    const struct topics_options *options;
    struct connection connection;
    char **arguments; /* behind the word */
    int count;
    struct bytes out;
};

/* ---- facts about a topic ---- */

struct extent {
    int64_t low;
    int64_t high;
};

static int read_extents(struct topics_call *call, const char *topic, const struct topic_info *info,
                        struct extent *extents, struct err *err)
{
    struct transport *transport = call->connection.transport;
    for (int32_t i = 0; i < info->partitions; i++) {
        if (transport->class->watermarks(transport, topic, i, &extents[i].low, &extents[i].high, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void append_policy(const struct topic_info *info, struct bytes *out)
{
    char text[PRINT_NUMBER_SIZE];
    if (!info->config_known) {
        bytes_append_text(out, "-");
        return;
    }
    bytes_append_text(out, info->compacted ? "compacted" : "");
    if (info->deleted_by_age) {
        bytes_append_format(out, "%s%s", info->compacted ? ", " : "", print_duration(info->retention_ms, text));
        if (info->retention_bytes >= 0) {
            bytes_append_format(out, ", %s bytes a partition", print_number(info->retention_bytes, text));
        }
    }
}

static void write_config(struct json_writer *writer, const struct topic_info *info)
{
    if (!info->config_known) {
        return;
    }
    json_name(writer, slice_text("compacted"));
    json_bool(writer, info->compacted);
    json_name(writer, slice_text("retention_ms"));
    json_integer(writer, info->retention_ms);
    json_name(writer, slice_text("retention_bytes"));
    json_integer(writer, info->retention_bytes);
}

static void write_topic(struct bytes *out, const char *topic, const struct topic_info *info,
                        const struct extent *extents)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("topic"));
    json_text(&writer, topic);
    json_name(&writer, slice_text("partitions"));
    json_begin_array(&writer);
    for (int32_t i = 0; i < info->partitions; i++) {
        json_begin_object(&writer);
        json_name(&writer, slice_text("partition"));
        json_integer(&writer, i);
        json_name(&writer, slice_text("begin"));
        json_integer(&writer, extents[i].low);
        json_name(&writer, slice_text("end"));
        json_integer(&writer, extents[i].high);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    write_config(&writer, info);
    json_end_object(&writer);
    bytes_append_byte(out, '\n');
}

/* ---- list ---- */

static int list_topic(struct topics_call *call, const char *topic, struct columns *columns, struct err *err)
{
    struct topic_info info;
    struct bytes policy = {0};
    if (connection_find_topic(&call->connection, topic, &info, err) != 0) {
        return -1;
    }
    struct extent *extents = memory_alloc((size_t)info.partitions * sizeof *extents);
    int result = read_extents(call, topic, &info, extents, err);
    if (result == 0 && call->options->json) {
        write_topic(&call->out, topic, &info, extents);
    } else if (result == 0) {
        int64_t records = 0;
        for (int32_t i = 0; i < info.partitions; i++) {
            records += extents[i].high - extents[i].low;
        }
        append_policy(&info, &policy);
        columns_text(columns, topic);
        columns_integer(columns, info.partitions);
        columns_integer(columns, records);
        columns_add(columns, bytes_slice(&policy));
    }
    free(extents);
    bytes_free(&policy);
    return result;
}

static bool is_hidden(const struct topics_call *call, const char *topic)
{
    return !call->options->all && strncmp(topic, "__", 2) == 0;
}

static int list(struct topics_call *call, struct err *err)
{
    struct transport *transport = call->connection.transport;
    struct option_list names = {0};
    struct columns columns;
    int result = transport->class->list_topics(transport, &names, err);
    columns_begin(&columns, "topic partitions records kept");
    for (size_t i = 0; i < names.count; i++) {
        if (result == 0 && !is_hidden(call, names.items[i])) {
            result = list_topic(call, names.items[i], &columns, err);
        }
        free(names.items[i]);
    }
    free(names.items);
    if (result == 0 && !call->options->json && columns.cell_count > columns.count) {
        columns_print(&columns, &call->out);
    } else if (result == 0 && !call->options->json) {
        bytes_append_text(&call->out, "There are no topics.\n");
    }
    columns_free(&columns);
    return result;
}

/* ---- the other words ---- */

static void describe_plainly(struct topics_call *call, const char *topic, const struct topic_info *info,
                             const struct extent *extents)
{
    struct columns columns;
    bytes_append_format(&call->out, "%s: %d partitions, kept: ", topic, (int)info->partitions);
    append_policy(info, &call->out);
    bytes_append_byte(&call->out, '\n');
    columns_begin(&columns, "partition begin end records");
    for (int32_t i = 0; i < info->partitions; i++) {
        columns_integer(&columns, i);
        columns_integer(&columns, extents[i].low);
        columns_integer(&columns, extents[i].high);
        columns_integer(&columns, extents[i].high - extents[i].low);
    }
    columns_print(&columns, &call->out);
    columns_free(&columns);
}

static int describe(struct topics_call *call, struct err *err)
{
    int result = 0;
    for (int i = 0; i < call->count && result == 0; i++) {
        const char *topic = call->arguments[i];
        struct topic_info info;
        if (connection_find_topic(&call->connection, topic, &info, err) != 0) {
            return -1;
        }
        struct extent *extents = memory_alloc((size_t)info.partitions * sizeof *extents);
        result = read_extents(call, topic, &info, extents, err);
        if (result == 0 && call->options->json) {
            write_topic(&call->out, topic, &info, extents);
        } else if (result == 0) {
            describe_plainly(call, topic, &info, extents);
        }
        free(extents);
    }
    return result;
}

static int create_one(struct topics_call *call, const char *topic, struct err *err)
{
    const struct topics_options *options = call->options;
    struct transport *transport = call->connection.transport;
    struct topic_info info = {0};
    if (transport->class->describe_topic(transport, topic, &info, err) != 0) {
        return -1;
    }
    if (info.exists) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The topic %s exists already, with %d partitions. `tidemill topics describe` shows it.", topic,
                       (int)info.partitions);
    }
    int64_t partitions = options->partitions > 0     ? options->partitions
                         : call->connection.embedded ? PARTITIONS_DEFAULT
                                                     : 0;
    struct topic_spec spec = {
        .name = topic,
        .partitions = (int32_t)partitions,
        .replication = (int32_t)options->replication,
        .compacted = options->compact,
        .retention_ms = options->for_ever ? -1 : options->retention_ms,
        .retention_bytes = options->retention_bytes > 0 ? options->retention_bytes : -1,
    };
    if (partitions == 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "Say how many partitions the topic %s gets, with --partitions N: they bound how many workers "
                       "can share it.",
                       topic);
    }
    if (transport->class->create_topic(transport, &spec, err) != 0 ||
        connection_find_topic(&call->connection, topic, &info, err) != 0) {
        return -1;
    }
    bytes_append_format(&call->out, "Created %s: %d partitions, kept: ", topic, (int)info.partitions);
    append_policy(&info, &call->out);
    bytes_append_byte(&call->out, '\n');
    return 0;
}

/* What would be taken and not done. */
static int check_create(const struct topics_call *call, struct err *err)
{
    const struct topics_options *options = call->options;
    if (options->for_ever && options->retention_ms > 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The options --for-ever and --retention exclude each other.");
    }
    if (call->connection.embedded && options->replication > 1) {
        return err_set(
            err, ERR_FATAL, ERR_USAGE,
            "The option --replication needs Kafka: the embedded log keeps one copy of a topic. Leave it out, "
            "or name --brokers.");
    }
    return 0;
}

static int create(struct topics_call *call, struct err *err)
{
    int result = check_create(call, err);
    for (int i = 0; i < call->count && result == 0; i++) {
        result = create_one(call, call->arguments[i], err);
    }
    return result;
}

static int delete (struct topics_call *call, struct err *err)
{
    struct transport *transport = call->connection.transport;
    struct topic_info info;
    for (int i = 0; i < call->count; i++) {
        if (connection_find_topic(&call->connection, call->arguments[i], &info, err) != 0) {
            return -1;
        }
    }
    for (int i = 0; i < call->count; i++) {
        if (transport->class->delete_topic(transport, call->arguments[i], err) != 0) {
            return -1;
        }
        bytes_append_format(&call->out, "Deleted %s.\n", call->arguments[i]);
    }
    return 0;
}

static int add_partitions(struct topics_call *call, struct err *err)
{
    struct transport *transport = call->connection.transport;
    struct topic_info info;
    const char *topic = call->arguments[0];
    const char *number = call->count == 2 ? call->arguments[1] : "";
    int64_t total = number[0] != '\0' && number[strspn(number, "0123456789")] == '\0' ? strtoll(number, NULL, 10)
                                                                                      : call->options->partitions;
    if (total <= 0 || total > 100000 || call->count > 2) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "Say how many partitions there shall be in all: tidemill topics add-partitions TOPIC TOTAL.");
    }
    if (connection_find_topic(&call->connection, topic, &info, err) != 0 ||
        transport->class->add_partitions(transport, topic, (int32_t)total, err) != 0) {
        return -1;
    }
    bytes_append_format(&call->out,
                        "%s has %lld partitions now. Keys that are there already stay where they are; new records of "
                        "them may go to another partition.\n",
                        topic, (long long)total);
    return 0;
}

/* ---- the command ---- */

static const struct {
    const char *word;
    int (*act)(struct topics_call *call, struct err *err);
    bool needs_topic;
    enum connection_use use;
} acts[] = {
    {"list", list, false, CONNECTION_READS},
    {"create", create, true, CONNECTION_WRITES},
    {"describe", describe, true, CONNECTION_READS},
    {"delete", delete, true, CONNECTION_READS},
    {"add-partitions", add_partitions, true, CONNECTION_READS},
};
static const char *const words[] = {"list", "create", "describe", "delete", "add-partitions", NULL};

static int find_act(const char *word, size_t *index, struct err *err)
{
    for (*index = 0; *index < sizeof acts / sizeof acts[0]; ++*index) {
        if (strcmp(acts[*index].word, word) == 0) {
            return 0;
        }
    }
    const char *nearest = option_nearest(word, words, sizeof words / sizeof words[0] - 1);
    return err_set(err, ERR_FATAL, ERR_USAGE,
                   "`tidemill topics` can't \"%.100s\"%s%s; it can list, create, describe, "
                   "delete and add-partitions.",
                   word, nearest != NULL ? "; the nearest is " : "", nearest != NULL ? nearest : "");
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    struct topics_call call = {.options = data, .arguments = arguments + 1, .count = count > 0 ? count - 1 : 0};
    size_t index;
    if (find_act(count > 0 ? arguments[0] : "list", &index, err) != 0) {
        return -1;
    }
    if (acts[index].needs_topic == (call.count == 0)) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       acts[index].needs_topic ? "Name the topic: tidemill topics %s TOPIC."
                                               : "There are too many arguments: tidemill topics %s.",
                       acts[index].word);
    }
    int result = connection_check_set(&call.options->connection, err);
    if (result == 0) {
        result = connection_open(&call.options->connection, NULL, acts[index].use, &call.connection, err);
    }
    if (result == 0) {
        result = acts[index].act(&call, err);
    }
    struct err printing;
    if (print_flush(&call.out, &printing) != 0 && result == 0) {
        *err = printing;
        result = -1;
    }
    connection_close(&call.connection);
    bytes_free(&call.out);
    return result == 0 ? COMMAND_DONE : -1;
}

#define FIELD(name) offsetof(struct topics_options, name)

/* clang-format off */
static const struct option options[] = {
    {.name = "partitions", .type = OPTION_INTEGER, .offset = FIELD(partitions), .default_text = "0", .low = 0,
     .high = 100000, .argument = "N",
     .text = "Partitions of a topic that is created; 4 on the embedded log when not given."},
    {.name = "replication", .type = OPTION_INTEGER, .offset = FIELD(replication), .default_text = "0", .low = 0,
     .high = 1000, .argument = "N", .text = "Copies of each partition on Kafka; 0: as the cluster has it."},
    {.name = "compact", .type = OPTION_FLAG, .offset = FIELD(compact),
     .text = "Keeps the last record of each key, and not by age."},
    {.name = "retention", .type = OPTION_DURATION, .offset = FIELD(retention_ms), .default_text = "0", .low = 0,
     .high = INT64_MAX,
     .text = "How long records are kept; 0: for ever on the embedded log, as the cluster has it on Kafka."},
    {.name = "for_ever", .type = OPTION_FLAG, .offset = FIELD(for_ever),
     .text = "Keeps records for ever, on Kafka too."},
    {.name = "retention_bytes", .type = OPTION_SIZE, .offset = FIELD(retention_bytes), .default_text = "0", .low = 0,
     .high = INT64_MAX, .text = "How many bytes of a partition are kept; 0: no limit."},
    {.name = "all", .type = OPTION_FLAG, .offset = FIELD(all),
     .text = "Lists Kafka's own topics too, whose names begin with two underscores."},
    {.name = "json", .type = OPTION_FLAG, .offset = FIELD(json), .text = "Prints a JSON object per topic."},
    CONNECTION_OPTIONS(struct topics_options, CONNECTION_SET_KAFKA),
};
/* clang-format on */

static const struct option_table table = {"tidemill topics", options, sizeof options / sizeof options[0]};

const struct command cmd_topics = {
    .name = "topics",
    .usage = "[list | create TOPIC... | describe TOPIC... | delete TOPIC... | add-partitions TOPIC TOTAL] [options]",
    .text = "Lists topics, or creates, describes, grows and deletes them.",
    .example = "tidemill topics\n"
               "tidemill topics create orders --partitions 8 --retention 30d\n"
               "tidemill topics describe orders --json\n"
               "tidemill topics delete orders",
    .words = words,
    .options = &table,
    .options_size = sizeof(struct topics_options),
    .least = 0,
    .most = -1,
    .run = run,
};
