#include "scripts/lua_sink.h"

#include <stdlib.h>

#include "base/memory.h"
#include "scripts/codec.h"
#include "scripts/lua_task.h"
#include "scripts/view.h"

struct connector_task {
    struct lua_task lua;
    int64_t next; /* what position gave */
    const struct sink_batch *batch;
};

static const struct option_table table = {"tm.sink", NULL, 0};

/* ---- opening ---- */

static int push_about(lua_State *L, void *data)
{
    struct connector_task *task = data;
    lua_task_push_about(L, &task->lua);
    return 1;
}

static int open_task(const struct connector_context *context, struct connector_task **result, struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    struct lua_call start = {.function = "start", .push = push_about, .data = task};
    if (lua_task_open(&task->lua, context, true, err)) {
        free(task);
        return -1;
    }
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

/* ---- the position ---- */

static void take_next(lua_State *L, int result, void *data)
{
    struct connector_task *task = data;
    int is_number = 1;
    int64_t next = lua_isnil(L, result) ? CONNECTOR_NO_OFFSET : lua_tointegerx(L, result, &is_number);
    if (!is_number || (next < 0 && !lua_isnil(L, result))) {
        luaL_error(L, "position gives the offset of the next record, a whole number, or nil, and this is %s",
                   luaL_tolstring(L, result, NULL));
    }
    task->next = next;
}

/* A target that keeps no position begins where the group stands: what was written after its last commit comes again. */
static int position(struct connector_task *task, int64_t *next, struct err *err)
{
    struct lua_call ask = {.function = "position", .push = push_about, .results = 1, .take = take_next, .data = task};
    task->next = *next;
    if (lua_task_call(&task->lua, &ask, err)) {
        return -1;
    }
    *next = task->next;
    return 0;
}

/* ---- writing ---- */

static const struct codec *key_codec(const struct connector_task *task)
{
    return task->lua.context->json_keys ? &codec_json : &codec_string;
}

/* What is decoded must be what its codec reads. */
static int check_records(const struct connector_task *task, size_t *bad, struct err *err)
{
    const struct codec *keys = key_codec(task);
    for (size_t i = 0; i < task->batch->count; i++) {
        const struct record *record = &task->batch->records[i];
        if ((!slice_is_null(record->key) && keys->check(keys, record->key, err)) ||
            (!slice_is_null(record->value) && codec_json.check(&codec_json, record->value, err))) {
            *bad = i;
            return -1;
        }
    }
    return 0;
}

/* [-0, +1, e] */
static void push_datum(lua_State *L, const struct codec *codec, struct slice bytes)
{
    if (slice_is_null(bytes)) {
        lua_pushnil(L);
    } else {
        codec->decode(codec, L, bytes);
    }
}

static void push_text(lua_State *L, struct slice text)
{
    if (slice_is_null(text)) {
        view_push_null(L);
    } else {
        lua_pushlstring(L, (const char *)text.data, text.size);
    }
}

/* A list of { name, value }, as a source's records have it. [-0, +1, e] */
static void push_headers(lua_State *L, const struct headers *headers)
{
    lua_createtable(L, (int)headers->count, 0);
    for (size_t i = 0; i < headers->count; i++) {
        lua_createtable(L, 2, 0);
        push_text(L, headers->list[i].name);
        lua_rawseti(L, -2, 1);
        push_text(L, headers->list[i].value);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* [-0, +1, e] */
static void push_record(lua_State *L, const struct codec *keys, const struct record *record)
{
    lua_createtable(L, 0, 5);
    push_datum(L, keys, record->key);
    lua_setfield(L, -2, "key");
    push_datum(L, &codec_json, record->value);
    lua_setfield(L, -2, "value");
    lua_pushinteger(L, record->timestamp);
    lua_setfield(L, -2, "timestamp");
    lua_pushinteger(L, record->offset);
    lua_setfield(L, -2, "offset");
    push_headers(L, &record->headers);
    lua_setfield(L, -2, "headers");
}

static void push_offset(lua_State *L, int64_t offset)
{
    if (offset == CONNECTOR_NO_OFFSET) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, offset);
    }
}

static int push_batch(lua_State *L, void *data)
{
    const struct connector_task *task = data;
    const struct sink_batch *batch = task->batch;
    luaL_checkstack(L, 20, NULL);
    lua_createtable(L, (int)batch->count, 0);
    for (size_t i = 0; i < batch->count; i++) {
        push_record(L, key_codec(task), &batch->records[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    push_offset(L, batch->from);
    push_offset(L, batch->to);
    return 3;
}

static int write_batch(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    struct lua_call write = {.function = "write", .push = push_batch, .data = task, .bad = bad};
    *bad = SINK_BAD_UNKNOWN;
    task->batch = batch;
    if (check_records(task, bad, err)) {
        return -1;
    }
    if (batch->count == 0 && !lua_task_has(&task->lua, "position")) {
        return 0; /* there is no position that could move */
    }
    return lua_task_call(&task->lua, &write, err);
}

const struct sink_class lua_sink_class = {
    .options = &table,
    .options_size = sizeof(struct lua_options),
    .tasks = 1,
    .open = open_task,
    .position = position,
    .write = write_batch,
    .close = close_task,
};
