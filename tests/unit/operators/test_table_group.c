#include "operators/change.h"
#include "support.h"

#define SUMS                                                                                                           \
    "app:table('t', { store = 't' }):group_by(function(k, v) return v.u, v.n end)\n"                                   \
    "  :aggregate { store = 'sums', init = function() return 0 end,\n"                                                 \
    "    add = function(k, n, agg) return agg + n end, sub = function(k, n, agg) return agg - n end }:to('out')\n"

START_TEST(a_row_leaves_its_group_and_enters_another)
{
    struct pipeline p;
    pipeline_open(&p, SUMS);
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":1}", 1);
    pipeline_send(&p, "t", "b", "{\"u\":\"x\",\"n\":2}", 2);
    ck_assert_str_eq(outputs(&p, "out"), "x:1@1 x:3@2");
    pipeline_send(&p, "t", "a", "{\"u\":\"y\",\"n\":5}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "x:2@3 y:5@3");
    pipeline_send(&p, "t", "b", "{\"u\":\"x\",\"n\":7}", 1); /* one step, and the group's own time (S23, S53) */
    ck_assert_str_eq(outputs(&p, "out"), "x:7@3");
    pipeline_send(&p, "t", "b", NULL, 9);
    ck_assert_str_eq(outputs(&p, "out"), "x:0@9");
    ck_assert_str_eq(stored(&p, "sums", "x"), "0");
    pipeline_close(&p);
}
END_TEST

START_TEST(rows_without_group_or_value_are_in_none)
{
    struct pipeline p;
    pipeline_open(&p, SUMS);
    pipeline_send(&p, "t", "a", "{\"n\":1}", 1);
    pipeline_send(&p, "t", "b", "{\"u\":\"x\"}", 2);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":4}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "x:4@3");
    pipeline_send(&p, "t", "a", "{\"n\":1}", 4); /* the old version is still taken out (S12) */
    ck_assert_str_eq(outputs(&p, "out"), "x:0@4");
    pipeline_close(&p);
}
END_TEST

START_TEST(reduce_begins_anew_when_sub_gives_nil)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't' }):group_by(function(k, v) return v.u, v.n end)\n"
                      "  :reduce { store = 'r', add = function(agg, n) return agg + n end,\n"
                      "    sub = function(agg, n) if agg == n then return nil end return agg - n end }:to('out')\n");
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":1}", 5);
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":2}", 3); /* out with the only one, in with the new one */
    ck_assert_str_eq(outputs(&p, "out"), "x:1@5 x:2@5");
    pipeline_send(&p, "t", "a", NULL, 4);
    ck_assert_str_eq(outputs(&p, "out"), "x:-@5");
    ck_assert_str_eq(stored(&p, "r", "x"), "-");
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":3}", 2);
    ck_assert_str_eq(outputs(&p, "out"), "x:3@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(counts_of_a_filtered_table)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't' }):filter(function(k, v) return v.n > 5 end)\n"
                      "  :group_by(function(k, v) return v.u, v end):count { store = 'c' }:to('out')\n");
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":6}", 1);
    pipeline_send(&p, "t", "b", "{\"u\":\"x\",\"n\":1}", 2);
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":1}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "x:1@1 x:0@3");
    stored(&p, "c", "x");
    ck_assert(slice_equal(bytes_slice(&p.text), slice_of("\0\0\0\0\0\0\0\0", 8)));
    pipeline_close(&p);
}
END_TEST

START_TEST(add_and_sub_may_change_the_aggregate_in_place)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't' }):group_by(function(k, v) return v.u, v end)\n"
                      "  :aggregate { store = 's', init = function() return { n = 0, keys = tm.list {} } end,\n"
                      "    add = function(k, v, agg, rec) agg.n = agg.n + v.n; return agg end,\n"
                      "    sub = function(k, v, agg, rec) agg.n = agg.n - v.n * 1; return agg end }\n"
                      "  :map_values(function(k, agg) return agg.n end):to('out')\n");
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":6}", 1);
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":8}", 2);
    pipeline_send(&p, "t", "a", "{\"u\":\"y\",\"n\":8}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "x:6@1 x:8@2 x:0@3 y:8@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(groups_lie_in_other_partitions)
{
    struct pipeline p;
    pipeline_open_partitions(&p, SUMS, 4);
    char key[8], value[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            snprintf(value, sizeof(value), "{\"u\":\"g%d\",\"n\":%d}", (i + round) % 5, i);
            pipeline_send(&p, "t", key, value, i);
        }
    }
    int total = 0, groups = 0;
    for (int32_t partition = 0; partition < 4; partition++) {
        for (int group = 0; group < 5; group++) {
            snprintf(key, sizeof(key), "g%d", group);
            const char *sum = stored_in(&p, "sums", key, partition);
            groups += *sum != '-';
            total += *sum != '-' ? atoi(sum) : 0;
        }
    }
    ck_assert_int_eq(total, 39 * 40 / 2);
    ck_assert_int_eq(groups, 5);
    pipeline_close(&p);
}
END_TEST

START_TEST(a_version_that_fails_is_in_no_group)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't' })\n"
                      "  :group_by(function(k, v) return v.u, v.n + 0 end, { on_error = 'skip' })\n"
                      "  :aggregate { store = 'sums', init = function() return 0 end,\n"
                      "    add = function(k, n, agg) return agg + n end,\n"
                      "    sub = function(k, n, agg) return agg - n end }:to('out')\n");
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":3}", 1);
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":{}}", 2);
    pipeline_send(&p, "t", "a", "{\"u\":\"x\",\"n\":4}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "x:3@1 x:0@2 x:4@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(wrong_results_are_named)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't' }):group_by(function(k, v) return v.u, v.n end, { name = 'by' })\n"
                      "  :count { store = 'c' }\n");
    ck_assert_int_eq(pipeline_try_send(&p, "t", "a", "{\"u\":7,\"n\":1}", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "gave a number as a key"));
    ck_assert_ptr_nonnull(strstr(p.err.text, "by"));
    pipeline_close(&p);
}
END_TEST

START_TEST(what_can_not_be_built_is_named)
{
    pipeline_refused("app:table('t', { store = 't' }):group_by()\n", "group_by needs a function");
    pipeline_refused("app:table('t', { store = 't' }):group_by(function(k, v) return k, v end)\n"
                     "  :reduce { store = 'r', add = function(a, v) return v end }\n",
                     "needs a function as sub");
    pipeline_refused("app:table('t', { store = 't' }):group_by(function(k, v) return k, v end)\n"
                     "  :count { store = 'r', sub = print }\n",
                     "count has no option \"sub\"");
    pipeline_refused("app:table('t', { store = 't' }):group_by(function(k, v) return k, v end):windowed_by(1)\n",
                     "rows of a table have no window");
    pipeline_refused("app:stream('t'):group_by_key()\n"
                     "  :reduce { store = 'r', add = function(a, v) return v end, sub = print }\n",
                     "reduce has no option \"sub\"");
}
END_TEST

/* ---- the record in the topic ---- */

static void round_trip(struct slice old_value, struct slice new_value)
{
    struct arena arena = {0};
    struct err err;
    struct change change = {old_value, new_value}, parsed;
    ck_assert_int_eq(change_parse(change_encode(&arena, &change), &parsed, &err), 0);
    ck_assert(slice_equal(parsed.old_value, old_value) && slice_equal(parsed.new_value, new_value));
    arena_free(&arena);
}

START_TEST(changes_are_written_and_read)
{
    round_trip(SLICE_NULL, slice_text("new"));
    round_trip(slice_text("old"), SLICE_NULL);
    round_trip(slice_text("old"), slice_text("newer"));
    round_trip(slice_text(""), slice_text(""));
    struct arena arena = {0};
    struct change both = {slice_text("o"), slice_text("nw")};
    ck_assert(slice_equal(change_encode(&arena, &both), slice_of("\4nwo\2", 5)));
    arena_free(&arena);
}
END_TEST

START_TEST(bad_changes_are_refused)
{
    struct change change;
    struct err err;
    ck_assert_int_eq(change_parse(SLICE_NULL, &change, &err), -1);
    ck_assert_int_eq(change_parse(slice_text(""), &change, &err), -1);
    ck_assert_int_eq(change_parse(slice_of("x\3", 2), &change, &err), -1);
    ck_assert_int_eq(change_parse(slice_of("\2", 1), &change, &err), -1);
    ck_assert_int_eq(change_parse(slice_of("\6ab\2", 4), &change, &err), -1); /* 3 bytes, and 2 follow */
    ck_assert_int_eq(change_parse(slice_of("\5ab\2", 4), &change, &err), -1); /* -3 */
    ck_assert_int_eq(err.class, ERR_SKIP);
}
END_TEST

UNIT_MAIN("table_group", a_row_leaves_its_group_and_enters_another, rows_without_group_or_value_are_in_none,
          reduce_begins_anew_when_sub_gives_nil, counts_of_a_filtered_table,
          add_and_sub_may_change_the_aggregate_in_place, groups_lie_in_other_partitions,
          a_version_that_fails_is_in_no_group, wrong_results_are_named, what_can_not_be_built_is_named,
          changes_are_written_and_read, bad_changes_are_refused)
