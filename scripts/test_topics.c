#include "scripts/test_topics.h"

#include <regex.h>
#include <string.h>

#include "scripts/program.h"

struct test_codecs test_topics_codecs(struct driver *driver, const struct node *node)
{
    struct test_codecs codecs = {&codec_string, &codec_json};
    const struct host *host = (const struct host *)driver_instance(driver, -1);
    if (node != NULL && (size_t)node->id < host->node_count) {
        const struct host_node *known = &host->nodes[node->id];
        codecs.key = known->key_codec != NULL ? known->key_codec : codecs.key;
        codecs.value = known->value_codec != NULL ? known->value_codec : codecs.value;
    }
    return codecs;
}

static bool topic_matches(const struct graph_topic *topic, const char *name)
{
    if (!topic->pattern) {
        return strcmp(topic->name, name) == 0;
    }
    regex_t pattern;
    if (regcomp(&pattern, topic->name, REG_EXTENDED | REG_NOSUB) != 0) {
        return false;
    }
    bool matches = regexec(&pattern, name, 0, NULL, 0) == 0;
    regfree(&pattern);
    return matches;
}

static const struct node *reader_of(const struct graph *graph, const char *topic)
{
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *use = graph_topic(graph, i);
        if ((use->role == TOPIC_INPUT || use->role == TOPIC_GLOBAL) && topic_matches(use, topic)) {
            return use->node;
        }
    }
    return NULL;
}

static bool names_topic(const struct graph *graph, const struct node *node)
{
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *use = graph_topic(graph, i);
        if (use->node == node && use->role == TOPIC_OUTPUT) {
            return true;
        }
    }
    return false;
}

static const struct node *writer_of(const struct graph *graph, const char *topic)
{
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *use = graph_topic(graph, i);
        if ((use->role == TOPIC_OUTPUT || use->role == TOPIC_REPARTITION) && topic_matches(use, topic)) {
            return use->node;
        }
    }
    return NULL;
}

static const struct node *chooser(const struct graph *graph)
{
    for (int id = 0; id < graph_node_count(graph); id++) {
        const struct node *node = graph_node(graph, id);
        if (node->role == NODE_SINK && node->connector == NULL && !names_topic(graph, node)) {
            return node;
        }
    }
    return NULL;
}

/* The source or the sink of that name. */
static const struct node *connector_of(const struct graph *graph, const char *name, bool sink)
{
    for (int id = 0; id < graph_node_count(graph); id++) {
        const struct node *node = graph_node(graph, id);
        if (node->connector != NULL && node->connector->sink == sink && strcmp(node->connector->name, name) == 0) {
            return node;
        }
    }
    return NULL;
}

const struct node *test_topics_reader(const struct graph *graph, const char **topic)
{
    const struct node *reader = reader_of(graph, *topic);
    const struct node *source = reader == NULL ? connector_of(graph, *topic, false) : NULL;
    if (source == NULL) {
        return reader;
    }
    *topic = source->connector->topic;
    return source;
}

const struct node *test_topics_writer(const struct graph *graph, const char **topic)
{
    const struct node *writer = writer_of(graph, *topic);
    const struct node *sink = writer == NULL ? connector_of(graph, *topic, true) : NULL;
    if (sink != NULL) {
        *topic = sink->connector->through;
        writer = connector_use_direct(sink->connector) ? sink : writer_of(graph, *topic);
    }
    return writer != NULL ? writer : chooser(graph);
}

const struct graph_store *test_topics_store(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (strcmp(store->spec.name, name) == 0) {
            return store;
        }
    }
    return NULL;
}
