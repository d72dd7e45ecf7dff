#include "connectors/sqlite/sqlite_shape.h"

#include "base/json.h"
#include "base/memory.h"

#include <stdlib.h>
#include <strings.h>

static struct sqlite_shape *make_shape(const char *table)
{
    struct sqlite_shape *shape = memory_alloc(sizeof(*shape));
    shape->table = memory_copy_text(table);
    return shape;
}

void sqlite_shape_free(struct sqlite_shape *shape)
{
    for (size_t i = 0; shape && i < shape->count; i++) {
        free(shape->columns[i].name);
    }
    if (shape) {
        free(shape->columns);
        free(shape->table);
        free(shape->rowid);
        free(shape);
    }
}

static void add_column(struct sqlite_shape *shape, const char *name, int key)
{
    shape->columns = memory_grow(shape->columns, shape->count, &shape->capacity, sizeof(*shape->columns));
    shape->columns[shape->count++] = (struct sqlite_shape_column){memory_copy_text(name), key};
    shape->keys += key > 0;
}

/* ---- from the catalog ---- */

static sqlite3_stmt *ask(struct sqlite_db *db, const char *sql, const char *table, struct err *err)
{
    sqlite3_stmt *statement = sqlite_db_prepare(db, sql, "looking at a table", err);
    if (statement) {
        sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    }
    return statement;
}

static int end_asking(struct sqlite_db *db, sqlite3_stmt *statement, int code, struct err *err)
{
    int result = code == SQLITE_DONE ? 0 : sqlite_db_fail(db, "looking at a table", err);
    sqlite3_finalize(statement);
    return result;
}

/* *found: it is a table. */
static int find_table(struct sqlite_db *db, const char *table, bool *without_rowid, struct err *err)
{
    sqlite3_stmt *statement =
        ask(db, "SELECT type, wr FROM pragma_table_list(?1) WHERE schema = 'main' AND name = ?1 COLLATE NOCASE", table,
            err);
    if (!statement) {
        return -1;
    }
    int code = sqlite3_step(statement);
    bool found = code == SQLITE_ROW, plain = false;
    if (found) {
        plain = strcmp((const char *)sqlite3_column_text(statement, 0), "table") == 0;
        *without_rowid = sqlite3_column_int(statement, 1) != 0;
        code = sqlite3_step(statement);
    }
    if (end_asking(db, statement, code, err) != 0) {
        return -1;
    }
    if (!found) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "There is no table %s in %s: create it, or change the option tables when it was renamed or "
                       "dropped",
                       table, db->path);
    }
    return plain ? 0
                 : err_set(err, ERR_FATAL, ERR_CONFIG,
                           "%s in %s is a view or virtual table, whose changes nothing tells: name the table that it "
                           "is made of",
                           table, db->path);
}

/* Generated columns are left out. */
static int read_columns(struct sqlite_db *db, struct sqlite_shape *shape, struct err *err)
{
    sqlite3_stmt *statement =
        ask(db, "SELECT name, pk FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid", shape->table, err);
    if (!statement) {
        return -1;
    }
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        add_column(shape, (const char *)sqlite3_column_text(statement, 0), sqlite3_column_int(statement, 1));
    }
    return end_asking(db, statement, code, err);
}

/* A column that is the rowid has no index of its own. */
static int read_renumbers(struct sqlite_db *db, struct sqlite_shape *shape, struct err *err)
{
    sqlite3_stmt *statement =
        ask(db, "SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk'", shape->table, err);
    if (!statement) {
        return -1;
    }
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        shape->renumbers = shape->keys != 1 || sqlite3_column_int(statement, 0) > 0;
        code = sqlite3_step(statement);
    }
    return end_asking(db, statement, code, err);
}

static bool has_column(const struct sqlite_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->count; i++) {
        if (strcasecmp(shape->columns[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int name_rowid(struct sqlite_db *db, struct sqlite_shape *shape, struct err *err)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!has_column(shape, names[i])) {
            shape->rowid = memory_copy_text(names[i]);
            return read_renumbers(db, shape, err);
        }
    }
    return err_set(err, ERR_FATAL, ERR_CONFIG,
                   "Table %s in %s has columns named rowid, _rowid_ and oid, so that its rows can't be told apart: "
                   "rename one",
                   shape->table, db->path);
}

struct sqlite_shape *sqlite_shape_of_table(struct sqlite_db *db, const char *table, struct err *err)
{
    struct sqlite_shape *shape = make_shape(table);
    bool without_rowid = false;
    if (find_table(db, table, &without_rowid, err) != 0 || read_columns(db, shape, err) != 0 ||
        (!without_rowid && name_rowid(db, shape, err) != 0)) {
        sqlite_shape_free(shape);
        return NULL;
    }
    return shape;
}

/* ---- as text ---- */

void sqlite_shape_write(const struct sqlite_shape *shape, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("rowid"));
    json_text(&writer, shape->rowid);
    json_name(&writer, slice_text("renumbers"));
    json_bool(&writer, shape->renumbers);
    json_name(&writer, slice_text("columns"));
    json_begin_array(&writer);
    for (size_t i = 0; i < shape->count; i++) {
        json_begin_array(&writer);
        json_text(&writer, shape->columns[i].name);
        json_integer(&writer, shape->columns[i].key);
        json_end_array(&writer);
    }
    json_end_array(&writer);
    json_end_object(&writer);
}

static bool read_column(struct sqlite_shape *shape, struct slice column, struct bytes *text)
{
    struct json_walk walk = json_walk(column);
    struct slice name, key;
    int64_t place = 0;
    double ignored;
    if (json_type(column) != JSON_ARRAY || !json_next_element(&walk, &name) || json_type(name) != JSON_STRING ||
        !json_next_element(&walk, &key) || json_type(key) != JSON_NUMBER || !json_number(key, &place, &ignored) ||
        place < 0 || place > INT16_MAX) {
        return false;
    }
    bytes_clear(text);
    json_decode_string(name, text);
    add_column(shape, bytes_text(text), (int)place);
    return true;
}

static bool read_shape(struct sqlite_shape *shape, struct slice text)
{
    struct slice rowid, renumbers, columns, column;
    struct bytes decoded = {0};
    if (!json_check(text, NULL) || json_type(text) != JSON_OBJECT || !json_member(text, slice_text("rowid"), &rowid) ||
        !json_member(text, slice_text("renumbers"), &renumbers) ||
        !json_member(text, slice_text("columns"), &columns) || json_type(columns) != JSON_ARRAY) {
        return false;
    }
    if (json_type(rowid) == JSON_STRING) {
        json_decode_string(rowid, &decoded);
        shape->rowid = memory_copy_text(bytes_text(&decoded));
    }
    shape->renumbers = json_type(renumbers) == JSON_TRUE;
    struct json_walk walk = json_walk(columns);
    bool good = true;
    while (good && json_next_element(&walk, &column)) {
        good = read_column(shape, column, &decoded);
    }
    for (size_t place = 1; good && place <= shape->keys; place++) {
        good = sqlite_shape_key(shape, (int)place) < shape->count;
    }
    bytes_free(&decoded);
    return good && shape->count > 0 && (shape->rowid || shape->keys > 0);
}

struct sqlite_shape *sqlite_shape_read(const char *table, struct slice text)
{
    struct sqlite_shape *shape = make_shape(table);
    if (!read_shape(shape, text)) {
        sqlite_shape_free(shape);
        return NULL;
    }
    return shape;
}

/* ---- rows in the log ---- */

size_t sqlite_shape_width(const struct sqlite_shape *shape)
{
    return shape->count + (shape->rowid ? 1 : 0);
}

size_t sqlite_shape_key(const struct sqlite_shape *shape, int place)
{
    size_t at = 0;
    while (at < shape->count && shape->columns[at].key != place) {
        at++;
    }
    return at;
}

void sqlite_shape_values(const struct sqlite_shape *shape, const char *prefix, struct bytes *sql)
{
    if (shape->rowid) {
        bytes_append_text(sql, prefix);
        bytes_append_text(sql, shape->rowid);
    }
    for (size_t i = 0; i < shape->count; i++) {
        bytes_append_text(sql, shape->rowid || i > 0 ? ", " : "");
        bytes_append_text(sql, prefix);
        sqlite_db_quote(sql, slice_text(shape->columns[i].name));
    }
}
