/* What operators ask of their worker: op.h. */
#include "engine/op.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/dead_letter.h"
#include "engine/worker_int.h"

#define DROP_LOG_INTERVAL_NS INT64_C(10000000000) /* one line per node and reason in ten seconds */

static const char *const drop_reasons[DROP_REASON_COUNT] = {
    [DROP_NULL_KEY] = "null_key",           [DROP_NULL_VALUE] = "null_value", [DROP_LATE] = "late",
    [DROP_NEGATIVE_TIME] = "negative_time", [DROP_SKIPPED] = "skipped",       [DROP_DEAD_LETTER] = "dead_letter",
};

int op_forward(struct node *node, struct item *item)
{
    for (int i = 0; i < node->child_count; i++) {
        struct node *child = node->children[i];
        struct item copy = *item; /* a child may decode or replace; its siblings start from what the parent gave */
        if (child->op->process(child, node->child_parents[i], &copy)) {
            return -1;
        }
    }
    return 0;
}

struct output *op_output(struct worker *worker, const char *topic)
{
    for (size_t i = 0; i < worker->output_count; i++) {
        if (strcmp(worker->outputs[i].topic, topic) == 0) {
            return worker->outputs[i].output;
        }
    }
    struct output *output;
    int32_t partitions;
    if (worker->config.transport->output(worker->config.session, topic, &output, &partitions, &worker->err)) {
        return NULL;
    }
    worker->outputs =
        memory_grow(worker->outputs, worker->output_count, &worker->output_capacity, sizeof(*worker->outputs));
    worker->outputs[worker->output_count++] = (struct worker_output){memory_copy_text(topic), output, partitions};
    return output;
}

int32_t op_output_partition(const struct worker *worker, const struct output *output, struct slice key)
{
    for (size_t i = 0; i < worker->output_count; i++) {
        if (worker->outputs[i].output == output) {
            return hash_partition(key, worker->outputs[i].partitions);
        }
    }
    return -1;
}

int op_produce(struct worker *worker, struct output *output, int32_t partition, const struct record *record)
{
    size_t size = record->key.size + record->value.size;
    if ((int64_t)size > worker->config.settings->max_record_bytes) {
        return err_set(&worker->err, ERR_SKIP, ERR_RECORD,
                       "A record of %zu bytes is larger than max_record_bytes (%" PRId64 ").", size,
                       worker->config.settings->max_record_bytes);
    }
    if (worker->config.transport->produce(worker->config.session, output, partition, record, &worker->err)) {
        return -1;
    }
    if (worker->task_count > 0) {
        worker_tasks_produced(worker);
    }
    worker->dirty = true;
    worker->uncommitted_bytes += (int64_t)size;
    metric_add(worker->metrics, METRIC_RECORDS_OUT, 1);
    metric_add(worker->metrics, METRIC_BYTES_OUT, (int64_t)size);
    return 0;
}

bool op_holds_back(const struct worker *worker)
{
    return worker->config.holds_back && !worker->released;
}

struct store *op_store(struct node *node, const char *name)
{
    const struct worker *worker = node->worker;
    const struct store_driver *driver = worker->config.stores;
    struct store *own = worker->stores ? driver->find(worker->stores, name) : NULL;
    return own || !worker->config.globals ? own : driver->find(worker->config.globals, name);
}

const struct store_spec *op_store_spec(const struct node *node, const char *name)
{
    const struct graph *graph = node->worker->graph;
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct store_spec *spec = &graph_store(graph, i)->spec;
        if (strcmp(spec->name, name) == 0) {
            return spec;
        }
    }
    return NULL;
}

bool op_expired(const struct worker *worker, int64_t ttl_ms, int64_t timestamp)
{
    return ttl_ms > 0 && worker->stream_time - timestamp >= ttl_ms;
}

const struct store_driver *op_store_driver(struct worker *worker)
{
    return worker->config.stores;
}

static struct worker_drop *find_drop(struct worker *worker, const struct node *node, enum op_drop reason)
{
    for (size_t i = 0; i < worker->drop_count; i++) {
        if (worker->drops[i].node == node->id && worker->drops[i].reason == reason) {
            return &worker->drops[i];
        }
    }
    char labels[512];
    snprintf(labels, sizeof(labels), "node=\"%s\",reason=\"%s\"", node->name, drop_reasons[reason]);
    worker->drops = memory_grow(worker->drops, worker->drop_count, &worker->drop_capacity, sizeof(*worker->drops));
    struct worker_drop *drop = &worker->drops[worker->drop_count++];
    *drop = (struct worker_drop){node->id, reason, metric_labelled(worker->metrics, METRIC_DROPPED, labels),
                                 -DROP_LOG_INTERVAL_NS};
    return drop;
}

void op_drop(struct node *node, enum op_drop reason, const struct item *item)
{
    struct worker *worker = node->worker;
    struct worker_drop *drop = find_drop(worker, node, reason);
    metric_value_add(drop->value, 1);
    int64_t now = clock_monotonic_ns(worker->config.clock);
    if (now - drop->logged_ns < DROP_LOG_INTERVAL_NS || !log_enabled(LOG_WARN)) {
        return;
    }
    drop->logged_ns = now;
    const struct record *source = item->source;
    log_event(LOG_WARN, "record dropped", log_text("node", node->name), log_text("reason", drop_reasons[reason]),
              log_text("topic", source ? source->topic : NULL),
              log_number("partition", source ? source->partition : -1),
              log_number("offset", source ? source->offset : -1), log_number("dropped", metric_value_get(drop->value)));
}

int op_dead_letter(struct node *node, const struct item *item, const struct err *cause)
{
    struct worker *worker = node->worker;
    if (!item->source) {
        return err_set(&worker->err, ERR_FATAL, ERR_SCRIPT,
                       "%s A record that a timer made can't go to the dead letter topic.", cause->text);
    }
    struct err reason = *cause; /* `cause` may be the worker's own error, which the calls below overwrite */
    struct output *output = op_output(worker, worker->config.settings->dead_letter);
    if (!output) {
        return -1;
    }
    struct dead_letter_context context = {worker->config.settings->id, worker->name, node->name, &reason};
    struct record letter = dead_letter_make(item->source, &context, &worker->arena);
    if (op_produce(worker, output, -1, &letter)) {
        return -1;
    }
    op_drop(node, DROP_DEAD_LETTER, item);
    return 0;
}

void op_touch(struct worker *worker)
{
    worker->dirty = true;
    worker->flushed = false;
}

struct op_timer *op_every(struct node *node, enum op_time kind, int64_t interval_ms,
                          int (*fire)(struct node *node, void *data, int64_t now), void *data)
{
    struct worker *worker = node->worker;
    return timers_add(&worker->timers, node, kind, interval_ms, fire, data, clock_wall_ms(worker->config.clock));
}

void op_cancel(struct op_timer *timer)
{
    timer->cancelled = true;
}

void op_observe_time(struct worker *worker, int64_t timestamp)
{
    if (timestamp > worker->stream_time) {
        worker->stream_time = timestamp;
    }
}

bool op_time_jumps(const struct worker *worker, int64_t timestamp)
{
    int64_t limit = worker->config.settings->max_time_jump_ms;
    return limit > 0 && worker->stream_time >= 0 && timestamp > worker->stream_time &&
           timestamp - worker->stream_time > limit;
}

int64_t op_stream_time(const struct worker *worker)
{
    return worker->stream_time;
}

int64_t op_wall_time(const struct worker *worker)
{
    return clock_wall_ms(worker->config.clock);
}

int32_t op_partition(const struct worker *worker)
{
    return worker->config.partition;
}

struct err *op_error(struct worker *worker)
{
    return &worker->err;
}

struct arena *op_arena(struct worker *worker)
{
    return &worker->arena;
}

void *op_program(struct worker *worker)
{
    return worker->instance;
}
