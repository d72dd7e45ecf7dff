/* Changes of tables as PostgreSQL's log brings them, on the server that tests/support/with_postgres.sh gives. */
#include "../../support/postgres_mirror.h"

static void start(struct capture *capture, const char *name, const char *table)
{
    capture_begin(capture, name, table);
    capture_open(capture);
    capture_to_end(capture);
}

START_TEST(snapshot_then_changes)
{
    struct capture c;
    capture_sql("CREATE TABLE t (id bigint PRIMARY KEY, b bool, n numeric, j jsonb, at timestamptz, raw bytea, d text, "
                "f float8);"
                "INSERT INTO t VALUES (1, true, 1.10, '{\"a\": 1}', '2026-01-31 10:15:00.5Z', '\\x6869', "
                "E'a\\tb\\\\N', 0.5), (9007199254740993, null, null, null, null, null, null, 'NaN')");
    start(&c, "changes", "public.t");
    capture_expect(&c, "{\"id\":1} {\"op\":\"r\",\"before\":null,\"after\":{\"id\":1,\"b\":true,\"n\":\"1.10\","
                       "\"j\":{\"a\": 1},\"at\":\"2026-01-31T10:15:00.5Z\",\"raw\":\"aGk=\",\"d\":\"a\\tb\\\\N\","
                       "\"f\":0.5}");
    capture_expect(&c, "{\"id\":\"9007199254740993\"} ");
    capture_sql("INSERT INTO t (id, d) SELECT 2, string_agg(md5(i::text), '') FROM generate_series(1, 1000) i;"
                "UPDATE t SET b = false WHERE id = 2; DELETE FROM t WHERE id = 2; TRUNCATE t");
    capture_until(&c, "\"op\":\"t\"");
    capture_expect(&c, "{\"id\":2} {\"op\":\"u\",\"before\":null,\"after\":{\"id\":2,\"b\":false,");
    capture_expect(&c, "\"unavailable\":[\"d\"]");
    capture_expect(&c, "{\"id\":2} {\"op\":\"d\",\"before\":{\"id\":2},\"after\":null");
    capture_expect(&c, "\n{\"id\":2} \n {\"op\":\"t\",\"before\":null,\"after\":null");
    capture_end(&c);
}
END_TEST

START_TEST(changed_key_is_a_deletion_and_a_creation)
{
    struct capture c;
    capture_sql("CREATE TABLE moving (id int PRIMARY KEY, v text); INSERT INTO moving VALUES (1, 'x')");
    start(&c, "moving", "public.moving");
    capture_sql("UPDATE moving SET id = 7 WHERE id = 1");
    capture_until(&c, "{\"id\":7}");
    char *deletion = strstr(bytes_text(&c.seen), "{\"id\":1} {\"op\":\"d\",\"before\":{\"id\":1},\"after\":null");
    ck_assert_ptr_nonnull(deletion);
    char *tombstone = strstr(deletion, "} __debezium.newkey={\"id\":7}\n{\"id\":1}  __debezium.newkey={\"id\":7}\n");
    ck_assert_ptr_nonnull(tombstone);
    char *creation = strstr(tombstone, "\n{\"id\":7} {\"op\":\"c\",\"before\":null,\"after\":{\"id\":7,\"v\":\"x\"}");
    ck_assert_ptr_nonnull(creation);
    ck_assert_ptr_nonnull(strstr(creation, "} __debezium.oldkey={\"id\":1}\n"));
    capture_end(&c);
}
END_TEST

START_TEST(whole_rows_as_identity)
{
    struct capture c;
    capture_sql(
        "CREATE TABLE whole (id int PRIMARY KEY, v text, big text); ALTER TABLE whole ALTER big SET STORAGE "
        "EXTERNAL; ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole VALUES (1, 'a', repeat('b', 9000));"
        "CREATE TABLE keyless (v text); ALTER TABLE keyless REPLICA IDENTITY FULL");
    capture_begin(&c, "whole", "public.whole");
    option_list_add(&c.options.tables, "public.keyless");
    capture_open(&c);
    capture_to_end(&c);
    capture_sql(
        "UPDATE whole SET v = 'z'; UPDATE whole SET id = 2; DELETE FROM whole; INSERT INTO keyless VALUES ('k');"
        "UPDATE keyless SET v = 'l'; DELETE FROM keyless");
    capture_until(&c, "\"before\":{\"v\":\"l\"}");
    capture_expect(&c, "{\"id\":1} {\"op\":\"u\",\"before\":{\"id\":1,\"v\":\"a\",\"big\":\"bbb");
    capture_expect(&c, "\"after\":{\"id\":1,\"v\":\"z\",\"big\":\"bbb");
    capture_expect_none(&c, "unavailable");
    capture_expect(&c, "{\"id\":1} {\"op\":\"d\",\"before\":{\"id\":1,\"v\":\"z\",\"big\":\"bbb");
    capture_expect(&c, "{\"id\":2} {\"op\":\"c\",\"before\":null,\"after\":{\"id\":2,\"v\":\"z\"");
    capture_expect(&c, "{\"id\":2} {\"op\":\"d\"");
    /* Without a key: no tombstone either. */
    capture_expect(&c, "\n {\"op\":\"c\",\"before\":null,\"after\":{\"v\":\"k\"}");
    capture_expect(&c, "\n {\"op\":\"u\",\"before\":{\"v\":\"k\"},\"after\":{\"v\":\"l\"}");
    capture_expect(&c, "\n {\"op\":\"d\",\"before\":{\"v\":\"l\"},\"after\":null");
    capture_expect_none(&c, "\n \n");
    capture_end(&c);
}
END_TEST

START_TEST(identity_by_an_index)
{
    struct capture c;
    capture_sql(
        "CREATE TABLE indexed (a int NOT NULL, b text NOT NULL, v int); CREATE UNIQUE INDEX indexed_by ON indexed "
        "(a, b); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_by; INSERT INTO indexed VALUES (1, 'x', "
        "5)");
    start(&c, "indexed", "public.indexed");
    capture_sql("UPDATE indexed SET v = 6; DELETE FROM indexed");
    capture_until(&c, "\"op\":\"d\"");
    capture_expect(&c, "{\"a\":1,\"b\":\"x\"} {\"op\":\"r\"");
    capture_expect(&c, "{\"a\":1,\"b\":\"x\"} {\"op\":\"u\"");
    capture_expect(&c, "{\"a\":1,\"b\":\"x\"} {\"op\":\"d\"");
    capture_end(&c);
}
END_TEST

START_TEST(large_values_that_stay_are_not_sent)
{
    struct capture c;
    capture_sql(
        "CREATE TABLE toast (id int PRIMARY KEY, v int, a text, b text); ALTER TABLE toast ALTER a SET STORAGE "
        "EXTERNAL, ALTER b SET STORAGE EXTERNAL; INSERT INTO toast VALUES (1, 0, repeat('a', 9000), repeat('b', "
        "9000))");
    start(&c, "toast", "public.toast");
    capture_sql("UPDATE toast SET v = 1; UPDATE toast SET a = repeat('c', 9000); UPDATE toast SET a = null");
    capture_until(&c, "\"a\":null");
    capture_expect(&c, "\"after\":{\"id\":1,\"v\":1},");
    capture_expect(&c, "\"unavailable\":[\"a\",\"b\"]");
    capture_expect(&c, "\"after\":{\"id\":1,\"v\":1,\"a\":\"ccc");
    capture_expect(&c, "\"after\":{\"id\":1,\"v\":1,\"a\":null},");
    capture_expect(&c, "\"unavailable\":[\"b\"]");
    capture_end(&c);
}
END_TEST

START_TEST(columns_change_in_mid_stream)
{
    struct capture c;
    capture_sql("CREATE TABLE evolving (id int PRIMARY KEY, v text)");
    start(&c, "evolving", "public.evolving");
    capture_sql(
        "INSERT INTO evolving VALUES (1, 'a'); ALTER TABLE evolving ADD n int DEFAULT 9; INSERT INTO evolving "
        "VALUES (2, 'b', 3); ALTER TABLE evolving RENAME v TO w; UPDATE evolving SET w = 'c' WHERE id = 1;"
        "ALTER TABLE evolving DROP n; INSERT INTO evolving VALUES (3, 'd'); ALTER TABLE evolving ALTER w TYPE "
        "jsonb USING to_jsonb(w); INSERT INTO evolving VALUES (4, '[1]'); ALTER TABLE evolving RENAME TO evolved;"
        "INSERT INTO evolved VALUES (5, '[2]')");
    capture_until(&c, "{\"id\":5}");
    capture_expect(&c, "\"after\":{\"id\":1,\"v\":\"a\"}");
    capture_expect(&c, "\"after\":{\"id\":2,\"v\":\"b\",\"n\":3}");
    capture_expect(&c, "\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"w\":\"c\",\"n\":9}");
    capture_expect(&c, "\"after\":{\"id\":3,\"w\":\"d\"}");
    capture_expect(&c, "\"after\":{\"id\":4,\"w\":[1]}");
    capture_expect(&c, "\"table\":\"evolved\"");
    capture_end(&c);
}
END_TEST

START_TEST(what_is_rolled_back_never_comes)
{
    struct capture c;
    capture_sql("CREATE TABLE tried (id int PRIMARY KEY)");
    start(&c, "tried", "public.tried");
    capture_sql(
        "BEGIN; INSERT INTO tried VALUES (1); SAVEPOINT s; INSERT INTO tried VALUES (2); ROLLBACK TO s; INSERT INTO "
        "tried VALUES (3); COMMIT; BEGIN; INSERT INTO tried VALUES (4); ROLLBACK; INSERT INTO tried VALUES (5)");
    capture_until(&c, "{\"id\":5}");
    capture_expect(&c, "{\"id\":1}");
    capture_expect(&c, "{\"id\":3}");
    ck_assert_uint_eq(c.count, 3);
    capture_end(&c);
}
END_TEST

START_TEST(several_tables_and_one_that_nobody_wants)
{
    struct capture c;
    capture_sql(
        "CREATE SCHEMA \"Odd one\"; CREATE TABLE \"Odd one\".\"T.x\" (\"a\"\"b\" int PRIMARY KEY); CREATE TABLE "
        "second (id int PRIMARY KEY); CREATE TABLE unwanted (id int PRIMARY KEY);"
        "CREATE PUBLICATION several FOR ALL TABLES");
    capture_begin(&c, "several", "Odd one.T.x");
    option_list_add(&c.options.tables, "second");
    capture_open(&c);
    capture_to_end(&c);
    capture_sql(
        "BEGIN; INSERT INTO second VALUES (1); INSERT INTO unwanted VALUES (2); INSERT INTO \"Odd one\".\"T.x\" "
        "VALUES (3); COMMIT; TRUNCATE second, unwanted; DROP TABLE second; CREATE TABLE second (id int PRIMARY "
        "KEY); INSERT INTO second VALUES (4)");
    capture_until(&c, "{\"id\":4}");
    capture_expect(&c, "{\"a\\\"b\":3} {\"op\":\"c\"");
    capture_expect(&c, "\"schema\":\"Odd one\",\"table\":\"T.x\"");
    capture_expect_none(&c, "unwanted");
    ck_assert_uint_eq(c.count, 4);
    capture_end(&c);
    capture_sql("DROP PUBLICATION several");
}
END_TEST

START_TEST(goes_on_inside_a_transaction)
{
    struct capture c;
    capture_sql("CREATE TABLE big (id int PRIMARY KEY)");
    start(&c, "big", "public.big");
    capture_sql("INSERT INTO big SELECT generate_series(1, 3500)");
    while (c.count < 3500) { /* a batch, then the connection is lost before anything is acknowledged */
        if (capture_poll(&c) > 0) {
            capture_close(&c);
            capture_open(&c);
        }
    }
    capture_sql("INSERT INTO big VALUES (5000)");
    capture_until(&c, "{\"id\":5000}");
    ck_assert_uint_eq(c.count, 3501);
    capture_expect(&c, "{\"id\":1} ");
    capture_expect(&c, "{\"id\":3500} ");
    capture_end(&c);
}
END_TEST

/* What is read and not committed is read again; what is committed may be acknowledged late or never. */
static void read_with_losses(struct capture *capture, struct mirror *mirror, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct source_batch lost = {0};
        capture_poll_each(capture, mirror_apply, mirror);
        if (i % 3 == 0) {
            capture_acknowledge(capture);
        }
        if (i % 4 == 1) {
            postgres_source_class.poll(capture->task, 100, &lost, &capture->err);
        }
        if (i % 2 == 1) {
            capture_close(capture);
            capture_open(capture);
        }
    }
}

/* A last change whose event tells that all before it have come. */
static void read_to_last(struct capture *capture, struct mirror *mirror)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES (%d, 0)", mirror->table, MIRROR_IDS - 1);
    capture_sql(sql);
    while (!mirror->present[MIRROR_IDS - 1]) {
        capture_poll_each(capture, mirror_apply, mirror);
    }
}

START_TEST(restarts_lose_and_double_nothing)
{
    struct capture c;
    struct mirror mirror;
    mirror_begin(&mirror, "restarted", 1000);
    capture_begin(&c, "restarted", "public.restarted");
    c.keep = false;
    capture_open(&c);
    do {
        capture_poll_each(&c, mirror_apply, &mirror);
    } while (!c.at_end);
    mirror_start_writers(&mirror, 1500);
    capture_sql("INSERT INTO restarted SELECT i, i FROM generate_series(3000, 9000) i");
    read_with_losses(&c, &mirror, 24);
    mirror_join_writers(&mirror);
    read_to_last(&c, &mirror);
    mirror_compare(&mirror);
    capture_end(&c);
    mirror_end(&mirror);
}
END_TEST

static void *end_server(void *command)
{
    capture_server(command);
    return NULL;
}

/* A server that is stopped, not killed, ends when everything is confirmed. */
static void read_to_failure(struct capture *capture, struct mirror *mirror)
{
    while (capture_try_poll(capture, mirror_apply, mirror) == 0) {
        capture_acknowledge(capture);
    }
    ck_assert_msg(capture->err.class == ERR_RETRY, "%s", capture->err.text);
}

START_TEST(server_dies_and_comes_back)
{
    struct capture c;
    struct mirror mirror;
    mirror_begin(&mirror, "killed", 1000);
    mirror.may_fail = true;
    capture_begin(&c, "killed", "public.killed");
    c.keep = false;
    capture_open(&c);
    do {
        capture_poll_each(&c, mirror_apply, &mirror);
    } while (!c.at_end);
    for (int round = 0; round < 3; round++) {
        mirror_start_writers(&mirror, 2000);
        for (int i = 0; i < 3; i++) {
            capture_poll_each(&c, mirror_apply, &mirror);
        }
        capture_acknowledge(&c);
        pthread_t ending;
        ck_assert_int_eq(pthread_create(&ending, NULL, end_server, round == 1 ? "stop" : "kill"), 0);
        read_to_failure(&c, &mirror);
        pthread_join(ending, NULL);
        capture_close(&c);
        ck_assert_int_ne(capture_try_open(&c), 0);
        ck_assert_msg(c.err.class == ERR_RETRY, "%s", c.err.text);
        mirror_join_writers(&mirror);
        capture_server("start");
        capture_open(&c);
    }
    read_to_last(&c, &mirror);
    mirror_compare(&mirror);
    capture_end(&c);
    mirror_end(&mirror);
}
END_TEST

START_TEST(idle_tables_keep_no_log)
{
    struct capture c;
    struct err err;
    capture_sql("CREATE TABLE idle (id int PRIMARY KEY); CREATE TABLE busy (id int, filler text)");
    start(&c, "idle", "public.idle");
    capture_sql("INSERT INTO busy SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i");
    struct bytes before = {0};
    bytes_append_slice(&before, bytes_slice(&c.position));
    while (atoll(capture_ask("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::int8 FROM "
                             "pg_replication_slots WHERE slot_name = 'idle'")) >= 1000000) {
        capture_poll(&c);
        if (!slice_equal(bytes_slice(&before), bytes_slice(&c.position))) {
            ck_assert_int_eq(postgres_source_class.acknowledge(c.task, bytes_slice(&c.position), &err), 0);
        }
    }
    ck_assert_uint_eq(c.count, 0);
    capture_close(&c);
    capture_open(&c);
    capture_sql("INSERT INTO idle VALUES (1)");
    capture_until(&c, "{\"id\":1}");
    bytes_free(&before);
    capture_end(&c);
}
END_TEST

POSTGRES_MAIN("postgres_stream", snapshot_then_changes, changed_key_is_a_deletion_and_a_creation,
              whole_rows_as_identity, identity_by_an_index, large_values_that_stay_are_not_sent,
              columns_change_in_mid_stream, what_is_rolled_back_never_comes, several_tables_and_one_that_nobody_wants,
              goes_on_inside_a_transaction, restarts_lose_and_double_nothing, server_dies_and_comes_back,
              idle_tables_keep_no_log)
