#include "base/memory.h"
#include "local/local.h"
#include "local/local_batch.h"
#include "local/local_db.h"

#include <stdlib.h>

/* A partition while its batches are compared with each other and with its watermarks. */
struct checked {
    int64_t id;
    int64_t low;
    int64_t high;
    int32_t number;
    char *topic;
};

static int damaged(const struct local_db *db, const struct checked *partition, int64_t offset, const char *what,
                   struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_CORRUPT,
                   "The log %s is damaged: the batch at offset %lld of topic %s partition %d %s. It was left as it is: "
                   "keep a copy, check the disk, and restore the data directory from a backup.",
                   db->path, (long long)offset, partition->topic, (int)partition->number, what);
}

/* Every record must decode, not only fit the checksum. */
static const char *check_batch(struct slice data, int64_t base, int64_t last)
{
    struct local_batch batch;
    struct record record;
    struct arena arena = {0};
    enum local_batch_verdict verdict = local_batch_check(data, &batch);
    if (verdict != LOCAL_BATCH_GOOD) {
        return local_batch_verdict_text(verdict);
    }
    if (batch.base_offset != base || batch.last_offset != last || batch.size != data.size) {
        return "has other offsets than its row";
    }
    struct local_batch_reader reader = local_batch_reader(&batch);
    int found = 1;
    while (found == 1) {
        found = local_batch_next(&reader, &record, &arena);
    }
    arena_free(&arena);
    return found < 0 ? local_batch_verdict_text(LOCAL_BATCH_BROKEN) : NULL;
}

static int check_partition(struct local_db *db, const struct checked *partition, struct err *err)
{
    int64_t values[] = {local_db_key(partition->id, 0), local_db_key(partition->id, 0),
                        local_db_key(partition->id + 1, 0), 0};
    int64_t end = 0;
    sqlite3_stmt *statement = NULL;
    int row = local_db_first(db, SQL_BATCH_RANGE, values, 4, &statement, err);
    while (row == 1) {
        int64_t base = local_db_key_offset(sqlite3_column_int64(statement, 0));
        int64_t last = sqlite3_column_int64(statement, 1);
        struct slice data = slice_of(sqlite3_column_blob(statement, 2), (size_t)sqlite3_column_bytes(statement, 2));
        const char *what = base < end || last >= partition->high ? "overlaps its neighbours or the end of the log"
                                                                 : check_batch(data, base, last);
        if (what != NULL) {
            local_db_done(statement);
            return damaged(db, partition, base, what, err);
        }
        end = last + 1;
        row = local_db_step(db, statement, err);
    }
    return row;
}

static int check_pages(struct local_db *db, struct err *err)
{
    struct bytes finding = {0};
    int verdict = local_db_quick_check(db, 0, &finding);
    int result = 0;
    if (verdict == 1) {
        result =
            err_set(err, ERR_FATAL, ERR_CORRUPT,
                    "The log %s is damaged: %.400s. It was left as it is: keep a copy, check the disk, and restore "
                    "the data directory from a backup.",
                    db->path, bytes_text(&finding));
    } else if (verdict < 0) {
        result = local_db_fail(db, err);
    }
    bytes_free(&finding);
    return result;
}

static int list_partitions(struct local_db *db, struct checked **list, size_t *count, struct err *err)
{
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    int row = local_db_first(db, SQL_PARTITION_ALL, NULL, 0, &statement, err);
    while (row == 1) {
        *list = memory_grow(*list, *count, &capacity, sizeof **list);
        (*list)[(*count)++] = (struct checked){
            sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 2),
            (int32_t)sqlite3_column_int64(statement, 3), memory_copy_text(local_db_text(statement, 4))};
        row = local_db_step(db, statement, err);
    }
    return row;
}

/* All of it in one read transaction, so that running processes do no harm. */
static int check_contents(struct local_db *db, struct err *err)
{
    struct checked *list = NULL;
    size_t count = 0;
    int result = local_db_exec(db, SQL_BEGIN_READ, err);
    result = result == 0 ? list_partitions(db, &list, &count, err) : result;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = check_partition(db, &list[i], err);
    }
    local_db_rollback(db);
    for (size_t i = 0; i < count; i++) {
        free(list[i].topic);
    }
    free(list);
    return result;
}

int local_check(const char *data, struct err *err)
{
    struct local_db db;
    char *directory = memory_format("%s/log", data);
    int result = local_db_open(&db, directory, LOCAL_DB_READ, err) == 0 ? 0 : -1;
    free(directory);
    if (result != 0) {
        return -1;
    }
    result = check_pages(&db, err);
    result = result == 0 ? check_contents(&db, err) : result;
    local_db_close(&db);
    return result;
}
