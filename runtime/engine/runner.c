#include "engine/runner.h"

#include <ck_pr.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/generation.h"
#include "engine/slot.h"

#define STEP_TIMEOUT_MS 100
#define STATUS_INTERVAL_NS INT64_C(100000000)
#define WAIT_SLICE_MS 5
#define MIN_CACHE_BYTES (INT64_C(1) << 20)

/* One stream thread and what it publishes; everything but `stop` and `alive_ns` under the runner's lock. */
struct lane {
    struct runner *runner;
    struct stream_thread *thread; /* of the lane's own thread only */
    pthread_t pthread;
    int number;
    bool started;
    bool ended;
    bool joined;
    bool at_end; /* reached the ends of version `ends_seen` and is idle */
    uint64_t ends_seen;
    int result;
    struct err err;
    struct runner_worker_status *workers;
    size_t worker_count;
    size_t worker_capacity;
    uint64_t alive_ns;    /* ck_pr: monotonic time of the last round */
    int64_t published_ns; /* of the lane's own thread only */
};

struct runner {
    struct runner_config config;
    struct clock clock;
    struct instance *described;
    const struct graph *graph;
    struct topic_plan *plan;
    struct slot *slot;
    struct lane *lanes;
    int lane_count;
    int64_t cache_bytes; /* per worker */
    uint32_t stop;       /* ck_pr */
    int64_t stop_began_ns;
    pthread_mutex_t lock;
    struct position *ends; /* --until-end; under the lock */
    size_t end_count;
    size_t end_capacity;
    uint64_t ends_version;
};

/* ---- the thread of a lane ---- */

static int open_thread(struct lane *lane, struct err *err)
{
    struct runner *runner = lane->runner;
    struct stream_thread_config config = {
        .settings = &runner->config.settings,
        .program = runner->config.program,
        .graph = runner->graph,
        .plan = runner->plan,
        .stores = runner->config.stores,
        .transport = runner->config.transport,
        .clock = &runner->clock,
        .state_directory = slot_directory(runner->slot),
        .instance = slot_instance(runner->slot),
        .cache_bytes = runner->cache_bytes,
        .thread = lane->number,
        .threads = runner->lane_count,
        .stay = runner->config.stay,
    };
    return stream_thread_open(&config, &lane->thread, err);
}

static void describe_worker(struct lane *lane, struct worker *worker)
{
    lane->workers = memory_grow(lane->workers, lane->worker_count, &lane->worker_capacity, sizeof(*lane->workers));
    struct runner_worker_status *status = &lane->workers[lane->worker_count++];
    struct metric_set *metrics = worker_metrics(worker);
    *status = (struct runner_worker_status){
        .thread = lane->number,
        .state = worker_state(worker),
        .records = worker_records(worker),
        .lag = worker_lag(worker),
        .state_bytes = metric_get(metrics, METRIC_STATE_BYTES),
        .state_entries = metric_get(metrics, METRIC_STATE_ENTRIES),
        .restore_remaining = metric_get(metrics, METRIC_RESTORE_REMAINING),
    };
    snprintf(status->name, sizeof(status->name), "%s", worker_name(worker));
}

static void publish(struct lane *lane)
{
    struct runner *runner = lane->runner;
    pthread_mutex_lock(&runner->lock);
    lane->worker_count = 0;
    for (int i = 0; i < stream_thread_worker_count(lane->thread); i++) {
        describe_worker(lane, stream_thread_worker(lane->thread, i));
    }
    lane->joined = stream_thread_joined(lane->thread);
    if (runner->config.until_end) {
        lane->at_end = lane->joined && stream_thread_reached_end(lane->thread, runner->ends, runner->end_count);
        lane->ends_seen = runner->ends_version;
    }
    pthread_mutex_unlock(&runner->lock);
}

/* Status is copied out ten times a second, and after each quiet round when somebody waits for the end. */
static void publish_if_due(struct lane *lane, bool worked)
{
    int64_t now = clock_monotonic_ns(&lane->runner->clock);
    ck_pr_store_64(&lane->alive_ns, (uint64_t)now);
    if (now - lane->published_ns >= STATUS_INTERVAL_NS || (lane->runner->config.until_end && !worked)) {
        lane->published_ns = now;
        publish(lane);
    }
}

static int run_lane(struct lane *lane, struct err *err)
{
    if (open_thread(lane, err)) {
        return -1;
    }
    int timeout_ms = lane->runner->config.until_end ? WAIT_SLICE_MS : STEP_TIMEOUT_MS;
    int result = 0;
    while (result == 0 && !ck_pr_load_32(&lane->runner->stop)) {
        bool worked;
        result = stream_thread_step(lane->thread, timeout_ms, &worked, err);
        if (result == 0) {
            publish_if_due(lane, worked);
        }
    }
    if (result == 0) {
        publish(lane);
    }
    struct err closing;
    int closed = stream_thread_close(lane->thread, &closing);
    if (result == 0 && closed) {
        *err = closing;
        result = -1;
    }
    return result;
}

static void *lane_main(void *self)
{
    struct lane *lane = self;
    struct runner *runner = lane->runner;
    struct err err;
    err_clear(&err);
    int result = run_lane(lane, &err);
    if (result) {
        log_event(LOG_ERROR, "stream thread ended", log_text("app", runner->config.settings.id),
                  log_number("thread", lane->number), log_text("reason", err.text));
        ck_pr_store_32(&runner->stop, 1); /* one that can't go on ends the app: its partitions would stand still */
    }
    pthread_mutex_lock(&runner->lock);
    lane->result = result;
    lane->err = err;
    lane->ended = true;
    pthread_mutex_unlock(&runner->lock);
    return NULL;
}

/* ---- opening ---- */

static int count_workers(const struct runner *runner, int *with_stores)
{
    int total = 0;
    *with_stores = 0;
    for (int s = 0; s < graph_subtopology_count(runner->graph); s++) {
        char name[256];
        int partitions = (int)topic_plan_partitions(runner->plan, s);
        total += partitions;
        *with_stores += worker_directory_name(runner->graph, s, 0, name, sizeof(name)) ? partitions : 0;
    }
    return total;
}

static void size_up(struct runner *runner)
{
    int with_stores;
    int workers = count_workers(runner, &with_stores);
    int64_t threads = runner->config.settings.threads;
    if (threads == 0) {
        threads = sysconf(_SC_NPROCESSORS_ONLN);
        threads = threads > workers ? workers : threads;
    }
    runner->lane_count = threads < 1 ? 1 : (int)threads;
    runner->config.settings.threads = runner->lane_count;
    int64_t budget = runner->config.settings.state_cache / (with_stores > 0 ? with_stores : 1);
    runner->cache_bytes = budget < MIN_CACHE_BYTES ? MIN_CACHE_BYTES : budget;
}

static void set_end(struct runner *runner, const char *topic, int32_t partition, int64_t offset)
{
    for (size_t i = 0; i < runner->end_count; i++) {
        struct position *end = &runner->ends[i];
        if (end->partition == partition && strcmp(end->topic, topic) == 0) {
            runner->ends_version += end->offset != offset;
            end->offset = offset;
            return;
        }
    }
    runner->ends = memory_grow(runner->ends, runner->end_count, &runner->end_capacity, sizeof(*runner->ends));
    runner->ends[runner->end_count++] = (struct position){topic, partition, offset, NULL};
    runner->ends_version++;
}

static bool is_read(const struct planned_topic *topic)
{
    return topic->subtopology >= 0 && !topic->changelog;
}

/* Ends of the topics that others write (`internal` false) or that this app writes and reads itself (true). */
static int note_ends(struct runner *runner, bool internal, struct err *err)
{
    struct transport *transport = runner->config.transport;
    for (int i = 0; i < topic_plan_count(runner->plan); i++) {
        const struct planned_topic *topic = topic_plan_get(runner->plan, i);
        for (int32_t p = 0; is_read(topic) && topic->written == internal && p < topic->partitions; p++) {
            int64_t low, high;
            if (transport->class->watermarks(transport, topic->name, p, &low, &high, err)) {
                return err_wrap(err, "looking for the end of %s", topic->name);
            }
            pthread_mutex_lock(&runner->lock);
            set_end(runner, topic->name, p, high);
            pthread_mutex_unlock(&runner->lock);
        }
    }
    return 0;
}

static int prepare(struct runner *runner, struct err *err)
{
    struct program *program = runner->config.program;
    if (program->class->load(program, &runner->described, err)) {
        return -1;
    }
    runner->graph = program->class->graph(runner->described);
    if (slot_open(runner->config.state_directory, runner->config.settings.id, runner->config.instance, &runner->slot,
                  err) ||
        topic_plan_make(runner->graph, &runner->config.settings, runner->config.transport, runner->config.embedded,
                        false, &runner->plan, err) ||
        generation_mark(runner->plan, runner->config.transport, &runner->clock, err)) {
        return -1;
    }
    size_up(runner);
    return runner->config.until_end ? note_ends(runner, false, err) : 0;
}

static int start_lanes(struct runner *runner, struct err *err)
{
    runner->lanes = memory_alloc(sizeof(*runner->lanes) * (size_t)runner->lane_count);
    for (int i = 0; i < runner->lane_count; i++) {
        struct lane *lane = &runner->lanes[i];
        lane->runner = runner;
        lane->number = i;
        lane->alive_ns = (uint64_t)clock_monotonic_ns(&runner->clock);
        if (pthread_create(&lane->pthread, NULL, lane_main, lane)) {
            return err_set(err, ERR_FATAL, ERR_INTERNAL, "Stream thread %d can't be started.", i);
        }
        lane->started = true;
    }
    return 0;
}

int runner_open(const struct runner_config *config, struct runner **result, struct err *err)
{
    struct runner *runner = memory_alloc(sizeof(*runner));
    runner->config = *config;
    runner->clock = CLOCK_SYSTEM;
    pthread_mutex_init(&runner->lock, NULL);
    if (prepare(runner, err) || start_lanes(runner, err)) {
        runner_close(runner);
        return -1;
    }
    *result = runner;
    return 0;
}

void runner_stop(struct runner *runner)
{
    ck_pr_store_32(&runner->stop, 1);
}

void runner_close(struct runner *runner)
{
    runner_stop(runner);
    for (int i = 0; runner->lanes && i < runner->lane_count; i++) {
        if (runner->lanes[i].started) {
            pthread_join(runner->lanes[i].pthread, NULL);
        }
        free(runner->lanes[i].workers);
    }
    free(runner->lanes);
    free(runner->ends);
    topic_plan_free(runner->plan);
    slot_close(runner->slot);
    if (runner->described) {
        runner->config.program->class->unload(runner->described);
    }
    pthread_mutex_destroy(&runner->lock);
    free(runner);
}

/* ---- waiting ---- */

static bool all_ended(struct runner *runner, int *result, struct err *err)
{
    bool ended = true;
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; i < runner->lane_count; i++) {
        const struct lane *lane = &runner->lanes[i];
        ended &= lane->ended;
        if (lane->ended && lane->result && *result == 0) {
            *result = -1;
            *err = lane->err;
        }
    }
    pthread_mutex_unlock(&runner->lock);
    return ended;
}

static bool all_at_end(struct runner *runner)
{
    bool at_end = true;
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; i < runner->lane_count; i++) {
        at_end &= runner->lanes[i].at_end && runner->lanes[i].ends_seen == runner->ends_version;
    }
    pthread_mutex_unlock(&runner->lock);
    return at_end;
}

static uint64_t ends_version(struct runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    uint64_t version = runner->ends_version;
    pthread_mutex_unlock(&runner->lock);
    return version;
}

/* --until-end: once every thread has reached the ends, what they wrote for each other meanwhile sets new ends; when
 * there is nothing new the work is done. */
static int stop_at_end(struct runner *runner, struct err *err)
{
    if (!runner->config.until_end || !all_at_end(runner)) {
        return 0;
    }
    uint64_t before = ends_version(runner);
    if (note_ends(runner, true, err)) {
        return -1;
    }
    if (ends_version(runner) == before) {
        runner_stop(runner);
    }
    return 0;
}

static int check_drain(struct runner *runner, struct err *err)
{
    if (!ck_pr_load_32(&runner->stop)) {
        return 0;
    }
    int64_t now = clock_monotonic_ns(&runner->clock);
    if (runner->stop_began_ns == 0) {
        runner->stop_began_ns = now;
    }
    if (now - runner->stop_began_ns > runner->config.settings.drain_ms * 1000000) {
        return err_set(
            err, ERR_FATAL, ERR_IO,
            "Committing and leaving took longer than drain_ms (%lld ms). What was not committed is processed "
            "again at the next start.",
            (long long)runner->config.settings.drain_ms);
    }
    return 0;
}

int runner_wait(struct runner *runner, int timeout_ms, bool *ended, struct err *err)
{
    int64_t began = clock_monotonic_ns(&runner->clock);
    *ended = false;
    for (;;) {
        int result = 0;
        if (all_ended(runner, &result, err)) {
            *ended = true;
            return result;
        }
        if (stop_at_end(runner, err) || check_drain(runner, err)) {
            return -1;
        }
        if (timeout_ms >= 0 && clock_monotonic_ns(&runner->clock) - began >= timeout_ms * INT64_C(1000000)) {
            return 0;
        }
        clock_sleep_ms(timeout_ms >= 0 && timeout_ms < WAIT_SLICE_MS ? timeout_ms : WAIT_SLICE_MS);
    }
}

/* ---- status ---- */

const struct graph *runner_graph(const struct runner *runner)
{
    return runner->graph;
}

const struct topic_plan *runner_plan(const struct runner *runner)
{
    return runner->plan;
}

size_t runner_workers(struct runner *runner, struct runner_worker_status *list, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; i < runner->lane_count; i++) {
        const struct lane *lane = &runner->lanes[i];
        for (size_t w = 0; w < lane->worker_count; w++, count++) {
            if (count < max) {
                list[count] = lane->workers[w];
            }
        }
    }
    pthread_mutex_unlock(&runner->lock);
    return count;
}

void runner_progress(struct runner *runner, int64_t *done, int64_t *left)
{
    *done = 0;
    *left = 0;
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; i < runner->lane_count; i++) {
        const struct lane *lane = &runner->lanes[i];
        for (size_t w = 0; w < lane->worker_count; w++) {
            *done += lane->workers[w].records;
            *left += lane->workers[w].lag;
        }
    }
    pthread_mutex_unlock(&runner->lock);
}

bool runner_ready(struct runner *runner)
{
    bool ready = true;
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; i < runner->lane_count; i++) {
        const struct lane *lane = &runner->lanes[i];
        ready &= lane->joined && !lane->ended;
        for (size_t w = 0; w < lane->worker_count; w++) {
            ready &= lane->workers[w].state == WORKER_RUNNING;
        }
    }
    pthread_mutex_unlock(&runner->lock);
    return ready;
}

bool runner_healthy(struct runner *runner)
{
    int64_t limit_ns = runner->config.settings.max_poll_interval_ms * 1000000;
    int64_t now = clock_monotonic_ns(&runner->clock);
    bool healthy = true;
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; i < runner->lane_count; i++) {
        const struct lane *lane = &runner->lanes[i];
        healthy &= !(lane->ended && lane->result);
        healthy &= lane->ended || now - (int64_t)ck_pr_load_64(&lane->alive_ns) < limit_ns;
    }
    pthread_mutex_unlock(&runner->lock);
    return healthy;
}
