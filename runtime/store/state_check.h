/* Whether the state of a worker is sound, looked at by somebody else, read only, while its process runs or does not.
 *
 * Both files are read whole: header, whose they are, their pages, and the checksums of the deltas that are not merged.
 * Ownership: nothing is kept; texts given to the callback end with it.
 */
#ifndef TIDEMILL_STORE_STATE_CHECK_H
#define TIDEMILL_STORE_STATE_CHECK_H

#include "base/err.h"

#include <stdbool.h>

/* `*found` false: there is no state in the directory. `damaged` is called for each file that can't be used, with its
 * name and why, and the call goes on and returns 0. `app` is whose state it is to be. Fails when a file can't be read
 * for another reason: ERR_IO, ERR_CONFIG. */
int state_check(const char *directory, const char *app, bool *found,
                void (*damaged)(void *self, const char *file, const char *why), void *self, struct err *err);

#endif
