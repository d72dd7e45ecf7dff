#include "scripts/view_int.h"

#include <lauxlib.h>

/* Its address stands in an overlay for a field that was removed. */
static const char removed_mark;

bool view_overlay_is_removed(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == &removed_mark;
}

void view_overlay_push(lua_State *L, int index, struct view *view)
{
    if (view->overlaid) {
        lua_getiuservalue(L, index, 1);
        return;
    }
    int absolute = lua_absindex(L, index);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, absolute, 1);
    view->overlaid = true;
}

bool view_overlay_get(lua_State *L, int index, struct view *view, int key)
{
    view_overlay_push(L, index, view);
    lua_pushvalue(L, key);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 2);
        return false;
    }
    if (view_overlay_is_removed(L, -1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    lua_remove(L, -2);
    return true;
}

lua_Integer view_overlay_added(lua_State *L, int overlay)
{
    return (lua_Integer)lua_rawlen(L, overlay);
}

static const char *key_text(lua_State *L, int key)
{
    return lua_type(L, key) == LUA_TSTRING ? lua_pushfstring(L, "field '%s'", lua_tostring(L, key))
                                           : lua_pushfstring(L, "position %s", luaL_tolstring(L, key, NULL));
}

/* What JSON can't hold is refused where it is assigned, at the user's line. */
static void require_storable(lua_State *L, int key, int value)
{
    switch (lua_type(L, value)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
    case LUA_TTABLE:
        return;
    default:
        if (!view_is(L, value) && !view_is_null(L, value)) {
            luaL_error(L, "%s can't be a %s, which JSON can't hold", key_text(L, key), luaL_typename(L, value));
        }
    }
}

/* overlay[key] = value, or the mark when the value is nil. Pops the overlay. */
static void store(lua_State *L, int key, int value)
{
    lua_pushvalue(L, key);
    if (lua_isnil(L, value)) {
        lua_pushlightuserdata(L, (void *)&removed_mark);
    } else {
        lua_pushvalue(L, value);
    }
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static void set_member(lua_State *L, int index, struct view *view, int key, int value)
{
    if (lua_type(L, key) != LUA_TSTRING) {
        luaL_error(L, "the names of a JSON object are strings, and this is a %s; tm.copy(value) makes a plain table",
                   luaL_typename(L, key));
    }
    size_t size;
    const char *name = lua_tolstring(L, key, &size);
    bool in_text = !slice_is_null(view_index_value(host_of(L)->arena, view, slice_of(name, size)));
    if (!in_text && !view->overlaid && lua_isnil(L, value)) {
        return; /* there was none */
    }
    view_overlay_push(L, index, view);
    lua_pushvalue(L, key);
    bool known = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
    if (!in_text && !known) {
        if (lua_isnil(L, value)) {
            lua_pop(L, 1);
            return;
        }
        lua_pushvalue(L, key);
        lua_rawseti(L, -2, view_overlay_added(L, -2) + 1);
    }
    store(L, key, value);
    view->changed = true;
}

/* Positions 1 to the length, and the one after it: there is no array with holes in JSON. */
static void set_element(lua_State *L, int index, struct view *view, int key, int value)
{
    int is_position = false;
    lua_Integer position = lua_type(L, key) == LUA_TNUMBER ? lua_tointegerx(L, key, &is_position) : 0;
    if (!is_position) {
        luaL_error(L, "%s can't be set: the value is a JSON array", key_text(L, key));
    }
    bool removes = lua_isnil(L, value);
    view_index_build(host_of(L)->arena, view);
    lua_Integer length = view->length;
    if (position < 1 || position > length + 1) {
        if (removes) {
            return;
        }
        luaL_error(L, "position %I can't be set: the array has %I elements", position, length);
    }
    if (removes && position < length) {
        luaL_error(L, "position %I of %I can't be nil; use tm.null, or table.remove(value, %I)", position, length,
                   position);
    }
    if (removes && position > length) {
        return;
    }
    view_overlay_push(L, index, view);
    lua_pushvalue(L, value);
    lua_rawseti(L, -2, position);
    lua_pop(L, 1);
    view->length = (uint32_t)(removes ? length - 1 : position > length ? position : length);
    view->changed = true;
}

void view_overlay_set(lua_State *L, int index, struct view *view, int key, int value)
{
    require_storable(L, key, value);
    if (view->array) {
        set_element(L, index, view, key, value);
    } else {
        set_member(L, index, view, key, value);
    }
}
