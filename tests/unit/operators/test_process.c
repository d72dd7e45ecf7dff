#include "support.h"

/* ---- forwarding ---- */

START_TEST(forwards_as_often_as_it_likes)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process { process = function(k, v, rec, ctx)\n"
                      "  if v == nil then return end\n"
                      "  ctx:forward(k, v)\n"
                      "  ctx:forward('x', { n = v }, { timestamp = rec.timestamp + 5 })\n"
                      "  ctx:forward(nil, nil)\n"
                      "end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 7);
    pipeline_send(&p, "in", "a", NULL, 8);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@7 x:{\"n\":1}@12 -:-@7");
    pipeline_close(&p);
}
END_TEST

/* What the operators behind do to a value is not seen by the processor, which may forward it again. */
START_TEST(a_forwarded_value_is_no_longer_shared)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process { process = function(k, v, rec, ctx)\n"
                      "  local t = { n = 1 }\n"
                      "  ctx:forward(k, t) ctx:forward(k, t)\n"
                      "  ctx:forward(k, v) ctx:forward(k, v)\n"
                      "  v.n = v.n + 10\n"
                      "  ctx:forward(k, v)\n"
                      "end }:map_values(function(k, v) v.n = v.n + 1 return v end):to('out')\n");
    pipeline_send(&p, "in", "a", "{\"n\":5}", 0);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":2}@0 a:{\"n\":2}@0 a:{\"n\":6}@0 a:{\"n\":6}@0 a:{\"n\":16}@0");
    pipeline_close(&p);
}
END_TEST

START_TEST(an_untouched_value_is_forwarded_byte_for_byte)
{
    struct pipeline p;
    pipeline_open(&p,
                  "app:stream('in'):process { process = function(k, v, rec, ctx) ctx:forward(k, v) end }:to('out')");
    pipeline_send(&p, "in", "a", "{ \"n\" : 1.0 }", 0);
    ck_assert_str_eq(outputs(&p, "out"), "a:{ \"n\" : 1.0 }@0");
    pipeline_close(&p);
}
END_TEST

START_TEST(headers_are_those_of_the_moment)
{
    struct pipeline p;
    struct record record;
    pipeline_open(&p, "app:stream('in'):process { process = function(k, v, rec, ctx)\n"
                      "  ctx.headers:add('one', '1')\n"
                      "  ctx:forward(k, 1)\n"
                      "  rec.headers:add('two', '2')\n"
                      "  ctx:forward(k, 2, { headers = rec.headers })\n"
                      "  ctx:forward(k, 3, { headers = { { 'x', 'y' }, { 'z', tm.null } } })\n"
                      "  ctx:forward(k, 4, { headers = {} })\n"
                      "end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 0);
    static const size_t counts[] = {1, 2, 2, 0};
    for (size_t i = 0; i < 4; i++) {
        ck_assert(driver_take_from(p.driver, "out", &record));
        ck_assert_uint_eq(record.headers.count, counts[i]);
    }
    pipeline_close(&p);
}
END_TEST

/* A ctx that init keeps is the ctx of every callback. */
START_TEST(ctx_may_be_kept)
{
    struct pipeline p;
    pipeline_open(&p, "local mine\n"
                      "app:stream('in'):process { stores = { 's' }, init = function(ctx) mine = ctx end,\n"
                      "  process = function(k, v)\n"
                      "    mine.stores.s:put(k, v) mine.headers:add('h', 'v')\n"
                      "    mine:forward(k, mine.stores.s:get(k) + mine.timestamp)\n"
                      "  end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 7);
    struct record record;
    ck_assert(driver_take_from(p.driver, "out", &record));
    ck_assert_uint_eq(record.headers.count, 1);
    ck_assert_int_eq(record.timestamp, 7);
    pipeline_close(&p);
}
END_TEST

START_TEST(the_key_counts_as_changed)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process { process = function(k, v, rec, ctx) ctx:forward(k, v) end }\n"
                      "  :group_by_key():count { store = 'c' }:to('out')\n"
                      "app:stream('in'):filter(function() return true end):group_by_key():count { store = 'd' }\n");
    ck_assert_ptr_nonnull(graph_find(driver_graph(p.driver), "c-repartition-source"));
    ck_assert_ptr_null(graph_find(driver_graph(p.driver), "d-repartition-source"));
    pipeline_close(&p);
}
END_TEST

/* ---- key-value stores ---- */

START_TEST(scans_see_the_state_of_their_call)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process { stores = { 's' }, process = function(k, v, rec, ctx)\n"
                      "  local s = ctx.stores.s\n"
                      "  for _, key in ipairs { 'a', 'ab', 'b', '\\xff' } do s:put(key, #key) end\n"
                      "  local seen = {}\n"
                      "  for key, value in s:all() do\n"
                      "    seen[#seen + 1] = key .. value s:delete(key) s:put(key .. 'x', 1)\n"
                      "  end\n"
                      "  ctx:forward('all', #seen .. seen[1] .. seen[2] .. seen[3])\n"
                      "  seen = {}\n"
                      "  for key in s:range('ax', 'bx') do seen[#seen + 1] = key end\n"
                      "  ctx:forward('range', table.concat(seen, ' '))\n"
                      "  seen = {}\n"
                      "  for key in s:range(nil, 'ax') do seen[#seen + 1] = key end\n"
                      "  for key in s:range('b') do seen[#seen + 1] = #key end\n"
                      "  for key in s:range('z', 'a') do seen[#seen + 1] = key end\n"
                      "  ctx:forward('open', table.concat(seen, ' '))\n"
                      "  for key in s:prefix('a') do ctx:forward('prefix', key) break end\n"
                      "end }:to('out')\n");
    pipeline_send(&p, "in", "k", "1", 0);
    ck_assert_str_eq(outputs(&p, "out"), "all:\"4a1ab2b1\"@0 range:\"ax bx\"@0 open:\"abx ax 2 2\"@0 prefix:\"abx\"@0");
    pipeline_close(&p);
}
END_TEST

START_TEST(an_iterator_is_a_value_of_its_record)
{
    struct pipeline p;
    pipeline_open(&p, "local kept\n"
                      "app:stream('in'):process { stores = { 's' }, process = function(k, v, rec, ctx)\n"
                      "  ctx.stores.s:put(k, v)\n"
                      "  if kept then kept() end\n"
                      "  kept = ctx.stores.s:all()\n"
                      "end }\n");
    pipeline_send(&p, "in", "a", "1", 0);
    ck_assert_int_eq(pipeline_try_send(&p, "in", "b", "1", 0), -1);
    ck_assert_msg(strstr(p.err.text, "this iterator of the store \"s\" belongs to a record that is done"), "%s",
                  p.err.text);
    pipeline_close(&p);
}
END_TEST

START_TEST(values_are_written_when_they_are_put)
{
    struct pipeline p;
    pipeline_open(&p,
                  "app:stream('in'):process { stores = { 's', n = { key = tm.int64, value = tm.double } },\n"
                  "  process = function(k, v, rec, ctx)\n"
                  "    local s, n = ctx.stores.s, ctx.stores.n\n"
                  "    local t = { a = 1 }\n"
                  "    s:put('t', t) t.a = 2\n"
                  "    s:put('v', v) v.x = 5 s:put('w', v)\n"
                  "    local got = s:get('v') got.x = 9\n"
                  "    n:put(7, 1.5) n:put(-1, 2.5) n:put(8, 3) n:delete(8)\n"
                  "    local keys = {}\n"
                  "    for key, value in n:all() do keys[#keys + 1] = key .. '=' .. value end\n"
                  "    ctx:forward('a', { s:get('t').a, s:get('v').x, s:get('w').x, got.x, table.concat(keys, ' ') })\n"
                  "    s:put('v', nil)\n"
                  "    ctx:forward('b', s:get('v') == nil)\n"
                  "  end }:to('out')\n");
    pipeline_send(&p, "in", "k", "{ \"x\" : 1 }", 0);
    ck_assert_str_eq(outputs(&p, "out"), "a:[1,1,5,9,\"7=1.5 -1=2.5\"]@0 b:true@0");
    ck_assert_str_eq(stored(&p, "s", "w"), "{ \"x\" : 5 }");
    ck_assert_str_eq(stored(&p, "s", "t"), "{\"a\":1}");
    pipeline_close(&p);
}
END_TEST

START_TEST(stores_are_shared_by_name)
{
    struct pipeline p;
    pipeline_open(&p, "app:table('t', { store = 't' })\n"
                      "app:stream('clicks'):group_by_key():count { store = 'c' }\n"
                      "app:stream('in'):process { stores = { 't', 'c', own = { changelog = false } },\n"
                      "  process = function(k, v, rec, ctx)\n"
                      "    local s = ctx.stores\n"
                      "    s.own:put(k, (s.own:get(k) or 0) + 1)\n"
                      "    ctx:forward(k, { t = s.t:get(k), c = s.c:get(k), own = s.own:get(k) })\n"
                      "  end }:to('out')\n"
                      "app:stream('other'):process { stores = { 'own' }, process = function(k, v, rec, ctx)\n"
                      "  ctx:forward(k, ctx.stores.own:get(k)) end }:to('out')\n");
    pipeline_send(&p, "t", "a", "\"row\"", 0);
    pipeline_send(&p, "clicks", "a", "0", 0);
    pipeline_send(&p, "clicks", "a", "0", 0);
    pipeline_send(&p, "in", "a", "0", 1);
    pipeline_send(&p, "other", "a", "0", 2);
    const char *text = outputs(&p, "out");
    ck_assert_msg(strstr(text, "\"t\":\"row\"") && strstr(text, "\"c\":2") && strstr(text, "\"own\":1") &&
                      strstr(text, "a:1@2"),
                  "%s", text);
    pipeline_close(&p);
}
END_TEST

START_TEST(ttl_counts_stream_time_since_the_last_write)
{
    struct pipeline p;
    pipeline_open(&p,
                  "app:stream('in'):process { stores = { s = { ttl = '10s' } }, process = function(k, v, rec, ctx)\n"
                  "  local s, all = ctx.stores.s, ''\n"
                  "  for key in s:all() do all = all .. key end\n"
                  "  ctx:forward(k, all .. '/' .. tostring(s:get('a')))\n"
                  "  s:put(k, v)\n"
                  "end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1000);
    pipeline_send(&p, "in", "b", "1", 10999);
    pipeline_send(&p, "in", "c", "1", 500); /* late, but written at 10999 */
    ck_assert_str_eq(outputs(&p, "out"), "a:\"/nil\"@1000 b:\"a/1\"@10999 c:\"ab/1\"@500");
    pipeline_send(&p, "in", "a", "2", 11000);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"bc/nil\"@11000");
    pipeline_send(&p, "in", "d", "1", 20999);
    ck_assert_str_eq(outputs(&p, "out"), "d:\"a/2\"@20999");
    ck_assert_str_eq(stored(&p, "s", "b"), "-");
    ck_assert_str_eq(stored(&p, "s", "c"), "-");
    ck_assert_str_eq(stored(&p, "s", "a"), "2");
    pipeline_close(&p);
}
END_TEST

/* ---- window and session stores ---- */

START_TEST(window_stores_keep_their_retention)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process {\n"
                      "  stores = { w = { kind = 'window', size = '1s', retention = '1m' } },\n"
                      "  process = function(k, v, rec, ctx)\n"
                      "    local w, list = ctx.stores.w, {}\n"
                      "    w:put(k, v, rec.timestamp)\n"
                      "    for start, value in w:fetch(k, 0, 1000000) do list[#list + 1] = start .. '=' .. value end\n"
                      "    for wk, value in w:all() do\n"
                      "      list[#list + 1] = wk.key .. wk.window_start .. '-' .. wk.window_end .. '=' .. value end\n"
                      "    for wk in w:fetch_all(2000, 2000) do list[#list + 1] = wk.key end\n"
                      "    ctx:forward(k, { list, w:fetch('a', 1000) or 'none' })\n"
                      "  end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 1000);
    pipeline_send(&p, "in", "aa", "2", 2000);
    pipeline_send(&p, "in", "a", "3", 60999);
    ck_assert_str_eq(outputs(&p, "out"), "a:[[\"1000=1\",\"a1000-2000=1\"],1]@1000 "
                                         "aa:[[\"2000=2\",\"a1000-2000=1\",\"aa2000-3000=2\",\"aa\"],1]@2000 "
                                         "a:[[\"1000=1\",\"60999=3\",\"a1000-2000=1\",\"aa2000-3000=2\","
                                         "\"a60999-61999=3\",\"aa\"],1]@60999");
    pipeline_send(&p, "in", "b", "4", 61000);
    pipeline_send(&p, "in", "b", "5", 1000); /* too old to be put */
    ck_assert_str_eq(outputs(&p, "out"), "b:[[\"61000=4\",\"aa2000-3000=2\",\"a60999-61999=3\",\"b61000-62000=4\","
                                         "\"aa\"],\"none\"]@61000 "
                                         "b:[[\"61000=4\",\"aa2000-3000=2\",\"a60999-61999=3\",\"b61000-62000=4\","
                                         "\"aa\"],\"none\"]@1000");
    pipeline_close(&p);
}
END_TEST

START_TEST(windows_are_fetched_over_segments)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process {\n"
                      "  stores = { w = { kind = 'window', size = '1s', retention = '10m' } },\n"
                      "  process = function(k, v, rec, ctx)\n"
                      "    local w, list = ctx.stores.w, {}\n"
                      "    w:put(k, v, rec.timestamp) w:put(k .. 'x', v, rec.timestamp)\n"
                      "    for start in w:fetch(k, v, 100000000) do list[#list + 1] = start end\n"
                      "    for start in w:fetch(k, 0, rec.timestamp - 1) do list[#list + 1] = -start break end\n"
                      "    ctx:forward(k, list)\n"
                      "  end }:to('out')\n");
    pipeline_send(&p, "in", "a", "0", 1);
    pipeline_send(&p, "in", "a", "0", 310000);
    pipeline_send(&p, "in", "a", "2", 600000);
    pipeline_send(&p, "in", "a", "0", 900000);
    pipeline_send(&p, "in", "a", "0", 5000000);
    ck_assert_str_eq(outputs(&p, "out"), "a:[1]@1 a:[1,310000,-1]@310000 a:[310000,600000,-1]@600000 "
                                         "a:[310000,600000,900000,-310000]@900000 a:[5000000]@5000000");
    pipeline_close(&p);
}
END_TEST

START_TEST(windows_of_a_table_are_read_by_key_and_start)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('clicks'):group_by_key():windowed_by(tm.tumbling('1s')):count { store = 'c' }\n"
                      "app:stream('clicks'):group_by_key():windowed_by(tm.sliding('1s')):count { store = 'd' }\n"
                      "app:stream('in'):process { stores = { 'c', 'd' }, process = function(k, v, rec, ctx)\n"
                      "  local list = {}\n"
                      "  for start, n in ctx.stores.c:fetch(k, 0, 5000) do list[#list + 1] = start .. '=' .. n end\n"
                      "  for wk, n in ctx.stores.c:all() do list[#list + 1] = wk.key .. wk.window_end .. '=' .. n end\n"
                      "  for start, n in ctx.stores.d:fetch(k, 0, 5000) do list[#list + 1] = start .. '=' .. n end\n"
                      "  ctx:forward(k, { ctx.stores.c:fetch(k, 1000), list })\n"
                      "end }:to('out')\n");
    pipeline_send(&p, "clicks", "a", "0", 1100);
    pipeline_send(&p, "clicks", "a", "0", 1200);
    pipeline_send(&p, "clicks", "a", "0", 2100);
    pipeline_send(&p, "in", "a", "0", 0);
    ck_assert_str_eq(outputs(&p, "out"), "a:[2,[\"1000=2\",\"2000=1\",\"a2000=2\",\"a3000=1\",\"100=1\",\"200=2\","
                                         "\"1100=3\",\"1101=2\",\"1201=1\"]]@0");
    pipeline_close(&p);
}
END_TEST

START_TEST(session_stores_find_by_key_and_time)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process {\n"
                      "  stores = { s = { kind = 'session', retention = '1h' } },\n"
                      "  process = function(k, v, rec, ctx)\n"
                      "    local s, list = ctx.stores.s, {}\n"
                      "    s:put(k, v, v.from, v.to)\n"
                      "    for wk, value in s:fetch('a') do\n"
                      "      list[#list + 1] = wk.window_start .. '-' .. wk.window_end end\n"
                      "    for wk in s:find_sessions('a', 30, 40) do list[#list + 1] = wk.window_start end\n"
                      "    if v.drop then s:remove(k, v.from, v.to) end\n"
                      "    ctx:forward(k, { list, s:fetch_session(k, v.from, v.to) == nil })\n"
                      "  end }:to('out')\n");
    pipeline_send(&p, "in", "a", "{\"from\":10,\"to\":20}", 0);
    pipeline_send(&p, "in", "a", "{\"from\":30,\"to\":35}", 0);
    pipeline_send(&p, "in", "ab", "{\"from\":30,\"to\":35,\"drop\":true}", 0);
    pipeline_send(&p, "in", "a", "{\"from\":41,\"to\":50}", 0);
    ck_assert_str_eq(outputs(&p, "out"), "a:[[\"10-20\"],false]@0 a:[[\"10-20\",\"30-35\",30],false]@0 "
                                         "ab:[[\"10-20\",\"30-35\",30],true]@0 "
                                         "a:[[\"10-20\",\"30-35\",\"41-50\",30],false]@0");
    pipeline_close(&p);
}
END_TEST

/* ---- timers, init, close ---- */

START_TEST(timers_are_made_and_cancelled_anywhere)
{
    struct pipeline p;
    pipeline_open(&p, "local timer\n"
                      "app:stream('in'):process { process = function(k, v, rec, ctx)\n"
                      "  if v == 1 then\n"
                      "    timer = ctx:every(1000, 'wall', function(now)\n"
                      "      ctx:forward('tick', ctx.timestamp - now)\n"
                      "      ctx:every('1s', 'wall', function(at) ctx:forward('inner', at) end)\n"
                      "    end)\n"
                      "  else timer:cancel() timer:cancel() end\n"
                      "end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 0);
    ck_assert_int_eq(driver_advance(p.driver, 1000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "tick:0@1000");
    pipeline_send(&p, "in", "a", "2", 0);
    ck_assert_int_eq(driver_advance(p.driver, 1000, &p.err), 0);
    ck_assert_str_eq(outputs(&p, "out"), "inner:2000@2000");
    pipeline_close(&p);
}
END_TEST

/* There is no record that skipping could drop but the one that a timer would have made. */
START_TEST(an_error_in_a_timer_goes_by_the_policy)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process { on_error = 'skip',\n"
                      "  init = function(ctx) ctx:every(10, 'stream', function(ts)\n"
                      "    ctx:forward('before', ts) error 'no' end) end,\n"
                      "  process = function(k, v, rec, ctx) ctx:forward(k, v) if v == 1 then error 'no' end end }"
                      ":to('out')\n");
    pipeline_send(&p, "in", "a", "1", 0);
    pipeline_send(&p, "in", "a", "2", 10);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@0 before:0@0 a:2@10 before:10@10");
    pipeline_close(&p);
}
END_TEST

START_TEST(init_and_close_run_once)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):process { stores = { 's' },\n"
                      "  init = function(ctx) ctx.stores.s:put('init', (ctx.stores.s:get('init') or 0) + 1) end,\n"
                      "  process = function(k, v, rec, ctx) ctx:forward(k, ctx.stores.s:get('init')) end,\n"
                      "  close = function(ctx) tm.log('closed ' .. ctx.stores.s:get('init')) end }:to('out')\n");
    pipeline_send(&p, "in", "a", "1", 0);
    pipeline_send(&p, "in", "a", "1", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:1@0 a:1@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(an_error_in_init_is_not_skipped)
{
    struct pipeline p;
    ck_assert_int_eq(pipeline_try(&p, "app:stream('in'):process { name = 'p', on_error = 'skip',\n"
                                      "  init = function(ctx) error 'not today' end,\n"
                                      "  process = function() end }\n"),
                     -1);
    ck_assert_msg(strstr(p.err.text, "not today") && strstr(p.err.text, ":4") && strstr(p.err.text, "node p"), "%s",
                  p.err.text);
    pipeline_close(&p);
}
END_TEST

/* ---- errors ---- */

#define IN                                                                                                             \
    "app:stream('in'):process { name = 'p', stores = { 's', w = { kind = 'window', size = 1, retention = 1 } },\n"
#define PROCESS IN "process = function(k, v, rec, ctx) "
#define END " end }:to('out')\n"

static const struct {
    const char *script;
    const char *part;
} failing[] = {
    {PROCESS "ctx:forward(5, 1)" END, "ctx:forward needs a string as key, got a number"},
    {PROCESS "ctx.forward(k, v)" END, "write ctx:forward(...), with a colon"},
    {PROCESS "ctx:forward(k, v, 5)" END, "ctx:forward takes its options as a table, got a number"},
    {PROCESS "ctx:forward(k, v, { time = 5 })" END, "ctx:forward has no option time"},
    {PROCESS "ctx:forward(k, v, { timestamp = -1 })" END, "needs a timestamp in milliseconds from 0, got -1"},
    {PROCESS "ctx:forward(k, v, { headers = 5 })" END, "headers are a list of { name, value }"},
    {PROCESS "ctx:forward(k, v, { headers = { { 5 } } })" END, "the name of a header is a string"},
    {PROCESS "ctx:forward(k, print)" END, "function"},
    {PROCESS "coroutine.wrap(function() ctx:forward(k, v) end)()" END, "forward can't be called inside a coroutine"},
    {PROCESS "ctx:every('5x', 'wall', print)" END, "\"5x\" is no duration"},
    {PROCESS "ctx:every(0, 'wall', print)" END, "at least 1 ms"},
    {PROCESS "ctx:every(1, 'event', print)" END, "needs \"stream\" or \"wall\" as the time it goes by, got event"},
    {PROCESS "ctx:every(1, 'wall')" END, "ctx:every needs a function to call, got no value"},
    {PROCESS "return ctx.forwards" END, "ctx has no field forwards"},
    {PROCESS "ctx.x = 5" END, "ctx can't be changed"},
    {PROCESS "ctx.stores.t:get(k)" END, "the processor p has no store \"t\" in its stores = { ... }: it names s, w"},
    {PROCESS "ctx.stores.t = 5" END, "ctx.stores can't be changed"},
    {PROCESS "ctx.stores.s.get(k)" END, "write ctx.stores.NAME:get(...), with a colon"},
    {PROCESS "ctx.stores.s:get(5)" END, "get of the store \"s\" needs a string as the key, got number"},
    {PROCESS "ctx.stores.s:put(nil, 5)" END, "put of the store \"s\" needs a string as the key, got nil"},
    {PROCESS "ctx.stores.s:put(k, print)" END, "function"},
    {PROCESS "ctx.stores.s:fetch(k)" END, "the store \"s\" is a key-value store, which has no method fetch"},
    {PROCESS "ctx.stores.w:put(k, v, -1)" END, "needs the start in milliseconds from 0, got -1"},
    {PROCESS "ctx.stores.w:get(k)" END, "the store \"w\" is a window store, which has no method get"},
    {"app:table('t', { store = 't' })\napp:stream('in'):process { stores = { 't' }, process = function(k, v, rec, ctx) "
     "ctx.stores.t:put(k, v)" END,
     "the store \"t\" belongs to a table"},
    {"local mine\napp:stream('in'):process { stores = { 's' }, process = function(k, v, rec, ctx) mine = ctx.stores.s "
     "ctx:forward(k, v) end }:foreach(function(k, v) mine:get(k) end)\n",
     "the store \"s\" can only be used inside the callbacks of its own processor"},
    {"local mine\napp:stream('in'):process { process = function(k, v, rec, ctx) mine = ctx "
     "ctx:forward(k, v) end }:foreach(function(k, v) mine:forward(k, v) end)\n",
     "ctx:forward can only be used inside the callbacks of its own processor"},
    {"local mine\napp:stream('in'):process { process = function(k, v) if mine then return mine.n end mine = v end }\n",
     "record that is done"},
};

START_TEST(fails_by_name)
{
    struct pipeline p;
    pipeline_open(&p, failing[_i].script);
    int result = pipeline_try_send(&p, "in", "a", "{\"n\":1}", 5);
    if (result == 0) {
        result = pipeline_try_send(&p, "in", "a", "{\"n\":1}", 5);
    }
    if (result == 0 || !strstr(p.err.text, failing[_i].part)) {
        ck_abort_msg("expected \"%s\" in: %s", failing[_i].part, result == 0 ? "(it worked)" : p.err.text);
    }
    pipeline_close(&p);
}
END_TEST

static const struct {
    const char *script;
    const char *part;
} refused[] = {
    {"app:stream('in'):process(print)", "process takes a table"},
    {"app:stream('in'):process {}", "process needs a function as process, got nothing"},
    {"app:stream('in'):process { process = print, init = 5 }", "process needs a function as init, got the number 5"},
    {"app:stream('in'):process { process = print, store = 's' }", "did you mean \"stores\"?"},
    {"app:stream('in'):process { process = print, stores = 's' }", "stores is a list of names"},
    {"app:stream('in'):process { process = print, stores = { 5 } }", "store (number 1) as a string, got the number 5"},
    {"app:stream('in'):process { process = print, stores = { 's', 's' } }", "the store \"s\" is named twice"},
    {"app:stream('in'):process { process = print, stores = { 's', s = {} } }", "the store \"s\" is named twice"},
    {"app:stream('in'):process { process = print, stores = { s = { kind = 'windw' } } }", "did you mean \"window\"?"},
    {"app:stream('in'):process { process = print, stores = { s = { tll = 5 } } }", "did you mean \"ttl\"?"},
    {"app:stream('in'):process { process = print, stores = { s = { ttl = 0 } } }", "ttl is at least 1 ms"},
    {"app:stream('in'):process { process = print, stores = { s = { kind = 'window', size = 5 } } }",
     "the store \"s\" needs retention"},
    {"app:stream('in'):process { process = print, stores = { s = { kind = 'window', size = 5, retention = 4 } } }",
     "retention is at least 5 ms"},
    {"app:stream('in'):process { process = print, stores = { s = { kind = 'session', size = 5, retention = 4 } } }",
     "has no option \"size\""},
    {"app:table('t', { store = 't' }) app:stream('in'):process { process = print, stores = { t = { ttl = 5 } } }",
     "is there already: name it without options"},
    {"app:stream('in'):process { process = print, stores = { 't' } } app:table('t', { store = 't' })",
     "Duplicate name: two stores are called \"t\""},
    {"app:table('t', { store = 's' }):process { process = print }", "write :to_stream():process(...)"},
};

START_TEST(is_refused)
{
    pipeline_refused(refused[_i].script, refused[_i].part);
}
END_TEST

#define COUNT(list) (int)(sizeof(list) / sizeof((list)[0]))

int main(void)
{
    const TTest *const tests[] = {
        forwards_as_often_as_it_likes,
        a_forwarded_value_is_no_longer_shared,
        an_untouched_value_is_forwarded_byte_for_byte,
        headers_are_those_of_the_moment,
        ctx_may_be_kept,
        the_key_counts_as_changed,
        scans_see_the_state_of_their_call,
        an_iterator_is_a_value_of_its_record,
        values_are_written_when_they_are_put,
        stores_are_shared_by_name,
        ttl_counts_stream_time_since_the_last_write,
        window_stores_keep_their_retention,
        windows_are_fetched_over_segments,
        windows_of_a_table_are_read_by_key_and_start,
        session_stores_find_by_key_and_time,
        timers_are_made_and_cancelled_anywhere,
        an_error_in_a_timer_goes_by_the_policy,
        init_and_close_run_once,
        an_error_in_init_is_not_skipped,
    };
    TCase *test = tcase_create("process");
    tcase_set_timeout(test, UNIT_TIMEOUT_S);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tcase_add_test(test, tests[i]);
    }
    tcase_add_loop_test(test, fails_by_name, 0, COUNT(failing));
    tcase_add_loop_test(test, is_refused, 0, COUNT(refused));
    Suite *suite = suite_create("process");
    suite_add_tcase(suite, test);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
