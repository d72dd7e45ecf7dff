/* A watched table as its triggers know it: which columns a row of the change log has.
 *
 * Ownership: a shape owns its names and ends with sqlite_shape_free.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_SHAPE_H
#define TIDEMILL_CONNECTORS_SQLITE_SHAPE_H

#include "connectors/sqlite/sqlite_db.h"

struct sqlite_shape_column {
    char *name;
    int key; /* its place in the primary key, from 1; 0: not in it */
};

struct sqlite_shape {
    int64_t id;         /* in the log; 0: not there yet */
    int64_t generation; /* the first shape of this table since it was made or watched */
    char *table;
    char *rowid;    /* what rowid can be called; NULL: the table has none */
    bool renumbers; /* VACUUM may change the rowids */
    struct sqlite_shape_column *columns;
    size_t count;
    size_t capacity;
    size_t keys; /* how many are in the primary key */
};

/* As the catalog has it. ERR_FATAL: there is no such table, or it is none whose changes can be seen. NULL: failed. */
struct sqlite_shape *sqlite_shape_of_table(struct sqlite_db *db, const char *table, struct err *err);
/* From the text that sqlite_shape_write made, or NULL. */
struct sqlite_shape *sqlite_shape_read(const char *table, struct slice text);
void sqlite_shape_write(const struct sqlite_shape *shape, struct bytes *out); /* without id, generation and table */
void sqlite_shape_free(struct sqlite_shape *shape);

/* How many values a row has in the log. */
size_t sqlite_shape_width(const struct sqlite_shape *shape);
/* Index of the column that stands at that place of the primary key, from 1. */
size_t sqlite_shape_key(const struct sqlite_shape *shape, int place);
/* Appends the row's values, separated by commas, each behind that prefix: "NEW." or "". */
void sqlite_shape_values(const struct sqlite_shape *shape, const char *prefix, struct bytes *sql);

#endif
