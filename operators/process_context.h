/* `ctx`, the last argument of a processor's callbacks: forward, every, stores, timestamp, headers (D22 to D24).
 *
 * Ownership: ctx and timers are userdata of the script's state, and fail by name outside of the callbacks of their
 * processor. A timer is kept until it is cancelled or the state ends.
 */
#ifndef TIDEMILL_OPERATORS_PROCESS_CONTEXT_H
#define TIDEMILL_OPERATORS_PROCESS_CONTEXT_H

#include "operators/process_int.h"

/* Makes the ctx of the processor, with its stores; once, when the operator is opened. [-0, +0, e] */
void process_context_open(lua_State *L, struct process *process);
/* Pushes ctx for the callback that begins now; `rec`: stack index of the record's rec, 0: there is none (yet). [-0, +1,
 * e] */
void process_context_push(lua_State *L, struct process *process, int rec);
/* Raises an error that names `what` unless one of the processor's callbacks runs now. [-0, +0, e] */
void process_context_require(lua_State *L, const struct process *process, const char *what);
/* Event time of what the running callback does: of the record, or what its timer was called with. */
int64_t process_context_time(const struct process *process);

#endif
