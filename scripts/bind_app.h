/* core.app and what else of `core` is about settings and values, not about nodes.
 *
 * Ownership: the settings belong to the host's owner; texts are copied.
 */
#ifndef TIDEMILL_SCRIPTS_BIND_APP_H
#define TIDEMILL_SCRIPTS_BIND_APP_H

#include "scripts/host.h"

/* Adds app, app_id, duration, nearest, env, phase, fail, codecs, codec, null, tombstone, copy and list to the table on
 * top of the stack. [-0, +0, e] */
void bind_app_install(lua_State *L);
/* A value as the text that an option table parses: whole numbers without a point. `method` and `name` are for messages.
 * [-0, +1, e] */
const char *bind_app_push_setting(lua_State *L, int index, const char *method, const char *name);
/* Milliseconds of a duration, "5s" or 5000, from 0. [-0, +0, e] */
int64_t bind_app_duration(lua_State *L, int index);

#endif
