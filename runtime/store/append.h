/* A commit on its way into the delta log. A small one is written at once; a large one by the thread for commits, so
 * that its worker goes on meanwhile. One at a time: the next commit, and closing, end it first.
 *
 * A large commit that can't be written stays, and is written again when the next one comes.
 * Ownership: the append belongs to its set and borrows the log. While it is APPEND_RUNNING, deltas, meta and the log
 * are the other thread's.
 */
#ifndef TIDEMILL_STORE_APPEND_H
#define TIDEMILL_STORE_APPEND_H

#include "store/background.h"
#include "store/delta.h"
#include "store/delta_log.h"

enum append_state {
    APPEND_DONE,    /* nothing is under way */
    APPEND_RUNNING, /* with the thread for commits */
    APPEND_FAILED   /* its deltas are to be written again */
};

struct append {
    struct delta_log *log;
    struct bytes meta;
    struct delta_writer *deltas; /* mostly one */
    size_t count;                /* 0: only a checkpoint */
    size_t capacity;
    int64_t seq;    /* of the commit before */
    int64_t merged; /* deltas up to this one may be deleted */
    enum append_state state;
    bool joined; /* the thread for commits */
    struct background_job job;
    struct err checkpoint_err; /* of the last one; ERR_NONE: it did not fail */
};

void append_init(struct append *append, struct delta_log *log);
void append_free(struct append *append); /* must not be running */

/* Forgets the last commit's deltas. */
void append_clear(struct append *append);
/* One more delta, begun, behind those that are there; pointers to earlier ones end. */
struct delta_writer *append_add(struct append *append);
int64_t append_bytes(const struct append *append);    /* of the deltas' blobs */
int64_t append_capacity(const struct append *append); /* memory that they take */
/* Frees blobs that have more room than `most` bytes, all but the first in any case. */
void append_trim(struct append *append, size_t most);

/* Writes the deltas now. On failure nothing has happened, and nothing stays. */
int append_write(struct append *append, int64_t seq, int64_t merged, struct err *err);
/* Has them written by the thread for commits: APPEND_RUNNING. */
void append_start(struct append *append, int64_t seq, int64_t merged);
/* Has the write-ahead log moved into the file when it is so long that the background merge can't keep up with it. */
void append_bound_wal(struct append *append);

/* Takes the result of what runs, if it is there, or waits for it; what did not begin yet is done here then. Fails with
 * what it has failed with, once. */
int append_take(struct append *append, bool wait, struct err *err);
/* Writes again what has failed. */
int append_again(struct append *append, struct err *err);
/* Ends what runs, whatever comes of it, and forgets it. */
void append_drop(struct append *append);

#endif
