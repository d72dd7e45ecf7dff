/* A disk for SQLite that fails, dies and loses what was not synced, as the simulation asks: a VFS in front of the real
 * one, the default of the process once it is installed.
 *
 * Everything is written to real files at once. For each file the writes since its last sync are kept with what they
 * replaced, so that a power cut can take back all of them, or let some reach the platter.
 *
 * Ownership: one disk per process, used by one thread.
 */
#ifndef TIDEMILL_TESTS_DISK_H
#define TIDEMILL_TESTS_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum disk_fault {
    DISK_DIES,  /* this operation and all others fail from now on, until disk_revive */
    DISK_FULL,  /* SQLITE_FULL */
    DISK_FAILS, /* SQLITE_IOERR */
    DISK_FAULT_COUNT
};

void disk_install(void);
/* What happens to the nth write, truncation, sync or deletion from now (1: the next one), and to the `times` - 1 after
 * it; 0: nothing. */
void disk_arm(int64_t nth, int64_t times, enum disk_fault fault);
bool disk_struck(void); /* whether it has happened since it was armed */
bool disk_dead(void);
int64_t disk_operations(void); /* since it was installed */
/* Works again. `power_cut`: what was not synced is gone, or part of it, by `random`; all files must be closed. */
void disk_revive(bool power_cut, uint64_t random);

#endif
