#include "engine/runner.h"

#include <ck_pr.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/generation.h"
#include "engine/purger.h"
#include "engine/query.h"
#include "engine/slot.h"

#define STEP_TIMEOUT_MS 100
#define STATUS_INTERVAL_NS INT64_C(100000000)
#define END_TIMEOUT_MS 5 /* with --until-end: a quiet thread looks so often whether it is done */
#define CHECK_MS 50      /* how often runner_wait looks at the drain deadline */
#define DISK_FULL_LOG_NS INT64_C(10000000000)
#define NS_PER_MS INT64_C(1000000)

/* One stream thread and what it publishes; under the runner's lock where nothing else is said. */
struct lane {
    struct runner *runner;        /* constant */
    int number;                   /* constant */
    pthread_t pthread;            /* of runner_open and runner_close */
    bool started;                 /* the same */
    struct stream_thread *thread; /* changed by the lane's own thread, under the lock; NULL: not open */
    bool ended;
    bool joined;
    bool at_end;  /* idle, and all ends of version `ends_seen` are reached */
    bool settled; /* its stores, too */
    uint64_t ends_seen;
    int result;
    struct err err;
    struct runner_worker_status *workers;
    size_t worker_count;
    size_t worker_capacity;
    int64_t departed_records; /* of workers that are gone */
    uint64_t alive_ns;        /* ck_pr: monotonic time of the last round */
    int64_t published_ns;     /* of the lane's own thread only */
};

struct ends {
    struct position *list;
    size_t count;
    size_t capacity;
};

struct runner {
    struct runner_config config;
    struct clock clock;
    struct instance *described;
    const struct graph *graph;
    struct topic_plan *plan;
    struct slot *slot;
    struct state_cleaner *cleaner;
    struct purger *purger;
    struct query_desk *queries;
    struct lane *lanes;
    int lane_count;
    struct store_budget budget;
    uint32_t stop; /* ck_pr */
    int64_t stop_began_ns;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a lane has ended or is at the end */
    /* --until-end */
    struct ends inputs;    /* of the topics that others write; constant once the threads run */
    struct ends internal;  /* of the topics that the app writes and reads itself; under the lock */
    uint64_t ends_version; /* moves with `internal` */
    uint32_t settling;     /* ck_pr; all ends were reached: stores settle before the end */
};

/* ---- the thread of a lane ---- */

static void set_thread(struct lane *lane, struct stream_thread *thread)
{
    pthread_mutex_lock(&lane->runner->lock);
    lane->thread = thread;
    pthread_mutex_unlock(&lane->runner->lock);
}

static bool lane_is_stopping(void *self)
{
    const struct lane *lane = self;
    return ck_pr_load_32(&lane->runner->stop) != 0;
}

static int open_thread(struct lane *lane, struct stream_thread **thread, struct err *err)
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
        .budget = &runner->budget,
        .cleaner = runner->cleaner,
        .thread = lane->number,
        .threads = runner->lane_count,
        .stay = runner->config.stay,
        .stopping = lane_is_stopping,
        .self = lane,
        .ends = runner->inputs.list,
        .end_count = runner->inputs.count,
    };
    return stream_thread_open(&config, thread, err);
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

/* What a repartition topic holds before that is of no use to anybody. */
static void note_processed(struct runner *runner, struct worker *worker)
{
    for (int i = 0; i < worker_input_count(worker); i++) {
        struct position committed;
        worker_committed(worker, i, &committed);
        const struct planned_topic *topic = topic_plan_find(runner->plan, committed.topic);
        if (topic && topic->role == TOPIC_REPARTITION && committed.offset > 0) {
            purger_note(runner->purger, &committed);
        }
    }
}

static bool is_at_end(struct stream_thread *thread, const struct runner *runner)
{
    return stream_thread_reached(thread, runner->inputs.list, runner->inputs.count) &&
           stream_thread_reached(thread, runner->internal.list, runner->internal.count);
}

static void publish(struct lane *lane)
{
    struct runner *runner = lane->runner;
    bool settled = ck_pr_load_32(&runner->settling) && stream_thread_settle(lane->thread);
    pthread_mutex_lock(&runner->lock);
    lane->worker_count = 0;
    for (int i = 0; i < stream_thread_worker_count(lane->thread); i++) {
        describe_worker(lane, stream_thread_worker(lane->thread, i));
        note_processed(runner, stream_thread_worker(lane->thread, i));
    }
    lane->departed_records = stream_thread_departed_records(lane->thread);
    lane->joined = stream_thread_joined(lane->thread);
    if (runner->config.until_end) {
        lane->at_end = is_at_end(lane->thread, runner);
        lane->settled = settled;
        lane->ends_seen = runner->ends_version;
        pthread_cond_broadcast(&runner->changed);
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

static int run_rounds(struct lane *lane, struct err *err)
{
    int timeout_ms = lane->runner->config.until_end ? END_TIMEOUT_MS : STEP_TIMEOUT_MS;
    while (!ck_pr_load_32(&lane->runner->stop)) {
        bool worked;
        if (stream_thread_step(lane->thread, timeout_ms, &worked, err)) {
            return -1;
        }
        query_serve(lane->runner->queries, lane->number, lane->thread);
        publish_if_due(lane, worked);
    }
    publish(lane);
    return 0;
}

static int run_lane(struct lane *lane, struct err *err)
{
    struct stream_thread *thread;
    if (open_thread(lane, &thread, err)) {
        return err->class == ERR_RETRY && lane_is_stopping(lane) ? 0 : -1; /* it was stopped before it did anything */
    }
    set_thread(lane, thread);
    int result = run_rounds(lane, err);
    set_thread(lane, NULL);
    struct err closing;
    if (stream_thread_close(thread, &closing) && result == 0) {
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
    query_leave(runner->queries, lane->number);
    if (result) {
        log_event(LOG_ERROR, "stream thread ended", log_text("app", runner->config.settings.id),
                  log_number("thread", lane->number), log_text("reason", err.text));
    }
    pthread_mutex_lock(&runner->lock);
    lane->result = result;
    lane->err = err;
    lane->ended = true;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
    if (result) {
        runner_stop(runner); /* one that can't go on ends the app: its partitions would stand still */
    }
    return NULL;
}

/* ---- opening ---- */

static int count_workers(const struct runner *runner)
{
    int total = 0;
    for (int s = 0; s < graph_subtopology_count(runner->graph); s++) {
        total += (int)topic_plan_partitions(runner->plan, s);
    }
    return total;
}

static void size_up(struct runner *runner)
{
    int workers = count_workers(runner);
    int64_t threads = runner->config.settings.threads;
    if (threads == 0) {
        threads = sysconf(_SC_NPROCESSORS_ONLN);
        threads = threads > workers ? workers : threads;
    }
    runner->lane_count = threads < 1 ? 1 : (int)threads;
    runner->config.settings.threads = runner->lane_count;
    runner->budget.limit = runner->config.settings.state_cache;
}

/* Whether that was news. */
static bool set_end(struct ends *ends, const char *topic, int32_t partition, int64_t offset)
{
    for (size_t i = 0; i < ends->count; i++) {
        struct position *end = &ends->list[i];
        if (end->partition == partition && strcmp(end->topic, topic) == 0) {
            bool moved = end->offset != offset;
            end->offset = offset;
            return moved;
        }
    }
    ends->list = memory_grow(ends->list, ends->count, &ends->capacity, sizeof(*ends->list));
    ends->list[ends->count++] = (struct position){topic, partition, offset, NULL};
    return true;
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
            runner->ends_version += set_end(internal ? &runner->internal : &runner->inputs, topic->name, p, high);
            pthread_mutex_unlock(&runner->lock);
        }
    }
    return 0;
}

/* A full disk is waited for, as it is later on. */
static int take_slot(struct runner *runner, struct err *err)
{
    const struct runner_config *config = &runner->config;
    int64_t began = clock_monotonic_ns(&runner->clock), told = 0;
    while (slot_open(config->state_directory, config->settings.id, config->instance, &runner->slot, err)) {
        int64_t now = clock_monotonic_ns(&runner->clock);
        bool stopped = config->stopped && config->stopped();
        if (err->code != ERR_DISK_FULL || stopped || now - began > config->settings.max_poll_interval_ms * NS_PER_MS) {
            err->class = stopped ? ERR_RETRY : err->class;
            return -1;
        }
        if (told == 0 || now - told > DISK_FULL_LOG_NS) {
            told = now;
            log_event(LOG_WARN, "no room for state, waiting", log_text("app", config->settings.id),
                      log_text("reason", err->text));
        }
        clock_sleep_ms(CHECK_MS);
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
    if (take_slot(runner, err) ||
        state_cleaner_open(slot_directory(runner->slot), runner->config.settings.state_cleanup_delay_ms, &runner->clock,
                           true, &runner->cleaner, err) ||
        topic_plan_make(runner->graph, &runner->config.settings, runner->config.transport, runner->config.embedded,
                        false, runner->config.stopped, &runner->plan, err) ||
        generation_mark(runner->plan, runner->config.transport, &runner->clock, err) ||
        purger_open(runner->config.transport, runner->config.settings.repartition_purge_ms, &runner->purger, err)) {
        return -1;
    }
    size_up(runner);
    return runner->config.until_end ? note_ends(runner, false, err) : 0;
}

static void wake_lane(void *self, int number)
{
    struct runner *runner = self;
    pthread_mutex_lock(&runner->lock);
    if (runner->lanes[number].thread) {
        stream_thread_wake(runner->lanes[number].thread);
    }
    pthread_mutex_unlock(&runner->lock);
}

static int start_lanes(struct runner *runner, struct err *err)
{
    runner->lanes = memory_alloc(sizeof(*runner->lanes) * (size_t)runner->lane_count);
    runner->queries = query_desk_new(runner->lane_count, wake_lane, runner);
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
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&runner->changed, &attributes);
    pthread_condattr_destroy(&attributes);
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
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; runner->lanes && i < runner->lane_count; i++) {
        if (runner->lanes[i].thread) {
            stream_thread_wake(runner->lanes[i].thread);
        }
    }
    pthread_mutex_unlock(&runner->lock);
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
    free(runner->inputs.list);
    free(runner->internal.list);
    topic_plan_free(runner->plan);
    query_desk_free(runner->queries);
    purger_close(runner->purger);
    state_cleaner_close(runner->cleaner);
    slot_close(runner->slot);
    if (runner->described) {
        runner->config.program->class->unload(runner->described);
    }
    pthread_cond_destroy(&runner->changed);
    pthread_mutex_destroy(&runner->lock);
    free(runner);
}

/* ---- waiting ---- */

/* With the lock held: whether all lanes have ended, and the first failure among those that have. */
static bool all_ended(const struct runner *runner, int *result, struct err *err)
{
    bool ended = true;
    for (int i = 0; i < runner->lane_count; i++) {
        const struct lane *lane = &runner->lanes[i];
        ended &= lane->ended;
        if (lane->ended && lane->result && *result == 0) {
            *result = -1;
            *err = lane->err;
        }
    }
    return ended;
}

/* With the lock held. */
static bool all_at_end(const struct runner *runner)
{
    bool at_end = runner->config.until_end;
    bool settling = ck_pr_load_32(&runner->settling);
    for (int i = 0; i < runner->lane_count; i++) {
        const struct lane *lane = &runner->lanes[i];
        at_end &= lane->at_end && lane->ends_seen == runner->ends_version && (lane->settled || !settling);
    }
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
 * there is nothing new the work is done, but for bringing the stores where others read them. */
static int stop_at_end(struct runner *runner, struct err *err)
{
    uint64_t before = ends_version(runner);
    if (note_ends(runner, true, err)) {
        bool again = err->class == ERR_RETRY; /* brokers that are away are asked again */
        clock_sleep_ms(again ? CHECK_MS : 0);
        return again ? 0 : -1;
    }
    if (ends_version(runner) != before) {
        return 0;
    }
    if (ck_pr_load_32(&runner->settling)) {
        runner_stop(runner);
    }
    ck_pr_store_32(&runner->settling, 1);
    return 0;
}

/* Why a thread failed is worth more than that the others take long. */
static int check_drain(struct runner *runner, struct err *err)
{
    int64_t now = clock_monotonic_ns(&runner->clock);
    runner->stop_began_ns = runner->stop_began_ns == 0 ? now : runner->stop_began_ns;
    if (now - runner->stop_began_ns <= runner->config.settings.drain_ms * NS_PER_MS) {
        return 0;
    }
    int result = 0;
    pthread_mutex_lock(&runner->lock);
    all_ended(runner, &result, err);
    pthread_mutex_unlock(&runner->lock);
    return result ? -1
                  : err_set(err, ERR_FATAL, ERR_IO,
                            "Committing and leaving took longer than drain_ms (%lld ms). What was not committed is "
                            "processed again at the next start.",
                            (long long)runner->config.settings.drain_ms);
}

/* With the lock held: sleeps until a lane has something to tell, at most until the deadline (< 0: none). */
static void sleep_until_changed(struct runner *runner, int64_t deadline_ns)
{
    int64_t until = clock_monotonic_ns(&runner->clock) + CHECK_MS * NS_PER_MS;
    until = deadline_ns >= 0 && deadline_ns < until ? deadline_ns : until;
    struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    pthread_cond_timedwait(&runner->changed, &runner->lock, &time);
}

int runner_wait(struct runner *runner, int timeout_ms, bool *ended, struct err *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : clock_monotonic_ns(&runner->clock) + timeout_ms * NS_PER_MS;
    for (;;) {
        int result = 0;
        bool stopping = ck_pr_load_32(&runner->stop);
        pthread_mutex_lock(&runner->lock);
        *ended = all_ended(runner, &result, err);
        bool at_end = !stopping && !*ended && all_at_end(runner);
        if (!*ended && !at_end) {
            sleep_until_changed(runner, deadline);
        }
        pthread_mutex_unlock(&runner->lock);
        if (*ended) {
            return result;
        }
        if ((at_end && stop_at_end(runner, err)) || (stopping && check_drain(runner, err))) {
            return -1;
        }
        if (deadline >= 0 && clock_monotonic_ns(&runner->clock) >= deadline) {
            return 0;
        }
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
        *done += lane->departed_records;
        for (size_t w = 0; w < lane->worker_count; w++) {
            *done += lane->workers[w].records;
            *left += lane->workers[w].lag;
        }
    }
    pthread_mutex_unlock(&runner->lock);
}

int runner_ask(struct runner *runner, int timeout_ms, int (*each)(void *self, struct worker *worker, struct err *err),
               void *self, struct err *err)
{
    return query_ask(runner->queries, timeout_ms, each, self, err);
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
    int64_t limit_ns = runner->config.settings.max_poll_interval_ms * NS_PER_MS;
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
