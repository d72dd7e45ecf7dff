#include "local/local_compact.h"

#include "base/failpoint.h"
#include "base/memory.h"
#include "local/local_commit.h"
#include "local/local_cursor.h"
#include "local/local_keys.h"

#include <stdlib.h>

#define KEYS_BYTES                                                                                                     \
    ((size_t)32 * 1024 * 1024)            /* memory for the keys of one round; what is left over waits for the next */
#define PIECE_BYTES ((size_t)1024 * 1024) /* read and rewritten in one transaction */
#define DIRTY_MIN FAILPOINT_NUMBER("TIDEMILL_COMPACT_BYTES", INT64_C(1) * 1024 * 1024)
#define TAKE 256

struct compaction {
    struct local *local;
    int64_t id;
    int64_t low;
    int64_t cleaned; /* every record before it is the last of its key before it */
    int64_t target;  /* where this round ends */
    int64_t done;    /* end of the last batch that this round has looked at */
    int64_t bytes;
    int64_t cleaned_bytes; /* size after the last round */
    int64_t tombstones_ms; /* tombstones appended until then go */
    int64_t delete_retention_ms;
    struct local_keys keys;
};

/* ---- pass one: the last offset of every key ---- */

static int note_keys(struct compaction *compaction, struct local_db *db, struct err *err)
{
    struct local_cursor cursor = {.topic = "", .partition_id = compaction->id, .limit = PIECE_BYTES};
    int64_t from = compaction->cleaned > compaction->low ? compaction->cleaned : compaction->low;
    struct record records[TAKE];
    size_t count = 0;
    int result = local_cursor_open(&cursor, db, from, err);
    do {
        result = result == 0 ? local_cursor_take(&cursor, db, records, TAKE, &count, err) : result;
        for (size_t i = 0; i < count && result == 0 && records[i].offset < compaction->target; i++) {
            if (!slice_is_null(records[i].key)) {
                local_keys_put(&compaction->keys, records[i].key, records[i].offset);
            }
        }
    } while (result == 0 && count > 0 && cursor.position < compaction->target && compaction->keys.bytes < KEYS_BYTES);
    if (cursor.position < compaction->target && count > 0) {
        compaction->target = cursor.position;
    }
    local_cursor_free(&cursor);
    return result;
}

/* ---- pass two: rewriting ---- */

/* Batches of the log as they were read, or as they are to be written. */
struct row {
    int64_t base;
    int64_t last;
    int64_t appended;
    int64_t max_timestamp;
    size_t start; /* in `data` */
    size_t size;
};

struct piece {
    struct bytes data;
    struct row *rows;
    size_t count;
    size_t capacity;
};

static void add_row(struct piece *piece, struct row row)
{
    piece->rows = memory_grow(piece->rows, piece->count, &piece->capacity, sizeof *piece->rows);
    piece->rows[piece->count++] = row;
}

static void free_piece(struct piece *piece)
{
    bytes_free(&piece->data);
    free(piece->rows);
}

/* Reads batches that end before the target, from offset `from` on. */
static int read_piece(const struct compaction *compaction, int64_t from, struct piece *piece, struct err *err)
{
    struct local_db *db = &compaction->local->writer;
    int64_t id = compaction->id;
    int64_t values[] = {local_db_key(id, 0), local_db_key(id, from), local_db_key(id, compaction->target), from};
    sqlite3_stmt *statement = NULL;
    int row = local_db_first(db, SQL_BATCH_RANGE, values, 4, &statement, err);
    while (row == 1) {
        size_t size = (size_t)sqlite3_column_bytes(statement, 2);
        int64_t last = sqlite3_column_int64(statement, 1);
        if (last >= compaction->target || (piece->data.size > 0 && piece->data.size + size > PIECE_BYTES)) {
            local_db_done(statement);
            return 0;
        }
        add_row(piece, (struct row){local_db_key_offset(sqlite3_column_int64(statement, 0)), last,
                                    sqlite3_column_int64(statement, 3), 0, piece->data.size, size});
        bytes_append(&piece->data, sqlite3_column_blob(statement, 2), size);
        row = local_db_step(db, statement, err);
    }
    return row;
}

static bool keep(const struct compaction *compaction, const struct record *record, int64_t appended)
{
    if (record->offset < compaction->low || slice_is_null(record->key)) {
        return record->offset >= compaction->low;
    }
    if (record->offset < local_keys_get(&compaction->keys, record->key)) {
        return false;
    }
    return !slice_is_null(record->value) || appended > compaction->tombstones_ms;
}

/* Where the records that stay are packed. */
struct packer {
    struct piece out;
    struct local_batch_writer writer;
    bool open;
    int64_t base;
    int64_t appended;
    size_t removed; /* records */
};

static void close_batch(struct packer *packer, int64_t last)
{
    if (packer->open) {
        local_batch_finish(&packer->writer, last + 1 - packer->base);
        local_batch_set_base(packer->out.data.data + packer->writer.start, packer->base);
        add_row(&packer->out, (struct row){packer->base, last, packer->appended, packer->writer.max_timestamp,
                                           packer->writer.start, local_batch_size(&packer->writer)});
        packer->open = false;
    }
}

static void pack(struct packer *packer, const struct record *record, int64_t appended)
{
    if (!packer->open) {
        local_batch_begin(&packer->writer, &packer->out.data);
        packer->open = true;
        packer->base = record->offset;
        packer->appended = appended;
    }
    packer->appended = appended > packer->appended ? appended : packer->appended;
    local_batch_append(&packer->writer, record, record->offset - packer->base);
}

static int repack_row(const struct compaction *compaction, const struct piece *piece, const struct row *row,
                      struct packer *packer, struct err *err)
{
    struct local_batch batch;
    struct record record;
    struct arena arena = {0};
    enum local_batch_verdict verdict = local_batch_check(slice_of(piece->data.data + row->start, row->size), &batch);
    int found = verdict == LOCAL_BATCH_GOOD ? 1 : -1;
    if (found == 1) {
        struct local_batch_reader reader = local_batch_reader(&batch);
        while ((found = local_batch_next(&reader, &record, &arena)) == 1) {
            if (keep(compaction, &record, row->appended)) {
                pack(packer, &record, row->appended);
            } else {
                packer->removed++;
            }
        }
    }
    arena_free(&arena);
    if (found < 0) {
        return err_set(
            err, ERR_FATAL, ERR_CORRUPT,
            "A batch of a compacted topic in the log %s %s; it was left as it is. Restore the data directory "
            "from a backup.",
            compaction->local->writer.path, local_batch_verdict_text(verdict));
    }
    return 0;
}

static int repack(const struct compaction *compaction, const struct piece *piece, struct packer *packer,
                  struct err *err)
{
    for (size_t i = 0; i < piece->count; i++) {
        const struct row *row = &piece->rows[i];
        if (packer->open && row->last - packer->base > INT32_MAX) {
            close_batch(packer, row->base - 1); /* a batch counts its offsets in 32 bits */
        }
        if (repack_row(compaction, piece, row, packer, err) != 0) {
            return -1;
        }
        bool full = packer->open && local_batch_size(&packer->writer) >= compaction->local->batch_size;
        if (full || i + 1 == piece->count) {
            close_batch(packer, row->last);
        }
    }
    return 0;
}

static int insert_row(struct local_db *db, int64_t id, const struct piece *piece, const struct row *row,
                      struct err *err)
{
    sqlite3_stmt *statement = local_db_statement(db, SQL_BATCH_INSERT, err);
    if (statement == NULL) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, local_db_key(id, row->base));
    sqlite3_bind_int64(statement, 2, row->last);
    sqlite3_bind_int64(statement, 3, row->appended);
    sqlite3_bind_int64(statement, 4, row->max_timestamp);
    sqlite3_bind_blob64(statement, 5, piece->data.data + row->start, row->size, SQLITE_STATIC);
    int result = local_db_step(db, statement, err);
    sqlite3_clear_bindings(statement);
    return result;
}

static int write_piece(const struct compaction *compaction, const struct piece *in, const struct piece *out,
                       struct err *err)
{
    struct local_db *db = &compaction->local->writer;
    int64_t end = in->rows[in->count - 1].last + 1;
    int64_t range[] = {local_db_key(compaction->id, in->rows[0].base), local_db_key(compaction->id, end), end};
    int64_t saved[] = {compaction->id, (int64_t)in->data.size - (int64_t)out->data.size};
    int result = local_db_run(db, SQL_BATCH_DELETE, range, 3, err);
    for (size_t i = 0; i < out->count && result == 0; i++) {
        result = insert_row(db, compaction->id, out, &out->rows[i], err);
    }
    return result == 0 ? local_db_run(db, SQL_PARTITION_SHRUNK, saved, 2, err) : result;
}

/* Rewrites one piece within the transaction that is open; 1: there was one, 0: there is none before the target. */
static int rewrite(struct compaction *compaction, struct err *err)
{
    struct piece in = {0};
    struct packer packer = {0};
    int result = read_piece(compaction, compaction->done, &in, err);
    if (result == 0 && in.count > 0) {
        result = repack(compaction, &in, &packer, err);
        /* Batches that would come out as they are stay as they are. */
        if (result == 0 && (packer.removed > 0 || packer.out.count < in.count)) {
            result = write_piece(compaction, &in, &packer.out, err);
        }
        compaction->done = in.rows[in.count - 1].last + 1;
    }
    free_piece(&packer.out);
    free_piece(&in);
    return result != 0 ? -1 : in.count > 0;
}

/* A batch that reaches over the target is left for the next round with all its records: `cleaned` ends before it. Else
 * a tombstone in it could go later and an older record of its key stay. */
static int rewrite_all(struct compaction *compaction, struct err *err)
{
    struct local *local = compaction->local;
    int more = 1;
    compaction->done = compaction->low;
    while (more == 1) {
        if (local_commit_begin(local, err) != 0) {
            return -1;
        }
        more = rewrite(compaction, err);
        if (local_commit_end(local, more < 0 ? -1 : 0, err) != 0) {
            return -1;
        }
        FAILPOINT(COMPACTION);
    }
    if (local_commit_begin(local, err) != 0) {
        return -1;
    }
    int64_t values[] = {compaction->id, compaction->done};
    return local_commit_end(local, local_db_run(&local->writer, SQL_PARTITION_CLEANED, values, 2, err), err);
}

/* ---- which partitions ---- */

static int newest_append(struct compaction *compaction, struct local_db *db, struct err *err)
{
    int64_t range[] = {local_db_key(compaction->id, 0), local_db_key(compaction->id + 1, 0)};
    sqlite3_stmt *statement = NULL;
    int found = local_db_first(db, SQL_BATCH_NEWEST, range, 2, &statement, err);
    if (found == 1) {
        compaction->tombstones_ms = sqlite3_column_int64(statement, 0) - compaction->delete_retention_ms;
        local_db_done(statement);
    }
    return found < 0 ? -1 : 0;
}

static int compact(struct compaction *compaction, struct local_db *db, struct err *err)
{
    int result = newest_append(compaction, db, err);
    if (result == 0) {
        result = note_keys(compaction, db, err);
    }
    if (result == 0) {
        result = rewrite_all(compaction, err);
    }
    local_keys_free(&compaction->keys);
    return result;
}

static bool worth_it(const struct compaction *compaction, bool all)
{
    int64_t dirty = compaction->bytes - compaction->cleaned_bytes;
    return compaction->target > compaction->cleaned && compaction->target > compaction->low &&
           (all || (dirty >= DIRTY_MIN && dirty * 2 >= compaction->bytes));
}

static struct compaction read_row(struct local *local, sqlite3_stmt *statement)
{
    struct compaction compaction = {
        .local = local,
        .id = sqlite3_column_int64(statement, 0),
        .low = sqlite3_column_int64(statement, 1),
        .target = sqlite3_column_int64(statement, 2),
        .cleaned = sqlite3_column_int64(statement, 3),
        .bytes = sqlite3_column_int64(statement, 4),
        .cleaned_bytes = sqlite3_column_int64(statement, 5),
        .delete_retention_ms = sqlite3_column_int64(statement, 6),
        .tombstones_ms = INT64_MIN,
    };
    /* The slowest group decides how far compaction may go. */
    bool read_by_group = sqlite3_column_type(statement, 7) != SQLITE_NULL;
    int64_t slowest = sqlite3_column_int64(statement, 7);
    if (read_by_group && slowest < compaction.target) {
        compaction.target = slowest;
    }
    return compaction;
}

int local_compact_run(struct local *local, struct local_db *db, bool all, struct err *err)
{
    struct compaction *list = NULL;
    size_t count = 0;
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    int row = local_db_first(db, SQL_PARTITION_COMPACTED, NULL, 0, &statement, err);
    while (row == 1) {
        struct compaction compaction = read_row(local, statement);
        if (worth_it(&compaction, all)) {
            list = memory_grow(list, count, &capacity, sizeof *list);
            list[count++] = compaction;
        }
        row = local_db_step(db, statement, err);
    }
    int result = row;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = compact(&list[i], db, err);
    }
    free(list);
    return result;
}
