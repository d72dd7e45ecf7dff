#include "operators/process_context.h"

#include <stdio.h>
#include <string.h>

#include "operators/process_store.h"
#include "scripts/bind_app.h"

/* User values of ctx. */
#define VALUE_REC 1 /* the rec of the record that is processed, once somebody asked for it */
#define VALUE_STORES 2

struct context {
    struct process *process;
};

struct timer {
    struct process *process;
    struct op_timer *timer; /* NULL: cancelled */
    int function;           /* registry references */
    int self;
};

#define CONTEXT_TYPE "ctx"
#define TIMER_TYPE "timer"

static const struct headers no_headers = {NULL, 0};

/* ---- where it may be used ---- */

void process_context_require(lua_State *L, const struct process *process, const char *what)
{
    if (process->phase == PROCESS_OUTSIDE || host_of(L)->node != process->node) {
        luaL_error(L, "%s can only be used inside the callbacks of its own processor (%s)", what, process->node->name);
    }
}

static struct process *require_context(lua_State *L, const char *method)
{
    const struct context *context = luaL_testudata(L, 1, CONTEXT_TYPE);
    if (!context) {
        luaL_error(L, "write ctx:%s(...), with a colon", method);
    }
    char what[32];
    snprintf(what, sizeof(what), "ctx:%s", method);
    process_context_require(L, context->process, what);
    return context->process;
}

int64_t process_context_time(const struct process *process)
{
    switch (process->phase) {
    case PROCESS_RECORD:
        return process->item->timestamp;
    case PROCESS_TIMER:
        return process->now;
    default: {
        int64_t time = op_stream_time(process->node->worker);
        return time < 0 ? 0 : time;
    }
    }
}

/* ---- forward ---- */

static struct datum take(lua_State *L, int index, const struct codec *codec, const char *part)
{
    struct datum datum = datum_of_value(L, index, codec);
    if (!datum.null && lua_type(L, index) != LUA_TSTRING && (codec == &codec_string || codec == &codec_bytes)) {
        luaL_error(L, "ctx:forward needs a string as %s, got a %s (or name another codec: process { %s = ... })", part,
                   luaL_typename(L, index), strcmp(part, "key") == 0 ? "key" : "value");
    }
    /* As bytes: what the operators behind do to the value is not seen by the caller, who may forward it again. */
    datum.bytes = datum_bytes(L, &datum, codec);
    datum.slot = 0;
    return datum;
}

/* What the record has unless the call says something else. */
static const struct headers *current_headers(lua_State *L, const struct process *process)
{
    if (process->phase != PROCESS_RECORD) {
        return &no_headers;
    }
    const struct headers *headers = process->item->headers;
    if (lua_getiuservalue(L, 1, VALUE_REC) == LUA_TUSERDATA) {
        headers = rec_headers(L, lua_gettop(L));
    }
    lua_pop(L, 1);
    return headers;
}

static void check_options(lua_State *L, int options)
{
    if (lua_type(L, options) != LUA_TTABLE) {
        luaL_error(L, "ctx:forward takes its options as a table, got a %s", luaL_typename(L, options));
    }
    lua_pushnil(L);
    while (lua_next(L, options)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "timestamp") != 0 && strcmp(name, "headers") != 0) {
            luaL_error(L, "ctx:forward has no option %s; it has timestamp and headers", luaL_tolstring(L, -2, NULL));
        }
        lua_pop(L, 1);
    }
}

static void take_options(lua_State *L, int options, struct item *item)
{
    check_options(L, options);
    if (lua_getfield(L, options, "timestamp") != LUA_TNIL) {
        int whole;
        item->timestamp = lua_tointegerx(L, -1, &whole);
        if (!whole || lua_type(L, -1) != LUA_TNUMBER || item->timestamp < 0) {
            luaL_error(L, "ctx:forward needs a timestamp in milliseconds from 0, got %s", luaL_tolstring(L, -1, NULL));
        }
    }
    lua_pop(L, 1);
    if (lua_getfield(L, options, "headers") != LUA_TNIL) {
        item->headers = rec_take_headers(L, lua_gettop(L));
    }
    lua_pop(L, 1);
}

/* ctx:forward(key, value [, { timestamp, headers }]) */
static int forward(lua_State *L)
{
    struct process *process = require_context(L, "forward");
    if (process->phase != PROCESS_RECORD && process->phase != PROCESS_TIMER) {
        return luaL_error(L, "ctx:forward can't be called in %s: it belongs into process and into timers",
                          process->phase == PROCESS_INIT ? "init" : "close");
    }
    lua_settop(L, 4);
    struct item item = {
        .key = take(L, 2, process->key_codec, "key"),
        .value = take(L, 3, process->value_codec, "value"),
        .old = datum_null(process->value_codec),
        .timestamp = process_context_time(process),
        .headers = current_headers(L, process),
        .source = process->phase == PROCESS_RECORD ? process->item->source : NULL,
    };
    if (!lua_isnil(L, 4)) {
        take_options(L, 4, &item);
    }
    call_forward(L, process->node, &item);
    return 0;
}

/* ---- timers ---- */

static int fire(struct node *node, void *data, int64_t now)
{
    const struct timer *timer = data;
    struct process *process = node->state;
    lua_State *L = flow_lua(node);
    struct item item = {.key = datum_null(process->key_codec),
                        .value = datum_null(process->value_codec),
                        .old = datum_null(process->value_codec),
                        .timestamp = now,
                        .headers = &no_headers};
    process->phase = PROCESS_TIMER;
    process->now = now;
    lua_rawgeti(L, LUA_REGISTRYINDEX, timer->function);
    lua_pushinteger(L, now);
    call_run(node, &item, 1, 0);
    process->phase = PROCESS_OUTSIDE;
    return 0;
}

static void push_timer(lua_State *L, struct process *process, int function)
{
    struct timer *timer = lua_newuserdatauv(L, sizeof(*timer), 0);
    *timer = (struct timer){.process = process};
    luaL_setmetatable(L, TIMER_TYPE);
    lua_pushvalue(L, function);
    timer->function = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    timer->self = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* ctx:every(interval, "stream" | "wall", fn) -> timer */
static int every(lua_State *L)
{
    struct process *process = require_context(L, "every");
    if (process->phase == PROCESS_CLOSE) {
        return luaL_error(L, "ctx:every can't be called in close: no timer fires any more");
    }
    int64_t interval = bind_app_duration(L, 2);
    const char *kind = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : luaL_typename(L, 3);
    bool stream = strcmp(kind, "stream") == 0;
    if (interval == 0) {
        return luaL_error(L, "ctx:every needs an interval of at least 1 ms");
    }
    if (!stream && strcmp(kind, "wall") != 0) {
        return luaL_error(L, "ctx:every needs \"stream\" or \"wall\" as the time it goes by, got %s", kind);
    }
    if (lua_type(L, 4) != LUA_TFUNCTION) {
        return luaL_error(L, "ctx:every needs a function to call, got %s", luaL_typename(L, 4));
    }
    push_timer(L, process, 4);
    struct timer *timer = lua_touserdata(L, -1);
    timer->timer = op_every(process->node, stream ? TIME_STREAM : TIME_WALL, interval, fire, timer);
    return 1;
}

/* timer:cancel(); again it does nothing. */
static int cancel(lua_State *L)
{
    struct timer *timer = luaL_testudata(L, 1, TIMER_TYPE);
    if (!timer) {
        return luaL_error(L, "write timer:cancel(), with a colon");
    }
    process_context_require(L, timer->process, "timer:cancel");
    if (timer->timer) {
        op_cancel(timer->timer);
        timer->timer = NULL;
        luaL_unref(L, LUA_REGISTRYINDEX, timer->function);
        luaL_unref(L, LUA_REGISTRYINDEX, timer->self);
    }
    return 0;
}

/* ---- fields ---- */

static int push_stores(lua_State *L, struct process *process)
{
    (void)process;
    lua_getiuservalue(L, 1, VALUE_STORES);
    return 1;
}

static int push_timestamp(lua_State *L, struct process *process)
{
    process_context_require(L, process, "ctx.timestamp");
    lua_pushinteger(L, process_context_time(process));
    return 1;
}

static int push_headers(lua_State *L, struct process *process)
{
    process_context_require(L, process, "ctx.headers");
    if (process->phase != PROCESS_RECORD) {
        return luaL_error(L, "ctx.headers are those of a record, and there is none outside of process");
    }
    if (lua_getiuservalue(L, 1, VALUE_REC) == LUA_TNIL) {
        rec_push(L, process->item, true);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, VALUE_REC);
    }
    lua_getfield(L, -1, "headers");
    return 1;
}

static const struct {
    const char *name;
    int (*push)(lua_State *L, struct process *process);
} fields[] = {{"stores", push_stores}, {"timestamp", push_timestamp}, {"headers", push_headers}};

/* The methods are upvalue 1. */
static int index_context(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) {
        return 1;
    }
    struct context *context = lua_touserdata(L, 1);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return fields[i].push(L, context->process);
        }
    }
    return luaL_error(L, "ctx has no field %s; it has forward, every, stores, timestamp and headers",
                      luaL_tolstring(L, 2, NULL));
}

static int assign_context(lua_State *L)
{
    return luaL_error(L, "ctx can't be changed: there is no field %s", luaL_tolstring(L, 2, NULL));
}

/* ---- making it ---- */

/* [-0, +0, e] */
static void make_timer_class(lua_State *L)
{
    static const luaL_Reg methods[] = {{"cancel", cancel}, {NULL, NULL}};
    if (luaL_newmetatable(L, TIMER_TYPE)) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

/* [-0, +0, e] */
static void make_context_class(lua_State *L)
{
    static const luaL_Reg methods[] = {{"forward", forward}, {"every", every}, {NULL, NULL}};
    if (luaL_newmetatable(L, CONTEXT_TYPE)) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_pushcclosure(L, index_context, 1);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, assign_context);
        lua_setfield(L, -2, "__newindex");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void process_context_open(lua_State *L, struct process *process)
{
    make_timer_class(L);
    make_context_class(L);
    struct context *context = lua_newuserdatauv(L, sizeof(*context), VALUE_STORES);
    context->process = process;
    process_store_push_all(L, process);
    lua_setiuservalue(L, -2, VALUE_STORES);
    luaL_setmetatable(L, CONTEXT_TYPE);
    process->context = luaL_ref(L, LUA_REGISTRYINDEX);
}

void process_context_push(lua_State *L, struct process *process, int rec)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, process->context);
    if (rec != 0) {
        lua_pushvalue(L, rec);
    } else {
        lua_pushnil(L);
    }
    lua_setiuservalue(L, -2, VALUE_REC);
}
