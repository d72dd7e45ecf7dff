#include "scripts/view_int.h"

#include <lauxlib.h>

#include "base/json.h"

/* Their addresses are the tag of views and the registry key of tm.list's metatable. */
static const char view_key, list_key;
/* Their addresses are the values tm.null and tm.tombstone. */
static const char null_mark, tombstone_mark;

static struct view *view_at(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof(struct view)) {
        return NULL;
    }
    struct view *view = lua_touserdata(L, index);
    return view->tag == &view_key ? view : NULL;
}

bool view_is(lua_State *L, int index)
{
    return view_at(L, index) != NULL;
}

struct view *view_require(lua_State *L, int index)
{
    struct view *view = lua_touserdata(L, index);
    if (view->epoch != host_of(L)->epoch) {
        luaL_error(L, "this value belongs to a record that is done; keep a copy with tm.copy(value)");
    }
    return view;
}

/* ---- making Lua values of JSON ---- */

struct slice view_string(struct arena *arena, struct slice json)
{
    struct slice raw = slice_of(json.data + 1, json.size - 2);
    if (!json_has_escape(raw)) {
        return raw;
    }
    /* Decoded text is never longer than its escapes, so the arena's block does not have to grow. */
    struct bytes decoded = {arena_alloc(arena, raw.size), 0, raw.size};
    json_decode_string(json, &decoded);
    return bytes_slice(&decoded);
}

static void push_string(lua_State *L, struct slice json)
{
    struct slice text = view_string(host_of(L)->arena, json);
    lua_pushlstring(L, (const char *)text.data, text.size);
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

static struct view *push_view(lua_State *L)
{
    struct view *view = lua_newuserdatauv(L, sizeof *view, 1);
    view->tag = NULL; /* until it is filled */
    lua_rawgeti(L, LUA_REGISTRYINDEX, host_of(L)->view_metatable);
    lua_setmetatable(L, -2);
    return view;
}

/* Gives a view of the bytes that were just checked the members that were found then. */
static void take_members(const struct host *host, struct view *view)
{
    const struct json_members *members = host->checked_members;
    if (host->checked.data == view->data && host->checked.size == view->size && host->checked_epoch == host->epoch &&
        members->count < JSON_MEMBERS) {
        view->members = host->checked_members->list;
        view->count = (uint32_t)members->count;
        view->indexed = true;
    }
}

static void push_container(lua_State *L, struct slice json, bool array)
{
    if (json.size > INT32_MAX) {
        luaL_error(L, "JSON of %I bytes is too large to be read", (lua_Integer)json.size);
    }
    struct view *view = push_view(L);
    *view = (struct view){
        .tag = &view_key, .data = json.data, .size = (uint32_t)json.size, .epoch = host_of(L)->epoch, .array = array};
    take_members(host_of(L), view);
}

/* A value without white space around it. */
static void push_value(lua_State *L, struct slice json)
{
    switch (json.data[0]) {
    case '{':
        push_container(L, json, false);
        break;
    case '[':
        push_container(L, json, true);
        break;
    case '"':
        push_string(L, json);
        break;
    case 't':
        lua_pushboolean(L, true);
        break;
    case 'f':
        lua_pushboolean(L, false);
        break;
    case 'n':
        view_push_null(L);
        break;
    default:
        push_number(L, json);
        break;
    }
}

bool view_check(struct host *host, struct slice json, struct json_problem *problem)
{
    struct json_members *members = arena_alloc(host->arena, sizeof *members);
    if (!json_check_members(json, members, problem)) {
        return false;
    }
    host->checked = json;
    host->checked_members = members;
    host->checked_epoch = host->epoch;
    return true;
}

void view_push(lua_State *L, struct slice json)
{
    switch (json.data[0] == '{' ? JSON_OBJECT : json_type(json)) {
    case JSON_OBJECT:
        push_container(L, json, false); /* with its white space: untouched bytes leave as they came */
        break;
    case JSON_ARRAY:
        push_container(L, json, true);
        break;
    default:
        push_value(L, json_trim(json));
        break;
    }
}

/* ---- reading ---- */

/* Where in the text the value of the key at `key` is; null: nowhere. */
static struct slice find_value(lua_State *L, struct view *view, int key)
{
    if (view->array) {
        lua_Integer position = lua_tointeger(L, key);
        bool inside = position >= 1 && position <= view->length && position <= view->count;
        return inside ? view_index_element(view, (uint32_t)position - 1) : SLICE_NULL;
    }
    size_t size;
    const char *name = lua_tolstring(L, key, &size);
    return view_index_value(host_of(L)->arena, view, slice_of(name, size));
}

void view_get(lua_State *L, int index, struct view *view, int key)
{
    if (view->overlaid && view_overlay_get(L, index, view, key)) {
        return;
    }
    struct slice value = find_value(L, view, key);
    if (slice_is_null(value)) {
        lua_pushnil(L);
        return;
    }
    push_value(L, value);
    if (value.data[0] == '{' || value.data[0] == '[') {
        int child = lua_gettop(L);
        view_overlay_push(L, index, view);
        lua_pushvalue(L, key);
        lua_pushvalue(L, child);
        lua_rawset(L, -3);
        lua_pop(L, 1);
    }
}

static int index_view(lua_State *L)
{
    struct view *view = view_require(L, 1);
    int is_position = false;
    if (view->array && lua_type(L, 2) == LUA_TNUMBER) {
        lua_Integer position = lua_tointegerx(L, 2, &is_position);
        lua_pushinteger(L, position); /* 1.0 is 1, as for tables */
        lua_replace(L, 2);
        view_index_build(host_of(L)->arena, view);
    }
    if (view->array ? !is_position : lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
    } else {
        view_get(L, 1, view, 2);
    }
    return 1;
}

static int assign_view(lua_State *L)
{
    struct view *view = view_require(L, 1);
    lua_settop(L, 3);
    view_overlay_set(L, 1, view, 2, 3);
    return 0;
}

/* As # of a table: an object has no list part. */
static int length_of_view(lua_State *L)
{
    struct view *view = view_require(L, 1);
    if (view->array) {
        view_index_build(host_of(L)->arena, view);
    }
    lua_pushinteger(L, view->array ? view->length : 0);
    return 1;
}

static int text_of_view(lua_State *L)
{
    view_require(L, 1);
    struct host *host = host_of(L);
    bytes_clear(&host->scratch);
    view_encode(L, 1, &host->scratch);
    lua_pushlstring(L, (const char *)bytes_slice(&host->scratch).data, host->scratch.size);
    return 1;
}

/* ---- walking: for name, value in pairs(view) ---- */

/* Pushes the name of step number `step` (0 and up) of an object and returns true; false at the end. Names of the text
 * come first, then those that were added. A step may have nothing to show: then nil is pushed. */
static bool push_name(lua_State *L, int index, struct view *view, lua_Integer step)
{
    if (step < view->count) {
        struct json_member *member = &view->members[step];
        if (member->value_size == 0) {
            lua_pushnil(L);
        } else {
            lua_pushlstring(L, (const char *)member->name, member->name_size);
        }
        return true;
    }
    if (!view->overlaid) {
        return false;
    }
    view_overlay_push(L, index, view);
    bool more = lua_rawgeti(L, -1, step - view->count + 1) != LUA_TNIL;
    lua_remove(L, -2);
    if (!more) {
        lua_pop(L, 1);
    }
    return more;
}

static bool push_key(lua_State *L, int index, struct view *view, lua_Integer step)
{
    if (!view->array) {
        return push_name(L, index, view, step);
    }
    if (step >= view->length) {
        return false;
    }
    lua_pushinteger(L, step + 1);
    return true;
}

/* The iterator: upvalue 1 is the view, upvalue 2 the number of the next step. */
static int walk_view(lua_State *L)
{
    int index = lua_upvalueindex(1);
    struct view *view = view_require(L, index);
    lua_Integer step = lua_tointeger(L, lua_upvalueindex(2));
    lua_settop(L, 0);
    while (push_key(L, index, view, step)) {
        step++;
        if (!lua_isnil(L, 1)) {
            view_get(L, index, view, 1);
            if (!lua_isnil(L, 2)) {
                break;
            }
        }
        lua_settop(L, 0);
    }
    lua_pushinteger(L, step);
    lua_replace(L, lua_upvalueindex(2));
    if (lua_gettop(L) == 0) {
        lua_pushnil(L);
    }
    return lua_gettop(L);
}

static int pairs_of_view(lua_State *L)
{
    struct view *view = view_require(L, 1);
    if (view->array) {
        view_index_build(host_of(L)->arena, view);
    } else {
        view_index_settle(host_of(L)->arena, view);
    }
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, walk_view, 2);
    return 1;
}

/* ---- from C ---- */

struct slice view_bytes(lua_State *L, int index)
{
    struct view *view = view_at(L, index);
    return view == NULL || view_touched(L, index) ? SLICE_NULL : slice_of(view->data, view->size);
}

bool view_touched(lua_State *L, int index)
{
    struct view *view = view_at(L, index);
    if (view == NULL || (!view->overlaid && !view->changed && view->epoch == host_of(L)->epoch)) {
        return false;
    }
    if (view->changed || view->epoch != host_of(L)->epoch || !lua_checkstack(L, 4)) {
        return true;
    }
    /* Nothing was assigned here, so the overlay holds children only: parts of the text, nested as deep as that. */
    bool touched = false;
    lua_getiuservalue(L, index, 1);
    int overlay = lua_gettop(L);
    lua_pushnil(L);
    while (!touched && lua_next(L, overlay)) {
        touched = view_touched(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    lua_settop(L, overlay - 1);
    return touched;
}

static void fork_view(lua_State *L, int index, const struct view *view)
{
    struct host *host = host_of(L);
    if (view_touched(L, index)) {
        bytes_clear(&host->scratch);
        view_encode(L, index, &host->scratch);
        push_container(L, arena_copy(host->arena, bytes_slice(&host->scratch)), view->array);
        return;
    }
    struct view *fork = push_view(L);
    *fork = *view; /* the index is shared: it does not change any more */
    fork->overlaid = false;
}

void view_fork(lua_State *L, int index)
{
    const struct view *view = view_at(L, index);
    if (view != NULL) {
        fork_view(L, index, view);
    } else if (lua_type(L, index) == LUA_TTABLE) {
        view_copy(L, index);
    } else {
        lua_pushvalue(L, index);
    }
}

/* ---- tm.null, tm.tombstone, tm.list ---- */

void view_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&null_mark);
}

void view_push_tombstone(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&tombstone_mark);
}

bool view_is_null(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == &null_mark;
}

bool view_is_tombstone(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == &tombstone_mark;
}

void view_mark_list(lua_State *L, int index)
{
    int table = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key);
    lua_setmetatable(L, table);
}

bool view_is_list(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) {
        return false;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key);
    bool marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return marked;
}

static const char *mark_name(lua_State *L, int index)
{
    if (view_is_null(L, index)) {
        return "null";
    }
    return view_is_tombstone(L, index) ? "tombstone" : NULL;
}

static int text_of_mark(lua_State *L)
{
    const char *name = mark_name(L, 1);
    if (name != NULL) {
        lua_pushstring(L, name);
    } else {
        lua_pushfstring(L, "userdata: %p", lua_touserdata(L, 1));
    }
    return 1;
}

static int index_mark(lua_State *L)
{
    const char *name = mark_name(L, 1);
    return luaL_error(L, "%s has no field '%s'", name == NULL ? "this value" : lua_pushfstring(L, "tm.%s", name),
                      luaL_tolstring(L, 2, NULL));
}

/* `next` as the base library has it, with an error that says what to do about views. */
static int next_of_table(lua_State *L)
{
    if (view_is(L, 1)) {
        return luaL_error(L, "next does not work on a JSON value; use pairs(value), or next(tm.copy(value))");
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (lua_next(L, 1)) {
        return 2;
    }
    lua_pushnil(L);
    return 1;
}

/* ---- registration ---- */

static const luaL_Reg view_methods[] = {
    {"__index", index_view},      {"__newindex", assign_view}, {"__len", length_of_view},
    {"__tostring", text_of_view}, {"__pairs", pairs_of_view},  {NULL, NULL},
};

static const luaL_Reg mark_methods[] = {
    {"__index", index_mark},
    {"__newindex", index_mark},
    {"__tostring", text_of_mark},
    {NULL, NULL},
};

/* Pushes a metatable that scripts can't get at. */
static void push_metatable(lua_State *L, const luaL_Reg *methods, const char *name)
{
    lua_createtable(L, 0, 8);
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
}

void view_install(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};
    push_metatable(L, view_methods, "JSON");
    host_of(L)->view_metatable = luaL_ref(L, LUA_REGISTRYINDEX);
    push_metatable(L, none, "list");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
    lua_pushlightuserdata(L, (void *)&null_mark);
    push_metatable(L, mark_methods, "constant");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
    lua_pushcfunction(L, next_of_table);
    lua_setglobal(L, "next");
}
