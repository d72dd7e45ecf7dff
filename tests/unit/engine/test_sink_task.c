#include "engine/sink_task.h"

#include <semaphore.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "tests/support/unit.h"

#define LAST 10000

/* A target that counts how often it got each offset. Failures are asked for by number of the write. */
struct target {
    int64_t next;
    unsigned char got[LAST];
    bool bad[LAST];
    bool names_bad;   /* says which record is bad */
    int fail_before;  /* this write fails and changes nothing */
    int fail_after;   /* this write fails although it is committed */
    int steal_before; /* before this write somebody else has moved the position */
    int writes;
    int opened;
    bool keeps_none; /* the target knows no position */
    int idle;
};

static struct target target; /* of the task of the test */
static sem_t woken;
static sem_t idled; /* the second time, after the first has failed */

static int target_open(const struct connector_context *context, struct connector_task **task, struct err *err)
{
    (void)err;
    ck_assert_str_eq(context->topic, "app-out-sink");
    target.opened++;
    *task = (struct connector_task *)&target;
    return 0;
}

static int target_position(struct connector_task *task, int64_t *next, struct err *err)
{
    (void)task, (void)err;
    *next = target.keeps_none ? *next : target.next;
    return 0;
}

static int find_bad(const struct sink_batch *batch, size_t *bad, struct err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (target.bad[batch->records[i].offset]) {
            *bad = target.names_bad ? i : SINK_BAD_UNKNOWN;
            return err_set(err, ERR_SKIP, ERR_RECORD, "The record is bad.");
        }
    }
    return 0;
}

static int target_write(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    (void)task;
    int number = ++target.writes;
    if (number == target.steal_before) {
        target.next++;
    }
    if (number == target.fail_before) {
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "The target is away.");
    }
    if (batch->from != target.next) {
        return err_set(err, ERR_FENCED, ERR_PROTOCOL, "Somebody else writes.");
    }
    if (find_bad(batch, bad, err)) {
        return -1;
    }
    for (size_t i = 0; i < batch->count; i++) {
        target.got[batch->records[i].offset]++;
    }
    target.next = batch->to;
    return number == target.fail_after ? err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Nobody knows.") : 0;
}

static int target_idle(struct connector_task *task, struct err *err)
{
    (void)task;
    if (++target.idle == 1) {
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "The target is away.");
    }
    sem_post(&idled);
    return 0;
}

static void target_close(struct connector_task *task)
{
    (void)task;
}

static const struct sink_class target_sink = {.open = target_open,
                                              .position = target_position,
                                              .write = target_write,
                                              .idle = target_idle,
                                              .close = target_close};
static const struct connector target_connector = {.kind = "target", .sink = &target_sink};
static const struct connector_use target_use = {.name = "out",
                                                .connector = &target_connector,
                                                .topic = "app-out-sink",
                                                .sink = true,
                                                .runner = {.retry_ms = 1, .retry_max_ms = 4, .batch = LAST}};

static void wake(void *self)
{
    (void)self;
    sem_post(&woken);
}

/* What the stream thread did with the task. */
struct run {
    struct sink_task *task;
    int refused;
    int64_t refused_offset;
    bool failed;
    struct err err;
};

static void look(struct run *run)
{
    int64_t offset;
    switch (sink_task_look(run->task, &offset, &run->err)) {
    case SINK_REFUSED:
        run->refused++;
        run->refused_offset = offset;
        sink_task_pass(run->task);
        break;
    case SINK_FAILED:
        run->failed = true;
        break;
    default:
        break;
    }
}

/* An input record that is its only row. */
static void bring(struct sink_task *task, int64_t offset)
{
    struct record record = {.value = slice_text("{}"), .offset = offset};
    sink_task_put(task, &record, &record);
    sink_task_passed(task, offset + 1);
}

/* Puts all records and waits until they are acknowledged, or the task has failed. */
static struct run write_all(void)
{
    struct sink_task_config config = {
        .use = &target_use, .app = "app", .tasks = 1, .next = CONNECTOR_NO_OFFSET, .wake = wake};
    struct run run = {0};
    int64_t offset = 0;
    log_configure(LOG_ERROR, false);
    sem_init(&woken, 0, 0);
    ck_assert_int_eq(sink_task_open(&config, &run.task, &run.err), 0);
    while (!run.failed && sink_task_acknowledged(run.task) < LAST) {
        look(&run);
        while (offset < LAST && sink_task_room(run.task)) {
            bring(run.task, offset++);
        }
        sink_task_flush(run.task);
        if (!run.failed) {
            sem_wait(&woken);
        }
    }
    sink_task_close(run.task);
    return run;
}

static void expect_each_once(void)
{
    for (int i = 0; i < LAST; i++) {
        ck_assert_msg(target.got[i] == !target.bad[i], "offset %d came %d times", i, target.got[i]);
    }
}

START_TEST(writes_everything_once)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET};
    write_all();
    expect_each_once();
}
END_TEST

START_TEST(passes_over_what_the_target_has)
{
    target = (struct target){.next = 4711};
    memset(target.got, 1, 4711);
    write_all();
    expect_each_once();
}
END_TEST

START_TEST(tries_again_whatever_the_outcome_was)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET, .fail_before = 1, .fail_after = 2};
    write_all();
    expect_each_once();
    ck_assert_int_eq(target.opened, 3);
}
END_TEST

/* What the group has committed is all that is known of such a target. */
START_TEST(a_target_without_position_goes_on_where_the_group_stands)
{
    struct sink_task_config config = {.use = &target_use, .app = "app", .tasks = 1, .next = 50, .wake = wake};
    struct sink_task *task;
    struct err err;
    int64_t offset = 0;
    log_configure(LOG_ERROR, false);
    sem_init(&woken, 0, 0);
    target = (struct target){.next = CONNECTOR_NO_OFFSET, .keeps_none = true, .fail_before = 1};
    ck_assert_int_eq(sink_task_open(&config, &task, &err), 0);
    while (sink_task_look(task, &offset, &err) != SINK_OPENED) {
        sem_wait(&woken);
    }
    ck_assert_int_eq(offset, CONNECTOR_NO_OFFSET);
    ck_assert_int_eq(sink_task_acknowledged(task), 50);
    bring(task, 50);
    sink_task_flush(task);
    while (sink_task_acknowledged(task) < 51) {
        sem_wait(&woken);
    }
    sink_task_close(task);
    ck_assert_int_eq(target.got[50], 1);
}
END_TEST

START_TEST(a_target_is_looked_at_while_nothing_comes)
{
    struct sink_task_config config = {.use = &target_use, .app = "app", .tasks = 1, .next = 0, .wake = wake};
    struct sink_task *task;
    struct err err;
    log_configure(LOG_ERROR, false);
    sem_init(&woken, 0, 0);
    sem_init(&idled, 0, 0);
    target = (struct target){.next = CONNECTOR_NO_OFFSET};
    ck_assert_int_eq(sink_task_open(&config, &task, &err), 0);
    sem_wait(&idled);
    sink_task_close(task);
    ck_assert_int_ge(target.opened, 2);
}
END_TEST

START_TEST(isolates_a_bad_record_by_halving)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET};
    target.bad[7777] = true;
    struct run run = write_all();
    expect_each_once();
    ck_assert_int_eq(run.refused, 1);
    ck_assert_int_eq(run.refused_offset, 7777);
    ck_assert_str_eq(run.err.text, "The record is bad.");
    ck_assert_int_le(target.writes, 30 + LAST / 4096);
}
END_TEST

START_TEST(goes_straight_to_a_record_that_the_target_names)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET, .names_bad = true};
    target.bad[0] = target.bad[5000] = target.bad[5001] = target.bad[LAST - 1] = true;
    struct run run = write_all();
    expect_each_once();
    ck_assert_int_eq(run.refused, 4);
    ck_assert_int_le(target.writes, 20 + LAST / 4096);
}
END_TEST

START_TEST(a_foreign_position_ends_the_task)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET, .steal_before = 1};
    struct run run = write_all();
    ck_assert(run.failed);
    ck_assert_int_eq(run.err.class, ERR_FENCED);
    ck_assert_int_eq(target.got[0], 0);
}
END_TEST

START_TEST(an_unknown_outcome_and_a_foreign_position_are_told_apart)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET, .fail_after = 1};
    write_all();
    expect_each_once();
    target = (struct target){.next = 50, .fail_before = 1};
    memset(target.got, 1, 50);
    write_all();
    expect_each_once();
}
END_TEST

UNIT_MAIN("sink_task", writes_everything_once, passes_over_what_the_target_has, tries_again_whatever_the_outcome_was,
          isolates_a_bad_record_by_halving, goes_straight_to_a_record_that_the_target_names,
          a_target_without_position_goes_on_where_the_group_stands, a_target_is_looked_at_while_nothing_comes,
          a_foreign_position_ends_the_task, an_unknown_outcome_and_a_foreign_position_are_told_apart)
