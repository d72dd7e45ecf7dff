/* The module "tidemill": the table `core` of C functions, and the DSL (scripts/dsl) that is built on it.
 *
 * Ownership: nodes belong to the graph, texts given here are copied into the host's memory.
 */
#ifndef TIDEMILL_SCRIPTS_BIND_TOPOLOGY_H
#define TIDEMILL_SCRIPTS_BIND_TOPOLOGY_H

#include "scripts/host.h"

/* Runs the DSL and pushes what it gives to scripts. Once per state (require keeps it). [-0, +1, e] */
void bind_topology_open(lua_State *L);

#endif
