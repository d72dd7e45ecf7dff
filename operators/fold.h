/* The user's functions of count, reduce and aggregate: what a row becomes by one record more, one less, or by merging.
 * Shared by aggregations of streams, of windows, of sessions and of grouped tables.
 *
 * Ownership: a fold is part of an operator's state. Encoded values live in the record's arena; Lua values stay on the
 * stack, above what was there, until the operator restores it.
 */
#ifndef TIDEMILL_OPERATORS_FOLD_H
#define TIDEMILL_OPERATORS_FOLD_H

#include "operators/flow.h"

enum fold_kind { FOLD_COUNT, FOLD_REDUCE, FOLD_AGGREGATE };

struct fold {
    enum fold_kind kind;
    const struct codec *codec; /* of the results */
    const char *store;         /* whose rows these are, for messages */
    struct callback init;      /* aggregates */
    struct callback add;       /* all but counts; so the others, where the options have them */
    struct callback sub;
    struct callback merge;
};

/* Takes init, add, sub and merge from the options, where they are. [-0, +0, e] */
void fold_bind(lua_State *L, int options, enum fold_kind kind, const struct codec *codec, const char *store,
               struct fold *fold);

/* What the item makes of a row whose value is `before` (null: there is none yet). *value null: the row is deleted.
 * False: the item was dropped. [-0, +some, e] */
bool fold_next(lua_State *L, struct node *node, struct item *item, const struct fold *fold, struct slice before,
               struct slice *value);

/* ---- counts, without Lua ---- */

int64_t fold_count(lua_State *L, const struct fold *fold, struct slice value); /* null: 0 [-0, +0, e] */
struct slice fold_count_bytes(struct node *node, int64_t count);

/* ---- step by step, for reduce and aggregate ---- */

/* Pushes what a row that is not there begins with: init() of its own, or nil. False: dropped. [-0, +1, e] */
bool fold_begin(lua_State *L, struct node *node, struct item *item, const struct fold *fold);
/* Pushes a stored value, as one of its own that the functions may change. [-0, +1, e] */
void fold_load(lua_State *L, const struct fold *fold, struct slice value);
/* Pushes what add (sub) makes of the value at `agg` and of the item's key and value. False: dropped. [-0, +some, e] */
bool fold_add(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg);
bool fold_sub(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg);
/* Replaces the value at `agg` by what merge makes of it (it may be nil) and of the value on top, which is popped with
 * all that lies between. Of reduce, add merges, and nothing is called for nil. The item's key has its slot below `agg`
 * already. False: dropped. [-1, +0, e] */
bool fold_merge(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg);
/* The value at `agg` as a row's; nil gives null. False: it can't be written, and the item was dropped. [-0, +0, e] */
bool fold_store(lua_State *L, struct node *node, struct item *item, const struct fold *fold, int agg,
                struct slice *value);

#endif
