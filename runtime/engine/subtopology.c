/* graph_finish: the checks of a whole graph, and its split into sub-topologies (connected components). */
#include "base/memory.h"
#include "engine/graph_int.h"

#include <regex.h>
#include <stdlib.h>

/* ---- names ---- */

/* Something that makes an internal topic. `side` keeps the writer of a repartition topic apart from its reader. */
struct claim {
    const char *name;
    const struct node *node;
    enum claim_side { CLAIM_WRITES, CLAIM_READS } side;
};

struct claims {
    struct claim *list;
    size_t count;
    size_t capacity;
};

static int add_claim(struct claims *claims, struct claim claim, struct err *err)
{
    for (size_t i = 0; i < claims->count; i++) {
        const struct claim *other = &claims->list[i];
        if (other->side == claim.side && strcmp(other->name, claim.name) == 0) {
            return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                           "Duplicate name: the internal topic \"%s\" would be made twice, by \"%s\" at %s and by "
                           "\"%s\" at %s. Give one of them another name.",
                           claim.name, other->node->name, graph_place(other->node), claim.node->name,
                           graph_place(claim.node));
        }
    }
    claims->list = memory_grow(claims->list, claims->count, &claims->capacity, sizeof(struct claim));
    claims->list[claims->count++] = claim;
    return 0;
}

static int claim_internal(const struct graph *graph, struct claims *claims, struct err *err)
{
    for (size_t i = 0; i < graph->store_count; i++) {
        const struct graph_store *store = &graph->stores[i];
        if (store->changelog != NULL &&
            add_claim(claims, (struct claim){store->changelog, store->owner, CLAIM_WRITES}, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < graph->topic_count; i++) {
        const struct graph_topic *topic = &graph->topics[i];
        if (topic->role != TOPIC_REPARTITION) {
            continue; /* a positions topic is the changelog of a store */
        }
        bool reads = topic->node->role == NODE_SOURCE;
        if (add_claim(claims, (struct claim){topic->name, topic->node, reads ? CLAIM_READS : CLAIM_WRITES}, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_user_topics(const struct graph *graph, const struct claims *claims, struct err *err)
{
    for (size_t i = 0; i < graph->topic_count; i++) {
        const struct graph_topic *topic = &graph->topics[i];
        if (topic->pattern || topic->role == TOPIC_REPARTITION || topic->role == TOPIC_POSITIONS) {
            continue;
        }
        for (size_t j = 0; j < claims->count; j++) {
            if (strcmp(claims->list[j].name, topic->name) == 0) {
                const struct node *other = claims->list[j].node;
                return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                               "Duplicate name: the topic \"%s\" at %s is also an internal topic of this app, made by "
                               "\"%s\" at %s. Internal topics belong to the runtime; name another one.",
                               topic->name, graph_place(topic->node), other->name, graph_place(other));
            }
        }
    }
    return 0;
}

static int check_names(const struct graph *graph, struct err *err)
{
    struct claims claims = {0};
    int result = claim_internal(graph, &claims, err);
    if (result == 0) {
        result = check_user_topics(graph, &claims, err);
    }
    free(claims.list);
    return result;
}

/* One topic has one position per group, hence one policy. */
static int check_resets(const struct graph *graph, struct err *err)
{
    for (size_t i = 0; i < graph->topic_count; i++) {
        const struct graph_topic *one = &graph->topics[i];
        for (size_t j = i + 1; one->role == TOPIC_INPUT && one->reset != NULL && j < graph->topic_count; j++) {
            const struct graph_topic *other = &graph->topics[j];
            if (other->role == TOPIC_INPUT && other->reset != NULL && strcmp(one->name, other->name) == 0 &&
                strcmp(one->reset, other->reset) != 0) {
                return err_set(
                    err, ERR_FATAL, ERR_TOPOLOGY,
                    "The topic \"%s\" is read with reset = \"%s\" at %s and with reset = \"%s\" at %s. An app "
                    "has one position in a topic: choose one.",
                    one->name, one->reset, graph_place(one->node), other->reset, graph_place(other->node));
            }
        }
    }
    return 0;
}

/* ---- cycles ---- */

static bool feeds(const struct graph_topic *writer, const struct graph_topic *reader)
{
    return writer->role == TOPIC_REPARTITION && reader->role == TOPIC_REPARTITION &&
           writer->node->role != NODE_SOURCE && reader->node->role == NODE_SOURCE &&
           strcmp(writer->name, reader->name) == 0;
}

/* Calls `visit` for every node that gets what `node` emits, directly or through an internal topic. */
static void each_successor(const struct graph *graph, const struct node *node,
                           void (*visit)(void *self, const struct node *successor), void *self)
{
    for (int i = 0; i < node->child_count; i++) {
        visit(self, node->children[i]);
    }
    for (size_t i = 0; i < graph->topic_count; i++) {
        if (graph->topics[i].node != node) {
            continue;
        }
        for (size_t j = 0; j < graph->topic_count; j++) {
            if (feeds(&graph->topics[i], &graph->topics[j])) {
                visit(self, graph->topics[j].node);
            }
        }
    }
}

struct degrees {
    int *incoming;
    const struct node **ready;
    size_t ready_count;
};

static void count_incoming(void *self, const struct node *successor)
{
    ((struct degrees *)self)->incoming[successor->id]++;
}

static void drop_incoming(void *self, const struct node *successor)
{
    struct degrees *degrees = self;
    if (--degrees->incoming[successor->id] == 0) {
        degrees->ready[degrees->ready_count++] = successor;
    }
}

static int report_cycle(const struct graph *graph, const struct degrees *degrees, struct err *err)
{
    for (size_t i = 0; i < graph->topic_count; i++) {
        const struct graph_topic *topic = &graph->topics[i];
        if (degrees->incoming[topic->node->id] > 0 && topic->role == TOPIC_REPARTITION &&
            topic->node->role == NODE_SOURCE) {
            return err_set(
                err, ERR_FATAL, ERR_TOPOLOGY,
                "The topology has a cycle: what \"%s\" at %s reads from the internal topic \"%s\" comes back "
                "to it. A loop needs a topic of its own: to(\"x\") and app:stream(\"x\").",
                topic->node->name, graph_place(topic->node), topic->name);
        }
    }
    return err_set(err, ERR_FATAL, ERR_INTERNAL, "The nodes of the topology form a cycle without a topic.");
}

/* Takes away nodes without predecessors until none is left, or what is left hangs on a cycle. */
static int check_cycles(const struct graph *graph, struct err *err)
{
    struct degrees degrees = {
        .incoming = memory_alloc(sizeof(int) * graph->node_count),
        .ready = memory_alloc(sizeof(struct node *) * graph->node_count),
    };
    for (size_t i = 0; i < graph->node_count; i++) {
        each_successor(graph, graph->nodes[i], count_incoming, &degrees);
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        if (degrees.incoming[i] == 0) {
            degrees.ready[degrees.ready_count++] = graph->nodes[i];
        }
    }
    for (size_t i = 0; i < degrees.ready_count; i++) {
        each_successor(graph, degrees.ready[i], drop_incoming, &degrees);
    }
    int result = degrees.ready_count == graph->node_count ? 0 : report_cycle(graph, &degrees, err);
    free(degrees.incoming);
    free(degrees.ready);
    return result;
}

/* ---- components ---- */

static bool reads_global(const struct graph *graph, const struct node *node)
{
    for (size_t i = 0; i < graph->topic_count; i++) {
        if (graph->topics[i].node == node && graph->topics[i].role == TOPIC_GLOBAL) {
            return true;
        }
    }
    return false;
}

/* Global: the source of a global table, and what has no parent but global nodes. Parents come before children. */
static bool *find_global(const struct graph *graph)
{
    bool *global = memory_alloc(sizeof(bool) * graph->node_count);
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = graph->nodes[i];
        global[i] = node->parent_count > 0 || reads_global(graph, node);
        for (int j = 0; j < node->parent_count; j++) {
            global[i] = global[i] && global[node->parents[j]->id];
        }
    }
    return global;
}

/* Union-find whose representative is the lowest id. */
static int component(int *parent, int id)
{
    while (parent[id] != id) {
        parent[id] = parent[parent[id]];
        id = parent[id];
    }
    return id;
}

static void unite(int *parent, const struct node *one, const struct node *other)
{
    int low = component(parent, one->id);
    int high = component(parent, other->id);
    if (low > high) {
        int swap = low;
        low = high;
        high = swap;
    }
    parent[high] = low;
}

static bool is_read(const struct graph_topic *topic)
{
    return topic->node->role == NODE_SOURCE && (topic->role == TOPIC_INPUT || topic->role == TOPIC_REPARTITION);
}

static bool pattern_matches(const struct graph_topic *pattern, const struct graph_topic *topic)
{
    regex_t regex;
    if (!pattern->pattern || topic->pattern || regcomp(&regex, pattern->name, REG_EXTENDED | REG_NOSUB) != 0) {
        return false;
    }
    bool matches = regexec(&regex, topic->name, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}

/* Internal topics are never taken by a pattern, so they meet by name only. */
static bool share_topic(const struct graph_topic *one, const struct graph_topic *other)
{
    if (one->pattern == other->pattern) {
        return strcmp(one->name, other->name) == 0;
    }
    return one->role == TOPIC_INPUT && other->role == TOPIC_INPUT &&
           (pattern_matches(one, other) || pattern_matches(other, one));
}

static void unite_readers(const struct graph *graph, int *parent)
{
    for (size_t i = 0; i < graph->topic_count; i++) {
        for (size_t j = i + 1; is_read(&graph->topics[i]) && j < graph->topic_count; j++) {
            if (is_read(&graph->topics[j]) && share_topic(&graph->topics[i], &graph->topics[j])) {
                unite(parent, graph->topics[i].node, graph->topics[j].node);
            }
        }
    }
}

static void unite_stores(const struct graph *graph, int *parent, const bool *global)
{
    for (size_t i = 0; i < graph->store_count; i++) {
        const struct graph_store *store = &graph->stores[i];
        for (int j = 0; !global[store->owner->id] && j < store->user_count; j++) {
            if (!global[store->users[j]->id]) {
                unite(parent, store->owner, store->users[j]);
            }
        }
    }
}

static void unite_edges(const struct graph *graph, int *parent, const bool *global)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = graph->nodes[i];
        for (int j = 0; j < node->child_count; j++) {
            if (!global[node->id] && !global[node->children[j]->id]) {
                unite(parent, node, node->children[j]);
            }
        }
    }
}

/* The lowest node of a component comes first in the loop, so numbers follow the lowest ids. */
static void number(struct graph *graph, int *parent, const bool *global)
{
    graph->subtopology_count = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        struct node *node = graph->nodes[i];
        int lowest = component(parent, node->id);
        if (global[i]) {
            node->subtopology = -1;
        } else if (lowest == node->id) {
            node->subtopology = graph->subtopology_count++;
        } else {
            node->subtopology = graph->nodes[lowest]->subtopology;
        }
    }
    for (size_t i = 0; i < graph->store_count; i++) {
        graph->stores[i].subtopology = graph->stores[i].owner->subtopology;
    }
}

void graph_split(struct graph *graph)
{
    bool *global = find_global(graph);
    int *parent = memory_alloc(sizeof(int) * graph->node_count);
    for (size_t i = 0; i < graph->node_count; i++) {
        parent[i] = (int)i;
    }
    unite_edges(graph, parent, global);
    unite_stores(graph, parent, global);
    unite_readers(graph, parent);
    number(graph, parent, global);
    free(parent);
    free(global);
}

int graph_finish(struct graph *graph, struct err *err)
{
    if (check_names(graph, err) != 0 || check_resets(graph, err) != 0 || check_cycles(graph, err) != 0) {
        return -1;
    }
    graph_split(graph);
    return 0;
}
