#include "scripts/sandbox_coroutine.h"

#include <lualib.h>

#include "scripts/host.h"

/* A hook belongs to one coroutine, so the watchdog must know which one runs; and a coroutine that was stopped must not
 * leave its resumer running. */

static lua_State *coroutine_argument(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

static lua_State *run_inside(struct limits *limits, lua_State *co)
{
    lua_State *outer = atomic_load_explicit(&limits->running, memory_order_relaxed);
    atomic_store(&limits->running, co);
    return outer;
}

/* Raised in the resumer when the watchdog has spoken; message on top of `from` when the coroutine raised it. */
static void pass_on(lua_State *L, bool failed)
{
    struct host *host = host_of(L);
    if (failed && host->final) {
        lua_error(L);
    }
    if (limits_expired(&host->limits)) {
        limits_raise(L);
    }
}

/* Values it yielded or returned are moved to L, their count is the result; -1: it failed, the error is on L. */
static int resume(lua_State *L, lua_State *co, int arguments)
{
    if (!lua_checkstack(co, arguments)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    struct limits *limits = &host_of(L)->limits;
    lua_xmove(L, co, arguments);
    lua_State *outer = run_inside(limits, co);
    int results = 0;
    int status = limits_expired(limits) ? LUA_OK : lua_resume(co, L, arguments, &results);
    atomic_store(&limits->running, outer);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        pass_on(L, true);
        return -1;
    }
    pass_on(L, false);
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, results);
    return results;
}

static int coroutine_resume(lua_State *L)
{
    lua_State *co = coroutine_argument(L);
    int results = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, results >= 0);
    lua_insert(L, results >= 0 ? -(results + 1) : -2);
    return results >= 0 ? results + 1 : 2;
}

static int close_inside(lua_State *L, lua_State *co)
{
    struct limits *limits = &host_of(L)->limits;
    lua_State *outer = run_inside(limits, co);
    int status = lua_resetthread(co);
    atomic_store(&limits->running, outer);
    return status;
}

/* What coroutine.wrap gives: errors come through, with the place where they happened. */
static int wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int results = resume(L, co, lua_gettop(L));
    if (results >= 0) {
        return results;
    }
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        close_inside(L, co);
        lua_pop(L, 1);
        lua_xmove(co, L, 1); /* the error, or a newer one of a variable being closed */
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int coroutine_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

static bool may_close(lua_State *L, lua_State *co)
{
    lua_Debug record;
    if (co == L) {
        return false;
    }
    int status = lua_status(co);
    return status != LUA_OK || lua_getstack(co, 0, &record) == 0;
}

static int coroutine_close(lua_State *L)
{
    lua_State *co = coroutine_argument(L);
    if (!may_close(L, co)) {
        return luaL_error(L, "cannot close a running coroutine");
    }
    if (close_inside(L, co) == LUA_OK) {
        pass_on(L, false);
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_xmove(co, L, 1);
    pass_on(L, true);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static const luaL_Reg replaced[] = {
    {"resume", coroutine_resume}, {"wrap", coroutine_wrap}, {"close", coroutine_close}, {NULL, NULL}};

void sandbox_coroutine_install(lua_State *L)
{
    luaopen_coroutine(L);
    luaL_setfuncs(L, replaced, 0);
    lua_setglobal(L, LUA_COLIBNAME);
}
