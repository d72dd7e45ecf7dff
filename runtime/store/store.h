/* One store: its segments in memory, and reading through to its rows.
 *
 * Ownership: as engine/store.h says; the functions that the driver hands out are documented there.
 */
#ifndef TIDEMILL_STORE_STORE_H
#define TIDEMILL_STORE_STORE_H

#include "store/store_int.h"

void store_init(struct store *store, struct store_set *set, const struct store_spec *spec);
void store_clear(struct store *store); /* forgets everything in memory; the store is empty then */
void store_free(struct store *store);

int store_get(struct store *store, struct slice key, bool *found, struct store_entry *entry, struct err *err);
void store_prefetch(struct store *store, const struct slice *keys, size_t count);
int store_put(struct store *store, struct slice key, struct slice value, int64_t timestamp, struct err *err);
int store_restore(struct store *store, const struct store_entry *entries, size_t count, struct err *err);
int store_expire(struct store *store, int64_t time, struct err *err);

/* At opening: an entry from the rows (`merged`) or from a delta that is not merged, and such a delta's expiry. */
void store_load(struct store *store, const struct store_entry *entry, bool merged);
void store_load_all(struct store *store, const struct store_entry *entries, size_t count); /* not merged */
void store_load_expiry(struct store *store, uint64_t time);

bool store_is_expired(const struct store *store, struct slice key);
/* May the rows have keys from `low` on that are not in memory? */
bool store_needs_rows(const struct store *store, struct slice low);
struct order *store_order(struct store *store); /* made when it is missing */
void store_drop_order(struct store *store);     /* no cursor of the store is open */

/* Brings clean entries under the set's budget, as far as `turns` turns of the clock do. */
void store_evict(struct store_set *set, int turns);
/* Damage that shows while the files are in use puts them into quarantine at close, so that the next open rebuilds. */
void store_note_damage(struct store_set *set, const struct err *err);

void store_commit(struct store *store, bool merges);
void store_rollback(struct store *store);

#endif
