/* Restoring on the restorer's own thread, through a stream thread on the scripted transport. */
#include "engine/restore.h"

#include "engine/generation.h"
#include "tests/unit/engine/scene.h"

#define CHANGELOG "app-counts-changelog"

/* ---- helpers ---- */

static int reads_allowed; /* of the reader; -1: any number */
static int reads;
static int open_readers;
static size_t largest_read;

static int limited_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                        struct err *err)
{
    *count = 0;
    if (__atomic_load_n(&reads_allowed, __ATOMIC_ACQUIRE) == 0) {
        clock_sleep_ms(1);
        return 0;
    }
    size_t take = largest_read > 0 && largest_read < max ? largest_read : max;
    int result = scene.original->read(reader, timeout_ms, records, take, count, err);
    if (*count > 0) {
        __atomic_fetch_add(&reads, 1, __ATOMIC_ACQ_REL);
        if (__atomic_load_n(&reads_allowed, __ATOMIC_ACQUIRE) > 0) {
            __atomic_fetch_sub(&reads_allowed, 1, __ATOMIC_ACQ_REL);
        }
    }
    return result;
}

static int counted_open(struct transport *transport, const struct reader_config *config, struct reader **reader,
                        struct err *err)
{
    __atomic_fetch_add(&open_readers, 1, __ATOMIC_ACQ_REL);
    return scene.original->reader_open(transport, config, reader, err);
}

static void allow_reads(int count)
{
    __atomic_store_n(&reads_allowed, count, __ATOMIC_RELEASE);
}

static void prepare(int32_t partitions)
{
    reads_allowed = -1;
    reads = 0;
    open_readers = 0;
    largest_read = 0;
    scene_prepare(NULL, partitions);
    scene.restoring_thread = true;
    scene.clock = CLOCK_SYSTEM;
    scene.class.read = limited_read;
    scene.class.reader_open = counted_open;
    ck_assert_int_eq(generation_mark(scene.plan, scene.transport, &scene.clock, &scene.err), 0);
}

/* `keys` different keys in each partition, each counted once. */
static void send_keys(int32_t partitions, int keys)
{
    for (int32_t p = 0; p < partitions; p++) {
        for (int i = 0; i < keys; i++) {
            char key[16];
            snprintf(key, sizeof(key), "key%d", i);
            scene_send("in", p, key, "x", i);
        }
    }
}

static void fill(int32_t partitions, int keys)
{
    scene_open_thread();
    send_keys(partitions, keys);
    scene_settle();
    ck_assert_int_eq(scene_close_thread(), 0);
}

static const char *count_in_store(int32_t partition, const char *key)
{
    static char text[32];
    struct store *store = scene.stores.find(worker_stores(scene_worker(partition)), "counts");
    struct store_entry entry;
    bool found;
    ck_assert_int_eq(scene.stores.get(store, slice_text(key), &found, &entry, &scene.err), 0);
    snprintf(text, sizeof(text), "%s", found ? (const char *)entry.value.data : "-");
    return text;
}

static void step_until_restoring(void)
{
    while (!stream_thread_joined(scene.thread)) {
        scene_step();
    }
    ck_assert_int_eq(worker_state(scene_worker(0)), WORKER_RESTORING);
}

/* Steps until the thread gives up; returns its message. */
static const char *step_until_failure(void)
{
    bool worked;
    while (stream_thread_step(scene.thread, 1, &worked, &scene.err) == 0) {
        ck_assert(!stream_thread_idle(scene.thread));
        clock_sleep_ms(1);
    }
    return scene.err.text;
}

/* ---- the usual ---- */

START_TEST(p7_state_without_files_is_replayed_from_the_changelog)
{
    prepare(4);
    fill(4, 3000);
    scene_delete_state();
    scene_open_thread();
    scene_settle();
    for (int32_t p = 0; p < 4; p++) {
        ck_assert_str_eq(count_in_store(p, "key0"), "1");
        ck_assert_str_eq(count_in_store(p, "key2999"), "1");
        struct metric_set *metrics = worker_metrics(scene_worker(p));
        ck_assert_int_eq(metric_get(metrics, METRIC_RESTORES), 1);
        ck_assert_int_eq(metric_get(metrics, METRIC_RESTORED_RECORDS), 3001); /* the marker is one */
        ck_assert_int_eq(metric_get(metrics, METRIC_RESTORE_REMAINING), 0);
        ck_assert_str_eq(count_in_store(p, RESTORE_MARKER_KEY), "-");
    }
    send_keys(4, 1);
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key0"), "2");
    scene_close();
}
END_TEST

START_TEST(equal_offsets_need_no_reader)
{
    prepare(4);
    fill(4, 10);
    open_readers = 0;
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(open_readers, 0);
    ck_assert_int_eq(metric_get(worker_metrics(scene_worker(0)), METRIC_RESTORES), 0);
    ck_assert_str_eq(count_in_store(3, "key9"), "1");
    scene_close();
}
END_TEST

START_TEST(empty_changelogs_are_done_at_once)
{
    prepare(2);
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(metric_get(worker_metrics(scene_worker(0)), METRIC_RESTORED_RECORDS), 1);
    ck_assert_int_eq(scene_close_thread(), 0);
    scene_delete_state();
    scene_open_thread();
    scene_settle();
    scene_close();
}
END_TEST

static struct graph *build_without_changelog(void)
{
    struct err err;
    struct graph *graph = graph_new("app");
    struct node *source = graph_add(graph, &fake_source_op, NODE_SOURCE, NULL, "p:1", NULL, 0, &err);
    struct node *count = graph_add(graph, &fake_count_op, NODE_OPERATOR, NULL, "p:2", &source, 1, &err);
    struct node *sink = graph_add(graph, &fake_sink_op, NODE_SINK, NULL, "p:3", &count, 1, &err);
    struct store_spec spec = {.name = "counts", .changelog = false};
    graph_add_topic(graph, source, "in", TOPIC_INPUT, false, 0, NULL, &err);
    graph_add_topic(graph, sink, "out", TOPIC_OUTPUT, false, 0, NULL, &err);
    ck_assert_int_eq(graph_add_store(graph, count, &spec, &err), 0);
    return graph;
}

START_TEST(a_store_without_changelog_lives_in_its_files_only)
{
    scene_open(build_without_changelog, 1);
    send_keys(1, 3);
    scene_settle();
    scene_close_thread();
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key2"), "1");
    scene_close_thread();
    scene_delete_state();
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key2"), "-");
    scene_close();
}
END_TEST

/* ---- p10: meanwhile ---- */

START_TEST(p10_others_go_on_while_a_worker_is_restored)
{
    prepare(2);
    fill(2, 1000);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s/counts_0", scene.directory);
    ck_assert_int_eq(system(command), 0);
    allow_reads(0);
    scene_open_thread();
    step_until_restoring();
    ck_assert_int_eq(worker_state(scene_worker(1)), WORKER_RUNNING);
    ck_assert(scene_worker(0)->inputs[0].paused);
    send_keys(2, 5);
    for (int i = 0; i < 50; i++) {
        scene_step();
    }
    ck_assert_int_eq(worker_records(scene_worker(1)), 5);
    ck_assert_int_eq(worker_records(scene_worker(0)), 0);
    ck_assert(!stream_thread_idle(scene.thread));
    ck_assert_int_gt(metric_get(worker_metrics(scene_worker(0)), METRIC_RESTORE_REMAINING), 0);
    /* An abort of the others does not concern it. */
    struct err err;
    err_set(&err, ERR_ABORT, ERR_IO, "test");
    ck_assert_int_eq(commit_abort(&scene.thread->commit, scene.thread->workers, 2, &err), COMMIT_REWOUND);
    ck_assert_int_eq(worker_state(scene_worker(0)), WORKER_RESTORING);
    allow_reads(-1);
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key4"), "2");
    ck_assert_str_eq(count_in_store(0, "key5"), "1");
    ck_assert_str_eq(count_in_store(1, "key4"), "2");
    scene_close();
}
END_TEST

START_TEST(a_revocation_cancels_and_what_was_reached_is_kept)
{
    prepare(1);
    fill(1, 3000);
    scene_delete_state();
    largest_read = 100;
    allow_reads(10);
    scene_open_thread();
    step_until_restoring();
    while (__atomic_load_n(&reads, __ATOMIC_ACQUIRE) < 10) {
        clock_sleep_ms(1);
    }
    scene_take_away("in");
    allow_reads(-1);
    scene_settle();
    ck_assert_int_eq(metric_get(worker_metrics(scene_worker(0)), METRIC_RESTORED_RECORDS), 3001 - 1000);
    ck_assert_str_eq(count_in_store(0, "key0"), "1");
    ck_assert_str_eq(count_in_store(0, "key2999"), "1");
    scene_close();
}
END_TEST

START_TEST(a_stop_in_the_middle_is_resumed_where_it_was)
{
    prepare(2);
    fill(2, 2000);
    scene_delete_state();
    largest_read = 100;
    for (int round = 0; round < 5; round++) {
        allow_reads(0); /* else a worker might be restored before it is looked at */
        scene_open_thread();
        step_until_restoring();
        allow_reads(5);
        while (__atomic_load_n(&reads_allowed, __ATOMIC_ACQUIRE) > 0) {
            clock_sleep_ms(1);
        }
        scene_close_thread();
    }
    allow_reads(-1);
    int before = reads;
    scene_open_thread();
    scene_settle();
    ck_assert_int_lt(reads - before, 40);
    for (int32_t p = 0; p < 2; p++) {
        ck_assert_str_eq(count_in_store(p, "key0"), "1");
        ck_assert_str_eq(count_in_store(p, "key1999"), "1");
    }
    scene_close();
}
END_TEST

static int failing_reads;

static int unreachable_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                            struct err *err)
{
    if (__atomic_load_n(&failing_reads, __ATOMIC_ACQUIRE) > 0) {
        __atomic_fetch_sub(&failing_reads, 1, __ATOMIC_ACQ_REL);
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Nobody answers.");
    }
    return scene.original->read(reader, timeout_ms, records, max, count, err);
}

START_TEST(brokers_that_are_away_are_waited_for)
{
    prepare(1);
    fill(1, 1000);
    scene_delete_state();
    failing_reads = 3;
    scene.class.read = unreachable_read;
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(failing_reads, 0);
    ck_assert_str_eq(count_in_store(0, "key999"), "1");
    scene_close();
}
END_TEST

static int failing_commits;

static int full_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    if (__atomic_load_n(&failing_commits, __ATOMIC_ACQUIRE) > 0) {
        __atomic_fetch_sub(&failing_commits, 1, __ATOMIC_ACQ_REL);
        return err_set(err, ERR_RETRY, ERR_DISK_FULL, "No room.");
    }
    return sqlite_store_driver.commit(set, meta, err);
}

START_TEST(a_disk_that_is_full_while_restoring_is_tried_again)
{
    prepare(1);
    fill(1, 1000);
    scene_delete_state();
    failing_commits = 2;
    scene.stores.commit = full_commit;
    scene_open_thread();
    scene_settle();
    ck_assert_int_eq(failing_commits, 0);
    ck_assert_str_eq(count_in_store(0, "key999"), "1");
    scene_close();
}
END_TEST

static size_t largest_unsaved, unsaved;

static int count_restored(struct store *store, const struct store_entry *entries, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        unsaved += entries[i].value.size;
    }
    largest_unsaved = unsaved > largest_unsaved ? unsaved : largest_unsaved;
    return sqlite_store_driver.restore(store, entries, count, err);
}

static int forget_unsaved(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    unsaved = 0;
    return sqlite_store_driver.commit(set, meta, err);
}

START_TEST(large_values_are_saved_before_they_fill_the_memory)
{
    static char value[100000];
    prepare(1);
    scene_open_thread();
    scene_send("in", 0, "key0", "x", 1);
    scene_settle();
    scene_close_thread();
    scene_delete_state();
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 600; i++) {
        char key[16];
        snprintf(key, sizeof(key), "large%d", i);
        scene_send(CHANGELOG, 0, key, value, i);
    }
    scene.stores.restore = count_restored;
    scene.stores.commit = forget_unsaved;
    largest_read = 10;
    largest_unsaved = unsaved = 0;
    scene_open_thread();
    scene_settle();
    ck_assert_uint_gt(largest_unsaved, 2000000);
    ck_assert_uint_lt(largest_unsaved, 8000000);
    scene_close();
}
END_TEST

/* ---- generations ---- */

static void recreate_changelog(void)
{
    struct topic_spec spec = {.name = CHANGELOG, .partitions = 1, .compacted = true};
    ck_assert_int_eq(scene.original->delete_topic(scene.transport, CHANGELOG, &scene.err), 0);
    ck_assert_int_eq(scene.original->create_topic(scene.transport, &spec, &scene.err), 0);
    ck_assert_int_eq(generation_mark(scene.plan, scene.transport, &scene.clock, &scene.err), 0);
}

/* A kill after the transaction's commit: the store stays behind. */
static void fall_behind_by(int keys)
{
    scene_open_thread();
    scene_settle();
    failing_commits = 1;
    scene.stores.commit = full_commit;
    send_keys(1, keys);
    while (failing_commits > 0) {
        scene_step();
    }
    scene.thread->failed = true;
    scene_close_thread();
    scene.stores.commit = sqlite_store_driver.commit;
}

/* ---- a group that has forgotten commits ---- */

#define ASKED_AGAIN 6 /* readers: each time one for the changelog's start and one behind the state */

static struct position remembered;
static char remembered_metadata[256];

static void remember(void)
{
    int64_t offset = scene_committed("in", 0, remembered_metadata, sizeof(remembered_metadata));
    remembered = (struct position){"in", 0, offset, remembered_metadata};
}

static void forget_what_came_after(void)
{
    ck_assert_int_eq(scene.original->set_group_positions(scene.transport, "app", &remembered, 1, &scene.err), 0);
}

START_TEST(commits_that_the_group_has_forgotten_are_not_done_again)
{
    prepare(1);
    fill(1, 10);
    remember();
    fill(1, 10);
    forget_what_came_after();
    bytes_clear(&scene.text);
    size_t before = strlen(scene_values("out", 0));
    scene_open_thread();
    scene_settle();
    ck_assert_uint_eq(strlen(scene_values("out", 0)), before);
    ck_assert_str_eq(count_in_store(0, "key0"), "2");
    send_keys(1, 1);
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key0"), "3");
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), 21);
    ck_assert_int_eq(scene_close_thread(), 0);
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key0"), "3");
    scene_close();
}
END_TEST

/* Another process has had the partition in between: only the group can say how far its commits go. */
START_TEST(commits_of_others_that_the_group_has_forgotten_are_waited_for)
{
    bool worked;
    prepare(1);
    fill(1, 10);
    remember();
    fill(1, 10);
    char now[256];
    int64_t offset = scene_committed("in", 0, now, sizeof(now));
    forget_what_came_after();
    scene_send(CHANGELOG, 0, "key0", "7", 99);
    scene_send("in", 0, "key0", "x", 99);
    int opened = open_readers;
    scene_open_thread();
    while (__atomic_load_n(&open_readers, __ATOMIC_ACQUIRE) < opened + ASKED_AGAIN) {
        ck_assert_int_eq(stream_thread_step(scene.thread, 1, &worked, &scene.err), 0);
        ck_assert_int_eq(scene_committed("in", 0, NULL, 0), remembered.offset);
        clock_sleep_ms(1);
    }
    ck_assert_int_eq(scene_committed("in", 0, NULL, 0), remembered.offset);
    ck_assert_int_eq(scene_close_thread(), 0);
    remembered = (struct position){"in", 0, offset + 1, now};
    forget_what_came_after(); /* which is what the other one committed */
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key0"), "7");
    scene_close();
}
END_TEST

/* ---- a group that has lost its offsets ---- */

static void lose_offsets(void)
{
    struct position none = {"in", 0, OFFSET_NONE, NULL};
    ck_assert_int_eq(scene.original->set_group_positions(scene.transport, "app", &none, 1, &scene.err), 0);
}

/* Progress is kept, and the rest is not restored. */
static void restore_in_part(void)
{
    largest_read = 100;
    allow_reads(3);
    scene_open_thread();
    step_until_restoring();
    while (__atomic_load_n(&reads_allowed, __ATOMIC_ACQUIRE) > 0) {
        clock_sleep_ms(1);
    }
    scene_close_thread();
    allow_reads(-1);
}

static void assert_part_refused(void)
{
    scene_open_thread();
    ck_assert_ptr_nonnull(strstr(step_until_failure(), "The state of worker 0_0 is restored in part only"));
    scene_close_thread();
}

START_TEST(a_store_restored_in_part_is_refused_without_offsets)
{
    prepare(1);
    scene.settings.guarantee = GUARANTEE_AT_LEAST_ONCE;
    fill(1, 1000);
    scene_delete_state();
    restore_in_part();
    lose_offsets();
    assert_part_refused();
    scene_close();
}
END_TEST

START_TEST(a_store_restored_in_part_is_refused_when_the_group_has_forgotten_commits)
{
    prepare(1);
    fill(1, 10);
    remember();
    fall_behind_by(1000);
    restore_in_part();
    forget_what_came_after();
    assert_part_refused();
    scene_close();
}
END_TEST

static void assert_lost(const char *text)
{
    ck_assert_ptr_nonnull(strstr(text, "The group app has no committed offset for the inputs of worker 0_0 any more, "
                                       "but its changelog " CHANGELOG " has state."));
    ck_assert_ptr_nonnull(strstr(text, "tidemill reset --app app"));
}

START_TEST(lost_offsets_are_refused_without_local_state)
{
    prepare(1);
    fill(1, 10);
    lose_offsets();
    scene_delete_state();
    for (int i = 0; i < 2; i++) { /* the first attempt leaves nothing that the second takes for state */
        scene_open_thread();
        assert_lost(step_until_failure());
        scene_close_thread();
    }
    scene_close();
}
END_TEST

START_TEST(lost_offsets_are_refused_where_the_state_is_older_than_the_first_record)
{
    prepare(1);
    fill(1, 0);
    scene_send(CHANGELOG, 0, "key0", "7", 99);
    scene_open_thread();
    assert_lost(step_until_failure());
    scene_close();
}
END_TEST

/* Outputs come before offsets there: a first run that was killed has left records. */
START_TEST(with_at_least_once_a_changelog_without_offsets_is_restored)
{
    prepare(1);
    scene.settings.guarantee = GUARANTEE_AT_LEAST_ONCE;
    fill(1, 10);
    lose_offsets();
    scene_delete_state();
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key0"), "2");
    scene_close();
}
END_TEST

/* The script reads another topic now: what the group knows of the old one was committed with this changelog. */
START_TEST(offsets_of_a_topic_that_is_not_read_any_more_account_for_a_changelog)
{
    struct topic_spec spec = {.name = "before", .partitions = 1};
    prepare(1);
    fill(1, 10);
    remember();
    lose_offsets();
    ck_assert_int_eq(scene.original->create_topic(scene.transport, &spec, &scene.err), 0);
    remembered.topic = "before";
    forget_what_came_after();
    scene_delete_state();
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key0"), "2");
    scene_close();
}
END_TEST

/* ---- changelogs made again ---- */

START_TEST(a_recreated_changelog_that_is_shorter_is_refused)
{
    prepare(1);
    fill(1, 10);
    recreate_changelog();
    scene_open_thread();
    const char *text = step_until_failure();
    ck_assert_ptr_nonnull(strstr(text, "The changelog topic app-counts-changelog was deleted and made again"));
    ck_assert_ptr_nonnull(strstr(text, "tidemill reset --app app"));
    scene_close();
}
END_TEST

START_TEST(a_recreated_changelog_that_is_longer_is_refused_before_it_is_replayed)
{
    prepare(1);
    fill(1, 10);
    fall_behind_by(1);
    recreate_changelog();
    for (int i = 0; i < 100; i++) {
        scene_send(CHANGELOG, 0, "key0", "77", i);
    }
    scene_open_thread();
    ck_assert_ptr_nonnull(strstr(step_until_failure(), "was deleted and made again"));
    scene_close();
}
END_TEST

START_TEST(a_recreated_changelog_is_refused_without_local_state_too)
{
    prepare(1);
    fill(1, 10);
    recreate_changelog();
    scene_delete_state();
    scene_open_thread();
    ck_assert_ptr_nonnull(strstr(step_until_failure(), "was deleted and made again"));
    scene_close();
}
END_TEST

#define SECOND_ID "fedcba9876543210fedcba9876543210"

/* Two processes that start at once may both mark a new changelog, and one of them may have begun to work by then. */
START_TEST(of_two_markers_the_first_one_counts)
{
    prepare(1);
    struct record second = {.key = slice_of(RESTORE_MARKER_KEY SECOND_ID, sizeof(RESTORE_MARKER_KEY SECOND_ID) - 1),
                            .value = slice_text(SECOND_ID),
                            .timestamp = 1};
    ck_assert_int_eq(memory_transport_append(scene.transport, CHANGELOG, 0, &second, &scene.err), 0);
    fill(1, 10);
    fall_behind_by(1);
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key0"), "2");
    ck_assert_str_ne(worker_changelog_generation(scene_worker(0), 0), SECOND_ID);
    scene_close();
}
END_TEST

START_TEST(a_generation_is_marked_once_in_partitions_that_are_empty)
{
    scene_prepare(NULL, 3);
    scene.clock = CLOCK_SYSTEM;
    scene_send(CHANGELOG, 1, "key", "value", 1);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(generation_mark(scene.plan, scene.transport, &scene.clock, &scene.err), 0);
    }
    ck_assert_uint_eq(strlen(scene_values(CHANGELOG, 0)), 33);
    ck_assert_str_eq(scene_values(CHANGELOG, 1), "value ");
    ck_assert_uint_eq(strlen(scene_values(CHANGELOG, 2)), 33);
    ck_assert_str_eq(scene_values("out", 0), "");
    scene_open_thread();
    scene_close();
}
END_TEST

START_TEST(an_interrupted_rebuild_without_committed_offsets_is_not_taken_for_complete)
{
    prepare(1);
    scene.settings.guarantee = GUARANTEE_AT_LEAST_ONCE;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        scene_send(CHANGELOG, 0, key, "1", i);
    }
    restore_in_part();
    scene_open_thread();
    scene_settle();
    ck_assert_str_eq(count_in_store(0, "key999"), "1");
    scene_close();
}
END_TEST

UNIT_MAIN("restore", p7_state_without_files_is_replayed_from_the_changelog, equal_offsets_need_no_reader,
          empty_changelogs_are_done_at_once, a_store_without_changelog_lives_in_its_files_only,
          p10_others_go_on_while_a_worker_is_restored, a_revocation_cancels_and_what_was_reached_is_kept,
          a_stop_in_the_middle_is_resumed_where_it_was, brokers_that_are_away_are_waited_for,
          a_disk_that_is_full_while_restoring_is_tried_again, large_values_are_saved_before_they_fill_the_memory,
          commits_that_the_group_has_forgotten_are_not_done_again,
          commits_of_others_that_the_group_has_forgotten_are_waited_for, lost_offsets_are_refused_without_local_state,
          lost_offsets_are_refused_where_the_state_is_older_than_the_first_record,
          a_store_restored_in_part_is_refused_without_offsets,
          a_store_restored_in_part_is_refused_when_the_group_has_forgotten_commits,
          with_at_least_once_a_changelog_without_offsets_is_restored,
          offsets_of_a_topic_that_is_not_read_any_more_account_for_a_changelog,
          a_recreated_changelog_that_is_shorter_is_refused,
          a_recreated_changelog_that_is_longer_is_refused_before_it_is_replayed,
          a_recreated_changelog_is_refused_without_local_state_too, of_two_markers_the_first_one_counts,
          a_generation_is_marked_once_in_partitions_that_are_empty,
          an_interrupted_rebuild_without_committed_offsets_is_not_taken_for_complete)
