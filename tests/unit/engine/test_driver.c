#include "engine/driver.h"

#include "base/arena.h"
#include "base/log.h"
#include "store/store_driver.h"
#include "tests/support/fake_program.h"
#include "tests/unit/engine/build.h"

static struct err err;

/* ---- a pipeline with a repartition topic and a timer ---- */

static int forward_to(struct node *node, struct item *item, const char *topic)
{
    struct output *output = op_output(node->worker, topic);
    struct record record = {.key = item->key.bytes,
                            .value = item->value.bytes,
                            .headers = *item->headers,
                            .timestamp = item->timestamp,
                            .offset = -1};
    return output == NULL ? -1 : op_produce(node->worker, output, -1, &record);
}

static int echo(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return forward_to(node, item, "echo");
}

static int repartition(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return forward_to(node, item, "app-by-key-repartition");
}

static int loop(struct node *node, int parent, struct item *item)
{
    (void)parent;
    return forward_to(node, item, "loop");
}

static int tick(struct node *node, void *data, int64_t now)
{
    char text[32];
    struct headers none = {NULL, 0};
    (void)data;
    snprintf(text, sizeof text, "%lld", (long long)now);
    struct item item = {.value = {NULL, slice_text(text), 0, false}, .headers = &none, .timestamp = now};
    return forward_to(node, &item, "ticks");
}

static int start_ticking(struct node *node)
{
    op_every(node, TIME_WALL, 1000, tick, NULL);
    return 0;
}

static const struct op echo_op = {.kind = "echo", .process = echo};
static const struct op repartition_op = {.kind = "repartition", .process = repartition};
static const struct op loop_op = {.kind = "loop", .process = loop};
static const struct op tick_op = {.kind = "tick", .open = start_ticking, .process = fake_pass};

static struct node *add(struct graph *graph, const struct op *op, enum node_role role, const char *place,
                        struct node *parent)
{
    struct node *node = graph_add(graph, op, role, NULL, place, &parent, parent != NULL ? 1 : 0, &err);
    ck_assert_msg(node != NULL, "%s", err.text);
    return node;
}

static void use(struct graph *graph, struct node *node, const char *topic, enum topic_role role)
{
    ck_assert_msg(graph_add_topic(graph, node, topic, role, topic[0] == '^', 0, NULL, &err) == 0, "%s", err.text);
}

static struct graph *build_two_parts(void)
{
    struct graph *graph = graph_new("app");
    struct node *in = add(graph, &fake_source_op, NODE_SOURCE, "p:1", NULL);
    use(graph, in, "in", TOPIC_INPUT);
    use(graph, in, "^in-.*", TOPIC_INPUT);
    struct node *ticks = add(graph, &tick_op, NODE_OPERATOR, "p:2", in);
    use(graph, add(graph, &repartition_op, NODE_SINK, "p:3", ticks), "app-by-key-repartition", TOPIC_REPARTITION);
    use(graph, add(graph, &echo_op, NODE_SINK, "p:4", ticks), "echo", TOPIC_OUTPUT);
    struct node *behind = add(graph, &fake_source_op, NODE_SOURCE, "p:5", NULL);
    use(graph, behind, "app-by-key-repartition", TOPIC_REPARTITION);
    struct node *count = add(graph, &fake_count_op, NODE_OPERATOR, "p:6", behind);
    struct store_spec spec = {.name = "counts", .changelog = true};
    ck_assert_int_eq(graph_add_store(graph, count, &spec, &err), 0);
    use(graph, add(graph, &fake_sink_op, NODE_SINK, "p:7", count), "out", TOPIC_OUTPUT);
    return graph;
}

static struct graph *build_loop(void)
{
    struct graph *graph = graph_new("app");
    struct node *in = add(graph, &fake_source_op, NODE_SOURCE, "p:1", NULL);
    use(graph, in, "loop", TOPIC_INPUT);
    use(graph, add(graph, &loop_op, NODE_SINK, "p:2", in), "loop", TOPIC_OUTPUT);
    return graph;
}

static struct graph *(*build)(void);

static int load(struct program *program, struct instance **result, struct err *problem)
{
    (void)program;
    struct instance *instance = memory_alloc(sizeof *instance);
    instance->graph = build();
    option_defaults(&app_options, &instance->settings);
    ck_assert_int_eq(option_set(&app_options, &instance->settings, "id", "app", problem), 0);
    *result = instance;
    return graph_finish(instance->graph, problem);
}

static void unload(struct instance *instance)
{
    option_free(&app_options, &instance->settings);
    fake_unload(instance);
}

static int open_nodes(struct instance *instance, struct node *const *nodes, int count, struct err *problem)
{
    (void)instance;
    (void)problem;
    for (int i = 0; i < count; i++) {
        if (nodes[i]->op->open != NULL && nodes[i]->op->open(nodes[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static struct driver *open_driver(struct graph *(*pipeline)(void), int32_t partitions)
{
    static struct program_class class;
    static struct program program = {&class};
    struct driver_config config = {.program = &program, .stores = &sqlite_store_driver, .partitions = partitions};
    struct driver *driver;
    class = *fake_program.class;
    class.load = load;
    class.open = open_nodes;
    class.unload = unload;
    build = pipeline;
    log_configure(LOG_ERROR, false);
    ck_assert_msg(driver_open(&config, &driver, &err) == 0, "%s", err.text);
    return driver;
}

static int send(struct driver *driver, const char *topic, const char *key, const char *value)
{
    struct record record = {.topic = topic, .key = slice_text(key), .value = slice_text(value), .timestamp = 5};
    return driver_send(driver, &record, &err);
}

static void must_send(struct driver *driver, const char *topic, const char *key, const char *value)
{
    ck_assert_msg(send(driver, topic, key, value) == 0, "%s", err.text);
}

static void expect_from(struct driver *driver, const char *topic, const char *value)
{
    struct record record;
    ck_assert_msg(driver_take_from(driver, topic, &record), "nothing in %s where %s should be", topic, value);
    ck_assert_msg(slice_equal(record.value, slice_text(value)), "%.*s where %s should be", (int)record.value.size,
                  (const char *)record.value.data, value);
}

START_TEST(what_a_record_causes_is_there_when_send_returns)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    struct record record;
    must_send(driver, "in", "a", "x");
    expect_from(driver, "out", "1 x");
    must_send(driver, "in", "a", "y");
    must_send(driver, "in", "b", "z");
    expect_from(driver, "out", "2 y");
    expect_from(driver, "out", "1 z");
    ck_assert(!driver_take_from(driver, "out", &record));
    driver_close(driver);
}
END_TEST

START_TEST(records_come_in_order_of_production_over_all_topics)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    struct record record;
    const char *topics[] = {"echo", "out", "echo", "out"};
    must_send(driver, "in", "a", "x");
    must_send(driver, "in", "a", "y");
    for (int i = 0; i < 4; i++) {
        ck_assert(driver_take(driver, &record));
        ck_assert_str_eq(record.topic, topics[i]);
        ck_assert_int_eq(record.timestamp, 5);
    }
    ck_assert(!driver_take(driver, &record));
    driver_close(driver);
}
END_TEST

START_TEST(both_ways_of_taking_go_together)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    struct record record;
    must_send(driver, "in", "a", "x");
    must_send(driver, "in", "a", "y");
    expect_from(driver, "out", "1 x");
    ck_assert(driver_take(driver, &record));
    ck_assert_str_eq(record.topic, "echo");
    ck_assert(driver_take(driver, &record));
    ck_assert_str_eq(record.topic, "echo");
    expect_from(driver, "out", "2 y");
    ck_assert(!driver_take(driver, &record));
    ck_assert(!driver_take_from(driver, "echo", &record));
    ck_assert(!driver_take_from(driver, "nowhere", &record));
    driver_close(driver);
}
END_TEST

START_TEST(internal_topics_are_not_shown)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    struct record record;
    must_send(driver, "in", "a", "x");
    ck_assert_str_eq(driver_topics(driver, 0), "echo");
    ck_assert_str_eq(driver_topics(driver, 1), "out");
    ck_assert_ptr_null(driver_topics(driver, 2));
    ck_assert(!driver_take_from(driver, "app-counts-changelog", &record));
    ck_assert(!driver_take_from(driver, "app-by-key-repartition", &record));
    driver_close(driver);
}
END_TEST

START_TEST(the_clock_starts_at_zero_and_jumps)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    struct record record;
    ck_assert_int_eq(driver_advance(driver, 999, &err), 0);
    ck_assert(!driver_take_from(driver, "ticks", &record));
    ck_assert_int_eq(driver_advance(driver, 1, &err), 0);
    expect_from(driver, "ticks", "1000");
    ck_assert_int_eq(driver_advance(driver, 3500, &err), 0);
    expect_from(driver, "ticks", "4500");
    ck_assert(!driver_take_from(driver, "ticks", &record));
    ck_assert_int_eq(driver_advance(driver, -1, &err), -1);
    ck_assert_int_eq(err.code, ERR_USAGE);
    driver_close(driver);
}
END_TEST

START_TEST(stores_can_be_looked_at)
{
    struct driver *driver = open_driver(build_two_parts, 2);
    const struct store_driver *stores = driver_store_driver(driver);
    struct store_entry entry;
    bool found[2];
    must_send(driver, "in", "a", "x");
    must_send(driver, "in", "a", "y");
    for (int32_t i = 0; i < 2; i++) {
        struct store *store = driver_store(driver, "counts", i);
        ck_assert_ptr_nonnull(store);
        ck_assert_int_eq(stores->get(store, slice_text("a"), &found[i], &entry, &err), 0);
        ck_assert(!found[i] || strcmp((const char *)entry.value.data, "2") == 0);
    }
    ck_assert_int_eq(found[0] + found[1], 1);
    ck_assert_ptr_null(driver_store(driver, "counts", 2));
    ck_assert_ptr_null(driver_store(driver, "other", 0));
    ck_assert_ptr_nonnull(driver_instance(driver, 1));
    ck_assert_int_eq(graph_subtopology_count(driver_graph(driver)), 2);
    driver_close(driver);
}
END_TEST

START_TEST(topics_of_a_pattern_may_come_later)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    must_send(driver, "in", "a", "x");
    must_send(driver, "in-new", "a", "y");
    expect_from(driver, "out", "1 x");
    expect_from(driver, "out", "2 y");
    driver_close(driver);
}
END_TEST

START_TEST(a_topic_that_nobody_reads_is_refused)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    ck_assert_int_eq(send(driver, "im", "a", "x"), -1);
    build_assert_contains(err.text, "\"im\"");
    build_assert_contains(err.text, "\"in\"");
    ck_assert_int_eq(send(driver, "app-by-key-repartition", "a", "x"), -1);
    must_send(driver, "in", "a", "x"); /* a mistake in a test does not end the driver */
    driver_close(driver);
}
END_TEST

START_TEST(a_failure_is_kept)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    struct record record;
    must_send(driver, "in", "a", "x");
    ck_assert_int_eq(send(driver, "in", "a", "!"), -1);
    ck_assert_int_eq(err.code, ERR_SCRIPT);
    ck_assert_int_eq(send(driver, "in", "a", "y"), -1);
    ck_assert_int_eq(err.code, ERR_SCRIPT);
    ck_assert_int_eq(driver_advance(driver, 1, &err), -1);
    ck_assert_int_eq(driver_commit(driver, &err), -1);
    expect_from(driver, "out", "1 x");
    ck_assert(!driver_take_from(driver, "out", &record));
    driver_close(driver);
}
END_TEST

START_TEST(an_endless_pipeline_is_an_error)
{
    struct driver *driver = open_driver(build_loop, 1);
    ck_assert_int_eq(send(driver, "loop", "a", "x"), -1);
    build_assert_contains(err.text, "does not come to rest");
    driver_close(driver);
}
END_TEST

START_TEST(commit_can_be_called_at_any_time)
{
    struct driver *driver = open_driver(build_two_parts, 1);
    ck_assert_int_eq(driver_commit(driver, &err), 0);
    must_send(driver, "in", "a", "x");
    ck_assert_int_eq(driver_commit(driver, &err), 0);
    expect_from(driver, "out", "1 x");
    driver_close(driver);
}
END_TEST

UNIT_MAIN("driver", what_a_record_causes_is_there_when_send_returns,
          records_come_in_order_of_production_over_all_topics, both_ways_of_taking_go_together,
          internal_topics_are_not_shown, the_clock_starts_at_zero_and_jumps, stores_can_be_looked_at,
          topics_of_a_pattern_may_come_later, a_topic_that_nobody_reads_is_refused, a_failure_is_kept,
          an_endless_pipeline_is_an_error, commit_can_be_called_at_any_time)
