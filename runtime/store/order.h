/* The keys of one store's entries in memory in byte order: sorted blocks of pointers, made by the first range query.
 *
 * Ownership: the order borrows the entries; whoever adds, moves or removes an entry of a store that has an order says
 * so here at once. A place is valid while `version` stays the same.
 */
#ifndef TIDEMILL_STORE_ORDER_H
#define TIDEMILL_STORE_ORDER_H

#include "base/bytes.h"

struct table_entry;
struct order_block;

struct order {
    struct order_block **blocks; /* none is empty */
    size_t count;
    size_t capacity;
    uint64_t version; /* counts every change */
};

struct order_place {
    size_t block;
    size_t item;
};

struct order *order_new(struct table_entry **entries, size_t count); /* in any order; the keys differ */
void order_free(struct order *order);                                /* NULL is allowed */

void order_insert(struct order *order, struct table_entry *entry);  /* its key is not there yet */
void order_remove(struct order *order, struct slice key);           /* is there */
void order_replace(struct order *order, struct table_entry *entry); /* an entry with the same key moved here */
void order_remove_below(struct order *order, struct slice key);     /* every lesser key, block by block */

/* The first entry with a key >= `key`, or > `key` if `after`; order_entry gives NULL behind the last one. */
struct order_place order_seek(const struct order *order, struct slice key, bool after);
struct order_place order_end(const struct order *order);
struct table_entry *order_entry(const struct order *order, struct order_place place);
struct order_place order_next(const struct order *order, struct order_place place);
bool order_previous(const struct order *order, struct order_place *place); /* false: it was the first */

size_t order_bytes(const struct order *order);

#endif
