/* Stream-table joins: each record of the stream with the row that the table has for its key now. */
#include "operators/all.h"
#include "operators/table.h"

#include <stdlib.h>

#include "base/memory.h"
#include "scripts/rec.h"

struct join_table {
    struct callback joiner;
    struct node *table;
    const struct codec *value_codec;
    bool left; /* records without a row are joined with nil */
};

/* joiner(key, left, right, rec); decodes only what it looks at. The result is on top of the stack. */
static bool call_joiner(lua_State *L, struct node *node, struct item *item, struct datum *right)
{
    const struct join_table *join = node->state;
    int parameters = join->joiner.parameters;
    int slots[3] = {0, 0, 0};
    struct datum *data[3] = {&item->key, &item->value, right};
    for (int i = 0; i < 3 && i < parameters; i++) {
        slots[i] = datum_slot(L, data[i]);
    }
    call_push(L, &join->joiner);
    int count = 0;
    for (; count < 3 && count < parameters; count++) {
        lua_pushvalue(L, slots[count]);
    }
    if (parameters > 3) {
        rec_push(L, item, false);
        count++;
    }
    return call_run(node, item, count, 1);
}

static int join_body(lua_State *L, struct node *node, struct item *item)
{
    const struct join_table *join = node->state;
    if (item->value.null || (item->key.null && !join->left)) {
        op_drop(node, item->value.null ? DROP_NULL_VALUE : DROP_NULL_KEY, item);
        return 0;
    }
    struct item row = *item;
    row.value = datum_null(join->value_codec);
    bool dropped = false;
    if (!item->key.null && table_get(L, join->table, &row, &dropped)) {
        return -1;
    }
    if (dropped || (row.value.null && !join->left)) {
        return 0;
    }
    if (!call_joiner(L, node, item, &row.value)) {
        return 0;
    }
    item->value = datum_of_value(L, lua_gettop(L), join->value_codec);
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
    call_bind(L, options, "fn", true, &join->joiner);
    join->joiner.name = node->op->kind;
    join->value_codec = operator_codec(L, options, "value_codec", &codec_json);
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

static void join_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_join_table = {
    .op = {"join", NULL, join_process, NULL, join_close},
    .usage = "stream:join(table, function(key, left, right, rec) return value end [, { name, on_error, value }])",
    .text = "Joins each record with the row that the table has for its key at that moment; without a row there is no "
            "result. Both topics need the same number of partitions.",
    .create = join_create,
};

const struct operator operator_left_join_table = {
    .op = {"left_join", NULL, join_process, NULL, join_close},
    .usage = "stream:left_join(table, function(key, left, right, rec) return value end [, { name, on_error, value }])",
    .text = "As join, but a record without a row is joined with nil.",
    .create = left_join_create,
};
