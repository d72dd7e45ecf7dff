/* Kernel locks on files: they end with the process that holds them, so nothing has to be cleaned up by hand.
 *
 * Ownership: the caller owns the descriptor in a struct local_lock until local_lock_release. The file itself stays.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_LOCK_H
#define TIDEMILL_LOCAL_LOCAL_LOCK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct local_lock {
    int fd; /* -1: not held */
};

#define LOCAL_LOCK_NONE ((struct local_lock){-1})

/* Takes the lock of a file, which is made if missing, and writes pid and command of this process into it.
 * 1: taken; 0: somebody else has it (with `wait` it is waited for instead); -1: the file can't be used. */
int local_lock_take(struct local_lock *lock, const char *path, bool wait, struct err *err);
void local_lock_release(struct local_lock *lock);
/* "process 123 (tidemill run pipeline.lua)", from the file; "another process" when that can't be read. */
void local_lock_owner(const char *path, char *text, size_t size);

#endif
