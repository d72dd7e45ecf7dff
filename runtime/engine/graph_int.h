/* The body of a graph, shared by graph.c (building and asking), subtopology.c (graph_finish) and graph_compare.c.
 *
 * Ownership: texts live in the arena; nodes and arrays are the graph's own.
 */
#ifndef TIDEMILL_ENGINE_GRAPH_INT_H
#define TIDEMILL_ENGINE_GRAPH_INT_H

#include "base/arena.h"
#include "engine/graph.h"

struct graph_pair {
    const struct node *one;
    const struct node *other;
};

struct graph {
    const char *app;
    struct arena texts;
    struct node **nodes;
    size_t node_count;
    size_t node_capacity;
    struct graph_topic *topics;
    size_t topic_count;
    size_t topic_capacity;
    struct graph_store *stores;
    size_t store_count;
    size_t store_capacity;
    struct graph_pair *pairs;
    size_t pair_count;
    size_t pair_capacity;
    int subtopology_count;
};

/* Sets the number of each node's and each store's sub-topology (subtopology.c). */
void graph_split(struct graph *graph);

/* Where a node was written, for messages; never NULL. */
static inline const char *graph_place(const struct node *node)
{
    return node->place != NULL ? node->place : "the script";
}

#endif
