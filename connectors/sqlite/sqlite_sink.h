/* The SQLite sink: a topic's records as rows of a table, each batch in one transaction with the position in the topic.
 *
 * Ownership: static tables only. The position stands in the table _tidemill_offsets of the same file, which is made
 * when it is missing: what moves it from an unexpected place is another writer, and nothing is written.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_SQLITE_SINK_H
#define TIDEMILL_CONNECTORS_SQLITE_SQLITE_SINK_H

#include "engine/connector.h"

extern const struct sink_class sqlite_sink;

#endif
