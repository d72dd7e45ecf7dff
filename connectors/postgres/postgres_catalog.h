/* What the catalog knows about a table and the stream does not say.
 *
 * Ownership: everything is borrowed. The catalog is that of now, and a change may be older: what has gone since is
 * taken as it came.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_CATALOG_H
#define TIDEMILL_CONNECTORS_POSTGRES_CATALOG_H

#include "connectors/postgres/postgres_change.h"
#include "connectors/postgres/postgres_connection.h"

/* Marks the columns of the primary key: with the whole row as its identity a table has every column marked, with none
 * no column. */
int postgres_catalog_find_key(PGconn *control, struct postgres_table *table, struct err *err);
/* Domains get the type they are made of, arrays of users' types their elements'. */
int postgres_catalog_resolve(PGconn *control, struct postgres_table *table, struct err *err);

#endif
