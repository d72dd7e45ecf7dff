/* The commit of a stream thread: everything its workers did since the last one becomes visible at once, or not at all.
 *
 * The order is P5: flush operators -> produce changelogs -> transaction (outputs, changelogs, positions) -> stores.
 *
 * | died                               | what recovery finds and does                                         |
 * |------------------------------------|----------------------------------------------------------------------|
 * | before the end was asked for:      | no commit: the transaction is aborted, the input is processed again  |
 * | c1 c2 c3 c4 c5 c6                  |                                                                      |
 * | it was asked for: c7               | the group's offsets say whether it was committed; both are safe (P6) |
 * | after the transaction: c8 c9       | the stores are behind: they replay the changelog, the input is not   |
 * | (also c9 of a large commit, which  |                                                                      |
 * | is written behind the workers)     |                                                                      |
 * | after some stores' commits: c10    | the same for the others                                              |
 * | in ABORT, RECOVER, COMPARE, REWIND | as if it had died before, or in, the transaction                     |
 *
 * The names are those of base/failpoint.h, which has a row for every place where the crash tests end a process.
 *
 *      FLUSH -> CHANGELOG -> TRANSACTION -> STORES -> (done)
 *        \         |             |  \
 *         \        v             |   v
 *          \---> ABORT --fails---+-> RECOVER -> COMPARE -> STORES | REWIND | (lost)
 *                  \-> REWIND -> (rewound)
 *
 * The whole table of what each step may come to, with the ends, is in commit.c.
 *
 * Ownership: a struct commit belongs to its stream thread and lives as long; the workers stay the thread's.
 */
#ifndef TIDEMILL_ENGINE_COMMIT_H
#define TIDEMILL_ENGINE_COMMIT_H

#include "engine/worker.h"

enum commit_step {
    COMMIT_FLUSH,
    COMMIT_CHANGELOG,
    COMMIT_TRANSACTION,
    COMMIT_STORES,
    COMMIT_ABORT,
    COMMIT_RECOVER,
    COMMIT_COMPARE,
    COMMIT_REWIND,
    /* ends: */
    COMMIT_DONE,    /* committed, or there was nothing to commit */
    COMMIT_WAITING, /* nothing has happened yet; call again later and it goes on where it stopped */
    COMMIT_REWOUND, /* aborted; the workers are back at the committed offsets */
    COMMIT_LOST,    /* ownership is gone: drop the workers and join again */
    COMMIT_BROKEN,  /* committed, but a store could not follow: close its worker and open it again, which restores it */
    COMMIT_FAILED,  /* `err` says why this thread can't go on */
    COMMIT_STEP_COUNT
};

struct commit {
    const struct transport_class *transport;
    struct session *session;
    const struct clock *clock;
    enum commit_step step; /* where a waiting commit goes on */
    struct err reason;     /* why it waits */
    struct position *positions;
    size_t count;
    size_t capacity;
    struct worker *broken; /* with COMMIT_BROKEN */
    int64_t recoveries;    /* since the start; capped by the caller */
};

void commit_init(struct commit *commit, const struct transport_class *transport, struct session *session,
                 const struct clock *clock);
void commit_free(struct commit *commit);
void commit_reset(struct commit *commit); /* forgets a waiting commit, whose workers are gone */

/* Runs to an end; `err` is filled for every end but COMMIT_DONE. */
enum commit_step commit_run(struct commit *commit, struct worker *const *workers, size_t count, struct err *err);
/* Enters at ABORT, after processing or producing has failed; `err` says with what. */
enum commit_step commit_abort(struct commit *commit, struct worker *const *workers, size_t count, struct err *err);
/* Whether a commit is in the middle and only waits (disk full): no record may be processed meanwhile. */
bool commit_waiting(const struct commit *commit);

#endif
