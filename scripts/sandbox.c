#include "scripts/sandbox.h"

#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "scripts/sandbox_coroutine.h"
#include "scripts/sandbox_pairs.h"
#include "scripts/sandbox_require.h"

/* Not in the sandbox: they read files, load code past the mode check, or reach into the collector. */
static const char *const removed_globals[] = {"dofile", "loadfile", "collectgarbage", "warn", "require"};

/* ---- errors that nothing may catch ---- */

/* pcall must not swallow the end of a callback that ran too long, a failure of the engine, or an error of another node
 * that the callback reached with ctx:forward: that node's own policy has decided already. */
static bool must_pass(struct host *host, const struct node *node)
{
    return host->final || host->node != node;
}

/* What pcall gives when it caught something: the status is in place of the values before the error. */
static int caught(lua_State *L, struct node *node)
{
    struct host *host = host_of(L);
    if (must_pass(host, node)) {
        return lua_error(L);
    }
    host->failure_code = ERR_OK;
    host->blamed = NULL;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int pcall_done(lua_State *L, int status, lua_KContext node)
{
    if (status != LUA_OK && status != LUA_YIELD) {
        return caught(L, (struct node *)node);
    }
    return lua_gettop(L);
}

static int sandbox_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    lua_KContext node = (lua_KContext)host_of(L)->node;
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, node, pcall_done);
    return pcall_done(L, status, node);
}

/* The handler stays at index 1 and true at 2 (see pcall_done: all above it are results). */
static int xpcall_done(lua_State *L, int status, lua_KContext node)
{
    if (status != LUA_OK && status != LUA_YIELD) {
        return caught(L, (struct node *)node);
    }
    return lua_gettop(L) - 1;
}

/* The handler of xpcall (upvalue). Inside the watchdog's hook it would run without one, so it does not run then. */
static int guarded_handler(lua_State *L)
{
    if (host_of(L)->final) {
        return 1;
    }
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int sandbox_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 1);
    lua_pushboolean(L, 1);
    lua_replace(L, 2);
    lua_insert(L, 3); /* handler, true, function, arguments */
    lua_KContext node = (lua_KContext)host_of(L)->node;
    int status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, node, xpcall_done);
    return xpcall_done(L, status, node);
}

/* ---- replaced functions ---- */

/* Finalizers would run at a moment of the collector's choosing, outside of every limit. */
static int sandbox_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) {
        return luaL_error(L, "cannot change a protected metatable");
    }
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL) {
            return luaL_error(L, "setmetatable: __gc is not available in scripts");
        }
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* load(chunk [, name [, mode [, env]]]) with the mode "t" whatever is asked for: binary chunks can break the
 * interpreter. */
static int sandbox_load(lua_State *L)
{
    lua_settop(L, lua_isnone(L, 4) ? 3 : 4);
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int sandbox_print(lua_State *L)
{
    luaL_Buffer text;
    int count = lua_gettop(L);
    luaL_buffinit(L, &text);
    for (int i = 1; i <= count; i++) {
        if (i > 1) {
            luaL_addchar(&text, '\t');
        }
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    char place[HOST_PLACE_SIZE];
    host_place(L, place);
    log_event(LOG_INFO, "print", log_text("text", lua_tostring(L, -1)), log_text("place", place));
    return 0;
}

/* Every worker builds the same topology, so building must not depend on chance. */
static int sandbox_chance(lua_State *L)
{
    if (host_of(L)->phase == HOST_BUILDING) {
        return luaL_error(L,
                          "math.%s can't be called while the script is being built: every worker must build the same",
                          lua_tostring(L, lua_upvalueindex(2)));
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* ---- installing ---- */

static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},       {LUA_STRLIBNAME, luaopen_string}, {LUA_TABLIBNAME, luaopen_table},
    {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8},
};

static void open_libraries(lua_State *L)
{
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
}

static void replace_globals(lua_State *L)
{
    for (size_t i = 0; i < sizeof removed_globals / sizeof removed_globals[0]; i++) {
        lua_pushnil(L);
        lua_setglobal(L, removed_globals[i]);
    }
    lua_getglobal(L, "load");
    lua_pushcclosure(L, sandbox_load, 1);
    lua_setglobal(L, "load");
    lua_register(L, "pcall", sandbox_pcall);
    lua_register(L, "xpcall", sandbox_xpcall);
    lua_register(L, "setmetatable", sandbox_setmetatable);
    lua_register(L, "print", sandbox_print);
}

static void guard_chance(lua_State *L, const char *function)
{
    lua_getglobal(L, LUA_MATHLIBNAME);
    lua_getfield(L, -1, function);
    lua_pushstring(L, function);
    lua_pushcclosure(L, sandbox_chance, 2);
    lua_setfield(L, -2, function);
    lua_pop(L, 1);
}

static void lock_strings(lua_State *L)
{
    lua_getglobal(L, LUA_STRLIBNAME);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable"); /* getmetatable("") gives false, and nobody gets at the table itself */
    lua_pop(L, 2);
}

void sandbox_install(lua_State *L)
{
    open_libraries(L);
    replace_globals(L);
    guard_chance(L, "random");
    guard_chance(L, "randomseed");
    lock_strings(L);
    sandbox_pairs_install(L);
    sandbox_coroutine_install(L);
    sandbox_require_install(L);
}
