/* merge and to_stream: nodes that pass a record on as it is. */
#include "operators/all.h"
#include "operators/flow.h"

static void pass_create(lua_State *L, struct node *node, int options)
{
    (void)L;
    (void)node;
    (void)options;
}

static int merge_body(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    return op_forward(node, item);
}

static int merge_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, merge_body);
}

static int to_stream_body(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    item->change = false;
    item->old = (struct datum){.codec = item->value.codec, .null = true};
    return op_forward(node, item);
}

static int to_stream_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, to_stream_body);
}

const struct operator operator_merge = {
    .op = {"merge", NULL, merge_process, NULL, NULL},
    .usage = "stream:merge(other [, { name }])",
    .text = "One stream with the records of both, in the order in which they are processed.",
    .create = pass_create,
    .per_record = true,
};

const struct operator operator_to_stream = {
    .op = {"to_stream", NULL, to_stream_process, NULL, NULL},
    .usage = "table:to_stream([{ name }])",
    .text = "The stream of a table's changes: each is a record with the new value, nil for a deletion.",
    .create = pass_create,
};
