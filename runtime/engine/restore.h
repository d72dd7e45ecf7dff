/* Bringing a worker's stores to where the group's committed offsets are: judge at open, replay off the poll path.
 *
 * Order (P7): the session's producer is initialized -> stable committed offsets (they come with the assignment) ->
 * target = the changelog's high watermark -> replay read_committed from the store's offset until the position reaches
 * the target (P8). A restorer has a thread of its own per stream thread and one reader for all partitions it restores;
 * records go into the stores in batches, and progress is committed after so many records or bytes, which bounds the
 * memory and lets a kill resume where it was.
 *
 * A group coordinator may forget commits that it acknowledged: Kafka 4.3.0 does when a broker that was killed comes
 * back within its session (CoordinatorRuntime takes the end of one load of __consumer_offsets for that of the next). A
 * store that knows a later commit of its worker than the group proves it. Then the worker goes on from the store's
 * offsets, once the changelog has shown that nobody has committed after the store; otherwise the group is asked again.
 *
 * A failure of a store is ERR_FENCED: the worker is to be closed and opened again. Brokers that don't answer are waited
 * for; a refusal is ERR_FATAL / ERR_TOPIC.
 *
 * | died                               | what recovery finds and does                                         |
 * |------------------------------------|----------------------------------------------------------------------|
 * | in a batch: c12                    | replays from where progress was last saved; entries are whole values |
 * | saving progress: restore-save      | the same, or from the new place                                      |
 * | after it; the group loses offsets  | refuses: only the group knew where the input of such a part ends     |
 * | emptying a store: wipe, c15        | files that don't belong together, or none: rebuilds from the start   |
 *
 * Ownership: from restorer_start until restorer_finished hands it back, the worker's stores and its changelogs' offsets
 * and generations belong to the restoring thread; everything else of the worker stays with the stream thread, which
 * gives it no input meanwhile.
 */
#ifndef TIDEMILL_ENGINE_RESTORE_H
#define TIDEMILL_ENGINE_RESTORE_H

#include "engine/worker.h"

/* Verdicts at open; the table of exactly-once.md in this order. */
enum restore_verdict {
    VERDICT_REUSE,   /* input offsets equal the committed ones: no replay */
    VERDICT_REPLAY,  /* the store is behind: replay the tail */
    VERDICT_RESUME,  /* the group has forgotten commits: go on where the store stands, unless others have committed */
    VERDICT_REBUILD, /* no file, changelog start passed, too old, ahead, other generation: empty it and replay all */
    VERDICT_REFUSE   /* the message names the topic and the reset command */
};

/* One changelog of the worker as it is now, and what the store remembers of it. */
struct restore_changelog {
    const char *topic;
    bool exists;
    int64_t low, high; /* watermarks */
    int64_t kept;      /* offset in the store; OFFSET_NONE: the store knows nothing of this changelog */
    bool recreated;    /* its generation marker is not the one the store knows */
};

/* Everything the verdict depends on; pure data, so that each row of the table is a unit test. */
struct restore_facts {
    const char *app;
    const char *worker;
    bool fresh;                       /* no file, or it was quarantined */
    const struct store_meta *meta;    /* of the store; app == NULL: none */
    int32_t partitions;               /* of the sub-topology now; 0: not known */
    const struct position *committed; /* stable offsets of the group, one per input */
    size_t committed_count;
    int64_t commit_number;    /* of the group's last commit of this worker, as its metadata says; 0: not known */
    int64_t restored_in_part; /* the same when the restoration began that is unfinished; OFFSET_NONE: none is */
    bool resumable;           /* its inputs can be read from where the store stands */
    const char
        *recreated; /* an input that is another topic than when the store was committed; NULL: not known of any */
    const struct restore_changelog *changelogs;
    size_t changelog_count;
    int64_t now_ms;
    int64_t delete_retention_ms; /* 0: tombstones stay for ever (embedded log: the rule on age does not hold) */
};

/* `why` gets a sentence for the log, or the full message for VERDICT_REFUSE. */
enum restore_verdict restore_judge(const struct restore_facts *facts, struct err *why);
const char *restore_verdict_name(enum restore_verdict verdict);

/* The message of the refusal when a changelog was deleted and made again. Returns -1. */
int restore_refuse_recreated(const char *app, const char *worker, const char *topic, struct err *err);
/* The same of an input. */
int restore_refuse_input(const char *app, const char *topic, struct err *err);
/* The same when a changelog has state, and the group no offset that was committed with it. */
int restore_refuse_lost(const char *app, const char *worker, const char *topic, struct err *err);

/* How the key of the record begins that marks the generation of a changelog: written first into each partition when the
 * runtime makes the topic. Its value is a random id, which the store's meta row and the metadata of the committed
 * offsets repeat: a topic that was deleted and made again under either is noticed. Processes that start at once may
 * write a marker each; then the first one is the generation, whoever reads and whenever. Therefore the id ends the key,
 * and compaction keeps them all. */
#define RESTORE_MARKER_KEY "\0tidemill-generation"
#define RESTORE_MARKER_SIZE (sizeof(RESTORE_MARKER_KEY) - 1)
bool restore_is_marker(struct slice key);

struct restorer;

struct restorer_config {
    struct transport *transport;
    const struct store_driver *stores;
    const struct clock *clock;
    bool thread;              /* false: restorer_start restores before it returns (driver, unit tests) */
    void (*wake)(void *self); /* called from the restoring thread when a worker is finished; may be NULL */
    void *self;
};

int restorer_open(const struct restorer_config *config, struct restorer **restorer, struct err *err);
/* Stops the thread, cancels what is under way (progress is kept). */
void restorer_close(struct restorer *restorer);

/* Judges the worker and begins what is needed. *finished true: it can run at once. A refusal is ERR_FATAL / ERR_TOPIC.
 */
int restorer_start(struct restorer *restorer, struct worker *worker, bool *finished, struct err *err);
/* The next worker that is done, or NULL. *result -1: restoring it failed, with `err`. */
struct worker *restorer_finished(struct restorer *restorer, int *result, struct err *err);
/* Takes a worker back that is not done yet (its partitions are revoked); waits for the batch under way. */
void restorer_cancel(struct restorer *restorer, struct worker *worker);
/* Whether a worker is with the restorer: not yet done, or done and not yet asked for. */
bool restorer_has(const struct restorer *restorer, const struct worker *worker);

#endif
