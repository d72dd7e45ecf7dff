#include "scripts/rec.h"

#include <lauxlib.h>

#include "base/arena.h"
#include "scripts/view.h"

/* Registry keys of the metatables, and the tag of rec userdata. */
static const char rec_key, headers_key;

struct rec {
    const void *tag;
    uint64_t epoch;
    int64_t timestamp;
    int64_t offset;
    const char *topic; /* NULL: not of a record, a punctuation forwarded it */
    int32_t partition;
    bool writable;
    struct headers headers; /* the item's, or a changed list in the arena */
};

static struct rec *require_current(lua_State *L, struct rec *rec, const char *what)
{
    if (rec->epoch != host_of(L)->epoch) {
        luaL_error(L, "this %s belongs to a record that is done; keep the values you need instead", what);
    }
    return rec;
}

static struct rec *rec_at(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof(struct rec)) {
        return NULL;
    }
    struct rec *rec = lua_touserdata(L, index);
    return rec->tag == &rec_key ? rec : NULL;
}

static bool has_metatable(lua_State *L, int index, const void *key)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) {
        return false;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* ---- rec ---- */

/* Userdata without content whose user value is the rec, so that it lives as long; one per rec. */
static void push_headers(lua_State *L, int rec)
{
    if (lua_getiuservalue(L, rec, 1) == LUA_TUSERDATA) {
        return;
    }
    lua_pop(L, 1);
    lua_newuserdatauv(L, 0, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &headers_key);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, rec);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, rec, 1);
}

enum field { FIELD_TIMESTAMP, FIELD_TOPIC, FIELD_PARTITION, FIELD_OFFSET, FIELD_HEADERS, FIELD_COUNT };

static enum field find_field(struct slice name)
{
    static const struct slice names[FIELD_COUNT] = {
        {(const unsigned char *)"timestamp", 9}, {(const unsigned char *)"topic", 5},
        {(const unsigned char *)"partition", 9}, {(const unsigned char *)"offset", 6},
        {(const unsigned char *)"headers", 7},
    };
    int field = 0;
    while (field < FIELD_COUNT && !slice_equal(names[field], name)) {
        field++;
    }
    return (enum field)field;
}

static void push_integer_of_record(lua_State *L, const struct rec *rec, int64_t value)
{
    if (rec->topic != NULL) {
        lua_pushinteger(L, value);
    } else {
        lua_pushnil(L);
    }
}

static int index_rec(lua_State *L)
{
    struct rec *rec = require_current(L, lua_touserdata(L, 1), "rec");
    struct slice name = {NULL, 0};
    if (lua_type(L, 2) == LUA_TSTRING) {
        name.data = (const unsigned char *)lua_tolstring(L, 2, &name.size);
    }
    switch (find_field(name)) {
    case FIELD_TIMESTAMP:
        lua_pushinteger(L, rec->timestamp);
        break;
    case FIELD_TOPIC:
        lua_pushstring(L, rec->topic);
        break;
    case FIELD_PARTITION:
        push_integer_of_record(L, rec, rec->partition);
        break;
    case FIELD_OFFSET:
        push_integer_of_record(L, rec, rec->offset);
        break;
    case FIELD_HEADERS:
        push_headers(L, 1);
        break;
    default:
        return luaL_error(L, "rec has no field '%s'; it has timestamp, topic, partition, offset and headers",
                          luaL_tolstring(L, 2, NULL));
    }
    return 1;
}

static int assign_rec(lua_State *L)
{
    return luaL_error(L, "rec is read-only: field '%s' can't be set", luaL_tolstring(L, 2, NULL));
}

static int text_of_rec(lua_State *L)
{
    struct rec *rec = require_current(L, lua_touserdata(L, 1), "rec");
    if (rec->topic == NULL) {
        lua_pushfstring(L, "rec of a punctuation at %I", (lua_Integer)rec->timestamp);
    } else {
        lua_pushfstring(L, "rec of %s [%d] offset %I", rec->topic, (int)rec->partition, (lua_Integer)rec->offset);
    }
    return 1;
}

/* ---- headers ---- */

static struct rec *require_headers(lua_State *L, const char *method)
{
    if (!has_metatable(L, 1, &headers_key)) {
        luaL_error(L, "write rec.headers:%s(...), with a colon", method);
    }
    lua_getiuservalue(L, 1, 1);
    struct rec *rec = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the headers userdata keeps it alive */
    return require_current(L, rec, "rec.headers");
}

static struct slice require_name(lua_State *L, int index)
{
    struct slice name;
    if (lua_type(L, index) != LUA_TSTRING) {
        luaL_error(L, "the name of a header is a string, and this is a %s", luaL_typename(L, index));
    }
    name.data = (const unsigned char *)lua_tolstring(L, index, &name.size);
    return name;
}

/* In the arena; tm.null stands for a null value. */
static struct slice require_value(lua_State *L, int index)
{
    struct slice value = SLICE_NULL;
    if (view_is_null(L, index)) {
        return value;
    }
    if (lua_type(L, index) != LUA_TSTRING) {
        luaL_error(L, "the value of a header is a string of bytes or tm.null, and this is a %s",
                   luaL_typename(L, index));
    }
    value.data = (const unsigned char *)lua_tolstring(L, index, &value.size);
    return arena_copy(host_of(L)->arena, value);
}

static void push_value(lua_State *L, struct slice value)
{
    if (slice_is_null(value)) {
        view_push_null(L);
    } else {
        lua_pushlstring(L, (const char *)value.data, value.size);
    }
}

static int get_header(lua_State *L)
{
    const struct headers *headers = &require_headers(L, "get")->headers;
    struct slice name = require_name(L, 2);
    for (size_t i = headers->count; i > 0; i--) {
        if (slice_equal(headers->list[i - 1].name, name)) {
            push_value(L, headers->list[i - 1].value);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

static int all_headers(lua_State *L)
{
    const struct headers *headers = &require_headers(L, "all")->headers;
    struct slice name = require_name(L, 2);
    lua_Integer count = 0;
    lua_createtable(L, 1, 0);
    for (size_t i = 0; i < headers->count; i++) {
        if (slice_equal(headers->list[i].name, name)) {
            push_value(L, headers->list[i].value);
            lua_rawseti(L, -2, ++count);
        }
    }
    return 1;
}

static struct rec *require_writable(lua_State *L, const char *method)
{
    struct rec *rec = require_headers(L, method);
    if (!rec->writable) {
        luaL_error(L, "rec.headers can be changed inside process only; here it is read-only");
    }
    return rec;
}

/* A copy of the list without the headers of `name` (all of them when it is null) and with room for one more. The old
 * list stays as it is: other branches look at it. */
static struct header *copy_without(lua_State *L, struct rec *rec, struct slice name, size_t *count)
{
    const struct headers *old = &rec->headers;
    struct header *list = arena_alloc(host_of(L)->arena, (old->count + 1) * sizeof *list);
    size_t kept = 0;
    for (size_t i = 0; i < old->count; i++) {
        if (slice_is_null(name) || !slice_equal(old->list[i].name, name)) {
            list[kept++] = old->list[i];
        }
    }
    *count = kept;
    return list;
}

static int write_header(lua_State *L, const char *method, bool replace)
{
    struct rec *rec = require_writable(L, method);
    struct slice name = arena_copy(host_of(L)->arena, require_name(L, 2));
    struct slice value = require_value(L, 3);
    size_t count;
    struct header *list = copy_without(L, rec, replace ? name : SLICE_NULL, &count);
    list[count] = (struct header){name, value};
    rec->headers = (struct headers){list, count + 1};
    return 0;
}

static int add_header(lua_State *L)
{
    return write_header(L, "add", false);
}

static int set_header(lua_State *L)
{
    return write_header(L, "set", true);
}

static int remove_header(lua_State *L)
{
    struct rec *rec = require_writable(L, "remove");
    size_t count;
    struct header *list = copy_without(L, rec, require_name(L, 2), &count);
    rec->headers = (struct headers){list, count};
    return 0;
}

/* The iterator of each: upvalue 1 is the headers userdata, upvalue 2 the number of the next header. The list is the one
 * of the beginning when it is changed on the way (upvalue 3), as its copies are made aside. */
static int next_header(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    require_headers(L, "each");
    const struct headers *headers = lua_touserdata(L, lua_upvalueindex(3));
    lua_Integer next = lua_tointeger(L, lua_upvalueindex(2));
    if ((size_t)next >= headers->count) {
        return 0;
    }
    lua_pushinteger(L, next + 1);
    lua_replace(L, lua_upvalueindex(2));
    const struct header *header = &headers->list[next];
    lua_pushlstring(L, (const char *)header->name.data, header->name.size);
    push_value(L, header->value);
    return 2;
}

static int each_header(lua_State *L)
{
    struct rec *rec = require_headers(L, "each");
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    struct headers *headers = lua_newuserdatauv(L, sizeof *headers, 0);
    *headers = rec->headers;
    lua_pushcclosure(L, next_header, 3);
    return 1;
}

static int count_headers(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)require_headers(L, "each")->headers.count);
    return 1;
}

static int assign_headers(lua_State *L)
{
    return luaL_error(L, "headers are set with rec.headers:set(name, value), not as field '%s'",
                      luaL_tolstring(L, 2, NULL));
}

/* The methods are upvalue 1. */
static int index_headers(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL) {
        return luaL_error(L, "headers are read with rec.headers:get(name), not as field '%s'",
                          luaL_tolstring(L, 2, NULL));
    }
    return 1;
}

/* ---- registration ---- */

static void finish_metatable(lua_State *L, const luaL_Reg *methods, const char *name, const void *key)
{
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void rec_install(lua_State *L)
{
    static const luaL_Reg rec_methods[] = {
        {"__index", index_rec}, {"__newindex", assign_rec}, {"__tostring", text_of_rec}, {NULL, NULL}};
    static const luaL_Reg header_methods[] = {{"get", get_header}, {"all", all_headers},      {"add", add_header},
                                              {"set", set_header}, {"remove", remove_header}, {"each", each_header},
                                              {NULL, NULL}};
    static const luaL_Reg header_metamethods[] = {
        {"__newindex", assign_headers}, {"__len", count_headers}, {NULL, NULL}};

    lua_createtable(L, 0, 5);
    finish_metatable(L, rec_methods, "rec", &rec_key);
    lua_createtable(L, 0, 5);
    luaL_newlib(L, header_methods);
    lua_pushcclosure(L, index_headers, 1);
    lua_setfield(L, -2, "__index");
    finish_metatable(L, header_metamethods, "headers", &headers_key);
}

void rec_push(lua_State *L, const struct item *item, bool writable)
{
    struct rec *rec = lua_newuserdatauv(L, sizeof *rec, 1);
    const struct record *source = item->source;
    *rec = (struct rec){.tag = &rec_key,
                        .epoch = host_of(L)->epoch,
                        .timestamp = item->timestamp,
                        .offset = source != NULL ? source->offset : -1,
                        .topic = source != NULL ? source->topic : NULL,
                        .partition = source != NULL ? source->partition : -1,
                        .writable = writable,
                        .headers = *item->headers};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &rec_key);
    lua_setmetatable(L, -2);
}

const struct headers *rec_headers(lua_State *L, int index)
{
    static const struct headers none = {NULL, 0};
    struct rec *rec = rec_at(L, index);
    if (rec == NULL || rec->epoch != host_of(L)->epoch) {
        return &none;
    }
    struct headers *headers = arena_alloc(host_of(L)->arena, sizeof *headers);
    *headers = rec->headers;
    return headers;
}

/* The pair on top of the stack. */
static struct header take_header(lua_State *L)
{
    if (lua_type(L, -1) != LUA_TTABLE) {
        luaL_error(L, "headers are a list of { name, value }, and one of its entries is a %s", luaL_typename(L, -1));
    }
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    int top = lua_gettop(L);
    struct header header = {arena_copy(host_of(L)->arena, require_name(L, top - 1)), require_value(L, top)};
    lua_pop(L, 2);
    return header;
}

const struct headers *rec_take_headers(lua_State *L, int index)
{
    struct headers *headers = arena_alloc(host_of(L)->arena, sizeof *headers);
    index = lua_absindex(L, index);
    if (has_metatable(L, index, &headers_key)) {
        lua_getiuservalue(L, index, 1);
        *headers = require_current(L, lua_touserdata(L, -1), "rec.headers")->headers;
        lua_pop(L, 1);
        return headers;
    }
    if (lua_type(L, index) != LUA_TTABLE) {
        luaL_error(L, "headers are a list of { name, value }, or rec.headers, and this is a %s",
                   luaL_typename(L, index));
    }
    size_t count = lua_rawlen(L, index);
    struct header *list = arena_alloc(host_of(L)->arena, (count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        list[i] = take_header(L);
        lua_pop(L, 1);
    }
    *headers = (struct headers){list, count};
    return headers;
}
