/* sink: the last node before a connector. The records of its topic go to the task that writes them into the target. */
#include "operators/all.h"
#include "operators/flow.h"

static int put(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    const struct err *refusal = op_sink_refusal(node);
    if (refusal) {
        *op_error(node->worker) = *refusal;
        return flow_fail(node, item);
    }
    op_sink_put(node, item->source);
    return 0;
}

static int sink_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return flow_run(node, FLOW_READS_ONLY, item, put);
}

static void sink_create(lua_State *L, struct node *node, int options)
{
    (void)L, (void)node, (void)options; /* the connector has options of its own */
}

static void sink_close(struct node *node)
{
    (void)node;
}

const struct operator operator_connector_sink = {
    .op = {"connector_sink", NULL, sink_process, NULL, sink_close},
    .usage = "stream:sink(name, tm.connect.KIND { ... } [, { name, on_error }])",
    .text = "Writes the records into what a connector knows: a database, a file. They go through the topic "
            "<app>-<name>-sink, and the target keeps the position in it, in one transaction with what it was given.",
    .create = sink_create,
};
