#include "local/local_db.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "local/local_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PAGE_SIZE 8192
#define BUSY_LIMIT_MS 30000
#define CHECKPOINT_WAIT_MS 1000
#define QUICK_CHECK_MS 10000
#define PROGRESS_STEPS 10000
#define LENGTH_TRIES 20
#define LENGTH_NAP_MS 5

static const char *const statement_texts[LOCAL_SQL_COUNT] = {
#define X(name, text) [SQL_##name] = text,
    LOCAL_SQL_STATEMENTS(X)
#undef X
};

/* ---- errors ---- */

struct failure {
    int code; /* SQLite's primary result code */
    enum err_class class;
    enum err_code err_code;
    const char *advice;
};

static const char damage_advice[] = "It was left as it is: keep a copy, check the disk, and restore the data directory "
                                    "from a backup or start with another one";

static const struct failure failures[] = {
    {SQLITE_FULL, ERR_RETRY, ERR_DISK_FULL,
     "Make room on the device; nothing is lost, work goes on from the last commit"},
    {SQLITE_BUSY, ERR_RETRY, ERR_LOCKED, "Another process has been writing for long; try again when it is done"},
    {SQLITE_LOCKED, ERR_RETRY, ERR_LOCKED, "Another process has been writing for long; try again when it is done"},
    {SQLITE_IOERR, ERR_RETRY, ERR_IO, "Check the device and the system's log"},
    {SQLITE_CORRUPT, ERR_FATAL, ERR_CORRUPT, damage_advice},
    {SQLITE_NOTADB, ERR_FATAL, ERR_CORRUPT, damage_advice},
    {SQLITE_READONLY, ERR_FATAL, ERR_IO, "Check the permissions of the file and its directory"},
    {SQLITE_CANTOPEN, ERR_FATAL, ERR_IO, "Check the permissions of the file and its directory"},
    {SQLITE_PERM, ERR_FATAL, ERR_IO, "Check the permissions of the file and its directory"},
    {SQLITE_NOMEM, ERR_FATAL, ERR_MEMORY, "Give the process more memory"},
};

bool local_db_is_full(int system)
{
    return system == ENOSPC || system == EFBIG || system == EDQUOT;
}

static struct failure failure_of(sqlite3 *handle, int code)
{
    code &= 0xff;
    if (code == SQLITE_IOERR) {
        int reason = sqlite3_system_errno(handle);
        if (local_db_is_full(reason)) {
            code = SQLITE_FULL;
        }
    }
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        if (failures[i].code == code) {
            return failures[i];
        }
    }
    return (struct failure){code, ERR_FATAL, ERR_INTERNAL, "This is a bug: please report it with this message"};
}

int local_db_fail(struct local_db *db, struct err *err)
{
    return local_db_fail_code(db, sqlite3_extended_errcode(db->handle), err);
}

int local_db_fail_code(struct local_db *db, int code, struct err *err)
{
    struct failure failure = failure_of(db->handle, code);
    char reason[256];
    bool last = sqlite3_extended_errcode(db->handle) == code;
    snprintf(reason, sizeof reason, "%s", last ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
    if (failure.err_code != ERR_CORRUPT) {
        return err_set(err, failure.class, failure.err_code, "The log %s can't be used: %s. %s.", db->path, reason,
                       failure.advice);
    }
    struct bytes finding = {0};
    int verdict = local_db_quick_check(db, QUICK_CHECK_MS, &finding);
    err_set(err, failure.class, failure.err_code, "The log %s is damaged or is not a log: %s%s%.300s. %s.", db->path,
            reason, verdict == 1 ? "; " : "", verdict == 1 ? bytes_text(&finding) : "", failure.advice);
    bytes_free(&finding);
    return -1;
}

static int past_deadline(void *deadline)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) > *(int64_t *)deadline;
}

int local_db_quick_check(struct local_db *db, int64_t limit_ms, struct bytes *finding)
{
    int64_t deadline = clock_monotonic_ns(&CLOCK_SYSTEM) + limit_ms * 1000000;
    sqlite3_stmt *statement = NULL;
    int verdict = -1;
    if (db->handle == NULL) {
        return verdict;
    }
    if (limit_ms > 0) {
        sqlite3_progress_handler(db->handle, PROGRESS_STEPS, past_deadline, &deadline);
    }
    if (sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = local_db_text(statement, 0);
        verdict = strcmp(text, "ok") == 0 ? 0 : 1;
        bytes_append_text(finding, text);
    }
    sqlite3_finalize(statement);
    sqlite3_progress_handler(db->handle, 0, NULL, NULL);
    return verdict;
}

/* ---- statements ---- */

sqlite3_stmt *local_db_statement(struct local_db *db, enum local_sql sql, struct err *err)
{
    sqlite3_stmt **statement = &db->statements[sql];
    if (*statement != NULL) {
        sqlite3_reset(*statement);
        sqlite3_clear_bindings(*statement);
        return *statement;
    }
    if (db->handle == NULL) {
        err_set(err, ERR_UNKNOWN, ERR_IO, "The log %s is closed after an error and has to be recovered first.",
                db->path);
        return NULL;
    }
    if (sqlite3_prepare_v3(db->handle, statement_texts[sql], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
        SQLITE_OK) {
        local_db_fail(db, err);
        return NULL;
    }
    return *statement;
}

int local_db_step(struct local_db *db, sqlite3_stmt *statement, struct err *err)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        return 1;
    }
    int result = code == SQLITE_DONE ? 0 : local_db_fail(db, err);
    sqlite3_reset(statement);
    return result;
}

void local_db_done(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
}

int local_db_first(struct local_db *db, enum local_sql sql, const int64_t *values, size_t count,
                   sqlite3_stmt **statement, struct err *err)
{
    *statement = local_db_statement(db, sql, err);
    if (*statement == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        sqlite3_bind_int64(*statement, (int)i + 1, values[i]);
    }
    return local_db_step(db, *statement, err);
}

int local_db_run(struct local_db *db, enum local_sql sql, const int64_t *values, size_t count, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int result = local_db_first(db, sql, values, count, &statement, err);
    while (result == 1) {
        result = local_db_step(db, statement, err);
    }
    return result;
}

int local_db_exec(struct local_db *db, enum local_sql sql, struct err *err)
{
    return local_db_run(db, sql, NULL, 0, err);
}

void local_db_rollback(struct local_db *db)
{
    struct err ignored = {0};
    if (db->handle != NULL && !sqlite3_get_autocommit(db->handle)) {
        local_db_exec(db, SQL_ROLLBACK, &ignored);
    }
}

const char *local_db_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text != NULL ? text : "";
}

/* ---- opening ---- */

/* SQLite's own handler knows no pauses under a second on some systems. A writer here is mostly done within half a
 * millisecond, the time of one sync: the first pauses are short, or two processes that commit often would spend their
 * time in sleeping. */
static int wait_for_others(void *self, int tries)
{
    (void)self;
    static const struct {
        int tries;
        useconds_t pause_us;
    } pauses[] = {{30, 100}, {100, 1000}, {100 + BUSY_LIMIT_MS / 10, 10000}};
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        if (tries < pauses[i].tries) {
            usleep(pauses[i].pause_us);
            return 1;
        }
    }
    return 0;
}

static int wait_a_moment(void *deadline, int tries)
{
    (void)tries;
    clock_sleep_ms(1);
    return !past_deadline(deadline);
}

/* A checkpoint that fails is no error: the next one does its work. */
void local_db_checkpoint(struct local_db *db, bool restart)
{
    int mode = restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
    int64_t deadline = clock_monotonic_ns(&CLOCK_SYSTEM) + CHECKPOINT_WAIT_MS * INT64_C(1000000);
    int code = SQLITE_OK;
    sqlite3_busy_handler(db->handle, wait_a_moment, &deadline);
    FAILPOINT(CHECKPOINT);
    do { /* for a checkpoint of somebody else the busy handler is not called */
        code = sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, NULL, NULL);
    } while (code == SQLITE_BUSY && restart && wait_a_moment(&deadline, 0));
    sqlite3_busy_handler(db->handle, wait_for_others, NULL);
}

/* The write-ahead log keeps its blocks up to a size that it rarely exceeds (local_maintenance.c), because writing over
 * them costs less than having them given anew. */
static int configure(struct local_db *db, enum local_db_use use, struct err *err)
{
    const char *text = use == LOCAL_DB_WRITE
                           ? "PRAGMA synchronous = FULL; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;"
                             "PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 0;"
                           : "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;"
                             "PRAGMA wal_autocheckpoint = 0; PRAGMA query_only = 1;";
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (sqlite3_exec(db->handle, text, NULL, NULL, NULL) != SQLITE_OK) {
        return local_db_fail(db, err);
    }
    return 0;
}

static int connect_file(struct local_db *db, const char *directory, int flags, struct err *err)
{
    *db = (struct local_db){.path = memory_format("%s/" LOCAL_DB_FILE, directory)};
    if (sqlite3_open_v2(db->path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        int reason = sqlite3_system_errno(db->handle);
        err_set(err, ERR_FATAL, ERR_IO, "The log %s can't be opened: %s. Check its permissions.", db->path,
                reason != 0 ? strerror(reason) : sqlite3_errmsg(db->handle));
        local_db_close(db);
        return -1;
    }
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_handler(db->handle, wait_for_others, NULL);
    return 0;
}

static int pragma_number(struct local_db *db, const char *text, int64_t *value, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db->handle, text, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        local_db_fail(db, err);
        sqlite3_finalize(statement);
        return -1;
    }
    *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return 0;
}

static int read_identity(struct local_db *db, int64_t *application, int64_t *format, int64_t *tables, struct err *err)
{
    if (pragma_number(db, "PRAGMA application_id", application, err) != 0 ||
        pragma_number(db, "PRAGMA user_version", format, err) != 0) {
        return -1;
    }
    return pragma_number(db, "SELECT count(*) FROM sqlite_schema", tables, err);
}

/* 1: a log that this version understands; 0: an empty file; -1: anything else. */
static int check_identity(struct local_db *db, struct err *err)
{
    int64_t application = 0, format = 0, tables = 0;
    if (read_identity(db, &application, &format, &tables, err) != 0) {
        /* The statements are right: what SQLite has against them is the file, as with an unknown schema format. */
        return err->code != ERR_INTERNAL
                   ? -1
                   : err_set(err, ERR_FATAL, ERR_CORRUPT, "The log %s is damaged or is not a log: %s. %s.", db->path,
                             sqlite3_errmsg(db->handle), damage_advice);
    }
    if (sqlite3_db_readonly(db->handle, "main") == 1 && access(db->path, W_OK) == 0) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The log %s is damaged: its header forbids writing. %s.", db->path,
                       damage_advice);
    }
    if (application == 0 && tables == 0) {
        return 0;
    }
    if (application != LOCAL_DB_APPLICATION) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT,
                       "The file %s is no log of Tidemill but another program's database; it was left alone. Choose "
                       "another data directory.",
                       db->path);
    }
    if (format != LOCAL_DB_FORMAT) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT,
                       "The log %s has format %lld and this version reads format %d; it was left alone. Use the "
                       "version of Tidemill that wrote it, or a newer one.",
                       db->path, (long long)format, LOCAL_DB_FORMAT);
    }
    return 1;
}

/* Touches every table that is needed at once and the tree of batches down to its last leaf. */
static int probe(struct local_db *db, struct err *err)
{
    static const enum local_sql reads[] = {SQL_TOPICS_VERSION, SQL_TOPIC_LIST, SQL_BATCH_LAST};
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        sqlite3_stmt *statement = NULL;
        if (local_db_first(db, reads[i], NULL, 0, &statement, err) < 0) {
            return -1;
        }
        local_db_done(statement);
    }
    return 0;
}

/* SQLite takes a last page that is cut off for a whole one and reads zeros behind its end. A checkpoint that writes
 * just now, or was killed, may leave such a page too; then the write-ahead log has all of it. */
static int check_length(struct local_db *db, struct err *err)
{
    int64_t page_size = 0;
    struct stat status;
    if (pragma_number(db, "PRAGMA page_size", &page_size, err) != 0) {
        return -1;
    }
    for (int i = 0; i < LENGTH_TRIES; i++) {
        if (stat(db->path, &status) != 0 || status.st_size % page_size == 0) {
            return 0;
        }
        local_db_checkpoint(db, false);
        clock_sleep_ms(LENGTH_NAP_MS);
    }
    return err_set(err, ERR_FATAL, ERR_CORRUPT, "The log %s is damaged: its %lld bytes end within a page. %s.",
                   db->path, (long long)status.st_size, damage_advice);
}

int local_db_open(struct local_db *db, const char *directory, enum local_db_use use, struct err *err)
{
    if (connect_file(db, directory, SQLITE_OPEN_READWRITE, err) != 0) {
        return -1;
    }
    int identity = check_identity(db, err);
    if (identity == 0) {
        err_set(err, ERR_FATAL, ERR_CORRUPT,
                "The log %s is an empty file; it was left alone. Restore it from a backup or delete it.", db->path);
    }
    if (identity != 1 || configure(db, use, err) != 0 || check_length(db, err) != 0 || probe(db, err) != 0) {
        local_db_close(db);
        return identity == 0 ? 1 : -1;
    }
    return 0;
}

bool local_db_exists(const char *directory)
{
    char *path = memory_format("%s/" LOCAL_DB_FILE, directory);
    bool exists = access(path, F_OK) == 0;
    free(path);
    return exists;
}

void local_db_close(struct local_db *db)
{
    for (size_t i = 0; i < LOCAL_SQL_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
    }
    sqlite3_close(db->handle);
    free(db->path);
    *db = (struct local_db){0};
}

/* ---- making a new log ---- */

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd >= 0 ? fsync(fd) : -1;
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return memory_copy_text(".");
    }
    return slash == path ? memory_copy_text("/") : memory_format("%.*s", (int)(slash - path), path);
}

/* Makes a directory and what is missing above it, so that a power cut keeps it. */
static int make_directory(const char *path, struct err *err)
{
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return 0;
    }
    char *parent = parent_of(path);
    int result = make_directory(parent, err);
    if (result == 0 && ((mkdir(path, 0777) != 0 && errno != EEXIST) || sync_directory(parent) != 0)) {
        result = err_set(err, ERR_FATAL, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO,
                         "The directory %s can't be made: %s. Choose another data directory or make it yourself.", path,
                         strerror(errno));
    }
    free(parent);
    return result;
}

static int write_schema(struct local_db *db, int64_t page_size, struct err *err)
{
    char *text = memory_format("PRAGMA page_size = %lld; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                               "BEGIN IMMEDIATE;" LOCAL_SQL_SCHEMA "PRAGMA application_id = %d;"
                               "PRAGMA user_version = %d; COMMIT;",
                               (long long)(page_size > 0 ? page_size : DEFAULT_PAGE_SIZE), LOCAL_DB_APPLICATION,
                               LOCAL_DB_FORMAT);
    int result = sqlite3_exec(db->handle, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : local_db_fail(db, err);
    free(text);
    return result;
}

static int create_file(const char *directory, int64_t page_size, struct err *err)
{
    struct local_db db;
    if (connect_file(&db, directory, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err) != 0) {
        return -1;
    }
    int identity = check_identity(&db, err); /* another process may have been first */
    int result = identity < 0 ? -1 : 0;
    if (identity == 0) {
        result = write_schema(&db, page_size, err);
    }
    local_db_close(&db);
    return result == 0 && sync_directory(directory) != 0
               ? err_set(err, ERR_FATAL, ERR_IO, "The directory %s can't be synced: %s. Check the device.", directory,
                         strerror(errno))
               : result;
}

/* Switching a new file to WAL and writing its schema must not meet another process doing the same. */
int local_db_create(const char *directory, int64_t page_size, struct err *err)
{
    if (make_directory(directory, err) != 0) {
        return -1;
    }
    if (access(directory, W_OK | X_OK) != 0) {
        return err_set(
            err, ERR_FATAL, ERR_IO,
            "The directory %s can't be written: %s. Change its permissions or choose another data directory.",
            directory, strerror(errno));
    }
    struct local_lock lock = LOCAL_LOCK_NONE;
    char *path = memory_format("%s/create.lock", directory);
    int result = local_lock_take(&lock, path, true, err) == 1 ? 0 : -1;
    if (result == 0) {
        result = create_file(directory, page_size, err);
    }
    local_lock_release(&lock);
    free(path);
    return result;
}
