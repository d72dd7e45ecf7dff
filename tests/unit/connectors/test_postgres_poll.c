/* Polling on a real server: tests/support/with_postgres.sh gives its URL. */
#include "connectors/postgres/postgres_poll.h"

#include "tests/support/postgres_server.h"

#include "base/json.h"
#include "base/memory.h"
#include "connectors/poll.h"
#include "connectors/postgres/postgres_connection.h"

#include <pthread.h>

#define SOURCE (postgres_poll_connector.source)

static const char *url;
static struct poll_options *options;
static struct connector_context context;
static struct connector_task *task;
static struct bytes position;
static struct source_batch batch;
static struct err err;

static PGconn *connect_to(void)
{
    struct err failure;
    struct connector_context plain = {.app = "test", .name = "test"};
    PGconn *connection = postgres_connection_open(&plain, url, false, &failure);
    ck_assert_msg(connection != NULL, "%s", failure.text);
    return connection;
}

static void sql(const char *text)
{
    struct err failure;
    PGconn *connection = connect_to();
    ck_assert_msg(postgres_connection_run(connection, text, "test", &failure) == 0, "%s", failure.text);
    PQfinish(connection);
}

static int64_t number(const char *text)
{
    struct err failure;
    PGconn *connection = connect_to();
    PGresult *result = postgres_connection_query(connection, text, "test", &failure);
    ck_assert_msg(result != NULL, "%s", failure.text);
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(connection);
    return value;
}

static void option(const char *name, const char *value)
{
    ck_assert_msg(option_set(SOURCE->options, options, name, value, &err) == 0, "%s", err.text);
}

static void start(const char *schema)
{
    url = getenv("TIDEMILL_TEST_POSTGRES");
    ck_assert_ptr_nonnull(url);
    sql(schema);
    options = memory_alloc(SOURCE->options_size);
    option_defaults(SOURCE->options, options);
    option("url", url);
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

static void close_source(void)
{
    SOURCE->close(task);
    task = NULL;
}

static void poll_once(void)
{
    batch = (struct source_batch){0};
    ck_assert_msg(SOURCE->poll(task, 20, &batch, &err) == 0, "%s", err.text);
    if (batch.position.data) {
        bytes_clear(&position);
        bytes_append_slice(&position, batch.position);
    }
}

/* Rows come soon, but not within a time that could be named; "" is checked after the table was read to its end. */
static void check_rows(const char *expected)
{
    struct bytes text = {0};
    for (int i = 0; i < 500 && text.size < strlen(expected); i++) {
        poll_once();
        for (size_t j = 0; j < batch.count; j++) {
            bytes_append_text(&text, text.size > 0 ? " " : "");
            bytes_append_slice(&text, batch.records[j].key);
            bytes_append_slice(&text, batch.records[j].value);
        }
    }
    ck_assert_str_eq(bytes_text(&text), expected);
    bytes_free(&text);
}

static void end(void)
{
    if (task) {
        close_source();
    }
    option_free(SOURCE->options, options);
    free(options);
    bytes_free(&position);
}

#define COMMITTED "tx xid8 NOT NULL DEFAULT pg_current_xact_id()"

START_TEST(values_come_as_in_change_events)
{
    start("DROP TABLE IF EXISTS v; CREATE TABLE v (id bigint PRIMARY KEY, " COMMITTED
          ", t text, b bytea, n numeric, f float8, o bool, j jsonb, z timestamptz, a int[])");
    option("table", "public.v");
    for (const char *const *name = (const char *const[]){"id", "t", "b", "n", "f", "o", "j", "z", "a", NULL}; *name;
         name++) {
        option("columns", *name);
    }
    sql("INSERT INTO v VALUES (9007199254740993, DEFAULT, E'a\\tb\\n\\\\N\"', '\\x00ff', 1.10, 'NaN', true, "
        "'{\"k\": [1]}', '2024-05-06 07:08:09.5+02', '{1,NULL}'); INSERT INTO v VALUES (2)");
    open_source();
    check_rows(
        "{\"id\":2}{\"id\":2,\"t\":null,\"b\":null,\"n\":null,\"f\":null,\"o\":null,\"j\":null,\"z\":null,"
        "\"a\":null} {\"id\":\"9007199254740993\"}{\"id\":\"9007199254740993\",\"t\":\"a\\tb\\n\\\\N\\\"\",\"b\":"
        "\"AP8=\",\"n\":\"1.10\",\"f\":\"NaN\",\"o\":true,\"j\":{\"k\": [1]},\"z\":\"2024-05-06T05:08:09.5Z\","
        "\"a\":[1,null]}");
    ck_assert_str_eq(batch.records[0].topic, "public.v");
    end();
}
END_TEST

START_TEST(reading_goes_on_behind_the_last_row)
{
    start("DROP TABLE IF EXISTS r; CREATE TABLE r (id text PRIMARY KEY, " COMMITTED ")");
    option("table", "r");
    option("columns", "id");
    open_source();
    do {
        poll_once();
    } while (!batch.at_end);
    sql("INSERT INTO r VALUES ('it''s'), ('b\\')");
    check_rows("{\"id\":\"b\\\\\"}{\"id\":\"b\\\\\"} {\"id\":\"it's\"}{\"id\":\"it's\"}");
    close_source();
    sql("INSERT INTO r VALUES ('a')");
    open_source();
    check_rows("{\"id\":\"a\"}{\"id\":\"a\"}");
    end();
}
END_TEST

START_TEST(a_column_that_is_added_comes_with_the_next_rows)
{
    start("DROP TABLE IF EXISTS c; CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1)");
    option("table", "c");
    option("cursor", "id");
    open_source();
    check_rows("{\"id\":1}{\"id\":1}");
    sql("ALTER TABLE c ADD COLUMN x int; INSERT INTO c VALUES (2, 3)");
    check_rows("{\"id\":2}{\"id\":2,\"x\":3}");
    sql("ALTER TABLE c DROP COLUMN x; INSERT INTO c VALUES (4)");
    check_rows("{\"id\":4}{\"id\":4}");
    end();
}
END_TEST

START_TEST(changed_rows_by_time_and_of_a_query)
{
    start("DROP TABLE IF EXISTS u; CREATE TABLE u (id int, at timestamptz, x text); INSERT INTO u VALUES "
          "(2, now() - interval '1 hour', 'b'), (1, now() - interval '1 hour', 'a'), (3, now() + interval '1 hour', "
          "'not due'), (4, NULL, 'never')");
    option("query", "SELECT id, at, upper(x) AS x FROM u WHERE id < 100");
    option("cursor", "time+id");
    option("time", "at");
    option("columns", "x");
    open_source();
    check_rows("{\"x\":\"A\"} {\"x\":\"B\"}");
    ck_assert_ptr_null(batch.records[0].topic);
    ck_assert(slice_is_null(batch.records[0].key));
    sql("UPDATE u SET at = now() - interval '1 minute', x = 'c' WHERE id = 1");
    check_rows("{\"x\":\"C\"}");
    end();
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    start("DROP TABLE IF EXISTS m; CREATE TABLE m (id int)");
    option("table", "none");
    ck_assert_int_eq(try_open(), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_msg(strstr(err.text, "none") != NULL, "%s", err.text);
    option("table", "m");
    ck_assert_int_eq(try_open(), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_msg(strstr(err.text, "tx") != NULL, "%s", err.text);
    option("cursor", "id");
    option("key", "y");
    ck_assert_int_eq(try_open(), -1);
    ck_assert_msg(strstr(err.text, "column y") != NULL, "%s", err.text);
    option("url", "postgresql://127.0.0.1:1/none");
    ck_assert_int_eq(try_open(), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    option("query", "SELECT 1");
    ck_assert_int_eq(SOURCE->validate(options, &err), -1);
    end();
}
END_TEST

START_TEST(a_cut_connection_is_opened_anew)
{
    start("DROP TABLE IF EXISTS k; CREATE TABLE k (id int PRIMARY KEY); INSERT INTO k SELECT generate_series(1, 5000)");
    option("table", "k");
    option("cursor", "id");
    open_source();
    size_t count = 0;
    while (count == 0) {
        poll_once();
        count += batch.count;
    }
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidemill app in'");
    int result;
    do {
        batch = (struct source_batch){0};
        result = SOURCE->poll(task, 20, &batch, &err);
        count += result == 0 ? batch.count : 0;
        if (result == 0 && batch.position.data) {
            bytes_clear(&position);
            bytes_append_slice(&position, batch.position);
        }
    } while (result == 0);
    ck_assert_msg(err.class == ERR_RETRY, "%s", err.text);
    close_source();
    open_source();
    for (int i = 0; i < 500 && count < 5000; i++) {
        poll_once();
        count += batch.count;
    }
    ck_assert_uint_eq(count, 5000);
    end();
}
END_TEST

/* ---- writers that commit in any order ---- */

#define WRITERS 8
#define TRANSACTIONS 150

static void *write_rows(void *argument)
{
    PGconn *connection = connect_to();
    struct err failure;
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < TRANSACTIONS; i++) {
        char text[200];
        snprintf(text, sizeof(text),
                 "BEGIN; INSERT INTO w (n) SELECT 1 FROM generate_series(1, %d); SELECT pg_sleep(%d / 1000.0); COMMIT",
                 1 + rand_r(&seed) % 5, rand_r(&seed) % 20);
        if (postgres_connection_run(connection, text, "writing", &failure)) {
            break;
        }
        if (rand_r(&seed) % 4 == 0) {
            postgres_connection_run(connection, "BEGIN; INSERT INTO w (n) VALUES (1); ROLLBACK", "writing", &failure);
        }
    }
    PQfinish(connection);
    return NULL;
}

/* Rows that were never seen, after all writers are done and everything has been read that the cursor finds. */
static int64_t lost_rows(const char *cursor)
{
    pthread_t writers[WRITERS];
    start("DROP TABLE IF EXISTS w; CREATE TABLE w (id bigserial PRIMARY KEY, n int, " COMMITTED
          "); CREATE INDEX ON w (tx, id)");
    option("table", "w");
    option("cursor", cursor);
    option("columns", "id");
    open_source();
    for (int i = 0; i < WRITERS; i++) {
        pthread_create(&writers[i], NULL, write_rows, (void *)(uintptr_t)(i + 1));
    }
    int64_t seen = 0;
    bool joined = false;
    for (int idle = 0; idle < 50;) {
        poll_once();
        seen += (int64_t)batch.count;
        idle = batch.count > 0 ? 0 : idle + 1;
        if (idle == 50 && !joined) { /* what was committed until now is found by the polls that follow */
            for (int i = 0; i < WRITERS; i++) {
                pthread_join(writers[i], NULL);
            }
            joined = true;
            idle = 0;
        }
    }
    int64_t all = number("SELECT count(*) FROM w");
    ck_assert_int_gt(all, WRITERS * TRANSACTIONS - 1);
    end();
    return all - seen;
}

START_TEST(under_concurrent_writers_the_commit_cursor_loses_nothing)
{
    ck_assert_int_eq(lost_rows("commit"), 0);
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

static void run_statement(void *self, const char *text)
{
    (void)self;
    say(NULL, 9, text);
    sql(text);
}

START_TEST(check_prints_what_makes_the_cursor_complete)
{
    start("DROP TABLE IF EXISTS d; CREATE TABLE d (id int); INSERT INTO d VALUES (1)");
    struct connector_check check = {say, run_statement, NULL};
    option("table", "public.d");
    option("columns", "id");
    said[0] = 0;
    ck_assert_int_eq(SOURCE->check(&context, &check, &err), 0);
    ck_assert_msg(strstr(said, "2 The table lacks the column") && strstr(said, "1 No trigger") &&
                      strstr(said, "1 No index") && strstr(said, "9 CREATE INDEX CONCURRENTLY"),
                  "%s", said);
    said[0] = 0;
    ck_assert_int_eq(SOURCE->check(&context, &check, &err), 0);
    ck_assert_msg(strstr(said, "0 The rows can be read") && !strstr(said, "\n1") && !strstr(said, "9 "), "%s", said);
    open_source();
    check_rows("{\"id\":1}{\"id\":1}");
    sql("UPDATE d SET id = 2");
    check_rows("{\"id\":2}{\"id\":2}");
    close_source();
    option("cursor", "id");
    said[0] = 0;
    ck_assert_int_eq(SOURCE->check(&context, &check, &err), 0);
    ck_assert_msg(strstr(said, "1 A row that is committed later"), "%s", said);
    option("table", "public.none");
    said[0] = 0;
    ck_assert_int_eq(SOURCE->check(&context, &check, &err), 0);
    ck_assert_msg(strstr(said, "2 ") != NULL, "%s", said);
    end();
}
END_TEST

POSTGRES_MAIN("postgres_poll", values_come_as_in_change_events, reading_goes_on_behind_the_last_row,
              a_column_that_is_added_comes_with_the_next_rows, changed_rows_by_time_and_of_a_query,
              what_is_missing_is_named, a_cut_connection_is_opened_anew,
              under_concurrent_writers_the_commit_cursor_loses_nothing, check_prints_what_makes_the_cursor_complete)
