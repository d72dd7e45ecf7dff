/* The signals that ask a command to end: the first one is noted, the second ends the process with 128 + its number.
 *
 * Ownership: process-wide; signals_install is called once, by the command that wants it.
 */
#ifndef TIDEMILL_CLI_SIGNALS_H
#define TIDEMILL_CLI_SIGNALS_H

#include <stdbool.h>

void signals_install(void); /* SIGINT, SIGTERM, SIGHUP */
bool signals_received(void);
void signals_wait(int timeout_ms); /* sleeps, at most until a signal comes */

#endif
