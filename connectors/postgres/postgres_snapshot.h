/* The rows that are in some tables when a slot is made, each as an event with op "r".
 *
 * Ownership: the connection, changes and options are borrowed; postgres_snapshot_free ends the rest.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_SNAPSHOT_H
#define TIDEMILL_CONNECTORS_POSTGRES_SNAPSHOT_H

#include "connectors/postgres/postgres_change.h"
#include "connectors/postgres/postgres_connection.h"

struct postgres_snapshot { /* starts as zeroes with its connection, changes, tables and the origin's database */
    PGconn *connection;
    struct postgres_changes *changes;
    const struct option_list *tables;
    struct postgres_origin origin;
    size_t table;                  /* of `tables`, being copied or next */
    struct postgres_table *copied; /* NULL: none now */
    struct source_progress progress;
    char phase[160];
    struct pgoutput row;
    struct bytes decoded;
};

/* Makes the tables known as wanted. ERR_FATAL: one is not there or may not be read. */
int postgres_snapshot_look(struct postgres_snapshot *snapshot, struct err *err);
/* Begins with the exported snapshot `name` of the slot whose stream begins at `lsn`. */
int postgres_snapshot_begin(struct postgres_snapshot *snapshot, const char *name, uint64_t lsn, struct err *err);
/* Takes one row or goes on with the next table; *waits: nothing has come yet; *done: that was the last one. */
int postgres_snapshot_step(struct postgres_snapshot *snapshot, bool *waits, bool *done, struct err *err);
void postgres_snapshot_free(struct postgres_snapshot *snapshot);

#endif
