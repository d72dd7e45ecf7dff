/* Inputs that were deleted and made again, through a stream thread on the scripted transport. */
#include "engine/worker.h"

#include "tests/unit/engine/scene.h"

/* ---- topologies ---- */

/* Topics "a" and "b" into "out", without state. */
static struct graph *build_merge(void)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *sides[2];
    for (int i = 0; i < 2; i++) {
        sides[i] = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, i == 0 ? "p:1" : "p:2", NULL, 0, &err);
        ck_assert_int_eq(graph_add_topic(graph, sides[i], i == 0 ? "a" : "b", TOPIC_INPUT, false, 0, NULL, &err), 0);
    }
    struct node *sink = graph_add(graph, &fake_sink_op, NODE_SINK, NULL, "p:3", sides, 2, &err);
    ck_assert_int_eq(graph_add_topic(graph, sink, "out", TOPIC_OUTPUT, false, 0, NULL, &err), 0);
    return graph;
}

#define MANY 70

static struct graph *build_many(void)
{
    static char texts[MANY][2][16];
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *sources[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i][0], sizeof(texts[i][0]), "p:%d", i);
        snprintf(texts[i][1], sizeof(texts[i][1]), "in%d", i);
        sources[i] = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, texts[i][0], NULL, 0, &err);
        ck_assert_int_eq(graph_add_topic(graph, sources[i], texts[i][1], TOPIC_INPUT, false, 0, NULL, &err), 0);
    }
    struct node *sink = graph_add(graph, &fake_sink_op, NODE_SINK, NULL, "p:last", sources, MANY, &err);
    ck_assert_int_eq(graph_add_topic(graph, sink, "out", TOPIC_OUTPUT, false, 0, NULL, &err), 0);
    return graph;
}

/* ---- helpers ---- */

static const char *seen_id; /* in place of the topics' own */

static int assigned_with_seen_id(void *self, const struct assigned *list, size_t count, struct err *err)
{
    struct assigned copies[8];
    ck_assert_uint_le(count, sizeof(copies) / sizeof(copies[0]));
    for (size_t i = 0; i < count; i++) {
        copies[i] = list[i];
        copies[i].topic_id = seen_id;
    }
    return stream_thread_on_assigned(self, copies, count, err);
}

static int open_with_seen_id(struct transport *transport, const struct session_config *config, struct session **session,
                             struct err *err)
{
    struct session_config changed = *config;
    changed.assigned = assigned_with_seen_id;
    return scene.original->session_open(transport, &changed, session, err);
}

static void send(const char *topic, int count)
{
    for (int i = 0; i < count; i++) {
        scene_send(topic, 0, "k", topic, i);
    }
}

/* The thread runs until it has committed everything, and ends. */
static void run(void)
{
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(scene_close_thread(), 0);
}

static void recreate(const char *topic)
{
    struct topic_spec spec = {.name = topic, .partitions = 1};
    ck_assert_int_eq(scene.original->delete_topic(scene.transport, topic, &scene.err), 0);
    ck_assert_int_eq(scene.original->create_topic(scene.transport, &spec, &scene.err), 0);
}

static void set_position(const char *topic, int64_t offset, const char *metadata)
{
    struct position position = {topic, 0, offset, metadata};
    ck_assert_int_eq(scene.original->set_group_positions(scene.transport, "app", &position, 1, &scene.err), 0);
}

/* The group still has the old topic's position: its coordinator was away when the topic was deleted, say. */
static void recreate_and_keep_position(const char *topic)
{
    char metadata[256];
    int64_t offset = scene_committed(topic, 0, metadata, sizeof(metadata));
    recreate(topic);
    set_position(topic, offset, metadata);
}

static const char *metadata_of(const char *topic)
{
    static char metadata[8192];
    scene_committed(topic, 0, metadata, sizeof(metadata));
    return metadata;
}

static int count_values(const char *text)
{
    int count = 0;
    for (; *text; text++) {
        count += *text == ' ';
    }
    return count;
}

static void step_until_refused(const char *topic)
{
    bool worked;
    char start[64];
    for (int i = 0; i < 100 && stream_thread_step(scene.thread, 0, &worked, &scene.err) == 0; i++) {
        clock_advance(&scene.clock, 1);
    }
    ck_assert_int_eq(scene.err.class, ERR_FATAL);
    ck_assert_int_eq(scene.err.code, ERR_TOPIC);
    snprintf(start, sizeof(start), "The topic %s was deleted and made again", topic);
    build_assert_contains(scene.err.text, start);
    build_assert_contains(scene.err.text, "tidemill reset --app app --to-earliest --execute");
}

static void expect_refusal(const char *topic)
{
    scene_open_thread();
    step_until_refused(topic);
    scene_close_thread();
    err_clear(&scene.err);
}

/* ---- tests ---- */

START_TEST(an_input_made_again_under_its_position_is_refused)
{
    scene_prepare(build_merge, 1);
    send("a", 3);
    send("b", 3);
    run();
    recreate_and_keep_position("b");
    send("b", 5);
    expect_refusal("b");
    ck_assert_int_eq(count_values(scene_values("out", 0)), 6);
    set_position("b", 0, NULL); /* as reset does */
    run();
    ck_assert_int_eq(count_values(scene_values("out", 0)), 11);
    run();
    ck_assert_int_eq(count_values(scene_values("out", 0)), 11);
    scene_close();
}
END_TEST

/* A topic whose position went with it has none that could be wrong: it is new. */
START_TEST(an_input_made_again_without_a_position_is_read_from_its_start)
{
    scene_prepare(build_merge, 1);
    send("a", 3);
    send("b", 3);
    run();
    recreate("b");
    send("b", 5);
    run();
    ck_assert_int_eq(count_values(scene_values("out", 0)), 11);
    run(); /* the metadata has the new id in both positions */
    ck_assert_int_eq(count_values(scene_values("out", 0)), 11);
    scene_close();
}
END_TEST

START_TEST(the_refusal_of_expired_positions_says_why_they_went)
{
    scene_prepare(NULL, 1);
    send("in", 3);
    run();
    recreate("in");
    send("in", 3);
    expect_refusal("in");
    recreate_and_keep_position("in"); /* there is none: nothing changes */
    expect_refusal("in");
    scene_close();
}
END_TEST

START_TEST(positions_without_ids_are_accepted_and_get_them)
{
    char metadata[256];
    scene_prepare(build_merge, 1);
    scene.class.session_open = open_with_seen_id;
    seen_id = NULL;
    send("a", 3);
    send("b", 3);
    run();
    ck_assert_ptr_null(strstr(metadata_of("a"), "|@"));
    recreate_and_keep_position("a"); /* nobody can know */
    scene.class.session_open = scene.original->session_open;
    send("a", 4);
    run();
    ck_assert_int_eq(count_values(scene_values("out", 0)), 7);
    ck_assert_ptr_nonnull(strstr(metadata_of("a"), "|@"));
    strcpy(metadata, metadata_of("b"));
    ck_assert_str_eq(metadata_of("a"), metadata);
    recreate_and_keep_position("a");
    scene.class.session_open = open_with_seen_id; /* an older library: not known is no other */
    send("a", 5);
    run();
    ck_assert_int_eq(count_values(scene_values("out", 0)), 8);
    scene.class.session_open = scene.original->session_open; /* and the id has not been lost meanwhile */
    expect_refusal("a");
    scene_close();
}
END_TEST

START_TEST(a_topic_that_is_swapped_under_the_app_is_refused_with_the_next_assignment)
{
    scene_prepare(NULL, 1);
    scene.class.session_open = open_with_seen_id;
    seen_id = "first";
    send("in", 3);
    scene_open_thread();
    scene_settle();
    seen_id = "second";
    scene_lend("in");
    step_until_refused("in");
    scene_close();
}
END_TEST

START_TEST(state_of_another_topic_is_not_resumed)
{
    scene_prepare(NULL, 1);
    send("in", 3);
    run();
    scene_open_thread();
    scene_settle();
    struct worker *worker = scene_worker(0);
    ck_assert_ptr_null(worker_recreated_input(worker));
    ck_assert(worker_resumable(worker));
    worker_topic_id_note(&worker->inputs[0], "another", NULL);
    ck_assert_str_eq(worker_recreated_input(worker), "in");
    ck_assert(!worker_resumable(worker));
    worker_topic_id_note(&worker->inputs[0], NULL, NULL);
    ck_assert_ptr_null(worker_recreated_input(worker));
    scene_close();
}
END_TEST

START_TEST(of_many_inputs_the_first_ones_have_their_ids_kept)
{
    scene_prepare(build_many, 1);
    send("in0", 1);
    run();
    const char *metadata = metadata_of("in0");
    int ids = 0;
    for (const char *at = metadata; (at = strstr(at, "|@")) != NULL; at++) {
        ids++;
    }
    ck_assert_int_eq(ids, 50);
    scene_close();
}
END_TEST

UNIT_MAIN("worker_topic_id", an_input_made_again_under_its_position_is_refused,
          an_input_made_again_without_a_position_is_read_from_its_start,
          the_refusal_of_expired_positions_says_why_they_went, positions_without_ids_are_accepted_and_get_them,
          a_topic_that_is_swapped_under_the_app_is_refused_with_the_next_assignment,
          state_of_another_topic_is_not_resumed, of_many_inputs_the_first_ones_have_their_ids_kept)
