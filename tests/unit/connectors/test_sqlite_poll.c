#include "connectors/sqlite/sqlite_poll.h"

#include "tests/support/unit.h"

#include "base/memory.h"
#include "connectors/poll.h"

#include <sqlite3.h>

#define SOURCE (sqlite_poll_connector.source)

static char path[64];
static void *options;
static struct connector_context context;
static struct connector_task *task;
static struct bytes position;
static struct source_batch batch;
static struct err err;
static sqlite3 *db;

static void sql(const char *text)
{
    char *message = NULL;
    sqlite3_exec(db, text, NULL, NULL, &message);
    ck_assert_msg(!message, "%s: %s", text, message);
}

static void option(const char *name, const char *value)
{
    ck_assert_msg(option_set(SOURCE->options, options, name, value, &err) == 0, "%s", err.text);
}

static void start(const char *schema)
{
    strcpy(path, "/tmp/tidemill-sqlite-poll-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sql("PRAGMA journal_mode = WAL");
    sql(schema);
    options = memory_alloc(SOURCE->options_size);
    option_defaults(SOURCE->options, options);
    option("path", path);
    option("poll_ms", "1");
    context = (struct connector_context){.app = "app", .name = "in", .tasks = 1, .options = options};
}

static int try_open(void)
{
    ck_assert_msg(SOURCE->validate(options, &err) == 0, "%s", err.text);
    return SOURCE->open(&context, position.size > 0 ? bytes_slice(&position) : SLICE_NULL, &task, &err);
}

static void open_source(void)
{
    ck_assert_msg(try_open() == 0, "%s", err.text);
}

static void refused(enum err_class class, const char *reason)
{
    ck_assert_int_eq(try_open(), -1);
    ck_assert_msg(err.class == class, "%s: %s", err_class_name(err.class), err.text);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
}

static void poll_once(void)
{
    batch = (struct source_batch){0};
    ck_assert_msg(SOURCE->poll(task, 1000, &batch, &err) == 0, "%s", err.text);
    if (batch.position.data) {
        bytes_clear(&position);
        bytes_append_slice(&position, batch.position);
    }
}

/* Keys and values of one batch. */
static void check_rows(const char *expected)
{
    struct bytes text = {0};
    poll_once();
    for (size_t i = 0; i < batch.count; i++) {
        bytes_append_text(&text, i > 0 ? " " : "");
        if (slice_is_null(batch.records[i].key)) {
            bytes_append_text(&text, "-");
        }
        bytes_append_slice(&text, batch.records[i].key);
        bytes_append_slice(&text, batch.records[i].value);
    }
    ck_assert_str_eq(bytes_text(&text), expected);
    bytes_free(&text);
}

static void end(void)
{
    if (task) {
        SOURCE->close(task);
    }
    sqlite3_close(db);
    char name[80];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
    option_free(SOURCE->options, options);
    free(options);
    bytes_free(&position);
}

static void reopen(void)
{
    SOURCE->close(task);
    task = NULL;
    open_source();
}

START_TEST(new_rows_in_the_order_of_commits)
{
    start("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x)");
    option("table", "t");
    open_source();
    check_rows("");
    ck_assert(batch.at_end);
    sql("INSERT INTO t (x) VALUES (1.5), (NULL), (x'00ff'), (9007199254740993)");
    check_rows("{\"id\":1}{\"id\":1,\"x\":1.5} {\"id\":2}{\"id\":2,\"x\":null} {\"id\":3}{\"id\":3,\"x\":\"AP8=\"} "
               "{\"id\":4}{\"id\":4,\"x\":\"9007199254740993\"}");
    ck_assert_str_eq(batch.records[0].topic, "t");
    check_rows("");
    reopen();
    sql("DELETE FROM t; INSERT INTO t (x) VALUES ('new')");
    check_rows("{\"id\":5}{\"id\":5,\"x\":\"new\"}");
    end();
}
END_TEST

START_TEST(all_rows_once_in_batches)
{
    start("CREATE TABLE t (name TEXT PRIMARY KEY, n); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
          "WHERE i < 3500) INSERT INTO t SELECT 'name ' || i, i FROM n");
    option("table", "t");
    option("cursor", "id");
    option("id", "name");
    option("columns", "n");
    open_source();
    size_t count = 0;
    do {
        poll_once();
        count += batch.count;
        reopen();
    } while (batch.count > 0);
    ck_assert_uint_eq(count, 3500);
    end();
}
END_TEST

START_TEST(changed_rows_by_time)
{
    start("CREATE TABLE t (id INTEGER PRIMARY KEY, x, updated_at TEXT DEFAULT (datetime('now', '-1 day')))");
    option("table", "t");
    option("cursor", "time+id");
    option("columns", "id");
    option("columns", "x");
    option("key", "id");
    sql("INSERT INTO t (id, x) VALUES (2, 'b'), (1, 'a')");
    open_source();
    check_rows("{\"id\":1}{\"id\":1,\"x\":\"a\"} {\"id\":2}{\"id\":2,\"x\":\"b\"}");
    sql("UPDATE t SET x = 'later', updated_at = datetime('now', '-1 hour') WHERE id = 1;"
        "INSERT INTO t VALUES (3, 'not yet due', datetime('now', '+1 hour'))");
    check_rows("{\"id\":1}{\"id\":1,\"x\":\"later\"}");
    check_rows("");
    end();
}
END_TEST

START_TEST(a_query_is_read_as_a_table)
{
    start("CREATE TABLE a (id INTEGER PRIMARY KEY, x); CREATE TABLE b (id INTEGER PRIMARY KEY, y);"
          "INSERT INTO a VALUES (1, 'x'), (2, 'z'); INSERT INTO b VALUES (1, 10), (2, 20)");
    option("query", "SELECT a.id, x, y FROM a JOIN b ON a.id = b.id WHERE y > 5");
    ck_assert_int_eq(SOURCE->validate(options, &err), -1);
    option("cursor", "id");
    open_source();
    check_rows("{\"id\":1}{\"id\":1,\"x\":\"x\",\"y\":10} {\"id\":2}{\"id\":2,\"x\":\"z\",\"y\":20}");
    ck_assert_ptr_null(batch.records[0].topic);
    end();
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    start("CREATE TABLE t (name, x); CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID");
    option("table", "none");
    refused(ERR_FATAL, "none");
    option("table", "w");
    refused(ERR_FATAL, "rowid");
    option("table", "t");
    option("cursor", "id");
    refused(ERR_FATAL, "q.id");
    option("id", "name");
    option("key", "y");
    refused(ERR_FATAL, "column y");
    option("path", "/tmp/tidemill-there-is-none.sqlite");
    refused(ERR_FATAL, "Check the path");
    end();
}
END_TEST

START_TEST(a_position_of_other_options_is_refused)
{
    start("CREATE TABLE t (id INTEGER PRIMARY KEY, updated_at); INSERT INTO t VALUES (1, 2)");
    option("table", "t");
    open_source();
    check_rows("{\"id\":1}{\"id\":1,\"updated_at\":2}");
    SOURCE->close(task);
    task = NULL;
    option("cursor", "time+id");
    refused(ERR_FATAL, "another cursor");
    bytes_clear(&position);
    bytes_append_text(&position, "{\"cursor\":[\"updated_at\",\"id\"],\"after\":[\"i1\"]}");
    refused(ERR_FATAL, "not one of a source that polls");
    end();
}
END_TEST

START_TEST(a_new_column_comes_after_opening_anew)
{
    start("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    option("table", "t");
    open_source();
    check_rows("{\"id\":1}{\"id\":1}");
    sql("ALTER TABLE t ADD COLUMN x; INSERT INTO t VALUES (2, 3)");
    ck_assert_int_eq(SOURCE->poll(task, 1000, &batch, &err), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    reopen();
    check_rows("{\"id\":2}{\"id\":2,\"x\":3}");
    end();
}
END_TEST

static char said[2000];

static void say(void *self, enum connector_finding finding, const char *text)
{
    (void)self;
    size_t size = strlen(said);
    snprintf(said + size, sizeof(said) - size, "%d %s\n", finding, text);
}

START_TEST(check_warns_of_what_is_not_seen)
{
    start("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    struct connector_check check = {say, NULL, NULL};
    option("table", "t");
    ck_assert_int_eq(SOURCE->check(&context, &check, &err), 0);
    ck_assert_msg(strstr(said, "0 The file can be read") && strstr(said, "1 The table has no AUTOINCREMENT"), "%s",
                  said);
    option("table", "none");
    ck_assert_int_eq(SOURCE->check(&context, &check, &err), 0);
    ck_assert_msg(strstr(said, "2 SQLite said \"no such table: none\""), "%s", said);
    end();
}
END_TEST

UNIT_MAIN("sqlite_poll", new_rows_in_the_order_of_commits, all_rows_once_in_batches, changed_rows_by_time,
          a_query_is_read_as_a_table, what_is_missing_is_named, a_position_of_other_options_is_refused,
          a_new_column_comes_after_opening_anew, check_warns_of_what_is_not_seen)
