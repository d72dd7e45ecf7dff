/* Stream-table joins: each record of the stream with the row that the table has for its key now. */
#include "operators/all.h"
#include "operators/joiner.h"
#include "operators/table.h"

#include <stdlib.h>

#include "base/memory.h"

struct join_table {
    struct joiner joiner;
    struct node *table;
    bool left; /* records without a row are joined with nil */
};

static int join_body(lua_State *L, struct node *node, struct item *item)
{
    const struct join_table *join = node->state;
    if (item->value.null || (item->key.null && !join->left)) {
        op_drop(node, item->value.null ? DROP_NULL_VALUE : DROP_NULL_KEY, item);
        return 0;
    }
    struct table_row row = {.value = datum_null(join->joiner.value_codec)};
    bool dropped = false;
    if (!item->key.null && table_get(L, join->table, item, &row, &dropped)) {
        return -1;
    }
    if (dropped || (row.value.null && !join->left)) {
        return 0;
    }
    if (!joiner_call(L, node, item, &join->joiner, &item->value, &row.value, &item->value)) {
        return 0;
    }
    return op_forward(node, item);
}

static int join_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, join_body);
}

static void create(lua_State *L, struct node *node, int options, bool left)
{
    struct join_table *join = memory_alloc(sizeof(*join));
    node->state = join;
    join->left = left;
    joiner_bind(L, node, options, &join->joiner);
    lua_getfield(L, options, "table");
    join->table = graph_node(host_of(L)->graph, (int)lua_tointeger(L, -1));
    lua_pop(L, 1);
}

static void join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, false);
}

static void left_join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, true);
}

static int join_open(struct node *node)
{
    const struct join_table *join = node->state;
    table_look_ahead(node, join->table);
    return 0;
}

static void join_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_join_table = {
    .op = {"join", join_open, join_process, NULL, join_close},
    .usage = "stream:join(table, function(key, left, right, rec) return value end [, { name, on_error, value }])",
    .text = "Joins each record with the row that the table has for its key at that moment; without a row there is no "
            "result. Both topics need the same number of partitions.",
    .create = join_create,
};

const struct operator operator_left_join_table = {
    .op = {"left_join", join_open, join_process, NULL, join_close},
    .usage = "stream:left_join(table, function(key, left, right, rec) return value end [, { name, on_error, value }])",
    .text = "As join, but a record without a row is joined with nil.",
    .create = left_join_create,
};
