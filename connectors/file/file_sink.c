#include "connectors/file/file_sink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/csv.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/memory.h"
#include "connectors/file/file_name.h"
#include "connectors/file/file_row.h"

#define OWNER_SIZE 1024

struct options {
    char *directory;
    int format;
    struct option_list columns;
    int64_t roll_records;
    int64_t roll_ms;
};

struct connector_task {
    const struct connector_context *context;
    const struct options *options;
    int directory;
    int lock;
    int64_t position;      /* CONNECTOR_NO_OFFSET: nothing was written yet */
    int part;              /* the open part; -1: there is none */
    struct file_name name; /* of the open part */
    struct file_name rest; /* while the directory is read: a second open part */
    int64_t began_ms;      /* when its first record was written, or when it was found */
    bool broken;           /* a write has failed: what the directory holds is seen by the next open */
    struct bytes text;     /* what is being written */
};

static const char *const formats[] = {"json", "csv", NULL};
static const struct clock wall = {false, 0};

#define FIELD(name) offsetof(struct options, name)
static const struct option list[] = {
    {.name = "directory",
     .type = OPTION_TEXT,
     .offset = FIELD(directory),
     .argument = "DIRECTORY",
     .text = "Where the files are written; made if missing. It belongs to this sink alone. Required."},
    {.name = "format",
     .type = OPTION_CHOICE,
     .offset = FIELD(format),
     .default_text = "json",
     .choices = formats,
     .text = "json: a line per value; csv: a row per value, which must be an object, under a header."},
    {.name = "columns",
     .type = OPTION_LIST,
     .offset = FIELD(columns),
     .argument = "FIELD",
     .text = "The fields that are written, in this order; required for csv. None: the whole value."},
    {.name = "roll_records",
     .type = OPTION_INTEGER,
     .offset = FIELD(roll_records),
     .default_text = "1",
     .low = 1,
     .high = INT64_MAX,
     .text = "A file is finished when it has so many records at the end of a write; 1: every write makes a file."},
    {.name = "roll_ms",
     .type = OPTION_DURATION,
     .offset = FIELD(roll_ms),
     .default_text = "60s",
     .low = 1,
     .high = INT64_MAX,
     .text = "A file is finished this long after its first record even if it has fewer."},
};
static const struct option_table table = {"file", list, sizeof list / sizeof list[0]};

static int validate(const void *target, struct err *err)
{
    const struct options *options = target;
    if (options->directory == NULL || options->directory[0] == '\0') {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The option directory is missing: name where to write.");
    }
    if (options->format == FILE_CSV && options->columns.count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The format csv needs the option columns: name the fields to write.");
    }
    return 0;
}

/* A step on files has failed: what the directory holds is seen by the next open. */
static int failed(struct connector_task *task, const char *step, struct err *err)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    bool wrong = errno == EACCES || errno == EPERM || errno == EROFS || errno == ENOTDIR || errno == ENAMETOOLONG;
    task->broken = true;
    return err_set(err, wrong ? ERR_FATAL : ERR_RETRY, full ? ERR_DISK_FULL : ERR_IO,
                   "The sink %s can't %s in %s: %s. Check the directory, its rights and its space.",
                   task->context->name, step, task->options->directory, strerror(errno));
}

static void format_name(const struct connector_task *task, const struct file_name *name, char text[FILE_NAME_SIZE])
{
    file_name_print(name, task->context->topic, task->context->task, formats[task->options->format], text);
}

/* ---- opening ---- */

/* The lock file says whose directory this is; an empty one is new, or its text was lost with the machine. */
static int check_owner(struct connector_task *task, struct err *err)
{
    char owner[OWNER_SIZE], found[OWNER_SIZE];
    int size = snprintf(owner, sizeof owner, "%s/%s\n", task->context->app, task->context->name);
    ssize_t got = pread(task->lock, found, sizeof found - 1, 0);
    if (got < 0) {
        return failed(task, "read its lock file", err);
    }
    found[got] = '\0';
    if (got == 0) {
        return pwrite(task->lock, owner, strlen(owner), 0) < 0 ? failed(task, "write its lock file", err) : 0;
    }
    if (size >= (int)sizeof owner || strcmp(owner, found) != 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The directory %s belongs to the sink %.*s and not to %s/%s: give each sink a directory of its "
                       "own.",
                       task->options->directory, (int)strcspn(found, "\n"), found, task->context->app,
                       task->context->name);
    }
    return 0;
}

static int take_lock(struct connector_task *task, struct err *err)
{
    char name[FILE_NAME_SIZE];
    snprintf(name, sizeof name, ".%s-%d.lock", task->context->topic, (int)task->context->task);
    task->lock = openat(task->directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (task->lock < 0) {
        return failed(task, "make its lock file", err);
    }
    if (flock(task->lock, LOCK_EX | LOCK_NB) != 0) {
        return errno != EWOULDBLOCK
                   ? failed(task, "lock its lock file", err)
                   : err_set(err, ERR_RETRY, ERR_LOCKED,
                             "Another process writes partition %d of %s into %s. It is waited for; stop it if it is "
                             "not wanted.",
                             (int)task->context->task, task->context->topic, task->options->directory);
    }
    return check_owner(task, err);
}

static int mixed_up(const struct connector_task *task, const char *name, const char *reason, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_CORRUPT,
                   "The file %s in %s %s: somebody else has changed it. Restore it, or choose another directory.", name,
                   task->options->directory, reason);
}

/* Takes note of one name in the directory. */
static int note(struct connector_task *task, const char *text, int64_t *finished, struct err *err)
{
    struct file_name name;
    if (!file_name_parse(text, task->context->topic, task->context->task, formats[task->options->format], &name)) {
        return 0;
    }
    if (!name.open) {
        *finished = name.next > *finished ? name.next : *finished;
        return 0;
    }
    if (task->rest.open) {
        return mixed_up(task, text, "is a third open part", err);
    }
    task->rest = task->name;
    task->name = name;
    return 0;
}

/* Two open parts: the first was about to be finished, and counts until it is. The second is the empty one that is to
 * say the position afterwards; it is made again. */
static int settle_rest(struct connector_task *task, struct err *err)
{
    char text[FILE_NAME_SIZE];
    if (!task->rest.open) {
        return 0;
    }
    if (task->rest.first < task->name.first) {
        struct file_name later = task->name;
        task->name = task->rest;
        task->rest = later;
    }
    format_name(task, &task->rest, text);
    if (task->rest.records > 0 || task->rest.size > 0 || task->rest.first < task->name.next) {
        return mixed_up(task, text, "is a second open part", err);
    }
    task->rest = (struct file_name){0};
    return unlinkat(task->directory, text, 0) != 0 ? failed(task, "delete what a killed process has left", err) : 0;
}

static int scan(struct connector_task *task, int64_t *finished, struct err *err)
{
    int result = 0;
    int fd = openat(task->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (entries == NULL) {
        return failed(task, "list the files", err);
    }
    struct dirent *entry = NULL;
    errno = 0;
    while (result == 0 && (entry = readdir(entries)) != NULL) {
        result = note(task, entry->d_name, finished, err);
        errno = 0;
    }
    if (result == 0 && errno != 0) {
        result = failed(task, "list the files", err);
    }
    closedir(entries);
    return result;
}

/* Opens the part that was found and cuts off what a write has left behind its length. */
static int recover(struct connector_task *task, struct err *err)
{
    char text[FILE_NAME_SIZE];
    struct stat status;
    format_name(task, &task->name, text);
    task->part = openat(task->directory, text, O_WRONLY | O_CLOEXEC);
    if (task->part < 0 || fstat(task->part, &status) != 0) {
        return failed(task, "open its part", err);
    }
    if (status.st_size < task->name.size) {
        return mixed_up(task, text, "is shorter than its name says", err);
    }
    if (ftruncate(task->part, task->name.size) != 0 || fsync(task->directory) != 0) {
        return failed(task, "cut its part", err);
    }
    task->began_ms = clock_wall_ms(&wall);
    return 0;
}

static void temporary_name(const struct connector_task *task, char text[FILE_NAME_SIZE])
{
    snprintf(text, FILE_NAME_SIZE, ".%s-%d.new", task->context->topic, (int)task->context->task);
}

static int find_position(struct connector_task *task, struct err *err)
{
    char temporary[FILE_NAME_SIZE];
    int64_t finished = CONNECTOR_NO_OFFSET;
    temporary_name(task, temporary);
    if (unlinkat(task->directory, temporary, 0) != 0 && errno != ENOENT) {
        return failed(task, "delete what a killed process has left", err);
    }
    /* What is seen must be durable before it counts. */
    if (fsync(task->directory) != 0) {
        return failed(task, "make names durable", err);
    }
    if (scan(task, &finished, err) != 0 || settle_rest(task, err) != 0) {
        return -1;
    }
    task->position = finished;
    if (!task->name.open) {
        return 0;
    }
    if (task->name.first < finished) {
        char text[FILE_NAME_SIZE];
        format_name(task, &task->name, text);
        return mixed_up(task, text, "is an open part before a finished file", err);
    }
    task->position = task->name.next;
    return recover(task, err);
}

/* ---- writing ---- */

static int rename_part(struct connector_task *task, const char *from, const struct file_name *name, struct err *err)
{
    char to[FILE_NAME_SIZE];
    format_name(task, name, to);
    return renameat(task->directory, from, task->directory, to) != 0 ? failed(task, "rename its part", err) : 0;
}

static int make_durable(struct connector_task *task, struct err *err)
{
    return fsync(task->directory) != 0 ? failed(task, "make names durable", err) : 0;
}

/* Makes an empty file under the name that it has until it counts; -1. */
static int make_file(struct connector_task *task, char name[FILE_NAME_SIZE], struct err *err)
{
    temporary_name(task, name);
    int file = openat(task->directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file < 0 ? failed(task, "make a file", err) : file;
}

/* The part gets its finished name. Before that an empty part is there to say the position, so that finished files may
 * be taken away at any time. */
static int finish_part(struct connector_task *task, struct err *err)
{
    char from[FILE_NAME_SIZE];
    struct file_name next = {.first = task->name.next, .next = task->name.next, .open = true};
    struct file_name finished = task->name;
    finished.open = false;
    int file = make_file(task, from, err);
    if (file < 0) {
        return -1;
    }
    int result = rename_part(task, from, &next, err);
    format_name(task, &task->name, from);
    if (result != 0 || rename_part(task, from, &finished, err) != 0) {
        close(file);
        return -1;
    }
    close(task->part);
    task->part = file;
    task->name = next;
    return 0;
}

static bool is_due(const struct connector_task *task)
{
    return task->name.records > 0 && (task->name.records >= task->options->roll_records ||
                                      clock_wall_ms(&wall) - task->began_ms >= task->options->roll_ms);
}

static int bad_record(const struct record *record, const char *reason, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_RECORD, "The record at offset %lld of partition %d %s.",
                   (long long)record->offset, (int)record->partition, reason);
}

/* A JSON value on one line: line feeds in JSON text are white space. */
static void append_line(struct bytes *out, struct slice value)
{
    size_t from = out->size;
    bytes_append_slice(out, value);
    for (size_t i = from; i < out->size; i++) {
        if (out->data[i] == '\n' || out->data[i] == '\r') {
            out->data[i] = ' ';
        }
    }
}

static void append_columns(struct connector_task *task, struct slice object)
{
    const struct option_list *columns = &task->options->columns;
    struct json_writer writer = json_writer(&task->text);
    bool csv = task->options->format == FILE_CSV;
    if (!csv) {
        json_begin_object(&writer);
    }
    for (size_t i = 0; i < columns->count; i++) {
        struct slice value = slice_text("null");
        json_member(object, slice_text(columns->items[i]), &value);
        if (csv) {
            bytes_append(&task->text, ",", i > 0);
            csv_field(value, &task->text);
        } else {
            json_name(&writer, slice_text(columns->items[i]));
            json_raw(&writer, value);
        }
    }
    if (!csv) {
        json_end_object(&writer);
    }
}

static int append_record(struct connector_task *task, const struct record *record, struct err *err)
{
    if (slice_is_null(record->value)) {
        return bad_record(record, "is a tombstone, and files have no rows to delete; leave tombstones out before", err);
    }
    if (!json_check(record->value, NULL)) {
        return bad_record(record, "has a value that is not JSON", err);
    }
    if (task->options->columns.count == 0) {
        append_line(&task->text, json_trim(record->value));
    } else if (json_type(record->value) != JSON_OBJECT) {
        return bad_record(record, "has a value that is no object, so it has no columns", err);
    } else {
        size_t from = task->text.size;
        append_columns(task, record->value);
        for (size_t i = from; task->options->format == FILE_JSON && i < task->text.size; i++) {
            task->text.data[i] = task->text.data[i] == '\n' || task->text.data[i] == '\r' ? ' ' : task->text.data[i];
        }
    }
    bytes_append_byte(&task->text, '\n');
    return 0;
}

static void append_header(struct connector_task *task)
{
    const struct option_list *columns = &task->options->columns;
    for (size_t i = 0; i < columns->count; i++) {
        bytes_append(&task->text, ",", i > 0);
        csv_text(slice_text(columns->items[i]), &task->text);
    }
    bytes_append_byte(&task->text, '\n');
}

static int append_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    bytes_clear(&task->text);
    if (task->options->format == FILE_CSV && batch->count > 0 && task->name.records == 0) {
        append_header(task);
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (append_record(task, &batch->records[i], err) != 0) {
            *bad = i;
            return -1;
        }
    }
    return 0;
}

/* Opens a new file when there is no part; *from is the name that the data is under until it counts. */
static int begin_part(struct connector_task *task, const struct sink_batch *batch, char from[FILE_NAME_SIZE],
                      struct err *err)
{
    if (task->part >= 0) {
        format_name(task, &task->name, from);
        return 0;
    }
    int64_t first = batch->from;
    if (first == CONNECTOR_NO_OFFSET) {
        first = batch->count > 0 ? batch->records[0].offset : batch->to;
    }
    task->part = make_file(task, from, err);
    task->name = (struct file_name){.first = first, .next = first, .open = true};
    return task->part < 0 ? -1 : 0;
}

static int write_text(struct connector_task *task, struct err *err)
{
    struct slice left = bytes_slice(&task->text);
    int64_t at = task->name.size;
    while (left.size > 0) {
        ssize_t written = pwrite(task->part, left.data, left.size, at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return failed(task, "write", err);
        }
        left = slice_of(left.data + written, left.size - (size_t)written);
        at += written;
    }
    return fsync(task->part) != 0 ? failed(task, "make its part durable", err) : 0;
}

static int write_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    char from[FILE_NAME_SIZE];
    if (batch->from != task->position) {
        return err_set(err, ERR_FENCED, ERR_PROTOCOL,
                       "The position of %s partition %d in %s is %lld and not %lld: somebody else writes there.",
                       task->context->topic, (int)task->context->task, task->options->directory,
                       (long long)task->position, (long long)batch->from);
    }
    if (append_batch(task, batch, bad, err) != 0 || begin_part(task, batch, from, err) != 0 ||
        write_text(task, err) != 0) {
        return -1;
    }
    struct file_name name = task->name;
    name.next = batch->to;
    name.size += (int64_t)task->text.size;
    name.records += (int64_t)batch->count;
    FAILPOINT(SINK_ROWS);
    if (rename_part(task, from, &name, err) != 0) {
        return -1;
    }
    if (task->name.records == 0) {
        task->began_ms = clock_wall_ms(&wall);
    }
    task->name = name;
    if ((is_due(task) && finish_part(task, err) != 0) || make_durable(task, err) != 0) {
        return -1;
    }
    task->position = batch->to;
    return 0;
}

/* A file gets old also while nothing comes. */
static int idle(struct connector_task *task, struct err *err)
{
    return is_due(task) && (finish_part(task, err) != 0 || make_durable(task, err) != 0) ? -1 : 0;
}

/* ---- the task ---- */

static void close_task(struct connector_task *task)
{
    if (task == NULL) {
        return;
    }
    struct err err;
    if (!task->broken && task->name.records > 0 && finish_part(task, &err) == 0) {
        make_durable(task, &err); /* if not, the next open finds the part as it was */
    }
    if (task->part >= 0) {
        close(task->part);
    }
    if (task->lock >= 0) {
        close(task->lock);
    }
    if (task->directory >= 0) {
        close(task->directory);
    }
    bytes_free(&task->text);
    free(task);
}

static int open_directory(struct connector_task *task, struct err *err)
{
    const char *path = task->options->directory;
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return failed(task, "make the directory", err);
    }
    task->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return task->directory < 0 ? failed(task, "open the directory", err) : 0;
}

static int open_task(const struct connector_context *context, struct connector_task **result, struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof *task);
    task->context = context;
    task->options = context->options;
    task->directory = task->lock = task->part = -1;
    if (open_directory(task, err) != 0 || take_lock(task, err) != 0 || find_position(task, err) != 0) {
        task->broken = true;
        close_task(task);
        return -1;
    }
    *result = task;
    return 0;
}

static int position(struct connector_task *task, int64_t *next, struct err *err)
{
    (void)err;
    *next = task->position;
    return 0;
}

/* Each topic that was ever written has a lock file in the directory, ".<topic>-<task>.lock". */
static bool take_topic(const char *name, char topic[CONNECTOR_TOPIC_SIZE])
{
    const char *end = strrchr(name, '.');
    if (name[0] != '.' || !end || strcmp(end, ".lock") != 0) {
        return false;
    }
    snprintf(topic, CONNECTOR_TOPIC_SIZE, "%.*s", (int)(end - name - 1), name + 1);
    char *task = strrchr(topic, '-');
    bool good = task && task[1] != '\0' && strspn(task + 1, "0123456789") == strlen(task + 1);
    if (good) {
        *task = '\0';
    }
    return good;
}

static int other_topic(struct connector_task *task, char topic[CONNECTOR_TOPIC_SIZE], struct err *err)
{
    int fd = openat(task->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (entries == NULL) {
        return failed(task, "list the files", err);
    }
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(entries)) != NULL;) {
        found = take_topic(entry->d_name, topic) && strcmp(topic, task->context->topic) != 0;
    }
    closedir(entries);
    topic[0] = found ? topic[0] : '\0';
    return 0;
}

static int check(const struct connector_context *context, const struct connector_check *say, struct err *err)
{
    const struct options *options = context->options;
    (void)err;
    bool there = access(options->directory, F_OK) == 0;
    if (!there) {
        say->say(say->self, FINDING_GOOD, "The directory is missing and will be made.");
    } else if (access(options->directory, W_OK | X_OK) == 0) {
        say->say(say->self, FINDING_GOOD, "The directory can be written.");
    } else {
        say->say(say->self, FINDING_BAD, "The directory can't be written: check its rights.");
    }
    return 0;
}

const struct sink_class file_sink_class = {
    .options = &table,
    .options_size = sizeof(struct options),
    .tasks = 0,
    .put_back = "take its files out of the directory, those with a dot in front too, and it begins where those that "
                "stay end.",
    .validate = validate,
    .open = open_task,
    .position = position,
    .other_topic = other_topic,
    .write = write_batch,
    .idle = idle,
    .close = close_task,
    .check = check,
};
