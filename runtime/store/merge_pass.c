#include "store/merge_pass.h"

#include "base/arena.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "store/delta.h"
#include "store/delta_log.h"
#include "store/rows.h"

#include <stdlib.h>

#define CANCEL_EVERY 1024             /* rows */
#define PAGE_BYTES (INT64_C(4) << 20) /* of memory for pages of rows.db */
#define CANCEL_STEPS 100000           /* of SQLite's machine */

/* Rows of one transaction: many that lie together change few pages, scattered ones a page each. */
#define LEAST_ROWS ((size_t)1024)
#define MOST_ROWS ((size_t)65536)
#define GOOD_PAGES 2048       /* of the WAL that a transaction adds */
#define CHECKPOINT_PAGES 4096 /* of a WAL, which opening reads through: more are moved into the file */

/* One change of one key. */
struct change {
    uint64_t prefix; /* first bytes of the key: decides most comparisons */
    uint32_t store;  /* index in rows->stores */
    uint32_t number; /* order of the changes */
    struct slice key;
    struct slice value;
    int64_t timestamp;
};

/* Commits that are merged together, in as many transactions of rows.db as keep its WAL short. Until the last one says
 * so, none of their deltas counts as merged: what is in the rows twice is only written again. */
struct batch {
    struct rows *rows;
    struct arena bodies;
    struct change *changes;
    size_t count;
    size_t capacity;
    uint64_t *expired; /* per store */
    int64_t bytes;     /* of the bodies */
    int64_t most;      /* so many are enough */
    int64_t seen;      /* last delta read */
    int64_t last;      /* last one that ends a commit */
    struct bytes meta; /* that one's */
    int wal_pages;     /* of rows.db after the last transaction */
    size_t rows_each;  /* of a transaction */
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
    batch->bytes += (int64_t)body.size;
    if (!slice_is_null(row->meta)) {
        batch->last = row->seq;
        bytes_clear(&batch->meta);
        bytes_append_slice(&batch->meta, row->meta);
        *stop = batch->bytes >= batch->most;
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

static int count_wal_pages(void *self, sqlite3 *handle, const char *name, int pages)
{
    struct batch *batch = self;
    (void)handle;
    (void)name;
    batch->wal_pages = pages;
    return SQLITE_OK;
}

/* Ends a transaction and begins the next one. */
static int write_on(struct batch *batch, struct delta_log *log, struct err *err)
{
    int before = batch->wal_pages;
    if (rows_write_on(batch->rows, err) != 0) {
        return -1;
    }
    int added = batch->wal_pages > before ? batch->wal_pages - before : batch->wal_pages;
    if (added > GOOD_PAGES && batch->rows_each > LEAST_ROWS) {
        batch->rows_each /= 2;
    } else if (added < GOOD_PAGES / 2 && batch->rows_each < MOST_ROWS) {
        batch->rows_each *= 2;
    }
    if (batch->wal_pages >= CHECKPOINT_PAGES &&
        (database_checkpoint(&batch->rows->database, err) != 0 || database_checkpoint(&log->database, err) != 0)) {
        return -1;
    }
    return rows_begin(batch->rows, err);
}

static bool repeats(const struct batch *batch, size_t i)
{
    const struct change *change = &batch->changes[i];
    return i > 0 && change[-1].store == change->store && slice_equal(change[-1].key, change->key);
}

/* 1: cancelled. */
static int write_changes(const struct merge_pass_config *config, struct batch *batch, struct delta_log *log,
                         struct err *err)
{
    size_t written = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        if (i % CANCEL_EVERY == 0 && config->cancelled(config->self)) {
            return 1;
        }
        FAILPOINT(MERGE_ROWS);
        if (repeats(batch, i) || is_expired(batch, change)) {
            continue;
        }
        if (put_change(batch, change, err) != 0 ||
            (++written % batch->rows_each == 0 && write_on(batch, log, err) != 0)) {
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
static int write_batch(const struct merge_pass_config *config, struct batch *batch, struct delta_log *log,
                       struct err *err)
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
        result = write_changes(config, batch, log, err);
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
    struct batch batch = {
        .rows = rows, .most = config->batch_bytes, .seen = rows->merged, .last = rows->merged, .rows_each = LEAST_ROWS};
    sqlite3_wal_hook(rows->database.handle, count_wal_pages, &batch);
    batch.expired = memory_alloc((rows->count + 1) * sizeof *batch.expired);
    int result = delta_log_read(log, rows->merged, config->through, add_row, &batch, err);
    if (result == 0) {
        result = check_batch(&batch, err);
    }
    if (result == 0) {
        result = write_batch(config, &batch, log, err);
    }
    sqlite3_wal_hook(rows->database.handle, NULL, NULL);
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
    if (config->cancelled(config->self)) {
        return 0; /* which is also what ends a long statement with an error */
    }
    if (result < 0) {
        return -1;
    }
    FAILPOINT(MERGED);
    return database_truncate_wal(&rows->database, err) != 0 ? -1 : database_checkpoint(&log->database, err);
}

static int is_cancelled(void *self)
{
    const struct merge_pass_config *config = self;
    return config->cancelled(config->self);
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
    sqlite3_progress_handler(rows.database.handle, CANCEL_STEPS, is_cancelled, (void *)config);
    int failed =
        database_set_cache(&rows.database, PAGE_BYTES, err) != 0 || run(config, &log, &rows, err) != 0 ? -1 : 0;
    rows_close(&rows);
    delta_log_close(&log);
    return failed;
}
