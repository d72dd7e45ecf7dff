#include "base/json.h"
#include "tests/unit/engine/build.h"

static struct err err;

/* Everything a picture has to show: two sub-topologies, a store, a global table, a dynamic sink, a self join. */
static struct graph *build_shop(void)
{
    struct graph *graph = graph_new("shop");
    struct node *orders = build_source(graph, "orders", "p.lua:1");
    ck_assert_int_eq(graph_add_topic(graph, orders, "returns", TOPIC_INPUT, false, 0, NULL, &err), 0);
    struct node *global = build_reader(graph, "products", TOPIC_GLOBAL, 0, "p.lua:2");
    build_stateful(graph, global, &build_table_op, "products", "p.lua:2");
    struct node *join = build_join(graph, orders, orders, "p.lua:3");
    ck_assert_int_eq(graph_use_store(graph, join, "products", &err), 0);
    struct node *behind = build_repartition(graph, join, "by-user", 0, "p.lua:4");
    struct node *count = build_stateful(graph, behind, &build_count_op, "counts", "p.lua:5");
    graph_set_detail(graph, count, "per \"user\" & <day>");
    build_node(graph, &build_sink_op, "p.lua:6", count);
    build_finish(graph);
    return graph;
}

static const char *print(const struct graph *graph, enum graph_format format)
{
    static struct bytes out;
    bytes_clear(&out);
    graph_print(graph, format, &out);
    return bytes_text(&out);
}

START_TEST(text_is_kafka_streams_describe)
{
    struct graph *graph = build_shop();
    ck_assert_str_eq(print(graph, GRAPH_TEXT), "Topologies:\n"
                                               "   Sub-topology: 0\n"
                                               "    Source: stream@p.lua:1 (topics: [orders, returns])\n"
                                               "      --> join@p.lua:3\n"
                                               "    Processor: join@p.lua:3 (stores: [products])\n"
                                               "      --> to@p.lua:4\n"
                                               "      <-- stream@p.lua:1\n"
                                               "    Sink: to@p.lua:4 (topic: shop-by-user-repartition)\n"
                                               "      <-- join@p.lua:3\n"
                                               "\n"
                                               "  Sub-topology: 1\n"
                                               "    Source: stream@p.lua:4 (topics: [shop-by-user-repartition])\n"
                                               "      --> count@p.lua:5\n"
                                               "    Processor: count@p.lua:5 (stores: [counts])\n"
                                               "      --> to@p.lua:6\n"
                                               "      <-- stream@p.lua:4\n"
                                               "    Sink: to@p.lua:6 (extractor class: function at p.lua:6)\n"
                                               "      <-- count@p.lua:5\n"
                                               "\n"
                                               "  Sub-topology: 2 for global store (will not generate tasks)\n"
                                               "    Source: stream@p.lua:2 (topics: [products])\n"
                                               "      --> table@p.lua:2\n"
                                               "    Processor: table@p.lua:2 (stores: [products])\n"
                                               "      --> none\n"
                                               "      <-- stream@p.lua:2\n");
    graph_free(graph);
}
END_TEST

START_TEST(an_empty_graph_prints)
{
    struct graph *graph = graph_new("shop");
    build_finish(graph);
    ck_assert_str_eq(print(graph, GRAPH_TEXT), "Topologies:\n ");
    ck_assert_str_eq(print(graph, GRAPH_MERMAID), "flowchart LR\n");
    ck_assert_str_eq(print(graph, GRAPH_JSON), "{\"app\":\"shop\",\"subtopologies\":[],\"stores\":[]}\n");
    graph_free(graph);
}
END_TEST

START_TEST(dot_has_clusters_topics_and_stores)
{
    struct graph *graph = build_shop();
    const char *text = print(graph, GRAPH_DOT);
    build_assert_contains(text, "digraph \"shop\" {\n");
    build_assert_contains(text, "  subgraph cluster_1 {\n    label=\"Sub-topology 1\";\n");
    build_assert_contains(text, "    label=\"Global table 2\";\n");
    build_assert_contains(text, "    n6 [label=\"count@p.lua:5\\nper \\\"user\\\" & <day>\"];\n");
    build_assert_contains(text, "  t3 [shape=cds, label=\"shop-by-user-repartition\"];\n");
    build_assert_contains(text, "  n4 -> t3;\n");
    build_assert_contains(text, "  t3 -> n5;\n");
    build_assert_contains(text, "  n3 -> s0 [dir=none, style=dashed];\n");
    ck_assert_ptr_null(strstr(text, "t4 [")); /* one topic, two ends, one box */
    graph_free(graph);
}
END_TEST

START_TEST(mermaid_escapes_markup)
{
    struct graph *graph = build_shop();
    const char *text = print(graph, GRAPH_MERMAID);
    build_assert_contains(text, "flowchart LR\n  subgraph g0[\"Sub-topology 0\"]\n");
    build_assert_contains(text, "    n6[\"count@p.lua:5<br/>per #34;user#34; #38; #60;day#62;\"]\n");
    build_assert_contains(text, "    s1[(\"counts\")]\n");
    build_assert_contains(text, "  n5 --> n6\n");
    graph_free(graph);
}
END_TEST

START_TEST(json_is_valid_and_complete)
{
    struct graph *graph = build_shop();
    const char *text = print(graph, GRAPH_JSON);
    struct json_problem problem;
    ck_assert_msg(json_check(slice_of(text, strlen(text) - 1), &problem), "%s", text);
    build_assert_contains(text, "{\"app\":\"shop\",\"subtopologies\":[{\"id\":0,\"global\":false,\"nodes\":[{\"id\":0,"
                                "\"name\":\"stream@p.lua:1\",\"kind\":\"stream\",\"role\":\"source\",\"place\":"
                                "\"p.lua:1\",\"detail\":null,\"parents\":[],\"children\":[3,3],");
    build_assert_contains(text, "{\"name\":\"counts\",\"kind\":\"key_value\",\"changelog\":\"shop-counts-changelog\","
                                "\"owner\":6}");
    build_assert_contains(text, "\"detail\":\"per \\\"user\\\" & <day>\"");
    graph_free(graph);
}
END_TEST

UNIT_MAIN("graph_print", text_is_kafka_streams_describe, an_empty_graph_prints, dot_has_clusters_topics_and_stores,
          mermaid_escapes_markup, json_is_valid_and_complete)
