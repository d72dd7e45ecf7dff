#include "scripts/sandbox_pairs.h"

#include <lauxlib.h>

#include "scripts/host.h"

enum { NEXT = 1, SORT, LESS }; /* upvalues of pairs */

static int rank(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        return 0;
    case LUA_TSTRING:
        return 1;
    default:
        return 2;
    }
}

/* Numbers, then strings, each from small to large; the rest has no order and comes last. */
static int less(lua_State *L)
{
    int one = rank(L, 1), other = rank(L, 2);
    bool result = one != other ? one < other : one < 2 && lua_compare(L, 1, 2, LUA_OPLT);
    lua_pushboolean(L, result);
    return 1;
}

/* The list of the keys of the table at index 1, sorted. [-0, +1, e] */
static void push_sorted_keys(lua_State *L)
{
    lua_Integer count = 0;
    lua_newtable(L);
    int keys = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, keys, ++count);
    }
    lua_pushvalue(L, lua_upvalueindex(SORT));
    lua_pushvalue(L, keys);
    lua_pushvalue(L, lua_upvalueindex(LESS));
    lua_call(L, 2, 0);
}

/* Upvalues: the keys and how many were given out. Fields that the loop has removed meanwhile are left out, as by next.
 */
static int next_sorted(lua_State *L)
{
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
    lua_settop(L, 1);
    while (lua_rawgeti(L, lua_upvalueindex(1), ++at) != LUA_TNIL) {
        lua_pushvalue(L, -1);
        if (lua_rawget(L, 1) != LUA_TNIL) {
            lua_pushinteger(L, at);
            lua_replace(L, lua_upvalueindex(2));
            return 2;
        }
        lua_settop(L, 1);
    }
    return 1;
}

static int sandbox_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    if (host_of(L)->phase == HOST_BUILDING && lua_istable(L, 1)) {
        push_sorted_keys(L);
        lua_pushinteger(L, 0);
        lua_pushcclosure(L, next_sorted, 2);
    } else {
        lua_pushvalue(L, lua_upvalueindex(NEXT));
    }
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

void sandbox_pairs_install(lua_State *L)
{
    lua_getglobal(L, "next");
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_remove(L, -2);
    lua_pushcfunction(L, less);
    lua_pushcclosure(L, sandbox_pairs, 3);
    lua_setglobal(L, "pairs");
}
