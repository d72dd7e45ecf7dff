#include "connectors/file/file_source.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "connectors/file/file_reader.h"
#include "connectors/file/file_rotation.h"
#include "connectors/file/file_row.h"

#define LOOK_MS 100 /* how often the end of a followed file is looked at */

struct options {
    char *path;
    int format;
    char *key;
    char *timestamp;
    bool header;
    struct option_list types;
    bool follow;
};

struct connector_task {
    const struct connector_context *context;
    const struct options *options;
    struct file_reader *reader;
    struct csv csv;
    bool renamed; /* followed: nothing is appended to this file any more */
    bool ended;   /* not followed: all was handed out */
    bool behind;  /* the end has not been seen yet */
    struct record *records;
    size_t count;
    struct arena arena;
    struct bytes position;
    struct bytes name;  /* the path as JSON */
    struct bytes phase; /* of the progress */
};

static const char *const formats[] = {"json", "csv", NULL};

#define FIELD(name) offsetof(struct options, name)
static const struct option list[] = {
    {.name = "path",
     .type = OPTION_TEXT,
     .offset = FIELD(path),
     .argument = "FILE",
     .text = "The file to read; gzip is recognized by its content. Required."},
    {.name = "format",
     .type = OPTION_CHOICE,
     .offset = FIELD(format),
     .default_text = "json",
     .choices = formats,
     .text = "json: each line is a JSON value; csv: each row is an object (RFC 4180)."},
    {.name = "key",
     .type = OPTION_TEXT,
     .offset = FIELD(key),
     .argument = "FIELD",
     .text = "The field that becomes the record's key; a path with dots for fields of fields. None: no key."},
    {.name = "timestamp",
     .type = OPTION_TEXT,
     .offset = FIELD(timestamp),
     .argument = "FIELD",
     .text = "The field with the record's time in milliseconds since 1970 or ISO 8601. None: the time of reading."},
    {.name = "header",
     .type = OPTION_FLAG,
     .offset = FIELD(header),
     .default_text = "true",
     .text = "csv: the first row of each file names the columns; else types names all of them, in order."},
    {.name = "types",
     .type = OPTION_LIST,
     .offset = FIELD(types),
     .argument = "COLUMN=TYPE",
     .text = "csv: what fields of a column are: integer, real, text or boolean. Others are taken as they look."},
    {.name = "follow",
     .type = OPTION_FLAG,
     .offset = FIELD(follow),
     .text = "Go on with what is appended, also when the file is rotated: renamed, and a new one written."},
};
static const struct option_table table = {"file", list, sizeof list / sizeof list[0]};

static int validate(const void *target, struct err *err)
{
    const struct options *options = target;
    struct csv csv;
    if (options->path == NULL || options->path[0] == '\0') {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The option path is missing: name the file to read.");
    }
    if (options->format != FILE_CSV) {
        return options->types.count == 0
                   ? 0
                   : err_set(err, ERR_FATAL, ERR_CONFIG, "The option types is for the format csv only.");
    }
    if (!options->header && options->types.count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "Without a header the option types must name all columns: {\"id=integer\", \"name=text\"}.");
    }
    int result = file_row_columns(&options->types, &csv, err);
    csv_free(&csv);
    return result;
}

static bool is_csv(const struct connector_task *task)
{
    return task->options->format == FILE_CSV;
}

/* Takes the columns from the header of the file that was just opened. Followed, it may not be there yet. */
static int read_header(struct connector_task *task, struct file_reader *reader, struct csv *csv, struct err *err)
{
    struct slice row;
    if (!is_csv(task)) {
        return 0;
    }
    if (!task->options->header) {
        return file_row_columns(&task->options->types, csv, err);
    }
    int more = file_reader_row(reader, true, !task->options->follow, &row, err);
    if (more <= 0) {
        return more;
    }
    if (csv_header(csv, row, err) != 0) {
        struct err cause = *err;
        return err_set(err, ERR_FATAL, ERR_RECORD, "Line 1 of %s is no header: %s.", task->options->path, cause.text);
    }
    return file_row_types(&task->options->types, csv, err);
}

/* Goes on with the file at that path, from its beginning or from a place in it; inode 0: whichever it is. */
static int enter(struct connector_task *task, const char *path, uint64_t inode, const struct file_reader_place *place,
                 struct err *err)
{
    struct file_reader *reader = NULL;
    struct csv csv = {0};
    int result = file_reader_open(path, &reader, err);
    if (inode != 0 && (result != 0 || file_reader_inode(reader) != inode)) {
        result = err_set(err, ERR_RETRY, ERR_IO, "%s was renamed while it was looked for, or can't be opened.", path);
    }
    if (result == 0) {
        result = read_header(task, reader, &csv, err);
    }
    if (result == 0 && place != NULL) {
        result = file_reader_skip(reader, *place, err);
    }
    if (result != 0) {
        file_reader_close(reader);
        csv_free(&csv);
        return -1;
    }
    file_reader_close(task->reader);
    csv_free(&task->csv);
    task->reader = reader;
    task->renamed = false;
    task->csv = csv;
    return 0;
}

static void log_emptied(const char *path)
{
    log_event(LOG_WARN, "A followed file has become shorter than what was read of it; it is read from its beginning.",
              log_text("file", path));
}

static int enter_first(struct connector_task *task, struct err *err)
{
    int result = enter(task, task->options->path, 0, NULL, err);
    if (result != 0 && task->options->follow && err->code == ERR_IO) {
        err->class = ERR_RETRY; /* it may be between two steps of a rotation */
    }
    return result;
}

/* Whether the file is no gzip and shorter than the place in it. */
static bool was_emptied(const char *path, const struct file_position *position)
{
    struct file_reader *reader;
    struct stat status;
    struct err err;
    if (stat(path, &status) != 0 || status.st_size >= position->offset || file_reader_open(path, &reader, &err) != 0) {
        return false;
    }
    bool packed = file_reader_packed(reader);
    file_reader_close(reader);
    return !packed;
}

static int enter_position(struct connector_task *task, struct slice text, struct err *err)
{
    struct file_position position;
    if (file_row_parse_position(text, &position, err) != 0) {
        return -1;
    }
    struct file_rotation found = file_rotation_find(task->options->path, position.inode);
    if (found.path == NULL) {
        return err_set(
            err, ERR_FATAL, ERR_IO,
            "The file that was read last (%.*s, inode %llu, line %lld) is neither %s nor one that it was renamed "
            "to: what was not read of it yet is lost. Put it back, or reset the source's position.",
            (int)(position.file.size < 200 ? position.file.size : 200), (const char *)position.file.data,
            (unsigned long long)position.inode, (long long)position.line, task->options->path);
    }
    struct file_reader_place place = {position.offset, position.line};
    bool emptied = task->options->follow && was_emptied(found.path, &position);
    if (emptied) {
        log_emptied(found.path);
    }
    int result = enter(task, found.path, found.inode, emptied ? NULL : &place, err);
    free(found.path);
    return result;
}

static void close_task(struct connector_task *task)
{
    if (task == NULL) {
        return;
    }
    file_reader_close(task->reader);
    csv_free(&task->csv);
    free(task->records);
    arena_free(&task->arena);
    bytes_free(&task->position);
    bytes_free(&task->name);
    bytes_free(&task->phase);
    free(task);
}

static int open_task(const struct connector_context *context, struct slice position, struct connector_task **result,
                     struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof *task);
    task->context = context;
    task->options = context->options;
    task->records = memory_alloc(SOURCE_BATCH_RECORDS * sizeof *task->records);
    struct json_writer writer = json_writer(&task->name);
    if (!json_string_checked(&writer, slice_text(task->options->path))) {
        json_text(&writer, "?");
    }
    bytes_append_format(&task->phase, "reading %s", task->options->path);
    task->behind = true;
    int status = slice_is_null(position) ? enter_first(task, err) : enter_position(task, position, err);
    if (status != 0) {
        close_task(task);
        return -1;
    }
    *result = task;
    return 0;
}

static int bad_line(const struct connector_task *task, int64_t line, struct err *err)
{
    struct err cause = *err;
    return err_set(err, ERR_FATAL, ERR_RECORD, "Line %lld of %s can't be read: %s. Correct the file.",
                   (long long)line + 1, task->options->path, cause.text);
}

/* 1: a record more; 0: nothing now. */
static int read_record(struct connector_task *task, struct err *err)
{
    struct slice row;
    struct file_row_rules rules = {is_csv(task) ? &task->csv : NULL, task->options->key, task->options->timestamp};
    if (is_csv(task) && task->csv.count == 0) {
        int result = read_header(task, task->reader, &task->csv, err);
        if (result != 0 || task->csv.count == 0) {
            return result;
        }
    }
    for (;;) {
        int64_t line = file_reader_place(task->reader).line;
        int more = file_reader_row(task->reader, is_csv(task), !task->options->follow || task->renamed, &row, err);
        if (more <= 0) {
            return more;
        }
        if (row.size == 0 || (row.size == 1 && row.data[0] == '\r')) {
            continue; /* an empty line is no row */
        }
        struct record *record = &task->records[task->count];
        if (file_row_record(&rules, row, &task->arena, record, err) != 0) {
            return bad_line(task, line, err);
        }
        record->topic = task->options->path;
        task->count++;
        return 1;
    }
}

static int read_batch(struct connector_task *task, struct err *err)
{
    size_t size = 0;
    int more = 1;
    while (more == 1 && task->count < SOURCE_BATCH_RECORDS && size < SOURCE_BATCH_BYTES) {
        more = read_record(task, err);
        size += more == 1 ? task->records[task->count - 1].value.size : 0;
    }
    return more;
}

/* At the end of a followed file: 1: there is more to read now, in this file from its beginning or in the next one. */
static int look_around(struct connector_task *task, struct err *err)
{
    struct file_reader *reader = task->reader;
    if (file_reader_cut(reader)) {
        log_emptied(task->options->path);
        return enter(task, task->options->path, 0, NULL, err) == 0 ? 1 : -1;
    }
    struct file_rotation next =
        file_rotation_next(task->options->path, file_reader_inode(reader), file_reader_changed(reader));
    if (next.path == NULL) {
        return 0;
    }
    task->renamed = true; /* what came between the end and the look, and a last line without a line feed */
    int result = read_batch(task, err);
    if (result == 0 && task->count == 0) {
        result = enter(task, next.path, next.inode, NULL, err) == 0 ? 1 : -1;
    }
    free(next.path);
    return result < 0 ? -1 : 1;
}

static void hand_out(struct connector_task *task, struct source_batch *batch)
{
    struct file_reader_place place = file_reader_place(task->reader);
    struct file_position position = {bytes_slice(&task->name), file_reader_inode(task->reader), place.offset,
                                     place.line};
    bytes_clear(&task->position);
    file_row_print_position(&position, &task->position);
    batch->records = task->records;
    batch->count = task->count;
    batch->position = bytes_slice(&task->position);
}

/* Until the end is seen for the first time; how many lines there are is told from the bytes read so far. */
static void show_progress(struct connector_task *task, struct source_batch *batch)
{
    struct file_reader_place place = file_reader_place(task->reader);
    int64_t size = file_reader_size(task->reader);
    if (!task->behind) {
        return;
    }
    batch->progress = (struct source_progress){.phase = bytes_text(&task->phase), .done = place.line};
    if (size > 0 && place.offset > 0) {
        batch->progress.total = (int64_t)((double)size / (double)place.offset * (double)place.line);
    }
}

/* Reads until there are records or nothing is left for now. */
static int read_on(struct connector_task *task, struct err *err)
{
    int more = task->ended ? 0 : read_batch(task, err);
    while (more == 0 && task->count == 0 && task->options->follow) {
        more = look_around(task, err);
        if (more <= 0) {
            break;
        }
        more = task->count > 0 ? 0 : read_batch(task, err);
    }
    return more < 0 ? -1 : 0;
}

static int poll_task(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    arena_clear(&task->arena);
    task->count = 0;
    for (;;) {
        if (read_on(task, err) != 0) {
            return -1;
        }
        if (task->count > 0) {
            hand_out(task, batch);
            show_progress(task, batch);
            return 0;
        }
        task->behind = false;
        task->ended = !task->options->follow;
        if (timeout_ms <= 0 || connector_stopping(task->context)) {
            break;
        }
        int step = timeout_ms < LOOK_MS ? timeout_ms : LOOK_MS;
        clock_sleep_ms(step);
        timeout_ms -= step;
    }
    batch->at_end = true;
    return 0;
}

static int check(const struct connector_context *context, const struct connector_check *say, struct err *err)
{
    struct connector_task *task;
    if (open_task(context, SLICE_NULL, &task, err) != 0) {
        return -1;
    }
    say->say(say->self, FINDING_GOOD, "The file can be read.");
    close_task(task);
    return 0;
}

const struct source_class file_source_class = {
    .options = &table,
    .options_size = sizeof(struct options),
    .key_codec = "json",
    .value_codec = "json",
    .validate = validate,
    .open = open_task,
    .poll = poll_task,
    .close = close_task,
    .check = check,
};
