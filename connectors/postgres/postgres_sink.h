/* Records as rows of a PostgreSQL table, exactly once: the position moves in the transaction that writes the rows.
 *
 * Ownership: as engine/connector.h says.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_SINK_H
#define TIDEMILL_CONNECTORS_POSTGRES_SINK_H

#include "engine/connector.h"

enum postgres_sink_mode { POSTGRES_SINK_INSERT, POSTGRES_SINK_UPSERT, POSTGRES_SINK_UPDATE };

struct postgres_sink_options {
    char *url;
    char *table; /* "orders" or "sales.orders" */
    struct option_list key;
    int mode; /* enum postgres_sink_mode */
    bool delete;
    bool auto_create;
    bool auto_evolve;
};

extern const struct sink_class postgres_sink_class;

#endif
