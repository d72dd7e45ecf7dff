#include "connectors/postgres/postgres_table.h"

#include "base/memory.h"

#include <stdlib.h>

static const char columns_sql[] =
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1), b.typname, b.typcategory,"
    " t.typtype = 'd' OR a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a', b.typlen,"
    " b.typnamespace = 'pg_catalog'::regnamespace,"
    " a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL"
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
    " JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"
    " WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
static const char key_sql[] =
    "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY k.place";

void postgres_table_free(struct postgres_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].type);
        free(table->columns[i].cast);
    }
    for (size_t i = 0; i < table->primary_key.count; i++) {
        free(table->primary_key.items[i]);
    }
    free(table->primary_key.items);
    free(table->columns);
    *table = (struct postgres_table){0};
}

static enum postgres_value_kind kind_of(const char *type, char category)
{
    static const struct {
        const char *type;
        enum postgres_value_kind kind;
    } by_name[] = {
        {"int2", POSTGRES_VALUE_INTEGER},   {"int4", POSTGRES_VALUE_INTEGER},     {"int8", POSTGRES_VALUE_INTEGER},
        {"json", POSTGRES_VALUE_JSON},      {"jsonb", POSTGRES_VALUE_JSON},       {"bytea", POSTGRES_VALUE_BYTES},
        {"timestamp", POSTGRES_VALUE_TIME}, {"timestamptz", POSTGRES_VALUE_TIME}, {"bool", POSTGRES_VALUE_BOOL},
    };
    for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++) {
        if (strcmp(type, by_name[i].type) == 0) {
            return by_name[i].kind;
        }
    }
    return category == 'N'   ? POSTGRES_VALUE_NUMBER
           : category == 'S' ? POSTGRES_VALUE_TEXT
           : category == 'A' ? POSTGRES_VALUE_ARRAY
                             : POSTGRES_VALUE_OTHER;
}

static void add_column(struct postgres_table *table, const PGresult *result, int row)
{
    table->columns = memory_grow(table->columns, table->count, &table->capacity, sizeof(*table->columns));
    table->columns[table->count++] = (struct postgres_column){
        .name = memory_copy_text(PQgetvalue(result, row, 0)),
        .type = memory_copy_text(PQgetvalue(result, row, 1)),
        .cast = memory_copy_text(PQgetvalue(result, row, 2)),
        .kind = kind_of(PQgetvalue(result, row, 3), PQgetvalue(result, row, 4)[0]),
        .binary = PQgetvalue(result, row, 8)[0] == 't' ? postgres_binary_find(PQgetvalue(result, row, 3)) : NULL,
        .required = PQgetvalue(result, row, 9)[0] == 't',
        .defaulted = PQgetvalue(result, row, 5)[0] == 't',
        .generated = PQgetvalue(result, row, 6)[0] == 't',
        .size = atoi(PQgetvalue(result, row, 7)),
    };
}

static int load_columns(struct postgres_table *table, PGconn *connection, const char *const *name, struct err *err)
{
    PGresult *result = postgres_connection_query_params(connection, columns_sql, 1, name, "the table's columns", err);
    for (int i = 0; i < PQntuples(result); i++) {
        add_column(table, result, i);
    }
    PQclear(result);
    return result ? 0 : -1;
}

static int load_key(struct postgres_table *table, PGconn *connection, const char *const *name, struct err *err)
{
    PGresult *result = postgres_connection_query_params(connection, key_sql, 1, name, "the table's primary key", err);
    for (int i = 0; i < PQntuples(result); i++) {
        option_list_add(&table->primary_key, PQgetvalue(result, i, 0));
    }
    PQclear(result);
    return result ? 0 : -1;
}

int postgres_table_load(struct postgres_table *table, PGconn *connection, const char *name, struct err *err)
{
    postgres_table_free(table);
    struct bytes quoted = {0};
    postgres_connection_quote_table(&quoted, name);
    const char *values[] = {bytes_text(&quoted)};
    PGresult *result = postgres_connection_query_params(connection, "SELECT to_regclass($1) IS NOT NULL", 1, values,
                                                        "looking for the table", err);
    int status = result ? 0 : -1;
    table->exists = result && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    if (table->exists) {
        status = load_columns(table, connection, values, err) || load_key(table, connection, values, err) ? -1 : 0;
    }
    bytes_free(&quoted);
    return status;
}

static bool has_name(const struct postgres_column *column, struct slice name)
{
    return strncmp(column->name, (const char *)name.data, name.size) == 0 && column->name[name.size] == 0;
}

size_t postgres_table_find_from(const struct postgres_table *table, size_t first, struct slice name)
{
    for (size_t i = 0; i < table->count; i++) {
        size_t column = first + i < table->count ? first + i : first + i - table->count;
        if (has_name(&table->columns[column], name)) {
            return column;
        }
    }
    return SIZE_MAX;
}

size_t postgres_table_find(const struct postgres_table *table, struct slice name)
{
    return postgres_table_find_from(table, 0, name);
}

/* ---- new columns ---- */

struct new_column {
    struct slice name;
    enum rows_kind kind;
};

struct new_columns {
    struct new_column *list;
    size_t count;
    size_t capacity;
};

/* The kind whose type takes values of both. */
static enum rows_kind common_kind(enum rows_kind a, enum rows_kind b)
{
    bool numbers = (a == ROWS_INTEGER || a == ROWS_REAL) && (b == ROWS_INTEGER || b == ROWS_REAL);
    return a == b || b == ROWS_NULL ? a : a == ROWS_NULL ? b : numbers ? ROWS_REAL : ROWS_NESTED;
}

static void note_field(struct new_columns *columns, const struct rows_field *field)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (slice_equal(columns->list[i].name, field->name)) {
            columns->list[i].kind = common_kind(columns->list[i].kind, field->kind);
            return;
        }
    }
    columns->list = memory_grow(columns->list, columns->count, &columns->capacity, sizeof(*columns->list));
    columns->list[columns->count++] = (struct new_column){field->name, field->kind};
}

bool postgres_table_lacks(const struct postgres_table *table, const struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        size_t column = 0;
        for (size_t j = 0; j < rows->list[i].count; j++) {
            const struct rows_field *field = &rows->list[i].fields[j];
            size_t found = postgres_table_find_from(table, column, field->name);
            if (found == SIZE_MAX && field->kind != ROWS_NULL) {
                return true;
            }
            column = found == SIZE_MAX ? column : found + 1;
        }
    }
    return false;
}

static void collect_new(const struct postgres_table *table, const struct rows *rows, struct new_columns *columns)
{
    for (size_t i = 0; i < rows->count; i++) {
        for (size_t j = 0; j < rows->list[i].count; j++) {
            const struct rows_field *field = &rows->list[i].fields[j];
            if (postgres_table_find(table, field->name) == SIZE_MAX) {
                note_field(columns, field);
            }
        }
    }
}

/* Appends "name type" for each column that has a type, `before` in front of each, commas between. */
static void append_definitions(struct bytes *sql, const struct new_columns *columns, const char *before)
{
    static const char *const types[] = {
        [ROWS_BOOL] = "boolean", [ROWS_INTEGER] = "bigint", [ROWS_REAL] = "double precision",
        [ROWS_STRING] = "text",  [ROWS_NESTED] = "jsonb",
    };
    const char *comma = "";
    for (size_t i = 0; i < columns->count; i++) {
        if (columns->list[i].kind != ROWS_NULL) {
            bytes_append_format(sql, "%s%s", comma, before);
            comma = ", ";
            postgres_connection_quote(sql, columns->list[i].name);
            bytes_append_format(sql, " %s", types[columns->list[i].kind]);
        }
    }
}

static void append_key(struct bytes *sql, const struct rows *rows, size_t key_columns)
{
    for (size_t i = 0; i < key_columns; i++) {
        bytes_append_text(sql, i ? ", " : ", PRIMARY KEY (");
        postgres_connection_quote(sql, rows->list[0].fields[i].name);
    }
    bytes_append_text(sql, key_columns ? ")" : "");
}

int postgres_table_extend(const struct postgres_table *table, PGconn *connection, const char *name,
                          const struct rows *rows, size_t key_columns, struct err *err)
{
    struct new_columns columns = {0};
    struct bytes sql = {0};
    collect_new(table, rows, &columns);
    /* Tasks take turns: two that make the same table at once fail in the catalog. */
    bytes_append_text(&sql, "SELECT pg_advisory_xact_lock(hashtext('tidemill tables')); ");
    bytes_append_text(&sql, table->exists ? "ALTER TABLE " : "CREATE TABLE IF NOT EXISTS ");
    postgres_connection_quote_table(&sql, name);
    bytes_append_text(&sql, table->exists ? " " : " (");
    append_definitions(&sql, &columns, table->exists ? "ADD COLUMN IF NOT EXISTS " : "");
    if (!table->exists) {
        append_key(&sql, rows, key_columns);
        bytes_append_byte(&sql, ')');
    }
    int status = postgres_connection_run(connection, bytes_text(&sql),
                                         table->exists ? "adding columns" : "making the table", err);
    bytes_free(&sql);
    free(columns.list);
    return status;
}
