#include "tests/unit/local/log_fixture.h"

START_TEST(a_topic_is_made_described_and_listed)
{
    struct log_fixture log;
    log_begin(&log);
    struct topic_info info;
    struct option_list names = {0};
    log_ok(&log, log.class->describe_topic(log.transport, "orders", &info, &log.err));
    ck_assert(!info.exists);
    struct topic_spec spec = {.name = "orders", .partitions = 3, .compacted = true, .retention_ms = 5000};
    log_ok(&log, log.class->create_topic(log.transport, &spec, &log.err));
    spec.partitions = 9;
    log_ok(&log, log.class->create_topic(log.transport, &spec, &log.err)); /* exists already */
    log_create(&log, "clicks", 1);
    log_ok(&log, log.class->describe_topic(log.transport, "orders", &info, &log.err));
    ck_assert(info.exists && info.compacted && info.deleted_by_age && info.config_known);
    ck_assert_int_eq(info.partitions, 3);
    ck_assert_int_eq(info.retention_ms, 5000);
    ck_assert_int_eq(info.retention_bytes, -1);
    ck_assert_int_eq(info.delete_retention_ms, INT64_C(7) * 24 * 3600 * 1000);
    ck_assert_uint_eq(strlen(info.id), 32);
    log_ok(&log, log.class->list_topics(log.transport, &names, &log.err));
    ck_assert_uint_eq(names.count, 2);
    ck_assert_str_eq(names.items[0], "clicks");
    ck_assert_str_eq(names.items[1], "orders");
    for (size_t i = 0; i < names.count; i++) {
        free(names.items[i]);
    }
    free(names.items);
    log_end(&log);
}
END_TEST

START_TEST(retention_is_for_ever_unless_told)
{
    struct log_fixture log;
    struct topic_info info;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_ok(&log, log.class->describe_topic(log.transport, "t", &info, &log.err));
    ck_assert_int_eq(info.retention_ms, -1);
    ck_assert(info.deleted_by_age && !info.compacted);
    log_end(&log);
}
END_TEST

START_TEST(bad_names_and_counts_are_refused)
{
    static const char *const bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa4"};
    struct log_fixture log;
    log_begin(&log);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct topic_spec spec = {.name = bad[i], .partitions = 1};
        ck_assert_int_eq(log.class->create_topic(log.transport, &spec, &log.err), -1);
        ck_assert_int_eq(log.err.code, ERR_TOPIC);
    }
    struct topic_spec spec = {.name = "t", .partitions = 0};
    ck_assert_int_eq(log.class->create_topic(log.transport, &spec, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    log_end(&log);
}
END_TEST

START_TEST(records_survive_closing)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 2);
    log_put_range(&log, "t", 0, 0, 3);
    log_put_range(&log, "t", 0, 3, 5);
    log_put_range(&log, "t", 1, 7, 8);
    log_reopen(&log);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "0:0=0 1:1=1 2:2=2 3:3=3 4:4=4 ");
    log_expect(&log, "t", 0, 2, "2:2=2 3:3=3 4:4=4 ");
    log_expect(&log, "t", 0, OFFSET_END, "");
    log_expect(&log, "t", 1, 0, "0:7=7 ");
    log_ok(&log, local_check(log.data, &log.err));
    log_end(&log);
}
END_TEST

START_TEST(null_and_empty_and_headers_come_back)
{
    static const struct header headers[] = {{{(const unsigned char *)"h", 1}, {(const unsigned char *)"x", 1}},
                                            {{(const unsigned char *)"h", 1}, {NULL, 0}}};
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 1);
    struct session *session = log_producer(&log);
    log_put(&log, session, "t", 0, log_record(NULL, NULL, 5));
    log_put(&log, session, "t", 0, log_record("", "", -6));
    struct record with = log_record("k", "v", 7);
    with.headers = (struct headers){headers, 2};
    log_put(&log, session, "t", 0, with);
    log_commit(&log, session);
    log.class->session_close(session);

    struct position start = {"t", 0, 0, NULL};
    struct reader_config config = {.positions = &start, .count = 1};
    struct reader *reader = NULL;
    struct record records[4];
    size_t count = 0;
    log_ok(&log, log.class->reader_open(log.transport, &config, &reader, &log.err));
    log_ok(&log, log.class->read(reader, 0, records, 4, &count, &log.err));
    ck_assert_uint_eq(count, 3);
    ck_assert(slice_is_null(records[0].key) && slice_is_null(records[0].value));
    ck_assert(!slice_is_null(records[1].key) && records[1].key.size == 0 && records[1].timestamp == -6);
    ck_assert_uint_eq(records[2].headers.count, 2);
    ck_assert(slice_equal(records[2].headers.list[0].value, slice_text("x")));
    ck_assert(slice_is_null(records[2].headers.list[1].value));
    ck_assert_str_eq(records[2].topic, "t");
    ck_assert_int_eq(log.class->reader_position(reader, 0), 3);
    log.class->reader_close(reader);
    log_end(&log);
}
END_TEST

START_TEST(large_values_come_back)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 1);
    struct session *session = log_producer(&log);
    size_t size = 10 * 1000 * 1000;
    unsigned char *value = memory_alloc(size);
    for (size_t i = 0; i < size; i++) {
        value[i] = (unsigned char)(i * 31 >> 3);
    }
    struct record record = {.key = slice_text("k"), .value = slice_of(value, size)};
    for (int i = 0; i < 3; i++) {
        log_put(&log, session, "t", 0, record);
        log_put(&log, session, "t", 0, log_record("small", "x", 1));
    }
    log_commit(&log, session);
    log.class->session_close(session);
    struct position start = {"t", 0, 0, NULL};
    struct reader_config config = {.positions = &start, .count = 1};
    struct reader *reader = NULL;
    struct record found[10];
    size_t count = 0, total = 0;
    log_ok(&log, log.class->reader_open(log.transport, &config, &reader, &log.err));
    do {
        log_ok(&log, log.class->read(reader, 0, found, 10, &count, &log.err));
        for (size_t i = 0; i < count; i++, total++) {
            ck_assert_int_eq(found[i].offset, (int64_t)total);
            ck_assert(total % 2 == 1 || slice_equal(found[i].value, record.value));
        }
    } while (count > 0);
    ck_assert_uint_eq(total, 6);
    log.class->reader_close(reader);
    free(value);
    log_end(&log);
}
END_TEST

START_TEST(keys_choose_partitions_as_in_kafka)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 4);
    struct session *session = log_producer(&log);
    /* Placement of the Java client: murmur2("21") = -973932308, murmur2("foobar") = -790332482. */
    log_put(&log, session, "t", -1, log_record("21", "a", 0));
    log_put(&log, session, "t", -1, log_record("foobar", "b", 0));
    log_commit(&log, session);
    log_expect(&log, "t", (-973932308 & 0x7fffffff) % 4, 0, "0:21=a ");
    log_expect(&log, "t", (-790332482 & 0x7fffffff) % 4, 0, "0:foobar=b ");
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

START_TEST(null_keys_stay_together_and_rotate_with_commits)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 3);
    struct session *session = log_producer(&log);
    for (int round = 0; round < 3; round++) {
        log_put(&log, session, "t", -1, log_record(NULL, "x", 0));
        log_put(&log, session, "t", -1, log_record(NULL, "y", 0));
        log_commit(&log, session);
    }
    for (int32_t partition = 0; partition < 3; partition++) {
        log_expect(&log, "t", partition, 0, "0:-=x 1:-=y ");
    }
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

START_TEST(nothing_is_seen_before_the_commit_nor_after_an_abort)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 1);
    struct session *session = log_producer(&log);
    log_put(&log, session, "t", 0, log_record("a", "1", 0));
    log_expect(&log, "t", 0, 0, "");
    log_ok(&log, log.class->abort(session, &log.err));
    log_commit(&log, session);
    log_expect(&log, "t", 0, 0, "");
    log_put(&log, session, "t", 0, log_record("b", "2", 0));
    log_commit(&log, session);
    log_expect(&log, "t", 0, 0, "0:b=2 ");
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

START_TEST(acknowledged_is_the_end_of_the_last_commit)
{
    struct log_fixture log;
    struct output *output = NULL;
    int32_t partitions = 0;
    log_begin(&log);
    log_create(&log, "t", 2);
    struct session *session = log_producer(&log);
    log_ok(&log, log.class->output(session, "t", &output, &partitions, &log.err));
    ck_assert_int_eq(partitions, 2);
    ck_assert_int_eq(log.class->acknowledged(session, output, 0), OFFSET_NONE);
    log_put(&log, session, "t", 0, log_record("a", "1", 0));
    log_put(&log, session, "t", 0, log_record("b", "1", 0));
    ck_assert_int_eq(log.class->acknowledged(session, output, 0), OFFSET_NONE);
    log_commit(&log, session);
    ck_assert_int_eq(log.class->acknowledged(session, output, 0), 2);
    ck_assert_int_eq(log.class->acknowledged(session, output, 1), OFFSET_NONE);
    log_put(&log, session, "t", 1, log_record("b", "1", 0));
    log_commit(&log, session);
    ck_assert_int_eq(log.class->acknowledged(session, output, 0), 2);
    ck_assert_int_eq(log.class->acknowledged(session, output, 1), 1);
    log_put(&log, session, "t", 0, log_record("c", "1", 0));
    log_put(&log, session, "t", 1, log_record("c", "1", 0));
    log_commit(&log, session);
    ck_assert_int_eq(log.class->acknowledged(session, output, 0), 3);
    ck_assert_int_eq(log.class->acknowledged(session, output, 1), 2);
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

START_TEST(partitions_are_added_and_never_taken_away)
{
    struct log_fixture log;
    struct topic_info info;
    log_begin(&log);
    log_create(&log, "t", 2);
    struct session *session = log_producer(&log);
    log_put(&log, session, "t", 1, log_record("old", "1", 0));
    log_ok(&log, log.class->add_partitions(log.transport, "t", 5, &log.err));
    log_put(&log, session, "t", 4, log_record("new", "1", 0)); /* the open output notices */
    log_commit(&log, session);
    log_expect(&log, "t", 1, 0, "0:old=1 ");
    log_expect(&log, "t", 4, 0, "0:new=1 ");
    ck_assert_int_eq(log.class->add_partitions(log.transport, "t", 3, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    log_ok(&log, log.class->describe_topic(log.transport, "t", &info, &log.err));
    ck_assert_int_eq(info.partitions, 5);
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

START_TEST(a_deleted_topic_is_gone_and_a_new_one_is_another)
{
    struct log_fixture log;
    struct topic_info before, after;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 3);
    struct session *session = log_producer(&log);
    log_put(&log, session, "t", 0, log_record("late", "1", 0));
    log_ok(&log, log.class->describe_topic(log.transport, "t", &before, &log.err));
    log_ok(&log, log.class->delete_topic(log.transport, "t", &log.err));
    ck_assert_int_eq(log.class->delete_topic(log.transport, "t", &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    log_create(&log, "t", 1);
    log_ok(&log, log.class->describe_topic(log.transport, "t", &after, &log.err));
    ck_assert_str_ne(before.id, after.id);
    ck_assert_int_eq(log.class->commit(session, NULL, 0, &log.err), -1); /* written to the old one */
    ck_assert_int_eq(log.err.class, ERR_FATAL);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    log_expect(&log, "t", 0, 0, "");
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

START_TEST(offsets_are_found_by_time)
{
    static const struct {
        int64_t time;
        int64_t offset;
    } cases[] = {{-5, 0}, {0, 0}, {10, 10}, {11, 11}, {19, 19}, {20, 20}, {500, 20}};
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 10);
    log_put_range(&log, "t", 0, 10, 20);
    int64_t offset = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        log_ok(&log, log.class->offset_for_time(log.transport, "t", 0, cases[i].time, &offset, &log.err));
        ck_assert_int_eq(offset, cases[i].offset);
    }
    log_ok(&log, log.class->delete_records(log.transport, "t", 0, 13, &log.err));
    log_ok(&log, log.class->offset_for_time(log.transport, "t", 0, 0, &offset, &log.err));
    ck_assert_int_eq(offset, 13);
    log_end(&log);
}
END_TEST

START_TEST(deleted_records_move_the_log_start)
{
    struct log_fixture log;
    int64_t low = 0, high = 0;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 4);
    log_put_range(&log, "t", 0, 4, 6);
    log_ok(&log, log.class->delete_records(log.transport, "t", 0, 2, &log.err));
    log_ok(&log, log.class->watermarks(log.transport, "t", 0, &low, &high, &log.err));
    ck_assert_int_eq(low, 2);
    ck_assert_int_eq(high, 6);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "2:2=2 3:3=3 4:4=4 5:5=5 ");
    log_ok(&log, log.class->delete_records(log.transport, "t", 0, OFFSET_END, &log.err));
    log_ok(&log, log.class->watermarks(log.transport, "t", 0, &low, &high, &log.err));
    ck_assert_int_eq(low, 6);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "");
    log_put_range(&log, "t", 0, 6, 7);
    log_expect(&log, "t", 0, OFFSET_BEGINNING, "6:6=6 ");
    log_ok(&log, local_check(log.data, &log.err));
    log_end(&log);
}
END_TEST

START_TEST(missing_topics_and_partitions_have_names)
{
    struct log_fixture log;
    struct output *output = NULL;
    int64_t low = 0, high = 0;
    log_begin(&log);
    log_create(&log, "t", 2);
    struct session *session = log_producer(&log);
    ck_assert_int_eq(log.class->output(session, "nowhere", &output, NULL, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    ck_assert_ptr_nonnull(strstr(log.err.text, "nowhere"));
    ck_assert_int_eq(log.class->watermarks(log.transport, "t", 2, &low, &high, &log.err), -1);
    ck_assert_ptr_nonnull(strstr(log.err.text, "no partition 2"));
    log_ok(&log, log.class->output(session, "t", &output, NULL, &log.err));
    struct record record = log_record("k", "v", 0);
    ck_assert_int_eq(log.class->produce(session, output, 2, &record, &log.err), -1);
    ck_assert_int_eq(log.err.class, ERR_SKIP);
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

UNIT_MAIN("local_topic", a_topic_is_made_described_and_listed, retention_is_for_ever_unless_told,
          bad_names_and_counts_are_refused, records_survive_closing, null_and_empty_and_headers_come_back,
          large_values_come_back, keys_choose_partitions_as_in_kafka, null_keys_stay_together_and_rotate_with_commits,
          nothing_is_seen_before_the_commit_nor_after_an_abort, acknowledged_is_the_end_of_the_last_commit,
          partitions_are_added_and_never_taken_away, a_deleted_topic_is_gone_and_a_new_one_is_another,
          offsets_are_found_by_time, deleted_records_move_the_log_start, missing_topics_and_partitions_have_names)
