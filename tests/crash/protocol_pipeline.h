/* The pipeline of protocol.h, in C instead of Lua.
 *
 * Ownership: the graph is the caller's.
 */
#ifndef TIDEMILL_TESTS_PROTOCOL_PIPELINE_H
#define TIDEMILL_TESTS_PROTOCOL_PIPELINE_H

#include "engine/graph.h"

/* "in" -> store "numbers" -> "out", and by group -> store "groups" -> "out-groups"; "numbers" counts ticks, too. */
struct graph *protocol_pipeline_graph(void);

/* "key3" belongs to the group "group0". */
int protocol_pipeline_group(int key);

#endif
