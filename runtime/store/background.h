/* The threads behind all sets of the process, one for each kind of work, so that a hundred workers are not a hundred
 * busy threads: each does one job after the other.
 *
 * Ownership: a job belongs to its set, which starts it and asks for it from its own thread; what `run` uses is the
 * other thread's from background_start until the job was reported as done or failed, or withdrawn.
 * @locks one mutex for each thread, held for a few instructions.
 */
#ifndef TIDEMILL_STORE_BACKGROUND_H
#define TIDEMILL_STORE_BACKGROUND_H

#include "base/err.h"

#include <stdbool.h>

enum background_thread { BACKGROUND_MERGES, BACKGROUND_COMMITS, BACKGROUND_COUNT };

enum background_state {
    BACKGROUND_IDLE,    /* nothing asked for */
    BACKGROUND_WAITING, /* in the queue */
    BACKGROUND_RUNNING,
    BACKGROUND_DONE,  /* reported once, then idle */
    BACKGROUND_FAILED /* reported once with its error, then idle */
};

struct background_job {
    int (*run)(void *self, struct err *err);
    void *self;
    /* The rest is background.c's. */
    enum background_thread thread;
    enum background_state state;
    struct err err;
    struct background_job *next;
};

/* Who gives jobs to a thread joins first and leaves at the end: the thread lives as long as anybody does. */
void background_join(enum background_thread thread);
void background_leave(enum background_thread thread);

void background_start(enum background_thread thread, struct background_job *job); /* the job must be idle */
enum background_state background_poll(struct background_job *job, struct err *err);
/* Waits until it is done, failed or idle. */
enum background_state background_wait(struct background_job *job, struct err *err);
/* True: it had not begun and is idle now. */
bool background_withdraw(struct background_job *job);

#endif
