/* sink: the last node before a connector. What comes goes, encoded as connectors read it, to the task that writes it
 * into the target. */
#include "operators/all.h"
#include "operators/flow.h"

#include <stdlib.h>

#include "base/memory.h"

struct sink {
    const struct codec *key_codec;
};

static int put(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    const struct sink *sink = node->state;
    const struct err *refusal = op_sink_refusal(node);
    if (refusal) {
        *op_error(node->worker) = *refusal;
        return flow_fail(node, item);
    }
    struct record row = {.headers = *item->headers, .timestamp = item->timestamp, .offset = -1};
    if (!flow_encode(node, item, &item->key, sink->key_codec, &row.key) ||
        !flow_encode(node, item, &item->value, &codec_json, &row.value)) {
        return 0;
    }
    return op_sink_put(node, item->source, &row) ? flow_fail(node, item) : 0;
}

static int sink_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return flow_run(node, FLOW_READS_ONLY, item, put);
}

static void sink_create(lua_State *L, struct node *node, int options)
{
    struct sink *sink = memory_alloc(sizeof(*sink));
    node->state = sink;
    sink->key_codec = operator_codec(L, options, "key_codec", &codec_json);
}

static void sink_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_connector_sink = {
    .op = {"connector_sink", NULL, sink_process, NULL, sink_close},
    .usage = "stream:sink(name, tm.connect.KIND { ... } [, { name, on_error }])",
    .text =
        "Writes the records into what a connector knows: a database, a file. The target keeps the position in it, in "
        "one transaction with what it was given. A topic with nothing but stateless operators and one sink behind it "
        "is read by the sink itself; else the records go through the topic <app>-<name>-sink.",
    .create = sink_create,
};
