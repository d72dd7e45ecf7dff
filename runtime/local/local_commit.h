/* Writing to the log: one transaction at a time, shared by all threads of the process that wait at the same moment.
 *
 * Ownership: a struct local_request and what it points to belong to the calling thread, which sleeps until the request
 * is done.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_COMMIT_H
#define TIDEMILL_LOCAL_LOCAL_COMMIT_H

#include "local/local_int.h"

/* Finished batches for one partition, one after the other; their base offsets are set by the commit. */
struct local_append {
    int64_t partition_id;
    const char *topic; /* for messages */
    struct bytes *batches;
    int64_t end; /* out: offset after the last record */
};

struct local_position {
    int64_t partition_id;
    int64_t offset; /* OFFSET_NONE removes the position */
    const char *metadata;
};

struct local_request {
    struct local_append *appends;
    size_t append_count;
    const char *app; /* NULL: no positions */
    const struct local_position *positions;
    size_t position_count;

    /* Filled by the commit. */
    struct local_request *next;
    bool done;
    int result;
    struct err err;
};

/* Makes the request durable together with those of other threads (L1). ERR_RETRY: nothing has happened; ERR_UNKNOWN:
 * call local_commit_recover; ERR_FATAL: this request can't ever succeed. */
int local_commit(struct local *local, struct local_request *request, struct err *err);

/* After ERR_UNKNOWN: closes and reopens the writing connection, and commits a mark of its own, so that nothing of the
 * commit in doubt can come to light later (L3). */
int local_commit_recover(struct local *local, struct err *err);

/* Exclusive use of local->writer with a transaction begun, for what is no commit of a session. After _begin succeeded
 * exactly one call of _end follows: with result 0 it commits, else it rolls back and keeps `err`; it returns the
 * outcome. */
int local_commit_begin(struct local *local, struct err *err);
int local_commit_end(struct local *local, int result, struct err *err);

#endif
