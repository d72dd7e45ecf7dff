#include "store/files.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/budget.h"
#include "store/delta.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deltas first: rows without deltas are an older commit, deltas without their rows are nothing. In a file's own list
 * the database comes first, because SQLite deletes a WAL that it finds without one. */
static const char *const names[] = {DELTA_LOG_FILE, ROWS_FILE};
static const char *const suffixes[] = {"", "-wal", "-shm"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define LOADED_AT_ONCE 32
#define QUARANTINE ".quarantine-"

/* Loading. */

struct loading {
    struct store_set *set;
    int64_t seen;  /* last delta */
    bool complete; /* it ends a commit */
};

static struct store *find_store(struct store_set *set, struct slice name)
{
    for (size_t i = 0; i < set->store_count; i++) {
        if (slice_equal(slice_text(set->stores[i].name), name)) {
            return &set->stores[i];
        }
    }
    return NULL;
}

/* Entries on their way into a store: some at once, so that memory is asked for before it is needed. */
struct loaded {
    struct store *store; /* NULL: it is no more */
    struct store_entry entries[LOADED_AT_ONCE];
    size_t count;
};

static void put_loaded(struct loaded *loaded)
{
    if (loaded->store != NULL) {
        store_load_all(loaded->store, loaded->entries, loaded->count);
    }
    loaded->count = 0;
}

static void take_item(struct store_set *set, int64_t seq, enum delta_item item, const struct delta_reader *delta,
                      struct loaded *loaded)
{
    if (item == DELTA_ENTRY) {
        loaded->entries[loaded->count++] = (struct store_entry){delta->key, delta->value, delta->timestamp};
        if (loaded->count == LOADED_AT_ONCE) {
            put_loaded(loaded);
        }
        return;
    }
    put_loaded(loaded);
    struct store *store = find_store(set, delta->store);
    loaded->store = store != NULL && seq > store->rows->since ? store : NULL;
    if (loaded->store != NULL) {
        store_load_expiry(store, delta->expired);
    }
}

static int load_body(struct store_set *set, const struct delta_log_row *row, struct err *err)
{
    struct loaded loaded = {.store = NULL};
    struct delta_reader delta;
    enum delta_item item;
    if (delta_open(&delta, row->body, err) != 0 || delta_next(&delta, &item, err) != 0) {
        return -1;
    }
    while (item != DELTA_END) {
        take_item(set, row->seq, item, &delta, &loaded);
        if (delta_next(&delta, &item, err) != 0) {
            return -1;
        }
    }
    put_loaded(&loaded);
    return 0;
}

static int load_row(void *self, const struct delta_log_row *row, bool *stop, struct err *err)
{
    struct loading *loading = self;
    struct store_set *set = loading->set;
    (void)stop;
    if (row->seq != loading->seen + 1) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The delta %lld in %s is missing.", (long long)loading->seen + 1,
                       set->log.database.path);
    }
    if (load_body(set, row, err) != 0) {
        return err_wrap(err, "reading delta %lld of %s", (long long)row->seq, set->log.database.path);
    }
    loading->seen = row->seq;
    loading->complete = !slice_is_null(row->meta);
    set->unmerged_bytes += (int64_t)row->body.size;
    set->unmerged_count++;
    if (loading->complete) {
        bytes_clear(&set->meta);
        bytes_append_slice(&set->meta, row->meta);
    }
    return 0;
}

static int load_deltas(struct store_set *set, struct err *err)
{
    struct loading loading = {set, set->rows.merged, true};
    bytes_clear(&set->meta);
    bytes_append_slice(&set->meta, bytes_slice(&set->rows.meta));
    if (delta_log_read(&set->log, set->rows.merged, INT64_MAX, load_row, &loading, err) != 0) {
        return -1;
    }
    if (!loading.complete) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT, "The last commit in %s is not complete.", set->log.database.path);
    }
    set->merged = set->rows.merged;
    set->seq = loading.seen;
    return 0;
}

static void load_timeless(void *self, const struct store_entry *entry)
{
    store_load(self, entry, true);
}

static int load_rows(struct store_set *set, struct store *store, struct err *err)
{
    bool timed;
    store->rows = rows_find(&set->rows, slice_text(store->name));
    if (rows_any(&set->rows, store->rows, &store->rows_needed, err) != 0) {
        return -1;
    }
    if (store->kind == STORE_KEY_VALUE) {
        return 0;
    }
    store_load_expiry(store, store->rows->expired);
    return rows_last_time(&set->rows, store->rows, &timed, &store->rows_last_time, err) != 0
               ? -1
               : rows_timeless(&set->rows, store->rows, load_timeless, store, err);
}

/* Stores that are new in old files begin behind the last delta; in a new rows.db nothing was dropped before. */
static int load(struct store_set *set, const struct store_spec *specs, bool rows_made, struct err *err)
{
    int64_t last = 0;
    if (delta_log_last(&set->log, &last, err) != 0) {
        return -1;
    }
    last = last > set->rows.merged ? last : set->rows.merged;
    if (rows_sync_stores(&set->rows, specs, set->store_count, rows_made ? 0 : last, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < set->store_count; i++) {
        if (load_rows(set, &set->stores[i], err) != 0) {
            return -1;
        }
    }
    return load_deltas(set, err);
}

/* Opening. The file that is there already says the pair; without any, the deltas do. */
static int open_both(struct store_set *set, bool *rows_made, struct err *err)
{
    struct database_identity identity = {.app = set->app, .worker = set->worker};
    char *deltas = memory_format("%s/%s", set->directory, DELTA_LOG_FILE);
    bool rows_first = access(deltas, F_OK) != 0;
    bool made;
    free(deltas);
    if (rows_first && rows_open(&set->rows, set->directory, &identity, DATABASE_OWNER, rows_made, err) != 0) {
        return -1;
    }
    if (delta_log_open(&set->log, set->directory, &identity, DATABASE_OWNER, &made, err) != 0) {
        return -1;
    }
    if (!rows_first && rows_open(&set->rows, set->directory, &identity, DATABASE_OWNER, rows_made, err) != 0) {
        return -1;
    }
    set->pair = identity.pair;
    return 0;
}

static void forget(struct store_set *set)
{
    for (size_t i = 0; i < set->store_count; i++) {
        store_clear(&set->stores[i]);
    }
    rows_close(&set->rows);
    delta_log_close(&set->log);
    bytes_clear(&set->meta);
    set->unmerged_bytes = 0;
    set->unmerged_count = 0;
    set->merging_bytes = 0;
    set->merged = 0;
    set->seq = 0;
    set->phase = PHASE_IDLE;
    set->checkpointing = false;
    set->rest_merge_ns = 0;
    set->latest_merge_ns = 0;
    set->pause_ns = 0;
}

static int try_open(struct store_set *set, const struct store_spec *specs, struct err *err)
{
    bool rows_made = false;
    if (open_both(set, &rows_made, err) != 0 || load(set, specs, rows_made, err) != 0) {
        forget(set);
        return -1;
    }
    if (database_set_cache(&set->rows.database, budget_page_cache(set), err) != 0) {
        forget(set);
        return -1;
    }
    set->merge = merge_new(set->directory, set->app, set->worker, set->pair);
    return 0;
}

/* Quarantine: the files of one time are together, and older times go when there are too many. */

static void move_file(const char *directory, const char *name, int64_t now, const char *reason)
{
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        char *from = memory_format("%s/%s%s", directory, name, suffixes[i]);
        char *to = memory_format("%s/%s" QUARANTINE "%lld%s", directory, name, (long long)now, suffixes[i]);
        if (rename(from, to) == 0 && i == 0) {
            log_event(LOG_WARN, "A state file can't be used, is put aside and rebuilt.", log_text("file", from),
                      log_text("moved_to", to), log_text("reason", reason));
        }
        free(from);
        free(to);
    }
}

/* The time in the name of a file in quarantine; -1: it is none of ours. */
static int64_t quarantine_time(const char *name)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        size_t length = strlen(names[i]);
        if (strncmp(name, names[i], length) == 0 && strncmp(name + length, QUARANTINE, sizeof QUARANTINE - 1) == 0) {
            char *end;
            const char *number = name + length + sizeof QUARANTINE - 1;
            int64_t time = strtoll(number, &end, 10);
            return end != number && time < INT64_MAX ? time : -1;
        }
    }
    return -1;
}

struct times {
    int64_t *list;
    size_t count;
    size_t capacity;
};

static void add_time(struct times *times, int64_t time)
{
    for (size_t i = 0; i < times->count; i++) {
        if (times->list[i] == time) {
            return;
        }
    }
    times->list = memory_grow(times->list, times->count, &times->capacity, sizeof *times->list);
    times->list[times->count++] = time;
}

static int compare_times(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a;
    int64_t other = *(const int64_t *)b;
    return (one < other) - (one > other);
}

/* The newest first. */
static struct times quarantine_times(const char *directory)
{
    struct times times = {NULL, 0, 0};
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (quarantine_time(entry->d_name) >= 0) {
            add_time(&times, quarantine_time(entry->d_name));
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    if (times.count > 0) {
        qsort(times.list, times.count, sizeof *times.list, compare_times);
    }
    return times;
}

static void delete_quarantine(const char *directory, int64_t time)
{
    bool deleted = false;
    for (size_t i = 0; i < COUNT(names) * COUNT(suffixes); i++) {
        char *path = memory_format("%s/%s" QUARANTINE "%lld%s", directory, names[i / COUNT(suffixes)], (long long)time,
                                   suffixes[i % COUNT(suffixes)]);
        deleted = unlink(path) == 0 || deleted;
        free(path);
    }
    if (deleted) {
        log_event(LOG_WARN, "State files that were put aside are deleted, because newer ones are kept.",
                  log_text("directory", directory), log_number("put_aside_ms", time));
    }
}

static void limit_quarantine(const struct store_set *set)
{
    struct times times = quarantine_times(set->directory);
    for (size_t i = (size_t)set->quarantine_keep; i < times.count && set->quarantine_keep > 0; i++) {
        delete_quarantine(set->directory, times.list[i]);
    }
    free(times.list);
}

static void quarantine(const struct store_set *set, const char *reason)
{
    struct times times = quarantine_times(set->directory);
    int64_t now = clock_wall_ms(&CLOCK_SYSTEM);
    if (times.count > 0 && times.list[0] >= now) { /* the clock stood still, or went back */
        now = times.list[0] + 1;
    }
    free(times.list);
    for (size_t i = 0; i < COUNT(names); i++) {
        move_file(set->directory, names[i], now, reason);
        FAILPOINT(QUARANTINE);
    }
    limit_quarantine(set);
}

int files_open(struct store_set *set, const struct store_spec *specs, struct err *err)
{
    if (try_open(set, specs, err) == 0) {
        return 0;
    }
    if (err->code != ERR_CORRUPT) {
        return -1;
    }
    quarantine(set, err->text);
    err_clear(err);
    return try_open(set, specs, err);
}

void files_close(struct store_set *set)
{
    append_drop(&set->append);
    merge_free(set->merge);
    set->merge = NULL;
    forget(set);
    if (set->damage != NULL) {
        quarantine(set, set->damage);
        free(set->damage);
        set->damage = NULL;
    }
}

int files_delete(const char *directory, struct err *err)
{
    for (size_t i = 0; i < COUNT(names) * COUNT(suffixes); i++) {
        char *path = memory_format("%s/%s%s", directory, names[i / COUNT(suffixes)], suffixes[i % COUNT(suffixes)]);
        int failed =
            unlink(path) != 0 && errno != ENOENT
                ? err_set(err, ERR_FATAL, ERR_IO, "The state file %s can't be deleted: %s.", path, strerror(errno))
                : 0;
        free(path);
        if (failed != 0) {
            return -1;
        }
        FAILPOINT(WIPE);
    }
    return 0;
}

int64_t files_bytes(const char *directory)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < COUNT(names) * COUNT(suffixes); i++) {
        struct stat status;
        char *path = memory_format("%s/%s%s", directory, names[i / COUNT(suffixes)], suffixes[i % COUNT(suffixes)]);
        if (stat(path, &status) == 0) {
            bytes += (int64_t)status.st_size;
        }
        free(path);
    }
    return bytes;
}
