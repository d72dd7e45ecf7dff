/* The script side of an operator: how a method call in the DSL becomes a node. One file per family in operators/, one
 * line in operators/all.c.
 *
 * Ownership: create allocates node->state (memory_alloc) and the op's close frees it.
 */
#ifndef TIDEMILL_SCRIPTS_OPERATOR_H
#define TIDEMILL_SCRIPTS_OPERATOR_H

#include "scripts/call.h"

/* The formatter takes the struct's name for a keyword of another language. */
/* clang-format off */
struct operator {
    struct op op;
    const char *usage;  /* "stream:filter(function(key, value, rec) return boolean end [, options])"; NULL: internal */
    const char *text;   /* what it does, for the reference page */
    /* Reads the table at `options` (functions, codecs, names as the DSL put them there) and fills node->state. Runs while the
     * script is being built. [-0, +0, e] */
    void (*create)(lua_State *L, struct node *node, int options);
    /* Writes rows that the operator has in memory only into its store, because somebody looks at it from outside, and
     * emits nothing. 0 or -1, as op->flush; NULL: there are none. */
    int (*settle)(struct node *node);
    bool per_record;    /* keeps nothing from one record to the next and has no effect but what it forwards */
};

struct operator_table {
    const struct operator *const *list;
    size_t count;
};
/* Calls the node's settle, when it has one. */
static inline int operator_settle(struct node *node)
{
    const struct operator *operator = (const struct operator *)node->op;
    return operator->settle ? operator->settle(node) : 0;
}
/* clang-format on */

/* [-0, +0, e] helpers for create: */
const struct codec *operator_codec(lua_State *L, int options, const char *field, const struct codec *if_nil);
const char *operator_text(lua_State *L, int options, const char *field); /* arena of the graph; NULL when nil */

#endif
