/* Single message transforms of Connect as lines of Lua: what they do is one line each, so they are shown, not run.
 *
 * Pure. The one that takes Debezium's envelope off is translated for real.
 */
#ifndef TIDEMILL_CLI_CONNECT_TRANSFORMS_H
#define TIDEMILL_CLI_CONNECT_TRANSFORMS_H

#include "cli/connect_script.h"

/* Appends the lines of every transform, in order, to the chain of methods in the script's body. */
void connect_transforms_write(struct connect_script *script, const char *indent);

#endif
