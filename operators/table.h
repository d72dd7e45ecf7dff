/* Tables: what operators that make one have in common, so that joins and the operators behind can ask for rows.
 *
 * A table with `emit = "commit"` writes its rows as they change and forwards the last change of each key at the commit,
 * or earlier when what it holds back becomes too much.
 *
 * Ownership: a struct table stands first in the state of every operator that makes a table. Values that come out are
 * copies in the record's arena.
 */
#ifndef TIDEMILL_OPERATORS_TABLE_H
#define TIDEMILL_OPERATORS_TABLE_H

#include "operators/flow.h"
#include "operators/held.h"

/* A row of a table. */
struct table_row {
    bool found;
    struct datum value;
    int64_t timestamp; /* -1: there is none */
};

struct table {
    const char *store_name; /* NULL: rows are made from the parent's when somebody asks */
    struct store *store;
    int64_t ttl_ms; /* of the store; a row past it is none, and nobody is told when that happens; 0: rows stay */
    const struct codec *key_codec;
    const struct codec *value_codec;
    bool old_wanted;    /* somebody behind looks at item->old */
    bool emits_commits; /* emit = "commit" */
    struct held *held;  /* what waits for the commit, while the table is open; NULL: every change goes out at once */
    /* Tables without a store: turns the parent's value in item->value into this table's. False: the item was dropped.
     */
    bool (*derive)(lua_State *L, struct node *node, struct item *item);
    /* Windowed tables: where the row of a windowed key lies in the store; NULL: under the key itself. */
    struct slice (*place)(struct node *node, struct slice key);
    bool headers; /* values in the store begin with headers (engine/store_form.h) */
    /* Tables whose rows are found otherwise, as those that are made of several others (joins): as table_get; or NULL.
     */
    int (*get)(lua_State *L, struct node *node, struct item *item, struct table_row *row, bool *dropped);
};

void table_bind(lua_State *L, struct node *node, int options, struct table *table);
/* For operators whose state begins with a struct table: op->open, op->flush, op->close. */
int table_open(struct node *node);
int table_flush(struct node *node);
/* Flushes what is held back, whether a commit is near or not: before rows are dropped that it looks at. */
int table_flush_now(struct node *node);
void table_close(struct node *node);

/* For the records of `node` the row of `table` under their own key will be asked for; a hint. */
void table_look_ahead(struct node *node, const struct node *table);

/* From now on changes of `node`'s table carry what was there before; called while building by whoever is behind it. */
void table_want_old(struct node *node);

/* Row of an own store by the key's bytes. */
int table_read(struct node *node, struct slice key, struct table_row *row);
/* The table's row for the item's key, through the tables above when it has no store. 0; -1 on errors; *dropped true: a
 * callback on the way failed and the policy dropped the item. [-0, +any, e] */
int table_get(lua_State *L, struct node *node, struct item *item, struct table_row *row, bool *dropped);
/* Whether table_change looks at `before`. */
static inline bool table_wants_before(const struct table *table)
{
    return table->old_wanted || table->held;
}
/* Writes a row (null: deletes it) and forwards the change, or holds it back; `before` is what table_read gave. */
int table_change(struct node *node, struct item *item, struct slice key, struct slice value,
                 const struct table_row *before);
/* Holds a change of a row back for the commit. */
struct held_entry *table_hold(struct node *node, const struct item *item, struct slice key,
                              const struct table_row *before);
/* Whether a flush has nothing to do now, or not yet. */
bool table_waits(const struct node *node);
/* Flushes the node when it holds back too much; 0 or -1. */
int table_relieve(struct node *node);

#endif
