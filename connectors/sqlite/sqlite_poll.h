/* Polling a table of a SQLite file, which is only read: new rows by their rowid or id, or changed ones by a time.
 *
 * SQLite has one writer at a time, so that rowids which it gives itself come in the order of commits and none is passed
 * over. Ownership: static tables only.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_POLL_H
#define TIDEMILL_CONNECTORS_SQLITE_POLL_H

#include "engine/connector.h"

extern const struct connector sqlite_poll_connector;

#endif
