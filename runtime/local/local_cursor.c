#include "local/local_cursor.h"

int local_cursor_refresh(struct local_cursor *cursor, struct local_db *db, struct err *err)
{
    struct local_marks marks;
    int found = local_topic_marks(db, cursor->partition_id, &marks, err);
    if (found == 1) {
        cursor->low = marks.low;
        cursor->high = marks.high;
        if (cursor->from_start && cursor->position < marks.low) {
            cursor->position = marks.low;
        }
    }
    return found;
}

static void drop_buffer(struct local_cursor *cursor)
{
    bytes_clear(&cursor->buffer);
    cursor->at = 0;
    cursor->inside = false;
}

void local_cursor_seek(struct local_cursor *cursor, int64_t offset)
{
    drop_buffer(cursor);
    cursor->from_start = offset == OFFSET_BEGINNING;
    cursor->position = offset == OFFSET_BEGINNING ? cursor->low : offset == OFFSET_END ? cursor->high : offset;
}

int local_cursor_open(struct local_cursor *cursor, struct local_db *db, int64_t offset, struct err *err)
{
    int found = local_cursor_refresh(cursor, db, err);
    if (found <= 0) {
        return found < 0 ? -1 : local_topic_missing(cursor->topic, err);
    }
    local_cursor_seek(cursor, offset);
    return 0;
}

void local_cursor_free(struct local_cursor *cursor)
{
    drop_buffer(cursor);
    bytes_free(&cursor->buffer);
    arena_free(&cursor->headers);
}

bool local_cursor_ready(const struct local_cursor *cursor)
{
    return cursor->inside || cursor->at < cursor->buffer.size || cursor->position != cursor->high;
}

void local_cursor_shrink(struct local_cursor *cursor)
{
    if (!cursor->inside && cursor->at >= cursor->buffer.size) {
        drop_buffer(cursor);
        bytes_free(&cursor->buffer);
        arena_free(&cursor->headers);
    }
}

/* ---- filling the buffer ---- */

static int check_position(const struct local_cursor *cursor, struct err *err)
{
    if (cursor->position < cursor->low) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The log start passed the position in topic %s partition %d: the next record to read is offset "
                       "%lld and the log begins at %lld, so that records are gone unread. Reset the position (tidemill "
                       "reset), and give the topic a longer retention.",
                       cursor->topic, (int)cursor->partition, (long long)cursor->position, (long long)cursor->low);
    }
    if (cursor->position > cursor->high) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The position in topic %s partition %d is offset %lld and the log ends at %lld. Reset the "
                       "position (tidemill reset).",
                       cursor->topic, (int)cursor->partition, (long long)cursor->position, (long long)cursor->high);
    }
    return 0;
}

static int damaged(const struct local_cursor *cursor, const struct local_db *db, int64_t offset,
                   enum local_batch_verdict verdict, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_CORRUPT,
                   "The batch at offset %lld of topic %s partition %d in the log %s %s. The log was left as it is: "
                   "keep a copy, check the disk, and restore the data directory from a backup.",
                   (long long)offset, cursor->topic, (int)cursor->partition, db->path,
                   local_batch_verdict_text(verdict));
}

/* A batch is checked where it enters the buffer, so that later steps may trust its size. */
static int add_batch(struct local_cursor *cursor, struct local_db *db, sqlite3_stmt *statement, struct err *err)
{
    struct slice data = slice_of(sqlite3_column_blob(statement, 2), (size_t)sqlite3_column_bytes(statement, 2));
    int64_t base = local_db_key_offset(sqlite3_column_int64(statement, 0));
    struct local_batch batch;
    enum local_batch_verdict verdict = local_batch_check(data, &batch);
    if (verdict == LOCAL_BATCH_GOOD && (batch.base_offset != base || batch.size != data.size ||
                                        batch.last_offset != sqlite3_column_int64(statement, 1))) {
        verdict = LOCAL_BATCH_BROKEN;
    }
    if (verdict != LOCAL_BATCH_GOOD) {
        return damaged(cursor, db, base, verdict, err);
    }
    bytes_append_slice(&cursor->buffer, data);
    return 0;
}

static int read_batches(struct local_cursor *cursor, struct local_db *db, struct err *err)
{
    int64_t id = cursor->partition_id;
    int64_t values[] = {local_db_key(id, 0), local_db_key(id, cursor->position), local_db_key(id, cursor->high),
                        cursor->position};
    sqlite3_stmt *statement = NULL;
    int row = local_db_first(db, SQL_BATCH_RANGE, values, 4, &statement, err);
    while (row == 1) {
        if (add_batch(cursor, db, statement, err) != 0) {
            local_db_done(statement);
            return -1;
        }
        if (cursor->buffer.size >= cursor->limit) {
            local_db_done(statement);
            return 0;
        }
        row = local_db_step(db, statement, err);
    }
    return row;
}

/* Batches and watermarks of one moment: a batch that retention has removed must not be stepped over in silence. */
static int fill(struct local_cursor *cursor, struct local_db *db, struct err *err)
{
    int64_t high = cursor->high;
    drop_buffer(cursor);
    if (local_db_exec(db, SQL_BEGIN_READ, err) != 0) {
        return -1;
    }
    int result = local_cursor_refresh(cursor, db, err);
    if (result == 0) {
        result = local_topic_missing(cursor->topic, err);
    } else if (result == 1) {
        result = check_position(cursor, err);
        /* What the session does not know of yet is left for later, so that its partitions go forward together. */
        cursor->high = cursor->position > high ? cursor->position : high;
    }
    if (result == 0) {
        result = read_batches(cursor, db, err);
    }
    local_db_rollback(db);
    return result;
}

/* ---- handing out ---- */

/* Steps into the next batch of the buffer; false: there is none. */
static bool next_batch(struct local_cursor *cursor)
{
    if (cursor->at >= cursor->buffer.size) {
        return false;
    }
    local_batch_header(slice_of(cursor->buffer.data + cursor->at, cursor->buffer.size - cursor->at), &cursor->batch);
    cursor->records = local_batch_reader(&cursor->batch);
    cursor->at += cursor->batch.size;
    cursor->inside = true;
    return true;
}

static void leave_batch(struct local_cursor *cursor)
{
    cursor->inside = false;
    if (cursor->position <= cursor->batch.last_offset) {
        cursor->position = cursor->batch.last_offset + 1;
    }
}

/* Decodes from the current batch; -1: it is broken although its checksum holds. */
static int drain_batch(struct local_cursor *cursor, struct record *records, size_t max, size_t *count)
{
    while (*count < max) {
        struct record *record = &records[*count];
        int found = local_batch_next(&cursor->records, record, &cursor->headers);
        if (found <= 0) {
            leave_batch(cursor);
            return found;
        }
        if (record->offset >= cursor->position) {
            record->topic = cursor->topic;
            record->partition = cursor->partition;
            cursor->position = record->offset + 1;
            ++*count;
        }
    }
    if (cursor->records.left == 0) {
        leave_batch(cursor);
    }
    return 0;
}

static int drain(struct local_cursor *cursor, const struct local_db *db, struct record *records, size_t max,
                 size_t *count, struct err *err)
{
    while (*count < max && (cursor->inside || next_batch(cursor))) {
        if (drain_batch(cursor, records, max, count) != 0) {
            return damaged(cursor, db, cursor->batch.base_offset, LOCAL_BATCH_BROKEN, err);
        }
    }
    return 0;
}

int local_cursor_take(struct local_cursor *cursor, struct local_db *db, struct record *records, size_t max,
                      size_t *count, struct err *err)
{
    *count = 0;
    arena_clear(&cursor->headers);
    if (drain(cursor, db, records, max, count, err) != 0) {
        return -1;
    }
    while (*count == 0 && max > 0 && cursor->position != cursor->high) {
        if (fill(cursor, db, err) != 0) {
            return -1;
        }
        if (cursor->buffer.size == 0) {
            cursor->position = cursor->high; /* compaction has removed all that was left */
        }
        if (drain(cursor, db, records, max, count, err) != 0) {
            return -1;
        }
    }
    if (*count > 0) {
        cursor->from_start = false;
    }
    return 0;
}
