/* Merges that no size of the log asks for: in a pause of the commits, without one after some time, at the end of all
 * work. */
#include "base/clock.h"
#include "store/store_int.h"
#include "tests/unit/store/store_files.h"

#define ROUNDS 60000

static int64_t merged(const struct fixture *fixture)
{
    return query(fixture, "rows.db", "SELECT merged FROM state");
}

static int64_t rows(const struct fixture *fixture)
{
    return query(fixture, "rows.db", "SELECT count(*) FROM store_1_counts");
}

static void commit_key(struct fixture *fixture, const char *key, int64_t number)
{
    put(fixture_store(fixture), key, "value");
    commit(fixture, number);
}

static void tidy_until_merged(struct fixture *fixture, int64_t through)
{
    for (int i = 0; i < ROUNDS && merged(fixture) < through; i++) {
        driver->tidy(fixture->set);
        usleep(1000);
    }
    ck_assert_int_eq(merged(fixture), through);
}

/* Until it has taken up the result, too. */
static void settle(struct fixture *fixture)
{
    int rounds = 0;
    fixture->set->settle_through = 0; /* as if it had not been asked before */
    for (; rounds < ROUNDS && !driver->settle(fixture->set); rounds++) {
        usleep(1000);
    }
    ck_assert_int_lt(rounds, ROUNDS);
}

START_TEST(a_pause_is_used_to_merge)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    commit_key(&fixture, "a", 1);
    commit_key(&fixture, "b", 2);
    for (int i = 0; i < 20; i++) {
        driver->tidy(fixture.set);
    }
    ck_assert(fixture.set->phase == PHASE_IDLE ||
              clock_monotonic_ns(&CLOCK_SYSTEM) - fixture.set->pause_ns > 500000000);
    tidy_until_merged(&fixture, 2);
    ck_assert_int_eq(rows(&fixture), 2);
    ck_assert(has(fixture_store(&fixture), "a", "value"));
    fixture_reopen(&fixture);
    ck_assert_int_eq(fixture.meta.committed_ms, 2);
    ck_assert(has(fixture_store(&fixture), "b", "value"));
    fixture_end(&fixture);
}
END_TEST

/* What was found at opening is merged as well. */
START_TEST(what_another_process_left_is_merged)
{
    struct fixture fixture;
    make_closed(&fixture);
    ck_assert_int_eq(merged(&fixture), 0);
    fixture_open(&fixture);
    tidy_until_merged(&fixture, 2);
    ck_assert_int_eq(rows(&fixture), 2);
    fixture_end(&fixture);
}
END_TEST

START_TEST(rare_commits_are_not_a_merge_each)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    commit_key(&fixture, "a", 1);
    tidy_until_merged(&fixture, 1);
    commit_key(&fixture, "b", 2);
    for (int i = 0; i < 1500; i++) {
        driver->tidy(fixture.set);
        usleep(1000);
    }
    int64_t now_merged = merged(&fixture);
    ck_assert(now_merged == 1 || clock_monotonic_ns(&CLOCK_SYSTEM) >= fixture.set->rest_merge_ns);
    fixture.set->rest_merge_ns = 0;
    tidy_until_merged(&fixture, 2);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_worker_that_never_rests_merges_after_some_time)
{
    struct fixture fixture;
    int64_t commits = 0;
    fixture_init(&fixture);
    fixture_open(&fixture);
    for (; commits < 20; driver->tidy(fixture.set)) {
        commit_key(&fixture, "a", ++commits);
    }
    ck_assert_int_gt(fixture.set->latest_merge_ns, 0);
    fixture.set->latest_merge_ns = clock_monotonic_ns(&CLOCK_SYSTEM);
    for (int i = 0; i < ROUNDS && merged(&fixture) == 0; i++) {
        commit_key(&fixture, "a", ++commits);
        driver->tidy(fixture.set);
        usleep(1000);
    }
    ck_assert_int_ge(merged(&fixture), 20);
    fixture_end(&fixture);
}
END_TEST

START_TEST(at_the_end_everything_is_merged)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    fixture.config.background_bytes = 1;
    fixture_open(&fixture);
    ck_assert(driver->settle(fixture.set));
    for (int64_t i = 1; i <= 3; i++) {
        commit_key(&fixture, "a", 2 * i - 1);
        commit_key(&fixture, i == 3 ? "c" : "b", 2 * i);
        put(fixture_store(&fixture), "a", "not committed");
        settle(&fixture);
        ck_assert_int_eq(merged(&fixture), 2 * i);
        check_ok(driver->rollback(fixture.set, &err));
    }
    ck_assert_int_eq(rows(&fixture), 3);
    ck_assert_int_eq(
        query(&fixture, "rows.db", "SELECT count(*) FROM store_1_counts WHERE value = CAST('value' AS BLOB)"), 3);
    ck_assert(has(fixture_store(&fixture), "a", "value"));
    fixture_end(&fixture);
}
END_TEST

/* Positions of sources may move with the clock: what comes after the end was reached is not waited for. */
START_TEST(the_end_is_reached_while_commits_go_on)
{
    struct fixture fixture;
    int64_t number = 1;
    fixture_init(&fixture);
    fixture_open(&fixture);
    commit_key(&fixture, "a", number);
    while (!driver->settle(fixture.set)) {
        commit_key(&fixture, "a", ++number);
        usleep(1000);
    }
    commit_key(&fixture, "a", ++number);
    ck_assert(driver->settle(fixture.set));
    ck_assert_int_ge(merged(&fixture), 1);
    fixture_end(&fixture);
}
END_TEST

/* A merge that fails is no reason to stay; one that rests tries it again. */
START_TEST(a_merge_that_fails_is_tried_again_in_a_pause)
{
    struct fixture fixture;
    char path[400];
    char aside[400];
    fixture_init(&fixture);
    fixture_open(&fixture);
    file_path(&fixture, "rows.db", path);
    file_path(&fixture, "aside", aside);
    commit_key(&fixture, "a", 1);
    ck_assert_int_eq(rename(path, aside), 0);
    settle(&fixture);
    ck_assert_int_eq(fixture.set->phase, PHASE_FAILED);
    ck_assert_int_eq(rename(aside, path), 0);
    commit_key(&fixture, "b", 2);
    fixture.set->rest_merge_ns = 0;
    tidy_until_merged(&fixture, 1);
    settle(&fixture);
    ck_assert_int_eq(merged(&fixture), 2);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_set_in_memory_is_settled)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.config.directory = NULL;
    fixture_open(&fixture);
    commit_key(&fixture, "a", 1);
    driver->tidy(fixture.set);
    ck_assert(driver->settle(fixture.set));
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("rest", a_pause_is_used_to_merge, what_another_process_left_is_merged, rare_commits_are_not_a_merge_each,
          a_worker_that_never_rests_merges_after_some_time, at_the_end_everything_is_merged,
          the_end_is_reached_while_commits_go_on, a_merge_that_fails_is_tried_again_in_a_pause,
          a_set_in_memory_is_settled)
