#include "engine/worker_int.h"

#include <assert.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

/* ---- opening and closing ---- */

static void collect_nodes(struct worker *worker)
{
    int total = graph_node_count(worker->graph);
    free(worker->nodes);
    worker->nodes = memory_alloc(sizeof(*worker->nodes) * (size_t)(total + 1));
    worker->node_count = 0;
    for (int id = 0; id < total; id++) {
        struct node *node = graph_node(worker->graph, id);
        if (node->subtopology == worker->config.subtopology) {
            worker->nodes[worker->node_count++] = node;
        }
    }
}

int worker_load_program(struct worker *worker, struct err *err)
{
    struct program *program = worker->config.program;
    if (program->class->load(program, &worker->instance, err)) {
        return err_wrap(err, "loading the script for worker %s", worker->name);
    }
    worker->graph = program->class->graph(worker->instance);
    if (graph_compare(worker->config.graph, worker->graph, err)) {
        return -1;
    }
    collect_nodes(worker);
    program->class->bind(worker->instance, worker);
    return 0;
}

void worker_unload_program(struct worker *worker)
{
    if (worker->instance) {
        worker->config.program->class->unload(worker->instance);
    }
    worker->instance = NULL;
    worker->graph = NULL;
    timers_free(&worker->timers);
}

static size_t collect_specs(const struct graph *graph, int subtopology, struct store_spec *specs)
{
    size_t count = 0;
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (store->subtopology == subtopology) {
            specs[count] = store->spec;
            specs[count++].hash = graph_store_hash(graph, i);
        }
    }
    return count;
}

static int open_stores(struct worker *worker, struct err *err)
{
    const struct graph *graph = worker->config.graph;
    struct store_spec *specs = memory_alloc(sizeof(*specs) * (size_t)(graph_store_count(graph) + 1));
    struct store_config config = {
        .directory = worker->config.state_directory,
        .app = worker->config.settings->id,
        .worker = worker->name,
        .cache_bytes = worker->config.cache_bytes,
        .specs = specs,
        .spec_count = collect_specs(graph, worker->config.subtopology, specs),
    };
    int result = 0;
    if (config.spec_count > 0) {
        result = worker->config.stores->open(&config, &worker->stores, &worker->found, &worker->fresh, err);
    }
    free(specs);
    if (result) {
        return err_wrap(err, "opening the state of worker %s", worker->name);
    }
    worker_find_changelogs(worker);
    return 0;
}

static struct metric_set *open_metrics(const struct worker *worker)
{
    char labels[256];
    snprintf(labels, sizeof(labels), "app=\"%s\",worker=\"%s\"", worker->config.settings->id, worker->name);
    return metric_set_new(labels);
}

int worker_open(const struct worker_config *config, struct worker **result, struct err *err)
{
    struct worker *worker = memory_alloc(sizeof(*worker));
    worker->config = *config;
    worker->state = WORKER_CREATED;
    worker->stream_time = -1;
    timers_init(&worker->timers);
    snprintf(worker->name, sizeof(worker->name), "%d_%" PRId32, config->subtopology, config->partition);
    worker->metrics = open_metrics(worker);
    if (worker_load_program(worker, err) || open_stores(worker, err)) {
        worker_close(worker);
        return -1;
    }
    metric_put(worker->metrics, METRIC_WORKERS, 1);
    *result = worker;
    return 0;
}

void worker_close(struct worker *worker)
{
    if (!worker) {
        return;
    }
    worker_unload_program(worker);
    if (worker->stores) {
        worker->config.stores->close(worker->stores);
    }
    worker_clear_inputs(worker);
    for (size_t i = 0; i < worker->output_count; i++) {
        free(worker->outputs[i].topic);
    }
    free(worker->inputs);
    free(worker->outputs);
    for (size_t i = 0; i < worker->changelog_count; i++) {
        free(worker->changelogs[i].generation);
    }
    free(worker->changelogs);
    free(worker->nodes);
    free(worker->drops);
    bytes_free(&worker->metadata);
    bytes_free(&worker->committed_metadata);
    arena_free(&worker->arena);
    metric_set_free(worker->metrics);
    free(worker);
}

/* ---- state ---- */

static const bool legal_transition[4][4] = {
    [WORKER_CREATED] = {[WORKER_RESTORING] = true, [WORKER_RUNNING] = true, [WORKER_CLOSED] = true},
    [WORKER_RESTORING] = {[WORKER_RUNNING] = true, [WORKER_CLOSED] = true},
    [WORKER_RUNNING] = {[WORKER_RESTORING] = true, [WORKER_CLOSED] = true},
};

enum worker_state worker_state(const struct worker *worker)
{
    return worker->state;
}

void worker_set_state(struct worker *worker, enum worker_state state)
{
    assert(legal_transition[worker->state][state]);
    worker->state = state;
}

const char *worker_name(const struct worker *worker)
{
    return worker->name;
}

int worker_subtopology(const struct worker *worker)
{
    return worker->config.subtopology;
}

int32_t worker_partition(const struct worker *worker)
{
    return worker->config.partition;
}

const char *worker_directory_name(const struct graph *graph, int subtopology, int32_t partition, char *buffer,
                                  size_t size)
{
    const char *first = NULL;
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (store->subtopology == subtopology && (!first || strcmp(store->spec.name, first) < 0)) {
            first = store->spec.name;
        }
    }
    if (!first) {
        return NULL;
    }
    snprintf(buffer, size, "%s_%" PRId32, first, partition);
    return buffer;
}

/* ---- inputs ---- */

static bool reads(const struct graph_topic *use, const char *topic)
{
    if (!use->pattern) {
        return strcmp(use->name, topic) == 0;
    }
    regex_t pattern;
    if (regcomp(&pattern, use->name, REG_EXTENDED | REG_NOSUB)) {
        return false;
    }
    bool match = regexec(&pattern, topic, 0, NULL, 0) == 0;
    regfree(&pattern);
    return match;
}

static void find_sources(struct worker *worker, struct worker_input *input)
{
    input->source_count = 0;
    for (int i = 0; i < graph_topic_count(worker->graph); i++) {
        const struct graph_topic *use = graph_topic(worker->graph, i);
        if (use->node->role == NODE_SOURCE && use->node->subtopology == worker->config.subtopology &&
            reads(use, input->topic) && input->source_count < WORKER_MAX_SOURCES) {
            input->source_ids[input->source_count] = use->node->id;
            input->sources[input->source_count++] = use->node;
        }
    }
}

int worker_add_input(struct worker *worker, const struct assigned *assigned, struct err *err)
{
    worker->inputs = memory_grow(worker->inputs, worker->input_count, &worker->input_capacity, sizeof(*worker->inputs));
    struct worker_input *input = &worker->inputs[worker->input_count];
    *input = (struct worker_input){
        .topic = assigned->topic,
        .partition = assigned->partition,
        .handle = assigned->input,
        .position = assigned->committed,
        .committed = assigned->committed,
        .first = OFFSET_NONE,
    };
    find_sources(worker, input);
    if (input->source_count == 0) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "Worker %s has no source for topic %s.", worker->name,
                       assigned->topic);
    }
    worker->input_count++;
    int64_t number, stream_time;
    if (timers_recall(&worker->timers, assigned->metadata, &number, &stream_time) == 0) {
        op_observe_time(worker, stream_time);
        worker->commit_number = number > worker->commit_number ? number : worker->commit_number;
    }
    if (assigned->metadata) {
        bytes_clear(&worker->committed_metadata);
        bytes_append_text(&worker->committed_metadata, assigned->metadata);
    }
    return 0;
}

void worker_suspend(struct worker *worker)
{
    worker->suspended = true;
    for (size_t i = 0; i < worker->input_count; i++) {
        worker->inputs[i].handle = NULL;
        worker->inputs[i].count = 0;
        worker->inputs[i].next = 0;
    }
}

void worker_clear_inputs(struct worker *worker)
{
    worker->suspended = false;
    for (size_t i = 0; i < worker->input_count; i++) {
        free(worker->inputs[i].records);
    }
    worker->input_count = 0;
}

bool worker_agrees(const struct worker *worker, const struct assigned *assigned)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        const struct worker_input *input = &worker->inputs[i];
        if (input->partition == assigned->partition && strcmp(input->topic, assigned->topic) == 0) {
            return input->committed == assigned->committed;
        }
    }
    return true;
}

int worker_input_count(const struct worker *worker)
{
    return (int)worker->input_count;
}

void worker_committed(const struct worker *worker, int index, struct position *position)
{
    const struct worker_input *input = &worker->inputs[index];
    *position = (struct position){input->topic, input->partition, input->committed, NULL};
}

int worker_pause(struct worker *worker, bool paused, struct err *err)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        if (worker->config.transport->pause(worker->config.session, worker->inputs[i].handle, paused, err)) {
            return -1;
        }
    }
    return 0;
}

int worker_start(struct worker *worker, struct err *err)
{
    const struct program_class *program = worker->config.program->class;
    if (program->open(worker->instance, worker->nodes, worker->node_count, err)) {
        return err_wrap(err, "starting worker %s", worker->name);
    }
    return 0;
}

/* ---- processing ---- */

/* Takes the next records of an input whose buffer is used up. */
static int refill(struct worker *worker, struct worker_input *input, struct err *err)
{
    const struct transport_class *transport = worker->config.transport;
    if (!input->records) {
        input->records = memory_alloc(sizeof(*input->records) * WORKER_FETCH);
    }
    input->next = 0;
    input->count = 0;
    if (transport->fetch(worker->config.session, input->handle, input->records, WORKER_FETCH, &input->count, err)) {
        return -1;
    }
    if (input->count > 0 && input->first == OFFSET_NONE) {
        input->first = input->records[0].offset;
    }
    return 0;
}

static int refill_empty(struct worker *worker, struct err *err)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        struct worker_input *input = &worker->inputs[i];
        if (input->next == input->count && refill(worker, input, err)) {
            return -1;
        }
        if (input->next < input->count) {
            input->blocked = false;
        }
    }
    return 0;
}

/* Whether the others have to wait for an input that has nothing buffered: always while it has known unread records, and
 * for max_idle longer in the hope of new ones (Kafka Streams' max.task.idle.ms). */
static bool must_wait_for(struct worker *worker, struct worker_input *input)
{
    const struct transport_class *transport = worker->config.transport;
    int64_t end = transport->known_end(worker->config.session, input->handle);
    if (end < 0 || end > transport->position(worker->config.session, input->handle)) {
        return true;
    }
    if (worker->config.settings->max_idle_ms == 0) {
        return false;
    }
    int64_t now = clock_monotonic_ns(worker->config.clock);
    if (!input->blocked) {
        input->blocked = true;
        input->blocked_since_ns = now;
    }
    return now - input->blocked_since_ns < worker->config.settings->max_idle_ms * 1000000;
}

static bool may_process(struct worker *worker)
{
    bool buffered = false;
    for (size_t i = 0; i < worker->input_count; i++) {
        buffered |= worker->inputs[i].next < worker->inputs[i].count;
    }
    for (size_t i = 0; buffered && worker->input_count > 1 && i < worker->input_count; i++) {
        struct worker_input *input = &worker->inputs[i];
        if (input->next == input->count && must_wait_for(worker, input)) {
            return false;
        }
    }
    return buffered;
}

/* The input whose next record has the lowest timestamp; the earlier input of the topology among equals. */
static struct worker_input *choose(struct worker *worker)
{
    struct worker_input *best = NULL;
    for (size_t i = 0; i < worker->input_count; i++) {
        struct worker_input *input = &worker->inputs[i];
        if (input->next == input->count) {
            continue;
        }
        if (!best || input->records[input->next].timestamp < best->records[best->next].timestamp ||
            (input->records[input->next].timestamp == best->records[best->next].timestamp &&
             input->sources[0]->id < best->sources[0]->id)) {
            best = input;
        }
    }
    return best;
}

static int fire_due(struct worker *worker, enum op_time kind, int64_t now, int *fired, struct err *err)
{
    const struct program_class *program = worker->config.program->class;
    while (timers_maybe_due(&worker->timers, kind, now)) {
        struct op_timer *timer = timers_due(&worker->timers, kind, now);
        if (!timer) {
            break;
        }
        worker->dirty = true;
        worker->flushed = false;
        (*fired)++;
        if (program->punctuate(worker->instance, timer->node, timer->fire, timer->data, now, err)) {
            return -1;
        }
        arena_clear(&worker->arena);
    }
    return 0;
}

static int process_one(struct worker *worker, struct worker_input *input, struct err *err)
{
    const struct record *record = &input->records[input->next];
    const struct program_class *program = worker->config.program->class;
    worker->dirty = true;
    for (int i = 0; i < input->source_count; i++) {
        if (!input->sources[i]->extracts_time) {
            op_observe_time(worker, record->timestamp);
        }
        if (program->process(worker->instance, input->sources[i], record, err)) {
            return -1;
        }
        arena_clear(&worker->arena);
    }
    input->position = record->offset + 1;
    input->next++;
    int fired = 0;
    return worker->stream_time >= 0 ? fire_due(worker, TIME_STREAM, worker->stream_time, &fired, err) : 0;
}

static void count_processed(struct worker *worker, int processed, int64_t bytes, int64_t started_ns)
{
    worker->records += processed;
    worker->uncommitted_records += processed;
    worker->flushed = false;
    metric_add(worker->metrics, METRIC_RECORDS_IN, processed);
    metric_add(worker->metrics, METRIC_BYTES_IN, bytes);
    metric_add(worker->metrics, METRIC_PROCESS_NS, clock_monotonic_ns(worker->config.clock) - started_ns);
}

int worker_process(struct worker *worker, int max, int *processed, struct err *err)
{
    *processed = 0;
    if (worker->suspended) {
        return 0;
    }
    if (refill_empty(worker, err)) {
        return -1;
    }
    if (!may_process(worker)) {
        return 0;
    }
    int64_t started_ns = clock_monotonic_ns(worker->config.clock);
    int64_t bytes = 0;
    int result = 0;
    while (*processed < max && result == 0) {
        struct worker_input *input = worker->input_count == 1 ? worker->inputs : choose(worker);
        if (!input || input->next == input->count) {
            break;
        }
        const struct record *record = &input->records[input->next];
        bytes += (int64_t)(record->key.size + record->value.size);
        result = process_one(worker, input, err);
        *processed += result == 0;
        if (result == 0 && input->next == input->count) {
            result = refill(worker, input, err);
            if (result == 0 && !may_process(worker)) {
                break;
            }
        }
    }
    count_processed(worker, *processed, bytes, started_ns);
    return result;
}

int worker_punctuate(struct worker *worker, int *fired, struct err *err)
{
    *fired = 0;
    return fire_due(worker, TIME_WALL, clock_wall_ms(worker->config.clock), fired, err);
}

bool worker_drained(struct worker *worker)
{
    const struct transport_class *transport = worker->config.transport;
    for (size_t i = 0; i < worker->input_count && !worker->suspended; i++) {
        struct worker_input *input = &worker->inputs[i];
        if (input->next < input->count || transport->known_end(worker->config.session, input->handle) >
                                              transport->position(worker->config.session, input->handle)) {
            return false;
        }
    }
    return true;
}

int64_t worker_lag(struct worker *worker)
{
    const struct transport_class *transport = worker->config.transport;
    int64_t lag = 0;
    for (size_t i = 0; i < worker->input_count && !worker->suspended; i++) {
        struct worker_input *input = &worker->inputs[i];
        int64_t end = transport->known_end(worker->config.session, input->handle);
        int64_t position = transport->position(worker->config.session, input->handle);
        int64_t buffered = (int64_t)(input->count - input->next);
        lag += (end > position && position >= 0 ? end - position : 0) + buffered;
    }
    metric_put(worker->metrics, METRIC_LAG, lag);
    return lag;
}

int64_t worker_records(const struct worker *worker)
{
    return worker->records;
}

bool worker_reached(struct worker *worker, const struct position *end)
{
    for (size_t i = 0; i < worker->input_count && !worker->suspended; i++) {
        const struct worker_input *input = &worker->inputs[i];
        if (input->partition != end->partition || strcmp(input->topic, end->topic) != 0) {
            continue;
        }
        int64_t read = worker->config.transport->position(worker->config.session, input->handle);
        bool all_read = input->next == input->count && read >= end->offset;
        return end->offset <= 0 || input->committed >= end->offset || (all_read && !worker->dirty);
    }
    return true;
}

struct graph *worker_graph(struct worker *worker)
{
    return worker->graph;
}

struct metric_set *worker_metrics(struct worker *worker)
{
    return worker->metrics;
}

struct store_set *worker_stores(struct worker *worker)
{
    return worker->stores;
}

const struct worker_config *worker_configuration(const struct worker *worker)
{
    return &worker->config;
}

const struct store_meta *worker_found_meta(const struct worker *worker, bool *fresh)
{
    *fresh = worker->fresh;
    return &worker->found;
}
