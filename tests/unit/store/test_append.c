/* Large commits, which the thread for commits writes: what is there after the next commit, close, wipe, a death and a
 * failure. Every commit counts as large here.
 */
#include "tests/unit/store/store_files.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define LARGE_BYTES 300000
#define FILE_BYTES 100000

static void init(struct fixture *fixture)
{
    fixture_init(fixture);
    fixture->config.background_bytes = 1;
}

static void put_large(struct fixture *fixture, const char *key)
{
    struct err err;
    struct bytes value = {NULL, 0, 0};
    memset(bytes_reserve(&value, LARGE_BYTES), 'v', LARGE_BYTES);
    value.size = LARGE_BYTES;
    check_ok(driver->put(fixture_store(fixture), text(key), bytes_slice(&value), 1, &err));
    bytes_free(&value);
}

static bool has_large(struct fixture *fixture, const char *key)
{
    struct err err;
    bool found;
    struct store_entry entry;
    check_ok(driver->get(fixture_store(fixture), text(key), &found, &entry, &err));
    return found && entry.value.size == LARGE_BYTES;
}

/* No file of this process may be larger: 0 takes the limit away. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes > 0 ? bytes : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(the_next_commit_and_close_end_the_one_before)
{
    struct fixture fixture;
    init(&fixture);
    fixture_open(&fixture);
    for (int i = 1; i <= 50; i++) {
        char key[32];
        snprintf(key, sizeof key, "key %d", i);
        put(fixture_store(&fixture), key, "value");
        commit(&fixture, i);
        ck_assert_int_ge(query(&fixture, "deltas.db", "SELECT count(*) FROM delta"), i - 1);
    }
    fixture_close(&fixture);
    ck_assert_int_eq(query(&fixture, "deltas.db", "SELECT count(*) FROM delta"), 50);
    fixture_open(&fixture);
    ck_assert_int_eq(fixture.meta.committed_ms, 50);
    ck_assert(has(fixture_store(&fixture), "key 50", "value"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(what_is_being_written_can_be_read_changed_and_rolled_back)
{
    struct fixture fixture;
    struct err err;
    init(&fixture);
    fixture_open(&fixture);
    for (int i = 1; i <= 50; i++) {
        put_large(&fixture, "large");
        put(fixture_store(&fixture), "a", "committed");
        commit(&fixture, i);
        ck_assert(has(fixture_store(&fixture), "a", "committed"));
        put(fixture_store(&fixture), "a", "changed");
        put_large(&fixture, "another");
        check_ok(driver->rollback(fixture.set, &err));
        ck_assert(has(fixture_store(&fixture), "a", "committed"));
    }
    fixture_reopen(&fixture);
    ck_assert(has(fixture_store(&fixture), "a", "committed"));
    ck_assert(has_large(&fixture, "large"));
    ck_assert(!has_large(&fixture, "another"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(wipe_forgets_what_is_being_written)
{
    struct fixture fixture;
    struct err err;
    init(&fixture);
    fixture_open(&fixture);
    put_large(&fixture, "a");
    commit(&fixture, 1);
    check_ok(driver->wipe(fixture.set, &err));
    ck_assert(!has_large(&fixture, "a"));
    put(fixture_store(&fixture), "b", "1");
    commit(&fixture, 2);
    fixture_reopen(&fixture);
    ck_assert_int_eq(fixture.meta.committed_ms, 2);
    ck_assert(!has_large(&fixture, "a"));
    ck_assert(has(fixture_store(&fixture), "b", "1"));
    fixture_end(&fixture);
}
END_TEST

/* Nothing large can be written any more behind two commits. */
static void commit_two_and_fill_up(struct fixture *fixture)
{
    put(fixture_store(fixture), "a", "1");
    commit(fixture, 1);
    put(fixture_store(fixture), "a", "2");
    commit(fixture, 2);
    limit_files(FILE_BYTES);
}

/* The first one fails unseen; the second one tries it again and fails as well, with its own changes as they are. */
START_TEST(a_commit_that_fails_is_written_by_the_next_one)
{
    struct fixture fixture;
    struct err err;
    init(&fixture);
    fixture_open(&fixture);
    commit_two_and_fill_up(&fixture);
    put_large(&fixture, "large");
    put(fixture_store(&fixture), "a", "3");
    commit(&fixture, 3);
    put(fixture_store(&fixture), "b", "4");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(fixture_commit(&fixture, 4, &err), -1);
        ck_assert_int_eq(err.class, ERR_RETRY);
    }
    ck_assert_int_eq(query(&fixture, "deltas.db", "SELECT max(seq) FROM delta"), 2);
    limit_files(0);
    commit(&fixture, 5);
    fixture_reopen(&fixture);
    ck_assert_int_eq(fixture.meta.committed_ms, 5);
    ck_assert(has_large(&fixture, "large"));
    ck_assert(has(fixture_store(&fixture), "a", "3"));
    ck_assert(has(fixture_store(&fixture), "b", "4"));
    fixture_end(&fixture);
}
END_TEST

/* What has failed is not merged, and not taken for clean, whatever merges run beside it. */
START_TEST(a_commit_that_fails_and_is_closed_leaves_the_one_before)
{
    struct fixture fixture;
    init(&fixture);
    fixture.config.merge_bytes = 1;
    fixture.config.cache_bytes = 1000;
    fixture_open(&fixture);
    commit_two_and_fill_up(&fixture);
    put(fixture_store(&fixture), "a", "3");
    put_large(&fixture, "large");
    commit(&fixture, 3);
    for (int i = 0; i < 200; i++) {
        driver->tidy(fixture.set);
        usleep(1000);
    }
    ck_assert(has(fixture_store(&fixture), "a", "3"));
    ck_assert(has_large(&fixture, "large"));
    fixture_close(&fixture);
    limit_files(0);
    fixture_open(&fixture);
    ck_assert_int_eq(fixture_files(&fixture, "quarantine", NULL), 0);
    ck_assert_int_eq(fixture.meta.committed_ms, 2);
    ck_assert(has(fixture_store(&fixture), "a", "2"));
    ck_assert(!has_large(&fixture, "large"));
    fixture_end(&fixture);
}
END_TEST

/* A merge that is wanted because of what is being written merges what is in the log, and nothing else becomes clean. */
START_TEST(what_is_not_in_the_log_is_not_evicted)
{
    struct fixture fixture;
    init(&fixture);
    fixture.config.background_bytes = FILE_BYTES;
    fixture.config.cache_bytes = 1000;
    fixture_open(&fixture);
    put(fixture_store(&fixture), "a", "1");
    commit(&fixture, 1);
    limit_files(2 * FILE_BYTES);
    put_large(&fixture, "b");
    put_large(&fixture, "c");
    commit(&fixture, 2);
    for (int i = 0; i < 300; i++) {
        driver->tidy(fixture.set);
        usleep(1000);
    }
    ck_assert(has_large(&fixture, "b"));
    ck_assert(has_large(&fixture, "c"));
    limit_files(0);
    fixture_end(&fixture);
}
END_TEST

/* Between the hand-over and the write, or in it, or after it. */
START_TEST(a_death_loses_the_last_commit_at_most)
{
    for (int i = 0; i < 20; i++) {
        struct fixture fixture;
        int status;
        init(&fixture);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            unit_in_child();
            fixture_open(&fixture);
            put(fixture_store(&fixture), "a", "1");
            commit(&fixture, 1);
            put(fixture_store(&fixture), "a", "2");
            put_large(&fixture, "large");
            commit(&fixture, 2);
            usleep((unsigned)i * 50);
            raise(SIGKILL);
        }
        waitpid(child, &status, 0);
        ck_assert(WIFSIGNALED(status));
        fixture_open(&fixture);
        ck_assert(!fixture.fresh);
        bool last = fixture.meta.committed_ms == 2;
        ck_assert(last || fixture.meta.committed_ms == 1);
        ck_assert(has(fixture_store(&fixture), "a", last ? "2" : "1"));
        ck_assert(has_large(&fixture, "large") == last);
        fixture_end(&fixture);
    }
}
END_TEST

START_TEST(what_has_no_changelog_is_written_at_once)
{
    struct fixture fixture;
    init(&fixture);
    fixture.specs[1] = (struct store_spec){.name = "local", .kind = STORE_KEY_VALUE};
    fixture.config.spec_count = 2;
    fixture_open(&fixture);
    for (int i = 1; i <= 20; i++) {
        put_large(&fixture, "a");
        commit(&fixture, i);
        ck_assert_int_eq(query(&fixture, "deltas.db", "SELECT max(seq) FROM delta"), i);
    }
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("append", the_next_commit_and_close_end_the_one_before,
          what_is_being_written_can_be_read_changed_and_rolled_back, wipe_forgets_what_is_being_written,
          a_commit_that_fails_is_written_by_the_next_one, a_commit_that_fails_and_is_closed_leaves_the_one_before,
          what_is_not_in_the_log_is_not_evicted, a_death_loses_the_last_commit_at_most,
          what_has_no_changelog_is_written_at_once)
