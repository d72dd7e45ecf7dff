/* tm.connect.postgres: changes of tables as a source, a table as a target. */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_POSTGRES_H
#define TIDEMILL_CONNECTORS_POSTGRES_POSTGRES_H

#include "engine/connector.h"

extern const struct connector postgres_connector;

#endif
