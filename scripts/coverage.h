/* Which lines of scripts have run: `tidemill test --coverage`.
 *
 * Ownership: a coverage outlives every state that it watches; it is used by one thread.
 */
#ifndef TIDEMILL_SCRIPTS_COVERAGE_H
#define TIDEMILL_SCRIPTS_COVERAGE_H

#include <lua.h>

#include "base/bytes.h"

struct coverage;

struct coverage_file {
    const char *path;
    int lines; /* that hold code */
    int run;
    const int *missed; /* numbers of the others, in order; valid until the next call of coverage_file */
    int missed_count;
};

struct coverage *coverage_new(void);
void coverage_free(struct coverage *coverage); /* NULL is fine */

/* Counts from now on what runs in the state and in the coroutines that it makes. [-0, +0, -] */
void coverage_watch(struct coverage *coverage, lua_State *L);
/* Notes the lines of the function on top of the stack, which was loaded from the file `path` as the chunk `name`.
 * [-0, +0, -] */
void coverage_add(struct coverage *coverage, lua_State *L, const char *path, const char *name);

/* Files in the order in which they were loaded first. */
size_t coverage_count(const struct coverage *coverage);
struct coverage_file coverage_file(struct coverage *coverage, size_t index);

#endif
