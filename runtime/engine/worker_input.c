/* What a worker reads: its inputs, and which of their records comes next. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "engine/restore.h"
#include "engine/worker_int.h"

#define FETCH_RECORDS 512 /* taken from an input at once */
#define NS_PER_MS INT64_C(1000000)

/* ---- assignment ---- */

void worker_find_sources(struct worker *worker, struct worker_input *input)
{
    const struct topic_plan *plan = worker->config.plan;
    int id;
    input->source_count = 0;
    for (int i = 0; (id = topic_plan_source(plan, input->topic, i)) >= 0; i++) {
        struct node *node = graph_node(worker->graph, id);
        if (node->subtopology == worker->config.subtopology) {
            size_t count = (size_t)input->source_count++;
            input->sources = memory_resize(input->sources, (count + 1) * sizeof(*input->sources));
            input->sources[count] = node;
        }
    }
}

static int64_t find_stop(const struct worker *worker, const struct assigned *assigned)
{
    for (size_t i = 0; i < worker->config.end_count; i++) {
        const struct position *end = &worker->config.ends[i];
        if (end->partition == assigned->partition && strcmp(end->topic, assigned->topic) == 0) {
            return end->offset;
        }
    }
    return INT64_MAX;
}

/* Stream time, schedules and the commit's number, as the latest of the inputs' commits has them. A worker that was kept
 * over a rebalance knows them. */
static void recall(struct worker *worker, const char *metadata)
{
    int64_t stream_time;
    if (worker->state == WORKER_RUNNING ||
        timers_recall(&worker->timers, metadata, &worker->commit_number, &stream_time)) {
        return;
    }
    op_observe_time(worker, stream_time);
    bytes_clear(&worker->committed_metadata);
    bytes_append_text(&worker->committed_metadata, metadata);
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
        .stop = find_stop(worker, assigned),
    };
    worker_topic_id_note(input, assigned->topic_id, assigned->metadata);
    worker_find_sources(worker, input);
    input->task = worker->config.wake ? worker_task_of(worker, assigned->topic) : NULL;
    if (input->source_count == 0) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "Worker %s has no source for topic %s.", worker->name,
                       assigned->topic);
    }
    if (worker_task_drains(input)) {
        input->task->placed = false;
    }
    worker->input_count++;
    if (worker_topic_id_changed(input, assigned->metadata)) {
        return restore_refuse_input(worker->config.settings->id, input->topic, err);
    }
    recall(worker, assigned->metadata);
    if (worker_task_feeds(input)) { /* positions are for the store, which has them */
        return worker->config.transport->pause(worker->config.session, input->handle, true, err);
    }
    return 0;
}

void worker_suspend(struct worker *worker)
{
    worker->suspended = true;
    worker->blocked_until_ns = 0;
    for (size_t i = 0; i < worker->input_count; i++) {
        worker->inputs[i].handle = NULL;
        worker->inputs[i].count = 0;
        worker->inputs[i].next = 0;
    }
}

bool worker_suspended(const struct worker *worker)
{
    return worker->suspended;
}

void worker_clear_inputs(struct worker *worker)
{
    worker->suspended = false;
    worker->blocked_until_ns = 0;
    for (size_t i = 0; i < worker->input_count; i++) {
        if (!worker_task_feeds(&worker->inputs[i])) {
            free(worker->inputs[i].records);
        }
        free(worker->inputs[i].sources);
    }
    worker->input_count = 0;
}

static const struct worker_input *find_input(const struct worker *worker, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        const struct worker_input *input = &worker->inputs[i];
        if (input->partition == partition && strcmp(input->topic, topic) == 0) {
            return input;
        }
    }
    return NULL;
}

/* A commit of another process that moved no offset, of a timer's work or of a source's position, has moved the number.
 */
bool worker_agrees(const struct worker *worker, const struct assigned *assigned)
{
    const struct worker_input *input = find_input(worker, assigned->topic, assigned->partition);
    return !input || (input->committed == assigned->committed &&
                      timers_commit_number(assigned->metadata) <= worker->commit_number);
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

/* ---- what is known of an input ---- */

static bool used_up(const struct worker_input *input)
{
    return input->next == input->count;
}

/* Offset after the last thing read, as far as this run goes. */
static int64_t read_up_to(const struct worker *worker, const struct worker_input *input)
{
    int64_t position = worker->config.transport->position(worker->config.session, input->handle);
    return position < input->stop ? position : input->stop;
}

static int64_t known_end(const struct worker *worker, const struct worker_input *input)
{
    int64_t end = worker->config.transport->known_end(worker->config.session, input->handle);
    return end < input->stop ? end : input->stop;
}

/* Whether records are to come that are not buffered; an end that is not known yet may hide some. */
static bool has_unread(const struct worker *worker, const struct worker_input *input)
{
    if (worker_task_feeds(input)) {
        return worker_task_ready(input->task);
    }
    int64_t position = read_up_to(worker, input);
    int64_t end = known_end(worker, input);
    return position < input->stop && (end < 0 || end > position);
}

int64_t worker_next_offset(const struct worker *worker, const struct worker_input *input)
{
    if (input->task) {
        return worker_task_next_offset(worker, input);
    }
    int64_t read = read_up_to(worker, input);
    if (used_up(input) && read > input->position) {
        return read; /* control records do not count as lag (P8) */
    }
    return input->position != OFFSET_NONE ? input->position : input->first;
}

bool worker_drained(struct worker *worker)
{
    for (size_t i = 0; i < worker->input_count && !worker->suspended; i++) {
        const struct worker_input *input = &worker->inputs[i];
        if (!used_up(input) || has_unread(worker, input) || (input->task && !worker_task_done(input))) {
            return false;
        }
    }
    return true;
}

int64_t worker_lag(struct worker *worker)
{
    int64_t lag = 0;
    for (size_t i = 0; i < worker->input_count && !worker->suspended; i++) {
        const struct worker_input *input = &worker->inputs[i];
        if (worker_task_feeds(input)) {
            continue; /* nobody knows what the database still has */
        }
        int64_t position = read_up_to(worker, input);
        int64_t end = known_end(worker, input);
        lag += (position >= 0 && end > position ? end - position : 0) + (int64_t)(input->count - input->next);
    }
    metric_put(worker->metrics, METRIC_LAG, lag);
    return lag;
}

bool worker_reached(struct worker *worker, const struct position *end)
{
    const struct worker_input *input = find_input(worker, end->topic, end->partition);
    if (!input || end->offset <= 0 || input->committed >= end->offset || worker_task_feeds(input)) {
        return true; /* of a source nothing but its positions is read, and those only at open */
    }
    return !worker->suspended && !worker->dirty && used_up(input) && read_up_to(worker, input) >= end->offset;
}

/* ---- fetching ---- */

static int set_paused(struct worker *worker, struct worker_input *input, bool paused, struct err *err)
{
    if (input->paused == paused || !input->handle || worker_task_feeds(input)) {
        return 0;
    }
    if (worker->config.transport->pause(worker->config.session, input->handle, paused, err)) {
        return -1;
    }
    input->paused = paused;
    return 0;
}

int worker_pause(struct worker *worker, bool paused, struct err *err)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        if (set_paused(worker, &worker->inputs[i], paused, err)) {
            return -1;
        }
    }
    return 0;
}

/* Takes the next records of an input whose buffer is used up. */
static int refill(struct worker *worker, struct worker_input *input, struct err *err)
{
    input->next = 0;
    input->ahead = 0;
    input->count = 0;
    input->asked = true;
    if (worker_task_feeds(input)) {
        return worker_task_refill(worker, input, err);
    }
    if (read_up_to(worker, input) >= input->stop) {
        return set_paused(worker, input, true, err); /* what lies behind the end must not keep the thread awake */
    }
    if (!input->records) {
        input->records = memory_alloc(sizeof(*input->records) * FETCH_RECORDS);
    }
    size_t count = 0;
    if (set_paused(worker, input, false, err) ||
        worker->config.transport->fetch(worker->config.session, input->handle, input->records, FETCH_RECORDS, &count,
                                        err)) {
        return -1;
    }
    while (count > 0 && input->records[count - 1].offset >= input->stop) {
        count--;
    }
    if (count > 0) {
        input->first = input->first == OFFSET_NONE ? input->records[0].offset : input->first;
        input->asked = false;
        input->idle_since_ns = 0;
    }
    input->count = count;
    return 0;
}

static void drop_buffered(struct worker_input *input)
{
    input->count = 0;
    input->next = 0;
    input->ahead = 0;
}

int worker_seek(struct worker *worker, struct worker_input *input, int64_t offset, struct err *err)
{
    drop_buffered(input);
    if (worker->config.transport->seek(worker->config.session, input->handle, offset, err)) {
        return -1;
    }
    input->position = offset;
    return set_paused(worker, input, false, err);
}

int worker_seek_back(struct worker *worker, struct worker_input *input, struct err *err)
{
    if (input->task) {
        worker_task_rewind(input->task);
    }
    int64_t offset = input->committed >= 0 ? input->committed : input->first;
    if (offset >= 0 && !worker_task_feeds(input) && worker_seek(worker, input, offset, err)) {
        return -1;
    }
    drop_buffered(input);
    input->position = input->committed;
    return set_paused(worker, input, false, err);
}

bool worker_input_fed(const struct worker *worker, int index)
{
    return worker_task_feeds(&worker->inputs[index]);
}

bool worker_resumable(const struct worker *worker)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        const struct worker_input *input = &worker->inputs[i];
        const struct store_position *found = store_meta_input(&worker->found, input->topic, input->partition);
        if (input->task || !found || worker_topic_id_changed(input, found->metadata)) {
            return false;
        }
    }
    return true;
}

int worker_resume(struct worker *worker, struct err *err)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        struct worker_input *input = &worker->inputs[i];
        const struct store_position *found = store_meta_input(&worker->found, input->topic, input->partition);
        input->committed = found->offset;
        if (worker_seek_back(worker, input, err)) {
            return err_wrap(err, "going to offset %" PRId64 " of %s %d", found->offset, input->topic,
                            (int)input->partition);
        }
        recall(worker, found->metadata);
    }
    return 0;
}

/* ---- choosing ---- */

void worker_begin_round(struct worker *worker)
{
    worker->blocked_until_ns = 0;
    for (size_t i = 0; i < worker->input_count; i++) {
        worker->inputs[i].asked = false;
    }
}

/* Until when (monotonic) the others have to wait for an input that has nothing buffered. INT64_MAX: until its known
 * unread records are here; later than now: in the hope of new ones (Kafka Streams' max.task.idle.ms); 0: not at all. */
static int64_t wait_until(const struct worker *worker, struct worker_input *input)
{
    int64_t max_idle_ms = worker->config.settings->max_idle_ms;
    if (has_unread(worker, input)) {
        input->idle_since_ns = 0;
        return INT64_MAX;
    }
    if (max_idle_ms == 0 || read_up_to(worker, input) >= input->stop) {
        return 0;
    }
    int64_t now = clock_monotonic_ns(worker->config.clock);
    if (input->idle_since_ns == 0) {
        input->idle_since_ns = now | 1; /* never 0 */
    }
    int64_t until = (input->idle_since_ns & ~INT64_C(1)) + max_idle_ms * NS_PER_MS;
    return until > now ? until : 0;
}

/* Of equal timestamps the input that the topology names first. */
static bool comes_before(const struct worker_input *one, const struct worker_input *other)
{
    int64_t time = one->records[one->next].timestamp;
    int64_t other_time = other->records[other->next].timestamp;
    return time < other_time || (time == other_time && one->sources[0]->id < other->sources[0]->id);
}

/* The inputs that have records don't end the next poll: only the ones waited for do. */
static int block(struct worker *worker, int64_t until_ns, struct err *err)
{
    worker->blocked_until_ns = until_ns;
    for (size_t i = 0; i < worker->input_count; i++) {
        if (!used_up(&worker->inputs[i]) && set_paused(worker, &worker->inputs[i], true, err)) {
            return -1;
        }
    }
    return 0;
}

int worker_take(struct worker *worker, struct worker_input **taken, struct err *err)
{
    struct worker_input *best = NULL;
    int64_t until = 0;
    for (size_t i = 0; i < worker->input_count; i++) {
        struct worker_input *input = &worker->inputs[i];
        if (used_up(input) && (!input->asked || has_unread(worker, input)) && refill(worker, input, err)) {
            return -1;
        }
        if (!used_up(input)) {
            best = !best || comes_before(input, best) ? input : best;
        } else if (worker->input_count > 1) {
            int64_t own = wait_until(worker, input);
            until = own > until ? own : until;
        }
    }
    *taken = until == 0 ? best : NULL;
    return best && until > 0 ? block(worker, until, err) : 0;
}

bool worker_waits(const struct worker *worker)
{
    return worker->blocked_until_ns != 0 && worker->blocked_until_ns != INT64_MAX;
}

int64_t worker_idle_ms(const struct worker *worker)
{
    const struct clock *clock = worker->config.clock;
    int64_t timer = worker->suspended ? INT64_MAX : worker->timers.next[TIME_WALL];
    int64_t wait = timer == INT64_MAX ? INT64_MAX : timer - clock_wall_ms(clock);
    if (worker_waits(worker)) {
        int64_t left = (worker->blocked_until_ns - clock_monotonic_ns(clock) + NS_PER_MS - 1) / NS_PER_MS;
        wait = left < wait ? left : wait;
    }
    return wait > 0 ? wait : 0;
}
