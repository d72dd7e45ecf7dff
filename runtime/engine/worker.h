/* One (sub-topology, partition): its own instance of the script, its own stores, its own input queues. No threads.
 *
 * Ownership: a worker belongs to one stream thread, owns its instance and its store set, and borrows everything in
 * worker_config, which outlives it. It never waits and never commits; commit.c does that for all workers of a thread.
 *
 *   CREATED -> RESTORING -> RUNNING -> CLOSED        (RESTORING is skipped when the store is current)
 */
#ifndef TIDEMILL_ENGINE_WORKER_H
#define TIDEMILL_ENGINE_WORKER_H

#include "base/clock.h"
#include "base/metric.h"
#include "engine/app.h"
#include "engine/program.h"
#include "engine/store.h"
#include "engine/topic_plan.h"
#include "engine/transport.h"

enum worker_state { WORKER_CREATED, WORKER_RESTORING, WORKER_RUNNING, WORKER_CLOSED };

struct worker_config {
    const struct app_settings *settings;
    struct program *program;
    const struct graph *graph;            /* the described one, for comparing */
    const struct topic_plan *plan;
    const struct store_driver *stores;
    const char *state_directory;          /* of this worker; NULL: in memory */
    int64_t cache_bytes;
    struct session *session;              /* for producing */
    const struct transport_class *transport;
    const struct clock *clock;
    int subtopology;
    int32_t partition;
};

struct worker;

/* Loads the script, opens the stores, decides nothing yet (restore.c does). */
int worker_open(const struct worker_config *config, struct worker **worker, struct err *err);
/* Closes operators, stores and the script; never fails, commits nothing. */
void worker_close(struct worker *worker);

enum worker_state worker_state(const struct worker *worker);
void worker_set_state(struct worker *worker, enum worker_state state); /* asserts that the transition is legal */
const char *worker_name(const struct worker *worker); /* "0_3" */

/* Ties an assigned input partition to the worker; `metadata` is what its committed offset carried, or NULL. */
int worker_add_input(struct worker *worker, const struct assigned *assigned, struct err *err);
/* Whether that partition belongs to this worker. */
bool worker_has_input(const struct worker *worker, const char *topic, int32_t partition);
/* Opens the operators: the stores are restored now. */
int worker_start(struct worker *worker, struct err *err);

/* Takes records from the inputs, lowest timestamp first, and processes up to `max`. A record waits while another input
 * has known unread records and none buffered (max_idle). *processed 0: nothing to do now. */
int worker_process(struct worker *worker, int max, int *processed, struct err *err);
/* Fires what is due by stream time or wall clock; *fired counts. */
int worker_punctuate(struct worker *worker, int *fired, struct err *err);
/* Whether every input is drained as far as known. */
bool worker_drained(struct worker *worker);

/* ---- for commit.c ---- */
bool worker_dirty(const struct worker *worker); /* something was processed, produced or changed since the last commit */
int worker_flush(struct worker *worker, struct err *err);              /* op->flush of all nodes */
int worker_produce_changelog(struct worker *worker, struct err *err);  /* one record per changed key */
/* Appends one position per input (P3): texts are valid until the next call. */
int worker_positions(struct worker *worker, struct position **list, size_t *count, size_t *capacity);
int worker_commit_store(struct worker *worker, struct err *err);       /* after the transport's commit */
int worker_rewind(struct worker *worker, struct err *err);             /* after an abort: roll back the stores, seek the inputs, reload operators */

struct store_set *worker_stores(struct worker *worker);
const struct store_meta *worker_found_meta(const struct worker *worker, bool *fresh); /* as the store was opened */
struct graph *worker_graph(struct worker *worker);
struct metric_set *worker_metrics(struct worker *worker);
/* Sum over the inputs of known end minus position; what /workers and progress lines show. */
int64_t worker_lag(struct worker *worker);

#endif
