/* Building graphs for tests in one line per node. Every helper fails the test when the graph refuses.
 *
 * Ownership: nodes belong to the graph.
 */
#ifndef TIDEMILL_TESTS_BUILD_H
#define TIDEMILL_TESTS_BUILD_H

#include "engine/graph.h"
#include "tests/support/unit.h"

#include <string.h>

static const struct op build_source_op = {.kind = "stream"};
static const struct op build_table_op = {.kind = "table"};
static const struct op build_filter_op = {.kind = "filter"};
static const struct op build_count_op = {.kind = "count"};
static const struct op build_join_op = {.kind = "join"};
static const struct op build_sink_op = {.kind = "to"};

static inline struct node *build_node(struct graph *graph, const struct op *op, const char *place, struct node *parent)
{
    struct err err;
    struct node *node =
        graph_add(graph, op, op == &build_sink_op ? NODE_SINK : NODE_OPERATOR, NULL, place, &parent, 1, &err);
    ck_assert_msg(node != NULL, "%s", err.text);
    return node;
}

static inline struct node *build_reader(struct graph *graph, const char *topic, enum topic_role role,
                                        int32_t partitions, const char *place)
{
    struct err err;
    struct node *node = graph_add(graph, &build_source_op, NODE_SOURCE, NULL, place, NULL, 0, &err);
    ck_assert_msg(node != NULL, "%s", err.text);
    bool pattern = topic[0] == '^';
    ck_assert_msg(graph_add_topic(graph, node, topic, role, pattern, partitions, NULL, &err) == 0, "%s", err.text);
    return node;
}

static inline struct node *build_source(struct graph *graph, const char *topic, const char *place)
{
    return build_reader(graph, topic, TOPIC_INPUT, 0, place);
}

static inline struct node *build_writer(struct graph *graph, struct node *parent, const char *topic,
                                        enum topic_role role, int32_t partitions, const char *place)
{
    struct err err;
    struct node *node = build_node(graph, &build_sink_op, place, parent);
    ck_assert_msg(graph_add_topic(graph, node, topic, role, false, partitions, NULL, &err) == 0, "%s", err.text);
    return node;
}

static inline struct node *build_sink(struct graph *graph, struct node *parent, const char *topic, const char *place)
{
    return build_writer(graph, parent, topic, TOPIC_OUTPUT, 0, place);
}

/* A repartition topic with both its ends; returns the source behind it. */
static inline struct node *build_repartition(struct graph *graph, struct node *parent, const char *name,
                                             int32_t partitions, const char *place)
{
    const char *topic = graph_internal_name(graph, name, "repartition");
    build_writer(graph, parent, topic, TOPIC_REPARTITION, partitions, place);
    return build_reader(graph, topic, TOPIC_REPARTITION, partitions, place);
}

static inline struct node *build_stateful(struct graph *graph, struct node *parent, const struct op *op,
                                          const char *store, const char *place)
{
    struct err err;
    struct node *node = build_node(graph, op, place, parent);
    struct store_spec spec = {.name = store, .changelog = true};
    ck_assert_msg(graph_add_store(graph, node, &spec, &err) == 0, "%s", err.text);
    return node;
}

static inline struct node *build_join(struct graph *graph, struct node *left, struct node *right, const char *place)
{
    struct err err;
    struct node *parents[] = {left, right};
    struct node *node = graph_add(graph, &build_join_op, NODE_OPERATOR, NULL, place, parents, 2, &err);
    ck_assert_msg(node != NULL, "%s", err.text);
    graph_copartition(graph, left, right);
    return node;
}

static inline void build_finish(struct graph *graph)
{
    struct err err;
    ck_assert_msg(graph_finish(graph, &err) == 0, "%s", err.text);
}

#define build_assert_contains(text, part) ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))

#endif
