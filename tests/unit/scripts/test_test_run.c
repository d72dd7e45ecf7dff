#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "operators/all.h"
#include "scripts/coverage.h"
#include "scripts/test_run.h"
#include "store/store_driver.h"
#include "tests/support/unit.h"

static char directory[32];
static char test_path[80];
static struct test_report report;
static struct err err;

static void write_file(const char *name, const char *text)
{
    char path[80];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static const char pipeline[] =
    "local tm = require 'tidemill'\n"
    "local app = tm.app 'shop'\n"
    "app:stream('orders')\n"
    "  :filter(function(key, order) return order.total > 0 end)\n"
    "  :map_values(function(key, order) order.total = order.total * 2 return order end)\n"
    "  :to('doubled')\n"
    "app:stream('orders'):group_by_key():count { store = 'counts' }:to('counts')\n"
    "local clicks = app:stream('clicks'):group_by_key()\n"
    "clicks:windowed_by(tm.tumbling('10s')):count { store = 'windows' }:to('windows')\n"
    "clicks:windowed_by(tm.tumbling('10s')):count { store = 'finals', emit = 'final' }:to('finals')\n"
    "local sessions = clicks:windowed_by(tm.session('5s')):count { store = 'sessions' }\n"
    "sessions:suppress { store = 'held', until_window_closes = true }:to('sessions')\n"
    "app:stream('numbers', { key = tm.int64, value = tm.double }):to('numbers-out', { key = tm.int64 })\n"
    "app:stream('bad'):map_values(function(key, value) return value.a.b end):to('bad-out')\n";

static void setup(const char *test)
{
    log_configure(LOG_ERROR, false);
    snprintf(directory, sizeof directory, "/tmp/tidemill-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    write_file("pipeline.lua", pipeline);
    write_file("shop_test.lua", test);
    snprintf(test_path, sizeof test_path, "%s/shop_test.lua", directory);
}

static void teardown(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s/pipeline.lua", directory);
    unlink(path);
    unlink(test_path);
    rmdir(directory);
    test_report_free(&report);
}

static int run(const char *filter)
{
    struct test_config config = {
        .file = test_path, .operators = &operators_all, .stores = &sqlite_store_driver, .filter = filter};
    return test_run_file(&config, &report, &err);
}

/* Runs a body as one test. */
static void run_body(const char *body)
{
    char text[4096];
    snprintf(text, sizeof text,
             "local tm, t = require 'tidemill', require 'tidemill.test'\nt.test('it', function()\n%s\nend)\n", body);
    setup(text);
    ck_assert_msg(run(NULL) == 0, "%s", err.text);
    ck_assert_uint_eq(report.count, 1);
}

static void expect_pass(const char *body)
{
    run_body(body);
    ck_assert_msg(report.list[0].status == TEST_PASSED, "%s", report.list[0].message);
    teardown();
}

static void expect_failure(const char *body, const char *part)
{
    run_body(body);
    ck_assert_int_eq(report.list[0].status, TEST_FAILED);
    ck_assert_msg(strstr(report.list[0].message, part) != NULL, "\"%s\" is not in \"%s\"", part,
                  report.list[0].message);
    ck_assert_msg(strncmp(report.list[0].message, "shop_test.lua:", 14) == 0, "%s", report.list[0].message);
    teardown();
}

START_TEST(pipelines_run)
{
    expect_pass("local d = t.driver 'pipeline.lua'\n"
                "d:send('orders', 'o1', { total = 5 }, { at = 1000, headers = { { 'trace', 'x' } } })\n"
                "d:send('orders', 'o2', { total = 0 })\n"
                "t.equal(d:topics(), { 'doubled', 'counts' })\n"
                "t.equal(d:records('doubled'), { { key = 'o1', value = { total = 10 }, timestamp = 1000,\n"
                "  headers = { { 'trace', 'x' } } } })\n"
                "t.equal(d:records('doubled'), {})\n"
                "t.equal(d:values('counts'), { 1, 1 })\n"
                "t.equal(d:store('counts'):get('o1'), 1)\n"
                "t.equal(d:store('counts'):get('o9'), nil)\n"
                "d:send('orders', 'o1', { total = 1 })\n"
                "local all = {}\n"
                "for key, value in d:store('counts'):all() do all[#all + 1] = { key, value } end\n"
                "t.equal(all, { { 'o1', 2 }, { 'o2', 1 } })\n"
                "local rest = d:records()\n"
                "t.equal(#rest, 2) t.equal(rest[1].topic, 'doubled') t.equal(rest[2].value, 2)");
}
END_TEST

START_TEST(topics_that_nothing_writes_are_errors)
{
    const char *const open = "local d = t.driver 'pipeline.lua'\n";
    const char *const reads[] = {"d:values('double')", "d:records('double')", "d:values('orders')"};
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        char body[200];
        snprintf(body, sizeof body, "%s%s", open, reads[i]);
        expect_failure(body, "The pipeline does not write the topic \"");
        expect_failure(body, "\". It writes ");
        expect_failure(body, "\"doubled\"");
    }
}
END_TEST

START_TEST(codecs_are_the_topics)
{
    expect_pass("local d = t.driver 'pipeline.lua'\n"
                "d:send('numbers', 5, 1.5, { at = 3 })\n"
                "d:send('numbers', 6, nil)\n"
                "t.equal(d:values('numbers-out'), { 1.5, tm.tombstone })\n"
                "d:send('numbers', 7, 2.5)\n"
                "t.equal(d:records('numbers-out')[1].key, 7)");
    expect_failure("t.driver('pipeline.lua'):send('numbers', 'x', 1.5)",
                   "the int64 codec writes integers, and this is a string");
    expect_failure("t.driver('pipeline.lua'):send('orders', 5, {})", "the string codec writes strings");
}
END_TEST

START_TEST(clock_and_commit)
{
    expect_pass("local d = t.driver('pipeline.lua', { partitions = 2 })\n"
                "d:advance(5000) d:advance('5s') d:commit()\n"
                "d:send('orders', 'o1', { total = 5 })\n"
                "t.equal(d:records('doubled')[1].timestamp, 10000)");
    expect_failure("t.driver('pipeline.lua'):advance(-1)", "The clock can't go back");
}
END_TEST

START_TEST(differences_are_shown)
{
    expect_pass("t.equal({ 1, { a = {} } }, { 1, { a = tm.list {} } } and { 1, { a = {} } }) t.equal(5, 5.0)");
    expect_failure("t.equal({ { n = 1, sum = 5 } }, { { n = 1, sum = 6 } })",
                   "shop_test.lua:3: the values differ\n  [1].sum: expected 6, got 5\n"
                   "  expected: { { n = 1, sum = 6 } }\n  got:      { { n = 1, sum = 5 } }");
    expect_failure("t.equal({ 1 }, { 1, 'x' }, 'sums')", "sums: the values differ\n  [2]: is missing, expected \"x\"");
    expect_failure("t.equal({ a = tm.null }, {})", "a: is not expected, got tm.null");
    expect_failure("t.equal(1, 2)", "the value: expected 2, got 1");
    expect_failure("t.fail('no luck')", "shop_test.lua:3: no luck");
    expect_failure("t.equal({}, tm.list {})", "the value: expected list {}, got {}");
}
END_TEST

START_TEST(errors_are_tested)
{
    expect_pass("t.throws(function() error('a [b] c') end, '[b]') t.error(function() local x = nil .. 'a' end)");
    expect_failure("t.throws(function() end, 'x')", "an error was expected that says \"x\", but there was none");
    expect_failure("t.throws(function() error('a') end, 'x')", "an error was expected that says \"x\"\n  got: ");
}
END_TEST

START_TEST(failures_name_the_line)
{
    expect_failure("local x = nil\nreturn x.y", "shop_test.lua:4: attempt to index a nil value (local 'x')");
    expect_failure("t.driver 'none.lua'", "none.lua can't be opened");
    expect_failure("t.driver('pipeline.lua'):send('none', 'a', {})", "The pipeline does not read the topic \"none\"");
    expect_failure("t.driver('pipeline.lua'):send('bad', 'a', {})", "attempt to index a nil value (field 'a')");
    expect_failure("t.driver('pipeline.lua'):store('none')", "the pipeline has no store \"none\"");
    expect_failure("t.driver('pipeline.lua'):send('orders', 'a', {}, { time = 1 })", "send has no option time");
    expect_failure("tm.app 'x'", "tm.app");
    expect_failure("t.equals(1, 1)", "tidemill.test has no function \"equals\"");
    expect_failure("t.test('inner', function() end)", "can't be called inside one");
}
END_TEST

START_TEST(texts_differ_by_a_line)
{
    expect_pass("t.equal(t.topology 'pipeline.lua', t.topology 'pipeline.lua')\n"
                "assert(t.topology('pipeline.lua'):find('doubled', 1, true))");
    expect_failure("t.equal('a\\nb\\nc', 'a\\nx\\nc')", "the value, line 2: expected \"x\", got \"b\"");
    expect_failure("t.equal('a\\n', 'a\\n\\nc')", "the value, line 3: is missing, expected \"c\"");
    expect_failure("t.topology 'none.lua'", "none.lua can't be opened");
}
END_TEST

START_TEST(properties_hold_for_all)
{
    expect_pass("local runs = 0\n"
                "t.for_all(function(any) return any:list(0, 5, function() return any:integer(1, 3) end) end,\n"
                "  function(list)\n"
                "    runs = runs + 1\n"
                "    local d = t.driver 'pipeline.lua'\n"
                "    for i, total in ipairs(list) do d:send('orders', 'o' .. i, { total = total }) end\n"
                "    t.equal(#d:values('doubled'), #list)\n"
                "  end, { runs = 20 })\n"
                "t.equal(runs, 20)");
    expect_pass("local seen = {}\n"
                "local function note(any)\n"
                "  return any:text(1, 9) .. any:integer(math.mininteger, math.maxinteger) .. any:pick { 'a', 'b' }\n"
                "end\n"
                "t.for_all(note, function(text) seen[#seen + 1] = text end, { runs = 9, seed = 4 })\n"
                "local i = 0\n"
                "t.for_all(note, function(text) i = i + 1 t.equal(text, seen[i]) end, { runs = 9, seed = 4 })");
    expect_failure("t.for_all(function(any) return any:list(5, 30, function() return any:integer(0, 9) end) end,\n"
                   "  function(list) for _, n in ipairs(list) do assert(n < 8, 'too large') end end, { seed = 3 })",
                   "with seed 3 fails\n  case: { 9 }\n");
    expect_failure("t.for_all(function(any) return any:integer(2, 1) end, print)", "two integers, the smaller first");
    expect_failure("t.for_all(print, print, { count = 3 })", "t.for_all has no option \"count\"");
}
END_TEST

START_TEST(restarts_keep_the_state)
{
    expect_pass("local d = t.driver('pipeline.lua', { partitions = 3 })\n"
                "d:send('orders', 'o1', { total = 5 })\n"
                "d:restart()\n"
                "d:send('orders', 'o1', { total = 5 })\n"
                "t.equal(d:values('counts'), { 1, 2 })");
}
END_TEST

START_TEST(lines_that_run_are_counted)
{
    setup("local t = require 'tidemill.test'\n"
          "t.test('it', function() t.driver('pipeline.lua'):send('orders', 'a', { total = 0 }) end)\n");
    write_file("pipeline.lua", "local tm = require 'tidemill'\n" /* line 1 */
                               "local app = tm.app 'shop'\n"
                               "\n"
                               "local function none(value)\n"
                               "  return value\n" /* 5 */
                               "end\n"
                               "app:stream('orders'):filter(function(key, order)\n"
                               "  if order.total > 0 then\n"
                               "    return none(order)\n" /* 9 */
                               "  end\n"
                               "  return false\n"
                               "end):to('out')\n");
    struct coverage *coverage = coverage_new();
    struct test_config config = {
        .file = test_path, .operators = &operators_all, .stores = &sqlite_store_driver, .coverage = coverage};
    ck_assert_int_eq(test_run_file(&config, &report, &err), 0);
    ck_assert_int_eq(report.list[0].status, TEST_PASSED);
    ck_assert_uint_eq(coverage_count(coverage), 1);
    struct coverage_file file = coverage_file(coverage, 0);
    ck_assert_int_eq(file.missed_count, 2);
    ck_assert_int_eq(file.missed[0], 5);
    ck_assert_int_eq(file.missed[1], 9);
    ck_assert_int_eq(file.run, file.lines - 2);
    coverage_free(coverage);
    teardown();
}
END_TEST

START_TEST(values_outlive_their_record)
{
    expect_pass("local d = t.driver 'pipeline.lua'\n"
                "d:send('orders', 'o1', { total = 5, items = { 1, 2 } })\n"
                "local value = d:values('doubled')[1]\n"
                "d:send('orders', 'o1', { total = 6 })\n"
                "t.equal(type(value), 'table') t.equal(value, { total = 10, items = { 1, 2 } })");
}
END_TEST

START_TEST(files_report_all_tests)
{
    setup(
        "local t = require 'tidemill.test'\n"
        "local shared = t.driver 'pipeline.lua'\n"
        "local own\n"
        "t.test('first sum', function() own = t.driver 'pipeline.lua' shared:send('orders', 'a', { total = 1 }) end)\n"
        "t.test('second sum', function() t.equal(shared:values('doubled'), { { total = 2 } }) end)\n"
        "t.test('closed', function() own:commit() end)\n");
    ck_assert_msg(run(NULL) == 0, "%s", err.text);
    ck_assert_uint_eq(report.count, 3);
    ck_assert_uint_eq(report.failed, 1);
    ck_assert_str_eq(report.list[1].name, "second sum");
    ck_assert_msg(report.list[1].status == TEST_PASSED, "%s", report.list[1].message);
    ck_assert_ptr_nonnull(strstr(report.list[2].message, "this driver is closed"));
    ck_assert_str_eq(report.list[0].file, test_path);
    test_report_free(&report);
    ck_assert_int_eq(run("second"), 0);
    ck_assert_uint_eq(report.count, 1);
    teardown();
}
END_TEST

START_TEST(bad_files_are_errors)
{
    setup("local x = = 1");
    ck_assert_int_ne(run(NULL), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "shop_test.lua:1:"));
    write_file("shop_test.lua", "error('no')");
    ck_assert_int_ne(run(NULL), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "no"));
    write_file("shop_test.lua", "local t = require 'tidemill.test'");
    ck_assert_int_ne(run(NULL), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "declares no test"));
    write_file("shop_test.lua", "local t = require 'tidemill.test' t.test('a', print) t.test('a', print)");
    ck_assert_int_ne(run(NULL), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "two tests with the name \"a\""));
    ck_assert_uint_eq(report.count, 0);
    teardown();
}
END_TEST

START_TEST(stores_of_windows_are_readable)
{
    expect_pass("local d = t.driver 'pipeline.lua'\n"
                "d:send('clicks', 'a', 1, { at = 1000 })\n"
                "d:send('clicks', 'a', 1, { at = 3000 })\n"
                "d:send('clicks', 'b', 1, { at = 12000 })\n"
                "t.equal(d:store('windows'):get('a', 0), 2)\n"
                "t.equal(d:store('windows'):get('a', 10000), nil)\n"
                "t.equal(d:store('finals'):get('b', 10000), 1)\n"
                "t.equal(d:store('sessions'):get('a', 1000), 2)\n"
                "t.equal(d:store('sessions'):get('a', 1000, 3000), 2)\n"
                "t.equal(d:store('sessions'):get('a', 1000, 2000), nil)\n"
                "t.equal(d:store('sessions'):get('a', 2000), nil)\n"
                "local all, held = {}, 0\n"
                "for key, value in d:store('sessions'):all() do all[#all + 1] = { key, value } end\n"
                "t.equal(all, { { { key = 'a', window_start = 1000, window_end = 3000 }, 2 },\n"
                "  { { key = 'b', window_start = 12000, window_end = 12000 }, 1 } })\n"
                "for key, value in d:store('held'):all() do held = held + 1\n"
                "  t.equal({ key.key, value }, { 'b', 1 }) end\n"
                "t.equal(held, 1)\n"
                "t.equal(d:store('held'):get({ key = 'b', window_start = 12000, window_end = 12000 }), 1)\n");
}
END_TEST

/* Their tasks don't run: the test brings what the source would, and sees what the sink would be given. */
START_TEST(connectors_are_played_by_the_test)
{
    setup("local tm, t = require 'tidemill', require 'tidemill.test'\n"
          "t.test('it', function()\n"
          "  local d = t.driver 'pipeline.lua'\n"
          "  d:send('shop', 'a', { n = 1 }, { topic = 'public.orders', at = 7, headers = { { 'h', 'x' } } })\n"
          "  d:send('shop', 'a', { n = 2 }, { topic = 'public.skipped' })\n"
          "  t.equal(d:records('rows'), { { key = 'a', value = { n = 1, from = 'public.orders' }, timestamp = 7,\n"
          "    headers = { { 'h', 'x' } } } })\n"
          "  t.equal(d:records('rows'), {})\n"
          "  d:restart()\n"
          "  d:send('shop', nil, { n = 3 })\n"
          "  d:send('shop', 'a', { n = 4 })\n"
          "  d:send('shop', 'gone', nil)\n"
          "  t.equal(d:values('rows'), { { n = 3, from = 'shop' }, { n = 4, from = 'shop' }, tm.tombstone })\n"
          "  t.equal(d:values('counts'), { 1, 2 })\n"
          "  t.equal(d:records(), {})\n"
          "  t.throws(function() d:send('shpo', 'a', {}) end, 'It reads \"shop\"')\n"
          "  t.throws(function() d:send('shop', 'a', {}, { tpic = 1 }) end, 'send has no option tpic')\n"
          "  d:send('plain', 'b', 5)\n"
          "  t.equal(d:values('copy'), { 5 })\n"
          "  t.throws(function() d:send('plain', 'a', {}, { topic = 'x' }) end, 'send has no option topic')\n"
          "end)\n");
    write_file("pipeline.lua", "local tm = require 'tidemill'\n"
                               "local app = tm.app 'shop'\n"
                               "local nothing = function() end\n"
                               "local shop = app:source('shop', tm.source { key = tm.string, start = nothing,\n"
                               "  poll = nothing, tasks = 2 })\n"
                               "  :filter(function(key, value, rec) return rec.topic ~= 'public.skipped' end)\n"
                               "shop:map_values(function(key, value, rec)\n"
                               "  if value then value.from = rec.topic end\n"
                               "  return value\n"
                               "end):sink('rows', tm.sink { write = nothing })\n"
                               "shop:filter(function(key, value) return value end)\n"
                               "  :group_by_key():count { store = 'n' }:to 'counts'\n"
                               "app:stream('plain'):to 'copy'\n");
    ck_assert_msg(run(NULL) == 0, "%s", err.text);
    ck_assert_msg(report.count == 1 && report.list[0].status == TEST_PASSED, "%s", report.list[0].message);
    teardown();
}
END_TEST

UNIT_MAIN("test_run", connectors_are_played_by_the_test, stores_of_windows_are_readable, pipelines_run,
          topics_that_nothing_writes_are_errors, codecs_are_the_topics, clock_and_commit, differences_are_shown,
          errors_are_tested, failures_name_the_line, texts_differ_by_a_line, properties_hold_for_all,
          restarts_keep_the_state, lines_that_run_are_counted, values_outlive_their_record, files_report_all_tests,
          bad_files_are_errors)
