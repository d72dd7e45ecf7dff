/* A copy of the state of a worker, whose process runs meanwhile or not.
 *
 * The copy is what a process that is killed at one moment leaves behind: the two files as of one commit. Both are read
 * in transactions that begin one right after the other, the rows' first: what a merge puts into them later is still
 * among the deltas. Only that a merge ends and a commit deletes its deltas in between could lose some; that is seen,
 * and both are begun anew.
 * While it copies, the WALs of the process can't begin anew and grow with what it commits; nobody is held up.
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_STORE_STATE_COPY_H
#define TIDEMILL_STORE_STATE_COPY_H

#include "base/err.h"

#include <stdint.h>

/* Copies the files in `directory` into `target`, a directory without such files, onto its disk. `advance` (may be NULL)
 * is told now and then how many bytes were copied since it was called last. ERR_CONFIG: there is no state in the
 * directory (any more); ERR_CORRUPT: damaged, or of another version; ERR_DISK_FULL, ERR_IO. */
int state_copy(const char *directory, const char *target, void (*advance)(void *self, int64_t bytes), void *self,
               struct err *err);

#endif
