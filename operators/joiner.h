/* What all joins share: calling the user's function with a key and the values of both sides.
 *
 * Ownership: a joiner is part of its operator's state. Values that it pushes stay on the stack until the operator
 * restores the stack's top.
 */
#ifndef TIDEMILL_OPERATORS_JOINER_H
#define TIDEMILL_OPERATORS_JOINER_H

#include "operators/flow.h"

struct joiner {
    struct callback fn;
    const struct codec *value_codec; /* of what it returns */
};

/* Takes `fn` and `value_codec` of the options. [-0, +0, e] */
void joiner_bind(lua_State *L, const struct node *node, int options, struct joiner *joiner);
/* fn(key, left, right, rec) with the item's key; decodes only what the function looks at, each datum at most once.
 * False: it failed and the item was dropped. [-0, +0 to 4, e] */
bool joiner_call(lua_State *L, struct node *node, struct item *item, const struct joiner *joiner, struct datum *left,
                 struct datum *right, struct datum *result);

#endif
