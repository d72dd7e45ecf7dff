/* tidemill state: the stores of an app and what is in them, from its files or from its HTTP address. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/columns.h"
#include "cli/command.h"
#include "cli/connection.h"
#include "cli/consume_show.h"
#include "cli/consume_table.h"
#include "cli/print.h"
#include "cli/state_backup.h"
#include "cli/state_files.h"
#include "cli/state_http.h"
#include "local/local.h"

#define FLUSH_BYTES ((size_t)64 * 1024)

enum state_format { FORMAT_KEY_VALUE, FORMAT_VALUE, FORMAT_KEY, FORMAT_JSON, FORMAT_TABLE };

struct state_options {
    char *data;
    char *app;
    char *state_dir;
    char *http;
    char *prefix;
    char *from;
    char *to;
    int64_t partition;
    int64_t limit;
    bool counts;
    int format; /* enum state_format */
    int key_codec;
    int value_codec;
    char *columns;
    char *sort;
    char *output;
};

struct state_call {
    const struct state_options *options;
    char **arguments; /* behind the word */
    struct state_files files;
    struct slice from;
    struct slice to; /* null: no bound */
    struct bytes bound;
    int64_t limit; /* 0: none */
    int64_t taken;
    struct columns listed;
    struct consume_table table;
    struct arena arena;
    struct bytes out;
    bool safe; /* the output is a terminal */
};

/* ---- list ---- */

static void write_listed(struct state_call *call, const struct state_store *store)
{
    static const char *const kinds[] = {
        [STORE_KEY_VALUE] = "key-value", [STORE_WINDOW] = "window", [STORE_SESSION] = "session"};
    char time[CLOCK_TEXT_SIZE];
    clock_format_time(store->file->committed_ms, time);
    if (call->options->format == FORMAT_JSON) {
        state_http_write_store(store, &call->out);
        return;
    }
    columns_text(&call->listed, store->file->app);
    columns_text(&call->listed, store->spec->name);
    columns_text(&call->listed, kinds[store->spec->kind]);
    columns_integer(&call->listed, store->file->partition);
    if (store->entries >= 0) {
        columns_integer(&call->listed, store->entries);
        columns_integer(&call->listed, store->bytes);
    } else {
        columns_text(&call->listed, "-");
        columns_text(&call->listed, "-");
    }
    columns_text(&call->listed, store->file->committed_ms > 0 ? time : "-");
}

static int list_one(void *self, const struct state_store *store, struct err *err)
{
    (void)err;
    write_listed(self, store);
    return 0;
}

static int list(struct state_call *call, struct err *err)
{
    const struct state_options *options = call->options;
    columns_begin(&call->listed, "app store kind partition entries bytes committed");
    int result = options->http != NULL ? state_http_list(options->http, list_one, call, err)
                                       : state_files_list(&call->files, options->counts, list_one, call, err);
    if (result != 0) {
        return -1;
    }
    if (options->format != FORMAT_JSON) {
        columns_print(&call->listed, &call->out);
    }
    return print_flush(&call->out, err);
}

/* ---- entries ---- */

static void show(struct state_call *call, int codec, struct slice data)
{
    if (call->safe) {
        consume_show_safely((enum consume_codec)codec, data, &call->out);
    } else {
        consume_show((enum consume_codec)codec, data, &call->out);
    }
}

/* The window is shown behind a key that is plain text; a codec that was asked for gets the key as it is. */
static int key_codec(const struct state_call *call, const struct state_entry *entry)
{
    static const int windowed[] = {[STATE_NO_WINDOW] = CONSUME_STRING,
                                   [STATE_WINDOW] = CONSUME_WINDOWED,
                                   [STATE_SESSION] = CONSUME_SESSION_WINDOWED};
    return call->options->key_codec != CONSUME_STRING ? call->options->key_codec : windowed[entry->window];
}

static void emit(struct state_call *call, const struct state_entry *entry)
{
    enum state_format format = (enum state_format)call->options->format;
    int codec = key_codec(call, entry);
    struct slice key =
        call->options->key_codec == CONSUME_STRING ? state_entry_record_key(entry, &call->arena) : entry->key;
    if (format == FORMAT_JSON) {
        state_entry_print(entry, &call->out);
        return;
    }
    if (format == FORMAT_TABLE) {
        struct record record = {.key = key,
                                .value = entry->value,
                                .timestamp = entry->timestamp,
                                .offset = -1,
                                .topic = entry->store,
                                .partition = entry->partition};
        call->table.key_codec = (enum consume_codec)codec;
        consume_table_add(&call->table, &record);
        return;
    }
    if (format == FORMAT_KEY || format == FORMAT_KEY_VALUE) {
        show(call, codec, key);
    }
    if (format == FORMAT_KEY_VALUE) {
        bytes_append_byte(&call->out, '\t');
    }
    if (format == FORMAT_VALUE || format == FORMAT_KEY_VALUE) {
        show(call, call->options->value_codec, entry->value);
    }
    bytes_append_byte(&call->out, '\n');
}

/* The order of window and session stores is that of time, so their keys are looked at one by one. */
static bool is_wanted(const struct state_call *call, const struct state_entry *entry)
{
    return slice_compare(entry->key, call->from) >= 0 &&
           (slice_is_null(call->to) || slice_compare(entry->key, call->to) < 0);
}

static int take(void *self, const struct state_entry *entry, bool *stop, struct err *err)
{
    struct state_call *call = self;
    if (!is_wanted(call, entry)) {
        return 0;
    }
    emit(call, entry);
    arena_clear(&call->arena);
    call->taken++;
    *stop = call->limit > 0 && call->taken >= call->limit;
    return call->out.size >= FLUSH_BYTES ? print_flush(&call->out, err) : 0;
}

static int scan(struct state_call *call, struct err *err)
{
    const struct state_options *options = call->options;
    struct state_scan scan = {call->arguments[0], call->from, call->to, (int32_t)options->partition, take, call};
    consume_table_begin(&call->table, options->columns, options->sort);
    call->table.value_codec = (enum consume_codec)options->value_codec;
    int result =
        options->http != NULL ? state_http_scan(options->http, &scan, err) : state_files_scan(&call->files, &scan, err);
    if (result != 0) {
        return -1;
    }
    if (options->format == FORMAT_TABLE) {
        consume_table_print(&call->table, &call->out);
    }
    return print_flush(&call->out, err);
}

/* The least key behind all that begin with `prefix`; null when there is none. */
static void bound_prefix(struct state_call *call, struct slice prefix)
{
    bytes_append_slice(&call->bound, prefix);
    while (call->bound.size > 0 && call->bound.data[call->bound.size - 1] == 0xff) {
        call->bound.size--;
    }
    if (call->bound.size > 0) {
        call->bound.data[call->bound.size - 1]++;
        call->to = bytes_slice(&call->bound);
    }
}

static int dump(struct state_call *call, struct err *err)
{
    return scan(call, err);
}

static int scan_part(struct state_call *call, struct err *err)
{
    const struct state_options *options = call->options;
    call->limit = options->limit;
    if (options->prefix != NULL) {
        call->from = slice_text(options->prefix);
        bound_prefix(call, call->from);
        return scan(call, err);
    }
    call->from = options->from != NULL ? slice_text(options->from) : call->from;
    call->to = options->to != NULL ? slice_text(options->to) : call->to;
    return scan(call, err);
}

static int get(struct state_call *call, struct err *err)
{
    call->from = slice_text(call->arguments[1]);
    bytes_append_slice(&call->bound, call->from);
    bytes_append_byte(&call->bound, 0);
    call->to = bytes_slice(&call->bound);
    if (scan(call, err) != 0) {
        return -1;
    }
    if (call->taken == 0) {
        print_note("The store %s has nothing for the key %s.", call->arguments[0], call->arguments[1]);
        return COMMAND_FAILED;
    }
    return COMMAND_DONE;
}

/* ---- backup ---- */

static const char *data_directory(const struct state_options *options)
{
    struct connection_options connection = {.data = options->data};
    return connection_data(&connection);
}

static int backup(struct state_call *call, struct err *err)
{
    const struct state_options *options = call->options;
    const char *data = data_directory(options);
    struct state_backup_config config = {.files = &call->files,
                                         .data = local_exists(data) ? data : NULL,
                                         .output = options->output,
                                         .json = options->format == FORMAT_JSON};
    if (options->output == NULL || options->http != NULL) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "A backup is made from files: tidemill state backup --output DIR, without --http.");
    }
    if (call->files.count == 0 && config.data == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "There is neither state nor a log in %s; name it with --data.",
                       data);
    }
    return state_backup(&config, &call->out, err) != 0 ? -1 : print_flush(&call->out, err);
}

/* ---- the command ---- */

static const struct {
    const char *word;
    int arguments;
    int (*run)(struct state_call *call, struct err *err);
    bool without_state; /* there may be only a log */
} words_run[] = {{"list", 0, list, false},
                 {"get", 2, get, false},
                 {"scan", 1, scan_part, false},
                 {"dump", 1, dump, false},
                 {"backup", 0, backup, true}};

static int check_options(const struct state_options *options, struct err *err)
{
    if (options->prefix != NULL && (options->from != NULL || options->to != NULL)) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The option --prefix goes without --from and --to.");
    }
    if ((options->columns != NULL || options->sort != NULL) && options->format != FORMAT_TABLE) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "The options --columns and --sort need --format table.");
    }
    if (options->http != NULL && (options->data != NULL || options->state_dir != NULL || options->app != NULL)) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "State comes from a running app (--http) or from files (--data, --app, --state-dir), not both.");
    }
    return 0;
}

static int find_files(struct state_call *call, bool may_be_none, struct err *err)
{
    const struct state_options *options = call->options;
    if (options->http != NULL) {
        return 0;
    }
    char *root = options->state_dir != NULL ? memory_copy_text(options->state_dir)
                                            : memory_format("%s/state", data_directory(options));
    char *directory = options->app != NULL ? memory_format("%s/%s", root, options->app) : memory_copy_text(root);
    int result = may_be_none && options->app == NULL ? state_files_find_any(directory, &call->files, err)
                                                     : state_files_find(directory, &call->files, err);
    free(directory);
    free(root);
    return result;
}

/* The same name in two apps is two stores. */
static int check_one_app(const struct state_call *call, struct err *err)
{
    const struct state_files *files = &call->files;
    if (files->count > 0 && strcmp(files->list[0].app, files->list[files->count - 1].app) != 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE, "There is state of several apps here: name one with --app.");
    }
    return 0;
}

static int run_word(struct state_call *call, const char *word, int count, struct err *err)
{
    for (size_t i = 0; i < sizeof words_run / sizeof words_run[0]; i++) {
        if (strcmp(word, words_run[i].word) != 0) {
            continue;
        }
        if (count != words_run[i].arguments) {
            return err_set(err, ERR_FATAL, ERR_USAGE, "tidemill state %s takes %d arguments, not %d.", word,
                           words_run[i].arguments, count);
        }
        if (check_options(call->options, err) != 0 || find_files(call, words_run[i].without_state, err) != 0 ||
            (count > 0 && check_one_app(call, err) != 0)) {
            return -1;
        }
        return words_run[i].run(call, err);
    }
    return err_set(err, ERR_FATAL, ERR_USAGE, "\"%.100s\" is none of list, get, scan, dump, backup.", word);
}

static int run(void *data, char **arguments, int count, struct err *err)
{
    struct state_call call = {.options = data, .arguments = arguments + 1};
    call.safe = print_is_terminal(STDOUT_FILENO);
    call.from = slice_text("");
    call.to = SLICE_NULL;
    int result = run_word(&call, arguments[0], count - 1, err);
    state_files_free(&call.files);
    columns_free(&call.listed);
    consume_table_free(&call.table);
    arena_free(&call.arena);
    bytes_free(&call.bound);
    bytes_free(&call.out);
    return result;
}

#define FIELD(name) offsetof(struct state_options, name)

static const char *const formats[] = {"key-value", "value", "key", "json", "table", NULL};
static const char *const words[] = {"list", "get", "scan", "dump", "backup", NULL};

/* clang-format off */
static const struct option options[] = {
    {.name = "data", .type = OPTION_TEXT, .offset = FIELD(data), .argument = "DIR", .letter = 'd',
     .text = "Data directory whose state is read; ./tidemill-data when not given."},
    {.name = "app", .type = OPTION_TEXT, .offset = FIELD(app), .argument = "ID", .letter = 'a',
     .text = "The app; needed when there is state of several."},
    {.name = "state_dir", .type = OPTION_TEXT, .offset = FIELD(state_dir), .argument = "DIR",
     .text = "Any directory with state in it or below it, instead of the data directory's."},
    {.name = "http", .type = OPTION_TEXT, .offset = FIELD(http), .argument = "[HOST:]PORT",
     .text = "Asks the running app that serves this address (run --http) instead of reading files."},
    {.name = "prefix", .type = OPTION_TEXT, .offset = FIELD(prefix), .argument = "TEXT",
     .text = "scan: keys that begin with this."},
    {.name = "from", .type = OPTION_TEXT, .offset = FIELD(from), .argument = "KEY",
     .text = "scan: keys from this one on, in byte order."},
    {.name = "to", .type = OPTION_TEXT, .offset = FIELD(to), .argument = "KEY",
     .text = "scan: keys before this one."},
    {.name = "partition", .type = OPTION_INTEGER, .offset = FIELD(partition), .default_text = "-1", .low = -1,
     .high = 1000000, .argument = "N", .letter = 'p', .text = "This partition only; -1: all."},
    {.name = "limit", .type = OPTION_INTEGER, .offset = FIELD(limit), .default_text = "100", .low = 0,
     .high = INT64_MAX, .letter = 'n', .text = "scan: ends after so many entries; 0: no limit."},
    {.name = "counts", .type = OPTION_FLAG, .offset = FIELD(counts),
     .text = "list: counts the entries in the files, which means to read them all."},
    {.name = "format", .type = OPTION_CHOICE, .offset = FIELD(format), .default_text = "key-value", .choices = formats,
     .letter = 'f',
     .text = "Key, tab, value; one of them; a JSON object with window and partition (json); or a table of fields."},
    {.name = "key_codec", .type = OPTION_CHOICE, .offset = FIELD(key_codec), .default_text = "string",
     .choices = consume_codecs, .text = "How keys are shown."},
    {.name = "value_codec", .type = OPTION_CHOICE, .offset = FIELD(value_codec), .default_text = "string",
     .choices = consume_codecs, .text = "How values are shown; counts are int64."},
    {.name = "columns", .type = OPTION_TEXT, .offset = FIELD(columns), .argument = "A,B,C",
     .text = "With --format table: fields of the value, or key, value, timestamp, partition."},
    {.name = "sort", .type = OPTION_TEXT, .offset = FIELD(sort), .argument = "COLUMN",
     .text = "With --format table: the column to sort by; -COLUMN for the largest first."},
    {.name = "output", .type = OPTION_TEXT, .offset = FIELD(output), .argument = "DIR", .letter = 'o',
     .text = "backup: the data directory that is made; it must not exist yet."},
};
/* clang-format on */

static const struct option_table table = {"tidemill state", options, sizeof options / sizeof options[0]};

const struct command cmd_state = {
    .name = "state",
    .usage = "list | get STORE KEY | scan STORE | dump STORE | backup --output DIR [options]",
    .text = "Shows the stores of an app and what is in them, and makes a backup.",
    .details =
        "Nothing is changed. Files are read as of each worker's last commit, also while the app runs; --http asks "
        "the app itself, whose workers answer between two records, with what is not committed yet. Entries of "
        "window and session stores are shown with the start (and end) of their window. A backup is a new data "
        "directory, made "
        "while the app runs: each worker's state as of one commit, and then the embedded log, if there is one; an app "
        "that is started on it goes on exactly once from where the log stood.",
    .example = "tidemill state list --app shop\n"
               "tidemill state get totals anna --app shop\n"
               "tidemill state scan totals --prefix an --format table --sort -total --http 8080\n"
               "tidemill state dump totals --app shop --format json > totals.jsonl\n"
               "tidemill state backup --data tidemill-data --output backup-monday",
    .words = words,
    .options = &table,
    .options_size = sizeof(struct state_options),
    .least = 1,
    .most = 3,
    .run = run,
};
