/* Windowed keys and stores of windows against what a vector says about them.
 *
 * Ownership: nothing is kept; texts lie in the given arena.
 */
#ifndef TIDEMILL_TESTS_VECTOR_WINDOWS_H
#define TIDEMILL_TESTS_VECTOR_WINDOWS_H

#include "engine/driver.h"
#include "tests/vectors/vector.h"

/* Whether the key of a record in `topic` is the object { key, window_start, window_end }. */
bool vector_windows_key_matches(struct arena *arena, struct driver *driver, const char *topic, struct slice expected,
                                struct slice key);
/* Whether the store is one of windows or sessions. */
bool vector_windows_in(struct driver *driver, const char *store);
/* Whether it has all windows of the list, and no others but expired ones. Says on stdout what differs. */
bool vector_windows_store_matches(struct arena *arena, struct driver *driver, const char *store, struct slice expected);

#endif
