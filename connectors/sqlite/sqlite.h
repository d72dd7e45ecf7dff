/* The SQLite connector, for the list of connectors. Static tables only. */
#ifndef TIDEMILL_CONNECTORS_SQLITE_H
#define TIDEMILL_CONNECTORS_SQLITE_H

#include "engine/connector.h"

extern const struct connector sqlite_connector;

#endif
