/* What the files of the embedded log share: the transport of the process.
 *
 * Ownership: everything in a struct local belongs to it. Lock order: a thread holds at most one of its locks, except
 * that the right to write (`writing`) may be held while `admin_lock` or `wait_lock` is taken.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_INT_H
#define TIDEMILL_LOCAL_LOCAL_INT_H

#include "engine/transport.h"
#include "local/local_db.h"
#include "local/local_lock.h"
#include "local/local_turn.h"

#include <pthread.h>

struct local_request;     /* local_commit.h */
struct local_maintenance; /* local_maintenance.c */

/* An app whose lock this process holds. */
struct local_app {
    struct local_app *next;
    char *name;
    struct local_lock lock;
    int sessions;
};

struct local {
    struct transport base;
    char *directory; /* <data>/log */
    const struct clock *clock;
    size_t read_ahead;
    size_t batch_size;
    int64_t maintenance_ms;

    /* Whoever sets `writing` owns `writer` until it clears it again; requests wait in a queue meanwhile. */
    pthread_mutex_t commit_lock;
    pthread_cond_t commit_done;
    bool writing;
    struct local_request *requests; /* in order of arrival */
    struct local_db writer;
    struct local_turn turn; /* among the processes that write */
    bool broken;            /* the outcome of a COMMIT is unknown: `writer` must be closed and opened again */
    int wal_pages;          /* length of the write-ahead log after the last commit */
    int wal_checkpointed;   /* how much of it the committing threads have copied into the file */
    int64_t page_size;

    pthread_mutex_t admin_lock;
    struct local_db admin; /* reads for the calls that belong to no session */

    pthread_mutex_t registry_lock;
    char **names; /* topic names handed out: they live as long as the transport */
    size_t name_count;
    size_t name_capacity;
    struct local_app *apps;
    _Atomic(struct local_maintenance *) maintenance; /* NULL: not started yet; set under the lock, read without */

    pthread_mutex_t wait_lock;
    pthread_cond_t changed;
    uint64_t changes; /* commits of this process */
};

static inline struct local *local_of(struct transport *transport)
{
    return (struct local *)transport;
}

/* A copy of the name that lives as long as the transport; equal names give the same pointer. @locks registry_lock */
const char *local_name(struct local *local, const char *name);

void local_close(struct transport *transport);
extern const struct transport_class local_class;

#endif
