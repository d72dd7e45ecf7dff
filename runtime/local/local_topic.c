#include "local/local_topic.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "local/local_batch.h"
#include "local/local_commit.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_LENGTH 249
#define PARTITIONS_MAX 100000
#define DELETE_RETENTION_DEFAULT_MS (INT64_C(7) * 24 * 3600 * 1000)

/* ---- reading on the caller's connection ---- */

/* Steps a statement whose only text parameter is the first. */
static int first_by_name(struct local_db *db, enum local_sql sql, const char *name, int64_t number,
                         sqlite3_stmt **statement, struct err *err)
{
    *statement = local_db_statement(db, sql, err);
    if (*statement == NULL) {
        return -1;
    }
    sqlite3_bind_text(*statement, 1, name, -1, SQLITE_TRANSIENT);
    if (sqlite3_bind_parameter_count(*statement) > 1) {
        sqlite3_bind_int64(*statement, 2, number);
    }
    return local_db_step(db, *statement, err);
}

int local_topic_find(struct local_db *db, const char *name, struct local_topic *topic, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int found = first_by_name(db, SQL_TOPIC_FIND, name, 0, &statement, err);
    if (found == 1) {
        topic->id = sqlite3_column_int64(statement, 0);
        topic->partitions = (int32_t)sqlite3_column_int64(statement, 1);
        local_db_done(statement);
    }
    return found;
}

int local_topic_partition_ids(struct local_db *db, const struct local_topic *topic, int64_t *ids, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int32_t count = 0;
    int found = local_db_first(db, SQL_PARTITION_LIST, &topic->id, 1, &statement, err);
    while (found == 1 && count < topic->partitions) {
        ids[count++] = sqlite3_column_int64(statement, 0);
        found = local_db_step(db, statement, err);
    }
    if (found == 1) {
        local_db_done(statement);
    }
    if (found >= 0 && count < topic->partitions) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT,
                       "The log %s misses partitions of a topic; it was left as it is. Restore it from a backup.",
                       db->path);
    }
    return found < 0 ? -1 : 0;
}

int local_topic_missing(const char *name, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "The topic %s does not exist in the embedded log. Create it with: tidemill topics create %s.", name,
                   name);
}

static int missing_partition(struct local_db *db, const char *name, int32_t partition, struct err *err)
{
    struct local_topic topic;
    int found = local_topic_find(db, name, &topic, err);
    if (found <= 0) {
        return found < 0 ? -1 : local_topic_missing(name, err);
    }
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "The topic %s has no partition %d: its partitions are 0 to %d. Choose one of these.", name,
                   (int)partition, (int)topic.partitions - 1);
}

int local_topic_partition(struct local_db *db, const char *name, int32_t partition, int64_t *id,
                          struct local_marks *marks, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int found = first_by_name(db, SQL_PARTITION_FIND, name, partition, &statement, err);
    if (found <= 0) {
        return found < 0 ? -1 : missing_partition(db, name, partition, err);
    }
    *id = sqlite3_column_int64(statement, 0);
    if (marks != NULL) {
        *marks = (struct local_marks){sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 2)};
    }
    local_db_done(statement);
    return 0;
}

int local_topic_marks(struct local_db *db, int64_t partition_id, struct local_marks *marks, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int found = local_db_first(db, SQL_PARTITION_MARKS, &partition_id, 1, &statement, err);
    if (found == 1) {
        *marks = (struct local_marks){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
        local_db_done(statement);
    }
    return found;
}

int local_topic_version(struct local_db *db, int64_t *version, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (local_db_first(db, SQL_TOPICS_VERSION, NULL, 0, &statement, err) < 0) {
        return -1;
    }
    *version = sqlite3_column_int64(statement, 0);
    local_db_done(statement);
    return 0;
}

/* ---- making topics ---- */

static int check_name(const char *name, struct err *err)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (name[0] != '\0' && name[length] == '\0' && length <= NAME_MAX_LENGTH && strcmp(name, ".") != 0 &&
        strcmp(name, "..") != 0) {
        return 0;
    }
    return err_set(
        err, ERR_FATAL, ERR_TOPIC,
        "\"%.300s\" can't be the name of a topic: use 1 to %d letters, digits, dots, underscores and hyphens.", name,
        NAME_MAX_LENGTH);
}

static int check_partitions(const char *name, int64_t partitions, struct err *err)
{
    if (partitions >= 1 && partitions <= PARTITIONS_MAX) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_TOPIC, "The topic %s can't have %lld partitions: choose 1 to %d.", name,
                   (long long)partitions, PARTITIONS_MAX);
}

static int insert_partitions(struct local_db *db, int64_t topic_id, int32_t from, int32_t to, struct err *err)
{
    for (int32_t number = from; number < to; number++) {
        if (local_db_run(db, SQL_PARTITION_INSERT, (int64_t[]){topic_id, number}, 2, err) != 0) {
            return -1;
        }
        if (sqlite3_last_insert_rowid(db->handle) >= LOCAL_PARTITION_LIMIT) {
            return err_set(err, ERR_FATAL, ERR_TOPIC,
                           "The log %s has used up its numbers for partitions. Start with another data directory.",
                           db->path);
        }
    }
    if (local_db_run(db, SQL_TOPIC_PARTITIONS, (int64_t[]){topic_id, to}, 2, err) != 0) {
        return -1;
    }
    return local_db_exec(db, SQL_TOPICS_CHANGED, err);
}

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int insert_topic(struct local_db *db, const struct topic_spec *spec, int64_t now, struct err *err)
{
    sqlite3_stmt *statement = local_db_statement(db, SQL_TOPIC_INSERT, err);
    if (statement == NULL) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, spec->name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 2, spec->compacted);
    sqlite3_bind_int64(statement, 3, or_default(spec->retention_ms, -1));
    sqlite3_bind_int64(statement, 4, or_default(spec->retention_bytes, -1));
    sqlite3_bind_int64(statement, 5, or_default(spec->delete_retention_ms, DELETE_RETENTION_DEFAULT_MS));
    sqlite3_bind_int64(statement, 6, now);
    if (local_db_step(db, statement, err) != 0) {
        return -1;
    }
    return insert_partitions(db, sqlite3_last_insert_rowid(db->handle), 0, spec->partitions, err);
}

int local_topic_create(struct transport *transport, const struct topic_spec *spec, struct err *err)
{
    struct local *local = local_of(transport);
    if (check_name(spec->name, err) != 0 || check_partitions(spec->name, spec->partitions, err) != 0 ||
        local_commit_begin(local, err) != 0) {
        return -1;
    }
    struct local_topic topic;
    int result = local_topic_find(&local->writer, spec->name, &topic, err);
    if (result == 0) {
        result = insert_topic(&local->writer, spec, clock_wall_ms(local->clock), err);
        FAILPOINT(LOG_TOPIC);
    }
    return local_commit_end(local, result < 0 ? -1 : 0, err);
}

static int grow_topic(struct local_db *db, const char *name, int32_t total, struct err *err)
{
    struct local_topic topic;
    int found = local_topic_find(db, name, &topic, err);
    if (found <= 0) {
        return found < 0 ? -1 : local_topic_missing(name, err);
    }
    if (total < topic.partitions) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The topic %s has %d partitions already, and partitions can't be taken away.", name,
                       (int)topic.partitions);
    }
    return total == topic.partitions ? 0 : insert_partitions(db, topic.id, topic.partitions, total, err);
}

int local_topic_add_partitions(struct transport *transport, const char *topic, int32_t total, struct err *err)
{
    struct local *local = local_of(transport);
    if (check_partitions(topic, total, err) != 0 || local_commit_begin(local, err) != 0) {
        return -1;
    }
    return local_commit_end(local, grow_topic(&local->writer, topic, total, err), err);
}

/* ---- deleting ---- */

static int delete_batches(struct local_db *db, const struct local_topic *topic, struct err *err)
{
    int64_t *ids = memory_alloc((size_t)topic->partitions * sizeof *ids);
    int result = local_topic_partition_ids(db, topic, ids, err);
    for (int32_t i = 0; i < topic->partitions && result == 0; i++) {
        int64_t values[] = {local_db_key(ids[i], 0), local_db_key(ids[i] + 1, 0), INT64_MAX};
        result = local_db_run(db, SQL_BATCH_DELETE, values, 3, err);
    }
    free(ids);
    return result;
}

static int delete_topic(struct local_db *db, const char *name, struct err *err)
{
    static const enum local_sql steps[] = {SQL_POSITION_DROP, SQL_PARTITION_DELETE, SQL_TOPIC_DELETE};
    struct local_topic topic;
    int found = local_topic_find(db, name, &topic, err);
    if (found <= 0) {
        return found < 0 ? -1 : local_topic_missing(name, err);
    }
    if (delete_batches(db, &topic, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (local_db_run(db, steps[i], &topic.id, 1, err) != 0) {
            return -1;
        }
    }
    return local_db_exec(db, SQL_TOPICS_CHANGED, err);
}

int local_topic_delete(struct transport *transport, const char *topic, struct err *err)
{
    struct local *local = local_of(transport);
    if (local_commit_begin(local, err) != 0) {
        return -1;
    }
    return local_commit_end(local, delete_topic(&local->writer, topic, err), err);
}

static int delete_before(struct local_db *db, const char *name, int32_t partition, int64_t before, struct err *err)
{
    int64_t id = 0;
    struct local_marks marks;
    sqlite3_stmt *statement = NULL;
    if (local_topic_partition(db, name, partition, &id, &marks, err) != 0) {
        return -1;
    }
    before = before == OFFSET_END || before > marks.high ? marks.high : before;
    if (before <= marks.low) {
        return 0;
    }
    int64_t range[] = {local_db_key(id, 0), local_db_key(id, before), before};
    if (local_db_first(db, SQL_BATCH_BYTES, range, 3, &statement, err) < 0) {
        return -1;
    }
    int64_t bytes = sqlite3_column_int64(statement, 0);
    local_db_done(statement);
    if (local_db_run(db, SQL_BATCH_DELETE, range, 3, err) != 0) {
        return -1;
    }
    return local_db_run(db, SQL_PARTITION_TRIMMED, (int64_t[]){id, before, bytes}, 3, err);
}

int local_topic_delete_records(struct transport *transport, const char *topic, int32_t partition, int64_t before,
                               struct err *err)
{
    struct local *local = local_of(transport);
    if (local_commit_begin(local, err) != 0) {
        return -1;
    }
    return local_commit_end(local, delete_before(&local->writer, topic, partition, before, err), err);
}

/* ---- questions ---- */

static struct local_db *admin_enter(struct local *local, struct err *err)
{
    pthread_mutex_lock(&local->admin_lock);
    if (local->admin.handle == NULL && local_db_open(&local->admin, local->directory, LOCAL_DB_READ, err) != 0) {
        pthread_mutex_unlock(&local->admin_lock);
        return NULL;
    }
    return &local->admin;
}

static int admin_leave(struct local *local, int result)
{
    pthread_mutex_unlock(&local->admin_lock);
    return result;
}

static void fill_info(sqlite3_stmt *statement, struct topic_info *info)
{
    info->exists = true;
    info->partitions = (int32_t)sqlite3_column_int64(statement, 1);
    snprintf(info->id, sizeof info->id, "%s", local_db_text(statement, 2));
    info->compacted = sqlite3_column_int64(statement, 3) != 0;
    info->retention_ms = sqlite3_column_int64(statement, 4);
    info->retention_bytes = sqlite3_column_int64(statement, 5);
    info->delete_retention_ms = sqlite3_column_int64(statement, 6);
    info->deleted_by_age = !info->compacted || info->retention_ms >= 0 || info->retention_bytes >= 0;
    info->config_known = true;
}

int local_topic_describe(struct transport *transport, const char *topic, struct topic_info *info, struct err *err)
{
    struct local *local = local_of(transport);
    struct local_db *db = admin_enter(local, err);
    if (db == NULL) {
        return -1;
    }
    *info = (struct topic_info){0};
    sqlite3_stmt *statement = NULL;
    int found = first_by_name(db, SQL_TOPIC_FIND, topic, 0, &statement, err);
    if (found == 1) {
        fill_info(statement, info);
        local_db_done(statement);
    }
    return admin_leave(local, found < 0 ? -1 : 0);
}

int local_topic_list(struct transport *transport, struct option_list *names, struct err *err)
{
    struct local *local = local_of(transport);
    struct local_db *db = admin_enter(local, err);
    if (db == NULL) {
        return -1;
    }
    sqlite3_stmt *statement = NULL;
    int found = local_db_first(db, SQL_TOPIC_LIST, NULL, 0, &statement, err);
    while (found == 1) {
        option_list_add(names, local_db_text(statement, 2));
        found = local_db_step(db, statement, err);
    }
    return admin_leave(local, found);
}

int local_topic_watermarks(struct transport *transport, const char *topic, int32_t partition, int64_t *low,
                           int64_t *high, struct err *err)
{
    struct local *local = local_of(transport);
    struct local_db *db = admin_enter(local, err);
    if (db == NULL) {
        return -1;
    }
    int64_t id = 0;
    struct local_marks marks = {0, 0};
    int result = local_topic_partition(db, topic, partition, &id, &marks, err);
    *low = marks.low;
    *high = marks.high;
    return admin_leave(local, result);
}

/* The first record of the batch in the current row that is late enough: its offset, or -1. */
static int64_t find_in_batch(struct local_db *db, sqlite3_stmt *statement, int64_t low, int64_t timestamp,
                             struct err *err)
{
    struct slice data = slice_of(sqlite3_column_blob(statement, 2), (size_t)sqlite3_column_bytes(statement, 2));
    struct local_batch batch;
    enum local_batch_verdict verdict = local_batch_check(data, &batch);
    if (verdict != LOCAL_BATCH_GOOD) {
        err_set(err, ERR_FATAL, ERR_CORRUPT, "A batch in the log %s %s. Restore the data directory from a backup.",
                db->path, local_batch_verdict_text(verdict));
        return -2;
    }
    struct local_batch_reader reader = local_batch_reader(&batch);
    struct record record;
    struct arena arena = {0};
    int64_t found = -1;
    while (found < 0 && local_batch_next(&reader, &record, &arena) == 1) {
        found = record.offset >= low && record.timestamp >= timestamp ? record.offset : -1;
    }
    arena_free(&arena);
    return found;
}

static int find_time(struct local_db *db, int64_t id, struct local_marks marks, int64_t timestamp, int64_t *offset,
                     struct err *err)
{
    int64_t values[] = {local_db_key(id, 0), local_db_key(id, marks.high), marks.low, timestamp};
    sqlite3_stmt *statement = NULL;
    *offset = marks.high;
    int row = local_db_first(db, SQL_BATCH_AT_TIME, values, 4, &statement, err);
    while (row == 1) {
        int64_t found = find_in_batch(db, statement, marks.low, timestamp, err);
        if (found != -1) {
            *offset = found;
            local_db_done(statement);
            return found < 0 ? -1 : 0;
        }
        row = local_db_step(db, statement, err);
    }
    return row;
}

int local_topic_offset_for_time(struct transport *transport, const char *topic, int32_t partition, int64_t timestamp,
                                int64_t *offset, struct err *err)
{
    struct local *local = local_of(transport);
    struct local_db *db = admin_enter(local, err);
    if (db == NULL) {
        return -1;
    }
    int64_t id = 0;
    struct local_marks marks;
    int result = local_topic_partition(db, topic, partition, &id, &marks, err);
    if (result == 0) {
        result = find_time(db, id, marks, timestamp, offset, err);
    }
    return admin_leave(local, result);
}
