/* The statements that write whole sets of rows, one array per column. Pure.
 *
 * Ownership: everything is borrowed for the call; SQL is appended to the caller's bytes.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_STATEMENT_H
#define TIDEMILL_CONNECTORS_POSTGRES_STATEMENT_H

#include "connectors/postgres/postgres_cells.h"

struct postgres_target {
    const char *table_name;
    const struct postgres_table *table;
    const struct option_list *key; /* names of the key columns, which are each row's first fields */
};

/* `forms`: by column of the table, as in struct postgres_cells. The parameters are the arrays of the columns that have
 * a form, in their order. */
typedef void postgres_statement_form(struct bytes *sql, const struct postgres_target *target,
                                     const unsigned char *forms);

/* Rows of keys that are deleted. */
postgres_statement_form postgres_statement_delete;
/* Inserts, or updates the columns that the rows have. Of rows that can't be inserted (postgres_statement_is_partial)
 * only those whose key is not there: for the others postgres_statement_update goes before. */
postgres_statement_form postgres_statement_upsert;
/* Updates; appends nothing when the rows have key columns only. */
postgres_statement_form postgres_statement_update;
/* COPY in text when a column is. */
postgres_statement_form postgres_statement_copy;

/* Whether rows of these columns lack one that must not be null: the server refuses to insert them, even those that
 * would only update. */
bool postgres_statement_is_partial(const struct postgres_target *target, const unsigned char *forms);

#endif
