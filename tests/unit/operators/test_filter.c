#include "support.h"

START_TEST(filter_and_filter_not_split_a_stream)
{
    struct pipeline p;
    pipeline_open(&p, "local s = app:stream('in')\n"
                      "s:filter(function(k, v) return v and v.n > 1 end):to('more')\n"
                      "s:filter_not(function(k, v) return v and v.n > 1 end):to('rest')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1}", 1);
    pipeline_send(&p, "in", "b", "{\"n\":2}", 2);
    pipeline_send(&p, "in", NULL, NULL, 3);
    ck_assert_str_eq(outputs(&p, "more"), "b:{\"n\":2}@2");
    ck_assert_str_eq(outputs(&p, "rest"), "a:{\"n\":1}@1 -:-@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(an_untouched_value_leaves_byte_for_byte)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):filter(function(k, v) return v.n > 0 end):to('out')\n");
    pipeline_send(&p, "in", "a", " { \"n\" : 1.50e0 , \"n\":2 } ", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a: { \"n\" : 1.50e0 , \"n\":2 } @1");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_a_predicate_changes_is_forgotten)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):filter(function(k, v) v.n = 9 return true end):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1}", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":1}@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_failing_predicate_ends_the_run)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):filter(function(k, v) return v.n > 0 end):to('out')\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "{}", 1), -1);
    ck_assert_int_eq(p.err.class, ERR_FATAL);
    ck_assert_int_eq(p.err.code, ERR_SCRIPT);
    ck_assert_ptr_nonnull(strstr(p.err.text, ".lua:3"));
    pipeline_close(&p);
}
END_TEST

START_TEST(a_failing_predicate_skips_the_record_by_policy)
{
    struct pipeline p;
    pipeline_open(&p, "local s = app:stream('in')\n"
                      "s:filter(function(k, v) return v.n > 0 end, { on_error = 'skip' }):to('out')\n"
                      "s:to('all')\n");
    pipeline_send(&p, "in", "a", "{}", 1);
    pipeline_send(&p, "in", "b", "{\"n\":1}", 2);
    ck_assert_str_eq(outputs(&p, "out"), "b:{\"n\":1}@2");
    ck_assert_str_eq(outputs(&p, "all"), "a:{}@1 b:{\"n\":1}@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(many_operators_in_a_row)
{
    struct pipeline p;
    pipeline_open(&p, "local s = app:stream('in')\n"
                      "for i = 1, 400 do s = s:map_values(function(k, v, rec) v.n = v.n + 1 return v end) end\n"
                      "s:filter(function(k, v) return v.n == 401 end):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1}", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":401}@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(peek_sees_and_changes_nothing)
{
    struct pipeline p;
    pipeline_open(&p, "local seen = {}\n"
                      "app:stream('in')\n"
                      "  :peek(function(k, v) v.n = 0 seen[#seen + 1] = k end)\n"
                      "  :map_values(function(k, v) return { n = v.n, seen = #seen } end):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1}", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":1,\"seen\":1}@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(foreach_ends_a_stream)
{
    struct pipeline p;
    pipeline_open(&p, "local count = 0\n"
                      "local s = app:stream('in')\n"
                      "s:foreach(function(k, v) count = count + 1 end)\n"
                      "s:map_values(function() return count end):to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@1");
    pipeline_close(&p);
    pipeline_refused("app:stream('in'):foreach(function() end):to('out')", "pipeline");
}
END_TEST

UNIT_MAIN("filter", filter_and_filter_not_split_a_stream, an_untouched_value_leaves_byte_for_byte,
          what_a_predicate_changes_is_forgotten, a_failing_predicate_ends_the_run,
          a_failing_predicate_skips_the_record_by_policy, many_operators_in_a_row, peek_sees_and_changes_nothing,
          foreach_ends_a_stream)
