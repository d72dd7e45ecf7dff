/* emit = "commit": the last change of each key before a commit, and aggregates that stay Lua values until then. */
#include "support.h"

static void commit(struct pipeline *pipeline)
{
    if (driver_commit(pipeline->driver, &pipeline->err)) {
        ck_abort_msg("%s", pipeline->err.text);
    }
}

START_TEST(a_count_goes_out_once_per_key_and_commit)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():count { store = 'c', emit = 'commit' }:to('out')\n");
    pipeline_send(&p, "in", "b", "1", 10);
    pipeline_send(&p, "in", "a", "1", 12);
    pipeline_send(&p, "in", "b", "1", 11);
    pipeline_send(&p, "in", "a", "1", 5);
    ck_assert_str_eq(outputs(&p, "out"), "");
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "b:2@11 a:2@12");
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "in", "a", "1", 6);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:3@12");
    pipeline_close(&p);
}
END_TEST

#define SUMS                                                                                                           \
    "local sums = app:stream('in'):group_by_key():aggregate { store = 'sums', emit = 'commit',\n"                      \
    "  init = function() return { n = 0, last = '' } end,\n"                                                           \
    "  add = function(k, v, agg) agg.n = agg.n + v.n; agg.last = v.s; return agg end }\n"

START_TEST(an_aggregate_is_written_at_the_commit_or_when_somebody_looks)
{
    struct pipeline p;
    pipeline_open(&p, SUMS "sums:to('out')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1,\"s\":\"x\"}", 1);
    pipeline_send(&p, "in", "a", "{\"n\":2,\"s\":\"y\"}", 2);
    ck_assert_str_eq(stored(&p, "sums", "a"), "{\"last\":\"y\",\"n\":3}");
    pipeline_send(&p, "in", "a", "{\"n\":3.5,\"s\":\"z\"}", 3);
    pipeline_send(&p, "in", "b", "{\"n\":1,\"s\":null}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "");
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"last\":\"z\",\"n\":6.5}@3 b:{\"last\":null,\"n\":1}@3");
    ck_assert_str_eq(stored(&p, "sums", "b"), "{\"last\":null,\"n\":1}");
    pipeline_send(&p, "in", "b", "{\"n\":1,\"s\":\"\"}", 2);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "b:{\"last\":\"\",\"n\":2}@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_is_not_the_aggregations_own_is_not_kept)
{
    struct pipeline p;
    pipeline_open(&p, "local shared = { n = 0 }\n"
                      "app:stream('in'):group_by_key():aggregate { store = 's', emit = 'commit',\n"
                      "  init = function() return shared end,\n"
                      "  add = function(k, v, agg)\n"
                      "    if v.kind == 'shared' then shared.n = shared.n + 1 return shared end\n"
                      "    if v.kind == 'view' then return v end\n"
                      "    if v.kind == 'nested' then agg.v = v.v agg.own = { 1 } return agg end\n"
                      "    if v.kind == 'class' then return setmetatable(agg, { __index = { n = 7 } }) end\n"
                      "    if v.kind == 'gone' then return nil end\n"
                      "    agg.n = (agg.n or 100) + 1\n"
                      "    return agg\n"
                      "  end }:to('out')\n");
    pipeline_send(&p, "in", "a", "{\"kind\":\"shared\"}", 1);
    pipeline_send(&p, "in", "b", "{\"kind\":\"shared\"}", 1);
    pipeline_send(&p, "in", "c", "{\"kind\":\"view\",\"n\":5}", 1);
    pipeline_send(&p, "in", "c", "{}", 1);
    pipeline_send(&p, "in", "d", "{}", 1);
    pipeline_send(&p, "in", "d", "{\"kind\":\"nested\",\"v\":{\"deep\":[1,2]}}", 1);
    pipeline_send(&p, "in", "d", "{}", 1);
    pipeline_send(&p, "in", "e", "{}", 1);
    pipeline_send(&p, "in", "e", "{\"kind\":\"gone\"}", 2);
    pipeline_send(&p, "in", "e", "{\"kind\":\"gone\"}", 3);
    pipeline_send(&p, "in", "f", "{}", 1);
    pipeline_send(&p, "in", "f", "{\"kind\":\"gone\"}", 2);
    pipeline_send(&p, "in", "f", "{}", 3);
    pipeline_send(&p, "in", "g", "{\"kind\":\"class\"}", 3);
    pipeline_send(&p, "in", "g", "{}", 3);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"),
                     "a:{\"n\":1}@1 b:{\"n\":2}@1 c:{\"kind\":\"view\",\"n\":6}@1 "
                     "d:{\"n\":4,\"own\":[1],\"v\":{\"deep\":[1,2]}}@1 f:{\"n\":3}@3 g:{\"n\":3}@3");
    pipeline_send(&p, "in", "f", "{\"kind\":\"gone\"}", 4);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "f:-@4");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_failed_call_leaves_the_aggregate_as_it_was)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():aggregate { store = 's', emit = 'commit', on_error = 'skip',\n"
                      "  init = function() return { n = 0 } end,\n"
                      "  add = function(k, v, agg) agg.n = agg.n + v if v == 5 then error 'five' end return agg end }\n"
                      "  :to('out')\n");
    for (int i = 4; i < 7; i++) {
        char value[8];
        snprintf(value, sizeof value, "%d", i);
        pipeline_send(&p, "in", "a", value, i);
    }
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":10}@6");
    pipeline_close(&p);
}
END_TEST

START_TEST(tables_behind_see_what_went_out_before)
{
    struct pipeline p;
    pipeline_open(&p, SUMS "sums:filter(function(k, sum) return sum.n % 2 == 0 end):to('even')\n");
    const char *steps[] = {"{\"n\":1}", "{\"n\":1}", "{\"n\":2}", "{\"n\":1}", "{\"n\":2}"};
    const char *after[] = {"", "a:{\"n\":2}@1", "", "a:-@3", ""};
    pipeline_send(&p, "in", "a", steps[0], 0);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "even"), after[0]);
    pipeline_send(&p, "in", "a", steps[1], 1);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "even"), after[1]);
    pipeline_send(&p, "in", "a", steps[2], 2);
    ck_assert_str_eq(outputs(&p, "even"), after[2]);
    pipeline_send(&p, "in", "a", steps[3], 3);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "even"), after[3]);
    pipeline_send(&p, "in", "a", steps[4], 4);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "even"), after[4]);
    pipeline_close(&p);
}
END_TEST

START_TEST(a_join_sees_the_row_before_it_goes_out)
{
    struct pipeline p;
    pipeline_open(&p, SUMS "sums:to('out')\n"
                           "app:stream('ask'):join(sums, function(k, v, sum) return sum.n end):to('answer')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1}", 1);
    pipeline_send(&p, "in", "a", "{\"n\":1}", 2);
    pipeline_send(&p, "ask", "a", "0", 3);
    ck_assert_str_eq(outputs(&p, "answer"), "a:2@3");
    ck_assert_str_eq(outputs(&p, "out"), "");
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":2}@2");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_chain_of_held_tables_ends_with_one_commit)
{
    struct pipeline p;
    pipeline_open(&p, SUMS "sums:map_values(function(k, sum) return sum.n end, { store = 'n', emit = 'commit' })\n"
                           "  :to('out')\n");
    pipeline_send(&p, "in", "a", "{\"n\":1}", 1);
    pipeline_send(&p, "in", "a", "{\"n\":1}", 2);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:2@2");
    ck_assert_str_eq(stored(&p, "n", "a"), "2");
    pipeline_close(&p);
}
END_TEST

START_TEST(sources_and_streams_make_tables_that_wait)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't', emit = 'commit' }):to('out')\n"
                      "app:stream('s'):to_table { store = 's', emit = 'commit' }:to('out')\n");
    pipeline_send(&p, "t", "a", "1", 1);
    pipeline_send(&p, "t", "a", "2", 2);
    pipeline_send(&p, "t", "b", "1", 3);
    pipeline_send(&p, "t", "b", NULL, 4);
    pipeline_send(&p, "s", "c", "1", 5);
    pipeline_send(&p, "s", "c", "2", 6);
    ck_assert_str_eq(outputs(&p, "out"), "");
    ck_assert_str_eq(stored(&p, "t", "a"), "2");
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:2@2 c:2@6");
    pipeline_send(&p, "t", "a", NULL, 7);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:-@7");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_reduction_waits_too)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():reduce { store = 'r', emit = 'commit',\n"
                      "  add = function(agg, v) if type(v) == 'number' then return agg + v end\n"
                      "    return v.n > agg.n and v or agg end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    pipeline_send(&p, "in", "a", "2", 2);
    pipeline_send(&p, "in", "a", "3", 1);
    pipeline_send(&p, "in", "b", "{ \"n\":1}", 1);
    pipeline_send(&p, "in", "b", "{ \"n\":3}", 2);
    pipeline_send(&p, "in", "b", "{ \"n\":2}", 3);
    commit(&p);
    ck_assert_str_eq(outputs(&p, "out"), "a:6@2 b:{ \"n\":3}@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(what_is_too_much_goes_out_early)
{
    struct pipeline p;
    if (pipeline_try_whole(&p, "local app = require('tidemill').app { id = 'test', held_bytes = 2000 }\n" SUMS
                               "sums:to('out')\n")) {
        ck_abort_msg("%s", p.err.text);
    }
    for (int i = 0; i < 50; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i % 10);
        pipeline_send(&p, "in", key, "{\"n\":1,\"s\":\"x\"}", i);
    }
    int early = 0;
    for (const char *at = outputs(&p, "out"); (at = strstr(at, "\"n\"")) != NULL; at++) {
        early++;
    }
    ck_assert_int_gt(early, 3);
    ck_assert_int_lt(early, 50);
    commit(&p);
    ck_assert_str_eq(stored(&p, "sums", "k9"), "{\"last\":\"x\",\"n\":5}");
    ck_assert_str_eq(stored(&p, "sums", "k0"), "{\"last\":\"x\",\"n\":5}");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_value_that_cant_be_written_fails_at_the_commit)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):group_by_key():aggregate { store = 's', emit = 'commit',\n"
                      "  init = function() return {} end,\n"
                      "  add = function(k, v, agg) agg.s = '\\xff' return agg end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1);
    ck_assert_int_eq(driver_commit(p.driver, &p.err), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "field s is not valid UTF-8"));
    pipeline_close(&p);
}
END_TEST

START_TEST(emit_is_checked)
{
    const char *aggregate = "app:stream('in'):group_by_key():count { store = 'c', emit = '%s' }\n";
    char script[256];
    snprintf(script, sizeof script, aggregate, "comit");
    pipeline_refused(script, "emit is \"update\" or \"commit\", got the string \"comit\"; did you mean \"commit\"?");
    snprintf(script, sizeof script, aggregate, "final");
    pipeline_refused(script, "emit = \"final\" is for windows");
    pipeline_refused("app:table('t', { store = 't' }):filter(function() end, { emit = 'commit' })\n",
                     "emit = \"commit\" needs the rows to be kept");
}
END_TEST

START_TEST(groups_of_tables_wait_too)
{
    struct pipeline p;
    pipeline_open(&p, "local groups = app:table('t', { store = 't' }):group_by(function(k, v) return v.g, v.n end)\n"
                      "groups:count { store = 'c', emit = 'commit' }:to('counts')\n"
                      "groups:reduce { store = 'r', emit = 'commit', add = function(agg, n) return agg + n end,\n"
                      "  sub = function(agg, n) return agg - n end }:to('sums')\n");
    pipeline_send(&p, "t", "a", "{\"g\":\"x\",\"n\":1}", 1);
    pipeline_send(&p, "t", "b", "{\"g\":\"x\",\"n\":2}", 2);
    pipeline_send(&p, "t", "a", "{\"g\":\"y\",\"n\":5}", 3);
    ck_assert_str_eq(outputs(&p, "counts"), "");
    commit(&p);
    ck_assert_str_eq(outputs(&p, "counts"), "x:1@3 y:1@3");
    ck_assert_str_eq(outputs(&p, "sums"), "x:2@3 y:5@3");
    pipeline_close(&p);
}
END_TEST

UNIT_MAIN("emit", groups_of_tables_wait_too, a_count_goes_out_once_per_key_and_commit,
          an_aggregate_is_written_at_the_commit_or_when_somebody_looks, what_is_not_the_aggregations_own_is_not_kept,
          a_failed_call_leaves_the_aggregate_as_it_was, tables_behind_see_what_went_out_before,
          a_join_sees_the_row_before_it_goes_out, a_chain_of_held_tables_ends_with_one_commit,
          sources_and_streams_make_tables_that_wait, a_reduction_waits_too, what_is_too_much_goes_out_early,
          a_value_that_cant_be_written_fails_at_the_commit, emit_is_checked)
