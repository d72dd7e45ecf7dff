#include "connectors/sqlite/sqlite_source.h"

#include "tests/support/unit.h"

#include "base/json.h"
#include "base/memory.h"
#include "connectors/sqlite/sqlite_source_check.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

/* ---- a source on a file of its own ---- */

static char path[64];
static void *options;
static struct connector_context context;
static struct connector_task *task;
static struct bytes position; /* of the last batch; empty: from the beginning */
static struct source_batch batch;
static struct err err;
static sqlite3 *db; /* the application's connection */

static void sql(const char *text)
{
    char *message = NULL;
    sqlite3_exec(db, text, NULL, NULL, &message);
    ck_assert_msg(!message, "%s: %s", text, message);
}

static int64_t number(const char *text)
{
    sqlite3_stmt *statement = NULL;
    ck_assert_msg(sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void option(const char *name, const char *value)
{
    ck_assert_msg(option_set(sqlite_source.options, options, name, value, &err) == 0, "%s", err.text);
}

static void start(const char *schema)
{
    strcpy(path, "/tmp/tidemill-sqlite-source-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 20000);
    sql("PRAGMA journal_mode = WAL");
    sql(schema);
    options = memory_alloc(sqlite_source.options_size);
    option_defaults(sqlite_source.options, options);
    option("path", path);
    context = (struct connector_context){.app = "app", .name = "in", .tasks = 1, .options = options};
}

static int try_open(void)
{
    ck_assert_msg(sqlite_source.validate(options, &err) == 0, "%s", err.text);
    return sqlite_source.open(&context, position.size > 0 ? bytes_slice(&position) : SLICE_NULL, &task, &err);
}

static void open_source(void)
{
    ck_assert_msg(try_open() == 0, "%s", err.text);
}

static void close_source(void)
{
    if (task) {
        sqlite_source.close(task);
    }
    task = NULL;
}

static void refused(enum err_class class, const char *reason)
{
    ck_assert_int_eq(try_open(), -1);
    ck_assert_msg(err.class == class, "%s: %s", err_class_name(err.class), err.text);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
}

static int try_poll(int timeout_ms)
{
    batch = (struct source_batch){0};
    if (sqlite_source.poll(task, timeout_ms, &batch, &err) != 0) {
        return -1;
    }
    if (batch.position.data) {
        bytes_clear(&position);
        bytes_append_slice(&position, batch.position);
    }
    return 0;
}

/* Polls until a batch has records or nothing more is there. */
static void poll_records(void)
{
    do {
        ck_assert_msg(try_poll(0) == 0, "%s", err.text);
    } while (batch.count == 0 && batch.position.data);
}

/* "op key" of each record of the batch, and "-" for a tombstone. */
static void check_ops(const char *expected)
{
    struct bytes text = {0};
    struct slice op;
    poll_records();
    for (size_t i = 0; i < batch.count; i++) {
        const struct record *record = &batch.records[i];
        bytes_append_text(&text, i > 0 ? " " : "");
        if (slice_is_null(record->value)) {
            bytes_append_text(&text, "-");
        } else {
            ck_assert(json_member(record->value, slice_text("op"), &op));
            bytes_append_byte(&text, op.data[1]);
        }
        bytes_append_slice(&text, record->key);
    }
    ck_assert_str_eq(bytes_text(&text), expected);
    bytes_free(&text);
}

static void check_member(size_t record, const char *name, const char *expected)
{
    struct slice value;
    ck_assert(json_member(batch.records[record].value, slice_text(name), &value));
    ck_assert_msg(value.size == strlen(expected) && memcmp(value.data, expected, value.size) == 0, "%s: %.*s", name,
                  (int)value.size, (const char *)value.data);
}

static void end(void)
{
    close_source();
    sqlite3_close(db);
    char name[80];
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
    option_free(sqlite_source.options, options);
    free(options);
    bytes_free(&position);
}

#define ORDERS "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL)"

/* ---- what comes out ---- */

START_TEST(rows_come_first_then_their_changes)
{
    start(ORDERS "; INSERT INTO orders VALUES (1, 'pen', 1.5), (2, NULL, 2)");
    option("tables", "orders");
    open_source();
    check_ops("r{\"id\":1} r{\"id\":2}");
    check_member(0, "after", "{\"id\":1,\"item\":\"pen\",\"price\":1.5}");
    check_member(0, "before", "null");
    check_member(1, "after", "{\"id\":2,\"item\":null,\"price\":2.0}");
    ck_assert_str_eq(batch.records[0].topic, "orders");
    ck_assert_int_gt(batch.records[0].timestamp, 1600000000000);
    sql("BEGIN; INSERT INTO orders VALUES (3, 'cup', 3); UPDATE orders SET price = 9 WHERE id = 3;"
        "DELETE FROM orders WHERE id = 1; UPDATE orders SET id = 7 WHERE id = 2; COMMIT");
    check_ops("c{\"id\":3} u{\"id\":3} d{\"id\":1} -{\"id\":1} d{\"id\":2} -{\"id\":2} c{\"id\":7}");
    check_member(1, "before", "{\"id\":3,\"item\":\"cup\",\"price\":3.0}");
    check_member(1, "after", "{\"id\":3,\"item\":\"cup\",\"price\":9.0}");
    check_member(2, "before", "{\"id\":1,\"item\":\"pen\",\"price\":1.5}");
    ck_assert_int_gt(batch.records[0].timestamp, 1600000000000);
    check_ops("");
    ck_assert(batch.at_end);
    end();
}
END_TEST

START_TEST(what_was_rolled_back_never_comes)
{
    start(ORDERS);
    option("tables", "orders");
    option("snapshot", "never");
    sql("INSERT INTO orders VALUES (1, 'old', 1)");
    open_source();
    check_ops("");
    sql("BEGIN; INSERT INTO orders VALUES (2, 'a', 1); ROLLBACK; INSERT INTO orders VALUES (3, 'b', 1)");
    check_ops("c{\"id\":3}");
    sql("BEGIN; INSERT INTO orders VALUES (4, 'a', 1); SAVEPOINT s; INSERT INTO orders VALUES (5, 'a', 1); "
        "ROLLBACK TO s; COMMIT");
    check_ops("c{\"id\":4}");
    end();
}
END_TEST

START_TEST(values_keep_what_they_are)
{
    start("CREATE TABLE v (id INTEGER PRIMARY KEY, x)");
    option("tables", "v");
    option("tombstones", "false");
    open_source();
    sql("INSERT INTO v VALUES (1, 9007199254740993), (2, x'00ff41'), (3, 0.1), (4, 9e999), (5, 'a\"b'), (6, ''), "
        "(7, x''), (8, 1e300), (9, NULL), (10, -7)");
    poll_records();
    static const char *const values[] = {"\"9007199254740993\"",
                                         "\"AP9B\"",
                                         "0.1",
                                         "\"Infinity\"",
                                         "\"a\\\"b\"",
                                         "\"\"",
                                         "\"\"",
                                         "1e+300",
                                         "null",
                                         "-7"};
    ck_assert_uint_eq(batch.count, 10);
    for (size_t i = 0; i < batch.count; i++) {
        char expected[80];
        snprintf(expected, sizeof(expected), "{\"id\":%zu,\"x\":%s}", i + 1, values[i]);
        check_member(i, "after", expected);
    }
    sql("DELETE FROM v");
    poll_records();
    ck_assert_uint_eq(batch.count, 10);
    check_member(0, "before", "{\"id\":1,\"x\":\"9007199254740993\"}");
    end();
}
END_TEST

START_TEST(keys_of_all_kinds_of_tables)
{
    start("CREATE TABLE plain (rowid TEXT, x); CREATE TABLE pair (a TEXT, b INTEGER, x, PRIMARY KEY (b, a)) WITHOUT "
          "ROWID; CREATE TABLE \"odd \"\"name\" (\"the key\" TEXT PRIMARY KEY); INSERT INTO plain VALUES ('t', 1);"
          "INSERT INTO pair VALUES ('k', 2, 3); INSERT INTO \"odd \"\"name\" VALUES ('o')");
    option("tables", "plain");
    option("tables", "pair");
    option("tables", "odd \"name");
    open_source();
    check_ops("r{\"rowid\":1} r{\"a\":\"k\",\"b\":2} r{\"the key\":\"o\"}");
    check_member(0, "after", "{\"rowid\":\"t\",\"x\":1}");
    sql("UPDATE plain SET x = 2; UPDATE pair SET x = 4; UPDATE pair SET a = 'l'; DELETE FROM \"odd \"\"name\"");
    check_ops("u{\"rowid\":1} u{\"a\":\"k\",\"b\":2} d{\"a\":\"k\",\"b\":2} -{\"a\":\"k\",\"b\":2} "
              "c{\"a\":\"l\",\"b\":2} d{\"the key\":\"o\"} -{\"the key\":\"o\"}");
    end();
}
END_TEST

START_TEST(reading_goes_on_at_a_position)
{
    start(ORDERS "; INSERT INTO orders VALUES (1, 'a', 1)");
    option("tables", "orders");
    open_source();
    check_ops("r{\"id\":1}");
    close_source();
    sql("INSERT INTO orders VALUES (2, 'b', 1)");
    open_source();
    check_ops("c{\"id\":2}");
    close_source();
    open_source();
    check_ops("");
    end();
}
END_TEST

START_TEST(what_was_acknowledged_leaves_the_log)
{
    start(ORDERS);
    option("tables", "orders");
    open_source();
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
        "INSERT INTO orders SELECT i, 'x', 1 FROM n");
    size_t seen = 0;
    do {
        poll_records();
        seen += batch.count;
    } while (batch.count > 0);
    ck_assert_uint_eq(seen, 2500);
    ck_assert_int_eq(number("SELECT count(*) FROM \"_tidemill_log:app:in\""), 2500);
    ck_assert_int_eq(sqlite_source.acknowledge(task, bytes_slice(&position), &err), 0);
    try_poll(30);
    ck_assert_int_eq(number("SELECT count(*) FROM \"_tidemill_log:app:in\""), 1);
    sql("INSERT INTO orders VALUES (9999, 'b', 1)");
    close_source();
    open_source();
    check_ops("c{\"id\":9999}");
    end();
}
END_TEST

/* ---- tables that change ---- */

START_TEST(a_new_column_comes_with_the_rows_that_were_written_before_it_was_noticed)
{
    start(ORDERS "; INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)");
    option("tables", "orders");
    open_source();
    check_ops("r{\"id\":1} r{\"id\":2}");
    sql("ALTER TABLE orders ADD COLUMN note TEXT; UPDATE orders SET note = 'new' WHERE id = 2;"
        "INSERT INTO orders VALUES (3, 'c', 3, 'newer')");
    check_ops("u{\"id\":2} c{\"id\":3} r{\"id\":2} r{\"id\":3}");
    check_member(0, "after", "{\"id\":2,\"item\":\"b\",\"price\":2.0}");
    check_member(2, "after", "{\"id\":2,\"item\":\"b\",\"price\":2.0,\"note\":\"new\"}");
    sql("UPDATE orders SET note = 'last' WHERE id = 2; ALTER TABLE orders RENAME COLUMN item TO thing");
    check_ops("u{\"id\":2} r{\"id\":2}");
    check_member(1, "after", "{\"id\":2,\"thing\":\"b\",\"price\":2.0,\"note\":\"last\"}");
    end();
}
END_TEST

START_TEST(a_table_made_anew_is_read_again)
{
    start(ORDERS "; INSERT INTO orders VALUES (1, 'a', 1)");
    option("tables", "orders");
    open_source();
    check_ops("r{\"id\":1}");
    sql("DROP TABLE orders; " ORDERS "; INSERT INTO orders VALUES (5, 'e', 1)");
    check_ops("r{\"id\":5}");
    sql("INSERT INTO orders VALUES (6, 'f', 1)");
    check_ops("c{\"id\":6}");
    close_source();
    sql("DROP TABLE orders; " ORDERS "; INSERT INTO orders VALUES (8, 'e', 1)");
    open_source();
    check_ops("r{\"id\":8}");
    end();
}
END_TEST

START_TEST(tables_are_added_and_left_out)
{
    start(ORDERS "; CREATE TABLE more (id INTEGER PRIMARY KEY); INSERT INTO more VALUES (1)");
    option("tables", "orders");
    open_source();
    check_ops("");
    close_source();
    option("tables", "more");
    open_source();
    check_ops("r{\"id\":1}");
    sql("INSERT INTO more VALUES (2)");
    close_source();
    option_free(sqlite_source.options, options);
    option_defaults(sqlite_source.options, options);
    option("path", path);
    option("tables", "orders");
    open_source();
    check_ops("");
    ck_assert_int_eq(number("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"), 3);
    end();
}
END_TEST

START_TEST(a_table_that_is_renamed_or_missing_is_named)
{
    start(ORDERS "; CREATE VIEW v AS SELECT * FROM orders");
    option("tables", "orders");
    open_source();
    check_ops("");
    sql("ALTER TABLE orders RENAME TO sales");
    ck_assert_int_eq(try_poll(0), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_msg(strstr(err.text, "no table orders"), "%s", err.text);
    close_source();
    option("tables", "v");
    sql("ALTER TABLE sales RENAME TO orders");
    refused(ERR_FATAL, "is a view");
    end();
}
END_TEST

/* ---- files that can't be read, and positions that don't fit ---- */

START_TEST(a_locked_file_is_tried_again)
{
    start(ORDERS);
    option("tables", "orders");
    sql("BEGIN IMMEDIATE");
    refused(ERR_RETRY, "lock");
    sql("COMMIT");
    open_source();
    end();
}
END_TEST

START_TEST(files_that_are_no_databases)
{
    start(ORDERS);
    option("tables", "orders");
    option("path", "/tmp/tidemill-there-is-none.sqlite");
    refused(ERR_FATAL, "Check the path");
    ck_assert_int_ne(access("/tmp/tidemill-there-is-none.sqlite", F_OK), 0);
    option("path", "/proc/self/exe");
    refused(ERR_FATAL, "");
    end();
}
END_TEST

START_TEST(another_log_than_the_one_that_was_read_is_refused)
{
    start(ORDERS);
    option("tables", "orders");
    open_source();
    check_ops("");
    sql("INSERT INTO orders VALUES (1, 'a', 1)");
    check_ops("c{\"id\":1}");
    close_source();
    sql("DELETE FROM \"_tidemill_log:app:in\"");
    refused(ERR_FATAL, "older copy");
    sql("DROP TABLE \"_tidemill_log:app:in\"; DROP TABLE \"_tidemill_tables:app:in\"");
    refused(ERR_FATAL, "is not the one");
    bytes_clear(&position);
    bytes_append_text(&position, "{\"lsn\":1}");
    refused(ERR_FATAL, "not one of a SQLite source");
    bytes_clear(&position);
    open_source();
    check_ops("r{\"id\":1}");
    end();
}
END_TEST

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
    "; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) INSERT INTO t SELECT %s, 0 "     \
    "FROM n"
#define TOUCH                                                                                                          \
    "BEGIN; UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 40); "                        \
    "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 20); "                                        \
    "INSERT OR IGNORE INTO t SELECT %1$s, 7 FROM (SELECT abs(random() %% 9000) AS i FROM t LIMIT 20); "                \
    "UPDATE OR IGNORE t SET id = (SELECT %1$s FROM (SELECT abs(random() %% 9000) AS i)) "                              \
    "WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 5); COMMIT"

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

/* ---- checking ---- */

static char said[4000];

static void say(void *self, enum connector_finding finding, const char *text)
{
    (void)self;
    size_t size = strlen(said);
    snprintf(said + size, sizeof(said) - size, "%d %s\n", finding, text);
}

static void statement_said(void *self, const char *text)
{
    say(self, 9, text);
}

START_TEST(check_names_what_is_missing)
{
    start(ORDERS "; CREATE TABLE loose (x UNIQUE); PRAGMA journal_mode = DELETE");
    option("tables", "orders");
    option("tables", "none");
    option("tables", "loose");
    struct connector_check check = {say, statement_said, NULL};
    said[0] = 0;
    ck_assert_int_eq(sqlite_source.check(&context, &check, &err), 0);
    ck_assert_msg(strstr(said, "1 The file has no write-ahead log") && strstr(said, "9 PRAGMA journal_mode = WAL;") &&
                      strstr(said, "0 Table orders can be watched") && strstr(said, "2 There is no table none") &&
                      strstr(said, "1 Table loose has no primary key") && strstr(said, "recursive_triggers") &&
                      strstr(said, "DROP TRIGGER \"_tidemill_trigger:app:in:TABLE:insert\""),
                  "%s", said);
    ck_assert_int_eq(number("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%tidemill%'"), 0);
    option("path", "/tmp/tidemill-there-is-none.sqlite");
    ck_assert_int_eq(sqlite_source.check(&context, &check, &err), -1);
    end();
}
END_TEST

START_TEST(options_are_checked)
{
    start(ORDERS);
    ck_assert_int_eq(sqlite_source.validate(options, &err), -1);
    option("tables", "orders");
    option("tables", "ORDERS");
    ck_assert_int_eq(sqlite_source.validate(options, &err), -1);
    ck_assert_msg(strstr(err.text, "twice"), "%s", err.text);
    end();
}
END_TEST

UNIT_MAIN("sqlite_source", rows_come_first_then_their_changes, what_was_rolled_back_never_comes,
          values_keep_what_they_are, keys_of_all_kinds_of_tables, reading_goes_on_at_a_position,
          what_was_acknowledged_leaves_the_log,
          a_new_column_comes_with_the_rows_that_were_written_before_it_was_noticed, a_table_made_anew_is_read_again,
          tables_are_added_and_left_out, a_table_that_is_renamed_or_missing_is_named, a_locked_file_is_tried_again,
          files_that_are_no_databases, another_log_than_the_one_that_was_read_is_refused,
          a_copy_is_exact_by_integer_keys, a_copy_is_exact_by_texts_and_rowids, a_copy_is_exact_without_rowids,
          killed_at_any_time_nothing_is_lost_or_doubled, check_names_what_is_missing, options_are_checked)
