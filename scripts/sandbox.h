/* The libraries that scripts get: an allow-list, so that a script reads no file, starts no program, and loads no binary
 * chunk.
 *
 * The sandbox limits accidents and copied snippets. A script is trusted configuration all the same: it decides what the
 * app reads and writes. Ownership: everything belongs to the state.
 */
#ifndef TIDEMILL_SCRIPTS_SANDBOX_H
#define TIDEMILL_SCRIPTS_SANDBOX_H

#include "scripts/host.h"

/* Opens base, string, table, math, utf8 and coroutine without what does not belong, and `require`. [-0, +0, e] */
void sandbox_install(lua_State *L);

#endif
