/* Where the connectors of an app stand: showing and setting it.
 *
 * The position of a source's task is the record "position" in its partition of the positions topic, which is also the
 * changelog of the store that the task reads it from. Setting it writes that record and moves the group's offset of the
 * partition behind it, so that every store of the app, on whatever machine, is seen to be behind and follows.
 * The position of a sink's task is in the target; the group's offset lags behind it. The contract of sinks can move it.
 *
 * Ownership: everything is borrowed for the call.
 */
#ifndef TIDEMILL_CLI_CONNECT_OFFSETS_H
#define TIDEMILL_CLI_CONNECT_OFFSETS_H

#include "base/bytes.h"
#include "cli/columns.h"
#include "engine/graph.h"
#include "engine/transport.h"

struct connect_offsets {
    struct transport *transport;
    const char *app;
    struct columns columns; /* rows for people */
    struct bytes out;       /* lines of JSON, or what was done */
    bool json;
    bool target; /* sinks are asked for the position in the target */
};

void connect_offsets_begin(struct connect_offsets *offsets);
int connect_offsets_show(struct connect_offsets *offsets, const struct connector_use *use, struct err *err);
/* Task -1: all tasks. A null position: from the very beginning; of a sink, from the first record that its topic has.
 * The group refuses it for a source while the app runs; for a sink the caller makes sure of it. */
int connect_offsets_set(struct connect_offsets *offsets, const struct connector_use *use, int64_t task,
                        struct slice position, struct err *err);
void connect_offsets_free(struct connect_offsets *offsets);

#endif
