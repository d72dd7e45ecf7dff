#include "support.h"

START_TEST(count_is_eight_bytes_inside_and_json_outside)
{
    struct pipeline p;
    pipeline_open(&p, "local counts = app:stream('in'):group_by_key():count { store = 'counts' }\n"
                      "counts:to('out')\n"
                      "counts:to('raw', { value = tm.int64 })\n"
                      "counts:filter(function(k, n) return n > 1 end, { store = 'more' }):to('more')\n");
    pipeline_send(&p, "in", "a", "1", 5);
    pipeline_send(&p, "in", "a", "1", 3);
    pipeline_send(&p, "in", NULL, "1", 6);
    pipeline_send(&p, "in", "a", NULL, 7);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@5 a:2@5");
    ck_assert_str_eq(outputs(&p, "more"), "a:2@5");
    struct record record;
    ck_assert(driver_take_from(p.driver, "raw", &record) && driver_take_from(p.driver, "raw", &record));
    ck_assert(slice_equal(record.value, slice_of("\0\0\0\0\0\0\0\2", 8)));
    stored(&p, "counts", "a");
    ck_assert(slice_equal(bytes_slice(&p.text), slice_of("\0\0\0\0\0\0\0\2", 8)));
    stored(&p, "more", "a");
    ck_assert(slice_equal(bytes_slice(&p.text), slice_of("\0\0\0\0\0\0\0\2", 8)));
    pipeline_close(&p);
}
END_TEST

START_TEST(reduce_begins_with_the_first_value)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():reduce { store = 'r', add = function(agg, v, rec)\n"
                      "  if rec.timestamp == 9 then return nil end\n"
                      "  if v.n > agg.n then return v end\n"
                      "  agg.seen = (agg.seen or 0) + 1\n"
                      "  return agg end }:to('out')\n");
    pipeline_send(&p, "in", "a", "{ \"n\":2 }", 1);
    pipeline_send(&p, "in", "a", "{\"n\":1}", 2);
    pipeline_send(&p, "in", "a", "{\"n\":3 }", 1);
    pipeline_send(&p, "in", "a", "{\"n\":3}", 9);
    ck_assert_str_eq(outputs(&p, "out"), "a:{ \"n\":2 }@1 a:{ \"n\":2,\"seen\":1 }@2 a:{\"n\":3 }@2 a:-@9");
    ck_assert_str_eq(stored(&p, "r", "a"), "-");
    pipeline_close(&p);
}
END_TEST

START_TEST(add_may_change_the_aggregate_in_place)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():aggregate { store = 's',\n"
                      "  init = function() return { n = 0, list = tm.list {} } end,\n"
                      "  add = function(k, v, agg) agg.n = agg.n + v; agg.list[#agg.list + 1] = k; return agg end }\n"
                      "  :map_values(function(k, agg) agg.n = 0 return #agg.list end):to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "a", "2", 2);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@1 a:2@2");
    const char *text = stored(&p, "s", "a");
    ck_assert_ptr_nonnull(strstr(text, "\"n\":3"));
    ck_assert_ptr_nonnull(strstr(text, "\"list\":[\"a\",\"a\"]"));
    pipeline_close(&p);
}
END_TEST

START_TEST(init_may_return_one_table_for_all)
{
    struct pipeline p;
    pipeline_open(&p, "local zero = { n = 0, list = tm.list {} }\n"
                      "app:stream('in'):group_by_key():aggregate { store = 's', init = function() return zero end,\n"
                      "  add = function(k, v, agg) agg.n = agg.n + 1; agg.list[#agg.list + 1] = v; return agg end }\n"
                      "  :map_values(function(k, agg) return agg.n .. #agg.list .. #zero.list end):to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "a", "1", 2);
    pipeline_send(&p, "in", "b", "1", 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"110\"@1 a:\"220\"@2 b:\"110\"@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(the_aggregate_of_a_failed_call_is_discarded)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():aggregate { store = 's', on_error = 'skip',\n"
                      "  init = function() return { n = 0 } end,\n"
                      "  add = function(k, v, agg) agg.n = agg.n + 100; agg.n = agg.n - 100 + v; return agg end }\n"
                      "  :to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "a", "{}", 2);
    pipeline_send(&p, "in", "a", "2", 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":1}@1 a:{\"n\":3}@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(deletion_starts_anew)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():aggregate { store = 's', init = function() return 10 end,\n"
                      "  add = function(k, v, agg) if v == 0 then return nil end return agg + v end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 7);
    pipeline_send(&p, "in", "a", "0", 3);
    pipeline_send(&p, "in", "a", "1", 2);
    ck_assert_str_eq(outputs(&p, "out"), "a:11@7 a:-@7 a:11@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_changed_key_goes_through_a_topic)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by(function(k, v) return v.u end):count { store = 'c' }:to('out')\n"
                      "app:stream('in'):select_key(function(k, v) return v.u end):group_by_key()\n"
                      "  :aggregate { store = 'd', init = function() return 0 end,\n"
                      "    add = function(k, v, agg, rec) return agg + #rec.topic end }:to('sum')\n");
    pipeline_send(&p, "in", "a", "{\"u\":\"x\"}", 1);
    pipeline_send(&p, "in", "b", "{}", 2);
    pipeline_send(&p, "in", "c", "{\"u\":\"x\"}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "x:1@1 x:2@3");
    ck_assert_str_eq(outputs(&p, "sum"), "x:18@1 x:36@3"); /* test-d-repartition */
    pipeline_close(&p);
}
END_TEST

UNIT_MAIN("aggregate", count_is_eight_bytes_inside_and_json_outside, reduce_begins_with_the_first_value,
          add_may_change_the_aggregate_in_place, init_may_return_one_table_for_all,
          the_aggregate_of_a_failed_call_is_discarded, deletion_starts_anew, a_changed_key_goes_through_a_topic)
