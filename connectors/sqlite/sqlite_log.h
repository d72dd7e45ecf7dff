/* The change log that a SQLite source keeps in the database it watches: filled by triggers, emptied as what was read is
 * committed.
 *
 * For application APP and source NAME there are the table "_tidemill_log:APP:NAME" with a row for each change, in the
 * order of commits since SQLite has one writer, the table "_tidemill_tables:APP:NAME" that says what its columns are,
 * and for each watched table the triggers "_tidemill_trigger:APP:NAME:TABLE:insert", ..:update and ..:delete. Dropping
 * these removes the log without a trace.
 * A row of the log is seq, shape, op (c u d, r: read again), ts (ms) and the values as they were stored: the old row
 * (u, d), or the new one (c, r); of u the new one behind the old one. Before each row stands its rowid, where there is
 * one.
 *
 * Ownership: a struct sqlite_log owns its names and shapes until sqlite_log_close; database and options are borrowed.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_LOG_H
#define TIDEMILL_CONNECTORS_SQLITE_LOG_H

#include "connectors/sqlite/sqlite_position.h"
#include "connectors/sqlite/sqlite_shape.h"

#define SQLITE_LOG_VALUES 4 /* index of the first value in a row of the log */

struct sqlite_log {
    struct sqlite_db *db;
    const struct option_list *tables;
    bool snapshot;        /* tables that are new to the position are to be read */
    char *trigger_prefix; /* not quoted */
    char *log;            /* quoted, as are.. */
    char *shapes_table;
    struct sqlite_shape **shapes;
    size_t count;
    size_t capacity;
};

void sqlite_log_init(struct sqlite_log *log, struct sqlite_db *db, const struct option_list *tables);
/* Makes what is missing or no longer fits the tables, in one transaction, and goes on from the position: tables that
 * it does not know yet become pending there. A position without a log begins a new one. ERR_FATAL: a table is missing,
 * or the log is not the one of the position, or lacks what was not read. */
int sqlite_log_install(struct sqlite_log *log, struct sqlite_position *position, struct err *err);
/* NULL: not known. */
const struct sqlite_shape *sqlite_log_shape(const struct sqlite_log *log, int64_t id);
/* The shape that the table has now. */
const struct sqlite_shape *sqlite_log_current(const struct sqlite_log *log, const char *table);
/* A number that SQL gives; of a PRAGMA too. */
int sqlite_log_number(struct sqlite_db *db, const char *sql, int64_t *number, struct err *err);
/* Removes what was read up to `seq`, but for the last row, whose number the next one follows. */
int sqlite_log_trim(struct sqlite_log *log, int64_t seq, struct err *err);
void sqlite_log_close(struct sqlite_log *log);

#endif
