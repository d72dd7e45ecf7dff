/* Stores whose "disk" is this process's memory: what is committed outlives the set and the member that had it open, as
 * files would, and what is not is lost with it. For simulations that open stores many thousand times a second.
 *
 * It has those calls of engine/store.h that the engine makes for key-value stores: no cursors, no segments.
 *
 * Ownership: the disk belongs to the process and is used by one thread; kept_stores_clear empties it. A state is named
 * by the directory that its set is opened with.
 */
#ifndef TIDEMILL_TESTS_KEPT_STORES_H
#define TIDEMILL_TESTS_KEPT_STORES_H

#include <stdint.h>

#include "engine/store.h"

extern const struct store_driver kept_stores_driver;

/* Whether a commit is written in the background, so that a process which dies before the next one is one commit more
 * behind (engine/store.h allows it). NULL: none is. */
extern bool (*kept_stores_puts_off)(void);

/* Everything below a directory, of sets that are closed. */
void kept_stores_delete(const char *directory);
void kept_stores_keep(const char *directory);     /* remembers the state as it is now */
void kept_stores_put_back(const char *directory); /* to what was remembered; what was not is gone */
/* From now on closing a set is what happens to it when its process dies: what is put off is lost. */
void kept_stores_die(bool dies);
void kept_stores_clear(void);

#endif
