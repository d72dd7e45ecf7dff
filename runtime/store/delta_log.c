#include "store/delta_log.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "store/store_sql.h"

#include <stdlib.h>

/* Deleting a blob means to visit all its pages, so a commit deletes only a few more than it adds. */
#define DELETED_PER_COMMIT 3

static int count_wal_pages(void *self, sqlite3 *handle, const char *name, int pages)
{
    struct delta_log *log = self;
    (void)handle;
    (void)name;
    log->wal_pages = pages;
    return SQLITE_OK;
}

static int prepare(struct delta_log *log, struct err *err)
{
    struct database *database = &log->database;
    return database_prepare_own(database, SQL_ADD_DELTA, &log->add, err) != 0 ||
                   database_prepare(database, SQL_DELETE_DELTAS, &log->remove, err) != 0 ||
                   database_prepare(database, SQL_BEGIN, &log->begin, err) != 0 ||
                   database_prepare(database, SQL_COMMIT, &log->commit, err) != 0
               ? -1
               : 0;
}

int delta_log_open(struct delta_log *log, const char *directory, struct database_identity *identity,
                   enum database_role role, bool *made, struct err *err)
{
    *log = (struct delta_log){.wal_pages = 0};
    identity->application_id = DELTA_LOG_APPLICATION_ID;
    identity->schema = SQL_DELTAS_SCHEMA;
    char *path = memory_format("%s/%s", directory, DELTA_LOG_FILE);
    int failed = database_open(&log->database, path, identity, role, made, err);
    free(path);
    if (failed != 0) {
        return -1;
    }
    if (prepare(log, err) != 0) {
        delta_log_close(log);
        return -1;
    }
    sqlite3_wal_hook(log->database.handle, count_wal_pages, log);
    return 0;
}

void delta_log_close(struct delta_log *log)
{
    sqlite3_finalize(log->add);
    sqlite3_finalize(log->remove);
    sqlite3_finalize(log->begin);
    sqlite3_finalize(log->commit);
    database_close(&log->database);
    *log = (struct delta_log){.wal_pages = 0};
}

int delta_log_last(struct delta_log *log, int64_t *seq, struct err *err)
{
    bool found;
    return database_number(&log->database, SQL_LAST_DELTA, &found, seq, err);
}

static int read_rows(struct delta_log *log, sqlite3_stmt *statement,
                     int (*each)(void *self, const struct delta_log_row *row, bool *stop, struct err *err), void *self,
                     struct err *err)
{
    bool stop = false;
    while (!stop) {
        bool found;
        if (database_step(&log->database, statement, &found, err) != 0) {
            return -1;
        }
        if (!found) {
            return 0;
        }
        struct delta_log_row row = {sqlite3_column_int64(statement, 0), database_column_slice(statement, 1),
                                    database_column_slice(statement, 2)};
        if (each(self, &row, &stop, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int delta_log_read(struct delta_log *log, int64_t after, int64_t through,
                   int (*each)(void *self, const struct delta_log_row *row, bool *stop, struct err *err), void *self,
                   struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (database_prepare(&log->database, SQL_READ_DELTAS, &statement, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, after);
    sqlite3_bind_int64(statement, 2, through);
    int failed = read_rows(log, statement, each, self, err);
    sqlite3_finalize(statement);
    return failed;
}

static int add_row(struct delta_log *log, const struct delta_log_row *row, struct err *err)
{
    sqlite3_bind_int64(log->add, 1, row->seq);
    database_bind_slice(log->add, 2, row->meta);
    database_bind_slice(log->add, 3, row->body);
    int failed = database_run(&log->database, log->add, err);
    sqlite3_clear_bindings(log->add);
    return failed;
}

static int write_rows(struct delta_log *log, const struct delta_log_row *rows, size_t count, int64_t merged,
                      struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (add_row(log, &rows[i], err) != 0) {
            return -1;
        }
    }
    if (merged > 0) {
        sqlite3_bind_int64(log->remove, 1, merged);
        sqlite3_bind_int64(log->remove, 2, DELETED_PER_COMMIT * (int64_t)count);
        if (database_run(&log->database, log->remove, err) != 0) {
            return -1;
        }
    }
    return FAILPOINT_FAILS(STORE_COMMIT, err) ? -1 : database_run(&log->database, log->commit, err);
}

int delta_log_append(struct delta_log *log, const struct delta_log_row *rows, size_t count, int64_t merged,
                     struct err *err)
{
    if (database_run(&log->database, log->begin, err) != 0) {
        return -1;
    }
    if (write_rows(log, rows, count, merged, err) != 0) {
        sqlite3_exec(log->database.handle, SQL_ROLLBACK, NULL, NULL, NULL);
        return -1;
    }
    return 0;
}
