/* The table that a sink writes into: its columns from the catalog, made and widened on request.
 *
 * Ownership: a struct postgres_table owns what it holds; it starts as zeroes and ends with postgres_table_free.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_TABLE_H
#define TIDEMILL_CONNECTORS_POSTGRES_TABLE_H

#include "connectors/postgres/postgres_pipeline.h"
#include "connectors/postgres/postgres_value.h"

struct postgres_table {
    bool exists;
    struct postgres_column *columns;
    size_t count;
    size_t capacity;
    struct option_list primary_key; /* names, in the key's order */
    char *version;                  /* changes when a column is changed */
};

/* Reads the catalog, replacing what was known; a table that is not there is no error. */
int postgres_table_load(struct postgres_table *table, PGconn *connection, const char *name, struct err *err);
/* Sends a statement that fails when the columns are not what they were when they were read: values would be changed on
 * their way to another type. */
int postgres_table_send_check(const struct postgres_table *table, struct postgres_pipeline *pipeline, const char *name,
                              struct err *err);
/* Whether a pipeline that failed at `failed` with that error did so for this reason. */
bool postgres_table_has_changed(const char *failed, const struct err *err);
/* Index of the column, or SIZE_MAX. */
size_t postgres_table_find(const struct postgres_table *table, struct slice name);
/* The same, looking at the columns from `first` on at first. */
size_t postgres_table_find_from(const struct postgres_table *table, size_t first, struct slice name);
/* Whether a row has a field that is not null and no column. */
bool postgres_table_lacks(const struct postgres_table *table, const struct rows *rows);
/* Makes the table with the key columns as primary key, or adds the columns that the rows have and it has not; types by
 * the rows' values: bigint, double precision, numeric for integers that neither holds, boolean, text, jsonb. Columns
 * that are null in all rows wait. The caller loads again. */
int postgres_table_extend(const struct postgres_table *table, PGconn *connection, const char *name,
                          const struct rows *rows, size_t key_columns, struct err *err);
void postgres_table_free(struct postgres_table *table);

#endif
