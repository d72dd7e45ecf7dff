/* kill -9 at any moment leaves a whole commit: the newest one, or an older one.
 *
 * A child commits without end, with merges under way most of the time; commit n puts n into key n % KEYS, and into the
 * key "last", so that a reader can tell from the meta what every key must be.
 */
#include "tests/unit/store/store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define KEYS 500
#define ROUNDS 25
#define KEYS_PER_COMMIT 40

static void key_of(int64_t number, char key[32])
{
    snprintf(key, 32, "key %lld", (long long)(number % KEYS));
}

static void must(int result)
{
    if (result != 0) {
        _exit(1);
    }
}

static void commit_number(struct fixture *fixture, int64_t number)
{
    struct err err;
    struct store *store = fixture_store(fixture);
    char key[32];
    char value[32];
    for (int64_t i = number * KEYS_PER_COMMIT; i < (number + 1) * KEYS_PER_COMMIT; i++) {
        key_of(i, key);
        snprintf(value, sizeof value, "%lld", (long long)i);
        must(driver->put(store, text(key), text(i % 7 == 0 ? NULL : value), 1, &err));
    }
    must(fixture_commit(fixture, number, &err));
}

/* Writes the number of each commit that is done into the pipe, until it is killed. */
static _Noreturn void run_child(struct fixture *fixture, int64_t number, int out)
{
    struct err err;
    must(driver->open(&fixture->config, &fixture->set, &fixture->meta, &fixture->fresh, &err));
    for (;; number++) {
        commit_number(fixture, number);
        if (write(out, &number, sizeof number) != sizeof number) {
            _exit(1);
        }
    }
}

/* Kills the child some commits after the start; returns the last commit that it reported. */
static int64_t run_and_kill(struct fixture *fixture, int64_t number, int commits, unsigned pause_us)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        unit_in_child();
        close(ends[0]);
        run_child(fixture, number, ends[1]);
    }
    close(ends[1]);
    int64_t last = number - 1;
    for (int i = 0; i < commits && read(ends[0], &last, sizeof last) == sizeof last; i++) {
    }
    usleep(pause_us);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(ends[0], &last, sizeof last) == sizeof last) {
    }
    close(ends[0]);
    return last;
}

static void check_state(struct fixture *fixture, int64_t number)
{
    char key[32];
    char value[32];
    int64_t next = (number + 1) * KEYS_PER_COMMIT;
    for (int64_t i = next > KEYS ? next - KEYS : 0; i < next; i++) {
        key_of(i, key);
        snprintf(value, sizeof value, "%lld", (long long)i);
        ck_assert_msg(has(fixture_store(fixture), key, i % 7 == 0 ? NULL : value), "%s is not %s after commit %lld",
                      key, value, (long long)number);
    }
}

/* The process died, not the machine: what commit returned for is there, but for the last one if that was left to the
 * thread for commits. */
static void run_rounds(int64_t merge_bytes, int64_t cache_bytes, int64_t background_bytes, unsigned seed)
{
    struct fixture fixture;
    int64_t number = 0;
    fixture_init(&fixture);
    fixture.config.merge_bytes = merge_bytes;
    fixture.config.unmerged_bytes = merge_bytes * 20;
    fixture.config.cache_bytes = cache_bytes;
    fixture.config.background_bytes = background_bytes;
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 1103515245u + 12345u;
        int64_t reported = run_and_kill(&fixture, number, (int)(seed >> 16) % 60, (seed >> 8) % 3000);
        fixture_open(&fixture);
        ck_assert_int_eq(fixture_files(&fixture, "quarantine", NULL), 0);
        int64_t found = fixture.meta.app != NULL ? fixture.meta.committed_ms : -1;
        ck_assert_int_ge(found, reported - (background_bytes > 0));
        ck_assert_int_le(found, reported + 1);
        check_state(&fixture, found);
        fixture_close(&fixture);
        number = found + 1;
    }
    ck_assert_int_gt(number, ROUNDS);
    fixture_open(&fixture);
    fixture_end(&fixture);
}

START_TEST(killed_between_and_in_commits)
{
    run_rounds(INT64_MAX / 100, 0, 0, 1);
}
END_TEST

START_TEST(killed_while_merging)
{
    run_rounds(1, 0, 0, 2);
    run_rounds(5000, 0, 0, 3);
}
END_TEST

START_TEST(killed_while_merging_and_evicting)
{
    run_rounds(2000, 1000, 0, 4);
}
END_TEST

START_TEST(killed_while_commits_are_written_behind)
{
    run_rounds(INT64_MAX / 100, 0, 1, 5);
    run_rounds(2000, 1000, 1, 6);
}
END_TEST

UNIT_MAIN("crash", killed_between_and_in_commits, killed_while_merging, killed_while_merging_and_evicting,
          killed_while_commits_are_written_behind)
