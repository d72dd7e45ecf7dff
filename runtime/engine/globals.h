/* The global tables of a stream thread: all partitions of their topics, loaded before the thread joins its group and
 * followed between its rounds.
 *
 * Every thread has a copy of its own. One copy for the whole process would need a lock around every look-up and values
 * copied under it, or a thread that reads at its own pace and tells the others, and either costs each record something;
 * a copy costs memory, which the process's budget for stores bounds: what is not used is on disk. The records go
 * through the table's node in a worker of no sub-topology, which checks them as any source does.
 *
 * Reading never waits and is no part of a transaction: a bounded number of records is applied between two rounds. What
 * was applied is written to local files from time to time with the offsets reached, so that a restart goes on from
 * there; without files, or when the topic no longer holds what lies behind, everything is read again.
 * Ownership: belongs to one stream thread and is used by it alone. The workers borrow the stores.
 */
#ifndef TIDEMILL_ENGINE_GLOBALS_H
#define TIDEMILL_ENGINE_GLOBALS_H

#include "engine/worker.h"

struct globals;

struct globals_config {
    struct worker_config worker; /* of the thread's workers; its session, sub-topology and directory are not used */
    struct transport *transport;
    const char *state_directory; /* of the slot; NULL: in memory */
    int thread;
};

/* *globals NULL: the app has no global table. Reads nothing yet. The strings and parts of the configuration are
 * borrowed. */
int globals_open(const struct globals_config *config, struct globals **globals, struct err *err);
/* Writes what was applied to the local files; NULL is fine. */
void globals_close(struct globals *globals);
/* The stores, for worker_config; NULL when there are none. */
struct store_set *globals_stores(const struct globals *globals);
/* Whether everything is there that was in the topics at the start. */
bool globals_loaded(const struct globals *globals);
/* Applies some of the next records, waiting for them up to the timeout. *applied counts. Brokers that are away are
 * tried again with later calls; -1: a record fails, or a topic can't be read. */
int globals_follow(struct globals *globals, int timeout_ms, size_t *applied, struct err *err);

#endif
