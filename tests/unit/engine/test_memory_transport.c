#include "base/hash.h"
#include "tests/unit/engine/member.h"

/* ---- topics ---- */

START_TEST(records_come_back_as_they_went_in)
{
    begin();
    struct header headers[] = {{slice_text("trace"), slice_text("1")}, {slice_text("none"), SLICE_NULL}};
    struct record record = {
        .key = SLICE_NULL, .value = slice_text(""), .headers = {headers, 2}, .timestamp = 42, .offset = -1};
    ck_assert_int_eq(memory_transport_append(transport, "in", 0, &record, &err), 0);
    append("in", 0, "key", "value");
    struct record out;
    ck_assert(memory_transport_record(transport, "in", 0, 0, &out));
    ck_assert(slice_is_null(out.key) && !slice_is_null(out.value) && out.value.size == 0);
    ck_assert_uint_eq(out.headers.count, 2);
    ck_assert(slice_equal(out.headers.list[0].name, slice_text("trace")));
    ck_assert(slice_is_null(out.headers.list[1].value));
    ck_assert_int_eq(out.timestamp, 42);
    ck_assert_int_eq(out.offset, 0);
    ck_assert_str_eq(out.topic, "in");
    ck_assert(memory_transport_record(transport, "in", 0, 1, &out));
    ck_assert(slice_equal(out.value, slice_text("value")));
    ck_assert(!memory_transport_record(transport, "in", 0, 2, &out));
    ck_assert(!memory_transport_record(transport, "in", 1, 0, &out));
    ck_assert(!memory_transport_record(transport, "other", 0, 0, &out));
    end();
}
END_TEST

START_TEST(keys_choose_partitions_as_in_java)
{
    begin();
    have("in", 5);
    append("in", -1, "user-1", "x");
    struct record out;
    ck_assert(memory_transport_record(transport, "in", hash_partition(slice_text("user-1"), 5), 0, &out));
    end();
}
END_TEST

START_TEST(topics_are_described_listed_and_deleted)
{
    begin();
    have("b", 2);
    have("a", 1);
    struct topic_spec spec = {.name = "c", .partitions = 3, .compacted = true, .delete_retention_ms = 5};
    ck_assert_int_eq(class->create_topic(transport, &spec, &err), 0);
    ck_assert_int_eq(class->create_topic(transport, &spec, &err), 0); /* exists already */
    struct topic_info info;
    ck_assert_int_eq(class->describe_topic(transport, "c", &info, &err), 0);
    ck_assert(info.exists && info.compacted && info.config_known);
    ck_assert_int_eq(info.partitions, 3);
    ck_assert_int_eq(info.delete_retention_ms, 5);
    ck_assert_int_eq(class->delete_topic(transport, "b", &err), 0);
    ck_assert_int_eq(class->delete_topic(transport, "b", &err), -1);
    ck_assert_int_eq(class->add_partitions(transport, "a", 4, &err), 0);
    ck_assert_int_eq(class->add_partitions(transport, "a", 2, &err), -1);
    struct option_list names = {0};
    ck_assert_int_eq(class->list_topics(transport, &names, &err), 0);
    ck_assert_uint_eq(names.count, 2);
    ck_assert_str_eq(names.items[0], "a");
    ck_assert_str_eq(names.items[1], "c");
    for (size_t i = 0; i < names.count; i++) {
        free(names.items[i]);
    }
    free(names.items);
    ck_assert_int_eq(class->describe_topic(transport, "b", &info, &err), 0);
    ck_assert(!info.exists);
    end();
}
END_TEST

START_TEST(records_before_the_log_start_are_gone_and_said_so)
{
    begin();
    for (int i = 0; i < 3000; i++) {
        append("in", 0, "k", "v");
    }
    ck_assert_int_eq(class->delete_records(transport, "in", 0, 2500, &err), 0);
    int64_t low;
    int64_t high;
    ck_assert_int_eq(class->watermarks(transport, "in", 0, &low, &high, &err), 0);
    ck_assert_int_eq(low, 2500);
    ck_assert_int_eq(high, 3000);
    struct position at = {"in", 0, 100, NULL};
    struct reader_config config = {&at, 1, false};
    struct reader *reader;
    ck_assert_int_eq(class->reader_open(transport, &config, &reader, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "starts at 2500"));
    int64_t offset;
    ck_assert_int_eq(class->offset_for_time(transport, "in", 0, 8, &offset, &err), 0);
    ck_assert_int_eq(offset, 3000);
    ck_assert_int_eq(class->offset_for_time(transport, "in", 0, 7, &offset, &err), 0);
    ck_assert_int_eq(offset, 2500);
    end();
}
END_TEST

/* ---- transactions ---- */

START_TEST(a_transaction_is_visible_at_commit_as_a_whole)
{
    begin();
    struct member member;
    append("in", 0, "k", "v");
    join(&member, 0);
    poll(&member);
    struct output *one = output_of(&member, "one");
    struct output *two = output_of(&member, "two");
    ck_assert_int_eq(produce(&member, one, "a"), 0);
    ck_assert_int_eq(produce(&member, two, "b"), 0);
    ck_assert_int_eq(end_of("one") + end_of("two"), 0);
    ck_assert_int_eq(class->acknowledged(member.session, one, 0), OFFSET_NONE);
    ck_assert_int_eq(commit(&member, 1), 0);
    ck_assert_int_eq(end_of("one") + end_of("two"), 2);
    ck_assert_uint_eq(visible, 2);
    ck_assert_int_eq(class->acknowledged(member.session, one, 0), 1);
    const char *metadata;
    ck_assert_int_eq(committed_of(&member, "in", &metadata), 1);
    ck_assert_str_eq(metadata, "here");
    class->session_close(member.session);
    end();
}
END_TEST

START_TEST(an_abort_leaves_nothing)
{
    begin();
    struct member member;
    have("in", 1);
    join(&member, 0);
    poll(&member);
    struct output *output = output_of(&member, "out");
    ck_assert_int_eq(produce(&member, output, "a"), 0);
    ck_assert_int_eq(class->abort(member.session, &err), 0);
    ck_assert_int_eq(produce(&member, output, "b"), 0);
    ck_assert_int_eq(commit(&member, 0), 0);
    struct record out;
    ck_assert_int_eq(end_of("out"), 1);
    ck_assert(memory_transport_record(transport, "out", 0, 0, &out));
    ck_assert(slice_equal(out.value, slice_text("b")));
    class->session_close(member.session);
    end();
}
END_TEST

START_TEST(an_abort_leaves_what_was_committed_before)
{
    begin();
    struct member member;
    have("in", 1);
    join(&member, 0);
    poll(&member);
    struct output *output = output_of(&member, "out");
    ck_assert_int_eq(produce(&member, output, "first"), 0);
    ck_assert_int_eq(commit(&member, 0), 0);
    ck_assert_int_eq(produce(&member, output, "wrong"), 0);
    ck_assert_int_eq(class->abort(member.session, &err), 0);
    ck_assert_int_eq(produce(&member, output, "other"), 0);
    struct record out;
    ck_assert(memory_transport_record(transport, "out", 0, 0, &out));
    ck_assert(slice_equal(out.value, slice_text("first")));
    class->session_close(member.session);
    ck_assert(memory_transport_record(transport, "out", 0, 0, &out));
    ck_assert(slice_equal(out.value, slice_text("first")));
    end();
}
END_TEST

START_TEST(a_session_without_transactions_is_visible_at_once)
{
    begin();
    struct member member;
    join_with(&member, 0, false, "in", RESET_EARLIEST);
    ck_assert_int_eq(produce(&member, output_of(&member, "out"), "a"), 0);
    ck_assert_int_eq(end_of("out"), 1);
    ck_assert_int_eq(class->abort(member.session, &err), 0);
    ck_assert_int_eq(end_of("out"), 1);
    class->session_close(member.session);
    end();
}
END_TEST

/* P3: with an empty list of positions nothing would fence a zombie. */
START_TEST(p3_a_transaction_without_positions_is_refused)
{
    begin();
    struct member member;
    have("in", 1);
    join(&member, 0);
    poll(&member);
    ck_assert_int_eq(produce(&member, output_of(&member, "out"), "a"), 0);
    ck_assert_int_eq(class->commit(member.session, NULL, 0, &err), -1);
    ck_assert_int_eq(err.code, ERR_INTERNAL);
    class->session_close(member.session);
    end();
}
END_TEST

START_TEST(null_keys_stick_to_a_partition_per_commit)
{
    begin();
    struct session_config config = {.transactional = true};
    struct session *session;
    struct output *output;
    int32_t partitions = 0;
    have("out", 3);
    ck_assert_int_eq(class->session_open(transport, &config, &session, &err), 0);
    ck_assert_int_eq(class->output(session, "out", &output, &partitions, &err), 0);
    ck_assert_int_eq(partitions, 3);
    struct record record = {.value = slice_text("v")};
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(class->produce(session, output, -1, &record, &err), 0);
        if (i % 2 == 1) {
            ck_assert_int_eq(class->commit(session, NULL, 0, &err), 0);
        }
    }
    for (int32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(class->acknowledged(session, output, i), 2);
    }
    ck_assert_int_eq(class->produce(session, output, 3, &record, &err), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    class->session_close(session);
    end();
}
END_TEST

START_TEST(discarded_outputs_are_counted)
{
    begin_with((struct memory_transport_config){
        .default_partitions = 1, .create_topics = true, .timeless = true, .discard_outputs = true});
    struct member member;
    append("in", 0, "k", "v");
    join(&member, 0);
    poll(&member);
    struct output *output = output_of(&member, "out");
    ck_assert_int_eq(produce(&member, output, "a"), 0);
    ck_assert_int_eq(class->abort(member.session, &err), 0);
    ck_assert_int_eq(produce(&member, output, "b"), 0);
    ck_assert_int_eq(produce(&member, output, "c"), 0);
    ck_assert_int_eq(end_of("out"), 0);
    ck_assert_int_eq(commit(&member, 1), 0);
    ck_assert_int_eq(end_of("out"), 2);
    struct record out;
    ck_assert(!memory_transport_record(transport, "out", 0, 0, &out));
    class->session_close(member.session);
    end();
}
END_TEST

/* ---- reading ---- */

START_TEST(fetch_goes_on_where_it_stopped)
{
    begin();
    struct member member;
    struct record records[2000];
    for (int i = 0; i < 1500; i++) {
        append("in", 0, "k", "v");
    }
    join(&member, 0);
    poll(&member);
    struct input *input = member.inputs[0].input;
    ck_assert_uint_eq(fetch(&member, 0, records, 1000), 1000);
    ck_assert_int_eq(class->position(member.session, input), 1000);
    ck_assert_int_eq(class->known_end(member.session, input), 1500);
    ck_assert_uint_eq(fetch(&member, 0, records, 2000), 500);
    ck_assert_int_eq(records[499].offset, 1499);
    ck_assert_uint_eq(fetch(&member, 0, records, 2000), 0);
    ck_assert_int_eq(class->seek(member.session, input, 1499, &err), 0);
    ck_assert_int_eq(class->pause(member.session, input, true, &err), 0);
    ck_assert_uint_eq(fetch(&member, 0, records, 2000), 0);
    ck_assert_int_eq(class->pause(member.session, input, false, &err), 0);
    ck_assert_uint_eq(fetch(&member, 0, records, 2000), 1);
    ck_assert_int_eq(class->seek(member.session, input, OFFSET_BEGINNING, &err), 0);
    ck_assert_int_eq(class->position(member.session, input), 0);
    ck_assert_int_eq(class->seek(member.session, input, 1501, &err), -1);
    class->session_close(member.session);
    end();
}
END_TEST

START_TEST(reading_starts_at_the_committed_offset_or_by_policy)
{
    begin();
    struct member member;
    append("in", 0, "k", "v");
    append("in", 0, "k", "w");
    join_with(&member, 0, true, "in", RESET_LATEST);
    poll(&member);
    ck_assert_int_eq(member.inputs[0].committed, OFFSET_NONE);
    ck_assert_int_eq(class->position(member.session, member.inputs[0].input), 2);
    ck_assert_int_eq(commit(&member, 1), 0);
    class->session_close(member.session);
    join(&member, 0);
    poll(&member);
    ck_assert_int_eq(member.inputs[0].committed, 1);
    ck_assert_int_eq(class->position(member.session, member.inputs[0].input), 1);
    class->session_close(member.session);
    end();
}
END_TEST

START_TEST(reset_error_refuses_to_choose)
{
    begin();
    struct member member;
    append("in", 0, "k", "v");
    join_with(&member, 0, true, "in", RESET_ERROR);
    ck_assert_int_eq(class->poll(member.session, 0, &err), -1);
    ck_assert_int_eq(err.code, ERR_TOPIC);
    ck_assert_int_eq(member.assignments, 0);
    class->session_close(member.session);
    end();
}
END_TEST

START_TEST(readers_take_from_all_their_partitions)
{
    begin();
    have("in", 2);
    for (int i = 0; i < 3; i++) {
        append("in", 0, "k", "v");
        append("in", 1, "k", "v");
    }
    struct position at[] = {{"in", 0, OFFSET_BEGINNING, NULL}, {"in", 1, 2, NULL}, {"in", 1, OFFSET_END, NULL}};
    struct reader_config config = {at, 3, false};
    struct reader *reader;
    struct record records[10];
    size_t count;
    ck_assert_int_eq(class->reader_open(transport, &config, &reader, &err), 0);
    ck_assert_int_eq(class->read(reader, 1000, records, 10, &count, &err), 0);
    ck_assert_uint_eq(count, 4);
    ck_assert_int_eq(class->reader_position(reader, 0), 3);
    ck_assert_int_eq(class->reader_position(reader, 1), 3);
    ck_assert_int_eq(class->reader_position(reader, 2), 3);
    ck_assert_int_eq(class->read(reader, 1000, records, 10, &count, &err), 0);
    ck_assert_uint_eq(count, 0);
    class->reader_close(reader);
    end();
}
END_TEST

UNIT_MAIN("memory_transport", records_come_back_as_they_went_in, keys_choose_partitions_as_in_java,
          topics_are_described_listed_and_deleted, records_before_the_log_start_are_gone_and_said_so,
          a_transaction_is_visible_at_commit_as_a_whole, an_abort_leaves_nothing,
          an_abort_leaves_what_was_committed_before, a_session_without_transactions_is_visible_at_once,
          p3_a_transaction_without_positions_is_refused, null_keys_stick_to_a_partition_per_commit,
          discarded_outputs_are_counted, fetch_goes_on_where_it_stopped,
          reading_starts_at_the_committed_offset_or_by_policy, reset_error_refuses_to_choose,
          readers_take_from_all_their_partitions)
