#include "engine/restore.h"

#include <ck_pr.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/restore_int.h"

#define ORDERS 1024 /* that fit into a mailbox */
#define MARKER_RECORDS 16
#define MARKER_TIMEOUT_MS 1000

/* ---- generations ---- */

bool restore_is_marker(struct slice key)
{
    return key.size >= RESTORE_MARKER_SIZE && memcmp(key.data, RESTORE_MARKER_KEY, RESTORE_MARKER_SIZE) == 0;
}

/* Processes that start at once may write a marker each: any of those at the start may be the known one. */
enum restore_marker restore_compare_marker(enum restore_marker before, const struct record *record, const char *known)
{
    if (before == MARKER_KNOWN || before == MARKER_GONE) {
        return before;
    }
    if (!restore_is_marker(record->key)) {
        return MARKER_GONE;
    }
    return slice_equal(record->value, slice_text(known)) ? MARKER_KNOWN : MARKER_OTHER;
}

static int read_marker(const struct restorer *restorer, const struct position *changelog, const char *known,
                       enum restore_marker *marker, struct err *err)
{
    struct transport *transport = restorer->config.transport;
    struct position from = {changelog->topic, changelog->partition, OFFSET_BEGINNING, NULL};
    struct reader_config config = {&from, 1, false};
    struct reader *reader;
    if (transport->class->reader_open(transport, &config, &reader, err)) {
        return -1;
    }
    struct record records[MARKER_RECORDS];
    size_t count = 0;
    int result = transport->class->read(reader, MARKER_TIMEOUT_MS, records, MARKER_RECORDS, &count, err);
    *marker = MARKER_OPEN;
    for (size_t i = 0; i < count && result == 0; i++) {
        *marker = restore_compare_marker(*marker, &records[i], known);
    }
    transport->class->reader_close(reader);
    return result;
}

/* A store that knows more than the changelog holds: was the topic cut short, or is it another one by the same name? */
static int find_out_generation(const struct restorer *restorer, struct worker *worker, int index,
                               struct restore_changelog *found, struct err *err)
{
    const char *known = worker_changelog_generation(worker, index);
    enum restore_marker marker = MARKER_GONE;
    struct position at;
    worker_changelog(worker, index, &at);
    if (!known || found->kept <= found->high || found->low > 0) {
        return 0;
    }
    if (found->high > 0 && read_marker(restorer, &at, known, &marker, err)) {
        return -1;
    }
    found->recreated = marker == MARKER_OTHER || marker == MARKER_GONE;
    return 0;
}

/* ---- judging ---- */

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
    if (!info.exists) {
        return 0;
    }
    int64_t retention_ms = info.config_known ? info.delete_retention_ms : 0;
    if (retention_ms > 0 && (*delete_retention_ms == 0 || retention_ms < *delete_retention_ms)) {
        *delete_retention_ms = retention_ms;
    }
    return transport->class->watermarks(transport, at.topic, at.partition, &found->low, &found->high, err) ||
                   find_out_generation(restorer, worker, index, found, err)
               ? -1
               : 0;
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
        .partitions = topic_plan_partitions(config->plan, config->subtopology),
        .committed = committed,
        .committed_count = inputs,
        .commit_number = worker_commit_number(worker),
        .restored_in_part = worker_restored_in_part(worker),
        .resumable = worker_resumable(worker),
        .recreated = worker_recreated_input(worker),
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

static void announce(const struct worker *worker, enum restore_verdict verdict, const struct err *why)
{
    bool loud = verdict == VERDICT_RESUME || (verdict == VERDICT_REBUILD && why->code != ERR_OK);
    log_event(loud ? LOG_WARN : LOG_INFO, "state judged", log_text("worker", worker_name(worker)),
              log_text("verdict", restore_verdict_name(verdict)), log_text("reason", why->text));
}

/* Whether reading would begin as if nothing had ever been committed. What a source has read its positions say. */
static bool lacks_offsets(const struct worker *worker)
{
    bool reads = false;
    for (int i = 0; i < worker_input_count(worker); i++) {
        struct position committed;
        worker_committed(worker, i, &committed);
        if (committed.offset != OFFSET_NONE) {
            return false;
        }
        reads = reads || !worker_input_fed(worker, i);
    }
    return reads;
}

static bool beyond_markers(const struct worker *worker, const struct restore_changelog *changelogs)
{
    for (int i = 0; i < worker_changelog_count(worker); i++) {
        if (changelogs[i].high > 1) {
            return true;
        }
    }
    return false;
}

/* Whether any offset of the group was committed with one of the worker's changelogs: its script may have read other
 * topics then. */
static int find_commit(const struct restorer *restorer, const struct worker *worker, bool *found, struct err *err)
{
    struct transport *transport = restorer->config.transport;
    struct group_position *list = NULL;
    size_t count = 0;
    *found = false;
    if (transport->class->group_positions(transport, worker_configuration(worker)->settings->id, &list, &count, err)) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        *found = *found || (list[i].partition == worker_partition(worker) && list[i].metadata &&
                            worker_names_changelog(worker, list[i].metadata));
        free(list[i].topic);
        free(list[i].metadata);
    }
    free(list);
    return 0;
}

/* A record of a changelog is in the transaction of the input offsets that it comes from: when the group has none, it
 * has lost them, and reading from the start would count twice. Without transactions a first run that was killed may
 * have left records and no offsets. */
static int judge_tail(const struct restorer *restorer, const struct worker *worker,
                      const struct restore_changelog *changelogs, enum restore_tail *tail, struct err *err)
{
    *tail = TAIL_APPLIED;
    if (worker_configuration(worker)->settings->guarantee != GUARANTEE_EXACTLY_ONCE || !lacks_offsets(worker) ||
        !beyond_markers(worker, changelogs)) {
        return 0;
    }
    bool committed;
    if (find_commit(restorer, worker, &committed, err)) {
        return -1;
    }
    *tail = committed ? TAIL_APPLIED : TAIL_LOST;
    return 0;
}

/* ---- restorations ---- */

static struct restoration *restoration_new(struct worker *worker, const struct restore_changelog *changelogs)
{
    struct restoration *restoration = memory_alloc(sizeof(*restoration));
    restoration->worker = worker;
    restoration->count = (size_t)worker_changelog_count(worker);
    restoration->replays = memory_alloc(sizeof(*restoration->replays) * (restoration->count + 1));
    for (size_t i = 0; i < restoration->count; i++) {
        struct restore_replay *replay = &restoration->replays[i];
        worker_changelog(worker, (int)i, &replay->from);
        replay->low = changelogs[i].low;
        replay->target = changelogs[i].high;
        replay->position = replay->from.offset == OFFSET_NONE ? replay->low : replay->from.offset;
    }
    return restoration;
}

static void restoration_free(struct restoration *restoration)
{
    arena_free(&restoration->converted);
    free(restoration->replays);
    free(restoration);
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

/* The next restoration that is answered is taken back; false: none within the timeout. */
static bool take_answer(struct restorer *restorer, int timeout_ms)
{
    struct restoration *answered = restorer->pending_count > 0 ? mailbox_receive(restorer->answers, timeout_ms) : NULL;
    if (answered) {
        take_back(restorer, answered);
    }
    return answered != NULL;
}

static void order(struct restorer *restorer, struct restoration *restoration)
{
    while (!mailbox_send(restorer->orders, restoration)) {
        while (take_answer(restorer, 0)) {
        }
        clock_sleep_ms(1);
    }
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

static struct restoration *take_done(struct restorer *restorer, size_t index)
{
    struct restoration *restoration = restorer->done[index];
    restorer->done[index] = restorer->done[--restorer->done_count];
    return restoration;
}

/* ---- opening and closing ---- */

int restorer_open(const struct restorer_config *config, struct restorer **result, struct err *err)
{
    struct restorer *restorer = memory_alloc(sizeof(*restorer));
    restorer->config = *config;
    restorer->orders = mailbox_new(ORDERS);
    restorer->answers = mailbox_new(ORDERS);
    if (config->thread && pthread_create(&restorer->thread, NULL, restore_run, restorer)) {
        mailbox_free(restorer->orders);
        mailbox_free(restorer->answers);
        free(restorer);
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "The restoring thread can't be started.");
    }
    *result = restorer;
    return 0;
}

void restorer_close(struct restorer *restorer)
{
    while (restorer->pending_count > 0) {
        restorer_cancel(restorer, restorer->pending[0]->worker);
    }
    if (restorer->config.thread) {
        order(restorer, &restore_stop_order);
        pthread_join(restorer->thread, NULL);
    }
    while (restorer->done_count > 0) {
        restoration_free(take_done(restorer, 0));
    }
    restore_close_reader(restorer);
    mailbox_free(restorer->orders);
    mailbox_free(restorer->answers);
    free(restorer->active);
    free(restorer->pending);
    free(restorer->done);
    free(restorer);
}

/* ---- restoring a worker ---- */

/* Without a thread: everything at once, on the caller's. */
static int restore_now(struct restorer *restorer, struct restoration *restoration, struct err *err)
{
    restore_add(restorer, restoration);
    while (restorer->active_count > 0) {
        restore_step(restorer);
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
    int result = restore_save(restoration, true);
    if (result) {
        *err = restoration->err;
    }
    restoration_free(restoration);
    return result;
}

static void hand_over(struct restorer *restorer, struct restoration *restoration)
{
    metric_put(worker_metrics(restoration->worker), METRIC_RESTORE_REMAINING, restore_remaining(restoration));
    restorer->pending = memory_grow(restorer->pending, restorer->pending_count, &restorer->pending_capacity,
                                    sizeof(*restorer->pending));
    restorer->pending[restorer->pending_count++] = restoration;
    order(restorer, restoration);
}

static int begin(struct restorer *restorer, struct worker *worker, const struct restore_changelog *changelogs,
                 enum restore_tail tail, bool *finished, struct err *err)
{
    struct restoration *restoration = restoration_new(worker, changelogs);
    restoration->tail = tail;
    *finished = true;
    if (restore_remaining(restoration) == 0) {
        return finish_empty(restoration, err);
    }
    metric_add(worker_metrics(worker), METRIC_RESTORES, 1);
    if (!restorer->config.thread) {
        return restore_now(restorer, restoration, err);
    }
    *finished = false;
    hand_over(restorer, restoration);
    return 0;
}

static int follow(struct restorer *restorer, struct worker *worker, const struct restore_changelog *changelogs,
                  int64_t delete_retention_ms, bool *finished, struct err *err)
{
    enum restore_tail tail;
    struct err why;
    err_clear(&why);
    enum restore_verdict verdict = judge(restorer, worker, changelogs, delete_retention_ms, &why);
    announce(worker, verdict, &why);
    switch (verdict) {
    case VERDICT_REFUSE:
        *err = why;
        return -1;
    case VERDICT_REUSE:
        *finished = true;
        return worker_check_generations(worker, err);
    case VERDICT_RESUME:
        return worker_check_generations(worker, err) || worker_resume(worker, err) ||
                       begin(restorer, worker, changelogs, TAIL_FORGOTTEN, finished, err)
                   ? -1
                   : 0;
    case VERDICT_REBUILD:
    case VERDICT_REPLAY:
        return (verdict == VERDICT_REBUILD && worker_wipe_stores(worker, err)) ||
                       judge_tail(restorer, worker, changelogs, &tail, err) ||
                       begin(restorer, worker, changelogs, tail, finished, err)
                   ? -1
                   : 0;
    }
    return 0;
}

int restorer_start(struct restorer *restorer, struct worker *worker, bool *finished, struct err *err)
{
    *finished = !worker_stores(worker);
    if (*finished) {
        return 0;
    }
    size_t count = (size_t)worker_changelog_count(worker);
    struct restore_changelog *changelogs = memory_alloc(sizeof(*changelogs) * (count + 1));
    int64_t delete_retention_ms = 0;
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = find_changelog(restorer, worker, (int)i, &changelogs[i], &delete_retention_ms, err);
    }
    if (result == 0) {
        result = follow(restorer, worker, changelogs, delete_retention_ms, finished, err);
    }
    free(changelogs);
    return result;
}

struct worker *restorer_finished(struct restorer *restorer, int *result, struct err *err)
{
    while (take_answer(restorer, 0)) {
    }
    if (restorer->done_count == 0) {
        return NULL;
    }
    struct restoration *restoration = take_done(restorer, restorer->done_count - 1);
    struct worker *worker = restoration->worker;
    *result = restoration->result;
    if (restoration->result) {
        *err = restoration->err;
    }
    restoration_free(restoration);
    return worker;
}

void restorer_cancel(struct restorer *restorer, struct worker *worker)
{
    struct restoration *pending = find_pending(restorer, worker);
    if (pending) {
        ck_pr_store_32(&pending->cancelled, 1);
    }
    while (find_pending(restorer, worker)) {
        take_answer(restorer, -1);
    }
    for (size_t i = restorer->done_count; i-- > 0;) {
        if (restorer->done[i]->worker == worker) {
            restoration_free(take_done(restorer, i));
        }
    }
}

bool restorer_has(const struct restorer *restorer, const struct worker *worker)
{
    for (size_t i = 0; i < restorer->done_count; i++) {
        if (restorer->done[i]->worker == worker) {
            return true;
        }
    }
    return find_pending(restorer, worker) != NULL;
}
