/* The table of connectors: each is a folder here, and a line in all.c.
 *
 * Ownership: constant.
 */
#ifndef TIDEMILL_CONNECTORS_ALL_H
#define TIDEMILL_CONNECTORS_ALL_H

#include "engine/connector.h"

extern const struct connector_table connectors_all;

#endif
