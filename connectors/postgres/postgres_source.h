/* PostgreSQL as a source: every change of some tables, by logical decoding, after a snapshot of their rows.
 *
 * Values are Debezium's envelopes (connectors/envelope.h), keys the primary keys as JSON objects. A snapshot that was
 * interrupted goes on behind the last row that was kept (postgres_snapshot.h).
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_SOURCE_H
#define TIDEMILL_CONNECTORS_POSTGRES_SOURCE_H

#include "connectors/postgres/postgres_options.h"

extern const struct source_class postgres_source_class;

#endif
