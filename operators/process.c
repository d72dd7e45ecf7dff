/* process: the user's own processor, with stores and timers (D22). */
#include "operators/all.h"
#include "operators/process_context.h"
#include "operators/process_store.h"

/* ---- making it ---- */

static void create(lua_State *L, struct node *node, int options)
{
    struct process *process = arena_alloc(&host_of(L)->texts, sizeof(*process));
    *process = (struct process){.node = node, .context = LUA_NOREF};
    node->state = process;
    call_bind(L, options, "init", false, &process->init);
    call_bind(L, options, "process", true, &process->process);
    call_bind(L, options, "close", false, &process->close);
    process->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    process->value_codec = operator_codec(L, options, "value_codec", &codec_json);
    process_store_bind(L, process, options);
}

/* ---- life ---- */

/* init and close: there is no record that a policy could drop. */
static void run(lua_State *L, struct process *process, const struct callback *callback, enum process_phase phase)
{
    struct host *host = host_of(L);
    process->phase = phase;
    call_push(L, callback);
    process_context_push(L, process, 0);
    uint64_t before = limits_begin(&host->limits);
    lua_call(L, 1, 0);
    limits_restore(&host->limits, before);
    process->phase = PROCESS_OUTSIDE;
}

static int process_open(struct node *node)
{
    struct process *process = node->state;
    lua_State *L = flow_lua(node);
    if (process_store_open_all(process)) {
        return -1;
    }
    process_context_open(L, process);
    process->initialized = true;
    if (call_given(&process->init)) {
        run(L, process, &process->init, PROCESS_INIT);
    }
    return 0;
}

static void process_close(struct node *node)
{
    struct process *process = node->state;
    if (process->initialized && call_given(&process->close)) {
        process->initialized = false;
        run(flow_lua(node), process, &process->close, PROCESS_CLOSE);
    }
}

/* ---- records ---- */

/* process(key, value, rec, ctx) */
static int process_body(lua_State *L, struct node *node, struct item *item)
{
    struct process *process = node->state;
    int parameters = process->process.parameters;
    int key = parameters > 0 ? datum_slot(L, &item->key) : 0;
    int value = parameters > 1 ? datum_slot(L, &item->value) : 0;
    int count = 0;
    call_push(L, &process->process);
    if (parameters > 0) {
        lua_pushvalue(L, key);
        count++;
    }
    if (parameters > 1) {
        lua_pushvalue(L, value);
        count++;
    }
    if (parameters > 2) {
        rec_push(L, item, true);
        count++;
    }
    if (parameters > 3) {
        process_context_push(L, process, lua_gettop(L));
        count++;
    } else { /* a ctx that init has kept is that of this record too */
        process_context_push(L, process, parameters > 2 ? lua_gettop(L) : 0);
        lua_pop(L, 1);
    }
    process->phase = PROCESS_RECORD;
    process->item = item;
    call_run(node, item, count, 0);
    process->phase = PROCESS_OUTSIDE;
    return 0;
}

static int process_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, process_body);
}

const struct operator operator_process = {
    .op = {"process", process_open, process_process, NULL, process_close},
    .usage = "stream:process { process = function(key, value, rec, ctx) end [, init = function(ctx) end, close = "
             "function(ctx) end, stores = { \"seen\", name = { kind, key, value, ttl, size, retention, changelog } }, "
             "key, value, name, on_error] }",
    .text =
        "A processor of one's own. ctx:forward(key, value [, { timestamp, headers }]) sends records on, as many as it "
        "likes; ctx:every(interval, \"stream\" | \"wall\", function(now) end) makes a timer, which timer:cancel() "
        "ends; ctx.stores.NAME is a store. Stores are key-value stores (get, put, delete, all, range, prefix) unless "
        "kind = \"window\" (put(key, value, start), fetch, all, fetch_all) or \"session\" (put(key, value, start, "
        "end), fetch, remove, find_sessions) is given. A name that a table, a global table or an earlier processor "
        "has is that very store; a table's can only be read. What is behind a processor counts as having a changed "
        "key.",
    .create = create,
};
