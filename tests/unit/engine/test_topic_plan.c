#include "base/log.h"
#include "engine/memory_transport.h"
#include "engine/topic_plan.h"
#include "tests/unit/engine/build.h"

#include <time.h>

static struct err err;
static struct graph *graph;
static struct transport *transport;
static struct app_settings settings;
static struct topic_plan *plan;

/* Faults of the transport: how many describe calls answer well before one fails; -1: all. */
static int describes_left = -1;

static enum memory_fault fault(void *self, enum memory_call call)
{
    (void)self;
    return call == MEMORY_DESCRIBE && describes_left >= 0 && describes_left-- == 0 ? FAULT_FATAL : FAULT_NONE;
}

static void begin(void)
{
    struct memory_transport_config config = {.default_partitions = 1, .timeless = true, .fault = fault};
    ck_assert_int_eq(memory_transport_open(&config, &transport, &err), 0);
    log_configure(LOG_ERROR, false);
    option_defaults(&app_options, &settings);
    graph = graph_new("shop");
    plan = NULL;
}

static void end(void)
{
    topic_plan_free(plan);
    graph_free(graph);
    transport->class->close(transport);
    option_free(&app_options, &settings);
}

static void have(const char *topic, int32_t partitions)
{
    struct topic_spec spec = {.name = topic, .partitions = partitions};
    ck_assert_int_eq(transport->class->create_topic(transport, &spec, &err), 0);
}

static struct topic_info found(const char *topic)
{
    struct topic_info info;
    ck_assert_int_eq(transport->class->describe_topic(transport, topic, &info, &err), 0);
    return info;
}

static int looks_left = -1;  /* until waiting is to end; negative: it is not */
static const char *arriving; /* a topic that is made with the first look; NULL: none */

static bool stopped(void)
{
    if (arriving) {
        have(arriving, 1);
        arriving = NULL;
    }
    return looks_left >= 0 && looks_left-- == 0;
}

static int make_with(bool create, bool dry_run)
{
    return topic_plan_make(graph, &settings, transport, create, dry_run, stopped, &plan, &err);
}

/* As on Kafka: only internal topics are created. */
static void make(void)
{
    build_finish(graph);
    ck_assert_msg(make_with(false, false) == 0, "%s", err.text);
}

static void refuse(enum err_code code)
{
    build_finish(graph);
    ck_assert_int_eq(make_with(false, false), -1);
    ck_assert_int_eq(err.code, code);
    ck_assert_ptr_null(plan);
}

static int partitions_of(const char *topic)
{
    const struct planned_topic *planned = topic_plan_find(plan, topic);
    ck_assert_msg(planned != NULL, "%s is not planned", topic);
    return planned->partitions;
}

START_TEST(internal_topics_follow_the_inputs)
{
    begin();
    have("orders", 6);
    have("out", 2);
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    struct node *behind = build_repartition(graph, orders, "by-user", 0, "p.lua:2");
    struct node *count = build_stateful(graph, behind, &build_count_op, "counts", "p.lua:3");
    build_sink(graph, count, "out", "p.lua:4");
    make();
    ck_assert_int_eq(topic_plan_partitions(plan, 0), 6);
    ck_assert_int_eq(topic_plan_partitions(plan, 1), 6);
    const struct planned_topic *changelog = topic_plan_find(plan, "shop-counts-changelog");
    ck_assert(changelog->changelog && changelog->internal && changelog->exists && changelog->written);
    ck_assert_str_eq(changelog->store, "counts");
    ck_assert_int_eq(changelog->subtopology, 1);
    struct topic_info info = found("shop-counts-changelog");
    ck_assert_int_eq(info.partitions, 6);
    ck_assert(info.compacted);
    ck_assert_int_eq(info.delete_retention_ms, 7 * 24 * 3600 * 1000);
    info = found("shop-by-user-repartition");
    ck_assert_int_eq(info.partitions, 6);
    ck_assert(!info.compacted);
    ck_assert_int_eq(info.retention_ms, -1);
    ck_assert_int_eq(partitions_of("out"), 2);
    ck_assert(!topic_plan_find(plan, "orders")->written);
    end();
}
END_TEST

START_TEST(wishes_of_the_script_win)
{
    begin();
    have("orders", 6);
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    build_stateful(graph, build_repartition(graph, orders, "by-user", 3, "p.lua:2"), &build_count_op, "counts",
                   "p.lua:3");
    make();
    ck_assert_int_eq(partitions_of("shop-by-user-repartition"), 3);
    ck_assert_int_eq(partitions_of("shop-counts-changelog"), 3);
    end();
}
END_TEST

START_TEST(a_missing_topic_is_named_with_its_command)
{
    begin();
    have("users", 5);
    option_list_add(&settings.kafka, "bootstrap.servers=broker:9092");
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    struct node *users = build_source(graph, "users", "p.lua:2");
    build_join(graph, orders, users, "p.lua:3");
    build_sink(graph, orders, "out", "p.lua:4");
    refuse(ERR_TOPIC);
    build_assert_contains(err.text, "\"orders\" (read at p.lua:1)");
    build_assert_contains(err.text, "`tidemill topics create orders --partitions 5 --brokers broker:9092`");
    build_assert_contains(err.text, "`tidemill topics create out --partitions 5 --brokers broker:9092`");
    end();
}
END_TEST

START_TEST(missing_topics_are_waited_for)
{
    begin();
    settings.wait_for_topics = true;
    build_source(graph, "orders", "p.lua:1");
    arriving = "orders";
    make();
    ck_assert(topic_plan_find(plan, "orders")->exists);
    end();
}
END_TEST

START_TEST(waiting_for_topics_can_be_ended)
{
    begin();
    settings.wait_for_topics = true;
    build_source(graph, "orders", "p.lua:1");
    build_finish(graph);
    looks_left = 2;
    ck_assert_int_eq(make_with(false, false), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    build_assert_contains(err.text, "Waiting for the topic \"orders\" was ended");
    end();
}
END_TEST

START_TEST(nothing_is_created_when_something_is_missing)
{
    begin();
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    build_stateful(graph, orders, &build_count_op, "counts", "p.lua:2");
    refuse(ERR_TOPIC);
    build_assert_contains(err.text, "HOST:PORT");
    ck_assert(!found("shop-counts-changelog").exists);
    end();
}
END_TEST

START_TEST(the_embedded_log_creates_what_is_missing)
{
    begin();
    have("users", 5);
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    struct node *users = build_source(graph, "users", "p.lua:2");
    build_join(graph, orders, users, "p.lua:3");
    build_sink(graph, orders, "out", "p.lua:4");
    build_source(graph, "alone", "p.lua:5");
    build_finish(graph);
    ck_assert_int_eq(make_with(true, false), 0);
    ck_assert_int_eq(found("orders").partitions, 5);
    ck_assert_int_eq(found("out").partitions, 5);
    ck_assert_int_eq(found("alone").partitions, 4);
    end();
}
END_TEST

START_TEST(create_topics_creates_on_kafka_too)
{
    begin();
    settings.create_topics = true;
    settings.partitions = 7;
    build_source(graph, "orders", "p.lua:1");
    make();
    ck_assert_int_eq(found("orders").partitions, 7);
    end();
}
END_TEST

START_TEST(a_dry_run_creates_nothing)
{
    begin();
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    build_stateful(graph, orders, &build_count_op, "counts", "p.lua:2");
    build_finish(graph);
    ck_assert_int_eq(make_with(true, true), 0);
    ck_assert(!found("orders").exists);
    ck_assert(!topic_plan_find(plan, "shop-counts-changelog")->exists);
    ck_assert_int_eq(partitions_of("shop-counts-changelog"), 4);
    end();
}
END_TEST

START_TEST(joined_topics_must_have_equal_counts)
{
    begin();
    have("orders", 4);
    have("users", 8);
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    struct node *filter = build_node(graph, &build_filter_op, "p.lua:2", orders);
    build_join(graph, filter, build_source(graph, "users", "p.lua:3"), "p.lua:4");
    refuse(ERR_TOPIC);
    build_assert_contains(err.text, "\"orders\" (4 partitions) and \"users\" (8 partitions)");
    build_assert_contains(err.text, ":repartition { name = \"orders-by-key\", partitions = 8 }");
    end();
}
END_TEST

START_TEST(a_repartitioned_side_takes_the_others_count)
{
    begin();
    have("orders", 4);
    have("users", 8);
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    struct node *behind = build_repartition(graph, orders, "users-join", 0, "p.lua:2");
    build_join(graph, behind, build_source(graph, "users", "p.lua:3"), "p.lua:4");
    make();
    ck_assert_int_eq(partitions_of("shop-users-join-repartition"), 8);
    end();
}
END_TEST

START_TEST(two_repartitioned_sides_take_the_larger_count)
{
    begin();
    have("orders", 4);
    have("users", 8);
    struct node *left = build_repartition(graph, build_source(graph, "orders", "p.lua:1"), "left", 0, "p.lua:2");
    struct node *right = build_repartition(graph, build_source(graph, "users", "p.lua:3"), "right", 0, "p.lua:4");
    build_join(graph, left, right, "p.lua:5");
    make();
    ck_assert_int_eq(partitions_of("shop-left-repartition"), 8);
    ck_assert_int_eq(partitions_of("shop-right-repartition"), 8);
    end();
}
END_TEST

START_TEST(a_side_that_is_known_later_counts_too)
{
    begin();
    have("orders", 4);
    have("users", 8);
    struct node *left = build_repartition(graph, build_source(graph, "orders", "p.lua:1"), "left", 0, "p.lua:2");
    struct node *middle = build_repartition(graph, build_source(graph, "users", "p.lua:3"), "middle", 0, "p.lua:4");
    struct node *right = build_repartition(graph, middle, "right", 0, "p.lua:5");
    build_join(graph, left, right, "p.lua:6");
    make();
    ck_assert_int_eq(partitions_of("shop-left-repartition"), 8);
    ck_assert_int_eq(partitions_of("shop-right-repartition"), 8);
    end();
}
END_TEST

START_TEST(subtopologies_that_feed_each_other_get_counts)
{
    begin();
    have("orders", 3);
    have("users", 5);
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    struct node *users = build_source(graph, "users", "p.lua:2");
    struct node *registration = build_repartition(graph, orders, "registration", 0, "p.lua:3");
    struct node *subscribed = build_join(graph, registration, users, "p.lua:4");
    struct node *response = build_repartition(graph, subscribed, "response", 0, "p.lua:5");
    build_join(graph, response, orders, "p.lua:6");
    make();
    ck_assert_int_eq(partitions_of("shop-registration-repartition"), 5);
    ck_assert_int_eq(partitions_of("shop-response-repartition"), 3);
    end();
}
END_TEST

static void build_counts(void)
{
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    build_stateful(graph, build_repartition(graph, orders, "by-user", 0, "p.lua:2"), &build_count_op, "counts",
                   "p.lua:3");
}

START_TEST(a_changed_count_is_refused_where_state_is)
{
    begin();
    have("orders", 4);
    have("shop-by-user-repartition", 2);
    build_counts();
    refuse(ERR_TOPIC);
    build_assert_contains(err.text, "\"shop-by-user-repartition\" has 2 partitions and needs 4");
    build_assert_contains(err.text, "`tidemill reset --app shop --execute`");
    end();
}
END_TEST

START_TEST(a_changed_count_is_taken_where_no_state_is)
{
    begin();
    have("orders", 4);
    have("shop-by-user-repartition", 2);
    build_repartition(graph, build_source(graph, "orders", "p.lua:1"), "by-user", 0, "p.lua:2");
    make();
    ck_assert_int_eq(topic_plan_partitions(plan, 1), 2);
    end();
}
END_TEST

START_TEST(a_changelog_must_be_compacted)
{
    begin();
    have("orders", 4);
    have("shop-counts-changelog", 4);
    build_counts();
    refuse(ERR_TOPIC);
    build_assert_contains(err.text, "has cleanup.policy=delete and needs cleanup.policy=compact");
    end();
}
END_TEST

START_TEST(a_repartition_topic_must_keep_its_records)
{
    begin();
    have("orders", 4);
    struct topic_spec spec = {.name = "shop-by-user-repartition", .partitions = 4, .retention_ms = 60000};
    ck_assert_int_eq(transport->class->create_topic(transport, &spec, &err), 0);
    build_counts();
    refuse(ERR_TOPIC);
    build_assert_contains(err.text, "has retention.ms=60000 and needs retention.ms=-1");
    end();
}
END_TEST

START_TEST(existing_internal_topics_are_used_again)
{
    begin();
    have("orders", 4);
    build_counts();
    make();
    topic_plan_free(plan);
    ck_assert_msg(make_with(false, false) == 0, "%s", err.text);
    end();
}
END_TEST

START_TEST(readers_are_found_by_name_and_pattern)
{
    begin();
    have("orders-eu", 2);
    have("orders-us", 3);
    have("__consumer_offsets", 50);
    struct node *pattern = build_source(graph, "^orders-.*|^__.*", "p.lua:1");
    struct node *clicks = build_source(graph, "clicks", "p.lua:2");
    struct node *again = build_source(graph, "clicks", "p.lua:3");
    have("clicks", 1);
    make();
    int node = -1;
    ck_assert_int_eq(topic_plan_reader(plan, "orders-us", &node), 0);
    ck_assert_int_eq(node, pattern->id);
    ck_assert_int_eq(topic_plan_reader(plan, "orders-new", NULL), 0);
    ck_assert_int_eq(topic_plan_source(plan, "orders-new", 0), pattern->id);
    ck_assert_int_eq(topic_plan_source(plan, "orders-new", 1), -1);
    ck_assert_int_eq(topic_plan_reader(plan, "clicks", &node), 1);
    ck_assert_int_eq(topic_plan_source(plan, "clicks", 0), clicks->id);
    ck_assert_int_eq(topic_plan_source(plan, "clicks", 1), again->id);
    ck_assert_int_eq(topic_plan_source(plan, "clicks", 2), -1);
    ck_assert_int_eq(topic_plan_reader(plan, "other", NULL), -1);
    ck_assert_ptr_null(topic_plan_find(plan, "__consumer_offsets"));
    ck_assert_int_eq(topic_plan_partitions(plan, 0), 3);
    size_t count;
    const struct subscription *subscriptions = topic_plan_subscriptions(plan, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(subscriptions[0].topic, "clicks");
    ck_assert_str_eq(subscriptions[1].topic, "^orders-.*|^__.*");
    end();
}
END_TEST

START_TEST(patterns_of_two_readers_may_not_meet)
{
    begin();
    have("orders-eu", 2);
    build_source(graph, "^orders.*", "p.lua:1");
    build_source(graph, "^.*-eu", "p.lua:2");
    refuse(ERR_TOPOLOGY);
    build_assert_contains(err.text, "orders-eu");
    end();
}
END_TEST

START_TEST(internal_topics_are_not_taken_by_a_pattern)
{
    begin();
    have("orders", 2);
    struct node *source = build_source(graph, "^.*", "p.lua:1");
    build_stateful(graph, source, &build_count_op, "counts", "p.lua:2");
    make();
    topic_plan_free(plan);
    ck_assert_int_eq(make_with(false, false), 0);
    ck_assert_int_eq(topic_plan_reader(plan, "shop-counts-changelog", NULL), -1);
    ck_assert_int_eq(topic_plan_reader(plan, "orders", NULL), 0);
    end();
}
END_TEST

START_TEST(a_global_table_is_not_subscribed)
{
    begin();
    have("products", 3);
    have("orders", 2);
    struct node *global = build_reader(graph, "products", TOPIC_GLOBAL, 0, "p.lua:1");
    build_source(graph, "orders", "p.lua:2");
    make();
    size_t count;
    topic_plan_subscriptions(plan, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(topic_plan_reader(plan, "products", NULL), -1);
    ck_assert_int_eq(topic_plan_source(plan, "products", 0), global->id);
    ck_assert_int_eq(topic_plan_partitions(plan, 0), 2);
    end();
}
END_TEST

START_TEST(reset_policies_come_from_script_and_settings)
{
    begin();
    have("a", 1);
    have("b", 1);
    settings.reset = RESET_LATEST;
    struct node *one = build_source(graph, "a", "p.lua:1");
    ck_assert_int_eq(graph_add_topic(graph, one, "b", TOPIC_INPUT, false, 0, "error", &err), 0);
    build_repartition(graph, one, "x", 0, "p.lua:2");
    make();
    size_t count;
    const struct subscription *list = topic_plan_subscriptions(plan, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(list[0].reset, RESET_LATEST);
    ck_assert_int_eq(list[1].reset, RESET_ERROR);
    ck_assert_int_eq(list[2].reset, RESET_EARLIEST); /* whatever the app says: nothing in between may be lost */
    end();
}
END_TEST

START_TEST(the_dead_letter_topic_is_planned_where_it_may_be_needed)
{
    begin();
    have("orders", 3);
    struct node *source = build_source(graph, "orders", "p.lua:1");
    make();
    ck_assert_ptr_null(topic_plan_find(plan, "shop-dead-letter"));
    topic_plan_free(plan);
    source->policy = POLICY_DEAD_LETTER;
    ck_assert_int_eq(make_with(false, false), 0);
    ck_assert_int_eq(found("shop-dead-letter").partitions, 3);
    topic_plan_free(plan);
    plan = NULL;
    ck_assert_int_eq(option_set(&app_options, &settings, "dead_letter", "bad", &err), 0);
    ck_assert_int_eq(make_with(false, false), -1); /* a topic of the user's own is not made without being asked */
    build_assert_contains(err.text, "\"bad\"");
    end();
}
END_TEST

START_TEST(a_topic_in_between_is_input_and_written)
{
    begin();
    have("in", 3);
    struct node *source = build_source(graph, "in", "p.lua:1");
    build_sink(graph, source, "middle", "p.lua:2");
    build_source(graph, "middle", "p.lua:2");
    build_finish(graph);
    ck_assert_int_eq(make_with(true, false), 0);
    const struct planned_topic *middle = topic_plan_find(plan, "middle");
    ck_assert_int_eq(middle->role, TOPIC_INPUT);
    ck_assert(middle->written && !middle->internal);
    ck_assert_int_eq(middle->subtopology, 1);
    ck_assert_int_eq(middle->partitions, 3);
    end();
}
END_TEST

/* Fails each call of describe in turn until none is left to fail. */
START_TEST(a_failing_transport_is_reported)
{
    int failures = 0;
    for (int good = 0; good < 100; good++) {
        begin();
        have("orders", 4);
        build_counts();
        build_finish(graph);
        describes_left = good;
        int result = make_with(false, false);
        bool reached = describes_left < 0;
        describes_left = -1;
        ck_assert_int_eq(result, reached ? -1 : 0);
        failures += reached;
        if (reached) {
            build_assert_contains(err.text, "looking up the topic");
        }
        end();
        if (!reached) {
            break;
        }
    }
    ck_assert_int_eq(failures, 3);
}
END_TEST

/* Many times the processor time that it needs, and a fraction of what a round for each topic would take. */
START_TEST(thousands_of_streams_are_planned_at_once)
{
    begin();
    for (int i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof name, "in-%d", i);
        struct node *source = build_source(graph, name, name);
        snprintf(name, sizeof name, "out-%d", i);
        build_sink(graph, source, name, name);
    }
    build_finish(graph);
    clock_t start = clock();
    ck_assert_int_eq(make_with(true, true), 0);
    ck_assert_int_lt((clock() - start) / CLOCKS_PER_SEC, 10);
    ck_assert_int_eq(topic_plan_find(plan, "in-1999")->partitions, topic_plan_find(plan, "in-0")->partitions);
    ck_assert_int_gt(topic_plan_find(plan, "out-1999")->partitions, 0);
    end();
}
END_TEST

UNIT_MAIN("topic_plan", thousands_of_streams_are_planned_at_once, internal_topics_follow_the_inputs,
          wishes_of_the_script_win, a_missing_topic_is_named_with_its_command, missing_topics_are_waited_for,
          waiting_for_topics_can_be_ended, nothing_is_created_when_something_is_missing,
          the_embedded_log_creates_what_is_missing, create_topics_creates_on_kafka_too, a_dry_run_creates_nothing,
          joined_topics_must_have_equal_counts, a_repartitioned_side_takes_the_others_count,
          two_repartitioned_sides_take_the_larger_count, a_side_that_is_known_later_counts_too,
          subtopologies_that_feed_each_other_get_counts, a_changed_count_is_refused_where_state_is,
          a_changed_count_is_taken_where_no_state_is, a_changelog_must_be_compacted,
          a_repartition_topic_must_keep_its_records, existing_internal_topics_are_used_again,
          readers_are_found_by_name_and_pattern, patterns_of_two_readers_may_not_meet,
          internal_topics_are_not_taken_by_a_pattern, a_global_table_is_not_subscribed,
          reset_policies_come_from_script_and_settings, the_dead_letter_topic_is_planned_where_it_may_be_needed,
          a_topic_in_between_is_input_and_written, a_failing_transport_is_reported)
