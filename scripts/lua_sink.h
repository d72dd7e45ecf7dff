/* Sinks that are written in Lua: tm.sink { start, position, write, close }.
 *
 * Ownership: see lua_task.h; records are views over the batch, good for the call.
 */
#ifndef TIDEMILL_SCRIPTS_LUA_SINK_H
#define TIDEMILL_SCRIPTS_LUA_SINK_H

#include "engine/connector.h"

extern const struct sink_class lua_sink_class;

#endif
