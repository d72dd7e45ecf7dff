/* One merge: reads the deltas that the rows lack, keeps the last change of each key, and writes them in key order.
 *
 * Runs on connections of its own, so that it holds up neither commits nor reads. Idempotent: rows.db says up to which
 * delta it has everything, in the same transaction.
 * Ownership: the config is borrowed during the call.
 */
#ifndef TIDEMILL_STORE_MERGE_PASS_H
#define TIDEMILL_STORE_MERGE_PASS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct merge_pass_config {
    const char *directory;
    const char *app;
    const char *worker;
    int64_t pair;
    int64_t through;               /* last delta to merge; 0: only move the WALs into the files */
    int64_t batch_bytes;           /* of deltas that are in memory at once, and a commit's more */
    bool (*cancelled)(void *self); /* asked often; true: give up, nothing of the batch stays */
    void *self;
};

/* A cancelled pass returns 0. @thread any, one at a time for a directory */
int merge_pass(const struct merge_pass_config *config, struct err *err);

#endif
