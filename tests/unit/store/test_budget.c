/* Memory that sets share, merges in several transactions, and expiry by segments. */
#include "tests/unit/store/store_fixture.h"

#include "base/clock.h"

#include <signal.h>
#include <sys/wait.h>

#define KEYS 20000

static void put_number(struct store *store, int key, int value)
{
    struct err err;
    char name[32];
    char number[32];
    snprintf(name, sizeof name, "key %d", key * 7919 % KEYS);
    snprintf(number, sizeof number, "%d", value);
    check_ok(driver->put(store, text(name), text(number), 1, &err));
}

static void check_numbers(struct store *store, int value)
{
    char name[32];
    char number[32];
    snprintf(number, sizeof number, "%d", value);
    for (int i = 0; i < KEYS; i++) {
        snprintf(name, sizeof name, "key %d", i);
        ck_assert_msg(has(store, name, number), "%s is not %s", name, number);
    }
}

/* Commits all keys as one, and is killed while they are merged. */
static void work_until_killed(struct fixture *fixture, int value, int pause_ms)
{
    pid_t child = fork();
    if (child == 0) {
        unit_in_child();
        fixture->config.merge_bytes = 1;
        fixture_open(fixture);
        for (int i = 0; i < KEYS; i++) {
            put_number(fixture_store(fixture), i, value);
        }
        commit(fixture, value);
        clock_sleep_ms(pause_ms);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
}

START_TEST(a_merge_that_is_killed_between_its_transactions_loses_nothing)
{
    struct fixture fixture;
    fixture_init(&fixture);
    for (int value = 1; value <= 15; value++) {
        work_until_killed(&fixture, value, value * 3);
        fixture.config.merge_bytes = INT64_C(1) << 40;
        fixture_open(&fixture);
        ck_assert(!fixture.fresh);
        ck_assert_int_eq(fixture.meta.committed_ms, value);
        check_numbers(fixture_store(&fixture), value);
        fixture_close(&fixture);
    }
    fixture_open(&fixture);
    fixture_end(&fixture);
}
END_TEST

/* Waits for merges by committing. */
static void merge_down(struct store_set *set, int64_t entries)
{
    struct err err;
    for (int i = 0; i < 3000 && driver->entries(set) > entries; i++) {
        check_ok(driver->commit(set, NULL, &err));
        clock_sleep_ms(2);
    }
    ck_assert_int_le(driver->entries(set), entries);
}

START_TEST(a_set_that_rests_makes_room_for_one_that_works)
{
    struct fixture resting;
    struct fixture working;
    struct store_budget budget = {.limit = 4000000};
    fixture_init(&resting);
    fixture_init(&working);
    resting.config.budget = &budget;
    working.config.budget = &budget;
    resting.config.merge_bytes = working.config.merge_bytes = 1;
    fixture_open(&resting);
    for (int i = 0; i < KEYS; i++) {
        put_number(fixture_store(&resting), i, 1);
    }
    commit(&resting, 1);
    /* Alone it may have nearly all: about 64 bytes an entry. */
    ck_assert_int_eq(driver->entries(resting.set), KEYS);
    fixture_open(&working);
    for (int i = 0; i < KEYS; i++) {
        put_number(fixture_store(&working), i, 2);
    }
    commit(&working, 1);
    int64_t before = driver->entries(resting.set);
    for (int i = 0; i < 3000 && driver->entries(resting.set) == before; i++) {
        struct err err;
        check_ok(driver->commit(working.set, NULL, &err));
        driver->tidy(resting.set);
        clock_sleep_ms(2);
    }
    ck_assert_int_lt(driver->entries(resting.set), before);
    check_numbers(fixture_store(&resting), 1);
    check_numbers(fixture_store(&working), 2);
    ck_assert_uint_eq(budget.sets, 2);
    fixture_end(&working);
    fixture_end(&resting);
    ck_assert_uint_eq(budget.sets, 0);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

START_TEST(what_is_not_merged_counts_and_is_merged_early)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.config.cache_bytes = 1500000; /* and merge_bytes is far away */
    fixture_open(&fixture);
    for (int i = 0; i < KEYS; i++) {
        put_number(fixture_store(&fixture), i, 3);
    }
    commit(&fixture, 1);
    merge_down(fixture.set, KEYS * 3 / 4);
    check_numbers(fixture_store(&fixture), 3);
    fixture_end(&fixture);
}
END_TEST

/* ---- expiry ---- */

static struct slice timed(unsigned char key[10], unsigned time, char letter)
{
    memset(key, 0, 10);
    key[6] = (unsigned char)(time >> 8);
    key[7] = (unsigned char)time;
    key[8] = (unsigned char)letter;
    return slice_of(key, 9);
}

/* Times of the keys in order; "*" for one without. */
static const char *times(struct store_cursor *cursor)
{
    static char seen[1024];
    struct err err;
    struct store_entry entry;
    bool found;
    seen[0] = '\0';
    for (check_ok(driver->next(cursor, &found, &entry, &err)); found;
         check_ok(driver->next(cursor, &found, &entry, &err))) {
        size_t length = strlen(seen);
        if (entry.key.size < 8) {
            snprintf(seen + length, sizeof seen - length, "* ");
        } else {
            snprintf(seen + length, sizeof seen - length, "%d ", entry.key.data[6] * 256 + entry.key.data[7]);
        }
    }
    driver->end(cursor);
    return seen;
}

static struct store_cursor *all_of(struct store *store)
{
    struct store_cursor *cursor;
    struct err err;
    check_ok(driver->range(store, SLICE_NULL, SLICE_NULL, false, &cursor, &err));
    return cursor;
}

static struct store *open_windows(struct fixture *fixture)
{
    struct err err;
    unsigned char key[10];
    fixture_init(fixture);
    fixture->specs[0] =
        (struct store_spec){.name = "windows", .kind = STORE_WINDOW, .changelog = true, .segment_ms = 100};
    fixture_open(fixture);
    struct store *store = fixture_store(fixture);
    for (unsigned time = 0; time < 500; time += 50) {
        check_ok(driver->put(store, timed(key, time, 'k'), text("v"), 1, &err));
    }
    check_ok(driver->put(store, slice_of("\0\0", 2), text("note"), 1, &err)); /* before all that have a time */
    check_ok(driver->put(store, text("zz"), text("note"), 1, &err));          /* behind them */
    commit(fixture, 1);
    return store;
}

START_TEST(the_order_forgets_expired_segments_and_keeps_what_has_no_time)
{
    struct fixture fixture;
    struct err err;
    unsigned char key[10];
    struct store *store = open_windows(&fixture);
    ck_assert_str_eq(times(all_of(store)), "* 0 50 100 150 200 250 300 350 400 450 * ");
    check_ok(driver->expire(store, 250, &err));
    ck_assert_str_eq(times(all_of(store)), "* 250 300 350 400 450 * ");
    check_ok(driver->put(store, timed(key, 260, 'k'), text("v"), 1, &err));
    check_ok(driver->put(store, timed(key, 240, 'k'), text("late"), 1, &err));
    ck_assert_str_eq(times(all_of(store)), "* 250 260 300 350 400 450 * ");
    check_ok(driver->rollback(fixture.set, &err));
    ck_assert_str_eq(times(all_of(store)), "* 0 50 100 150 200 250 300 350 400 450 * ");
    check_ok(driver->expire(store, 450, &err));
    commit(&fixture, 2);
    ck_assert_str_eq(times(all_of(store)), "* 450 * ");
    check_ok(driver->expire(store, 100000, &err));
    ck_assert_str_eq(times(all_of(store)), "* * ");
    commit(&fixture, 3);
    fixture_reopen(&fixture);
    ck_assert_str_eq(times(all_of(fixture_store(&fixture))), "* * ");
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_cursor_sees_what_expires_behind_it)
{
    struct fixture fixture;
    struct err err;
    struct store *store = open_windows(&fixture);
    struct store_cursor *cursor = all_of(store);
    check_ok(driver->expire(store, 300, &err));
    ck_assert_str_eq(times(cursor), "* 0 50 100 150 200 250 300 350 400 450 * ");
    ck_assert_str_eq(times(all_of(store)), "* 300 350 400 450 * ");
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("budget", a_merge_that_is_killed_between_its_transactions_loses_nothing,
          a_set_that_rests_makes_room_for_one_that_works, what_is_not_merged_counts_and_is_merged_early,
          the_order_forgets_expired_segments_and_keeps_what_has_no_time, a_cursor_sees_what_expires_behind_it)
