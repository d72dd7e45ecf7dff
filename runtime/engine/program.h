/* The contract with the script side: "make me the topology" and "push this record through it, protected".
 *
 * Implemented by scripts/program.c; faked in the engine's unit tests.
 * Ownership: an instance belongs to one worker and its thread; the graph inside it lives as long as the instance.
 */
#ifndef TIDEMILL_ENGINE_PROGRAM_H
#define TIDEMILL_ENGINE_PROGRAM_H

#include "engine/app.h"
#include "engine/graph.h"

struct program;  /* the script file and the operators, shared by all threads, constant */
struct instance; /* one run of the script: a Lua state, a graph, its operators */

struct program_class {
    /* Runs the script in a new state and finishes its graph. @thread any. */
    int (*load)(struct program *program, struct instance **instance, struct err *err);
    struct graph *(*graph)(struct instance *instance);
    /* What the script's tm.app said, over the defaults; belongs to the instance. */
    const struct app_settings *(*settings)(struct instance *instance);
    /* Ties every node to the worker (node->worker) before open. */
    void (*bind)(struct instance *instance, struct worker *worker);
    /* Runs op->open of the given nodes, protected. */
    int (*open)(struct instance *instance, struct node *const *nodes, int count, struct err *err);
    /* One protected entry for all records and timers that `body` passes to process and punctuate: an entry for each
     * costs more than the engine's own work. `body` gives 0, or -1 with its error in `err`. What a record raises jumps
     * over it, so `body` keeps what is to be known afterwards in `data`, and no memory and no lock of its own; a
     * record that it processes is still named by the error, and so never lies in its own frame. */
    int (*round)(struct instance *instance, int (*body)(void *data, struct err *err), void *data, struct err *err);
    /* The protected entry of a record, outside of a round: makes the item and runs the source node. ERR_SKIP never
     * leaves it: policies are applied inside. A failure is ERR_FATAL with the place in the script and the record's
     * topic, partition and offset. */
    int (*process)(struct instance *instance, struct node *source, const struct record *record, struct err *err);
    /* Runs `fire` of a timer, protected. */
    int (*punctuate)(struct instance *instance, struct node *node, int (*fire)(struct node *, void *, int64_t),
                     void *data, int64_t now, struct err *err);
    /* Runs op->flush of the given nodes, protected. */
    int (*flush)(struct instance *instance, struct node *const *nodes, int count, struct err *err);
    /* Writes what the given nodes have in memory only into their stores, protected, and emits nothing; may be NULL. */
    int (*settle)(struct instance *instance, struct node *const *nodes, int count, struct err *err);
    void (*unload)(struct instance *instance);
};

struct program {
    const struct program_class *class;
};

#endif
