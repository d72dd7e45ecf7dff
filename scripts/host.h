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
#include "scripts/limits.h"
#include "scripts/pool.h"

struct operator_table;
struct connector_table;
struct connector_use;
struct json_members;
struct coverage;

/* What may be called now: building inside a callback, or a context outside one, fails by name. */
enum host_phase { HOST_BUILDING, HOST_READY, HOST_CALLBACK };

/* What the script side keeps for a node beside the engine's struct; by node id. */
struct host_node {
    int policy; /* registry reference of on_error's function, or LUA_NOREF */
    /* What the node's options name: of its topic, or of its store; NULL: not named. For looking in from outside. */
    const struct codec *key_codec, *value_codec;
};

struct host {
    lua_State *L; /* the main coroutine */
    const struct operator_table *operators;
    const struct connector_table *connectors; /* NULL: there are none */
    struct program *program;                  /* that the script is run for; NULL: none */
    struct graph *graph;                      /* being built, then the instance's; NULL before tm.app */
    struct worker *worker;                    /* NULL until bound */
    struct app_settings *settings;            /* NULL for a host that builds nothing */
    const struct option_list *overrides;      /* "name=value" each, stronger than the script's settings; may be NULL */
    const char *script;                       /* path of the script */
    enum host_phase phase;
    uint64_t epoch;       /* of views: one more after each record; an older view is stale */
    struct bytes scratch; /* for encoding; content ends with the next encode */
    struct arena *arena;  /* of the record: op_arena when bound, `texts` while building */
    struct arena texts;   /* lives as long as the host */
    int at_end;           /* registry reference: what the DSL does when the script has run; 0: nothing */
    int view_metatable;   /* registry reference, for view.c */
    struct slice checked; /* for view.c: the JSON whose members are in checked_members while the epoch is this one */
    uint64_t checked_epoch;
    struct json_members *checked_members;
    const struct clock *clock;
    lua_CFunction test_module; /* opens tidemill.test; NULL outside of tests */
    struct pool pool;
    struct limits limits;
    struct coverage *coverage; /* counts the lines that run; NULL outside of tests */

    struct host_node *nodes; /* one per node of the graph */
    size_t node_count;
    size_t node_capacity;

    struct connector_use **uses; /* connectors of the script, in the order of their making */
    size_t use_count;
    size_t use_capacity;

    /* call.c: the error on its way to the entry */
    struct node *node;           /* whose code runs; NULL: none */
    const char *blamed;          /* the place of an error that the script's frames don't know; NULL: ask them */
    enum err_code failure_code;  /* of the error being raised; ERR_OK: ERR_SCRIPT */
    struct err failure;          /* what the entry will report */
    int64_t logged_ns;           /* when a cause of dropped records was logged last */
    bool entered;                /* inside a protected entry */
    bool in_round;               /* inside the entry that many records share */
    const struct record *record; /* of the round: the one being processed; NULL: none */
    bool final;                  /* `failure` is complete, and neither pcall nor a policy may catch it */
};

static inline struct host *host_of(lua_State *L)
{
    return *(struct host **)lua_getextraspace(L);
}

struct host_config {
    const char *script; /* borrowed for the host's life */
    const struct operator_table *operators;
    const struct connector_table *connectors; /* NULL: there are none */
    size_t memory_limit;                      /* bytes; 0: none */
    int64_t callback_ms;                      /* longest run of one callback (limits.h); 0: no limit */
    lua_CFunction test_module;                /* pushes the module tidemill.test; NULL: it is not there */
    struct coverage *coverage;                /* NULL: lines are not counted */
};

/* A state with the libraries of the allow-list, `require`, codecs and views, in phase HOST_BUILDING. */
int host_open(const struct host_config *config, struct host **host, struct err *err);
void host_close(struct host *host);

/* Changes both limits, when the script has said its own. */
void host_set_limits(struct host *host, size_t memory_limit, int64_t callback_ms);

/* Loads the file at host->script, or the one given, as text and pushes its function. Its chunk is named by `name`
 * ("pipeline.lua"). Nothing is pushed on failure: ERR_TOPOLOGY for a file that can't be read or doesn't parse. [-0, +1,
 * -] */
int host_load_file(lua_State *L, const char *path, const char *name, struct err *err);

/* Raises a Lua error that names the function when the phase is another one. [-0, +0, e] */
void host_require_phase(lua_State *L, enum host_phase phase, const char *function);
/* Raises when called from inside a coroutine: functions that lead into other operators run on the main one. [-0, +0, e]
 */
void host_require_main(lua_State *L, const char *function);

#define HOST_USER_CHUNK '@' /* first character of the chunk names of the user's files */

/* The innermost frame of the user's files, with lua_getinfo's "S" and "l"; false: none is being run. [-0, +0, -] */
bool host_user_frame(lua_State *L, lua_Debug *record);
/* The innermost line of the user's files, "pipeline.lua:17"; false (and an empty text) when none is being run. [-0, +0,
 * -] */
#define HOST_PLACE_SIZE 96
bool host_place(lua_State *L, char text[HOST_PLACE_SIZE]);

#endif
