#include "engine/source_task.h"

#include <ck_pr.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/memory.h"

#define PROGRESS_NS INT64_C(5000000000)
#define POLL_MS 250
#define ORDERS 16

enum order_kind { ORDER_RELEASE, ORDER_ACKNOWLEDGE, ORDER_STOP };

struct order {
    enum order_kind kind;
    struct source_task_batch *batch;
    struct bytes position;
};

struct source_task {
    struct source_task_config config;
    struct connector_context context;
    const struct source_class *class;
    pthread_t thread;
    struct mailbox *orders;  /* to the task's thread */
    struct mailbox *batches; /* from it */
    struct connector_status status;
    uint32_t stopping; /* ck_pr */

    /* of the stream thread */
    struct source_task_batch *next; /* taken out of the mailbox, not yet by the worker */
    struct order *unsent;           /* an acknowledgement that found the mailbox full */
    bool at_end;

    /* of the task's thread */
    struct connector_task *connector; /* NULL: not open */
    struct bytes position;            /* after the last batch handed out; empty: the beginning */
    struct bytes acknowledged;        /* not yet told to the connector; empty: nothing */
    size_t ahead;                     /* batches not released yet */
    int64_t told_ns;                  /* when long work was told of last */
    bool ended;
};

/* Servers keep their own time, so this is the system's also where the engine's is a test's. */
static const struct clock system_clock = CLOCK_SYSTEM;

/* ---- the task's thread ---- */

static bool is_stopping(void *self)
{
    const struct source_task *task = self;
    return ck_pr_load_32(&task->stopping) != 0;
}

static void free_batch(struct source_task_batch *batch)
{
    arena_free(&batch->arena);
    free(batch);
}

static void free_order(struct order *order)
{
    bytes_free(&order->position);
    free(order);
}

static void follow(struct source_task *task, struct order *order)
{
    switch (order->kind) {
    case ORDER_RELEASE:
        free_batch(order->batch);
        task->ahead--;
        break;
    case ORDER_ACKNOWLEDGE:
        bytes_clear(&task->acknowledged);
        bytes_append_slice(&task->acknowledged, bytes_slice(&order->position));
        break;
    case ORDER_STOP:
        task->ended = true;
        break;
    }
    free_order(order);
}

/* Waits at most timeout_ms for the first order; takes all that are there. */
static void follow_orders(struct source_task *task, int timeout_ms)
{
    struct order *order = mailbox_receive(task->orders, timeout_ms);
    while (order) {
        follow(task, order);
        order = mailbox_receive(task->orders, 0);
    }
}

static void close_connector(struct source_task *task)
{
    if (task->connector) {
        task->class->close(task->connector);
        task->connector = NULL;
    }
}

static struct slice text_or_null(const struct bytes *text)
{
    return text->size > 0 ? bytes_slice(text) : SLICE_NULL;
}

static struct source_task_batch *copy_batch(struct source_task *task, const struct source_batch *from)
{
    struct source_task_batch *batch = memory_alloc(sizeof(*batch));
    batch->count = from->count;
    batch->at_end = from->at_end;
    batch->position = arena_copy(&batch->arena, from->position);
    batch->records = arena_alloc(&batch->arena, (from->count + 1) * sizeof(*batch->records));
    for (size_t i = 0; i < from->count; i++) {
        struct record *record = &batch->records[i];
        *record = record_copy(&batch->arena, &from->records[i]);
        const char *topic = record->topic ? record->topic : task->config.use->name;
        record->topic = (const char *)arena_copy(&batch->arena, slice_of(topic, strlen(topic) + 1)).data;
        record->timestamp = record->timestamp >= 0 ? record->timestamp : clock_wall_ms(&system_clock);
        record->partition = task->config.task;
    }
    return batch;
}

static void hand_out(struct source_task *task, struct source_task_batch *batch)
{
    task->ahead++;
    mailbox_send(task->batches, batch); /* has room for all that may be ahead, and an error */
    task->config.wake(task->config.self);
}

static void hand_out_error(struct source_task *task, const struct err *err)
{
    struct source_task_batch *batch = memory_alloc(sizeof(*batch));
    batch->result = -1;
    batch->err = *err;
    connector_status_ended(&task->status, err);
    hand_out(task, batch);
}

/* A failure that goes away by itself is waited for; any other is the last thing that the task hands out. */
static void fail(struct source_task *task, struct err *err)
{
    close_connector(task);
    err_wrap(err, "reading the source %s", task->config.use->name);
    if (err->class != ERR_RETRY) {
        hand_out_error(task, err);
        while (!task->ended) {
            follow_orders(task, -1);
        }
        return;
    }
    int64_t wait_ms = connector_status_failed(&task->status, &task->config.use->runner, err);
    log_event(LOG_WARN, "source waits", log_text("app", task->config.app), log_text("source", task->config.use->name),
              log_number("task", task->config.task), log_number("wait_ms", wait_ms), log_text("reason", err->text));
    for (int64_t now = clock_monotonic_ns(&system_clock), end = now + wait_ms * 1000000; !task->ended && now < end;
         now = clock_monotonic_ns(&system_clock)) {
        follow_orders(task, (int)((end - now) / 1000000) + 1);
    }
}

/* Long work is told of every few seconds. */
static void tell_progress(struct source_task *task)
{
    int64_t now_ns = clock_monotonic_ns(&system_clock);
    if (now_ns - task->told_ns < PROGRESS_NS) {
        return;
    }
    struct connector_report report;
    connector_status_copy(&task->status, &report);
    task->told_ns = now_ns;
    if (report.phase[0] != '\0') {
        log_event(LOG_INFO, "source at work", log_text("app", task->config.app),
                  log_text("source", task->config.use->name), log_text("phase", report.phase),
                  log_number("rows", report.done), log_number("rows_in_all_about", report.total),
                  log_number("rows_per_second", report.rows_per_s));
    }
}

static int read_some(struct source_task *task, struct err *err)
{
    struct source_batch batch = {0};
    if (task->class->poll(task->connector, POLL_MS, &batch, err)) {
        return -1;
    }
    FAILPOINT(SOURCE_BATCH);
    connector_status_running(&task->status, batch.count, &batch.progress);
    tell_progress(task);
    if (!slice_is_null(batch.position)) {
        bytes_clear(&task->position);
        bytes_append_slice(&task->position, batch.position);
    }
    if (batch.count > 0 || !slice_is_null(batch.position) || batch.at_end) {
        hand_out(task, copy_batch(task, &batch));
    }
    return 0;
}

static int acknowledge(struct source_task *task, struct err *err)
{
    int result = 0;
    if (task->acknowledged.size > 0 && task->class->acknowledge) {
        FAILPOINT(SOURCE_TELL);
        result = task->class->acknowledge(task->connector, bytes_slice(&task->acknowledged), err);
        FAILPOINT(SOURCE_TOLD);
    }
    bytes_clear(&task->acknowledged);
    return result;
}

/* One round: connected, orders followed, something read unless too much is ahead. */
static void work(struct source_task *task)
{
    struct err err;
    follow_orders(task, task->ahead >= SOURCE_TASK_AHEAD ? POLL_MS : 0);
    if (task->ended) {
        return;
    }
    if (!task->connector) {
        FAILPOINT(SOURCE_OPEN);
        connector_status_connecting(&task->status);
        if (task->class->open(&task->context, text_or_null(&task->position), &task->connector, &err)) {
            task->connector = NULL;
            fail(task, &err);
            return;
        }
    }
    if (acknowledge(task, &err) || (task->ahead < SOURCE_TASK_AHEAD && read_some(task, &err))) {
        fail(task, &err);
    }
}

static void *run(void *data)
{
    struct source_task *task = data;
    while (!task->ended) {
        work(task);
    }
    if (task->connector) {
        struct err ignored; /* the next task tells it again */
        acknowledge(task, &ignored);
    }
    close_connector(task);
    return NULL;
}

/* ---- the stream thread ---- */

static struct order *new_order(enum order_kind kind)
{
    struct order *order = memory_alloc(sizeof(*order));
    order->kind = kind;
    return order;
}

static void free_task(struct source_task *task)
{
    mailbox_free(task->orders);
    mailbox_free(task->batches);
    connector_status_free(&task->status);
    bytes_free(&task->position);
    bytes_free(&task->acknowledged);
    free(task);
}

int source_task_open(const struct source_task_config *config, struct slice position, struct source_task **result,
                     struct err *err)
{
    struct source_task *task = memory_alloc(sizeof(*task));
    task->config = *config;
    task->class = config->use->connector->source;
    task->context = (struct connector_context){.app = config->app,
                                               .name = config->use->name,
                                               .task = config->task,
                                               .tasks = config->tasks,
                                               .options = config->use->options,
                                               .stopping = is_stopping,
                                               .self = task};
    task->orders = mailbox_new(ORDERS);
    task->batches = mailbox_new(SOURCE_TASK_AHEAD + 1);
    connector_status_init(&task->status, config->use, config->task);
    bytes_append_slice(&task->position, position);
    if (pthread_create(&task->thread, NULL, run, task)) {
        free_task(task);
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "The thread of the source %s can't be started.",
                       config->use->name);
    }
    *result = task;
    return 0;
}

static void send_unsent(struct source_task *task)
{
    if (task->unsent && mailbox_send(task->orders, task->unsent)) {
        task->unsent = NULL;
    }
}

void source_task_close(struct source_task *task)
{
    struct order *stop = new_order(ORDER_STOP);
    send_unsent(task);
    ck_pr_store_32(&task->stopping, 1);
    while (task->unsent || !mailbox_send(task->orders, stop)) {
        clock_sleep_ms(1); /* full of what the thread is about to take */
        send_unsent(task);
    }
    pthread_join(task->thread, NULL);
    struct source_task_batch *batch = task->next ? task->next : mailbox_receive(task->batches, 0);
    while (batch) {
        free_batch(batch);
        batch = mailbox_receive(task->batches, 0);
    }
    struct order *order = mailbox_receive(task->orders, 0);
    while (order) {
        if (order->kind == ORDER_RELEASE) {
            free_batch(order->batch);
        }
        free_order(order);
        order = mailbox_receive(task->orders, 0);
    }
    free_task(task);
}

struct source_task_batch *source_task_take(struct source_task *task)
{
    send_unsent(task);
    struct source_task_batch *batch = task->next ? task->next : mailbox_receive(task->batches, 0);
    task->next = NULL;
    if (batch) {
        task->at_end = batch->at_end;
    }
    return batch;
}

bool source_task_ready(struct source_task *task)
{
    if (!task->next) {
        task->next = mailbox_receive(task->batches, 0);
    }
    return task->next != NULL;
}

void source_task_release(struct source_task *task, struct source_task_batch *batch)
{
    struct order *order = new_order(ORDER_RELEASE);
    order->batch = batch;
    mailbox_send(task->orders,
                 order); /* at most SOURCE_TASK_AHEAD + 1 of them and as many acknowledgements are under way */
}

void source_task_acknowledge(struct source_task *task, struct slice position)
{
    send_unsent(task);
    if (!task->unsent) {
        task->unsent = new_order(ORDER_ACKNOWLEDGE);
    }
    bytes_clear(&task->unsent->position);
    bytes_append_slice(&task->unsent->position, position);
    send_unsent(task);
}

bool source_task_at_end(const struct source_task *task)
{
    return task->at_end;
}

void source_task_status(struct source_task *task, struct connector_report *report)
{
    connector_status_copy(&task->status, report);
}
