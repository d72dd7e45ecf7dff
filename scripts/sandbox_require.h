/* `require` of scripts: "tidemill", "tidemill.test", and modules that lie beside the script.
 *
 * Ownership: what a module returned is kept by the state; each is loaded once.
 */
#ifndef TIDEMILL_SCRIPTS_SANDBOX_REQUIRE_H
#define TIDEMILL_SCRIPTS_SANDBOX_REQUIRE_H

#include <lua.h>

void sandbox_require_install(lua_State *L); /* [-0, +0, e] */

#endif
