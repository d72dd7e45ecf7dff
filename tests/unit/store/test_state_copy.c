#include "store/state_copy.h"

#include "tests/unit/store/store_files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define COMMITS 1500
#define KEYS 7
#define LATER 100000

/* ---- a process that commits and merges ---- */

struct owner {
    struct fixture fixture;
    atomic_int commits;
    pthread_t thread;
};

/* Commit n leaves "last" = n, and n as the value of key n % KEYS; every other one deletes the key in between. */
static void make_commit(struct fixture *fixture, int n)
{
    struct err err;
    char key[16];
    char value[16];
    struct store *store = fixture_store(fixture);
    snprintf(value, sizeof value, "%d", n);
    snprintf(key, sizeof key, "k%d", n % KEYS);
    put(store, "last", value);
    put(store, key, value);
    snprintf(key, sizeof key, "k%d", (n + 3) % KEYS);
    check_ok(driver->put(store, text(key), SLICE_NULL, 1, &err));
    commit(fixture, n);
}

static void expect_commit(struct fixture *fixture, int n)
{
    char key[16];
    char value[16];
    const char *expected[KEYS] = {NULL};
    char values[KEYS][16];
    snprintf(value, sizeof value, "%d", n);
    ck_assert(has(fixture_store(fixture), "last", value));
    for (int i = n > 2 * KEYS ? n - 2 * KEYS : 0; i <= n; i++) {
        snprintf(values[i % KEYS], sizeof values[0], "%d", i);
        expected[i % KEYS] = values[i % KEYS];
        expected[(i + 3) % KEYS] = NULL;
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ck_assert_msg(has(fixture_store(fixture), key, expected[i]), "key %s after commit %d", key, n);
    }
}

static void *work(void *self)
{
    struct owner *owner = self;
    for (int n = 1; n <= COMMITS; n++) {
        make_commit(&owner->fixture, n);
        atomic_store(&owner->commits, n);
    }
    return NULL;
}

/* ---- copies ---- */

static struct fixture copy_of(const struct fixture *fixture)
{
    struct fixture copy;
    fixture_init(&copy);
    copy.config = fixture->config;
    copy.config.directory = NULL;
    return copy;
}

/* Opens the copy: no quarantine, no file beside the two before that. */
static void open_copy(struct fixture *copy)
{
    ck_assert_int_eq(fixture_files(copy, "", NULL), 2);
    copy->config.directory = copy->directory;
    copy->config.specs = copy->specs;
    fixture_open(copy);
    ck_assert_int_eq(fixture_files(copy, "quarantine", NULL), 0);
}

static int copy_once(struct owner *owner, int least)
{
    struct err err;
    struct fixture copy = copy_of(&owner->fixture);
    check_ok(state_copy(owner->fixture.directory, copy.directory, NULL, NULL, &err));
    open_copy(&copy);
    int n = (int)copy.meta.committed_ms;
    ck_assert_int_ge(n, least);
    expect_commit(&copy, n);
    fixture_end(&copy);
    return n;
}

START_TEST(every_copy_of_a_working_state_is_one_commit)
{
    struct owner owner = {.commits = 0};
    init_merging(&owner.fixture);
    fixture_open(&owner.fixture);
    make_commit(&owner.fixture, 0);
    ck_assert_int_eq(pthread_create(&owner.thread, NULL, work, &owner), 0);
    for (int seen = 0; seen < COMMITS;) {
        seen = copy_once(&owner, atomic_load(&owner.commits));
    }
    pthread_join(owner.thread, NULL);
    fixture_end(&owner.fixture);
}
END_TEST

/* ---- between the two files: when the copy's second transaction begins ---- */

static struct {
    struct owner *owner;
    void (*happen)(struct owner *owner);
    int begun;
} between;

static int on_statement(unsigned kind, void *self, void *statement, void *sql)
{
    (void)kind;
    (void)self;
    (void)statement;
    if (strcmp(sql, "BEGIN") == 0 && ++between.begun == 2) {
        between.happen(between.owner);
    }
    return 0;
}

static int on_open(sqlite3 *handle, char **message, const void *routines)
{
    (void)message;
    (void)routines;
    return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT, on_statement, NULL);
}

static int copy_when(struct owner *owner, void (*happen)(struct owner *owner))
{
    between.owner = owner;
    between.happen = happen;
    between.begun = 0;
    sqlite3_auto_extension((void (*)(void))on_open);
    int n = copy_once(owner, 1);
    sqlite3_reset_auto_extension();
    ck_assert_int_ge(between.begun, 2);
    return n;
}

/* A commit, and then what a merge does that ends its first transaction. */
static void begin_a_merge(struct owner *owner)
{
    make_commit(&owner->fixture, 2);
    run_sql(&owner->fixture, "rows.db",
            "INSERT OR REPLACE INTO store_1_counts VALUES (CAST('last' AS BLOB),"
            " CAST('2' AS BLOB), 1)");
}

START_TEST(a_merge_that_begins_between_the_files_is_not_seen_without_its_deltas)
{
    struct owner owner = {.commits = 0};
    fixture_init(&owner.fixture);
    fixture_open(&owner.fixture);
    make_commit(&owner.fixture, 0);
    make_commit(&owner.fixture, 1);
    ck_assert_int_eq(copy_when(&owner, begin_a_merge), 2);
    fixture_end(&owner.fixture);
}
END_TEST

/* Everything before is merged, and its deltas are deleted. */
static void end_a_merge(struct owner *owner)
{
    int64_t commits = 2;
    merge_all(&owner->fixture, &commits);
    for (int n = LATER - 2 * KEYS; n <= LATER; n++) {
        make_commit(&owner->fixture, n);
    }
}

START_TEST(a_merge_that_ends_between_the_files_is_seen_and_both_are_begun_anew)
{
    struct owner owner = {.commits = 0};
    init_merging(&owner.fixture);
    owner.fixture.config.merge_bytes = 0;
    fixture_open(&owner.fixture);
    make_commit(&owner.fixture, 0);
    make_commit(&owner.fixture, 1);
    fixture_close(&owner.fixture);
    owner.fixture.config.merge_bytes = 1;
    fixture_open(&owner.fixture);
    ck_assert_int_eq(copy_when(&owner, end_a_merge), LATER);
    ck_assert_int_ge(between.begun, 4);
    fixture_end(&owner.fixture);
}
END_TEST

static void note(void *self, int64_t bytes)
{
    *(int64_t *)self += bytes;
}

START_TEST(state_at_rest_is_copied_whole)
{
    struct fixture fixture;
    struct err err;
    struct stat status;
    char path[400];
    char key[32];
    int64_t commits = 0;
    int64_t copied = 0;
    int64_t size = 0;
    init_merging(&fixture);
    fixture_open(&fixture);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(fixture_store(&fixture), key, "a value of some size that fills a good many pages");
    }
    commit(&fixture, ++commits);
    merge_all(&fixture, &commits);
    fixture_close(&fixture);
    struct fixture copy = copy_of(&fixture);
    check_ok(state_copy(fixture.directory, copy.directory, note, &copied, &err));
    for (int i = 0; i < 2; i++) {
        file_path(&copy, i == 0 ? "rows.db" : "deltas.db", path);
        ck_assert_int_eq(stat(path, &status), 0);
        size += status.st_size;
    }
    ck_assert_int_eq(copied, size);
    open_copy(&copy);
    ck_assert(!copy.fresh);
    ck_assert(has(fixture_store(&copy), "key 19999", "a value of some size that fills a good many pages"));
    fixture_end(&copy);
    fixture_open(&fixture);
    fixture_end(&fixture);
}
END_TEST

START_TEST(files_that_are_no_pair_are_not_copied)
{
    static const char *const sql[] = {"UPDATE identity SET pair = pair + 1",
                                      "DELETE FROM delta WHERE seq = (SELECT min(seq) FROM delta)",
                                      "PRAGMA application_id = 99"};
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        struct fixture fixture;
        struct err err;
        make_closed(&fixture);
        run_sql(&fixture, "deltas.db", sql[i]);
        struct fixture copy = copy_of(&fixture);
        ck_assert_int_eq(state_copy(fixture.directory, copy.directory, NULL, NULL, &err), -1);
        ck_assert_int_eq(err.code, ERR_CORRUPT);
        ck_assert_int_eq(fixture_files(&copy, "", NULL), 0);
        rmdir(copy.directory);
        fixture_open(&fixture);
        fixture_end(&fixture);
    }
}
END_TEST

START_TEST(no_state_and_no_place_are_said)
{
    struct fixture fixture;
    struct err err;
    fixture_init(&fixture);
    ck_assert_int_eq(state_copy(fixture.directory, "/tmp/no-such-directory/of/tidemill", NULL, NULL, &err), -1);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    fixture_open(&fixture);
    commit(&fixture, 1);
    ck_assert_int_eq(state_copy(fixture.directory, "/tmp/no-such-directory/of/tidemill", NULL, NULL, &err), -1);
    ck_assert_int_eq(err.code, ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "no-such-directory"));
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("state copy", every_copy_of_a_working_state_is_one_commit,
          a_merge_that_begins_between_the_files_is_not_seen_without_its_deltas,
          a_merge_that_ends_between_the_files_is_seen_and_both_are_begun_anew, state_at_rest_is_copied_whole,
          files_that_are_no_pair_are_not_copied, no_state_and_no_place_are_said)
