/* The body of a topic plan, shared by topic_plan.c (which topics, asking for them), topic_shape.c (partition counts)
 * and topic_create.c (checking what is there, creating what is missing).
 *
 * Ownership: texts live in the plan's arena. The graph and the settings are borrowed while the plan is made.
 */
#ifndef TIDEMILL_ENGINE_TOPIC_PLAN_INT_H
#define TIDEMILL_ENGINE_TOPIC_PLAN_INT_H

#include "base/arena.h"
#include "engine/topic_plan.h"

#include <regex.h>

struct plan_entry {
    struct planned_topic topic;
    struct topic_info info;
    enum reset_policy reset;
    bool by_name;    /* subscribed by name, not only found by a pattern */
    bool everywhere; /* the dead letter topic: every sub-topology may write it */
    int32_t wished;  /* partitions the script asks for; 0: derived */
    int32_t own;     /* partitions as this topic alone would have them; 0: not known yet */
    bool fixed;      /* the count is given from outside: an existing topic, or the script's wish */
    int group;       /* entries of one group must have equal counts */
    int *sources;    /* ids of the source nodes, ascending */
    int source_count;
};

struct plan_pattern {
    const char *text;
    regex_t regex;
    int node;
    int subtopology;
    enum reset_policy reset;
};

struct topic_plan {
    struct arena texts;
    struct plan_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    struct plan_pattern *patterns;
    size_t pattern_count;
    size_t pattern_capacity;
    struct subscription *subscriptions;
    size_t subscription_count;
    size_t subscription_capacity;
    int32_t *partitions; /* by sub-topology */
    int subtopology_count;
};

/* What a plan is made from. */
struct plan_request {
    const struct graph *graph;
    const struct app_settings *settings;
    struct transport *transport;
    bool create;
    bool dry_run;
    bool (*stopped)(void); /* ends the wait for missing topics; may be NULL */
};

struct plan_entry *topic_plan_entry(const struct topic_plan *plan, const char *name); /* NULL: none */

/* topic_shape.c: fills the counts of all entries and of the sub-topologies; what exists keeps its count. Fails when
 * topics that are joined differ. */
int topic_shape_derive(struct topic_plan *plan, const struct plan_request *request, struct err *err);

/* topic_create.c */
bool topic_create_allowed(const struct plan_entry *entry, const struct plan_request *request);
/* Describes every topic; waits for missing ones where the settings say so. */
int topic_create_look(struct topic_plan *plan, const struct plan_request *request, struct err *err);
/* Fails when a topic is missing that may not be created, or an internal one has another shape than it needs. */
int topic_create_check(const struct topic_plan *plan, const struct plan_request *request, struct err *err);
int topic_create_missing(struct topic_plan *plan, const struct plan_request *request, struct err *err);

#endif
