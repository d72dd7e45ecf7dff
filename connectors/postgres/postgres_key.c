#include "connectors/postgres/postgres_key.h"

#include "base/json_write.h"

#include <stdlib.h>

/* A key with a generated column is none: the stream does not have it. */
#define KEY_SQL                                                                                                        \
    "SELECT a.attname, format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) || CASE WHEN o.oid IS NULL "   \
    "THEN '' ELSE format(' COLLATE %I.%I', n.nspname, o.collname) END, bool_or(a.attgenerated <> '') OVER () "         \
    "FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident "  \
    "ELSE i.indisprimary END CROSS JOIN unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, "    \
    "place) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum LEFT JOIN pg_collation o ON o.oid = "    \
    "a.attcollation AND o.collname <> 'default' LEFT JOIN pg_namespace n ON n.oid = o.collnamespace "                  \
    "WHERE c.oid = $1::regclass ORDER BY k.place"

int postgres_key_load(struct postgres_key *key, PGconn *connection, const char *table, struct err *err)
{
    postgres_key_free(key);
    PGresult *result = postgres_connection_query_params(connection, KEY_SQL, 1, &table, "reading a table's key", err);
    if (!result) {
        return -1;
    }
    int count = PQntuples(result) > 0 && PQgetvalue(result, 0, 2)[0] == 't' ? 0 : PQntuples(result);
    for (int row = 0; row < count; row++) {
        const char *between = row > 0 ? ", " : "";
        option_list_add(&key->names, PQgetvalue(result, row, 0));
        bytes_append_text(&key->columns, between);
        postgres_connection_quote(&key->columns, slice_text(PQgetvalue(result, row, 0)));
        bytes_append_format(&key->definition, "%s%s", between, PQgetvalue(result, row, 1));
    }
    PQclear(result);
    return 0;
}

static const struct pgoutput_value *find_value(const struct postgres_table *table, const struct pgoutput_row *row,
                                               const char *name)
{
    for (size_t i = 0; i < table->count && i < row->count; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            return &row->values[i];
        }
    }
    return NULL;
}

bool postgres_key_write(const struct postgres_key *key, const struct postgres_table *table,
                        const struct pgoutput_row *row, struct bytes *out)
{
    bytes_clear(out);
    struct json_writer writer = json_writer(out);
    bool complete = key->names.count > 0;
    json_begin_object(&writer);
    for (size_t i = 0; complete && i < key->names.count; i++) {
        const struct pgoutput_value *value = find_value(table, row, key->names.items[i]);
        complete = value && value->kind == PGOUTPUT_TEXT;
        if (complete) {
            json_name(&writer, slice_text(key->names.items[i]));
            json_string(&writer, value->data);
        }
    }
    json_end_object(&writer);
    if (!complete) {
        bytes_clear(out);
    }
    return complete;
}

static void append_last(const struct postgres_key *key, struct bytes *sql)
{
    bytes_append_slice(sql, bytes_slice(&key->columns));
    bytes_append_text(sql, " FROM jsonb_to_record(");
}

void postgres_key_append_order(const struct postgres_key *key, struct slice last, struct bytes *sql)
{
    if (key->names.count == 0) {
        return;
    }
    if (last.size > 0) {
        bytes_append_text(sql, " WHERE (");
        bytes_append_slice(sql, bytes_slice(&key->columns));
        bytes_append_text(sql, ") > (SELECT ");
        append_last(key, sql);
        postgres_connection_quote_text(sql, last);
        bytes_append_text(sql, ") AS last_row(");
        bytes_append_slice(sql, bytes_slice(&key->definition));
        bytes_append_text(sql, "))");
    }
    bytes_append_text(sql, " ORDER BY ");
    bytes_append_slice(sql, bytes_slice(&key->columns));
}

/* SELECT (SELECT ROW(..) of $1) <= (SELECT ROW(..) of $2), the columns with their types and collations. */
int postgres_key_reached(const struct postgres_key *key, PGconn *connection, struct slice row, struct slice last,
                         bool *reached, struct err *err)
{
    struct bytes sql = {0}, first = {0}, second = {0};
    bytes_append_slice(&first, row);
    bytes_append_slice(&second, last);
    const char *values[] = {bytes_text(&first), bytes_text(&second)};
    bytes_append_text(&sql, "SELECT (");
    bytes_append_slice(&sql, bytes_slice(&key->columns));
    bytes_append_text(&sql, ") <= (SELECT ");
    append_last(key, &sql);
    bytes_append_text(&sql, "$2::jsonb) AS last_row(");
    bytes_append_slice(&sql, bytes_slice(&key->definition));
    bytes_append_text(&sql, ")) FROM jsonb_to_record($1::jsonb) AS this_row(");
    bytes_append_slice(&sql, bytes_slice(&key->definition));
    bytes_append_text(&sql, ")");
    PGresult *result =
        postgres_connection_query_params(connection, bytes_text(&sql), 2, values, "comparing two keys", err);
    *reached = result && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    bytes_free(&sql);
    bytes_free(&first);
    bytes_free(&second);
    return result ? 0 : -1;
}

void postgres_key_free(struct postgres_key *key)
{
    for (size_t i = 0; i < key->names.count; i++) {
        free(key->names.items[i]);
    }
    free(key->names.items);
    bytes_free(&key->columns);
    bytes_free(&key->definition);
    *key = (struct postgres_key){0};
}
