/* Sliding windows: one ends at each record's time, and one begins a millisecond after each record that has a later one
 * in reach (S37).
 *
 * Source: the algorithm of Kafka Streams' KStreamSlidingWindowAggregate, so that windows, timestamps and what an
 * aggregate is built from are the same also where records are late or windows deleted. Ownership: see window_table.h.
 */
#ifndef TIDEMILL_OPERATORS_WINDOW_SLIDING_H
#define TIDEMILL_OPERATORS_WINDOW_SLIDING_H

#include "operators/window_table.h"

/* Puts a record into all its sliding windows; a flow_body of an operator whose state begins with a window_table. */
int window_sliding_body(lua_State *L, struct node *node, struct item *item);

#endif
