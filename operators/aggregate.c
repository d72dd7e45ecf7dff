/* count, reduce and aggregate of grouped streams, without windows: one row per key, every change is forwarded. */
#include "operators/all.h"
#include "operators/fold.h"
#include "operators/table.h"

#include <stdlib.h>

#include "base/memory.h"

struct aggregate {
    struct table table;
    struct fold fold;
};

static int aggregate_body(lua_State *L, struct node *node, struct item *item)
{
    const struct aggregate *aggregate = node->state;
    if (item->key.null || item->value.null) {
        op_drop(node, item->key.null ? DROP_NULL_KEY : DROP_NULL_VALUE, item);
        return 0;
    }
    struct slice key, value;
    struct table_row row;
    if (!flow_encode(node, item, &item->key, aggregate->table.key_codec, &key)) {
        return 0;
    }
    if (table_read(node, key, &row)) {
        return -1;
    }
    if (!fold_next(L, node, item, &aggregate->fold, row.value.bytes, &value)) {
        return 0;
    }
    if (row.found && row.timestamp > item->timestamp) {
        item->timestamp = row.timestamp; /* S21 */
    }
    return table_change(node, item, key, value, &row);
}

static int aggregate_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, aggregate_body);
}

/* ---- operators ---- */

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

static void aggregate_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_count = {
    .op = {"count", table_open, aggregate_process, NULL, aggregate_close},
    .usage = "grouped:count { store [, changelog, ttl, name, on_error] }",
    .text = "A table with the number of records of each key. Null keys and null values are not counted.",
    .create = count_create,
};

const struct operator operator_reduce = {
    .op = {"reduce", table_open, aggregate_process, NULL, aggregate_close},
    .usage = "grouped:reduce { store, add = function(agg, value, rec) return agg end "
             "[, key, value, changelog, ttl, name, on_error] }",
    .text =
        "A table with one value of each key: the first one, then what add makes of it and each next one. nil deletes "
        "the row.",
    .create = reduce_create,
};

const struct operator operator_aggregate = {
    .op = {"aggregate", table_open, aggregate_process, NULL, aggregate_close},
    .usage =
        "grouped:aggregate { store, init = function() return agg end, add = function(key, value, agg, rec) return agg "
        "end [, key, value, changelog, ttl, name, on_error] }",
    .text =
        "A table with one aggregate of each key, begun by init and carried on by add, which may change agg in place. "
        "nil deletes the row.",
    .create = aggregate_create,
};
