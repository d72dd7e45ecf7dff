/* Cursors: what is in memory and what is in the rows as one sequence, in byte order, as of the call.
 *
 * As long as nothing changes, a cursor walks the order of the store's entries; the first change copies what it has yet
 * to give. The rows stay as they are by themselves: the cursor's statement holds a read snapshot.
 * Ownership: cursors belong to the set; range_close and range_close_all end and free them.
 */
#ifndef TIDEMILL_STORE_RANGE_H
#define TIDEMILL_STORE_RANGE_H

#include "store/store_int.h"

int range_open(struct store *store, struct slice from, struct slice to, bool backwards, struct store_cursor **cursor,
               struct err *err);
int range_open_prefix(struct store *store, struct slice prefix, struct store_cursor **cursor, struct err *err);
int range_next(struct store_cursor *cursor, bool *found, struct store_entry *entry, struct err *err);
/* Everything; what it needs to be in order is gone with the last cursor. */
int range_open_once(struct store *store, struct store_cursor **cursor, struct err *err);
void range_close(struct store_cursor *cursor);

void range_close_all(struct store_set *set);
/* To be called before an entry of the store changes: its open cursors no longer look at the entries afterwards. */
void range_detach(struct store *store);

#endif
