#include "store/state_reader.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/delta.h"
#include "store/delta_log.h"
#include "store/meta.h"
#include "store/rows.h"
#include "store/store_sql.h"

#include <stdlib.h>

#define TRIES 20 /* a merge that ends between the two files is met again rarely */
#define TRY_MS 20

struct state_reader {
    struct rows rows;
    struct delta_log log;
    struct store_spec *specs;
    uint64_t *expired;
    struct bytes meta_bytes;
    struct arena meta_arena;
    struct store_meta meta;
    int64_t seen;      /* last delta */
    bool gap;          /* deltas were deleted since the rows were looked at: both are to be read again */
    sqlite3_stmt *put; /* into temp.unmerged */
    sqlite3_stmt *scan;
    size_t scanned; /* index of the store that `scan` is of */
    struct bytes from;
    struct bytes to;
    bool bounded; /* `to` counts */
};

/* Opening. */

static void note_specs(struct state_reader *reader)
{
    reader->specs = memory_alloc((reader->rows.count + 1) * sizeof *reader->specs);
    reader->expired = memory_alloc((reader->rows.count + 1) * sizeof *reader->expired);
    for (size_t i = 0; i < reader->rows.count; i++) {
        const struct rows_store *store = &reader->rows.stores[i];
        reader->specs[i] = (struct store_spec){.name = store->name,
                                               .kind = store->kind,
                                               .by_key = store->by_key,
                                               .headers = store->headers,
                                               .hash = store->hash};
        reader->expired[i] = store->expired;
    }
}

/* Deltas over the rows. */

static int put_entry(struct state_reader *reader, const struct rows_store *store, const struct delta_reader *delta,
                     struct err *err)
{
    sqlite3_bind_int64(reader->put, 1, store->id);
    database_bind_slice(reader->put, 2, delta->key);
    database_bind_slice(reader->put, 3, delta->value);
    sqlite3_bind_int64(reader->put, 4, delta->timestamp);
    return database_run(&reader->rows.database, reader->put, err);
}

static struct rows_store *enter_store(struct state_reader *reader, int64_t seq, const struct delta_reader *delta)
{
    struct rows_store *store = rows_find(&reader->rows, delta->store);
    if (store == NULL || seq <= store->since) {
        return NULL;
    }
    uint64_t *expired = &reader->expired[store - reader->rows.stores];
    *expired = delta->expired > *expired ? delta->expired : *expired;
    return store;
}

static int put_body(struct state_reader *reader, const struct delta_log_row *row, struct err *err)
{
    struct delta_reader delta;
    enum delta_item item;
    struct rows_store *store = NULL;
    if (delta_open(&delta, row->body, err) != 0 || delta_next(&delta, &item, err) != 0) {
        return -1;
    }
    while (item != DELTA_END) {
        if (item == DELTA_STORE) {
            store = enter_store(reader, row->seq, &delta);
        } else if (store != NULL && put_entry(reader, store, &delta, err) != 0) {
            return -1;
        }
        if (delta_next(&delta, &item, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int put_row(void *self, const struct delta_log_row *row, bool *stop, struct err *err)
{
    struct state_reader *reader = self;
    reader->gap = row->seq != reader->seen + 1;
    *stop = reader->gap;
    if (reader->gap) {
        return 0;
    }
    reader->seen = row->seq;
    if (!slice_is_null(row->meta)) {
        bytes_clear(&reader->meta_bytes);
        bytes_append_slice(&reader->meta_bytes, row->meta);
    }
    return put_body(reader, row, err);
}

static int read_deltas(struct state_reader *reader, struct err *err)
{
    struct database *rows = &reader->rows.database;
    reader->seen = reader->rows.merged;
    bytes_append_slice(&reader->meta_bytes, bytes_slice(&reader->rows.meta));
    if (database_execute(rows, SQL_READER_SCHEMA, err) != 0 ||
        database_prepare(rows, SQL_READER_PUT, &reader->put, err) != 0 ||
        delta_log_read(&reader->log, reader->rows.merged, INT64_MAX, put_row, reader, err) != 0) {
        return -1;
    }
    if (reader->gap || reader->meta_bytes.size == 0) {
        return 0;
    }
    return meta_decode(bytes_slice(&reader->meta_bytes), &reader->meta_arena, &reader->meta, err);
}

/* The rows first: a merge may put deltas into them at any time, and what is in both does no harm. */
static int try_open(struct state_reader *reader, const char *directory, struct err *err)
{
    struct rows *rows = &reader->rows;
    if (database_open_reader(&rows->database, directory, ROWS_FILE, ROWS_APPLICATION_ID, err) != 0 ||
        database_execute(&rows->database, SQL_READER_BEGIN, err) != 0 || rows_load(rows, err) != 0) {
        return -1;
    }
    note_specs(reader);
    return database_open_reader(&reader->log.database, directory, DELTA_LOG_FILE, DELTA_LOG_APPLICATION_ID, err) != 0
               ? -1
               : read_deltas(reader, err);
}

static void release(struct state_reader *reader)
{
    sqlite3_finalize(reader->put);
    sqlite3_finalize(reader->scan);
    rows_close(&reader->rows);
    delta_log_close(&reader->log);
    free(reader->specs);
    free(reader->expired);
    bytes_free(&reader->meta_bytes);
    arena_free(&reader->meta_arena);
    bytes_free(&reader->from);
    bytes_free(&reader->to);
    memset(reader, 0, sizeof *reader);
}

int state_reader_open(const char *directory, struct state_reader **result, struct err *err)
{
    struct state_reader *reader = memory_alloc(sizeof *reader);
    for (int i = 0; i < TRIES; i++) {
        int failed = try_open(reader, directory, err);
        if (failed == 0 && !reader->gap) {
            *result = reader;
            return 0;
        }
        release(reader);
        if (failed != 0) {
            free(reader);
            return -1;
        }
        clock_sleep_ms(TRY_MS);
    }
    free(reader);
    return err_set(err, ERR_FATAL, ERR_CORRUPT, "Deltas are missing in the state files of %s.", directory);
}

void state_reader_close(struct state_reader *reader)
{
    if (reader != NULL) {
        release(reader);
        free(reader);
    }
}

const struct store_meta *state_reader_meta(const struct state_reader *reader)
{
    return &reader->meta;
}

size_t state_reader_count(const struct state_reader *reader)
{
    return reader->rows.count;
}

const struct store_spec *state_reader_spec(const struct state_reader *reader, size_t index)
{
    return &reader->specs[index];
}

/* Scanning. */

static void bind_bounds(struct state_reader *reader, struct slice from, struct slice to)
{
    bytes_clear(&reader->from);
    bytes_append_slice(&reader->from, from);
    bytes_clear(&reader->to);
    bytes_append_slice(&reader->to, to);
    reader->bounded = !slice_is_null(to);
    sqlite3_bind_int64(reader->scan, 1, reader->rows.stores[reader->scanned].id);
    sqlite3_bind_blob64(reader->scan, 2, reader->from.size > 0 ? reader->from.data : (const void *)"",
                        reader->from.size, SQLITE_STATIC);
}

int state_reader_scan(struct state_reader *reader, size_t index, struct slice from, struct slice to, struct err *err)
{
    sqlite3_finalize(reader->scan);
    reader->scan = NULL;
    reader->scanned = index;
    char *sql = sqlite3_mprintf(SQL_READER_SCAN, reader->rows.stores[index].table);
    int failed = sql == NULL ? database_error(&reader->rows.database, SQLITE_NOMEM, err)
                             : database_prepare(&reader->rows.database, sql, &reader->scan, err);
    sqlite3_free(sql);
    if (failed == 0) {
        bind_bounds(reader, from, to);
    }
    return failed;
}

static bool is_expired(const struct state_reader *reader, struct slice key)
{
    uint64_t expired = reader->expired[reader->scanned];
    if (reader->specs[reader->scanned].kind == STORE_KEY_VALUE || key.size < 8) {
        return false;
    }
    struct bytes_reader time = bytes_reader_of(key);
    return bytes_take_u64(&time) < expired;
}

int state_reader_next(struct state_reader *reader, bool *found, struct store_entry *entry, struct err *err)
{
    do {
        if (database_step(&reader->rows.database, reader->scan, found, err) != 0) {
            return -1;
        }
        if (*found) {
            *entry =
                (struct store_entry){database_column_slice(reader->scan, 0), database_column_slice(reader->scan, 1),
                                     sqlite3_column_int64(reader->scan, 2)};
        }
    } while (*found && is_expired(reader, entry->key));
    *found = *found && (!reader->bounded || slice_compare(entry->key, bytes_slice(&reader->to)) < 0);
    return 0;
}
