/* A set and its files: commit and open, what is refused, what goes into quarantine, merging. */
#include "store/rows.h"
#include "store/store_sql.h"
#include "tests/unit/store/store_files.h"

#include <sys/stat.h>

START_TEST(commits_survive_a_restart_and_the_rest_does_not)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    ck_assert(fixture.fresh);
    put(fixture_store(&fixture), "a", "1");
    commit(&fixture, 1);
    put(fixture_store(&fixture), "a", "2");
    put(fixture_store(&fixture), "b", "2");
    fixture_reopen(&fixture);
    ck_assert(!fixture.fresh);
    ck_assert_int_eq(fixture.meta.committed_ms, 1);
    ck_assert(has(fixture_store(&fixture), "a", "1"));
    ck_assert(has(fixture_store(&fixture), "b", NULL));
    fixture_end(&fixture);
}
END_TEST

START_TEST(meta_comes_back_whole)
{
    struct fixture fixture;
    struct err err;
    struct store_position inputs[] = {{"orders", 3, 17, "time"}, {"users", 3, 0, NULL}};
    struct store_position changelogs[] = {{"shop-counts-changelog", 3, 9, NULL}};
    struct store_meta meta = {.app = "shop",
                              .worker = "0_3",
                              .partitions = 12,
                              .inputs = inputs,
                              .input_count = 2,
                              .changelogs = changelogs,
                              .changelog_count = 1,
                              .committed_ms = 5};
    fixture_init(&fixture);
    fixture_open(&fixture);
    check_ok(driver->commit(fixture.set, &meta, &err));
    fixture_reopen(&fixture);
    ck_assert_int_eq(fixture.meta.partitions, 12);
    ck_assert_uint_eq(fixture.meta.input_count, 2);
    ck_assert_str_eq(fixture.meta.inputs[0].topic, "orders");
    ck_assert_int_eq(fixture.meta.inputs[0].offset, 17);
    ck_assert_str_eq(fixture.meta.inputs[0].metadata, "time");
    ck_assert_uint_eq(fixture.meta.changelog_count, 1);
    ck_assert_int_eq(fixture.meta.changelogs[0].offset, 9);
    fixture_end(&fixture);
}
END_TEST

START_TEST(rollback_drops_what_changed_since_the_commit)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    put(store, "a", "1");
    put(store, "b", "1");
    commit(&fixture, 1);
    put(store, "a", "a longer value than before");
    put(store, "b", NULL);
    put(store, "c", "1");
    put(store, "c", NULL);
    check_ok(driver->rollback(fixture.set, &err));
    ck_assert(has(store, "a", "1"));
    ck_assert(has(store, "b", "1"));
    ck_assert(has(store, "c", NULL));
    ck_assert_int_eq(driver->entries(fixture.set), 2);
    commit(&fixture, 2);
    fixture_reopen(&fixture);
    ck_assert(has(fixture_store(&fixture), "a", "1"));
    fixture_end(&fixture);
}
END_TEST

static int count_visit(void *self, struct store *store, const struct store_entry *entry, struct err *err)
{
    int *visits = self;
    (void)entry;
    (void)err;
    ck_assert_str_eq(driver->name(store), "counts");
    (*visits)++;
    return 0;
}

static int fail_visit(void *self, struct store *store, const struct store_entry *entry, struct err *err)
{
    (void)self;
    (void)store;
    (void)entry;
    return err_set(err, ERR_ABORT, ERR_IO, "No.");
}

START_TEST(changes_leave_out_local_stores_and_what_was_restored)
{
    struct fixture fixture;
    struct err err;
    int visits = 0;
    fixture_init(&fixture);
    fixture.specs[1] = (struct store_spec){.name = "local", .kind = STORE_KEY_VALUE, .changelog = false};
    fixture.config.spec_count = 2;
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    struct store_entry restored[] = {
        {text("r1"), text("1"), 1}, {text("r2"), text("1"), 1}, {text("r1"), text("2"), 1}};
    check_ok(driver->restore(store, restored, 3, &err));
    put(store, "a", "1");
    put(store, "a", "2");
    put(store, "b", "1");
    put(store, "r2", "changed");
    put(store, "never there", NULL);
    put(driver->find(fixture.set, "local"), "x", "1");
    check_ok(driver->changes(fixture.set, count_visit, &visits, &err));
    ck_assert_int_eq(visits, 3);
    ck_assert_int_eq(driver->changes(fixture.set, fail_visit, NULL, &err), -1);
    ck_assert_int_eq(err.class, ERR_ABORT);
    commit(&fixture, 1);
    visits = 0;
    check_ok(driver->changes(fixture.set, count_visit, &visits, &err));
    ck_assert_int_eq(visits, 0);
    fixture_reopen(&fixture);
    ck_assert(has(fixture_store(&fixture), "r1", "2"));
    ck_assert(has(fixture_store(&fixture), "r2", "changed"));
    ck_assert(has(driver->find(fixture.set, "local"), "x", "1"));
    ck_assert_ptr_null(driver->find(fixture.set, "none"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(what_came_and_went_between_two_commits_is_no_change)
{
    struct fixture fixture;
    struct err err;
    int visits = 0;
    fixture_init(&fixture);
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    struct store_entry restored = {text("restored"), text("1"), 1};
    check_ok(driver->restore(store, &restored, 1, &err));
    put(store, "restored", "2");
    put(store, "kept", "1");
    for (int i = 0; i < 3; i++) {
        put(store, "short-lived", "1");
        put(store, "another", "a value of some length");
        put(store, "short-lived", "a value of another length");
        put(store, "short-lived", NULL);
        put(store, "another", NULL);
    }
    ck_assert(!has(store, "short-lived", "1"));
    put(store, "restored", NULL); /* its changelog has it */
    check_ok(driver->changes(fixture.set, count_visit, &visits, &err));
    ck_assert_int_eq(visits, 2);
    commit(&fixture, 1);
    put(store, "kept", NULL); /* committed: the deletion must be known */
    put(store, "again", "1");
    put(store, "again", NULL);
    visits = 0;
    check_ok(driver->changes(fixture.set, count_visit, &visits, &err));
    ck_assert_int_eq(visits, 1);
    check_ok(driver->rollback(fixture.set, &err));
    ck_assert(has(store, "kept", "1"));
    fixture_reopen(&fixture);
    put(fixture_store(&fixture), "kept", NULL); /* perhaps a row, which memory does not know */
    put(fixture_store(&fixture), "kept", "2");
    put(fixture_store(&fixture), "kept", NULL);
    visits = 0;
    check_ok(driver->changes(fixture.set, count_visit, &visits, &err));
    ck_assert_int_eq(visits, 1);
    fixture_end(&fixture);
}
END_TEST

START_TEST(entries_that_no_store_can_take_are_refused)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    ck_assert_int_eq(driver->put(store, SLICE_NULL, text("v"), 1, &err), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    unsigned char byte = 0;
    ck_assert_int_eq(driver->put(store, slice_of(&byte, 1), slice_of(&byte, (size_t)1 << 40), 1, &err), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_int_eq(driver->expire(store, 5, &err), -1);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_store_that_is_defined_differently_is_refused)
{
    struct fixture fixture;
    struct err err;
    make_closed(&fixture);
    fixture.specs[0].hash = 8;
    ck_assert_int_eq(driver->open(&fixture.config, &fixture.set, NULL, &fixture.fresh, &err), -1);
    ck_assert_int_eq(err.code, ERR_TOPOLOGY);
    ck_assert_ptr_nonnull(strstr(err.text, "counts"));
    fixture.specs[0].hash = 7;
    fixture_open(&fixture);
    ck_assert(has(fixture_store(&fixture), "a", "old"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_store_that_was_dropped_starts_empty_when_it_is_back)
{
    struct fixture fixture;
    make_closed(&fixture);
    fixture.specs[0].name = "other";
    fixture_open(&fixture);
    put(fixture_store(&fixture), "o", "1");
    commit(&fixture, 3);
    fixture_close(&fixture);
    fixture.specs[1] = (struct store_spec){.name = "counts", .kind = STORE_KEY_VALUE, .changelog = true, .hash = 9};
    fixture.config.spec_count = 2;
    fixture_open(&fixture);
    ck_assert(has(fixture_store(&fixture), "o", "1"));
    ck_assert(has(driver->find(fixture.set, "counts"), "a", NULL));
    put(driver->find(fixture.set, "counts"), "n", "1");
    commit(&fixture, 4);
    fixture_reopen(&fixture);
    ck_assert(has(driver->find(fixture.set, "counts"), "a", NULL));
    ck_assert(has(driver->find(fixture.set, "counts"), "n", "1"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(wipe_forgets_everything_and_goes_on)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    fixture_open(&fixture);
    put(fixture_store(&fixture), "a", "1");
    commit(&fixture, 1);
    put(fixture_store(&fixture), "b", "1");
    check_ok(driver->wipe(fixture.set, &err));
    ck_assert(has(fixture_store(&fixture), "a", NULL));
    ck_assert(has(fixture_store(&fixture), "b", NULL));
    ck_assert_int_eq(driver->entries(fixture.set), 0);
    put(fixture_store(&fixture), "c", "1");
    commit(&fixture, 2);
    fixture_reopen(&fixture);
    ck_assert(has(fixture_store(&fixture), "a", NULL));
    ck_assert(has(fixture_store(&fixture), "c", "1"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(the_merge_makes_rows_that_sqlite_can_read)
{
    struct fixture fixture;
    int64_t commits = 0;
    init_merging(&fixture);
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    put(store, "a", "1");
    put(store, "b", "1");
    put(store, "gone", "1");
    commit(&fixture, ++commits);
    put(store, "a", "2");
    put(store, "gone", NULL);
    commit(&fixture, ++commits);
    merge_all(&fixture, &commits);
    ck_assert_int_eq(query(&fixture, "rows.db", "SELECT count(*) FROM store_1_counts"), 2);
    ck_assert_int_eq(
        query(&fixture, "rows.db", "SELECT cast(value AS TEXT) = '2' FROM store_1_counts WHERE key = x'61'"), 1);
    ck_assert_int_eq(query(&fixture, "rows.db", "SELECT timestamp FROM store_1_counts WHERE key = x'61'"), 1);
    fixture_reopen(&fixture);
    ck_assert_int_eq(fixture.meta.committed_ms, commits);
    ck_assert(has(fixture_store(&fixture), "a", "2"));
    ck_assert(has(fixture_store(&fixture), "b", "1"));
    ck_assert(has(fixture_store(&fixture), "gone", NULL));
    fixture_end(&fixture);
}
END_TEST

START_TEST(merged_deltas_are_deleted)
{
    struct fixture fixture;
    int64_t commits = 0;
    init_merging(&fixture);
    fixture_open(&fixture);
    while (commits < 50) {
        put(fixture_store(&fixture), "a", "1");
        commit(&fixture, ++commits);
    }
    merge_all(&fixture, &commits);
    ck_assert_int_eq(query(&fixture, "deltas.db", "SELECT count(*) FROM delta WHERE seq <= 50"), 0);
    fixture_end(&fixture);
}
END_TEST

/* Rows are synced, deltas are not: after a power cut the rows may be ahead. They then say where the state stands. */
START_TEST(rows_that_are_ahead_of_the_deltas_are_the_state)
{
    struct fixture fixture;
    int64_t commits = 0;
    open_merged(&fixture, &commits);
    fixture_close(&fixture);
    int64_t merged = query(&fixture, "rows.db", "SELECT merged FROM state");
    run_sql(&fixture, "deltas.db", "DELETE FROM delta");
    fixture_open(&fixture);
    ck_assert_int_eq(fixture_files(&fixture, "quarantine", NULL), 0);
    ck_assert_int_eq(fixture.meta.committed_ms, merged);
    ck_assert(has(fixture_store(&fixture), "a", "1"));
    put(fixture_store(&fixture), "b", "1");
    commit(&fixture, ++commits);
    fixture_reopen(&fixture);
    ck_assert(has(fixture_store(&fixture), "b", "1"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(at_the_cap_commits_wait_for_the_merge)
{
    struct fixture fixture;
    char key[32];
    fixture_init(&fixture);
    fixture.config.merge_bytes = 1000000;
    fixture.config.unmerged_bytes = 3000;
    fixture_open(&fixture);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(fixture_store(&fixture), key, "a value of some size, so that it soon is too much");
        commit(&fixture, i);
        ck_assert_int_le(query(&fixture, "deltas.db", "SELECT sum(length(body)) FROM delta") / 2, 20000);
    }
    ck_assert_int_ge(query(&fixture, "rows.db", "SELECT merged FROM state"), 200);
    fixture_reopen(&fixture);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "key %d", i);
        ck_assert(has(fixture_store(&fixture), key, "a value of some size, so that it soon is too much"));
    }
    fixture_end(&fixture);
}
END_TEST

START_TEST(memory_stays_near_the_budget)
{
    struct fixture fixture;
    int64_t commits = 0;
    char key[32];
    init_merging(&fixture);
    fixture.config.cache_bytes = 20000;
    fixture_open(&fixture);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(fixture_store(&fixture), key, "value");
        if (i % 1000 == 999) {
            commit(&fixture, ++commits);
            merge_all(&fixture, &commits);
        }
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key %d", i * 7 % 20000);
        ck_assert(has(fixture_store(&fixture), key, "value"));
    }
    ck_assert_int_lt(driver->entries(fixture.set), 2000);
    fixture_end(&fixture);
}
END_TEST

/* Somebody else holds the file for a while. */
START_TEST(a_commit_that_fails_may_be_repeated)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    fixture_open(&fixture);
    put(fixture_store(&fixture), "a", "1");
    commit(&fixture, 1);
    put(fixture_store(&fixture), "b", "1");
    char path[400];
    sqlite3 *handle;
    file_path(&fixture, "deltas.db", path);
    ck_assert_int_eq(sqlite3_open(path, &handle), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(handle, SQL_BEGIN, NULL, NULL, NULL), SQLITE_OK); /* the file's writer now */
    ck_assert_int_eq(fixture_commit(&fixture, 2, &err), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_int_eq(sqlite3_exec(handle, SQL_ROLLBACK, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
    ck_assert(has(fixture_store(&fixture), "b", "1"));
    commit(&fixture, 3);
    fixture_reopen(&fixture);
    ck_assert(has(fixture_store(&fixture), "b", "1"));
    ck_assert_int_eq(fixture.meta.committed_ms, 3);
    fixture_end(&fixture);
}
END_TEST

START_TEST(ranges_see_the_state_as_of_the_call)
{
    struct fixture fixture;
    struct err err;
    struct store_cursor *cursor;
    char list[200];
    fixture_init(&fixture);
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    put(store, "b", "1");
    put(store, "d", "1");
    put(store, "f", "1");
    check_ok(driver->range(store, text("b"), text("d"), false, &cursor, &err));
    put(store, "c", "1");
    put(store, "d", NULL);
    list_cursor(cursor, list, sizeof list);
    ck_assert_str_eq(list, "b d ");
    driver->end(cursor);
    check_ok(driver->range(store, SLICE_NULL, SLICE_NULL, true, &cursor, &err));
    list_cursor(cursor, list, sizeof list);
    ck_assert_str_eq(list, "f c b ");
    check_ok(driver->prefix(store, text("c"), &cursor, &err));
    list_cursor(cursor, list, sizeof list);
    ck_assert_str_eq(list, "c ");
    commit(&fixture, 1); /* ends both */
    fixture_end(&fixture);
}
END_TEST

static struct slice window_key(struct bytes *key, uint64_t time, const char *rest)
{
    bytes_clear(key);
    bytes_append_u64(key, time);
    bytes_append_text(key, rest);
    return bytes_slice(key);
}

/* Opens a set whose deltas are all to be merged in one pass. */
static void reopen_merging(struct fixture *fixture, int64_t *commits)
{
    fixture_close(fixture);
    fixture->config.merge_bytes = 1;
    fixture_open(fixture);
    merge_all(fixture, commits);
}

START_TEST(the_merge_keeps_the_last_of_many_changes)
{
    struct fixture fixture;
    int64_t commits = 0;
    char value[32];
    fixture_init(&fixture);
    fixture_open(&fixture);
    while (commits < 100) {
        snprintf(value, sizeof value, "%lld", (long long)++commits);
        put(fixture_store(&fixture), "a", value);
        put(fixture_store(&fixture), "gone", commits == 100 ? NULL : value);
        put(fixture_store(&fixture), "back", commits == 99 ? NULL : value);
        commit(&fixture, commits);
    }
    reopen_merging(&fixture, &commits);
    ck_assert_int_eq(query(&fixture, "rows.db", "SELECT count(*) FROM store_1_counts"), 2);
    ck_assert_int_eq(query(&fixture, "rows.db", "SELECT count(*) FROM store_1_counts WHERE value = x'313030'"), 2);
    fixture_end(&fixture);
}
END_TEST

START_TEST(the_merge_leaves_out_what_is_expired)
{
    struct fixture fixture;
    struct err err;
    struct bytes key = {NULL, 0, 0};
    int64_t commits = 0;
    fixture_init(&fixture);
    fixture.specs[0] = (struct store_spec){.name = "windows", .kind = STORE_WINDOW, .segment_ms = 10};
    fixture_open(&fixture);
    for (uint64_t time = 0; time < 100; time++) {
        check_ok(driver->put(fixture_store(&fixture), window_key(&key, time, "k"), text("v"), 1, &err));
    }
    put(fixture_store(&fixture), "time", "100");
    commit(&fixture, ++commits);
    check_ok(driver->expire(fixture_store(&fixture), 95, &err));
    commit(&fixture, ++commits);
    reopen_merging(&fixture, &commits);
    ck_assert_int_eq(query(&fixture, "rows.db", "SELECT count(*) FROM store_1_windows"), 5);
    ck_assert_int_eq(query(&fixture, "rows.db", "SELECT count(*) FROM timeless"), 1);
    check_ok(driver->expire(fixture_store(&fixture), 98, &err));
    commit(&fixture, ++commits);
    merge_all(&fixture, &commits);
    ck_assert_int_eq(query(&fixture, "rows.db", "SELECT count(*) FROM store_1_windows"), 2);
    bytes_free(&key);
    fixture_end(&fixture);
}
END_TEST

START_TEST(expiry_drops_segments_and_their_memory)
{
    struct fixture fixture;
    struct err err;
    struct bytes key = {NULL, 0, 0};
    char name[32];
    bool found;
    struct store_entry entry;
    fixture_init(&fixture);
    fixture.specs[0] = (struct store_spec){
        .name = "windows", .kind = STORE_WINDOW, .changelog = true, .segment_ms = 1000, .retention_ms = 5000};
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    for (int i = 0; i < 50000; i++) {
        snprintf(name, sizeof name, "k%d", i);
        check_ok(driver->put(store, window_key(&key, (uint64_t)i, name), text("value"), i, &err));
    }
    check_ok(driver->put(store, text("time"), text("50000"), 0, &err));
    commit(&fixture, 1);
    int64_t before = driver->bytes(fixture.set);
    check_ok(driver->expire(store, 49500, &err));
    check_ok(driver->get(store, window_key(&key, 49499, "k49499"), &found, &entry, &err));
    ck_assert(!found);
    check_ok(driver->get(store, window_key(&key, 49500, "k49500"), &found, &entry, &err));
    ck_assert(found);
    commit(&fixture, 2);
    ck_assert_int_lt(driver->bytes(fixture.set), before - 50000 * 32);
    fixture_reopen(&fixture);
    store = fixture_store(&fixture);
    check_ok(driver->get(store, window_key(&key, 49499, "k49499"), &found, &entry, &err));
    ck_assert(!found);
    check_ok(driver->get(store, window_key(&key, 49999, "k49999"), &found, &entry, &err));
    ck_assert(found);
    ck_assert(has(store, "time", "50000"));
    bytes_free(&key);
    fixture_end(&fixture);
}
END_TEST

START_TEST(many_sets_share_the_merging_thread)
{
    enum { SETS = 12 };
    struct fixture fixtures[SETS];
    for (int i = 0; i < SETS; i++) {
        init_merging(&fixtures[i]);
        fixture_open(&fixtures[i]);
    }
    for (int64_t round = 1; round <= 20; round++) {
        for (int i = 0; i < SETS; i++) {
            put(fixture_store(&fixtures[i]), "a", i % 2 == 0 ? "even" : "odd");
            commit(&fixtures[i], round);
        }
    }
    for (int i = 0; i < SETS; i++) {
        fixture_reopen(&fixtures[i]);
        ck_assert(has(fixture_store(&fixtures[i]), "a", i % 2 == 0 ? "even" : "odd"));
        ck_assert_int_eq(fixtures[i].meta.committed_ms, 20);
        fixture_end(&fixtures[i]);
    }
}
END_TEST

START_TEST(prefetching_changes_nothing)
{
    struct fixture fixture;
    struct err err;
    char names[100][16];
    struct slice keys[100];
    fixture_init(&fixture);
    fixture.config.directory = NULL;
    fixture_open(&fixture);
    struct store *store = fixture_store(&fixture);
    for (size_t i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "key-%zu", i * 1000);
        keys[i] = text(names[i]);
    }
    driver->prefetch(store, keys, 100);
    for (int i = 0; i < 20000; i++) {
        char name[16];
        snprintf(name, sizeof name, "key-%d", i);
        put(store, name, i % 3 == 0 ? "1" : "2");
        if (i % 1000 == 0) {
            driver->prefetch(store, keys, (size_t)i / 200);
        }
    }
    put(store, "key-5000", NULL);
    driver->prefetch(store, keys, 100);
    ck_assert(has(store, "key-0", "1"));
    ck_assert(has(store, "key-1000", "2"));
    ck_assert(has(store, "key-5000", NULL));
    ck_assert(has(store, "key-20000", NULL));
    ck_assert_int_eq(driver->entries(fixture.set), 19999);
    check_ok(driver->wipe(fixture.set, &err));
    driver->prefetch(store, keys, 100);
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("set", prefetching_changes_nothing, commits_survive_a_restart_and_the_rest_does_not, meta_comes_back_whole,
          rollback_drops_what_changed_since_the_commit, changes_leave_out_local_stores_and_what_was_restored,
          what_came_and_went_between_two_commits_is_no_change, entries_that_no_store_can_take_are_refused,
          a_store_that_is_defined_differently_is_refused, a_store_that_was_dropped_starts_empty_when_it_is_back,
          wipe_forgets_everything_and_goes_on, the_merge_makes_rows_that_sqlite_can_read, merged_deltas_are_deleted,
          rows_that_are_ahead_of_the_deltas_are_the_state, at_the_cap_commits_wait_for_the_merge,
          memory_stays_near_the_budget, a_commit_that_fails_may_be_repeated, ranges_see_the_state_as_of_the_call,
          expiry_drops_segments_and_their_memory, the_merge_keeps_the_last_of_many_changes,
          the_merge_leaves_out_what_is_expired, many_sets_share_the_merging_thread)
