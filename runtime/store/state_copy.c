#include "store/state_copy.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/database.h"
#include "store/delta_log.h"
#include "store/rows.h"
#include "store/store_sql.h"

#include <stdio.h>

#define TRIES 50 /* a merge that ends between the two files, or files that are made anew, are met again rarely */
#define TRY_MS 20
#define STEP_PAGES 1024

struct state_copy {
    struct database rows;
    struct database log;
    void (*advance)(void *self, int64_t bytes);
    void *self;
};

/* ---- one moment of both files ---- */

static int missing_deltas(struct database *log, int64_t merged, int64_t *missing, struct err *err)
{
    char sql[160];
    bool found;
    snprintf(sql, sizeof sql, SQL_MISSING_DELTAS, (long long)merged, (long long)merged);
    return database_number(log, sql, &found, missing, err);
}

/* A transaction sees the file as it is at the first statement that reads. */
static int begin(struct state_copy *copy, const char *directory, struct err *err)
{
    bool found;
    int64_t merged;
    int64_t missing;
    int64_t rows_pair;
    int64_t log_pair;
    if (database_open_reader(&copy->rows, directory, ROWS_FILE, ROWS_APPLICATION_ID, err) != 0 ||
        database_open_reader(&copy->log, directory, DELTA_LOG_FILE, DELTA_LOG_APPLICATION_ID, err) != 0 ||
        database_execute(&copy->rows, SQL_READER_BEGIN, err) != 0 ||
        database_number(&copy->rows, SQL_COPIED_MERGED, &found, &merged, err) != 0 ||
        database_execute(&copy->log, SQL_READER_BEGIN, err) != 0 ||
        missing_deltas(&copy->log, merged, &missing, err) != 0 ||
        database_number(&copy->rows, SQL_COPIED_PAIR, &found, &rows_pair, err) != 0 ||
        database_number(&copy->log, SQL_COPIED_PAIR, &found, &log_pair, err) != 0) {
        return -1;
    }
    if (rows_pair != log_pair) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The two state files of %s were not made together.", directory);
    }
    return missing == 0
               ? 0
               : err_set(err, ERR_FATAL, ERR_CORRUPT, "Deltas are missing in the state files of %s.", directory);
}

static void end(struct state_copy *copy)
{
    database_close(&copy->rows);
    database_close(&copy->log);
}

static int begin_anyhow(struct state_copy *copy, const char *directory, struct err *err)
{
    for (int i = 1; begin(copy, directory, err) != 0; i++) {
        end(copy);
        if (i == TRIES) {
            return -1;
        }
        clock_sleep_ms(TRY_MS);
    }
    return 0;
}

/* ---- pages ---- */

static int copy_error(const struct database *from, struct database *to, int result, struct err *err)
{
    int kind = result & 0xff;
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The state file %s is damaged and can't be copied: %s.", from->path,
                       sqlite3_errstr(result));
    }
    return database_error(to, result, err);
}

static int copy_pages(struct state_copy *copy, struct database *from, struct database *to, struct err *err)
{
    bool found;
    int64_t page_size;
    if (database_number(from, SQL_GET_PAGE_SIZE, &found, &page_size, err) != 0) {
        return -1;
    }
    sqlite3_backup *backup = sqlite3_backup_init(to->handle, "main", from->handle, "main");
    int result = backup != NULL ? SQLITE_OK : sqlite3_extended_errcode(to->handle);
    int64_t copied = 0;
    while (backup != NULL && result == SQLITE_OK) {
        result = sqlite3_backup_step(backup, STEP_PAGES);
        int64_t now = sqlite3_backup_pagecount(backup) - sqlite3_backup_remaining(backup);
        if (copy->advance != NULL) {
            copy->advance(copy->self, (now - copied) * page_size);
        }
        copied = now;
    }
    int finished = sqlite3_backup_finish(backup);
    result = result == SQLITE_DONE ? finished : result;
    return result == SQLITE_OK ? 0 : copy_error(from, to, result, err);
}

static int copy_file(struct state_copy *copy, struct database *from, const char *target, const char *name,
                     struct err *err)
{
    struct database to = {.path = memory_format("%s/%s", target, name)};
    int result =
        sqlite3_open_v2(to.path, &to.handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    int failed = result != SQLITE_OK ? database_error(&to, result, err) : copy_pages(copy, from, &to, err);
    database_close(&to);
    return failed;
}

/* The deltas first: their WAL, the busier one, is let go of before the rows are copied, which takes longer. */
int state_copy(const char *directory, const char *target, void (*advance)(void *self, int64_t bytes), void *self,
               struct err *err)
{
    struct state_copy copy = {.advance = advance, .self = self};
    if (begin_anyhow(&copy, directory, err) != 0) {
        return -1;
    }
    int failed = copy_file(&copy, &copy.log, target, DELTA_LOG_FILE, err);
    if (failed == 0) {
        database_close(&copy.log);
        failed = copy_file(&copy, &copy.rows, target, ROWS_FILE, err);
    }
    end(&copy);
    return failed;
}
