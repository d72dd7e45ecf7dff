#include "support.h"

START_TEST(map_makes_another_record)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):map(function(k, v) return v and v.u, v and { from = k } end):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"u\":\"x\"}", 1);
    pipeline_send(&p, "in", "b", "{}", 2);
    pipeline_send(&p, "in", NULL, NULL, 3);
    ck_assert_str_eq(outputs(&p, "out"), "x:{\"from\":\"a\"}@1 -:{\"from\":\"b\"}@2 -:-@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(map_values_may_change_the_view)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):map_values(function(k, v) v.n = v.n + 1 return v end):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"m\":1,\"n\":2,\"o\":3}", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"m\":1,\"n\":3,\"o\":3}@1");
    pipeline_close(&p);
}
END_TEST

/* The view is one for all children, the table is made by map_values: neither may show a sibling's change. */
START_TEST(siblings_see_the_original)
{
    struct pipeline p;
    pipeline_open(&p, "local function set(k, v) v.n = 9 return v end\n"
                      "local s = app:stream('in'):filter(function(k, v) return v.n > 0 end)\n"
                      "s:map_values(set):to('a')\n"
                      "s:map_values(function(k, v) return v.n end):to('b')\n"
                      "local t = s:map_values(function(k, v) return { n = v.n } end)\n"
                      "t:map_values(set):to('c')\n"
                      "t:to('d')\n"
                      "t:map_values(set):to('e')\n"
                      "t:map_values(function(k, v) return v.n end):to('f')\n");
    pipeline_send(&p, "in", "k", "{\"n\":1}", 1);
    ck_assert_str_eq(outputs(&p, "a"), "k:{\"n\":9}@1");
    ck_assert_str_eq(outputs(&p, "b"), "k:1@1");
    ck_assert_str_eq(outputs(&p, "c"), "k:{\"n\":9}@1");
    ck_assert_str_eq(outputs(&p, "d"), "k:{\"n\":1}@1");
    ck_assert_str_eq(outputs(&p, "e"), "k:{\"n\":9}@1");
    ck_assert_str_eq(outputs(&p, "f"), "k:1@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(flat_map_takes_tables_and_views)
{
    struct pipeline p;
    pipeline_open(&p, "local s = app:stream('in')\n"
                      "s:flat_map(function(k, v) return v.pairs end):to('pairs')\n"
                      "s:flat_map(function(k, v) return { { 'x', v.n }, { nil, nil } } end):to('made')\n"
                      "s:flat_map_values(function(k, v) return v.list end):to('values')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1,\"pairs\":[[\"p\",{\"q\":1}],[\"r\",null]],\"list\":[1,{\"z\":2}]}", 1);
    pipeline_send(&p, "in", "b", "{\"n\":2}", 2);
    ck_assert_str_eq(outputs(&p, "pairs"), "p:{\"q\":1}@1 r:null@1");
    ck_assert_str_eq(outputs(&p, "made"), "x:1@1 -:-@1 x:2@2 -:-@2");
    ck_assert_str_eq(outputs(&p, "values"), "a:1@1 a:{\"z\":2}@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(wrong_results_name_what_is_needed)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):flat_map_values(function(k, v) return 5 end):to('out')\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "flat_map_values must return a list of values, got a number"));
    pipeline_close(&p);
    pipeline_open(&p, "app:stream('in'):flat_map(function(k, v) return { 5 } end):to('out')\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "element 1 is a number"));
    pipeline_close(&p);
}
END_TEST

START_TEST(a_number_is_no_key)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):select_key(function(k, v) return v end):to('out')\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "select_key gave a number as a key"));
    pipeline_close(&p);
    pipeline_open(&p, "app:stream('in'):select_key(function(k, v) return v end, { on_error = 'skip' }):to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "a", "\"b\"", 2);
    ck_assert_str_eq(outputs(&p, "out"), "b:\"b\"@2");
    pipeline_close(&p);
    pipeline_open(&p, "app:stream('in'):select_key(function(k, v) return v end, { key = tm.json }):to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    ck_assert_str_eq(outputs(&p, "out"), "1:1@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(branch_takes_the_first_way_that_holds)
{
    struct pipeline p;
    pipeline_open(&p, "local one, two = app:stream('in'):branch(function(k, v) return v.n == 1 end,\n"
                      "  function(k, v) v.n = 7 return v.m < 3 end, { name = 'ways' })\n"
                      "two:to('two')\n"
                      "one:to('one')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1,\"m\":1}", 1);
    pipeline_send(&p, "in", "b", "{\"n\":2,\"m\":2}", 2);
    pipeline_send(&p, "in", "c", "{\"n\":2,\"m\":3}", 3);
    ck_assert_str_eq(outputs(&p, "one"), "a:{\"n\":1,\"m\":1}@1");
    ck_assert_str_eq(outputs(&p, "two"), "b:{\"n\":2,\"m\":2}@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(merge_takes_both_and_a_stream_with_itself)
{
    struct pipeline p;
    pipeline_open(&p, "local a, b = app:stream('a'), app:stream('b')\n"
                      "a:merge(b):to('out')\n"
                      "local t = a:map_values(function(k, v) return { n = v } end)\n"
                      "t:merge(t):map_values(function(k, v) v.n = v.n + 1 return v end):to('twice')\n");
    pipeline_send(&p, "a", "k", "1", 1);
    pipeline_send(&p, "b", "k", "2", 2);
    ck_assert_str_eq(outputs(&p, "out"), "k:1@1 k:2@2");
    ck_assert_str_eq(outputs(&p, "twice"), "k:{\"n\":2}@1 k:{\"n\":2}@1");
    pipeline_close(&p);
}
END_TEST

UNIT_MAIN("map", map_makes_another_record, map_values_may_change_the_view, siblings_see_the_original,
          flat_map_takes_tables_and_views, wrong_results_name_what_is_needed, a_number_is_no_key,
          branch_takes_the_first_way_that_holds, merge_takes_both_and_a_stream_with_itself)
