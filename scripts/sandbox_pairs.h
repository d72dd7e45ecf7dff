/* pairs in the same order every time while the script is being built.
 *
 * The order of a Lua table is another one in each state, but every worker must build the same nodes in the same order,
 * also from a script that walks over a table of topics. Ownership: everything belongs to the state.
 */
#ifndef TIDEMILL_SCRIPTS_SANDBOX_PAIRS_H
#define TIDEMILL_SCRIPTS_SANDBOX_PAIRS_H

#include <lua.h>

/* Replaces the global pairs; after the libraries are open. [-0, +0, e] */
void sandbox_pairs_install(lua_State *L);

#endif
