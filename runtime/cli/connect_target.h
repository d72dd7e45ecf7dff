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

/* *next: CONNECTOR_NO_OFFSET when the target has none. ERR_CONFIG: it has one of another topic than the sink reads. */
int connect_target_read(const struct connect_target *target, int64_t *next, struct err *err);
/* Moves it to an offset of the sink's topic. The rows stay. With `present` only when there is one, were it of another
 * topic; *moved: whether it is there now. ERR_CONFIG: this kind of target can't be put back, and the message says what
 * to do instead. */
int connect_target_set(const struct connect_target *target, int64_t to, bool present, bool *moved, struct err *err);
/* When every one of so many tasks has a position of the sink's topic, those of other topics are removed. */
int connect_target_settle(const struct connect_target *target, int32_t tasks, struct err *err);

#endif
