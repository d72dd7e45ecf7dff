#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/connector.h"
#include "operators/all.h"
#include "scripts/program.h"
#include "tests/support/unit.h"

#define HEAD "local tm = require 'tidemill'\nlocal app = tm.app 'test'\n"
#define SOURCE(functions) HEAD "app:source('in', tm.source {" functions "}):to 'out'\n"
#define SINK(functions) HEAD "app:stream('in'):sink('out', tm.sink {" functions "})\n"

/* A script, and a task of the connector that it builds first. */
static struct {
    char path[64];
    struct program *program;
    struct instance *instance;
    const struct connector_use *use;
    struct connector_context context;
    struct connector_task *task;
    struct err err;
} scene;

static void close_scene(void)
{
    if (scene.task && scene.use->sink) {
        scene.use->connector->sink->close(scene.task);
    } else if (scene.task) {
        scene.use->connector->source->close(scene.task);
    }
    if (scene.instance) {
        scene.program->class->unload(scene.instance);
    }
    program_close(scene.program);
    unlink(scene.path);
}

static int load(const char *script)
{
    log_configure(LOG_ERROR, false);
    memset(&scene, 0, sizeof(scene));
    snprintf(scene.path, sizeof(scene.path), "/tmp/connector-XXXXXX.lua");
    int file = mkstemps(scene.path, 4);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, script, strlen(script)), (ssize_t)strlen(script));
    close(file);
    ck_assert_int_eq(program_open(scene.path, &operators_all, NULL, &scene.program, &scene.err), 0);
    return scene.program->class->load(scene.program, &scene.instance, &scene.err);
}

static void build(const char *script)
{
    if (load(script)) {
        ck_abort_msg("%s", scene.err.text);
    }
    struct graph *graph = scene.program->class->graph(scene.instance);
    for (int id = 0; id < graph_node_count(graph) && !scene.use; id++) {
        scene.use = graph_node(graph, id)->connector;
    }
    ck_assert_ptr_nonnull(scene.use);
    scene.context = (struct connector_context){.app = "test",
                                               .name = scene.use->name,
                                               .topic = scene.use->sink ? scene.use->topic : NULL,
                                               .task = 1,
                                               .tasks = 3,
                                               .json_keys = scene.use->json_keys,
                                               .options = scene.use->options};
}

static void refused(const char *script, const char *part)
{
    if (load(script) == 0) {
        ck_abort_msg("this was loaded: %s", script);
    }
    if (!strstr(scene.err.text, part)) {
        ck_abort_msg("expected \"%s\" in: %s", part, scene.err.text);
    }
    close_scene();
}

static void failed(int result, enum err_class class, const char *part)
{
    ck_assert_int_eq(result, -1);
    if (scene.err.class != class || !strstr(scene.err.text, part)) {
        ck_abort_msg("expected class %d and \"%s\", got class %d: %s", (int)class, part, (int)scene.err.class,
                     scene.err.text);
    }
}

static int open_source(const char *position)
{
    return scene.use->connector->source->open(&scene.context, slice_text(position), &scene.task, &scene.err);
}

static int poll_source(struct source_batch *batch)
{
    *batch = (struct source_batch){0};
    return scene.use->connector->source->poll(scene.task, 1000, batch, &scene.err);
}

static void expect_slice(struct slice slice, const char *text)
{
    if (!text) {
        ck_assert(slice_is_null(slice));
        return;
    }
    ck_assert_int_eq((int)slice.size, (int)strlen(text));
    ck_assert_int_eq(memcmp(slice.data, text, slice.size), 0);
}

/* ---- building ---- */

START_TEST(what_makes_no_sense_is_refused_by_name)
{
    refused(HEAD "tm.source(5)", "tm.source takes its functions in a table, got the number 5");
    refused(HEAD "tm.source {}", "tm.source needs a function as start, got nothing");
    refused(HEAD "tm.source { start = print }", "tm.source needs a function as poll, got nothing");
    refused(HEAD "tm.source { start = print, pol = print }", "has no option \"pol\"; did you mean \"poll\"?");
    refused(HEAD "tm.source { start = print, poll = print, ack = 1 }", "tm.source needs a function as ack");
    refused(HEAD "tm.sink { position = print }", "tm.sink needs a function as write");
    refused(HEAD "tm.sink { write = print, poll_ms = 1 }", "tm.sink has no option \"poll_ms\"");
    refused(SOURCE("start = print, poll = print, poll_ms = 'soon'"), "tm.source: ");
    refused(SOURCE("start = print, poll = print, tasks = 0"), "tm.source: ");
    refused(HEAD "app:source('in', tm.sink { write = print })", "app:source: tm.sink is no source");
    refused(HEAD "app:stream('in'):sink('out', tm.source { start = print, poll = print })",
            "sink: tm.source is no sink");
    refused(HEAD "tm.connect.lua {}", "there is no connector \"lua\"");
}
END_TEST

START_TEST(tasks_are_counted_by_option)
{
    build(SOURCE("start = print, poll = print, tasks = 4, retry_ms = '2s'"));
    ck_assert_int_eq(scene.use->connector->source->tasks(scene.use->options), 4);
    ck_assert_int_eq(scene.use->runner.retry_ms, 2000);
    close_scene();
    build(SINK("write = print, tasks = 5, batch = 7"));
    ck_assert_int_eq(scene.use->runner.tasks, 5);
    ck_assert_int_eq(scene.use->runner.batch, 7);
    close_scene();
}
END_TEST

/* ---- sources ---- */

START_TEST(a_source_hands_out_what_poll_gives)
{
    struct source_batch batch;
    build(SOURCE("key = tm.string,"
                 "start = function(self, position, about)\n"
                 "  self.at, self.about = position.at, about\n"
                 "end,\n"
                 "poll = function(self)\n"
                 "  return {\n"
                 "    { key = 'a', value = { n = self.at, name = self.about.name, task = self.about.task } },\n"
                 "    { value = { 1, tm.null }, timestamp = 17, headers = { { 'h', 'x' } }, topic = 'file' },\n"
                 "    { key = 'gone', value = tm.tombstone },\n"
                 "  }, { at = self.at + 3 }\n"
                 "end"));
    ck_assert_int_eq(open_source("{\"at\":39}"), 0);
    ck_assert_int_eq(poll_source(&batch), 0);
    ck_assert_uint_eq(batch.count, 3);
    ck_assert(!batch.at_end);
    expect_slice(batch.position, "{\"at\":42}");
    expect_slice(batch.records[0].key, "a");
    ck_assert_ptr_nonnull(strstr((const char *)batch.records[0].value.data, "\"n\":39"));
    ck_assert_ptr_nonnull(strstr((const char *)batch.records[0].value.data, "\"task\":1"));
    ck_assert_int_eq(batch.records[0].timestamp, -1);
    ck_assert_ptr_null(batch.records[0].topic);
    expect_slice(batch.records[1].key, NULL);
    expect_slice(batch.records[1].value, "[1,null]");
    ck_assert_int_eq(batch.records[1].timestamp, 17);
    ck_assert_str_eq(batch.records[1].topic, "file");
    ck_assert_uint_eq(batch.records[1].headers.count, 1);
    expect_slice(batch.records[1].headers.list[0].value, "x");
    expect_slice(batch.records[2].value, NULL);
    close_scene();
}
END_TEST

START_TEST(nothing_an_empty_list_and_a_position_alone_differ)
{
    struct source_batch batch;
    build(SOURCE("poll_ms = 1, start = function(self, position) assert(position == nil) self.n = 0 end,\n"
                 "poll = function(self)\n"
                 "  self.n = self.n + 1\n"
                 "  if self.n == 1 then return end\n"
                 "  if self.n == 2 then return nil, 'here' end\n"
                 "  return {}\n"
                 "end"));
    ck_assert_int_eq(scene.use->connector->source->open(&scene.context, SLICE_NULL, &scene.task, &scene.err), 0);
    ck_assert_int_eq(poll_source(&batch), 0);
    ck_assert(batch.count == 0 && slice_is_null(batch.position) && !batch.at_end);
    ck_assert_int_eq(poll_source(&batch), 0);
    ck_assert(batch.count == 0 && !batch.at_end);
    expect_slice(batch.position, "\"here\"");
    ck_assert_int_eq(poll_source(&batch), 0);
    ck_assert(batch.count == 0 && slice_is_null(batch.position) && batch.at_end);
    close_scene();
}
END_TEST

START_TEST(a_committed_position_is_acknowledged)
{
    struct source_batch batch;
    build(SOURCE("start = function(self) end, ack = function(self, position) self.acked = position[1] end,\n"
                 "poll = function(self) return { { value = self.acked } } end"));
    ck_assert_int_eq(open_source("[0]"), 0);
    ck_assert_int_eq(scene.use->connector->source->acknowledge(scene.task, slice_text("[5]"), &scene.err), 0);
    ck_assert_int_eq(poll_source(&batch), 0);
    expect_slice(batch.records[0].value, "5");
    close_scene();
}
END_TEST

static void poll_fails(const char *body, enum err_class class, const char *part)
{
    struct source_batch batch;
    char script[2048];
    snprintf(script, sizeof(script), SOURCE("start = function() end, poll = function(self) %s end"), body);
    build(script);
    ck_assert_int_eq(program_override(scene.program, "callback_ms", "1h", &scene.err), 0);
    ck_assert_int_eq(open_source("1"), 0);
    failed(poll_source(&batch), class, part);
    close_scene();
}

START_TEST(what_poll_raises_says_what_becomes_of_it)
{
    poll_fails("error 'the server is away'", ERR_RETRY, "The function poll of the script says: connector-");
    poll_fails("error 'the server is away'", ERR_RETRY, ".lua:3: the server is away.");
    poll_fails("error { message = 'away.' }", ERR_RETRY, "says: away.");
    poll_fails("local x = self.a.b", ERR_RETRY, "attempt to index a nil value");
    poll_fails("error { fatal = 'the table is gone' }", ERR_FATAL, "says: the table is gone.");
    poll_fails("error { fenced = 'other' }", ERR_FATAL, "error takes a text, { fatal = text }.");
    poll_fails("error { bad = 1 }", ERR_FATAL, "error takes a text, { fatal = text }.");
    poll_fails("error(nil)", ERR_RETRY, "says: nil");
    poll_fails("app:stream 'late'", ERR_RETRY, "can't be called inside a callback");
}
END_TEST

START_TEST(what_poll_gives_has_a_form)
{
    poll_fails("return 5", ERR_FATAL, "poll gives a list of records and a position, and this is a number");
    poll_fails("return { value = 1 }", ERR_FATAL, "this table is none");
    poll_fails("return { 5 }", ERR_FATAL, "record 1 of what poll gave is a number and no table");
    poll_fails("return { { value = 1 }, { valeu = 1 } }", ERR_FATAL,
               "record 2 of what poll gave has the field "
               "\"valeu\"");
    poll_fails("return { { value = 1, timestamp = 'now' } }", ERR_FATAL, "has a timestamp that is not a whole number");
    poll_fails("return { { value = 1, topic = {} } }", ERR_FATAL, "has a topic that is no string");
    poll_fails("return { { value = print } }", ERR_FATAL, "function");
    poll_fails("return { { value = 1 } }, print", ERR_FATAL, "function");
    poll_fails("return { { value = 1 } }, ('x'):rep(70000)", ERR_FATAL, "has 70002 bytes as JSON, and at most 65536");
    poll_fails("local l = {} for i = 1, 100001 do l[i] = { value = 1 } end return l", ERR_FATAL,
               "more than 100000 records");
    poll_fails("local v, l = ('x'):rep(1 << 20), {} for i = 1, 65 do l[i] = { value = v } end return l", ERR_FATAL,
               "more than 67108864 bytes");
}
END_TEST

START_TEST(a_function_that_does_not_end_is_ended_and_tried_again)
{
    struct source_batch batch;
#if defined(__SANITIZE_THREAD__)
    return; /* signals wait for the next call of the C library there */
#endif
    build(HEAD "app:source('in', tm.source { start = function() end, poll = function(self)\n"
               "  pcall(function() while true do end end)\n"
               "end }):to 'out'\n");
    ck_assert_int_eq(program_override(scene.program, "callback_ms", "100ms", &scene.err), 0);
    ck_assert_int_eq(open_source("1"), 0);
    failed(poll_source(&batch), ERR_RETRY, "callback runs longer than 100 ms");
    close_scene();
}
END_TEST

START_TEST(functions_may_use_files_and_the_script_may_not)
{
    struct source_batch batch;
    build(HEAD "assert(io == nil and os == nil)\n"
               "local opened = 0\n"
               "app:source('in', tm.source { start = function() opened = opened + 1 end, poll = function(self)\n"
               "  assert(not os.exit and not os.execute and not os.getenv and not io.read and not io.output)\n"
               "  assert(os.time() > 0 and io.open('/proc/self/stat'):read 'a' ~= '')\n"
               "  return { { value = opened } }\n"
               "end }):to 'out'\n");
    for (int i = 0; i < 2; i++) { /* each task has upvalues of its own */
        ck_assert_int_eq(open_source("1"), 0);
        ck_assert_int_eq(poll_source(&batch), 0);
        expect_slice(batch.records[0].value, "1");
        scene.use->connector->source->close(scene.task);
        scene.task = NULL;
    }
    close_scene();
}
END_TEST

START_TEST(a_start_that_fails_leaves_nothing_open)
{
    build(SOURCE("start = function(self, position) error { fatal = 'no such queue' } end, poll = print"));
    failed(open_source("1"), ERR_FATAL, "The function start of the script says: no such queue.");
    close_scene();
    build(HEAD "n = (n or 0)\n"
               "app:source('in', tm.source { start = print, poll = print }):to 'out'\n");
    FILE *file = fopen(scene.path, "w");
    fputs(HEAD "app:stream('in'):to 'out'\n", file);
    fclose(file);
    failed(open_source("1"), ERR_FATAL, "has built something else than before");
    close_scene();
}
END_TEST

/* ---- sinks ---- */

static int open_sink(void)
{
    return scene.use->connector->sink->open(&scene.context, &scene.task, &scene.err);
}

static int write_sink(const struct sink_batch *batch, size_t *bad)
{
    return scene.use->connector->sink->write(scene.task, batch, bad, &scene.err);
}

static const struct header header = {{(const unsigned char *)"h", 1}, {NULL, 0}};

/* Three records, the last one a tombstone; *records lives until the next call. */
static struct sink_batch three_records(void)
{
    static struct record records[3];
    records[0] = (struct record){.key = slice_text("a"), .value = slice_text("{\"n\":1}"), .offset = 7, .timestamp = 9};
    records[1] = (struct record){.value = slice_text("[2,null]"), .offset = 8, .headers = {&header, 1}};
    records[2] = (struct record){.key = slice_text("c"), .offset = 9};
    return (struct sink_batch){records, 3, CONNECTOR_NO_OFFSET, 10};
}

START_TEST(a_sink_is_given_records_and_positions)
{
    size_t bad;
    int64_t next = CONNECTOR_NO_OFFSET;
    build(SINK("start = function(self, about)\n"
               "  assert(about.topic == 'test-out-sink' and about.task == 1 and about.app == 'test')\n"
               "  self.next = nil\n"
               "end,\n"
               "position = function(self, about) return self.next end,\n"
               "write = function(self, records, from, to)\n"
               "  if #records == 0 then assert(from == 10 and to == 11) self.next = to return end\n"
               "  assert(from == nil and to == 10 and #records == 3)\n"
               "  local one, two, three = records[1], records[2], records[3]\n"
               "  assert(one.key == 'a' and one.value.n == 1 and one.timestamp == 9 and one.offset == 7)\n"
               "  assert(#one.headers == 0 and two.key == nil and #two.value == 2 and two.value[2] == tm.null)\n"
               "  assert(two.headers[1][1] == 'h' and two.headers[1][2] == tm.null)\n"
               "  assert(three.key == 'c' and three.value == nil)\n"
               "  self.next = to\n"
               "end"));
    ck_assert_int_eq(open_sink(), 0);
    const struct sink_class *class = scene.use->connector->sink;
    ck_assert_int_eq(class->position(scene.task, &next, &scene.err), 0);
    ck_assert_int_eq(next, CONNECTOR_NO_OFFSET);
    struct sink_batch batch = three_records();
    if (write_sink(&batch, &bad)) {
        ck_abort_msg("%s", scene.err.text);
    }
    ck_assert_int_eq(class->position(scene.task, &next, &scene.err), 0);
    ck_assert_int_eq(next, 10);
    batch = (struct sink_batch){NULL, 0, 10, 11};
    ck_assert_int_eq(write_sink(&batch, &bad), 0);
    ck_assert_int_eq(class->position(scene.task, &next, &scene.err), 0);
    ck_assert_int_eq(next, 11);
    close_scene();
}
END_TEST

START_TEST(a_sink_without_position_keeps_that_of_the_runner)
{
    size_t bad;
    int64_t next = 50;
    build(SINK("write = function(self, records) assert(#records > 0) end"));
    ck_assert_int_eq(open_sink(), 0);
    ck_assert_int_eq(scene.use->connector->sink->position(scene.task, &next, &scene.err), 0);
    ck_assert_int_eq(next, 50);
    struct sink_batch batch = {NULL, 0, 50, 51};
    ck_assert_int_eq(write_sink(&batch, &bad), 0);
    close_scene();
}
END_TEST

static void write_fails(const char *body, enum err_class class, size_t expected, const char *part)
{
    char script[1024];
    size_t bad = 77;
    snprintf(script, sizeof(script), SINK("write = function(self, records, from, to) %s end"), body);
    build(script);
    ck_assert_int_eq(open_sink(), 0);
    struct sink_batch batch = three_records();
    failed(write_sink(&batch, &bad), class, part);
    ck_assert_uint_eq(bad, expected);
    close_scene();
}

START_TEST(what_write_raises_says_what_becomes_of_it)
{
    write_fails("error 'away'", ERR_RETRY, SINK_BAD_UNKNOWN, "The function write of the script says: ");
    write_fails("error { fatal = 'gone' }", ERR_FATAL, SINK_BAD_UNKNOWN, "says: gone.");
    write_fails("error { fenced = 'position is 12' }", ERR_FENCED, SINK_BAD_UNKNOWN, "says: position is 12.");
    write_fails("error { bad = 2, reason = 'too long' }", ERR_SKIP, 1, "too long");
    write_fails("error { bad = true, reason = 'too long' }", ERR_SKIP, SINK_BAD_UNKNOWN, "too long");
    write_fails("error { bad = 3 }", ERR_SKIP, 2, "The sink refuses the record.");
    write_fails("error { wrong = 1 }", ERR_FATAL, SINK_BAD_UNKNOWN, "{ bad = number, reason = text }");
}
END_TEST

START_TEST(views_kept_from_an_earlier_batch_say_so)
{
    size_t bad;
    build(SINK("write = function(self, records) if self.kept then return self.kept.n end self.kept = records[1].value "
               "end"));
    ck_assert_int_eq(open_sink(), 0);
    struct sink_batch batch = three_records();
    ck_assert_int_eq(write_sink(&batch, &bad), 0);
    failed(write_sink(&batch, &bad), ERR_RETRY, "tm.copy");
    close_scene();
}
END_TEST

START_TEST(a_value_that_is_no_json_is_refused)
{
    size_t bad;
    build(SINK("write = function(self, records) end"));
    ck_assert_int_eq(open_sink(), 0);
    struct record record = {.value = slice_text("{"), .offset = 1};
    struct sink_batch batch = {&record, 1, CONNECTOR_NO_OFFSET, 2};
    failed(write_sink(&batch, &bad), ERR_SKIP, "not JSON");
    ck_assert_uint_eq(bad, 0);
    close_scene();
}
END_TEST

START_TEST(a_position_is_a_whole_number)
{
    int64_t next = CONNECTOR_NO_OFFSET;
    build(SINK("position = function() return 'x' end, write = print"));
    ck_assert_int_eq(open_sink(), 0);
    failed(scene.use->connector->sink->position(scene.task, &next, &scene.err), ERR_FATAL,
           "position gives the offset of the next record");
    close_scene();
}
END_TEST

UNIT_MAIN("lua_connector", what_makes_no_sense_is_refused_by_name, tasks_are_counted_by_option,
          a_source_hands_out_what_poll_gives, nothing_an_empty_list_and_a_position_alone_differ,
          a_committed_position_is_acknowledged, what_poll_raises_says_what_becomes_of_it, what_poll_gives_has_a_form,
          a_function_that_does_not_end_is_ended_and_tried_again, functions_may_use_files_and_the_script_may_not,
          a_start_that_fails_leaves_nothing_open, a_sink_is_given_records_and_positions,
          a_sink_without_position_keeps_that_of_the_runner, what_write_raises_says_what_becomes_of_it,
          views_kept_from_an_earlier_batch_say_so, a_value_that_is_no_json_is_refused, a_position_is_a_whole_number)
