/* Snapshots of tables that are written meanwhile; tests/support/with_postgres.sh gives the server. */
#include "../../support/postgres_mirror.h"

START_TEST(writers_meanwhile_leave_no_gap_and_no_overlap)
{
    struct capture c;
    struct mirror mirror;
    mirror_begin(&mirror, "written", 20000);
    mirror_start_writers(&mirror, 3000);
    capture_begin(&c, "written", "public.written");
    c.keep = false;
    capture_open(&c);
    do {
        capture_poll_each(&c, mirror_apply, &mirror);
    } while (!c.at_end);
    mirror_join_writers(&mirror);
    capture_sql("INSERT INTO written VALUES (199999, 0)");
    while (!mirror.present[MIRROR_IDS - 1]) {
        capture_poll_each(&c, mirror_apply, &mirror);
    }
    mirror_compare(&mirror);
    capture_end(&c);
    mirror_end(&mirror);
}
END_TEST

START_TEST(progress_is_told)
{
    struct capture c;
    capture_sql("CREATE TABLE counted (id int PRIMARY KEY); INSERT INTO counted SELECT generate_series(1, 2500);"
                "CREATE TABLE empty (id int PRIMARY KEY); ANALYZE counted");
    capture_begin(&c, "counted", "empty");
    option_list_add(&c.options.tables, "public.counted");
    capture_open(&c);
    while (c.count < 1000) {
        capture_poll(&c);
    }
    ck_assert_str_eq(c.phase, "snapshot of public.counted");
    ck_assert_int_eq(c.progress.done, (int64_t)c.count);
    ck_assert_int_eq(c.progress.total, 2500);
    capture_to_end(&c);
    ck_assert_str_eq(c.phase, "");
    ck_assert_uint_eq(c.count, 2500);
    capture_end(&c);
}
END_TEST

START_TEST(partitions_come_as_their_table)
{
    struct capture c;
    capture_sql(
        "CREATE TABLE parted (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY RANGE "
        "(id); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10); CREATE TABLE parted_2 "
        "PARTITION OF parted FOR VALUES FROM (10) TO (20); INSERT INTO parted VALUES (1), (11)");
    capture_begin(&c, "parted", "public.parted");
    capture_open(&c);
    capture_to_end(&c);
    capture_sql("INSERT INTO parted VALUES (12); UPDATE parted SET id = 2 WHERE id = 12");
    capture_until(&c, "{\"id\":2} {\"op\":\"c\"");
    capture_expect(&c, "{\"id\":1} {\"op\":\"r\",\"before\":null,\"after\":{\"id\":1},");
    capture_expect(&c, "{\"id\":11} {\"op\":\"r\"");
    capture_expect(&c, "{\"id\":12} {\"op\":\"c\",\"before\":null,\"after\":{\"id\":12},");
    capture_expect(&c, "{\"id\":12} {\"op\":\"d\"");
    capture_expect_none(&c, "parted_");
    capture_end(&c);
}
END_TEST

/* Batches are lost, or kept and acknowledged, and the task is opened again after most of them. */
START_TEST(interrupted_snapshot_goes_on)
{
    struct capture c;
    struct mirror mirror;
    mirror_begin(&mirror, "torn", 24000);
    mirror_start_writers(&mirror, 12000);
    capture_begin(&c, "torn", "public.torn");
    c.keep = false;
    capture_open(&c);
    for (int i = 0; c.phase[0] || i < 3; i++) {
        struct source_batch lost = {0};
        capture_poll_each(&c, mirror_apply, &mirror);
        if (i % 2 == 0) {
            capture_acknowledge(&c);
        }
        if (i % 3 == 0) {
            postgres_source_class.poll(c.task, 100, &lost, &c.err);
        }
        if (i % 5 != 4) {
            capture_close(&c);
            capture_open(&c);
        }
    }
    mirror_join_writers(&mirror);
    capture_sql("INSERT INTO torn VALUES (199999, 0)");
    while (!mirror.present[MIRROR_IDS - 1]) {
        capture_poll_each(&c, mirror_apply, &mirror);
        capture_acknowledge(&c);
    }
    mirror_compare(&mirror);
    ck_assert_str_eq(capture_ask("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'torn%'"), "1");
    capture_end(&c);
    mirror_end(&mirror);
}
END_TEST

/* Reads up to a record, each batch by a task of its own. */
static void read_torn(struct capture *capture, const char *text)
{
    while (!strstr(bytes_text(&capture->seen), text)) {
        if (capture_poll(capture) > 0) {
            capture_close(capture);
            capture_open(capture);
        }
    }
}

static size_t count_lines(struct capture *capture, const char *text)
{
    size_t count = 0;
    for (const char *at = bytes_text(&capture->seen); (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

START_TEST(marks_of_several_tables_and_columns)
{
    struct capture c;
    capture_sql(
        "CREATE TABLE first (id int PRIMARY KEY, v int); INSERT INTO first SELECT i, 0 FROM generate_series(1, 10) i;"
        "CREATE TABLE middle (v int, word text COLLATE \"C\", \"n o\" numeric, PRIMARY KEY (word, \"n o\") "
        "INCLUDE (v)); INSERT INTO middle SELECT 0, chr(97 + i / 1000) || '''x\"\\', i FROM generate_series(0, "
        "4999) i; CREATE TABLE last (id int PRIMARY KEY, v int); INSERT INTO last VALUES (1, 0)");
    capture_begin(&c, "marks", "first");
    option_list_add(&c.options.tables, "middle");
    option_list_add(&c.options.tables, "last");
    capture_open(&c);
    read_torn(&c, ",\"n o\":\"1500\"}");
    capture_close(&c);
    capture_sql(
        "UPDATE first SET v = 1 WHERE id = 1; UPDATE middle SET v = 2 WHERE \"n o\" IN (5, 4995); UPDATE last SET v "
        "= 3; DELETE FROM middle WHERE \"n o\" IN (6, 4996); UPDATE middle SET word = 'zz' WHERE \"n o\" = 7;"
        "UPDATE middle SET word = 'aa' WHERE \"n o\" = 4997; UPDATE middle SET \"n o\" = 8.5 WHERE \"n o\" = 8;"
        "INSERT INTO middle VALUES (9, 'a', 0.5), (9, 'y', 0.5)");
    capture_open(&c);
    /* Behind the second slot's begin: not by the first one. */
    capture_sql("UPDATE first SET v = 5 WHERE id = 2; INSERT INTO first VALUES (11, 0)");
    read_torn(&c, "\"table\":\"last\"");
    capture_until(&c, "{\"id\":11}");
    /* Up to the mark the changes came, behind it the rows as they are now. */
    ck_assert_uint_eq(count_lines(&c, "{\"id\":2} {\"op\":\"u\""), 1);
    ck_assert_uint_eq(count_lines(&c, "{\"id\":11} {\"op\":\"c\""), 1);
    capture_expect(&c, "{\"id\":1} {\"op\":\"u\"");
    capture_expect(&c, "\"op\":\"u\",\"before\":null,\"after\":{\"v\":2,\"word\":\"a'x\\\"\\\\\",\"n o\":\"5\"}");
    capture_expect(&c, "\"op\":\"r\",\"before\":null,\"after\":{\"v\":2,\"word\":\"e'x\\\"\\\\\",\"n o\":\"4995\"}");
    capture_expect(&c, "\"op\":\"r\",\"before\":null,\"after\":{\"id\":1,\"v\":3}");
    ck_assert_uint_eq(count_lines(&c, "\"op\":\"d\""), 3); /* 6, 7 which moved behind the mark, and 8 */
    ck_assert_uint_eq(count_lines(&c, "\"op\":\"c\""), 4); /* 4997 which came from there, 8.5, 0.5 and 11 */
    capture_expect(&c, "\"op\":\"r\",\"before\":null,\"after\":{\"v\":0,\"word\":\"zz\",\"n o\":\"7\"}");
    capture_expect(&c, "\"op\":\"r\",\"before\":null,\"after\":{\"v\":9,\"word\":\"y\",\"n o\":\"0.5\"}");
    /* 4996 is deleted, 4997 came by its change; 7 and the row of y came besides. */
    ck_assert_uint_eq(count_lines(&c, "\"op\":\"r\""), 10 + 5000 - 2 + 2 + 1);
    capture_end(&c);
}
END_TEST

START_TEST(table_that_changes_while_a_snapshot_rests)
{
    struct capture c;
    capture_sql("CREATE TABLE resting (id int PRIMARY KEY); INSERT INTO resting SELECT generate_series(1, 3000);"
                "CREATE TABLE resting_too (id int PRIMARY KEY)");
    capture_begin(&c, "resting", "resting");
    option_list_add(&c.options.tables, "resting_too");
    capture_open(&c);
    while (c.count == 0) {
        capture_poll(&c);
    }
    capture_close(&c);
    capture_sql("ALTER TABLE resting RENAME id TO number");
    capture_expect_fatal(&c, "its key has other columns");
    capture_sql("ALTER TABLE resting DROP CONSTRAINT resting_pkey");
    capture_expect_fatal(&c, "it has lost its key");
    capture_sql("ALTER TABLE resting RENAME number TO id; ALTER TABLE resting ADD PRIMARY KEY (id)");
    free(c.options.tables.items[0]);
    c.options.tables.items[0] = c.options.tables.items[1];
    c.options.tables.count = 1;
    capture_expect_fatal(&c, "taken out of `tables`");
    option_list_add(&c.options.tables, "resting");
    capture_open(&c);
    capture_to_end(&c);
    ck_assert_uint_eq(c.count, 3000);
    capture_end(&c);
}
END_TEST

POSTGRES_MAIN("postgres_snapshot", interrupted_snapshot_goes_on, marks_of_several_tables_and_columns,
              table_that_changes_while_a_snapshot_rests, writers_meanwhile_leave_no_gap_and_no_overlap,
              progress_is_told, partitions_come_as_their_table)
