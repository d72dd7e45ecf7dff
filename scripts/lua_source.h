/* Sources that are written in Lua: tm.source { start, poll, ack, close }.
 *
 * Ownership: see lua_task.h; a task keeps the records of its last poll.
 */
#ifndef TIDEMILL_SCRIPTS_LUA_SOURCE_H
#define TIDEMILL_SCRIPTS_LUA_SOURCE_H

#include "engine/connector.h"

/* A poll may give more than the SOURCE_BATCH_RECORDS that are advised, but not more than this. */
#define LUA_SOURCE_RECORDS 100000
#define LUA_SOURCE_BYTES (64 << 20)

extern const struct source_class lua_source_class;

#endif
