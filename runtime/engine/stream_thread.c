#include "engine/stream_thread.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/stream_thread_int.h"

#define PROCESS_ROUND 1000 /* records of one worker before the others get their turn */
#define REST_FIRST_MS 100  /* after a failure, doubled with each one that follows, up to the last */
#define REST_LAST_MS 5000
#define TROUBLE_GAP_MS 60000     /* failures further apart have nothing to do with each other */
#define RECOVERIES_PER_MINUTE 60 /* more ends the thread: something is wrong beyond repair */
#define REPLACED_LIMIT 3         /* so often within the next, and two processes have one instance id */
#define REPLACED_WITHIN_MS 300000
#define REFRESH_MS 600000
#define TIDY_MS 200
#define NS_PER_MS INT64_C(1000000)

static int64_t now_ns(const struct stream_thread *thread)
{
    return clock_monotonic_ns(thread->config.clock);
}

/* Rounded up: who sleeps so long is not too early. */
static int64_t ms_until(const struct stream_thread *thread, int64_t time_ns)
{
    int64_t left = time_ns - now_ns(thread);
    return left > 0 ? (left + NS_PER_MS - 1) / NS_PER_MS : 0;
}

static void log_thread(const struct stream_thread *thread, enum log_level level, const char *event,
                       const struct err *reason)
{
    log_event(level, event, log_text("app", thread->config.settings->id), log_number("thread", thread->config.thread),
              log_text("reason", reason->text));
}

/* ---- opening and closing ---- */

static void set_sleeper(struct stream_thread *thread, struct session *session)
{
    pthread_mutex_lock(&thread->wake_lock);
    thread->sleeper = session;
    pthread_mutex_unlock(&thread->wake_lock);
}

static void wake(void *self)
{
    struct stream_thread *thread = self;
    pthread_mutex_lock(&thread->wake_lock);
    if (thread->sleeper) {
        thread->transport->wake(thread->sleeper);
    }
    pthread_mutex_unlock(&thread->wake_lock);
}

void stream_thread_on_task(void *self)
{
    wake(self);
}

static bool is_stopping(void *self)
{
    const struct stream_thread *thread = self;
    return thread->config.stopping && thread->config.stopping(thread->config.self);
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
        .assigned = stream_thread_on_assigned,
        .revoked = stream_thread_on_revoked,
        .stopping = is_stopping,
    };
    config.subscriptions = topic_plan_subscriptions(thread->config.plan, &config.subscription_count);
    struct session *session;
    if (thread->transport->session_open(thread->config.transport, &config, &session, err)) {
        return -1;
    }
    int64_t recoveries = thread->commit.recoveries;
    thread->session = session;
    commit_init(&thread->commit, thread->transport, session, thread->config.clock);
    thread->commit.recoveries = recoveries;
    set_sleeper(thread, session);
    return 0;
}

static void close_session(struct stream_thread *thread)
{
    if (!thread->session) {
        return;
    }
    set_sleeper(thread, NULL);
    thread->transport->session_close(thread->session);
    stream_thread_drop_workers(thread);
    commit_free(&thread->commit);
    thread->session = NULL;
    thread->joined = false;
    thread->dirty_since_ns = 0;
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
    globals_close(thread->globals);
    metric_set_free(thread->metrics);
    pthread_mutex_destroy(&thread->wake_lock);
    free(thread->workers);
    free(thread);
}

static int open_globals(struct stream_thread *thread, struct err *err)
{
    const struct stream_thread_config *config = &thread->config;
    struct globals_config globals = {
        .worker = {.settings = config->settings,
                   .program = config->program,
                   .graph = config->graph,
                   .plan = config->plan,
                   .stores = config->stores,
                   .budget = config->budget,
                   .cleaner = config->cleaner,
                   .transport = thread->transport,
                   .clock = config->clock},
        .transport = config->transport,
        .state_directory = config->state_directory,
        .thread = config->thread,
    };
    return globals_open(&globals, &thread->globals, err);
}

/* Global tables are loaded before the group is joined, so that nobody waits for a member that only loads. */
static int open_parts(struct stream_thread *thread, const struct restorer_config *restorer, struct err *err)
{
    if (restorer_open(restorer, &thread->restorer, err) || open_globals(thread, err)) {
        return -1;
    }
    return thread->globals ? 0 : open_session(thread, err);
}

int stream_thread_open(const struct stream_thread_config *config, struct stream_thread **result, struct err *err)
{
    struct stream_thread *thread = memory_alloc(sizeof(*thread));
    thread->config = *config;
    thread->transport = config->transport->class;
    thread->metrics = open_metrics(config);
    pthread_mutex_init(&thread->wake_lock, NULL);
    struct restorer_config restorer = {
        .transport = config->transport,
        .stores = config->stores,
        .clock = config->clock,
        .thread = !config->restore_inline,
        .wake = wake,
        .self = thread,
    };
    if (open_parts(thread, &restorer, err)) {
        free_thread(thread);
        return -1;
    }
    thread->minute_began_ns = now_ns(thread);
    thread->refresh_at_ns = thread->minute_began_ns + REFRESH_MS * NS_PER_MS;
    thread->commit_due_ns = INT64_MAX;
    *result = thread;
    return 0;
}

/* The last commit. One that is aborted or fenced loses nothing: its records are processed again at the next start. */
static int drain(struct stream_thread *thread, struct err *err)
{
    if (thread->failed || thread->leave || !thread->session) {
        return 0;
    }
    FAILPOINT(DRAIN);
    int64_t waited_ms = 0;
    enum commit_step end = stream_thread_run_commit(thread, err);
    while (end == COMMIT_WAITING && waited_ms < thread->config.settings->drain_ms / 2) {
        clock_sleep_ms(REST_FIRST_MS);
        waited_ms += REST_FIRST_MS;
        end = stream_thread_run_commit(thread, err);
    }
    if (end == COMMIT_REWOUND || end == COMMIT_LOST) {
        log_thread(thread, LOG_WARN, "the last commit was aborted", err);
    }
    thread->failed = end != COMMIT_DONE;
    return end == COMMIT_DONE || end == COMMIT_REWOUND || end == COMMIT_LOST ? 0 : -1;
}

int stream_thread_close(struct stream_thread *thread, struct err *err)
{
    int result = drain(thread, err);
    close_session(thread);
    free_thread(thread);
    return result;
}

/* ---- failures ---- */

static bool resting(const struct stream_thread *thread)
{
    return thread->trouble.rest_until_ns != 0;
}

static int give_up(struct stream_thread *thread, struct err *err)
{
    thread->failed = true;
    err->class = ERR_FATAL;
    return -1;
}

/* While a thread rests, records that it has no use for don't wake it. */
static int pause_workers(struct stream_thread *thread, bool paused, struct err *err)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        if (worker_state(worker) == WORKER_RUNNING && worker_pause(worker, paused, err)) {
            return -1;
        }
    }
    return 0;
}

static int rest(struct stream_thread *thread, int64_t rest_ms, struct err *err)
{
    thread->trouble.rest_until_ns = now_ns(thread) + rest_ms * NS_PER_MS;
    return pause_workers(thread, true, err);
}

static int end_rest(struct stream_thread *thread, struct err *err)
{
    thread->trouble.rest_until_ns = 0;
    return pause_workers(thread, false, err);
}

static int64_t rest_after(int failures)
{
    int64_t rest_ms = REST_FIRST_MS;
    while (--failures > 0 && rest_ms < REST_LAST_MS) {
        rest_ms *= 2;
    }
    return rest_ms < REST_LAST_MS ? rest_ms : REST_LAST_MS;
}

/* Counts a failure that `err` tells of and rests before the next attempt; the first one `at_once` needs no rest. What
 * does not go away within max_poll_interval_ms ends the thread, unless brokers are away: they are waited for. */
static int note_failure(struct stream_thread *thread, bool at_once, struct err *err)
{
    struct stream_trouble *trouble = &thread->trouble;
    int64_t now = now_ns(thread);
    if (trouble->failures == 0 || now - trouble->last_ns > TROUBLE_GAP_MS * NS_PER_MS) {
        *trouble = (struct stream_trouble){.began_ns = now};
    }
    trouble->last_ns = now;
    trouble->failures++;
    int64_t limit_ms = thread->config.settings->max_poll_interval_ms;
    if (err->code != ERR_UNREACHABLE && now - trouble->began_ns > limit_ms * NS_PER_MS) {
        err_wrap(err, "trying again for %lld s", (long long)(limit_ms / 1000));
        return give_up(thread, err);
    }
    int failures = trouble->failures - at_once;
    return failures > 0 ? rest(thread, rest_after(failures), err) : 0;
}

static void count_error(struct stream_thread *thread, const struct err *err)
{
    char labels[64];
    snprintf(labels, sizeof(labels), "code=\"%s\"", err_code_name(err->code));
    metric_value_add(metric_labelled(thread->metrics, METRIC_ERRORS, labels), 1);
}

static int limit_recoveries(struct stream_thread *thread, struct err *err)
{
    int64_t now = now_ns(thread);
    if (now - thread->minute_began_ns > 60000 * NS_PER_MS) {
        thread->minute_began_ns = now;
        thread->recoveries_from = thread->commit.recoveries;
    }
    if (thread->commit.recoveries - thread->recoveries_from > RECOVERIES_PER_MINUTE) {
        err_wrap(err, "recovering more than %d times in a minute", RECOVERIES_PER_MINUTE);
        return give_up(thread, err);
    }
    return 0;
}

/* Once may be a late answer to a request of this very member. Again and again, two processes have one instance id, and
 * would put each other out for ever. */
static int limit_replacements(struct stream_thread *thread, struct err *err)
{
    if (err->code != ERR_LOCKED) {
        return 0;
    }
    int64_t now = now_ns(thread);
    if (now - thread->replaced_since_ns > REPLACED_WITHIN_MS * NS_PER_MS) {
        thread->replaced_since_ns = now;
        thread->replaced = 0;
    }
    if (++thread->replaced < REPLACED_LIMIT) {
        return 0;
    }
    err_set(
        err, ERR_FATAL, ERR_LOCKED,
        "Another process is a member of the group of %s with the instance id %d-%s of this one: it put this one out "
        "%d times. If the state directory was copied, delete the file \"instance\" in the copy.",
        thread->config.settings->id, thread->config.thread, thread->config.instance, REPLACED_LIMIT);
    return give_up(thread, err);
}

/* Ownership is gone, or a store must be opened again: drop everything and join anew, which judges every store. */
static int join_again(struct stream_thread *thread, struct err *err)
{
    log_thread(thread, LOG_WARN, "thread joins again", err);
    thread->leave = true;
    close_session(thread);
    thread->leave = false;
    thread->commit.recoveries++;
    bool goes_on =
        !limit_replacements(thread, err) && !limit_recoveries(thread, err) && !note_failure(thread, true, err);
    return goes_on ? 0 : -1;
}

/* A thread without a session opens one, once it has rested. */
static int open_again(struct stream_thread *thread, int timeout_ms, struct err *err)
{
    int64_t left = resting(thread) ? ms_until(thread, thread->trouble.rest_until_ns) : 0;
    if (left > 0) {
        clock_sleep_ms(left < timeout_ms ? left : timeout_ms);
        return 0;
    }
    thread->trouble.rest_until_ns = 0;
    if (open_session(thread, err) == 0) {
        return 0;
    }
    log_thread(thread, LOG_WARN, "the group can't be joined", err);
    count_error(thread, err);
    bool final = err->class == ERR_FATAL && err->code != ERR_UNREACHABLE;
    return final ? give_up(thread, err) : note_failure(thread, false, err);
}

/* ---- committing ---- */

enum commit_step stream_thread_run_commit(struct stream_thread *thread, struct err *err)
{
    bool something = thread->dirty_since_ns != 0 || commit_waiting(&thread->commit);
    int64_t began = now_ns(thread);
    enum commit_step end = commit_run(&thread->commit, thread->workers, thread->worker_count, err);
    thread->last_commit_ns = now_ns(thread);
    thread->last_commit_took_ns = thread->last_commit_ns - began;
    if (end == COMMIT_DONE && something) {
        metric_add(thread->metrics, METRIC_COMMITS, 1);
        metric_add(thread->metrics, METRIC_COMMIT_NS, thread->last_commit_took_ns);
        thread->trouble.failures = 0;
    }
    return end;
}

/* A store that could not follow a commit is opened again and replays what it lacks; it never goes on in memory. */
static int report_broken(const struct worker *broken, struct err *err)
{
    log_event(LOG_WARN, "state could not follow a commit", log_text("worker", worker_name(broken)),
              log_text("reason", err->text));
    err->class = ERR_FENCED;
    return -1;
}

static int after_commit(struct stream_thread *thread, enum commit_step end, struct err *err)
{
    if (end != COMMIT_WAITING) {
        thread->dirty_since_ns = 0;
    }
    switch (end) {
    case COMMIT_DONE:
        return 0;
    case COMMIT_WAITING:
        count_error(thread, err);
        log_thread(thread, LOG_WARN, "commit waits", err);
        return limit_recoveries(thread, err) || note_failure(thread, false, err) ? -1 : 0;
    case COMMIT_REWOUND:
        count_error(thread, err);
        metric_add(thread->metrics, METRIC_ABORTS, 1);
        log_thread(thread, LOG_WARN, "transaction aborted, going back", err);
        return limit_recoveries(thread, err) || note_failure(thread, true, err) ? -1 : 0;
    case COMMIT_BROKEN:
        return report_broken(thread->commit.broken, err);
    case COMMIT_LOST:
        metric_add(thread->metrics, METRIC_ABORTS, 1);
        err->class = ERR_FENCED;
        return -1;
    default:
        return give_up(thread, err);
    }
}

int stream_thread_commit(struct stream_thread *thread, struct err *err)
{
    return thread->session ? after_commit(thread, stream_thread_run_commit(thread, err), err) : 0;
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
    count_error(thread, err);
    if (thread->failed) {
        return -1;
    }
    return err->class == ERR_FENCED ? join_again(thread, err) : give_up(thread, err);
}

/* ---- the phases of a round ---- */

/* A worker whose state could not be restored is opened again like one whose store could not follow a commit. */
static int take_restored(struct stream_thread *thread, bool *worked, struct err *err)
{
    struct worker *worker;
    int result;
    while ((worker = restorer_finished(thread->restorer, &result, err))) {
        *worked = true;
        if (result || stream_thread_run_worker(thread, worker, err) || worker_pause(worker, false, err)) {
            err->class = err->class == ERR_FATAL ? ERR_FATAL : ERR_FENCED;
            return -1;
        }
    }
    return 0;
}

static void note_work(struct stream_thread *thread, bool *worked)
{
    *worked = true;
    if (thread->dirty_since_ns == 0) {
        thread->dirty_since_ns = now_ns(thread) | 1;
    }
}

/* Each worker gets its turn; when that takes longer than a commit may wait, the others come first next time. */
static int process_some(struct stream_thread *thread, bool *worked, struct err *err)
{
    int64_t began = now_ns(thread);
    size_t first = thread->turn;
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[(first + i) % thread->worker_count];
        int processed = 0;
        int result =
            worker_state(worker) == WORKER_RUNNING ? worker_process(worker, PROCESS_ROUND, &processed, err) : 0;
        if (processed > 0) {
            thread->processed = true;
            note_work(thread, worked);
        }
        if (result) {
            return -1;
        }
        if (processed > 0 && now_ns(thread) - began > thread->config.settings->commit_ms * NS_PER_MS) {
            thread->turn = (first + i + 1) % thread->worker_count;
            break;
        }
    }
    return 0;
}

static int punctuate(struct stream_thread *thread, bool *worked, struct err *err)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        int fired = 0;
        int result = worker_state(worker) == WORKER_RUNNING ? worker_punctuate(worker, &fired, err) : 0;
        if (fired > 0) {
            note_work(thread, worked);
        }
        if (result) {
            return -1;
        }
    }
    return 0;
}

static bool all_drained(struct stream_thread *thread, bool or_waiting)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        if (worker_state(worker) == WORKER_RUNNING && !worker_drained(worker) &&
            !(or_waiting && worker_waits(worker))) {
            return false;
        }
    }
    return true;
}

/* Operators may change their stores while they are opened. */
static bool any_dirty(const struct stream_thread *thread)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        if (worker_state(thread->workers[i]) == WORKER_RUNNING && worker_dirty(thread->workers[i])) {
            return true;
        }
    }
    return false;
}

/* Decision 10: when the inputs are drained or what is left waits for the clock, at the latest by time, count or bytes;
 * not more often than commit_min_ms and never spending more than half of the time in commits. */
static int64_t commit_due(struct stream_thread *thread)
{
    const struct app_settings *settings = thread->config.settings;
    if (thread->dirty_since_ns == 0 && !any_dirty(thread)) {
        return INT64_MAX;
    }
    if (thread->dirty_since_ns == 0) {
        thread->dirty_since_ns = now_ns(thread) | 1;
    }
    int64_t records = 0, bytes = 0;
    for (size_t i = 0; i < thread->worker_count; i++) {
        records += worker_uncommitted_records(thread->workers[i]);
        bytes += worker_uncommitted_bytes(thread->workers[i]);
    }
    if (records >= settings->commit_records || bytes >= settings->commit_bytes) {
        return 0;
    }
    int64_t latest = thread->dirty_since_ns + settings->commit_ms * NS_PER_MS;
    int64_t pause = settings->commit_min_ms * NS_PER_MS;
    pause = thread->last_commit_took_ns > pause ? thread->last_commit_took_ns : pause;
    int64_t drained = thread->last_commit_ns + pause;
    return drained < latest && all_drained(thread, true) ? drained : latest;
}

/* The rule on the age of state counts from a meta row that idle workers write anew now and then. */
static int refresh_stores(struct stream_thread *thread, struct err *err)
{
    if (now_ns(thread) < thread->refresh_at_ns) {
        return 0;
    }
    thread->refresh_at_ns = now_ns(thread) + REFRESH_MS * NS_PER_MS;
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        if (worker_state(worker) == WORKER_RUNNING && worker_refresh_store(worker, err)) {
            return report_broken(worker, err);
        }
    }
    return 0;
}

/* Stores that have nothing to commit give memory up for those that need it. */
static void tidy_stores(struct stream_thread *thread)
{
    if (now_ns(thread) < thread->tidy_at_ns) {
        return;
    }
    thread->tidy_at_ns = now_ns(thread) + TIDY_MS * NS_PER_MS;
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        if (worker_state(worker) == WORKER_RUNNING && worker_stores(worker)) {
            thread->config.stores->tidy(worker_stores(worker));
        }
    }
    if (thread->globals) {
        thread->config.stores->tidy(globals_stores(thread->globals));
    }
}

/* How long poll may sleep when no records come: until something else is due. */
static int poll_timeout(const struct stream_thread *thread, int timeout_ms)
{
    int64_t wait = timeout_ms;
    if (resting(thread)) {
        int64_t left = ms_until(thread, thread->trouble.rest_until_ns);
        return (int)(left < wait ? left : wait);
    }
    if (thread->processed || thread->following) {
        return 0;
    }
    if (thread->commit_due_ns != INT64_MAX) {
        int64_t left = ms_until(thread, thread->commit_due_ns);
        wait = left < wait ? left : wait;
    }
    for (size_t i = 0; i < thread->worker_count && wait > 0; i++) {
        bool runs = worker_state(thread->workers[i]) == WORKER_RUNNING;
        int64_t left = runs ? worker_idle_ms(thread->workers[i]) : INT64_MAX;
        wait = left < wait ? left : wait;
    }
    return (int)wait;
}

static int follow_globals(struct stream_thread *thread, int timeout_ms, bool *worked, struct err *err)
{
    size_t applied;
    if (globals_follow(thread->globals, timeout_ms, &applied, err)) {
        return give_up(thread, err);
    }
    thread->following = applied > 0;
    *worked = *worked || applied > 0;
    return 0;
}

static int work(struct stream_thread *thread, bool *worked, struct err *err)
{
    thread->processed = false;
    tidy_stores(thread);
    if (follow_globals(thread, 0, worked, err) || process_some(thread, worked, err) || punctuate(thread, worked, err) ||
        refresh_stores(thread, err)) {
        return -1;
    }
    thread->commit_due_ns = commit_due(thread);
    if (now_ns(thread) < thread->commit_due_ns) {
        return 0;
    }
    *worked = true;
    thread->commit_due_ns = INT64_MAX;
    return stream_thread_commit(thread, err);
}

static int phases(struct stream_thread *thread, int timeout_ms, bool *worked, struct err *err)
{
    int result = thread->transport->poll(thread->session, poll_timeout(thread, timeout_ms), err);
    FAILPOINT(POLLED);
    if (thread->failed || thread->leave) {
        *err = thread->reason;
        err->class = thread->failed ? ERR_FATAL : ERR_FENCED;
        return -1;
    }
    if (result || take_restored(thread, worked, err)) {
        return -1;
    }
    if (resting(thread)) {
        if (ms_until(thread, thread->trouble.rest_until_ns) > 0) {
            return 0;
        }
        if (end_rest(thread, err)) {
            return -1;
        }
    }
    if (commit_waiting(&thread->commit)) {
        *worked = true;
        return stream_thread_commit(thread, err);
    }
    return work(thread, worked, err);
}

int stream_thread_step(struct stream_thread *thread, int timeout_ms, bool *worked, struct err *err)
{
    *worked = false;
    if (!globals_loaded(thread->globals)) {
        return follow_globals(thread, timeout_ms, worked, err);
    }
    if (!thread->session) {
        return open_again(thread, timeout_ms, err);
    }
    return phases(thread, timeout_ms, worked, err) == 0 ? 0 : treat_failure(thread, err);
}

/* ---- what others ask ---- */

bool stream_thread_joined(const struct stream_thread *thread)
{
    return thread->joined;
}

static bool all_committed(const struct stream_thread *thread)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        if (worker_state(thread->workers[i]) != WORKER_RUNNING || worker_dirty(thread->workers[i])) {
            return false;
        }
    }
    return thread->joined;
}

bool stream_thread_idle(struct stream_thread *thread)
{
    return all_committed(thread) && all_drained(thread, false);
}

bool stream_thread_waits(struct stream_thread *thread)
{
    return all_committed(thread) && all_drained(thread, true);
}

bool stream_thread_settle(struct stream_thread *thread)
{
    bool settled = thread->globals == NULL || thread->config.stores->settle(globals_stores(thread->globals));
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        if (worker_state(worker) == WORKER_RUNNING && worker_stores(worker)) {
            settled &= thread->config.stores->settle(worker_stores(worker));
        }
    }
    return settled;
}

void stream_thread_wake(struct stream_thread *thread)
{
    wake(thread);
}

int64_t stream_thread_departed_records(const struct stream_thread *thread)
{
    return thread->departed_records;
}

int stream_thread_worker_count(const struct stream_thread *thread)
{
    return (int)thread->worker_count;
}

struct worker *stream_thread_worker(struct stream_thread *thread, int index)
{
    return thread->workers[index];
}

struct store_set *stream_thread_globals(const struct stream_thread *thread)
{
    return globals_stores(thread->globals);
}

bool stream_thread_reached(struct stream_thread *thread, const struct position *ends, size_t count)
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
