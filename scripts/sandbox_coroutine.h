/* The coroutine library, told to the watchdog: what runs inside a coroutine can be stopped like everything else.
 *
 * Ownership: everything belongs to the state.
 */
#ifndef TIDEMILL_SCRIPTS_SANDBOX_COROUTINE_H
#define TIDEMILL_SCRIPTS_SANDBOX_COROUTINE_H

#include <lua.h>

void sandbox_coroutine_install(lua_State *L); /* [-0, +0, e] */

#endif
