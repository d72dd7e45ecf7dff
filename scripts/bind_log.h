/* tm.log and tm.metric.
 *
 * Ownership: a metric object belongs to Lua; the counter behind it to the worker's metrics.
 */
#ifndef TIDEMILL_SCRIPTS_BIND_LOG_H
#define TIDEMILL_SCRIPTS_BIND_LOG_H

#include "scripts/host.h"

/* Adds log = { error, warn, info, debug } and metric to the table on top of the stack. [-0, +0, e] */
void bind_log_install(lua_State *L);

#endif
