/* What operators share: taking an item, calling with it, encoding it, and leaving the Lua stack as it was.
 *
 * Ownership: an item given to process is the operator's own copy; values that its slots name may be shared with
 * siblings until flow_take has run. Encoded bytes live in the record's arena.
 */
#ifndef TIDEMILL_OPERATORS_FLOW_H
#define TIDEMILL_OPERATORS_FLOW_H

#include "scripts/operator.h"

static inline lua_State *flow_lua(const struct node *node)
{
    return ((struct host *)op_program(node->worker))->L;
}

/* Makes the item this node's own: what its callbacks change is not seen by the parent's other children. [-0, +0 to 3,
 * e] */
void flow_take(lua_State *L, const struct node *node, int parent, struct item *item);

/* The bytes of a key or value in a codec. A value that can't be written is treated by the node's policy; then false. */
bool flow_encode_value(struct node *node, struct item *item, struct datum *datum, const struct codec *codec,
                       struct slice *bytes); /* what flow_encode leaves to do */
static inline bool flow_encode(struct node *node, struct item *item, struct datum *datum, const struct codec *codec,
                               struct slice *bytes)
{
    if (datum->null || (datum->bytes.data && datum->codec == codec)) {
        *bytes = datum->bytes;
        return true;
    }
    return flow_encode_value(node, item, datum, codec, bytes);
}

/* Takes the value at `index` as the item's new key. A key that a text codec can't write is refused here, where the
 * function that made it can be named; false when the policy dropped the item. */
bool flow_set_key(struct node *node, struct item *item, int index, const struct codec *codec);

/* Turns a failed contract call (ERR_SKIP class) into the node's policy: 0 when the item was dropped, -1 else. */
int flow_fail(struct node *node, struct item *item);

/* The process function of an operator around its body: takes the item, restores the stack. FLOW_READS_ONLY in place of
 * the parent's number: no callback sees the item, so nothing is copied for it. */
#define FLOW_READS_ONLY (-1)
typedef int flow_body(lua_State *L, struct node *node, struct item *item);
int flow_run(struct node *node, int parent, struct item *item, flow_body *body);

#endif
