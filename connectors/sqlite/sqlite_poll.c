#include "connectors/sqlite/sqlite_poll.h"

#include "base/clock.h"
#include "base/memory.h"
#include "connectors/poll.h"
#include "connectors/sqlite/sqlite_change.h"
#include "connectors/sqlite/sqlite_db.h"
#include "connectors/sqlite/sqlite_key.h"

#include <stdio.h>
#include <stdlib.h>

#define DOING "polling"
#define NAP_MS 50 /* how long a wait goes without looking whether it is to stop */

static const char *const cursors[] = {"commit", "id", "time+id", NULL};

static const struct option options[] = {
    {.name = "path",
     .type = OPTION_TEXT,
     .offset = offsetof(struct poll_options, place),
     .argument = "FILE",
     .text = "The database file; it is only read."},
    {.name = "cursor",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct poll_options, cursor),
     .default_text = "commit",
     .choices = cursors,
     .text = "What tells new rows: commit: their rowid, which loses none; id: a column that grows; time+id: a column "
             "with the time of the last change, which also finds changed rows."},
    POLL_OPTIONS,
};

static int validate(const void *self, struct err *err)
{
    const struct poll_options *given = self;
    if (poll_validate(given, "sqlite_poll", "path", err) != 0) {
        return -1;
    }
    return given->cursor == POLL_COMMIT && given->query && given->query[0]
               ? err_set(
                     err, ERR_FATAL, ERR_CONFIG,
                     "A query has no rowid, which the cursor commit of a sqlite_poll source needs: name a table, or "
                     "set cursor to id or time+id")
               : 0;
}

struct connector_task {
    const struct connector_context *context;
    const struct poll_options *options;
    struct sqlite_db db;
    const char *columns[POLL_COLUMNS]; /* of the cursor */
    size_t column_count;
    struct poll_position position;
    sqlite3_stmt *first, *next; /* all rows, and those behind the position */
    char **names;
    size_t name_count; /* of the columns that records have; those of the cursor follow in the statements */
    size_t *keys;
    size_t key_count;
    struct envelope_field *fields, *key_fields;
    struct pieces pieces;
    struct bytes position_text;
    int64_t wait_until_ms; /* monotonic; nothing is read before */
    bool at_end;
};

static void close_source(struct connector_task *task)
{
    sqlite3_finalize(task->first);
    sqlite3_finalize(task->next);
    sqlite_db_close(&task->db);
    option_list_free(&task->position.after);
    for (size_t i = 0; i < task->name_count; i++) {
        free(task->names[i]);
    }
    free(task->names);
    free(task->keys);
    free(task->fields);
    free(task->key_fields);
    pieces_free(&task->pieces);
    bytes_free(&task->position_text);
    free(task);
}

/* ---- statements ---- */

static void choose_columns(struct connector_task *task)
{
    const struct poll_options *given = task->options;
    task->column_count = given->cursor == POLL_TIME_ID ? 2 : 1;
    task->columns[0] = given->cursor == POLL_COMMIT ? "rowid" : given->cursor == POLL_ID ? given->id : given->time;
    task->columns[1] = given->id;
}

static void append_cursor(const struct connector_task *task, struct bytes *sql)
{
    for (size_t i = 0; i < task->column_count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        sqlite_db_quote(sql, slice_text(task->columns[i]));
    }
}

static void append_from(const struct connector_task *task, struct bytes *sql)
{
    bytes_append_text(sql, " FROM ");
    if (task->options->table && task->options->table[0]) {
        sqlite_db_quote(sql, slice_text(task->options->table));
    } else {
        bytes_append_format(sql, "(%s)", task->options->query);
    }
}

/* A time as text, in days (real), in seconds or in milliseconds, which are told apart by their size. */
static void append_due(const struct connector_task *task, struct bytes *sql)
{
    struct bytes time = {0};
    sqlite_db_quote(&time, slice_text(task->options->time));
    const char *t = bytes_text(&time);
    bytes_append_format(sql,
                        "CASE typeof(%s) WHEN 'text' THEN (julianday(%s) - 2440587.5) * 86400000 WHEN 'real' THEN "
                        "(%s - 2440587.5) * 86400000 ELSE CASE WHEN %s > 100000000000 THEN %s ELSE %s * 1000 END END "
                        "<= (julianday('now') - 2440587.5) * 86400000 - %lld",
                        t, t, t, t, t, t, (long long)task->options->delay_ms);
    bytes_free(&time);
}

static void append_where(const struct connector_task *task, bool behind, struct bytes *sql)
{
    bool timed = task->options->cursor == POLL_TIME_ID;
    bytes_append_text(sql, timed || behind ? " WHERE " : "");
    if (behind) {
        bytes_append_text(sql, "(");
        append_cursor(task, sql);
        bytes_append_text(sql, task->column_count == 1 ? ") > (?1)" : ") > (?1, ?2)");
    }
    if (timed) {
        bytes_append_text(sql, behind ? " AND " : "");
        append_due(task, sql);
    }
}

static sqlite3_stmt *prepare(struct connector_task *task, bool behind, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "SELECT ");
    for (size_t i = 0; i < task->options->columns.count; i++) {
        bytes_append_text(&sql, i > 0 ? ", " : "");
        sqlite_db_quote(&sql, slice_text(task->options->columns.items[i]));
    }
    bytes_append_text(&sql, task->options->columns.count == 0 ? "*, " : ", ");
    append_cursor(task, &sql);
    append_from(task, &sql);
    append_where(task, behind, &sql);
    bytes_append_text(&sql, " ORDER BY ");
    append_cursor(task, &sql);
    sqlite3_stmt *made = sqlite_db_prepare(&task->db, bytes_text(&sql), DOING, err);
    bytes_free(&sql);
    return made;
}

/* A name in double quotes that is no column would be a text for SQLite. */
static int check_columns(struct connector_task *task, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "SELECT 1");
    for (size_t i = 0; i < task->options->columns.count + task->column_count; i++) {
        size_t named = task->options->columns.count;
        bytes_append_text(&sql, ", q.");
        sqlite_db_quote(&sql, slice_text(i < named ? task->options->columns.items[i] : task->columns[i - named]));
    }
    append_from(task, &sql);
    bytes_append_text(&sql, " AS q");
    sqlite3_stmt *probe = sqlite_db_prepare(&task->db, bytes_text(&sql), DOING, err);
    bytes_free(&sql);
    sqlite3_finalize(probe);
    return probe ? 0 : -1;
}

static int prepare_rows(struct connector_task *task, struct err *err)
{
    if (check_columns(task, err) != 0 || !(task->first = prepare(task, false, err)) ||
        !(task->next = prepare(task, true, err))) {
        return -1;
    }
    size_t count = (size_t)sqlite3_column_count(task->first) - task->column_count;
    task->names = memory_alloc(count * sizeof(*task->names));
    task->fields = memory_alloc(count * sizeof(*task->fields));
    task->key_fields = memory_alloc((task->options->key.count + 1) * sizeof(*task->key_fields));
    for (size_t i = 0; i < count; i++) {
        task->names[i] = memory_copy_text(sqlite3_column_name(task->first, (int)i));
    }
    task->name_count = count;
    return poll_find_keys(task->options, (const char *const *)task->names, count, &task->keys, &task->key_count, err);
}

/* ---- opening ---- */

/* Without AUTOINCREMENT the rowid of the last row is given again once that row is deleted. */
static bool reuses_rowids(struct connector_task *task)
{
    struct err ignored;
    sqlite3_stmt *statement = sqlite_db_prepare(
        &task->db, "SELECT count(*) FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND sql LIKE '%AUTOINCREMENT%'",
        DOING, &ignored);
    if (statement) {
        sqlite3_bind_text(statement, 1, task->options->table, -1, SQLITE_STATIC);
    }
    bool keeps = statement && sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) > 0;
    sqlite3_finalize(statement);
    return !keeps;
}

static const char *weakness(struct connector_task *task)
{
    switch ((enum poll_cursor)task->options->cursor) {
    case POLL_COMMIT:
        return reuses_rowids(task)
                   ? "The table has no AUTOINCREMENT: a row that gets the rowid of a deleted one may not be seen, and "
                     "changes and deletes are not seen at all."
                   : NULL;
    case POLL_ID:
        return "A row that is committed later than one with a higher id is never seen, nor are changes and deletes; "
               "the cursor commit loses no new row.";
    case POLL_TIME_ID:
        return "A row that is committed later than delay_ms after its time is never seen, nor are deletes.";
    }
    return NULL;
}

static int prepare_task(struct connector_task *task, struct err *err)
{
    choose_columns(task);
    return sqlite_db_open_reading(&task->db, task->context, task->options->place, err) != 0 ? -1
                                                                                            : prepare_rows(task, err);
}

static int open_source(const struct connector_context *context, struct slice position, struct connector_task **opened,
                       struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    task->context = context;
    task->options = context->options;
    if (prepare_task(task, err) != 0 ||
        (!slice_is_null(position) &&
         poll_position_read(&task->position, position, task->columns, task->column_count, err) != 0)) {
        close_source(task);
        return -1;
    }
    if (weakness(task)) {
        poll_warn(context, weakness(task));
    }
    *opened = task;
    return 0;
}

/* ---- reading ---- */

static int64_t now_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

static void add_row(struct connector_task *task, sqlite3_stmt *statement)
{
    for (size_t i = 0; i < task->name_count; i++) {
        task->fields[i] = (struct envelope_field){slice_text(task->names[i]), sqlite_change_value(statement, (int)i)};
    }
    const char *table = task->options->table;
    poll_add_row(&task->pieces, table && table[0] ? table : NULL, (struct envelope_row){task->fields, task->name_count},
                 task->keys, task->key_count, task->key_fields);
}

static void note_position(struct connector_task *task, sqlite3_stmt *statement)
{
    option_list_free(&task->position.after);
    for (size_t i = 0; i < task->column_count; i++) {
        sqlite_key_put(&task->position.after, statement, (int)(task->name_count + i));
    }
}

/* The columns of `*` may have become others, and with them the places of all. */
static int check_shape(struct connector_task *task, sqlite3_stmt *statement, struct err *err)
{
    return (size_t)sqlite3_column_count(statement) == task->name_count + task->column_count
               ? 0
               : err_set(err, ERR_RETRY, ERR_CONFIG,
                         "The columns of what is polled in %s have changed; it is opened "
                         "anew",
                         task->db.path);
}

static int read_rows(struct connector_task *task, struct err *err)
{
    sqlite3_stmt *statement = task->position.after.count > 0 ? task->next : task->first;
    int code = SQLITE_ROW, result = 0;
    sqlite_key_bind(&task->position.after, statement, 1);
    while (result == 0 && !pieces_full(&task->pieces) && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        result = check_shape(task, statement, err);
        if (result == 0) {
            add_row(task, statement);
            note_position(task, statement); /* a statement that is over has no row any more */
        }
    }
    if (result == 0 && code != SQLITE_ROW && code != SQLITE_DONE) {
        result = sqlite_db_fail(&task->db, DOING, err);
    }
    task->at_end |= code == SQLITE_DONE;
    task->wait_until_ms = code == SQLITE_DONE ? now_ms() + task->options->poll_ms : 0;
    sqlite3_reset(statement);
    return result;
}

/* Until the next time to read; false: that comes after the end of this call. */
static bool wait_for_turn(struct connector_task *task, int64_t end_ms)
{
    int64_t now = now_ms();
    while (now < task->wait_until_ms && now < end_ms && !connector_stopping(task->context)) {
        int64_t left = (task->wait_until_ms < end_ms ? task->wait_until_ms : end_ms) - now;
        clock_sleep_ms(left < NAP_MS ? left : NAP_MS);
        now = now_ms();
    }
    return now >= task->wait_until_ms;
}

static int poll_source(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    pieces_clear(&task->pieces);
    if (wait_for_turn(task, now_ms() + timeout_ms) && read_rows(task, err) != 0) {
        return -1;
    }
    batch->records = pieces_records(&task->pieces);
    batch->count = task->pieces.count;
    batch->at_end = task->at_end;
    if (batch->count > 0) {
        bytes_clear(&task->position_text);
        poll_position_write(&task->position, task->columns, task->column_count, &task->position_text);
        batch->position = bytes_slice(&task->position_text);
    }
    return 0;
}

/* ---- checking ---- */

static int check_source(const struct connector_context *context, const struct connector_check *check, struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    struct err problem;
    task->context = context;
    task->options = context->options;
    int result = 0;
    if (prepare_task(task, &problem) == 0) {
        check->say(check->self, FINDING_GOOD, "The file can be read, and has the columns that the options name.");
        if (weakness(task)) {
            check->say(check->self, FINDING_WARNING, weakness(task));
        }
    } else if (task->db.handle) {
        check->say(check->self, FINDING_BAD, problem.text);
    } else {
        *err = problem;
        result = -1;
    }
    close_source(task);
    return result;
}

static const struct source_class source = {
    .options = &(const struct option_table){"sqlite_poll", options, sizeof(options) / sizeof(options[0])},
    .options_size = sizeof(struct poll_options),
    .key_codec = "json",
    .value_codec = "json",
    .validate = validate,
    .open = open_source,
    .poll = poll_source,
    .close = close_source,
    .check = check_source,
};

const struct connector sqlite_poll_connector = {
    .kind = "sqlite_poll",
    .text = "Reads new rows of a table or query of a SQLite file, which it asks again and again.",
    .source = &source,
};
