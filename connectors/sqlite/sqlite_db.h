/* A connection to a SQLite file that belongs to others: opening it with full durability, errors by class, waiting for
 * locks.
 *
 * Ownership: a struct sqlite_db owns its handle until sqlite_db_close; path and context are borrowed. Statements belong
 * to who prepared them and are finalized before the close.
 */
#ifndef TIDEMILL_CONNECTORS_SQLITE_DB_H
#define TIDEMILL_CONNECTORS_SQLITE_DB_H

#include "engine/connector.h"

#include <sqlite3.h>

#define SQLITE_DB_BUSY_NS INT64_C(5000000000) /* the usual limit */

struct sqlite_db {
    sqlite3 *handle;
    const char *path;
    const struct connector_context *context;
    int64_t busy_limit_ns; /* how long a statement waits for a lock */
    int64_t busy_since_ns; /* when the wait for a lock began that is under way */
};

/* Write-ahead log and synchronous = FULL: what is committed survives a power cut. `create`: a missing file is made. */
int sqlite_db_open(struct sqlite_db *db, const struct connector_context *context, const char *path, bool create,
                   struct err *err);
/* The same without a word about the log: a file of others stays as it is. */
int sqlite_db_open_existing(struct sqlite_db *db, const struct connector_context *context, const char *path,
                            struct err *err);
int sqlite_db_open_reading(struct sqlite_db *db, const struct connector_context *context, const char *path,
                           struct err *err);
/* ERR_FATAL when the file, or its directory, where SQLite makes its journal, is not to be written by this user.
 * `otherwise`: what else can be done, behind the sentence; empty: nothing. */
int sqlite_db_check_writable(const struct sqlite_db *db, const char *otherwise, struct err *err);
void sqlite_db_close(struct sqlite_db *db);

/* Fills `err` from the handle's last error: ERR_SKIP for constraints and types, ERR_RETRY for locks, full disks and
 * failing devices, ERR_FATAL for the rest. `doing` is "writing a row of table orders". Returns -1. */
int sqlite_db_fail(const struct sqlite_db *db, const char *doing, struct err *err);

/* NULL: failed. */
sqlite3_stmt *sqlite_db_prepare(struct sqlite_db *db, const char *sql, const char *doing, struct err *err);
int sqlite_db_run(struct sqlite_db *db, const char *sql, const char *doing, struct err *err); /* without results */
void sqlite_db_rollback(struct sqlite_db *db); /* when a transaction is open */

/* Appends a name as SQL writes it, in double quotes. */
void sqlite_db_quote(struct bytes *sql, struct slice name);

#endif
