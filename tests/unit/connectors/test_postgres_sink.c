/* The PostgreSQL sink on a real server: tests/support/with_postgres.sh gives its URL. */
#include "tests/support/postgres_sink.h"

static char statements[4096];

static void note_finding(void *self, enum connector_finding finding, const char *text)
{
    (void)self;
    ck_assert(finding <= FINDING_BAD && text[0]);
}

static void note_statement(void *self, const char *sql)
{
    (void)self;
    snprintf(statements + strlen(statements), sizeof(statements) - strlen(statements), "%s;", sql);
}

START_TEST(upsert_keeps_the_last_change_per_key)
{
    setup("upserted", "CREATE TABLE upserted (id bigint PRIMARY KEY, n int, text text)");
    set("delete", "true");
    open_sink();
    ck_assert_int_eq(where(), CONNECTOR_NO_OFFSET);
    ck_assert_msg(WRITE(-1, "1", "{\"n\":1,\"text\":\"a\"}", "2", "{\"n\":2}", "1", "{\"n\":3}", "3", "{\"n\":3}", "3",
                        NULL) == 0,
                  "%s", err.text);
    ck_assert_int_eq(where(), 5);
    ck_assert_str_eq(ask("SELECT string_agg(concat_ws(':', id, n, text), ' ' ORDER BY id) FROM upserted"), "1:3:a 2:2");
    /* A column that the record does not have keeps its value; one that is null becomes null. */
    ck_assert_msg(WRITE(5, "1", "{\"text\":\"b\"}", "2", NULL, "2", "{\"text\":\"new\"}") == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat_ws(':', id, n, text), ' ' ORDER BY id) FROM upserted"),
                     "1:3:b 2:new");
    ck_assert_msg(WRITE(8, "1", "{\"n\":null}", "2", NULL) == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat_ws(':', id, n, text), ' ' ORDER BY id) FROM upserted"), "1:b");
    teardown();
}
END_TEST

START_TEST(old_position_is_fenced_and_writes_nothing)
{
    setup("fenced", "CREATE TABLE fenced (id bigint PRIMARY KEY, n int)");
    open_sink();
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1}"), 0);
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":2}"), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    ck_assert_int_eq(WRITE(7, "1", "{\"n\":3}"), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    ck_assert_str_eq(ask("SELECT n FROM fenced"), "1");
    ck_assert_int_eq(where(), 1);
    const struct sink_batch only_position = {NULL, 0, 1, 9};
    ck_assert_int_eq(postgres_sink_class.write(task, &only_position, &bad, &err), 0);
    ck_assert_int_eq(where(), 9);
    teardown();
}
END_TEST

START_TEST(bad_record_is_named_and_nothing_is_written)
{
    setup("named", "CREATE TABLE named (id bigint PRIMARY KEY, n smallint, s varchar(3) CHECK (s <> 'no'))");
    open_sink();
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1}", "2", "{\"n\":40000}", "3", "{\"n\":1}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_uint_eq(bad, 1);
    ck_assert_msg(strstr(err.text, "\"n\"") && strstr(err.text, "smallint") && strstr(err.text, "40000"), "%s",
                  err.text);
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":\"many\"}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1,\"what\":1}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_msg(strstr(err.text, "what"), "%s", err.text);
    /* What only the server sees: too long is not cut. */
    ck_assert_int_eq(WRITE(-1, "1", "{\"s\":\"long\"}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_int_eq(WRITE(-1, "1", "{\"s\":\"no\"}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_int_eq(where(), CONNECTOR_NO_OFFSET);
    ck_assert_str_eq(ask("SELECT count(*) FROM named"), "0");
    ck_assert_msg(WRITE(-1, "1", "{\"n\":1.0,\"s\":\"yes\"}") == 0, "%s", err.text);
    teardown();
}
END_TEST

START_TEST(values_arrive_in_their_types)
{
    setup("\"typed", "SELECT 1"); /* a table name is quoted */
    ck_assert_int_eq(postgres_sink_class.open(&context, &task, &err), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    set("table", "Mixed.Typed");
    run("CREATE SCHEMA \"Mixed\"; CREATE DOMAIN short AS varchar(5); CREATE TYPE mood AS ENUM ('good', 'bad')");
    run("CREATE TABLE \"Mixed\".\"Typed\" (id uuid PRIMARY KEY, b boolean, i int, d numeric(10,2), f real, t text,"
        " c char(3), j jsonb, y bytea, ts timestamptz, day date, a int[], w text[], o short, m mood, iv interval)");
    open_sink();
    ck_assert_msg(WRITE(-1, "\"7c9e6679-7425-40de-944b-e07fc1f90ae7\"",
                        "{\"b\":true,\"i\":-5,\"d\":\"12.34\",\"f\":1e3,\"t\":\"\\u00e4\\\"\\\\{,}\\n\",\"c\":\"ab\","
                        "\"j\":{\"x\":[1,\"\\\"\"]},\"y\":\"AP8=\",\"ts\":1700000000123,\"day\":\"2024-02-29\","
                        "\"a\":[1,null,3],\"w\":[\"a b\",\"NULL\",\"\\\"\"],\"o\":\"dom\",\"m\":\"good\",\"iv\":\"1 "
                        "day\"}") == 0,
                  "%s", err.text);
    ck_assert_str_eq(ask("SELECT concat_ws('|', b, i, d, f, t = E'\\u00e4\"\\\\{,}\\n', c, j, y, ts, day, a, w, o, m, "
                         "iv) FROM \"Mixed\".\"Typed\""),
                     "t|-5|12.34|1000|t|ab |{\"x\": [1, \"\\\"\"]}|\\x00ff|2023-11-14 22:13:20.123+00|2024-02-29|"
                     "{1,NULL,3}|{\"a b\",\"NULL\",\"\\\"\"}|dom|good|1 day");
    ck_assert_int_eq(WRITE(1, "\"7c9e6679-7425-40de-944b-e07fc1f90ae7\"", "{\"m\":\"sad\"}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    teardown();
}
END_TEST

START_TEST(insert_copies_every_record)
{
    setup("copied", "CREATE TABLE copied (at serial, n int, t text)");
    set("mode", "insert");
    open_sink();
    ck_assert_msg(WRITE(-1, "1", "{\"n\":1,\"t\":\"a\\tb\\\\\\n\"}", "1", "{\"n\":1}", "1", "{\"n\":null,\"t\":\"\"}",
                        "2", "{\"t\":\"\\\\N\"}") == 0,
                  "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat(n, ':', t), '|' ORDER BY at) FROM copied"), "1:a\tb\\\n|1:|:|:\\N");
    ck_assert_int_eq(WRITE(4, "1", "{\"n\":1}", "1", "{\"n\":\"99999999999\"}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_uint_eq(bad, 1); /* the server named the line */
    ck_assert_str_eq(ask("SELECT count(*) FROM copied"), "4");
    teardown();
}
END_TEST

/* The position, the columns and the first rows go to the server in one piece. */
START_TEST(appending_looks_at_position_and_columns_first)
{
    setup("it's \"odd\"", "CREATE TABLE \"it's \"\"odd\"\"\" (n int)");
    set("mode", "insert");
    open_sink();
    ck_assert_msg(WRITE(-1, "1", "{\"n\":1}") == 0, "%s", err.text);
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":2}"), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    /* That another one writes counts more than a bad record, be it the first or one behind rows that are sent. */
    ck_assert_int_eq(WRITE(7, "1", "{\"n\":\"many\"}"), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    ck_assert_uint_eq(bad, SINK_BAD_UNKNOWN);
    ck_assert_int_eq(WRITE(7, "1", "{\"n\":1}", "2", "{\"other\":1}"), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    ck_assert_int_eq(WRITE(1, "1", "{\"n\":1}", "2", "{\"other\":1}"), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_uint_eq(bad, 1);
    run("ALTER TABLE \"it's \"\"odd\"\"\" ALTER COLUMN n TYPE numeric");
    ck_assert_msg(WRITE(1, "1", "{\"n\":12345678901234567890.50}") == 0, "%s", err.text);
    const struct sink_batch only_position = {NULL, 0, 2, 9};
    ck_assert_msg(postgres_sink_class.write(task, &only_position, &bad, &err) == 0, "%s", err.text);
    ck_assert_int_eq(postgres_sink_class.write(task, &only_position, &bad, &err), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    ck_assert_int_eq(where(), 9);
    ck_assert_str_eq(ask("SELECT string_agg(n::text, ' ' ORDER BY n) FROM \"it's \"\"odd\"\"\""),
                     "1 12345678901234567890.50");
    teardown();
}
END_TEST

START_TEST(update_leaves_missing_rows_missing)
{
    setup("updated", "CREATE TABLE updated (a int, b text, n int, PRIMARY KEY (b, a)); "
                     "INSERT INTO updated VALUES (1, 'x', 0), (2, 'y', 0)");
    set("mode", "update");
    open_sink();
    ck_assert_msg(WRITE(-1, "{\"a\":1,\"b\":\"x\"}", "{\"n\":5}", "[\"y\",2]", "{\"n\":6}", "null",
                        "{\"a\":3,\"b\":\"z\",\"n\":7}") == 0,
                  "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(concat(a, b, n), ' ' ORDER BY a) FROM updated"), "1x5 2y6");
    teardown();
}
END_TEST

START_TEST(table_is_made_and_widened)
{
    setup("made", "DROP TABLE IF EXISTS made");
    set("key", "id");
    ck_assert_int_eq(postgres_sink_class.open(&context, &task, &err), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    set("auto_create", "true");
    set("auto_evolve", "true");
    open_sink();
    ck_assert_msg(
        WRITE(-1, "1", "{\"i\":1,\"r\":1,\"t\":\"a\",\"later\":null}", "2", "{\"r\":1.5,\"j\":[1],\"b\":true}") == 0,
        "%s", err.text);
    ck_assert_msg(WRITE(2, "1", "{\"later\":\"now\"}") == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(attname || ' ' || format_type(atttypid, -1), ', ' ORDER BY attnum) FROM "
                         "pg_attribute WHERE attrelid = 'made'::regclass AND attnum > 0"),
                     "id bigint, i bigint, r double precision, t text, j jsonb, b boolean, later text");
    ck_assert_str_eq(ask("SELECT concat_ws(' ', i, r, t, later) FROM made WHERE id = 1"), "1 1 a now");
    teardown();
}
END_TEST

/* Two writers that take each other for dead; every write would be seen if it happened twice. */
START_TEST(competing_writers_write_each_record_once)
{
    setup("competed", "CREATE TABLE competed (n int)");
    set("mode", "insert");
    open_sink();
    struct connector_task *writers[2] = {task, NULL};
    ck_assert_msg(postgres_sink_class.open(&context, &writers[1], &err) == 0, "%s", err.text);
    int64_t next[2] = {CONNECTOR_NO_OFFSET, CONNECTOR_NO_OFFSET};
    int fenced = 0;
    for (int i = 0; i < 60; i++) {
        int turn = i % 3 == 0;
        char value[32];
        task = writers[turn];
        int64_t at = next[turn] == CONNECTOR_NO_OFFSET ? 0 : next[turn];
        snprintf(value, sizeof(value), "{\"n\":%d}", (int)at);
        if (WRITE(next[turn], "0", value) == 0) {
            next[turn] = at + 1;
        } else {
            ck_assert_int_eq(err.class, ERR_FENCED);
            next[turn] = where();
            fenced++;
        }
    }
    ck_assert_int_gt(fenced, 0);
    ck_assert_str_eq(ask("SELECT count(*) = max(n) + 1 AND count(DISTINCT n) = count(*) FROM competed"), "t");
    ck_assert_int_eq(atoi(ask("SELECT count(*) FROM competed")), 60 - fenced);
    postgres_sink_class.close(writers[1]);
    task = writers[0];
    teardown();
}
END_TEST

START_TEST(check_names_missing_rights)
{
    setup("rights", "CREATE TABLE rights (id bigint PRIMARY KEY); CREATE ROLE reader LOGIN PASSWORD 'reader'; "
                    "GRANT SELECT, INSERT ON rights TO reader");
    char url[512];
    snprintf(url, sizeof(url), "postgresql://reader:reader@127.0.0.1:%s/postgres", PQport(connection));
    set("url", url);
    const struct connector_check check = {note_finding, note_statement, NULL};
    ck_assert_msg(postgres_sink_class.check(&context, &check, &err) == 0, "%s", err.text);
    ck_assert_msg(strstr(statements, "GRANT UPDATE ON \"rights\" TO \"reader\""), "%s", statements);
    ck_assert_ptr_null(strstr(statements, "DELETE"));
    teardown();
}
END_TEST

START_TEST(changed_table_is_seen_while_writing)
{
    setup("changed", "CREATE TABLE changed (id bigint PRIMARY KEY, n int)");
    open_sink();
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1}"), 0);
    run("ALTER TABLE changed ADD COLUMN extra text; ALTER TABLE changed ALTER COLUMN n TYPE text");
    ck_assert_msg(WRITE(1, "1", "{\"n\":\"one\",\"extra\":\"x\"}") == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT n || extra FROM changed"), "onex");
    /* Also when the server would take the values as they were. */
    run("ALTER TABLE changed ADD COLUMN total double precision");
    ck_assert_msg(WRITE(2, "1", "{\"total\":\"1.5\"}") == 0, "%s", err.text);
    run("ALTER TABLE changed ALTER COLUMN total TYPE numeric");
    ck_assert_msg(WRITE(3, "1", "{\"total\":12345678901234567890.50}") == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT total FROM changed"), "12345678901234567890.50");
    run("DROP TABLE changed");
    ck_assert_int_eq(WRITE(4, "1", "{\"n\":\"two\"}"), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    teardown();
}
END_TEST

START_TEST(lost_connection_is_tried_again)
{
    setup("lost", "CREATE TABLE lost (id bigint PRIMARY KEY, n int)");
    open_sink();
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1}"), 0);
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidemill app lost' "
        "AND pid <> pg_backend_pid()");
    ck_assert_int_eq(WRITE(1, "1", "{\"n\":2}"), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    postgres_sink_class.close(task);
    open_sink();
    ck_assert_int_eq(where(), 1);
    ck_assert_int_eq(WRITE(1, "1", "{\"n\":2}"), 0);
    ck_assert_str_eq(ask("SELECT n FROM lost"), "2");
    teardown();
}
END_TEST

START_TEST(connecting_says_what_is_wrong)
{
    setup("unused", "SELECT 1");
    char url[512];
    snprintf(url, sizeof(url), "postgresql://tidemill:sesame@127.0.0.1:%s/postgres", PQport(connection));
    ck_assert_ptr_null(postgres_connection_open(&context, url, false, &err));
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_int_eq(err.code, ERR_AUTH);
    ck_assert_msg(strstr(err.text, "28P01") && !strstr(err.text, "sesame"), "%s", err.text);
    snprintf(url, sizeof(url), "postgresql://tidemill:tidemill@127.0.0.1:%s/nowhere", PQport(connection));
    ck_assert_ptr_null(postgres_connection_open(&context, url, false, &err));
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_ptr_null(postgres_connection_open(&context, "postgresql://127.0.0.1:1/postgres", false, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_int_eq(postgres_connection_check_url("postgresql://a:sesame@[broken", &err), -1);
    ck_assert_ptr_null(strstr(err.text, "sesame"));
    teardown();
}
END_TEST

POSTGRES_MAIN("postgres_sink", upsert_keeps_the_last_change_per_key, old_position_is_fenced_and_writes_nothing,
              bad_record_is_named_and_nothing_is_written, values_arrive_in_their_types, insert_copies_every_record,
              appending_looks_at_position_and_columns_first, update_leaves_missing_rows_missing,
              table_is_made_and_widened, competing_writers_write_each_record_once, check_names_missing_rights,
              changed_table_is_seen_while_writing, lost_connection_is_tried_again, connecting_says_what_is_wrong)
