#include "operators/suppress_entry.h"
#include "operators/time_queue.h"
#include "restarts.h"

#define HELD(options) "app:table('in', { store = 't' }):suppress { store = 'held', " options " }:to('out')\n"

START_TEST(the_last_change_of_a_key_goes_out_when_its_time_is_up)
{
    struct pipeline p;
    pipeline_open(&p, HELD("until_time_limit = '10s'"));
    pipeline_send(&p, "in", "a", "1", 1000);
    pipeline_send(&p, "in", "a", "2", 500); /* an older one replaces too (S47) */
    pipeline_send(&p, "in", "b", "3", 5000);
    pipeline_send(&p, "in", "b", NULL, 10999);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "in", "c", "4", 11000);
    ck_assert_str_eq(outputs(&p, "out"), "a:2@500");
    pipeline_send(&p, "in", "a", "5", 15000);
    ck_assert_str_eq(outputs(&p, "out"), "b:-@10999");
    pipeline_send(&p, "in", "x", "6", 25000);
    ck_assert_str_eq(outputs(&p, "out"), "c:4@11000 a:5@15000");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_full_buffer_lets_the_oldest_go)
{
    struct pipeline p;
    pipeline_open(&p, HELD("until_time_limit = '1h', max_records = 2"));
    pipeline_send(&p, "in", "b", "1", 20);
    pipeline_send(&p, "in", "a", "2", 10);
    pipeline_send(&p, "in", "a", "3", 90);
    pipeline_send(&p, "in", "c", "4", 30);
    ck_assert_str_eq(outputs(&p, "out"), "a:3@90");
    pipeline_close(&p);
    pipeline_open(&p, HELD("until_time_limit = '1h', max_bytes = 100"));
    pipeline_send(&p, "in", "a", "\"................................\"", 1);
    pipeline_send(&p, "in", "b", "\"................................\"", 2);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "in", "c", "\"................................\"", 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"................................\"@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_full_buffer_stops_the_app)
{
    struct pipeline p;
    pipeline_open(&p, HELD("until_time_limit = '1h', max_records = 1, when_full = 'stop', name = 'hold'"));
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "a", "2", 2);
    ck_assert_int_eq(pipeline_try_send(&p, "in", "b", "3", 3), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "The buffer held of hold"));
    ck_assert_ptr_nonnull(strstr(p.err.text, "max_records"));
    pipeline_close(&p);
}
END_TEST

START_TEST(what_is_behind_knows_what_it_had)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('in', { store = 't' }):suppress { store = 'held', until_time_limit = 10 }\n"
                      "  :filter(function(k, v) return v > 5 end):to('out')\n");
    pipeline_send(&p, "in", "a", "1", 0);
    pipeline_send(&p, "in", "a", "2", 1);
    pipeline_send(&p, "in", "a", "3", 10); /* never passed: no tombstone (S51) */
    pipeline_send(&p, "in", "a", "7", 20);
    pipeline_send(&p, "in", "b", "7", 30);
    pipeline_send(&p, "in", "a", "8", 31);
    pipeline_send(&p, "in", "a", "1", 32);
    pipeline_send(&p, "in", "c", "1", 50);
    ck_assert_str_eq(outputs(&p, "out"), "a:7@20 b:7@30 a:-@32");
    pipeline_close(&p);
}
END_TEST

START_TEST(joins_see_what_has_gone_out)
{
    struct pipeline p;
    pipeline_open(&p, "local held = app:table('in', { store = 't' })\n"
                      "  :suppress { store = 'held', until_time_limit = 10 }\n"
                      "app:stream('s'):left_join(held, function(k, l, r) return { l = l, r = r } end)\n"
                      "  :map_values(function(k, v) return tostring(v.r) end):to('out')\n");
    pipeline_send(&p, "in", "a", "1", 0);
    pipeline_send(&p, "s", "a", "1", 1);
    pipeline_send(&p, "in", "b", "1", 10);
    pipeline_send(&p, "s", "a", "1", 11);
    pipeline_send(&p, "in", "a", "2", 12);
    pipeline_send(&p, "s", "a", "1", 12);
    pipeline_send(&p, "in", "b", "1", 40);
    pipeline_send(&p, "s", "a", "1", 41);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"nil\"@1 a:\"1\"@11 a:\"1\"@12 a:\"2\"@41");
    pipeline_close(&p);
}
END_TEST

#define WINDOWS(window, rest)                                                                                          \
    "app:stream('in'):group_by_key():windowed_by(" window "):count { store = 's' }\n"                                  \
    "  :suppress { store = 'held', until_window_closes = true" rest " }:to_stream()\n"                                 \
    "  :map(function(wk, v) return wk.key .. wk.window_start, v end):to('out')\n"

START_TEST(idle_windows_go_out_by_the_clock)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10, { idle_after = '1m' })", ""));
    pipeline_send(&p, "in", "a", "1", 5);
    pipeline_send(&p, "in", "b", "1", 6);
    ck_assert_int_eq(driver_advance(p.driver, 59000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "");
    ck_assert_int_eq(driver_advance(p.driver, 60000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a0:1@5 b0:1@6");
    pipeline_send(&p, "in", "a", "1", 7); /* late by now */
    ck_assert_int_eq(driver_advance(p.driver, 120000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_close(&p);
}
END_TEST

START_TEST(windows_wait_for_their_end)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.sliding(10, { grace = 5 })", ""));
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "b", "1", 105);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "in", "b", "1", 106);
    ck_assert_str_eq(outputs(&p, "out"), "a90:1@100");
    pipeline_close(&p);
    pipeline_open(&p, WINDOWS("tm.tumbling(10)", ", max_records = 2"));
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "b", "1", 2);
    pipeline_send(&p, "in", "c", "1", 11); /* two are out, one waits */
    ck_assert_str_eq(outputs(&p, "out"), "a0:1@1 b0:1@2");
    pipeline_send(&p, "in", "d", "1", 12);
    ck_assert_int_eq(pipeline_try_send(&p, "in", "e", "1", 13), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "when_full is \"stop\""));
    pipeline_close(&p);
}
END_TEST

START_TEST(restarts_in_the_middle)
{
    char keys[60][8], values[60][16];
    struct sent records[60];
    for (int i = 0; i < 60; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i * 7 % 11);
        snprintf(values[i], sizeof(values[i]), "%d", i);
        records[i] = (struct sent){keys[i], i % 9 == 5 ? NULL : values[i], 5000 + i * 100 - i % 5 * 150};
    }
    records[59].at = 100000;
    restarts_change_nothing(HELD("until_time_limit = '700ms'"), records, 60, 7, 1);
    restarts_change_nothing(HELD("until_time_limit = '700ms', max_records = 3"), records, 60, 1, 2);
    /* Each old one is due at once, because of what came before the restart. */
    struct sent old[] = {{"a", "1", 9000}, {"b", "2", 10}, {"b", "3", 11}, {"b", "4", 12}};
    restarts_change_nothing(HELD("until_time_limit = 100"), old, 4, 1, 1);
}
END_TEST

START_TEST(what_can_not_be_built_is_named)
{
    pipeline_refused("app:table('t', { store = 't' }):suppress { until_time_limit = 1 }\n", "needs a name for it");
    pipeline_refused("app:table('t', { store = 't' }):suppress { store = 'h' }\n", "needs to know how long");
    pipeline_refused("app:table('t', { store = 't' })\n"
                     "  :suppress { store = 'h', until_time_limit = 1, until_window_closes = true }\n",
                     "it has both");
    pipeline_refused("app:table('t', { store = 't' }):suppress { store = 'h', until_window_closes = true }\n",
                     "needs a table of windows");
    pipeline_refused(
        "app:table('t', { store = 't' }):suppress { store = 'h', until_time_limit = 1, max_records = 0 }\n",
        "max_records is a whole number from 1");
    pipeline_refused(
        "app:table('t', { store = 't' }):suppress { store = 'h', until_time_limit = 1, when_full = 'stopp' "
        "}\n",
        "did you mean \"stop\"?");
    pipeline_refused("app:table('t', { store = 't' })\n"
                     "  :suppress { store = 'h', until_window_closes = true, when_full = 'emit_early' }\n",
                     "would let results out before their window closes");
}
END_TEST

/* ---- entries and queue ---- */

START_TEST(entries_are_written_and_read)
{
    struct arena arena = {0};
    struct header list[] = {{slice_text("h"), slice_text("1")}, {slice_text("h"), SLICE_NULL}};
    struct suppress_entry entry = {7, SLICE_NULL, slice_text("v"), {list, 2}}, read;
    struct slice bytes = suppress_entry_encode(&entry, &arena);
    ck_assert(suppress_entry_parse(bytes, &read, &arena));
    ck_assert(read.time == 7 && slice_is_null(read.before) && slice_equal(read.value, entry.value));
    ck_assert(read.headers.count == 2 && slice_is_null(read.headers.list[1].value));
    for (size_t size = 0; size < bytes.size; size++) {
        ck_assert(!suppress_entry_parse(slice_of(bytes.data, size), &read, &arena));
    }
    ck_assert(slice_is_null(suppress_entry_row(suppress_entry_time_key())));
    ck_assert(slice_equal(suppress_entry_row(suppress_entry_key(slice_text(""), &arena)), slice_text("")));
    arena_free(&arena);
}
END_TEST

START_TEST(the_queue_gives_by_time_then_key)
{
    struct time_queue queue = {0};
    char text[8];
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "%03d", i * 137 % 500);
        time_queue_push(&queue, i * 137 % 500 / 10, slice_text(text));
    }
    int64_t time;
    struct slice key;
    ck_assert(time_queue_first(&queue, &time, &key) && time == 0);
    time_queue_postpone(&queue, 1000);
    for (int i = 1; i < 500; i++) {
        snprintf(text, sizeof(text), "%03d", i);
        ck_assert(time_queue_first(&queue, &time, &key));
        ck_assert(slice_equal(key, slice_text(text)) && time == i / 10);
        time_queue_pop(&queue);
    }
    ck_assert(time_queue_first(&queue, &time, &key) && time == 1000 && slice_equal(key, slice_text("000")));
    time_queue_free(&queue);
    ck_assert(!time_queue_first(&queue, &time, &key));
}
END_TEST

UNIT_MAIN("suppress", the_last_change_of_a_key_goes_out_when_its_time_is_up, a_full_buffer_lets_the_oldest_go,
          a_full_buffer_stops_the_app, what_is_behind_knows_what_it_had, joins_see_what_has_gone_out,
          idle_windows_go_out_by_the_clock, windows_wait_for_their_end, restarts_in_the_middle,
          what_can_not_be_built_is_named, entries_are_written_and_read, the_queue_gives_by_time_then_key)
