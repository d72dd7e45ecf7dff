/* The statements that write rows into a table: whole sets of rows, one array per column, or COPY. They run inside the
 * caller's transaction.
 *
 * Ownership: everything is borrowed for the call.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_WRITE_H
#define TIDEMILL_CONNECTORS_POSTGRES_WRITE_H

#include "connectors/postgres/postgres_table.h"

struct postgres_write {
    PGconn *connection;
    const char *table_name;
    const struct postgres_table *table;
    const struct option_list *key; /* names of the key columns, which are each row's first fields */
    const struct rows *rows;
    bool skip_null; /* a null for a column that is not there (yet) is no error */
    size_t *bad;    /* index of the bad record, when it is known */
};

/* Deletes the keys of tombstones and of rows that replace an older one. */
int postgres_write_delete(const struct postgres_write *write, struct err *err);
/* Rows that are no tombstones, at most one per key: inserts or updates the columns that each has. */
int postgres_write_upsert(const struct postgres_write *write, struct err *err);
/* The same for rows whose key is there; the others are passed over. */
int postgres_write_update(const struct postgres_write *write, struct err *err);
/* Appends all rows in their order. */
int postgres_write_copy(const struct postgres_write *write, struct err *err);

#endif
