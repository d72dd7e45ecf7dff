#include "scripts/lua_task.h"

#include <string.h>

#include "base/log.h"
#include "scripts/bind_connector.h"
#include "scripts/call.h"
#include "scripts/sandbox_files.h"
#include "scripts/view.h"

/* ---- life ---- */

/* Fields of the first argument about the task; numbers as Kafka counts partitions, from 0. */
static void make_about(lua_State *L, const struct connector_context *context)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, context->app);
    lua_setfield(L, -2, "app");
    lua_pushstring(L, context->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, context->topic);
    lua_setfield(L, -2, "topic");
    lua_pushinteger(L, context->task);
    lua_setfield(L, -2, "task");
    lua_pushinteger(L, context->tasks);
    lua_setfield(L, -2, "tasks");
}

static int prepare(struct host *host, void *data)
{
    struct lua_task *task = data;
    lua_State *L = host->L;
    sandbox_files_install(L);
    lua_newtable(L);
    task->self = luaL_ref(L, LUA_REGISTRYINDEX);
    make_about(L, task->context);
    task->about = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static const struct connector_use *find_use(const struct lua_task *task, size_t number)
{
    const struct connector_use *use = number < task->host->use_count ? task->host->uses[number] : NULL;
    bool same = use && use->sink == task->sink && strcmp(use->name, task->context->name) == 0;
    return same ? use : NULL;
}

int lua_task_open(struct lua_task *task, const struct connector_context *context, bool sink, struct err *err)
{
    const struct lua_options *given = context->options;
    struct instance *instance;
    task->context = context;
    task->sink = sink;
    if (given->program->class->load(given->program, &instance, err)) {
        return -1;
    }
    task->host = (struct host *)instance;
    task->host->arena = &task->arena;
    const struct connector_use *use = find_use(task, given->number);
    if (!use) {
        lua_task_close(task, false);
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The script has built something else than before: its connector number %zu is not %s. Has the "
                       "file been changed? Start the process again.",
                       given->number + 1, context->name);
    }
    task->options = use->options;
    if (call_protected(task->host, prepare, task, err)) {
        lua_task_close(task, false);
        return -1;
    }
    return 0;
}

void lua_task_close(struct lua_task *task, bool started)
{
    struct err err;
    struct lua_call call = {.function = "close"};
    if (started && lua_task_call(task, &call, &err)) {
        log_event(LOG_WARN, "closing a connector failed", log_text("connector", task->context->name),
                  log_text("cause", err.text));
    }
    if (task->host) {
        const struct lua_options *given = task->context->options;
        given->program->class->unload((struct instance *)task->host);
        task->host = NULL;
    }
    arena_free(&task->arena);
}

/* ---- what a function raises ---- */

/* One call on its way through the protected entry. */
struct entry {
    struct lua_task *task;
    const struct lua_call *call;
    struct err *err;
    bool inside; /* in the script's function */
    int result;
};

/* The text on top of the stack without its full stop. */
static int raised(const struct entry *entry, enum err_class class, enum err_code code, const char *text)
{
    size_t length = strlen(text);
    int shown = (int)(length > 0 && text[length - 1] == '.' ? length - 1 : length);
    return err_set(entry->err, class, code, "The function %s of the script says: %.*s.", entry->call->function, shown,
                   text);
}

/* Pushes error[field] of the table below as text; NULL: there is none. [-0, +1, e] */
static const char *push_field(lua_State *L, int table, const char *field)
{
    lua_pushstring(L, field);
    if (lua_rawget(L, table) == LUA_TNIL) {
        return NULL;
    }
    return luaL_tolstring(L, -1, NULL);
}

static int refused(lua_State *L, const struct entry *entry, int table)
{
    const char *reason = push_field(L, table, "reason");
    lua_pushliteral(L, "bad");
    lua_rawget(L, table);
    lua_Integer index = lua_tointeger(L, -1); /* 0: it is not known which */
    *entry->call->bad = index > 0 ? (size_t)index - 1 : SINK_BAD_UNKNOWN;
    return err_set(entry->err, ERR_SKIP, ERR_RECORD, "%s", reason ? reason : "The sink refuses the record.");
}

/* The error is the table at that index. [-0, +x, e] */
static int judge_table(lua_State *L, const struct entry *entry, int table)
{
    const char *fatal = push_field(L, table, "fatal");
    const char *fenced = push_field(L, table, "fenced");
    if (fatal) {
        return raised(entry, ERR_FATAL, ERR_CONNECTOR, fatal);
    }
    if (fenced && entry->task->sink) {
        return raised(entry, ERR_FENCED, ERR_PROTOCOL, fenced);
    }
    if (push_field(L, table, "bad") && entry->call->bad) {
        return refused(L, entry, table);
    }
    const char *message = push_field(L, table, "message");
    if (message) {
        return raised(entry, ERR_RETRY, ERR_SCRIPT, message);
    }
    return err_set(entry->err, ERR_FATAL, ERR_SCRIPT,
                   "The function %s raises a table that says nothing here: error takes a text, { fatal = text }%s.",
                   entry->call->function,
                   entry->call->bad    ? ", { fenced = text } or { bad = number, reason = text }"
                   : entry->task->sink ? " or { fenced = text }"
                                       : "");
}

/* [-0, +x, e] */
static int judge(lua_State *L, const struct entry *entry, int status)
{
    int error = lua_gettop(L);
    luaL_checkstack(L, 16, NULL);
    if (status == LUA_ERRMEM) {
        return err_set(entry->err, ERR_RETRY, ERR_MEMORY,
                       "The function %s needs more memory than the %zu bytes that the option lua_memory allows.",
                       entry->call->function, host_of(L)->pool.limit);
    }
    if (lua_type(L, error) == LUA_TTABLE) {
        return judge_table(L, entry, error);
    }
    return raised(entry, ERR_RETRY, ERR_SCRIPT, luaL_tolstring(L, error, NULL));
}

/* ---- calls ---- */

/* [-0, +1, -] false: nil is pushed. */
static bool push_function(lua_State *L, const struct lua_task *task, const char *function)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, task->options->functions);
    lua_pushstring(L, function);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    return !lua_isnil(L, -1);
}

static int call_body(struct host *host, void *data)
{
    struct entry *entry = data;
    const struct lua_call *call = entry->call;
    lua_State *L = host->L;
    if (!push_function(L, entry->task, call->function)) {
        return 0;
    }
    int function = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, entry->task->self);
    int arguments = call->push ? call->push(L, call->data) : 0;
    uint64_t before = limits_begin(&host->limits);
    entry->inside = true;
    int status = lua_pcall(L, arguments + 1, call->results, 0);
    if (status != LUA_OK && host->final) {
        return lua_error(L); /* the end of what ran too long */
    }
    limits_restore(&host->limits, before);
    entry->inside = false;
    if (status != LUA_OK) {
        entry->result = judge(L, entry, status);
    } else if (call->take) {
        call->take(L, function, call->data);
    }
    return 0;
}

int lua_task_call(struct lua_task *task, const struct lua_call *call, struct err *err)
{
    struct entry entry = {.task = task, .call = call, .err = err};
    if (call_protected(task->host, call_body, &entry, err)) {
        if (entry.inside || err->code == ERR_MEMORY) {
            err->class = ERR_RETRY; /* its time or its memory was over; the next instance begins anew */
        }
        return -1;
    }
    return entry.result;
}

struct question {
    const struct lua_task *task;
    const char *function;
    bool there;
};

static int look_for(struct host *host, void *data)
{
    struct question *question = data;
    question->there = push_function(host->L, question->task, question->function);
    return 0;
}

bool lua_task_has(struct lua_task *task, const char *function)
{
    struct question question = {task, function, false};
    struct err ignored;
    return call_protected(task->host, look_for, &question, &ignored) == 0 && question.there;
}

/* ---- arguments ---- */

void lua_task_push_about(lua_State *L, const struct lua_task *task)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, task->about);
}

void lua_task_push_position(lua_State *L, struct slice position)
{
    if (slice_is_null(position)) {
        lua_pushnil(L);
        return;
    }
    view_push(L, position);
    view_copy(L, -1);
    lua_remove(L, -2);
}
