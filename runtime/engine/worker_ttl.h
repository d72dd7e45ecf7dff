/* Deleting what is past the ttl of its store, with a tombstone in the changelog like any other deletion.
 *
 * Readers look at the ttl themselves (op_expired), so what they see does not depend on when entries are deleted here: a
 * run with restarts gives the same results as one without. A pass over a store is made in pieces, one before each
 * commit, and not before something can be past its ttl.
 * Ownership: a worker_ttl belongs to its worker, and what it notes is worth nothing but time.
 */
#ifndef TIDEMILL_ENGINE_WORKER_TTL_H
#define TIDEMILL_ENGINE_WORKER_TTL_H

#include "engine/graph.h"

struct worker_ttl;

/* For the stores of a sub-topology that have a ttl; NULL: none has. `stores` is borrowed for its life. */
struct worker_ttl *worker_ttl_new(const struct graph *graph, int subtopology, struct store_set *stores,
                                  const struct store_driver *driver);
void worker_ttl_free(struct worker_ttl *ttl); /* NULL is fine */
/* The stores are back at their last commit: what was noted of them does not hold any more. */
void worker_ttl_reset(struct worker_ttl *ttl);
/* The next piece of each store. */
int worker_ttl_sweep(struct worker_ttl *ttl, int64_t stream_time, struct err *err);

#endif
