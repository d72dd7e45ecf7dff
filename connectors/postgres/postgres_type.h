/* Values of PostgreSQL's types in their text form as values of change events. Pure.
 *
 * Arrays become JSON arrays, except those whose bounds do not begin at 1, which stay text. Elements are as values of
 * their type are, but JSON and bytes within arrays stay PostgreSQL's text.
 * Ownership: what comes out points into the text or into the caller's scratch.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_TYPE_H
#define TIDEMILL_CONNECTORS_POSTGRES_TYPE_H

#include "connectors/envelope.h"

#define POSTGRES_TYPE_DEPTH 6         /* PostgreSQL's arrays have no more dimensions */
#define POSTGRES_TYPE_FIRST_OWN 16384 /* oids from there on are made by users and differ between databases */

/* The type of an array's elements, for postgres_type_value; 0: it is no array, or one that is not known. */
uint32_t postgres_type_element(uint32_t type);
struct envelope_value postgres_type_value(uint32_t type, uint32_t element, struct slice text, struct bytes *scratch);

#endif
