/* Shared by restore.c (judging, and the stream thread's side) and restore_replay.c (the restoring thread's side).
 *
 * Ownership: a restoration belongs to the stream thread, except between the order and the answer of the mailboxes.
 */
#ifndef TIDEMILL_ENGINE_RESTORE_INT_H
#define TIDEMILL_ENGINE_RESTORE_INT_H

#include <pthread.h>

#include "base/arena.h"
#include "base/mailbox.h"
#include "engine/restore.h"

/* What the records at the start of a changelog say about its generation. */
enum restore_marker {
    MARKER_OPEN,  /* none was read yet */
    MARKER_KNOWN, /* it is the one that the store knows */
    MARKER_OTHER, /* the ones so far are others */
    MARKER_GONE,  /* the log begins without it, or with others only */
};

/* One changelog being replayed. */
struct restore_replay {
    struct position from;
    int64_t low;    /* when it began */
    int64_t target; /* high watermark then */
    int64_t position;
    int64_t latest; /* of stores of windows: the latest time that a key had */
    enum restore_marker marker;
};

/* What a record of a changelog behind the place where the stores stand means, the markers aside. */
enum restore_tail {
    TAIL_APPLIED,   /* it is missing in the store */
    TAIL_FORGOTTEN, /* somebody else's commit, which the group will remember */
    TAIL_LOST,      /* a commit whose input offsets the group does not have any more */
};

/* One worker being restored. */
struct restoration {
    struct worker *worker;
    struct restore_replay *replays;
    size_t count;
    enum restore_tail tail;
    bool checked; /* the generations are those that the store knows */
    int64_t unsaved_records;
    int64_t unsaved_bytes;
    int64_t restored;
    struct arena converted; /* entries of the batch being applied, where the store's form is not the changelog's */
    uint32_t cancelled;     /* ck_pr: written by the stream thread */
    int64_t logged_ns;
    int64_t began_ns;
    int64_t whole; /* offsets to pass, when it began */
    int result;
    struct err err;
};

struct restorer {
    struct restorer_config config;
    struct mailbox *orders;  /* stream thread -> restoring thread: restorations; &restore_stop_order ends it */
    struct mailbox *answers; /* the way back */
    pthread_t thread;
    /* of the restoring thread (of the caller without one) */
    struct restoration **active;
    size_t active_count;
    size_t active_capacity;
    struct reader *reader; /* over all replays of all active ones, or NULL */
    /* of the stream thread */
    struct restoration **pending; /* handed over and not yet taken back */
    size_t pending_count;
    size_t pending_capacity;
    struct restoration **done; /* taken back, not yet asked for */
    size_t done_count;
    size_t done_capacity;
};

extern struct restoration restore_stop_order;

/* restore.c */
enum restore_marker restore_compare_marker(enum restore_marker before, const struct record *record, const char *known);

/* restore_replay.c */
void *restore_run(void *restorer); /* the restoring thread */
void restore_add(struct restorer *restorer, struct restoration *restoration);
void restore_step(struct restorer *restorer); /* one read for all active ones */
void restore_close_reader(struct restorer *restorer);
int64_t restore_remaining(const struct restoration *restoration);
/* Writes how far it is into the stores' meta row; `complete`: the stores are at the group's committed offsets. */
int restore_save(struct restoration *restoration, bool complete);

#endif
