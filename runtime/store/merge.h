/* Merges deltas into rows in the background: one at a time for all sets of the process.
 *
 * Ownership: a struct merge belongs to its set, which asks and polls from its own thread; only its job is shared
 * (background.h).
 */
#ifndef TIDEMILL_STORE_MERGE_H
#define TIDEMILL_STORE_MERGE_H

#include "store/background.h"

#include <stdint.h>

struct merge;

struct merge *merge_new(const char *directory, const char *app, const char *worker, int64_t pair);
void merge_free(struct merge *merge); /* gives up what runs, waits for it; NULL is allowed */

/* Merges the deltas up to `through` and checkpoints; `through` 0: only checkpoints. The merge must be idle. About
 * `batch_bytes` of deltas are in memory at once. */
void merge_request(struct merge *merge, int64_t through, int64_t batch_bytes);
enum background_state merge_poll(struct merge *merge, struct err *err);
/* Waits until it is done, failed or idle. */
enum background_state merge_wait(struct merge *merge, struct err *err);

#endif
