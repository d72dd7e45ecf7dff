/* filter and filter_not of streams: keep or drop. */
#include "operators/all.h"
#include "operators/flow.h"

#include <stdlib.h>

#include "base/memory.h"

struct filter {
    struct callback predicate;
    bool keep; /* what the predicate must say for a record to pass */
};

static int filter_body(lua_State *L, struct node *node, struct item *item)
{
    const struct filter *filter = node->state;
    if (!call_item(node, item, &filter->predicate, 1)) {
        return 0;
    }
    if (lua_toboolean(L, -1) != filter->keep) {
        return 0;
    }
    return op_forward(node, item);
}

static int filter_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, filter_body);
}

static void create(lua_State *L, struct node *node, int options, bool keep)
{
    struct filter *filter = memory_alloc(sizeof(*filter));
    node->state = filter;
    filter->keep = keep;
    call_bind(L, options, "fn", true, &filter->predicate);
    filter->predicate.name = node->op->kind;
}

static void filter_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, true);
}

static void filter_not_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, false);
}

static void filter_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_filter = {
    .op = {"filter", NULL, filter_process, NULL, filter_close},
    .usage = "stream:filter(function(key, value, rec) return boolean end [, { name, on_error }])",
    .text = "Keeps the records for which the function returns neither false nor nil. Null keys and values are nil.",
    .create = filter_create,
    .per_record = true,
};

const struct operator operator_filter_not = {
    .op = {"filter_not", NULL, filter_process, NULL, filter_close},
    .usage = "stream:filter_not(function(key, value, rec) return boolean end [, { name, on_error }])",
    .text = "Drops the records for which the function returns neither false nor nil.",
    .create = filter_not_create,
    .per_record = true,
};
