/* Sets of rows into a table, one array per column, through a pipeline.
 *
 * Ownership: a writer owns its memory and borrows pipeline, table, key and the rest of its target; it starts as zeroes,
 * is told by postgres_write_target when the table has been read again, and ends with postgres_write_free.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_WRITE_H
#define TIDEMILL_CONNECTORS_POSTGRES_WRITE_H

#include "connectors/postgres/postgres_pipeline.h"
#include "connectors/postgres/postgres_statement.h"

struct postgres_group;

struct postgres_writer {
    struct postgres_pipeline pipeline;
    struct postgres_target target;
    struct postgres_cells cells;
    struct postgres_group *groups; /* rows with the same columns in the same forms */
    struct bytes sql;
};

void postgres_write_target(struct postgres_writer *writer, const struct postgres_target *target, bool skip_null);

/* All three send and don't wait. ERR_SKIP sets *bad to the index of the record. */

/* Deletes the keys of tombstones and of rows that replace an older one. */
int postgres_write_delete(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err);
/* Rows that are no tombstones, at most one per key: inserts or updates the columns that each has. */
int postgres_write_upsert(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err);
/* The same for rows whose key is there; the others are passed over. */
int postgres_write_update(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err);

void postgres_write_free(struct postgres_writer *writer);

#endif
