#include "scripts/windowed_key.h"

#include <lauxlib.h>
#include <string.h>

/* Registry key of the metatable, and the tag of the userdata. */
static const char metatable_key;

struct windowed_key {
    const void *tag;
    int64_t start;
    int64_t end;
};

enum field { FIELD_KEY, FIELD_START, FIELD_END, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {"key", "window_start", "window_end"};

static const struct windowed_key *at(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof(struct windowed_key)) {
        return NULL;
    }
    const struct windowed_key *windowed = lua_touserdata(L, index);
    return windowed->tag == &metatable_key ? windowed : NULL;
}

void windowed_key_push(lua_State *L, int64_t start, int64_t end)
{
    struct windowed_key *windowed = lua_newuserdatauv(L, sizeof(*windowed), 1);
    *windowed = (struct windowed_key){&metatable_key, start, end};
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    lua_setmetatable(L, -2);
}

bool windowed_key_is(lua_State *L, int index)
{
    return at(L, index) != NULL;
}

void windowed_key_get(lua_State *L, int index, int64_t *start, int64_t *end)
{
    const struct windowed_key *windowed = at(L, index);
    *start = windowed->start;
    *end = windowed->end;
    lua_getiuservalue(L, index, 1);
}

/* An integer field of the table; false: it is none. */
static bool take_time(lua_State *L, int index, enum field field, int64_t *time)
{
    int whole = 0;
    lua_getfield(L, index, field_names[field]);
    if (lua_type(L, -1) == LUA_TNUMBER) {
        *time = lua_tointegerx(L, -1, &whole);
    }
    lua_pop(L, 1);
    return whole;
}

bool windowed_key_of_table(lua_State *L, int index, int64_t *start, int64_t *end)
{
    if (lua_type(L, index) != LUA_TTABLE || !take_time(L, index, FIELD_START, start) ||
        !take_time(L, index, FIELD_END, end)) {
        return false;
    }
    if (lua_getfield(L, index, field_names[FIELD_KEY]) == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    return true;
}

void windowed_key_copy(lua_State *L, int index)
{
    int64_t start, end;
    windowed_key_get(L, index, &start, &end);
    lua_createtable(L, 0, FIELD_COUNT);
    lua_insert(L, -2);
    lua_setfield(L, -2, field_names[FIELD_KEY]);
    lua_pushinteger(L, start);
    lua_setfield(L, -2, field_names[FIELD_START]);
    lua_pushinteger(L, end);
    lua_setfield(L, -2, field_names[FIELD_END]);
}

/* ---- metamethods ---- */

static void push_field(lua_State *L, int index, enum field field)
{
    const struct windowed_key *windowed = at(L, index);
    if (field == FIELD_KEY) {
        lua_getiuservalue(L, index, 1);
    } else {
        lua_pushinteger(L, field == FIELD_START ? windowed->start : windowed->end);
    }
}

static int index_field(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(name, field_names[i]) == 0) {
            push_field(L, 1, (enum field)i);
            return 1;
        }
    }
    return luaL_error(L, "a windowed key has no field '%s'; it has key, window_start and window_end",
                      luaL_tolstring(L, 2, NULL));
}

static int assign_field(lua_State *L)
{
    return luaL_error(L, "a windowed key is read-only: field '%s' can't be set; tm.copy makes a table of it",
                      luaL_tolstring(L, 2, NULL));
}

static int equal(lua_State *L)
{
    const struct windowed_key *one = at(L, 1), *other = at(L, 2);
    bool same = one && other && one->start == other->start && one->end == other->end;
    if (same) {
        push_field(L, 1, FIELD_KEY);
        push_field(L, 2, FIELD_KEY);
        same = lua_compare(L, -1, -2, LUA_OPEQ);
    }
    lua_pushboolean(L, same);
    return 1;
}

static int to_text(lua_State *L)
{
    const struct windowed_key *windowed = at(L, 1);
    push_field(L, 1, FIELD_KEY);
    lua_pushfstring(L, "%s@%I-%I", luaL_tolstring(L, -1, NULL), (lua_Integer)windowed->start,
                    (lua_Integer)windowed->end);
    return 1;
}

/* The iterator of pairs: from the name of a field to the next one. */
static int next_field(lua_State *L)
{
    int field = 0;
    if (!lua_isnil(L, 2)) {
        const char *name = luaL_checkstring(L, 2);
        while (field < FIELD_COUNT && strcmp(name, field_names[field]) != 0) {
            field++;
        }
        field++;
    }
    if (!at(L, 1) || field >= FIELD_COUNT) {
        return 0;
    }
    lua_pushstring(L, field_names[field]);
    push_field(L, 1, (enum field)field);
    return 2;
}

static int pairs_of_fields(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushcfunction(L, next_field);
    lua_insert(L, 1);
    lua_pushnil(L);
    return 3;
}

void windowed_key_install(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__index", index_field}, {"__newindex", assign_field}, {"__eq", equal},
                                       {"__tostring", to_text},  {"__pairs", pairs_of_fields}, {NULL, NULL}};
    luaL_newlib(L, methods);
    lua_pushliteral(L, "windowed key");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}
