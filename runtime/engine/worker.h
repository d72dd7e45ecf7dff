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
#include "engine/connector_status.h"
#include "engine/program.h"
#include "engine/state_cleaner.h"
#include "engine/store.h"
#include "engine/topic_plan.h"
#include "engine/transport.h"

enum worker_state { WORKER_CREATED, WORKER_RESTORING, WORKER_RUNNING, WORKER_CLOSED };

struct worker_config {
    const struct app_settings *settings;
    struct program *program;
    const struct graph *graph; /* the described one, for comparing */
    const struct topic_plan *plan;
    const struct store_driver *stores;
    const char *state_directory;   /* of this worker; NULL: in memory */
    struct store_budget *budget;   /* of the process's stores */
    struct state_cleaner *cleaner; /* NULL: directories are kept for ever */
    struct store_set *globals;     /* stores of the thread's global tables; NULL: none */
    struct session *session;       /* for producing */
    const struct transport_class *transport;
    struct transport *log; /* behind the session, for questions */
    const struct clock *clock;
    int subtopology;
    int32_t partition;
    bool holds_back;          /* what waits for a commit waits until worker_release: the commits are the driver's own */
    void (*wake)(void *self); /* a connector's task has something for the worker, @thread any; NULL: none are run */
    void *self;
    const struct position *ends; /* --until-end: records of these inputs from there on are left alone */
    size_t end_count;
};

struct worker;

/* Loads the script, opens the stores, decides nothing yet (restore.c does). */
int worker_open(const struct worker_config *config, struct worker **worker, struct err *err);
/* Closes operators, stores and the script; never fails, commits nothing. */
void worker_close(struct worker *worker);

enum worker_state worker_state(const struct worker *worker);
void worker_set_state(struct worker *worker, enum worker_state state); /* asserts that the transition is legal */
const char *
worker_name(const struct worker *worker); /* "0_3": sub-topology and partition, as Kafka Streams names tasks */
int worker_subtopology(const struct worker *worker);
int32_t worker_partition(const struct worker *worker);
/* Name of the worker's directory: its first store (by name) and the partition, so that a changed topology finds it
 * again. NULL for a sub-topology without stores. */
const char *worker_directory_name(const struct graph *graph, int subtopology, int32_t partition, char *buffer,
                                  size_t size);

/* Ties an assigned input partition to the worker. ERR_FATAL / ERR_TOPIC: its offset was committed when the topic had
 * another id. */
int worker_add_input(struct worker *worker, const struct assigned *assigned, struct err *err);
/* The inputs have ended with a revocation: nothing is read and no timer fires until worker_clear_inputs and
 * worker_add_input tie the worker to those of the next assignment; stores and script stay open meanwhile. */
void worker_suspend(struct worker *worker);
bool worker_suspended(const struct worker *worker);
void worker_clear_inputs(struct worker *worker);
/* Whether the committed offset of the partition is the one this worker committed (or it never had that input). */
bool worker_agrees(const struct worker *worker, const struct assigned *assigned);
int worker_input_count(const struct worker *worker);
/* Of the last commit that this worker knows of; 0: none. */
int64_t worker_commit_number(const struct worker *worker);
/* Where the group's offset of an input stands as far as this worker knows (OFFSET_NONE: nothing committed yet). */
void worker_committed(const struct worker *worker, int index, struct position *position);
/* Topic of an input that has another id than when the found state was committed; NULL: none is known to have. */
const char *worker_recreated_input(const struct worker *worker);
/* Whether a source's task stands in for the input: what it has read is in the stores. */
bool worker_input_fed(const struct worker *worker, int index);
/* Whether all inputs can be read from where the found state's meta row has them: none is a connector's, none is another
 * topic by now. */
bool worker_resumable(const struct worker *worker);
/* Has them read from there, whatever the group says; time and schedules are as the meta row has them, too. */
int worker_resume(struct worker *worker, struct err *err);
/* Paused inputs don't end a poll. worker_process lets the ones that it needs go again. */
int worker_pause(struct worker *worker, bool paused, struct err *err);
/* Opens the operators: the stores are restored now. */
int worker_start(struct worker *worker, struct err *err);

/* Takes records from the inputs, lowest timestamp first, and processes up to `max`, fewer when callbacks are slow. No
 * record is taken while another input has unread records that are known and none buffered, or may get some within
 * max_idle. *processed 0: nothing to do now. */
int worker_process(struct worker *worker, int max, int *processed, struct err *err);
/* Fires what is due by wall clock; *fired counts. (Stream time fires within worker_process.) */
int worker_punctuate(struct worker *worker, int *fired, struct err *err);
/* For how long worker_process and worker_punctuate will have nothing to do unless records come; INT64_MAX: for ever. */
int64_t worker_idle_ms(const struct worker *worker);
/* Whether what it has read waits for the clock, in the hope of other records (max_idle). */
bool worker_waits(const struct worker *worker);
/* Whether every input is drained; one whose end is not known yet is not. */
bool worker_drained(struct worker *worker);

/* ---- for commit.c ---- */
bool worker_dirty(const struct worker *worker); /* something was processed, produced or changed since the last commit */
int worker_flush(struct worker *worker, struct err *err); /* op->flush of all nodes, and what is past its ttl */
void worker_release(struct worker *worker); /* the next commit lets out what waits for one, also when nothing is new */
int worker_produce_changelog(struct worker *worker, struct err *err); /* one record per changed key */
/* Appends one position per input (P3); what they point to is valid until the next call for the same worker. */
void worker_positions(struct worker *worker, struct position **list, size_t *count, size_t *capacity);
int worker_commit_store(struct worker *worker, struct err *err); /* after the transport's commit */
/* Writes the meta row of an idle worker anew: the age of its state counts from there. */
int worker_refresh_store(struct worker *worker, struct err *err);
/* After an abort, when dirty: rolls back the stores, loads the script anew, seeks the inputs to the committed offsets.
 */
int worker_rewind(struct worker *worker, struct err *err);
int64_t worker_uncommitted_records(const struct worker *worker);
int64_t worker_uncommitted_bytes(const struct worker *worker);

/* ---- for restore.c ---- */
struct store_set *worker_stores(struct worker *worker); /* NULL: the sub-topology has no store */
const struct worker_config *worker_configuration(const struct worker *worker);
int worker_changelog_count(const struct worker *worker);
/* Store, topic and the next offset to replay from (OFFSET_NONE: from the beginning) of changelog number `index`. */
struct store *worker_changelog(const struct worker *worker, int index, struct position *position);
const struct store_spec *worker_changelog_spec(const struct worker *worker, int index);
void worker_set_changelog_offset(struct worker *worker, int index, int64_t offset);
/* The generation marker of a changelog as the store knows it (NULL: not yet); goes into the meta row with the next
 * commit. */
const char *worker_changelog_generation(const struct worker *worker, int index);
void worker_set_changelog_generation(struct worker *worker, int index, struct slice generation);
/* Whether every changelog is the one that the committed offsets were made with, as far as both are known; else the
 * refusal that restore.h describes. */
int worker_check_generations(struct worker *worker, struct err *err);
/* Whether a committed offset with that metadata was committed together with one of the worker's changelogs. */
bool worker_names_changelog(const struct worker *worker, const char *metadata);
/* Empties the stores and forgets every position of the meta row: a rebuild begins. */
int worker_wipe_stores(struct worker *worker, struct err *err);
/* Makes restored entries durable with the changelog offsets as set. `complete`: the stores are now at the group's
 * committed offsets; else the input offsets stay those found at open, and the meta row says that the stores are
 * restored in part. */
int worker_commit_restored(struct worker *worker, bool complete, struct err *err);
/* Number of the group's last commit when the restoration began that has left the stores restored in part (0: not
 * known); OFFSET_NONE: they aren't, or the group had no offset then. */
int64_t worker_restored_in_part(const struct worker *worker);
const struct store_meta *worker_found_meta(const struct worker *worker, bool *fresh); /* as the store was opened */
struct graph *worker_graph(struct worker *worker);
struct metric_set *worker_metrics(struct worker *worker);
/* Sum over the inputs of known end minus position; what /workers and progress lines show. */
int64_t worker_lag(struct worker *worker);
/* Makes the stores say what the operators know, for whoever looks into them from outside. */
int worker_settle(struct worker *worker, struct err *err);
int64_t worker_records(const struct worker *worker); /* processed since it was opened */

/* ---- connectors ---- */
struct worker_connector {
    char name[250];
    const char *kind; /* static */
    bool sink;
    struct connector_report report;
};
/* Tasks of connectors that the worker runs now. */
size_t worker_connector_count(const struct worker *worker);
void worker_connector(const struct worker *worker, size_t index, struct worker_connector *connector);

/* Whether the worker has committed everything of an input partition before that offset, or does not read it. */
bool worker_reached(struct worker *worker, const struct position *end);

#endif
