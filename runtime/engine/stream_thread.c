#include "engine/stream_thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <errno.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/commit.h"
#include "engine/restore.h"

#define PROCESS_ROUND 1000 /* records of one worker before the others get their turn */
#define RETRY_FIRST_MS 100 /* backoff while a commit waits (disk full), doubled up to the last */
#define RETRY_LAST_MS 5000
#define RECOVERIES_PER_MINUTE 60 /* more ends the thread: something is wrong beyond repair */
#define NS_PER_MS INT64_C(1000000)

struct stream_thread {
    struct stream_thread_config config;
    const struct transport_class *transport;
    struct session *session;
    struct restorer *restorer;
    struct commit commit;
    struct metric_set *metrics;

    struct worker **workers;
    size_t worker_count;
    size_t worker_capacity;

    int64_t dirty_since_ns; /* first work since the last commit; 0: none */
    int64_t last_commit_ns; /* when the last one ended */
    int64_t last_commit_took_ns;
    int64_t retry_ms; /* backoff in force; 0: none */
    int64_t retry_at_ns;
    int64_t recoveries_from; /* commit.recoveries at the start of this minute */
    int64_t minute_began_ns;
    bool joined;    /* the group has assigned partitions, perhaps none */
    bool processed; /* the last round found something to process */
    bool failed;    /* a callback inside poll failed: nothing may be committed when closing */
};

/* ---- workers ---- */

static struct worker *find_worker(const struct stream_thread *thread, int subtopology, int32_t partition)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        if (worker_subtopology(worker) == subtopology && worker_partition(worker) == partition) {
            return worker;
        }
    }
    return NULL;
}

static void drop_worker(struct stream_thread *thread, struct worker *worker)
{
    restorer_cancel(thread->restorer, worker);
    for (size_t i = 0; i < thread->worker_count; i++) {
        if (thread->workers[i] == worker) {
            thread->workers[i] = thread->workers[--thread->worker_count];
            break;
        }
    }
    log_event(LOG_INFO, "worker closed", log_text("app", thread->config.settings->id),
              log_text("worker", worker_name(worker)), log_number("thread", thread->config.thread));
    worker_close(worker);
}

static void drop_all_workers(struct stream_thread *thread)
{
    while (thread->worker_count > 0) {
        drop_worker(thread, thread->workers[thread->worker_count - 1]);
    }
}

static int make_directory(const char *path, struct err *err)
{
    if (mkdir(path, 0700) && errno != EEXIST) {
        return err_set(err, ERR_FATAL, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO,
                       "The directory %s for state can't be made: %s.", path, strerror(errno));
    }
    return 0;
}

static int open_worker(struct stream_thread *thread, int subtopology, int32_t partition, struct worker **worker,
                       struct err *err)
{
    char name[256];
    char *directory = NULL;
    if (thread->config.state_directory &&
        worker_directory_name(thread->config.graph, subtopology, partition, name, sizeof(name))) {
        directory = memory_format("%s/%s", thread->config.state_directory, name);
    }
    struct worker_config config = {
        .settings = thread->config.settings,
        .program = thread->config.program,
        .graph = thread->config.graph,
        .plan = thread->config.plan,
        .stores = thread->config.stores,
        .state_directory = directory,
        .cache_bytes = thread->config.cache_bytes,
        .session = thread->session,
        .transport = thread->transport,
        .clock = thread->config.clock,
        .subtopology = subtopology,
        .partition = partition,
    };
    int result = (directory && make_directory(directory, err)) || worker_open(&config, worker, err) ? -1 : 0;
    free(directory);
    return result;
}

static int add_worker(struct stream_thread *thread, int subtopology, int32_t partition, struct worker **worker,
                      struct err *err)
{
    if (open_worker(thread, subtopology, partition, worker, err)) {
        return -1;
    }
    thread->workers =
        memory_grow(thread->workers, thread->worker_count, &thread->worker_capacity, sizeof(*thread->workers));
    thread->workers[thread->worker_count++] = *worker;
    log_event(LOG_INFO, "worker opened", log_text("app", thread->config.settings->id),
              log_text("worker", worker_name(*worker)), log_number("thread", thread->config.thread));
    return 0;
}

/* ---- committing ---- */

static enum commit_step run_commit(struct stream_thread *thread, struct err *err)
{
    int64_t began = clock_monotonic_ns(thread->config.clock);
    enum commit_step end = commit_run(&thread->commit, thread->workers, thread->worker_count, err);
    thread->last_commit_ns = clock_monotonic_ns(thread->config.clock);
    thread->last_commit_took_ns = thread->last_commit_ns - began;
    if (end == COMMIT_DONE) {
        metric_add(thread->metrics, METRIC_COMMITS, 1);
        metric_add(thread->metrics, METRIC_COMMIT_NS, thread->last_commit_took_ns);
    }
    return end;
}

/* ---- assignment ---- */

/* A pattern may match topics that the app itself keeps, its changelogs: they are in the group's assignment, and not
 * read. */
static bool is_read(const struct stream_thread *thread, const struct assigned *assigned)
{
    return topic_plan_reader(thread->config.plan, assigned->topic, NULL) >= 0;
}

/* A worker kept from before an eager rebalance is used again when the group still stands where it committed. */
static int worker_for(struct stream_thread *thread, const struct assigned *assigned, struct worker **worker,
                      struct err *err)
{
    int subtopology = topic_plan_reader(thread->config.plan, assigned->topic, NULL);
    *worker = find_worker(thread, subtopology, assigned->partition);
    if (*worker && !worker_agrees(*worker, assigned)) {
        drop_worker(thread, *worker);
        *worker = NULL;
    }
    return *worker ? 0 : add_worker(thread, subtopology, assigned->partition, worker, err);
}

static bool is_assigned(const struct stream_thread *thread, const struct worker *worker, const struct assigned *list,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].partition == worker_partition(worker) &&
            topic_plan_reader(thread->config.plan, list[i].topic, NULL) == worker_subtopology(worker)) {
            return true;
        }
    }
    return false;
}

static void drop_unassigned(struct stream_thread *thread, const struct assigned *list, size_t count)
{
    for (size_t i = thread->worker_count; i-- > 0;) {
        if (!is_assigned(thread, thread->workers[i], list, count)) {
            drop_worker(thread, thread->workers[i]);
        }
    }
}

static int run_worker(struct stream_thread *thread, struct worker *worker, struct err *err)
{
    if (worker_start(worker, err)) {
        return -1;
    }
    worker_set_state(worker, WORKER_RUNNING);
    log_event(LOG_INFO, "worker runs", log_text("app", thread->config.settings->id),
              log_text("worker", worker_name(worker)), log_number("thread", thread->config.thread));
    return 0;
}

static int begin_worker(struct stream_thread *thread, struct worker *worker, struct err *err)
{
    bool finished;
    if (restorer_start(thread->restorer, worker, &finished, err)) {
        return -1;
    }
    if (finished) {
        return run_worker(thread, worker, err);
    }
    worker_set_state(worker, WORKER_RESTORING);
    return worker_pause(worker, true, err);
}

static int open_workers(struct stream_thread *thread, const struct assigned *list, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct worker *worker;
        if (is_read(thread, &list[i]) && worker_for(thread, &list[i], &worker, err)) {
            return -1;
        }
    }
    for (size_t i = 0; i < thread->worker_count; i++) {
        worker_clear_inputs(thread->workers[i]);
    }
    return 0;
}

static int tie_inputs(struct stream_thread *thread, const struct assigned *list, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_read(thread, &list[i])) {
            if (thread->transport->pause(thread->session, list[i].input, true, err)) {
                return -1;
            }
            continue;
        }
        struct worker *worker;
        if (worker_for(thread, &list[i], &worker, err) || worker_add_input(worker, &list[i], err)) {
            return -1;
        }
    }
    return 0;
}

static int begin_workers(struct stream_thread *thread, struct err *err)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        if (worker_state(worker) == WORKER_CREATED && begin_worker(thread, worker, err)) {
            return -1;
        }
    }
    return 0;
}

static int on_assigned(void *self, const struct assigned *list, size_t count, struct err *err)
{
    struct stream_thread *thread = self;
    drop_unassigned(thread, list, count);
    if (open_workers(thread, list, count, err) || tie_inputs(thread, list, count, err) || begin_workers(thread, err)) {
        thread->failed = true;
        return -1;
    }
    thread->joined = true;
    log_event(LOG_INFO, "partitions assigned", log_text("app", thread->config.settings->id),
              log_number("thread", thread->config.thread), log_number("partitions", (int64_t)count),
              log_number("workers", (int64_t)thread->worker_count));
    return 0;
}

/* Nothing of these workers may be committed any more: what they did is aborted, their stores are judged at the next
 * open. */
static void abandon_workers(struct stream_thread *thread)
{
    struct err ignored; /* a producer that can't abort is found and recovered by the next commit */
    thread->transport->abort(thread->session, &ignored);
    commit_reset(&thread->commit);
    thread->dirty_since_ns = 0;
    drop_all_workers(thread);
}

static int on_revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *err)
{
    struct stream_thread *thread = self;
    (void)list;
    log_event(LOG_INFO, lost ? "partitions lost" : "partitions revoked", log_text("app", thread->config.settings->id),
              log_number("thread", thread->config.thread), log_number("partitions", (int64_t)count));
    if (lost || thread->failed || run_commit(thread, err) != COMMIT_DONE) {
        abandon_workers(thread);
        return 0;
    }
    thread->dirty_since_ns = 0;
    for (size_t i = thread->worker_count; i-- > 0;) {
        if (worker_state(thread->workers[i]) == WORKER_RUNNING) {
            worker_suspend(thread->workers[i]);
        } else {
            drop_worker(thread, thread->workers[i]);
        }
    }
    return 0;
}

/* ---- opening and closing ---- */

static void wake_thread(void *self)
{
    struct stream_thread *thread = self;
    thread->transport->wake(thread->session);
}

static int open_session(struct stream_thread *thread, struct err *err)
{
    const struct app_settings *settings = thread->config.settings;
    struct session_config config = {
        .app = settings->id,
        .thread = thread->config.thread,
        .threads = thread->config.threads,
        .instance = thread->config.instance,
        .transactional = settings->guarantee == GUARANTEE_EXACTLY_ONCE,
        .dynamic_member = settings->member == MEMBER_DYNAMIC,
        .stay = thread->config.stay,
        .commit_timeout_ms = settings->transaction_timeout_ms,
        .max_poll_interval_ms = settings->max_poll_interval_ms,
        .self = thread,
        .assigned = on_assigned,
        .revoked = on_revoked,
    };
    config.subscriptions = topic_plan_subscriptions(thread->config.plan, &config.subscription_count);
    return thread->transport->session_open(thread->config.transport, &config, &thread->session, err);
}

static struct metric_set *open_metrics(const struct stream_thread_config *config)
{
    char labels[256];
    snprintf(labels, sizeof(labels), "app=\"%s\",thread=\"%d\"", config->settings->id, config->thread);
    return metric_set_new(labels);
}

static void free_thread(struct stream_thread *thread)
{
    if (thread->restorer) {
        restorer_close(thread->restorer);
    }
    commit_free(&thread->commit);
    metric_set_free(thread->metrics);
    free(thread->workers);
    free(thread);
}

int stream_thread_open(const struct stream_thread_config *config, struct stream_thread **result, struct err *err)
{
    struct stream_thread *thread = memory_alloc(sizeof(*thread));
    thread->config = *config;
    thread->transport = config->transport->class;
    thread->metrics = open_metrics(config);
    struct restorer_config restorer = {
        .transport = config->transport,
        .stores = config->stores,
        .clock = config->clock,
        .thread = !config->restore_inline,
        .wake = wake_thread,
        .self = thread,
    };
    if (restorer_open(&restorer, &thread->restorer, err) || open_session(thread, err)) {
        drop_all_workers(thread);
        free_thread(thread);
        return -1;
    }
    commit_init(&thread->commit, thread->transport, thread->session, config->clock);
    thread->minute_began_ns = clock_monotonic_ns(config->clock);
    *result = thread;
    return 0;
}

int stream_thread_close(struct stream_thread *thread, struct err *err)
{
    int result = thread->failed ? 0 : stream_thread_commit(thread, err);
    thread->transport->session_close(thread->session);
    drop_all_workers(thread);
    free_thread(thread);
    return result;
}

/* ---- the phases of a round ---- */

static int take_restored(struct stream_thread *thread, bool *worked, struct err *err)
{
    struct worker *worker;
    int result;
    while ((worker = restorer_finished(thread->restorer, &result, err))) {
        *worked = true;
        if (result || run_worker(thread, worker, err) || worker_pause(worker, false, err)) {
            return -1;
        }
    }
    return 0;
}

static void note_work(struct stream_thread *thread, bool *worked)
{
    *worked = true;
    if (thread->dirty_since_ns == 0) {
        thread->dirty_since_ns = clock_monotonic_ns(thread->config.clock) | 1;
    }
}

static int process_some(struct stream_thread *thread, bool *worked, struct err *err)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        int processed = 0;
        if (worker_state(worker) == WORKER_RUNNING && worker_process(worker, PROCESS_ROUND, &processed, err)) {
            return -1;
        }
        if (processed > 0) {
            thread->processed = true;
            note_work(thread, worked);
        }
    }
    return 0;
}

static int punctuate(struct stream_thread *thread, bool *worked, struct err *err)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        int fired = 0;
        if (worker_state(worker) == WORKER_RUNNING && worker_punctuate(worker, &fired, err)) {
            return -1;
        }
        if (fired > 0) {
            note_work(thread, worked);
        }
    }
    return 0;
}

/* Decision 10: when the inputs are drained, at the latest by time, count or bytes; not more often than commit_min_ms
 * and never spending more than half of the time in commits. */
static bool commit_due(struct stream_thread *thread, bool drained)
{
    const struct app_settings *settings = thread->config.settings;
    if (thread->dirty_since_ns == 0) {
        return false;
    }
    int64_t now = clock_monotonic_ns(thread->config.clock);
    int64_t records = 0, bytes = 0;
    for (size_t i = 0; i < thread->worker_count; i++) {
        records += worker_uncommitted_records(thread->workers[i]);
        bytes += worker_uncommitted_bytes(thread->workers[i]);
    }
    if (now - thread->dirty_since_ns >= settings->commit_ms * NS_PER_MS || records >= settings->commit_records ||
        bytes >= settings->commit_bytes) {
        return true;
    }
    int64_t pause = settings->commit_min_ms * NS_PER_MS;
    pause = thread->last_commit_took_ns > pause ? thread->last_commit_took_ns : pause;
    return drained && now - thread->last_commit_ns >= pause;
}

static void back_off(struct stream_thread *thread, const struct err *err)
{
    int64_t next = thread->retry_ms * 2;
    thread->retry_ms = thread->retry_ms == 0 ? RETRY_FIRST_MS : next > RETRY_LAST_MS ? RETRY_LAST_MS : next;
    thread->retry_at_ns = clock_monotonic_ns(thread->config.clock) + thread->retry_ms * NS_PER_MS;
    log_event(LOG_WARN, "commit waits", log_text("app", thread->config.settings->id),
              log_number("thread", thread->config.thread), log_number("retry_ms", thread->retry_ms),
              log_text("reason", err->text));
}

static int limit_recoveries(struct stream_thread *thread, struct err *err)
{
    int64_t now = clock_monotonic_ns(thread->config.clock);
    if (now - thread->minute_began_ns > 60000 * NS_PER_MS) {
        thread->minute_began_ns = now;
        thread->recoveries_from = thread->commit.recoveries;
    }
    if (thread->commit.recoveries - thread->recoveries_from > RECOVERIES_PER_MINUTE) {
        thread->failed = true;
        return err_wrap(err, "recovering more than %d times in a minute", RECOVERIES_PER_MINUTE);
    }
    return 0;
}

/* A store that could not follow a commit is opened again and replays what it lacks; it never goes on in memory. */
static int report_broken(const struct worker *broken, struct err *err)
{
    log_event(LOG_ERROR, "state could not follow a commit", log_text("worker", worker_name(broken)),
              log_text("reason", err->text));
    err->class = ERR_FENCED;
    return err_wrap(err, "committing the state of worker %s, which is opened again", worker_name(broken));
}

/* Ownership is gone, or a store must be opened again: drop everything and join anew, which judges every store. */
static int join_again(struct stream_thread *thread, const struct err *reason, struct err *err)
{
    log_event(LOG_WARN, "thread joins again", log_text("app", thread->config.settings->id),
              log_number("thread", thread->config.thread), log_text("reason", reason->text));
    thread->failed = true; /* nothing of this membership may be committed any more */
    thread->transport->session_close(thread->session);
    drop_all_workers(thread);
    thread->failed = false;
    thread->dirty_since_ns = 0;
    commit_free(&thread->commit);
    if (open_session(thread, err)) {
        return -1;
    }
    int64_t recoveries = thread->commit.recoveries + 1;
    commit_init(&thread->commit, thread->transport, thread->session, thread->config.clock);
    thread->commit.recoveries = recoveries;
    return limit_recoveries(thread, err);
}

static int after_commit(struct stream_thread *thread, enum commit_step end, struct err *err)
{
    if (end != COMMIT_WAITING) {
        thread->retry_ms = 0;
    }
    switch (end) {
    case COMMIT_DONE:
        thread->dirty_since_ns = 0;
        return 0;
    case COMMIT_WAITING:
        back_off(thread, err);
        return limit_recoveries(thread, err);
    case COMMIT_REWOUND:
        thread->dirty_since_ns = 0;
        metric_add(thread->metrics, METRIC_ABORTS, 1);
        log_event(LOG_WARN, "transaction aborted, going back", log_text("app", thread->config.settings->id),
                  log_number("thread", thread->config.thread), log_text("reason", err->text));
        return limit_recoveries(thread, err);
    case COMMIT_BROKEN:
        return report_broken(thread->commit.broken, err);
    case COMMIT_LOST:
        err->class = ERR_FENCED;
        return -1;
    default:
        thread->failed = true;
        err->class = ERR_FATAL;
        return -1;
    }
}

int stream_thread_commit(struct stream_thread *thread, struct err *err)
{
    return after_commit(thread, run_commit(thread, err), err);
}

/* What a failed phase asks for; 0: the thread goes on. */
static int treat_failure(struct stream_thread *thread, struct err *err)
{
    if (err->class == ERR_ABORT || err->class == ERR_UNKNOWN || err->class == ERR_RETRY) {
        enum commit_step end = commit_abort(&thread->commit, thread->workers, thread->worker_count, err);
        if (after_commit(thread, end, err) == 0) {
            return 0;
        }
    }
    if (err->class == ERR_FENCED) {
        struct err reason = *err;
        return join_again(thread, &reason, err);
    }
    thread->failed = true;
    return -1;
}

static bool all_drained(struct stream_thread *thread)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        if (worker_state(thread->workers[i]) == WORKER_RUNNING && !worker_drained(thread->workers[i])) {
            return false;
        }
    }
    return true;
}

/* How long poll may sleep: until the next commit is due when something waits for it, else the whole timeout. */
static int poll_timeout(const struct stream_thread *thread, int timeout_ms)
{
    if (thread->processed && !commit_waiting(&thread->commit)) {
        return 0;
    }
    int64_t wait = timeout_ms;
    if (thread->retry_ms > 0) {
        wait = (thread->retry_at_ns - clock_monotonic_ns(thread->config.clock)) / NS_PER_MS + 1;
    } else if (thread->dirty_since_ns != 0) {
        wait = thread->config.settings->commit_min_ms;
    }
    wait = wait < 0 ? 0 : wait;
    return (int)(wait < timeout_ms ? wait : timeout_ms);
}

static int phases(struct stream_thread *thread, int timeout_ms, bool *worked, struct err *err)
{
    if (thread->transport->poll(thread->session, poll_timeout(thread, timeout_ms), err) ||
        take_restored(thread, worked, err)) {
        return -1;
    }
    thread->processed = false;
    if (!commit_waiting(&thread->commit)) {
        if (process_some(thread, worked, err) || punctuate(thread, worked, err)) {
            return -1;
        }
        if (!commit_due(thread, all_drained(thread))) {
            return 0;
        }
    } else if (clock_monotonic_ns(thread->config.clock) < thread->retry_at_ns) {
        return 0;
    }
    *worked = true;
    return stream_thread_commit(thread, err);
}

int stream_thread_step(struct stream_thread *thread, int timeout_ms, bool *worked, struct err *err)
{
    *worked = false;
    if (phases(thread, timeout_ms, worked, err) == 0) {
        return 0;
    }
    if (thread->failed) {
        return -1;
    }
    return treat_failure(thread, err);
}

/* ---- what others ask ---- */

bool stream_thread_joined(const struct stream_thread *thread)
{
    return thread->joined;
}

bool stream_thread_idle(struct stream_thread *thread)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        if (worker_state(thread->workers[i]) != WORKER_RUNNING || worker_dirty(thread->workers[i])) {
            return false;
        }
    }
    return all_drained(thread);
}

void stream_thread_wake(struct stream_thread *thread)
{
    wake_thread(thread);
}

int stream_thread_worker_count(const struct stream_thread *thread)
{
    return (int)thread->worker_count;
}

struct worker *stream_thread_worker(struct stream_thread *thread, int index)
{
    return thread->workers[index];
}

bool stream_thread_reached_end(struct stream_thread *thread, const struct position *ends, size_t count)
{
    if (!stream_thread_idle(thread)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t w = 0; w < thread->worker_count; w++) {
            if (!worker_reached(thread->workers[w], &ends[i])) {
                return false;
            }
        }
    }
    return true;
}
