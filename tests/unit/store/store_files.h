/* What tests do to the files of a closed set, and commits until a merge is done. */
#ifndef TIDEMILL_TESTS_STORE_FILES_H
#define TIDEMILL_TESTS_STORE_FILES_H

#include <sqlite3.h>

#include "tests/unit/store/store_fixture.h"

static inline void file_path(const struct fixture *fixture, const char *name, char path[400])
{
    snprintf(path, 400, "%s/%s", fixture->directory, name);
}

/* Runs SQL on a file of the closed set. */
static inline void run_sql(const struct fixture *fixture, const char *name, const char *sql)
{
    char path[400];
    sqlite3 *handle;
    file_path(fixture, name, path);
    ck_assert_int_eq(sqlite3_open(path, &handle), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(handle, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(handle));
    sqlite3_close(handle);
}

static inline int64_t query(const struct fixture *fixture, const char *name, const char *sql)
{
    char path[400];
    sqlite3 *handle;
    sqlite3_stmt *statement;
    file_path(fixture, name, path);
    ck_assert_int_eq(sqlite3_open(path, &handle), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(handle));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t result = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    return result;
}

/* Small commits until the rows have what was committed before, and its deltas are deleted: the merge is in the
 * background, and commits notice that it is done. */
static inline void merge_all(struct fixture *fixture, int64_t *commits)
{
    int64_t through = *commits;
    int64_t first = 0;
    for (int i = 0; i < 60000 && first <= through; i++) {
        commit(fixture, ++*commits);
        usleep(1000);
        first = query(fixture, "deltas.db", "SELECT min(seq) FROM delta");
    }
    ck_assert_int_gt(first, through);
    ck_assert_int_ge(query(fixture, "rows.db", "SELECT merged FROM state"), through);
}

static inline void init_merging(struct fixture *fixture)
{
    fixture_init(fixture);
    fixture->config.merge_bytes = 1;
}

/* A set whose only entry, "a", is in its rows. */
static inline void open_merged(struct fixture *fixture, int64_t *commits)
{
    init_merging(fixture);
    fixture_open(fixture);
    put(fixture_store(fixture), "a", "1");
    commit(fixture, ++*commits);
    merge_all(fixture, commits);
}

static inline void make_closed(struct fixture *fixture)
{
    fixture_init(fixture);
    fixture_open(fixture);
    put(fixture_store(fixture), "a", "old");
    commit(fixture, 1);
    put(fixture_store(fixture), "b", "old");
    commit(fixture, 2);
    fixture_close(fixture);
}

#endif
