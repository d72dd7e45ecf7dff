#include "engine/graph.h"

#include "base/memory.h"
#include "engine/graph_int.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct graph *graph_new(const char *app)
{
    struct graph *graph = memory_alloc(sizeof *graph);
    graph->texts.chunk_size = 8192;
    graph->app = (const char *)arena_copy(&graph->texts, slice_of(app, strlen(app) + 1)).data;
    return graph;
}

static void free_node(struct node *node)
{
    free(node->children);
    free(node->child_parents);
    free(node->parents);
    free(node);
}

void graph_free(struct graph *graph)
{
    if (graph == NULL) {
        return;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        free_node(graph->nodes[i]);
    }
    for (size_t i = 0; i < graph->store_count; i++) {
        free(graph->stores[i].users);
    }
    free(graph->nodes);
    free(graph->topics);
    free(graph->stores);
    free(graph->pairs);
    arena_free(&graph->texts);
    free(graph);
}

const char *graph_app(const struct graph *graph)
{
    return graph->app;
}

static const char *keep_text(struct graph *graph, const char *text)
{
    return text == NULL ? NULL : (const char *)arena_copy(&graph->texts, slice_of(text, strlen(text) + 1)).data;
}

static const char *keep_format(struct graph *graph, char *text)
{
    const char *kept = keep_text(graph, text);
    free(text);
    return kept;
}

const char *graph_internal_name(struct graph *graph, const char *name, const char *suffix)
{
    return keep_format(graph, memory_format("%s-%s-%s", graph->app, name, suffix));
}

void graph_set_detail(struct graph *graph, struct node *node, const char *detail)
{
    node->detail = keep_text(graph, detail);
}

void graph_set_form(struct graph *graph, struct node *node, const char *form)
{
    node->form = keep_text(graph, form);
}

static bool same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

/* "filter@pipeline.lua:17", and "filter@pipeline.lua:17#2" for the second one of a line. */
static const char *derive_name(struct graph *graph, const char *kind, const char *place)
{
    int number = 1;
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = graph->nodes[i];
        number += !node->named && strcmp(node->op->kind, kind) == 0 && same_text(node->place, place);
    }
    const char *where = place != NULL ? place : "script";
    const char *name = number == 1 ? keep_format(graph, memory_format("%s@%s", kind, where))
                                   : keep_format(graph, memory_format("%s@%s#%d", kind, where, number));
    while (graph_find(graph, name) != NULL) {
        name = keep_format(graph, memory_format("%s@%s#%d", kind, where, ++number));
    }
    return name;
}

static void attach(struct node *child, struct node *const *parents, int parent_count)
{
    child->parents = memory_alloc(sizeof *child->parents * (size_t)parent_count);
    child->parent_count = parent_count;
    for (int i = 0; i < parent_count; i++) {
        struct node *parent = parents[i];
        size_t count = (size_t)parent->child_count + 1;
        child->parents[i] = parent;
        parent->children = memory_resize(parent->children, sizeof *parent->children * count);
        parent->child_parents = memory_resize(parent->child_parents, sizeof *parent->child_parents * count);
        parent->children[parent->child_count] = child;
        parent->child_parents[parent->child_count] = i;
        parent->child_count++;
    }
}

struct node *graph_add(struct graph *graph, const struct op *op, enum node_role role, const char *name,
                       const char *place, struct node *const *parents, int parent_count, struct err *err)
{
    const struct node *other = name != NULL ? graph_find(graph, name) : NULL;
    if (other != NULL) {
        err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                "Duplicate name: two nodes are called \"%s\", at %s and at %s. Give one of them another name.", name,
                graph_place(other), place != NULL ? place : "the script");
        return NULL;
    }
    struct node *node = memory_alloc(sizeof *node);
    node->op = op;
    node->role = role;
    node->id = (int)graph->node_count;
    node->subtopology = -1;
    node->named = name != NULL;
    node->name = name != NULL ? keep_text(graph, name) : derive_name(graph, op->kind, place);
    node->place = keep_text(graph, place);
    attach(node, parents, parent_count);
    graph->nodes = memory_grow(graph->nodes, graph->node_count, &graph->node_capacity, sizeof(struct node *));
    graph->nodes[graph->node_count++] = node;
    return node;
}

static int check_pattern(const struct node *node, const char *pattern, struct err *err)
{
    regex_t regex;
    int code = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (code != 0) {
        char reason[128];
        regerror(code, &regex, reason, sizeof reason);
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The topic pattern \"%s\" at %s is not a POSIX extended regular expression: %s.", pattern,
                       graph_place(node), reason);
    }
    regfree(&regex);
    return 0;
}

/* What Kafka allows; the embedded log takes the same, so that a pipeline can move. */
bool graph_name_valid(const char *name)
{
    size_t length = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return length > 0 && length <= GRAPH_NAME_MAX && good == length && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static int check_name(const struct node *node, const char *what, const char *name, struct err *err)
{
    if (!graph_name_valid(name)) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "\"%.300s\" at %s can't be the name of a %s: 1 to %d letters, digits, points, underscores and "
                       "hyphens are allowed.",
                       name, graph_place(node), what, GRAPH_NAME_MAX);
    }
    return 0;
}

static int check_topic(const struct node *node, const struct graph_topic *topic, struct err *err)
{
    if (topic->pattern ? check_pattern(node, topic->name, err) : check_name(node, "topic", topic->name, err)) {
        return -1;
    }
    if (topic->partitions < 0) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY, "The topic \"%s\" at %s can't have %d partitions.", topic->name,
                       graph_place(node), (int)topic->partitions);
    }
    const char *reset = topic->reset;
    if (reset != NULL && strcmp(reset, "earliest") != 0 && strcmp(reset, "latest") != 0 &&
        strcmp(reset, "error") != 0) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "reset = \"%s\" at %s is not one of \"earliest\", \"latest\" and \"error\".", reset,
                       graph_place(node));
    }
    return 0;
}

static bool has_topic(const struct graph *graph, const struct graph_topic *topic)
{
    for (size_t i = 0; i < graph->topic_count; i++) {
        const struct graph_topic *other = &graph->topics[i];
        if (other->node == topic->node && other->role == topic->role && strcmp(other->name, topic->name) == 0) {
            return true;
        }
    }
    return false;
}

int graph_add_topic(struct graph *graph, struct node *node, const char *name, enum topic_role role, bool pattern,
                    int32_t partitions, const char *reset, struct err *err)
{
    struct graph_topic topic = {
        .name = name, .role = role, .pattern = pattern, .partitions = partitions, .node = node, .reset = reset};
    if (check_topic(node, &topic, err) != 0) {
        return -1;
    }
    if (has_topic(graph, &topic)) {
        return 0; /* a list that names a topic twice */
    }
    topic.name = keep_text(graph, name);
    topic.reset = keep_text(graph, reset);
    graph->topics = memory_grow(graph->topics, graph->topic_count, &graph->topic_capacity, sizeof(struct graph_topic));
    graph->topics[graph->topic_count++] = topic;
    return 0;
}

static struct graph_store *find_store(struct graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->store_count; i++) {
        if (strcmp(graph->stores[i].spec.name, name) == 0) {
            return &graph->stores[i];
        }
    }
    return NULL;
}

static void add_user(struct graph_store *store, struct node *node)
{
    for (int i = 0; i < store->user_count; i++) {
        if (store->users[i] == node) {
            return;
        }
    }
    store->users = memory_resize(store->users, sizeof *store->users * ((size_t)store->user_count + 1));
    store->users[store->user_count++] = node;
}

int graph_add_store(struct graph *graph, struct node *node, const struct store_spec *spec, struct err *err)
{
    const struct graph_store *other = find_store(graph, spec->name);
    if (other != NULL) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "Duplicate name: two stores are called \"%s\", at %s and at %s. Give one of them another name.",
                       spec->name, graph_place(other->owner), graph_place(node));
    }
    if (check_name(node, "store", spec->name, err) != 0) {
        return -1;
    }
    struct graph_store store = {.spec = *spec, .owner = node, .subtopology = -1};
    store.spec.name = keep_text(graph, spec->name);
    const char *suffix = spec->positions ? "positions" : "changelog";
    store.changelog = spec->changelog ? graph_internal_name(graph, spec->name, suffix) : NULL;
    graph->stores = memory_grow(graph->stores, graph->store_count, &graph->store_capacity, sizeof(struct graph_store));
    graph->stores[graph->store_count] = store;
    add_user(&graph->stores[graph->store_count++], node);
    return 0;
}

int graph_use_store(struct graph *graph, struct node *node, const char *store, struct err *err)
{
    struct graph_store *found = find_store(graph, store);
    if (found == NULL) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The node \"%s\" at %s uses the store \"%s\", but no node before it has a store of that name.",
                       node->name, graph_place(node), store);
    }
    add_user(found, node);
    return 0;
}

void graph_copartition(struct graph *graph, struct node *one, struct node *other)
{
    graph->pairs = memory_grow(graph->pairs, graph->pair_count, &graph->pair_capacity, sizeof(struct graph_pair));
    graph->pairs[graph->pair_count++] = (struct graph_pair){one, other};
}

int graph_node_count(const struct graph *graph)
{
    return (int)graph->node_count;
}

struct node *graph_node(const struct graph *graph, int id)
{
    return graph->nodes[id];
}

struct node *graph_find(const struct graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        if (strcmp(graph->nodes[i]->name, name) == 0) {
            return graph->nodes[i];
        }
    }
    return NULL;
}

int graph_subtopology_count(const struct graph *graph)
{
    return graph->subtopology_count;
}

int graph_topic_count(const struct graph *graph)
{
    return (int)graph->topic_count;
}

const struct graph_topic *graph_topic(const struct graph *graph, int index)
{
    return &graph->topics[index];
}

int graph_store_count(const struct graph *graph)
{
    return (int)graph->store_count;
}

const struct graph_store *graph_store(const struct graph *graph, int index)
{
    return &graph->stores[index];
}

bool graph_store_needed(const struct graph *graph, const struct graph_store *store, int subtopology)
{
    (void)graph;
    if (store->subtopology >= 0) {
        return store->subtopology == subtopology;
    }
    for (int i = 0; i < store->user_count; i++) {
        if (store->users[i]->subtopology == subtopology) {
            return true;
        }
    }
    return false;
}

int graph_copartition_count(const struct graph *graph)
{
    return (int)graph->pair_count;
}

void graph_copartition_pair(const struct graph *graph, int index, const struct node **one, const struct node **other)
{
    *one = graph->pairs[index].one;
    *other = graph->pairs[index].other;
}
