/* The background thread that merges deltas into rows: one for all sets of the process, so that a hundred workers are
 * not a hundred busy threads.
 *
 * Ownership: a struct merge belongs to its set, which asks and polls from its own thread; only the inside is shared.
 * @locks one mutex in merge.c, held for a few instructions.
 */
#ifndef TIDEMILL_STORE_MERGE_H
#define TIDEMILL_STORE_MERGE_H

#include "base/err.h"

#include <stdint.h>

struct merge;

enum merge_state {
    MERGE_IDLE,    /* nothing asked for */
    MERGE_WAITING, /* in the queue */
    MERGE_RUNNING,
    MERGE_DONE,  /* reported once, then idle */
    MERGE_FAILED /* reported once with its error, then idle */
};

struct merge *merge_new(const char *directory, const char *app, const char *worker, int64_t pair);
void merge_free(struct merge *merge); /* gives up what runs, waits for it; NULL is allowed */

/* Merges the deltas up to `through` and checkpoints; `through` 0: only checkpoints. The merge must be idle. */
void merge_request(struct merge *merge, int64_t through);
enum merge_state merge_poll(struct merge *merge, struct err *err);
/* Waits until it is done, failed or idle. */
enum merge_state merge_wait(struct merge *merge, struct err *err);

#endif
