/* What the connectors of a script find when they look at their databases and files.
 *
 * Ownership: everything is borrowed for the call.
 */
#ifndef TIDEMILL_CLI_CONNECT_CHECK_H
#define TIDEMILL_CLI_CONNECT_CHECK_H

#include "base/bytes.h"
#include "engine/graph.h"

/* Asks the connector of the node. `json`: one line of JSON, else lines for people. *bad is set when it would not work.
 */
void connect_check(const struct node *node, const char *app, bool json, struct bytes *out, bool *bad);

#endif
