/* Reading a watched table by its key, a batch at a time, and telling which changes lie behind what was read.
 *
 * Ownership: a struct sqlite_snapshot owns its statements until sqlite_snapshot_end; it starts as zeroes. The position
 * is borrowed and moves on with what is read.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_SNAPSHOT_H
#define TIDEMILL_CONNECTORS_SQLITE_SNAPSHOT_H

#include "connectors/sqlite/sqlite_change.h"
#include "connectors/sqlite/sqlite_position.h"

struct sqlite_snapshot {
    struct sqlite_db *db;
    const struct sqlite_shape *shape; /* NULL: none is under way */
    struct sqlite_position *position;
    sqlite3_stmt *first, *next; /* rows from the start, and behind a key */
    sqlite3_stmt *behind;       /* whether a key is not above another */
    int64_t rowid;              /* of the last row read */
    int64_t total;              /* about how many rows there are; 0: not known */
};

/* Goes to where the position is in this table. */
int sqlite_snapshot_begin(struct sqlite_snapshot *snapshot, struct sqlite_db *db, const struct sqlite_shape *shape,
                          struct sqlite_position *position, struct err *err);
/* Adds rows until the batch is full; *done: that was the last. Expects an open transaction, in which the change log was
 * read to its end. */
int sqlite_snapshot_read(struct sqlite_snapshot *snapshot, struct sqlite_changes *changes,
                         const struct sqlite_origin *origin, bool *done, struct err *err);
/* Whether the row's key was passed already: 1, 0, or -1. */
int sqlite_snapshot_passed(struct sqlite_snapshot *snapshot, const struct sqlite_row *row, struct err *err);
void sqlite_snapshot_end(struct sqlite_snapshot *snapshot);

#endif
