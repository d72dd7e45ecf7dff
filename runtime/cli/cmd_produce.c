/* tidemill produce: lines of a file into a topic. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/input.h"
#include "cli/print.h"
#include "cli/produce_parse.h"
#include "cli/produce_resume.h"
#include "cli/progress.h"

#define COMMIT_RECORDS 50000
#define COMMIT_BYTES ((int64_t)8 << 20)
#define COMMIT_TIMEOUT_MS 60000
#define COMMIT_MS 500 /* nothing waits longer, however slowly the lines come */
#define IDLE_MS 100   /* a pipe that gives nothing for so long has what it gave committed */
#define NS_PER_MS INT64_C(1000000)
#define RETRY_MS 500
#define RETRIES 60
#define REPORTED_MAX 10 /* bad lines shown one by one */

struct produce_options {
    struct connection_options connection;
    char *key;
    char *timestamp;
    char *at;
    int format; /* enum produce_format */
    bool csv;
    int64_t partition;
    int64_t partitions;
    bool keep_partitions;
    bool skip_bad;
    bool resume;
};

struct loader {
    const struct produce_options *options;
    struct connection connection;
    struct lines *lines;
    struct session *session;
    struct output *output;
    const char *topic;
    int32_t partitions;
    struct produce_rules rules;
    struct csv csv;
    struct produce_resume resume;
    struct bytes metadata;
    struct progress progress;
    int64_t skipped;  /* lines of an earlier run */
    int64_t produced; /* records committed */
    int64_t bytes;    /* of keys and values of those */
    int64_t open;     /* records since the last commit */
    int64_t open_bytes;
    int64_t open_since_ns; /* when the first of them was taken */
    int64_t open_line;     /* lines taken */
    int64_t line_before;   /* lines taken before the current one */
    int64_t rejected;
    bool broken; /* the file can't be read on */
};

/* ---- commits ---- */

/* A full disk is waited for: nothing has happened then, and the records are still there. */
static int commit_patiently(struct loader *loader, const struct position *position, size_t count, struct err *err)
{
    const struct transport_class *class = loader->connection.transport->class;
    int retries = 0;
    while (class->commit(loader->session, position, count, err) != 0) {
        if (err->class != ERR_RETRY || retries == RETRIES) {
            return -1;
        }
        if (retries++ == 0) {
            print_note("%s Trying again for %d seconds.", err->text, RETRIES * RETRY_MS / 1000);
        }
        clock_sleep_ms(RETRY_MS);
    }
    return 0;
}

/* What is known of the records since the last commit. Without a transaction nothing takes back those that arrived. */
static const char *fate_of(const struct loader *loader, const struct err *err)
{
    bool unknown = err->class == ERR_UNKNOWN;
    if (loader->options->resume) {
        return unknown ? "are all in the topic or none of them; the same command goes on behind what is there"
                       : "were not produced; the same command takes them again";
    }
    if (!loader->connection.embedded) {
        return "may be in the topic in part, and some of them twice when they are produced again; with --resume, from "
               "the first run on, each line of a file is there once";
    }
    return unknown ? "may have been produced or not" : "were not produced";
}

static int tell_fate(const struct loader *loader, struct err *err)
{
    char done[PRINT_NUMBER_SIZE];
    char open[PRINT_NUMBER_SIZE];
    return err_wrap(err, "producing to %s: %s records were committed before, the %s after them %s", loader->topic,
                    print_number(loader->produced, done), print_number(loader->open, open), fate_of(loader, err));
}

static int commit(struct loader *loader, struct err *err)
{
    struct position position = {0};
    if (loader->options->resume && loader->open_line > loader->resume.line) {
        position = produce_resume_position(&loader->resume, loader->topic, loader->open_line, &loader->metadata);
    }
    if (loader->open == 0 && position.topic == NULL) {
        return 0;
    }
    if (commit_patiently(loader, &position, position.topic != NULL ? 1 : 0, err) != 0) {
        return tell_fate(loader, err);
    }
    loader->produced += loader->open;
    loader->bytes += loader->open_bytes;
    loader->resume.line = loader->open_line;
    loader->open = 0;
    loader->open_bytes = 0;
    return 0;
}

static void show_progress(struct loader *loader)
{
    int64_t done;
    int64_t size;
    char number[PRINT_NUMBER_SIZE];
    char share[32] = "";
    input_progress(loader->lines, &done, &size);
    if (size > 0) {
        snprintf(share, sizeof share, ", %d %%", (int)(100 * done / size));
    }
    double seconds = progress_seconds(&loader->progress);
    int64_t records = loader->produced + loader->open;
    progress_show(&loader->progress, "%s records%s, %.0f records/s", print_number(records, number), share,
                  seconds > 0 ? (double)records / seconds : 0);
}

/* ---- lines ---- */

/* 0 when it may be passed over. What came before a bad line that ends everything is kept. */
static int reject(struct loader *loader, struct err *err)
{
    struct err committing;
    const char *name = input_name(loader->lines);
    long long number = (long long)input_number(loader->lines);
    loader->rejected++;
    if (loader->options->skip_bad) {
        if (loader->rejected <= REPORTED_MAX) {
            print_note("line %lld of %s was left out: %s.", number, name, err->text);
        }
        return 0;
    }
    loader->open_line = loader->line_before; /* once it is corrected --resume takes it */
    if (commit(loader, &committing) != 0) {
        *err = committing;
        return -1;
    }
    char done[PRINT_NUMBER_SIZE];
    return err_set(err, ERR_FATAL, ERR_FAILED,
                   "Line %lld of %s can't be produced: %s. The %s records before it are in %s, nothing after it was "
                   "taken; correct the line and produce the rest, or leave out such lines with --skip-bad.",
                   number, name, err->text, print_number(loader->produced, done), loader->topic);
}

static int32_t partition_of(const struct loader *loader, const struct record *record)
{
    if (loader->options->partition >= 0) {
        return (int32_t)loader->options->partition;
    }
    return loader->options->keep_partitions ? record->partition : -1;
}

static bool commit_is_due(const struct loader *loader)
{
    return loader->open >= COMMIT_RECORDS || loader->open_bytes >= COMMIT_BYTES ||
           clock_monotonic_ns(&CLOCK_SYSTEM) - loader->open_since_ns >= COMMIT_MS * NS_PER_MS;
}

static int take_line(struct loader *loader, struct slice line, struct err *err)
{
    struct record record;
    if (produce_parse(&loader->rules, line, &record, err) != 0) {
        return reject(loader, err);
    }
    if (record.timestamp < 0) {
        record.timestamp = loader->rules.at >= 0 ? loader->rules.at : clock_wall_ms(&CLOCK_SYSTEM);
    }
    const struct transport_class *class = loader->connection.transport->class;
    if (class->produce(loader->session, loader->output, partition_of(loader, &record), &record, err) != 0) {
        return err->class == ERR_SKIP ? reject(loader, err) : tell_fate(loader, err);
    }
    loader->open_since_ns = loader->open == 0 ? clock_monotonic_ns(&CLOCK_SYSTEM) : loader->open_since_ns;
    loader->open++;
    loader->open_bytes += (int64_t)(record.key.size + record.value.size);
    if (commit_is_due(loader)) {
        if (commit(loader, err) != 0) {
            return -1;
        }
        if (progress_due(&loader->progress)) {
            show_progress(loader);
        }
    }
    return 0;
}

static bool is_blank(struct slice line)
{
    size_t i = 0;
    while (i < line.size && (line.data[i] == ' ' || line.data[i] == '\t' || line.data[i] == '\r')) {
        i++;
    }
    return i == line.size;
}

/* Waits for the next line, and commits meanwhile what came before it. */
static int await_line(struct loader *loader, struct err *err)
{
    enum input_wait found = INPUT_PART;
    while (loader->open > 0 && found != INPUT_LINE) {
        if (input_wait(loader->lines, IDLE_MS, &found, err) != 0) {
            loader->broken = true;
            return -1;
        }
        bool due = found == INPUT_NOTHING || (found == INPUT_PART && commit_is_due(loader));
        if (due && commit(loader, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The next line that holds a record; of CSV the whole row. */
static int next_line(struct loader *loader, struct slice *line, struct err *err)
{
    enum produce_format format = loader->rules.format;
    int more;
    do {
        if (await_line(loader, err) != 0) {
            return -1;
        }
        more = input_line(loader->lines, line, err);
        while (more == 1 && format == PRODUCE_CSV && csv_open(*line)) {
            int joined = input_join(loader->lines, line, err);
            if (joined <= 0) {
                more = joined < 0 ? -1 : 1;
                break;
            }
        }
    } while (more == 1 && format != PRODUCE_VALUE && is_blank(*line));
    loader->broken = more < 0;
    bool carries_return = format == PRODUCE_VALUE || format == PRODUCE_KEY_VALUE;
    if (more == 1 && !carries_return && line->size > 0 && line->data[line->size - 1] == '\r') {
        line->size--;
    }
    return more;
}

/* The first line, and the lines that an earlier run produced. */
static int begin_lines(struct loader *loader, struct slice *line, int *more, struct err *err)
{
    *more = next_line(loader, line, err);
    if (*more == 1 && loader->options->resume && produce_resume_first(&loader->resume, *line, err) != 0) {
        return -1;
    }
    if (*more == 1 && loader->rules.format == PRODUCE_CSV) {
        if (csv_header(&loader->csv, *line, err) != 0) {
            return err_set(err, ERR_FATAL, ERR_FAILED,
                           "The header of %s can't be taken: %s. Nothing was produced; correct its first line and "
                           "produce the file again.",
                           input_name(loader->lines), err->text);
        }
        *more = next_line(loader, line, err);
    }
    while (*more == 1 && input_number(loader->lines) <= loader->resume.line) {
        loader->skipped++;
        *more = next_line(loader, line, err);
    }
    if (*more == 0 && input_number(loader->lines) < loader->resume.line) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "%s has %lld lines, but %lld of it were produced before: it was changed. Produce it without "
                       "--resume.",
                       input_name(loader->lines), (long long)input_number(loader->lines),
                       (long long)loader->resume.line);
    }
    return *more < 0 ? -1 : 0;
}

static int load_lines(struct loader *loader, struct err *err)
{
    struct slice line;
    int more;
    loader->open_line = loader->resume.line;
    if (begin_lines(loader, &line, &more, err) != 0) {
        return -1;
    }
    while (more == 1) {
        loader->line_before = loader->open_line;
        loader->open_line = input_number(loader->lines);
        if (take_line(loader, line, err) != 0) {
            return -1;
        }
        more = next_line(loader, &line, err);
    }
    if (more < 0) {
        return -1;
    }
    loader->open_line = input_number(loader->lines);
    return commit(loader, err);
}

/* A file that can't be read on: what came before is kept, and `err` says where to go on. */
static int end_broken(struct loader *loader, struct err *err)
{
    struct err committing;
    char done[PRINT_NUMBER_SIZE];
    if (commit(loader, &committing) != 0) {
        *err = committing;
        return -1;
    }
    enum err_code code = err->code == ERR_RECORD ? ERR_FAILED : err->code;
    if (loader->options->resume) {
        return err_set(err, ERR_FATAL, code,
                       "%s The %s records before it are in %s; with a file that is whole the same command goes on "
                       "after line %lld.",
                       err->text, print_number(loader->produced, done), loader->topic, (long long)loader->open_line);
    }
    return err_set(err, ERR_FATAL, code,
                   "%s The %s records before it are in %s; from a file that is whole produce what follows line %lld.",
                   err->text, print_number(loader->produced, done), loader->topic, (long long)loader->open_line);
}

static int load(struct loader *loader, struct err *err)
{
    int result = load_lines(loader, err);
    return result != 0 && loader->broken ? end_broken(loader, err) : result;
}

/* ---- around it ---- */

static int set_rules(struct loader *loader, const char *file, struct err *err)
{
    const struct produce_options *options = loader->options;
    struct produce_rules *rules = &loader->rules;
    rules->format = options->csv ? PRODUCE_CSV : (enum produce_format)options->format;
    rules->csv = &loader->csv;
    rules->key = options->key;
    rules->timestamp = options->timestamp;
    rules->at = -1;
    if (options->resume && (file == NULL || strcmp(file, "-") == 0)) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The option --resume needs a file: of standard input it can't be known what came before.");
    }
    if (options->csv && options->format != PRODUCE_LINES) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The options --csv and --format exclude each other.");
    }
    if ((options->key != NULL || options->timestamp != NULL) && rules->format != PRODUCE_LINES &&
        rules->format != PRODUCE_CSV) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The options --key and --timestamp name fields of JSON lines and of CSV; leave out --format.");
    }
    if (options->at != NULL && options->timestamp != NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The options --at and --timestamp exclude each other.");
    }
    if (options->at != NULL && (clock_parse_time(options->at, &rules->at) != 0 || rules->at < 0)) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "The option --at can't be \"%.100s\": it must be milliseconds since 1970 or ISO 8601.",
                       options->at);
    }
    return 0;
}

static int open_all(struct loader *loader, const char *file, struct err *err)
{
    const struct produce_options *options = loader->options;
    if (set_rules(loader, file, err) != 0 || connection_check_set(&options->connection, err) != 0 ||
        input_open(file, &loader->lines, err) != 0 ||
        connection_open(&options->connection, NULL, CONNECTION_WRITES, &loader->connection, err) != 0 ||
        connection_ensure_topic(&loader->connection, loader->topic, options->partitions, err) != 0) {
        return -1;
    }
    struct transport *transport = loader->connection.transport;
    if (options->resume && produce_resume_open(loader->topic, file, &loader->resume, err) != 0) {
        return -1;
    }
    struct session_config config = {
        .app = loader->resume.group,
        .threads = 1,
        .instance = "produce",
        .transactional = options->resume,
        .commit_timeout_ms = COMMIT_TIMEOUT_MS,
    };
    if (transport->class->session_open(transport, &config, &loader->session, err) != 0 ||
        (options->resume &&
         produce_resume_read(transport->class, loader->session, loader->topic, &loader->resume, err) != 0)) {
        return -1;
    }
    return transport->class->output(loader->session, loader->topic, &loader->output, &loader->partitions, err);
}

static void close_all(struct loader *loader)
{
    if (loader->session != NULL) {
        loader->connection.transport->class->session_close(loader->session);
    }
    connection_close(&loader->connection);
    input_close(loader->lines);
    csv_free(&loader->csv);
    produce_rules_free(&loader->rules);
    produce_resume_free(&loader->resume);
    bytes_free(&loader->metadata);
}

static void print_summary(const struct loader *loader)
{
    char number[PRINT_NUMBER_SIZE];
    char other[PRINT_NUMBER_SIZE];
    if (loader->produced == 0 && loader->skipped > 0 && loader->rejected == 0) {
        printf("Nothing new in %s: its %s lines were produced to %s before.\n", input_name(loader->lines),
               print_number(loader->skipped, number), loader->topic);
        return;
    }
    printf("%s records produced to %s", print_number(loader->produced, number), loader->topic);
    double seconds = progress_seconds(&loader->progress);
    if (loader->produced >= COMMIT_RECORDS) {
        printf(" in %.1f s (%s records/s)", seconds,
               print_number((int64_t)((double)loader->produced / seconds), other));
    }
    if (loader->skipped > 0) {
        printf(", %s lines produced before", print_number(loader->skipped, other));
    }
    if (loader->rejected > 0) {
        printf(", %s bad lines left out", print_number(loader->rejected, other));
    }
    printf(".\n");
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    struct loader loader = {.options = data, .topic = arguments[0]};
    progress_begin(&loader.progress, PROGRESS_ON_TERMINAL);
    int result = open_all(&loader, count > 1 ? arguments[1] : NULL, err);
    if (result == 0) {
        result = load(&loader, err);
        progress_end(&loader.progress);
        if (result == 0) {
            print_summary(&loader);
            result = loader.rejected > 0 ? COMMAND_FAILED : COMMAND_DONE;
        }
    }
    close_all(&loader);
    return result;
}

#define FIELD(name) offsetof(struct produce_options, name)

static const char *const formats[] = {"lines", "json", "value", "key-value", NULL};

/* clang-format off */
static const struct option options[] = {
    {.name = "key", .type = OPTION_TEXT, .offset = FIELD(key), .argument = "FIELD", .letter = 'k',
     .text = "Field of the value that becomes the key; a.b for a field of a field. Without it records have no key."},
    {.name = "timestamp", .type = OPTION_TEXT, .offset = FIELD(timestamp), .argument = "FIELD", .letter = 't',
     .text = "Field with the record's time: milliseconds since 1970, or ISO 8601. Without it: now."},
    {.name = "at", .type = OPTION_TEXT, .offset = FIELD(at), .argument = "TIME",
     .text = "One time for all records, in milliseconds since 1970 or ISO 8601; 0 for tables of facts."},
    {.name = "format", .type = OPTION_CHOICE, .offset = FIELD(format), .default_text = "lines", .choices = formats,
     .letter = 'f',
     .text = "A JSON value a line (lines), what `consume --format json` prints (json), the line as it is (value), or "
             "key, tab, value (key-value)."},
    {.name = "csv", .type = OPTION_FLAG, .offset = FIELD(csv),
     .text = "The file is CSV; its first row names the fields."},
    {.name = "partition", .type = OPTION_INTEGER, .offset = FIELD(partition), .default_text = "-1", .low = -1,
     .high = 1000000, .argument = "N", .letter = 'p',
     .text = "Partition of all records; -1: by the key, as Kafka's Java client places it."},
    {.name = "keep_partitions", .type = OPTION_FLAG, .offset = FIELD(keep_partitions),
     .text = "With --format json: each record goes to the partition that its line says."},
    {.name = "partitions", .type = OPTION_INTEGER, .offset = FIELD(partitions), .default_text = "0", .low = 0,
     .high = 100000, .argument = "N",
     .text = "Partitions of a topic that has to be created; without it 4 on the embedded log, and none on Kafka."},
    {.name = "skip_bad", .type = OPTION_FLAG, .offset = FIELD(skip_bad),
     .text = "Leaves out lines that can't be produced, instead of ending at the first; the exit status is still 1."},
    {.name = "resume", .type = OPTION_FLAG, .offset = FIELD(resume),
     .text = "Goes on behind the last line of the file that is in the topic; it is remembered with the records, in one "
             "transaction."},
    CONNECTION_OPTIONS(struct produce_options, CONNECTION_SET_KAFKA),
};
/* clang-format on */

static const struct option_table table = {"tidemill produce", options, sizeof options / sizeof options[0]};

const struct command cmd_produce = {
    .name = "produce",
    .usage = "TOPIC [FILE] [options]",
    .text = "Writes the lines of a file, or of standard input, into a topic.",
    .details = "Each line is a JSON value, kept byte for byte; gzip is recognized. The first line that can't be "
               "produced ends it with status 1: what came before is in the topic, nothing after it. Records are "
               "committed every 50000, every 8 MB and every half second, and at once when a pipe pauses. A missing "
               "topic is created on the embedded log.",
    .example = "tidemill produce orders orders.jsonl.gz --key id --timestamp created\n"
               "tidemill produce users users.csv --csv --key id --at 0 --resume\n"
               "tidemill consume orders --format json | tidemill produce copy --format json",
    .options = &table,
    .options_size = sizeof(struct produce_options),
    .least = 1,
    .most = 2,
    .run = run,
};
