#include "tests/support/sqlite_source.h"

#include <signal.h>
#include <sys/resource.h>

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

static void create_wide(size_t columns)
{
    struct bytes text = {0};
    bytes_append_text(&text, "CREATE TABLE wide (id INTEGER PRIMARY KEY");
    for (size_t i = 1; i < columns; i++) {
        bytes_append_format(&text, ", x%zu", i);
    }
    bytes_append_text(&text, "); INSERT INTO wide (id) VALUES (1)");
    sql(bytes_text(&text));
    bytes_free(&text);
}

START_TEST(tables_have_a_widest)
{
    start(ORDERS);
    create_wide(998);
    option("tables", "wide");
    refused(ERR_FATAL, "at most 997");
    sql("DROP TABLE wide");
    create_wide(997);
    open_source();
    check_ops("r{\"id\":1}");
    sql("UPDATE wide SET x996 = 7");
    check_ops("u{\"id\":1}");
    end();
}
END_TEST

/* A limit on the size of files is to SQLite what a full disk is. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_full_disk_is_tried_again)
{
    start(ORDERS "; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO orders "
                 "SELECT i, 'x', 1 FROM n");
    option("tables", "orders");
    limit_files(64 << 10);
    refused(ERR_RETRY, "full");
    limit_files(RLIM_INFINITY);
    open_source();
    poll_records();
    ck_assert_uint_eq(batch.count, SOURCE_BATCH_RECORDS);
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
          files_that_are_no_databases, a_full_disk_is_tried_again, tables_have_a_widest,
          another_log_than_the_one_that_was_read_is_refused, check_names_what_is_missing, options_are_checked)
