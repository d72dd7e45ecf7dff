#include "store/state_reader.h"

#include "tests/unit/store/store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static struct state_reader *open_reader(const struct fixture *fixture)
{
    struct state_reader *reader = NULL;
    struct err err;
    check_ok(state_reader_open(fixture->directory, &reader, &err));
    return reader;
}

/* "key=value " for each entry, in order. */
static const char *scan(struct state_reader *reader, size_t index, struct slice from, struct slice to)
{
    static char seen[4096];
    struct store_entry entry;
    struct err err;
    bool found;
    seen[0] = '\0';
    check_ok(state_reader_scan(reader, index, from, to, &err));
    check_ok(state_reader_next(reader, &found, &entry, &err));
    while (found) {
        size_t length = strlen(seen);
        snprintf(seen + length, sizeof seen - length, "%.*s=%.*s ", (int)entry.key.size, (const char *)entry.key.data,
                 (int)entry.value.size, (const char *)entry.value.data);
        check_ok(state_reader_next(reader, &found, &entry, &err));
    }
    return seen;
}

static const char *scan_all(const struct fixture *fixture)
{
    struct state_reader *reader = open_reader(fixture);
    const char *seen = scan(reader, 0, SLICE_NULL, SLICE_NULL);
    state_reader_close(reader);
    return seen;
}

static void put_text(struct fixture *fixture, const char *key, const char *value)
{
    struct err err;
    check_ok(driver->put(driver->find(fixture->set, "counts"), text(key), value != NULL ? text(value) : SLICE_NULL, 1,
                         &err));
}

static void commit_at(struct fixture *fixture, int64_t offset)
{
    struct err err;
    struct store_position input = {"orders", 3, offset, "note"};
    struct store_meta meta = {
        .app = "shop", .worker = "0_3", .partitions = 8, .inputs = &input, .input_count = 1, .committed_ms = 5};
    check_ok(driver->commit(fixture->set, &meta, &err));
}

START_TEST(what_is_committed_is_seen_while_the_owner_works)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    put_text(&fixture, "b", "2");
    put_text(&fixture, "a", "1");
    commit_at(&fixture, 1);
    put_text(&fixture, "a", "changed");
    put_text(&fixture, "c", "3");
    ck_assert_str_eq(scan_all(&fixture), "a=1 b=2 ");
    put_text(&fixture, "b", NULL);
    commit_at(&fixture, 2);
    ck_assert_str_eq(scan_all(&fixture), "a=changed c=3 ");
    fixture_end(&fixture);
}
END_TEST

START_TEST(rows_and_deltas_are_one_at_every_point_of_a_merge)
{
    struct fixture fixture;
    char expected[64];
    char value[32];
    fixture_init(&fixture);
    fixture.config.merge_bytes = 1;
    fixture_open(&fixture);
    for (int i = 1; i <= 300; i++) {
        snprintf(value, sizeof value, "%d", i);
        put_text(&fixture, "a", value);
        put_text(&fixture, i % 2 == 0 ? "even" : "odd", value);
        put_text(&fixture, i % 2 == 0 ? "odd" : "even", NULL);
        commit_at(&fixture, i);
        snprintf(expected, sizeof expected, "a=%d %s=%d ", i, i % 2 == 0 ? "even" : "odd", i);
        ck_assert_str_eq(scan_all(&fixture), expected);
    }
    fixture_end(&fixture);
}
END_TEST

START_TEST(bounds_are_from_and_below)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    for (char key[2] = "a"; key[0] <= 'f'; key[0]++) {
        put_text(&fixture, key, "1");
    }
    commit_at(&fixture, 1);
    struct state_reader *reader = open_reader(&fixture);
    ck_assert_str_eq(scan(reader, 0, text("b"), text("e")), "b=1 c=1 d=1 ");
    ck_assert_str_eq(scan(reader, 0, text("bb"), SLICE_NULL), "c=1 d=1 e=1 f=1 ");
    ck_assert_str_eq(scan(reader, 0, SLICE_NULL, text("a")), "");
    ck_assert_int_eq(state_reader_meta(reader)->inputs[0].offset, 1);
    ck_assert_str_eq(state_reader_meta(reader)->worker, "0_3");
    ck_assert_int_eq(state_reader_count(reader), 1);
    ck_assert_str_eq(state_reader_spec(reader, 0)->name, "counts");
    state_reader_close(reader);
    fixture_end(&fixture);
}
END_TEST

START_TEST(what_expired_is_not_seen_and_the_form_of_windows_is_kept)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    fixture.specs[0].kind = STORE_WINDOW;
    fixture.specs[0].segment_ms = 10;
    fixture.specs[0].by_key = true;
    fixture.specs[0].headers = true;
    fixture_open(&fixture);
    struct store *store = driver->find(fixture.set, "counts");
    check_ok(driver->put(store, slice_of("\0\0\0\0\0\0\0\005k", 9), text("old"), 5, &err));
    check_ok(driver->put(store, slice_of("\0\0\0\0\0\0\0\050k", 9), text("new"), 40, &err));
    check_ok(driver->put(store, text("note"), text("kept"), 40, &err));
    check_ok(driver->expire(store, 30, &err));
    commit_at(&fixture, 1);
    struct state_reader *reader = open_reader(&fixture);
    const struct store_spec *spec = state_reader_spec(reader, 0);
    ck_assert(spec->kind == STORE_WINDOW && spec->by_key && spec->headers);
    struct store_entry entry;
    bool found;
    check_ok(state_reader_scan(reader, 0, SLICE_NULL, SLICE_NULL, &err));
    check_ok(state_reader_next(reader, &found, &entry, &err));
    ck_assert(found && slice_equal(entry.value, text("new")));
    check_ok(state_reader_next(reader, &found, &entry, &err));
    ck_assert(found && slice_equal(entry.value, text("kept")));
    check_ok(state_reader_next(reader, &found, &entry, &err));
    ck_assert(!found);
    state_reader_close(reader);
    fixture_end(&fixture);
}
END_TEST

START_TEST(state_of_a_killed_process_is_read)
{
    struct fixture fixture;
    fixture_init(&fixture);
    pid_t child = fork();
    if (child == 0) {
        unit_in_child();
        fixture_open(&fixture);
        put_text(&fixture, "a", "1");
        commit_at(&fixture, 1);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
    ck_assert_str_eq(scan_all(&fixture), "a=1 ");
    fixture_open(&fixture);
    ck_assert(!fixture.fresh);
    fixture_end(&fixture);
}
END_TEST

START_TEST(other_directories_and_files_are_refused)
{
    struct fixture fixture;
    struct state_reader *reader;
    struct err err;
    char path[400];
    fixture_init(&fixture);
    ck_assert_int_eq(state_reader_open(fixture.directory, &reader, &err), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    fixture_open(&fixture);
    put_text(&fixture, "a", "1");
    commit_at(&fixture, 1);
    fixture_close(&fixture);
    while (fixture_files(&fixture, "deltas.db-", path) > 0) {
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/deltas.db", fixture.directory);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("no database at all", file);
    fclose(file);
    ck_assert_int_eq(state_reader_open(fixture.directory, &reader, &err), -1);
    ck_assert_int_eq(err.code, ERR_CORRUPT);
    ck_assert_int_eq(fixture_files(&fixture, "quarantine", NULL), 0);
    fixture_open(&fixture);
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("state reader", what_is_committed_is_seen_while_the_owner_works,
          rows_and_deltas_are_one_at_every_point_of_a_merge, bounds_are_from_and_below,
          what_expired_is_not_seen_and_the_form_of_windows_is_kept, state_of_a_killed_process_is_read,
          other_directories_and_files_are_refused)
