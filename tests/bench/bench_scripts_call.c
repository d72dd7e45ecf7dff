/* What entering Lua costs: the protected entry of a record without a callback, a callback inside it, and Lua's memory
 * from the pool against malloc; beside the bare calls of Lua in the same run. Nanoseconds per call, medians of the
 * runs. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/worker.h"
#include "scripts/call.h"

#define CALLS 200000
#define RUNS 9

/* The part of a worker that call.c asks for; nothing here fails, so the rest ends the program. */
struct worker {
    struct host *host;
    struct err err;
};

void *op_program(struct worker *worker)
{
    return worker->host;
}

struct err *op_error(struct worker *worker)
{
    return &worker->err;
}

int op_forward(struct node *node, struct item *item)
{
    (void)node;
    (void)item;
    abort();
}

void op_drop(struct node *node, enum op_drop reason, const struct item *item)
{
    (void)node;
    (void)reason;
    (void)item;
    abort();
}

int op_dead_letter(struct node *node, const struct item *item, const struct err *cause)
{
    (void)node;
    (void)item;
    (void)cause;
    abort();
}

const char *worker_name(const struct worker *worker)
{
    (void)worker;
    abort();
}

struct metric_set *worker_metrics(struct worker *worker)
{
    (void)worker;
    abort();
}

static struct host *host;
static lua_State *stock; /* Lua with malloc */
static struct worker worker;
static struct node node = {.worker = &worker, .name = "bench", .place = "bench.lua:1"};
static struct item item;
static struct callback empty, table;

static const char script[] = "function empty() end\n"
                             "function table() return { key = 'k', value = 1, n = 2 } end\n";

/* ---- what is measured ---- */

static int nothing(lua_State *L)
{
    (void)L;
    return 0;
}

static void bare_call(void)
{
    lua_getglobal(stock, "empty");
    lua_call(stock, 0, 0);
}

static void bare_pcall(void)
{
    lua_pushcfunction(stock, nothing);
    lua_pcall(stock, 0, 0, 0);
}

static int empty_body(struct host *inside, void *data)
{
    (void)inside;
    (void)data;
    return 0;
}

static void entry(void)
{
    struct err err;
    call_protected(host, empty_body, NULL, &err);
}

static int callback_body(struct host *inside, void *data)
{
    call_push(inside->L, data);
    call_run(&node, &item, 0, 0);
    return 0;
}

static void entry_and_callback(void)
{
    struct err err;
    call_protected(host, callback_body, &empty, &err);
}

static void entry_and_callback_by_policy(void)
{
    node.policy = POLICY_SKIP;
    entry_and_callback();
    node.policy = POLICY_FAIL;
}

static void table_in_pool(void)
{
    struct err err;
    call_protected(host, callback_body, &table, &err);
}

static void table_in_malloc(void)
{
    lua_getglobal(stock, "table");
    lua_call(stock, 0, 0);
}

/* ---- measuring ---- */

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static void measure(const char *name, void (*run)(void))
{
    struct clock clock = CLOCK_SYSTEM;
    double times[RUNS];
    for (int i = 0; i < RUNS; i++) {
        int64_t start = clock_monotonic_ns(&clock);
        for (int call = 0; call < CALLS; call++) {
            run();
        }
        times[i] = (double)(clock_monotonic_ns(&clock) - start) / CALLS;
    }
    qsort(times, RUNS, sizeof(times[0]), compare);
    printf("%-52s %7.1f ns  [%.1f .. %.1f]\n", name, times[RUNS / 2], times[0], times[RUNS - 1]);
}

static void *stock_resize(void *data, void *block, size_t old_size, size_t size)
{
    (void)data;
    (void)old_size;
    if (size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

static void load(lua_State *L)
{
    if (luaL_dostring(L, script)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
    lua_settop(L, 0);
}

static void bind(const char *field, struct callback *callback)
{
    lua_State *L = host->L;
    lua_pushglobaltable(L);
    call_bind(L, lua_gettop(L), field, true, callback);
    lua_settop(L, 0);
}

int main(void)
{
    struct err err;
    struct host_config config = {.script = "bench.lua", .memory_limit = (size_t)256 << 20, .callback_ms = 10000};
    if (host_open(&config, &host, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    worker.host = host;
    stock = lua_newstate(stock_resize, NULL);
    load(stock);
    load(host->L);
    bind("empty", &empty);
    bind("table", &table);
    measure("reference: lua_call of an empty Lua function", bare_call);
    measure("reference: lua_pcall of an empty C function", bare_pcall);
    measure("protected entry, no callback", entry);
    measure("protected entry and an empty callback", entry_and_callback);
    measure("the same under on_error = \"skip\"", entry_and_callback_by_policy);
    measure("a table of three fields, malloc, bare call", table_in_malloc);
    measure("a table of three fields, pool, entry and callback", table_in_pool);
    lua_close(stock);
    host_close(host);
    return 0;
}
