/* What `tidemill check --data` finds in the files of an app's stores.
 *
 * Ownership: the texts belong to the struct; check_state_free releases them, also after a failure.
 */
#ifndef TIDEMILL_CLI_CHECK_STATE_H
#define TIDEMILL_CLI_CHECK_STATE_H

#include "base/err.h"

#include <stddef.h>

struct check_damage {
    char *file;
    char *why; /* a sentence */
};

struct check_state {
    size_t workers; /* that have state here */
    struct check_damage *damages;
    size_t count;
    size_t capacity;
};

/* Reads every store of the app in "<state>" whole and changes nothing; the app may run meanwhile. Says on standard
 * error how far it is when that takes long. */
int check_state(const char *state_directory, const char *app, struct check_state *state, struct err *err);
void check_state_free(struct check_state *state);

/* For glob: the directories of the app's workers, then `tail`. The caller frees it. */
char *check_state_pattern(const char *state_directory, const char *app, const char *tail);

#endif
