/* The rows that are in some tables when a slot is made, each as an event with op "r", in the order of their keys.
 *
 * A snapshot that was interrupted goes on: the rows up to its mark follow the changes of the slot that it was begun
 * with, up to where a second slot and a second snapshot begin; that snapshot gives the rows behind the mark.
 * postgres_snapshot_admit tells the changes of the first kind from the others, whose rows the second snapshot has. Only
 * a table without a key begins anew: its rows come again then.
 *
 * Ownership: the connection, changes and options are borrowed; postgres_snapshot_free ends the rest.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_SNAPSHOT_H
#define TIDEMILL_CONNECTORS_POSTGRES_SNAPSHOT_H

#include "connectors/postgres/postgres_key.h"
#include "connectors/postgres/postgres_slot.h"

struct postgres_snapshot { /* starts as zeroes with its connection, changes, tables and the origin's database */
    PGconn *connection;
    struct postgres_changes *changes;
    const struct option_list *tables;
    struct postgres_origin origin;
    size_t table;            /* of `tables`, being copied or next */
    struct postgres_key key; /* of that table */
    struct postgres_slot_mark mark;
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
/* How far it came; a mark whose table is empty when everything was read. Valid until the next step. */
const struct postgres_slot_mark *postgres_snapshot_mark(struct postgres_snapshot *snapshot);
/* Goes on behind snapshot->mark. ERR_FATAL: the tables are not the same as then. */
int postgres_snapshot_resume(struct postgres_snapshot *snapshot, struct err *err);
/* Whether a change is of a row up to the mark; *op becomes d or c when a changed key moves the row behind it or from
 * there. */
int postgres_snapshot_admit(struct postgres_snapshot *snapshot, const struct postgres_table *table,
                            const struct pgoutput *message, char *op, bool *admitted, struct err *err);
void postgres_snapshot_free(struct postgres_snapshot *snapshot);

#endif
