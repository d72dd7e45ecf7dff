/* The replication stream of a slot: transactions as change events, and the position behind what was read.
 *
 * Ownership: connections, changes and context are borrowed; postgres_stream_free ends the rest.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_STREAM_H
#define TIDEMILL_CONNECTORS_POSTGRES_STREAM_H

#include "connectors/postgres/postgres_snapshot.h"

struct postgres_stream { /* starts as zeroes with its connections, changes, position and the origin's database */
    PGconn *connection;
    PGconn *control; /* the catalog */
    struct postgres_changes *changes;
    struct postgres_slot_position position; /* behind the last event */
    struct postgres_slot_position resume;   /* events > 0: of a transaction that comes again, what was read before */
    struct postgres_origin origin;
    struct postgres_snapshot *behind; /* not NULL: only what it admits, and only up to `until` */
    uint64_t until;
    bool reached; /* that */
    struct pgoutput message;
    bool in_transaction;
    int64_t skip;       /* events of this transaction that were read before */
    uint64_t seen;      /* the server's log up to there has been looked through */
    uint64_t confirmed; /* what the server may forget */
    uint64_t told;      /* what it was told of that */
    int64_t status_ms;  /* when it was told something */
    bool asked;         /* it waits to be told */
    bool hurried;       /* it asked: perhaps it shuts down, and a server does not end before all is confirmed */
};

int postgres_stream_start(struct postgres_stream *stream, const char *slot, const char *publication, struct err *err);
/* Takes one message; *waits: none is there. Not after it has reached where it ends. */
int postgres_stream_step(struct postgres_stream *stream, bool *waits, struct err *err);
/* Tells the server that this side lives and what it may forget, if it is time to; `now`: whatever the time. */
int postgres_stream_report(struct postgres_stream *stream, bool now, struct err *err);
/* Where reading goes on: behind the last event, or still inside the transaction that has to come again. */
const struct postgres_slot_position *postgres_stream_position(const struct postgres_stream *stream);
void postgres_stream_free(struct postgres_stream *stream);

#endif
