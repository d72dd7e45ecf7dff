#include "support.h"

START_TEST(a_table_source_keeps_the_bytes_that_came_last)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't' }):to('out')\n");
    pipeline_send(&p, "t", "a", "{ \"n\":1}", 9);
    pipeline_send(&p, "t", "a", "{ \"n\":2}", 4);
    pipeline_send(&p, "t", NULL, "{}", 5);
    pipeline_send(&p, "t", "b", NULL, 6);
    ck_assert_str_eq(outputs(&p, "out"), "a:{ \"n\":1}@9 a:{ \"n\":2}@4 b:-@6");
    ck_assert_str_eq(stored(&p, "t", "a"), "{ \"n\":2}");
    pipeline_send(&p, "t", "a", NULL, 7);
    ck_assert_str_eq(stored(&p, "t", "a"), "-");
    pipeline_close(&p);
}
END_TEST

static void filter_like(const char *options)
{
    char script[512];
    struct pipeline p;
    snprintf(script, sizeof(script),
             "app:table('t', { store = 't' }):filter(function(k, v) return v > 1 end%s):to('out')\n", options);
    pipeline_open(&p, script);
    pipeline_send(&p, "t", "a", "1", 1);
    pipeline_send(&p, "t", "a", "2", 2);
    pipeline_send(&p, "t", "a", "1", 3);
    pipeline_send(&p, "t", "a", "0", 4);
    pipeline_send(&p, "t", "b", "3", 5);
    pipeline_send(&p, "t", "b", NULL, 6);
    pipeline_send(&p, "t", "c", NULL, 7);
    ck_assert_str_eq(outputs(&p, "out"), "a:2@2 a:-@3 b:3@5 b:-@6");
    pipeline_close(&p);
}

START_TEST(a_filter_sends_tombstones_only_for_what_passed)
{
    filter_like("");
    filter_like(", { store = 'passed' }");
}
END_TEST

START_TEST(a_filter_on_an_aggregation_sends_no_needless_tombstone)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():count { store = 'c' }\n"
                      "  :filter(function(k, n) return n % 2 == 0 end):to('out')\n");
    for (int i = 0; i < 4; i++) {
        pipeline_send(&p, "in", "a", "1", i);
    }
    ck_assert_str_eq(outputs(&p, "out"), "a:2@1 a:-@2 a:4@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(map_values_is_not_called_for_tombstones)
{
    struct pipeline p;
    pipeline_open(&p, "local t = app:table('t', { store = 't' })\n"
                      "local function half(k, v) if v == 1 then return nil end return v // 2 end\n"
                      "t:map_values(half):to('out')\n"
                      "t:map_values(half, { store = 'h' }):to('stored')\n"
                      "t:map_values(half):filter_not(function(k, v) return v == 3 end):to('chain')\n");
    pipeline_send(&p, "t", "a", "6", 1);
    pipeline_send(&p, "t", "a", "4", 2);
    pipeline_send(&p, "t", "a", "1", 3);
    pipeline_send(&p, "t", "a", NULL, 4);
    const char *all = "a:3@1 a:2@2 a:-@3 a:-@4";
    ck_assert_str_eq(outputs(&p, "out"), all);
    ck_assert_str_eq(outputs(&p, "stored"), all);
    ck_assert_str_eq(outputs(&p, "chain"), "a:2@2 a:-@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(to_table_keeps_the_latest)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):select_key(function(k, v) return v and v.u end)\n"
                      "  :to_table { store = 'latest' }:to_stream():map_values(function(k, v) return v or 'gone' end)\n"
                      "  :to('out')\n");
    pipeline_send(&p, "in", "a", "{\"u\":\"x\"}", 1);
    pipeline_send(&p, "in", "a", "{}", 2);
    ck_assert_str_eq(outputs(&p, "out"), "x:{\"u\":\"x\"}@1");
    ck_assert_str_eq(stored(&p, "latest", "x"), "{\"u\":\"x\"}");
    pipeline_close(&p);
}
END_TEST

START_TEST(rows_past_their_ttl_are_none)
{
    struct pipeline p;
    pipeline_open(&p, "local t = app:table('t', { store = 't', ttl = '10s' })\n"
                      "local s = app:stream('s')\n"
                      "s:left_join(t, function(k, v, row) return row or 'none' end):to('out')\n"
                      "s:group_by_key():count { store = 'c', ttl = '5s' }:to('counts')\n");
    pipeline_send(&p, "t", "a", "1", 1000);
    pipeline_send(&p, "s", "a", "0", 10999);
    pipeline_send(&p, "s", "a", "0", 11000);
    pipeline_send(&p, "t", "a", "2", 12000);
    pipeline_send(&p, "s", "a", "0", 16000);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@10999 a:\"none\"@11000 a:2@16000");
    ck_assert_str_eq(outputs(&p, "counts"), "a:1@10999 a:2@11000 a:1@16000");
    pipeline_send(&p, "s", "b", "0", 30000);
    ck_assert_str_eq(stored(&p, "t", "a"), "-");
    pipeline_close(&p);
}
END_TEST

UNIT_MAIN("table", rows_past_their_ttl_are_none, a_table_source_keeps_the_bytes_that_came_last,
          a_filter_sends_tombstones_only_for_what_passed, a_filter_on_an_aggregation_sends_no_needless_tombstone,
          map_values_is_not_called_for_tombstones, to_table_keeps_the_latest)
