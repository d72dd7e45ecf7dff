/* The stores of one worker, opened and closed together.
 *
 * Ownership: as engine/store.h says; the functions that the driver hands out are documented there.
 */
#ifndef TIDEMILL_STORE_SET_H
#define TIDEMILL_STORE_SET_H

#include "store/store_int.h"

int set_open(const struct store_config *config, struct store_set **set, struct store_meta *meta, bool *fresh,
             struct err *err);
void set_close(struct store_set *set);
int set_wipe(struct store_set *set, struct err *err);
struct store *set_find(struct store_set *set, const char *name);
int64_t set_bytes(const struct store_set *set);
int64_t set_entries(const struct store_set *set);

#endif
