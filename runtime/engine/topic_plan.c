#include "engine/topic_plan.h"

#include "base/memory.h"
#include "engine/topic_plan_int.h"

#include <stdlib.h>

#define DEAD_LETTER_SUFFIX "-dead-letter"

static const char *keep_text(struct topic_plan *plan, const char *text)
{
    return text == NULL ? NULL : (const char *)arena_copy(&plan->texts, slice_of(text, strlen(text) + 1)).data;
}

struct plan_entry *topic_plan_entry(const struct topic_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (strcmp(plan->entries[i].topic.name, name) == 0) {
            return &plan->entries[i];
        }
    }
    return NULL;
}

static struct plan_entry *add_entry(struct topic_plan *plan, const char *name, enum topic_role role)
{
    struct plan_entry *entry = topic_plan_entry(plan, name);
    if (entry != NULL) {
        return entry;
    }
    plan->entries = memory_grow(plan->entries, plan->entry_count, &plan->entry_capacity, sizeof(struct plan_entry));
    entry = &plan->entries[plan->entry_count];
    *entry = (struct plan_entry){.topic = {.name = keep_text(plan, name), .role = role, .subtopology = -1}};
    entry->group = (int)plan->entry_count++;
    return entry;
}

/* Kept in ascending order: nodes are attached in the order of their ids. */
static void add_source(struct plan_entry *entry, int node)
{
    int at = entry->source_count;
    while (at > 0 && entry->sources[at - 1] > node) {
        at--;
    }
    if (at > 0 && entry->sources[at - 1] == node) {
        return;
    }
    entry->sources = memory_resize(entry->sources, sizeof(int) * ((size_t)entry->source_count + 1));
    memmove(entry->sources + at + 1, entry->sources + at, sizeof(int) * (size_t)(entry->source_count - at));
    entry->sources[at] = node;
    entry->source_count++;
}

static enum reset_policy reset_of(const char *text, const struct app_settings *settings)
{
    if (text == NULL) {
        return (enum reset_policy)settings->reset;
    }
    return strcmp(text, "earliest") == 0 ? RESET_EARLIEST : strcmp(text, "latest") == 0 ? RESET_LATEST : RESET_ERROR;
}

/* Within one entry the role that is read wins: an output that the app reads back is an input that it writes. */
static void use_topic(struct topic_plan *plan, const struct graph_topic *use, const struct app_settings *settings)
{
    struct plan_entry *entry = add_entry(plan, use->name, use->role);
    struct planned_topic *topic = &entry->topic;
    bool internal = use->role == TOPIC_REPARTITION || use->role == TOPIC_POSITIONS;
    bool reads = use->role != TOPIC_OUTPUT && use->node->role == NODE_SOURCE;
    topic->internal = topic->internal || internal;
    topic->written = topic->written || !reads || use->role == TOPIC_POSITIONS;
    entry->wished = use->partitions > entry->wished ? use->partitions : entry->wished;
    if (!reads) {
        return;
    }
    add_source(entry, use->node->id);
    if (use->role == TOPIC_GLOBAL && topic->role == TOPIC_INPUT) {
        return;
    }
    topic->role = use->role;
    if (use->role == TOPIC_GLOBAL) {
        return;
    }
    topic->subtopology = use->node->subtopology;
    if (!entry->by_name || use->reset != NULL) {
        entry->reset = internal ? RESET_EARLIEST : reset_of(use->reset, settings);
    }
    entry->by_name = true;
}

static void use_changelogs(struct topic_plan *plan, const struct graph *graph)
{
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (store->changelog == NULL) {
            continue;
        }
        struct planned_topic *topic = &add_entry(plan, store->changelog, TOPIC_OUTPUT)->topic;
        topic->changelog = true;
        topic->internal = true;
        topic->written = true;
        topic->subtopology = store->subtopology;
        topic->store = keep_text(plan, store->spec.name);
    }
}

static bool needs_dead_letter(const struct graph *graph, const struct app_settings *settings)
{
    bool needed = settings->on_error == POLICY_DEAD_LETTER;
    for (int i = 0; i < graph_node_count(graph) && !needed; i++) {
        const struct node *node = graph_node(graph, i);
        needed = node->policy == POLICY_DEAD_LETTER || node->policy_by_function;
    }
    return needed;
}

static void use_dead_letter(struct topic_plan *plan, const struct graph *graph, const struct app_settings *settings)
{
    if (!needs_dead_letter(graph, settings)) {
        return;
    }
    char *derived = memory_format("%s" DEAD_LETTER_SUFFIX, graph_app(graph));
    bool named = settings->dead_letter != NULL && settings->dead_letter[0] != '\0';
    struct plan_entry *entry = add_entry(plan, named ? settings->dead_letter : derived, TOPIC_OUTPUT);
    entry->topic.internal = entry->topic.internal || strcmp(entry->topic.name, derived) == 0;
    entry->topic.written = true;
    entry->everywhere = true;
    free(derived);
}

static void add_pattern(struct topic_plan *plan, const struct graph_topic *use, const struct app_settings *settings)
{
    plan->patterns =
        memory_grow(plan->patterns, plan->pattern_count, &plan->pattern_capacity, sizeof(struct plan_pattern));
    struct plan_pattern *pattern = &plan->patterns[plan->pattern_count];
    *pattern = (struct plan_pattern){.text = keep_text(plan, use->name),
                                     .node = use->node->id,
                                     .subtopology = use->node->subtopology,
                                     .reset = reset_of(use->reset, settings)};
    /* The graph has compiled it before; should it fail nevertheless, there is nothing to free and nothing to match. */
    if (regcomp(&pattern->regex, pattern->text, REG_EXTENDED | REG_NOSUB) == 0) {
        plan->pattern_count++;
    }
}

static bool matches(const struct plan_pattern *pattern, const char *topic)
{
    return regexec(&pattern->regex, topic, 0, NULL, 0) == 0;
}

static int match_topic(struct topic_plan *plan, const char *name, struct err *err)
{
    for (size_t i = 0; i < plan->pattern_count; i++) {
        const struct plan_pattern *pattern = &plan->patterns[i];
        if (!matches(pattern, name)) {
            continue;
        }
        struct plan_entry *entry = add_entry(plan, name, TOPIC_INPUT);
        if (entry->topic.internal) {
            return 0;
        }
        if (entry->topic.subtopology >= 0 && entry->topic.subtopology != pattern->subtopology) {
            return err_set(
                err, ERR_FATAL, ERR_TOPOLOGY,
                "The topic \"%s\" matches the pattern \"%s\", but another part of the topology reads it too. A "
                "topic has one reader: make the patterns exclusive, or branch one stream.",
                name, pattern->text);
        }
        if (entry->source_count == 0) {
            entry->reset = pattern->reset;
        }
        entry->topic.role = TOPIC_INPUT;
        entry->topic.subtopology = pattern->subtopology;
        add_source(entry, pattern->node);
    }
    return 0;
}

/* Names that begin with two underscores are Kafka's own. */
static int use_matching(struct topic_plan *plan, struct transport *transport, struct err *err)
{
    struct option_list names = {0};
    if (plan->pattern_count == 0) {
        return 0;
    }
    if (transport->class->list_topics(transport, &names, err) != 0) {
        return err_wrap(err, "looking for the topics that match \"%s\"", plan->patterns[0].text);
    }
    int result = 0;
    for (size_t i = 0; i < names.count; i++) {
        if (result == 0 && strncmp(names.items[i], "__", 2) != 0) {
            result = match_topic(plan, names.items[i], err);
        }
        free(names.items[i]);
    }
    free(names.items);
    return result;
}

static int gather(struct topic_plan *plan, const struct plan_request *request, struct err *err)
{
    for (int i = 0; i < graph_topic_count(request->graph); i++) {
        const struct graph_topic *use = graph_topic(request->graph, i);
        if (use->pattern) {
            add_pattern(plan, use, request->settings);
        } else {
            use_topic(plan, use, request->settings);
        }
    }
    use_changelogs(plan, request->graph);
    use_dead_letter(plan, request->graph, request->settings);
    return use_matching(plan, request->transport, err);
}

static void subscribe(struct topic_plan *plan, const char *topic, enum reset_policy reset)
{
    for (size_t i = 0; i < plan->subscription_count; i++) {
        if (strcmp(plan->subscriptions[i].topic, topic) == 0) {
            return;
        }
    }
    plan->subscriptions = memory_grow(plan->subscriptions, plan->subscription_count, &plan->subscription_capacity,
                                      sizeof(struct subscription));
    plan->subscriptions[plan->subscription_count++] = (struct subscription){topic, reset};
}

static void collect_subscriptions(struct topic_plan *plan)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (plan->entries[i].by_name) {
            subscribe(plan, plan->entries[i].topic.name, plan->entries[i].reset);
        }
    }
    for (size_t i = 0; i < plan->pattern_count; i++) {
        subscribe(plan, plan->patterns[i].text, plan->patterns[i].reset);
    }
}

static int make(struct topic_plan *plan, const struct plan_request *request, struct err *err)
{
    if (gather(plan, request, err) != 0 || topic_create_look(plan, request, err) != 0 ||
        topic_shape_derive(plan, request, err) != 0 || topic_create_check(plan, request, err) != 0) {
        return -1;
    }
    if (!request->dry_run && topic_create_missing(plan, request, err) != 0) {
        return -1;
    }
    collect_subscriptions(plan);
    return 0;
}

int topic_plan_make(const struct graph *graph, const struct app_settings *settings, struct transport *transport,
                    bool create, bool dry_run, bool (*stopped)(void), struct topic_plan **plan, struct err *err)
{
    struct plan_request request = {graph, settings, transport, create, dry_run, stopped};
    struct topic_plan *made = memory_alloc(sizeof *made);
    made->texts.chunk_size = 4096;
    made->subtopology_count = graph_subtopology_count(graph);
    made->partitions = memory_alloc(sizeof(int32_t) * (size_t)made->subtopology_count);
    if (make(made, &request, err) != 0) {
        topic_plan_free(made);
        return -1;
    }
    *plan = made;
    return 0;
}

void topic_plan_free(struct topic_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (size_t i = 0; i < plan->entry_count; i++) {
        free(plan->entries[i].sources);
    }
    for (size_t i = 0; i < plan->pattern_count; i++) {
        regfree(&plan->patterns[i].regex);
    }
    free(plan->entries);
    free(plan->patterns);
    free(plan->subscriptions);
    free(plan->partitions);
    arena_free(&plan->texts);
    free(plan);
}

int topic_plan_count(const struct topic_plan *plan)
{
    return (int)plan->entry_count;
}

const struct planned_topic *topic_plan_get(const struct topic_plan *plan, int index)
{
    return &plan->entries[index].topic;
}

const struct planned_topic *topic_plan_find(const struct topic_plan *plan, const char *name)
{
    struct plan_entry *entry = topic_plan_entry(plan, name);
    return entry != NULL ? &entry->topic : NULL;
}

int32_t topic_plan_partitions(const struct topic_plan *plan, int subtopology)
{
    return plan->partitions[subtopology];
}

/* A topic that came up after the plan: -1 as well when patterns of two sub-topologies want it. */
static int reader_by_pattern(const struct topic_plan *plan, const char *topic)
{
    int reader = -1;
    for (size_t i = 0; i < plan->pattern_count; i++) {
        if (!matches(&plan->patterns[i], topic)) {
            continue;
        }
        if (reader >= 0 && reader != plan->patterns[i].subtopology) {
            return -1;
        }
        reader = plan->patterns[i].subtopology;
    }
    return reader;
}

int topic_plan_reader(const struct topic_plan *plan, const char *topic, int *node)
{
    const struct plan_entry *entry = topic_plan_entry(plan, topic);
    int reader = -1;
    if (entry == NULL) {
        reader = reader_by_pattern(plan, topic);
    } else if (entry->source_count > 0) {
        reader = entry->topic.subtopology;
    }
    if (reader >= 0 && node != NULL) {
        *node = topic_plan_source(plan, topic, 0);
    }
    return reader;
}

int topic_plan_source(const struct topic_plan *plan, const char *topic, int index)
{
    const struct plan_entry *entry = topic_plan_entry(plan, topic);
    if (entry != NULL) {
        return index < entry->source_count ? entry->sources[index] : -1;
    }
    for (size_t i = 0; i < plan->pattern_count; i++) {
        if (matches(&plan->patterns[i], topic) && index-- == 0) {
            return plan->patterns[i].node;
        }
    }
    return -1;
}

const struct subscription *topic_plan_subscriptions(const struct topic_plan *plan, size_t *count)
{
    *count = plan->subscription_count;
    return plan->subscriptions;
}
