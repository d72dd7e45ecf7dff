/* deltas.db: one row per commit, newest last; rows that the merge is done with are deleted along with later commits.
 *
 * Ownership: the log belongs to the worker's thread. Slices given to callbacks end with the callback.
 */
#ifndef TIDEMILL_STORE_DELTA_LOG_H
#define TIDEMILL_STORE_DELTA_LOG_H

#include "store/database.h"

#define DELTA_LOG_FILE "deltas.db"
#define DELTA_LOG_APPLICATION_ID 0x544d4431u /* "TMD1" */

struct delta_log {
    struct database database;
    sqlite3_stmt *add;
    sqlite3_stmt *remove;
    sqlite3_stmt *begin;
    sqlite3_stmt *commit;
    int wal_pages; /* in the WAL after the last commit */
};

struct delta_log_row {
    int64_t seq;
    struct slice meta; /* null: the commit goes on with the next row */
    struct slice body;
};

/* Errors as database_open's. `made`: the file is new. On failure nothing stays open. */
int delta_log_open(struct delta_log *log, const char *directory, struct database_identity *identity,
                   enum database_role role, bool *made, struct err *err);
void delta_log_close(struct delta_log *log);

int delta_log_last(struct delta_log *log, int64_t *seq, struct err *err); /* 0: there is none */

/* Calls `each` for the rows with after < seq <= through, in order, until it fails or sets *stop. */
int delta_log_read(struct delta_log *log, int64_t after, int64_t through,
                   int (*each)(void *self, const struct delta_log_row *row, bool *stop, struct err *err), void *self,
                   struct err *err);

/* One transaction: adds the rows and deletes some of those with seq <= merged. On failure nothing has happened. */
int delta_log_append(struct delta_log *log, const struct delta_log_row *rows, size_t count, int64_t merged,
                     struct err *err);

#endif
