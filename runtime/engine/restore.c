#include "engine/restore.h"

#include <ck_pr.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "base/memory.h"

#define BATCH 512 /* records read at once */
#define READ_TIMEOUT_MS 50
#define PROGRESS_RECORDS 200000 /* make restored entries durable after so many */
#define PROGRESS_LOG_NS INT64_C(5000000000)
#define ORDERS 1024

/* One changelog being replayed. */
struct replay {
    struct position from;
    int64_t target; /* high watermark when it began */
    int64_t position;
};

/* One worker being restored. */
struct restoration {
    struct worker *worker;
    struct replay *replays;
    size_t count;
    int64_t since_progress;
    int64_t restored;
    uint64_t remaining; /* ck_pr: written by the restoring thread, read by any */
    uint32_t cancelled; /* ck_pr: written by the stream thread */
    int64_t logged_ns;
    int result;
    struct err err;
};

struct restorer {
    struct restorer_config config;
    struct mailbox *orders;  /* stream thread -> restoring thread: restorations; &stop_order ends it */
    struct mailbox *answers; /* the way back */
    pthread_t thread;
    struct restoration **active; /* of the restoring thread (of the caller without one) */
    size_t active_count;
    size_t active_capacity;
    struct reader *reader;        /* over all replays of all active ones, or NULL */
    struct restoration **pending; /* of the stream thread: handed over and not yet taken back */
    size_t pending_count;
    size_t pending_capacity;
    struct restoration **done; /* of the stream thread: taken back, not yet asked for */
    size_t done_count;
    size_t done_capacity;
};

static struct restoration stop_order;

/* ---- what is found ---- */

/* Reads the first record of a changelog partition: the marker, when nothing has truncated the log since. */
static int read_marker(const struct restorer *restorer, const struct position *changelog, char *generation, size_t size,
                       struct err *err)
{
    struct transport *transport = restorer->config.transport;
    struct position from = {changelog->topic, changelog->partition, OFFSET_BEGINNING, NULL};
    struct reader_config config = {&from, 1, false};
    struct reader *reader;
    if (transport->class->reader_open(transport, &config, &reader, err)) {
        return -1;
    }
    struct record record;
    size_t count = 0;
    int result = transport->class->read(reader, 1000, &record, 1, &count, err);
    generation[0] = '\0';
    if (result == 0 && count == 1 && slice_equal(record.key, restore_marker_key()) && record.value.size < size) {
        memcpy(generation, record.value.data, record.value.size);
        generation[record.value.size] = '\0';
    }
    transport->class->reader_close(reader);
    return result;
}

static int find_changelog(const struct restorer *restorer, struct worker *worker, int index,
                          struct restore_changelog *found, int64_t *delete_retention_ms, struct err *err)
{
    struct transport *transport = restorer->config.transport;
    struct position at;
    worker_changelog(worker, index, &at);
    *found = (struct restore_changelog){.topic = at.topic, .kept = at.offset};
    struct topic_info info;
    if (transport->class->describe_topic(transport, at.topic, &info, err)) {
        return -1;
    }
    found->exists = info.exists;
    *delete_retention_ms = info.config_known ? info.delete_retention_ms : 0;
    if (!info.exists) {
        return 0;
    }
    if (transport->class->watermarks(transport, at.topic, at.partition, &found->low, &found->high, err)) {
        return -1;
    }
    const char *known = worker_changelog_generation(worker, index);
    if (known && found->kept > found->high) {
        char generation[128];
        if (read_marker(restorer, &at, generation, sizeof(generation), err)) {
            return -1;
        }
        found->recreated = generation[0] && strcmp(generation, known) != 0;
    }
    return 0;
}

static enum restore_verdict judge(const struct restorer *restorer, struct worker *worker,
                                  const struct restore_changelog *changelogs, int64_t delete_retention_ms,
                                  struct err *why)
{
    const struct worker_config *config = worker_configuration(worker);
    size_t inputs = (size_t)worker_input_count(worker);
    struct position *committed = memory_alloc(sizeof(*committed) * (inputs + 1));
    for (size_t i = 0; i < inputs; i++) {
        worker_committed(worker, (int)i, &committed[i]);
    }
    struct restore_facts facts = {
        .app = config->settings->id,
        .worker = worker_name(worker),
        .partitions = config->plan ? topic_plan_partitions(config->plan, config->subtopology) : 0,
        .committed = committed,
        .committed_count = inputs,
        .changelogs = changelogs,
        .changelog_count = (size_t)worker_changelog_count(worker),
        .now_ms = clock_wall_ms(restorer->config.clock),
        .delete_retention_ms = delete_retention_ms,
    };
    facts.meta = worker_found_meta(worker, &facts.fresh);
    enum restore_verdict verdict = restore_judge(&facts, why);
    free(committed);
    return verdict;
}

/* ---- replaying ---- */

static struct restoration *restoration_new(struct worker *worker, const struct restore_changelog *changelogs)
{
    struct restoration *restoration = memory_alloc(sizeof(*restoration));
    restoration->worker = worker;
    restoration->count = (size_t)worker_changelog_count(worker);
    restoration->replays = memory_alloc(sizeof(*restoration->replays) * (restoration->count + 1));
    for (size_t i = 0; i < restoration->count; i++) {
        struct replay *replay = &restoration->replays[i];
        worker_changelog(worker, (int)i, &replay->from);
        replay->position = replay->from.offset == OFFSET_NONE ? changelogs[i].low : replay->from.offset;
        replay->target = changelogs[i].high;
    }
    return restoration;
}

static void restoration_free(struct restoration *restoration)
{
    free(restoration->replays);
    free(restoration);
}

static int64_t remaining_of(const struct restoration *restoration)
{
    int64_t remaining = 0;
    for (size_t i = 0; i < restoration->count; i++) {
        const struct replay *replay = &restoration->replays[i];
        remaining += replay->target > replay->position ? replay->target - replay->position : 0;
    }
    return remaining;
}

static int save_progress(struct restoration *restoration, bool complete)
{
    for (size_t i = 0; i < restoration->count; i++) {
        worker_set_changelog_offset(restoration->worker, (int)i, restoration->replays[i].position);
    }
    restoration->since_progress = 0;
    return worker_commit_restored(restoration->worker, complete, &restoration->err);
}

static void close_reader(struct restorer *restorer)
{
    if (restorer->reader) {
        restorer->config.transport->class->reader_close(restorer->reader);
        restorer->reader = NULL;
    }
}

/* One reader over every changelog that is not at its target yet. */
static int open_reader(struct restorer *restorer, struct err *err)
{
    struct position *positions = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < restorer->active_count; i++) {
        struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count; r++) {
            struct replay *replay = &restoration->replays[r];
            positions = memory_grow(positions, count, &capacity, sizeof(*positions));
            positions[count++] = (struct position){replay->from.topic, replay->from.partition, replay->position, NULL};
        }
    }
    struct reader_config config = {positions, count, false};
    struct transport *transport = restorer->config.transport;
    int result = transport->class->reader_open(transport, &config, &restorer->reader, err);
    free(positions);
    return result;
}

static struct restoration *find_replay(const struct restorer *restorer, const struct record *record, int *index)
{
    for (size_t i = 0; i < restorer->active_count; i++) {
        struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count; r++) {
            const struct position *from = &restoration->replays[r].from;
            if (from->partition == record->partition && strcmp(from->topic, record->topic) == 0) {
                *index = (int)r;
                return restoration;
            }
        }
    }
    return NULL;
}

static int apply(struct restorer *restorer, struct restoration *restoration, int index, const struct record *records,
                 size_t count)
{
    struct store_entry entries[BATCH];
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        bool marker = slice_equal(records[i].key, restore_marker_key());
        if (marker && !worker_changelog_generation(restoration->worker, index)) {
            worker_set_changelog_generation(restoration->worker, index, records[i].value);
        } else if (!marker && !slice_is_null(records[i].key)) {
            entries[filled++] = (struct store_entry){records[i].key, records[i].value, records[i].timestamp};
        }
    }
    struct position unused;
    struct store *store = worker_changelog(restoration->worker, index, &unused);
    restoration->restored += (int64_t)count;
    restoration->since_progress += (int64_t)count;
    restoration->replays[index].position = records[count - 1].offset + 1;
    metric_add(worker_metrics(restoration->worker), METRIC_RESTORED_RECORDS, (int64_t)count);
    return restorer->config.stores->restore(store, entries, filled, &restoration->err);
}

/* Records of one partition come in runs; each run goes into its store at once. */
static void apply_all(struct restorer *restorer, const struct record *records, size_t count)
{
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && records[to].partition == records[from].partition &&
               records[to].topic == records[from].topic) {
            to++;
        }
        int index;
        struct restoration *restoration = find_replay(restorer, &records[from], &index);
        if (restoration && restoration->result == 0) {
            restoration->result = apply(restorer, restoration, index, &records[from], to - from);
        }
        from = to;
    }
}

/* Positions also move over control and aborted records, which are never handed out (P8). */
static void follow_positions(struct restorer *restorer)
{
    size_t number = 0;
    for (size_t i = 0; i < restorer->active_count; i++) {
        struct restoration *restoration = restorer->active[i];
        for (size_t r = 0; r < restoration->count; r++, number++) {
            int64_t position = restorer->config.transport->class->reader_position(restorer->reader, number);
            if (position > restoration->replays[r].position) {
                restoration->replays[r].position = position;
            }
        }
    }
}

static void show_progress(const struct restorer *restorer, struct restoration *restoration)
{
    int64_t remaining = remaining_of(restoration);
    ck_pr_store_64(&restoration->remaining, (uint64_t)remaining);
    metric_put(worker_metrics(restoration->worker), METRIC_RESTORE_REMAINING, remaining);
    int64_t now = clock_monotonic_ns(restorer->config.clock);
    if (now - restoration->logged_ns >= PROGRESS_LOG_NS) {
        restoration->logged_ns = now;
        log_event(LOG_INFO, "restoring state", log_text("worker", worker_name(restoration->worker)),
                  log_number("restored", restoration->restored), log_number("remaining", remaining));
    }
}

/* Whether nothing more is to be done for it: complete, failed or cancelled. Saves what it reached. */
static bool settle(const struct restorer *restorer, struct restoration *restoration)
{
    show_progress(restorer, restoration);
    bool complete = remaining_of(restoration) == 0;
    if (restoration->result == 0 && (complete || ck_pr_load_32(&restoration->cancelled))) {
        restoration->result = save_progress(restoration, complete);
        return true;
    }
    if (restoration->result == 0 && restoration->since_progress >= PROGRESS_RECORDS) {
        restoration->result = save_progress(restoration, false);
    }
    return restoration->result != 0;
}

static void answer(struct restorer *restorer, struct restoration *restoration)
{
    while (!mailbox_send(restorer->answers, restoration)) {
        clock_sleep_ms(1); /* as many answers as orders fit, so this ends */
    }
    if (restorer->config.wake) {
        restorer->config.wake(restorer->config.self);
    }
}

/* One read for all; those that are settled leave. */
static void step(struct restorer *restorer)
{
    struct record records[BATCH];
    size_t count = 0;
    struct err err;
    err_clear(&err);
    struct transport *transport = restorer->config.transport;
    int result = restorer->reader ? 0 : open_reader(restorer, &err);
    if (result == 0) {
        result = transport->class->read(restorer->reader, READ_TIMEOUT_MS, records, BATCH, &count, &err);
    }
    if (result == 0) {
        apply_all(restorer, records, count);
        follow_positions(restorer);
    }
    bool left = false;
    for (size_t i = restorer->active_count; i-- > 0;) {
        struct restoration *restoration = restorer->active[i];
        if (result && restoration->result == 0 && err.class != ERR_RETRY) {
            restoration->result = -1;
            restoration->err = err;
        }
        if (settle(restorer, restoration)) {
            restorer->active[i] = restorer->active[--restorer->active_count];
            answer(restorer, restoration);
            left = true;
        }
    }
    if (left || result) {
        close_reader(restorer); /* its partitions are another set now */
    }
}

static void add_active(struct restorer *restorer, struct restoration *restoration)
{
    restorer->active =
        memory_grow(restorer->active, restorer->active_count, &restorer->active_capacity, sizeof(*restorer->active));
    restorer->active[restorer->active_count++] = restoration;
    close_reader(restorer);
}

static void *run(void *self)
{
    struct restorer *restorer = self;
    for (;;) {
        struct restoration *order = mailbox_receive(restorer->orders, restorer->active_count > 0 ? 0 : -1);
        if (order == &stop_order) {
            break;
        }
        if (order) {
            add_active(restorer, order);
        } else if (restorer->active_count > 0) {
            step(restorer);
        }
    }
    return NULL;
}

/* ---- the stream thread's side ---- */

int restorer_open(const struct restorer_config *config, struct restorer **result, struct err *err)
{
    struct restorer *restorer = memory_alloc(sizeof(*restorer));
    restorer->config = *config;
    restorer->orders = mailbox_new(ORDERS);
    restorer->answers = mailbox_new(ORDERS);
    if (config->thread && pthread_create(&restorer->thread, NULL, run, restorer)) {
        mailbox_free(restorer->orders);
        mailbox_free(restorer->answers);
        free(restorer);
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "The restoring thread can't be started.");
    }
    *result = restorer;
    return 0;
}

static void take_back(struct restorer *restorer, struct restoration *restoration)
{
    for (size_t i = 0; i < restorer->pending_count; i++) {
        if (restorer->pending[i] == restoration) {
            restorer->pending[i] = restorer->pending[--restorer->pending_count];
            break;
        }
    }
    restorer->done =
        memory_grow(restorer->done, restorer->done_count, &restorer->done_capacity, sizeof(*restorer->done));
    restorer->done[restorer->done_count++] = restoration;
}

static struct restoration *find_pending(const struct restorer *restorer, const struct worker *worker)
{
    for (size_t i = 0; i < restorer->pending_count; i++) {
        if (restorer->pending[i]->worker == worker) {
            return restorer->pending[i];
        }
    }
    return NULL;
}

void restorer_cancel(struct restorer *restorer, struct worker *worker)
{
    struct restoration *pending = find_pending(restorer, worker);
    if (pending) {
        ck_pr_store_32(&pending->cancelled, 1);
    }
    while (find_pending(restorer, worker)) {
        struct restoration *answered = mailbox_receive(restorer->answers, -1);
        if (answered) {
            take_back(restorer, answered);
        }
    }
    for (size_t i = restorer->done_count; i-- > 0;) {
        if (restorer->done[i]->worker == worker) {
            restoration_free(restorer->done[i]);
            restorer->done[i] = restorer->done[--restorer->done_count];
        }
    }
}

void restorer_close(struct restorer *restorer)
{
    while (restorer->pending_count > 0) {
        restorer_cancel(restorer, restorer->pending[0]->worker);
    }
    if (restorer->config.thread) {
        while (!mailbox_send(restorer->orders, &stop_order)) {
            clock_sleep_ms(1);
        }
        pthread_join(restorer->thread, NULL);
    }
    for (size_t i = 0; i < restorer->done_count; i++) {
        restoration_free(restorer->done[i]);
    }
    close_reader(restorer);
    mailbox_free(restorer->orders);
    mailbox_free(restorer->answers);
    free(restorer->active);
    free(restorer->pending);
    free(restorer->done);
    free(restorer);
}

/* Without a thread: everything at once, on the caller's. */
static int restore_now(struct restorer *restorer, struct restoration *restoration, struct err *err)
{
    add_active(restorer, restoration);
    while (restorer->active_count > 0) {
        step(restorer);
    }
    mailbox_receive(restorer->answers, 0);
    int result = restoration->result;
    if (result) {
        *err = restoration->err;
    }
    restoration_free(restoration);
    return result;
}

/* Nothing to replay: only the meta row has to say that the stores are where the group is. */
static int finish_empty(struct restoration *restoration, struct err *err)
{
    int result = save_progress(restoration, true);
    if (result) {
        *err = restoration->err;
    }
    restoration_free(restoration);
    return result;
}

static int begin(struct restorer *restorer, struct worker *worker, const struct restore_changelog *changelogs,
                 bool *finished, struct err *err)
{
    struct restoration *restoration = restoration_new(worker, changelogs);
    metric_add(worker_metrics(worker), METRIC_RESTORES, 1);
    *finished = remaining_of(restoration) == 0 || !restorer->config.thread;
    if (remaining_of(restoration) == 0) {
        return finish_empty(restoration, err);
    }
    if (!restorer->config.thread) {
        return restore_now(restorer, restoration, err);
    }
    ck_pr_store_64(&restoration->remaining, (uint64_t)remaining_of(restoration));
    restorer->pending = memory_grow(restorer->pending, restorer->pending_count, &restorer->pending_capacity,
                                    sizeof(*restorer->pending));
    restorer->pending[restorer->pending_count++] = restoration;
    while (!mailbox_send(restorer->orders, restoration)) {
        clock_sleep_ms(1);
    }
    return 0;
}

static void announce(const struct worker *worker, enum restore_verdict verdict, const struct err *why)
{
    bool loud = verdict == VERDICT_REBUILD && why->code != ERR_OK;
    log_event(loud ? LOG_WARN : LOG_INFO, "state judged", log_text("worker", worker_name(worker)),
              log_text("verdict", restore_verdict_name(verdict)), log_text("reason", why->text));
}

int restorer_start(struct restorer *restorer, struct worker *worker, bool *finished, struct err *err)
{
    *finished = false;
    if (!worker_stores(worker)) {
        *finished = true;
        return 0;
    }
    size_t count = (size_t)worker_changelog_count(worker);
    struct restore_changelog *changelogs = memory_alloc(sizeof(*changelogs) * (count + 1));
    int64_t delete_retention_ms = 0;
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = find_changelog(restorer, worker, (int)i, &changelogs[i], &delete_retention_ms, err);
    }
    struct err why;
    err_clear(&why);
    if (result == 0) {
        enum restore_verdict verdict = judge(restorer, worker, changelogs, delete_retention_ms, &why);
        announce(worker, verdict, &why);
        if (verdict == VERDICT_REFUSE) {
            *err = why;
            result = -1;
        } else if (verdict == VERDICT_REUSE) {
            *finished = true;
        } else {
            bool wipe = verdict == VERDICT_REBUILD;
            result = (wipe && worker_wipe_stores(worker, err)) || begin(restorer, worker, changelogs, finished, err)
                         ? -1
                         : 0;
        }
    }
    free(changelogs);
    return result;
}

struct worker *restorer_finished(struct restorer *restorer, int *result, struct err *err)
{
    struct restoration *answered;
    while (restorer->pending_count > 0 && (answered = mailbox_receive(restorer->answers, 0))) {
        take_back(restorer, answered);
    }
    if (restorer->done_count == 0) {
        return NULL;
    }
    struct restoration *restoration = restorer->done[--restorer->done_count];
    struct worker *worker = restoration->worker;
    *result = restoration->result;
    if (restoration->result) {
        *err = restoration->err;
    }
    restoration_free(restoration);
    return worker;
}

int64_t restorer_remaining(const struct restorer *restorer, const struct worker *worker)
{
    const struct restoration *pending = find_pending(restorer, worker);
    return pending ? (int64_t)ck_pr_load_64(&pending->remaining) : 0;
}
