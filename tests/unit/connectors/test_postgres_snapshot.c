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

CAPTURE_MAIN("postgres_snapshot", writers_meanwhile_leave_no_gap_and_no_overlap, progress_is_told,
             partitions_come_as_their_table)
