#include "connectors/sqlite/sqlite_log.h"

#include "base/memory.h"
#include "connectors/sqlite/sqlite_trigger.h"

#include <stdio.h>
#include <stdlib.h>

#define DOING "keeping the change log"
#define MOST_COLUMNS 2000 /* SQLite's limit, as it is usually built */

static char *quoted(const char *format, const char *app, const char *name)
{
    struct bytes sql = {0};
    char *plain = memory_format(format, app, name);
    sqlite_db_quote(&sql, slice_text(plain));
    char *made = memory_copy_text(bytes_text(&sql));
    free(plain);
    bytes_free(&sql);
    return made;
}

void sqlite_log_init(struct sqlite_log *log, struct sqlite_db *db, const struct option_list *tables)
{
    const struct connector_context *context = db->context;
    *log = (struct sqlite_log){.db = db, .tables = tables};
    log->trigger_prefix = memory_format("_tidemill_trigger:%s:%s:", context->app, context->name);
    log->log = quoted("_tidemill_log:%s:%s", context->app, context->name);
    log->shapes_table = quoted("_tidemill_tables:%s:%s", context->app, context->name);
}

static void forget_shapes(struct sqlite_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        sqlite_shape_free(log->shapes[i]);
    }
    log->count = 0;
}

void sqlite_log_close(struct sqlite_log *log)
{
    forget_shapes(log);
    free(log->shapes);
    free(log->trigger_prefix);
    free(log->log);
    free(log->shapes_table);
    *log = (struct sqlite_log){0};
}

/* ---- statements ---- */

static int run_sql(struct sqlite_log *log, struct bytes *sql, const char *doing, struct err *err)
{
    int result = sqlite_db_run(log->db, bytes_text(sql), doing, err);
    bytes_free(sql);
    return result;
}

static int query_number(struct sqlite_log *log, struct bytes *sql, int64_t *number, struct err *err)
{
    int result = sqlite_log_number(log->db, bytes_text(sql), number, err);
    bytes_free(sql);
    return result;
}

int sqlite_log_number(struct sqlite_db *db, const char *sql, int64_t *number, struct err *err)
{
    sqlite3_stmt *statement = sqlite_db_prepare(db, sql, DOING, err);
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    if (code == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
    } else if (statement) {
        sqlite_db_fail(db, DOING, err);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? 0 : -1;
}

/* ---- the tables of the log ---- */

static int make_tables(struct sqlite_log *log, bool new, struct err *err)
{
    struct bytes sql = {0};
    if (new) {
        bytes_append_format(&sql, "DROP TABLE IF EXISTS %s; DROP TABLE IF EXISTS %s; ", log->log, log->shapes_table);
    }
    bytes_append_format(&sql,
                        "CREATE TABLE IF NOT EXISTS %s (seq INTEGER PRIMARY KEY, shape INTEGER, op TEXT, ts INTEGER); "
                        "CREATE TABLE IF NOT EXISTS %s (id INTEGER PRIMARY KEY, generation INTEGER, name TEXT, "
                        "columns TEXT); INSERT OR IGNORE INTO %s (id, name) VALUES (0, lower(hex(randomblob(16))))",
                        log->log, log->shapes_table, log->shapes_table);
    return run_sql(log, &sql, "creating the change log", err);
}

static int add_shape(struct sqlite_log *log, sqlite3_stmt *row, struct err *err)
{
    const char *name = (const char *)sqlite3_column_text(row, 2);
    const char *columns = (const char *)sqlite3_column_text(row, 3);
    struct sqlite_shape *shape = name && columns ? sqlite_shape_read(name, slice_text(columns)) : NULL;
    if (!shape) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "A row of %s in %s was changed: reset the source's position",
                       log->shapes_table, log->db->path);
    }
    shape->id = sqlite3_column_int64(row, 0);
    shape->generation = sqlite3_column_int64(row, 1);
    log->shapes = memory_grow(log->shapes, log->count, &log->capacity, sizeof(struct sqlite_shape *));
    log->shapes[log->count++] = shape;
    return 0;
}

static int load_shapes(struct sqlite_log *log, char id[SQLITE_POSITION_LOG_SIZE], struct err *err)
{
    struct bytes sql = {0};
    forget_shapes(log);
    id[0] = 0;
    bytes_append_format(&sql, "SELECT id, generation, name, columns FROM %s ORDER BY id", log->shapes_table);
    sqlite3_stmt *statement = sqlite_db_prepare(log->db, bytes_text(&sql), DOING, err);
    bytes_free(&sql);
    int result = statement ? 0 : -1;
    int code = SQLITE_DONE;
    while (result == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (sqlite3_column_int64(statement, 0) > 0) {
            result = add_shape(log, statement, err);
        } else if (sqlite3_column_text(statement, 2)) {
            snprintf(id, SQLITE_POSITION_LOG_SIZE, "%s", (const char *)sqlite3_column_text(statement, 2));
        }
    }
    if (result == 0 && code != SQLITE_DONE) {
        result = sqlite_db_fail(log->db, DOING, err);
    }
    sqlite3_finalize(statement);
    return result;
}

const struct sqlite_shape *sqlite_log_shape(const struct sqlite_log *log, int64_t id)
{
    for (size_t i = log->count; i-- > 0;) {
        if (log->shapes[i]->id == id) {
            return log->shapes[i];
        }
    }
    return NULL;
}

const struct sqlite_shape *sqlite_log_current(const struct sqlite_log *log, const char *table)
{
    for (size_t i = log->count; i-- > 0;) {
        if (strcmp(log->shapes[i]->table, table) == 0) {
            return log->shapes[i];
        }
    }
    return NULL;
}

static int check_range(struct sqlite_log *log, const struct sqlite_position *position, struct err *err)
{
    int64_t lowest, highest;
    struct bytes sql = {0};
    bytes_append_format(&sql, "SELECT coalesce(min(seq), 0) FROM %s", log->log);
    if (query_number(log, &sql, &lowest, err) != 0) {
        return -1;
    }
    bytes_append_format(&sql, "SELECT coalesce(max(seq), 0) FROM %s", log->log);
    if (query_number(log, &sql, &highest, err) != 0) {
        return -1;
    }
    if (position->seq > highest) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The change log of %s ends at %lld, and the source has read up to %lld: an older copy of the "
                       "file was put there. Reset the source's position to begin with the rows that are there",
                       log->db->path, (long long)highest, (long long)position->seq);
    }
    if (lowest > position->seq + 1) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The change log of %s begins at %lld, and the source has read only up to %lld: what lies "
                       "between is gone. Reset the source's position to begin with the rows that are there",
                       log->db->path, (long long)lowest, (long long)position->seq);
    }
    return 0;
}

static int check_log(struct sqlite_log *log, struct sqlite_position *position, const char *id, struct err *err)
{
    if (position->log[0] == 0) {
        memcpy(position->log, id, SQLITE_POSITION_LOG_SIZE);
    } else if (strcmp(position->log, id) != 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The change log in %s is not the one that the source has read from: it was removed, or the file "
                       "is another one. Reset the source's position to begin with the rows that are there",
                       log->db->path);
    }
    return check_range(log, position, err);
}

/* ---- tables as they are now ---- */

static int widen(struct sqlite_log *log, const struct sqlite_shape *shape, struct err *err)
{
    int64_t have = 0;
    size_t need = SQLITE_LOG_VALUES + 2 * sqlite_shape_width(shape);
    struct bytes sql = {0};
    if (need > MOST_COLUMNS) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "Table %s in %s has %zu columns: tables of at most %d can be watched, since the change log "
                       "keeps old and new values side by side",
                       shape->table, log->db->path, shape->count, (MOST_COLUMNS - SQLITE_LOG_VALUES) / 2 - 1);
    }
    bytes_append_text(&sql, "SELECT count(*) FROM pragma_table_info(");
    bytes_append_text(&sql, log->log);
    bytes_append_text(&sql, ")");
    if (query_number(log, &sql, &have, err) != 0) {
        return -1;
    }
    for (size_t i = (size_t)have; i < need; i++) {
        bytes_append_format(&sql, "ALTER TABLE %s ADD COLUMN c%zu; ", log->log, i - SQLITE_LOG_VALUES);
    }
    return run_sql(log, &sql, "widening the change log", err);
}

static int insert_shape(struct sqlite_log *log, struct sqlite_shape *shape, int64_t generation, struct err *err)
{
    struct bytes columns = {0}, sql = {0};
    bytes_append_format(&sql,
                        "INSERT INTO %s (id, generation, name, columns) SELECT max(id) + 1, coalesce(nullif(?1, 0), "
                        "max(id) + 1), ?2, ?3 FROM %s RETURNING id, generation",
                        log->shapes_table, log->shapes_table);
    sqlite_shape_write(shape, &columns);
    sqlite3_stmt *statement = sqlite_db_prepare(log->db, bytes_text(&sql), DOING, err);
    int result = -1;
    if (statement) {
        sqlite3_bind_int64(statement, 1, generation);
        sqlite3_bind_text(statement, 2, shape->table, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 3, bytes_text(&columns), -1, SQLITE_STATIC);
        result = sqlite3_step(statement) == SQLITE_ROW ? 0 : sqlite_db_fail(log->db, DOING, err);
        shape->id = sqlite3_column_int64(statement, 0);
        shape->generation = sqlite3_column_int64(statement, 1);
    }
    sqlite3_finalize(statement);
    bytes_free(&columns);
    bytes_free(&sql);
    return result;
}

/* The value's place in the log for the row that a change left behind. */
static void append_last(struct bytes *sql, const struct sqlite_shape *shape, size_t place)
{
    bytes_append_format(sql, "CASE op WHEN 'u' THEN c%zu ELSE c%zu END", place + sqlite_shape_width(shape), place);
}

static void append_identity(struct bytes *sql, const struct sqlite_shape *shape, const struct sqlite_shape *old)
{
    bytes_append_text(sql, shape->rowid ? shape->rowid : "(");
    for (int i = 1; !shape->rowid && i <= (int)shape->keys; i++) {
        bytes_append_text(sql, i > 1 ? ", " : "");
        sqlite_db_quote(sql, slice_text(shape->columns[sqlite_shape_key(shape, i)].name));
    }
    bytes_append_text(sql, shape->rowid ? " IN (SELECT " : ") IN (SELECT ");
    if (shape->rowid) {
        append_last(sql, old, 0);
    }
    for (int i = 1; !shape->rowid && i <= (int)old->keys; i++) {
        bytes_append_text(sql, i > 1 ? ", " : "");
        append_last(sql, old, sqlite_shape_key(old, i));
    }
}

/* Changes that still wait may have been made after the table was: they lack the new columns, so the rows as they are
 * now follow them. */
static int read_again(struct sqlite_log *log, const struct sqlite_shape *shape, const struct sqlite_shape *old,
                      int64_t seq, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_format(&sql, "INSERT INTO %s (shape, op, ts", log->log);
    sqlite_trigger_places(sqlite_shape_width(shape), &sql);
    bytes_append_format(&sql, ") SELECT %lld, 'r', " SQLITE_TRIGGER_NOW ", ", (long long)shape->id);
    sqlite_shape_values(shape, "", &sql);
    bytes_append_text(&sql, " FROM ");
    sqlite_db_quote(&sql, slice_text(shape->table));
    bytes_append_text(&sql, " WHERE ");
    append_identity(&sql, shape, old);
    bytes_append_format(&sql, " FROM %s WHERE shape = %lld AND op <> 'd' AND seq > %lld)", log->log, (long long)old->id,
                        (long long)seq);
    return run_sql(log, &sql, "reading the rows of a changed table again", err);
}

static bool same_shape(const struct sqlite_shape *a, const struct sqlite_shape *b)
{
    struct bytes first = {0}, second = {0};
    sqlite_shape_write(a, &first);
    sqlite_shape_write(b, &second);
    bool same = slice_equal(bytes_slice(&first), bytes_slice(&second));
    bytes_free(&first);
    bytes_free(&second);
    return same;
}

/* Takes the shape. `old` is what the table's triggers were made for; NULL: it has none. */
static int take_shape(struct sqlite_log *log, struct sqlite_shape *shape, const struct sqlite_shape *old, int64_t seq,
                      struct err *err)
{
    log->shapes = memory_grow(log->shapes, log->count, &log->capacity, sizeof(struct sqlite_shape *));
    log->shapes[log->count++] = shape;
    if (insert_shape(log, shape, old ? old->generation : 0, err) != 0 || widen(log, shape, err) != 0 ||
        sqlite_trigger_make(log, shape, err) != 0) {
        return -1;
    }
    return old ? read_again(log, shape, old, seq, err) : 0;
}

static int install_table(struct sqlite_log *log, const char *table, int64_t seq, struct err *err)
{
    bool triggers = false;
    const struct sqlite_shape *old = sqlite_log_current(log, table);
    if (sqlite_trigger_present(log, table, &triggers, err) != 0) {
        return -1;
    }
    struct sqlite_shape *shape = sqlite_shape_of_table(log->db, table, err);
    if (!shape) {
        return -1;
    }
    if (triggers && old && same_shape(old, shape)) {
        sqlite_shape_free(shape);
        return 0;
    }
    return take_shape(log, shape, triggers ? old : NULL, seq, err);
}

/* ---- the position ---- */

/* One pending table at a time has rows read of it: another one that comes before it makes it begin again. */
static void mark_pending(struct sqlite_position *position, struct sqlite_position_table *table, bool again)
{
    struct sqlite_position_table *current = sqlite_position_pending(position);
    if (current && position->after.count > 0 && table <= current) {
        current->again = true;
        sqlite_position_forget_after(position);
    }
    table->pending = true;
    table->again |= again;
}

static void note_table(struct sqlite_log *log, struct sqlite_position *position, const char *name)
{
    struct sqlite_position_table *table = sqlite_position_find(position, name);
    int64_t generation = sqlite_log_current(log, name)->generation;
    if (!table) {
        table = sqlite_position_add(position, name);
        if (log->snapshot) {
            mark_pending(position, table, false);
        }
    } else if (table->generation != generation) {
        mark_pending(position, table, true);
    }
    table->generation = generation;
}

/* Tables that are no longer watched leave the position: they are new when they come back. */
static void drop_tables(struct sqlite_log *log, struct sqlite_position *position)
{
    size_t kept = 0;
    for (size_t i = 0; i < position->count; i++) {
        struct sqlite_position_table table = position->tables[i];
        bool wanted = false;
        for (size_t j = 0; j < log->tables->count && !wanted; j++) {
            wanted = strcmp(table.name, log->tables->items[j]) == 0;
        }
        if (wanted) {
            position->tables[kept++] = table;
            continue;
        }
        if (sqlite_position_pending(position) == &position->tables[i]) {
            sqlite_position_forget_after(position);
        }
        free(table.name);
    }
    position->count = kept;
}

/* ---- all of it ---- */

static int install(struct sqlite_log *log, struct sqlite_position *position, struct err *err)
{
    char id[SQLITE_POSITION_LOG_SIZE];
    bool new = position->log[0] == 0;
    if (sqlite_db_run(log->db, "BEGIN IMMEDIATE", "waiting for the lock to write", err) != 0 ||
        make_tables(log, new, err) != 0 || load_shapes(log, id, err) != 0 || check_log(log, position, id, err) != 0 ||
        sqlite_trigger_drop_strangers(log, err) != 0) {
        return -1;
    }
    drop_tables(log, position);
    for (size_t i = 0; i < log->tables->count; i++) {
        if (install_table(log, log->tables->items[i], position->seq, err) != 0) {
            return -1;
        }
        note_table(log, position, log->tables->items[i]);
    }
    return sqlite_db_run(log->db, "COMMIT", DOING, err);
}

int sqlite_log_install(struct sqlite_log *log, struct sqlite_position *position, struct err *err)
{
    int result = install(log, position, err);
    sqlite_db_rollback(log->db);
    return result;
}

int sqlite_log_trim(struct sqlite_log *log, int64_t seq, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_format(&sql, "DELETE FROM %s WHERE seq <= %lld AND seq < (SELECT max(seq) FROM %s)", log->log,
                        (long long)seq, log->log);
    return run_sql(log, &sql, "trimming the change log", err);
}
