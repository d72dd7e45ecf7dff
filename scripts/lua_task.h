/* A task of a source or sink that is written in Lua: an instance of the script of its own, and calls of its functions.
 *
 * The script is loaded once more on the task's thread, so that what its functions keep in upvalues is the task's alone.
 * Building is the same each time: the connector in use with the same number is the one that is meant.
 * What the functions raise says what the runner does (engine/connector.h):
 *   error("text")                        ERR_RETRY, and so does a limit of the script
 *   error { fatal = "text" }             ERR_FATAL
 *   error { fenced = "text" }            ERR_FENCED, of a sink
 *   error { bad = 3, reason = "text" }   ERR_SKIP, of a sink's write
 * A result of the wrong form is ERR_FATAL.
 * Ownership: a task owns its instance and what its last call handed out; the options belong to the instance that made
 * the connector in use.
 */
#ifndef TIDEMILL_SCRIPTS_LUA_TASK_H
#define TIDEMILL_SCRIPTS_LUA_TASK_H

#include "engine/connector.h"
#include "scripts/host.h"

/* The options of the connector "lua", both ways. */
struct lua_options {
    int64_t poll_ms; /* sources: the pause after a poll that brought nothing */
    int64_t tasks;   /* sources */
    /* Not of the table: what core.connector notes. */
    struct program *program;
    size_t number; /* among the connectors of the script */
    int functions; /* registry reference of the table */
    const struct codec *key, *value;
};

struct lua_task {
    const struct connector_context *context;
    const struct lua_options *options; /* of the task's own instance */
    bool sink;
    struct host *host;
    struct arena arena; /* of what the call under way makes */
    int self;           /* registry references */
    int about;
};

/* One call: what stands behind `self`, and what becomes of the results. Both may raise. */
struct lua_call {
    const char *function;
    int (*push)(lua_State *L, void *data);              /* gives the number of arguments [-0, +n, e] */
    int results;                                        /* how many are taken */
    void (*take)(lua_State *L, int result, void *data); /* from index `result` on; may be NULL [-0, +0, e] */
    void *data;
    size_t *bad; /* of write; NULL: no record can be refused */
};

int lua_task_open(struct lua_task *task, const struct connector_context *context, bool sink, struct err *err);
/* `started`: the script's close is called. */
void lua_task_close(struct lua_task *task, bool started);
/* Whether the script has given the function. */
bool lua_task_has(struct lua_task *task, const char *function);
/* 0 also when the script has not given the function. */
int lua_task_call(struct lua_task *task, const struct lua_call *call, struct err *err);
/* Pushes { app, name, topic, task, tasks }, the same table each time. [-0, +1, e] */
void lua_task_push_about(lua_State *L, const struct lua_task *task);
/* Pushes the position as plain tables and values; nil for null. [-0, +1, e] */
void lua_task_push_position(lua_State *L, struct slice position);

#endif
