/* A sink in a pipeline: each record is in the target once and in order, and the group's offset never passes what the
 * target has acknowledged, whatever fails. Through a stream thread on the scripted transport. */
#include "engine/sink_task.h"

#include <ck_pr.h>

#include "engine/op.h"
#include "tests/unit/engine/task_scene.h"

#define LAST 60000

/* A target that counts how often it got each offset. The test writes before a thread runs, or through ck_pr. */
static struct target {
    int64_t next;            /* ck_pr, as the acknowledgements in between are the point of the tests */
    unsigned char got[LAST]; /* of the task's thread until it is closed */
    uint32_t bad;            /* ck_pr: offset of the record that is refused; 0: none */
    uint32_t away;           /* ck_pr: how often connecting fails */
    uint32_t held;           /* ck_pr: writes wait while it is not 0 */
    uint32_t steal_at;       /* ck_pr: before the write that reaches this offset somebody else writes one record */
    uint32_t slow;           /* ck_pr: milliseconds that a write takes */
    uint32_t unknown_every;  /* ck_pr: each so many writes: done, and nobody knows; 0: never */
    uint32_t opened;         /* ck_pr */
    uint32_t writes;
} target;

static const struct connector_context *context_of_target;
static char nothing; /* what the tasks of other partitions than the first open: they get no records */

static int64_t target_next(void)
{
    return (int64_t)ck_pr_load_64((uint64_t *)&target.next);
}

static void move_target(int64_t next)
{
    ck_pr_store_64((uint64_t *)&target.next, (uint64_t)next);
}

static int target_open(const struct connector_context *context, struct connector_task **task, struct err *err)
{
    uint32_t away = ck_pr_load_32(&target.away);
    if (context->task != 0) {
        *task = (struct connector_task *)&nothing;
        return 0;
    }
    context_of_target = context;
    ck_pr_inc_32(&target.opened);
    if (away > 0) {
        ck_pr_store_32(&target.away, away - 1);
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "The target is away.");
    }
    *task = (struct connector_task *)&target;
    return 0;
}

static int target_position(struct connector_task *task, int64_t *next, struct err *err)
{
    (void)err;
    *next = (char *)task == &nothing ? CONNECTOR_NO_OFFSET : target_next();
    return 0;
}

static int look_for_bad(const struct sink_batch *batch, struct err *err)
{
    uint32_t bad = ck_pr_load_32(&target.bad);
    for (size_t i = 0; i < batch->count; i++) {
        if (bad > 0 && batch->records[i].offset == (int64_t)bad) {
            return err_set(err, ERR_SKIP, ERR_RECORD, "The record is bad.");
        }
    }
    return 0;
}

static void steal(const struct sink_batch *batch)
{
    uint32_t at = ck_pr_load_32(&target.steal_at);
    if (at > 0 && batch->to >= (int64_t)at) {
        ck_pr_store_32(&target.steal_at, 0);
        target.got[batch->records[0].offset]++;
        move_target(batch->records[0].offset + 1);
    }
}

static int target_write(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err)
{
    (void)task, (void)bad;
    while (ck_pr_load_32(&target.held) && !connector_stopping(context_of_target)) {
        clock_sleep_ms(1);
    }
    if (ck_pr_load_32(&target.held)) {
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Closed.");
    }
    clock_sleep_ms((int)ck_pr_load_32(&target.slow));
    steal(batch);
    if (batch->from != target_next()) {
        return err_set(err, ERR_FENCED, ERR_PROTOCOL, "Somebody else writes.");
    }
    if (look_for_bad(batch, err)) {
        return -1;
    }
    ck_assert(batch->count == 0 || batch->records[batch->count - 1].offset < batch->to);
    ck_assert(batch->count == 0 || batch->records[0].offset >= batch->from);
    for (size_t i = 0; i < batch->count; i++) {
        target.got[batch->records[i].offset]++;
    }
    move_target(batch->to);
    uint32_t every = ck_pr_load_32(&target.unknown_every);
    target.writes++;
    return every > 0 && target.writes % every == 0 ? err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Nobody knows.") : 0;
}

static void target_close(struct connector_task *task)
{
    (void)task;
}

static const struct sink_class target_sink = {
    .open = target_open, .position = target_position, .write = target_write, .close = target_close};
static const struct connector connector = {.kind = "target", .sink = &target_sink};
static const struct connector_use use = {.name = "out",
                                         .connector = &connector,
                                         .topic = "in",
                                         .sink = true,
                                         .runner = {.retry_ms = 1, .retry_max_ms = 2, .batch = 97}};

/* What operators/connector_sink.c does, with the policy as the test wants it. */
static enum op_policy policy;
static uint32_t refusals;

static int sink_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    const struct err *refusal = op_sink_refusal(node);
    if (!refusal) {
        return op_sink_put(node, item->source, item->source);
    }
    refusals++;
    switch (policy) {
    case POLICY_SKIP:
        op_drop(node, DROP_SKIPPED, item);
        return 0;
    case POLICY_DEAD_LETTER:
        return op_dead_letter(node, item, refusal);
    default:
        *op_error(node->worker) = *refusal;
        op_error(node->worker)->class = ERR_FATAL;
        return -1;
    }
}

static const struct op sink_op = {.kind = "sink", .process = sink_process};

static int32_t partitions = 1;

static struct graph *build(void)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *source = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "p:1", NULL, 0, &err);
    ck_assert_int_eq(graph_add_topic(graph, source, "in", TOPIC_INPUT, false, partitions, NULL, &err), 0);
    struct node *sink = graph_add(graph, &sink_op, NODE_SINK, NULL, "p:2", &source, 1, &err);
    ck_assert_msg(sink != NULL, "%s", err.text);
    sink->connector = &use;
    return graph;
}

static void send(int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        scene_send("in", 0, "k", "{}", 5);
    }
}

static void begin(int64_t records)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET};
    policy = POLICY_FAIL;
    refusals = 0;
    task_open_scene(build);
    send(0, records);
    scene_open_thread();
}

static void put_group(int64_t offset)
{
    struct position position = {"in", 0, offset, NULL};
    ck_assert_int_eq(scene.original->set_group_positions(scene.transport, "app", &position, 1, &scene.err), 0);
}

static void expect_behind(void)
{
    int64_t committed = scene_committed("in", 0, NULL, 0);
    ck_assert_msg(committed <= target_next() || committed <= 0, "the group is at %lld, the target at %lld",
                  (long long)committed, (long long)target_next());
}

/* ---- a sink that reads a topic of the pipeline, with an operator in front ---- */

static const struct connector_use direct_use = {.name = "out",
                                                .connector = &connector,
                                                .topic = "in",
                                                .through = "app-out-sink",
                                                .sink = true,
                                                .runner = {.retry_ms = 1, .retry_max_ms = 2, .batch = 97}};
static int64_t odd;      /* offset of the record that the operator refuses; 0: none */
static int64_t earliest; /* of the records that the operator has seen */

/* Makes offset % 3 rows of a record. */
static int spread_process(struct node *node, int parent, struct item *item)
{
    (void)parent;
    int64_t offset = item->source->offset;
    earliest = offset < earliest ? offset : earliest;
    if (odd > 0 && offset == odd) {
        struct err err;
        err_set(&err, ERR_SKIP, ERR_RECORD, "It is odd.");
        return op_dead_letter(node, item, &err);
    }
    for (int64_t i = 0; i < offset % 3; i++) {
        if (op_forward(node, item)) {
            return -1;
        }
    }
    return 0;
}

static int row_process(struct node *node, int parent, struct item *item)
{
    if (op_sink_refusal(node)) {
        return sink_process(node, parent, item);
    }
    struct record row = {.key = item->source->key, .value = slice_text("\"a row\"")};
    return op_sink_put(node, item->source, &row);
}

static const struct op spread_op = {.kind = "spread", .process = spread_process};
static const struct op row_op = {.kind = "row", .process = row_process};

static struct graph *build_direct(void)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *source = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "p:1", NULL, 0, &err);
    ck_assert_int_eq(graph_add_topic(graph, source, "in", TOPIC_INPUT, false, 1, NULL, &err), 0);
    struct node *spread = graph_add(graph, &spread_op, NODE_OPERATOR, NULL, "p:2", &source, 1, &err);
    spread->per_record = true;
    struct node *sink = graph_add(graph, &row_op, NODE_SINK, NULL, "p:3", &spread, 1, &err);
    sink->policy = POLICY_DEAD_LETTER;
    sink->connector = &direct_use;
    ck_assert_str_eq(graph_direct_topic(graph, sink), "in");
    return graph;
}

static void begin_direct(int64_t records)
{
    target = (struct target){.next = CONNECTOR_NO_OFFSET};
    policy = POLICY_DEAD_LETTER;
    refusals = 0;
    odd = 0;
    earliest = INT64_MAX;
    task_open_scene(build_direct);
    send(0, records);
    scene_open_thread();
}

/* Records 0 to `records` were spread; `without` (0: none) has gone elsewhere. */
static void expect_spread(int64_t from, int64_t records, int64_t without)
{
    for (int64_t i = 0; i < LAST; i++) {
        int rows = i >= from && i < records && (without == 0 || i != without) ? (int)(i % 3) : 0;
        ck_assert_msg(target.got[i] == rows, "of offset %lld there are %d rows", (long long)i, target.got[i]);
    }
}

static void finish_direct(int64_t from, int64_t records, int64_t without)
{
    task_settle(expect_behind);
    ck_assert_int_eq(target_next(), records);
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), records);
    ck_assert_int_eq(scene_close_thread(), 0);
    expect_spread(from, records, without);
    scene_close();
}

START_TEST(every_failure_leaves_the_rows_of_each_record_once)
{
    for (size_t f = 0; f < sizeof(task_faults) / sizeof(task_faults[0]); f++) {
        for (int place = 1; place <= 3; place += 2) {
            begin_direct(1500);
            ck_pr_store_32(&target.unknown_every, 7);
            task_failing.fault = task_faults[f];
            task_failing.at = place;
            finish_direct(0, 1500, 0);
        }
    }
}
END_TEST

static void expect_letter_before(void)
{
    ck_assert(target_next() <= 701 || task_end_of("letters") == 1);
}

START_TEST(what_an_operator_refuses_is_a_dead_letter_before_the_target_passes)
{
    static const struct task_fault faults[] = {{MEMORY_COMMIT, FAULT_ABORT},
                                               {MEMORY_COMMIT, FAULT_UNKNOWN_NOT_DONE},
                                               {MEMORY_COMMIT, FAULT_UNKNOWN_DONE},
                                               {MEMORY_COMMIT, FAULT_FENCED},
                                               {MEMORY_PRODUCE, FAULT_ABORT}};
    for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++) {
        for (int place = 0; place < 5; place++) {
            begin_direct(2000);
            odd = 701;
            task_failing.fault = faults[f];
            task_failing.at = place;
            task_settle(expect_letter_before);
            ck_assert_int_eq(task_end_of("letters"), 1);
            finish_direct(0, 2000, 701);
        }
    }
}
END_TEST

/* The last record, 999, gives no row: the position follows it nevertheless. */
START_TEST(all_rows_of_a_refused_record_are_left_out_and_its_letter_is_the_record)
{
    begin_direct(1000);
    ck_pr_store_32(&target.bad, 302);
    task_settle(expect_behind);
    ck_assert_uint_eq(refusals, 1);
    ck_assert_int_eq(task_end_of("letters"), 1);
    finish_direct(0, 1000, 302);
}
END_TEST

START_TEST(the_operators_do_not_see_what_the_target_has)
{
    begin_direct(1000);
    scene_close_thread();
    memset(target.got, 0, sizeof(target.got));
    move_target(700);
    put_group(0);
    earliest = INT64_MAX;
    scene_open_thread();
    task_settle(expect_behind);
    ck_assert_int_eq(earliest, 700);
    finish_direct(700, 1000, 0);
}
END_TEST

/* The group's first offset is where reading begins, and not 0. */
START_TEST(the_group_begins_where_the_topic_does)
{
    begin_direct(1000);
    scene_close_thread();
    put_group(OFFSET_NONE);
    target = (struct target){.next = CONNECTOR_NO_OFFSET};
    ck_assert_int_eq(scene.original->delete_records(scene.transport, "in", 0, 400, &scene.err), 0);
    scene_open_thread();
    while (scene_committed("in", 0, NULL, 0) < 0) {
        ck_assert_int_eq(task_step(), 0);
    }
    ck_assert_int_ge(scene_committed("in", 0, NULL, 0), 400);
    task_settle(NULL);
    finish_direct(400, 1000, 0);
}
END_TEST

START_TEST(a_slow_target_holds_back_a_topic_of_the_pipeline)
{
    begin_direct(LAST);
    ck_pr_store_32(&target.held, 1);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(task_step(), 0);
    }
    ck_assert_int_le(worker_records(scene_worker(0)), LAST * 5 / 6);
    ck_pr_store_32(&target.held, 0);
    finish_direct(0, LAST, 0);
}
END_TEST

START_TEST(rebalances_and_ends_leave_the_rows_of_each_record_once)
{
    begin_direct(4000);
    ck_pr_store_32(&target.slow, 2);
    for (int i = 0; i < 6; i++) {
        while (target_next() < 400 * i) {
            task_step();
        }
        if (i % 2 == 0) {
            scene_take_away("in");
            expect_behind();
        } else {
            ck_assert_int_eq(scene_close_thread(), 0);
            scene_open_thread();
        }
    }
    ck_pr_store_32(&target.slow, 0);
    finish_direct(0, 4000, 0);
}
END_TEST

/* After the task is closed. */
static void expect_once(int64_t from, int64_t to)
{
    for (int64_t i = 0; i < LAST; i++) {
        ck_assert_msg(target.got[i] == (i >= from && i < to), "offset %lld came %d times", (long long)i, target.got[i]);
    }
}

/* Everything is in the target, each record once, and the group knows. */
static void finish(int64_t from, int64_t records)
{
    task_settle(expect_behind);
    ck_assert_int_eq(target_next(), records);
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), records);
    ck_assert_int_eq(scene_close_thread(), 0);
    expect_once(from, records);
    scene_close();
}

/* ---- positions ---- */

START_TEST(the_group_follows_what_the_target_has)
{
    begin(3000);
    ck_pr_store_32(&target.slow, 1);
    ck_pr_store_32(&target.unknown_every, 7);
    finish(0, 3000);
}
END_TEST

static void survive(const struct task_fault *fault, int place)
{
    begin(1500);
    task_failing.fault = *fault;
    task_failing.at = place;
    finish(0, 1500);
}

START_TEST(every_failure_of_the_transport_leaves_each_record_once)
{
    static const int places[] = {1, 3};
    for (size_t f = 0; f < sizeof(task_faults) / sizeof(task_faults[0]); f++) {
        for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
            survive(&task_faults[f], places[p]);
        }
    }
}
END_TEST

START_TEST(a_target_that_is_ahead_is_not_written_again)
{
    begin(1000);
    scene_close_thread();
    memset(target.got, 0, sizeof(target.got));
    move_target(700);
    put_group(0);
    scene_open_thread();
    finish(700, 1000);
}
END_TEST

/* The topic was made again, and is as long already as the target's position: nothing but the group can tell. */
START_TEST(a_target_with_a_position_where_the_group_has_none_is_refused)
{
    begin(1000);
    scene_close_thread();
    move_target(700);
    put_group(OFFSET_NONE);
    scene_open_thread();
    task_run_to_failure();
    ck_assert_int_eq(scene.err.class, ERR_FATAL);
    ck_assert_msg(strstr(scene.err.text, "the group has none"), "%s", scene.err.text);
    scene_close();
}
END_TEST

static void expect_group_first(void)
{
    ck_assert(target_next() == CONNECTOR_NO_OFFSET || scene_committed("in", 0, NULL, 0) >= 0);
}

START_TEST(the_group_has_a_position_before_the_target_gets_one)
{
    begin(1000);
    task_settle(expect_group_first);
    finish(0, 1000);
}
END_TEST

/* The target was put back to an earlier state: the group is at the end, the target at 300, and everything is tried on
 * the way that brings the input back to the group's offset. There are more records than a task takes at once. */
#define MANY 50000

static void put_back(void)
{
    begin(MANY);
    task_settle(expect_behind);
    ck_assert_int_eq(scene_close_thread(), 0);
    memset(target.got, 0, sizeof(target.got));
    move_target(300);
}

static void write_rest(int64_t from)
{
    do {
        ck_assert_msg(task_step() == 0, "%s", scene.err.text);
    } while (target_next() < MANY);
    task_settle(NULL);
    ck_assert_int_eq(scene_close_thread(), 0);
    expect_once(from, MANY);
}

static void catch_up(int64_t from)
{
    write_rest(from);
    scene_close();
}

START_TEST(a_target_that_is_behind_gets_what_it_lacks)
{
    put_back();
    scene_open_thread();
    catch_up(300);
}
END_TEST

START_TEST(a_seek_that_fails_is_tried_again)
{
    put_back();
    task_failing.fault = (struct task_fault){MEMORY_SEEK, FAULT_RETRY};
    task_failing.at = 1;
    scene_open_thread();
    catch_up(300);
    ck_assert_int_eq(task_failing.hits, 1);
}
END_TEST

START_TEST(a_rebalance_while_the_target_is_behind_loses_nothing)
{
    put_back();
    ck_pr_store_32(&target.held, 1);
    scene_open_thread();
    while (!scene_worker(0) || worker_records(scene_worker(0)) < 10000) {
        task_step();
    }
    scene_take_away("in");
    ck_pr_store_32(&target.held, 0);
    catch_up(300);
}
END_TEST

/* Another member takes the second partition. The first one's worker and task stay, while its input begins at the
 * group's offset again. */
START_TEST(a_rebalance_that_keeps_the_worker_loses_nothing)
{
    struct subscription subscription = {"in", RESET_EARLIEST};
    struct session_config config = {
        .app = "app", .thread = 1, .threads = 2, .subscriptions = &subscription, .subscription_count = 1};
    struct session *other;
    partitions = 2;
    put_back();
    ck_pr_store_32(&target.held, 1);
    scene_open_thread();
    while (!scene_worker(0) || worker_records(scene_worker(0)) < 10000) {
        task_step();
    }
    uint32_t opened = ck_pr_load_32(&target.opened);
    ck_assert_int_eq(scene.original->session_open(scene.transport, &config, &other, &scene.err), 0);
    scene_step();
    ck_assert_int_eq(scene.original->poll(other, 0, &scene.err), 0);
    scene_step();
    ck_pr_store_32(&target.held, 0);
    write_rest(300);
    ck_assert_uint_eq(target.opened, opened);
    scene.original->session_close(other);
    scene_close();
    partitions = 1;
}
END_TEST

START_TEST(an_abort_while_the_target_is_behind_loses_nothing)
{
    put_back();
    ck_pr_store_32(&target.bad, 450);
    policy = POLICY_DEAD_LETTER;
    task_failing.fault = (struct task_fault){MEMORY_COMMIT, FAULT_ABORT};
    task_failing.at = 1;
    scene_open_thread();
    while (target_next() < MANY) {
        ck_assert_msg(task_step() == 0, "%s", scene.err.text);
    }
    task_settle(NULL);
    ck_assert_int_eq(task_failing.hits, 1);
    ck_assert_int_eq(scene_close_thread(), 0);
    target.got[450]++;
    expect_once(300, MANY);
    ck_assert_int_eq(task_end_of("letters"), 1);
    scene_close();
}
END_TEST

START_TEST(a_topic_that_was_made_again_is_refused)
{
    begin(10);
    move_target(5000);
    task_run_to_failure();
    ck_assert_int_eq(scene.err.class, ERR_FATAL);
    ck_assert_msg(strstr(scene.err.text, "made again") && strstr(scene.err.text, "sink out"), "%s", scene.err.text);
    scene_close();
}
END_TEST

/* ---- a slow target, and one that is away ---- */

START_TEST(a_slow_target_holds_back_the_input)
{
    begin(LAST);
    ck_pr_store_32(&target.held, 1);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(task_step(), 0);
    }
    ck_assert_int_le(worker_records(scene_worker(0)), LAST * 2 / 3);
    ck_assert_int_ge(worker_records(scene_worker(0)), 1000);
    ck_assert(!stream_thread_idle(scene.thread));
    ck_assert_int_le(scene_committed("in", 0, NULL, 0), 0);
    ck_pr_store_32(&target.held, 0);
    finish(0, LAST);
}
END_TEST

START_TEST(large_records_hold_back_the_input_earlier)
{
    static char large[100001];
    memset(large, 'x', sizeof(large) - 1);
    begin(0);
    for (int i = 0; i < 400; i++) {
        scene_send("in", 0, "k", large, 5);
    }
    ck_pr_store_32(&target.held, 1);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(task_step(), 0);
    }
    ck_assert_int_le(worker_records(scene_worker(0)), 100);
    ck_pr_store_32(&target.held, 0);
    finish(0, 400);
}
END_TEST

START_TEST(nothing_is_read_before_the_target_is_open)
{
    begin(500);
    ck_pr_store_32(&target.away, 20);
    while (ck_pr_load_32(&target.opened) < 10) {
        task_step();
        ck_assert(!stream_thread_idle(scene.thread));
    }
    finish(0, 500);
}
END_TEST

/* Nobody knows yet whether the target lacks something, or can be written at all. */
START_TEST(a_target_that_is_not_open_is_waited_for_though_its_topic_is_empty)
{
    begin(0);
    ck_pr_store_32(&target.away, 20);
    do {
        ck_assert_int_eq(task_step(), 0);
    } while (!stream_thread_idle(scene.thread));
    ck_assert_uint_eq(ck_pr_load_32(&target.opened), 21);
    scene_close_thread();
    scene_close();
}
END_TEST

START_TEST(closing_while_the_target_is_slow_loses_nothing)
{
    begin(4000);
    ck_pr_store_32(&target.slow, 2);
    while (target_next() < 1000) {
        task_step();
    }
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(scene_close_thread(), 0);
        expect_behind();
        scene_open_thread();
        task_step();
        task_step();
    }
    finish(0, 4000);
}
END_TEST

START_TEST(a_rebalance_with_records_under_way_loses_nothing)
{
    begin(4000);
    ck_pr_store_32(&target.slow, 2);
    for (int i = 0; i < 8; i++) {
        while (target_next() < 400 * i) {
            task_step();
        }
        scene_take_away("in");
        expect_behind();
    }
    ck_pr_store_32(&target.slow, 0);
    finish(0, 4000);
}
END_TEST

START_TEST(who_is_fenced_joins_again_and_goes_on_where_the_target_stands)
{
    begin(2000);
    ck_pr_store_32(&target.steal_at, 900);
    finish(0, 2000);
    ck_assert_uint_ge(ck_pr_load_32(&target.opened), 2);
}
END_TEST

/* ---- records that the target refuses ---- */

START_TEST(a_refused_record_ends_the_thread_unless_told_otherwise)
{
    begin(500);
    ck_pr_store_32(&target.bad, 123);
    task_run_to_failure();
    ck_assert_int_eq(scene.err.class, ERR_FATAL);
    ck_assert_msg(strstr(scene.err.text, "The record is bad"), "%s", scene.err.text);
    ck_assert_int_eq(target_next(), 123);
    scene_close_thread();
    expect_behind();
    expect_once(0, 123);
    ck_pr_store_32(&target.bad, 0); /* repaired */
    scene_open_thread();
    finish(0, 500);
}
END_TEST

START_TEST(a_refused_record_is_passed_over)
{
    begin(500);
    ck_pr_store_32(&target.bad, 123);
    policy = POLICY_SKIP;
    task_settle(expect_behind);
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), 500);
    ck_assert_uint_eq(refusals, 1);
    scene_close_thread();
    target.got[123]++;
    expect_once(0, 500);
    scene_close();
}
END_TEST

static void expect_letter_first(void)
{
    bool passed = target_next() > 123;
    ck_assert(!passed || task_end_of("letters") == 1);
}

static void refuse_with(struct task_fault fault, int place)
{
    begin(500);
    ck_pr_store_32(&target.bad, 123);
    policy = POLICY_DEAD_LETTER;
    task_failing.fault = fault;
    task_failing.at = place;
    task_settle(expect_letter_first);
    ck_assert_int_eq(task_end_of("letters"), 1);
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), 500);
    scene_close_thread();
    target.got[123]++;
    expect_once(0, 500);
    scene_close();
}

START_TEST(the_dead_letter_is_committed_before_the_target_passes)
{
    for (int place = 0; place < 5; place++) {
        refuse_with((struct task_fault){MEMORY_COMMIT, FAULT_ABORT}, place);
        refuse_with((struct task_fault){MEMORY_COMMIT, FAULT_UNKNOWN_NOT_DONE}, place);
        refuse_with((struct task_fault){MEMORY_PRODUCE, FAULT_ABORT}, place);
    }
}
END_TEST

UNIT_MAIN("worker_sink", the_group_follows_what_the_target_has, every_failure_of_the_transport_leaves_each_record_once,
          a_target_that_is_ahead_is_not_written_again, a_target_with_a_position_where_the_group_has_none_is_refused,
          the_group_has_a_position_before_the_target_gets_one, a_target_that_is_behind_gets_what_it_lacks,
          a_seek_that_fails_is_tried_again, a_rebalance_while_the_target_is_behind_loses_nothing,
          a_rebalance_that_keeps_the_worker_loses_nothing, an_abort_while_the_target_is_behind_loses_nothing,
          a_topic_that_was_made_again_is_refused, a_slow_target_holds_back_the_input,
          large_records_hold_back_the_input_earlier, nothing_is_read_before_the_target_is_open,
          a_target_that_is_not_open_is_waited_for_though_its_topic_is_empty,
          closing_while_the_target_is_slow_loses_nothing, a_rebalance_with_records_under_way_loses_nothing,
          who_is_fenced_joins_again_and_goes_on_where_the_target_stands,
          a_refused_record_ends_the_thread_unless_told_otherwise, a_refused_record_is_passed_over,
          the_dead_letter_is_committed_before_the_target_passes, every_failure_leaves_the_rows_of_each_record_once,
          what_an_operator_refuses_is_a_dead_letter_before_the_target_passes,
          all_rows_of_a_refused_record_are_left_out_and_its_letter_is_the_record,
          the_operators_do_not_see_what_the_target_has, the_group_begins_where_the_topic_does,
          a_slow_target_holds_back_a_topic_of_the_pipeline, rebalances_and_ends_leave_the_rows_of_each_record_once)
