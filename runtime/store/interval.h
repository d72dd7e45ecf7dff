/* The end of a commit interval: what changed, one delta for all of it, and keeping the merge going.
 *
 * Ownership: as engine/store.h says; the functions that the driver hands out are documented there.
 */
#ifndef TIDEMILL_STORE_INTERVAL_H
#define TIDEMILL_STORE_INTERVAL_H

#include "store/store_int.h"

int interval_changes(struct store_set *set,
                     int (*each)(void *self, struct store *store, const struct store_entry *entry, struct err *err),
                     void *self, struct err *err);
int interval_commit(struct store_set *set, const struct store_meta *meta, struct err *err);
void interval_tidy(struct store_set *set);
bool interval_settle(struct store_set *set);
int interval_rollback(struct store_set *set, struct err *err);
/* Before closing: waits for the last commit, if another thread writes it. */
void interval_end(struct store_set *set);

#endif
