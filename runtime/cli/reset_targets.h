/* Sinks of a script that is reset: their topics are made again, so their positions in the targets begin anew too.
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
/* Puts all positions to 0, before the topics are deleted. An error names the sink. */
int reset_targets_put_back(const struct graph *graph, const char *app, struct transport *transport, struct err *err);

#endif
