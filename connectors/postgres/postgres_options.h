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

#define POSTGRES_OPTIONS_NAME 64 /* of PostgreSQL's names, with their end */

/* The names of the slot and of the publication, by the options or made of application and source. ERR_CONFIG: the
 * slot's is longer than 61, and that of a second slot ends with _2. */
int postgres_options_names(const struct connector_context *context, char slot[POSTGRES_OPTIONS_NAME],
                           char publication[POSTGRES_OPTIONS_NAME], struct err *err);

/* As the validate of engine/connector.h. */
int postgres_options_validate(const void *options, struct err *err);

#endif
