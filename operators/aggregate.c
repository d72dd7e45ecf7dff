/* count, reduce and aggregate of grouped streams, without windows: one row per key. Every change is forwarded, or
 * with emit = "commit" the last one of each key before a commit. */
#include "operators/all.h"
#include "operators/fold.h"
#include "operators/live.h"

#include "base/memory.h"
#include "scripts/view.h"

struct aggregate {
    struct table table;
    struct fold fold;
    struct live live;
};

static void take_later_time(struct item *item, const struct table_row *row)
{
    if (row->found && row->timestamp > item->timestamp) {
        item->timestamp = row->timestamp; /* S21 */
    }
}

static int fold_bytes(lua_State *L, struct node *node, struct item *item, struct slice key)
{
    const struct aggregate *aggregate = node->state;
    struct table_row row;
    struct slice value;
    if (table_read(node, key, &row)) {
        return -1;
    }
    if (!fold_next(L, node, item, &aggregate->fold, row.value.bytes, &value)) {
        return 0;
    }
    take_later_time(item, &row);
    return table_change(node, item, key, value, &row);
}

/* ---- rows that stay Lua values until the commit (live.h) ---- */

/* Pushes the row's value. -1, 0: dropped, or 1. */
static int push_row(lua_State *L, struct node *node, struct item *item, struct slice key, struct table_row *row)
{
    const struct aggregate *aggregate = node->state;
    const struct held_entry *entry = held_find(aggregate->table.held, key);
    if (live_has(entry)) {
        live_push(L, &aggregate->live, entry);
        *row = (struct table_row){.found = true, .timestamp = entry->timestamp};
        return 1;
    }
    if (table_read(node, key, row)) {
        return -1;
    }
    if (!row->found) {
        return fold_begin(L, node, item, &aggregate->fold);
    }
    fold_load(L, &aggregate->fold, row->value.bytes);
    return 1;
}

/* Whether the result on top stays what it is. `agg` is what add got: a table there belongs to the aggregation, of
 * another one it takes a copy. (What reduce gets and gives are views.) */
static bool stays(lua_State *L, struct node *node, const struct item *item, struct slice key, int agg,
                  const struct table_row *row)
{
    struct aggregate *aggregate = node->state;
    int64_t bytes = live_measure(L, -1, aggregate->fold.kind == FOLD_AGGREGATE);
    if (bytes == 0) {
        return false;
    }
    bool same = lua_rawequal(L, -1, agg);
    struct held_entry *entry = table_hold(node, item, key, row);
    if (!same || !live_has(entry)) {
        if (!same) {
            view_fork(L, lua_gettop(L));
        }
        live_put(L, &aggregate->live, entry, lua_gettop(L));
    }
    held_charge(aggregate->table.held, entry, bytes);
    return true;
}

static int fold_live(lua_State *L, struct node *node, struct item *item, struct slice key)
{
    const struct aggregate *aggregate = node->state;
    struct table_row row;
    int pushed = push_row(L, node, item, key, &row);
    int agg = lua_gettop(L);
    if (pushed <= 0 || !fold_add(L, node, item, &aggregate->fold, agg)) {
        return pushed < 0 ? -1 : 0;
    }
    take_later_time(item, &row);
    if (stays(L, node, item, key, agg, &row)) {
        return table_relieve(node);
    }
    struct slice value;
    if (!fold_store(L, node, item, &aggregate->fold, lua_gettop(L), &value)) {
        return 0;
    }
    struct held_entry *entry = held_find(aggregate->table.held, key);
    if (live_has(entry)) {
        live_drop(L, &aggregate->live, entry);
    }
    return table_change(node, item, key, value, &row);
}

static int write_row(lua_State *L, struct node *node, struct held_entry *entry)
{
    const struct aggregate *aggregate = node->state;
    const struct store_driver *stores = op_store_driver(node->worker);
    struct item item = {.key = datum_of_bytes(aggregate->table.key_codec, entry->key),
                        .timestamp = entry->timestamp,
                        .headers = &entry->headers};
    struct slice value;
    live_push(L, &aggregate->live, entry);
    if (!fold_store(L, node, &item, &aggregate->fold, lua_gettop(L), &value)) {
        return 0;
    }
    lua_pop(L, 1);
    return stores->put(aggregate->table.store, entry->key, value, entry->timestamp, op_error(node->worker));
}

/* Writes what is live into the store. */
static int aggregate_settle(struct node *node)
{
    struct aggregate *aggregate = node->state;
    lua_State *L = flow_lua(node);
    if (aggregate->live.count == 0) {
        return 0;
    }
    for (size_t i = 0; i < held_count(aggregate->table.held); i++) {
        struct held_entry *entry = held_at(aggregate->table.held, i);
        if (live_has(entry) && write_row(L, node, entry)) {
            return -1;
        }
        entry->value = 0;
    }
    live_clear(L, &aggregate->live);
    return 0;
}

static int aggregate_flush(struct node *node)
{
    return table_waits(node) ? 0 : aggregate_settle(node) ? -1 : table_flush(node);
}

/* ---- operators ---- */

static int aggregate_body(lua_State *L, struct node *node, struct item *item)
{
    const struct aggregate *aggregate = node->state;
    if (item->key.null || item->value.null) {
        op_drop(node, item->key.null ? DROP_NULL_KEY : DROP_NULL_VALUE, item);
        return 0;
    }
    struct slice key;
    if (!flow_encode(node, item, &item->key, aggregate->table.key_codec, &key)) {
        return 0;
    }
    return aggregate->live.allowed ? fold_live(L, node, item, key) : fold_bytes(L, node, item, key);
}

static int aggregate_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, aggregate_body);
}

static int aggregate_open(struct node *node)
{
    struct aggregate *aggregate = node->state;
    int result = table_open(node);
    live_open(flow_lua(node), node, &aggregate->live);
    return result;
}

static void create(lua_State *L, struct node *node, int options, enum fold_kind kind)
{
    struct aggregate *aggregate = memory_alloc(sizeof(*aggregate));
    struct table *table = &aggregate->table;
    node->state = aggregate;
    table_bind(L, node, options, table);
    fold_bind(L, options, kind, table->value_codec, table->store_name, &aggregate->fold);
}

static void count_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, FOLD_COUNT);
}

static void reduce_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, FOLD_REDUCE);
}

static void aggregate_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, FOLD_AGGREGATE);
}

const struct operator operator_count = {
    .op = {"count", aggregate_open, aggregate_process, aggregate_flush, table_close},
    .usage = "grouped:count { store [, emit, changelog, ttl, name, on_error] }",
    .text = "A table with the number of records of each key. Null keys and null values are not counted.",
    .create = count_create,
    .settle = aggregate_settle,
};

const struct operator operator_reduce = {
    .op = {"reduce", aggregate_open, aggregate_process, aggregate_flush, table_close},
    .usage = "grouped:reduce { store, add = function(agg, value, rec) return agg end "
             "[, key, value, emit, changelog, ttl, name, on_error] }",
    .text =
        "A table with one value of each key: the first one, then what add makes of it and each next one. nil deletes "
        "the row.",
    .create = reduce_create,
    .settle = aggregate_settle,
};

const struct operator operator_aggregate = {
    .op = {"aggregate", aggregate_open, aggregate_process, aggregate_flush, table_close},
    .usage =
        "grouped:aggregate { store, init = function() return agg end, add = function(key, value, agg, rec) return agg "
        "end [, key, value, emit, changelog, ttl, name, on_error] }",
    .text =
        "A table with one aggregate of each key, begun by init and carried on by add, which may change agg in place. "
        "nil deletes the row.",
    .create = aggregate_create,
    .settle = aggregate_settle,
};
