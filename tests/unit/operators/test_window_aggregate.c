#include "base/hash.h"
#include "restarts.h"

#include "operators/window_key.h"

#define FLAT                                                                                                           \
    ":to_stream():map(function(wk, v) return wk.key .. '[' .. wk.window_start .. '-' .. wk.window_end .. ')', v end)"  \
    ":to('out')\n"
#define WINDOWS(window, rest) "app:stream('in'):group_by_key():windowed_by(" window ")" rest FLAT
#define COUNT ":count { store = 's' }"

/* ---- which windows ---- */

START_TEST(tumbling_windows)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10, { grace = 5 })", COUNT));
    pipeline_send(&p, "in", "a", "1", 3);
    pipeline_send(&p, "in", "b", "1", 12);
    pipeline_send(&p, "in", "a", "1", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):1@3 b[10-20):1@12 a[0-10):2@3");
    pipeline_send(&p, "in", "a", "1", 14);
    pipeline_send(&p, "in", "a", "1", 9);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):1@14 a[0-10):3@9");
    pipeline_send(&p, "in", "c", "1", 15); /* the end and grace of the first window */
    pipeline_send(&p, "in", "a", "1", 9);
    ck_assert_str_eq(outputs(&p, "out"), "c[10-20):1@15");
    pipeline_close(&p);
}
END_TEST

START_TEST(hopping_windows_by_start)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.hopping(10, 4, { grace = 3 })", COUNT));
    pipeline_send(&p, "in", "a", "1", 9);
    pipeline_send(&p, "in", "b", "1", 13);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):1@9 a[4-14):1@9 a[8-18):1@9 b[4-14):1@13 b[8-18):1@13 b[12-22):1@13");
    pipeline_send(&p, "in", "a", "1", 9); /* the first one is closed */
    ck_assert_str_eq(outputs(&p, "out"), "a[4-14):2@9 a[8-18):2@9");
    pipeline_close(&p);
}
END_TEST

/* What a callback changes in a value that an operator before made is not seen by the next window. */
START_TEST(windows_do_not_share_what_callbacks_change)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):map_values(function(k, v) return { n = v } end):group_by_key()\n"
                      "  :windowed_by(tm.hopping(10, 5)):aggregate { store = 's', init = function() return 0 end,\n"
                      "    add = function(k, v, agg) v.n = v.n + 1 return agg + v.n end }" FLAT);
    pipeline_send(&p, "in", "a", "1", 7);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):2@7 a[5-15):2@7");
    pipeline_close(&p);
    pipeline_open(&p, WINDOWS("tm.hopping(10, 5)", ":aggregate { store = 's', init = function() return 0 end,\n"
                                                   "  add = function(k, v, agg) v.n = v.n + 1 return agg + v.n end }"));
    pipeline_send(&p, "in", "a", "{\"n\":1}", 7);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):2@7 a[5-15):2@7");
    pipeline_close(&p);
}
END_TEST

START_TEST(reduce_and_aggregate)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10)",
                              ":reduce { store = 's', add = function(agg, v, rec)\n"
                              "  if v == 0 then return nil end return agg * 10 + v + rec.timestamp * 0 end }"));
    pipeline_send(&p, "in", "a", "1", 5);
    pipeline_send(&p, "in", "a", "2", 3);
    pipeline_send(&p, "in", "a", "0", 4);
    pipeline_send(&p, "in", "a", "7", 4);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):1@5 a[0-10):12@5 a[0-10):-@5 a[0-10):7@4");
    pipeline_close(&p);
    pipeline_open(&p, WINDOWS("tm.tumbling(10)",
                              ":aggregate { store = 's', init = function() return { k = '', n = 0 } end,\n"
                              "  add = function(k, v, agg, rec) agg.k = agg.k .. k; agg.n = agg.n + rec.timestamp\n"
                              "    return agg end }\n"
                              "  :map_values(function(wk, agg) return agg.k .. agg.n .. wk.window_start end)"));
    pipeline_send(&p, "in", "a", "1", 15);
    pipeline_send(&p, "in", "a", "1", 12); /* callbacks see the record's own time */
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):\"a1510\"@15 a[10-20):\"aa2710\"@15");
    pipeline_close(&p);
}
END_TEST

/* ---- sliding windows against their definition ---- */

#define MANY 300

/* Sums of the values of each window of one key: windows that end at a record's time, and those that begin after one and
 * hold a later one; near 0 the first window is [0, difference]. */
struct model {
    int64_t times[MANY];
    int count;
    int64_t difference;
};

static int records_between(const struct model *model, int64_t first, int64_t last)
{
    int found = 0;
    for (int i = 0; i < model->count; i++) {
        found += model->times[i] >= first && model->times[i] <= last;
    }
    return found;
}

static bool is_window(const struct model *model, int64_t start)
{
    for (int i = 0; i < model->count; i++) {
        int64_t time = model->times[i];
        bool ends = time < model->difference ? start == 0 : start == time - model->difference;
        if (ends || (start == time + 1 && records_between(model, start, start + model->difference) > 0)) {
            return true;
        }
    }
    return false;
}

/* How many records the store says are in the window; -1: it has none. */
static int count_in_store(struct pipeline *p, int64_t start)
{
    struct store_spec spec = {.kind = STORE_WINDOW, .by_key = true, .segment_ms = 60000};
    struct store_window window = {slice_text("a"), start, 0};
    struct arena arena = {0};
    struct store_entry entry;
    bool found = false;
    struct slice key = store_form_key(&spec, &window, &arena);
    const struct store_driver *stores = driver_store_driver(p->driver);
    ck_assert_int_eq(stores->get(driver_store(p->driver, "s", 0), key, &found, &entry, &p->err), 0);
    arena_free(&arena);
    struct bytes_reader reader = bytes_reader_of(found ? entry.value : slice_text(""));
    return found ? (int)bytes_take_u64(&reader) : -1;
}

static void check_sliding(unsigned seed, int64_t spread)
{
    struct model model = {.difference = 20};
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.sliding(20, { grace = 100000 })", COUNT));
    for (int i = 0; i < 60; i++) {
        seed = seed * 1103515245u + 12345u;
        model.times[model.count++] = (int64_t)(seed >> 8) % spread;
        pipeline_send(&p, "in", "a", "1", model.times[i]);
        pipeline_send(&p, "in", "b", "1", (int64_t)(seed >> 12) % spread);
    }
    for (int64_t start = 0; start <= spread + 1; start++) {
        int expected = is_window(&model, start) ? records_between(&model, start, start + model.difference) : -1;
        ck_assert_msg(count_in_store(&p, start) == expected, "start %d", (int)start);
    }
    pipeline_close(&p);
}

START_TEST(sliding_windows_in_any_order)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        check_sliding(seed, seed % 2 ? 60 : 400);
    }
}
END_TEST

/* ---- emitting ---- */

START_TEST(final_results_come_once_and_only_then)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10, { grace = 5 })", ":count { store = 's', emit = 'final' }"));
    pipeline_send(&p, "in", "b", "1", 1);
    pipeline_send(&p, "in", "a", "1", 2);
    pipeline_send(&p, "in", "a", "1", 14);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "in", "a", "1", 15);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):1@2 b[0-10):1@1");
    pipeline_send(&p, "in", "a", "1", 2);       /* late from the same moment */
    pipeline_send(&p, "in", "c", "1", 1000000); /* far behind the retention */
    pipeline_send(&p, "in", "c", "1", 2000000);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):2@15 c[1000000-1000010):1@1000000");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_was_deleted_has_no_final_result)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.hopping(10, 5)",
                              ":aggregate { store = 's', emit = 'final', init = function() return 0 end,\n"
                              "  add = function(k, v, agg) if v == 0 then return nil end return agg + v end }"));
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "a", "0", 7);
    pipeline_send(&p, "in", "", "4", 12); /* an empty key is one */
    pipeline_send(&p, "in", "a", "1", 100);
    ck_assert_str_eq(outputs(&p, "out"), "[5-15):4@12 [10-20):4@12");
    pipeline_close(&p);
}
END_TEST

START_TEST(sliding_windows_have_final_results)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.sliding(10, { grace = 2 })", ":count { store = 's', emit = 'final' }"));
    pipeline_send(&p, "in", "a", "1", 20);
    pipeline_send(&p, "in", "a", "1", 22); /* equal to end + grace: open */
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "in", "a", "1", 23);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):1@20");
    pipeline_send(&p, "in", "a", "1", 1000);
    ck_assert_str_eq(outputs(&p, "out"), "a[12-22):2@22 a[13-23):3@23 a[21-31):2@23 a[23-33):1@23");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_commit_emits_the_last_state)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10, { grace = 5 })", ":count { store = 's', emit = 'commit' }"));
    struct record record = {.key = slice_text("a"), .value = slice_text("1"), .topic = "in", .offset = -1};
    for (record.timestamp = 1; record.timestamp < 4; record.timestamp++) {
        ck_assert_int_eq(driver_send(p.driver, &record, &p.err), 0);
    }
    ck_assert_int_eq(driver_commit(p.driver, &p.err), 0);
    const char *text = outputs(&p, "out"), *last = strrchr(text, ' ');
    ck_assert_str_eq(last ? last + 1 : text, "a[0-10):3@3");
    pipeline_close(&p);
}
END_TEST

/* ---- late records ---- */

START_TEST(late_records_are_handed_over)
{
    struct pipeline p;
    pipeline_open(&p, "local late = 0\n"
                      "app:stream('in'):group_by_key():windowed_by(tm.tumbling(10)):aggregate { store = 's',\n"
                      "  init = function() return 0 end, add = function(k, v, agg) return agg + v + late end,\n"
                      "  on_late = function(key, value, rec) late = late + value * 100 + rec.timestamp end }" FLAT);
    pipeline_send(&p, "in", "a", "1", 10);
    pipeline_send(&p, "in", "a", "2", 9);
    pipeline_send(&p, "in", "a", "1", 11);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):1@10 a[10-20):211@11");
    pipeline_close(&p);
}
END_TEST

START_TEST(nothing_moves_the_time_but_what_counts)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10)", COUNT));
    pipeline_send(&p, "in", "a", "1", 5);
    pipeline_send(&p, "in", NULL, "1", 100);
    pipeline_send(&p, "in", "a", NULL, 100);
    pipeline_send(&p, "in", "a", "1", -7);
    pipeline_send(&p, "in", "a", "1", 4);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):1@5 a[0-10):2@5");
    pipeline_close(&p);
}
END_TEST

static void check_far_future(const char *window)
{
    char script[1024];
    struct pipeline p;
    snprintf(script, sizeof(script),
             "app:stream('in'):group_by_key():windowed_by(%s):count { store = 's', emit = 'final' }" FLAT
             "app:stream('in'):group_by_key():windowed_by(%s):count { store = 'u' }:to('updates')\n",
             window, window);
    pipeline_open(&p, script);
    pipeline_send(&p, "in", "a", "1", 5);
    pipeline_send(&p, "in", "a", "1", INT64_MAX - 1);
    pipeline_send(&p, "in", "a", "1", INT64_MAX);
    pipeline_send(&p, "in", "a", "1", 5);
    ck_assert_ptr_nonnull(strstr(outputs(&p, "out"), ":1@5"));
    pipeline_close(&p);
}

START_TEST(the_far_future_does_no_harm)
{
    check_far_future("tm.tumbling(10)");
    check_far_future("tm.hopping(10, 3, { grace = 5 })");
    check_far_future("tm.sliding(10)");
    check_far_future("tm.sliding('1h', { grace = '1d' })");
}
END_TEST

/* ---- idleness ---- */

START_TEST(idle_windows_are_closed_by_the_wall_clock)
{
    struct pipeline p;
    pipeline_open(
        &p, WINDOWS("tm.tumbling(10, { grace = 5, idle_after = 1000 })", ":count { store = 's', emit = 'final' }"));
    ck_assert_int_eq(driver_advance(p.driver, 5000, &p.err), 0);
    pipeline_send(&p, "in", "a", "1", 12);
    ck_assert_int_eq(driver_advance(p.driver, 999, &p.err), 0);
    pipeline_send(&p, "in", "a", "1", 13);
    ck_assert_int_eq(driver_advance(p.driver, 999, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "");
    ck_assert_int_eq(driver_advance(p.driver, 1000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):2@13");
    ck_assert_int_eq(driver_advance(p.driver, 100000, &p.err), 0);
    pipeline_send(&p, "in", "a", "1", 14); /* late now */
    pipeline_send(&p, "in", "a", "1", 20);
    ck_assert_int_eq(driver_advance(p.driver, 1250, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a[20-30):1@20");
    pipeline_close(&p);
}
END_TEST

START_TEST(idle_sliding_windows_too)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.sliding(10, { idle_after = 1000 })", ":count { store = 's', emit = 'final' }"));
    pipeline_send(&p, "in", "a", "1", 20);
    pipeline_send(&p, "in", "a", "1", 25);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):1@20");
    ck_assert_int_eq(driver_advance(p.driver, 2000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a[15-25):2@25 a[21-31):1@25");
    pipeline_send(&p, "in", "a", "1", 26);
    pipeline_send(&p, "in", "a", "1", 100);
    ck_assert_int_eq(driver_advance(p.driver, 2000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a[26-36):1@26 a[90-100):1@100");
    pipeline_close(&p);
}
END_TEST

/* ---- keys ---- */

START_TEST(keys_are_written_as_kafka_streams_writes_them)
{
    struct pipeline p;
    struct record record;
    pipeline_open(&p, "local t = app:stream('in'):group_by_key():windowed_by(tm.tumbling(10)):count { store = 's' }\n"
                      "t:to('binary')\n"
                      "t:to('json', { key = tm.json })\n"
                      "t:to_stream():map_values(function(wk, n) return { at = wk, n = n } end):to('both')\n"
                      "t:to_stream():select_key(function(wk) return wk.key end):to('plain')\n"
                      "t:to_stream():group_by(function(wk) return wk.key end):count { store = 'g' }:to('grouped')\n");
    pipeline_send(&p, "in", "ab", "1", 15);
    ck_assert_str_eq(outputs(&p, "json"), "{\"key\":\"ab\",\"window_start\":10,\"window_end\":20}:1@15");
    ck_assert(driver_take_from(p.driver, "binary", &record));
    ck_assert(slice_equal(record.key, slice_of("ab\0\0\0\0\0\0\0\x0a", 10)));
    ck_assert(driver_take_from(p.driver, "both", &record));
    ck_assert(slice_equal(record.key, slice_of("ab\0\0\0\0\0\0\0\x0a", 10)));
    ck_assert_ptr_nonnull(memmem(record.value.data, record.value.size, "\"window_end\":20", 15));
    ck_assert_str_eq(outputs(&p, "plain"), "ab:1@15");
    ck_assert_str_eq(outputs(&p, "grouped"), "ab:1@15");
    pipeline_close(&p);
}
END_TEST

START_TEST(windows_of_a_key_go_where_the_key_goes)
{
    struct pipeline p;
    struct record record;
    int windows = 0;
    pipeline_open_partitions(&p,
                             "local g = app:stream('in'):group_by_key()\n"
                             "g:windowed_by(tm.tumbling(10)):count { store = 's' }:to('out')\n"
                             "g:windowed_by(tm.session(5)):count { store = 't' }:to('out')\n"
                             "g:count { store = 'n' }:to_stream():map_values(function() return 1 end):to('plain')\n",
                             5);
    static const char *const keys[] = {"a", "b", "c", "some longer key"};
    for (int i = 0; i < 20; i++) {
        pipeline_send(&p, "in", keys[i % 4], "1", 10 * i);
    }
    while (driver_take(p.driver, &record)) {
        bool plain = strcmp(record.topic, "plain") == 0;
        size_t length = strlen(keys[record.timestamp / 10 % 4]);
        windows += !plain;
        ck_assert_int_eq(record.partition, hash_partition(slice_of(record.key.data, length), 5));
    }
    ck_assert_int_eq(windows, 40);
    pipeline_close(&p);
}
END_TEST

START_TEST(a_topic_of_windowed_keys_can_be_read)
{
    struct pipeline p;
    pipeline_open(&p,
                  "app:stream('in'):group_by_key():windowed_by(tm.tumbling(10)):count { store = 's' }:to('w')\n"
                  "app:stream('w', { key = tm.windowed(tm.string, 10) })\n"
                  "  :map(function(wk, n) return wk.key .. wk.window_start .. '-' .. wk.window_end, n end):to('out')\n"
                  "app:table('w', { store = 't', key = tm.windowed(tm.string, 10) }):to('again')\n");
    pipeline_send(&p, "in", "ab", "1", 15);
    ck_assert_str_eq(outputs(&p, "out"), "ab10-20:1@15");
    ck_assert_ptr_nonnull(strstr(outputs(&p, "again"), "ab"));
    pipeline_close(&p);
}
END_TEST

START_TEST(callbacks_can_not_change_the_key)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():windowed_by(tm.tumbling(10)):count { store = 's' }\n"
                      "  :map_values(function(wk, n) wk.key = 'b' return n end):to('out')\n");
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 15), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "a windowed key is read-only: field 'key' can't be set"));
    ck_assert_ptr_nonnull(strstr(p.err.text, ":4"));
    pipeline_close(&p);
}
END_TEST

START_TEST(a_windowed_key_is_no_plain_key)
{
    struct pipeline p;
    const char *pass = "app:stream('in'):group_by_key():windowed_by(tm.tumbling(10)):count { store = 's' }\n"
                       "  :to_stream():map(function(wk, n) return wk, n end%s):to('out')\n";
    char script[512];
    snprintf(script, sizeof(script), pass, "");
    pipeline_open(&p, script);
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 15), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "map gave a windowed key, and keys are written as string here"));
    pipeline_close(&p);
    snprintf(script, sizeof(script), pass, ", { key = tm.json }");
    pipeline_open(&p, script);
    pipeline_send(&p, "in", "a", "1", 15);
    ck_assert_str_eq(outputs(&p, "out"), "{\"key\":\"a\",\"window_start\":10,\"window_end\":20}:1@15");
    pipeline_close(&p);
}
END_TEST

START_TEST(tables_behind_have_windowed_keys)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10)",
                              COUNT "\n  :filter(function(wk, n) return n > 1 and wk.window_start >= 0 end)\n"
                                    "  :map_values(function(wk, n) return wk.key .. n end, { store = 'm' })\n"
                                    "  :filter_not(function(wk, v) return v == 'a3' end)"));
    for (int i = 0; i < 4; i++) {
        pipeline_send(&p, "in", "a", "1", 15);
    }
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):\"a2\"@15 a[10-20):-@15 a[10-20):\"a4\"@15");
    pipeline_close(&p);
}
END_TEST

/* ---- wrong results, wrong options ---- */

START_TEST(wrong_results_are_named)
{
    struct pipeline p;
    pipeline_open(&p,
                  WINDOWS("tm.tumbling(10)", ":aggregate { store = 's', name = 'sums',\n"
                                             "  init = function() return 0 end, add = function() return print end }"));
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 15), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "sums"));
    pipeline_close(&p);
    pipeline_open(&p, WINDOWS("tm.hopping(10, 5)",
                              ":reduce { store = 's', on_error = 'skip', add = function(a, b) return a + b end }"));
    pipeline_send(&p, "in", "a", "1", 5);
    pipeline_send(&p, "in", "a", "{}", 5);
    pipeline_send(&p, "in", "a", "2", 5);
    ck_assert_str_eq(outputs(&p, "out"), "a[0-10):1@5 a[5-15):1@5 a[0-10):3@5 a[5-15):3@5");
    pipeline_close(&p);
}
END_TEST

START_TEST(failed_calls_drop_a_record_of_sliding_windows)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.sliding(10, { grace = 100 })",
                              ":reduce { store = 's', on_error = 'skip', add = function(a, b) return a + b end }"));
    pipeline_send(&p, "in", "a", "1", 20);
    pipeline_send(&p, "in", "a", "{}", 20);
    pipeline_send(&p, "in", "a", "2", 20);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-20):1@20 a[10-20):3@20");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_can_not_be_built_is_named)
{
    static const char *const refused[][2] = {
        {"tm.tumbling()", "tm.tumbling needs a size: a duration"},
        {"tm.tumbling(0)", "tm.tumbling: size must be longer than 0"},
        {"tm.tumbling(-5)", "tm.tumbling: size: a duration can't be negative"},
        {"tm.tumbling('5 parsecs')", "tm.tumbling: size: \"5 parsecs\" is no duration"},
        {"tm.tumbling(1.5)", "tm.tumbling: size: a duration is a text"},
        {"tm.tumbling('10s', { grace = -1 })", "tm.tumbling: grace: a duration can't be negative"},
        {"tm.tumbling('10s', { grace = '5s', retention = '14s' })",
         "retention is 14000 ms, but windows change for 15000"},
        {"tm.tumbling('10s', { idle_after = 0 })", "tm.tumbling: idle_after must be longer than 0"},
        {"tm.tumbling('10s', { graze = 1 })", "tm.tumbling has no option \"graze\"; did you mean \"grace\"?"},
        {"tm.tumbling('10s', 5)", "tm.tumbling takes its options as a table"},
        {"tm.tumbling(1 << 60)", "tm.tumbling: size is longer than"},
        {"tm.hopping('10s')", "tm.hopping needs an advance"},
        {"tm.hopping('10s', '11s')", "advance is 11000 ms and size 10000 ms"},
        {"tm.hopping('10s', 0)", "tm.hopping: advance must be longer than 0"},
        {"tm.sliding(0)", "tm.sliding: difference must be longer than 0"},
        {"tm.windowed(tm.string)", "tm.windowed needs a size"},
        {"tm.windowed(5, 10)", "a codec is expected"},
        {"tm.windowed(tm.windowed(tm.string, 1), 10)", "can't be put around another windowed codec"},
        {"app:stream('in'):group_by_key():windowed_by('1m')", "windowed_by needs tm.tumbling(size)"},
        {"app:stream('in'):group_by_key():windowed_by(tm.tumbling(5)):to('out')", "can only be counted, reduced or"},
        {"app:stream('in'):group_by_key():windowed_by(tm.tumbling(5)):count()", "count keeps state and needs a name"},
        {"app:stream('in'):group_by_key():windowed_by(tm.tumbling(5)):count { store = 's', ttl = 5 }",
         "count has no option \"ttl\""},
        {"app:stream('in'):group_by_key():windowed_by(tm.tumbling(5)):count { store = 's', emit = 'finally' }",
         "did you mean \"final\"?"},
        {"app:stream('in'):group_by_key():windowed_by(tm.tumbling(5)):count { store = 's', on_late = 5 }",
         "count needs a function as on_late"},
        {"app:stream('in'):group_by_key():windowed_by(tm.tumbling(5)):reduce { store = 's' }",
         "reduce needs a function as add"},
        {"app:stream('in'):group_by_key():windowed_by(tm.tumbling(5)):aggregate { store = 's', init = print, add = "
         "print,"
         " merge = print }",
         "only sessions are merged"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char script[512];
        snprintf(script, sizeof(script), "%s%s\n", strncmp(refused[i][0], "tm.", 3) == 0 ? "local w = " : "",
                 refused[i][0]);
        pipeline_refused(script, refused[i][1]);
    }
}
END_TEST

/* ---- restarts, partitions ---- */

static struct sent *many_records(void)
{
    static struct sent records[MANY];
    static char keys[MANY][8], values[MANY][8];
    unsigned seed = 5;
    int64_t time = 1000;
    for (int i = 0; i < MANY; i++) {
        seed = seed * 1103515245u + 12345u;
        unsigned random = seed >> 8;
        time += random % 7 == 0 ? random % 90 : random % 5;
        snprintf(keys[i], sizeof(keys[i]), "k%u", random / 128 % 6);
        snprintf(values[i], sizeof(values[i]), "%d", i % 10);
        records[i] = (struct sent){keys[i], values[i], time - (int64_t)(random / 1024 % 30)};
    }
    records[MANY - 1].at = 1000000;
    return records;
}

#define TEXT(emit)                                                                                                     \
    ":aggregate { store = 's', emit = '" emit "', init = function() return '' end,\n"                                  \
    "  add = function(k, v, agg) return agg .. v end }"

START_TEST(restarts_in_the_middle)
{
    const struct sent *records = many_records();
    restarts_change_nothing(WINDOWS("tm.tumbling(10, { grace = 7 })", TEXT("update")), records, MANY, 13, 1);
    restarts_change_nothing(WINDOWS("tm.hopping(20, 7, { grace = 9 })", TEXT("final")), records, MANY, 7, 1);
    restarts_change_nothing(WINDOWS("tm.sliding(15, { grace = 9 })", TEXT("update")), records, MANY, 11, 1);
    restarts_change_nothing(WINDOWS("tm.sliding(15, { grace = 9 })", TEXT("final")), records, MANY, 17, 1);
}
END_TEST

/* What the changelog still has of windows that were long forgotten does not come back. */
START_TEST(restarts_forget_what_was_forgotten)
{
    struct pipeline p;
    pipeline_open(&p, WINDOWS("tm.tumbling(10)", COUNT));
    for (int i = 0; i < 200; i++) {
        pipeline_send(&p, "in", "a", "1", i * 10);
    }
    ck_assert_int_eq(driver_restart(p.driver, &p.err), 0);
    const struct store_driver *stores = driver_store_driver(p.driver);
    struct store_cursor *cursor;
    struct store_entry entry;
    bool found;
    int windows = 0;
    ck_assert_int_eq(stores->range(driver_store(p.driver, "s", 0), SLICE_NULL, SLICE_NULL, false, &cursor, &p.err), 0);
    while (stores->next(cursor, &found, &entry, &p.err) == 0 && found) {
        windows += entry.key.size >= 8;
    }
    stores->end(cursor);
    ck_assert_int_eq(windows, 2);
    pipeline_send(&p, "in", "a", "1", 1999);
    ck_assert_ptr_nonnull(strstr(outputs(&p, "out"), "a[1990-2000):2@1999"));
    pipeline_close(&p);
}
END_TEST

START_TEST(restarts_with_several_partitions)
{
    const struct sent *records = many_records();
    restarts_change_nothing(WINDOWS("tm.tumbling(10, { grace = 7, retention = '1m' })", TEXT("final")), records, MANY,
                            19, 3);
    restarts_change_nothing(WINDOWS("tm.sliding(15)", COUNT), records, MANY, 23, 3);
}
END_TEST

UNIT_MAIN("window_aggregate", tumbling_windows, hopping_windows_by_start, windows_do_not_share_what_callbacks_change,
          reduce_and_aggregate, sliding_windows_in_any_order, final_results_come_once_and_only_then,
          what_was_deleted_has_no_final_result, sliding_windows_have_final_results, a_commit_emits_the_last_state,
          late_records_are_handed_over, nothing_moves_the_time_but_what_counts, the_far_future_does_no_harm,
          idle_windows_are_closed_by_the_wall_clock, idle_sliding_windows_too,
          keys_are_written_as_kafka_streams_writes_them, windows_of_a_key_go_where_the_key_goes,
          a_topic_of_windowed_keys_can_be_read, callbacks_can_not_change_the_key, a_windowed_key_is_no_plain_key,
          tables_behind_have_windowed_keys, wrong_results_are_named, failed_calls_drop_a_record_of_sliding_windows,
          what_can_not_be_built_is_named, restarts_in_the_middle, restarts_forget_what_was_forgotten,
          restarts_with_several_partitions)
