#include "connectors/postgres/postgres_catalog.h"

#include <stdio.h>
#include <stdlib.h>

int postgres_catalog_find_key(PGconn *control, struct postgres_table *table, struct err *err)
{
    char oid[16];
    const char *value = oid;
    snprintf(oid, sizeof(oid), "%u", table->oid);
    PGresult *result = postgres_connection_query_params(
        control,
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = "
        "ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) "
        "WHERE i.indisprimary AND i.indrelid = $1::oid",
        1, &value, "reading a primary key", err);
    for (size_t i = 0; result && i < table->count; i++) {
        table->columns[i].key = false;
        for (int row = 0; row < PQntuples(result); row++) {
            table->columns[i].key |= strcmp(PQgetvalue(result, row, 0), table->columns[i].name) == 0;
        }
    }
    PQclear(result);
    return result ? 0 : -1;
}

static bool has_own_types(const struct postgres_table *table)
{
    bool found = false;
    for (size_t i = 0; i < table->count; i++) {
        found |= table->columns[i].type >= POSTGRES_TYPE_FIRST_OWN;
    }
    return found;
}

/* Domains lead to their base, arrays of domains to the base's array, other arrays of users' types to text[] (1009). */
#define TYPES_SQL                                                                                                      \
    "WITH RECURSIVE b(given, is_array, oid) AS (SELECT oid, typelem <> 0 AND typtype = 'b' AND typcategory = 'A', "    \
    "CASE WHEN typelem <> 0 AND typtype = 'b' AND typcategory = 'A' THEN typelem ELSE oid END FROM pg_type WHERE oid " \
    "= ANY ($1::oid[]) UNION ALL SELECT b.given, b.is_array, t.typbasetype FROM b JOIN pg_type t ON t.oid = b.oid "    \
    "WHERE t.typtype = 'd') SELECT b.given, CASE WHEN NOT b.is_array THEN t.oid WHEN t.oid < 16384 AND t.typarray <> " \
    "0 THEN t.typarray ELSE 1009 END FROM b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd'"

int postgres_catalog_resolve(PGconn *control, struct postgres_table *table, struct err *err)
{
    if (!has_own_types(table)) {
        return 0;
    }
    struct bytes list = {0};
    for (size_t i = 0; i < table->count; i++) {
        bytes_append_format(&list, "%s%u", i > 0 ? "," : "{", table->columns[i].type);
    }
    bytes_append_byte(&list, '}');
    const char *value = bytes_text(&list);
    PGresult *result = postgres_connection_query_params(control, TYPES_SQL, 1, &value, "reading types", err);
    for (int row = 0; result && row < PQntuples(result); row++) {
        uint32_t given = (uint32_t)strtoul(PQgetvalue(result, row, 0), NULL, 10);
        uint32_t type = (uint32_t)strtoul(PQgetvalue(result, row, 1), NULL, 10);
        for (size_t i = 0; i < table->count; i++) {
            if (table->columns[i].type == given) {
                table->columns[i].type = type;
                table->columns[i].element = postgres_type_element(type);
            }
        }
    }
    PQclear(result);
    bytes_free(&list);
    return result ? 0 : -1;
}
