/* The signals that ask a command to end: the first one is noted, the next one ends the process with 128 + its number.
 * Those within 200 ms of the first, of whatever number, are the first one heard again.
 *
 * Ownership: process-wide; signals_install is called once, by the command that wants it.
 */
#ifndef TIDEMILL_CLI_SIGNALS_H
#define TIDEMILL_CLI_SIGNALS_H

#include <stdbool.h>

#include "base/clock.h"

void signals_install(void); /* SIGINT, SIGTERM, SIGHUP */
bool signals_received(void);
bool signals_next_ends(void);      /* one was received, and another would end the process now */
void signals_wait(int timeout_ms); /* sleeps, at most until a signal comes */

void signals_use_clock(const struct clock *clock); /* borrowed; tests have one of their own */

#endif
