/* Global tables of a stream thread: loading, following, what the local files save, and what makes them useless. */
#include "engine/globals.h"

#include "tests/unit/engine/scene.h"

static int applied;

/* The table: topic "rows" into the store "rows". */
static int keep_row(struct node *node, int parent, struct item *item)
{
    (void)parent;
    applied++;
    return op_store_driver(node->worker)
        ->put(op_store(node, "rows"), item->key.bytes, item->value.bytes, item->timestamp, op_error(node->worker));
}

/* A record of "in" goes out with the row of its key, or "-". */
static int look_up(struct node *node, int parent, struct item *item)
{
    struct store_entry entry;
    bool found;
    if (op_store_driver(node->worker)
            ->get(op_store(node, "rows"), item->key.bytes, &found, &entry, op_error(node->worker))) {
        return -1;
    }
    item->value.bytes = found ? arena_copy(op_arena(node->worker), entry.value) : slice_text("-");
    return fake_sink(node, parent, item);
}

static const struct op table_op = {.kind = "global_table", .process = keep_row};
static const struct op look_op = {.kind = "look", .process = look_up};

static struct graph *build(void)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct store_spec spec = {.name = "rows", .kind = STORE_KEY_VALUE};
    struct node *table = graph_add(graph, &table_op, NODE_SOURCE, NULL, "p:1", NULL, 0, &err);
    ck_assert_int_eq(graph_add_topic(graph, table, "rows", TOPIC_GLOBAL, false, 3, NULL, &err), 0);
    ck_assert_int_eq(graph_add_store(graph, table, &spec, &err), 0);
    struct node *source = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "p:2", NULL, 0, &err);
    ck_assert_int_eq(graph_add_topic(graph, source, "in", TOPIC_INPUT, false, 0, NULL, &err), 0);
    struct node *look = graph_add(graph, &look_op, NODE_SINK, NULL, "p:3", &source, 1, &err);
    ck_assert_int_eq(graph_add_topic(graph, look, "out", TOPIC_OUTPUT, false, 0, NULL, &err), 0);
    ck_assert_int_eq(graph_use_store(graph, look, "rows", &err), 0);
    return graph;
}

static void prepare(void)
{
    scene_prepare(build, 1);
    applied = 0;
}

static void send_rows(int count)
{
    char key[16];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        scene_send("rows", i % 3, key, key, 1);
    }
}

static void reopen(void)
{
    ck_assert_int_eq(scene_close_thread(), 0);
    applied = 0;
    scene_open_thread();
    scene_settle();
}

START_TEST(all_partitions_are_loaded_before_anything_is_processed)
{
    prepare();
    send_rows(3000);
    scene_send("in", 0, "k2999", "", 5);
    scene_open_thread();
    bool worked;
    ck_assert_int_eq(stream_thread_step(scene.thread, 0, &worked, &scene.err), 0);
    ck_assert(worked);
    ck_assert(!stream_thread_joined(scene.thread));
    scene_settle();
    ck_assert_int_eq(applied, 3000);
    ck_assert_str_eq(scene_values("out", 0), "k2999 ");
    scene_close();
}
END_TEST

START_TEST(news_are_followed_and_deletions_too)
{
    prepare();
    scene_open_thread();
    scene_settle();
    scene_send("rows", 1, "a", "new", 1);
    scene_send("in", 0, "a", "", 5);
    scene_settle();
    struct record gone = {.key = slice_text("a"), .timestamp = 2};
    ck_assert_int_eq(memory_transport_append(scene.transport, "rows", 1, &gone, &scene.err), 0);
    scene_send("in", 0, "a", "", 6);
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "new - ");
    scene_close();
}
END_TEST

START_TEST(a_restart_goes_on_from_the_local_files)
{
    prepare();
    send_rows(300);
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(applied, 300);
    scene_send("rows", 0, "k0", "later", 1);
    reopen();
    ck_assert_int_eq(applied, 1);
    scene_send("in", 0, "k0", "", 5);
    scene_send("in", 0, "k299", "", 6);
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "later k299 ");
    reopen();
    ck_assert_int_eq(applied, 0);
    scene_close();
}
END_TEST

START_TEST(without_files_everything_is_loaded_again)
{
    prepare();
    scene.no_directory = true;
    send_rows(30);
    scene_open_thread();
    scene_settle();
    reopen();
    ck_assert_int_eq(applied, 30);
    scene_close();
}
END_TEST

/* What the topic no longer holds may have been deleted in the part that is missing. */
START_TEST(a_topic_that_begins_later_than_the_files_stand_is_loaded_again)
{
    prepare();
    send_rows(30);
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(scene_close_thread(), 0);
    send_rows(30);
    ck_assert_int_eq(scene.original->delete_records(scene.transport, "rows", 1, 12, &scene.err), 0);
    applied = 0;
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(applied, 60 - 12);
    scene_send("in", 0, "k1", "", 5); /* both rows of it were in the part that is gone */
    scene_send("in", 0, "k28", "", 6);
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "- k28 ");
    scene_close();
}
END_TEST

static const char *seen_id;

static int describe_with_id(struct transport *transport, const char *topic, struct topic_info *info, struct err *err)
{
    int result = scene.original->describe_topic(transport, topic, info, err);
    snprintf(info->id, sizeof(info->id), "%s", seen_id);
    return result;
}

START_TEST(a_topic_with_another_id_is_loaded_again)
{
    prepare();
    send_rows(30);
    scene_open_thread();
    scene_settle();
    scene.class.describe_topic = describe_with_id;
    seen_id = "another";
    reopen();
    ck_assert_int_eq(applied, 30);
    reopen();
    ck_assert_int_eq(applied, 0);
    scene_close();
}
END_TEST

START_TEST(an_id_that_is_not_known_is_no_other_and_is_kept)
{
    prepare();
    send_rows(30);
    scene.class.describe_topic = describe_with_id;
    seen_id = "";
    scene_open_thread();
    scene_settle();
    seen_id = "first";
    send_rows(30);
    reopen();
    ck_assert_int_eq(applied, 30);
    seen_id = "";
    send_rows(30);
    reopen();
    ck_assert_int_eq(applied, 30);
    seen_id = "second";
    reopen();
    ck_assert_int_eq(applied, 90);
    scene_close();
}
END_TEST

static int failures;

static int read_failing(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                        struct err *err)
{
    if (failures > 0) {
        failures--;
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "The broker is away.");
    }
    return scene.original->read(reader, timeout_ms, records, max, count, err);
}

/* The clock is moved beyond the rests. */
START_TEST(brokers_that_are_away_are_tried_again)
{
    prepare();
    scene.class.read = read_failing;
    send_rows(30);
    failures = 3;
    scene_open_thread();
    for (int i = 0; i < 100 && !stream_thread_joined(scene.thread); i++) {
        clock_advance(&scene.clock, 1000);
        scene_step();
    }
    scene_settle();
    ck_assert_int_eq(applied, 30);
    failures = 1;
    scene_send("rows", 0, "k0", "later", 1);
    for (int i = 0; i < 10; i++) {
        clock_advance(&scene.clock, 1000);
        scene_step();
    }
    scene_send("in", 0, "k0", "", 5);
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "later ");
    scene_close();
}
END_TEST

static int full_disk(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    if (failures > 0) {
        failures--;
        return err_set(err, ERR_RETRY, ERR_DISK_FULL, "The disk is full.");
    }
    return sqlite_store_driver.commit(set, meta, err);
}

START_TEST(a_full_disk_is_waited_for)
{
    prepare();
    scene.stores.commit = full_disk;
    scene_open_thread();
    scene_settle();
    failures = 2;
    send_rows(30);
    for (int i = 0; i < 10; i++) {
        clock_advance(&scene.clock, 11000);
        scene_step();
    }
    ck_assert_int_eq(failures, 0);
    ck_assert_int_eq(applied, 30);
    reopen();
    ck_assert_int_eq(applied, 0);
    scene_send("in", 0, "k29", "", 5);
    scene_settle();
    ck_assert_str_eq(scene_values("out", 0), "k29 ");
    scene_close();
}
END_TEST

START_TEST(a_record_that_fails_ends_the_thread)
{
    prepare();
    scene_send("rows", 0, "a", "!", 1);
    scene_open_thread();
    bool worked;
    ck_assert_int_eq(stream_thread_step(scene.thread, 0, &worked, &scene.err), -1);
    ck_assert_msg(strstr(scene.err.text, "filling a global table") != NULL, "%s", scene.err.text);
    scene_close();
}
END_TEST

UNIT_MAIN("globals", all_partitions_are_loaded_before_anything_is_processed, news_are_followed_and_deletions_too,
          a_restart_goes_on_from_the_local_files, without_files_everything_is_loaded_again,
          a_topic_that_begins_later_than_the_files_stand_is_loaded_again, a_topic_with_another_id_is_loaded_again,
          an_id_that_is_not_known_is_no_other_and_is_kept, brokers_that_are_away_are_tried_again,
          a_full_disk_is_waited_for, a_record_that_fails_ends_the_thread)
