/* Waiting for commits: of this process through a condition variable, of others by asking for PRAGMA data_version.
 *
 * Ownership: a struct local_wait belongs to a session or reader; local_wait_wake may be called by any thread, the rest
 * by the owner's only.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_WAIT_H
#define TIDEMILL_LOCAL_LOCAL_WAIT_H

#include "local/local_int.h"

struct local_wait {
    uint64_t seen;        /* local->changes when the log was last looked at */
    int64_t data_version; /* 0: not asked yet */
    int64_t active_ns;    /* monotonic time of the last change that was noticed */
    bool woken;           /* @locks wait_lock */
};

/* Tells every waiting thread that this process has committed. @thread any */
void local_wait_announce(struct local *local);
/* Makes the next or running local_wait_sleep return at once. @thread any */
void local_wait_wake(struct local *local, struct local_wait *wait);
/* 1: somebody has committed since the last call (or it is the first); 0: nobody; -1. */
int local_wait_changed(struct local *local, struct local_wait *wait, struct local_db *db, struct err *err);
/* Monotonic time in ns until which a call with this timeout waits; negative: for ever. */
int64_t local_wait_deadline(int timeout_ms);
/* Sleeps until it is worth looking again, at the latest until the deadline: what came shortly before it is not passed
 * over. False: woken by local_wait_wake, or the deadline had passed at the call, and nothing was waited for. */
bool local_wait_sleep(struct local *local, struct local_wait *wait, int64_t deadline);
/* Whether nothing has happened for so long that buffers should be given back. */
bool local_wait_idle(const struct local_wait *wait);

#endif
