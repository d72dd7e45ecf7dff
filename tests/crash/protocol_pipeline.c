#include "tests/crash/protocol_pipeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "engine/op.h"
#include "tests/crash/protocol.h"

#define TICK_MS 500

int protocol_pipeline_group(int key)
{
    return key % PROTOCOL_GROUPS;
}

static int pass(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return op_forward(node, item);
}

/* The end of "ticks" in the graph; only the timer writes there. */
static int pass_nothing(struct node *node, int parent, struct item *item)
{
    (void)node, (void)parent, (void)item;
    return 0;
}

static struct slice text_in(struct arena *arena, const char *text)
{
    return arena_copy(arena, slice_text(text));
}

/* "<count> <sum>" under a key, one record later; returns it as text that ends with a zero byte. */
static int add_amount(struct node *node, struct store *store, struct slice key, int64_t amount, int64_t timestamp,
                      char text[64])
{
    const struct store_driver *stores = op_store_driver(node->worker);
    struct err *err = op_error(node->worker);
    struct store_entry entry;
    bool found;
    if (stores->get(store, key, &found, &entry, err)) {
        return -1;
    }
    char *rest = NULL;
    long long count = found ? strtoll((const char *)entry.value.data, &rest, 10) : 0;
    long long sum = found ? strtoll(rest, NULL, 10) : 0;
    int size = snprintf(text, 64, "%lld %lld", count + 1, sum + (long long)amount);
    return stores->put(store, key, slice_of(text, (size_t)size + 1), timestamp, err);
}

/* The item's value is "<number> <amount>" or "<number> <amount> <key>"; it becomes "<count> <sum> " and itself. */
static int add(struct node *node, struct store *store, struct item *item)
{
    char value[64], text[64], both[160];
    char *rest;
    snprintf(value, sizeof value, "%.*s", (int)item->value.bytes.size, (const char *)item->value.bytes.data);
    strtoll(value, &rest, 10);
    int64_t amount = strtoll(rest, NULL, 10);
    if (add_amount(node, store, item->key.bytes, amount, item->timestamp, text)) {
        return -1;
    }
    snprintf(both, sizeof both, "%s %s", text, value);
    item->value.bytes = text_in(op_arena(node->worker), both);
    return op_forward(node, item);
}

static int count_key(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return add(node, op_store(node, "numbers"), item);
}

static int count_group(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return add(node, op_store(node, "groups"), item);
}

/* "<count> <sum> <number> <amount>" of a key becomes "<number> <amount> <key>" of its group. */
static int regroup(struct node *node, int parent, struct item *item)
{
    (void)parent;
    long long number = 0, amount = 0;
    char value[96], text[96], group[16];
    int key = item->key.bytes.data[3] - '0';
    snprintf(value, sizeof value, "%.*s", (int)item->value.bytes.size, (const char *)item->value.bytes.data);
    sscanf(value, "%*d %*d %lld %lld", &number, &amount);
    snprintf(text, sizeof text, "%lld %lld %d", number, amount, key);
    snprintf(group, sizeof group, "group%d", protocol_pipeline_group(key));
    struct item grouped = *item;
    grouped.key.bytes = text_in(op_arena(node->worker), group);
    grouped.value.bytes = text_in(op_arena(node->worker), text);
    return op_forward(node, &grouped);
}

static int produce(struct node *node, const char *topic, int32_t partition, struct slice key, struct slice value,
                   int64_t timestamp)
{
    struct output *output = op_output(node->worker, topic);
    struct record record = {.key = key, .value = value, .timestamp = timestamp, .offset = -1};
    return output ? op_produce(node->worker, output, partition, &record) : -1;
}

static int write_out(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return produce(node, "out", op_partition(node->worker), item->key.bytes, item->value.bytes, item->timestamp);
}

static int write_groups(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return produce(node, "out-groups", op_partition(node->worker), item->key.bytes, item->value.bytes, item->timestamp);
}

static int write_regrouped(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return produce(node, "app-regrouped-repartition", -1, item->key.bytes, item->value.bytes, item->timestamp);
}

static int tick(struct node *node, void *data, int64_t now)
{
    (void)data;
    char text[64];
    struct slice key = slice_text("tick");
    if (add_amount(node, op_store(node, "numbers"), key, 1, now, text)) {
        return -1;
    }
    return produce(node, "ticks", op_partition(node->worker), key, slice_text(text), now);
}

static int start_ticking(struct node *node)
{
    op_every(node, TIME_WALL, TICK_MS, tick, NULL);
    return 0;
}

static const struct op source_op = {.kind = "source", .process = pass};
static const struct op count_op = {.kind = "count", .open = start_ticking, .process = count_key};
static const struct op group_op = {.kind = "count-groups", .process = count_group};
static const struct op regroup_op = {.kind = "regroup", .process = regroup};
static const struct op ticks_op = {.kind = "ticks", .process = pass_nothing};
static const struct op out_op = {.kind = "out", .process = write_out};
static const struct op groups_op = {.kind = "out-groups", .process = write_groups};
static const struct op regrouped_op = {.kind = "repartition", .process = write_regrouped};

static struct node *behind(struct graph *graph, const struct op *op, enum node_role role, const char *place,
                           struct node *parent)
{
    struct err err;
    return graph_add(graph, op, role, NULL, place, &parent, 1, &err);
}

static struct node *reader(struct graph *graph, const char *topic, enum topic_role role, const char *place)
{
    struct err err;
    struct node *node = graph_add(graph, &source_op, NODE_SOURCE, NULL, place, NULL, 0, &err);
    graph_add_topic(graph, node, topic, role, false, 0, NULL, &err);
    return node;
}

static void writer(struct graph *graph, const struct op *op, const char *topic, enum topic_role role, const char *place,
                   struct node *parent)
{
    struct err err;
    struct node *node = behind(graph, op, NODE_SINK, place, parent);
    graph_add_topic(graph, node, topic, role, false, 0, NULL, &err);
}

static void keep(struct graph *graph, struct node *node, const char *store)
{
    struct err err;
    struct store_spec spec = {.name = store, .kind = STORE_KEY_VALUE, .changelog = true};
    graph_add_store(graph, node, &spec, &err);
}

struct graph *protocol_pipeline_graph(void)
{
    struct graph *graph = graph_new("app");
    const char *between = graph_internal_name(graph, "regrouped", "repartition");
    struct node *in = reader(graph, "in", TOPIC_INPUT, "c:1");
    struct node *count = behind(graph, &count_op, NODE_OPERATOR, "c:2", in);
    keep(graph, count, "numbers");
    writer(graph, &out_op, "out", TOPIC_OUTPUT, "c:3", count);
    writer(graph, &ticks_op, "ticks", TOPIC_OUTPUT, "c:9", count);
    struct node *moved = behind(graph, &regroup_op, NODE_OPERATOR, "c:4", count);
    writer(graph, &regrouped_op, between, TOPIC_REPARTITION, "c:5", moved);
    struct node *again = reader(graph, between, TOPIC_REPARTITION, "c:6");
    struct node *groups = behind(graph, &group_op, NODE_OPERATOR, "c:7", again);
    keep(graph, groups, "groups");
    writer(graph, &groups_op, "out-groups", TOPIC_OUTPUT, "c:8", groups);
    return graph;
}
