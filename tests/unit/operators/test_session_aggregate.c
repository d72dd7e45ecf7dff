#include "restarts.h"

#define FLAT                                                                                                           \
    ":to_stream():map(function(wk, v) return wk.key .. '[' .. wk.window_start .. '-' .. wk.window_end .. ']', v end)"  \
    ":to('out')\n"
#define SESSIONS(window, rest) "app:stream('in'):group_by_key():windowed_by(tm.session(" window "))" rest FLAT

START_TEST(sessions_grow_and_merge)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10", ":count { store = 's' }"));
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "a", "1", 110); /* the gap is inclusive (S38) */
    ck_assert_str_eq(outputs(&p, "out"), "a[100-100]:1@100 a[100-100]:-@100 a[100-110]:2@110");
    pipeline_send(&p, "in", "a", "1", 130);
    pipeline_send(&p, "in", "b", "1", 120);
    ck_assert_str_eq(outputs(&p, "out"), "a[130-130]:1@130 b[120-120]:1@120");
    pipeline_send(&p, "in", "a", "1", 120);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-110]:-@110 a[130-130]:-@130 a[100-130]:4@130");
    pipeline_send(&p, "in", "a", "1", 125); /* the same bounds, and yet both (S39) */
    ck_assert_str_eq(outputs(&p, "out"), "a[100-130]:-@130 a[100-130]:5@130");
    pipeline_send(&p, "in", "b", "1", 120); /* one point in time: no tombstone */
    ck_assert_str_eq(outputs(&p, "out"), "b[120-120]:2@120");
    pipeline_send(&p, "in", NULL, "1", 1000);
    pipeline_send(&p, "in", "a", NULL, 1000);
    pipeline_send(&p, "in", "b", "1", 121);
    ck_assert_str_eq(outputs(&p, "out"), "b[120-120]:-@120 b[120-121]:3@121");
    pipeline_close(&p);
}
END_TEST

START_TEST(merging_starts_from_init)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10, { grace = 100 }",
                               ":aggregate { store = 's', init = function() return 'i' end,\n"
                               "  add = function(k, v, agg, rec) return agg .. v .. k end,\n"
                               "  merge = function(k, a, b) return '(' .. a .. b .. k .. ')' end }"));
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "a", "2", 120);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-100]:\"i1a\"@100 a[120-120]:\"i2a\"@120");
    pipeline_send(&p, "in", "a", "3", 110);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-100]:-@100 a[120-120]:-@120 a[100-120]:\"((ii1aa)i2aa)3a\"@120");
    pipeline_close(&p);
    pipeline_open(
        &p, SESSIONS("10, { grace = 100 }", ":reduce { store = 's', add = function(agg, v) return agg * 10 + v end }"));
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "a", "2", 120);
    pipeline_send(&p, "in", "a", "3", 110);
    ck_assert_str_eq(outputs(&p, "out"),
                     "a[100-100]:1@100 a[120-120]:2@120 a[100-100]:-@100 a[120-120]:-@120 a[100-120]:123@120");
    pipeline_close(&p);
}
END_TEST

START_TEST(aggregates_change_in_place)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10, { grace = 100 }",
                               ":aggregate { store = 's', init = function() return { n = 0, list = tm.list {} } end,\n"
                               "  add = function(k, v, agg) agg.n = agg.n + v; agg.list[#agg.list + 1] = v; return agg "
                               "end,\n"
                               "  merge = function(k, a, b) a.n = a.n + b.n\n"
                               "    for _, v in ipairs(b.list) do a.list[#a.list + 1] = v end return a end }\n"
                               "  :map_values(function(k, agg) return agg.n .. ':' .. #agg.list end)"));
    for (int i = 0; i < 12; i++) { /* more sessions at once than a stack of callbacks would hold */
        char value[8];
        snprintf(value, sizeof(value), "%d", i);
        pipeline_send(&p, "in", "a", value, 100 + i * 11);
    }
    outputs(&p, "out");
    for (int i = 0; i < 11; i++) {
        pipeline_send(&p, "in", "a", "0", 105 + i * 11);
    }
    const char *text = outputs(&p, "out");
    ck_assert_ptr_nonnull(strstr(text, "a[100-221]:\"66:23\"@221"));
    pipeline_close(&p);
}
END_TEST

START_TEST(nil_deletes_the_session)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10", ":aggregate { store = 's', init = function() return 0 end,\n"
                                     "  add = function(k, v, agg) if v == 0 then return nil end return agg + v end,\n"
                                     "  merge = function(k, a, b) return a + b end }"));
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "a", "0", 105);
    pipeline_send(&p, "in", "a", "2", 107);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-100]:1@100 a[100-100]:-@100 a[100-105]:-@105 a[107-107]:2@107");
    pipeline_close(&p);
}
END_TEST

START_TEST(late_is_judged_on_what_the_record_makes)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():windowed_by(tm.session(10, { grace = 5 }))\n"
                      "  :count { store = 's', on_late = function(k, v, rec) tm.log.info('late ' .. k) end }" FLAT);
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "b", "1", 115);
    pipeline_send(&p, "in", "a", "1", 100); /* stream time = end + gap + grace */
    ck_assert_str_eq(outputs(&p, "out"), "a[100-100]:1@100 b[115-115]:1@115 a[100-100]:2@100");
    pipeline_send(&p, "in", "b", "1", 116);
    pipeline_send(&p, "in", "a", "1", 100);
    ck_assert_str_eq(outputs(&p, "out"), "b[115-115]:-@115 b[115-116]:2@116");
    pipeline_send(&p, "in", "b", "1", 106); /* old, but it joins an open one (S35) */
    pipeline_send(&p, "in", "b", "1", 97);
    ck_assert_str_eq(outputs(&p, "out"), "b[115-116]:-@116 b[106-116]:3@116 b[106-116]:-@116 b[97-116]:4@116");
    pipeline_close(&p);
}
END_TEST

START_TEST(final_results_come_once)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10, { grace = 5 }", ":count { store = 's', emit = 'final' }"));
    pipeline_send(&p, "in", "b", "1", 90);
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "a", "1", 104);
    pipeline_send(&p, "in", "c", "1", 119);
    ck_assert_str_eq(outputs(&p, "out"), "b[90-90]:1@90");
    pipeline_send(&p, "in", "c", "1", 120);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-104]:2@104");
    pipeline_send(&p, "in", "a", "1", 104);
    pipeline_send(&p, "in", "d", "1", 100000);
    ck_assert_str_eq(outputs(&p, "out"), "c[119-120]:2@120");
    pipeline_close(&p);
}
END_TEST

START_TEST(final_results_have_the_headers_of_the_last_record)
{
    struct pipeline p;
    struct record record = {.key = slice_text("a"), .value = slice_text("1"), .topic = "in", .offset = -1};
    struct header header = {slice_text("trace"), slice_text("1")};
    pipeline_open(&p, SESSIONS("10", ":count { store = 's', emit = 'final' }"));
    record.headers = (struct headers){&header, 1};
    ck_assert_int_eq(driver_send(p.driver, &record, &p.err), 0);
    pipeline_send(&p, "in", "b", "1", 1000);
    ck_assert(driver_take_from(p.driver, "out", &record));
    ck_assert_uint_eq(record.headers.count, 1);
    ck_assert(slice_equal(record.headers.list[0].value, slice_text("1")));
    pipeline_close(&p);
}
END_TEST

START_TEST(a_commit_emits_what_has_become_of_the_sessions)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10", ":count { store = 's', emit = 'commit' }"));
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "a", "1", 105);
    ck_assert_int_eq(driver_commit(p.driver, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-105]:2@105");
    pipeline_send(&p, "in", "a", "1", 105);
    pipeline_send(&p, "in", "a", "1", 107);
    ck_assert_int_eq(driver_commit(p.driver, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-105]:-@105 a[100-107]:4@107");
    pipeline_send(&p, "in", "b", "1", 200); /* forgotten before the commit */
    pipeline_send(&p, "in", "c", "1", 200000);
    ck_assert_int_eq(driver_commit(p.driver, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "b[200-200]:1@200 c[200000-200000]:1@200000");
    pipeline_close(&p);
}
END_TEST

START_TEST(idleness_closes_sessions)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10, { grace = 5, idle_after = '1m' }", ":count { store = 's', emit = 'final' }"));
    pipeline_send(&p, "in", "a", "1", 100);
    ck_assert_int_eq(driver_advance(p.driver, 59000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "");
    ck_assert_int_eq(driver_advance(p.driver, 60000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-100]:1@100");
    pipeline_send(&p, "in", "a", "1", 100);
    ck_assert_int_eq(driver_advance(p.driver, 120000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_close(&p);
}
END_TEST

START_TEST(suppress_lets_each_session_go_once)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("5, { grace = 2 }", ":count { store = 's' }\n"
                                                   "  :suppress { store = 'held', until_window_closes = true }"));
    pipeline_send(&p, "in", "a", "1", 10);
    pipeline_send(&p, "in", "b", "1", 17);
    ck_assert_str_eq(outputs(&p, "out"), "a[10-10]:1@10");
    pipeline_send(&p, "in", "a", "1", 10); /* late with the same millisecond */
    pipeline_send(&p, "in", "c", "1", 10); /* this one is new */
    ck_assert_str_eq(outputs(&p, "out"), "c[10-10]:1@10");
    pipeline_send(&p, "in", "b", "1", 20);
    pipeline_send(&p, "in", "b", "1", 19);
    pipeline_send(&p, "in", "d", "1", 1000);
    ck_assert_str_eq(outputs(&p, "out"), "b[17-20]:3@20");
    pipeline_close(&p);
}
END_TEST

/* ---- restarts, partitions ---- */

#define MANY 400

static struct sent *many_records(void)
{
    static struct sent records[MANY];
    static char keys[MANY][8], values[MANY][8];
    unsigned seed = 3;
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

START_TEST(restarts_in_the_middle)
{
    const struct sent *records = many_records();
    restarts_change_nothing(SESSIONS("10, { grace = 7 }", ":count { store = 's' }"), records, MANY, 13, 1);
    restarts_change_nothing(SESSIONS("10, { grace = 7 }", ":count { store = 's', emit = 'final' }"), records, MANY, 7,
                            1);
    restarts_change_nothing(SESSIONS("10, { grace = 7 }", ":count { store = 's' }\n"
                                                          "  :suppress { store = 'h', until_window_closes = true }"),
                            records, MANY, 11, 1);
}
END_TEST

START_TEST(restarts_with_several_partitions)
{
    const struct sent *records = many_records();
    restarts_change_nothing(SESSIONS("20, { grace = 9 }",
                                     ":aggregate { store = 's', emit = 'final', init = function() return '' end,\n"
                                     "  add = function(k, v, agg) return agg .. v end,\n"
                                     "  merge = function(k, a, b) return a .. '+' .. b end }"),
                            records, MANY, 17, 3);
}
END_TEST

START_TEST(wrong_results_are_named)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10", ":aggregate { store = 's', name = 'visits', init = function() return 0 end,\n"
                                     "  add = function(k, v, agg) return agg + v end,\n"
                                     "  merge = function(k, a, b) return print end }"));
    pipeline_send(&p, "in", "a", "1", 100);
    ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 101), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "visits"));
    pipeline_close(&p);
}
END_TEST

START_TEST(failed_calls_change_nothing)
{
    struct pipeline p;
    pipeline_open(&p, SESSIONS("10", ":reduce { store = 's', on_error = 'skip', add = function(a, b) return a + b end "
                                     "}"));
    pipeline_send(&p, "in", "a", "1", 100);
    pipeline_send(&p, "in", "a", "{}", 105);
    pipeline_send(&p, "in", "a", "2", 110);
    ck_assert_str_eq(outputs(&p, "out"), "a[100-100]:1@100 a[100-100]:-@100 a[100-110]:3@110");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_can_not_be_built_is_named)
{
    pipeline_refused("tm.session()\n", "needs a gap");
    pipeline_refused("tm.session(0)\n", "gap must be longer than 0");
    pipeline_refused("tm.session('5s', { graze = 1 })\n", "did you mean \"grace\"?");
    pipeline_refused(SESSIONS("10", ":aggregate { store = 's', init = print, add = print }"),
                     "needs a function as merge");
}
END_TEST

UNIT_MAIN("session_aggregate", sessions_grow_and_merge, merging_starts_from_init, aggregates_change_in_place,
          nil_deletes_the_session, late_is_judged_on_what_the_record_makes, final_results_come_once,
          final_results_have_the_headers_of_the_last_record, a_commit_emits_what_has_become_of_the_sessions,
          idleness_closes_sessions, suppress_lets_each_session_go_once, restarts_in_the_middle,
          restarts_with_several_partitions, wrong_results_are_named, failed_calls_change_nothing,
          what_can_not_be_built_is_named)
