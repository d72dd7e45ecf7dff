#include "store/state_check.h"

#include "base/memory.h"
#include "store/delta_log.h"
#include "store/rows.h"
#include "store/state_reader.h"
#include "store/store_sql.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct checked_file {
    const char *name;
    uint32_t application_id;
    int64_t pair;
};

static int64_t size_of(const char *path, const char *suffix)
{
    struct stat status;
    char *name = memory_format("%s%s", path, suffix);
    int64_t size = stat(name, &status) == 0 ? (int64_t)status.st_size : -1;
    free(name);
    return size;
}

/* A page that is cut off may be whole in the write-ahead log, where SQLite finds it. */
static int check_length(struct database *database, struct err *err)
{
    bool found;
    int64_t page_size;
    if (database_number(database, SQL_GET_PAGE_SIZE, &found, &page_size, err) != 0) {
        return -1;
    }
    if (size_of(database->path, "") % page_size == 0 || size_of(database->path, "-wal") > 0) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s is cut off within a page.", database->path);
}

static int check_owner(struct database *database, const char *app, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row;
    if (database_prepare_own(database, SQL_GET_IDENTITY, &statement, err) != 0) {
        return -1;
    }
    int failed = database_step(database, statement, &row, err);
    const char *owner = failed == 0 && row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (failed == 0 && (owner == NULL || strcmp(owner, app) != 0)) {
        failed = err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s belongs to the app %s, not to %s.",
                         database->path, owner != NULL ? owner : "?", app);
    }
    sqlite3_finalize(statement);
    return failed;
}

static int check_pages(struct database *database, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row;
    if (database_prepare(database, SQL_QUICK_CHECK, &statement, err) != 0) {
        return -1;
    }
    int failed = database_step(database, statement, &row, err);
    const char *finding = failed == 0 && row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (failed == 0 && (finding == NULL || strcmp(finding, "ok") != 0)) {
        failed = err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s is damaged: %.400s.", database->path,
                         finding != NULL ? finding : "?");
    }
    sqlite3_finalize(statement);
    return failed;
}

static int check_file(struct checked_file *file, const char *directory, const char *app, struct err *err)
{
    struct database database = {NULL, NULL};
    bool found;
    int failed = database_open_reader(&database, directory, file->name, file->application_id, err) != 0 ||
                         check_length(&database, err) != 0 || check_pages(&database, err) != 0 ||
                         check_owner(&database, app, err) != 0 ||
                         database_number(&database, SQL_COPIED_PAIR, &found, &file->pair, err) != 0
                     ? -1
                     : 0;
    database_close(&database);
    return failed;
}

/* What both together say: made as a pair, and every delta behind the rows is there and whole. */
static int check_both(const struct checked_file files[2], const char *directory, struct err *err)
{
    struct state_reader *reader = NULL;
    if (files[0].pair != files[1].pair) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The two state files of %s were not made together.", directory);
    }
    int failed = state_reader_open(directory, &reader, err);
    state_reader_close(failed == 0 ? reader : NULL);
    return failed;
}

static bool is_there(const char *directory, const char *name)
{
    char *path = memory_format("%s/%s", directory, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

int state_check(const char *directory, const char *app, bool *found,
                void (*damaged)(void *self, const char *file, const char *why), void *self, struct err *err)
{
    struct checked_file files[] = {{DELTA_LOG_FILE, DELTA_LOG_APPLICATION_ID, 0}, {ROWS_FILE, ROWS_APPLICATION_ID, 0}};
    bool sound = true;
    *found = is_there(directory, DELTA_LOG_FILE) || is_there(directory, ROWS_FILE);
    for (int i = 0; i < 2 && *found; i++) {
        int failed = is_there(directory, files[i].name)
                         ? check_file(&files[i], directory, app, err)
                         : err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s/%s is missing beside the other one.",
                                   directory, files[i].name);
        if (failed != 0 && err->code != ERR_CORRUPT) {
            return -1;
        }
        if (failed != 0) {
            sound = false;
            damaged(self, files[i].name, err->text);
        }
    }
    if (!*found || !sound || check_both(files, directory, err) == 0) {
        return 0;
    }
    if (err->code == ERR_CORRUPT) {
        damaged(self, DELTA_LOG_FILE, err->text);
        return 0;
    }
    return -1;
}
