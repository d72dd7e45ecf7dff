#include "scripts/view_int.h"

#include <lauxlib.h>

#include "base/json.h"
#include "scripts/windowed_key.h"

/* The containers around a value that is being copied, against cycles. */
struct ring {
    const struct ring *outer;
    const void *container;
    int depth;
};

static void copy_value(lua_State *L, int index, const struct ring *outer);

/* ---- of text ---- */

static void decode_value(lua_State *L, struct host *host, struct slice json);

static void push_string(lua_State *L, struct host *host, struct slice json)
{
    struct slice text = view_string(host->arena, json);
    lua_pushlstring(L, (const char *)text.data, text.size);
}

static void decode_object(lua_State *L, struct host *host, struct slice json)
{
    struct json_walk walk = json_walk(json);
    struct slice name;
    struct slice value;
    luaL_checkstack(L, 6, "JSON nested too deeply");
    lua_createtable(L, 0, 4);
    while (json_next_member(&walk, &name, &value)) {
        push_string(L, host, slice_of(name.data - 1, name.size + 2));
        decode_value(L, host, value);
        lua_rawset(L, -3);
    }
}

/* An empty list is marked, or it would be written as an object. */
static void decode_array(lua_State *L, struct host *host, struct slice json)
{
    struct json_walk walk = json_walk(json);
    struct slice value;
    lua_Integer count = 0;
    luaL_checkstack(L, 6, "JSON nested too deeply");
    lua_createtable(L, 4, 0);
    while (json_next_element(&walk, &value)) {
        decode_value(L, host, value);
        lua_rawseti(L, -2, ++count);
    }
    if (count == 0) {
        view_mark_list(L, -1);
    }
}

static void push_number(lua_State *L, struct slice json)
{
    int64_t integer;
    double real;
    if (json_number(json, &integer, &real)) {
        lua_pushinteger(L, integer);
    } else {
        lua_pushnumber(L, real);
    }
}

/* A value without white space around it. */
static void decode_value(lua_State *L, struct host *host, struct slice json)
{
    switch (json.data[0]) {
    case '{':
        decode_object(L, host, json);
        break;
    case '[':
        decode_array(L, host, json);
        break;
    case '"':
        push_string(L, host, json);
        break;
    case 't':
    case 'f':
        lua_pushboolean(L, json.data[0] == 't');
        break;
    case 'n':
        view_push_null(L);
        break;
    default:
        push_number(L, json);
        break;
    }
}

/* ---- of views with changes, and of tables ---- */

/* Copies the value on top into the table below the key below it; pops key and value. */
static void put_copy(lua_State *L, int table, const struct ring *ring)
{
    copy_value(L, lua_gettop(L), ring);
    lua_remove(L, -2);
    lua_rawset(L, table);
}

static void copy_array_view(lua_State *L, int index, struct view *view, const struct ring *ring)
{
    lua_createtable(L, (int)view->length, 0);
    int table = lua_gettop(L);
    for (uint32_t i = 1; i <= view->length; i++) {
        lua_pushinteger(L, i);
        view_get(L, index, view, lua_gettop(L));
        put_copy(L, table, ring);
    }
    if (view->length == 0) {
        view_mark_list(L, table);
    }
}

static void copy_members(lua_State *L, int index, struct view *view, int table, const struct ring *ring)
{
    for (uint32_t i = 0; i < view->count; i++) {
        struct json_member *member = &view->members[i];
        lua_pushlstring(L, (const char *)member->name, member->name_size);
        view_get(L, index, view, lua_gettop(L));
        put_copy(L, table, ring);
    }
}

static void copy_object_view(lua_State *L, int index, struct view *view, const struct ring *ring)
{
    lua_createtable(L, 0, (int)view->count);
    int table = lua_gettop(L);
    copy_members(L, index, view, table, ring);
    view_overlay_push(L, index, view);
    int overlay = lua_gettop(L);
    lua_Integer added = view_overlay_added(L, overlay);
    for (lua_Integer i = 1; i <= added; i++) {
        lua_rawgeti(L, overlay, i);
        view_get(L, index, view, lua_gettop(L));
        put_copy(L, table, ring);
    }
    lua_remove(L, overlay);
}

static void copy_view(lua_State *L, int index, const struct ring *ring)
{
    struct view *view = view_require(L, index);
    if (!view_touched(L, index)) {
        decode_value(L, host_of(L), json_trim(slice_of(view->data, view->size)));
        return;
    }
    view_index_build(host_of(L)->arena, view);
    if (view->array) {
        copy_array_view(L, index, view, ring);
    } else {
        copy_object_view(L, index, view, ring);
    }
}

static void copy_table(lua_State *L, int index, const struct ring *ring)
{
    lua_createtable(L, (int)lua_rawlen(L, index), 0);
    int table = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        put_copy(L, table, ring);
    }
    if (lua_getmetatable(L, index)) {
        lua_setmetatable(L, table);
    }
}

static void copy_value(lua_State *L, int index, const struct ring *outer)
{
    bool table = lua_type(L, index) == LUA_TTABLE;
    if (windowed_key_is(L, index)) {
        windowed_key_copy(L, index);
        return;
    }
    if (!table && !view_is(L, index)) {
        lua_pushvalue(L, index);
        return;
    }
    luaL_checkstack(L, 8, "nested too deeply");
    struct ring ring = {outer, lua_topointer(L, index), outer != NULL ? outer->depth + 1 : 1};
    for (const struct ring *around = outer; around != NULL; around = around->outer) {
        if (around->container == ring.container) {
            luaL_error(L, "a value that contains itself can't be copied");
        }
    }
    if (ring.depth > JSON_MAX_DEPTH) {
        luaL_error(L, "a value that is nested more than %d levels deep can't be copied", JSON_MAX_DEPTH);
    }
    if (table) {
        copy_table(L, index, &ring);
    } else {
        copy_view(L, index, &ring);
    }
}

void view_copy(lua_State *L, int index)
{
    copy_value(L, lua_absindex(L, index), NULL);
}
