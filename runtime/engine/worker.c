#include "engine/worker_int.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"

#define ROUND_NS INT64_C(20000000)
#define LOOK_RECORDS 64

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
    worker->ahead_count = 0;
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

/* Claimed before it is made, so that nobody deletes it meanwhile. */
static int claim_directory(struct worker *worker, struct err *err)
{
    const char *path = worker->config.state_directory;
    if (!path) {
        return 0;
    }
    worker->directory = memory_copy_text(path);
    state_cleaner_claim(worker->config.cleaner, path);
    if (mkdir(path, 0700) && errno != EEXIST) {
        return err_set(err, errno == ENOSPC ? ERR_RETRY : ERR_FATAL, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO,
                       "The directory %s for state can't be made: %s.", path, strerror(errno));
    }
    return 0;
}

static int open_stores(struct worker *worker, struct err *err)
{
    const struct graph *graph = worker->config.graph;
    struct store_spec *specs = memory_alloc(sizeof(*specs) * (size_t)(graph_store_count(graph) + 1));
    struct store_config config = {
        .directory = worker->config.state_directory,
        .app = worker->config.settings->id,
        .worker = worker->name,
        .budget = worker->config.budget,
        .quarantine_keep = worker->config.settings->state_quarantine,
        .specs = specs,
        .spec_count = collect_specs(graph, worker->config.subtopology, specs),
    };
    int result = 0;
    if (config.spec_count > 0) {
        result = claim_directory(worker, err);
        result = result ? result
                        : worker->config.stores->open(&config, &worker->stores, &worker->found, &worker->fresh, err);
    }
    free(specs);
    if (result) {
        return err_wrap(err, "opening the state of worker %s", worker->name);
    }
    const struct store_position *part = store_meta_input(&worker->found, STORE_RESTORED_IN_PART, 0);
    worker->restored_in_part = part ? part->offset : OFFSET_NONE;
    worker_find_changelogs(worker);
    worker_find_tasks(worker);
    if (worker->stores) {
        worker->ttl = worker_ttl_new(graph, worker->config.subtopology, worker->stores, worker->config.stores);
    }
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
    if (config->subtopology < 0) {
        snprintf(worker->name, sizeof(worker->name), "global_%" PRId32, config->partition);
    } else {
        snprintf(worker->name, sizeof(worker->name), "%d_%" PRId32, config->subtopology, config->partition);
    }
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
    worker_clear_inputs(worker); /* asks their tasks whose the records are */
    worker_close_tasks(worker);
    worker_unload_program(worker);
    worker_ttl_free(worker->ttl);
    if (worker->stores) {
        worker->config.stores->close(worker->stores);
    }
    if (worker->directory) {
        state_cleaner_release(worker->config.cleaner, worker->directory);
        free(worker->directory);
    }
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
    free(worker->aheads);
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

/* ---- processing ---- */

int worker_start(struct worker *worker, struct err *err)
{
    const struct program_class *program = worker->config.program->class;
    if (program->open(worker->instance, worker->nodes, worker->node_count, err)) {
        return err_wrap(err, "starting worker %s", worker->name);
    }
    timers_opened(&worker->timers);
    return 0;
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
    worker->dirty = worker->dirty || !worker_task_drains(input); /* a sink commits what its target has */
    for (int i = 0; i < input->source_count; i++) {
        if (!input->sources[i]->extracts_time && !op_time_jumps(worker, record->timestamp)) {
            op_observe_time(worker, record->timestamp);
        }
        if (program->process(worker->instance, input->sources[i], record, err)) {
            return -1;
        }
        arena_clear(&worker->arena);
    }
    input->position = record->offset + 1;
    input->next++;
    if (input->task && worker_task_advance(worker, input, err)) {
        return -1;
    }
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

/* Whether a round should end although there is more to do: callbacks are slow, and commits and the group must not wait
 * for them. The clock is looked at after the first record and then less and less often. */
static bool takes_long(const struct worker *worker, int processed, int64_t started_ns, int *look_at)
{
    if (processed < *look_at) {
        return false;
    }
    *look_at += *look_at < LOOK_RECORDS ? *look_at : LOOK_RECORDS;
    return clock_monotonic_ns(worker->config.clock) - started_ns > ROUND_NS;
}

struct round {
    struct worker *worker;
    struct worker_input *input; /* of the next record */
    int64_t started_ns;
    int64_t bytes;
    int processed;
    int max;
};

/* Inside one protected entry: an error of the script leaves this function where it is. */
static int process_round(void *data, struct err *err)
{
    struct round *round = data;
    struct worker *worker = round->worker;
    int look_at = 1;
    int result = 0;
    while (result == 0 && round->input) {
        const struct record *record = &round->input->records[round->input->next];
        round->bytes += (int64_t)(record->key.size + record->value.size);
        worker_look_ahead(worker, round->input);
        result = process_one(worker, round->input, err);
        round->processed += result == 0;
        if (round->input->task && result == 0 && worker_task_inside(round->input)) {
            continue;
        }
        if (result || round->processed >= round->max || (round->input->task && !worker_tasks_have_room(worker)) ||
            takes_long(worker, round->processed, round->started_ns, &look_at)) {
            break;
        }
        result = worker_take(worker, &round->input, err);
    }
    return result;
}

/* The input of the first record; NULL: there is none, or a sink has no room for it. */
static int begin_round(struct worker *worker, struct worker_input **input, struct err *err)
{
    bool room = true;
    if (worker->suspended) {
        return 0;
    }
    if (worker->task_count > 0 && worker_tasks_look(worker, &room, err)) {
        return -1;
    }
    return room ? worker_take(worker, input, err) : worker_pause(worker, true, err);
}

int worker_process(struct worker *worker, int max, int *processed, struct err *err)
{
    struct round round = {.worker = worker, .started_ns = clock_monotonic_ns(worker->config.clock), .max = max};
    worker_begin_round(worker);
    int result = begin_round(worker, &round.input, err);
    if (result == 0 && round.input) {
        result = worker->config.program->class->round(worker->instance, process_round, &round, err);
        worker_tasks_flush(worker);
    }
    *processed = round.processed;
    if (round.processed > 0) {
        count_processed(worker, round.processed, round.bytes, round.started_ns);
    }
    return result;
}

int worker_punctuate(struct worker *worker, int *fired, struct err *err)
{
    *fired = 0;
    if (worker->suspended) {
        return 0; /* what a timer writes could not be committed now */
    }
    return fire_due(worker, TIME_WALL, clock_wall_ms(worker->config.clock), fired, err);
}

int64_t worker_commit_number(const struct worker *worker)
{
    return worker->commit_number;
}

int64_t worker_records(const struct worker *worker)
{
    return worker->records;
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
