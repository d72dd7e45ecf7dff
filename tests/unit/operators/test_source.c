#include "support.h"

START_TEST(bad_json_ends_the_run_and_says_where)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1}", 1);
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "{\"n\":1", 2), -1);
    ck_assert_int_eq(p.err.class, ERR_FATAL);
    ck_assert_int_eq(p.err.code, ERR_RECORD);
    ck_assert_ptr_nonnull(strstr(p.err.text, "the value is bad"));
    ck_assert_ptr_nonnull(strstr(p.err.text, "topic in partition 0 offset 1"));
    pipeline_close(&p);
}
END_TEST

START_TEST(bad_bytes_are_skipped_by_policy)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in', { key = tm.json, on_error = 'skip' }):to('out')\n");
    pipeline_send(&p, "in", "1", "{", 1);
    pipeline_send(&p, "in", "a", "1", 2);
    pipeline_send(&p, "in", "2", "\"\xff\"", 3);
    pipeline_send(&p, "in", "2", "1", 4);
    ck_assert_str_eq(outputs(&p, "out"), "2:1@4");
    pipeline_close(&p);
}
END_TEST

START_TEST(bad_records_go_to_the_dead_letter_topic_as_they_came)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in', { on_error = 'dead_letter' }):to('out')\n");
    pipeline_send(&p, "in", "a", "{", 1);
    pipeline_send(&p, "in", "b", "1", 2);
    ck_assert_str_eq(outputs(&p, "test-dead-letter"), "a:{@1");
    ck_assert_str_eq(outputs(&p, "out"), "b:1@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_function_decides_what_becomes_of_an_error)
{
    struct pipeline p;
    pipeline_open(&p,
                  "local function decide(message, rec)\n"
                  "  return rec.timestamp > 5 and 'dead_letter' or 'skip'\n"
                  "end\n"
                  "app:stream('in'):map_values(function(k, v) return v.n.m end, { on_error = decide }):to('out')\n");
    pipeline_send(&p, "in", "a", "{}", 1);
    pipeline_send(&p, "in", "b", "{}", 6);
    pipeline_send(&p, "in", "c", "{\"n\":{\"m\":1}}", 7);
    ck_assert_str_eq(outputs(&p, "test-dead-letter"), "b:{}@6");
    ck_assert_str_eq(outputs(&p, "out"), "c:1@7");
    pipeline_close(&p);
}
END_TEST

START_TEST(the_policy_of_the_app_is_that_of_its_nodes)
{
    struct pipeline p;
    ck_assert_int_eq(
        pipeline_try_whole(&p, "local tm = require 'tidemill'\n"
                               "local app = tm.app { id = 'shop', on_error = 'dead_letter', dead_letter = 'bad' }\n"
                               "app:stream('in'):filter(function(k, v) return v.n > 0 end):to('out')\n"),
        0);
    pipeline_send(&p, "in", "a", "{}", 1);
    ck_assert_str_eq(outputs(&p, "bad"), "a:{}@1");
    pipeline_close(&p);
    ck_assert_int_eq(pipeline_try_whole(&p,
                                        "local tm = require 'tidemill'\n"
                                        "local app = tm.app { id = 'shop', on_error = function() return 'skip' end }\n"
                                        "app:stream('in'):filter(function(k, v) return v.n > 0 end):to('out')\n"),
                     0);
    pipeline_send(&p, "in", "a", "{}", 1);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_close(&p);
}
END_TEST

START_TEST(event_time_comes_from_the_function)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in', { timestamp = function(k, v, rec)\n"
                      "  return v and v.at or rec.timestamp + 1 end }):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"at\":70}", 1);
    pipeline_send(&p, "in", "b", "{\"at\":-1}", 2);
    pipeline_send(&p, "in", "c", "{\"at\":0}", 3);
    pipeline_send(&p, "in", "d", NULL, 4);
    pipeline_send(&p, "in", "e", "{\"at\":8.0}", 5);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"at\":70}@70 c:{\"at\":0}@0 d:-@5 e:{\"at\":8.0}@8");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "f", "{\"at\":\"noon\"}", 6), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "timestamp must return milliseconds as an integer, got noon"));
    pipeline_close(&p);
}
END_TEST

#define JUMPS                                                                                                          \
    "local tm = require 'tidemill'\nlocal app = tm.app { id = 'test', max_time_jump = '1s', on_error = 'skip' }\n"

START_TEST(a_time_far_ahead_is_an_error_of_its_record)
{
    struct pipeline p;
    ck_assert_int_eq(pipeline_try_whole(&p, "local tm = require 'tidemill'\n"
                                            "local app = tm.app { id = 'test', max_time_jump = '1s' }\n"
                                            "app:stream('in'):to('out')\n"),
                     0);
    pipeline_send(&p, "in", "a", "1", 5000); /* the first record says what time it is */
    pipeline_send(&p, "in", "b", "1", 6000);
    ck_assert_int_eq(pipeline_try_send(&p, "in", "c", "1", 7001), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "its time 1970-01-01T00:00:07.001Z (7001) is 1001 ms after the latest "
                                             "before it, 1970-01-01T00:00:06.000Z, and max_time_jump allows 1000 ms"));
    ck_assert_ptr_nonnull(strstr(p.err.text, "topic in partition 0 offset 2"));
    ck_assert_int_eq(p.err.code, ERR_RECORD);
    pipeline_close(&p);
}
END_TEST

START_TEST(a_time_far_ahead_does_not_move_stream_time)
{
    struct pipeline p;
    ck_assert_int_eq(pipeline_try_whole(&p, JUMPS
                                        "app:stream('in'):to('out')\n"
                                        "app:stream('own', { timestamp = function(k, v) return v end }):to('out')\n"),
                     0);
    for (int i = 0; i < 3; i++) {
        pipeline_send(&p, "in", "a", "1", 1000 * i);
        pipeline_send(&p, "in", "bad", "1", 1000 * i + 1001);
        pipeline_send(&p, "own", "b", i == 0 ? "0" : i == 1 ? "1000" : "2000", 9000000);
        pipeline_send(&p, "own", "bad", "900000", 0);
    }
    ck_assert_str_eq(outputs(&p, "out"), "a:1@0 b:0@0 a:1@1000 b:1000@1000 a:1@2000 b:2000@2000");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_was_let_in_jumps_behind_an_internal_topic)
{
    struct pipeline p;
    ck_assert_int_eq(
        pipeline_try_whole(&p,
                           JUMPS "app:stream('in'):select_key(function(k, v) return v end)\n"
                                 "  :filter(function(k) return k ~= 'no' end):repartition({ name = 'r' }):to('out')\n"),
        0);
    for (int i = 0; i < 5; i++) {
        pipeline_send(&p, "in", "a", i == 0 || i == 4 ? "\"yes\"" : "\"no\"", 1000 * i);
    }
    ck_assert_str_eq(outputs(&p, "out"), "yes:\"yes\"@0 yes:\"yes\"@4000");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_waits_for_other_inputs_goes_on_by_the_clock)
{
    struct pipeline p;
    ck_assert_int_eq(pipeline_try_whole(&p, "local tm = require 'tidemill'\n"
                                            "local app = tm.app { id = 'test', max_idle = '50ms' }\n"
                                            "app:stream({ 'left', 'right' }):to('out')\n"),
                     0);
    pipeline_send(&p, "left", "a", "1", 10);
    pipeline_send(&p, "left", "b", "1", 20);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "right", "c", "1", 15);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@10 c:1@15"); /* b waits for right again */
    ck_assert_int_eq(driver_advance(p.driver, 49, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "");
    ck_assert_int_eq(driver_advance(p.driver, 1, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "b:1@20");
    pipeline_close(&p);
}
END_TEST

START_TEST(codecs_are_named_by_option)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in', { key = tm.json, value = tm.string })\n"
                      "  :map(function(k, v) return k.id, #v end, { key = tm.string, value = tm.json }):to('out')\n");
    pipeline_send(&p, "in", "{\"id\":\"x\"}", "plain text", 1);
    ck_assert_str_eq(outputs(&p, "out"), "x:10@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_list_of_topics_and_a_topic_read_twice)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream { 'a', 'b' }:map_values(function(k, v, rec) return rec.topic end):to('out')\n"
                      "app:stream('a'):to('copy')\n");
    pipeline_send(&p, "a", "k", "1", 1);
    pipeline_send(&p, "b", "k", "2", 2);
    ck_assert_str_eq(outputs(&p, "out"), "k:\"a\"@1 k:\"b\"@2");
    ck_assert_str_eq(outputs(&p, "copy"), "k:1@1");
    pipeline_close(&p);
}
END_TEST

UNIT_MAIN("source", bad_json_ends_the_run_and_says_where, bad_bytes_are_skipped_by_policy,
          bad_records_go_to_the_dead_letter_topic_as_they_came, a_function_decides_what_becomes_of_an_error,
          the_policy_of_the_app_is_that_of_its_nodes, event_time_comes_from_the_function, codecs_are_named_by_option,
          a_time_far_ahead_is_an_error_of_its_record, a_time_far_ahead_does_not_move_stream_time,
          what_was_let_in_jumps_behind_an_internal_topic, what_waits_for_other_inputs_goes_on_by_the_clock,
          a_list_of_topics_and_a_topic_read_twice)
