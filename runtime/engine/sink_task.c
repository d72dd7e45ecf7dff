#include "engine/sink_task.h"

#include <ck_pr.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/memory.h"

#define CHUNKS 8 /* under way at most: what a slow target makes the process keep in memory */
#define CHUNK_RECORDS 4096
#define CHUNK_BYTES (1 << 20)
#define CHUNKS_EAGER 2 /* less than that is under way: a chunk goes as it is */
#define WAIT_MS 250
#define NS_PER_MS INT64_C(1000000)

/* Rows that the stream thread has gathered; those of one input record have its offset and lie together. */
struct chunk {
    struct arena arena;
    struct record *records;
    struct record *sources; /* of each row the input record; NULL unless config.keeps_sources */
    size_t count;
    size_t capacity;
    size_t source_capacity;
    size_t whole; /* of the rows, those of input records that have given all of theirs */
    int64_t next; /* offset after the last such input record */
    size_t bytes;
};

struct sink_task {
    struct sink_task_config config;
    struct connector_context context;
    const struct sink_class *class;
    pthread_t thread;
    struct mailbox *chunks; /* to the task's thread */
    struct mailbox *passes; /* to it: the refused record may be passed over */
    struct connector_status status;
    uint32_t stopping;     /* ck_pr */
    uint32_t under_way;    /* ck_pr: chunks sent and not written */
    uint64_t acknowledged; /* ck_pr: an int64_t */
    uint64_t passed;       /* ck_pr: an int64_t: every chunk before it is sent, and it may be the target's position */

    pthread_mutex_t lock;
    enum sink_event event; /* @locks lock; the three below too */
    int64_t event_offset;
    struct err event_err;
    const struct record *event_record; /* of SINK_REFUSED; stays while the task waits for the pass */

    /* of the stream thread */
    struct chunk *filling; /* NULL: nothing gathered */
    bool opened;
    bool refused;
    int64_t begin; /* first offset that neither the target had at open nor sink_task_passed has brought */
    bool held;     /* nothing gathered goes to the target */
    int64_t hold;  /* what has come from this offset on is dropped by sink_task_rewind */

    /* of the task's thread */
    struct connector_task *connector; /* NULL: not open */
    bool known;                       /* `next` is what the target has */
    int64_t next;
    struct record *records; /* of the chunks taken */
    struct record *sources; /* as in a chunk */
    size_t count;
    size_t capacity;
    size_t done; /* of them, written */
    int64_t end; /* the position when all of them are */
    struct chunk *taken[CHUNKS];
    size_t taken_count;
    bool ended;
};

static const struct clock system_clock = CLOCK_SYSTEM; /* targets keep their own time, whatever a test's clock says */

/* ---- the task's thread: talking ---- */

static bool is_stopping(void *self)
{
    const struct sink_task *task = self;
    return ck_pr_load_32(&task->stopping) != 0;
}

static void say(struct sink_task *task, enum sink_event event, int64_t offset, const struct err *err)
{
    pthread_mutex_lock(&task->lock);
    task->event = event;
    task->event_offset = offset;
    const struct record *rows = task->sources ? task->sources : task->records;
    task->event_record = event == SINK_REFUSED ? &rows[task->done] : NULL;
    if (err) {
        task->event_err = *err;
    }
    pthread_mutex_unlock(&task->lock);
    task->config.wake(task->config.self);
}

static void end(struct sink_task *task, const struct err *err)
{
    connector_status_ended(&task->status, err);
    task->ended = true;
    say(task, SINK_FAILED, CONNECTOR_NO_OFFSET, err);
}

static void free_chunk(struct chunk *chunk)
{
    arena_free(&chunk->arena);
    free(chunk->records);
    free(chunk->sources);
    free(chunk);
}

static void close_connector(struct sink_task *task)
{
    if (task->connector) {
        task->class->close(task->connector);
        task->connector = NULL;
    }
}

static void note_written(struct sink_task *task, size_t records, int64_t next)
{
    task->next = next;
    connector_status_running(&task->status, records, NULL);
    ck_pr_store_64(&task->acknowledged, (uint64_t)next);
    task->config.wake(task->config.self);
}

static void rest(struct sink_task *task, const struct err *err)
{
    int64_t wait_ms = connector_status_failed(&task->status, &task->config.use->runner, err);
    log_event(LOG_WARN, "sink waits", log_text("app", task->config.app), log_text("sink", task->config.use->name),
              log_number("task", task->config.task), log_number("wait_ms", wait_ms), log_text("reason", err->text));
    for (; wait_ms > 0 && !is_stopping(task); wait_ms -= WAIT_MS) {
        clock_sleep_ms(wait_ms < WAIT_MS ? wait_ms : WAIT_MS);
    }
}

/* ---- the task's thread: connecting ---- */

/* What the target has of the records at hand after a failure whose outcome was not known. */
static int find_place(struct sink_task *task, int64_t next, struct err *err)
{
    if (next == task->next) {
        return 0;
    }
    if (next < task->next || next > task->end) {
        return err_set(err, ERR_FENCED, ERR_PROTOCOL,
                       "The target's position of the sink %s, topic %s, partition %d is %lld instead of %lld: another "
                       "process writes there.",
                       task->config.use->name, task->config.use->topic, (int)task->config.task, (long long)next,
                       (long long)task->next);
    }
    while (task->done < task->count && task->records[task->done].offset < next) {
        task->done++;
    }
    note_written(task, 0, next);
    return 0;
}

/* Offsets of one topic say nothing of another. */
static int refuse_other_topic(struct sink_task *task, struct err *err)
{
    const struct connector_use *use = task->config.use;
    char other[CONNECTOR_TOPIC_SIZE] = "";
    if (!task->class->other_topic || task->class->other_topic(task->connector, other, err)) {
        return task->class->other_topic ? -1 : 0;
    }
    if (other[0] == '\0') {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_CONFIG,
                   "The target of the sink %s has its position in the topic %s, but the pipeline gives it the topic %s "
                   "now, and nothing says which of its records the target has. Put the script back as it was%s, or %s",
                   use->name, other, use->topic,
                   connector_use_direct(use) ? " (tasks = N keeps a topic in between)" : "",
                   task->class->put_back ? task->class->put_back
                                         : "say where to go on with: tidemill connect offsets set, or reset, for this "
                                           "sink.");
}

static int take_position(struct sink_task *task, struct err *err)
{
    int64_t next = task->known ? task->next : CONNECTOR_NO_OFFSET;
    if (task->class->position(task->connector, &next, err)) {
        return -1;
    }
    FAILPOINT(SINK_OPEN);
    if (task->known) {
        return find_place(task, next, err);
    }
    if (refuse_other_topic(task, err)) {
        return -1;
    }
    task->known = true;
    task->next = next;
    task->end = next;
    /* A target that knows no position has what the group has committed. */
    ck_pr_store_64(&task->acknowledged, (uint64_t)(next != CONNECTOR_NO_OFFSET ? next : task->config.next));
    connector_status_running(&task->status, 0, NULL);
    say(task, SINK_OPENED, next, NULL);
    return 0;
}

static int connect(struct sink_task *task, struct err *err)
{
    if (task->connector) {
        return 0;
    }
    connector_status_connecting(&task->status);
    if (task->class->open(&task->context, &task->connector, err)) {
        task->connector = NULL;
        return -1;
    }
    return take_position(task, err);
}

static void fail(struct sink_task *task, struct err *err)
{
    close_connector(task);
    err_wrap(err, "writing the sink %s", task->config.use->name);
    if (err->class == ERR_RETRY) {
        rest(task, err);
    } else {
        end(task, err);
    }
}

/* ---- the task's thread: writing ---- */

/* The records from `done` on; `next` is the position after them. */
static int write_some(struct sink_task *task, size_t count, int64_t next, size_t *bad, struct err *err)
{
    struct sink_batch batch = {task->records + task->done, count, task->next, next};
    *bad = SINK_BAD_UNKNOWN;
    FAILPOINT(SINK_WRITE);
    if (task->class->write(task->connector, &batch, bad, err) || FAILPOINT_FAILS(SINK_COMMITTED, err)) {
        return -1;
    }
    task->done += count;
    note_written(task, count, next);
    return 0;
}

/* The position is never inside an input record: what lies between two of them that gave rows gave none. */
static int64_t offset_after(const struct sink_task *task, size_t count)
{
    size_t done = task->done + count;
    return done == task->count ? task->end : task->records[done - 1].offset + 1;
}

/* So many of the next rows, and the others of the last one's input record. */
static size_t round_up(const struct sink_task *task, size_t count)
{
    const struct record *records = task->records + task->done;
    while (count < task->count - task->done && records[count].offset == records[count - 1].offset) {
        count++;
    }
    return count;
}

static bool is_one(const struct sink_task *task, size_t count)
{
    return task->records[task->done].offset == task->records[task->done + count - 1].offset;
}

/* The next input record is refused: waits for what the stream thread does with it, then moves over it. */
static int refuse(struct sink_task *task, size_t count, struct err *err)
{
    size_t bad;
    FAILPOINT(SINK_REFUSED);
    say(task, SINK_REFUSED, task->records[task->done].offset, err);
    while (!mailbox_receive(task->passes, WAIT_MS)) {
        if (is_stopping(task)) {
            return err_set(err, ERR_RETRY, ERR_RECORD, "The task is closed.");
        }
    }
    FAILPOINT(SINK_PASS);
    if (write_some(task, 0, offset_after(task, count), &bad, err)) {
        return -1;
    }
    task->done += count;
    return 0;
}

/* How many rows to try after a write of `count`, of more than one input record, was refused; `bad` is the one that the
 * target names. */
static size_t shorter(const struct sink_task *task, size_t count, size_t bad)
{
    const struct record *records = task->records + task->done;
    size_t less = bad < count ? bad : count / 2;
    while (less > 0 && records[less].offset == records[less - 1].offset) {
        less--;
    }
    return less > 0 ? less : round_up(task, 1);
}

/* Writes the next `count` rows. While one of them is known to be bad, prefixes are halved until its input record stands
 * alone. */
static int write_batch(struct sink_task *task, size_t count, struct err *err)
{
    size_t last = task->done + count; /* one past the batch */
    size_t suspect = last;            /* one past the shortest prefix that was refused */
    while (task->done < last) {
        size_t bad;
        if (write_some(task, count, offset_after(task, count), &bad, err) == 0) {
            suspect = task->done < suspect ? suspect : last;
            count = suspect - task->done;
            bool many = suspect < last && count > 0 && !is_one(task, count);
            count = many ? shorter(task, count, SINK_BAD_UNKNOWN) : count;
            continue;
        }
        if (err->class != ERR_SKIP) {
            return -1;
        }
        suspect = task->done + count;
        if (!is_one(task, count)) {
            count = shorter(task, count, bad);
            continue;
        }
        if (refuse(task, count, err)) {
            return -1;
        }
        suspect = last;
        count = last - task->done;
    }
    return 0;
}

static int write_records(struct sink_task *task, struct err *err)
{
    size_t most = (size_t)task->config.use->runner.batch;
    while (task->done < task->count) {
        size_t left = task->count - task->done;
        if (write_batch(task, left < most ? left : round_up(task, most), err)) {
            return -1;
        }
    }
    return 0;
}

/* While no rows come, the position follows the input records that give none: else a target would seem to lack what its
 * topic has long deleted. */
static int move_on(struct sink_task *task, int64_t passed, struct err *err)
{
    size_t bad;
    if (task->taken_count > 0 || passed <= task->next || is_stopping(task)) {
        return 0;
    }
    task->end = passed;
    return write_some(task, 0, passed, &bad, err);
}

/* ---- the task's thread: taking ---- */

static void add_chunk(struct sink_task *task, struct chunk *chunk)
{
    size_t needed = task->count + chunk->count;
    if (needed > task->capacity) {
        task->records = memory_resize(task->records, needed * sizeof(*task->records));
        if (task->config.keeps_sources) {
            task->sources = memory_resize(task->sources, needed * sizeof(*task->sources));
        }
        task->capacity = needed;
    }
    for (size_t i = 0; i < chunk->count; i++) {
        if (task->sources) {
            task->sources[task->count] = chunk->sources[i];
        }
        task->records[task->count++] = chunk->records[i];
    }
    task->end = chunk->next;
    task->taken[task->taken_count++] = chunk;
}

/* Everything that is there, and what comes within linger_ms while that is less than a batch. */
static void take_chunks(struct sink_task *task)
{
    const struct connector_runner_options *options = &task->config.use->runner;
    struct chunk *chunk = mailbox_receive(task->chunks, WAIT_MS);
    int64_t until = clock_monotonic_ns(&system_clock) + options->linger_ms * NS_PER_MS;
    while (chunk) {
        add_chunk(task, chunk);
        if (task->taken_count == CHUNKS || is_stopping(task)) {
            return;
        }
        int64_t left_ms = (until - clock_monotonic_ns(&system_clock)) / NS_PER_MS;
        bool waits = left_ms > 0 && (int64_t)task->count < options->batch;
        chunk = mailbox_receive(task->chunks, waits ? (int)left_ms : 0);
    }
}

static void drop_taken(struct sink_task *task)
{
    for (size_t i = 0; i < task->taken_count; i++) {
        free_chunk(task->taken[i]);
        ck_pr_dec_32(&task->under_way);
    }
    bool any = task->taken_count > 0;
    task->taken_count = 0;
    task->count = 0;
    task->done = 0;
    if (any) {
        task->config.wake(task->config.self);
    }
}

static int idle(struct sink_task *task, struct err *err)
{
    bool calls = task->taken_count == 0 && task->connector && task->class->idle && !is_stopping(task);
    return calls ? task->class->idle(task->connector, err) : 0;
}

static void *run(void *data)
{
    struct sink_task *task = data;
    struct err err;
    while (!task->ended && !is_stopping(task)) {
        if (connect(task, &err) || write_records(task, &err)) {
            fail(task, &err);
            continue;
        }
        drop_taken(task);
        int64_t passed = (int64_t)ck_pr_load_64(&task->passed); /* first: chunks that were sent before it are here */
        ck_pr_fence_load();
        take_chunks(task);
        if (move_on(task, passed, &err) || idle(task, &err)) {
            fail(task, &err);
        }
    }
    close_connector(task);
    return NULL;
}

/* ---- the stream thread ---- */

static void free_task(struct sink_task *task)
{
    mailbox_free(task->chunks);
    mailbox_free(task->passes);
    connector_status_free(&task->status);
    pthread_mutex_destroy(&task->lock);
    free(task->records);
    free(task->sources);
    free(task);
}

int sink_task_open(const struct sink_task_config *config, struct sink_task **result, struct err *err)
{
    struct sink_task *task = memory_alloc(sizeof(*task));
    task->config = *config;
    task->class = config->use->connector->sink;
    task->context = (struct connector_context){.app = config->app,
                                               .name = config->use->name,
                                               .topic = config->use->topic,
                                               .task = config->task,
                                               .tasks = config->tasks,
                                               .json_keys = config->use->json_keys,
                                               .options = config->use->options,
                                               .stopping = is_stopping,
                                               .self = task};
    task->chunks = mailbox_new(CHUNKS + 1);
    task->passes = mailbox_new(1);
    task->acknowledged = (uint64_t)CONNECTOR_NO_OFFSET;
    task->passed = (uint64_t)CONNECTOR_NO_OFFSET;
    task->begin = CONNECTOR_NO_OFFSET;
    pthread_mutex_init(&task->lock, NULL);
    connector_status_init(&task->status, config->use, config->task);
    if (pthread_create(&task->thread, NULL, run, task)) {
        free_task(task);
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "The thread of the sink %s can't be started.", config->use->name);
    }
    *result = task;
    return 0;
}

static struct chunk *new_chunk(void)
{
    return memory_alloc(sizeof(struct chunk));
}

void sink_task_close(struct sink_task *task)
{
    ck_pr_store_32(&task->stopping, 1);
    mailbox_send(task->chunks, new_chunk()); /* ends its wait; there is room for one more than may be under way */
    pthread_join(task->thread, NULL);
    drop_taken(task);
    for (struct chunk *chunk; (chunk = mailbox_receive(task->chunks, 0));) {
        free_chunk(chunk);
    }
    while (mailbox_receive(task->passes, 0)) {
    }
    if (task->filling) {
        free_chunk(task->filling);
    }
    free_task(task);
}

enum sink_event sink_task_look(struct sink_task *task, int64_t *offset, struct err *err)
{
    pthread_mutex_lock(&task->lock);
    enum sink_event event = task->event;
    *offset = task->event_offset;
    if (event == SINK_REFUSED || event == SINK_FAILED) {
        *err = task->event_err;
    }
    if (event != SINK_FAILED) {
        task->event = SINK_NOTHING;
    }
    pthread_mutex_unlock(&task->lock);
    if (event == SINK_OPENED) {
        task->opened = true;
        task->begin = *offset;
    }
    task->refused = task->refused || event == SINK_REFUSED;
    return event;
}

const struct record *sink_task_refused(const struct sink_task *task)
{
    return task->event_record;
}

void sink_task_pass(struct sink_task *task)
{
    task->refused = false;
    mailbox_send(task->passes, task); /* any message will do */
}

int64_t sink_task_wanted(const struct sink_task *task)
{
    return task->opened ? task->begin : CONNECTOR_NO_OFFSET;
}

static bool is_full(const struct chunk *chunk)
{
    return chunk && (chunk->count >= CHUNK_RECORDS || chunk->bytes >= CHUNK_BYTES);
}

bool sink_task_room(struct sink_task *task)
{
    return task->opened && !task->refused && !is_full(task->filling) && ck_pr_load_32(&task->under_way) < CHUNKS;
}

static bool is_same(struct slice one, struct slice other)
{
    return one.data == other.data && one.size == other.size;
}

/* Most rows are their input record as it came, and those of one record share its copy. */
static void keep_source(struct chunk *chunk, const struct record *source, const struct record *row)
{
    size_t at = chunk->count - 1;
    chunk->sources = memory_grow(chunk->sources, at, &chunk->source_capacity, sizeof(*chunk->sources));
    if (is_same(source->key, row->key) && is_same(source->value, row->value) &&
        source->headers.list == row->headers.list) {
        chunk->sources[at] = chunk->records[at];
        chunk->sources[at].timestamp = source->timestamp;
    } else if (at > chunk->whole) {
        chunk->sources[at] = chunk->sources[at - 1];
    } else {
        chunk->sources[at] = record_copy(&chunk->arena, source);
        chunk->bytes += source->key.size + source->value.size;
    }
}

void sink_task_put(struct sink_task *task, const struct record *source, const struct record *row)
{
    if (source->offset < task->begin) {
        return;
    }
    if (!task->filling) {
        task->filling = new_chunk();
    }
    struct chunk *chunk = task->filling;
    chunk->records = memory_grow(chunk->records, chunk->count, &chunk->capacity, sizeof(*chunk->records));
    struct record *copy = &chunk->records[chunk->count++];
    *copy = record_copy(&chunk->arena, row);
    copy->topic = source->topic;
    copy->partition = source->partition;
    copy->offset = source->offset;
    chunk->bytes += row->key.size + row->value.size;
    if (task->config.keeps_sources) {
        keep_source(chunk, source, row);
    }
}

void sink_task_passed(struct sink_task *task, int64_t next)
{
    if (next <= task->begin) {
        return;
    }
    task->begin = next;
    if (task->filling) {
        task->filling->whole = task->filling->count;
        task->filling->next = next;
    }
    if (is_full(task->filling)) {
        sink_task_flush(task);
    }
}

/* Leaves so many of the rows that were gathered. */
static void cut(struct sink_task *task, size_t count)
{
    struct chunk *chunk = task->filling;
    chunk->count = count;
    chunk->whole = count;
    if (count == 0) {
        free_chunk(chunk);
        task->filling = NULL;
    }
}

void sink_task_hold(struct sink_task *task, int64_t from)
{
    task->hold = task->held ? task->hold : from;
    task->held = true;
}

void sink_task_release(struct sink_task *task)
{
    task->held = false;
    sink_task_flush(task);
}

void sink_task_rewind(struct sink_task *task)
{
    struct chunk *chunk = task->filling;
    if (chunk) {
        cut(task, chunk->whole);
        chunk = task->filling;
    }
    if (!task->held) {
        return;
    }
    task->held = false;
    task->begin = task->hold < task->begin ? task->hold : task->begin;
    size_t count = chunk ? chunk->count : 0;
    while (count > 0 && chunk->records[count - 1].offset >= task->begin) {
        count--;
    }
    if (chunk) {
        chunk->next = task->begin;
        cut(task, count);
    }
}

void sink_task_flush(struct sink_task *task)
{
    if (task->filling && task->filling->whole < task->filling->count) {
        cut(task, task->filling->whole); /* of a record whose processing has failed */
    }
    if (task->held) {
        return;
    }
    uint32_t under_way = ck_pr_load_32(&task->under_way);
    if (task->filling && under_way < (is_full(task->filling) ? CHUNKS : CHUNKS_EAGER)) {
        ck_pr_inc_32(&task->under_way);
        mailbox_send(task->chunks, task->filling);
        task->filling = NULL;
    }
    if (!task->filling && task->opened) {
        ck_pr_fence_store();
        ck_pr_store_64(&task->passed, (uint64_t)task->begin);
    }
}

int64_t sink_task_acknowledged(struct sink_task *task)
{
    return (int64_t)ck_pr_load_64(&task->acknowledged);
}

void sink_task_status(struct sink_task *task, struct connector_report *report)
{
    connector_status_copy(&task->status, report);
}
