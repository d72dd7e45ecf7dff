/* The connector behind tm.source and tm.sink: its functions are the script's.
 *
 * Ownership: constant.
 */
#ifndef TIDEMILL_SCRIPTS_LUA_CONNECTOR_H
#define TIDEMILL_SCRIPTS_LUA_CONNECTOR_H

#include "engine/connector.h"

extern const struct connector lua_connector;

#endif
