/* tidemill consume: the records of a topic, to its end or further. */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/consume_latest.h"
#include "cli/consume_show.h"
#include "cli/consume_table.h"
#include "cli/print.h"
#include "cli/record_json.h"
#include "cli/signals.h"

#define BATCH 256
#define FLUSH_BYTES ((size_t)64 * 1024)
#define WAIT_MS 200
#define GROUP_INTERVAL_NS INT64_C(1000000000)

enum consume_format { FORMAT_KEY_VALUE, FORMAT_VALUE, FORMAT_KEY, FORMAT_JSON, FORMAT_TABLE };

struct consume_options {
    struct connection_options connection;
    char *from;
    int64_t partition;
    int64_t limit;
    bool follow;
    bool latest;
    bool uncommitted;
    char *group;
    int format; /* enum consume_format */
    int key_codec;
    int value_codec;
    char *columns;
    char *sort;
};

struct consumer {
    const struct consume_options *options;
    struct connection connection;
    const char *topic;
    struct position *positions; /* where to start, then what comes next after what was printed */
    int64_t *ends;
    size_t count;
    int32_t first; /* partition number of the first position */
    struct reader *reader;
    struct bytes out;
    struct consume_latest latest;
    struct consume_table table;
    int64_t taken;
    int64_t keyless; /* records that --latest left out */
    int64_t saved_ns;
    bool safe; /* the output is a terminal */
};

/* ---- where to start ---- */

/* What --from means for one partition. */
static int start_of(struct consumer *consumer, int32_t partition, int64_t *offset, struct err *err)
{
    const char *from = consumer->options->from;
    struct transport *transport = consumer->connection.transport;
    int64_t time;
    if (from == NULL || strcmp(from, "beginning") == 0) {
        *offset = OFFSET_BEGINNING;
        return 0;
    }
    if (strcmp(from, "end") == 0) {
        *offset = OFFSET_END;
        return 0;
    }
    if (from[0] != '\0' && from[strspn(from, "0123456789")] == '\0') {
        *offset = strtoll(from, NULL, 10);
        return 0;
    }
    /* A number below 0 would be a time before any record's, and to Kafka a place of its own. */
    if (clock_parse_time(from + (from[0] == '@'), &time) != 0 || time < 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The option --from can't be \"%.100s\": it must be beginning, end, an offset, a time since "
                       "1970 in ISO 8601, or @ and milliseconds since 1970.",
                       from);
    }
    return transport->class->offset_for_time(transport, consumer->topic, partition, time, offset, err);
}

static void take_committed(struct consumer *consumer, const struct group_position *committed)
{
    for (size_t i = 0; i < consumer->count; i++) {
        struct position *position = &consumer->positions[i];
        if (committed->committed >= 0 && committed->partition == position->partition &&
            strcmp(committed->topic, consumer->topic) == 0) {
            position->offset = committed->committed;
        }
    }
}

static int read_group(struct consumer *consumer, struct err *err)
{
    struct transport *transport = consumer->connection.transport;
    struct group_position *list = NULL;
    size_t count = 0;
    if (transport->class->group_positions(transport, consumer->options->group, &list, &count, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        take_committed(consumer, &list[i]);
        free(list[i].topic);
        free(list[i].metadata);
    }
    free(list);
    return 0;
}

/* Retention may have passed the place, and a topic made anew may be shorter. */
static int bring_into_range(struct consumer *consumer, struct position *position, int64_t *end, struct err *err)
{
    struct transport *transport = consumer->connection.transport;
    int64_t low;
    if (transport->class->watermarks(transport, consumer->topic, position->partition, &low, end, err) != 0) {
        return -1;
    }
    if (position->offset == OFFSET_END || position->offset > *end) {
        position->offset = *end;
    }
    if (position->offset < low) {
        position->offset = low;
    }
    return 0;
}

static int choose_partitions(struct consumer *consumer, struct err *err)
{
    struct topic_info info;
    int64_t wanted = consumer->options->partition;
    if (connection_find_topic(&consumer->connection, consumer->topic, &info, err) != 0) {
        return -1;
    }
    if (wanted >= info.partitions) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The topic %s has no partition %lld: its partitions are 0 to %d.",
                       consumer->topic, (long long)wanted, (int)info.partitions - 1);
    }
    consumer->first = wanted >= 0 ? (int32_t)wanted : 0;
    consumer->count = wanted >= 0 ? 1 : (size_t)info.partitions;
    consumer->positions = memory_alloc(consumer->count * sizeof *consumer->positions);
    consumer->ends = memory_alloc(consumer->count * sizeof *consumer->ends);
    return 0;
}

static int choose_start(struct consumer *consumer, struct err *err)
{
    if (choose_partitions(consumer, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < consumer->count; i++) {
        struct position *position = &consumer->positions[i];
        *position = (struct position){consumer->topic, consumer->first + (int32_t)i, OFFSET_BEGINNING, NULL};
        if (start_of(consumer, position->partition, &position->offset, err) != 0) {
            return -1;
        }
    }
    if (consumer->options->group != NULL && read_group(consumer, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < consumer->count; i++) {
        if (bring_into_range(consumer, &consumer->positions[i], &consumer->ends[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- records ---- */

static void show(struct consumer *consumer, enum consume_codec codec, struct slice data)
{
    if (consumer->safe) {
        consume_show_safely(codec, data, &consumer->out);
    } else {
        consume_show(codec, data, &consumer->out);
    }
}

static void emit(struct consumer *consumer, const struct record *record)
{
    const struct consume_options *options = consumer->options;
    enum consume_format format = (enum consume_format)options->format;
    if (format == FORMAT_TABLE) {
        consume_table_add(&consumer->table, record);
        return;
    }
    if (format == FORMAT_JSON) {
        record_print(record, &consumer->out);
    }
    if (format == FORMAT_KEY || format == FORMAT_KEY_VALUE) {
        show(consumer, (enum consume_codec)options->key_codec, record->key);
    }
    if (format == FORMAT_KEY_VALUE) {
        bytes_append_byte(&consumer->out, '\t');
    }
    if (format == FORMAT_VALUE || format == FORMAT_KEY_VALUE) {
        show(consumer, (enum consume_codec)options->value_codec, record->value);
    }
    bytes_append_byte(&consumer->out, '\n');
}

static bool limit_reached(const struct consumer *consumer)
{
    return consumer->options->limit > 0 && consumer->taken >= consumer->options->limit;
}

static void take(struct consumer *consumer, const struct record *record)
{
    size_t index = (size_t)(record->partition - consumer->first);
    if (limit_reached(consumer) || (!consumer->options->follow && record->offset >= consumer->ends[index])) {
        return;
    }
    consumer->positions[index].offset = record->offset + 1;
    consumer->taken++;
    if (!consumer->options->latest) {
        emit(consumer, record);
    } else if (!consume_latest_put(&consumer->latest, record)) {
        consumer->keyless++;
    }
}

/* Everything that was there at the beginning is read, over aborted and control records too (P8). */
static bool at_end(struct consumer *consumer)
{
    const struct transport_class *class = consumer->connection.transport->class;
    for (size_t i = 0; i < consumer->count; i++) {
        if (class->reader_position(consumer->reader, i) < consumer->ends[i]) {
            return false;
        }
    }
    return true;
}

/* After what was printed is out: a crash before it prints records again, none is passed over. */
static int save_group(struct consumer *consumer, struct err *err)
{
    struct transport *transport = consumer->connection.transport;
    if (consumer->options->group == NULL) {
        return 0;
    }
    consumer->saved_ns = clock_monotonic_ns(&CLOCK_SYSTEM);
    return transport->class->set_group_positions(transport, consumer->options->group, consumer->positions,
                                                 consumer->count, err);
}

static int flush_and_save(struct consumer *consumer, struct err *err)
{
    bool pending = consumer->out.size > 0;
    if (print_flush(&consumer->out, err) != 0) {
        return -1;
    }
    bool due = clock_monotonic_ns(&CLOCK_SYSTEM) - consumer->saved_ns > GROUP_INTERVAL_NS;
    return pending && due ? save_group(consumer, err) : 0;
}

static int read_all(struct consumer *consumer, struct err *err)
{
    const struct transport_class *class = consumer->connection.transport->class;
    struct record records[BATCH];
    while (!limit_reached(consumer) && (consumer->options->follow || !at_end(consumer)) && !signals_received()) {
        size_t count = 0;
        if (class->read(consumer->reader, WAIT_MS, records, BATCH, &count, err) != 0) {
            return -1;
        }
        for (size_t i = 0; i < count; i++) {
            take(consumer, &records[i]);
        }
        bool full = consumer->out.size >= FLUSH_BYTES;
        if ((full || consumer->options->follow) && flush_and_save(consumer, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the end ---- */

static void emit_latest(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->latest.count; i++) {
        const struct record *record = consume_latest_get(&consumer->latest, i);
        if (record != NULL) {
            emit(consumer, record);
        }
    }
    if (consumer->keyless > 0) {
        print_note("%lld records without a key were left out: --latest keeps one per key.",
                   (long long)consumer->keyless);
    }
}

static int finish(struct consumer *consumer, struct err *err)
{
    if (consumer->options->latest) {
        emit_latest(consumer);
    }
    if (consumer->options->format == FORMAT_TABLE) {
        consume_table_print(&consumer->table, &consumer->out);
        consume_table_note_missing(&consumer->table);
    }
    return print_flush(&consumer->out, err) != 0 ? -1 : save_group(consumer, err);
}

static int check_options(const struct consume_options *options, struct err *err)
{
    bool waits = options->latest || options->format == FORMAT_TABLE;
    bool decodes = options->key_codec != CONSUME_STRING || options->value_codec != CONSUME_STRING;
    bool table = options->columns != NULL || options->sort != NULL;
    if (waits && options->follow) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The option --follow never ends, and --latest and --format table print at the end.");
    }
    if (table && options->format != FORMAT_TABLE) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The options --columns and --sort need --format table.");
    }
    if (decodes && options->format == FORMAT_JSON) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "With --format json nothing is decoded, so that `produce --format json` restores every byte: "
                       "leave out --key-codec and --value-codec.");
    }
    return connection_check_set(&options->connection, err);
}

static int consume(struct consumer *consumer, struct err *err)
{
    const struct consume_options *options = consumer->options;
    if (check_options(options, err) != 0 ||
        connection_open(&options->connection, NULL, CONNECTION_READS, &consumer->connection, err) != 0 ||
        choose_start(consumer, err) != 0) {
        return -1;
    }
    struct transport *transport = consumer->connection.transport;
    struct reader_config config = {consumer->positions, consumer->count, options->uncommitted};
    if (transport->class->reader_open(transport, &config, &consumer->reader, err) != 0) {
        return -1;
    }
    if (options->follow) {
        signals_install();
    }
    consume_table_begin(&consumer->table, options->columns, options->sort);
    consumer->table.key_codec = (enum consume_codec)options->key_codec;
    consumer->table.value_codec = (enum consume_codec)options->value_codec;
    if (read_all(consumer, err) != 0) {
        return -1;
    }
    return finish(consumer, err);
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    (void)count;
    struct consumer consumer = {.options = data, .topic = arguments[0]};
    consumer.safe = print_is_terminal(STDOUT_FILENO);
    int result = consume(&consumer, err);
    if (consumer.reader != NULL) {
        consumer.connection.transport->class->reader_close(consumer.reader);
    }
    connection_close(&consumer.connection);
    consume_latest_free(&consumer.latest);
    consume_table_free(&consumer.table);
    bytes_free(&consumer.out);
    free(consumer.positions);
    free(consumer.ends);
    return result == 0 ? COMMAND_DONE : -1;
}

#define FIELD(name) offsetof(struct consume_options, name)

static const char *const formats[] = {"key-value", "value", "key", "json", "table", NULL};

/* clang-format off */
static const struct option options[] = {
    {.name = "from", .type = OPTION_TEXT, .offset = FIELD(from), .argument = "PLACE",
     .text = "Where to begin: beginning, end, an offset, a time in ISO 8601, or @ and milliseconds since 1970."},
    {.name = "follow", .type = OPTION_FLAG, .offset = FIELD(follow), .letter = 'F',
     .text = "Goes on at the end and prints what comes, until it is stopped."},
    {.name = "limit", .type = OPTION_INTEGER, .offset = FIELD(limit), .default_text = "0", .low = 0, .high = INT64_MAX,
     .letter = 'n', .text = "Ends after so many records; 0: no limit."},
    {.name = "partition", .type = OPTION_INTEGER, .offset = FIELD(partition), .default_text = "-1", .low = -1,
     .high = 1000000, .argument = "N", .letter = 'p', .text = "Reads this partition only; -1: all."},
    {.name = "format", .type = OPTION_CHOICE, .offset = FIELD(format), .default_text = "key-value", .choices = formats,
     .letter = 'f',
     .text = "Key, tab, value; one of them; a JSON object with everything, without loss (json); or a table of fields."},
    {.name = "latest", .type = OPTION_FLAG, .offset = FIELD(latest),
     .text = "Only the last record of each key; keys that were deleted are left out."},
    {.name = "columns", .type = OPTION_TEXT, .offset = FIELD(columns), .argument = "A,B,C",
     .text = "With --format table: fields of the value, or key, value, timestamp, partition, offset."},
    {.name = "sort", .type = OPTION_TEXT, .offset = FIELD(sort), .argument = "COLUMN",
     .text = "With --format table: the column to sort by; -COLUMN for the largest first."},
    {.name = "key_codec", .type = OPTION_CHOICE, .offset = FIELD(key_codec), .default_text = "string",
     .choices = consume_codecs, .text = "How keys are shown."},
    {.name = "value_codec", .type = OPTION_CHOICE, .offset = FIELD(value_codec), .default_text = "string",
     .choices = consume_codecs, .text = "How values are shown."},
    {.name = "group", .type = OPTION_TEXT, .offset = FIELD(group), .argument = "ID", .letter = 'g',
     .text = "Begins where the group stands and notes how far it came; --from counts where nothing is noted."},
    {.name = "uncommitted", .type = OPTION_FLAG, .offset = FIELD(uncommitted),
     .text = "Shows records of transactions that are open or were aborted too."},
    CONNECTION_OPTIONS(struct consume_options, CONNECTION_SET_KAFKA),
};
/* clang-format on */

static const struct option_table table = {"tidemill consume", options, sizeof options / sizeof options[0]};

const struct command cmd_consume = {
    .name = "consume",
    .usage = "TOPIC [options]",
    .text = "Prints the records of a topic to its end.",
    .details = "The end is where the topic ended at the start of the command; --follow goes on. Records are in order "
               "within a partition.",
    .example = "tidemill consume results\n"
               "tidemill consume airline-delays --latest --format table --sort -mean_delay\n"
               "tidemill consume orders --from 2013-01-01T00:00:00Z --format json --limit 10",
    .options = &table,
    .options_size = sizeof(struct consume_options),
    .least = 1,
    .most = 1,
    .run = run,
};
