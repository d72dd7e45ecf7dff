/* The loop of a stream thread: poll, restore, process some, punctuate, commit.
 *
 * Ownership: a stream thread owns its session and its workers. stream_thread_step may be called by a thread of the
 * runner or by hand (driver.c, unit tests); all calls of one come from one thread, except stream_thread_wake.
 */
#ifndef TIDEMILL_ENGINE_STREAM_THREAD_H
#define TIDEMILL_ENGINE_STREAM_THREAD_H

#include "engine/worker.h"

struct stream_thread;

struct stream_thread_config {
    const struct app_settings *settings;
    struct program *program;
    const struct graph *graph;
    const struct topic_plan *plan;
    const struct store_driver *stores;
    struct transport *transport;
    const struct clock *clock;
    const char *state_directory;   /* of the slot: "<data>/state/<app>/<slot>"; NULL: in memory */
    const char *instance;          /* persistent id of the slot; NULL in memory */
    struct store_budget *budget;   /* of the process's stores */
    struct state_cleaner *cleaner; /* NULL: none */
    int thread;
    int threads;
    bool stay;
    bool holds_back;              /* see worker_config (driver) */
    bool (*stopping)(void *self); /* the thread is going to be closed: brokers are not waited for; may be NULL */
    void *self;
    bool no_connectors;          /* their tasks are not run: what their topics bring is all there is (driver) */
    bool restore_inline;         /* restore within step instead of on a thread of its own (driver, unit tests) */
    const struct position *ends; /* --until-end: records of these inputs from there on are left alone */
    size_t end_count;
};

int stream_thread_open(const struct stream_thread_config *config, struct stream_thread **thread, struct err *err);
/* One round; waits at most `timeout_ms` when there is nothing to do. *worked says whether anything was processed,
 * punctuated, committed or restored. -1: the thread can't go on and is to be closed; whatever else fails it treats
 * itself: it goes back to the committed offsets, or joins the group anew, and rests when that happens again and again.
 */
int stream_thread_step(struct stream_thread *thread, int timeout_ms, bool *worked, struct err *err);
/* Commits now what is there (driver). */
int stream_thread_commit(struct stream_thread *thread, struct err *err);
/* Commits, leaves the group, closes the workers. A full disk is waited for, at most half of drain_ms. -1: not
 * everything was committed, and will be processed again. */
int stream_thread_close(struct stream_thread *thread, struct err *err);

/* Whether the group has answered: partitions were assigned, perhaps none, and are not being taken away again. */
bool stream_thread_joined(const struct stream_thread *thread);
/* Whether nothing is left to do: joined, every worker running, drained and committed. */
bool stream_thread_idle(struct stream_thread *thread);
/* As stream_thread_idle, but records may be left that wait for the clock (max_idle). */
bool stream_thread_waits(struct stream_thread *thread);
/* Ends a wait in stream_thread_step. @thread any, until stream_thread_close */
void stream_thread_wake(struct stream_thread *thread);
int stream_thread_worker_count(const struct stream_thread *thread);
/* Records that workers of this thread which are gone had processed and committed: a rebalance takes workers away, and
 * what they have done is done. */
int64_t stream_thread_departed_records(const struct stream_thread *thread);
struct worker *stream_thread_worker(struct stream_thread *thread, int index);
/* Stores of the global tables; NULL: there are none. */
struct store_set *stream_thread_globals(const struct stream_thread *thread);
/* Whether the thread is idle and its workers have committed everything before these offsets. */
bool stream_thread_reached(struct stream_thread *thread, const struct position *ends, size_t count);
/* At the end of all work: stores settle (engine/store.h) meanwhile; false: to be asked again. */
bool stream_thread_settle(struct stream_thread *thread);

#endif
