#include "store/database.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "store/store_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 10000
#define READER_TIMEOUT_MS 400
#define TRUNCATE_WAIT_MS 100 /* for readers, who may take long: the WAL is made empty another time */
#define CACHE_KIB 1024
#define CHECKPOINT_TRIES 4

/* Whether a file beside the database can't be made for want of room. SQLite keeps another attempt's errno. */
static bool no_room_beside(const struct database *database)
{
    char *path = memory_format("%s-room", database->path);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool full = file < 0 && (errno == ENOSPC || errno == EDQUOT);
    if (file >= 0) {
        close(file);
        unlink(path);
    }
    free(path);
    return full;
}

/* SQLite has a code of its own for writes only: a file that can't be made or mapped for want of room looks otherwise.
 */
static bool lacks_room(const struct database *database, int result)
{
    int kind = result & 0xff;
    int system = database->handle != NULL ? sqlite3_system_errno(database->handle) : 0;
    return (kind == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT)) ||
           (kind == SQLITE_CANTOPEN && no_room_beside(database));
}

int database_error(struct database *database, int result, struct err *err)
{
    const char *why = database->handle != NULL ? sqlite3_errmsg(database->handle) : sqlite3_errstr(result);
    switch (lacks_room(database, result) ? SQLITE_FULL : result & 0xff) {
    case SQLITE_FULL:
        return err_set(err, ERR_RETRY, ERR_DISK_FULL, "The state file %s can't grow: %s. Free some space.",
                       database->path, why);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(err, ERR_FATAL, ERR_CORRUPT,
                       "The state file %s is damaged: %s. It is rebuilt when it is opened.", database->path, why);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
        return err_set(err, ERR_RETRY, ERR_IO, "The state file %s can't be used: %s.", database->path, why);
    case SQLITE_NOMEM:
        return err_set(err, ERR_FATAL, ERR_MEMORY, "There is no memory to use the state file %s.", database->path);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return err_set(err, ERR_FATAL, ERR_IO,
                       "The state file %s can't be opened for writing: %s. Check its owner and mode.", database->path,
                       why);
    default:
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "SQLite refused to work on the state file %s: %s.", database->path,
                       why);
    }
}

int database_execute(struct database *database, const char *sql, struct err *err)
{
    int result = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : database_error(database, result, err);
}

int database_prepare(struct database *database, const char *sql, sqlite3_stmt **statement, struct err *err)
{
    int result = sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    return result == SQLITE_OK ? 0 : database_error(database, result, err);
}

int database_prepare_own(struct database *database, const char *sql, sqlite3_stmt **statement, struct err *err)
{
    if (database_prepare(database, sql, statement, err) == 0) {
        return 0;
    }
    return err->code != ERR_INTERNAL ? -1
                                     : err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s lacks a table: %s.",
                                               database->path, sqlite3_errmsg(database->handle));
}

int database_step(struct database *database, sqlite3_stmt *statement, bool *row, struct err *err)
{
    int result = sqlite3_step(statement);
    *row = result == SQLITE_ROW;
    if (result == SQLITE_ROW || result == SQLITE_DONE) {
        return 0;
    }
    database_error(database, result, err);
    sqlite3_reset(statement);
    return -1;
}

int database_run(struct database *database, sqlite3_stmt *statement, struct err *err)
{
    bool row;
    if (database_step(database, statement, &row, err) != 0) {
        return -1;
    }
    sqlite3_reset(statement);
    return 0;
}

int database_number(struct database *database, const char *sql, bool *found, int64_t *number, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(database, sql, &statement, err) != 0) {
        return -1;
    }
    int failed = database_step(database, statement, found, err);
    *number = failed == 0 && *found ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return failed;
}

void database_bind_slice(sqlite3_stmt *statement, int index, struct slice slice)
{
    if (slice_is_null(slice)) {
        sqlite3_bind_null(statement, index);
    } else {
        sqlite3_bind_blob64(statement, index, slice.data, slice.size, SQLITE_STATIC);
    }
}

struct slice database_column_slice(sqlite3_stmt *statement, int column)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) {
        return SLICE_NULL;
    }
    const void *data = sqlite3_column_blob(statement, column);
    return slice_of(data != NULL ? data : "", (size_t)sqlite3_column_bytes(statement, column));
}

static int run_checkpoint(struct database *database, int mode, bool *complete, struct err *err)
{
    FAILPOINT(CHECKPOINT);
    int frames = 0;
    int moved = 0;
    int result = sqlite3_wal_checkpoint_v2(database->handle, NULL, mode, &frames, &moved);
    *complete = result == SQLITE_OK && frames == moved;
    return result == SQLITE_OK || result == SQLITE_BUSY ? 0 : database_error(database, result, err);
}

int database_checkpoint(struct database *database, struct err *err)
{
    bool complete = false;
    for (int i = 0; i < CHECKPOINT_TRIES && !complete; i++) {
        if (run_checkpoint(database, SQLITE_CHECKPOINT_PASSIVE, &complete, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int database_truncate_wal(struct database *database, struct err *err)
{
    bool complete;
    sqlite3_busy_timeout(database->handle, TRUNCATE_WAIT_MS);
    int failed = run_checkpoint(database, SQLITE_CHECKPOINT_TRUNCATE, &complete, err);
    sqlite3_busy_timeout(database->handle, BUSY_TIMEOUT_MS);
    return failed;
}

int database_set_cache(struct database *database, int64_t bytes, struct err *err)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA cache_size = -%lld", (long long)bytes / 1024);
    return database_execute(database, sql, err);
}

/* Opening. */

static int read_header(struct database *database, int64_t *application_id, int64_t *format, int64_t *objects,
                       struct err *err)
{
    bool found;
    return database_number(database, SQL_GET_APPLICATION, &found, application_id, err) != 0 ||
                   database_number(database, SQL_GET_FORMAT, &found, format, err) != 0 ||
                   database_number(database, SQL_COUNT_OBJECTS, &found, objects, err) != 0
               ? -1
               : 0;
}

static int64_t random_pair(void)
{
    int64_t pair = 0;
    while (pair == 0 && getrandom(&pair, sizeof pair, 0) != sizeof pair) {
    }
    return pair;
}

static int add_identity(struct database *database, struct database_identity *identity, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(database, SQL_ADD_IDENTITY, &statement, err) != 0) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, identity->app, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, identity->worker, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, identity->pair);
    int failed = database_run(database, statement, err);
    sqlite3_finalize(statement);
    return failed;
}

/* One transaction, so that a file is either new or complete. */
static int make_schema(struct database *database, struct database_identity *identity, struct err *err)
{
    char header[128];
    snprintf(header, sizeof header, SQL_SET_HEADER, (unsigned)identity->application_id, SQL_FORMAT_VERSION);
    if (identity->pair == 0) {
        identity->pair = random_pair();
    }
    if (database_execute(database, SQL_NEW_FILE, err) != 0 || database_execute(database, SQL_BEGIN, err) != 0) {
        return -1;
    }
    if (database_execute(database, header, err) != 0 || database_execute(database, SQL_MAKE_IDENTITY, err) != 0 ||
        database_execute(database, identity->schema, err) != 0 || add_identity(database, identity, err) != 0 ||
        database_execute(database, SQL_COMMIT, err) != 0) {
        sqlite3_exec(database->handle, SQL_ROLLBACK, NULL, NULL, NULL);
        return -1;
    }
    return 0;
}

static int check_owner(struct database *database, sqlite3_stmt *statement, struct database_identity *identity,
                       struct err *err)
{
    const char *app = (const char *)sqlite3_column_text(statement, 0);
    const char *worker = (const char *)sqlite3_column_text(statement, 1);
    int64_t pair = sqlite3_column_int64(statement, 2);
    if (app == NULL || worker == NULL || strcmp(app, identity->app) != 0 || strcmp(worker, identity->worker) != 0) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s belongs to worker %s of app %s.", database->path,
                       worker != NULL ? worker : "?", app != NULL ? app : "?");
    }
    if (identity->pair != 0 && identity->pair != pair) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s was not made together with the one beside it.",
                       database->path);
    }
    identity->pair = pair;
    return 0;
}

static int check_identity(struct database *database, struct database_identity *identity, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    if (database_prepare(database, SQL_GET_IDENTITY, &statement, err) != 0) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s does not say whose it is.", database->path);
    }
    int failed = database_step(database, statement, &row, err);
    if (failed == 0) {
        failed =
            row ? check_owner(database, statement, identity, err)
                : err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s does not say whose it is.", database->path);
    }
    sqlite3_finalize(statement);
    return failed;
}

/* A damaged header may forbid writing in a file that may be written. */
static bool header_forbids_writing(const struct database *database)
{
    return sqlite3_db_readonly(database->handle, "main") == 1 && access(database->path, W_OK) == 0;
}

static int check_header(struct database *database, struct database_identity *identity, bool *made, struct err *err)
{
    int64_t application_id;
    int64_t format;
    int64_t objects;
    if (read_header(database, &application_id, &format, &objects, err) != 0) {
        return -1;
    }
    if (header_forbids_writing(database)) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s is damaged: its header forbids writing.",
                       database->path);
    }
    *made = application_id == 0 && format == 0 && objects == 0;
    if (*made) {
        return make_schema(database, identity, err);
    }
    if ((uint32_t)application_id != identity->application_id) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The file %s is no state file of Tidemill.", database->path);
    }
    if (format != SQL_FORMAT_VERSION) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s has format %lld; this version knows format %d.",
                       database->path, (long long)format, SQL_FORMAT_VERSION);
    }
    return check_identity(database, identity, err);
}

static int ends_with_a_page(struct database *database, bool *whole, struct err *err)
{
    struct stat status;
    int64_t page_size;
    bool found;
    if (database_number(database, SQL_GET_PAGE_SIZE, &found, &page_size, err) != 0) {
        return -1;
    }
    *whole = stat(database->path, &status) != 0 || status.st_size % page_size == 0;
    return 0;
}

/* SQLite takes a last page that is cut off for a whole one and reads zeros behind its end: keys would be missing, and
 * nobody would notice. A checkpoint that was killed may leave such a page too; then the write-ahead log has all of it.
 */
static int check_length(struct database *database, struct err *err)
{
    bool whole;
    bool complete;
    bool found;
    int64_t sound = 0;
    int failed = ends_with_a_page(database, &whole, err);
    if (failed != 0 || whole) {
        return failed;
    }
    if (run_checkpoint(database, SQLITE_CHECKPOINT_PASSIVE, &complete, err) != 0 ||
        ends_with_a_page(database, &whole, err) != 0 ||
        (whole && database_number(database, SQL_IS_SOUND, &found, &sound, err) != 0)) {
        return -1;
    }
    return sound ? 0
                 : err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s is cut off within a page.", database->path);
}

static int configure(struct database *database, enum database_role role, struct err *err)
{
    sqlite3_busy_timeout(database->handle, BUSY_TIMEOUT_MS);
    sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(database->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* Closing a worker must be quick: its WAL is read again by the next open, or moved by the next merge. */
    sqlite3_db_config(database->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    char sql[512];
    snprintf(sql, sizeof sql, "%s%s; PRAGMA cache_size = -%d", SQL_SETTINGS,
             role == DATABASE_MERGER ? "FULL" : "NORMAL", CACHE_KIB);
    return database_execute(database, sql, err);
}

/* The first statements on a file are right: what SQLite has against them is the file, as with a header that names an
 * unknown schema format. */
static int blame_file(struct database *database, struct err *err)
{
    return err->code != ERR_INTERNAL
               ? -1
               : err_set(err, ERR_FATAL, ERR_CORRUPT,
                         "The state file %s is damaged: %s. It is rebuilt when a worker opens it.", database->path,
                         sqlite3_errmsg(database->handle));
}

int database_open(struct database *database, const char *path, struct database_identity *identity,
                  enum database_role role, bool *made, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (role == DATABASE_OWNER ? SQLITE_OPEN_CREATE : 0);
    database->path = memory_copy_text(path);
    database->handle = NULL;
    int result = sqlite3_open_v2(path, &database->handle, flags, NULL);
    if (result != SQLITE_OK) {
        database_error(database, result, err);
        database_close(database);
        return -1;
    }
    if (configure(database, role, err) != 0 || (role == DATABASE_OWNER && check_length(database, err) != 0) ||
        check_header(database, identity, made, err) != 0) {
        blame_file(database, err);
        database_close(database);
        return -1;
    }
    return 0;
}

int database_open_reader(struct database *database, const char *directory, const char *name, uint32_t application_id,
                         struct err *err)
{
    bool found;
    int64_t id = 0;
    int64_t format = 0;
    database->path = memory_format("%s/%s", directory, name);
    int result = sqlite3_open_v2(database->path, &database->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (result != SQLITE_OK) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "There is no state in %s: the file %s can't be opened: %s.",
                       directory, name, sqlite3_errmsg(database->handle));
    }
    sqlite3_busy_timeout(database->handle, READER_TIMEOUT_MS);
    sqlite3_db_config(database->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (database_execute(database, SQL_READER_SETTINGS, err) != 0 ||
        database_number(database, SQL_GET_APPLICATION, &found, &id, err) != 0 ||
        database_number(database, SQL_GET_FORMAT, &found, &format, err) != 0) {
        return blame_file(database, err);
    }
    if (id != application_id || format != SQL_FORMAT_VERSION) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The file %s is no state file that this version knows.",
                       database->path);
    }
    return 0;
}

void database_close(struct database *database)
{
    sqlite3_close(database->handle);
    free(database->path);
    *database = (struct database){NULL, NULL};
}
