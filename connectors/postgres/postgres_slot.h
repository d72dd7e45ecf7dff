/* What the source needs in the database: its publication, its replication slot, its position.
 *
 * Ownership: connections are borrowed; a position's texts belong to it.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_SLOT_H
#define TIDEMILL_CONNECTORS_POSTGRES_SLOT_H

#include "connectors/postgres/postgres_change.h"
#include "connectors/postgres/postgres_connection.h"

#define POSTGRES_SLOT_SYSTEM_SIZE 32

/* Reading goes on behind `lsn`, and skips the first `events` of the transaction whose commit lies at `commit`. */
struct postgres_slot_position {
    uint64_t lsn;
    uint64_t commit;
    int64_t events;
    bool running; /* a snapshot is under way; the rows up to its mark are as of this position */
    bool second;  /* of the source's two slots; each time a snapshot goes on after a restart they change places */
    char system[POSTGRES_SLOT_SYSTEM_SIZE];
    int64_t timeline; /* of the server's log; 0: not known */
};

/* How far a snapshot came; starts as zeroes. Its owner ends it with postgres_slot_free_mark. */
struct postgres_slot_mark {
    struct bytes table; /* as the option names it; what stands before it in the list is finished. Empty: no mark */
    struct bytes key;   /* of its last row that was read, as postgres_key.h says; empty: none was */
    int64_t rows;       /* of that table that were read */
};

/* ERR_FATAL: it is no position of this source. */
int postgres_slot_read_position(struct slice text, struct postgres_slot_position *position,
                                struct postgres_slot_mark *mark, struct err *err);
void postgres_slot_write_position(const struct postgres_slot_position *position, const struct postgres_slot_mark *mark,
                                  struct bytes *out);
void postgres_slot_free_mark(struct postgres_slot_mark *mark);

struct postgres_slot_state {
    bool exists;
    bool lost; /* the server has removed the log that it stood for */
    uint64_t confirmed;
};

int postgres_slot_look(PGconn *control, const char *slot, struct postgres_slot_state *state, struct err *err);
/* Removes the slot, where it is there and of this source's kind. */
int postgres_slot_drop(PGconn *control, const char *slot, struct err *err);
/* Creates the slot; *lsn is where the stream begins, `snapshot` (of `size` bytes) the name of the exported snapshot. */
int postgres_slot_create(const struct connector_context *context, PGconn *stream, const char *slot, uint64_t *lsn,
                         char *snapshot, size_t size, struct err *err);
/* The server's own number and timeline; ERR_FATAL: the position is of another one. */
int postgres_slot_identify(PGconn *stream, struct postgres_slot_position *position, struct err *err);
/* ERR_FATAL: what the position needs is not there any more. `end`: of the server's log. */
int postgres_slot_check(const char *slot, const struct postgres_slot_state *state,
                        const struct postgres_slot_position *position, uint64_t end, struct err *err);
/* Creates the publication of these tables, or looks whether the one there has them all. ERR_FATAL: it has not, or a
 * table has no replica identity, and publishing it would make its UPDATE and DELETE fail. */
int postgres_slot_publish(PGconn *control, const char *publication, const struct option_list *tables, struct err *err);

#endif
