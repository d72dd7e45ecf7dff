/* The positions that sinks keep in their targets: asking for them, and putting them elsewhere while nobody writes.
 *
 * Ownership: everything is borrowed for the call.
 */
#ifndef TIDEMILL_CLI_CONNECT_TARGET_H
#define TIDEMILL_CLI_CONNECT_TARGET_H

#include "engine/connector.h"

struct connect_target {
    const struct connector_use *use;
    const char *app;
    int32_t task;
    int32_t tasks;
};

/* *next: CONNECTOR_NO_OFFSET when the target has none. */
int connect_target_read(const struct connect_target *target, int64_t *next, struct err *err);
/* Moves it to an offset of the sink's topic; *was is what it was. The rows stay. With `present` only when there is one.
 * ERR_CONFIG: this kind of target can't be put back, and the message says what to do instead. */
int connect_target_set(const struct connect_target *target, int64_t to, bool present, int64_t *was, struct err *err);

#endif
