#include "support.h"

START_TEST(codecs_of_to)
{
    struct pipeline p;
    pipeline_open(&p, "local s = app:stream('in')\n"
                      "s:to('text', { value = tm.string })\n"
                      "s:to('json', { key = tm.json })\n");
    pipeline_send(&p, "in", "a", "\"x\"", 1);
    pipeline_send(&p, "in", NULL, NULL, 2);
    ck_assert_str_eq(outputs(&p, "text"), "a:x@1 -:-@2");
    ck_assert_str_eq(outputs(&p, "json"), "\"a\":\"x\"@1 -:-@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_the_codec_cannot_write_is_treated_by_policy)
{
    struct pipeline p;
    pipeline_open(&p, "local s = app:stream('in')\n"
                      "s:to('out', { value = tm.int64, on_error = 'skip' })\n"
                      "s:map_values(function(k, v) return { f = print } end)\n"
                      "  :to('functions', { on_error = 'dead_letter' })\n"
                      "s:to('all')\n");
    pipeline_send(&p, "in", "a", "\"x\"", 1);
    ck_assert_str_eq(outputs(&p, "out"), "");
    ck_assert_str_eq(outputs(&p, "functions"), "");
    ck_assert_str_eq(outputs(&p, "test-dead-letter"), "a:\"x\"@1");
    ck_assert_str_eq(outputs(&p, "all"), "a:\"x\"@1");
    pipeline_close(&p);
    pipeline_open(&p, "app:stream('in'):to('out', { value = tm.int64 })\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "\"x\"", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "the value can't be written"));
    pipeline_close(&p);
}
END_TEST

START_TEST(the_topic_may_be_chosen_by_a_function)
{
    struct pipeline p;
    pipeline_open(&p,
                  "app:stream('in'):to(function(k, v, rec) v.t = 'changed' return v.to end, { on_error = 'skip' })\n");
    pipeline_send(&p, "in", "a", "{\"to\":\"x\",\"t\":1}", 1);
    pipeline_send(&p, "in", "b", "{\"to\":\"y\"}", 2);
    pipeline_send(&p, "in", "c", "{\"to\":\"x\"}", 3);
    pipeline_send(&p, "in", "d", "{}", 4);
    ck_assert_str_eq(outputs(&p, "x"), "a:{\"to\":\"x\",\"t\":1}@1 c:{\"to\":\"x\"}@3");
    ck_assert_str_eq(outputs(&p, "y"), "b:{\"to\":\"y\"}@2");
    pipeline_close(&p);
    pipeline_open(&p, "app:stream('in'):to(function() return 5 end)\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "to needs the name of a topic from its function, got a number"));
    pipeline_close(&p);
}
END_TEST

START_TEST(repartition_drops_null_keys_and_keeps_null_values)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):repartition { name = 'again', partitions = 1 }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", NULL, "1", 2);
    pipeline_send(&p, "in", "b", NULL, 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@1 b:-@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(through_writes_and_reads_again)
{
    struct pipeline p;
    pipeline_open(&p,
                  "app:stream('in'):through('mid'):map_values(function(k, v, rec) return rec.topic end):to('out')\n");
    pipeline_send(&p, "in", NULL, "1", 1);
    ck_assert_str_eq(outputs(&p, "mid"), "-:1@1");
    ck_assert_str_eq(outputs(&p, "out"), "-:\"mid\"@1");
    pipeline_close(&p);
}
END_TEST

UNIT_MAIN("sink", codecs_of_to, what_the_codec_cannot_write_is_treated_by_policy, the_topic_may_be_chosen_by_a_function,
          repartition_drops_null_keys_and_keeps_null_values, through_writes_and_reads_again)
