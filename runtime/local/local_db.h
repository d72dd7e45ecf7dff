/* One connection to the log's file: opening with its checks, prepared statements, errors.
 *
 * Ownership: a struct local_db belongs to whoever opened it and is used by one thread at a time. A statement belongs to
 * the connection; one that returned a row holds a read transaction open until local_db_done.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_DB_H
#define TIDEMILL_LOCAL_LOCAL_DB_H

#include "base/bytes.h"
#include "base/err.h"
#include "local/local_sql.h"

#include <sqlite3.h>
#include <stdbool.h>

#define LOCAL_DB_FILE "log.db"
#define LOCAL_DB_APPLICATION 0x746d6c67 /* "tmlg", PRAGMA application_id */
#define LOCAL_DB_FORMAT 1               /* PRAGMA user_version */

struct local_db {
    sqlite3 *handle; /* NULL: closed */
    sqlite3_stmt *statements[LOCAL_SQL_COUNT];
    char *path;
};

enum local_db_use { LOCAL_DB_READ, LOCAL_DB_WRITE };

bool local_db_exists(const char *directory);
/* Opens the file <directory>/log.db, which must be there, and checks that it is a log this version understands.
 * 0 or -1; 1 with `err` filled: the file is empty, as one whose making was interrupted. */
int local_db_open(struct local_db *db, const char *directory, enum local_db_use use, struct err *err);
/* Makes the directories and the file if they are missing; what is there already is left alone. page_size 0: default. */
int local_db_create(const char *directory, int64_t page_size, struct err *err);
void local_db_close(struct local_db *db);

/* The statement, reset and without bindings; NULL: it can't be prepared, `err` says why. */
sqlite3_stmt *local_db_statement(struct local_db *db, enum local_sql sql, struct err *err);
/* 1: a row; 0: the end (and reset); -1: an error (and reset). */
int local_db_step(struct local_db *db, sqlite3_stmt *statement, struct err *err);
void local_db_done(sqlite3_stmt *statement);
/* Runs a statement whose parameters are integers to its end. */
int local_db_run(struct local_db *db, enum local_sql sql, const int64_t *values, size_t count, struct err *err);
/* Steps such a statement to its first row: 1, 0 or -1 as local_db_step. */
int local_db_first(struct local_db *db, enum local_sql sql, const int64_t *values, size_t count,
                   sqlite3_stmt **statement, struct err *err);
/* local_db_run without parameters. */
int local_db_exec(struct local_db *db, enum local_sql sql, struct err *err);
/* Rolls back if a transaction is open; keeps whatever `err` says. */
void local_db_rollback(struct local_db *db);

/* Copies the write-ahead log into the file; `restart`: waits up to a second for readers and other checkpoints, so that
 * it begins anew after. */
void local_db_checkpoint(struct local_db *db, bool restart);

/* Fills `err` from the connection's last error: ERR_RETRY for what may pass (full, busy, I/O), else ERR_FATAL; returns
 * -1. */
int local_db_fail(struct local_db *db, struct err *err);
/* The same for the result code of a call that leaves no error in the connection. */
int local_db_fail_code(struct local_db *db, int code, struct err *err);
bool local_db_is_full(int system); /* an errno that means no room */
/* Text column; "" for NULL. Valid until the next step. */
const char *local_db_text(sqlite3_stmt *statement, int column);

/* PRAGMA quick_check: 0 sound, 1 damaged (its first finding in `finding`), -1 it can't be run or took too long. */
int local_db_quick_check(struct local_db *db, int64_t limit_ms, struct bytes *finding);

static inline int64_t local_db_key(int64_t partition_id, int64_t offset)
{
    return partition_id << LOCAL_OFFSET_BITS | offset;
}
static inline int64_t local_db_key_offset(int64_t key)
{
    return key & (LOCAL_OFFSET_LIMIT - 1);
}

#endif
