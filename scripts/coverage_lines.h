/* The lines of a Lua function that hold code, those of the functions inside it included. Lua tells them only of a
 * function at hand, so they are read from its compiled form (ldump.c of Lua 5.4).
 *
 * Ownership: nothing is kept.
 */
#ifndef TIDEMILL_SCRIPTS_COVERAGE_LINES_H
#define TIDEMILL_SCRIPTS_COVERAGE_LINES_H

#include "base/bytes.h"

/* Calls `each` for the line of every instruction; false: these bytes are no compiled function of this Lua. */
bool coverage_lines(struct slice compiled, void (*each)(void *self, int line), void *self);

#endif
