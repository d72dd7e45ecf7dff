/* Partition counts: those of topics that the runtime makes follow from those that are given.
 *
 * Given are topics that exist and counts that the script wishes for. A repartition topic takes the count of the topics
 * it must be co-partitioned with, else the largest of the inputs of the sub-topologies that write it. Sub-topologies
 * may feed each other (foreign-key joins), so this runs in rounds until nothing is left open.
 */
#include "base/memory.h"
#include "engine/topic_plan_int.h"

#include <stdlib.h>

static bool subscribed(const struct plan_entry *entry)
{
    return entry->source_count > 0 && entry->topic.subtopology >= 0;
}

static int32_t default_partitions(const struct plan_request *request)
{
    return request->settings->partitions > 0 ? (int32_t)request->settings->partitions : 1;
}

/* ---- groups of co-partitioned topics ---- */

/* Marks the node and everything above it; parents have smaller ids than their children. */
static void mark_ancestors(const struct graph *graph, const struct node *node, bool *marked)
{
    marked[node->id] = true;
    for (int id = node->id; id >= 0; id--) {
        const struct node *at = graph_node(graph, id);
        for (int i = 0; marked[id] && i < at->parent_count; i++) {
            marked[at->parents[i]->id] = true;
        }
    }
}

static bool *mark_pair(const struct graph *graph, int pair)
{
    const struct node *one;
    const struct node *other;
    bool *marked = memory_alloc(sizeof(bool) * (size_t)graph_node_count(graph));
    graph_copartition_pair(graph, pair, &one, &other);
    mark_ancestors(graph, one, marked);
    mark_ancestors(graph, other, marked);
    return marked;
}

static bool read_by(const struct plan_entry *entry, const bool *marked)
{
    for (int i = 0; subscribed(entry) && i < entry->source_count; i++) {
        if (marked[entry->sources[i]]) {
            return true;
        }
    }
    return false;
}

static void rename_group(struct topic_plan *plan, int from, int to)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (plan->entries[i].group == from) {
            plan->entries[i].group = to;
        }
    }
}

static void form_groups(struct topic_plan *plan, const struct graph *graph)
{
    for (int pair = 0; pair < graph_copartition_count(graph); pair++) {
        bool *marked = mark_pair(graph, pair);
        int group = -1;
        for (size_t i = 0; i < plan->entry_count; i++) {
            if (!read_by(&plan->entries[i], marked)) {
                continue;
            }
            if (group >= 0) {
                rename_group(plan, plan->entries[i].group, group);
            }
            group = plan->entries[i].group;
        }
        free(marked);
    }
}

static bool alone(const struct topic_plan *plan, const struct plan_entry *entry)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (&plan->entries[i] != entry && plan->entries[i].group == entry->group) {
            return false;
        }
    }
    return true;
}

/* ---- what is given ---- */

static bool keeps_state(const struct graph *graph, int subtopology)
{
    for (int i = 0; i < graph_store_count(graph); i++) {
        if (graph_store(graph, i)->subtopology == subtopology) {
            return true;
        }
    }
    return false;
}

/* A repartition topic that exists is taken as it is where nothing depends on its count. */
static bool count_is_free(const struct topic_plan *plan, const struct plan_entry *entry, const struct graph *graph)
{
    return entry->topic.role == TOPIC_REPARTITION && entry->wished == 0 && alone(plan, entry) &&
           !keeps_state(graph, entry->topic.subtopology);
}

static void take_given(struct topic_plan *plan, const struct graph *graph)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        bool bound = entry->topic.internal && !entry->everywhere && !count_is_free(plan, entry, graph);
        if (entry->topic.exists && !bound) {
            entry->topic.partitions = entry->info.partitions;
        } else if (entry->wished > 0) {
            entry->topic.partitions = entry->wished;
        }
        entry->fixed = entry->topic.partitions > 0;
    }
}

/* ---- rounds ---- */

/* Largest count among the inputs of a sub-topology; *open: whether some are not known yet. */
static int32_t largest_input(const struct topic_plan *plan, int subtopology, bool *open)
{
    int32_t largest = 0;
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (subscribed(entry) && entry->topic.subtopology == subtopology) {
            *open = *open || entry->topic.partitions == 0;
            largest = entry->topic.partitions > largest ? entry->topic.partitions : largest;
        }
    }
    return largest;
}

/* The same over all sub-topologies that write a topic. */
static int32_t largest_of_writers(const struct topic_plan *plan, const struct graph *graph,
                                  const struct plan_entry *entry, bool *open)
{
    int32_t largest = 0;
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *use = graph_topic(graph, i);
        bool writes = use->role == TOPIC_OUTPUT || use->node->role != NODE_SOURCE;
        if (writes && use->node->subtopology >= 0 && strcmp(use->name, entry->topic.name) == 0) {
            int32_t count = largest_input(plan, use->node->subtopology, open);
            largest = count > largest ? count : largest;
        }
    }
    return largest;
}

/* What the topic would have by itself; 0: not known yet. */
static int32_t derive(const struct topic_plan *plan, const struct plan_request *request, const struct plan_entry *entry,
                      bool forced)
{
    bool open = false;
    int32_t count = largest_of_writers(plan, request->graph, entry, &open);
    if (entry->topic.role == TOPIC_INPUT && subscribed(entry)) {
        bool siblings_open = false;
        int32_t siblings = largest_input(plan, entry->topic.subtopology, &siblings_open);
        if (siblings > 0) {
            return siblings;
        }
    }
    if (count > 0 && (!open || forced)) {
        return count;
    }
    return forced ? default_partitions(request) : 0;
}

static bool is_open(const struct plan_entry *entry)
{
    return entry->source_count > 0 && entry->topic.partitions == 0 && entry->own == 0;
}

static void derive_all(struct topic_plan *plan, const struct plan_request *request)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        if (is_open(entry)) {
            entry->own = derive(plan, request, entry, false);
        }
    }
}

/* What a group has: the given count of a member, else the largest once every member knows its own. */
static int32_t group_count(const struct topic_plan *plan, int group)
{
    int32_t largest = 0;
    bool complete = true;
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (entry->group != group) {
            continue;
        }
        if (entry->fixed) {
            return entry->topic.partitions;
        }
        complete = complete && entry->own > 0;
        largest = entry->own > largest ? entry->own : largest;
    }
    return complete ? largest : 0;
}

static bool settle(struct topic_plan *plan)
{
    bool changed = false;
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        if (entry->source_count > 0 && entry->topic.partitions == 0) {
            entry->topic.partitions = group_count(plan, entry->group);
            changed = changed || entry->topic.partitions > 0;
        }
    }
    return changed;
}

/* Nothing moves any more: the first open topic goes by what is known. False: none is open. */
static bool force_one(struct topic_plan *plan, const struct plan_request *request)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        if (is_open(entry)) {
            entry->own = derive(plan, request, entry, true);
            return true;
        }
    }
    return false;
}

/* The first open topic of every sub-topology that reads nothing which the app writes: it can't learn from the others,
 * and a round for each of a thousand would take seconds. */
static bool force_independent(struct topic_plan *plan, const struct plan_request *request)
{
    bool *passed = memory_alloc(sizeof(bool) * (size_t)plan->subtopology_count);
    bool forced = false;
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (subscribed(entry) && entry->topic.written) {
            passed[entry->topic.subtopology] = true;
        }
    }
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        if (is_open(entry) && subscribed(entry) && !passed[entry->topic.subtopology]) {
            entry->own = derive(plan, request, entry, true);
            passed[entry->topic.subtopology] = true;
            forced = true;
        }
    }
    free(passed);
    return forced;
}

static void derive_read(struct topic_plan *plan, const struct plan_request *request)
{
    bool moving = true;
    while (moving) {
        derive_all(plan, request);
        moving = settle(plan) || force_independent(plan, request) || force_one(plan, request);
    }
}

static int32_t largest_of_all(const struct topic_plan *plan)
{
    int32_t largest = 0;
    for (int i = 0; i < plan->subtopology_count; i++) {
        largest = plan->partitions[i] > largest ? plan->partitions[i] : largest;
    }
    return largest;
}

/* Topics that are only written; nothing depends on them. */
static void derive_written(struct topic_plan *plan, const struct plan_request *request)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        if (entry->topic.partitions > 0) {
            continue;
        }
        if (entry->topic.changelog && entry->topic.subtopology >= 0) {
            entry->topic.partitions = plan->partitions[entry->topic.subtopology];
        } else if (entry->everywhere) {
            entry->topic.partitions = largest_of_all(plan);
        } else {
            entry->topic.partitions = derive(plan, request, entry, true);
        }
    }
}

/* ---- check ---- */

static int report_unequal(const struct graph *graph, int pair, const struct planned_topic *one,
                          const struct planned_topic *other, struct err *err)
{
    const struct node *left;
    const struct node *right;
    graph_copartition_pair(graph, pair, &left, &right);
    const struct planned_topic *few = one->partitions < other->partitions ? one : other;
    const struct planned_topic *many = few == one ? other : one;
    return err_set(
        err, ERR_FATAL, ERR_TOPIC,
        "The topics \"%s\" (%d partitions) and \"%s\" (%d partitions) are joined (%s at %s with %s at %s), and "
        "a join needs equal partition counts. Bring one side over with "
        ":repartition { name = \"%s-by-key\", partitions = %d }, or create both topics with the same count.",
        one->name, (int)one->partitions, other->name, (int)other->partitions, left->name,
        left->place != NULL ? left->place : "the script", right->name,
        right->place != NULL ? right->place : "the script", few->name, (int)many->partitions);
}

static int check_pair(const struct topic_plan *plan, const struct graph *graph, int pair, struct err *err)
{
    bool *marked = mark_pair(graph, pair);
    const struct planned_topic *first = NULL;
    int result = 0;
    for (size_t i = 0; i < plan->entry_count && result == 0; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (!read_by(entry, marked)) {
            continue;
        }
        if (first != NULL && first->partitions != entry->topic.partitions) {
            result = report_unequal(graph, pair, first, &entry->topic, err);
        }
        first = first == NULL ? &entry->topic : first;
    }
    free(marked);
    return result;
}

int topic_shape_derive(struct topic_plan *plan, const struct plan_request *request, struct err *err)
{
    form_groups(plan, request->graph);
    take_given(plan, request->graph);
    derive_read(plan, request);
    for (int i = 0; i < plan->subtopology_count; i++) {
        bool open = false;
        int32_t largest = largest_input(plan, i, &open);
        plan->partitions[i] = largest > 0 ? largest : default_partitions(request);
    }
    derive_written(plan, request);
    for (int i = 0; i < graph_copartition_count(request->graph); i++) {
        if (check_pair(plan, request->graph, i, err) != 0) {
            return -1;
        }
    }
    return 0;
}
