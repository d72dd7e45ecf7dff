/* One Lua state and everything that hangs on it: allocator with a limit, libraries of the allow-list, views' epoch.
 *
 * Ownership: a host belongs to one instance and its thread. host_of(L) works in every coroutine of the state.
 * Marks in this folder: functions that may raise a Lua error carry [-pops, +pushes, e] ("-" instead of e: never raise).
 */
#ifndef TIDEMILL_SCRIPTS_HOST_H
#define TIDEMILL_SCRIPTS_HOST_H

#include <lauxlib.h>
#include <lua.h>

#include "base/arena.h"
#include "engine/program.h"

struct operator_table;

/* What may be called now: building inside a callback, or a context outside one, fails by name. */
enum host_phase { HOST_BUILDING, HOST_READY, HOST_CALLBACK };

struct host {
    lua_State *L;
    const struct operator_table *operators;
    struct graph *graph;          /* being built, then the instance's */
    struct worker *worker;        /* NULL until bound */
    struct app_settings *settings;
    const char *script;           /* path of the script */
    enum host_phase phase;
    uint64_t epoch;               /* of views: one more after each record; an older view is stale */
    struct arena *arena;          /* of the record: program.c sets it to op_arena(worker), or to an own one without a worker */
    struct bytes scratch;         /* for encoding; content ends with the next encode */
    size_t memory;                /* bytes in use by Lua */
    size_t memory_limit;
    const struct clock *clock;
};

static inline struct host *host_of(lua_State *L)
{
    return *(struct host **)lua_getextraspace(L);
}

struct host_config {
    const char *script;
    const struct operator_table *operators;
    size_t memory_limit;
    int64_t callback_ms;          /* longest run of one protected entry; the watchdog arms the count hook after it */
};

int host_open(const struct host_config *config, struct host **host, struct err *err);
void host_close(struct host *host);

/* Raises a Lua error that names the function when the phase is another one. [-0, +0, e] */
void host_require_phase(lua_State *L, enum host_phase phase, const char *function);

#endif
