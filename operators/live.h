/* Aggregates that stay Lua values while their table holds them back for the commit, so that they are written once per
 * commit and not once per record.
 *
 * Only what nobody could tell from a value that was written and read again may stay: a scalar, or a table of scalars by
 * name that belongs to the aggregation alone. Everything else is written as it changes.
 *
 * Ownership: the values are in the Lua registry and end with the state; the `value` of a held entry is the number of
 * its own, negative when that was dropped.
 */
#ifndef TIDEMILL_OPERATORS_LIVE_H
#define TIDEMILL_OPERATORS_LIVE_H

#include "operators/table.h"

struct live {
    bool allowed;
    int list; /* registry reference of the values by number */
    int count;
};

/* Allowed when every change waits for the commit, an error ends the app (else the change of a call that failed would
 * have to be taken back), no other node looks into the store, and it has no ttl. [-0, +0, e] */
void live_open(lua_State *L, struct node *node, struct live *live);
static inline bool live_has(const struct held_entry *entry)
{
    return entry && entry->value > 0;
}
/* Pushes the value of an entry that has one. [-0, +1, -] */
void live_push(lua_State *L, const struct live *live, const struct held_entry *entry);
/* Memory of the value at `index`, about; 0: it may not stay. `own`: it is a table that nobody else has. [-0, +0, e] */
int64_t live_measure(lua_State *L, int index, bool own);
/* Makes the value at `index` the entry's. [-0, +0, e] */
void live_put(lua_State *L, struct live *live, struct held_entry *entry, int index);
/* The entry's value is in the store now. [-0, +0, -] */
void live_drop(lua_State *L, const struct live *live, struct held_entry *entry);
/* All of them are. [-0, +0, e] */
void live_clear(lua_State *L, struct live *live);

#endif
