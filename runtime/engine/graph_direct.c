/* Which sinks read the topic before them themselves, and the topic that is put in front of the others. */
#include "base/memory.h"
#include "engine/graph_int.h"

static const struct graph_topic *only_topic_of(const struct graph *graph, const struct node *node)
{
    const struct graph_topic *found = NULL;
    for (size_t i = 0; i < graph->topic_count; i++) {
        if (graph->topics[i].node == node && graph->topics[i].role != TOPIC_OUTPUT) { /* dead letters are one */
            if (found) {
                return NULL;
            }
            found = &graph->topics[i];
        }
    }
    return found;
}

static bool has_store(const struct graph *graph, int subtopology)
{
    for (size_t i = 0; i < graph->store_count; i++) {
        if (graph->stores[i].subtopology == subtopology) {
            return true;
        }
    }
    return false;
}

const char *graph_direct_topic(struct graph *graph, const struct node *sink)
{
    const struct node *source = NULL;
    graph_split(graph);
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = graph->nodes[i];
        bool harmless = node == sink || node->subtopology != sink->subtopology || node->per_record;
        if (!harmless && (source || node->role != NODE_SOURCE)) {
            return NULL;
        }
        source = harmless ? source : node;
    }
    const struct graph_topic *topic = source ? only_topic_of(graph, source) : NULL;
    bool plain = topic && !topic->pattern && (topic->role == TOPIC_INPUT || topic->role == TOPIC_REPARTITION);
    return plain && !has_store(graph, sink->subtopology) ? topic->name : NULL;
}

void graph_put_between(struct node *sink, struct node *writer, struct node *reader)
{
    struct node *before = sink->parents[0];
    int kept = 0;
    for (int i = 0; i < before->child_count; i++) {
        if (before->children[i] != sink) {
            before->children[kept] = before->children[i];
            before->child_parents[kept++] = before->child_parents[i];
        }
    }
    before->child_count = kept;
    sink->parents[0] = reader;
    reader->children = memory_resize(reader->children, sizeof *reader->children);
    reader->child_parents = memory_resize(reader->child_parents, sizeof *reader->child_parents);
    reader->children[0] = sink;
    reader->child_parents[0] = 0;
    reader->child_count = 1;
    writer->place = sink->place;
    reader->place = sink->place;
}
