#include "tests/support/unit.h"
#include "tests/unit/scripts/fake_worker.h"

static struct fixture fixture;

static const char *global(const char *name)
{
    lua_getglobal(fixture.host->L, name);
    const char *text = luaL_tolstring(fixture.host->L, -1, NULL);
    lua_settop(fixture.host->L, 0);
    return text;
}

START_TEST(callbacks_get_what_they_look_at)
{
    fixture_open(&fixture, "local s = app:stream 'in'\n"
                           "s:peek(function() none = select('#') end)\n"
                           "s:peek(function(key) one = key end)\n"
                           "s:peek(function(key, value) two = key .. value.n end)\n"
                           "s:peek(function(key, value, rec) three = rec.topic .. rec.offset end)\n"
                           "s:peek(function(...) all = select('#', ...) end)\n"
                           "s:peek(function(a, b, c, d) four = tostring(d) end)\n");
    ck_assert_int_eq(fixture_send(&fixture, "{\"n\":3}"), 0);
    ck_assert_str_eq(global("none"), "0");
    ck_assert_str_eq(global("one"), "k");
    ck_assert_str_eq(global("two"), "k3");
    ck_assert_str_eq(global("three"), "in7");
    ck_assert_str_eq(global("all"), "3");
    ck_assert_str_eq(global("four"), "nil");
    fixture_close(&fixture);
}
END_TEST

START_TEST(an_error_names_place_callers_node_and_record)
{
    fixture_open(&fixture, "local function price(v)\n"
                           "  return v.a.b\n"
                           "end\n"
                           "app:stream('in'):peek(function(k, v)\n"
                           "  local x = price(v)\n"
                           "end, { name = 'pricing' })\n");
    fixture_fails(&fixture, "{}",
                  "attempt to index a nil value (field 'a') (pipeline.lua:4, called from pipeline.lua:7) in "
                  "node pricing, while processing topic in partition 2 offset 7.");
    ck_assert_int_eq(fixture.err.class, ERR_FATAL);
    ck_assert_int_eq(fixture.err.code, ERR_SCRIPT);
    fixture_fails(&fixture, "1", "(pipeline.lua:4");
    ck_assert_int_eq(fixture_send(&fixture, "{\"a\":{}}"), 0); /* the state goes on living */
    ck_assert_int_eq(lua_gettop(fixture.host->L), 0);
    fixture_close(&fixture);
}
END_TEST

START_TEST(errors_of_any_type_are_described)
{
    fixture_open(&fixture, "app:stream('in'):peek(function(k, v)\n"
                           "  if v == 1 then error({ message = 'as a table' }) end\n"
                           "  if v == 2 then error({}) end\n"
                           "  if v == 3 then error(nil) end\n"
                           "  if v == 4 then error('plain', 0) end\n"
                           "  if v == 5 then local function f() return f() + 1 end f() end\n"
                           "  if v == 6 then tm.nonsense() end\n"
                           "  if v == 7 then ('x'):rep(1, 2, 3, {}) ; ('x'):rep({}) end\n"
                           "end)\n");
    fixture_fails(&fixture, "1", "as a table (pipeline.lua:4) in node peek@pipeline.lua:3");
    fixture_fails(&fixture, "2", "the error is a table value (pipeline.lua:5)");
    fixture_fails(&fixture, "3", "the error is a nil value (pipeline.lua:6)");
    fixture_fails(&fixture, "4", "plain (pipeline.lua:7)");
    fixture_fails(&fixture, "5", "stack overflow");
    fixture_fails(&fixture, "6", "tm has no function or value \"nonsense\" (pipeline.lua:9)");
    fixture_fails(&fixture, "7", "bad argument #1 to 'rep'");
    fixture_close(&fixture);
}
END_TEST

START_TEST(skip_and_dead_letter_drop_the_item_and_siblings_go_on)
{
    fixture_open(&fixture, "local s = app:stream 'in'\n"
                           "s:peek(function() error 'one' end, { on_error = 'skip' }):to 'out'\n"
                           "s:peek(function() error 'two' end, { on_error = 'dead_letter', name = 'two' }):to 'out'\n"
                           "s:to 'out'\n");
    ck_assert_int_eq(fixture_send(&fixture, "1"), 0);
    ck_assert_int_eq(fixture.worker.skipped, 1);
    ck_assert_int_eq(fixture.worker.dead, 1);
    ck_assert_str_eq(fixture.worker.cause, "two (pipeline.lua:5) in node two.");
    ck_assert_int_eq(arrived_count, 1);
    fixture.worker.fail_dead_letter = true;
    fixture_fails(&fixture, "1", "The dead letter can't be written.");
    ck_assert_int_eq(fixture.err.class, ERR_FENCED);
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_function_decides_about_each_error)
{
    fixture_open(&fixture,
                 "local function decide(err, rec)\n"
                 "  asked = err .. rec.topic\n"
                 "  return ({ 'fail', 'skip', 'dead_letter', 'nonsense' })[rec.offset - 6 + extra]\n"
                 "end\n"
                 "extra = 0\n"
                 "app:stream('in'):peek(function(k, v) extra = v; error 'bad' end, { on_error = decide }):to 'out'\n");
    fixture_fails(&fixture, "0", "bad (pipeline.lua:8) in node peek@pipeline.lua:8, while processing");
    ck_assert_str_eq(global("asked"), "bad (pipeline.lua:8) in node peek@pipeline.lua:8.in");
    ck_assert_int_eq(fixture_send(&fixture, "1"), 0);
    ck_assert_int_eq(fixture.worker.skipped, 1);
    ck_assert_int_eq(fixture_send(&fixture, "2"), 0);
    ck_assert_int_eq(fixture.worker.dead, 1);
    fixture_fails(&fixture, "3", "on_error must return \"fail\", \"skip\" or \"dead_letter\", not nonsense");
    fixture_fails(&fixture, "4",
                  "on_error must return \"fail\", \"skip\" or \"dead_letter\", not the error is a nil value");
    fixture_fails(&fixture, "\"x\"", "attempt to add"); /* on_error itself fails */
    ck_assert_int_eq(arrived_count, 0);
    fixture_close(&fixture);
}
END_TEST

START_TEST(the_policy_of_the_app_is_the_default)
{
    fixture_init(&fixture);
    fixture_write(&fixture, "pipeline.lua",
                  "local tm = require 'tidemill'\n"
                  "local app = tm.app { id = 'test', on_error = 'skip' }\n"
                  "local s = app:stream('in')\n"
                  "s:peek(function(k, v) error 'bad' end):to 'out'\n"
                  "s:peek(function(k, v) if v == 2 then error 'fatal' end end, { on_error = 'fail' })\n");
    ck_assert_int_eq(fixture_load(&fixture), 0);
    ck_assert_int_eq(fixture_send(&fixture, "1"), 0);
    ck_assert_int_eq(fixture.worker.skipped, 1);
    ck_assert_int_eq(fixture_send(&fixture, "{"), 0); /* does not parse */
    ck_assert_int_eq(fixture.worker.skipped, 2);
    fixture_fails(&fixture, "2", "fatal (pipeline.lua:5)");
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_bad_record_fails_as_a_record)
{
    fixture_open(&fixture, "app:stream('in'):to 'out'\n");
    fixture_fails(&fixture, "{", "The value is bad");
    ck_assert_ptr_nonnull(strstr(fixture.err.text,
                                 "(pipeline.lua:3) in node source@pipeline.lua:3, while processing topic in "
                                 "partition 2 offset 7."));
    ck_assert_int_eq(fixture.err.class, ERR_FATAL);
    ck_assert_int_eq(fixture.err.code, ERR_RECORD);
    fixture_close(&fixture);
}
END_TEST

START_TEST(errors_of_operators_follow_the_policy)
{
    fixture_open(&fixture, "local s = app:stream 'in'\n"
                           "s:map_values(function(k, v) return v == 1 end, { on_error = 'skip' }):to 'out'\n"
                           "s:map_values(function(k, v) return v ~= 2 and v or true end):to 'out'\n");
    ck_assert_int_eq(fixture_send(&fixture, "1"), 0);
    ck_assert_int_eq(fixture.worker.skipped, 1);
    ck_assert_str_eq(arrived, "1");
    fixture_fails(&fixture, "2",
                  "map_values must not return a boolean (pipeline.lua:5) in node map_values@pipeline.lua:5");
    fixture_close(&fixture);
}
END_TEST

START_TEST(pcall_of_the_script_catches_its_own_errors_only)
{
    fixture_open(&fixture,
                 "local s = app:stream 'in'\n"
                 "s:select_key(function(k, v)\n"
                 "  local ok, message = pcall(error, 'mine')\n"
                 "  caught = tostring(ok) .. message\n"
                 "  local _, handled = xpcall(function(a) error(a, 0) end, function(m) return m .. '!' end, 'x')\n"
                 "  caught = caught .. handled .. select('#', pcall(function() return 1, nil, nil end))\n"
                 "  caught = caught .. tostring(select(2, coroutine.resume(coroutine.create(function()\n"
                 "    return pcall(coroutine.yield, 'yielded') end))))\n"
                 "  swallowed = pcall(forward, v)\n"
                 "  swallowed = xpcall(forward, function(m) return m end, v)\n"
                 "end, { on_error = 'skip' }):map_values(function(k, v)\n"
                 "  if v == 1 then error 'child' end\n"
                 "  if v == 2 then return true end\n"
                 "  return v\n"
                 "end):to 'out'\n");
    ck_assert_int_eq(fixture_send(&fixture, "0"), 0);
    ck_assert_str_eq(global("caught"), "falseminex!4yielded");
    ck_assert_str_eq(global("swallowed"), "true");
    fixture_fails(&fixture, "1",
                  "child"); /* its node says fail, so the record is not lost by the parent's pcall or policy */
    fixture_fails(&fixture, "2",
                  "map_values must not return a boolean (pipeline.lua:13) in node map_values@pipeline.lua:13");
    fixture_fails(&fixture, "\"fenced\"", "Fenced by another process.");
    ck_assert_int_eq(fixture.err.class, ERR_FENCED);
    ck_assert_int_eq(fixture.worker.skipped, 0);
    ck_assert_int_eq(fixture_send(&fixture, "0"), 0);
    fixture_close(&fixture);
}
END_TEST

START_TEST(forwarding_inside_a_coroutine_is_refused)
{
    fixture_open(&fixture, "app:stream('in'):select_key(function(k, v)\n"
                           "  coroutine.wrap(forward)(v)\n"
                           "end):to 'out'\n");
    fixture_fails(&fixture, "1", "forward can't be called inside a coroutine");
    fixture_close(&fixture);
}
END_TEST

START_TEST(views_end_with_the_record)
{
    fixture_open(&fixture, "app:stream('in'):peek(function(k, v)\n"
                           "  if kept then local x = kept.n end\n"
                           "  kept = v\n"
                           "end)\n");
    uint64_t epoch = fixture.host->epoch;
    ck_assert_int_eq(fixture_send(&fixture, "{\"n\":1}"), 0);
    ck_assert_uint_eq(fixture.host->epoch, epoch + 1);
    fixture_fails(&fixture, "{\"n\":1}", "(pipeline.lua:4)");
    fixture_close(&fixture);
}
END_TEST

static int nested_body(struct host *host, void *data)
{
    (void)data;
    lua_getglobal(host->L, "nested");
    lua_call(host->L, 0, 0);
    return 0;
}

static int outer_body(struct host *host, void *data)
{
    struct err err;
    struct node *node = graph_node(host->graph, 0);
    host->node = node;
    ck_assert_int_eq(call_protected(host, nested_body, NULL, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "from inside"));
    ck_assert_ptr_eq(host->node, node);
    ck_assert_int_eq(host->phase, HOST_CALLBACK);
    ck_assert(!host->final);
    *(uint64_t *)data = host->epoch;
    return 0;
}

START_TEST(entries_may_nest)
{
    fixture_open(&fixture, "function nested() error 'from inside' end\napp:stream 'in'\n");
    uint64_t epoch = fixture.host->epoch, during;
    ck_assert_int_eq(call_protected(fixture.host, outer_body, &during, &fixture.err), 0);
    ck_assert_uint_eq(during, epoch);
    ck_assert_uint_eq(fixture.host->epoch, epoch + 1);
    ck_assert_int_eq(fixture.host->phase, HOST_READY);
    fixture_close(&fixture);
}
END_TEST

START_TEST(memory_limits_end_the_record_whatever_the_policy)
{
    fixture_init(&fixture);
    fixture_write(
        &fixture, "pipeline.lua",
        "local tm = require 'tidemill'\n"
        "local app = tm.app { id = 'test', lua_memory = '2MB' }\n"
        "app:stream('in'):peek(function(k, v) local x = ('x'):rep(v) end, { on_error = 'skip', name = 'big' })\n");
    ck_assert_int_eq(fixture_load(&fixture), 0);
    ck_assert_int_eq(fixture_send(&fixture, "1000"), 0);
    fixture_fails(
        &fixture, "100000000",
        "The script needs more memory than the 2097152 bytes that the option lua_memory allows one worker in node big");
    ck_assert_int_eq(fixture.err.code, ERR_MEMORY);
    ck_assert_int_eq(fixture_send(&fixture, "1000"), 0);
    ck_assert_int_eq(fixture.worker.skipped, 0);
    fixture_close(&fixture);
}
END_TEST

START_TEST(metrics_count_in_callbacks_only)
{
    fixture_open(&fixture, "local m = tm.metric 'seen'\n"
                           "local refused = pcall(m.add, m)\n"
                           "app:stream('in'):peek(function(k, v)\n"
                           "  tm.log.debug('quiet', { b = 1, a = {} })\n"
                           "  m:add(); m:add(v)\n"
                           "end)\n"
                           "assert(not refused)\n");
    fixture.worker.metrics = metric_set_new("worker=\"0_0\"");
    ck_assert_int_eq(fixture_send(&fixture, "4"), 0);
    ck_assert_int_eq(metric_value_get(metric_labelled(fixture.worker.metrics, METRIC_USER, "name=\"seen\"")), 5);
    fixture_fails(&fixture, "-1", "a counter only grows");
    fixture_close(&fixture);
    metric_set_free(fixture.worker.metrics);
}
END_TEST

UNIT_MAIN("call", callbacks_get_what_they_look_at, an_error_names_place_callers_node_and_record,
          errors_of_any_type_are_described, skip_and_dead_letter_drop_the_item_and_siblings_go_on,
          a_function_decides_about_each_error, the_policy_of_the_app_is_the_default, a_bad_record_fails_as_a_record,
          errors_of_operators_follow_the_policy, pcall_of_the_script_catches_its_own_errors_only,
          forwarding_inside_a_coroutine_is_refused, views_end_with_the_record, entries_may_nest,
          memory_limits_end_the_record_whatever_the_policy, metrics_count_in_callbacks_only)
