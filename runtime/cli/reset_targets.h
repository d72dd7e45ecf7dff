/* Sinks of a script that is reset: their topics are made again or read from elsewhere, so their positions in the
 * targets follow.
 *
 * Ownership: everything is borrowed for the call.
 */
#ifndef TIDEMILL_CLI_RESET_TARGETS_H
#define TIDEMILL_CLI_RESET_TARGETS_H

#include "base/bytes.h"
#include "engine/graph.h"
#include "engine/transport.h"

/* A line per sink that would be put back. */
void reset_targets_show(const struct graph *graph, struct bytes *out);
struct reset_targets {
    const struct graph *graph;
    const char *app;
    const struct position *positions; /* where the group is put */
    size_t position_count;
};

/* Puts the positions to where the group is put in a topic, and to 0 in topics that are deleted afterwards. An error
 * names the sink. */
int reset_targets_put_back(const struct reset_targets *targets, struct transport *transport, struct err *err);

#endif
