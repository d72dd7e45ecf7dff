/* Which topics an app needs and what shape they have: found, created, checked before anything runs.
 *
 * Ownership: a plan owns its texts and is constant once made; it may be read by any thread.
 */
#ifndef TIDEMILL_ENGINE_TOPIC_PLAN_H
#define TIDEMILL_ENGINE_TOPIC_PLAN_H

#include "engine/app.h"
#include "engine/graph.h"
#include "engine/transport.h"

struct planned_topic {
    const char *name;
    enum topic_role role; /* TOPIC_INPUT .. ; changelogs are TOPIC_OUTPUT with `changelog` set */
    bool changelog;
    bool internal; /* made by the runtime */
    bool written;  /* by this app: an input that is not is external */
    bool exists;   /* after topic_plan_make without dry_run: always */
    int32_t partitions;
    int subtopology;   /* that reads it, or whose store it keeps; -1: none, or a global table's topic */
    const char *store; /* changelogs: name of the store */
};

struct topic_plan;

/* Asks the transport about every topic, derives partition counts (repartition: given, else the largest of the
 * inputs of the sub-topology that writes it; changelog: as the sub-topology), checks co-partitioned inputs, and creates
 * what may be created: internal topics always; inputs and outputs on the embedded log (`create` true) or with
 * create_topics. A missing topic otherwise: ERR_TOPIC naming it and the `tidemill topics create` command. Existing
 * internal topics with wrong settings: ERR_TOPIC naming them, unless it is a dry run, which changes nothing. With
 * wait_for_topics it waits for missing ones until `stopped` (may be NULL) says so: ERR_RETRY. */
int topic_plan_make(const struct graph *graph, const struct app_settings *settings, struct transport *transport,
                    bool create, bool dry_run, bool (*stopped)(void), struct topic_plan **plan, struct err *err);
void topic_plan_free(struct topic_plan *plan);
/* Whether an internal topic that exists has the shape that the app needs: ERR_TOPIC. Each one has when the plan was not
 * a dry run. */
int topic_plan_fits(const struct topic_plan *plan, int index, const char *app, struct err *err);

int topic_plan_count(const struct topic_plan *plan);
const struct planned_topic *topic_plan_get(const struct topic_plan *plan, int index);
const struct planned_topic *topic_plan_find(const struct topic_plan *plan, const char *name);
int32_t topic_plan_partitions(const struct topic_plan *plan, int subtopology); /* number of its workers */
/* Which sub-topology reads a topic (patterns included, also of topics newer than the plan): -1 none. `node` (may be
 * NULL) gets the first source node's id. Several source nodes may read one topic: see topic_plan_source. */
int topic_plan_reader(const struct topic_plan *plan, const char *topic, int *node);
/* Id of source node number `index` that reads the topic, in order of creation; -1: no more. Every record of the topic
 * goes through all of them, in this order, before the next record is taken. Global tables are included. */
int topic_plan_source(const struct topic_plan *plan, const char *topic, int index);
/* What a stream thread subscribes to (global tables are not among it). Valid as long as the plan. */
const struct subscription *topic_plan_subscriptions(const struct topic_plan *plan, size_t *count);

#endif
