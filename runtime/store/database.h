/* What the two files of a worker have in common: opening, header, identity, settings, and SQLite's errors as ours.
 *
 * Ownership: a struct database belongs to one thread at a time. Statements made by database_prepare are finalized by
 * their owner before database_close.
 */
#ifndef TIDEMILL_STORE_DATABASE_H
#define TIDEMILL_STORE_DATABASE_H

#include "base/bytes.h"
#include "base/err.h"

#include <sqlite3.h>

struct database {
    sqlite3 *handle;
    char *path;
};

/* Which kind of file, and whose. */
struct database_identity {
    uint32_t application_id;
    const char *schema; /* made in a new file */
    const char *app;
    const char *worker;
    int64_t pair; /* random number that both files of a worker share; 0: take the file's, or make one up */
};

/* How a connection is used. */
enum database_role {
    DATABASE_OWNER, /* the worker's: commits need not reach the disk at once (P12) */
    DATABASE_MERGER /* the merge's: what it commits is on disk, since deltas are deleted after it */
};

/* Opens the file, making it when it is missing (`*made`). ERR_CORRUPT: damaged, foreign, or of a newer format. The pair
 * is written back into `identity`. On failure nothing stays open. */
int database_open(struct database *database, const char *path, struct database_identity *identity,
                  enum database_role role, bool *made, struct err *err);
/* One file of a worker's, for somebody else who only reads, whoever it belongs to. ERR_CONFIG: it is not there;
 * ERR_CORRUPT as above. database_close follows also after a failure. */
int database_open_reader(struct database *database, const char *directory, const char *name, uint32_t application_id,
                         struct err *err);
void database_close(struct database *database);

int database_execute(struct database *database, const char *sql, struct err *err);
int database_prepare(struct database *database, const char *sql, sqlite3_stmt **statement, struct err *err);
/* For statements on tables that every file has: that one can't be prepared means damage. */
int database_prepare_own(struct database *database, const char *sql, sqlite3_stmt **statement, struct err *err);
/* Steps a statement that gives no rows, and resets it. */
int database_run(struct database *database, sqlite3_stmt *statement, struct err *err);
/* Steps one that may give a row. The caller resets it. */
int database_step(struct database *database, sqlite3_stmt *statement, bool *row, struct err *err);
/* The first column of the first row, `*found` false without one. Text and blobs are appended to `out`. */
int database_number(struct database *database, const char *sql, bool *found, int64_t *number, struct err *err);
/* SQLite's last error: full disk, busy and I/O are ERR_RETRY, damage is ERR_CORRUPT. */
int database_error(struct database *database, int result, struct err *err);

void database_bind_slice(sqlite3_stmt *statement, int index, struct slice slice); /* not copied */
struct slice database_column_slice(sqlite3_stmt *statement, int column);          /* null for NULL */

/* Memory for pages; 1 MiB after opening. */
int database_set_cache(struct database *database, int64_t bytes, struct err *err);

/* Moves the WAL into the file, as far as readers allow; waits for nobody and holds up nobody. With a writer at work it
 * is repeated a few times, because a WAL starts anew only when all of it was moved. */
int database_checkpoint(struct database *database, struct err *err);
/* The same, and makes the WAL empty, unless a reader is long at it: for a file that has no other writer. */
int database_truncate_wal(struct database *database, struct err *err);

#endif
