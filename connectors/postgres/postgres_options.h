/* The options of the PostgreSQL source that follows the changes of tables. */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_OPTIONS_H
#define TIDEMILL_CONNECTORS_POSTGRES_OPTIONS_H

#include "engine/connector.h"

enum postgres_source_snapshot { POSTGRES_SNAPSHOT_INITIAL, POSTGRES_SNAPSHOT_NEVER };

struct postgres_source_options {
    char *url;
    struct option_list tables;
    char *slot;        /* NULL: made of application and source */
    char *publication; /* NULL: as the slot */
    int snapshot;      /* enum postgres_source_snapshot */
    bool tombstones;
};

extern const struct option_table postgres_options_source;

/* As the validate of engine/connector.h. */
int postgres_options_validate(const void *options, struct err *err);

#endif
