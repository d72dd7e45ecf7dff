/* The workers of a stream thread, and what the group gives to it and takes away. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/stream_thread_int.h"

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

static void log_worker(const struct stream_thread *thread, const struct worker *worker, const char *event)
{
    log_event(LOG_INFO, event, log_text("app", thread->config.settings->id), log_text("worker", worker_name(worker)),
              log_number("thread", thread->config.thread));
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
    thread->departed_records += worker_records(worker) - worker_uncommitted_records(worker);
    log_worker(thread, worker, "worker closed");
    worker_close(worker);
}

void stream_thread_drop_workers(struct stream_thread *thread)
{
    while (thread->worker_count > 0) {
        drop_worker(thread, thread->workers[thread->worker_count - 1]);
    }
}

/* State of a partition that the plan does not know has no partition of a changelog to go to. */
static int check_partition(const struct stream_thread *thread, int subtopology, int32_t partition, struct err *err)
{
    char name[256];
    int32_t planned = topic_plan_partitions(thread->config.plan, subtopology);
    if (partition < planned ||
        !worker_directory_name(thread->config.graph, subtopology, partition, name, sizeof(name))) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "A topic read by sub-topology %d, which keeps state for %" PRId32 " partitions, has more partitions "
                   "now. Keys would change their place; start over with: tidemill reset --app %s --to-earliest "
                   "--execute",
                   subtopology, planned, thread->config.settings->id);
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
        .budget = thread->config.budget,
        .cleaner = thread->config.cleaner,
        .globals = globals_stores(thread->globals),
        .session = thread->session,
        .transport = thread->transport,
        .log = thread->config.transport,
        .clock = thread->config.clock,
        .subtopology = subtopology,
        .partition = partition,
        .holds_back = thread->config.holds_back,
        .wake = thread->config.no_connectors ? NULL : stream_thread_on_task,
        .self = thread,
        .ends = thread->config.ends,
        .end_count = thread->config.end_count,
    };
    int result = worker_open(&config, worker, err);
    free(directory);
    return result;
}

static int add_worker(struct stream_thread *thread, int subtopology, int32_t partition, struct worker **worker,
                      struct err *err)
{
    if (check_partition(thread, subtopology, partition, err) ||
        open_worker(thread, subtopology, partition, worker, err)) {
        return -1;
    }
    thread->workers =
        memory_grow(thread->workers, thread->worker_count, &thread->worker_capacity, sizeof(*thread->workers));
    thread->workers[thread->worker_count++] = *worker;
    log_worker(thread, *worker, "worker opened");
    FAILPOINT(OPENED);
    return 0;
}

int stream_thread_run_worker(struct stream_thread *thread, struct worker *worker, struct err *err)
{
    if (worker_start(worker, err)) {
        return -1;
    }
    worker_set_state(worker, WORKER_RUNNING);
    log_worker(thread, worker, "worker runs");
    return 0;
}

/* ---- given ---- */

/* A pattern may match topics that the app itself keeps, its changelogs: they are in the group's assignment, and not
 * read. */
static bool is_read(const struct stream_thread *thread, const struct assigned *assigned)
{
    return topic_plan_reader(thread->config.plan, assigned->topic, NULL) >= 0;
}

static struct worker *worker_of(const struct stream_thread *thread, const struct assigned *assigned)
{
    return find_worker(thread, topic_plan_reader(thread->config.plan, assigned->topic, NULL), assigned->partition);
}

static bool is_given(const struct stream_thread *thread, const struct worker *worker, const struct assigned *list,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_read(thread, &list[i]) && worker_of(thread, &list[i]) == worker) {
            return true;
        }
    }
    return false;
}

/* Workers that were kept over a rebalance and whose partitions went elsewhere. */
static void drop_suspended(struct stream_thread *thread, const struct assigned *list, size_t count)
{
    for (size_t i = thread->worker_count; i-- > 0;) {
        struct worker *worker = thread->workers[i];
        if (worker_suspended(worker) && !is_given(thread, worker, list, count)) {
            drop_worker(thread, worker);
        }
    }
}

/* A worker kept from before is used again when the group still stands where it committed. */
static int need_worker(struct stream_thread *thread, const struct assigned *assigned, struct err *err)
{
    struct worker *worker = worker_of(thread, assigned);
    if (worker && worker_suspended(worker) && !worker_agrees(worker, assigned)) {
        drop_worker(thread, worker);
        worker = NULL;
    }
    return worker ? 0
                  : add_worker(thread, topic_plan_reader(thread->config.plan, assigned->topic, NULL),
                               assigned->partition, &worker, err);
}

static int need_workers(struct stream_thread *thread, const struct assigned *list, size_t count, struct err *err)
{
    drop_suspended(thread, list, count);
    for (size_t i = 0; i < count; i++) {
        if (is_read(thread, &list[i]) && need_worker(thread, &list[i], err)) {
            return -1;
        }
    }
    for (size_t i = 0; i < thread->worker_count; i++) {
        if (worker_suspended(thread->workers[i])) {
            worker_clear_inputs(thread->workers[i]);
        }
    }
    return 0;
}

static int tie_input(struct stream_thread *thread, const struct assigned *assigned, struct err *err)
{
    if (!is_read(thread, assigned)) {
        return thread->transport->pause(thread->session, assigned->input, true, err);
    }
    struct worker *worker = worker_of(thread, assigned);
    restorer_cancel(thread->restorer, worker); /* judged again, with the new input */
    return worker_add_input(worker, assigned, err);
}

static int begin_worker(struct stream_thread *thread, struct worker *worker, struct err *err)
{
    bool finished;
    if (restorer_start(thread->restorer, worker, &finished, err)) {
        return -1;
    }
    if (finished) {
        return stream_thread_run_worker(thread, worker, err);
    }
    if (worker_state(worker) != WORKER_RESTORING) {
        worker_set_state(worker, WORKER_RESTORING);
    }
    return worker_pause(worker, true, err);
}

/* Workers that are new, and those whose restoring a new input has cut short. */
static int begin_workers(struct stream_thread *thread, struct err *err)
{
    for (size_t i = 0; i < thread->worker_count; i++) {
        struct worker *worker = thread->workers[i];
        bool waits = worker_state(worker) != WORKER_RUNNING && !restorer_has(thread->restorer, worker);
        if (waits && begin_worker(thread, worker, err)) {
            return -1;
        }
    }
    return 0;
}

static int take_given(struct stream_thread *thread, const struct assigned *list, size_t count, struct err *err)
{
    if (need_workers(thread, list, count, err)) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (tie_input(thread, &list[i], err)) {
            return -1;
        }
    }
    return begin_workers(thread, err);
}

/* Nothing of these workers may be committed any more: what they did is aborted, their stores are judged at the next
 * open. */
static void abandon_workers(struct stream_thread *thread)
{
    struct err ignored; /* a producer that can't abort is found and recovered by the next commit */
    thread->transport->abort(thread->session, &ignored);
    commit_reset(&thread->commit);
    thread->dirty_since_ns = 0;
    stream_thread_drop_workers(thread);
}

/* The inputs end with this failure. Brokers that are away and full disks are tried again, by joining anew. */
static int refuse_given(struct stream_thread *thread, const struct err *err)
{
    abandon_workers(thread);
    bool final = err->class == ERR_FATAL && err->code != ERR_UNREACHABLE;
    thread->failed = thread->failed || final;
    thread->leave = true;
    thread->reason = *err;
    return -1;
}

/* The whole assignment after an eager rebalance; what has been added to it after an incremental one. */
int stream_thread_on_assigned(void *self, const struct assigned *list, size_t count, struct err *err)
{
    struct stream_thread *thread = self;
    metric_add(thread->metrics, METRIC_REBALANCES, 1);
    thread->trouble.rest_until_ns = 0;
    FAILPOINT(ASSIGNED);
    if (take_given(thread, list, count, err)) {
        return refuse_given(thread, err);
    }
    thread->joined = true;
    log_event(LOG_INFO, "partitions assigned", log_text("app", thread->config.settings->id),
              log_number("thread", thread->config.thread), log_number("partitions", (int64_t)count),
              log_number("workers", (int64_t)thread->worker_count));
    return 0;
}

/* ---- taken away ---- */

/* Whether these are all inputs that the workers have. */
static bool is_everything(const struct stream_thread *thread, const struct assigned *list, size_t count)
{
    size_t listed = 0, inputs = 0;
    for (size_t i = 0; i < count; i++) {
        listed += is_read(thread, &list[i]);
    }
    for (size_t i = 0; i < thread->worker_count; i++) {
        const struct worker *worker = thread->workers[i];
        inputs += worker_suspended(worker) ? 0 : (size_t)worker_input_count(worker);
    }
    return listed == inputs;
}

/* Running workers stay open for the assignment that follows: most come back. */
static void keep_workers(struct stream_thread *thread)
{
    for (size_t i = thread->worker_count; i-- > 0;) {
        if (worker_state(thread->workers[i]) == WORKER_RUNNING) {
            worker_suspend(thread->workers[i]);
        } else {
            drop_worker(thread, thread->workers[i]);
        }
    }
}

static bool commit_before_revocation(struct stream_thread *thread, struct err *err)
{
    if (stream_thread_run_commit(thread, err) == COMMIT_DONE) {
        thread->dirty_since_ns = 0;
        return true;
    }
    log_event(LOG_WARN, "uncommitted work is given up and done again by the next owner",
              log_text("app", thread->config.settings->id), log_number("thread", thread->config.thread),
              log_text("reason", err->text));
    return false;
}

int stream_thread_on_revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *err)
{
    struct stream_thread *thread = self;
    log_event(LOG_INFO, lost ? "partitions lost" : "partitions revoked", log_text("app", thread->config.settings->id),
              log_number("thread", thread->config.thread), log_number("partitions", (int64_t)count));
    bool everything = is_everything(thread, list, count);
    thread->joined = false;
    if (lost || thread->failed || thread->leave || !commit_before_revocation(thread, err) || !everything) {
        abandon_workers(thread);
    } else {
        keep_workers(thread);
    }
    FAILPOINT(REVOKED);
    if (!everything) { /* a topic was deleted, say: the inputs that stay are asked for anew, with all the rest */
        thread->leave = true;
        err_set(&thread->reason, ERR_FENCED, ERR_TOPIC, "Some of the partitions were taken away.");
    }
    return 0;
}
