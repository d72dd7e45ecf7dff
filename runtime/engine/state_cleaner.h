/* State directories of workers that are not here any more: kept for a while, so that a partition that comes back finds
 * its state, and then deleted in the background.
 *
 * A directory counts as left since its worker was closed, and at the earliest since the process began. Files in
 * quarantine stay.
 * Ownership: the cleaner borrows the clock; claims belong to open workers. @locks one mutex, held while a directory is
 * emptied. @thread any
 */
#ifndef TIDEMILL_ENGINE_STATE_CLEANER_H
#define TIDEMILL_ENGINE_STATE_CLEANER_H

#include "base/clock.h"
#include "base/err.h"

struct state_cleaner;

/* `directory`: the process's own, which it has locked. `delay_ms` 0: nothing is ever deleted. `thread` false: only
 * state_cleaner_sweep does anything. */
int state_cleaner_open(const char *directory, int64_t delay_ms, const struct clock *clock, bool thread,
                       struct state_cleaner **cleaner, struct err *err);
void state_cleaner_close(struct state_cleaner *cleaner); /* NULL is allowed */

/* A worker opens its directory, which it makes only then, and closes it. `cleaner` may be NULL. */
void state_cleaner_claim(struct state_cleaner *cleaner, const char *path);
void state_cleaner_release(struct state_cleaner *cleaner, const char *path);

/* Deletes what has been left for long enough; returns how many directories. */
int state_cleaner_sweep(struct state_cleaner *cleaner);

#endif
