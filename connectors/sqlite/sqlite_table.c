#include "connectors/sqlite/sqlite_table.h"

#include "base/json.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- columns ---- */

static void forget_statements(struct sqlite_table *table)
{
    for (size_t i = 0; i < table->statement_count; i++) {
        sqlite3_finalize(table->statements[i].statement);
        for (size_t j = 0; j < table->statements[i].count; j++) {
            free(table->statements[i].names[j]);
        }
        free(table->statements[i].names);
    }
    table->statement_count = 0;
}

static void forget_columns(struct sqlite_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        free(table->columns[i]);
    }
    table->column_count = 0;
}

/* Generated columns are left out: nobody can write them. */
int sqlite_table_load(struct sqlite_table *table, struct err *err)
{
    forget_statements(table);
    forget_columns(table);
    sqlite3_stmt *statement = sqlite_db_prepare(table->db, "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0",
                                                "reading the table's columns", err);
    if (!statement) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, table->name, -1, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        table->columns =
            memory_grow(table->columns, table->column_count, &table->column_capacity, sizeof(*table->columns));
        table->columns[table->column_count++] = memory_copy_text((const char *)sqlite3_column_text(statement, 0));
    }
    int result = code == SQLITE_DONE ? 0 : sqlite_db_fail(table->db, "reading the table's columns", err);
    sqlite3_finalize(statement);
    return result;
}

/* Names of columns are the same in upper and lower case, as SQLite sees them. */
static bool same_name(const char *column, struct slice name)
{
    return strlen(column) == name.size && sqlite3_strnicmp(column, (const char *)name.data, (int)name.size) == 0;
}

static bool has_column(const struct sqlite_table *table, struct slice name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (same_name(table->columns[i], name)) {
            return true;
        }
    }
    return false;
}

static void append_definition(struct bytes *sql, const struct rows_field *field)
{
    static const char *const types[] = {
        [ROWS_NULL] = "",     [ROWS_BOOL] = "INTEGER", [ROWS_INTEGER] = "INTEGER",
        [ROWS_REAL] = "REAL", [ROWS_STRING] = "TEXT",  [ROWS_NESTED] = "TEXT",
    };
    sqlite_db_quote(sql, field->name);
    bytes_append_format(sql, " %s", types[field->kind]);
}

static void append_keys(struct bytes *sql, const struct option_list *key)
{
    for (size_t i = 0; i < key->count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        sqlite_db_quote(sql, slice_text(key->items[i]));
    }
}

static int change_table(struct sqlite_table *table, struct bytes *sql, const char *doing, struct err *err)
{
    int result = sqlite_db_run(table->db, bytes_text(sql), doing, err);
    bytes_free(sql);
    return result == 0 ? sqlite_table_load(table, err) : -1;
}

static int create_table(struct sqlite_table *table, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "CREATE TABLE ");
    sqlite_db_quote(&sql, slice_text(table->name));
    for (size_t i = 0; i < table->field_count; i++) {
        bytes_append_text(&sql, i > 0 ? ", " : " (");
        append_definition(&sql, table->fields[i]);
        bytes_append_text(&sql, i < table->key->count ? " NOT NULL" : "");
    }
    if (table->key->count > 0) {
        bytes_append_text(&sql, ", PRIMARY KEY (");
        append_keys(&sql, table->key);
        bytes_append_text(&sql, ")");
    }
    bytes_append_text(&sql, ")");
    return change_table(table, &sql, "creating the table (auto_create)", err);
}

static int add_column(struct sqlite_table *table, const struct rows_field *field, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "ALTER TABLE ");
    sqlite_db_quote(&sql, slice_text(table->name));
    bytes_append_text(&sql, " ADD COLUMN ");
    append_definition(&sql, field);
    return change_table(table, &sql, "adding a column (auto_evolve)", err);
}

static int unknown_column(const struct sqlite_table *table, struct slice name, struct err *err)
{
    return err_set(err, ERR_SKIP, ERR_RECORD,
                   "Table %s has no column \"%.*s\" that can be written: add it, set auto_evolve, or take the member "
                   "out of the record",
                   table->name, (int)name.size, (const char *)name.data);
}

static int check_twice(const struct sqlite_table *table, struct err *err)
{
    for (size_t i = 0; i < table->field_count; i++) {
        struct slice name = table->fields[i]->name;
        for (size_t j = 0; j < i; j++) {
            struct slice other = table->fields[j]->name;
            if (name.size == other.size &&
                sqlite3_strnicmp((const char *)name.data, (const char *)other.data, (int)name.size) == 0) {
                return err_set(err, ERR_SKIP, ERR_RECORD,
                               "Members \"%.*s\" and \"%.*s\" of the record are the same column of table %s: take one "
                               "out",
                               (int)name.size, (const char *)other.data, (int)name.size, (const char *)name.data,
                               table->name);
            }
        }
    }
    return 0;
}

/* Another program may have widened the table since its columns were read, so they are read again before a no. */
static int fit_columns(struct sqlite_table *table, struct err *err)
{
    if (check_twice(table, err) != 0) {
        return -1;
    }
    if (table->column_count == 0 && sqlite_table_load(table, err) != 0) {
        return -1;
    }
    if (table->column_count == 0) {
        return sqlite_table_check(table, err) == 0 ? create_table(table, err) : -1;
    }
    bool fresh = false;
    for (size_t i = 0; i < table->field_count; i++) {
        const struct rows_field *field = table->fields[i];
        if (!has_column(table, field->name) && !fresh) {
            fresh = true;
            if (sqlite_table_load(table, err) != 0) {
                return -1;
            }
        }
        if (has_column(table, field->name)) {
            continue;
        }
        if (!table->evolve) {
            return unknown_column(table, field->name, err);
        }
        if (add_column(table, field, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- statements ---- */

enum action { ACTION_INSERT = 'i', ACTION_UPSERT = 'u', ACTION_UPDATE = 'p', ACTION_DELETE = 'd' };

static void write_insert(const struct sqlite_table *table, struct bytes *sql)
{
    bytes_append_text(sql, "INSERT INTO ");
    sqlite_db_quote(sql, slice_text(table->name));
    for (size_t i = 0; i < table->field_count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : " (");
        sqlite_db_quote(sql, table->fields[i]->name);
    }
    for (size_t i = 0; i < table->field_count; i++) {
        bytes_append_format(sql, "%s?%zu", i > 0 ? ", " : ") VALUES (", i + 1);
    }
    bytes_append_text(sql, ")");
}

static void write_upsert(const struct sqlite_table *table, struct bytes *sql)
{
    size_t keys = table->key->count;
    write_insert(table, sql);
    bytes_append_text(sql, " ON CONFLICT (");
    append_keys(sql, table->key);
    bytes_append_text(sql, table->field_count > keys ? ") DO UPDATE SET " : ") DO NOTHING");
    for (size_t i = keys; i < table->field_count; i++) {
        bytes_append_text(sql, i > keys ? ", " : "");
        sqlite_db_quote(sql, table->fields[i]->name);
        bytes_append_text(sql, " = excluded.");
        sqlite_db_quote(sql, table->fields[i]->name);
    }
}

/* Parameters are numbered: the key columns come first in the fields and last in the statement. */
static void write_where(const struct sqlite_table *table, struct bytes *sql)
{
    for (size_t i = 0; i < table->key->count; i++) {
        bytes_append_text(sql, i > 0 ? " AND " : " WHERE ");
        sqlite_db_quote(sql, slice_text(table->key->items[i]));
        bytes_append_format(sql, " = ?%zu", i + 1);
    }
}

static void write_update(const struct sqlite_table *table, struct bytes *sql)
{
    bytes_append_text(sql, "UPDATE ");
    sqlite_db_quote(sql, slice_text(table->name));
    for (size_t i = table->key->count; i < table->field_count; i++) {
        bytes_append_text(sql, i > table->key->count ? ", " : " SET ");
        sqlite_db_quote(sql, table->fields[i]->name);
        bytes_append_format(sql, " = ?%zu", i + 1);
    }
    write_where(table, sql);
}

static void write_statement(const struct sqlite_table *table, enum action action, struct bytes *sql)
{
    switch (action) {
    case ACTION_INSERT:
        write_insert(table, sql);
        break;
    case ACTION_UPSERT:
        write_upsert(table, sql);
        break;
    case ACTION_UPDATE:
        write_update(table, sql);
        break;
    case ACTION_DELETE:
        bytes_append_text(sql, "DELETE FROM ");
        sqlite_db_quote(sql, slice_text(table->name));
        write_where(table, sql);
        break;
    }
}

static void keep_statement(struct sqlite_table *table, enum action action, sqlite3_stmt *made)
{
    table->last = table->statement_count++;
    struct sqlite_table_statement *kept = &table->statements[table->last];
    *kept = (struct sqlite_table_statement){(int)action, table->field_count, NULL, made};
    kept->names = memory_alloc(table->field_count * sizeof(*kept->names));
    for (size_t i = 0; i < table->field_count; i++) {
        struct slice name = table->fields[i]->name;
        kept->names[i] = memory_format("%.*s", (int)name.size, (const char *)name.data);
    }
}

static sqlite3_stmt *make_statement(struct sqlite_table *table, enum action action, struct err *err)
{
    if (fit_columns(table, err) != 0) {
        return NULL;
    }
    if (table->statement_count == SQLITE_TABLE_STATEMENTS) {
        forget_statements(table);
    }
    struct bytes sql = {0};
    write_statement(table, action, &sql);
    sqlite3_stmt *made = sqlite_db_prepare(table->db, bytes_text(&sql), "preparing to write the table", err);
    bytes_free(&sql);
    if (made) {
        keep_statement(table, action, made);
    }
    return made;
}

/* Whether that statement does this to the columns that the fields name. */
static bool has_form(const struct sqlite_table *table, const struct sqlite_table_statement *statement,
                     enum action action)
{
    if (statement->action != (int)action || statement->count != table->field_count) {
        return false;
    }
    for (size_t i = 0; i < statement->count; i++) {
        if (!slice_equal(slice_text(statement->names[i]), table->fields[i]->name)) {
            return false;
        }
    }
    return true;
}

/* Mostly the one of the row before. */
static sqlite3_stmt *find_statement(struct sqlite_table *table, enum action action, struct err *err)
{
    if (table->last < table->statement_count && has_form(table, &table->statements[table->last], action)) {
        return table->statements[table->last].statement;
    }
    for (size_t i = 0; i < table->statement_count; i++) {
        if (has_form(table, &table->statements[i], action)) {
            table->last = i;
            return table->statements[i].statement;
        }
    }
    return make_statement(table, action, err);
}

/* SQLite refuses to prepare an upsert whose columns have no unique index. */
static int check_unique(struct sqlite_table *table, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "INSERT INTO ");
    sqlite_db_quote(&sql, slice_text(table->name));
    bytes_append_text(&sql, " (");
    append_keys(&sql, table->key);
    bytes_append_text(&sql, ") VALUES (");
    for (size_t i = 0; i < table->key->count; i++) {
        bytes_append_text(&sql, i > 0 ? ", NULL" : "NULL");
    }
    bytes_append_text(&sql, ") ON CONFLICT (");
    append_keys(&sql, table->key);
    bytes_append_text(&sql, ") DO NOTHING");
    sqlite3_stmt *probe =
        sqlite_db_prepare(table->db, bytes_text(&sql),
                          "looking for the unique index on the columns of the option key that upserts need", err);
    bytes_free(&sql);
    sqlite3_finalize(probe);
    return probe ? 0 : -1;
}

int sqlite_table_check(struct sqlite_table *table, struct err *err)
{
    if (table->column_count == 0) {
        return table->create
                   ? 0
                   : err_set(err, ERR_FATAL, ERR_CONFIG, "There is no table %s in %s: create it, or set auto_create",
                             table->name, table->db->path);
    }
    for (size_t i = 0; i < table->key->count; i++) {
        if (!has_column(table, slice_text(table->key->items[i]))) {
            return err_set(err, ERR_FATAL, ERR_CONFIG, "Table %s in %s has no column %s, which the option key names",
                           table->name, table->db->path, table->key->items[i]);
        }
    }
    return table->mode == SQLITE_TABLE_UPSERT ? check_unique(table, err) : 0;
}

/* ---- rows ---- */

static bool is_whole(struct slice number)
{
    for (size_t i = 0; i < number.size; i++) {
        if (number.data[i] != '-' && (number.data[i] < '0' || number.data[i] > '9')) {
            return false;
        }
    }
    return true;
}

/* The text stays where it is until the statement has run. */
static int bind_text(sqlite3_stmt *statement, int at, struct slice text)
{
    return sqlite3_bind_text64(statement, at, (const char *)text.data, text.size, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_string(struct sqlite_table *table, sqlite3_stmt *statement, int at, struct slice string)
{
    if (!json_has_escape(string)) {
        return bind_text(statement, at, slice_of(string.data + 1, string.size - 2));
    }
    bytes_clear(&table->text);
    json_decode_string(string, &table->text);
    struct slice text = bytes_slice(&table->text);
    return sqlite3_bind_text64(statement, at, (const char *)text.data, text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/* An integer beyond 64 bits goes as its digits: a text column keeps them all. */
static int bind_field(struct sqlite_table *table, sqlite3_stmt *statement, int at, const struct rows_field *field)
{
    int64_t integer = 0;
    double real = 0;
    switch (field->kind) {
    case ROWS_NULL:
        return sqlite3_bind_null(statement, at);
    case ROWS_BOOL:
        return sqlite3_bind_int(statement, at, json_type(field->text) == JSON_TRUE);
    case ROWS_INTEGER:
        json_number(field->text, &integer, &real);
        return sqlite3_bind_int64(statement, at, integer);
    case ROWS_REAL:
        json_number(field->text, &integer, &real);
        return is_whole(field->text) ? bind_text(statement, at, field->text) : sqlite3_bind_double(statement, at, real);
    case ROWS_STRING:
        return bind_string(table, statement, at, field->text);
    case ROWS_NESTED:
        return bind_text(statement, at, field->text);
    }
    return SQLITE_MISUSE;
}

static int run_action(struct sqlite_table *table, enum action action, struct err *err)
{
    sqlite3_stmt *statement = find_statement(table, action, err);
    if (!statement) {
        return -1;
    }
    struct bytes doing = {0};
    int code = SQLITE_OK;
    for (size_t i = 0; i < table->field_count && code == SQLITE_OK; i++) {
        code = bind_field(table, statement, (int)i + 1, table->fields[i]);
    }
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    if (code != SQLITE_DONE) {
        bytes_append_format(&doing, "writing table %s", table->name);
        if ((code & 0xff) == SQLITE_MISMATCH && table->key->count > 0) {
            bytes_append_format(&doing, ", column %s,", table->key->items[0]);
        }
        sqlite_db_fail(table->db, bytes_text(&doing), err);
        bytes_free(&doing);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE ? 0 : -1;
}

/* SQLite looks for missing NOT NULL columns before it sees that the row exists and only some columns change. */
static int upsert(struct sqlite_table *table, struct err *err)
{
    if (run_action(table, ACTION_UPSERT, err) == 0) {
        return 0;
    }
    bool partial = sqlite3_extended_errcode(table->db->handle) == SQLITE_CONSTRAINT_NOTNULL;
    struct err ignored;
    return partial && table->field_count > table->key->count && run_action(table, ACTION_UPDATE, &ignored) == 0 &&
                   sqlite3_changes(table->db->handle) > 0
               ? 0
               : -1;
}

/* A null says nothing about the type of a column that is still to be made: it waits for the first value. */
static void choose_fields(struct sqlite_table *table, const struct rows_row *row)
{
    bool widen = table->evolve || (table->create && table->column_count == 0);
    table->field_count = 0;
    for (size_t i = 0; i < row->count; i++) {
        const struct rows_field *field = &row->fields[i];
        if (widen && field->kind == ROWS_NULL && !has_column(table, field->name)) {
            continue;
        }
        table->fields = memory_grow(table->fields, table->field_count, &table->field_capacity, sizeof(*table->fields));
        table->fields[table->field_count++] = field;
    }
}

int sqlite_table_write(struct sqlite_table *table, const struct rows_row *row, struct err *err)
{
    if (row->tombstone && table->column_count == 0) {
        return 0; /* still to be created: there is nothing to delete */
    }
    choose_fields(table, row);
    if (row->tombstone) {
        return run_action(table, ACTION_DELETE, err);
    }
    if (table->field_count == 0) {
        return err_set(
            err, ERR_SKIP, ERR_RECORD,
            "The record has only nulls, and for columns that table %s does not have: there is nothing to write",
            table->name);
    }
    if (table->mode == SQLITE_TABLE_UPSERT) {
        return upsert(table, err);
    }
    if (table->mode == SQLITE_TABLE_INSERT) {
        return run_action(table, ACTION_INSERT, err);
    }
    return table->field_count > table->key->count ? run_action(table, ACTION_UPDATE, err) : 0;
}

void sqlite_table_close(struct sqlite_table *table)
{
    forget_statements(table);
    forget_columns(table);
    free(table->columns);
    free(table->fields);
    bytes_free(&table->text);
}
