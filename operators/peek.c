/* peek and foreach: a look at each record. */
#include "operators/all.h"
#include "operators/flow.h"

#include <stdlib.h>

#include "base/memory.h"

static void peek_create(lua_State *L, struct node *node, int options)
{
    struct callback *fn = memory_alloc(sizeof(*fn));
    node->state = fn;
    call_bind(L, options, "fn", true, fn);
    fn->name = node->op->kind;
}

static void peek_close(struct node *node)
{
    free(node->state);
}

static int peek_body(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    if (!call_item(node, item, node->state, 0)) {
        return 0;
    }
    return op_forward(node, item); /* foreach has no children */
}

static int peek_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, peek_body);
}

const struct operator operator_peek = {
    .op = {"peek", NULL, peek_process, NULL, peek_close},
    .usage = "stream:peek(function(key, value, rec) end [, { name, on_error }])",
    .text = "Calls the function for each record and passes the record on as it is.",
    .create = peek_create,
    .per_record = true,
};

const struct operator operator_foreach = {
    .op = {"foreach", NULL, peek_process, NULL, peek_close},
    .usage = "stream:foreach(function(key, value, rec) end [, { name, on_error }])",
    .text = "Calls the function for each record; the stream ends here.",
    .create = peek_create,
};
