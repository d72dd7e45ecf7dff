#include "engine/connector.h"

static const struct connector_table fake_connectors;
#define PIPELINE_CONNECTORS (&fake_connectors)

#include "support.h"

#include <stddef.h>

/* ---- a connector that only has options ---- */

struct fake_options {
    char *url;
    struct option_list tables;
    int64_t size;
};

static const struct option options_list[] = {
    {.name = "url", .type = OPTION_TEXT, .offset = offsetof(struct fake_options, url), .text = "Where."},
    {.name = "tables", .type = OPTION_LIST, .offset = offsetof(struct fake_options, tables), .text = "Which."},
    {.name = "size", .type = OPTION_INTEGER, .offset = offsetof(struct fake_options, size), .high = 10, .text = "S."},
};
static const struct option_table fake_table = {"fake", options_list, 3};

static int validate(const void *options, struct err *err)
{
    const struct fake_options *fake = options;
    return fake->url ? 0 : err_set(err, ERR_FATAL, ERR_CONFIG, "It needs a url.");
}

static int32_t tasks(const void *options)
{
    const struct fake_options *fake = options;
    return (int32_t)fake->tables.count;
}

static const struct source_class fake_source = {.options = &fake_table,
                                                .options_size = sizeof(struct fake_options),
                                                .key_codec = "json",
                                                .value_codec = "json",
                                                .validate = validate,
                                                .tasks = tasks};
static const struct sink_class fake_sink = {
    .options = &fake_table, .options_size = sizeof(struct fake_options), .tasks = 2, .validate = validate};

static int other_topic(struct connector_task *task, char topic[CONNECTOR_TOPIC_SIZE], struct err *err)
{
    (void)task, (void)topic, (void)err;
    return 0;
}

/* One whose target knows the topic of its position. */
static const struct sink_class fake_direct = {.options = &fake_table,
                                              .options_size = sizeof(struct fake_options),
                                              .validate = validate,
                                              .other_topic = other_topic};
static const struct connector both = {.kind = "both", .text = "B.", .source = &fake_source, .sink = &fake_sink};
static const struct connector reads = {.kind = "reads", .text = "R.", .source = &fake_source};
static const struct connector direct = {.kind = "direct", .text = "D.", .sink = &fake_direct};
static const struct connector *const fake_list[] = {&both, &reads, &direct};
static const struct connector_table fake_connectors = {fake_list, 3};

/* ---- scripts ---- */

static const struct graph_topic *topic_of(struct pipeline *p, const char *name)
{
    struct graph *graph = driver_graph(p->driver);
    for (int i = 0; i < graph_topic_count(graph); i++) {
        if (strcmp(graph_topic(graph, i)->name, name) == 0) {
            return graph_topic(graph, i);
        }
    }
    ck_abort_msg("there is no topic %s", name);
    return NULL;
}

START_TEST(a_source_has_a_positions_topic_with_a_partition_per_task)
{
    struct pipeline p;
    pipeline_open(&p, "app:source('shop', tm.connect.both { url = 'here', tables = { 'a', 'b', 'c' }, size = 7 })"
                      ":to('out')\n");
    const struct graph_topic *topic = topic_of(&p, "test-shop-positions");
    ck_assert_int_eq(topic->role, TOPIC_POSITIONS);
    ck_assert_int_eq(topic->partitions, 3);
    const struct connector_use *use = topic->node->connector;
    const struct fake_options *options = use->options;
    ck_assert_str_eq(use->name, "shop");
    ck_assert_str_eq(use->topic, "test-shop-positions");
    ck_assert(!use->sink);
    ck_assert_str_eq(options->tables.items[2], "c");
    ck_assert_int_eq(options->size, 7);
    pipeline_close(&p);
}
END_TEST

START_TEST(a_sink_reads_a_topic_of_its_own)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in'):sink('out', tm.connect.both { url = 'there', batch = 5, retry_ms = '2s' })\n");
    struct graph *graph = driver_graph(p.driver);
    const struct connector_use *use = graph_find(graph, "out")->connector;
    ck_assert(use->sink);
    ck_assert(!use->json_keys);
    ck_assert_str_eq(use->topic, "test-out-sink");
    ck_assert_int_eq(use->runner.batch, 5);
    ck_assert_int_eq(use->runner.retry_ms, 2000);
    ck_assert_int_eq(topic_of(&p, "test-out-sink")->partitions, 2);
    ck_assert_int_eq(graph_subtopology_count(graph), 2);
    pipeline_send(&p, "in", "a", "{}", 1); /* nobody writes in a test: it stays in the topic */
    pipeline_close(&p);
}
END_TEST

/* What the sink "x" of the script reads. */
static void expect_read(const char *script, const char *topic)
{
    struct pipeline p;
    pipeline_open(&p, script);
    const struct connector_use *use = graph_find(driver_graph(p.driver), "x")->connector;
    ck_assert_msg(strcmp(use->topic, topic) == 0, "%s reads %s", script, use->topic);
    ck_assert_str_eq(use->through, "test-x-sink");
    ck_assert_int_eq(connector_use_direct(use), strcmp(topic, "test-x-sink") != 0);
    pipeline_close(&p);
}

#define SINK(name) ":sink('" name "', tm.connect.direct { url = 'u' })\n"
#define KEEP "(function() return true end)"

START_TEST(behind_stateless_operators_alone_a_sink_reads_the_topic_itself)
{
    expect_read("app:stream('in')" SINK("x"), "in");
    expect_read("app:stream('in', { key = tm.int64, timestamp = function() return 1 end })" SINK("x"), "in");
    expect_read("app:stream('in'):filter" KEEP ":filter_not" KEEP ":map_values(print):map(print):flat_map(print)"
                ":flat_map_values(print):select_key(print):peek(print):unwrap()" SINK("x"),
                "in");
    expect_read("local a, b = app:stream('in'):branch(" KEEP ", " KEEP ")\n a:map_values(print):merge(b)" SINK("x"),
                "in");
    expect_read("local a, b = app:stream('in'):branch(" KEEP ", " KEEP ")\n a" SINK("x"), "in");
    expect_read("app:stream('in'):through('t')" SINK("x"), "t");
    expect_read("app:stream('in'):repartition { name = 'r' }" SINK("x"), "test-r-repartition");
    expect_read("app:stream('in')" SINK("x") "app:stream('other')" SINK("y"), "in");
    expect_read("app:stream('in')" SINK("x") "app:stream('other'):to('out')\n", "in");
    expect_read("app:stream('in'):to('out')\n app:stream('out')" SINK("x"), "out");
}
END_TEST

START_TEST(behind_anything_else_a_topic_is_put_in_between)
{
    expect_read("local s = app:stream('in')\n s" SINK("x") "s:to('out')\n", "test-x-sink");
    expect_read("local s = app:stream('in')\n s:filter" KEEP ":foreach(print)\n s" SINK("x"), "test-x-sink");
    expect_read("local s = app:stream('in')\n s" SINK("x") "s" SINK("y"), "test-x-sink");
    expect_read("app:stream('in')" SINK("x") "app:stream('in'):to('out')\n", "test-x-sink");
    expect_read("app:stream('in')" SINK("x") "app:stream('^i'):to('out')\n", "test-x-sink");
    expect_read("app:stream('in')" SINK("x") "app:table('in', { store = 's' })\n", "test-x-sink");
    expect_read("app:stream('^in')" SINK("x"), "test-x-sink");
    expect_read("app:stream { 'in', 'other' }" SINK("x"), "test-x-sink");
    expect_read("app:stream('in'):merge(app:stream('other'))" SINK("x"), "test-x-sink");
    expect_read("app:table('in', { store = 's' })" SINK("x"), "test-x-sink");
    expect_read("app:stream('in'):group_by_key():count { store = 'n' }:to_stream()" SINK("x"), "test-x-sink");
    expect_read("app:stream('in'):process { process = print }" SINK("x"), "test-x-sink");
    expect_read("app:stream('in'):join(app:global_table('g', { store = 'g' }), print, { on = print })" SINK("x"),
                "test-x-sink");
    expect_read("app:source('s', tm.connect.both { url = 'u', tables = { 'a' } })" SINK("x"), "test-x-sink");
    expect_read("app:stream('in'):sink('x', tm.connect.direct { url = 'u', tasks = 3 })\n", "test-x-sink");
    expect_read("app:stream('in'):sink('x', tm.connect.both { url = 'u' })\n", "test-x-sink");
}
END_TEST

START_TEST(keys_that_are_no_text_are_json)
{
    struct pipeline p;
    pipeline_open(&p, "app:stream('in', { key = tm.int64 }):sink('a', tm.connect.both { url = 'x', tasks = 4 })\n"
                      "app:table('t', { store = 's' }):sink('b', tm.connect.both { url = 'x' })\n");
    struct graph *graph = driver_graph(p.driver);
    ck_assert(graph_find(graph, "a")->connector->json_keys);
    ck_assert(!graph_find(graph, "b")->connector->json_keys);
    ck_assert_int_eq(topic_of(&p, "test-a-sink")->partitions, 4);
    pipeline_close(&p);
}
END_TEST

START_TEST(what_a_source_brings_is_placed_by_key_before_it_is_grouped)
{
    struct pipeline p;
    pipeline_open(&p, "app:source('shop', tm.connect.both { url = 'here', tables = { 'a' } })"
                      ":group_by_key():count { store = 'n' }:to('out')\n");
    ck_assert_int_eq(topic_of(&p, "test-n-repartition")->role, TOPIC_REPARTITION);
    pipeline_close(&p);
}
END_TEST

START_TEST(mistakes_are_named)
{
    static const char *const cases[][2] = {
        {"app:source('s', tm.connect.bth { url = 'x' })", "did you mean \"both\"?"},
        {"app:source('s', tm.connect.both { url = 'x', tabels = { 'a' } })", "tables"},
        {"app:source('s', tm.connect.both { url = 'x', size = 11 })", "size"},
        {"app:source('s', tm.connect.both {})", "tm.connect.both: It needs a url."},
        {"app:source('s', tm.connect.both 'x')", "takes its options as a table"},
        {"app:source('s', { url = 'x' })", "the second argument is a connector"},
        {"app:source(tm.connect.both { url = 'x' })", "needs a name"},
        {"app:source('s p', tm.connect.both { url = 'x' })", "not usable"},
        {"app:stream('in'):sink('s', tm.connect.reads { url = 'x' })", "reads is no sink"},
        {"app:stream('in'):sink('s', tm.connect.both { url = 'x', retry = 1 })", "no option retry"},
        {"local c = tm.connect.both { url = 'x', tables = { 'a' } } app:source('s', c) app:source('s', c)",
         "made twice"},
        {"tm.connect.mine = 1", "can't be changed"},
        {"app:stream('in'):unwrap(1)", "takes its options as a table"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pipeline_refused(cases[i][0], cases[i][1]);
    }
}
END_TEST

UNIT_MAIN("connector", behind_stateless_operators_alone_a_sink_reads_the_topic_itself,
          behind_anything_else_a_topic_is_put_in_between, a_source_has_a_positions_topic_with_a_partition_per_task,
          a_sink_reads_a_topic_of_its_own, keys_that_are_no_text_are_json,
          what_a_source_brings_is_placed_by_key_before_it_is_grouped, mistakes_are_named)
