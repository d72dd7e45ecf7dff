#include "scripts/bind_log.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "engine/worker.h"

#define MAX_FIELDS 16
#define MAX_METRIC_NAME 100
#define METRIC_TYPE "tidemill.metric"

/* ---- log ---- */

struct line {
    struct log_field fields[MAX_FIELDS + 2];
    size_t count;
};

/* The text of a value; it stays on the stack as long as the line is being made. [-0, +0 or 1, e] */
static struct log_field make_field(lua_State *L, const char *name, int index)
{
    if (lua_isinteger(L, index)) {
        return log_number(name, lua_tointeger(L, index));
    }
    return log_text(name, luaL_tolstring(L, index, NULL));
}

/* By name: the order of a Lua table is not the same twice. */
static void insert_sorted(struct line *line, struct log_field field)
{
    size_t at = line->count++;
    while (at > 0 && strcmp(line->fields[at - 1].name, field.name) > 0) {
        line->fields[at] = line->fields[at - 1];
        at--;
    }
    line->fields[at] = field;
}

static void add_fields(lua_State *L, int table, struct line *line)
{
    luaL_checktype(L, table, LUA_TTABLE);
    luaL_checkstack(L, MAX_FIELDS + 4, NULL);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        int key = lua_gettop(L) - 1;
        luaL_argcheck(L, lua_type(L, key) == LUA_TSTRING, table, "fields of a log line have names");
        luaL_argcheck(L, line->count < MAX_FIELDS, table, "a log line has at most 16 fields");
        insert_sorted(line, make_field(L, lua_tostring(L, key), key + 1));
        lua_pushvalue(L, key); /* the texts stay below */
    }
}

static int log_line(lua_State *L)
{
    enum log_level level = (enum log_level)lua_tointeger(L, lua_upvalueindex(1));
    if (!log_enabled(level)) {
        return 0;
    }
    const char *message = luaL_tolstring(L, 1, NULL);
    struct line line = {.count = 0};
    if (!lua_isnoneornil(L, 2)) {
        add_fields(L, 2, &line);
    }
    const struct host *host = host_of(L);
    if (host->worker) {
        line.fields[line.count++] = log_text("worker", worker_name(host->worker));
    }
    if (host->node) {
        line.fields[line.count++] = log_text("node", host->node->name);
    }
    log_write(level, message, line.fields, line.count);
    return 0;
}

static void add_level(lua_State *L, const char *name, enum log_level level)
{
    lua_pushinteger(L, (lua_Integer)level);
    lua_pushcclosure(L, log_line, 1);
    lua_setfield(L, -2, name);
}

/* ---- metrics ---- */

struct metric {
    char name[MAX_METRIC_NAME + 1];
    struct metric_value *value; /* found with the first change: while the script is built there is no worker */
};

static struct metric_value *find_value(lua_State *L, struct metric *metric)
{
    host_require_phase(L, HOST_CALLBACK, "add of a metric");
    const struct host *host = host_of(L);
    if (!metric->value && host->worker) {
        char labels[MAX_METRIC_NAME + 16];
        snprintf(labels, sizeof(labels), "name=\"%s\"", metric->name);
        metric->value = metric_labelled(worker_metrics(host->worker), METRIC_USER, labels);
    }
    return metric->value;
}

/* metric:add([amount]): a whole number, 1 when not given */
static int metric_add_method(lua_State *L)
{
    struct metric *metric = luaL_checkudata(L, 1, METRIC_TYPE);
    lua_Integer amount = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, amount >= 0, 2, "a counter only grows");
    struct metric_value *value = find_value(L, metric);
    if (value) {
        metric_value_add(value, amount);
    }
    return 0;
}

/* metric(name) -> object with add(n); the same name counts in the same place */
static int make_metric(lua_State *L)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
    size_t size;
    const char *name = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, size > 0 && size <= MAX_METRIC_NAME && strspn(name, allowed) == size, 1,
                  "the name of a metric has 1 to 100 letters, digits and _ . : -");
    struct metric *metric = lua_newuserdatauv(L, sizeof(*metric), 0);
    memcpy(metric->name, name, size + 1);
    metric->value = NULL;
    luaL_setmetatable(L, METRIC_TYPE);
    return 1;
}

/* ---- installing ---- */

void bind_log_install(lua_State *L)
{
    lua_newtable(L);
    add_level(L, "error", LOG_ERROR);
    add_level(L, "warn", LOG_WARN);
    add_level(L, "info", LOG_INFO);
    add_level(L, "debug", LOG_DEBUG);
    lua_setfield(L, -2, "log");
    luaL_newmetatable(L, METRIC_TYPE);
    lua_newtable(L);
    lua_pushcfunction(L, metric_add_method);
    lua_setfield(L, -2, "add");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_pushcfunction(L, make_metric);
    lua_setfield(L, -2, "metric");
}
