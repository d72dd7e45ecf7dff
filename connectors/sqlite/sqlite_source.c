#include "connectors/sqlite/sqlite_source.h"

#include "base/clock.h"
#include "base/json_check.h"
#include "base/memory.h"
#include "connectors/sqlite/sqlite_log.h"
#include "connectors/sqlite/sqlite_snapshot.h"
#include "connectors/sqlite/sqlite_source_check.h"

#include <stdio.h>
#include <stdlib.h>

#define DOING "reading the change log"
#define WAKE_MS 10                     /* how often is looked whether the file has changed */
#define TRIM_ROWS 10000                /* that were read and are still in the log; or the next idle moment */
#define TRIM_WAIT_NS INT64_C(50000000) /* for a lock; then it is left for.. */
#define TRIM_PAUSE_NS INT64_C(1000000000)

/* ---- options ---- */

#define FIELD(field) offsetof(struct sqlite_source_options, field)

static const char *const snapshots[] = {"initial", "never", NULL};

static const struct option options[] = {
    {.name = "path",
     .type = OPTION_TEXT,
     .offset = FIELD(path),
     .argument = "FILE",
     .text = "The database file. It gets a change log, filled by triggers on the tables, and has to be writable."},
    {.name = "tables", .type = OPTION_LIST, .offset = FIELD(tables), .text = "The tables whose changes are read."},
    {.name = "snapshot",
     .type = OPTION_CHOICE,
     .offset = FIELD(snapshot),
     .default_text = "initial",
     .choices = snapshots,
     .text = "initial: the rows that are there come first, with op \"r\"; never: only changes from now on."},
    {.name = "tombstones",
     .type = OPTION_FLAG,
     .offset = FIELD(tombstones),
     .default_text = "true",
     .text =
         "Whether a delete is followed by a record with the same key and no value, for compacted topics and tables."},
};

static int validate(const void *self, struct err *err)
{
    const struct sqlite_source_options *given = self;
    if (!given->path || given->path[0] == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "A SQLite source needs the option path: the database file");
    }
    if (given->tables.count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "A SQLite source needs the option tables, a list such as { \"orders\" }");
    }
    for (size_t i = 0; i < given->tables.count; i++) {
        const char *table = given->tables.items[i];
        if (sqlite3_strnicmp(table, "_tidemill_", 10) == 0 || sqlite3_strnicmp(table, "sqlite_", 7) == 0 ||
            !json_utf8_valid(slice_text(table))) {
            return err_set(err, ERR_FATAL, ERR_CONFIG,
                           "The SQLite source can't watch table %s: its name is not one "
                           "for data",
                           table);
        }
        for (size_t j = 0; j < i; j++) {
            if (sqlite3_stricmp(table, given->tables.items[j]) == 0) {
                return err_set(err, ERR_FATAL, ERR_CONFIG, "The option tables names %s twice", table);
            }
        }
    }
    return 0;
}

/* ---- tasks ---- */

struct connector_task {
    const struct connector_context *context;
    const struct sqlite_source_options *options;
    struct sqlite_db db;
    struct sqlite_log log;
    struct sqlite_position position; /* behind what was handed out */
    struct sqlite_snapshot snapshot;
    struct sqlite_changes changes;
    sqlite3_stmt *read_log, *data_version, *schema_version, *begin, *commit;
    int64_t seen_version; /* data_version when the log was read to its end; -1: it was not */
    int64_t target;       /* the log's end at opening */
    int64_t acknowledged, trimmed;
    int64_t trim_after_ns; /* not tried before */
    bool moved;            /* the position since it was handed out */
    struct bytes position_text;
    char phase[200];
};

static void close_source(struct connector_task *task)
{
    sqlite_snapshot_end(&task->snapshot);
    sqlite3_finalize(task->read_log);
    sqlite3_finalize(task->data_version);
    sqlite3_finalize(task->schema_version);
    sqlite3_finalize(task->begin);
    sqlite3_finalize(task->commit);
    sqlite_log_close(&task->log);
    sqlite_db_close(&task->db);
    sqlite_position_free(&task->position);
    sqlite_change_free(&task->changes);
    bytes_free(&task->position_text);
    free(task);
}

/* The table that the position is in. */
static int resume_snapshot(struct connector_task *task, struct err *err)
{
    const struct sqlite_position_table *table = sqlite_position_pending(&task->position);
    sqlite_snapshot_end(&task->snapshot);
    if (!table) {
        return 0;
    }
    snprintf(task->phase, sizeof(task->phase), "snapshot of %s", table->name);
    return sqlite_snapshot_begin(&task->snapshot, &task->db, sqlite_log_current(&task->log, table->name),
                                 &task->position, err);
}

/* Rowids of which VACUUM gives new ones say nothing any more: the table is read from the start, and what changes
 * meanwhile is handed out. */
static void distrust_rowids(struct connector_task *task)
{
    struct sqlite_position_table *table = sqlite_position_pending(&task->position);
    if (table && task->position.after.count > 0 && sqlite_log_current(&task->log, table->name)->renumbers) {
        table->again = true;
        sqlite_position_forget_after(&task->position);
    }
}

static int install(struct connector_task *task, struct err *err)
{
    int64_t before = 0;
    if (sqlite_log_number(&task->db, "PRAGMA schema_version", &before, err) != 0 ||
        sqlite_log_install(&task->log, &task->position, err) != 0) {
        return -1;
    }
    if (before != task->position.schema) {
        distrust_rowids(task);
    }
    task->moved = true;
    task->seen_version = -1;
    return sqlite_log_number(&task->db, "PRAGMA schema_version", &task->position.schema, err) != 0
               ? -1
               : resume_snapshot(task, err);
}

static int prepare_statements(struct connector_task *task, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_format(&sql, "SELECT coalesce(max(seq), 0) FROM %s", task->log.log);
    int result = sqlite_log_number(&task->db, bytes_text(&sql), &task->target, err);
    bytes_clear(&sql);
    bytes_append_format(&sql, "SELECT * FROM %s WHERE seq > ?1 ORDER BY seq", task->log.log);
    if (result != 0 || !(task->read_log = sqlite_db_prepare(&task->db, bytes_text(&sql), DOING, err)) ||
        !(task->data_version = sqlite_db_prepare(&task->db, "PRAGMA data_version", DOING, err)) ||
        !(task->schema_version = sqlite_db_prepare(&task->db, "PRAGMA schema_version", DOING, err)) ||
        !(task->begin = sqlite_db_prepare(&task->db, "BEGIN", DOING, err)) ||
        !(task->commit = sqlite_db_prepare(&task->db, "COMMIT", DOING, err))) {
        result = -1;
    }
    bytes_free(&sql);
    return result;
}

static int open_source(const struct connector_context *context, struct slice position, struct connector_task **opened,
                       struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    task->context = context;
    task->options = context->options;
    task->changes.tombstones = task->options->tombstones;
    int result = slice_is_null(position) ? 0 : sqlite_position_read(&task->position, position, err);
    if (result == 0) {
        result = sqlite_db_open_existing(&task->db, context, task->options->path, err) != 0 ||
                         sqlite_db_check_writable(&task->db, SQLITE_SOURCE_OTHERWISE, err) != 0
                     ? -1
                     : 0;
    }
    if (result == 0) {
        sqlite_log_init(&task->log, &task->db, &task->options->tables);
        task->log.snapshot = task->options->snapshot == SQLITE_SNAPSHOT_INITIAL;
        result = install(task, err) != 0 ? -1 : prepare_statements(task, err);
    }
    if (result != 0) {
        close_source(task);
        return -1;
    }
    task->acknowledged = task->trimmed = task->position.seq;
    *opened = task;
    return 0;
}

/* ---- reading ---- */

static int step_number(struct connector_task *task, sqlite3_stmt *statement, int64_t *number, struct err *err)
{
    int result = 0;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
    } else {
        result = sqlite_db_fail(&task->db, DOING, err);
    }
    sqlite3_reset(statement);
    return result;
}

static int step_done(struct connector_task *task, sqlite3_stmt *statement, struct err *err)
{
    int result = sqlite3_step(statement) == SQLITE_DONE ? 0 : sqlite_db_fail(&task->db, DOING, err);
    sqlite3_reset(statement);
    return result;
}

/* Whether that row's change is to be handed out now: 1; or its table's rows are still to be read: 0; -1. */
static int is_due(struct connector_task *task, const struct sqlite_position_table *table, const struct sqlite_row *row,
                  struct err *err)
{
    if (!table->pending || table->again) {
        return 1;
    }
    bool current = task->snapshot.shape && strcmp(task->snapshot.shape->table, table->name) == 0;
    return current ? sqlite_snapshot_passed(&task->snapshot, row, err) : 0;
}

/* An update that changes the key is a delete of the old row and a creation of the new one. */
static int add_update(struct connector_task *task, const struct sqlite_position_table *table,
                      const struct sqlite_row *old, const struct sqlite_row *new, const struct sqlite_origin *origin,
                      struct err *err)
{
    int old_due = is_due(task, table, old, err), new_due = old_due < 0 ? -1 : is_due(task, table, new, err);
    if (new_due < 0) {
        return -1;
    }
    bool moved = !sqlite_change_same_key(old, new);
    if (!moved && old_due && new_due) {
        sqlite_change_add(&task->changes, 'u', old, new, origin);
        return 0;
    }
    if (old_due && (moved || !new_due)) {
        sqlite_change_add(&task->changes, 'd', old, NULL, origin);
    }
    if (new_due) {
        sqlite_change_add(&task->changes, 'c', NULL, new, origin);
    }
    return 0;
}

static int add_change(struct connector_task *task, const struct sqlite_shape *shape,
                      const struct sqlite_position_table *table, char op, struct err *err)
{
    struct sqlite_row row = {task->read_log, SQLITE_LOG_VALUES, shape};
    struct sqlite_row new = {task->read_log, SQLITE_LOG_VALUES + (int)sqlite_shape_width(shape), shape};
    struct sqlite_origin origin = {.path = task->db.path,
                                   .topic = table->name,
                                   .seq = task->position.seq,
                                   .time_ms = sqlite3_column_int64(task->read_log, 3)};
    if (op == 'u') {
        return add_update(task, table, &row, &new, &origin, err);
    }
    int due = is_due(task, table, &row, err);
    if (due > 0) {
        sqlite_change_add(&task->changes, op, op == 'd' ? &row : NULL, op == 'd' ? NULL : &row, &origin);
    }
    return due < 0 ? -1 : 0;
}

/* The row of the log that the statement stands at. */
static int read_change(struct connector_task *task, struct err *err)
{
    task->position.seq = sqlite3_column_int64(task->read_log, 0);
    task->moved = true;
    const struct sqlite_shape *shape = sqlite_log_shape(&task->log, sqlite3_column_int64(task->read_log, 1));
    const char *op = (const char *)sqlite3_column_text(task->read_log, 2);
    if (!shape || !op || !strchr("cudr", op[0]) ||
        sqlite3_column_count(task->read_log) < SQLITE_LOG_VALUES + (int)sqlite_shape_width(shape)) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT,
                       "Row %lld of the change log %s in %s was not written by a trigger of this source: reset its "
                       "position to begin with the rows that are there",
                       (long long)task->position.seq, task->log.log, task->db.path);
    }
    const struct sqlite_position_table *table = sqlite_position_find(&task->position, shape->table);
    return table ? add_change(task, shape, table, op[0], err) : 0; /* a table that is no longer watched */
}

/* *end: there is nothing more. */
static int read_log(struct connector_task *task, bool *end, struct err *err)
{
    int code = SQLITE_ROW, result = 0;
    sqlite3_bind_int64(task->read_log, 1, task->position.seq);
    while (result == 0 && !pieces_full(&task->changes.pieces) && (code = sqlite3_step(task->read_log)) == SQLITE_ROW) {
        result = read_change(task, err);
    }
    *end = code == SQLITE_DONE;
    if (result == 0 && code != SQLITE_ROW && code != SQLITE_DONE) {
        result = sqlite_db_fail(&task->db, DOING, err);
    }
    sqlite3_reset(task->read_log);
    return result;
}

static int read_rows(struct connector_task *task, struct err *err)
{
    struct sqlite_position_table *table = sqlite_position_pending(&task->position);
    bool done = false;
    struct sqlite_origin origin = {.path = task->db.path,
                                   .topic = table->name,
                                   .seq = task->position.seq,
                                   .time_ms = clock_wall_ms(&CLOCK_SYSTEM),
                                   .snapshot = true};
    if (sqlite_snapshot_read(&task->snapshot, &task->changes, &origin, &done, err) != 0) {
        return -1;
    }
    task->moved = true;
    if (!done) {
        return 0;
    }
    table->pending = table->again = false;
    sqlite_position_forget_after(&task->position);
    return resume_snapshot(task, err);
}

/* In one read transaction: the log to its end, then rows of the table that is being read, as they are at that end. */
static int read_transaction(struct connector_task *task, bool *renew, struct err *err)
{
    int64_t schema = 0;
    bool end = false;
    if (step_done(task, task->begin, err) != 0 || step_number(task, task->schema_version, &schema, err) != 0) {
        return -1;
    }
    *renew = schema != task->position.schema;
    if (*renew) {
        return step_done(task, task->commit, err);
    }
    if (read_log(task, &end, err) != 0) {
        return -1;
    }
    while (end && task->snapshot.shape && !pieces_full(&task->changes.pieces)) {
        if (read_rows(task, err) != 0) {
            return -1;
        }
    }
    if (!end || task->snapshot.shape) {
        task->seen_version = -1;
    }
    return step_done(task, task->commit, err);
}

static int read_batch(struct connector_task *task, struct err *err)
{
    bool renew = false;
    int result = read_transaction(task, &renew, err);
    if (result == 0 && renew && (result = install(task, err)) == 0) {
        result = read_transaction(task, &renew, err);
        task->seen_version = renew ? -1 : task->seen_version;
    }
    sqlite_db_rollback(&task->db);
    return result;
}

/* ---- the calls ---- */

/* Reading goes on while somebody else writes for long; what was read can be removed later. */
static void trim(struct connector_task *task)
{
    struct err ignored;
    int64_t now = clock_monotonic_ns(&CLOCK_SYSTEM);
    if (now < task->trim_after_ns) {
        return;
    }
    task->db.busy_limit_ns = TRIM_WAIT_NS;
    if (sqlite_log_trim(&task->log, task->acknowledged, &ignored) == 0) {
        task->trimmed = task->acknowledged;
    } else {
        task->trim_after_ns = now + TRIM_PAUSE_NS;
    }
    task->db.busy_limit_ns = SQLITE_DB_BUSY_NS;
}

static int look(struct connector_task *task, int timeout_ms, struct err *err)
{
    int64_t end = clock_monotonic_ns(&CLOCK_SYSTEM) + (int64_t)timeout_ms * 1000000;
    for (;;) {
        int64_t version = 0;
        if (step_number(task, task->data_version, &version, err) != 0) {
            return -1;
        }
        if (version != task->seen_version) {
            task->seen_version = version;
            if (read_batch(task, err) != 0) {
                return -1;
            }
        }
        if (task->changes.pieces.count > 0 || task->moved || connector_stopping(task->context)) {
            return 0;
        }
        int64_t left_ms = (end - clock_monotonic_ns(&CLOCK_SYSTEM)) / 1000000;
        if (left_ms <= 0) {
            return 0;
        }
        if (task->acknowledged > task->trimmed) {
            trim(task);
        }
        clock_sleep_ms(left_ms < WAKE_MS ? left_ms : WAKE_MS);
    }
}

static int poll_source(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    pieces_clear(&task->changes.pieces);
    if (look(task, timeout_ms, err) != 0) {
        return -1;
    }
    batch->records = pieces_records(&task->changes.pieces);
    batch->count = task->changes.pieces.count;
    if (task->moved) {
        bytes_clear(&task->position_text);
        sqlite_position_write(&task->position, &task->position_text);
        batch->position = bytes_slice(&task->position_text);
        task->moved = false;
    }
    bool snapshot = task->snapshot.shape != NULL;
    batch->at_end = !snapshot && task->position.seq >= task->target;
    batch->progress = (struct source_progress){snapshot ? task->phase : NULL, task->position.rows,
                                               snapshot ? task->snapshot.total : 0};
    return 0;
}

static int acknowledge(struct connector_task *task, struct slice position, struct err *err)
{
    struct sqlite_position committed = {0};
    if (sqlite_position_read(&committed, position, err) != 0) {
        return -1;
    }
    task->acknowledged = committed.seq;
    sqlite_position_free(&committed);
    if (task->acknowledged - task->trimmed >= TRIM_ROWS) {
        trim(task);
    }
    return 0;
}

const struct source_class sqlite_source = {
    .options = &(const struct option_table){"sqlite source", options, sizeof(options) / sizeof(options[0])},
    .options_size = sizeof(struct sqlite_source_options),
    .key_codec = "json",
    .value_codec = "json",
    .validate = validate,
    .open = open_source,
    .poll = poll_source,
    .acknowledge = acknowledge,
    .close = close_source,
    .check = sqlite_source_check,
};
