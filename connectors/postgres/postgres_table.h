/* The table that a sink writes into: its columns from the catalog, made and widened on request.
 *
 * Ownership: a struct postgres_table owns what it holds; it starts as zeroes and ends with postgres_table_free.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_TABLE_H
#define TIDEMILL_CONNECTORS_POSTGRES_TABLE_H

#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_value.h"

struct postgres_table {
    bool exists;
    struct postgres_column *columns;
    size_t count;
    size_t capacity;
    struct option_list primary_key; /* names, in the key's order */
};

/* Reads the catalog, replacing what was known; a table that is not there is no error. */
int postgres_table_load(struct postgres_table *table, PGconn *connection, const char *name, struct err *err);
/* Index of the column, or SIZE_MAX. */
size_t postgres_table_find(const struct postgres_table *table, struct slice name);
/* Makes the table with the key columns as primary key, or adds the columns that the rows have and it has not; types by
 * the rows' values: bigint, double precision, boolean, text, jsonb. Columns that are null in all rows wait. The caller
 * loads again. `changed`: whether there was something to do. */
int postgres_table_extend(const struct postgres_table *table, PGconn *connection, const char *name,
                          const struct rows *rows, size_t key_columns, bool *changed, struct err *err);
void postgres_table_free(struct postgres_table *table);

#endif
