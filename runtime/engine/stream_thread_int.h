/* The body of a stream thread, shared by stream_thread.c (the loop) and stream_thread_group.c (workers, and what the
 * group gives and takes).
 *
 * Ownership: everything here belongs to the stream thread.
 */
#ifndef TIDEMILL_ENGINE_STREAM_THREAD_INT_H
#define TIDEMILL_ENGINE_STREAM_THREAD_INT_H

#include <pthread.h>

#include "engine/commit.h"
#include "engine/globals.h"
#include "engine/restore.h"
#include "engine/stream_thread.h"

/* Failures without a success between them: each makes the thread rest longer than the one before. */
struct stream_trouble {
    int failures;
    int64_t began_ns;
    int64_t last_ns;
    int64_t rest_until_ns; /* 0: the thread does not rest */
};

struct stream_thread {
    struct stream_thread_config config;
    const struct transport_class *transport;
    struct session *session; /* NULL: given up, and opened again after a rest */
    struct restorer *restorer;
    struct globals *globals; /* NULL: the app has no global table */
    struct commit commit;
    struct metric_set *metrics;

    struct worker **workers;
    size_t worker_count;
    size_t worker_capacity;
    int64_t departed_records; /* processed and committed by workers that are gone */
    size_t turn;              /* the worker that is the first of the next round */

    int64_t dirty_since_ns; /* first work since the last commit; 0: none */
    int64_t last_commit_ns; /* when the last one ended */
    int64_t last_commit_took_ns;
    int64_t commit_due_ns; /* as of the last round; INT64_MAX: nothing to commit */
    int64_t refresh_at_ns; /* when the meta rows of idle workers are written anew */
    int64_t tidy_at_ns;    /* when stores are tidied again */
    struct stream_trouble trouble;
    int64_t recoveries_from; /* commit.recoveries at the start of this minute */
    int64_t minute_began_ns;
    int replaced; /* how often another member with this instance id has put this one out, lately */
    int64_t replaced_since_ns;

    bool joined;       /* the group has assigned partitions, perhaps none, and has not revoked them */
    bool following;    /* the last round found news for the global tables: there may be more */
    bool processed;    /* the last round found something to process */
    bool failed;       /* the thread can't go on: nothing may be committed when closing */
    bool leave;        /* the membership is of no use: nothing may be committed, the thread joins again */
    struct err reason; /* of `failed` or `leave`, when a callback found it */

    pthread_mutex_t wake_lock;
    struct session *sleeper; /* what stream_thread_wake wakes; NULL: nothing. @locks wake_lock */
};

/* stream_thread.c */
void stream_thread_on_task(void *self); /* a connector's task has something for its worker; @thread any */
enum commit_step stream_thread_run_commit(struct stream_thread *thread, struct err *err);

/* stream_thread_group.c */
int stream_thread_on_assigned(void *self, const struct assigned *list, size_t count, struct err *err);
int stream_thread_on_revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *err);
/* Opens the operators of a worker whose state is there. */
int stream_thread_run_worker(struct stream_thread *thread, struct worker *worker, struct err *err);
void stream_thread_drop_workers(struct stream_thread *thread);

#endif
