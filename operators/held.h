/* What a table holds back for the commit (`emit = "commit"`): which keys have changed, and what their last change that
 * went out said. The rows themselves are in the store.
 *
 * Ownership: a held belongs to one node and its thread; keys, values and headers are copied. Entries are valid until
 * they are flushed; pointers to them until the next held_note.
 */
#ifndef TIDEMILL_OPERATORS_HELD_H
#define TIDEMILL_OPERATORS_HELD_H

#include "engine/op.h"

struct held;

struct held_entry {
    struct slice key;       /* of the row in the store */
    bool existed;           /* there was a row when its key came to be held */
    struct slice before;    /* and this was its value; null: none, or nobody wanted it */
    int64_t timestamp;      /* of the last change */
    struct headers headers; /* of the record that made it */
    int value;              /* the owner's; 0 at first */
    int64_t charged;        /* bytes, see held_charge */
};

/* `limit`: bytes from which held_full holds. */
struct held *held_new(int64_t limit);
void held_free(struct held *held); /* NULL is fine */

size_t held_count(const struct held *held);
struct held_entry *held_at(const struct held *held, size_t index);       /* in the order of their first changes */
struct held_entry *held_find(const struct held *held, struct slice key); /* NULL: not held */
/* Notes a change of the row by `item` (its timestamp and headers count). Only the first change since the last flush
 * looks at `existed` and `before`. */
struct held_entry *held_note(struct held *held, struct slice key, bool existed, struct slice before,
                             const struct item *item);
/* Says how much memory the owner keeps for an entry now. */
void held_charge(struct held *held, struct held_entry *entry, int64_t bytes);
/* Whether the owner should flush now, before the commit, because what is held has become too much. */
bool held_full(const struct held *held);
/* Calls `emit` for every entry in the order of their first changes and forgets them; -1 as soon as emit gives it. emit
 * may look for entries; it must not note any. */
int held_flush(struct held *held, struct node *node, int (*emit)(struct node *node, const struct held_entry *entry));

#endif
