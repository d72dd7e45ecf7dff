/* Pictures of a graph: Kafka Streams' TopologyDescription text, Graphviz, Mermaid, JSON.
 *
 * All of them go by section: the sub-topologies in order, then one section per global table.
 */
#include "base/json_write.h"
#include "engine/connector.h"
#include "engine/graph_int.h"

#include <stdio.h>

/* The root of a global table's nodes: its source; NULL for nodes of sub-topologies. */
static const struct node *global_root(const struct node *node)
{
    if (node->subtopology >= 0) {
        return NULL;
    }
    while (node->parent_count > 0) {
        node = node->parents[0];
    }
    return node;
}

static int section_count(const struct graph *graph)
{
    int count = graph->subtopology_count;
    for (size_t i = 0; i < graph->node_count; i++) {
        count += global_root(graph->nodes[i]) == graph->nodes[i];
    }
    return count;
}

/* The global source behind a section number, NULL for a sub-topology's. */
static const struct node *section_root(const struct graph *graph, int section)
{
    int number = graph->subtopology_count - 1;
    for (size_t i = 0; i < graph->node_count; i++) {
        number += global_root(graph->nodes[i]) == graph->nodes[i];
        if (number == section && section >= graph->subtopology_count) {
            return graph->nodes[i];
        }
    }
    return NULL;
}

static bool in_section(const struct graph *graph, const struct node *node, int section)
{
    if (section < graph->subtopology_count) {
        return node->subtopology == section;
    }
    return node->subtopology < 0 && global_root(node) == section_root(graph, section);
}

static bool uses(const struct graph_store *store, const struct node *node)
{
    for (int i = 0; i < store->user_count; i++) {
        if (store->users[i] == node) {
            return true;
        }
    }
    return false;
}

static bool comes_again(struct node *const *list, int index)
{
    for (int i = 0; i < index; i++) {
        if (list[i] == list[index]) {
            return true;
        }
    }
    return false;
}

/* ---- text ---- */

static void text_names(struct node *const *list, int count, struct bytes *out)
{
    if (count == 0) {
        bytes_append_text(out, "none");
    }
    for (int i = 0; i < count; i++) {
        if (!comes_again(list, i)) { /* a stream joined with itself */
            bytes_append_format(out, "%s%s", i > 0 ? ", " : "", list[i]->name);
        }
    }
}

static int text_topics(const struct graph *graph, const struct node *node, struct bytes *out)
{
    int count = 0;
    for (size_t i = 0; i < graph->topic_count; i++) {
        if (graph->topics[i].node == node) {
            bytes_append_format(out, "%s%s", count > 0 ? ", " : "", graph->topics[i].name);
            count++;
        }
    }
    return count;
}

static int text_stores(const struct graph *graph, const struct node *node, struct bytes *out)
{
    int count = 0;
    for (size_t i = 0; i < graph->store_count; i++) {
        if (uses(&graph->stores[i], node)) {
            bytes_append_format(out, "%s%s", count > 0 ? ", " : "", graph->stores[i].spec.name);
            count++;
        }
    }
    return count;
}

static void text_source(const struct graph *graph, const struct node *node, struct bytes *out)
{
    struct bytes stores = {0};
    bytes_append_format(out, "    Source: %s (topics: [", node->name);
    text_topics(graph, node, out);
    bytes_append_text(out, "]");
    if (text_stores(graph, node, &stores) > 0) { /* a table's source keeps its store itself */
        bytes_append_format(out, ", stores: [%s]", bytes_text(&stores));
    }
    if (node->connector) {
        bytes_append_format(out, ", connector: %s", node->connector->connector->kind);
    }
    bytes_append_text(out, ")\n      --> ");
    text_names(node->children, node->child_count, out);
    bytes_append_text(out, "\n");
    bytes_free(&stores);
}

static void text_sink(const struct graph *graph, const struct node *node, struct bytes *out)
{
    struct bytes topics = {0};
    bytes_append_format(out, "    Sink: %s (", node->name);
    if (text_topics(graph, node, &topics) > 0) {
        bytes_append_format(out, "topic: %s", bytes_text(&topics));
    } else if (node->connector) {
        bytes_append_format(out, "connector: %s", node->connector->connector->kind);
    } else {
        bytes_append_format(out, "extractor class: function at %s", graph_place(node));
    }
    bytes_append_text(out, ")\n      <-- ");
    text_names(node->parents, node->parent_count, out);
    bytes_append_text(out, "\n");
    bytes_free(&topics);
}

static void text_processor(const struct graph *graph, const struct node *node, struct bytes *out)
{
    bytes_append_format(out, "    Processor: %s (stores: [", node->name);
    text_stores(graph, node, out);
    bytes_append_text(out, "])\n      --> ");
    text_names(node->children, node->child_count, out);
    bytes_append_text(out, "\n      <-- ");
    text_names(node->parents, node->parent_count, out);
    bytes_append_text(out, "\n");
}

static void text_node(const struct graph *graph, const struct node *node, struct bytes *out)
{
    switch (node->role) {
    case NODE_SOURCE:
        text_source(graph, node, out);
        break;
    case NODE_SINK:
        text_sink(graph, node, out);
        break;
    case NODE_OPERATOR:
        text_processor(graph, node, out);
        break;
    }
}

/* The odd indentation and the missing blank line behind global stores are Kafka Streams'. */
static void print_text(const struct graph *graph, struct bytes *out)
{
    bytes_append_text(out, "Topologies:\n ");
    for (int section = 0; section < section_count(graph); section++) {
        bool global = section >= graph->subtopology_count;
        bytes_append_format(out, "  Sub-topology: %d%s\n", section,
                            global ? " for global store (will not generate tasks)" : "");
        for (size_t i = 0; i < graph->node_count; i++) {
            if (in_section(graph, graph->nodes[i], section)) {
                text_node(graph, graph->nodes[i], out);
            }
        }
        bytes_append_text(out, global ? "" : "\n");
    }
}

/* ---- Graphviz and Mermaid: the same walk, two dialects ---- */

struct dialect {
    void (*quote)(const char *text, struct bytes *out);
    const char *begin_section; /* number, title */
    const char *end_section;
    const char *node; /* before and after the label, by role */
    const char *operator_end, *source_end, *sink_end;
    const char *topic_begin, *topic_end;
    const char *store_begin, *store_end;
    const char *arrow; /* "%s%d", "%s%d" */
    const char *line;
    const char *line_break;
};

static void quote_dot(const char *text, struct bytes *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            bytes_append_byte(out, '\\');
        }
        bytes_append_byte(out, (unsigned char)(*text == '\n' ? ' ' : *text));
    }
}

/* Entities for everything that Mermaid or a browser would take as markup. */
static void quote_mermaid(const char *text, struct bytes *out)
{
    for (; *text != '\0'; text++) {
        if (strchr("\"<>&#`\\\n", *text) != NULL) {
            bytes_append_format(out, "#%d;", *text);
        } else {
            bytes_append_byte(out, (unsigned char)*text);
        }
    }
}

static const struct dialect dot = {
    .quote = quote_dot,
    .begin_section = "  subgraph cluster_%d {\n    label=\"%s\";\n",
    .end_section = "  }\n",
    .node = "    n%d [label=\"",
    .operator_end = "\"];\n",
    .source_end = "\", style=rounded];\n",
    .sink_end = "\", style=rounded];\n",
    .topic_begin = "  t%d [shape=cds, label=\"",
    .topic_end = "\"];\n",
    .store_begin = "    s%d [shape=cylinder, label=\"",
    .store_end = "\"];\n",
    .arrow = "  %s%d -> %s%d;\n",
    .line = "  %s%d -> %s%d [dir=none, style=dashed];\n",
    .line_break = "\\n",
};

static const struct dialect mermaid = {
    .quote = quote_mermaid,
    .begin_section = "  subgraph g%d[\"%s\"]\n",
    .end_section = "  end\n",
    .node = "    n%d[\"",
    .operator_end = "\"]\n",
    .source_end = "\"]\n",
    .sink_end = "\"]\n",
    .topic_begin = "  t%d>\"",
    .topic_end = "\"]\n",
    .store_begin = "    s%d[(\"",
    .store_end = "\")]\n",
    .arrow = "  %s%d --> %s%d\n",
    .line = "  %s%d -.- %s%d\n",
    .line_break = "<br/>",
};

static void draw_node(const struct dialect *dialect, const struct node *node, struct bytes *out)
{
    const char *ends[] = {dialect->operator_end, dialect->source_end, dialect->sink_end};
    char begin[64];
    snprintf(begin, sizeof begin, dialect->node, node->id);
    bytes_append_text(out, begin);
    dialect->quote(node->name, out);
    if (node->detail != NULL) {
        bytes_append_text(out, dialect->line_break);
        dialect->quote(node->detail, out);
    }
    bytes_append_text(out, ends[node->role]);
}

/* Formats come from the dialects above only. */
static void draw_label(const struct dialect *dialect, const char *begin, int number, const char *text, const char *end,
                       struct bytes *out)
{
    char buffer[64];
    snprintf(buffer, sizeof buffer, begin, number);
    bytes_append_text(out, buffer);
    dialect->quote(text, out);
    bytes_append_text(out, end);
}

static void draw_edge(const char *format, const char *from_kind, int from, const char *to_kind, int to,
                      struct bytes *out)
{
    char buffer[96];
    snprintf(buffer, sizeof buffer, format, from_kind, from, to_kind, to);
    bytes_append_text(out, buffer);
}

static void draw_section(const struct dialect *dialect, const struct graph *graph, int section, struct bytes *out)
{
    char title[64];
    char buffer[160];
    snprintf(title, sizeof title, section < graph->subtopology_count ? "Sub-topology %d" : "Global table %d", section);
    snprintf(buffer, sizeof buffer, dialect->begin_section, section, title);
    bytes_append_text(out, buffer);
    for (size_t i = 0; i < graph->node_count; i++) {
        if (in_section(graph, graph->nodes[i], section)) {
            draw_node(dialect, graph->nodes[i], out);
        }
    }
    for (size_t i = 0; i < graph->store_count; i++) {
        if (in_section(graph, graph->stores[i].owner, section)) {
            draw_label(dialect, dialect->store_begin, (int)i, graph->stores[i].spec.name, dialect->store_end, out);
        }
    }
    bytes_append_text(out, dialect->end_section);
}

/* A topic is drawn once: its number is that of its first use. */
static int topic_number(const struct graph *graph, size_t use)
{
    for (size_t i = 0; i < use; i++) {
        if (strcmp(graph->topics[i].name, graph->topics[use].name) == 0) {
            return (int)i;
        }
    }
    return (int)use;
}

static bool reads(const struct graph_topic *use)
{
    return use->node->role == NODE_SOURCE && use->role != TOPIC_OUTPUT;
}

static void draw_topics(const struct dialect *dialect, const struct graph *graph, struct bytes *out)
{
    for (size_t i = 0; i < graph->topic_count; i++) {
        if (topic_number(graph, i) == (int)i) {
            draw_label(dialect, dialect->topic_begin, (int)i, graph->topics[i].name, dialect->topic_end, out);
        }
    }
    for (size_t i = 0; i < graph->topic_count; i++) {
        const struct graph_topic *use = &graph->topics[i];
        int topic = topic_number(graph, i);
        if (reads(use)) {
            draw_edge(dialect->arrow, "t", topic, "n", use->node->id, out);
        } else {
            draw_edge(dialect->arrow, "n", use->node->id, "t", topic, out);
        }
    }
}

static void draw(const struct dialect *dialect, const struct graph *graph, struct bytes *out)
{
    for (int section = 0; section < section_count(graph); section++) {
        draw_section(dialect, graph, section, out);
    }
    draw_topics(dialect, graph, out);
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = graph->nodes[i];
        for (int j = 0; j < node->child_count; j++) {
            draw_edge(dialect->arrow, "n", node->id, "n", node->children[j]->id, out);
        }
    }
    for (size_t i = 0; i < graph->store_count; i++) {
        for (int j = 0; j < graph->stores[i].user_count; j++) {
            draw_edge(dialect->line, "n", graph->stores[i].users[j]->id, "s", (int)i, out);
        }
    }
}

static void print_dot(const struct graph *graph, struct bytes *out)
{
    bytes_append_text(out, "digraph \"");
    quote_dot(graph->app, out);
    bytes_append_text(out, "\" {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    draw(&dot, graph, out);
    bytes_append_text(out, "}\n");
}

static void print_mermaid(const struct graph *graph, struct bytes *out)
{
    bytes_append_text(out, "flowchart LR\n");
    draw(&mermaid, graph, out);
}

/* ---- JSON ---- */

static const char *const node_roles[] = {"operator", "source", "sink"};
static const char *const topic_roles[] = {"input", "output", "repartition", "global", "positions"};
static const char *const store_kinds[] = {"key_value", "window", "session"};

static void write_text(struct json_writer *writer, const char *name, const char *text)
{
    json_name(writer, slice_text(name));
    json_text(writer, text);
}

static void write_integer(struct json_writer *writer, const char *name, int64_t value)
{
    json_name(writer, slice_text(name));
    json_integer(writer, value);
}

static void write_ids(struct json_writer *writer, const char *name, struct node *const *list, int count)
{
    json_name(writer, slice_text(name));
    json_begin_array(writer);
    for (int i = 0; i < count; i++) {
        json_integer(writer, list[i]->id);
    }
    json_end_array(writer);
}

static void write_topics(struct json_writer *writer, const struct graph *graph, const struct node *node)
{
    json_name(writer, slice_text("topics"));
    json_begin_array(writer);
    for (size_t i = 0; i < graph->topic_count; i++) {
        const struct graph_topic *topic = &graph->topics[i];
        if (topic->node != node) {
            continue;
        }
        json_begin_object(writer);
        write_text(writer, "name", topic->name);
        write_text(writer, "role", topic_roles[topic->role]);
        json_name(writer, slice_text("pattern"));
        json_bool(writer, topic->pattern);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void write_stores(struct json_writer *writer, const struct graph *graph, const struct node *node)
{
    json_name(writer, slice_text("stores"));
    json_begin_array(writer);
    for (size_t i = 0; i < graph->store_count; i++) {
        if (uses(&graph->stores[i], node)) {
            json_text(writer, graph->stores[i].spec.name);
        }
    }
    json_end_array(writer);
}

static void write_node(struct json_writer *writer, const struct graph *graph, const struct node *node)
{
    json_begin_object(writer);
    write_integer(writer, "id", node->id);
    write_text(writer, "name", node->name);
    write_text(writer, "kind", node->op->kind);
    write_text(writer, "role", node_roles[node->role]);
    write_text(writer, "place", node->place);
    write_text(writer, "detail", node->detail);
    write_ids(writer, "parents", node->parents, node->parent_count);
    write_ids(writer, "children", node->children, node->child_count);
    write_topics(writer, graph, node);
    write_stores(writer, graph, node);
    json_end_object(writer);
}

static void write_section(struct json_writer *writer, const struct graph *graph, int section)
{
    json_begin_object(writer);
    write_integer(writer, "id", section);
    json_name(writer, slice_text("global"));
    json_bool(writer, section >= graph->subtopology_count);
    json_name(writer, slice_text("nodes"));
    json_begin_array(writer);
    for (size_t i = 0; i < graph->node_count; i++) {
        if (in_section(graph, graph->nodes[i], section)) {
            write_node(writer, graph, graph->nodes[i]);
        }
    }
    json_end_array(writer);
    json_end_object(writer);
}

static void write_store(struct json_writer *writer, const struct graph_store *store)
{
    json_begin_object(writer);
    write_text(writer, "name", store->spec.name);
    write_text(writer, "kind", store_kinds[store->spec.kind]);
    write_text(writer, "changelog", store->changelog);
    write_integer(writer, "owner", store->owner->id);
    json_end_object(writer);
}

static void write_json(const struct graph *graph, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    write_text(&writer, "app", graph->app);
    json_name(&writer, slice_text("subtopologies"));
    json_begin_array(&writer);
    for (int section = 0; section < section_count(graph); section++) {
        write_section(&writer, graph, section);
    }
    json_end_array(&writer);
    json_name(&writer, slice_text("stores"));
    json_begin_array(&writer);
    for (size_t i = 0; i < graph->store_count; i++) {
        write_store(&writer, &graph->stores[i]);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    bytes_append_text(out, "\n");
}

void graph_print(const struct graph *graph, enum graph_format format, struct bytes *out)
{
    switch (format) {
    case GRAPH_TEXT:
        print_text(graph, out);
        break;
    case GRAPH_DOT:
        print_dot(graph, out);
        break;
    case GRAPH_MERMAID:
        print_mermaid(graph, out);
        break;
    case GRAPH_JSON:
        write_json(graph, out);
        break;
    }
}
