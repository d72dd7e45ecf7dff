#include "engine/source_task.h"

#include <semaphore.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "tests/support/unit.h"

#define LAST 100
#define BATCH 7

/* A source of the numbers up to LAST. Failures are asked for by number of the call. */
struct numbers {
    int opened;
    int fail_open; /* this opening fails, to be tried again */
    int fail_poll; /* this poll */
    int polled;
    bool fatal; /* what fails is not to be tried again */
    int closed;
    int64_t acknowledged;
    int64_t next;
    struct record records[BATCH];
    char texts[BATCH][24];
    char position[24];
};

static struct numbers numbers; /* of the task of the test */
static sem_t woken;

static int refuse(struct err *err, const char *text)
{
    return err_set(err, numbers.fatal ? ERR_FATAL : ERR_RETRY, ERR_UNREACHABLE, "%s", text);
}

/* Positions have no zero byte behind them. */
static int64_t number_of(struct slice position)
{
    char text[24];
    snprintf(text, sizeof(text), "%.*s", (int)position.size, (const char *)position.data);
    return strtoll(text, NULL, 10);
}

static int numbers_open(const struct connector_context *context, struct slice position, struct connector_task **task,
                        struct err *err)
{
    ck_assert_str_eq(context->name, "numbers");
    if (++numbers.opened == numbers.fail_open) {
        return refuse(err, "The numbers are away.");
    }
    numbers.next = slice_is_null(position) ? 1 : number_of(position) + 1;
    *task = (struct connector_task *)&numbers;
    return 0;
}

static int numbers_poll(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    (void)task;
    if (++numbers.polled == numbers.fail_poll) {
        return refuse(err, "A number got lost.");
    }
    for (; batch->count < BATCH && numbers.next <= LAST; numbers.next++, batch->count++) {
        char *text = numbers.texts[batch->count];
        snprintf(text, sizeof(numbers.texts[0]), "%lld", (long long)numbers.next);
        numbers.records[batch->count] = (struct record){.value = slice_text(text), .timestamp = numbers.next};
    }
    batch->records = numbers.records;
    batch->at_end = numbers.next > LAST;
    if (batch->count > 0) {
        snprintf(numbers.position, sizeof(numbers.position), "%lld", (long long)numbers.next - 1);
        batch->position = slice_text(numbers.position);
    } else {
        clock_sleep_ms(timeout_ms < 5 ? timeout_ms : 5);
    }
    return 0;
}

static int numbers_acknowledge(struct connector_task *task, struct slice position, struct err *err)
{
    (void)task, (void)err;
    numbers.acknowledged = number_of(position);
    return 0;
}

static void numbers_close(struct connector_task *task)
{
    (void)task;
    numbers.closed++;
}

static const struct source_class numbers_source = {
    .open = numbers_open, .poll = numbers_poll, .acknowledge = numbers_acknowledge, .close = numbers_close};
static const struct connector numbers_connector = {.kind = "numbers", .source = &numbers_source};
static const struct connector_use numbers_use = {
    .name = "numbers", .connector = &numbers_connector, .runner = {.retry_ms = 1, .retry_max_ms = 4}};

static void wake(void *self)
{
    (void)self;
    sem_post(&woken);
}

static struct source_task *open_task(struct slice position)
{
    struct source_task_config config = {.use = &numbers_use, .app = "app", .tasks = 1, .wake = wake};
    struct source_task *task;
    struct err err;
    log_configure(LOG_ERROR, false);
    sem_init(&woken, 0, 0);
    ck_assert_int_eq(source_task_open(&config, position, &task, &err), 0);
    return task;
}

static struct source_task_batch *next_batch(struct source_task *task)
{
    struct source_task_batch *batch;
    while (!(batch = source_task_take(task))) {
        sem_wait(&woken);
    }
    return batch;
}

/* Takes everything from `first` on, each number once and in order, and acknowledges it. */
static void expect_numbers(struct source_task *task, int64_t first)
{
    while (first <= LAST) {
        struct source_task_batch *batch = next_batch(task);
        ck_assert_int_eq(batch->result, 0);
        for (size_t i = 0; i < batch->count; i++, first++) {
            const struct record *record = &batch->records[i];
            ck_assert_int_eq(record->timestamp, first);
            ck_assert_int_eq(number_of(record->value), first);
            ck_assert_str_eq(record->topic, "numbers");
        }
        if (!slice_is_null(batch->position)) {
            source_task_acknowledge(task, batch->position);
        }
        source_task_release(task, batch);
    }
    ck_assert(source_task_at_end(task));
}

START_TEST(hands_out_everything_in_order)
{
    struct source_task *task = open_task(SLICE_NULL);
    expect_numbers(task, 1);
    source_task_release(task, next_batch(task)); /* the thread has followed what came before */
    source_task_close(task);
    ck_assert_int_eq(numbers.acknowledged, LAST);
    ck_assert_int_eq(numbers.closed, 1);
}
END_TEST

START_TEST(begins_at_the_position)
{
    struct source_task *task = open_task(slice_text("42"));
    expect_numbers(task, 43);
    source_task_close(task);
}
END_TEST

START_TEST(goes_on_where_it_was_after_a_failure)
{
    numbers = (struct numbers){.fail_open = 1, .fail_poll = 3};
    struct source_task *task = open_task(SLICE_NULL);
    expect_numbers(task, 1);
    source_task_close(task);
    ck_assert_int_eq(numbers.opened, 3);
    ck_assert_int_eq(numbers.closed, 2);
}
END_TEST

START_TEST(a_fatal_failure_is_the_last_that_it_says)
{
    numbers = (struct numbers){.fail_poll = 2, .fatal = true};
    struct source_task *task = open_task(SLICE_NULL);
    struct source_task_batch *batch = next_batch(task);
    while (batch->result == 0) {
        source_task_release(task, batch);
        batch = next_batch(task);
    }
    ck_assert_str_eq(batch->err.text, "A number got lost, while reading the source numbers.");
    source_task_release(task, batch);
    struct connector_report report;
    source_task_status(task, &report);
    ck_assert_int_eq(report.state, CONNECTOR_FAILED);
    source_task_close(task);
    ck_assert_int_eq(numbers.opened, 1);
}
END_TEST

START_TEST(reads_only_so_far_ahead)
{
    struct source_task *task = open_task(SLICE_NULL);
    for (int i = 0; i < SOURCE_TASK_AHEAD; i++) {
        sem_wait(&woken);
    }
    ck_assert(source_task_ready(task));
    source_task_close(task); /* batches that nobody took are freed */
    ck_assert_int_eq(numbers.polled, SOURCE_TASK_AHEAD);
}
END_TEST

UNIT_MAIN("source_task", hands_out_everything_in_order, begins_at_the_position, goes_on_where_it_was_after_a_failure,
          a_fatal_failure_is_the_last_that_it_says, reads_only_so_far_ahead)
