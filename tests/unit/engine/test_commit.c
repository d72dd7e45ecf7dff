/* Every row of the commit's transition table, with calls of the transport and of the stores that fail by script. */
#include "engine/commit.h"

#include "tests/unit/engine/scene.h"

/* ---- a topology whose sink holds its records back until the commit ---- */

static int hold_back(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct bytes *held = node->state;
    bytes_append_slice(held, item->value.bytes);
    bytes_append_byte(held, ';');
    return 0;
}

static int let_go(struct node *node)
{
    struct bytes *held = node->state;
    struct output *output = op_output(node->worker, "out");
    struct record record = {.key = slice_text("k"), .value = bytes_slice(held), .offset = -1};
    if (held->size > 0 && (!output || op_produce(node->worker, output, op_partition(node->worker), &record))) {
        return -1;
    }
    bytes_clear(held);
    return 0;
}

static struct bytes held[64];
static int held_used;

static int take_buffer(struct node *node)
{
    ck_assert_int_lt(held_used, 64);
    bytes_clear(&held[held_used]);
    node->state = &held[held_used++];
    return 0;
}

static const struct op held_op = {.kind = "held", .open = take_buffer, .process = hold_back, .flush = let_go};

static struct graph *build_held(void)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *source = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "p:1", NULL, 0, &err);
    struct node *count = graph_add(graph, &fake_count_op, NODE_OPERATOR, NULL, "p:2", &source, 1, &err);
    struct node *sink = graph_add(graph, &held_op, NODE_SINK, NULL, "p:3", &count, 1, &err);
    struct store_spec spec = {.name = "counts", .changelog = true};
    graph_add_topic(graph, source, "in", TOPIC_INPUT, false, 0, NULL, &err);
    graph_add_topic(graph, sink, "out", TOPIC_OUTPUT, false, 0, NULL, &err);
    ck_assert_int_eq(graph_add_store(graph, count, &spec, &err), 0);
    return graph;
}

/* ---- calls that fail by script ---- */

enum call {
    CALL_OUTPUT,
    CALL_CHANGELOG,
    CALL_COMMIT,
    CALL_ABORT,
    CALL_RECOVER,
    CALL_COMMITTED,
    CALL_STORE,
    CALL_ROLLBACK,
    CALLS
};

static struct {
    enum err_class class; /* what the next call fails with; ERR_NONE: it does not */
    int times;
    bool done; /* it fails although it has happened */
} script[CALLS];

static void fail_next(enum call call, enum err_class class)
{
    script[call].class = class;
    script[call].times = 1;
    script[call].done = false;
}

static bool failing(enum call call, struct err *err)
{
    if (script[call].times == 0) {
        return false;
    }
    script[call].times--;
    err_set(err, script[call].class, ERR_IO, "Scripted.");
    return true;
}

static struct output *changelog_output(void)
{
    const struct worker *worker = stream_thread_worker_count(scene.thread) > 0 ? scene.thread->workers[0] : NULL;
    return worker ? worker->changelogs[0].output : NULL;
}

static int produce(struct session *session, struct output *output, int32_t partition, const struct record *record,
                   struct err *err)
{
    enum call call = output == changelog_output() ? CALL_CHANGELOG : CALL_OUTPUT;
    return failing(call, err) ? -1 : scene.original->produce(session, output, partition, record, err);
}

static int commit_call(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    bool fails = script[CALL_COMMIT].times > 0;
    if (!fails || script[CALL_COMMIT].done) {
        ck_assert_int_eq(scene.original->commit(session, positions, count, err), 0);
    }
    return failing(CALL_COMMIT, err) ? -1 : 0;
}

static int abort_call(struct session *session, struct err *err)
{
    return failing(CALL_ABORT, err) ? -1 : scene.original->abort(session, err);
}

static int recover(struct session *session, struct err *err)
{
    return failing(CALL_RECOVER, err) ? -1 : scene.original->recover(session, err);
}

static int committed(struct session *session, struct position *positions, size_t count, struct err *err)
{
    return failing(CALL_COMMITTED, err) ? -1 : scene.original->committed(session, positions, count, err);
}

static int store_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    return failing(CALL_STORE, err) ? -1 : sqlite_store_driver.commit(set, meta, err);
}

static int store_rollback(struct store_set *set, struct err *err)
{
    return failing(CALL_ROLLBACK, err) ? -1 : sqlite_store_driver.rollback(set, err);
}

/* ---- a scene with two records committed and two that are not ---- */

static void open_scene(void)
{
    memset(script, 0, sizeof(script));
    held_used = 0;
    scene_open(build_held, 1);
    scene.class.produce = produce;
    scene.class.commit = commit_call;
    scene.class.abort = abort_call;
    scene.class.recover = recover;
    scene.class.committed = committed;
    scene.stores.commit = store_commit;
    scene.stores.rollback = store_rollback;
    scene_send("in", 0, "k", "a", 1);
    scene_send("in", 0, "k", "b", 2);
    scene_settle();
    scene.settings.commit_ms = scene.settings.commit_min_ms = 1000000;
    scene_send("in", 0, "k", "c", 3);
    scene_send("in", 0, "k", "d", 4);
    scene_step();
    ck_assert(worker_dirty(scene_worker(0)));
}

static enum commit_step run(void)
{
    return commit_run(&scene.thread->commit, scene.thread->workers, scene.thread->worker_count, &scene.err);
}

/* Whatever happened before: from now on nothing fails, and each record has had its effect once. */
static void settle_once(void)
{
    scene.settings.commit_ms = scene.settings.commit_min_ms = 0;
    clock_advance(&scene.clock, 10000);
    scene.thread->dirty_since_ns = scene.thread->dirty_since_ns ? scene.thread->dirty_since_ns : 1;
    scene_settle();
    char whole[256] = "";
    for (const char *at = scene_values("out", 0); *at; at++) {
        size_t size = strlen(whole);
        snprintf(whole + size, sizeof(whole) - size, "%.*s", *at == ' ' && at[-1] == ';' ? 0 : 1, at);
    }
    ck_assert_str_eq(whole, "1 a;2 b;3 c;4 d;");
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), 4);
    scene_close();
}

/* One path: a first failure that leads to the step, the step's own failure, and the end. */
struct path {
    enum call first;
    enum err_class first_class; /* ERR_NONE: the step is reached without a failure */
    enum call call;
    enum err_class class;
    enum commit_step end;
};

static const struct path paths[] = {
    {CALLS, ERR_NONE, CALL_OUTPUT, ERR_NONE, COMMIT_DONE},
    {CALLS, ERR_NONE, CALL_OUTPUT, ERR_SKIP, COMMIT_FAILED},
    {CALLS, ERR_NONE, CALL_OUTPUT, ERR_RETRY, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_OUTPUT, ERR_ABORT, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_OUTPUT, ERR_UNKNOWN, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_OUTPUT, ERR_FENCED, COMMIT_LOST},
    {CALLS, ERR_NONE, CALL_OUTPUT, ERR_FATAL, COMMIT_FAILED},
    {CALLS, ERR_NONE, CALL_CHANGELOG, ERR_SKIP, COMMIT_FAILED},
    {CALLS, ERR_NONE, CALL_CHANGELOG, ERR_RETRY, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_CHANGELOG, ERR_ABORT, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_CHANGELOG, ERR_UNKNOWN, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_CHANGELOG, ERR_FENCED, COMMIT_LOST},
    {CALLS, ERR_NONE, CALL_CHANGELOG, ERR_FATAL, COMMIT_FAILED},
    {CALLS, ERR_NONE, CALL_COMMIT, ERR_SKIP, COMMIT_FAILED},
    {CALLS, ERR_NONE, CALL_COMMIT, ERR_RETRY, COMMIT_WAITING},
    {CALLS, ERR_NONE, CALL_COMMIT, ERR_ABORT, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_COMMIT, ERR_UNKNOWN, COMMIT_REWOUND},
    {CALLS, ERR_NONE, CALL_COMMIT, ERR_FENCED, COMMIT_LOST},
    {CALLS, ERR_NONE, CALL_COMMIT, ERR_FATAL, COMMIT_FAILED},
    {CALLS, ERR_NONE, CALL_STORE, ERR_RETRY, COMMIT_BROKEN},
    {CALLS, ERR_NONE, CALL_STORE, ERR_FATAL, COMMIT_BROKEN},
    {CALL_COMMIT, ERR_ABORT, CALL_ABORT, ERR_SKIP, COMMIT_REWOUND},
    {CALL_COMMIT, ERR_ABORT, CALL_ABORT, ERR_RETRY, COMMIT_REWOUND},
    {CALL_COMMIT, ERR_ABORT, CALL_ABORT, ERR_ABORT, COMMIT_REWOUND},
    {CALL_COMMIT, ERR_ABORT, CALL_ABORT, ERR_UNKNOWN, COMMIT_REWOUND},
    {CALL_COMMIT, ERR_ABORT, CALL_ABORT, ERR_FENCED, COMMIT_LOST},
    {CALL_COMMIT, ERR_ABORT, CALL_ABORT, ERR_FATAL, COMMIT_FAILED},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_RECOVER, ERR_SKIP, COMMIT_FAILED},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_RECOVER, ERR_RETRY, COMMIT_WAITING},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_RECOVER, ERR_ABORT, COMMIT_WAITING},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_RECOVER, ERR_UNKNOWN, COMMIT_WAITING},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_RECOVER, ERR_FENCED, COMMIT_LOST},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_RECOVER, ERR_FATAL, COMMIT_FAILED},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_COMMITTED, ERR_SKIP, COMMIT_WAITING},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_COMMITTED, ERR_RETRY, COMMIT_WAITING},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_COMMITTED, ERR_ABORT, COMMIT_WAITING},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_COMMITTED, ERR_UNKNOWN, COMMIT_WAITING},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_COMMITTED, ERR_FENCED, COMMIT_LOST},
    {CALL_COMMIT, ERR_UNKNOWN, CALL_COMMITTED, ERR_FATAL, COMMIT_FAILED},
    {CALL_COMMIT, ERR_ABORT, CALL_ROLLBACK, ERR_SKIP, COMMIT_FAILED},
    {CALL_COMMIT, ERR_ABORT, CALL_ROLLBACK, ERR_RETRY, COMMIT_WAITING},
    {CALL_COMMIT, ERR_ABORT, CALL_ROLLBACK, ERR_FENCED, COMMIT_LOST},
    {CALL_COMMIT, ERR_ABORT, CALL_ROLLBACK, ERR_FATAL, COMMIT_FAILED},
};

static void follow(const struct path *path, bool done)
{
    if (path->first_class != ERR_NONE) {
        fail_next(path->first, path->first_class);
        script[path->first].done = done;
    }
    if (path->class != ERR_NONE) {
        fail_next(path->call, path->class);
        script[path->call].done = done && path->first_class == ERR_NONE;
    }
}

START_TEST(every_path_ends_as_the_table_says)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        open_scene();
        follow(&paths[i], false);
        enum commit_step end = run();
        ck_assert_msg(end == paths[i].end, "path %zu: %d instead of %d", i, end, paths[i].end);
        ck_assert_int_eq(commit_waiting(&scene.thread->commit), end == COMMIT_WAITING);
        scene.thread->failed = end != COMMIT_DONE; /* what is left half done is not committed at the end */
        scene_close();
    }
}
END_TEST

START_TEST(p5_every_record_has_its_effect_once_on_every_path)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i].end == COMMIT_FAILED) {
            continue;
        }
        open_scene();
        follow(&paths[i], false);
        settle_once();
    }
}
END_TEST

/* The commit took place although its outcome is not known: nothing is done again. */
START_TEST(p6_a_commit_that_took_place_is_recognized)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        bool unknown =
            paths[i].first_class == ERR_UNKNOWN || (paths[i].call == CALL_COMMIT && paths[i].class == ERR_UNKNOWN);
        if (!unknown || paths[i].end == COMMIT_FAILED) {
            continue;
        }
        open_scene();
        follow(&paths[i], true);
        int64_t records = worker_records(scene_worker(0));
        enum commit_step end = run();
        end = end == COMMIT_WAITING ? run() : end;
        if (end == COMMIT_DONE) {
            ck_assert_int_eq(worker_records(scene_worker(0)), records);
        } else {
            ck_assert_int_eq(end, COMMIT_LOST);
            fail_next(CALL_COMMIT, ERR_FENCED); /* the thread is told the same, and joins again */
        }
        settle_once();
    }
}
END_TEST

/* The second call may end without a failure of its own: what it ends with is that of the first one. */
START_TEST(a_commit_that_waited_still_knows_why)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i].end != COMMIT_WAITING) {
            continue;
        }
        open_scene();
        follow(&paths[i], false);
        run();
        memset(&scene.err, 0, sizeof(scene.err));
        enum commit_step end = run();
        ck_assert_msg(end == COMMIT_DONE || strncmp(scene.err.text, "Scripted", 8) == 0, "path %zu", i);
        settle_once();
    }
}
END_TEST

START_TEST(without_positions_an_unknown_outcome_is_a_loss)
{
    open_scene();
    struct worker *worker = scene_worker(0);
    worker->input_count = 0;
    fail_next(CALL_COMMIT, ERR_UNKNOWN);
    ck_assert_int_eq(run(), COMMIT_LOST);
    worker->input_count = 1;
    fail_next(CALL_COMMIT, ERR_FENCED);
    settle_once();
}
END_TEST

START_TEST(nothing_dirty_is_nothing_to_commit)
{
    open_scene();
    ck_assert_int_eq(run(), COMMIT_DONE);
    fail_next(CALL_COMMIT, ERR_FATAL);
    ck_assert_int_eq(run(), COMMIT_DONE);
    ck_assert_int_eq(script[CALL_COMMIT].times, 1);
    script[CALL_COMMIT].times = 0;
    settle_once();
}
END_TEST

/* ---- waiting commits ---- */

static void fail_for_long(enum call call, enum err_class class)
{
    fail_next(call, class);
    script[call].times = 1000000;
}

static void begin_waiting(void)
{
    fail_for_long(CALL_COMMIT, ERR_RETRY);
    scene.settings.commit_ms = 0;
    scene_step();
    ck_assert(commit_waiting(&scene.thread->commit));
}

START_TEST(l7_nothing_is_processed_while_a_commit_waits_and_then_it_goes_on_by_itself)
{
    open_scene();
    begin_waiting();
    scene_send("in", 0, "k", "e", 5);
    int64_t records = worker_records(scene_worker(0));
    ck_assert(scene_worker(0)->inputs[0].paused); /* new records don't end its sleep */
    for (int i = 0; i < 100; i++) {
        clock_advance(&scene.clock, 1000);
        scene_step();
    }
    ck_assert_int_eq(worker_records(scene_worker(0)), records);
    script[CALL_COMMIT].times = 0;
    clock_advance(&scene.clock, 10000);
    scene_settle();
    ck_assert_int_eq(worker_records(scene_worker(0)), records + 1);
    ck_assert_str_eq(scene_values("out", 0), "1 a;2 b; 3 c;4 d; 5 e; ");
    scene_close();
}
END_TEST

START_TEST(l7_after_the_deadline_the_thread_gives_up)
{
    open_scene();
    begin_waiting();
    bool worked;
    int result = 0;
    for (int i = 0; i < 10000 && result == 0; i++) {
        clock_advance(&scene.clock, 1000);
        result = stream_thread_step(scene.thread, 0, &worked, &scene.err);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(scene.err.class, ERR_FATAL);
    ck_assert_ptr_nonnull(strstr(scene.err.text, "trying again for 300 s"));
    script[CALL_COMMIT].times = 0;
    scene_close_thread();
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "1 a;2 b; 3 c;4 d; ");
    scene_close();
}
END_TEST

START_TEST(a_waiting_commit_is_tried_once_more_by_a_revocation)
{
    open_scene();
    begin_waiting();
    script[CALL_COMMIT].times = 0;
    scene_take_away("in");
    ck_assert_str_eq(scene_values("out", 0), "1 a;2 b; 3 c;4 d; ");
    settle_once();
}
END_TEST

START_TEST(a_waiting_commit_that_fails_at_the_revocation_is_given_up_and_done_again)
{
    open_scene();
    begin_waiting();
    script[CALL_COMMIT].times = 1;
    scene_take_away("in");
    settle_once();
}
END_TEST

static int64_t processed(void)
{
    int64_t records = stream_thread_departed_records(scene.thread);
    for (int i = 0; i < stream_thread_worker_count(scene.thread); i++) {
        records += worker_records(stream_thread_worker(scene.thread, i));
    }
    return records;
}

START_TEST(what_was_done_counts_when_its_worker_is_gone)
{
    open_scene();
    ck_assert_int_eq(processed(), 4);
    scene_take_away("in");
    ck_assert_int_eq(stream_thread_departed_records(scene.thread), 4);
    scene_settle();
    ck_assert_int_eq(processed(), 4);
    scene_close();
}
END_TEST

START_TEST(closing_tells_of_a_commit_that_could_not_be_made)
{
    open_scene();
    scene.settings.drain_ms = 200;
    begin_waiting();
    ck_assert_int_eq(scene_close_thread(), -1);
    ck_assert_int_eq(scene.err.class, ERR_RETRY);
    ck_assert_str_eq(scene_values("out", 0), "1 a;2 b; ");
    script[CALL_COMMIT].times = 0;
    scene_open_thread();
    settle_once();
}
END_TEST

START_TEST(closing_waits_for_room_within_the_deadline)
{
    open_scene();
    begin_waiting();
    script[CALL_COMMIT].times = 2;
    ck_assert_int_eq(scene_close_thread(), 0);
    ck_assert_str_eq(scene_values("out", 0), "1 a;2 b; 3 c;4 d; ");
    scene_open_thread();
    settle_once();
}
END_TEST

/* ---- what the thread makes of the ends ---- */

START_TEST(aborts_without_end_make_the_thread_rest_and_then_give_up)
{
    open_scene();
    scene.settings.commit_ms = scene.settings.commit_min_ms = 0;
    fail_for_long(CALL_COMMIT, ERR_ABORT);
    bool worked;
    int result = 0, commits = script[CALL_COMMIT].times;
    for (int i = 0; i < 400000 && result == 0; i++) {
        clock_advance(&scene.clock, 1);
        result = stream_thread_step(scene.thread, 0, &worked, &scene.err);
        held_used = 1; /* each abort loads the program anew */
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_lt(commits - script[CALL_COMMIT].times, 100);
    ck_assert_int_eq(metric_get(scene.thread->metrics, METRIC_ABORTS), commits - script[CALL_COMMIT].times);
    scene_close();
}
END_TEST

START_TEST(too_many_recoveries_in_a_minute_end_the_thread)
{
    open_scene();
    scene.settings.commit_ms = scene.settings.commit_min_ms = 0;
    bool worked;
    int result = 0, recoveries = 0;
    for (int i = 0; i < 1000 && result == 0; i++) {
        scene_send("in", 0, "k", "x", 5);
        if (i % 4 == 0) {
            fail_next(CALL_COMMIT, ERR_UNKNOWN);
            recoveries++;
        }
        clock_advance(&scene.clock, 1);
        result = stream_thread_step(scene.thread, 0, &worked, &scene.err);
        held_used = 1;
    }
    ck_assert_int_eq(result, -1);
    ck_assert_ptr_nonnull(strstr(scene.err.text, "recovering more than 60 times in a minute"));
    ck_assert_int_eq(recoveries, 61);
    scene_close();
}
END_TEST

START_TEST(a_store_that_could_not_follow_is_opened_again_and_replays)
{
    open_scene();
    scene.settings.commit_ms = 0;
    fail_next(CALL_STORE, ERR_RETRY);
    scene_step();
    ck_assert_str_eq(scene_values("out", 0), "1 a;2 b; 3 c;4 d; "); /* committed it was */
    ck_assert_int_eq(stream_thread_worker_count(scene.thread), 0);
    scene_settle();
    ck_assert_int_eq(metric_get(worker_metrics(scene_worker(0)), METRIC_RESTORED_RECORDS), 1);
    ck_assert_int_eq(worker_records(scene_worker(0)), 0);
    scene_send("in", 0, "k", "e", 5);
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "1 a;2 b; 3 c;4 d; 5 e; ");
    scene_close();
}
END_TEST

static int fails_to_open;

static int session_open(struct transport *transport, const struct session_config *config, struct session **session,
                        struct err *err)
{
    if (fails_to_open > 0) {
        fails_to_open--;
        return err_set(err, ERR_FATAL, ERR_UNREACHABLE, "Nobody answers.");
    }
    return scene.original->session_open(transport, config, session, err);
}

START_TEST(brokers_that_are_away_when_joining_again_are_waited_for)
{
    open_scene();
    scene.class.session_open = session_open;
    scene.settings.commit_ms = 0;
    fail_next(CALL_COMMIT, ERR_FENCED);
    fails_to_open = 200;
    scene_step();
    for (int i = 0; fails_to_open > 0; i++) {
        clock_advance(&scene.clock, 5000); /* far beyond max_poll_interval_ms */
        scene_step();
        ck_assert(!stream_thread_idle(scene.thread));
        stream_thread_wake(scene.thread);
    }
    settle_once();
}
END_TEST

START_TEST(at_least_once_commits_and_goes_on_after_a_restart)
{
    memset(script, 0, sizeof(script));
    held_used = 0;
    scene_prepare(build_held, 1);
    scene.settings.guarantee = GUARANTEE_AT_LEAST_ONCE;
    scene_open_thread();
    scene.class.commit = commit_call;
    scene_send("in", 0, "k", "a", 1);
    scene_settle();
    scene_send("in", 0, "k", "b", 2);
    fail_next(CALL_COMMIT, ERR_ABORT);
    scene_settle();
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), 2);
    ck_assert_str_eq(scene_values("out", 0), "1 a; 2 b; 2 b; ");
    scene_close_thread();
    scene_open_thread();
    scene_send("in", 0, "k", "c", 3);
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "1 a; 2 b; 2 b; 3 c; ");
    scene_close();
}
END_TEST

UNIT_MAIN("commit", every_path_ends_as_the_table_says, p5_every_record_has_its_effect_once_on_every_path,
          p6_a_commit_that_took_place_is_recognized, a_commit_that_waited_still_knows_why,
          without_positions_an_unknown_outcome_is_a_loss, nothing_dirty_is_nothing_to_commit,
          l7_nothing_is_processed_while_a_commit_waits_and_then_it_goes_on_by_itself,
          l7_after_the_deadline_the_thread_gives_up, a_waiting_commit_is_tried_once_more_by_a_revocation,
          a_waiting_commit_that_fails_at_the_revocation_is_given_up_and_done_again,
          what_was_done_counts_when_its_worker_is_gone, closing_tells_of_a_commit_that_could_not_be_made,
          closing_waits_for_room_within_the_deadline, aborts_without_end_make_the_thread_rest_and_then_give_up,
          too_many_recoveries_in_a_minute_end_the_thread, a_store_that_could_not_follow_is_opened_again_and_replays,
          brokers_that_are_away_when_joining_again_are_waited_for, at_least_once_commits_and_goes_on_after_a_restart)
