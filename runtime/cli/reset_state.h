/* The local state of an app: finding it, locking it, deleting it.
 *
 * Ownership: reset_state_lock's locks are held until reset_state_release.
 */
#ifndef TIDEMILL_CLI_RESET_STATE_H
#define TIDEMILL_CLI_RESET_STATE_H

#include "base/option.h"

struct slot;

struct reset_state {
    char *directory; /* "<state>/<app>" */
    struct slot **slots;
    size_t count;
    size_t capacity;
};

/* Locks every slot that there is. ERR_LOCKED: the app runs. */
int reset_state_lock(const char *state_directory, const char *app, struct reset_state *state, struct err *err);
/* Deletes the directory with everything in it. */
int reset_state_delete(const struct reset_state *state, struct err *err);
void reset_state_release(struct reset_state *state);
/* Names of the apps that have state there. */
void reset_state_apps(const char *state_directory, struct option_list *apps);

#endif
