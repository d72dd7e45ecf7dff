#include "tests/unit/engine/build.h"

#include <stdio.h>

static struct err err;

START_TEST(names_are_derived_from_kind_and_place)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, "orders", "pipeline.lua:3");
    struct node *one = build_node(graph, &build_filter_op, "pipeline.lua:17", source);
    struct node *two = build_node(graph, &build_filter_op, "pipeline.lua:17", one);
    struct node *three = build_node(graph, &build_filter_op, NULL, two);
    ck_assert_str_eq(one->name, "filter@pipeline.lua:17");
    ck_assert_str_eq(two->name, "filter@pipeline.lua:17#2");
    ck_assert_str_eq(three->name, "filter@script");
    ck_assert(!one->named);
    ck_assert_ptr_eq(graph_find(graph, "filter@pipeline.lua:17#2"), two);
    ck_assert_ptr_null(graph_find(graph, "map"));
    ck_assert_int_eq(three->id, 3);
    graph_free(graph);
}
END_TEST

START_TEST(a_derived_name_gives_way_to_a_given_one)
{
    struct graph *graph = graph_new("shop");
    struct node *given = graph_add(graph, &build_source_op, NODE_SOURCE, "filter@p.lua:1", "p.lua:1", NULL, 0, &err);
    ck_assert(given->named);
    ck_assert_str_eq(build_node(graph, &build_filter_op, "p.lua:1", given)->name, "filter@p.lua:1#2");
    graph_free(graph);
}
END_TEST

START_TEST(duplicate_node_names_tell_both_places)
{
    struct graph *graph = graph_new("shop");
    ck_assert_ptr_nonnull(graph_add(graph, &build_source_op, NODE_SOURCE, "in", "p.lua:1", NULL, 0, &err));
    ck_assert_ptr_null(graph_add(graph, &build_source_op, NODE_SOURCE, "in", "p.lua:9", NULL, 0, &err));
    ck_assert_int_eq(err.code, ERR_TOPOLOGY);
    build_assert_contains(err.text, "p.lua:1 ");
    build_assert_contains(err.text, "p.lua:9");
    ck_assert_int_eq(graph_node_count(graph), 1);
    graph_free(graph);
}
END_TEST

START_TEST(duplicate_store_names_tell_both_places)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, "orders", "p.lua:1");
    build_stateful(graph, source, &build_count_op, "counts", "p.lua:2");
    struct node *other = build_node(graph, &build_count_op, "p.lua:5", source);
    struct store_spec spec = {.name = "counts"};
    ck_assert_int_eq(graph_add_store(graph, other, &spec, &err), -1);
    build_assert_contains(err.text, "p.lua:2");
    build_assert_contains(err.text, "p.lua:5");
    graph_free(graph);
}
END_TEST

START_TEST(edges_keep_parent_numbers)
{
    struct graph *graph = graph_new("shop");
    struct node *stream = build_source(graph, "in", "p.lua:1");
    struct node *join = build_join(graph, stream, stream, "p.lua:2");
    ck_assert_int_eq(stream->child_count, 2);
    ck_assert_ptr_eq(stream->children[1], join);
    ck_assert_int_eq(stream->child_parents[0], 0);
    ck_assert_int_eq(stream->child_parents[1], 1);
    ck_assert_int_eq(join->parent_count, 2);
    graph_free(graph);
}
END_TEST

START_TEST(topics_cut_the_graph_into_subtopologies)
{
    struct graph *graph = graph_new("shop");
    struct node *clicks = build_source(graph, "clicks", "p.lua:1");
    struct node *orders = build_source(graph, "orders", "p.lua:2");
    struct node *behind = build_repartition(graph, orders, "by-user", 0, "p.lua:3");
    struct node *count = build_stateful(graph, behind, &build_count_op, "counts", "p.lua:4");
    struct node *out = build_sink(graph, clicks, "out", "p.lua:5");
    build_finish(graph);
    ck_assert_int_eq(graph_subtopology_count(graph), 3);
    ck_assert_int_eq(clicks->subtopology, 0);
    ck_assert_int_eq(out->subtopology, 0);
    ck_assert_int_eq(orders->subtopology, 1);
    ck_assert_int_eq(behind->subtopology, 2);
    ck_assert_int_eq(count->subtopology, 2);
    ck_assert_int_eq(graph_store(graph, 0)->subtopology, 2);
    ck_assert_str_eq(graph_store(graph, 0)->changelog, "shop-counts-changelog");
    graph_free(graph);
}
END_TEST

START_TEST(a_shared_store_unites)
{
    struct graph *graph = graph_new("shop");
    struct node *one = build_source(graph, "one", "p.lua:1");
    struct node *two = build_source(graph, "two", "p.lua:2");
    build_stateful(graph, one, &build_count_op, "counts", "p.lua:3");
    struct node *user = build_node(graph, &build_filter_op, "p.lua:4", two);
    ck_assert_int_eq(graph_use_store(graph, user, "counts", &err), 0);
    ck_assert_int_eq(graph_use_store(graph, user, "count", &err), -1);
    build_assert_contains(err.text, "\"count\"");
    build_finish(graph);
    ck_assert_int_eq(graph_subtopology_count(graph), 1);
    ck_assert(graph_store_needed(graph, graph_store(graph, 0), 0));
    graph_free(graph);
}
END_TEST

START_TEST(sources_of_one_topic_are_one_subtopology)
{
    struct graph *graph = graph_new("shop");
    struct node *named = build_source(graph, "orders-eu", "p.lua:1");
    struct node *other = build_source(graph, "orders-us", "p.lua:2");
    struct node *again = build_source(graph, "orders-eu", "p.lua:3");
    struct node *pattern = build_source(graph, "^orders-u.*", "p.lua:4");
    build_finish(graph);
    ck_assert_int_eq(graph_subtopology_count(graph), 2);
    ck_assert_int_eq(named->subtopology, again->subtopology);
    ck_assert_int_eq(other->subtopology, pattern->subtopology);
    graph_free(graph);
}
END_TEST

START_TEST(a_global_table_belongs_to_no_subtopology)
{
    struct graph *graph = graph_new("shop");
    struct node *global = build_reader(graph, "products", TOPIC_GLOBAL, 0, "p.lua:1");
    struct node *table = build_stateful(graph, global, &build_table_op, "products", "p.lua:1");
    struct node *orders = build_source(graph, "orders", "p.lua:2");
    struct node *clicks = build_source(graph, "clicks", "p.lua:3");
    struct node *others = build_source(graph, "others", "p.lua:4");
    ck_assert_int_eq(graph_use_store(graph, orders, "products", &err), 0);
    ck_assert_int_eq(graph_use_store(graph, clicks, "products", &err), 0);
    build_finish(graph);
    ck_assert_int_eq(graph_subtopology_count(graph), 3);
    ck_assert_int_eq(global->subtopology, -1);
    ck_assert_int_eq(table->subtopology, -1);
    ck_assert_int_eq(orders->subtopology, 0);
    ck_assert_int_eq(clicks->subtopology, 1);
    const struct graph_store *store = graph_store(graph, 0);
    ck_assert_int_eq(store->subtopology, -1);
    ck_assert(graph_store_needed(graph, store, 0));
    ck_assert(graph_store_needed(graph, store, 1));
    ck_assert(!graph_store_needed(graph, store, others->subtopology));
    graph_free(graph);
}
END_TEST

START_TEST(a_diamond_through_a_topic_is_no_cycle)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, "in", "p.lua:1");
    struct node *behind = build_repartition(graph, source, "by-user", 0, "p.lua:2");
    struct node *count = build_stateful(graph, behind, &build_count_op, "counts", "p.lua:3");
    build_join(graph, source, count, "p.lua:4");
    build_finish(graph);
    ck_assert_int_eq(graph_subtopology_count(graph), 1);
    graph_free(graph);
}
END_TEST

START_TEST(a_cycle_through_an_internal_topic_is_refused)
{
    struct graph *graph = graph_new("shop");
    const char *topic = graph_internal_name(graph, "loop", "repartition");
    struct node *source = build_reader(graph, topic, TOPIC_REPARTITION, 0, "p.lua:1");
    struct node *filter = build_node(graph, &build_filter_op, "p.lua:2", source);
    build_writer(graph, filter, topic, TOPIC_REPARTITION, 0, "p.lua:3");
    ck_assert_int_eq(graph_finish(graph, &err), -1);
    build_assert_contains(err.text, "cycle");
    build_assert_contains(err.text, "shop-loop-repartition");
    graph_free(graph);
}
END_TEST

START_TEST(a_loop_through_a_users_topic_is_legal)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, "x", "p.lua:1");
    build_sink(graph, source, "x", "p.lua:2");
    build_finish(graph);
    ck_assert_int_eq(graph_subtopology_count(graph), 1);
    graph_free(graph);
}
END_TEST

START_TEST(internal_names_must_differ)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, "in", "p.lua:1");
    build_repartition(graph, source, "by-user", 0, "p.lua:2");
    build_repartition(graph, source, "by-user", 0, "p.lua:3");
    ck_assert_int_eq(graph_finish(graph, &err), -1);
    build_assert_contains(err.text, "shop-by-user-repartition");
    build_assert_contains(err.text, "p.lua:2");
    build_assert_contains(err.text, "p.lua:3");
    graph_free(graph);
}
END_TEST

START_TEST(a_users_topic_may_not_be_an_internal_one)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, "in", "p.lua:1");
    build_stateful(graph, source, &build_count_op, "counts", "p.lua:2");
    build_sink(graph, source, "shop-counts-changelog", "p.lua:3");
    ck_assert_int_eq(graph_finish(graph, &err), -1);
    build_assert_contains(err.text, "Duplicate name");
    build_assert_contains(err.text, "p.lua:2");
    graph_free(graph);
}
END_TEST

START_TEST(names_of_topics_are_checked)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, "in", "p.lua:1");
    char longest[251];
    memset(longest, 'x', sizeof longest);
    longest[250] = '\0';
    const char *bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa4", longest};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(graph_add_topic(graph, source, bad[i], TOPIC_INPUT, false, 0, NULL, &err), -1);
        ck_assert_int_eq(err.code, ERR_TOPOLOGY);
    }
    longest[249] = '\0';
    ck_assert_int_eq(graph_add_topic(graph, source, longest, TOPIC_INPUT, false, 0, NULL, &err), 0);
    ck_assert_int_eq(graph_add_topic(graph, source, "^(", TOPIC_INPUT, true, 0, NULL, &err), -1);
    ck_assert_int_eq(graph_add_topic(graph, source, "a", TOPIC_INPUT, false, -1, NULL, &err), -1);
    ck_assert_int_eq(graph_add_topic(graph, source, "a", TOPIC_INPUT, false, 0, "newest", &err), -1);
    ck_assert_int_eq(graph_topic_count(graph), 2);
    ck_assert_int_eq(graph_add_topic(graph, source, "in", TOPIC_INPUT, false, 0, NULL, &err), 0);
    ck_assert_int_eq(graph_topic_count(graph), 2);
    graph_free(graph);
}
END_TEST

START_TEST(one_topic_has_one_reset_policy)
{
    struct graph *graph = graph_new("shop");
    struct node *one = build_source(graph, "a", "p.lua:1");
    struct node *two = build_source(graph, "b", "p.lua:2");
    ck_assert_int_eq(graph_add_topic(graph, one, "c", TOPIC_INPUT, false, 0, "earliest", &err), 0);
    ck_assert_int_eq(graph_add_topic(graph, two, "c", TOPIC_INPUT, false, 0, "latest", &err), 0);
    ck_assert_int_eq(graph_finish(graph, &err), -1);
    build_assert_contains(err.text, "\"latest\" at p.lua:2");
    graph_free(graph);
}
END_TEST

/* `variant` changes one thing. */
static struct graph *build_variant(int variant)
{
    struct graph *graph = graph_new("shop");
    struct node *source = build_source(graph, variant == 1 ? "b" : "a", "p.lua:1");
    struct node *filter = build_node(graph, variant == 2 ? &build_count_op : &build_filter_op,
                                     variant == 3 ? "p.lua:3" : "p.lua:2", source);
    struct store_spec spec = {.name = variant == 4 ? "t" : "s", .segment_ms = variant == 5 ? 1 : 0};
    if (variant != 6) {
        graph_add_store(graph, filter, &spec, &err);
    }
    build_node(graph, &build_filter_op, "p.lua:4", variant == 7 ? source : filter);
    if (variant == 8) {
        build_sink(graph, filter, "out", "p.lua:5");
    }
    build_finish(graph);
    return graph;
}

START_TEST(two_runs_are_compared)
{
    struct graph *described = build_variant(0);
    struct graph *same = build_variant(0);
    ck_assert_int_eq(graph_compare(described, same, &err), 0);
    graph_free(same);
    for (int variant = 1; variant <= 8; variant++) {
        struct graph *other = build_variant(variant);
        ck_assert_msg(graph_compare(described, other, &err) == -1, "variant %d", variant);
        ck_assert_int_eq(err.code, ERR_TOPOLOGY);
        build_assert_contains(err.text, "second run");
        graph_free(other);
    }
    graph_free(described);
}
END_TEST

static const char *form; /* of the node whose store is hashed */

static uint64_t hash_of(const struct op *op, const char *place, struct store_spec spec)
{
    struct graph *graph = graph_new("shop");
    struct node *node = build_node(graph, op, place, build_source(graph, "a", "p.lua:1"));
    if (form) {
        graph_set_form(graph, node, form);
    }
    ck_assert_int_eq(graph_add_store(graph, node, &spec, &err), 0);
    build_finish(graph);
    uint64_t hash = graph_store_hash(graph, 0);
    graph_free(graph);
    return hash;
}

START_TEST(hash_of_a_store_is_its_meaning)
{
    struct store_spec spec = {.name = "s", .kind = STORE_WINDOW, .changelog = true, .segment_ms = 1000};
    uint64_t hash = hash_of(&build_count_op, "p.lua:2", spec);
    ck_assert_uint_eq(hash, UINT64_C(12421279912960581359)); /* kept in files: never changes */
    ck_assert_uint_eq(hash_of(&build_count_op, "p.lua:9", spec), hash);
    ck_assert_uint_ne(hash_of(&build_filter_op, "p.lua:2", spec), hash);
    struct store_spec longer = spec;
    longer.retention_ms = 5;
    longer.ttl_ms = 7;
    ck_assert_uint_eq(hash_of(&build_count_op, "p.lua:2", longer), hash);
    struct store_spec other = spec;
    other.kind = STORE_SESSION;
    ck_assert_uint_ne(hash_of(&build_count_op, "p.lua:2", other), hash);
    other = spec;
    other.segment_ms = 2000;
    ck_assert_uint_ne(hash_of(&build_count_op, "p.lua:2", other), hash);
    other = spec;
    other.changelog = false;
    ck_assert_uint_ne(hash_of(&build_count_op, "p.lua:2", other), hash);
    form = "string json";
    uint64_t formed = hash_of(&build_count_op, "p.lua:2", spec);
    form = "json json";
    ck_assert_uint_ne(hash_of(&build_count_op, "p.lua:2", spec), formed);
    form = NULL;
}
END_TEST

START_TEST(a_loop_of_many_nodes_is_numbered)
{
    struct graph *graph = graph_new("shop");
    for (int i = 0; i < 500; i++) {
        char topic[32];
        snprintf(topic, sizeof topic, "in-%d", i);
        struct node *source = build_source(graph, topic, "p.lua:1");
        ck_assert_int_eq(build_node(graph, &build_filter_op, "p.lua:2", source)->id, 2 * i + 1);
    }
    build_finish(graph);
    ck_assert_int_eq(graph_subtopology_count(graph), 500);
    ck_assert_int_eq(graph_node(graph, 999)->subtopology, 499);
    ck_assert_str_eq(graph_node(graph, 999)->name, "filter@p.lua:2#500");
    graph_free(graph);
}
END_TEST

UNIT_MAIN("graph", names_are_derived_from_kind_and_place, a_derived_name_gives_way_to_a_given_one,
          duplicate_node_names_tell_both_places, duplicate_store_names_tell_both_places, edges_keep_parent_numbers,
          topics_cut_the_graph_into_subtopologies, a_shared_store_unites, sources_of_one_topic_are_one_subtopology,
          a_global_table_belongs_to_no_subtopology, a_diamond_through_a_topic_is_no_cycle,
          a_cycle_through_an_internal_topic_is_refused, a_loop_through_a_users_topic_is_legal,
          internal_names_must_differ, a_users_topic_may_not_be_an_internal_one, names_of_topics_are_checked,
          one_topic_has_one_reset_policy, two_runs_are_compared, hash_of_a_store_is_its_meaning,
          a_loop_of_many_nodes_is_numbered)
