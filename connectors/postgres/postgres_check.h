/* What a PostgreSQL source lacks on the server: settings, rights, tables and their replica identities. */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_CHECK_H
#define TIDEMILL_CONNECTORS_POSTGRES_CHECK_H

#include "engine/connector.h"

int postgres_check_source(const struct connector_context *context, const struct connector_check *check,
                          struct err *err);

#endif
