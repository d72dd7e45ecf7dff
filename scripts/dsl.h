/* The building blocks of scripts, written in Lua: scripts/dsl, one file per family of methods, one line in dsl.c.
 *
 * Ownership: the sources are compiled into the program; what they build belongs to the state they run in.
 */
#ifndef TIDEMILL_SCRIPTS_DSL_H
#define TIDEMILL_SCRIPTS_DSL_H

#include <lua.h>

/* Runs them with the table on top of the stack (`core`, the C functions they are built on) and puts what
 * `require "tidemill"` gives in its place. Once per state. [-1, +1, e] */
void dsl_run(lua_State *L);

#endif
