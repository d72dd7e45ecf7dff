#include "running.h"

#define BOTH "local l, r = app:table('l', { store = 'l' }), app:table('r', { store = 'r' })\n"
#define PAIR "function(k, l, r) return (l or '-') .. (r or '-') end"

START_TEST(inner_left_and_outer)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "l:join(r, " PAIR "):to('inner')\n"
                           "l:left_join(r, " PAIR "):to('left')\n"
                           "l:outer_join(r, " PAIR "):to('outer')\n");
    pipeline_send(&p, "l", "a", "\"1\"", 100);
    pipeline_send(&p, "r", "b", "\"2\"", 50);
    ck_assert_str_eq(outputs(&p, "inner"), "");
    ck_assert_str_eq(outputs(&p, "left"), "a:\"1-\"@100");
    ck_assert_str_eq(outputs(&p, "outer"), "a:\"1-\"@100 b:\"-2\"@50");
    pipeline_send(&p, "r", "a", "\"3\"", 70);
    pipeline_send(&p, "l", "a", NULL, 80);
    ck_assert_str_eq(outputs(&p, "inner"), "a:\"13\"@100 a:-@80");
    ck_assert_str_eq(outputs(&p, "left"), "a:\"13\"@100 a:-@80");
    ck_assert_str_eq(outputs(&p, "outer"), "a:\"13\"@100 a:\"-3\"@80");
    pipeline_send(&p, "l", "c", NULL, 90); /* nothing was there, and nothing is */
    ck_assert_str_eq(outputs(&p, "outer"), "");
    pipeline_close(&p);
}
END_TEST

/* A chain without stores makes its rows of those that the sources keep, for whoever asks. */
START_TEST(joins_without_a_store_are_asked_for_rows)
{
    struct pipeline p;
    pipeline_open(&p,
                  BOTH "local c = app:table('c', { store = 'c' })\n"
                       "local all = l:map_values(function(k, v) return v .. '!' end)\n"
                       "  :left_join(r, " PAIR "):outer_join(c:filter(function(k, v) return v ~= 'x' end), " PAIR ")\n"
                       "app:stream('s'):left_join(all, function(k, v, row) return row or 'none' end):to('out')\n");
    pipeline_send(&p, "s", "a", "0", 1);
    pipeline_send(&p, "l", "a", "\"1\"", 2);
    pipeline_send(&p, "s", "a", "0", 3);
    pipeline_send(&p, "r", "a", "\"2\"", 4);
    pipeline_send(&p, "c", "a", "\"x\"", 5);
    pipeline_send(&p, "s", "a", "0", 6);
    pipeline_send(&p, "c", "a", "\"3\"", 7);
    pipeline_send(&p, "s", "a", "0", 8);
    pipeline_send(&p, "l", "a", NULL, 9);
    pipeline_send(&p, "s", "a", "0", 10);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"none\"@1 a:\"1!--\"@3 a:\"1!2-\"@6 a:\"1!23\"@8 a:\"-3\"@10");
    pipeline_close(&p);
}
END_TEST

/* What a filter behind a join has to know of the row before. */
START_TEST(old_values_come_through_joins)
{
    static const char *const stores[] = {"", ", { store = 'kept' }"};
    for (size_t i = 0; i < 2; i++) {
        struct pipeline p;
        char script[512];
        snprintf(script, sizeof(script),
                 BOTH "l:join(r, " PAIR "%s):filter(function(k, v) return v < '3' end):to('out')\n", stores[i]);
        pipeline_open(&p, script);
        pipeline_send(&p, "l", "a", "\"5\"", 1);
        pipeline_send(&p, "r", "a", "\"1\"", 2); /* 51 does not pass, and none did before */
        pipeline_send(&p, "l", "a", "\"2\"", 3);
        pipeline_send(&p, "r", "a", "\"2\"", 4);
        pipeline_send(&p, "l", "a", "\"6\"", 5);
        pipeline_send(&p, "l", "a", "\"7\"", 6);
        ck_assert_str_eq(outputs(&p, "out"), "a:\"21\"@3 a:\"22\"@4 a:-@5");
        pipeline_close(&p);
    }
}
END_TEST

START_TEST(a_table_is_joined_with_itself)
{
    struct pipeline p;
    pipeline_open(&p, "local t = app:table('t', { store = 't' })\n"
                      "local twice = t:join(t, " PAIR ")\n"
                      "local four = twice:join(twice, " PAIR ")\n"
                      "app:stream('s'):join(four, function(k, v, row) return row end):to('out')\n");
    pipeline_send(&p, "t", "a", "\"x\"", 1);
    pipeline_send(&p, "s", "a", "0", 2);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"xxxx\"@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_kept_result_is_readable_and_nil_deletes_it)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "l:join(r, function(k, l, r) if l + r > 0 then return l + r end end, { store = 'sum' })\n"
                           "  :to('out')\n");
    pipeline_send(&p, "l", "a", "1", 1);
    pipeline_send(&p, "r", "a", "2", 2);
    ck_assert_str_eq(stored(&p, "sum", "a"), "3");
    pipeline_send(&p, "r", "a", "-2", 3);
    ck_assert_str_eq(stored(&p, "sum", "a"), "-");
    ck_assert_str_eq(outputs(&p, "out"), "a:3@2 a:-@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_joiner_that_fails_drops_the_change)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "l:join(r, function(k, l, r) return l + r end, { on_error = 'dead_letter' }):to('out')\n");
    pipeline_send(&p, "l", "a", "1", 1);
    pipeline_send(&p, "r", "a", "{}", 2);
    pipeline_send(&p, "r", "a", "2", 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:3@3");
    ck_assert_str_eq(outputs(&p, "test-dead-letter"), "a:{}@2");
    pipeline_close(&p);
    pipeline_open(&p, BOTH "l:join(r, function(k, l, r) return l + r end, { on_error = 'skip' }):to('out')\n");
    pipeline_send(&p, "l", "a", "1", 1);
    pipeline_send(&p, "r", "a", "{}", 2);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_close(&p);
    pipeline_open(&p, BOTH "l:join(r, function(k, l, r) return l + r end):to('out')\n");
    pipeline_send(&p, "l", "a", "1", 1);
    ck_assert_int_eq(pipeline_try_send(&p, "r", "a", "{}", 2), -1);
    pipeline_close(&p);
}
END_TEST

START_TEST(counts_and_restarts)
{
    struct running running;
    running_open(
        &running,
        "local users = app:table('users', { store = 'users' })\n"
        "local n = app:stream('clicks'):group_by_key():count { store = 'n' }\n"
        "users:left_join(n, function(k, u, n) return { u = u, n = n or 0 } end, { store = 'both' }):to('out')\n",
        2, false);
    running_begin(&running);
    running_send(&running, "users", "a", "\"Ann\"", 1);
    running_until_idle(&running);
    running_restart(&running, false);
    running_send(&running, "clicks", "a", "0", 2);
    running.aborts = 1;
    running_until_idle(&running);
    running_restart(&running, false);
    running_send(&running, "clicks", "a", "0", 3);
    running_until_idle(&running);
    ck_assert_str_eq(running_outputs(&running),
                     "a:{\"n\":0,\"u\":\"Ann\"}@1 a:{\"n\":1,\"u\":\"Ann\"}@2 a:{\"n\":2,\"u\":\"Ann\"}@3");
    running_close(&running);
}
END_TEST

START_TEST(windowed_tables_are_joined_by_window)
{
    struct pipeline p;
    pipeline_open(
        &p, "local function counts(topic)\n"
            "  return app:stream(topic):group_by_key():windowed_by(tm.tumbling('10s')):count { store = topic }\n"
            "end\n"
            "local both = counts('l'):join(counts('r'), function(wk, l, r) return { wk.window_start, l, r } end)\n"
            "both:filter(function(wk, v) return v[3] < 3 end):to_stream()\n"
            "  :select_key(function(wk) return wk.key end):to('out')\n");
    pipeline_send(&p, "l", "a", "0", 1000);
    pipeline_send(&p, "r", "a", "0", 11000);
    pipeline_send(&p, "r", "a", "0", 12000);
    pipeline_send(&p, "l", "a", "0", 13000);
    pipeline_send(&p, "r", "a", "0", 14000);
    ck_assert_str_eq(outputs(&p, "out"), "a:[10000,1,2]@13000 a:-@14000");
    pipeline_close(&p);
    pipeline_refused("local w = app:stream('w'):group_by_key():windowed_by(tm.tumbling('10s')):count { store = 'w' }\n"
                     "app:stream('s'):join(w, print)",
                     "the keys of the two sides never match, because the right side's are windows");
    pipeline_refused("local function w(size) return app:stream(size):group_by_key():windowed_by(tm.tumbling(size))\n"
                     "  :count { store = size } end\n"
                     "w('10s'):join(w('20s'), print)",
                     "because their windows differ");
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    pipeline_refused(BOTH "l:join(app:stream('s'), print)",
                     "got a stream; write :to_table { store = ... } behind the stream");
    pipeline_refused(BOTH "l:join(r)", "join needs a function as its second argument, got nothing");
    pipeline_refused(BOTH "l:join(r, print, { stoer = 'x' })", "join has no option \"stoer\"; did you mean \"store\"?");
    pipeline_refused(BOTH "l:join(r, print, { emit = 'commit' })", "emit = \"commit\" needs the rows to be kept");
    pipeline_refused("local l, r = app:table('l', { store = 'l', key = tm.int64 }), app:table('r', { store = 'r' })\n"
                     "l:join(r, print)",
                     "give both sources the same key = tm.string");
}
END_TEST

UNIT_MAIN("join_tables", inner_left_and_outer, joins_without_a_store_are_asked_for_rows, old_values_come_through_joins,
          a_table_is_joined_with_itself, a_kept_result_is_readable_and_nil_deletes_it,
          a_joiner_that_fails_drops_the_change, counts_and_restarts, windowed_tables_are_joined_by_window,
          bad_calls_are_refused)
