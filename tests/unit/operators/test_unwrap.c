#include "support.h"

#define UNWRAP "app:stream('in'):unwrap():to('out')\n"

START_TEST(rows_come_out_byte_for_byte)
{
    struct pipeline p;
    pipeline_open(&p, UNWRAP);
    pipeline_send(&p, "in", "1", "{\"op\":\"c\",\"before\":null,\"after\":{\"id\": 1,\"n\":1.50},\"ts_ms\":7}", 1);
    pipeline_send(&p, "in", "1", "{\"op\":\"u\",\"before\":{\"id\":1},\"after\":{\"id\":1,\"n\":2}}", 2);
    pipeline_send(&p, "in", "2", "{\"op\":\"r\",\"after\":{\"id\":2}}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "1:{\"id\": 1,\"n\":1.50}@1 1:{\"id\":1,\"n\":2}@2 2:{\"id\":2}@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_deletion_becomes_one_tombstone)
{
    struct pipeline p;
    pipeline_open(&p, UNWRAP);
    pipeline_send(&p, "in", "1", "{\"op\":\"d\",\"before\":{\"id\":1},\"after\":null}", 1);
    pipeline_send(&p, "in", "1", NULL, 1);
    ck_assert_str_eq(outputs(&p, "out"), "1:-@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_no_row_can_be_found_by_is_left_out)
{
    struct pipeline p;
    pipeline_open(&p, UNWRAP);
    pipeline_send(&p, "in", NULL, "{\"op\":\"t\",\"before\":null,\"after\":null}", 1);
    pipeline_send(&p, "in", NULL, "{\"op\":\"d\",\"before\":{\"n\":1},\"after\":null}", 2);
    pipeline_send(&p, "in", NULL, "{\"op\":\"c\",\"before\":null,\"after\":{\"n\":1}}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "-:{\"n\":1}@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_value_that_a_function_made_is_unwrapped_too)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):map_values(function(k, v) v.after.n = 9 return v end)"
                      ":unwrap():map_values(function(k, v) return v.n end):to('out')\n");
    pipeline_send(&p, "in", "1", "{\"op\":\"c\",\"after\":{\"n\":1}}", 1);
    ck_assert_str_eq(outputs(&p, "out"), "1:9@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(other_values_are_refused)
{
    static const char *const values[] = {"1", "[]", "{\"op\":\"c\"}", "{\"after\":{}}", "\"text\""};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct pipeline p;
        pipeline_open(&p, UNWRAP);
        ck_assert_int_eq(pipeline_try_send(&p, "in", "a", values[i], 1), -1);
        ck_assert_ptr_nonnull(strstr(p.err.text, "no change event"));
        pipeline_close(&p);
    }
}
END_TEST

START_TEST(other_values_go_by_the_policy)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):unwrap { on_error = 'skip' }:to('out')\n");
    pipeline_send(&p, "in", "a", "{}", 1);
    pipeline_send(&p, "in", "a", "{\"op\":\"c\",\"after\":{}}", 2);
    ck_assert_str_eq(outputs(&p, "out"), "a:{}@2");
    pipeline_close(&p);
}
END_TEST

UNIT_MAIN("unwrap", rows_come_out_byte_for_byte, a_deletion_becomes_one_tombstone,
          what_no_row_can_be_found_by_is_left_out, a_value_that_a_function_made_is_unwrapped_too,
          other_values_are_refused, other_values_go_by_the_policy)
