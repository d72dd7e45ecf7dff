/* Rows of SQLite as change events and their keys.
 *
 * Ownership: a struct sqlite_changes owns its memory; it starts as zeroes. Statements and shapes are borrowed; a
 * shape's table name must live as long as the records.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_CHANGE_H
#define TIDEMILL_CONNECTORS_SQLITE_CHANGE_H

#include "connectors/envelope.h"
#include "connectors/pieces.h"
#include "connectors/sqlite/sqlite_shape.h"

struct sqlite_changes {
    bool tombstones; /* a delete is followed by one */
    struct pieces pieces;
    struct envelope_field *fields;
    size_t field_capacity;
};

/* Where events come from. */
struct sqlite_origin {
    const char *path;
    const char *topic; /* the table as the options name it */
    int64_t seq;       /* in the change log */
    int64_t time_ms;
    bool snapshot;
};

/* A row of values in a statement's result, the first of them at `first`; with a rowid before it when the table has. */
struct sqlite_row {
    sqlite3_stmt *statement;
    int first;
    const struct sqlite_shape *shape;
};

/* Texts and blobs point into the statement's row. */
struct envelope_value sqlite_change_value(sqlite3_stmt *statement, int column);
/* Whether the keys of two rows of one shape are the same, as they are stored. */
bool sqlite_change_same_key(const struct sqlite_row *a, const struct sqlite_row *b);
/* One event of op c, u, d or r. NULL: no such row. */
void sqlite_change_add(struct sqlite_changes *changes, char op, const struct sqlite_row *before,
                       const struct sqlite_row *after, const struct sqlite_origin *origin);
void sqlite_change_free(struct sqlite_changes *changes);

#endif
