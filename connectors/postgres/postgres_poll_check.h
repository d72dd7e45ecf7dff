/* What a poll of PostgreSQL does not see, and what it lacks. Everything is borrowed for the call. */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_POLL_CHECK_H
#define TIDEMILL_CONNECTORS_POSTGRES_POLL_CHECK_H

#include "connectors/poll.h"
#include "connectors/postgres/postgres_connection.h"

/* NULL: it sees everything that a cursor can. */
const char *postgres_poll_weakness(const struct poll_options *options);
/* Says what the cursor lacks, and the statements that add it; nothing about a table that is not there. */
void postgres_poll_check(PGconn *connection, const struct poll_options *options, const struct connector_check *check);

#endif
