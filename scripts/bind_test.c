#include "scripts/bind_test.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/driver.h"
#include "engine/store_form.h"
#include "scripts/codec_windowed.h"
#include "scripts/program.h"
#include "scripts/test_topics.h"
#include "scripts/view.h"
#include "test_lua.h"

#define DRIVER_TYPE "tidemill.test.driver"
#define STORE_TYPE "tidemill.test.store"

/* Registry keys: the struct bind_test, and the function of test.lua that runs a test. */
static const char tests_key, run_key;

/* Kept until bind_test_free; Lua holds pointers to it. */
struct test_driver {
    struct test_driver *next;
    struct program *program;
    struct driver *driver; /* NULL: closed */
    int64_t now;           /* the driver's clock */
    bool shared;           /* opened outside of a test: open until the file is done */
};

/* ---- life ---- */

static void close_driver(struct test_driver *test)
{
    driver_close(test->driver);
    if (test->program != NULL) {
        program_close(test->program);
    }
    test->driver = NULL;
    test->program = NULL;
}

void bind_test_close_drivers(struct bind_test *tests)
{
    for (struct test_driver *test = tests->drivers; test != NULL; test = test->next) {
        if (!test->shared) {
            close_driver(test);
        }
    }
}

void bind_test_free(struct bind_test *tests)
{
    while (tests->drivers != NULL) {
        struct test_driver *test = tests->drivers;
        tests->drivers = test->next;
        close_driver(test);
        free(test);
    }
    for (size_t i = 0; i < tests->names.count; i++) {
        free(tests->names.items[i]);
    }
    free(tests->names.items);
    tests->names = (struct option_list){NULL, 0, 0};
}

static struct bind_test *tests_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &tests_key);
    struct bind_test *tests = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return tests;
}

static struct driver *driver_of(lua_State *L, const struct test_driver *test)
{
    if (test->driver == NULL) {
        luaL_error(L, "this driver is closed: it was opened in a test that has ended");
    }
    return test->driver;
}

static struct test_driver *driver_argument(lua_State *L)
{
    struct test_driver **handle = luaL_checkudata(L, 1, DRIVER_TYPE);
    driver_of(L, *handle);
    return *handle;
}

/* ---- calls into the engine ---- */

static int raise_err(lua_State *L, const struct err *err)
{
    return luaL_error(L, "%s", err->text);
}

/* Path of a pipeline as the test names it, relative to the test's folder. [-0, +1, e] */
static const char *push_path(lua_State *L, const char *path)
{
    const char *script = host_of(L)->script;
    const char *slash = path[0] == '/' ? NULL : strrchr(script, '/');
    lua_pushlstring(L, script, slash != NULL ? (size_t)(slash - script) + 1 : 0);
    lua_pushstring(L, path);
    lua_concat(L, 2);
    return lua_tostring(L, -1);
}

/* What the pipeline does doesn't count as running time of the test. */
static int open_driver(struct host *host, const struct bind_test *tests, struct test_driver *test, const char *path,
                       int32_t partitions, struct err *err)
{
    uint64_t before = limits_pause(&host->limits);
    int result = program_open(path, tests->operators, tests->connectors, &test->program, err);
    if (result == 0) {
        program_cover(test->program, tests->coverage);
        struct driver_config config = {.program = test->program, .stores = tests->stores, .partitions = partitions};
        result = driver_open(&config, &test->driver, err);
    }
    limits_restore(&host->limits, before);
    return result;
}

/* driver(path, partitions or nil) -> driver */
static int core_driver(lua_State *L)
{
    struct bind_test *tests = tests_of(L);
    lua_Integer partitions = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, partitions >= 1 && partitions <= 1000, 2, "partitions must be 1 to 1000");
    const char *path = push_path(L, luaL_checkstring(L, 1));
    struct test_driver **handle = lua_newuserdatauv(L, sizeof(struct test_driver *), 0);
    struct test_driver *test = memory_alloc(sizeof *test);
    *handle = test;
    test->shared = !tests->running;
    test->next = tests->drivers;
    tests->drivers = test;
    struct err err;
    if (open_driver(host_of(L), tests, test, path, (int32_t)partitions, &err) != 0) {
        close_driver(test);
        return raise_err(L, &err);
    }
    luaL_setmetatable(L, DRIVER_TYPE);
    return 1;
}

/* close_after(mark): closes the drivers that were opened since newest() gave the mark. */
static int core_close_after(lua_State *L)
{
    const struct test_driver *mark = lua_touserdata(L, 1);
    for (struct test_driver *test = tests_of(L)->drivers; test != NULL && test != mark; test = test->next) {
        close_driver(test);
    }
    return 0;
}

static int core_newest(lua_State *L)
{
    lua_pushlightuserdata(L, tests_of(L)->drivers);
    return 1;
}

static int describe(struct program *program, struct bytes *text, struct err *err)
{
    struct instance *instance;
    if (program->class->load(program, &instance, err) != 0) {
        return -1;
    }
    graph_print(program->class->graph(instance), GRAPH_TEXT, text);
    program->class->unload(instance);
    return 0;
}

/* topology(path) -> text */
static int core_topology(lua_State *L)
{
    const char *path = push_path(L, luaL_checkstring(L, 1));
    struct program *program;
    struct bytes text = {0};
    struct err err;
    uint64_t before = limits_pause(&host_of(L)->limits);
    int result = program_open(path, tests_of(L)->operators, tests_of(L)->connectors, &program, &err);
    if (result == 0) {
        result = describe(program, &text, &err);
        program_close(program);
    }
    limits_restore(&host_of(L)->limits, before);
    struct slice kept = arena_copy(host_of(L)->arena, bytes_slice(&text));
    bytes_free(&text);
    if (result != 0) {
        return raise_err(L, &err);
    }
    lua_pushlstring(L, (const char *)kept.data, kept.size);
    return 1;
}

static int core_seed(lua_State *L)
{
    lua_pushinteger(L, tests_of(L)->seed);
    return 1;
}

/* Pushes a plain value. Bytes that the codec can't read (a dead letter holds what came in) are pushed as a string. */
static void push_decoded(lua_State *L, const struct codec *codec, struct slice bytes)
{
    if (slice_is_null(bytes)) {
        lua_pushnil(L);
        return;
    }
    struct err ignored;
    if (codec->check(codec, bytes, &ignored) != 0) {
        codec = &codec_bytes;
    }
    codec->decode(codec, L, bytes);
    view_copy(L, -1);
    lua_remove(L, -2);
}

/* In the arena of the test's state; nil and tm.tombstone are null. */
static struct slice encode(lua_State *L, const struct codec *codec, int index)
{
    struct host *host = host_of(L);
    if (lua_isnoneornil(L, index) || view_is_tombstone(L, index)) {
        return SLICE_NULL;
    }
    bytes_clear(&host->scratch);
    codec->encode(codec, L, index, &host->scratch);
    return arena_copy(host->arena, bytes_slice(&host->scratch));
}

/* ---- send, advance, commit ---- */

/* The pair at the top of the stack: { name, value }. */
static struct header take_header(lua_State *L)
{
    luaL_checktype(L, -1, LUA_TTABLE);
    struct header header;
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    if (lua_type(L, -2) != LUA_TSTRING || (lua_type(L, -1) != LUA_TSTRING && !view_is_null(L, -1))) {
        luaL_error(L, "headers are a list of { name, value }, both strings");
    }
    header.name = encode(L, &codec_string, -2);
    header.value = view_is_null(L, -1) ? SLICE_NULL : encode(L, &codec_string, -1);
    lua_pop(L, 2);
    return header;
}

static struct headers take_headers(lua_State *L, int options)
{
    struct headers headers = {NULL, 0};
    if (lua_getfield(L, options, "headers") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        headers.count = lua_rawlen(L, -1);
        struct header *list = arena_alloc(host_of(L)->arena, (headers.count + 1) * sizeof *list);
        for (size_t i = 0; i < headers.count; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            list[i] = take_header(L);
            lua_pop(L, 1);
        }
        headers.list = list;
    }
    lua_pop(L, 1);
    return headers;
}

static void check_options(lua_State *L, int options, bool source)
{
    luaL_checktype(L, options, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, options)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "at") != 0 && strcmp(name, "headers") != 0 && !(source && strcmp(name, "topic") == 0)) {
            luaL_error(L, "send has no option %s; it has at and headers, and topic for a source",
                       luaL_tolstring(L, -2, NULL));
        }
        lua_pop(L, 1);
    }
}

/* d:send(topic or source, key, value [, { at, headers, topic }]); without `at` the record has the time of the driver's
 * clock. `topic` is of a record of a source what callbacks see as rec.topic; its name when not given. */
static int driver_method_send(lua_State *L)
{
    struct test_driver *test = driver_argument(L);
    const char *name = luaL_checkstring(L, 2);
    const char *topic = name;
    lua_settop(L, 5);
    struct test_codecs codecs =
        test_topics_codecs(test->driver, test_topics_reader(driver_graph(test->driver), &topic));
    struct record record = {.topic = topic, .timestamp = test->now, .offset = -1};
    record.key = encode(L, codecs.key, 3);
    record.value = encode(L, codecs.value, 4);
    if (!lua_isnil(L, 5)) {
        check_options(L, 5, topic != name);
        lua_getfield(L, 5, "topic"); /* stays on the stack */
        name = luaL_optstring(L, -1, name);
        lua_getfield(L, 5, "at");
        record.timestamp = luaL_optinteger(L, -1, test->now);
        record.headers = take_headers(L, 5);
    }
    struct err err;
    uint64_t before = limits_pause(&host_of(L)->limits);
    int result = driver_send_from(test->driver, &record, name, &err);
    limits_restore(&host_of(L)->limits, before);
    return result == 0 ? 0 : raise_err(L, &err);
}

/* d:advance(milliseconds or "5s") */
static int driver_method_advance(lua_State *L)
{
    struct test_driver *test = driver_argument(L);
    int64_t ms = 0;
    if (lua_type(L, 2) == LUA_TSTRING) {
        luaL_argcheck(L, clock_parse_duration(lua_tostring(L, 2), &ms) == 0, 2,
                      "a duration such as \"5s\" is expected");
    } else {
        ms = luaL_checkinteger(L, 2);
    }
    struct err err;
    uint64_t before = limits_pause(&host_of(L)->limits);
    int result = driver_advance(test->driver, ms, &err);
    limits_restore(&host_of(L)->limits, before);
    test->now += result == 0 ? ms : 0;
    return result == 0 ? 0 : raise_err(L, &err);
}

static int driver_method_commit(lua_State *L)
{
    struct test_driver *test = driver_argument(L);
    struct err err;
    uint64_t before = limits_pause(&host_of(L)->limits);
    int result = driver_commit(test->driver, &err);
    limits_restore(&host_of(L)->limits, before);
    return result == 0 ? 0 : raise_err(L, &err);
}

/* d:restart(): the pipeline ends and starts anew, with state that is restored from its changelogs. */
static int driver_method_restart(lua_State *L)
{
    struct test_driver *test = driver_argument(L);
    struct err err;
    uint64_t before = limits_pause(&host_of(L)->limits);
    int result = driver_restart(test->driver, &err);
    limits_restore(&host_of(L)->limits, before);
    return result == 0 ? 0 : raise_err(L, &err);
}

/* ---- what came out ---- */

static void push_headers(lua_State *L, const struct headers *headers)
{
    lua_createtable(L, (int)headers->count, 0);
    for (size_t i = 0; i < headers->count; i++) {
        const struct header *header = &headers->list[i];
        lua_createtable(L, 2, 0);
        push_decoded(L, &codec_bytes, header->name);
        lua_rawseti(L, -2, 1);
        if (slice_is_null(header->value)) {
            view_push_null(L);
        } else {
            push_decoded(L, &codec_bytes, header->value);
        }
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_record(lua_State *L, struct driver *driver, const struct record *record, bool with_topic)
{
    const char *topic = record->topic;
    struct test_codecs codecs = test_topics_codecs(driver, test_topics_writer(driver_graph(driver), &topic));
    lua_createtable(L, 0, 5);
    push_decoded(L, codecs.key, record->key);
    lua_setfield(L, -2, "key");
    push_decoded(L, codecs.value, record->value);
    lua_setfield(L, -2, "value");
    lua_pushinteger(L, record->timestamp);
    lua_setfield(L, -2, "timestamp");
    push_headers(L, &record->headers);
    lua_setfield(L, -2, "headers");
    if (with_topic) {
        lua_pushstring(L, record->topic);
        lua_setfield(L, -2, "topic");
    }
}

/* Who writes what the test names, which becomes the topic. A name that nothing writes would only ever be empty. */
static const struct node *writer_of(lua_State *L, struct driver *driver, const char **topic)
{
    const struct node *writer = test_topics_writer(driver_graph(driver), topic);
    struct err err;
    if (writer == NULL && driver_check_output(driver, *topic, &err) != 0) {
        raise_err(L, &err);
    }
    return writer;
}

/* d:records(topic): what came since the last call; without a topic: of all, in the order of production. */
static int driver_method_records(lua_State *L)
{
    struct driver *driver = driver_argument(L)->driver;
    const char *topic = luaL_optstring(L, 2, NULL);
    struct record record;
    if (topic != NULL) {
        writer_of(L, driver, &topic);
    }
    lua_newtable(L);
    for (lua_Integer i = 1; topic != NULL ? driver_take_from(driver, topic, &record) : driver_take(driver, &record);
         i++) {
        push_record(L, driver, &record, topic == NULL);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* d:values(topic): the values alone; tm.tombstone for null. */
static int driver_method_values(lua_State *L)
{
    struct driver *driver = driver_argument(L)->driver;
    const char *topic = luaL_checkstring(L, 2);
    struct test_codecs codecs = test_topics_codecs(driver, writer_of(L, driver, &topic));
    struct record record;
    lua_newtable(L);
    for (lua_Integer i = 1; driver_take_from(driver, topic, &record); i++) {
        if (slice_is_null(record.value)) {
            view_push_tombstone(L);
        } else {
            push_decoded(L, codecs.value, record.value);
        }
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* d:topics(): names of the topics that records came out of. */
static int driver_method_topics(lua_State *L)
{
    struct driver *driver = driver_argument(L)->driver;
    lua_newtable(L);
    for (size_t i = 0; driver_topics(driver, i) != NULL; i++) {
        lua_pushstring(L, driver_topics(driver, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* ---- stores ---- */

struct test_store {
    struct test_driver *test;
    int32_t partition;
};

/* d:store(name [, partition]); its user value is the name. */
static int driver_method_store(lua_State *L)
{
    struct test_driver *test = driver_argument(L);
    const char *name = luaL_checkstring(L, 2);
    int32_t partition = (int32_t)luaL_optinteger(L, 3, 0);
    if (test_topics_store(driver_graph(test->driver), name) == NULL) {
        return luaL_error(L, "the pipeline has no store \"%s\"", name);
    }
    struct test_store *store = lua_newuserdatauv(L, sizeof *store, 1);
    *store = (struct test_store){test, partition};
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, STORE_TYPE);
    return 1;
}

/* The store behind argument 1, and how to read it. */
struct store_access {
    const struct store_driver *driver;
    struct store *store;
    struct test_codecs codecs;
    const struct store_spec *spec;
};

static struct store_access access_argument(lua_State *L)
{
    struct test_store *test = luaL_checkudata(L, 1, STORE_TYPE);
    struct driver *driver = driver_of(L, test->test);
    lua_getiuservalue(L, 1, 1);
    const char *name = lua_tostring(L, -1);
    const struct graph_store *known = test_topics_store(driver_graph(driver), name);
    struct store_access access = {
        .driver = driver_store_driver(driver),
        .store = driver_store(driver, name, test->partition),
        .codecs = test_topics_codecs(driver, known->owner),
        .spec = &known->spec,
    };
    if (access.store == NULL) {
        luaL_error(L, "the store \"%s\" has no partition %d", name, (int)test->partition);
    }
    lua_pop(L, 1);
    return access;
}

/* Values of some stores have headers in front. */
static void push_store_value(lua_State *L, const struct store_access *access, struct slice value)
{
    bool plain = access->spec->kind == STORE_KEY_VALUE || !access->spec->headers || slice_is_null(value);
    if (!plain && !store_form_parse_value(value, NULL, &value, host_of(L)->arena)) {
        luaL_error(L, "the store \"%s\" has a value that is malformed", access->spec->name);
    }
    push_decoded(L, access->codecs.value, value);
}

/* The codec of the keys of records, whose windows the store has. */
static const struct codec *record_codec(const struct store_access *access)
{
    const struct codec *inner = codec_windowed_inner(access->codecs.key);
    return inner ? inner : access->codecs.key;
}

/* The session of the key that begins at window->start: its end becomes window->end. */
static bool find_session(lua_State *L, const struct store_access *access, struct store_window *window)
{
    struct store_cursor *cursor;
    struct store_entry entry;
    struct store_window seen;
    struct err err;
    bool found, match = false;
    int result = access->driver->once(access->store, &cursor, &err);
    while (result == 0 && !match && (result = access->driver->next(cursor, &found, &entry, &err)) == 0 && found) {
        match = store_form_window(access->spec, entry.key, &seen) && seen.start == window->start &&
                slice_equal(seen.key, window->key);
    }
    if (result != 0) {
        raise_err(L, &err);
    }
    window->end = match ? seen.end : 0;
    access->driver->end(cursor);
    return match;
}

/* The key in the store of arguments 2 and on: key, and of windows the start, of sessions perhaps the end. Null: there
 * is no such session. */
static struct slice store_key(lua_State *L, const struct store_access *access)
{
    if (access->spec->kind == STORE_KEY_VALUE) {
        return encode(L, access->codecs.key, 2);
    }
    struct store_window window = {encode(L, record_codec(access), 2), luaL_checkinteger(L, 3), 0};
    if (access->spec->kind == STORE_SESSION && !lua_isnoneornil(L, 4)) {
        window.end = luaL_checkinteger(L, 4);
    } else if (access->spec->kind == STORE_SESSION && !find_session(L, access, &window)) {
        return SLICE_NULL;
    }
    return store_form_key(access->spec, &window, host_of(L)->arena);
}

/* s:get(key), of windows s:get(key, window_start), of sessions s:get(key, window_start [, window_end]) */
static int store_method_get(lua_State *L)
{
    struct store_access access = access_argument(L);
    struct slice key = store_key(L, &access);
    bool found = false;
    struct store_entry entry;
    struct err err;
    if (!slice_is_null(key) && access.driver->get(access.store, key, &found, &entry, &err) != 0) {
        return raise_err(L, &err);
    }
    push_store_value(L, &access, found ? entry.value : SLICE_NULL);
    return 1;
}

/* Windows as { key, window_start, window_end }; nil: the entry is the operator's own. */
static void push_store_key(lua_State *L, const struct store_access *access, struct slice key)
{
    struct store_window window;
    if (access->spec->kind == STORE_KEY_VALUE) {
        push_decoded(L, access->codecs.key, key);
        return;
    }
    if (!store_form_window(access->spec, key, &window)) {
        lua_pushnil(L);
        return;
    }
    bool sessions = access->spec->kind == STORE_SESSION;
    if (codec_windowed_inner(access->codecs.key)) {
        push_decoded(L, access->codecs.key, store_form_windowed(sessions, &window, host_of(L)->arena));
        return;
    }
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, window.start);
    lua_setfield(L, -2, "window_start");
    push_decoded(L, access->codecs.key, window.key);
    lua_setfield(L, -2, "key");
}

/* The iterator of all: upvalue 1 is the list of keys and values in turns, upvalue 2 how many were given out. */
static int next_entry(lua_State *L)
{
    lua_Integer given = lua_tointeger(L, lua_upvalueindex(2));
    lua_rawgeti(L, lua_upvalueindex(1), given + 1);
    lua_rawgeti(L, lua_upvalueindex(1), given + 2);
    lua_pushinteger(L, given + 2);
    lua_replace(L, lua_upvalueindex(2));
    return 2;
}

/* for key, value in s:all() */
static int store_method_all(lua_State *L)
{
    struct store_access access = access_argument(L);
    struct store_cursor *cursor;
    struct store_entry entry;
    struct err err;
    bool found;
    int result = access.driver->range(access.store, SLICE_NULL, SLICE_NULL, false, &cursor, &err);
    lua_newtable(L);
    lua_Integer count = 0;
    while (result == 0 && (result = access.driver->next(cursor, &found, &entry, &err)) == 0 && found) {
        push_store_key(L, &access, entry.key);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        lua_rawseti(L, -2, ++count);
        push_store_value(L, &access, entry.value);
        lua_rawseti(L, -2, ++count);
    }
    if (result != 0) {
        return raise_err(L, &err);
    }
    access.driver->end(cursor);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_entry, 2);
    return 1;
}

/* ---- what test.lua uses ---- */

static int core_declare(lua_State *L)
{
    struct bind_test *tests = tests_of(L);
    const char *name = luaL_checkstring(L, 1);
    if (tests->running) {
        return luaL_error(L, "t.test declares a test and can't be called inside one");
    }
    for (size_t i = 0; i < tests->names.count; i++) {
        if (strcmp(tests->names.items[i], name) == 0) {
            return luaL_error(L, "there are two tests with the name \"%s\"", name);
        }
    }
    option_list_add(&tests->names, name);
    return 0;
}

static int core_place(lua_State *L)
{
    char place[HOST_PLACE_SIZE];
    host_place(L, place);
    lua_pushstring(L, place);
    return 1;
}

static int core_copy(lua_State *L)
{
    view_copy(L, 1);
    return 1;
}

static int core_is_list(lua_State *L)
{
    lua_pushboolean(L, view_is_list(L, 1));
    return 1;
}

static void push_class(lua_State *L, const char *type, const luaL_Reg *methods)
{
    luaL_newmetatable(L, type);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static void push_core(lua_State *L)
{
    static const luaL_Reg functions[] = {{"declare", core_declare},   {"driver", core_driver},
                                         {"newest", core_newest},     {"close_after", core_close_after},
                                         {"topology", core_topology}, {"place", core_place},
                                         {"seed", core_seed},         {"copy", core_copy},
                                         {"is_list", core_is_list},   {NULL, NULL}};
    luaL_newlib(L, functions);
    view_push_null(L);
    lua_setfield(L, -2, "null");
    view_push_tombstone(L);
    lua_setfield(L, -2, "tombstone");
}

int bind_test_open(lua_State *L)
{
    static const luaL_Reg driver_methods[] = {
        {"send", driver_method_send},       {"advance", driver_method_advance}, {"commit", driver_method_commit},
        {"restart", driver_method_restart}, {"records", driver_method_records}, {"values", driver_method_values},
        {"topics", driver_method_topics},   {"store", driver_method_store},     {NULL, NULL}};
    static const luaL_Reg store_methods[] = {{"get", store_method_get}, {"all", store_method_all}, {NULL, NULL}};
    push_class(L, DRIVER_TYPE, driver_methods);
    push_class(L, STORE_TYPE, store_methods);
    if (luaL_loadbufferx(L, test_lua, sizeof test_lua - 1, "=tidemill.test", "t") != LUA_OK) {
        return lua_error(L);
    }
    push_core(L);
    lua_call(L, 1, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &run_key);
    return 1;
}

/* ---- running ---- */

void bind_test_attach(lua_State *L, struct bind_test *tests)
{
    lua_pushlightuserdata(L, tests);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tests_key);
}

void bind_test_run(lua_State *L, size_t number)
{
    tests_of(L)->running = true;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &run_key);
    lua_pushinteger(L, (lua_Integer)number + 1);
    lua_call(L, 1, 1);
}
