#include "scripts/sandbox_files.h"

#include <lauxlib.h>
#include <lualib.h>

static const char *const io_names[] = {"open", "lines", "popen", "type", NULL};
static const char *const os_names[] = {"time", "date", "clock", "difftime", "rename", "remove", NULL};

/* A global with some functions of a library: the rest ends the process, or talks to its terminal. */
static void install(lua_State *L, const char *library, lua_CFunction open, const char *const *names)
{
    luaL_requiref(L, library, open, 0);
    lua_newtable(L);
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
    lua_setglobal(L, library);
    lua_pop(L, 1);
}

void sandbox_files_install(lua_State *L)
{
    install(L, LUA_IOLIBNAME, luaopen_io, io_names);
    install(L, LUA_OSLIBNAME, luaopen_os, os_names);
}
