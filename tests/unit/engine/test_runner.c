/* Whole apps on threads of their own, on the transport in memory. */
#include "engine/runner.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/memory_transport.h"
#include "store/store_driver.h"
#include "tests/support/fake_program.h"
#include "tests/unit/engine/build.h"

#define PARTITIONS 4
#define KEYS 13

static struct {
    struct transport *transport;
    const struct transport_class *original;
    struct transport_class class; /* a test may replace calls */
    struct app_settings settings;
    char directory[64];
    int64_t sent;
    struct err err;
} app;

/* ---- topologies ---- */

static int32_t by_value(const struct item *item)
{
    return (int32_t)(item->value.bytes.data[0] % PARTITIONS);
}

/* Sends a record on by its value, with the value as the key. */
static int turn(struct node *node, int parent, struct item *item)
{
    (void)parent;
    struct output *output = op_output(node->worker, node->detail);
    struct record record = {
        .key = item->value.bytes, .value = item->value.bytes, .timestamp = item->timestamp, .offset = -1};
    return output ? op_produce(node->worker, output, by_value(item), &record) : -1;
}

static bool (*on_record)(void);

static int pass(struct node *node, int parent, struct item *item)
{
    (void)parent;
    if (on_record && !on_record()) {
        return err_set(op_error(node->worker), ERR_FATAL, ERR_SCRIPT, "The callback failed.");
    }
    return op_forward(node, item);
}

static const struct op turn_op = {.kind = "turn", .process = turn};
static const struct op pass_op = {.kind = "pass", .process = pass};

static struct node *add(struct graph *graph, const struct op *op, enum node_role role, const char *place,
                        struct node *parent)
{
    struct err err;
    struct node *node = graph_add(graph, op, role, NULL, place, &parent, parent ? 1 : 0, &err);
    ck_assert_msg(node != NULL, "%s", err.text);
    return node;
}

static void use(struct graph *graph, struct node *node, const char *topic, enum topic_role role)
{
    struct err err;
    ck_assert_msg(graph_add_topic(graph, node, topic, role, topic[0] == '^', 0, NULL, &err) == 0, "%s", err.text);
    graph_set_detail(graph, node, topic);
}

static struct node *add_source(struct graph *graph, const char *topic, enum topic_role role, const char *place)
{
    struct node *source = add(graph, &fake_source_op, NODE_SOURCE, place, NULL);
    use(graph, source, topic, role);
    return source;
}

static void add_count(struct graph *graph, struct node *parent)
{
    struct err err;
    struct store_spec spec = {.name = "counts", .changelog = true};
    struct node *count = add(graph, &fake_count_op, NODE_OPERATOR, "p:8", parent);
    ck_assert_int_eq(graph_add_store(graph, count, &spec, &err), 0);
    use(graph, add(graph, &fake_sink_op, NODE_SINK, "p:9", count), "out", TOPIC_OUTPUT);
}

/* "in" -> two repartition topics, one behind the other -> counted per value -> "out" */
static struct graph *build_chain(void)
{
    struct graph *graph = graph_new("app");
    struct node *in = add_source(graph, "in", TOPIC_INPUT, "p:1");
    struct node *seen = add(graph, &pass_op, NODE_OPERATOR, "p:2", in);
    use(graph, add(graph, &turn_op, NODE_SINK, "p:3", seen), "app-one-repartition", TOPIC_REPARTITION);
    struct node *one = add_source(graph, "app-one-repartition", TOPIC_REPARTITION, "p:4");
    use(graph, add(graph, &turn_op, NODE_SINK, "p:5", one), "app-two-repartition", TOPIC_REPARTITION);
    add_count(graph, add_source(graph, "app-two-repartition", TOPIC_REPARTITION, "p:6"));
    return graph;
}

/* ---- the app ---- */

static void open_app(void)
{
    memset(&app, 0, sizeof(app));
    fake_build = build_chain;
    on_record = NULL;
    log_configure(LOG_ERROR, false);
    strcpy(app.directory, "/tmp/tidemill-runner-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(app.directory));
    struct memory_transport_config memory = {.default_partitions = PARTITIONS, .create_topics = true};
    ck_assert_int_eq(memory_transport_open(&memory, &app.transport, &app.err), 0);
    app.original = app.transport->class;
    app.class = *app.original;
    app.transport->class = &app.class;
    option_defaults(&app_options, &app.settings);
    ck_assert_int_eq(option_set(&app_options, &app.settings, "id", "app", &app.err), 0);
    app.settings.partitions = PARTITIONS;
    app.settings.threads = 2;
    app.settings.drain_ms = 600000; /* slow machines */
}

static void close_app(void)
{
    app.transport->class->close(app.transport);
    option_free(&app_options, &app.settings);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", app.directory);
    ck_assert_int_eq(system(command), 0);
}

static int try_open(bool until_end, struct runner **runner)
{
    struct runner_config config = {
        .settings = app.settings,
        .program = &fake_program,
        .stores = &sqlite_store_driver,
        .transport = app.transport,
        .embedded = true,
        .state_directory = app.directory,
        .until_end = until_end,
    };
    return runner_open(&config, runner, &app.err);
}

static struct runner *open_runner(bool until_end)
{
    struct runner *runner;
    ck_assert_msg(try_open(until_end, &runner) == 0, "%s", app.err.text);
    return runner;
}

static void close_runner(struct runner *runner)
{
    bool ended;
    runner_stop(runner);
    ck_assert_msg(runner_wait(runner, -1, &ended, &app.err) == 0, "%s", app.err.text);
    ck_assert(ended);
    runner_close(runner);
}

static void run_until_end(void)
{
    bool ended;
    struct runner *runner = open_runner(true);
    ck_assert_msg(runner_wait(runner, -1, &ended, &app.err) == 0, "%s", app.err.text);
    ck_assert(ended);
    runner_close(runner);
}

static void send(int count)
{
    for (int i = 0; i < count; i++, app.sent++) {
        char key[16], value[16];
        snprintf(key, sizeof(key), "k%lld", (long long)app.sent);
        snprintf(value, sizeof(value), "%c", 'a' + (int)(app.sent % KEYS));
        struct record record = {.key = slice_text(key), .value = slice_text(value), .timestamp = app.sent};
        ck_assert_int_eq(memory_transport_append(app.transport, "in", -1, &record, &app.err), 0);
    }
}

/* Per value 1, 2, 3, ...; returns how many there are. */
static int64_t check_outputs(void)
{
    int64_t counts[KEYS] = {0}, total = 0;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        struct record record;
        for (int64_t offset = 0; memory_transport_record(app.transport, "out", p, offset, &record); offset++) {
            char expected[32];
            int key = record.key.data[0] - 'a';
            snprintf(expected, sizeof(expected), "%lld %c", (long long)++counts[key], 'a' + key);
            ck_assert_msg(slice_equal(record.value, slice_text(expected)), "expected %s, found %.*s", expected,
                          (int)record.value.size, (const char *)record.value.data);
            total++;
        }
    }
    return total;
}

/* ---- --until-end ---- */

START_TEST(until_end_drains_repartition_topics_and_ends)
{
    for (int threads = 1; threads <= 3; threads++) {
        open_app();
        app.settings.threads = threads;
        send(5000);
        run_until_end();
        ck_assert_int_eq(check_outputs(), app.sent);
        send(100);
        run_until_end();
        ck_assert_int_eq(check_outputs(), app.sent);
        close_app();
    }
}
END_TEST

START_TEST(until_end_ends_without_a_single_record)
{
    open_app();
    run_until_end();
    ck_assert_int_eq(check_outputs(), 0);
    send(1); /* the other partitions stay empty */
    run_until_end();
    run_until_end();
    ck_assert_int_eq(check_outputs(), 1);
    close_app();
}
END_TEST

START_TEST(until_end_ends_with_more_threads_than_partitions)
{
    open_app();
    app.settings.threads = PARTITIONS * 2 + 1;
    send(1000);
    run_until_end();
    ck_assert_int_eq(check_outputs(), app.sent);
    close_app();
}
END_TEST

START_TEST(until_end_ends_where_retention_has_taken_everything)
{
    open_app();
    send(100);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        int64_t low, high;
        ck_assert_int_eq(app.original->watermarks(app.transport, "in", p, &low, &high, &app.err), 0);
        ck_assert_int_eq(app.original->delete_records(app.transport, "in", p, p == 0 ? high - 1 : high, &app.err), 0);
    }
    run_until_end();
    ck_assert_int_eq(check_outputs(), 1);
    close_app();
}
END_TEST

static uint32_t producing;

static void *produce_for_ever(void *self)
{
    (void)self;
    struct err err;
    struct record record = {.key = slice_text("late"), .value = slice_text("z"), .timestamp = 1};
    while (__atomic_load_n(&producing, __ATOMIC_ACQUIRE)) {
        memory_transport_append(app.transport, "in", -1, &record, &err);
    }
    return NULL;
}

START_TEST(until_end_ends_where_the_inputs_ended_although_more_comes)
{
    open_app();
    send(1000);
    struct runner *runner = open_runner(true);
    pthread_t producer;
    producing = 1;
    ck_assert_int_eq(pthread_create(&producer, NULL, produce_for_ever, NULL), 0);
    bool ended;
    ck_assert_int_eq(runner_wait(runner, -1, &ended, &app.err), 0);
    ck_assert(ended);
    __atomic_store_n(&producing, 0, __ATOMIC_RELEASE);
    pthread_join(producer, NULL);
    runner_close(runner);
    ck_assert_int_eq(check_outputs(), 1000);
    close_app();
}
END_TEST

/* ---- stopping and failing ---- */

START_TEST(stops_and_starts_lose_and_repeat_nothing)
{
    open_app();
    app.settings.threads = 3;
    for (int round = 0; round < 10; round++) {
        struct runner *runner = open_runner(false);
        bool ended;
        send(500);
        ck_assert_int_eq(runner_wait(runner, round, &ended, &app.err), 0);
        ck_assert(!ended);
        send(100);
        close_runner(runner);
    }
    run_until_end();
    ck_assert_int_eq(check_outputs(), app.sent);
    close_app();
}
END_TEST

static int32_t countdown;

static bool fail_later(void)
{
    return __atomic_sub_fetch(&countdown, 1, __ATOMIC_ACQ_REL) != 0;
}

START_TEST(a_thread_that_fails_ends_all_with_its_error)
{
    open_app();
    app.settings.threads = 3;
    countdown = 700;
    on_record = fail_later;
    send(1000);
    struct runner *runner = open_runner(false);
    bool ended = false;
    ck_assert_int_eq(runner_wait(runner, -1, &ended, &app.err), -1);
    ck_assert(ended);
    ck_assert_int_eq(app.err.code, ERR_SCRIPT);
    ck_assert(!runner_healthy(runner));
    ck_assert(!runner_ready(runner));
    runner_close(runner);
    on_record = NULL;
    run_until_end();
    ck_assert_int_eq(check_outputs(), app.sent);
    close_app();
}
END_TEST

static uint32_t holding, held;

static bool hold(void)
{
    __atomic_store_n(&held, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&holding, __ATOMIC_ACQUIRE)) {
        clock_sleep_ms(1);
    }
    return true;
}

static struct runner *open_held(void)
{
    holding = 1;
    held = 0;
    on_record = hold;
    send(10);
    struct runner *runner = open_runner(false);
    while (!__atomic_load_n(&held, __ATOMIC_ACQUIRE)) {
        clock_sleep_ms(1);
    }
    return runner;
}

static void let_go(void)
{
    __atomic_store_n(&holding, 0, __ATOMIC_RELEASE);
}

START_TEST(a_drain_that_takes_too_long_is_told)
{
    open_app();
    app.settings.drain_ms = 50;
    struct runner *runner = open_held();
    bool ended;
    runner_stop(runner);
    ck_assert_int_eq(runner_wait(runner, -1, &ended, &app.err), -1);
    ck_assert(!ended);
    ck_assert_ptr_nonnull(strstr(app.err.text, "drain_ms (50 ms)"));
    let_go();
    runner_close(runner);
    on_record = NULL;
    app.settings.drain_ms = 600000;
    run_until_end();
    ck_assert_int_eq(check_outputs(), app.sent);
    close_app();
}
END_TEST

START_TEST(a_thread_that_is_stuck_is_not_healthy)
{
    open_app();
    app.settings.max_poll_interval_ms = 20;
    struct runner *runner = open_held();
    while (runner_healthy(runner)) {
        clock_sleep_ms(1);
    }
    let_go();
    while (!runner_healthy(runner)) {
        clock_sleep_ms(1);
    }
    close_runner(runner);
    close_app();
}
END_TEST

/* A coordinator that does not answer, until nobody wants its answer any more. */
static int open_in_vain(struct transport *transport, const struct session_config *config, struct session **session,
                        struct err *err)
{
    if (!config->stopping) {
        return app.original->session_open(transport, config, session, err); /* marks the changelogs */
    }
    __atomic_store_n(&held, 1, __ATOMIC_RELEASE);
    while (!config->stopping(config->self)) {
        clock_sleep_ms(1);
    }
    return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Nobody answers.");
}

START_TEST(a_stop_ends_what_waits_for_the_coordinator)
{
    open_app();
    held = 0;
    app.class.session_open = open_in_vain;
    struct runner *runner = open_runner(false);
    while (!__atomic_load_n(&held, __ATOMIC_ACQUIRE)) {
        clock_sleep_ms(1);
    }
    close_runner(runner);
    close_app();
}
END_TEST

static int open_never(struct transport *transport, const struct session_config *config, struct session **session,
                      struct err *err)
{
    return config->stopping ? err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Nobody answers.")
                            : app.original->session_open(transport, config, session, err);
}

START_TEST(a_coordinator_that_never_answers_at_the_start_ends_the_app)
{
    open_app();
    app.class.session_open = open_never;
    struct runner *runner = open_runner(false);
    bool ended;
    ck_assert_int_eq(runner_wait(runner, -1, &ended, &app.err), -1);
    ck_assert_int_eq(err_exit_status(app.err.code), 4);
    runner_close(runner);
    close_app();
}
END_TEST

/* ---- status ---- */

static uint32_t looking;

static void *look(void *self)
{
    struct runner *runner = self;
    while (__atomic_load_n(&looking, __ATOMIC_ACQUIRE)) {
        struct runner_worker_status list[8];
        int64_t done, left;
        struct bytes text = {0};
        runner_workers(runner, list, 8);
        runner_progress(runner, &done, &left);
        runner_ready(runner);
        runner_healthy(runner);
        metric_print(&text);
        bytes_free(&text);
    }
    return NULL;
}

START_TEST(status_is_read_while_everything_moves)
{
    open_app();
    app.settings.threads = 3;
    struct runner *runner = open_runner(false);
    pthread_t reader;
    looking = 1;
    ck_assert_int_eq(pthread_create(&reader, NULL, look, runner), 0);
    for (int i = 0; i < 10; i++) {
        bool ended;
        send(500);
        memory_transport_rebalance(app.transport);
        ck_assert_int_eq(runner_wait(runner, 5, &ended, &app.err), 0);
    }
    __atomic_store_n(&looking, 0, __ATOMIC_RELEASE);
    pthread_join(reader, NULL);
    close_runner(runner);
    run_until_end();
    ck_assert_int_eq(check_outputs(), app.sent);
    close_app();
}
END_TEST

START_TEST(ready_once_every_worker_runs_and_each_is_listed)
{
    open_app();
    send(100);
    struct runner *runner = open_runner(false);
    struct runner_worker_status list[16];
    int64_t done = 0, left = 1, records = 0;
    while (!runner_ready(runner) || done < 300 || left > 0) {
        clock_sleep_ms(1);
        runner_progress(runner, &done, &left);
    }
    while (runner_workers(runner, list, 16) != 3 * PARTITIONS) {
        clock_sleep_ms(1);
    }
    for (size_t i = 0; i < 3 * PARTITIONS; i++) {
        ck_assert_int_eq(list[i].state, WORKER_RUNNING);
        ck_assert_int_eq(list[i].restore_remaining, 0);
        records += list[i].records;
    }
    ck_assert_int_eq(records, 300); /* each record is seen in three sub-topologies */
    ck_assert_uint_eq(runner_workers(runner, list, 2), 3 * PARTITIONS);
    close_runner(runner);
    close_app();
}
END_TEST

/* ---- processes ---- */

START_TEST(two_processes_share_the_partitions_and_one_takes_over)
{
    open_app();
    struct runner *one = open_runner(false), *two = open_runner(false);
    char path[128];
    snprintf(path, sizeof(path), "%s/app/1/instance", app.directory);
    ck_assert_int_eq(access(path, R_OK), 0);
    for (int i = 0; i < 5; i++) {
        send(300);
        clock_sleep_ms(5);
    }
    close_runner(one);
    send(300);
    one = open_runner(false);
    close_runner(two);
    send(300);
    close_runner(one);
    run_until_end();
    ck_assert_int_eq(check_outputs(), app.sent);
    close_app();
}
END_TEST

START_TEST(an_instance_that_runs_is_refused)
{
    open_app();
    struct runner *runner = open_runner(false);
    struct runner_config config = {
        .settings = app.settings,
        .program = &fake_program,
        .stores = &sqlite_store_driver,
        .transport = app.transport,
        .embedded = true,
        .state_directory = app.directory,
        .instance = "0",
    };
    struct runner *other;
    ck_assert_int_eq(runner_open(&config, &other, &app.err), -1);
    ck_assert_int_eq(app.err.code, ERR_LOCKED);
    close_runner(runner);
    close_app();
}
END_TEST

static int refuse_session(struct transport *transport, const struct session_config *config, struct session **session,
                          struct err *err)
{
    if (config->app == NULL || config->thread == 0) {
        return app.original->session_open(transport, config, session, err);
    }
    return err_set(err, ERR_FATAL, ERR_AUTH, "Not you.");
}

START_TEST(a_thread_that_can_not_open_ends_all)
{
    open_app();
    app.class.session_open = refuse_session;
    struct runner *runner = open_runner(false);
    bool ended;
    ck_assert_int_eq(runner_wait(runner, -1, &ended, &app.err), -1);
    ck_assert(ended);
    ck_assert_int_eq(app.err.code, ERR_AUTH);
    runner_close(runner);
    close_app();
}
END_TEST

UNIT_MAIN("runner", until_end_drains_repartition_topics_and_ends, until_end_ends_without_a_single_record,
          until_end_ends_with_more_threads_than_partitions, until_end_ends_where_retention_has_taken_everything,
          until_end_ends_where_the_inputs_ended_although_more_comes, stops_and_starts_lose_and_repeat_nothing,
          a_thread_that_fails_ends_all_with_its_error, a_drain_that_takes_too_long_is_told,
          a_thread_that_is_stuck_is_not_healthy, a_stop_ends_what_waits_for_the_coordinator,
          a_coordinator_that_never_answers_at_the_start_ends_the_app, status_is_read_while_everything_moves,
          ready_once_every_worker_runs_and_each_is_listed, two_processes_share_the_partitions_and_one_takes_over,
          an_instance_that_runs_is_refused, a_thread_that_can_not_open_ends_all)
