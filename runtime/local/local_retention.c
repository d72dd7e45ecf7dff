#include "local/local_retention.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "local/local_commit.h"

#include <stdlib.h>

#define CHUNK_BYTES                                                                                                    \
    (INT64_C(16) * 1024 * 1024) /* removed by one transaction, so that commits are not held up for long */

struct expiring {
    int64_t id;
    int64_t bytes;
    int64_t retention_ms;
    int64_t retention_bytes;
};

struct removal {
    int64_t end; /* the new log start; -1: nothing to remove */
    int64_t bytes;
};

static bool expired(const struct expiring *partition, const struct removal *removal, int64_t now, int64_t appended,
                    int64_t size)
{
    int64_t left = partition->bytes - removal->bytes;
    return (partition->retention_ms >= 0 && appended + partition->retention_ms <= now) ||
           (partition->retention_bytes >= 0 && left - size >= partition->retention_bytes);
}

/* Steps over the oldest batches as long as they may go, up to one chunk. */
static int measure(struct local_db *db, const struct expiring *partition, int64_t now, struct removal *removal,
                   struct err *err)
{
    int64_t range[] = {local_db_key(partition->id, 0), local_db_key(partition->id + 1, 0)};
    sqlite3_stmt *statement = NULL;
    *removal = (struct removal){-1, 0};
    int row = local_db_first(db, SQL_BATCH_OLDEST, range, 2, &statement, err);
    while (row == 1) {
        int64_t size = sqlite3_column_int64(statement, 2);
        if (!expired(partition, removal, now, sqlite3_column_int64(statement, 1), size) ||
            removal->bytes >= CHUNK_BYTES) {
            local_db_done(statement);
            return 0;
        }
        removal->end = sqlite3_column_int64(statement, 0) + 1;
        removal->bytes += size;
        row = local_db_step(db, statement, err);
    }
    return row;
}

static int remove_batches(struct local_db *db, int64_t id, const struct removal *removal, struct err *err)
{
    int64_t range[] = {local_db_key(id, 0), local_db_key(id, removal->end), removal->end};
    if (local_db_run(db, SQL_BATCH_DELETE, range, 3, err) != 0) {
        return -1;
    }
    FAILPOINT(RETENTION);
    return local_db_run(db, SQL_PARTITION_TRIMMED, (int64_t[]){id, removal->end, removal->bytes}, 3, err);
}

/* What is to go is measured again inside the transaction: other processes write meanwhile. */
static int expire(struct local *local, struct local_db *db, struct expiring *partition, struct err *err)
{
    int64_t now = clock_wall_ms(local->clock);
    struct removal removal;
    for (;;) {
        if (measure(db, partition, now, &removal, err) != 0) {
            return -1;
        }
        if (removal.end < 0) {
            return 0;
        }
        if (local_commit_begin(local, err) != 0) {
            return -1;
        }
        int result = measure(&local->writer, partition, now, &removal, err);
        if (result == 0 && removal.end >= 0) {
            result = remove_batches(&local->writer, partition->id, &removal, err);
        }
        if (local_commit_end(local, result, err) != 0) {
            return -1;
        }
        partition->bytes -= removal.bytes;
    }
}

static int list_expiring(struct local_db *db, struct expiring **list, size_t *count, struct err *err)
{
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    int row = local_db_first(db, SQL_PARTITION_EXPIRING, NULL, 0, &statement, err);
    while (row == 1) {
        *list = memory_grow(*list, *count, &capacity, sizeof **list);
        (*list)[(*count)++] = (struct expiring){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1),
                                                sqlite3_column_int64(statement, 2), sqlite3_column_int64(statement, 3)};
        row = local_db_step(db, statement, err);
    }
    return row;
}

int local_retention_run(struct local *local, struct local_db *db, struct err *err)
{
    struct expiring *list = NULL;
    size_t count = 0;
    int result = list_expiring(db, &list, &count, err);
    for (size_t i = 0; i < count && result == 0; i++) {
        result = expire(local, db, &list[i], err);
    }
    free(list);
    return result;
}
