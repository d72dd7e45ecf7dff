#include "tests/unit/local/log_fixture.h"

/* A log whose clock the test drives. */
static void begin_with_clock(struct log_fixture *log, struct clock *clock)
{
    *clock = (struct clock){.manual = true, .manual_ms = 1000000};
    log_begin(log);
    log->config.clock = clock;
    log_reopen(log);
}

static void create_with(struct log_fixture *log, struct topic_spec spec)
{
    spec.name = "t";
    spec.partitions = 1;
    log_ok(log, log->class->create_topic(log->transport, &spec, &log->err));
}

static void put_one(struct log_fixture *log, const char *key, const char *value)
{
    struct session *session = log_producer(log);
    log_put(log, session, "t", 0, log_record(key, value, 0));
    log_commit(log, session);
    log->class->session_close(session);
}

static void maintain(struct log_fixture *log)
{
    log_ok(log, local_maintain(log->transport, &log->err));
    log_ok(log, local_check(log->data, &log->err));
}

static void expect_marks(struct log_fixture *log, int64_t low, int64_t high)
{
    int64_t found_low = 0, found_high = 0;
    log_ok(log, log->class->watermarks(log->transport, "t", 0, &found_low, &found_high, &log->err));
    ck_assert_int_eq(found_low, low);
    ck_assert_int_eq(found_high, high);
}

START_TEST(age_counts_from_appending_not_from_the_records_time)
{
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.retention_ms = 1000});
    log_put_range(&log, "t", 0, 0, 3); /* timestamps of 1970 */
    clock_advance(&clock, 600);
    log_put_range(&log, "t", 0, 3, 5);
    maintain(&log);
    expect_marks(&log, 0, 5);
    clock_advance(&clock, 600);
    maintain(&log);
    expect_marks(&log, 3, 5);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "3:3=3 4:4=4 ");
    clock_advance(&clock, 600);
    maintain(&log);
    expect_marks(&log, 5, 5);
    put_one(&log, "k", "v");
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "5:k=v ");
    log_end(&log);
}
END_TEST

START_TEST(topics_without_retention_keep_everything)
{
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){0});
    log_put_range(&log, "t", 0, 0, 3);
    clock_advance(&clock, INT64_C(1000) * 365 * 24 * 3600 * 1000);
    maintain(&log);
    expect_marks(&log, 0, 3);
    log_end(&log);
}
END_TEST

START_TEST(size_removes_the_oldest_batches)
{
    struct log_fixture log;
    struct clock clock;
    char value[1001];
    memset(value, 'v', 1000);
    value[1000] = '\0';
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.retention_bytes = 5000});
    for (int i = 0; i < 20; i++) {
        put_one(&log, "k", value);
    }
    maintain(&log);
    expect_marks(&log, 15, 20); /* five of a bit more than 1000 bytes are the least that hold 5000 */
    maintain(&log);
    expect_marks(&log, 15, 20);
    log_end(&log);
}
END_TEST

START_TEST(compaction_keeps_the_last_of_each_key_with_its_offset)
{
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true});
    put_one(&log, "a", "1");
    put_one(&log, "b", "1");
    put_one(&log, "a", "2");
    put_one(&log, NULL, "no key");
    put_one(&log, "c", "1");
    put_one(&log, "a", "3");
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "1:b=1 3:-=no key 4:c=1 5:a=3 ");
    log_expect(&log, "t", 0, 2, "3:-=no key 4:c=1 5:a=3 ");
    expect_marks(&log, 0, 6);
    put_one(&log, "b", "2");
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "3:-=no key 4:c=1 5:a=3 6:b=2 ");
    log_end(&log);
}
END_TEST

/* A reader in the middle of a partition goes on over what compaction has removed, to the very end. */
START_TEST(positions_reach_the_end_over_removed_records)
{
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true, .delete_retention_ms = 10});
    put_one(&log, "a", "1");
    put_one(&log, "x", "1");
    put_one(&log, "x", NULL);
    clock_advance(&clock, 100);
    struct session *session = log_producer(&log);
    log_put(&log, session, "t", 0, log_record("y", "1", 0));
    log_put(&log, session, "t", 0, log_record("y", NULL, 0));
    log_commit(&log, session);
    log.class->session_close(session);
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "0:a=1 4:y=- ");
    struct position start = {"t", 0, 1, NULL};
    struct reader_config config = {.positions = &start, .count = 1};
    struct reader *reader = NULL;
    struct record record;
    size_t count = 0;
    log_ok(&log, log.class->reader_open(log.transport, &config, &reader, &log.err));
    log_ok(&log, log.class->read(reader, 0, &record, 1, &count, &log.err));
    ck_assert_int_eq(record.offset, 4);
    ck_assert_int_eq(log.class->reader_position(reader, 0), 5);
    clock_advance(&clock, 100);
    put_one(&log, "z", "1");
    put_one(&log, "z", NULL);
    clock_advance(&clock, 100);
    put_one(&log, "z", NULL);
    log.class->reader_close(reader);
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "0:a=1 7:z=- ");
    log_end(&log);
}
END_TEST

START_TEST(tombstones_stay_for_their_time_and_never_let_a_value_come_back)
{
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true, .delete_retention_ms = 1000});
    put_one(&log, "a", "1");
    put_one(&log, "a", NULL);
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "1:a=- ");
    clock_advance(&clock, 5000);
    put_one(&log, "b", "1"); /* time goes on for the partition with what is appended to it */
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "2:b=1 ");
    log_end(&log);
}
END_TEST

START_TEST(a_changelog_that_nobody_writes_keeps_its_tombstones)
{
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true, .delete_retention_ms = 1000});
    put_one(&log, "a", "1");
    put_one(&log, "a", NULL);
    clock_advance(&clock, INT64_C(30) * 24 * 3600 * 1000);
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "1:a=- ");
    log_end(&log);
}
END_TEST

START_TEST(L6_compaction_stops_where_the_slowest_group_has_read)
{
    struct log_fixture log;
    struct clock clock;
    struct position position = {"t", 0, 2, NULL};
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true});
    log_ok(&log, log.class->set_group_positions(log.transport, "slow", &position, 1, &log.err));
    for (int i = 0; i < 5; i++) {
        char value[8];
        snprintf(value, sizeof value, "%d", i);
        put_one(&log, "k", value);
    }
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "1:k=1 2:k=2 3:k=3 4:k=4 ");
    position.offset = 5;
    log_ok(&log, log.class->set_group_positions(log.transport, "slow", &position, 1, &log.err));
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "4:k=4 ");
    log_end(&log);
}
END_TEST

/* A batch that reaches over the point up to which compaction may go is left whole, and nothing in it is forgotten. */
START_TEST(a_tombstone_in_a_batch_left_for_later_is_not_removed_before_its_value)
{
    struct log_fixture log;
    struct clock clock;
    struct position position = {"t", 0, 3, NULL};
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true, .delete_retention_ms = 1000});
    log_ok(&log, log.class->set_group_positions(log.transport, "slow", &position, 1, &log.err));
    struct session *session = log_producer(&log);
    log_put(&log, session, "t", 0, log_record("a", "1", 0));
    log_put(&log, session, "t", 0, log_record("b", "1", 0));
    log_put(&log, session, "t", 0, log_record("a", NULL, 0));
    log_put(&log, session, "t", 0, log_record("c", "1", 0));
    log_commit(&log, session);
    log.class->session_close(session);
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "0:a=1 1:b=1 2:a=- 3:c=1 ");
    clock_advance(&clock, 5000);
    put_one(&log, "d", "1");
    position.offset = 5;
    log_ok(&log, log.class->set_group_positions(log.transport, "slow", &position, 1, &log.err));
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "1:b=1 3:c=1 4:d=1 ");
    log_end(&log);
}
END_TEST

START_TEST(compaction_begins_in_the_middle_of_a_batch_where_the_log_does)
{
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true});
    log_put_range(&log, "t", 0, 0, 5);
    put_one(&log, "3", "new");
    log_ok(&log, log.class->delete_records(log.transport, "t", 0, 2, &log.err));
    maintain(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "2:2=2 4:4=4 5:3=new ");
    expect_marks(&log, 2, 6);
    log_end(&log);
}
END_TEST

#define KEYS 500
#define WRITES 20000

/* Many keys over several rounds and pieces: the last value of each is what stays, in order. */
START_TEST(compaction_of_many_keys_equals_the_last_values)
{
    static int last[KEYS];
    struct log_fixture log;
    struct clock clock;
    begin_with_clock(&log, &clock);
    create_with(&log, (struct topic_spec){.compacted = true});
    struct session *session = log_producer(&log);
    uint32_t random = 12345;
    for (int i = 0; i < WRITES; i++) {
        char key[16], value[300];
        random = random * 1103515245 + 12345;
        int number = (int)(random >> 16) % KEYS;
        snprintf(key, sizeof key, "key%d", number);
        snprintf(value, sizeof value, "%-250d", i);
        last[number] = i;
        log_put(&log, session, "t", 0, log_record(key, value, i));
        if (i % 37 == 0) {
            log_commit(&log, session);
        }
        if (i % 7001 == 7000) {
            maintain(&log);
        }
    }
    log_commit(&log, session);
    log.class->session_close(session);
    maintain(&log);
    char *text = log_read(&log, "t", 0, OFFSET_BEGINNING);
    int found = 0;
    long long before = -1;
    for (char *at = text; (at = strstr(at, ":key")) != NULL; at++, found++) {
        int number = 0, value = 0;
        char *start = at;
        while (start > text && start[-1] != ' ') {
            start--;
        }
        long long offset = strtoll(start, NULL, 10);
        ck_assert_int_eq(sscanf(at, ":key%d=%d", &number, &value), 2);
        ck_assert_int_eq(value, last[number]);
        ck_assert_int_eq(offset, value);
        ck_assert_int_gt(offset, before);
        before = offset;
    }
    ck_assert_int_eq(found, KEYS);
    free(text);
    log_end(&log);
}
END_TEST

START_TEST(the_background_thread_does_it_all)
{
    struct log_fixture log;
    int64_t low = 0, high = 0;
    log_begin(&log);
    log.config.maintenance_ms = 5;
    log_reopen(&log);
    create_with(&log, (struct topic_spec){.retention_ms = 1});
    log_put_range(&log, "t", 0, 0, 3);
    while (low < 3) {
        usleep(1000);
        log_ok(&log, log.class->watermarks(log.transport, "t", 0, &low, &high, &log.err));
    }
    log_end(&log);
}
END_TEST

UNIT_MAIN("local_retention", age_counts_from_appending_not_from_the_records_time,
          topics_without_retention_keep_everything, size_removes_the_oldest_batches,
          compaction_keeps_the_last_of_each_key_with_its_offset, positions_reach_the_end_over_removed_records,
          tombstones_stay_for_their_time_and_never_let_a_value_come_back,
          a_changelog_that_nobody_writes_keeps_its_tombstones, L6_compaction_stops_where_the_slowest_group_has_read,
          a_tombstone_in_a_batch_left_for_later_is_not_removed_before_its_value,
          compaction_begins_in_the_middle_of_a_batch_where_the_log_does, compaction_of_many_keys_equals_the_last_values,
          the_background_thread_does_it_all)
