/* A program in C instead of Lua: counts the records of topic "in" per key in store "counts" and writes each new count
 * to "out", with the value "<count> <value of the record>". For tests of the engine alone.
 *
 * A record with the value "!" fails (ERR_FATAL), as a callback that raises does. A test with another topology sets
 * fake_build before anything is loaded.
 */
#ifndef TIDEMILL_TESTS_FAKE_PROGRAM_H
#define TIDEMILL_TESTS_FAKE_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"
#include "engine/program.h"

struct instance {
    struct graph *graph;
    struct worker *worker;
    struct app_settings settings;
};

static inline int fake_pass(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return op_forward(node, item);
}

static inline int fake_count(struct node *node, int parent, struct item *item)
{
    (void)parent;
    const struct store_driver *stores = op_store_driver(node->worker);
    struct store *store = op_store(node, "counts");
    struct store_entry entry;
    bool found;
    if (stores->get(store, item->key.bytes, &found, &entry, op_error(node->worker))) {
        return -1;
    }
    char text[32];
    long count = found ? strtol((const char *)entry.value.data, NULL, 10) + 1 : 1;
    int size = snprintf(text, sizeof(text), "%ld", count);
    if (stores->put(store, item->key.bytes, slice_of(text, (size_t)size + 1), item->timestamp,
                    op_error(node->worker))) {
        return -1;
    }
    char value[256];
    size = snprintf(value, sizeof(value), "%ld %.*s", count, (int)item->value.bytes.size,
                    (const char *)item->value.bytes.data);
    item->value.bytes = arena_copy(op_arena(node->worker), slice_of(value, (size_t)size));
    return op_forward(node, item);
}

static inline int fake_sink(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct output *output = op_output(node->worker, "out");
    if (!output) {
        return -1;
    }
    struct record record = {.key = item->key.bytes,
                            .value = item->value.bytes,
                            .timestamp = item->timestamp,
                            .headers = *item->headers,
                            .offset = -1};
    return op_produce(node->worker, output, op_partition(node->worker), &record);
}

static const struct op fake_source_op = {.kind = "source", .process = fake_pass};
static const struct op fake_count_op = {.kind = "count", .process = fake_count};
static const struct op fake_sink_op = {.kind = "sink", .process = fake_sink};

static struct graph *(*fake_build)(void); /* NULL: the counting of the first lines */

static inline struct graph *fake_count_graph(void)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *source = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "fake:1", NULL, 0, &err);
    struct node *count = graph_add(graph, &fake_count_op, NODE_OPERATOR, NULL, "fake:2", &source, 1, &err);
    struct node *sink = graph_add(graph, &fake_sink_op, NODE_SINK, NULL, "fake:3", &count, 1, &err);
    struct store_spec spec = {.name = "counts", .kind = STORE_KEY_VALUE, .changelog = true};
    graph_add_topic(graph, source, "in", TOPIC_INPUT, false, 0, NULL, &err);
    graph_add_topic(graph, sink, "out", TOPIC_OUTPUT, false, 0, NULL, &err);
    graph_add_store(graph, count, &spec, &err);
    return graph;
}

static inline int fake_load(struct program *program, struct instance **result, struct err *err)
{
    (void)program;
    struct instance *instance = memory_alloc(sizeof(*instance));
    instance->graph = fake_build ? fake_build() : fake_count_graph();
    *result = instance;
    return graph_finish(instance->graph, err);
}

static inline struct graph *fake_graph(struct instance *instance)
{
    return instance->graph;
}

static inline const struct app_settings *fake_settings(struct instance *instance)
{
    return &instance->settings;
}

static inline void fake_bind(struct instance *instance, struct worker *worker)
{
    instance->worker = worker;
    for (int i = 0; i < graph_node_count(instance->graph); i++) {
        graph_node(instance->graph, i)->worker = worker;
    }
}

static inline int fake_call(struct instance *instance, int (*call)(struct node *node), struct node *node,
                            struct err *err)
{
    if (call && call(node)) {
        *err = *op_error(instance->worker);
        return -1;
    }
    return 0;
}

static inline int fake_open(struct instance *instance, struct node *const *nodes, int count, struct err *err)
{
    for (int i = 0; i < count; i++) {
        if (fake_call(instance, nodes[i]->op->open, nodes[i], err)) {
            return -1;
        }
    }
    return 0;
}

static inline int fake_flush(struct instance *instance, struct node *const *nodes, int count, struct err *err)
{
    for (int i = 0; i < count; i++) {
        if (fake_call(instance, nodes[i]->op->flush, nodes[i], err)) {
            return -1;
        }
    }
    return 0;
}

static inline int fake_process(struct instance *instance, struct node *source, const struct record *record,
                               struct err *err)
{
    if (slice_equal(record->value, slice_text("!"))) {
        return err_set(err, ERR_FATAL, ERR_SCRIPT, "The callback failed.");
    }
    struct item item = {.key = {NULL, record->key, 0, false},
                        .value = {NULL, record->value, 0, false},
                        .timestamp = record->timestamp,
                        .headers = &record->headers,
                        .source = record};
    if (source->op->process(source, 0, &item)) {
        *err = *op_error(instance->worker);
        return -1;
    }
    return 0;
}

static inline int fake_round(struct instance *instance, int (*body)(void *data, struct err *err), void *data,
                             struct err *err)
{
    (void)instance;
    return body(data, err);
}

static inline int fake_punctuate(struct instance *instance, struct node *node,
                                 int (*fire)(struct node *, void *, int64_t), void *data, int64_t now, struct err *err)
{
    if (fire(node, data, now)) {
        *err = *op_error(instance->worker);
        return -1;
    }
    return 0;
}

static inline void fake_unload(struct instance *instance)
{
    graph_free(instance->graph);
    free(instance);
}

static const struct program_class fake_class = {
    .load = fake_load,
    .graph = fake_graph,
    .settings = fake_settings,
    .bind = fake_bind,
    .open = fake_open,
    .round = fake_round,
    .process = fake_process,
    .punctuate = fake_punctuate,
    .flush = fake_flush,
    .unload = fake_unload,
};

static struct program fake_program = {&fake_class};

#endif
