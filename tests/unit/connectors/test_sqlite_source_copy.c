/* A copy that is made of a SQLite source's events and nothing else: while rows change, and while the source is killed.
 */
#include "tests/support/sqlite_source.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- a copy that follows ---- */

static sqlite3 *copy;

static int copy_text(const char *text, struct slice value)
{
    sqlite3_stmt *statement = NULL;
    ck_assert_msg(sqlite3_prepare_v2(copy, text, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(copy));
    if (sqlite3_bind_parameter_count(statement) > 0) {
        sqlite3_bind_text(statement, 1, (const char *)value.data, (int)value.size, SQLITE_STATIC);
    }
    int code = sqlite3_step(statement);
    int number_or_changes =
        sqlite3_column_count(statement) > 0 ? sqlite3_column_int(statement, 0) : sqlite3_changes(copy);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? number_or_changes : -1;
}

/* Every event changes exactly one row: one too many or too few is noticed. */
static bool apply(const struct record *record)
{
    struct slice op;
    if (slice_is_null(record->value)) {
        return true;
    }
    json_member(record->value, slice_text("op"), &op);
    switch (op.data[1]) {
    case 'r':
    case 'c':
        return copy_text("INSERT INTO copy SELECT json_extract(?1, '$.after.id'), json_extract(?1, '$.after.n')",
                         record->value) == 1;
    case 'u':
        return copy_text("UPDATE copy SET n = json_extract(?1, '$.after.n') WHERE id = json_extract(?1, "
                         "'$.before.id') AND n = json_extract(?1, '$.before.n')",
                         record->value) == 1;
    default:
        return copy_text("DELETE FROM copy WHERE id = json_extract(?1, '$.before.id') AND n = json_extract(?1, "
                         "'$.before.n')",
                         record->value) == 1;
    }
}

static void open_copy(void)
{
    char name[80];
    snprintf(name, sizeof(name), "%s-copy", path);
    ck_assert_int_eq(sqlite3_open(name, &copy), SQLITE_OK);
    copy_text("PRAGMA journal_mode = WAL", SLICE_NULL);
    copy_text("PRAGMA synchronous = OFF", SLICE_NULL);
    copy_text("CREATE TABLE IF NOT EXISTS copy (id PRIMARY KEY, n)", SLICE_NULL);
    copy_text("CREATE TABLE IF NOT EXISTS position (text)", SLICE_NULL);
}

static void remove_copy(void)
{
    char name[80];
    sqlite3_close(copy);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s-copy%s", path, suffixes[i]);
        unlink(name);
    }
}

/* The records and the position in one transaction, as the runner has them in one of the log. */
static bool take_batch(void)
{
    bool good = copy_text("BEGIN", SLICE_NULL) >= 0;
    for (size_t i = 0; i < batch.count && good; i++) {
        good = apply(&batch.records[i]);
    }
    if (batch.position.data) {
        copy_text("DELETE FROM position", SLICE_NULL);
        copy_text("INSERT INTO position VALUES (?1)", bytes_slice(&position));
    }
    return good && copy_text("COMMIT", SLICE_NULL) >= 0;
}

static void compare(void)
{
    char text[200];
    snprintf(text, sizeof(text), "ATTACH '%s-copy' AS c", path);
    sql(text);
    ck_assert_int_eq(number("SELECT count(*) FROM (SELECT id, n FROM t EXCEPT SELECT id, n FROM c.copy)"), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM (SELECT id, n FROM c.copy EXCEPT SELECT id, n FROM t)"), 0);
    ck_assert_int_eq(number("SELECT count(*) FROM t"), number("SELECT count(*) FROM c.copy"));
    sql("DETACH c");
}

#define FILL                                                                                                           \
    "; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) INSERT INTO t (id, n) SELECT "   \
    "%s, 0 "                                                                                                           \
    "FROM n"
#define TOUCH                                                                                                          \
    "BEGIN; UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 40); "                        \
    "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 20); "                                        \
    "INSERT OR IGNORE INTO t (id, n) SELECT %1$s, 7 FROM (SELECT abs(random() %% 9000) AS i FROM t LIMIT 20); "        \
    "UPDATE OR IGNORE t SET id = (SELECT %1$s FROM (SELECT abs(random() %% 9000) AS i)) "                              \
    "WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 5); COMMIT"

/* The row where the reading stands: whether its change was seen is the nearest question. */
static void touch_last(void)
{
    char text[300];
    if (batch.count > 0) {
        struct slice key = batch.records[batch.count - 1].key;
        snprintf(text, sizeof(text), "UPDATE t SET n = n + 1 WHERE id = json_extract('%.*s', '$.id')", (int)key.size,
                 (const char *)key.data);
        sql(text);
    }
}

/* Rows change, also their keys, while the snapshot is read; the source is opened anew now and then. */
static void follow(const char *table, const char *id)
{
    char text[1200];
    snprintf(text, sizeof(text), "%s" FILL, table, id);
    start(text);
    snprintf(text, sizeof(text), TOUCH, id);
    option("tables", "t");
    open_copy();
    open_source();
    for (int i = 0; i < 30; i++) {
        sql(text);
        ck_assert_msg(try_poll(0) == 0, "%s", err.text);
        ck_assert_msg(take_batch(), "after %d batches", i);
        touch_last();
        if (i % 3 == 2) {
            close_source();
            sql(text);
            open_source();
        }
    }
    do {
        poll_records();
        ck_assert(take_batch());
    } while (batch.count > 0);
    ck_assert(batch.at_end);
    compare();
    remove_copy();
    end();
}

START_TEST(a_copy_is_exact_by_integer_keys)
{
    follow("CREATE TABLE t (id INTEGER PRIMARY KEY, n)", "i");
}
END_TEST

START_TEST(a_copy_is_exact_by_texts_and_rowids)
{
    follow("CREATE TABLE t (id TEXT PRIMARY KEY, n)", "'Key ' || i");
}
END_TEST

START_TEST(a_copy_is_exact_without_rowids)
{
    follow("CREATE TABLE t (id TEXT COLLATE NOCASE PRIMARY KEY, n) WITHOUT ROWID",
           "CASE i % 2 WHEN 0 THEN 'key ' ELSE 'KEY ' END || i");
}
END_TEST

START_TEST(a_copy_is_exact_by_two_columns)
{
    follow("CREATE TABLE t (n, id TEXT, part INTEGER DEFAULT 1, PRIMARY KEY (part DESC, id COLLATE NOCASE)) WITHOUT "
           "ROWID",
           "'key ' || i");
}
END_TEST

/* Rowids mean other rows after it, so the table is read once more, and deletions meanwhile are not lost. */
START_TEST(vacuum_while_the_rows_are_read)
{
    static bool there[2501];
    start("CREATE TABLE t (id TEXT PRIMARY KEY); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
          "i < 2500) INSERT INTO t SELECT 'k' || i FROM n");
    option("tables", "t");
    open_source();
    for (bool first = true; first || batch.count > 0; first = false) {
        poll_records();
        for (size_t i = 0; i < batch.count; i++) {
            struct slice op;
            const struct record *record = &batch.records[i];
            if (!slice_is_null(record->value) && json_member(record->value, slice_text("op"), &op)) {
                there[atoi((const char *)record->key.data + strlen("{\"id\":\"k"))] = op.data[1] != 'd';
            }
        }
        if (first) {
            sql("DELETE FROM t WHERE rowid < 1200 AND rowid % 2 = 0; VACUUM; DELETE FROM t WHERE id = 'k1'");
        }
    }
    for (int i = 2; i <= 2500; i++) {
        ck_assert_msg(there[i] == (i >= 1200 || i % 2 != 0), "row %d", i);
    }
    ck_assert(!there[1]);
    end();
}
END_TEST

/* ---- killed ---- */

static void read_for_ever(void)
{
    unit_in_child();
    open_copy();
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(copy, "SELECT text FROM position", -1, &statement, NULL);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        bytes_append_text(&position, (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    task = NULL;
    while (try_open() != 0) {
        if (err.class != ERR_RETRY) {
            _exit(3);
        }
    }
    for (;;) {
        if (try_poll(20) != 0) {
            _exit(err.class == ERR_RETRY ? 5 : 4);
        }
        if (!take_batch()) {
            _exit(2);
        }
        if (batch.position.data && sqlite_source.acknowledge(task, bytes_slice(&position), &err) != 0) {
            _exit(6);
        }
    }
}

static void write_for_ever(const char *text)
{
    unit_in_child();
    sqlite3_open(path, &db);
    sqlite3_busy_timeout(db, 60000);
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    for (;;) {
        sqlite3_exec(db, text, NULL, NULL, NULL);
    }
}

START_TEST(killed_at_any_time_nothing_is_lost_or_doubled)
{
    char text[1200];
    snprintf(text, sizeof(text), "CREATE TABLE t (id INTEGER PRIMARY KEY, n)" FILL, "i");
    start(text);
    snprintf(text, sizeof(text), TOUCH, "i");
    option("tables", "t");
    sqlite3_close(db);
    db = NULL;
    pid_t writer = fork();
    if (writer == 0) {
        write_for_ever(text);
    }
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            read_for_ever();
        }
        usleep((useconds_t)(10000 + i * 5237));
        kill(child, SIGKILL);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFSIGNALED(status), "status %d", WEXITSTATUS(status));
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    open_copy();
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(copy, "SELECT text FROM position", -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        bytes_append_text(&position, (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    open_source();
    do {
        poll_records();
        ck_assert(take_batch());
    } while (batch.count > 0);
    compare();
    remove_copy();
    end();
}
END_TEST

UNIT_MAIN("sqlite_source_copy", a_copy_is_exact_by_integer_keys, a_copy_is_exact_by_texts_and_rowids,
          a_copy_is_exact_without_rowids, a_copy_is_exact_by_two_columns, vacuum_while_the_rows_are_read,
          killed_at_any_time_nothing_is_lost_or_doubled)
