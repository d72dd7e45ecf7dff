/* A process's place in the state directory: "<state>/<app>/<slot>/", locked while the process lives.
 *
 * Two processes of an app may be started in one directory: each takes the first slot that nobody has locked. The slot
 * keeps the persistent instance id, which a restart takes up again (P2, static membership). The lock is the kernel's
 * and dies with the process (L5). Ownership: slot_open's result owns the lock and its texts until slot_close.
 */
#ifndef TIDEMILL_ENGINE_SLOT_H
#define TIDEMILL_ENGINE_SLOT_H

#include "base/err.h"

struct slot;

/* `name` NULL: the first free one of "0", "1", ...; else that one, refused when it is taken, and when it is no valid
 * name (graph.h): as a path it could lead out of the app's directory. Makes missing directories. */
int slot_open(const char *state_directory, const char *app, const char *name, struct slot **slot, struct err *err);
void slot_close(struct slot *slot);
const char *slot_directory(const struct slot *slot);
const char *slot_instance(const struct slot *slot);

/* 32 hexadecimal digits from the system's source of randomness. `text` has room for 33 bytes. */
int slot_random_id(char *text, struct err *err);

#endif
