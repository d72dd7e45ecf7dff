/* A source in a pipeline: its records, what they did to the state, and its position are in one transaction, whatever
 * fails. Through a stream thread on the scripted transport, with a database in memory. */
#include "engine/source_task.h"

#include <ck_pr.h>

#include "tests/unit/engine/task_scene.h"

#define BATCH 60 /* no divisor of what a worker processes before the next one has its turn */
#define POSITIONS "app-src-positions"

/* The database: rows 0, 1, 2, ... The test writes before a thread runs, or through ck_pr. */
static struct database {
    uint32_t rows;         /* ck_pr */
    uint32_t opened;       /* ck_pr */
    uint32_t acknowledged; /* ck_pr: highest position */
    uint32_t quiet;        /* ck_pr: rows that are passed over: their batches have no records */
    uint32_t fatal_at;     /* ck_pr: the row that can't be read; 0: none */
    uint32_t away;         /* ck_pr: how often connecting fails */
    uint32_t next;         /* of the task's thread */
    struct record records[BATCH];
    char texts[BATCH][16];
    char position[16];
} database;

static int database_open(const struct connector_context *context, struct slice position, struct connector_task **task,
                         struct err *err)
{
    (void)context;
    uint32_t away = ck_pr_load_32(&database.away);
    ck_pr_inc_32(&database.opened);
    if (away > 0) {
        ck_pr_store_32(&database.away, away - 1);
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "The database is away.");
    }
    char text[16];
    snprintf(text, sizeof(text), "%.*s", (int)position.size, position.data ? (const char *)position.data : "");
    database.next = (uint32_t)strtoul(text, NULL, 10);
    *task = (struct connector_task *)&database;
    return 0;
}

static void add_row(struct source_batch *batch)
{
    snprintf(database.texts[batch->count], sizeof(database.texts[0]), "r%u", database.next++);
    database.records[batch->count] =
        (struct record){.key = slice_text("k"), .value = slice_text(database.texts[batch->count]), .timestamp = 5};
    batch->count++;
}

static int database_poll(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    (void)task, (void)timeout_ms;
    uint32_t rows = ck_pr_load_32(&database.rows), fatal_at = ck_pr_load_32(&database.fatal_at);
    uint32_t quiet = ck_pr_load_32(&database.quiet);
    while (database.next < rows && batch->count < BATCH && database.next >= quiet) {
        if (fatal_at > 0 && database.next == fatal_at) {
            break;
        }
        add_row(batch);
    }
    database.next = database.next < quiet ? quiet : database.next;
    batch->records = database.records;
    batch->at_end = database.next == rows;
    if (batch->count == 0 && fatal_at > 0 && database.next == fatal_at) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The row is gone.");
    }
    snprintf(database.position, sizeof(database.position), "%u", database.next);
    batch->position = slice_text(database.position);
    if (batch->at_end && batch->count == 0) {
        clock_sleep_ms(5);
        batch->position = quiet > 0 ? batch->position : SLICE_NULL;
    }
    return 0;
}

static int database_acknowledge(struct connector_task *task, struct slice position, struct err *err)
{
    (void)task, (void)err;
    char text[16];
    snprintf(text, sizeof(text), "%.*s", (int)position.size, (const char *)position.data);
    ck_pr_store_32(&database.acknowledged, (uint32_t)strtoul(text, NULL, 10));
    return 0;
}

static void database_close(struct connector_task *task)
{
    (void)task;
}

static const struct source_class database_source = {
    .open = database_open, .poll = database_poll, .acknowledge = database_acknowledge, .close = database_close};
static const struct connector connector = {.kind = "database", .source = &database_source};
static const struct connector_use use = {
    .name = "src", .connector = &connector, .topic = POSITIONS, .runner = {.retry_ms = 1, .retry_max_ms = 2}};

/* The source and, when there is one, a topic that is merged into it; counted, so that a record that comes twice says
 * so.
 */
static struct graph *build_with(const char *merged)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *parents[2] = {graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "p:1", NULL, 0, &err)};
    struct store_spec positions = {.name = "src", .kind = STORE_KEY_VALUE, .changelog = true, .positions = true};
    struct store_spec counts = {.name = "counts", .kind = STORE_KEY_VALUE, .changelog = true};
    parents[0]->connector = &use;
    ck_assert_int_eq(graph_add_topic(graph, parents[0], POSITIONS, TOPIC_POSITIONS, false, 1, NULL, &err), 0);
    ck_assert_int_eq(graph_add_store(graph, parents[0], &positions, &err), 0);
    if (merged) {
        parents[1] = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "p:4", NULL, 0, &err);
        ck_assert_int_eq(graph_add_topic(graph, parents[1], merged, TOPIC_INPUT, false, 0, NULL, &err), 0);
    }
    struct node *count = graph_add(graph, &fake_count_op, NODE_OPERATOR, NULL, "p:2", parents, merged ? 2 : 1, &err);
    struct node *sink = graph_add(graph, &fake_sink_op, NODE_SINK, NULL, "p:3", &count, 1, &err);
    ck_assert_int_eq(graph_add_store(graph, count, &counts, &err), 0);
    ck_assert_int_eq(graph_add_topic(graph, sink, "out", TOPIC_OUTPUT, false, 1, NULL, &err), 0);
    return graph;
}

static struct graph *build(void)
{
    return build_with(NULL);
}

static struct graph *build_merged(void)
{
    return build_with("in");
}

static void begin(uint32_t rows)
{
    database = (struct database){.rows = rows};
    task_open_scene(build);
    scene_open_thread();
}

/* The position in the log; 0: none. */
static uint32_t position_in_log(void)
{
    uint32_t result = 0;
    struct record record;
    for (int64_t at = 0, end = task_end_of(POSITIONS); at < end; at++) {
        if (memory_transport_record(scene.transport, POSITIONS, 0, at, &record) &&
            slice_equal(record.key, slice_text("position"))) {
            char text[16];
            snprintf(text, sizeof(text), "%.*s", (int)record.value.size, (const char *)record.value.data);
            result = (uint32_t)strtoul(text, NULL, 10);
        }
    }
    return result;
}

/* What is in the log is a prefix of the rows, each once, and ends where the position says. */
static void expect_prefix(void)
{
    struct record record;
    int64_t count = task_end_of("out");
    ck_assert_uint_eq((uint32_t)count, position_in_log());
    ck_assert_uint_le(ck_pr_load_32(&database.acknowledged), (uint32_t)count);
    for (int64_t i = count > 2 * BATCH ? count - 2 * BATCH : 0; i < count; i++) {
        char text[48];
        ck_assert(memory_transport_record(scene.transport, "out", 0, i, &record));
        snprintf(text, sizeof(text), "%lld r%lld", (long long)i + 1, (long long)i);
        ck_assert_msg(slice_equal(record.value, slice_text(text)), "%s is %.*s", text, (int)record.value.size,
                      (const char *)record.value.data);
    }
}

static void expect_all(void)
{
    ck_assert_int_eq(task_end_of("out"), ck_pr_load_32(&database.rows));
    expect_prefix();
}

/* ---- commits ---- */

START_TEST(a_batch_is_committed_as_a_whole)
{
    begin(2000);
    scene.settings.commit_records = 7;
    scene.settings.commit_min_ms = 0;
    task_settle(expect_prefix);
    expect_all();
    while (ck_pr_load_32(&database.acknowledged) < 2000) {
        task_step();
    }
    ck_assert_uint_eq(ck_pr_load_32(&database.opened), 1);
    scene_close();
}
END_TEST

static void survive(const struct task_fault *fault, int place)
{
    begin(400);
    task_failing.fault = *fault;
    task_failing.at = place;
    task_failing.every = fault->call == MEMORY_PRODUCE ? 1000 : 0;
    scene.settings.commit_records = 100;
    task_settle(expect_prefix);
    expect_all();
    scene_close();
}

START_TEST(every_failure_of_the_transport_leaves_each_record_once)
{
    static const int places[] = {1, 2, 30};
    for (size_t f = 0; f < sizeof(task_faults) / sizeof(task_faults[0]); f++) {
        for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
            survive(&task_faults[f], places[p]);
        }
    }
}
END_TEST

START_TEST(an_aborted_transaction_goes_back_to_the_old_position)
{
    begin(400);
    task_failing.fault = (struct task_fault){MEMORY_COMMIT, FAULT_ABORT};
    task_failing.at = 1;
    task_settle(expect_prefix);
    expect_all();
    ck_assert_int_eq(task_failing.hits, 1);
    ck_assert_uint_ge(ck_pr_load_32(&database.opened), 2);
    scene_close();
}
END_TEST

static void restart(bool without_state)
{
    begin(300);
    task_settle(expect_prefix);
    ck_assert_int_eq(scene_close_thread(), 0);
    if (without_state) {
        scene_delete_state();
    }
    ck_pr_store_32(&database.rows, 777);
    scene_open_thread();
    task_settle(expect_prefix);
    expect_all();
    scene_close();
}

START_TEST(a_restart_goes_on_at_the_position)
{
    restart(false);
    restart(true);
}
END_TEST

static int failing_commits;

static int fail_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    if (failing_commits > 0 && --failing_commits == 0) {
        return err_set(err, ERR_RETRY, ERR_DISK_FULL, "Injected: no room for state.");
    }
    return sqlite_store_driver.commit(set, meta, err);
}

START_TEST(a_store_that_could_not_follow_is_behind)
{
    begin(BATCH);
    scene.stores.commit = fail_commit;
    task_settle(expect_prefix);
    for (uint32_t rows = 2 * BATCH; rows < 20 * BATCH; rows += BATCH) {
        failing_commits = 1;
        ck_pr_store_32(&database.rows, rows);
        while (task_end_of("out") < rows) {
            task_step();
        }
        task_settle(expect_prefix);
    }
    failing_commits = 0;
    expect_all();
    scene_close();
}
END_TEST

/* The commit before the one that the store misses has moved the topic only, the missed one the source only: both leave
 * the source's group offset where it is. */
START_TEST(a_missed_commit_that_moved_no_offset_is_noticed)
{
    database = (struct database){.rows = BATCH};
    task_open_scene(build_merged);
    scene.stores.commit = fail_commit;
    scene_open_thread();
    task_settle(NULL);
    scene_send("in", 0, "k", "t", 6);
    while (task_end_of("out") < BATCH + 1) {
        task_step();
    }
    task_settle(NULL);
    failing_commits = 1;
    ck_pr_store_32(&database.rows, 2 * BATCH);
    while (task_end_of("out") < 2 * BATCH + 1) {
        task_step();
    }
    task_settle(NULL);
    ck_assert_int_eq(failing_commits, 0);
    ck_pr_store_32(&database.rows, 3 * BATCH);
    while (task_end_of("out") < 3 * BATCH + 1) {
        task_step();
    }
    task_settle(NULL);
    struct record record;
    ck_assert_int_eq(task_end_of("out"), 3 * BATCH + 1);
    ck_assert(memory_transport_record(scene.transport, "out", 0, 3 * BATCH, &record));
    ck_assert_msg(slice_equal(record.value, slice_text("181 r179")), "%.*s", (int)record.value.size,
                  (const char *)record.value.data);
    scene_close();
}
END_TEST

START_TEST(a_position_without_records_is_committed_and_acknowledged)
{
    begin(0);
    task_settle(NULL);
    ck_pr_store_32(&database.rows, 41);
    ck_pr_store_32(&database.quiet, 41);
    while (position_in_log() != 41 || ck_pr_load_32(&database.acknowledged) != 41) {
        ck_assert_msg(task_step() == 0, "%s", scene.err.text);
    }
    ck_assert_int_eq(task_end_of("out"), 0);
    scene_close();
}
END_TEST

/* ---- life ---- */

START_TEST(a_rebalance_keeps_the_source_open)
{
    begin(4000);
    for (int i = 0; i < 15; i++) {
        task_step();
        if (i % 3 == 0) {
            scene_take_away(POSITIONS);
            expect_prefix();
        }
    }
    task_settle(expect_prefix);
    expect_all();
    scene_close();
}
END_TEST

START_TEST(the_thread_is_not_idle_before_the_source_is_at_its_end)
{
    begin(100);
    ck_pr_store_32(&database.away, 5);
    while (ck_pr_load_32(&database.opened) < 3) {
        task_step();
        ck_assert(!stream_thread_idle(scene.thread));
    }
    task_settle(expect_prefix);
    expect_all();
    ck_pr_store_32(&database.rows, 150); /* idle is not the end */
    while (task_end_of("out") < 150) {
        task_step();
    }
    task_settle(expect_prefix);
    expect_all();
    scene_close();
}
END_TEST

START_TEST(what_others_wrote_to_the_positions_keeps_nobody_from_the_end)
{
    begin(100);
    task_settle(expect_prefix);
    struct position end = {POSITIONS, 0, task_end_of(POSITIONS) + 1, NULL}; /* as if a control record followed */
    ck_assert(stream_thread_reached(scene.thread, &end, 1));
    scene_close();
}
END_TEST

START_TEST(a_source_that_has_lost_something_ends_the_thread)
{
    begin(1000);
    ck_pr_store_32(&database.fatal_at, 333);
    task_run_to_failure();
    ck_assert_int_eq(scene.err.class, ERR_FATAL);
    ck_assert_msg(strstr(scene.err.text, "The row is gone") && strstr(scene.err.text, "src"), "%s", scene.err.text);
    expect_prefix();
    scene_close_thread();
    ck_pr_store_32(&database.fatal_at, 0); /* repaired */
    scene_open_thread();
    task_settle(expect_prefix);
    expect_all();
    scene_close();
}
END_TEST

UNIT_MAIN("worker_source", a_batch_is_committed_as_a_whole, every_failure_of_the_transport_leaves_each_record_once,
          an_aborted_transaction_goes_back_to_the_old_position, a_restart_goes_on_at_the_position,
          a_store_that_could_not_follow_is_behind, a_missed_commit_that_moved_no_offset_is_noticed,
          a_position_without_records_is_committed_and_acknowledged, a_rebalance_keeps_the_source_open,
          the_thread_is_not_idle_before_the_source_is_at_its_end,
          what_others_wrote_to_the_positions_keeps_nobody_from_the_end,
          a_source_that_has_lost_something_ends_the_thread)
