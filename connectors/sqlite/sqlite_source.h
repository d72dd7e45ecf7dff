/* SQLite as a source: every change of some tables of a file, after a snapshot of their rows.
 *
 * Values are Debezium's envelopes (connectors/envelope.h), keys the primary keys as JSON objects, or {"rowid":N}.
 * Triggers fill a change log in the file itself (sqlite_log.h). The snapshot reads the tables by key, a batch at a
 * time, and hands out between the batches the changes of what lies behind it: each row comes once, and then its
 * changes, however often reading is interrupted, and no transaction stays open.
 * Ownership: static tables only.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_SOURCE_H
#define TIDEMILL_CONNECTORS_SQLITE_SOURCE_H

#include "engine/connector.h"

extern const struct source_class sqlite_source;

#endif
