/* The first node behind a topic: decoding by demand, checking what came from outside, event time.
 *
 * Ownership: a struct source is part of the state of a source operator.
 */
#ifndef TIDEMILL_OPERATORS_SOURCE_H
#define TIDEMILL_OPERATORS_SOURCE_H

#include "operators/flow.h"

struct source {
    const struct codec *key_codec;
    const struct codec *value_codec;
    struct callback timestamp; /* given: event time comes from it */
    bool internal;             /* a topic that only the runtime writes: nothing to check */
};

void source_bind(lua_State *L, struct node *node, int options, struct source *source);
/* Fills key, value and timestamp of the item; false: it was dropped. */
bool source_take(lua_State *L, struct node *node, const struct source *source, struct item *item);

#endif
