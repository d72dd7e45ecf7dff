/* Values of rows that reading goes on behind, between statements and positions (sqlite_position.h has their text).
 *
 * Ownership: nothing is kept; statements copy what is bound.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_KEY_H
#define TIDEMILL_CONNECTORS_SQLITE_KEY_H

#include "connectors/sqlite/sqlite_position.h"

#include <sqlite3.h>

/* Appends a column of the row that the statement stands at. */
void sqlite_key_put(struct option_list *after, sqlite3_stmt *statement, int column);
/* All of them as parameters from `first` on. */
void sqlite_key_bind(const struct option_list *after, sqlite3_stmt *statement, size_t first);

#endif
