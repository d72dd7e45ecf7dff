#include "scripts/lua_source.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "scripts/codec.h"
#include "scripts/lua_task.h"
#include "scripts/rec.h"
#include "scripts/view.h"

#define NS_PER_MS INT64_C(1000000)
#define STEP_MS 100 /* between two looks at whether the task is to be closed */

struct connector_task {
    struct lua_task lua;
    struct slice position; /* of start and ack: what is handed to the function */
    int64_t next_ns;       /* not to be asked before */
    /* What poll gave; in the arena. */
    struct source_batch batch;
    struct record *records;
    size_t size; /* bytes of keys and values */
};

static const struct clock clock = CLOCK_SYSTEM;

static const struct option list[] = {
    {.name = "poll_ms",
     .type = OPTION_DURATION,
     .offset = offsetof(struct lua_options, poll_ms),
     .default_text = "100ms",
     .low = 1,
     .high = 3600000,
     .text = "How long to wait before poll is called again after it gave no records."},
    {.name = "tasks",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct lua_options, tasks),
     .default_text = "1",
     .low = 1,
     .high = 1000,
     .text = "How many tasks read at the same time, each with a position of its own; start is told which one it is."},
};
static const struct option_table table = {"tm.source", list, sizeof(list) / sizeof(list[0])};

static int32_t count_tasks(const void *options)
{
    return (int32_t)((const struct lua_options *)options)->tasks;
}

/* ---- opening ---- */

static int push_start(lua_State *L, void *data)
{
    struct connector_task *task = data;
    lua_task_push_position(L, task->position);
    lua_task_push_about(L, &task->lua);
    return 2;
}

static int open_task(const struct connector_context *context, struct slice position, struct connector_task **result,
                     struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    struct lua_call start = {.function = "start", .push = push_start, .data = task};
    if (lua_task_open(&task->lua, context, false, err)) {
        free(task);
        return -1;
    }
    task->position = position;
    if (lua_task_call(&task->lua, &start, err)) {
        lua_task_close(&task->lua, false);
        free(task);
        return -1;
    }
    *result = task;
    return 0;
}

static void close_task(struct connector_task *task)
{
    lua_task_close(&task->lua, true);
    free(task);
}

/* ---- what poll gives ---- */

static int bad_record(lua_State *L, size_t number, const char *reason)
{
    return luaL_error(L, "record %d of what poll gave %s", (int)number, reason);
}

/* A name that is misspelled would be a value that is lost. */
static void check_names(lua_State *L, int record, size_t number)
{
    static const char *const names[] = {"key", "value", "timestamp", "headers", "topic", NULL};
    lua_pushnil(L);
    while (lua_next(L, record)) {
        lua_pop(L, 1);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        size_t i = 0;
        while (names[i] && strcmp(names[i], name) != 0) {
            i++;
        }
        if (!names[i]) {
            bad_record(L, number,
                       lua_pushfstring(L, "has the field \"%s\"; a record has key, value, timestamp, headers and topic",
                                       name));
        }
    }
}

/* nil and tm.tombstone are null; the rest is in the arena. */
static struct slice take_datum(lua_State *L, struct connector_task *task, int record, const char *field,
                               const struct codec *codec)
{
    struct host *host = host_of(L);
    struct slice bytes = SLICE_NULL;
    lua_getfield(L, record, field);
    if (!lua_isnil(L, -1) && !view_is_tombstone(L, -1)) {
        bytes_clear(&host->scratch);
        codec->encode(codec, L, lua_gettop(L), &host->scratch);
        bytes = arena_copy(&task->lua.arena, bytes_slice(&host->scratch));
        task->size += bytes.size;
    }
    lua_pop(L, 1);
    return bytes;
}

static int64_t take_timestamp(lua_State *L, int record, size_t number)
{
    int is_number = 1;
    lua_getfield(L, record, "timestamp");
    int64_t timestamp = lua_isnil(L, -1) ? -1 : lua_tointegerx(L, -1, &is_number);
    if (!is_number || lua_type(L, -1) == LUA_TSTRING || timestamp < -1) {
        bad_record(L, number, "has a timestamp that is not a whole number of milliseconds since 1970");
    }
    lua_pop(L, 1);
    return timestamp;
}

static const char *take_topic(lua_State *L, struct connector_task *task, int record, size_t number)
{
    const char *topic = NULL;
    if (lua_getfield(L, record, "topic") != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING) {
            bad_record(L, number, "has a topic that is no string");
        }
        size_t size;
        const char *text = lua_tolstring(L, -1, &size);
        topic = (const char *)arena_copy(&task->lua.arena, slice_of(text, size + 1)).data;
    }
    lua_pop(L, 1);
    return topic;
}

static void take_record(lua_State *L, struct connector_task *task, int index, size_t number, struct record *record)
{
    if (lua_type(L, index) != LUA_TTABLE) {
        bad_record(L, number, lua_pushfstring(L, "is a %s and no table with key and value", luaL_typename(L, index)));
    }
    check_names(L, index, number);
    *record = (struct record){.timestamp = take_timestamp(L, index, number),
                              .key = take_datum(L, task, index, "key", task->lua.options->key),
                              .value = take_datum(L, task, index, "value", task->lua.options->value),
                              .topic = take_topic(L, task, index, number)};
    if (lua_getfield(L, index, "headers") != LUA_TNIL) {
        record->headers = *rec_take_headers(L, -1);
    }
    lua_pop(L, 1);
    if (task->size > LUA_SOURCE_BYTES) {
        luaL_error(L, "poll gave more than %d bytes at once; give at most some thousand records with each call",
                   LUA_SOURCE_BYTES);
    }
}

static void take_records(lua_State *L, struct connector_task *task, int index)
{
    if (lua_isnil(L, index)) {
        return;
    }
    if (lua_type(L, index) != LUA_TTABLE) {
        luaL_error(L, "poll gives a list of records and a position, and this is a %s", luaL_typename(L, index));
    }
    size_t count = lua_rawlen(L, index);
    if (count > LUA_SOURCE_RECORDS) {
        luaL_error(L, "poll gave more than %d records at once; give at most some thousand with each call",
                   LUA_SOURCE_RECORDS);
    }
    lua_pushnil(L);
    if (count == 0 && lua_next(L, index)) {
        luaL_error(L, "poll gives a list of records, { { value = ... } }, and this table is none");
    }
    task->records = arena_alloc(&task->lua.arena, (count + 1) * sizeof(*task->records));
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        take_record(L, task, lua_gettop(L), i + 1, &task->records[i]);
        lua_pop(L, 1);
    }
    task->batch.count = count;
    task->batch.records = task->records;
    task->batch.at_end = count == 0;
}

static void take_position(lua_State *L, struct connector_task *task, int index)
{
    struct host *host = host_of(L);
    if (lua_isnil(L, index)) {
        return;
    }
    bytes_clear(&host->scratch);
    view_encode(L, index, &host->scratch);
    if (host->scratch.size > SOURCE_POSITION_SIZE) {
        luaL_error(L, "the position that poll gave has %d bytes as JSON, and at most %d are kept",
                   (int)host->scratch.size, SOURCE_POSITION_SIZE);
    }
    task->batch.position = arena_copy(&task->lua.arena, bytes_slice(&host->scratch));
}

static void take_batch(lua_State *L, int result, void *data)
{
    luaL_checkstack(L, 20, NULL);
    take_records(L, data, result);
    take_position(L, data, result + 1);
}

/* ---- polling ---- */

/* Whether poll is to be called now, after a wait of at most timeout_ms. */
static bool is_due(const struct connector_task *task, int timeout_ms)
{
    int64_t now = clock_monotonic_ns(&clock);
    int64_t end = now + timeout_ms * NS_PER_MS;
    end = end < task->next_ns ? end : task->next_ns;
    while (now < end && !connector_stopping(task->lua.context)) {
        int64_t left_ms = (end - now) / NS_PER_MS + 1;
        clock_sleep_ms(left_ms < STEP_MS ? left_ms : STEP_MS);
        now = clock_monotonic_ns(&clock);
    }
    return now >= task->next_ns;
}

static int poll_task(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    struct lua_call poll = {.function = "poll", .results = 2, .take = take_batch, .data = task};
    if (!is_due(task, timeout_ms)) {
        return 0;
    }
    arena_clear(&task->lua.arena);
    task->batch = (struct source_batch){0};
    task->size = 0;
    if (lua_task_call(&task->lua, &poll, err)) {
        return -1;
    }
    *batch = task->batch;
    if (batch->count == 0) {
        task->next_ns = clock_monotonic_ns(&clock) + task->lua.options->poll_ms * NS_PER_MS;
    }
    return 0;
}

static int push_position(lua_State *L, void *data)
{
    struct connector_task *task = data;
    lua_task_push_position(L, task->position);
    return 1;
}

static int acknowledge(struct connector_task *task, struct slice position, struct err *err)
{
    struct lua_call ack = {.function = "ack", .push = push_position, .data = task};
    task->position = position;
    return lua_task_call(&task->lua, &ack, err);
}

const struct source_class lua_source_class = {
    .options = &table,
    .options_size = sizeof(struct lua_options),
    .key_codec = "json",
    .value_codec = "json",
    .tasks = count_tasks,
    .open = open_task,
    .poll = poll_task,
    .acknowledge = acknowledge,
    .close = close_task,
};
