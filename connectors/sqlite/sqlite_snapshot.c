#include "connectors/sqlite/sqlite_snapshot.h"

#include "connectors/sqlite/sqlite_key.h"

#include <stdio.h>

#define DOING "reading the rows of a watched table"

void sqlite_snapshot_end(struct sqlite_snapshot *snapshot)
{
    sqlite3_finalize(snapshot->first);
    sqlite3_finalize(snapshot->next);
    sqlite3_finalize(snapshot->behind);
    *snapshot = (struct sqlite_snapshot){0};
}

/* ---- statements ---- */

static void append_key(const struct sqlite_shape *shape, struct bytes *sql)
{
    bytes_append_text(sql, shape->rowid ? shape->rowid : "");
    for (int i = 1; !shape->rowid && i <= (int)shape->keys; i++) {
        bytes_append_text(sql, i > 1 ? ", " : "");
        sqlite_db_quote(sql, slice_text(shape->columns[sqlite_shape_key(shape, i)].name));
    }
}

static void append_parameters(size_t first, size_t count, struct bytes *sql)
{
    for (size_t i = first; i < first + count; i++) {
        bytes_append_format(sql, "%s?%zu", i > first ? ", " : "", i);
    }
}

static size_t key_width(const struct sqlite_shape *shape)
{
    return shape->rowid ? 1 : shape->keys;
}

static sqlite3_stmt *prepare_rows(const struct sqlite_snapshot *snapshot, bool from_key, struct err *err)
{
    const struct sqlite_shape *shape = snapshot->shape;
    struct bytes sql = {0};
    bytes_append_text(&sql, "SELECT ");
    sqlite_shape_values(shape, "", &sql);
    bytes_append_text(&sql, " FROM ");
    sqlite_db_quote(&sql, slice_text(shape->table));
    if (from_key) {
        bytes_append_text(&sql, " WHERE (");
        append_key(shape, &sql);
        bytes_append_text(&sql, ") > (");
        append_parameters(1, key_width(shape), &sql);
        bytes_append_text(&sql, ")");
    }
    bytes_append_text(&sql, " ORDER BY ");
    append_key(shape, &sql);
    sqlite3_stmt *made = sqlite_db_prepare(snapshot->db, bytes_text(&sql), DOING, err);
    bytes_free(&sql);
    return made;
}

/* Columns of the primary key may have an order of their own (COLLATE). */
static int append_collated(const struct sqlite_snapshot *snapshot, struct bytes *sql, struct err *err)
{
    sqlite3_stmt *statement = sqlite_db_prepare(
        snapshot->db,
        "SELECT x.coll FROM pragma_index_list(?1) AS l, pragma_index_xinfo(l.name) AS x WHERE l.origin = 'pk' AND "
        "x.key = 1 ORDER BY x.seqno",
        DOING, err);
    if (!statement) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, snapshot->shape->table, -1, SQLITE_STATIC);
    int code;
    for (size_t i = 1; (code = sqlite3_step(statement)) == SQLITE_ROW; i++) {
        bytes_append_format(sql, "%s?%zu COLLATE ", i > 1 ? ", " : "", i);
        sqlite_db_quote(sql, slice_text((const char *)sqlite3_column_text(statement, 0)));
    }
    int result = code == SQLITE_DONE ? 0 : sqlite_db_fail(snapshot->db, DOING, err);
    sqlite3_finalize(statement);
    return result;
}

static sqlite3_stmt *prepare_behind(const struct sqlite_snapshot *snapshot, struct err *err)
{
    struct bytes sql = {0};
    sqlite3_stmt *made = NULL;
    size_t keys = snapshot->shape->keys;
    bytes_append_text(&sql, "SELECT (");
    if (append_collated(snapshot, &sql, err) == 0) {
        bytes_append_text(&sql, ") <= (");
        append_parameters(keys + 1, keys, &sql);
        bytes_append_text(&sql, ")");
        made = sqlite_db_prepare(snapshot->db, bytes_text(&sql), DOING, err);
    }
    bytes_free(&sql);
    return made;
}

/* ---- keys ---- */

/* The key of the row that the statement stands at becomes the position's. */
static void note_key(struct sqlite_snapshot *snapshot, sqlite3_stmt *statement)
{
    const struct sqlite_shape *shape = snapshot->shape;
    int64_t rows = snapshot->position->rows;
    sqlite_position_forget_after(snapshot->position);
    snapshot->position->rows = rows;
    if (shape->rowid) {
        snapshot->rowid = sqlite3_column_int64(statement, 0);
        sqlite_key_put(&snapshot->position->after, statement, 0);
        return;
    }
    for (int i = 1; i <= (int)shape->keys; i++) {
        sqlite_key_put(&snapshot->position->after, statement, (int)sqlite_shape_key(shape, i));
    }
}

/* ---- the calls ---- */

/* Rowids mostly count from 1. */
static int estimate(struct sqlite_snapshot *snapshot, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_format(&sql, "SELECT max(%s) FROM ", snapshot->shape->rowid);
    sqlite_db_quote(&sql, slice_text(snapshot->shape->table));
    sqlite3_stmt *statement = sqlite_db_prepare(snapshot->db, bytes_text(&sql), DOING, err);
    if (statement && sqlite3_step(statement) == SQLITE_ROW) {
        snapshot->total = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    bytes_free(&sql);
    return statement ? 0 : -1;
}

int sqlite_snapshot_begin(struct sqlite_snapshot *snapshot, struct sqlite_db *db, const struct sqlite_shape *shape,
                          struct sqlite_position *position, struct err *err)
{
    struct sqlite_position_value value = {0};
    sqlite_snapshot_end(snapshot);
    *snapshot = (struct sqlite_snapshot){.db = db, .shape = shape, .position = position};
    if (position->after.count > 0 && position->after.count != key_width(shape)) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT,
                       "The stored position has %zu key values for table %s, whose key has %zu: reset it",
                       position->after.count, shape->table, key_width(shape));
    }
    if (shape->rowid && position->after.count > 0 && sqlite_position_take(position->after.items[0], &value)) {
        snapshot->rowid = value.integer;
    }
    bytes_free(&value.text);
    if (!(snapshot->first = prepare_rows(snapshot, false, err)) ||
        !(snapshot->next = prepare_rows(snapshot, true, err)) || (shape->rowid && estimate(snapshot, err) != 0)) {
        return -1;
    }
    if (!shape->rowid && !(snapshot->behind = prepare_behind(snapshot, err))) {
        return -1;
    }
    return 0;
}

int sqlite_snapshot_read(struct sqlite_snapshot *snapshot, struct sqlite_changes *changes,
                         const struct sqlite_origin *origin, bool *done, struct err *err)
{
    bool started = snapshot->position->after.count > 0;
    sqlite3_stmt *statement = started ? snapshot->next : snapshot->first;
    struct sqlite_row row = {statement, 0, snapshot->shape};
    int code = SQLITE_ROW;
    if (started) {
        sqlite_key_bind(&snapshot->position->after, statement, 1);
    }
    while (!pieces_full(&changes->pieces) && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        sqlite_change_add(changes, 'r', NULL, &row, origin);
        snapshot->position->rows++;
        if (pieces_full(&changes->pieces)) {
            note_key(snapshot, statement);
        }
    }
    *done = code == SQLITE_DONE;
    int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_db_fail(snapshot->db, DOING, err);
    sqlite3_reset(statement);
    return result;
}

int sqlite_snapshot_passed(struct sqlite_snapshot *snapshot, const struct sqlite_row *row, struct err *err)
{
    if (snapshot->position->after.count == 0) {
        return 0;
    }
    if (snapshot->shape->rowid) {
        return sqlite3_column_int64(row->statement, row->first) <= snapshot->rowid;
    }
    size_t keys = snapshot->shape->keys;
    for (int i = 1; i <= (int)keys; i++) {
        int column = row->first + (int)sqlite_shape_key(row->shape, i);
        sqlite3_bind_value(snapshot->behind, i, sqlite3_column_value(row->statement, column));
    }
    sqlite_key_bind(&snapshot->position->after, snapshot->behind, keys + 1);
    int result = -1;
    if (sqlite3_step(snapshot->behind) == SQLITE_ROW) {
        result = sqlite3_column_int(snapshot->behind, 0);
    } else {
        sqlite_db_fail(snapshot->db, DOING, err);
    }
    sqlite3_reset(snapshot->behind);
    return result;
}
