#include "store/merge_pass.h"

#include "base/arena.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "store/delta.h"
#include "store/delta_log.h"
#include "store/rows.h"

#include <stdlib.h>

#define BATCH_BYTES ((size_t)64 * 1024 * 1024) /* of deltas in memory at once, about */
#define CANCEL_EVERY 1024                      /* rows */

/* One change of one key. */
struct change {
    uint64_t prefix; /* first bytes of the key: decides most comparisons */
    uint32_t store;  /* index in rows->stores */
    uint32_t number; /* order of the changes */
    struct slice key;
    struct slice value;
    int64_t timestamp;
};

/* The commits of one transaction of rows.db. */
struct batch {
    struct rows *rows;
    struct arena bodies;
    struct change *changes;
    size_t count;
    size_t capacity;
    uint64_t *expired; /* per store */
    size_t bytes;
    int64_t seen;      /* last delta read */
    int64_t last;      /* last one that ends a commit */
    struct bytes meta; /* that one's */
};

static uint64_t prefix_of(struct slice key)
{
    struct bytes_reader reader = bytes_reader_of(key);
    uint64_t prefix = 0;
    for (int i = 0; i < 8; i++) {
        prefix = prefix << 8 | (reader.at != reader.end ? bytes_take_byte(&reader) : 0);
    }
    return prefix;
}

/* By store, by key, the newest change of a key first. */
static int compare_changes(const void *a, const void *b)
{
    const struct change *one = a;
    const struct change *other = b;
    if (one->store != other->store) {
        return one->store < other->store ? -1 : 1;
    }
    if (one->prefix != other->prefix) {
        return one->prefix < other->prefix ? -1 : 1;
    }
    int order = slice_compare(one->key, other->key);
    return order != 0 ? order : (one->number < other->number) - (one->number > other->number);
}

static void add_change(struct batch *batch, uint32_t store, const struct delta_reader *delta)
{
    batch->changes = memory_grow(batch->changes, batch->count, &batch->capacity, sizeof *batch->changes);
    batch->changes[batch->count] = (struct change){
        prefix_of(delta->key), store, (uint32_t)batch->count, delta->key, delta->value, delta->timestamp};
    batch->count++;
}

/* NULL: the entries belong to a store that is no more. */
static struct rows_store *find_store(struct batch *batch, const struct delta_reader *delta, int64_t seq)
{
    struct rows_store *store = rows_find(batch->rows, delta->store);
    return store != NULL && seq > store->since ? store : NULL;
}

static int add_body(struct batch *batch, int64_t seq, struct slice body, struct err *err)
{
    struct delta_reader delta;
    enum delta_item item;
    struct rows_store *store = NULL;
    if (delta_open(&delta, body, err) != 0 || delta_next(&delta, &item, err) != 0) {
        return -1;
    }
    while (item != DELTA_END) {
        if (item == DELTA_STORE) {
            store = find_store(batch, &delta, seq);
            size_t index = store != NULL ? (size_t)(store - batch->rows->stores) : 0;
            if (store != NULL && delta.expired > batch->expired[index]) {
                batch->expired[index] = delta.expired;
            }
        } else if (store != NULL) {
            add_change(batch, (uint32_t)(store - batch->rows->stores), &delta);
        }
        if (delta_next(&delta, &item, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int add_row(void *self, const struct delta_log_row *row, bool *stop, struct err *err)
{
    struct batch *batch = self;
    if (row->seq != batch->seen + 1) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The delta %lld is missing.", (long long)batch->seen + 1);
    }
    struct slice body = arena_copy(&batch->bodies, row->body);
    if (add_body(batch, row->seq, body, err) != 0) {
        return -1;
    }
    batch->seen = row->seq;
    batch->bytes += body.size;
    if (!slice_is_null(row->meta)) {
        batch->last = row->seq;
        bytes_clear(&batch->meta);
        bytes_append_slice(&batch->meta, row->meta);
        *stop = batch->bytes >= BATCH_BYTES;
    }
    return 0;
}

static bool is_expired(const struct batch *batch, const struct change *change)
{
    return change->key.size >= 8 && change->prefix < batch->expired[change->store];
}

static int put_change(struct batch *batch, const struct change *change, struct err *err)
{
    struct store_entry entry = {change->key, change->value, change->timestamp};
    return rows_put(batch->rows, &batch->rows->stores[change->store], &entry, err);
}

/* 1: cancelled. */
static int write_changes(const struct merge_pass_config *config, struct batch *batch, struct err *err)
{
    const struct change *previous = NULL;
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        if (i % CANCEL_EVERY == 0 && config->cancelled(config->self)) {
            return 1;
        }
        bool repeats = previous != NULL && previous->store == change->store && slice_equal(previous->key, change->key);
        previous = change;
        FAILPOINT(MERGE_ROWS);
        if (!repeats && !is_expired(batch, change) && put_change(batch, change, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int expire_stores(struct batch *batch, struct err *err)
{
    for (size_t i = 0; i < batch->rows->count; i++) {
        if (batch->expired[i] > 0 && rows_expire(batch->rows, &batch->rows->stores[i], batch->expired[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* 1: cancelled. */
static int write_batch(const struct merge_pass_config *config, struct batch *batch, struct err *err)
{
    if (batch->count > 0) {
        qsort(batch->changes, batch->count, sizeof *batch->changes, compare_changes);
    }
    FAILPOINT(MERGE);
    if (rows_begin(batch->rows, err) != 0) {
        return -1;
    }
    int result = expire_stores(batch, err);
    if (result == 0) {
        result = write_changes(config, batch, err);
    }
    if (result == 0) {
        FAILPOINT(MERGE_COMMIT);
        result = rows_commit(batch->rows, batch->last, bytes_slice(&batch->meta), err);
    }
    if (result != 0) {
        rows_rollback(batch->rows);
    }
    return result;
}

/* Asked for are deltas of finished commits only, so not to find them is damage: going on would delete them. */
static int check_batch(const struct batch *batch, struct err *err)
{
    if (batch->last > batch->rows->merged) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_CORRUPT, "The delta %lld is missing.", (long long)batch->seen + 1);
}

/* 1: cancelled. */
static int merge_batch(const struct merge_pass_config *config, struct delta_log *log, struct rows *rows,
                       struct err *err)
{
    struct batch batch = {.rows = rows, .seen = rows->merged, .last = rows->merged};
    batch.expired = memory_alloc((rows->count + 1) * sizeof *batch.expired);
    int result = delta_log_read(log, rows->merged, config->through, add_row, &batch, err);
    if (result == 0) {
        result = check_batch(&batch, err);
    }
    if (result == 0) {
        result = write_batch(config, &batch, err);
    }
    arena_free(&batch.bodies);
    free(batch.changes);
    free(batch.expired);
    bytes_free(&batch.meta);
    return result;
}

static int run(const struct merge_pass_config *config, struct delta_log *log, struct rows *rows, struct err *err)
{
    int result = 0;
    while (result == 0 && rows->merged < config->through) {
        result = merge_batch(config, log, rows, err);
    }
    if (result < 0 || config->cancelled(config->self)) {
        return result < 0 ? -1 : 0;
    }
    FAILPOINT(MERGED);
    return database_truncate_wal(&rows->database, err) != 0 ? -1 : database_checkpoint(&log->database, err);
}

int merge_pass(const struct merge_pass_config *config, struct err *err)
{
    struct database_identity identity = {.app = config->app, .worker = config->worker, .pair = config->pair};
    struct delta_log log;
    struct rows rows;
    bool made;
    if (delta_log_open(&log, config->directory, &identity, DATABASE_MERGER, &made, err) != 0) {
        return -1;
    }
    if (rows_open(&rows, config->directory, &identity, DATABASE_MERGER, &made, err) != 0) {
        delta_log_close(&log);
        return -1;
    }
    int failed = run(config, &log, &rows, err);
    rows_close(&rows);
    delta_log_close(&log);
    return failed;
}
