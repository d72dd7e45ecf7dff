#include "connectors/sqlite/sqlite_db.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_FIRST_TRIES 20
#define BUSY_PAUSE_MS 20

/* ---- errors ---- */

struct failure {
    int code; /* SQLite's primary result code */
    enum err_class class;
    enum err_code err_code;
    const char *advice;
};

static const struct failure failures[] = {
    {SQLITE_CONSTRAINT, ERR_SKIP, ERR_RECORD, "Change the record before the sink, or the table"},
    {SQLITE_MISMATCH, ERR_SKIP, ERR_RECORD, "The table's integer key takes only integers"},
    {SQLITE_TOOBIG, ERR_SKIP, ERR_RECORD, "A value or row is larger than SQLite takes"},
    {SQLITE_BUSY, ERR_RETRY, ERR_LOCKED, "Another program holds the file's lock; it is tried again"},
    {SQLITE_LOCKED, ERR_RETRY, ERR_LOCKED, "Another program holds the file's lock; it is tried again"},
    {SQLITE_FULL, ERR_RETRY, ERR_DISK_FULL, "Make room on the device; it is tried again"},
    {SQLITE_IOERR, ERR_RETRY, ERR_IO,
     "Check in the system's log whether the device fails, or is full; it is tried again"},
    {SQLITE_CORRUPT, ERR_FATAL, ERR_CORRUPT, "The file is damaged: restore it from a backup"},
    {SQLITE_NOTADB, ERR_FATAL, ERR_CORRUPT, "The file is no SQLite database: check the option path"},
    {SQLITE_READONLY, ERR_FATAL, ERR_IO, "Check the permissions of the file and its directory"},
    {SQLITE_CANTOPEN, ERR_FATAL, ERR_IO, "Check the path and the permissions of the file and its directory"},
    {SQLITE_PERM, ERR_FATAL, ERR_IO, "Check the permissions of the file and its directory"},
    {SQLITE_NOMEM, ERR_FATAL, ERR_MEMORY, "Give the process more memory"},
};

static struct failure failure_of(sqlite3 *handle)
{
    int code = sqlite3_errcode(handle) & 0xff;
    if (code == SQLITE_IOERR) {
        int reason = sqlite3_system_errno(handle);
        if (reason == ENOSPC || reason == EFBIG || reason == EDQUOT) {
            code = SQLITE_FULL;
        }
    }
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (failures[i].code == code) {
            return failures[i];
        }
    }
    return (struct failure){code, ERR_FATAL, ERR_CONFIG, "Check the options of the connector against the database"};
}

int sqlite_db_fail(const struct sqlite_db *db, const char *doing, struct err *err)
{
    struct failure failure = failure_of(db->handle);
    return err_set(err, failure.class, failure.err_code, "SQLite said \"%s\" while %s in %s. %s.",
                   sqlite3_errmsg(db->handle), doing, db->path, failure.advice);
}

/* ---- locks ---- */

static int wait_for_others(void *self, int tries)
{
    struct sqlite_db *db = self;
    int64_t now = clock_monotonic_ns(&CLOCK_SYSTEM);
    if (tries == 0) {
        db->busy_since_ns = now;
    }
    if (now - db->busy_since_ns > db->busy_limit_ns || connector_stopping(db->context)) {
        return 0;
    }
    clock_sleep_ms(tries < BUSY_FIRST_TRIES ? 1 : BUSY_PAUSE_MS);
    return 1;
}

/* ---- opening ---- */

static int use_write_ahead_log(struct sqlite_db *db, struct err *err)
{
    sqlite3_stmt *statement = sqlite_db_prepare(db, "PRAGMA journal_mode = WAL", "opening it", err);
    if (!statement) {
        return -1;
    }
    int result = 0;
    if (sqlite3_step(statement) != SQLITE_ROW) {
        result = sqlite_db_fail(db, "turning on the write-ahead log", err);
    } else if (sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0) {
        result = err_set(err, ERR_FATAL, ERR_CONFIG,
                         "%s can't have a write-ahead log: choose a file on a local file system", db->path);
    }
    sqlite3_finalize(statement);
    return result;
}

static int open_file(struct sqlite_db *db, const struct connector_context *context, const char *path, int flags,
                     struct err *err)
{
    *db = (struct sqlite_db){.path = path, .context = context, .busy_limit_ns = SQLITE_DB_BUSY_NS};
    if (sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        sqlite_db_fail(db, "opening it", err);
        sqlite_db_close(db);
        return -1;
    }
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_handler(db->handle, wait_for_others, db);
    return 0;
}

static bool may_write_journal(const char *path)
{
    char *log = memory_format("%s-wal", path);
    char *directory = memory_copy_text(path);
    char *slash = strrchr(directory, '/');
    if (slash) {
        slash[slash == directory] = '\0';
    }
    bool may = access(log, W_OK) == 0 || access(slash ? directory : ".", W_OK) == 0;
    free(directory);
    free(log);
    return may;
}

int sqlite_db_check_writable(const struct sqlite_db *db, const char *otherwise, struct err *err)
{
    bool file = sqlite3_db_readonly(db->handle, "main") == 1 || access(db->path, W_OK) != 0;
    if (!file && may_write_journal(db->path)) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_IO, "%s can't be written: the user that runs this needs the right to write %s%s",
                   db->path, file ? "the file and its directory" : "its directory, where SQLite keeps its journal",
                   otherwise);
}

static int use_full_durability(struct sqlite_db *db, struct err *err)
{
    return sqlite_db_run(db, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;", "opening it", err);
}

int sqlite_db_open(struct sqlite_db *db, const struct connector_context *context, const char *path, bool create,
                   struct err *err)
{
    if (open_file(db, context, path, SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0), err) != 0) {
        return -1;
    }
    if (sqlite_db_check_writable(db, "", err) != 0 || use_write_ahead_log(db, err) != 0 ||
        use_full_durability(db, err) != 0) {
        sqlite_db_close(db);
        return -1;
    }
    return 0;
}

int sqlite_db_open_existing(struct sqlite_db *db, const struct connector_context *context, const char *path,
                            struct err *err)
{
    if (open_file(db, context, path, SQLITE_OPEN_READWRITE, err) != 0) {
        return -1;
    }
    if (use_full_durability(db, err) != 0) {
        sqlite_db_close(db);
        return -1;
    }
    return 0;
}

int sqlite_db_open_reading(struct sqlite_db *db, const struct connector_context *context, const char *path,
                           struct err *err)
{
    return open_file(db, context, path, SQLITE_OPEN_READONLY, err);
}

void sqlite_db_close(struct sqlite_db *db)
{
    sqlite3_close(db->handle);
    db->handle = NULL;
}

/* ---- statements ---- */

sqlite3_stmt *sqlite_db_prepare(struct sqlite_db *db, const char *sql, const char *doing, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
        sqlite_db_fail(db, doing, err);
        return NULL;
    }
    return statement;
}

int sqlite_db_run(struct sqlite_db *db, const char *sql, const char *doing, struct err *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite_db_fail(db, doing, err);
}

void sqlite_db_rollback(struct sqlite_db *db)
{
    if (!sqlite3_get_autocommit(db->handle)) {
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
}

void sqlite_db_quote(struct bytes *sql, struct slice name)
{
    bytes_append_byte(sql, '"');
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '"') {
            bytes_append_byte(sql, '"');
        }
        bytes_append_byte(sql, name.data[i]);
    }
    bytes_append_byte(sql, '"');
}
