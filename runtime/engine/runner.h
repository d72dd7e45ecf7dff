/* An app in this process: its stream threads, its directory, starting and stopping.
 *
 * Ownership: the runner owns its threads and the slot's lock. Status is read by the HTTP thread through runner_workers.
 */
#ifndef TIDEMILL_ENGINE_RUNNER_H
#define TIDEMILL_ENGINE_RUNNER_H

#include "engine/stream_thread.h"

struct runner;

struct runner_config {
    struct app_settings settings; /* borrowed texts */
    struct program *program;
    const struct store_driver *stores;
    struct transport *transport;
    bool embedded;               /* the embedded log: topics are created, one process per app */
    const char *state_directory; /* "<data>/state" or state_dir */
    const char *instance;        /* --instance NAME, or NULL: first free slot */
    bool stay;
    bool until_end;
    bool (*stopped)(void); /* asked while opening waits for topics; may be NULL */
};

struct runner_worker_status {
    char name[64];
    int thread;
    enum worker_state state;
    int64_t records; /* processed since start */
    int64_t lag;
    int64_t state_bytes;
    int64_t state_entries;
    int64_t restore_remaining;
};

/* Loads the script once to describe it, plans and creates topics, takes a slot, starts the threads. ERR_RETRY: it was
 * stopped while it waited for topics, and nothing was begun. */
int runner_open(const struct runner_config *config, struct runner **runner, struct err *err);
/* Waits until the threads have ended: by runner_stop, by until_end, or by a fatal error (then -1). `timeout_ms` < 0:
 * for ever. *ended false: the timeout passed. */
int runner_wait(struct runner *runner, int timeout_ms, bool *ended, struct err *err);
void runner_stop(struct runner *runner); /* drain, commit, leave; @thread any, async-signal-unsafe */
void runner_close(struct runner *runner);

const struct graph *runner_graph(const struct runner *runner);
const struct topic_plan *runner_plan(const struct runner *runner);
/* Copies up to `max` statuses; returns how many workers there are. @thread any. */
size_t runner_workers(struct runner *runner, struct runner_worker_status *list, size_t max);
/* Records processed so far and records known to be left, for progress lines; @thread any. */
void runner_progress(struct runner *runner, int64_t *done, int64_t *left);
/* query_ask of all stream threads (query.h): reads what running workers have in their stores. */
int runner_ask(struct runner *runner, int timeout_ms, int (*each)(void *self, struct worker *worker, struct err *err),
               void *self, struct err *err);
bool runner_ready(struct runner *runner);   /* joined, restored */
bool runner_healthy(struct runner *runner); /* no thread stuck beyond max_poll_interval, none ended by error */

#endif
