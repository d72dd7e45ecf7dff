/* What a connector's task is doing, for status pages, and how long it waits after a failure.
 *
 * Ownership: a status belongs to its task, which locks it for each call; texts are copied.
 */
#ifndef TIDEMILL_ENGINE_CONNECTOR_STATUS_H
#define TIDEMILL_ENGINE_CONNECTOR_STATUS_H

#include <pthread.h>

#include "engine/connector.h"

enum connector_state { CONNECTOR_CONNECTING, CONNECTOR_RUNNING, CONNECTOR_WAITING, CONNECTOR_FAILED };

struct connector_report {
    enum connector_state state;
    int64_t failures;           /* since the last success */
    int64_t records;            /* handed out or written since the start of the task */
    char reason[ERR_TEXT_SIZE]; /* of the last failure; empty: none since the last success */
    char phase[128];            /* of source_progress; empty: none */
    int64_t done, total;
    int64_t rows_per_s; /* since the phase began; 0: not known */
};

struct connector_status {
    pthread_mutex_t lock;
    struct connector_report report;     /* @locks lock */
    int64_t phase_since_ns, phase_from; /* when the phase began, and with how many rows. @locks lock */
    uint64_t seed;                      /* of the jitter; the task's own thread only */
};

void connector_status_init(struct connector_status *status, const struct connector_use *use, int32_t task);
void connector_status_free(struct connector_status *status);
void connector_status_connecting(struct connector_status *status);
/* Counts records and forgets the failures before. `progress` may be NULL. */
void connector_status_running(struct connector_status *status, size_t records, const struct source_progress *progress);
/* Notes the failure and gives the wait before the next attempt in ms: doubled with each one, at most retry_max_ms, and
 * a random part of up to a half taken off, so that many tasks don't come back at once. */
int64_t connector_status_failed(struct connector_status *status, const struct connector_runner_options *options,
                                const struct err *err);
void connector_status_ended(struct connector_status *status, const struct err *err);
void connector_status_copy(struct connector_status *status, struct connector_report *report); /* @thread any */
const char *connector_state_name(enum connector_state state);

#endif
