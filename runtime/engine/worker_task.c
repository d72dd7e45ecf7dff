/* The tasks of connectors that a worker runs: source_task.h and sink_task.h do the I/O on threads of their own.
 *
 * A source: batches of its task take the place of records of the positions topic, which is assigned by the group and
 * never read; who owns partition n runs task n. The position behind a batch is an entry of a store whose changelog is
 * that topic, so outputs, state and position are in one transaction.
 * A sink: the records of its topic, or the rows that stateless operators make of them, go to its task, and the group's
 * offset follows what the target has acknowledged. The target knows its position itself, so a group's offset that lags
 * behind costs reading again and nothing else. What such operators put into the transaction (dead letters) holds the
 * target back until it is committed; so what lies before the target's position is never needed again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/memory.h"
#include "engine/worker_int.h"

#define POSITION_KEY "position"

void worker_find_tasks(struct worker *worker)
{
    const struct graph *graph = worker->config.graph;
    worker->tasks = memory_alloc(sizeof(*worker->tasks) * (size_t)(graph_node_count(graph) + 1));
    for (int id = 0; worker->config.wake && id < graph_node_count(graph); id++) {
        const struct node *node = graph_node(graph, id);
        if (node->connector && node->subtopology == worker->config.subtopology) {
            worker->tasks[worker->task_count++] =
                (struct worker_task){.use = node->connector, .node = id, .acknowledged = CONNECTOR_NO_OFFSET};
        }
    }
}

struct worker_task *worker_task_of(struct worker *worker, const char *topic)
{
    for (size_t i = 0; i < worker->task_count; i++) {
        if (strcmp(worker->tasks[i].use->topic, topic) == 0) {
            return &worker->tasks[i];
        }
    }
    return NULL;
}

static struct worker_task *task_of_node(const struct node *node)
{
    const struct worker *worker = node->worker;
    for (size_t i = 0; i < worker->task_count; i++) {
        if (worker->tasks[i].node == node->id) {
            return &worker->tasks[i];
        }
    }
    return NULL;
}

static struct worker_input *input_of(struct worker *worker, const struct worker_task *task)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        if (worker->inputs[i].task == task) {
            return &worker->inputs[i];
        }
    }
    return NULL;
}

static void close_source(struct worker_task *task)
{
    if (task->batch) {
        source_task_release(task->source, task->batch);
        task->batch = NULL;
    }
    if (task->source) {
        source_task_close(task->source);
        task->source = NULL;
    }
    task->moved = false;
}

void worker_close_tasks(struct worker *worker)
{
    for (size_t i = 0; i < worker->task_count; i++) {
        struct worker_task *task = &worker->tasks[i];
        close_source(task);
        if (task->sink) {
            sink_task_close(task->sink);
        }
        bytes_free(&task->position);
    }
    free(worker->tasks);
    worker->tasks = NULL;
    worker->task_count = 0;
}

/* ---- sources ---- */

static struct store *position_store(const struct worker *worker, const struct worker_task *task)
{
    return worker->config.stores->find(worker->stores, task->use->name);
}

static int open_source(struct worker *worker, struct worker_task *task, struct err *err)
{
    struct source_task_config config = {
        .use = task->use,
        .app = worker->config.settings->id,
        .task = worker->config.partition,
        .tasks = topic_plan_find(worker->config.plan, task->use->topic)->partitions,
        .wake = worker->config.wake,
        .self = worker->config.self,
    };
    bool found;
    struct store_entry entry;
    if (worker->config.stores->get(position_store(worker, task), slice_text(POSITION_KEY), &found, &entry, err)) {
        return -1;
    }
    return source_task_open(&config, found ? entry.value : SLICE_NULL, &task->source, err);
}

static void release_batch(struct worker_task *task)
{
    source_task_release(task->source, task->batch);
    task->batch = NULL;
}

/* All records of the batch are processed: after the next commit reading goes on behind it. */
static int put_position(struct worker *worker, struct worker_task *task, struct err *err)
{
    task->processed = true;
    if (!task->batch->position.data) {
        return 0;
    }
    bytes_clear(&task->position);
    bytes_append_slice(&task->position, task->batch->position);
    task->moved = true;
    worker->dirty = true;
    int result = worker->config.stores->put(position_store(worker, task), slice_text(POSITION_KEY),
                                            task->batch->position, clock_wall_ms(worker->config.clock), err);
    FAILPOINT(SOURCE_POSITION);
    return result;
}

/* The next batch that has records; those that only move the position are done with at once. */
static int take_batch(struct worker *worker, struct worker_task *task, struct err *err)
{
    while ((task->batch = source_task_take(task->source))) {
        task->processed = false;
        if (task->batch->result) {
            *err = task->batch->err;
            return -1;
        }
        if (task->batch->count > 0) {
            return 0;
        }
        if (put_position(worker, task, err)) {
            return -1;
        }
        release_batch(task);
    }
    return 0;
}

int worker_task_refill(struct worker *worker, struct worker_input *input, struct err *err)
{
    struct worker_task *task = input->task;
    if (!task->source && open_source(worker, task, err)) {
        return -1;
    }
    if (task->batch && task->processed) {
        release_batch(task);
    }
    bool kept = task->batch != NULL; /* one that was not begun before a rebalance */
    if (!kept && take_batch(worker, task, err)) {
        return -1;
    }
    if (!task->batch) {
        return 0;
    }
    FAILPOINT(SOURCE_TAKEN);
    for (size_t i = 0; !kept && i < task->batch->count; i++) {
        task->batch->records[i].offset = task->taken++;
    }
    input->records = task->batch->records;
    input->count = task->batch->count;
    input->asked = false;
    input->idle_since_ns = 0;
    return 0;
}

int worker_task_advance(struct worker *worker, struct worker_input *input, struct err *err)
{
    if (worker_task_drains(input)) {
        sink_task_passed(input->task->sink, input->position);
        return 0;
    }
    bool last = input->next == input->count;
    return last ? put_position(worker, input->task, err) : 0;
}

bool worker_task_ready(const struct worker_task *task)
{
    return (task->batch && !task->processed) || (task->source && source_task_ready(task->source));
}

/* ---- sinks ---- */

static int open_sink(struct worker *worker, struct worker_task *task, const struct worker_input *input, struct err *err)
{
    const struct node *node = graph_node(worker->graph, task->node);
    struct sink_task_config config = {
        .use = task->use,
        .app = worker->config.settings->id,
        .task = worker->config.partition,
        .tasks = topic_plan_find(worker->config.plan, task->use->topic)->partitions,
        .keeps_sources = connector_use_direct(task->use) && (node->policy != POLICY_FAIL || node->policy_by_function),
        .next = input->committed >= 0 ? input->committed : CONNECTOR_NO_OFFSET,
        .wake = worker->config.wake,
        .self = worker->config.self,
    };
    return sink_task_open(&config, &task->sink, err);
}

static int refuse_gone(const struct worker_input *input, int64_t wanted, int64_t low, struct err *err)
{
    return err_set(
        err, ERR_FATAL, ERR_TOPIC,
        "The target of the sink %s has offset %lld of %s, partition %d, as its position, but the topic begins "
        "at %lld: what lies between is gone. Bring the target back to a later state, or set its position to "
        "%lld if it needs nothing of that.",
        input->task->use->name, (long long)wanted, input->topic, (int)input->partition, (long long)low, (long long)low);
}

static int refuse_recreated(const struct worker_input *input, int64_t wanted, int64_t high, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "The target of the sink %s has offset %lld of %s, partition %d, as its position, but the topic ends "
                   "at %lld: it was deleted and made again, and nothing says which of its records the target has. "
                   "Say it with: tidemill connect offsets reset, or set, for this sink.",
                   input->task->use->name, (long long)wanted, input->topic, (int)input->partition, (long long)high);
}

static int refuse_unknown(const struct worker_input *input, int64_t wanted, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "The target of the sink %s has offset %lld of %s, partition %d, as its position, but the group has "
                   "none: the app was reset, or the topic was deleted and made again, and nothing says which of its "
                   "records the target has. Say it with: tidemill connect offsets reset, or set, for this sink.",
                   input->task->use->name, (long long)wanted, input->topic, (int)input->partition);
}

/* A target that was put back to an earlier state needs records which the topic may not have any more; one whose topic
 * was made again would pass over records that it never had. */
static int check_wanted(struct worker *worker, const struct worker_input *input, int64_t wanted, struct err *err)
{
    int64_t low, high;
    if (input->committed == OFFSET_NONE && wanted > 0) {
        return refuse_unknown(input, wanted, err);
    }
    if (wanted == input->position) {
        return 0;
    }
    if (worker->config.transport->watermarks(worker->config.log, input->topic, input->partition, &low, &high, err)) {
        return -1;
    }
    if (wanted < input->position && wanted < low) {
        return refuse_gone(input, wanted, low, err);
    }
    return wanted > high ? refuse_recreated(input, wanted, high, err) : 0;
}

/* The target's own position decides where reading goes on. It may be behind the group, and what it lacks then is not
 * brought again by an input that goes back to the group's offset only; and it may be ahead, where the operators before
 * the sink would treat again what it has. So this is done after each change of the input's place, until it has
 * succeeded. */
static int place_input(struct worker *worker, struct worker_task *task, struct worker_input *input, struct err *err)
{
    int64_t wanted = sink_task_wanted(task->sink);
    if (task->placed || wanted == CONNECTOR_NO_OFFSET) {
        return 0;
    }
    bool moves = wanted < input->position || (wanted > input->position && input->position != OFFSET_NONE);
    if (check_wanted(worker, input, wanted, err) || (moves && worker_seek(worker, input, wanted, err))) {
        return -1;
    }
    task->placed = true;
    return 0;
}

static enum reset_policy reset_of(const struct worker *worker, const char *topic)
{
    size_t count;
    const struct subscription *list = topic_plan_subscriptions(worker->config.plan, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].topic, topic) == 0) {
            return list[i].reset;
        }
    }
    return RESET_EARLIEST;
}

/* Where a topic of the pipeline is read from when the group has no offset, which is the first one that it commits: the
 * transport may not say it before there is a record. */
static int find_start(struct worker *worker, const struct worker_task *task, struct worker_input *input,
                      struct err *err)
{
    const struct worker_config *config = &worker->config;
    if (!task->opened || !connector_use_direct(task->use) || input->position != OFFSET_NONE) {
        return 0;
    }
    int64_t start = config->transport->position(config->session, input->handle);
    enum reset_policy reset = reset_of(worker, input->topic);
    int64_t low, high;
    if (start < 0 && reset == RESET_ERROR) {
        return err_set(
            err, ERR_FATAL, ERR_TOPIC,
            "The app has no position in topic %s, partition %d, and its reset policy is error. Set one with: "
            "tidemill reset",
            input->topic, (int)input->partition);
    }
    if (start < 0 && config->transport->watermarks(config->log, input->topic, input->partition, &low, &high, err)) {
        return -1;
    }
    start = start >= 0 ? start : reset == RESET_LATEST ? high : low;
    input->first = start;
    return worker_seek(worker, input, start, err);
}

/* What is said of a refused record goes out with the next commit, and only then the task passes over it. */
static int treat_refused(struct worker *worker, struct worker_task *task, struct err *err)
{
    const struct program_class *program = worker->config.program->class;
    struct node *node = graph_node(worker->graph, task->node);
    if (program->process(worker->instance, node, sink_task_refused(task->sink), err)) {
        return -1;
    }
    arena_clear(&worker->arena);
    task->refusal = REFUSAL_TREATED;
    worker->dirty = true;
    worker->flushed = false;
    return 0;
}

static void note_acknowledged(struct worker *worker, struct worker_task *task, const struct worker_input *input)
{
    task->acknowledged = sink_task_acknowledged(task->sink);
    int64_t offset = task->acknowledged < input->position ? task->acknowledged : input->position;
    worker->dirty = worker->dirty || offset > input->committed;
}

/* A target must not have a position where the group has none: that is how a topic that was made again is told. */
static void begin_sink(struct worker *worker, struct worker_task *task, const struct worker_input *input)
{
    task->begun = task->opened && input->committed != OFFSET_NONE;
    worker->dirty = worker->dirty || (task->opened && !task->begun);
}

static int look_at_sink(struct worker *worker, struct worker_task *task, struct worker_input *input, struct err *err)
{
    int64_t offset;
    if (!task->sink && open_sink(worker, task, input, err)) {
        return -1;
    }
    switch (sink_task_look(task->sink, &offset, &task->reason)) {
    case SINK_REFUSED:
        task->refusal = REFUSAL_FOUND;
        break;
    case SINK_FAILED:
        *err = task->reason;
        return -1;
    case SINK_OPENED:
        task->opened = true;
        break;
    case SINK_NOTHING:
        break;
    }
    if (place_input(worker, task, input, err) || find_start(worker, task, input, err)) {
        return -1;
    }
    begin_sink(worker, task, input);
    if (task->refusal == REFUSAL_FOUND && treat_refused(worker, task, err)) {
        return -1;
    }
    note_acknowledged(worker, task, input);
    return 0;
}

int worker_tasks_look(struct worker *worker, bool *room, struct err *err)
{
    for (size_t i = 0; i < worker->task_count; i++) {
        struct worker_task *task = &worker->tasks[i];
        struct worker_input *input = task->use->sink ? input_of(worker, task) : NULL;
        if (input && look_at_sink(worker, task, input, err)) {
            return -1;
        }
    }
    worker_tasks_flush(worker);
    *room = worker_tasks_have_room(worker);
    return 0;
}

bool worker_tasks_have_room(const struct worker *worker)
{
    for (size_t i = 0; i < worker->task_count; i++) {
        const struct worker_task *task = &worker->tasks[i];
        if (task->sink && (!task->begun || !sink_task_room(task->sink))) {
            return false;
        }
    }
    return true;
}

void worker_tasks_flush(struct worker *worker)
{
    for (size_t i = 0; i < worker->task_count; i++) {
        struct worker_task *task = &worker->tasks[i];
        struct worker_input *input = task->sink ? input_of(worker, task) : NULL;
        if (input) {
            sink_task_flush(task->sink);
            note_acknowledged(worker, task, input); /* records that the target had before move the group's offset */
        }
    }
}

/* Something other than a position goes into the transaction. */
void worker_tasks_produced(struct worker *worker)
{
    for (size_t i = 0; i < worker->task_count; i++) {
        struct worker_task *task = &worker->tasks[i];
        const struct worker_input *input = task->sink ? input_of(worker, task) : NULL;
        if (input) {
            sink_task_hold(task->sink, input->position);
        }
    }
}

int op_sink_put(struct node *node, const struct record *source, const struct record *row)
{
    struct worker *worker = node->worker;
    struct worker_task *task = task_of_node(node);
    if (task) {
        sink_task_put(task->sink, source, row);
        return 0;
    }
    if (!connector_use_direct(node->connector)) {
        return 0;
    }
    struct output *output = op_output(worker, node->connector->through);
    return output ? op_produce(worker, output, -1, row) : -1;
}

const struct err *op_sink_refusal(const struct node *node)
{
    const struct worker_task *task = task_of_node(node);
    return task && task->refusal == REFUSAL_FOUND ? &task->reason : NULL;
}

/* ---- both ---- */

bool worker_task_done(const struct worker_input *input)
{
    const struct worker_task *task = input->task;
    if (task->use->sink) { /* before it is open nobody knows what the target lacks */
        bool nothing = task->opened && sink_task_wanted(task->sink) == CONNECTOR_NO_OFFSET;
        return task->opened && task->refusal == REFUSAL_NONE && (nothing || task->acknowledged >= input->position);
    }
    return task->source && source_task_at_end(task->source) && !worker_task_ready(task);
}

/* A source's group offset is the end of its positions topic as the last commit left it: it moves with each commit that
 * moves the position, so that a store which could not follow one is seen to be behind. */
static int64_t source_offset(const struct worker *worker, const struct worker_input *input)
{
    for (size_t i = 0; i < worker->changelog_count; i++) {
        const struct worker_changelog *changelog = &worker->changelogs[i];
        if (strcmp(changelog->topic, input->topic) == 0 && changelog->offset > input->committed) {
            return changelog->offset;
        }
    }
    return input->committed >= 0 ? input->committed : 0;
}

int64_t worker_task_next_offset(const struct worker *worker, const struct worker_input *input)
{
    if (!input->task->use->sink) {
        return source_offset(worker, input);
    }
    int64_t offset = input->task->acknowledged < input->position ? input->task->acknowledged : input->position;
    int64_t known = input->committed >= 0 ? input->committed : input->first >= 0 ? input->first : 0;
    return offset > known ? offset : known;
}

void worker_task_rewind(struct worker_task *task)
{
    close_source(task);
    task->processed = false;
    task->placed = false;
    if (task->sink) {
        sink_task_rewind(task->sink);
    }
    if (task->refusal == REFUSAL_TREATED) {
        task->refusal = REFUSAL_FOUND;
    }
}

void worker_tasks_committed(struct worker *worker)
{
    for (size_t i = 0; i < worker->task_count; i++) {
        struct worker_task *task = &worker->tasks[i];
        if (task->moved) {
            task->moved = false;
            source_task_acknowledge(task->source, bytes_slice(&task->position));
        }
        if (task->sink) {
            sink_task_release(task->sink);
        }
        if (task->refusal == REFUSAL_TREATED) {
            task->refusal = REFUSAL_NONE;
            sink_task_pass(task->sink);
        }
    }
}

size_t worker_connector_count(const struct worker *worker)
{
    return worker->task_count;
}

void worker_connector(const struct worker *worker, size_t index, struct worker_connector *connector)
{
    const struct worker_task *task = &worker->tasks[index];
    *connector = (struct worker_connector){.kind = task->use->connector->kind, .sink = task->use->sink};
    snprintf(connector->name, sizeof(connector->name), "%s", task->use->name);
    if (task->source) {
        source_task_status(task->source, &connector->report);
    } else if (task->sink) {
        sink_task_status(task->sink, &connector->report);
    }
}
