/* core.connector and core.connectors: connectors by kind, and their options from Lua tables. The kind "lua" is there
 * beside those of the table.
 *
 * Ownership: a connector in use belongs to the host until host_close.
 */
#ifndef TIDEMILL_SCRIPTS_BIND_CONNECTOR_H
#define TIDEMILL_SCRIPTS_BIND_CONNECTOR_H

#include "scripts/host.h"

/* Adds connector and connectors to the table on top of the stack. [-0, +0, e] */
void bind_connector_install(lua_State *L);
/* Frees what core.connector made. */
void bind_connector_free(struct host *host);

#endif
