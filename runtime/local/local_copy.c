#include "base/memory.h"
#include "local/local.h"
#include "local/local_db.h"

#include <stdlib.h>
#include <string.h>

#define STEP_PAGES 1024

struct copying {
    struct local_db *from;
    sqlite3 *to;
    int64_t page_size;
    void (*advance)(void *self, int64_t bytes);
    void *self;
};

static int copy_error(const struct copying *copying, const char *path, int result, struct err *err)
{
    int kind = result & 0xff;
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB) {
        return local_db_fail_code(copying->from, result, err);
    }
    int system = copying->to != NULL ? sqlite3_system_errno(copying->to) : 0;
    bool full = kind == SQLITE_FULL || (kind == SQLITE_IOERR && local_db_is_full(system));
    return err_set(err, ERR_FATAL, full ? ERR_DISK_FULL : ERR_IO, "The copy %s can't be written: %s. %s.", path,
                   system != 0 ? strerror(system) : sqlite3_errstr(result),
                   full ? "Make room on the device" : "Check its directory");
}

static int copy_pages(const struct copying *copying)
{
    sqlite3_backup *backup = sqlite3_backup_init(copying->to, "main", copying->from->handle, "main");
    int result = backup != NULL ? SQLITE_OK : sqlite3_extended_errcode(copying->to);
    int64_t copied = 0;
    while (backup != NULL && result == SQLITE_OK) {
        result = sqlite3_backup_step(backup, STEP_PAGES);
        int64_t now = sqlite3_backup_pagecount(backup) - sqlite3_backup_remaining(backup);
        if (copying->advance != NULL) {
            copying->advance(copying->self, (now - copied) * copying->page_size);
        }
        copied = now;
    }
    int finished = sqlite3_backup_finish(backup);
    return result == SQLITE_DONE ? finished : result;
}

/* In one read transaction: a copy in several would begin anew with each commit. */
static int copy_log(struct copying *copying, const char *path, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (local_db_exec(copying->from, SQL_BEGIN_READ, err) != 0 ||
        local_db_first(copying->from, SQL_PAGE_SIZE, NULL, 0, &statement, err) < 0) {
        return -1;
    }
    copying->page_size = sqlite3_column_int64(statement, 0);
    local_db_done(statement);
    if (local_db_first(copying->from, SQL_TOPICS_VERSION, NULL, 0, &statement, err) < 0) {
        return -1;
    }
    local_db_done(statement);
    int result = sqlite3_open_v2(path, &copying->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    result = result == SQLITE_OK ? copy_pages(copying) : result;
    int failed = result == SQLITE_OK ? 0 : copy_error(copying, path, result, err);
    sqlite3_close(copying->to);
    return failed;
}

int local_copy(const char *data, const char *target, void (*advance)(void *self, int64_t bytes), void *self,
               struct err *err)
{
    struct local_db db;
    struct copying copying = {.from = &db, .advance = advance, .self = self};
    char *directory = memory_format("%s/log", data);
    int failed = local_db_open(&db, directory, LOCAL_DB_READ, err) != 0;
    free(directory);
    if (failed) {
        return -1;
    }
    char *path = memory_format("%s/" LOCAL_DB_FILE, target);
    int result = copy_log(&copying, path, err);
    free(path);
    local_db_rollback(&db);
    local_db_close(&db);
    return result;
}
