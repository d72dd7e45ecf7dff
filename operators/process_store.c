#include "operators/process_store.h"

#include "operators/process_context.h"
#include "operators/process_window.h"
#include "scripts/view.h"

#define CURSOR_TYPE "iterator of a store"

/* ---- what all kinds have in common ---- */

static const struct store_driver *driver_of(const struct process_store *store)
{
    return op_store_driver(store->process->node->worker);
}

struct process_store *process_store_argument(lua_State *L, const char *type, const char *method, bool changes)
{
    struct process_store **handle = luaL_testudata(L, 1, type);
    if (!handle) {
        luaL_error(L, "write ctx.stores.NAME:%s(...), with a colon", method);
        return NULL;
    }
    struct process_store *store = *handle;
    const struct process *process = store->process;
    if (process->phase == PROCESS_OUTSIDE || host_of(L)->node != process->node) {
        lua_pushfstring(L, "the store \"%s\"", store->name);
        process_context_require(L, process, lua_tostring(L, -1));
    }
    if (changes && store->read_only) {
        luaL_error(L, "the store \"%s\" belongs to a table: a processor can read it, and %s would change it",
                   store->name, method);
    }
    if (changes && process->phase == PROCESS_INIT) {
        op_touch(process->node->worker);
    }
    if (changes && process->phase == PROCESS_CLOSE) {
        luaL_error(L, "the store \"%s\" can't be changed in close: there is no commit any more", store->name);
    }
    return store;
}

struct slice process_store_key(lua_State *L, const struct process_store *store, int index, const char *method)
{
    const struct codec *codec = store->key_codec;
    bool text = codec == &codec_string || codec == &codec_bytes;
    if (lua_isnoneornil(L, index) || (text && lua_type(L, index) != LUA_TSTRING)) {
        luaL_error(L, "%s of the store \"%s\" needs a %s as the key, got %s", method, store->name,
                   text ? "string" : codec->name, luaL_typename(L, index));
    }
    if (text) {
        size_t size;
        const char *key = lua_tolstring(L, index, &size);
        return slice_of(key, size);
    }
    struct datum datum = datum_of_value(L, index, codec);
    return datum_bytes(L, &datum, codec);
}

struct slice process_store_value(lua_State *L, const struct process_store *store, int index)
{
    struct datum datum = datum_of_value(L, index, store->value_codec);
    return datum_bytes(L, &datum, store->value_codec);
}

void process_store_push_value(lua_State *L, const struct process_store *store, struct slice value)
{
    if (slice_is_null(value)) {
        lua_pushnil(L);
        return;
    }
    store->value_codec->decode(store->value_codec, L, arena_copy(host_of(L)->arena, value));
}

int process_store_raise(lua_State *L, const struct process_store *store)
{
    struct node *node = store->process->node;
    const struct err *err = op_error(node->worker);
    if (err->class == ERR_SKIP) { /* the entry's fault: the node's policy decides */
        return luaL_error(L, "%s", err->text);
    }
    return call_raise(L, node);
}

/* ---- iterators ---- */

struct cursor {
    struct process_store *store;
    struct store_cursor *list[PROCESS_CURSORS];
    int at, count;  /* those before `at` have ended */
    uint64_t epoch; /* a commit may end the cursors afterwards */
    process_store_entry *entry;
    unsigned char data[]; /* for `entry` */
};

/* Also the __close of a loop that is left, and the __gc of one that was never run to its end. */
static int end_cursor(lua_State *L)
{
    struct cursor *cursor = luaL_testudata(L, 1, CURSOR_TYPE);
    for (; cursor && cursor->at < cursor->count; cursor->at++) {
        if (cursor->epoch == host_of(L)->epoch) {
            driver_of(cursor->store)->end(cursor->list[cursor->at]);
        }
    }
    return 0;
}

static int next_entry(lua_State *L)
{
    struct cursor *cursor = lua_touserdata(L, lua_upvalueindex(1));
    struct process_store *store = cursor->store;
    if (cursor->epoch != host_of(L)->epoch) {
        return luaL_error(L, "this iterator of the store \"%s\" belongs to a record that is done", store->name);
    }
    const struct store_driver *driver = driver_of(store);
    struct store_entry entry;
    while (cursor->at < cursor->count) {
        bool found;
        if (driver->next(cursor->list[cursor->at], &found, &entry, op_error(store->process->node->worker))) {
            return process_store_raise(L, store);
        }
        int count = found ? cursor->entry(L, store, &entry, cursor->data) : 0;
        if (count > 0) {
            return count;
        }
        if (!found) {
            driver->end(cursor->list[cursor->at++]);
        }
    }
    return 0;
}

static void make_cursor_class(lua_State *L)
{
    if (luaL_newmetatable(L, CURSOR_TYPE)) {
        lua_pushcfunction(L, end_cursor);
        lua_setfield(L, -2, "__close");
        lua_pushcfunction(L, end_cursor);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

int process_store_iterate(lua_State *L, struct process_store *store, struct store_cursor *const *cursors, int count,
                          process_store_entry *entry, const void *data, size_t size)
{
    struct cursor *cursor = lua_newuserdatauv(L, sizeof(*cursor) + size, 0);
    *cursor = (struct cursor){.store = store, .count = count, .epoch = host_of(L)->epoch, .entry = entry};
    memcpy(cursor->list, cursors, sizeof(*cursors) * (size_t)count);
    if (size > 0) {
        memcpy(cursor->data, data, size);
    }
    luaL_setmetatable(L, CURSOR_TYPE);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, next_entry, 1);
    lua_insert(L, -2);
    lua_pushnil(L);
    lua_insert(L, -2);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 4;
}

/* ---- key-value stores ---- */

static struct process_store *key_value_argument(lua_State *L, const char *method, bool changes)
{
    return process_store_argument(L, PROCESS_STORE_KEY_VALUE, method, changes);
}

static bool is_expired(const struct process_store *store, const struct store_entry *entry)
{
    return op_expired(store->process->node->worker, store->ttl_ms, entry->timestamp);
}

/* s:get(key) */
static int get(lua_State *L)
{
    struct process_store *store = key_value_argument(L, "get", false);
    struct slice key = process_store_key(L, store, 2, "get");
    struct store_entry entry;
    bool found;
    if (driver_of(store)->get(store->store, key, &found, &entry, op_error(store->process->node->worker))) {
        return process_store_raise(L, store);
    }
    process_store_push_value(L, store, found && !is_expired(store, &entry) ? entry.value : SLICE_NULL);
    return 1;
}

/* Entries of a store with a ttl count from the stream time of the write, whatever time the record has. */
static int64_t time_of_write(const struct process_store *store)
{
    if (store->ttl_ms == 0) {
        return process_context_time(store->process);
    }
    int64_t time = op_stream_time(store->process->node->worker);
    return time < 0 ? 0 : time;
}

static int write_entry(lua_State *L, struct process_store *store, struct slice key, struct slice value)
{
    struct err *err = op_error(store->process->node->worker);
    bool failed = driver_of(store)->put(store->store, key, value, time_of_write(store), err) != 0;
    return failed ? process_store_raise(L, store) : 0;
}

/* s:put(key, value); nil deletes. */
static int put(lua_State *L)
{
    struct process_store *store = key_value_argument(L, "put", true);
    struct slice key = process_store_key(L, store, 2, "put");
    return write_entry(L, store, key, process_store_value(L, store, 3));
}

/* s:delete(key) */
static int delete (lua_State *L)
{
    struct process_store *store = key_value_argument(L, "delete", true);
    return write_entry(L, store, process_store_key(L, store, 2, "delete"), SLICE_NULL);
}

static int push_pair(lua_State *L, const struct process_store *store, const struct store_entry *entry, const void *data)
{
    (void)data;
    if (is_expired(store, entry)) {
        return 0;
    }
    struct slice value = arena_copy(host_of(L)->arena, entry->value);
    store->key_codec->decode(store->key_codec, L, arena_copy(host_of(L)->arena, entry->key));
    store->value_codec->decode(store->value_codec, L, value);
    return 2;
}

static int iterate_range(lua_State *L, struct process_store *store, struct slice from, struct slice to)
{
    struct store_cursor *cursor;
    if (driver_of(store)->range(store->store, from, to, false, &cursor, op_error(store->process->node->worker))) {
        return process_store_raise(L, store);
    }
    return process_store_iterate(L, store, &cursor, 1, push_pair, NULL, 0);
}

/* for key, value in s:all() */
static int all(lua_State *L)
{
    return iterate_range(L, key_value_argument(L, "all", false), SLICE_NULL, SLICE_NULL);
}

static struct slice bound(lua_State *L, const struct process_store *store, int index)
{
    return lua_isnoneornil(L, index) ? SLICE_NULL : process_store_key(L, store, index, "range");
}

/* for key, value in s:range(from, to); both inclusive, nil: open. */
static int range(lua_State *L)
{
    struct process_store *store = key_value_argument(L, "range", false);
    struct slice from = bound(L, store, 2);
    return iterate_range(L, store, from, bound(L, store, 3));
}

/* for key, value in s:prefix(p) */
static int prefix(lua_State *L)
{
    struct process_store *store = key_value_argument(L, "prefix", false);
    struct slice bytes = process_store_key(L, store, 2, "prefix");
    struct store_cursor *cursor;
    if (driver_of(store)->prefix(store->store, bytes, &cursor, op_error(store->process->node->worker))) {
        return process_store_raise(L, store);
    }
    return process_store_iterate(L, store, &cursor, 1, push_pair, NULL, 0);
}

/* ---- ctx.stores ---- */

/* The methods are upvalue 1; self is the store. */
static int index_store(lua_State *L)
{
    struct process_store **handle = lua_touserdata(L, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) {
        return 1;
    }
    return luaL_error(L, "the store \"%s\" is a %s, which has no method %s", (*handle)->name,
                      lua_tostring(L, lua_upvalueindex(2)), luaL_tolstring(L, 2, NULL));
}

static void make_class(lua_State *L, const char *type, const luaL_Reg *methods)
{
    if (luaL_newmetatable(L, type)) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_pushstring(L, type);
        lua_pushcclosure(L, index_store, 2);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

static void make_classes(lua_State *L)
{
    static const luaL_Reg key_value_methods[] = {{"get", get},     {"put", put},       {"delete", delete}, {"all", all},
                                                 {"range", range}, {"prefix", prefix}, {NULL, NULL}};
    make_cursor_class(L);
    make_class(L, PROCESS_STORE_KEY_VALUE, key_value_methods);
    make_class(L, PROCESS_STORE_WINDOW, process_window_methods);
    make_class(L, PROCESS_STORE_SESSION, process_session_methods);
}

/* ctx.stores has no such field: upvalue 1 is the processor. */
static int unknown_store(lua_State *L)
{
    const struct process *process = lua_touserdata(L, lua_upvalueindex(1));
    luaL_Buffer names;
    luaL_buffinit(L, &names);
    for (int i = 0; i < process->store_count; i++) {
        luaL_addstring(&names, i == 0 ? "it names " : ", ");
        luaL_addstring(&names, process->stores[i].name);
    }
    luaL_addstring(&names, process->store_count == 0 ? "it names none" : "");
    luaL_pushresult(&names);
    const char *list = lua_tostring(L, -1);
    return luaL_error(L, "the processor %s has no store \"%s\" in its stores = { ... }: %s", process->node->name,
                      luaL_tolstring(L, 2, NULL), list);
}

static int assign_stores(lua_State *L)
{
    return luaL_error(L, "ctx.stores can't be changed: name the store \"%s\" in process { stores = { ... } }",
                      luaL_tolstring(L, 2, NULL));
}

void process_store_push_all(lua_State *L, struct process *process)
{
    static const char *const types[] = {[STORE_KEY_VALUE] = PROCESS_STORE_KEY_VALUE,
                                        [STORE_WINDOW] = PROCESS_STORE_WINDOW,
                                        [STORE_SESSION] = PROCESS_STORE_SESSION};
    make_classes(L);
    lua_createtable(L, 0, process->store_count);
    for (int i = 0; i < process->store_count; i++) {
        struct process_store **handle = lua_newuserdatauv(L, sizeof(*handle), 0);
        *handle = &process->stores[i];
        luaL_setmetatable(L, types[process->stores[i].kind]);
        lua_setfield(L, -2, process->stores[i].name);
    }
    lua_createtable(L, 0, 3);
    lua_pushlightuserdata(L, process);
    lua_pushcclosure(L, unknown_store, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, assign_stores);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* ---- making and opening ---- */

static int64_t integer_field(lua_State *L, int table, const char *field)
{
    lua_getfield(L, table, field);
    int64_t value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

static void bind_store(lua_State *L, struct process *process, int options, struct process_store *store)
{
    *store = (struct process_store){.process = process, .newest = -1};
    store->name = operator_text(L, options, "name");
    store->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    store->inner_codec = operator_codec(L, options, "inner_codec", store->key_codec);
    store->value_codec = operator_codec(L, options, "value_codec", &codec_json);
    store->size_ms = integer_field(L, options, "size_ms");
    store->retention_ms = integer_field(L, options, "retention_ms");
    lua_getfield(L, options, "read_only");
    store->read_only = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

void process_store_bind(lua_State *L, struct process *process, int options)
{
    lua_getfield(L, options, "stores");
    int list = lua_gettop(L);
    process->store_count = (int)luaL_len(L, list);
    process->stores = arena_alloc(&host_of(L)->texts, sizeof(*process->stores) * (size_t)(process->store_count + 1));
    for (int i = 0; i < process->store_count; i++) {
        lua_geti(L, list, i + 1);
        bind_store(L, process, lua_gettop(L), &process->stores[i]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

int process_store_open_all(struct process *process)
{
    for (int i = 0; i < process->store_count; i++) {
        struct process_store *store = &process->stores[i];
        store->store = op_store(process->node, store->name);
        store->spec = op_store_spec(process->node, store->name);
        store->kind = store->spec->kind;
        store->ttl_ms = store->spec->ttl_ms;
        if (store->kind != STORE_KEY_VALUE && process_window_open(store)) {
            return -1;
        }
    }
    return 0;
}
