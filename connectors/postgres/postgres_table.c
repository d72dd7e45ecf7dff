#include "connectors/postgres/postgres_table.h"

#include "base/json.h"
#include "base/memory.h"

#include <stdlib.h>

/* Values of a domain are cast to its base type, since an explicit cast to the domain would cut what is too long. */
static const char columns_sql[] =
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(b.oid, -1), b.typname, b.typcategory,"
    " t.typtype = 'd' OR a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a', b.typlen,"
    " b.typnamespace = 'pg_catalog'::regnamespace,"
    " (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL,"
    " (a.attnotnull OR t.typnotnull) AND b.oid IN ('json'::regtype, 'jsonb'::regtype)"
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN LATERAL (WITH RECURSIVE base AS ("
    " SELECT t.oid, t.typtype, t.typbasetype UNION ALL SELECT p.oid, p.typtype, p.typbasetype"
    " FROM base JOIN pg_type p ON p.oid = base.typbasetype) SELECT oid FROM base WHERE typtype <> 'd') AS d ON true"
    " JOIN pg_type b ON b.oid = d.oid"
    " WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
static const char key_sql[] =
    "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY k.place";

/* Every change of a column leaves a later transaction's number in its row of the catalog. */
#define VERSION                                                                                                        \
    "SELECT concat(sum(xmin::text::bigint), ' ', min(attrelid::bigint)) AS version FROM pg_attribute"                  \
    " WHERE attrelid = $1::text::regclass AND attnum > 0"
static const char version_sql[] = VERSION;
/* A conversion that fails, with a text for the server's log, when the version is another one. */
static const char check_sql[] =
    "SELECT CASE version WHEN $2 THEN 1 ELSE"
    " ('columns of the table have changed: ' || version)::int END FROM (" VERSION ") AS now";
static const char checking[] = "looking whether the columns have changed";

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
    free(table->version);
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
        .json_null = PQgetvalue(result, row, 10)[0] == 't',
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

static int load_version(struct postgres_table *table, PGconn *connection, const char *const *name, struct err *err)
{
    PGresult *result =
        postgres_connection_query_params(connection, version_sql, 1, name, "the version of the table's columns", err);
    table->version = result ? memory_copy_text(PQgetvalue(result, 0, 0)) : NULL;
    PQclear(result);
    return result ? 0 : -1;
}

int postgres_table_send_check(const struct postgres_table *table, struct postgres_pipeline *pipeline, const char *name,
                              struct err *err)
{
    struct bytes quoted = {0};
    postgres_connection_quote_table(&quoted, name);
    const struct slice values[] = {slice_text(bytes_text(&quoted)), slice_text(table->version)};
    const struct postgres_parameters parameters = {.count = 2, .values = values};
    int status = postgres_pipeline_send(pipeline, check_sql, &parameters, checking, err);
    bytes_free(&quoted);
    return status;
}

bool postgres_table_has_changed(const char *failed, const struct err *err)
{
    return failed == checking && err->class == ERR_SKIP;
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
        status = load_version(table, connection, values, err) || load_columns(table, connection, values, err) ||
                         load_key(table, connection, values, err)
                     ? -1
                     : 0;
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

/* Types of new columns. Numbers keep all their digits: integers beyond 2^53 don't become a double. */
enum new_type { NEW_NONE, NEW_BOOL, NEW_INTEGER, NEW_LONG, NEW_REAL, NEW_NUMERIC, NEW_TEXT, NEW_JSON };
static const char *const new_types[] = {
    [NEW_BOOL] = "boolean",    [NEW_INTEGER] = "bigint", [NEW_LONG] = "bigint", [NEW_REAL] = "double precision",
    [NEW_NUMERIC] = "numeric", [NEW_TEXT] = "text",      [NEW_JSON] = "jsonb",
};
#define EXACT_INTEGER (INT64_C(1) << 53)

struct new_column {
    struct slice name;
    enum new_type type;
};

struct new_columns {
    struct new_column *list;
    size_t count;
    size_t capacity;
};

static bool is_integer(struct slice number)
{
    size_t at = number.data[0] == '-';
    while (at < number.size && number.data[at] >= '0' && number.data[at] <= '9') {
        at++;
    }
    return at == number.size;
}

static enum new_type type_of(const struct rows_field *field)
{
    int64_t integer;
    double real;
    switch (field->kind) {
    case ROWS_BOOL:
        return NEW_BOOL;
    case ROWS_INTEGER:
        return json_number(field->text, &integer, &real) && integer >= -EXACT_INTEGER && integer <= EXACT_INTEGER
                   ? NEW_INTEGER
                   : NEW_LONG;
    case ROWS_REAL:
        return is_integer(field->text) ? NEW_NUMERIC : NEW_REAL;
    case ROWS_STRING:
        return NEW_TEXT;
    case ROWS_NESTED:
        return NEW_JSON;
    default:
        return NEW_NONE;
    }
}

static bool is_number(enum new_type type)
{
    return type >= NEW_INTEGER && type <= NEW_NUMERIC;
}

/* What takes values of both. */
static enum new_type common_type(enum new_type a, enum new_type b)
{
    enum new_type low = a < b ? a : b, high = a < b ? b : a;
    if (low == high || low == NEW_NONE) {
        return high;
    }
    if (is_number(low) && is_number(high)) {
        return low == NEW_LONG ? NEW_NUMERIC : high;
    }
    return NEW_JSON;
}

static void note_field(struct new_columns *columns, const struct rows_field *field)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (slice_equal(columns->list[i].name, field->name)) {
            columns->list[i].type = common_type(columns->list[i].type, type_of(field));
            return;
        }
    }
    columns->list = memory_grow(columns->list, columns->count, &columns->capacity, sizeof(*columns->list));
    columns->list[columns->count++] = (struct new_column){field->name, type_of(field)};
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
    const char *comma = "";
    for (size_t i = 0; i < columns->count; i++) {
        if (columns->list[i].type != NEW_NONE) {
            bytes_append_format(sql, "%s%s", comma, before);
            comma = ", ";
            postgres_connection_quote(sql, columns->list[i].name);
            bytes_append_format(sql, " %s", new_types[columns->list[i].type]);
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
