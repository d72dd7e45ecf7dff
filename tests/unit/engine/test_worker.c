/* What a worker reads and in which order, through a stream thread on the scripted transport. */
#include "engine/worker.h"

#include "tests/unit/engine/scene.h"

/* ---- topologies ---- */

static struct node *add(struct graph *graph, const struct op *op, enum node_role role, const char *place,
                        struct node *parent)
{
    struct err err;
    struct node *node = graph_add(graph, op, role, NULL, place, &parent, parent ? 1 : 0, &err);
    ck_assert_msg(node != NULL, "%s", err.text);
    return node;
}

static void use(struct graph *graph, struct node *node, const char *topic, enum topic_role role)
{
    struct err err;
    ck_assert_msg(graph_add_topic(graph, node, topic, role, topic[0] == '^', 0, NULL, &err) == 0, "%s", err.text);
}

static void (*on_record)(const struct record *record);

static int see(struct node *node, int parent, struct item *item)
{
    if (on_record) {
        on_record(item->source);
    }
    return fake_sink(node, parent, item);
}

static const struct op see_op = {.kind = "see", .process = see};

/* Topics "left" and "right" into one node, which writes "out". */
static struct graph *build_merge(void)
{
    struct graph *graph = graph_new("app");
    struct err err;
    struct node *sides[2] = {add(graph, &fake_source_op, NODE_SOURCE, "p:1", NULL),
                             add(graph, &fake_source_op, NODE_SOURCE, "p:2", NULL)};
    use(graph, sides[0], "left", TOPIC_INPUT);
    use(graph, sides[1], "right", TOPIC_INPUT);
    struct node *sink = graph_add(graph, &see_op, NODE_SINK, NULL, "p:3", sides, 2, &err);
    use(graph, sink, "out", TOPIC_OUTPUT);
    return graph;
}

#define MANY 20

static struct graph *build_many_sources(void)
{
    static char places[MANY][16];
    struct graph *graph = graph_new("app");
    for (int i = 0; i < MANY; i++) {
        snprintf(places[i], sizeof(places[i]), "p:%d", i);
        struct node *source = add(graph, &fake_source_op, NODE_SOURCE, places[i], NULL);
        use(graph, source, "in", TOPIC_INPUT);
        places[i][0] = 's';
        use(graph, add(graph, &fake_sink_op, NODE_SINK, places[i], source), "out", TOPIC_OUTPUT);
    }
    return graph;
}

static int fired;

static int fire(struct node *node, void *data, int64_t now)
{
    char text[32];
    (void)data;
    fired++;
    snprintf(text, sizeof(text), "t%lld", (long long)now);
    struct output *output = op_output(node->worker, "out");
    struct record record = {.key = slice_text("k"), .value = slice_text(text), .timestamp = now, .offset = -1};
    return output ? op_produce(node->worker, output, op_partition(node->worker), &record) : -1;
}

static int every_second(struct node *node)
{
    op_every(node, TIME_WALL, 1000, fire, NULL);
    return 0;
}

static int every_hundred(struct node *node)
{
    op_every(node, TIME_STREAM, 100, fire, NULL);
    return 0;
}

static const struct op wall_op = {.kind = "wall", .open = every_second, .process = fake_pass};
static const struct op stream_op = {.kind = "time", .open = every_hundred, .process = fake_pass};

static struct graph *build_timer(const struct op *op)
{
    struct graph *graph = graph_new("app");
    struct node *source = add(graph, &fake_source_op, NODE_SOURCE, "p:1", NULL);
    use(graph, source, "in", TOPIC_INPUT);
    struct node *timer = add(graph, op, NODE_OPERATOR, "p:2", source);
    use(graph, add(graph, &fake_sink_op, NODE_SINK, "p:3", timer), "out", TOPIC_OUTPUT);
    return graph;
}

static struct graph *build_wall(void)
{
    return build_timer(&wall_op);
}

static struct graph *build_stream_time(void)
{
    return build_timer(&stream_op);
}

static int many_timers(struct node *node)
{
    for (int i = 0; i < 200; i++) {
        op_every(node, TIME_STREAM, INT64_MAX / 4 + i, fire, NULL);
    }
    return 0;
}

static const struct op many_timers_op = {.kind = "many", .open = many_timers, .process = fake_pass};

static struct graph *build_much_metadata(void)
{
    static char topics[60][16];
    struct node *sources[61];
    struct err err;
    struct graph *graph = graph_new("app");
    sources[0] = add(graph, &fake_source_op, NODE_SOURCE, "p:1", NULL);
    use(graph, sources[0], "in", TOPIC_INPUT);
    for (int i = 0; i < 60; i++) {
        snprintf(topics[i], sizeof(topics[i]), "more-%d", i);
        sources[i + 1] = add(graph, &fake_source_op, NODE_SOURCE, topics[i], NULL);
        use(graph, sources[i + 1], topics[i], TOPIC_INPUT);
    }
    struct node *timer = graph_add(graph, &many_timers_op, NODE_OPERATOR, NULL, "p:2", sources, 61, &err);
    use(graph, add(graph, &fake_sink_op, NODE_SINK, "p:3", timer), "out", TOPIC_OUTPUT);
    for (int i = 0; i < 150; i++) {
        char name[32];
        snprintf(name, sizeof(name), "store-%d", i);
        struct store_spec spec = {.name = name, .changelog = true};
        ck_assert_int_eq(graph_add_store(graph, timer, &spec, &err), 0);
    }
    return graph;
}

/* ---- order ---- */

static void settle_and_expect(const char *values)
{
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), values);
}

START_TEST(lowest_timestamp_first_and_the_topology_decides_between_equals)
{
    scene_open(build_merge, 1);
    scene_send("right", 0, "k", "r10", 10);
    scene_send("right", 0, "k", "r30", 30);
    scene_send("left", 0, "k", "l10", 10);
    scene_send("left", 0, "k", "l20", 20);
    scene_send("left", 0, "k", "l40", 40);
    settle_and_expect("l10 r10 l20 r30 l40 ");
    scene_close();
}
END_TEST

static bool hide_right;

static int fetch_unless_hidden(struct session *session, struct input *input, struct record *records, size_t max,
                               size_t *count, struct err *err)
{
    *count = 0;
    if (hide_right && input == scene_worker(0)->inputs[1].handle) {
        return 0;
    }
    return scene.original->fetch(session, input, records, max, count, err);
}

START_TEST(a_record_waits_for_known_records_that_are_not_here_yet)
{
    scene_open(build_merge, 1);
    scene.class.fetch = fetch_unless_hidden;
    hide_right = true;
    scene_send("left", 0, "k", "l1", 1);
    scene_send("left", 0, "k", "l3", 3);
    scene_send("right", 0, "k", "r2", 2);
    for (int i = 0; i < 10; i++) {
        scene_step();
    }
    ck_assert_str_eq(scene_values("out", 0), "");
    ck_assert(!stream_thread_idle(scene.thread));
    hide_right = false;
    settle_and_expect("l1 r2 l3 ");
    scene_close();
}
END_TEST

static void send_to_right(const struct record *record)
{
    if (slice_equal(record->value, slice_text("l2"))) {
        on_record = NULL;
        scene_send("right", 0, "k", "r3", 3);
    }
}

START_TEST(that_holds_for_every_record_of_a_round)
{
    scene_open(build_merge, 1);
    for (int i = 1; i <= 5; i++) {
        char value[8];
        snprintf(value, sizeof(value), "l%d", i * 2);
        scene_send("left", 0, "k", value, i * 2);
    }
    on_record = send_to_right;
    settle_and_expect("l2 r3 l4 l6 l8 l10 ");
    scene_close();
}
END_TEST

static int paused_calls;
static struct input *paused_input;

static int note_pause(struct session *session, struct input *input, bool paused, struct err *err)
{
    paused_calls++;
    paused_input = paused ? input : NULL;
    return scene.original->pause(session, input, paused, err);
}

START_TEST(max_idle_waits_for_records_that_nobody_knows_of)
{
    scene_open(build_merge, 1);
    scene.settings.max_idle_ms = 50;
    scene.class.pause = note_pause;
    scene_step();
    scene_send("left", 0, "k", "l1", 1);
    scene_step();
    struct worker *worker = scene_worker(0);
    ck_assert_int_eq(worker_records(worker), 0);
    ck_assert_int_eq(worker_idle_ms(worker), 49);
    ck_assert_ptr_eq(paused_input, worker->inputs[0].handle); /* what is there already does not end a poll */
    clock_advance(&scene.clock, 20);
    scene_step();
    ck_assert_int_eq(worker_idle_ms(worker), 28);
    ck_assert_int_eq(worker_records(worker), 0);
    scene_send("right", 0, "k", "r0", 0);
    scene_step(); /* now left has to be waited for, and right again */
    ck_assert_int_eq(worker_records(worker), 1);
    clock_advance(&scene.clock, 60);
    scene_step();
    ck_assert_int_eq(worker_records(worker), 2);
    ck_assert_ptr_null(paused_input);
    settle_and_expect("r0 l1 ");
    scene_close();
}
END_TEST

static int64_t no_end(struct session *session, struct input *input)
{
    return input == scene_worker(0)->inputs[1].handle ? -1 : scene.original->known_end(session, input);
}

START_TEST(an_end_that_is_not_known_yet_is_waited_for_asleep)
{
    scene_open(build_merge, 1);
    scene.class.known_end = no_end;
    scene.class.pause = note_pause;
    scene_send("left", 0, "k", "l1", 1);
    for (int i = 0; i < 5; i++) {
        scene_step();
    }
    struct worker *worker = scene_worker(0);
    ck_assert_int_eq(worker_records(worker), 0);
    ck_assert(!worker_drained(worker));
    ck_assert_int_eq(worker_idle_ms(worker), INT64_MAX);
    ck_assert_ptr_eq(paused_input, worker->inputs[0].handle);
    ck_assert_int_eq(paused_calls, 1);
    scene.class.known_end = scene.original->known_end;
    settle_and_expect("l1 ");
    scene_close();
}
END_TEST

START_TEST(all_sources_of_a_topic_see_each_record)
{
    scene_open(build_many_sources, 1);
    scene_send("in", 0, "k", "a", 1);
    scene_settle();
    ck_assert_uint_eq(strlen(scene_values("out", 0)), MANY * 2);
    scene_close();
}
END_TEST

static void advance_a_lot(const struct record *record)
{
    (void)record;
    clock_advance(&scene.clock, 30);
}

START_TEST(slow_callbacks_end_a_round_early)
{
    scene_open(build_merge, 1);
    for (int i = 0; i < 10; i++) {
        scene_send("left", 0, "k", "x", i);
    }
    on_record = advance_a_lot;
    scene_step();
    ck_assert_int_eq(worker_records(scene_worker(0)), 1);
    scene_close();
}
END_TEST

/* ---- positions ---- */

START_TEST(without_committed_offsets_an_abort_goes_back_to_the_first_record)
{
    struct err err;
    scene_prepare(NULL, 1);
    for (int i = 0; i < 5; i++) {
        scene_send("in", 0, "k", "old", i);
    }
    ck_assert_int_eq(scene.original->delete_records(scene.transport, "in", 0, 3, &err), 0);
    scene_open_thread();
    scene.settings.commit_min_ms = scene.settings.commit_ms = 1000000;
    scene_step();
    ck_assert_int_eq(worker_records(scene_worker(0)), 2);
    err_set(&err, ERR_ABORT, ERR_IO, "test");
    ck_assert_int_eq(commit_abort(&scene.thread->commit, scene.thread->workers, 1, &err), COMMIT_REWOUND);
    ck_assert(!worker_dirty(scene_worker(0)));
    scene_step();
    scene.settings.commit_min_ms = 0;
    settle_and_expect("1 old 2 old ");
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), 5);
    scene_close();
}
END_TEST

START_TEST(p3_inputs_without_a_record_have_a_position_too)
{
    scene_open(build_merge, 1);
    scene_send("left", 0, "k", "l1", 1);
    scene_settle();
    ck_assert_int_eq(scene_committed("left", 0, NULL, 0), 1);
    ck_assert_int_eq(scene_committed("right", 0, NULL, 0), 0);
    scene_close();
}
END_TEST

/* A control record behind every record: the position is one further. */
static int64_t beyond(struct session *session, struct input *input)
{
    int64_t position = scene.original->position(session, input);
    return position > 0 ? position + 1 : position;
}

START_TEST(p8_control_records_are_committed_once_everything_is_drained)
{
    scene_open(build_merge, 1);
    scene.class.position = beyond;
    scene_send("left", 0, "k", "l1", 1);
    scene_step();
    scene_step();
    scene_step();
    ck_assert_int_eq(scene_committed("left", 0, NULL, 0), 2);
    scene_close();
}
END_TEST

START_TEST(what_is_only_buffered_is_not_committed)
{
    scene_open(build_merge, 1);
    scene.settings.commit_ms = 1;
    for (int i = 0; i < 10; i++) {
        scene_send("left", 0, "k", "x", i);
    }
    on_record = advance_a_lot;
    scene_step();
    scene_step();
    ck_assert_int_eq(worker_records(scene_worker(0)), 2);
    ck_assert_int_eq(scene_committed("left", 0, NULL, 0), 2);
    scene_close();
}
END_TEST

START_TEST(metadata_stays_within_what_kafka_keeps)
{
    char metadata[8192];
    scene_open(build_much_metadata, 1);
    scene_step();
    struct worker *worker = scene_worker(0);
    for (int i = 0; i < worker_changelog_count(worker); i++) {
        worker_set_changelog_generation(worker, i, slice_text("0123456789abcdef0123456789abcdef"));
    }
    scene_send("in", 0, "k", "a", INT64_MAX / 4);
    scene_settle();
    scene_committed("in", 0, metadata, sizeof(metadata));
    ck_assert_uint_gt(strlen(metadata), 4000); /* it is as long as it can be */
    ck_assert_uint_le(strlen(metadata), 4096);
    scene_close();
}
END_TEST

START_TEST(until_end_leaves_what_came_later_alone)
{
    struct position end = {"left", 0, 2, NULL};
    scene_prepare(build_merge, 1);
    scene.ends = &end;
    scene.end_count = 1;
    for (int i = 0; i < 4; i++) {
        scene_send("left", 0, "k", "l", i);
    }
    scene_send("right", 0, "k", "r", 3);
    scene_open_thread();
    scene_step();
    scene_step();
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "l l r ");
    ck_assert_int_eq(scene_committed("left", 0, NULL, 0), 2);
    ck_assert(stream_thread_reached(scene.thread, &end, 1));
    ck_assert_int_eq(worker_lag(scene_worker(0)), 0);
    scene_close();
}
END_TEST

/* ---- time ---- */

START_TEST(stream_time_and_its_timers_go_on_after_a_restart)
{
    scene_open(build_stream_time, 1);
    scene_send("in", 0, "k", "a", 250);
    settle_and_expect("a t250 ");
    ck_assert_int_eq(scene_close_thread(), 0);
    scene_open_thread();
    scene_step();
    ck_assert_int_eq(op_stream_time(scene_worker(0)), 250);
    scene_send("in", 0, "k", "b", 260); /* a new grid would fire with the first record */
    scene_send("in", 0, "k", "c", 300);
    settle_and_expect("a t250 b c t300 ");
    scene_close();
}
END_TEST

START_TEST(an_abort_takes_stream_time_back)
{
    struct err err;
    scene_open(build_stream_time, 1);
    scene_send("in", 0, "k", "a", 250);
    scene_settle();
    scene.settings.commit_min_ms = scene.settings.commit_ms = 1000000;
    scene_send("in", 0, "k", "b", 900);
    scene_step();
    ck_assert_int_eq(op_stream_time(scene_worker(0)), 900);
    err_set(&err, ERR_ABORT, ERR_IO, "test");
    ck_assert_int_eq(commit_abort(&scene.thread->commit, scene.thread->workers, 1, &err), COMMIT_REWOUND);
    ck_assert_int_eq(op_stream_time(scene_worker(0)), 250);
    scene.settings.commit_min_ms = 0;
    settle_and_expect("a t250 b t900 ");
    scene_close();
}
END_TEST

START_TEST(wall_clock_timers_bound_the_sleep_and_are_committed)
{
    scene_open(build_wall, 1);
    scene_step();
    ck_assert_int_eq(worker_idle_ms(scene_worker(0)), 1000);
    clock_advance(&scene.clock, 999);
    scene_step();
    ck_assert_int_eq(fired, 1);
    scene_settle();
    ck_assert_uint_gt(strlen(scene_values("out", 0)), 0);
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), 0); /* P3 */
    scene_close();
}
END_TEST

START_TEST(no_timer_fires_between_a_revocation_and_the_next_assignment)
{
    scene_open(build_wall, 1);
    scene_step();
    struct worker *worker = scene_worker(0);
    int times = 0;
    worker_suspend(worker);
    clock_advance(&scene.clock, 5000);
    ck_assert_int_eq(worker_idle_ms(worker), INT64_MAX);
    ck_assert_int_eq(worker_punctuate(worker, &times, &scene.err), 0);
    ck_assert_int_eq(times, 0);
    ck_assert_int_eq(worker_process(worker, 10, &times, &scene.err), 0);
    ck_assert_int_eq(times, 0);
    scene_close();
}
END_TEST

/* ---- looking ahead ---- */

static int look_ahead(struct node *node)
{
    op_look_ahead(node, op_store(node, "counts"));
    return 0;
}

/* Of what came to be asked for ahead, and of what was processed. */
static char asked[512], seen[512];

static void note_asked(struct store *store, const struct slice *keys, size_t count)
{
    ck_assert_str_eq(scene.stores.name(store), "counts");
    for (size_t i = 0; i < count; i++) {
        strncat(asked, (const char *)keys[i].data, keys[i].size);
    }
}

static int note_seen(struct node *node, int parent, struct item *item)
{
    (void)node;
    (void)parent;
    if (!item->source->key.data) {
        return 0;
    }
    strncat(seen, (const char *)item->source->key.data, item->source->key.size);
    ck_assert_ptr_nonnull(strstr(asked, seen));
    return 0;
}

static const struct op ahead_op = {.kind = "ahead", .open = look_ahead, .process = note_seen};

/* "left" goes through a node with a store, "right" does not. */
static struct graph *build_ahead(void)
{
    struct graph *graph = graph_new("app");
    struct err err;
    struct store_spec spec = {.name = "counts"};
    struct node *left = add(graph, &fake_source_op, NODE_SOURCE, "p:1", NULL);
    struct node *right = add(graph, &fake_source_op, NODE_SOURCE, "p:2", NULL);
    use(graph, left, "left", TOPIC_INPUT);
    use(graph, right, "right", TOPIC_INPUT);
    struct node *keeper = add(graph, &ahead_op, NODE_OPERATOR, "p:3", left);
    ck_assert_int_eq(graph_add_store(graph, keeper, &spec, &err), 0);
    struct node *ends[2] = {keeper, right};
    use(graph, graph_add(graph, &fake_sink_op, NODE_SINK, NULL, "p:4", ends, 2, &err), "out", TOPIC_OUTPUT);
    return graph;
}

START_TEST(rows_of_the_next_records_are_asked_for_once_and_ahead)
{
    asked[0] = seen[0] = '\0';
    scene_prepare(build_ahead, 1);
    scene.stores.prefetch = note_asked;
    scene_open_thread();
    for (int i = 0; i < 50; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%d.", i);
        scene_send("left", 0, key, "x", i);
        scene_send("right", 0, "r", "x", i);
    }
    struct record without_key = {.value = slice_text("x"), .timestamp = 50};
    ck_assert_int_eq(memory_transport_append(scene.transport, "left", 0, &without_key, &scene.err), 0);
    scene_settle();
    ck_assert_ptr_nonnull(strstr(seen, "48.49."));
    ck_assert_str_eq(asked, seen);
    scene_close();
}
END_TEST

/* ---- the age of state ---- */

static int64_t written_ms; /* time in the last meta row */
static int meta_rows;

static int note_meta(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    written_ms = meta->committed_ms;
    meta_rows++;
    return sqlite_store_driver.commit(set, meta, err);
}

/* Half of delete.retention.ms counts from there: a worker that merely has nothing to do must not look old. */
START_TEST(an_idle_worker_writes_its_meta_row_anew)
{
    bool fresh;
    scene_open(NULL, 1);
    scene_send("in", 0, "k", "x", 1);
    scene_settle();
    scene.stores.commit = note_meta;
    meta_rows = 0;
    for (int i = 1; i <= 3; i++) {
        clock_advance(&scene.clock, 500000);
        scene_step();
        clock_advance(&scene.clock, 500000);
        scene_step();
        ck_assert_int_ge(meta_rows, i);
        ck_assert_int_ge(written_ms, clock_wall_ms(&scene.clock) - 500001);
    }
    int rows = meta_rows;
    for (int i = 0; i < 50; i++) {
        scene_step();
    }
    ck_assert_int_le(meta_rows, rows + 1);
    ck_assert_int_eq(scene_close_thread(), 0);
    scene_open_thread();
    scene_settle();
    const struct store_meta *found = worker_found_meta(scene_worker(0), &fresh);
    ck_assert(!fresh);
    ck_assert_int_eq(found->committed_ms, written_ms);
    ck_assert_int_eq(store_meta_input(found, "in", 0)->offset, 1);
    scene_close();
}
END_TEST

/* Lets another member take partition 0 from the thread, which waits for partition 1 meanwhile and keeps the worker, and
 * commit the offset where it is with this number. */
static void commit_elsewhere(int64_t number)
{
    struct timers none = {0};
    struct bytes text = {0};
    struct session *other = scene_join("in");
    scene_step();
    ck_assert_int_eq(scene.original->poll(other, 0, &scene.err), 0);
    memory_transport_rebalance(scene.transport);
    scene_step();
    ck_assert_int_eq(scene.original->poll(other, 0, &scene.err), 0);
    timers_describe(&none, number, 1, &text);
    struct position position = {"in", 0, 1, bytes_text(&text)};
    ck_assert_msg(scene.original->commit(other, &position, 1, &scene.err) == 0, "%s", scene.err.text);
    scene.original->session_close(other);
    bytes_free(&text);
}

/* A timer's commit in another process moves the commit's number only; the state that was kept here lacks it. */
START_TEST(a_kept_worker_notices_a_commit_that_moved_no_offset)
{
    for (int more = 0; more < 2; more++) {
        char metadata[64];
        scene_open(NULL, 2);
        scene_send("in", 0, "k", "a", 1);
        scene_settle();
        ck_assert_int_eq(scene_committed("in", 0, metadata, sizeof(metadata)), 1);
        commit_elsewhere(timers_commit_number(metadata) + more);
        scene_settle();
        ck_assert_int_eq(worker_records(scene_worker(0)), 1 - more); /* as it was, or opened anew */
        scene_close();
    }
}
END_TEST

UNIT_MAIN("worker", an_idle_worker_writes_its_meta_row_anew, rows_of_the_next_records_are_asked_for_once_and_ahead,
          lowest_timestamp_first_and_the_topology_decides_between_equals,
          a_record_waits_for_known_records_that_are_not_here_yet, that_holds_for_every_record_of_a_round,
          max_idle_waits_for_records_that_nobody_knows_of, an_end_that_is_not_known_yet_is_waited_for_asleep,
          all_sources_of_a_topic_see_each_record, slow_callbacks_end_a_round_early,
          without_committed_offsets_an_abort_goes_back_to_the_first_record,
          p3_inputs_without_a_record_have_a_position_too, p8_control_records_are_committed_once_everything_is_drained,
          what_is_only_buffered_is_not_committed, metadata_stays_within_what_kafka_keeps,
          until_end_leaves_what_came_later_alone, stream_time_and_its_timers_go_on_after_a_restart,
          an_abort_takes_stream_time_back, wall_clock_timers_bound_the_sleep_and_are_committed,
          no_timer_fires_between_a_revocation_and_the_next_assignment,
          a_kept_worker_notices_a_commit_that_moved_no_offset)
