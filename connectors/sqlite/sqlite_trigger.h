/* The triggers that fill a change log (sqlite_log.h has their names and what they write).
 *
 * Ownership: nothing is kept; the log is borrowed for the call. All calls expect an open transaction.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_TRIGGER_H
#define TIDEMILL_CONNECTORS_SQLITE_TRIGGER_H

#include "connectors/sqlite/sqlite_log.h"

/* Milliseconds since 1970; "now" is the same for all rows of a statement. */
#define SQLITE_TRIGGER_NOW "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"

/* Removes those of tables that are not watched, or whose table was renamed. */
int sqlite_trigger_drop_strangers(struct sqlite_log *log, struct err *err);
/* *all: the table has its three. */
int sqlite_trigger_present(struct sqlite_log *log, const char *table, bool *all, struct err *err);
/* Makes or replaces the three of a table. */
int sqlite_trigger_make(struct sqlite_log *log, const struct sqlite_shape *shape, struct err *err);
/* Appends ", c0, c1, ..", the log's columns of so many values. */
void sqlite_trigger_places(size_t count, struct bytes *sql);

#endif
