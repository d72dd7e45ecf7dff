#include "scripts/sandbox_require.h"

#include <string.h>

#include "scripts/bind_topology.h"
#include "scripts/host.h"

#define NAME_MAX_SIZE 200

static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

/* A name is a path below the script's folder with dots for slashes; no part is empty, so none can lead upwards. */
static bool is_module_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= NAME_MAX_SIZE && strspn(name, allowed) == length && name[0] != '.' &&
           name[length - 1] != '.' && strstr(name, "..") == NULL;
}

/* "lib.util" of a script in "apps/shop" lies at "apps/shop/lib/util.lua" and is called "lib/util.lua". [-0, +2, e] */
static void push_module_paths(lua_State *L, const char *name)
{
    const char *script = host_of(L)->script;
    const char *slash = strrchr(script, '/');
    luaL_gsub(L, name, ".", "/");
    lua_pushliteral(L, ".lua");
    lua_concat(L, 2);
    lua_pushlstring(L, script, slash ? (size_t)(slash - script) + 1 : 0);
    lua_pushvalue(L, -2);
    lua_concat(L, 2);
    lua_insert(L, -2);
}

/* [-0, +1, e] */
static void open_file(lua_State *L, const char *name)
{
    if (!is_module_name(name)) {
        luaL_error(
            L,
            "require: '%s' is no name of a module; names have letters, digits, '_', '-', and dots between the names of "
            "folders",
            name);
    }
    push_module_paths(L, name);
    struct err err;
    if (host_load_file(L, lua_tostring(L, -2), lua_tostring(L, -1), &err)) {
        luaL_error(L, "require '%s': %s", name, err.text);
    }
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_insert(L, -3);
    lua_pop(L, 2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
}

/* [-0, +1, e] */
static void open_module(lua_State *L, const char *name)
{
    struct host *host = host_of(L);
    if (strcmp(name, "tidemill") == 0) {
        bind_topology_open(L);
        return;
    }
    if (strcmp(name, "tidemill.test") == 0) {
        if (!host->test_module) {
            luaL_error(L, "require 'tidemill.test': this module is only there in files that `tidemill test` runs");
        }
        lua_pushcfunction(L, host->test_module);
        lua_call(L, 0, 1);
        return;
    }
    open_file(L, name);
}

/* The upvalue is the table of modules: false while one is being loaded. */
static int sandbox_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (lua_getfield(L, lua_upvalueindex(1), name) == LUA_TBOOLEAN && !lua_toboolean(L, -1)) {
        return luaL_error(L, "require: the module '%s' requires itself, perhaps through others, or has failed before",
                          name);
    }
    if (!lua_isnil(L, -1)) {
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_setfield(L, lua_upvalueindex(1), name);
    open_module(L, name);
    lua_pushvalue(L, -1);
    lua_setfield(L, lua_upvalueindex(1), name);
    return 1;
}

void sandbox_require_install(lua_State *L)
{
    lua_newtable(L);
    lua_pushcclosure(L, sandbox_require, 1);
    lua_setglobal(L, "require");
}
