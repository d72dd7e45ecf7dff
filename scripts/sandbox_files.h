/* Files, commands and the time for the functions of tm.source and tm.sink, which are there to reach the outside.
 *
 * Ownership: everything belongs to the state.
 */
#ifndef TIDEMILL_SCRIPTS_SANDBOX_FILES_H
#define TIDEMILL_SCRIPTS_SANDBOX_FILES_H

#include <lua.h>

/* The globals io (open, lines, popen, type) and os (time, date, clock, difftime, rename, remove); after the script has
 * run, so that building depends on none of them. [-0, +0, e] */
void sandbox_files_install(lua_State *L);

#endif
