#include "tests/support/unit.h"
#include "tests/unit/scripts/fake_worker.h"

static struct fixture fixture;

/* The whole script; the error of loading it contains the part and is one of the topology. */
static void refused(const char *script, const char *part)
{
    fixture_write(&fixture, "pipeline.lua", script);
    if (fixture_load(&fixture) == 0) {
        ck_abort_msg("this was loaded: %s", script);
    }
    if (!strstr(fixture.err.text, part)) {
        ck_abort_msg("expected \"%s\" in: %s", part, fixture.err.text);
    }
    ck_assert_int_eq(fixture.err.class, ERR_FATAL);
    ck_assert_int_eq(err_exit_status(fixture.err.code), 3);
}

START_TEST(scripts_that_do_not_build_are_refused)
{
    fixture_init(&fixture);
    ck_assert_int_eq(fixture_load(&fixture), -1);
    ck_assert_ptr_nonnull(strstr(fixture.err.text, "pipeline.lua can't be opened: No such file"));
    ck_assert_int_eq(err_exit_status(fixture.err.code), 3);
    refused("local x = = 1", "pipeline.lua:1: unexpected symbol near '='");
    refused("\xEF\xBB\xBF#!/usr/bin/tidemill\n\nerror('here')", "pipeline.lua:3: here");
    refused("\x1bLua", "pipeline.lua: attempt to load a binary chunk");
    refused("", "builds no app");
    refused(HEAD, "builds an app without a single stream or table");
    refused("local function f(x)\n  return x.y.z\nend\nlocal v = f({})",
            "pipeline.lua:2: attempt to index a nil value (field 'y') "
            "(called from pipeline.lua:4).");
    refused(HEAD "app:stream('in'):filtr()",
            "pipeline.lua:3: a stream has no method \"filtr\"; did you mean \"filter\"?");
    refused(HEAD "app:stream('in'):peek(5)", "pipeline.lua:3: peek needs a function, got the number 5");
    refused(HEAD "tm.app 'again'", "pipeline.lua:3: tm.app is called twice");
    refused("require('tidemill').app { id = 'a', thread = 3 }", "pipeline.lua:1: tm.app: ");
    ck_assert_ptr_nonnull(strstr(fixture.err.text, "threads"));
    refused("require('tidemill').app { id = 'a', threads = {} }", "the setting threads can't be a table");
    refused("require('tidemill').app {}", "pipeline.lua:1: tm.app");
    refused(HEAD "app:stream('in', { name = 'x' }) app:stream('in2', { name = 'x' })", "Duplicate name");
    refused(HEAD "local x = math.random()", "math.random can't be called while the script is being built");
    refused("error({ message = 'a table' })", "a table");
    fixture_close(&fixture);
}
END_TEST

START_TEST(modules_lie_beside_the_script)
{
    char folder[128];
    fixture_init(&fixture);
    snprintf(folder, sizeof(folder), "%s/lib", fixture.folder);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    fixture_write(&fixture, "lib/util-1.lua",
                  "loads = (loads or 0) + 1\nlocal M = {}\nfunction M.f(s)\n  s:peek(function(k, v) "
                  "local x = v.a.b end)\nend\nreturn M\n");
    fixture_write(&fixture, "plain.lua", "name = ...\n");
    fixture_write(&fixture, "broken.lua", "\n\nlocal = 3");
    fixture_write(&fixture, "failing.lua", "\nerror 'inside'");
    fixture_write(&fixture, "one.lua", "require 'two'");
    fixture_write(&fixture, "two.lua", "require 'one'");
    refused("require 'absent'", "pipeline.lua:1: require 'absent': The file ");
    refused("require 'broken'", "broken.lua:3: ");
    refused("\nrequire 'failing'", "failing.lua:2: inside (called from pipeline.lua:2).");
    refused("require 'one'", "the module 'one' requires itself");
    refused("require '../pipeline'", "is no name of a module");
    refused("require '..pipeline'", "is no name of a module");
    refused("require 'lib.'", "is no name of a module");
    refused("require '/etc/passwd'", "is no name of a module");
    refused("require ''", "is no name of a module");
    refused("require 'os'", "require 'os': The file ");
    refused("require 'tidemill.test'", "only there in files that `tidemill test` runs");
    fixture_write(&fixture, "pipeline.lua",
                  HEAD "local u = require 'lib.util-1'\n"
                       "assert(u == require 'lib.util-1' and loads == 1)\n"
                       "assert(tm == require 'tidemill')\n"
                       "assert(require 'plain' == true and name == 'plain')\n"
                       "u.f(app:stream 'in')\n");
    if (fixture_load(&fixture)) {
        ck_abort_msg("%s", fixture.err.text);
    }
    ck_assert_str_eq(graph_node(fixture.host->graph, 1)->place, "lib/util-1.lua:4");
    fixture_fails(&fixture, "{}", "(lib/util-1.lua:4) in node peek@lib/util-1.lua:4");
    fixture_close(&fixture);
}
END_TEST

START_TEST(settings_come_from_the_script_and_are_overridden)
{
    fixture_init(&fixture);
    fixture_write(
        &fixture, "pipeline.lua",
        "local tm = require 'tidemill'\n"
        "local app = tm.app { id = 'shop', threads = 2, commit_ms = '1s', create_topics = true, state_cache = '1MB',\n"
        "  on_error = 'dead_letter', kafka = { ['socket.timeout.ms'] = 1000 }, commit_min_ms = 5.0 }\n"
        "app:stream('in')\n");
    ck_assert_int_eq(program_override(fixture.program, "threads", "7", &fixture.err), 0);
    ck_assert_int_eq(program_override(fixture.program, "on_error", "skip", &fixture.err), 0);
    ck_assert_int_eq(program_override(fixture.program, "kafka.client.id", "me", &fixture.err), 0);
    ck_assert_int_eq(program_override(fixture.program, "lua-memory", "3MB", &fixture.err), 0);
    ck_assert_int_eq(program_override(fixture.program, "thread", "7", &fixture.err), -1);
    ck_assert_ptr_nonnull(strstr(fixture.err.text, "threads"));
    ck_assert_int_eq(program_override(fixture.program, "threads", "many", &fixture.err), -1);
    ck_assert_int_eq(fixture_load(&fixture), 0);
    const struct app_settings *settings = fixture.program->class->settings(fixture.instance);
    ck_assert_str_eq(settings->id, "shop");
    ck_assert_int_eq(settings->threads, 7);
    ck_assert_int_eq(settings->commit_ms, 1000);
    ck_assert_int_eq(settings->commit_min_ms, 5);
    ck_assert_int_eq(settings->state_cache, 1 << 20);
    ck_assert(settings->create_topics);
    ck_assert_str_eq(settings->dead_letter, "shop-dead-letter");
    ck_assert_int_eq(settings->on_error, POLICY_SKIP);
    ck_assert_int_eq(graph_node(fixture.host->graph, 0)->policy, POLICY_SKIP);
    ck_assert_uint_eq(settings->kafka.count, 2);
    ck_assert_str_eq(settings->kafka.items[0], "socket.timeout.ms=1000");
    ck_assert_str_eq(settings->kafka.items[1], "client.id=me");
    ck_assert_uint_eq(fixture.host->pool.limit, 3 << 20);
    ck_assert_str_eq(graph_app(fixture.program->class->graph(fixture.instance)), "shop");
    fixture_close(&fixture);
}
END_TEST

START_TEST(nodes_are_named_by_the_line_of_their_callback)
{
    fixture_open(&fixture, "local function named(k, v) end\n"
                           "app:stream('in')\n"
                           "  :peek(function() end)\n"
                           "  :peek(named)\n"
                           "  :peek(function() end)\n"
                           "  :to 'out'\n");
    ck_assert_str_eq(graph_node(fixture.host->graph, 0)->name, "source@pipeline.lua:4");
    ck_assert_str_eq(graph_node(fixture.host->graph, 1)->name, "peek@pipeline.lua:5");
    ck_assert_str_eq(graph_node(fixture.host->graph, 2)->name, "peek@pipeline.lua:4");
    ck_assert_str_eq(graph_node(fixture.host->graph, 3)->name, "peek@pipeline.lua:7");
    fixture_close(&fixture);
}
END_TEST

START_TEST(two_loads_build_the_same)
{
    fixture_open(&fixture, "for name, topic in pairs { a = 'x', b = 'y', c = 'z', d = 'w', [1] = 'one', e = 'v' } do\n"
                           "  app:stream(topic):peek(function() end, { name = 'n' .. name })\n"
                           "end\n");
    struct instance *other;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(fixture.program->class->load(fixture.program, &other, &fixture.err), 0);
        if (graph_compare(fixture.host->graph, fixture.program->class->graph(other), &fixture.err)) {
            ck_abort_msg("%s", fixture.err.text);
        }
        fixture.program->class->unload(other);
    }
    fixture_close(&fixture);
}
END_TEST

static int count_fires(struct node *node, void *data, int64_t now)
{
    struct host *host = op_program(node->worker);
    *(int64_t *)data += now;
    if (now == 13) {
        luaL_error(host->L, "unlucky");
    }
    return 0;
}

START_TEST(timers_run_protected)
{
    fixture_open(&fixture, "app:stream('in')\n");
    const struct program_class *class = fixture.program->class;
    struct node *node = graph_node(fixture.host->graph, 0);
    int64_t sum = 0;
    ck_assert_int_eq(class->punctuate(fixture.instance, node, count_fires, &sum, 10, &fixture.err), 0);
    ck_assert_int_eq(class->punctuate(fixture.instance, node, count_fires, &sum, 13, &fixture.err), -1);
    ck_assert_int_eq(sum, 23);
    ck_assert_str_eq(fixture.err.text, "unlucky in node source@pipeline.lua:3, while firing a timer at 13 ms.");
    fixture_close(&fixture);
}
END_TEST

struct values {
    const char *const *list; /* NULL ends it; "timer": a timer fires */
    int done;
    struct record record; /* outlives the round, as the contract asks */
};

static int process_values(void *data, struct err *err)
{
    struct values *values = data;
    const struct program_class *class = fixture.program->class;
    struct node *source = graph_node(fixture.host->graph, 0);
    int64_t sum = 0;
    for (; values->list[values->done]; values->done++) {
        const char *value = values->list[values->done];
        values->record =
            (struct record){.key = slice_text("k"), .value = slice_text(value), .topic = "in", .offset = values->done};
        int result = strcmp(value, "timer") == 0
                         ? class->punctuate(fixture.instance, source, count_fires, &sum, 12 + values->done, err)
                         : class->process(fixture.instance, source, &values->record, err);
        if (result) {
            return -1;
        }
        arena_clear(&fixture.worker.arena);
    }
    return 0;
}

/* How many went through; the error is in fixture.err. */
static int run_values(const char *const *list)
{
    struct values values = {.list = list};
    int result = fixture.program->class->round(fixture.instance, process_values, &values, &fixture.err);
    ck_assert_int_eq(result, list[values.done] ? -1 : 0);
    ck_assert(!fixture.host->entered);
    ck_assert_int_eq(lua_gettop(fixture.host->L), 0);
    return values.done;
}

START_TEST(a_round_is_one_entry)
{
    fixture_open(&fixture, "app:stream('in'):peek(function(k, v)\n"
                           "  if kept then assert(not pcall(function() return kept.a end)) end\n"
                           "  kept = type(v) == 'userdata' and v\n"
                           "  if v == 'three' then error('three') end\n"
                           "end):to('out')\n");
    ck_assert_int_eq(run_values((const char *const[]){"{\"a\":1}", "{\"a\":2}", "timer", "{\"a\":3}", NULL}), 4);
    ck_assert_int_eq(arrived_count, 3);
    ck_assert_int_eq(run_values((const char *const[]){"{}", "1", "\"three\"", "4", NULL}), 2);
    ck_assert_str_eq(fixture.err.text, "three (pipeline.lua:6) in node peek@pipeline.lua:3, while processing topic in "
                                       "partition 0 offset 2.");
    ck_assert_int_eq(run_values((const char *const[]){"1", "\"fenced\"", "1", NULL}), 1);
    ck_assert_int_eq(fixture.err.class, ERR_FENCED);
    ck_assert_int_eq(run_values((const char *const[]){"1", "timer", "1", NULL}), 1);
    ck_assert_str_eq(fixture.err.text, "unlucky in node source@pipeline.lua:3, while firing a timer at 13 ms.");
    ck_assert_int_eq(run_values((const char *const[]){"1", "{", "1", NULL}), 1);
    ck_assert_int_eq(fixture.err.code, ERR_RECORD);
    ck_assert_int_eq(run_values((const char *const[]){NULL}), 0);
    fixture_close(&fixture);
}
END_TEST

static int open_count;

static int counting_open(struct node *node)
{
    struct host *host = op_program(node->worker);
    open_count++;
    ck_assert_ptr_eq(host->arena, op_arena(node->worker));
    ck_assert_ptr_eq(host->node, node);
    if (open_count == 2) {
        return err_set(op_error(node->worker), ERR_RETRY, ERR_IO, "Not now.");
    }
    if (open_count == 3) {
        luaL_error(host->L, "refused to open");
    }
    return 0;
}

START_TEST(nodes_are_opened_flushed_and_closed)
{
    fixture_open(&fixture, "app:stream('in'):peek(function() end):to 'out'\n");
    static struct op opening;
    const struct program_class *class = fixture.program->class;
    struct node *node = graph_node(fixture.host->graph, 1);
    opening = *node->op;
    opening.open = counting_open;
    opening.flush = counting_open;
    node->op = &opening;
    ck_assert_int_eq(class->open(fixture.instance, &node, 1, &fixture.err), 0);
    ck_assert_int_eq(class->flush(fixture.instance, &node, 1, &fixture.err), -1);
    ck_assert_int_eq(fixture.err.class, ERR_RETRY);
    ck_assert_str_eq(fixture.err.text, "Not now.");
    ck_assert_int_eq(class->open(fixture.instance, &node, 1, &fixture.err), -1);
    ck_assert_str_eq(fixture.err.text, "refused to open in node peek@pipeline.lua:3, while opening the operators.");
    closed_count = 0;
    fixture_unload(&fixture);
    ck_assert_int_eq(closed_count, 3);
    fixture_close(&fixture);
}
END_TEST

START_TEST(many_loads_leave_nothing)
{
    fixture_init(&fixture);
    fixture_write(
        &fixture, "pipeline.lua",
        HEAD
        "app:stream('in'):peek(function(k, v) kept = v end, { on_error = function() return 'skip' end }):to 'out'\n"
        "if stop then error 'halfway' end\n");
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(fixture_load(&fixture), 0);
        ck_assert_int_eq(fixture_send(&fixture, "{\"a\":[1,2,3]}"), 0);
        fixture_unload(&fixture);
    }
    fixture_write(&fixture, "pipeline.lua", HEAD "app:stream('in'):peek(function() end) error 'halfway'\n");
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(fixture_load(&fixture), -1);
    }
    fixture_close(&fixture);
}
END_TEST

UNIT_MAIN("program", scripts_that_do_not_build_are_refused, modules_lie_beside_the_script,
          settings_come_from_the_script_and_are_overridden, nodes_are_named_by_the_line_of_their_callback,
          two_loads_build_the_same, timers_run_protected, a_round_is_one_entry, nodes_are_opened_flushed_and_closed,
          many_loads_leave_nothing)
