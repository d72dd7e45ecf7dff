/* Polling a table or query of PostgreSQL: rows behind a cursor, in its order.
 *
 * The cursor "commit" is a column with the transaction's number, and only transactions are read before which none is
 * still running: whatever the writers do, no row is passed over. Rows with equal ids or times are told apart by the
 * option id, which has to be unique.
 * Ownership: static tables only.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_POLL_H
#define TIDEMILL_CONNECTORS_POSTGRES_POLL_H

#include "engine/connector.h"

extern const struct connector postgres_poll_connector;

#endif
