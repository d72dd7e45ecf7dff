#include "store/interval.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/budget.h"
#include "store/delta.h"
#include "store/meta.h"
#include "store/range.h"
#include "store/store.h"

#include <stdlib.h>

#define BLOB_BYTES ((size_t)64 * 1024 * 1024)  /* a delta that has grown to this goes on in another row */
#define MERGE_DELTAS 4096                      /* so many small commits start a merge, too */
#define CHECKPOINT_PAGES 2048                  /* of the WAL: to be moved into the file in the background */
#define CHECKPOINT_NOW_PAGES 8192              /* the background can't keep up: the commit does it */
#define RETIRED_PER_COMMIT ((size_t)64 * 1024) /* entries */
#define EVICT_TURNS 1024
#define BUFFER_KEPT ((size_t)1024 * 1024) /* of a delta: the buffers of larger commits are given back */
#define RETRY_NS INT64_C(1000000000)

/* Changes. */

static int visit_table(struct store *store, const struct table *table,
                       int (*each)(void *self, struct store *store, const struct store_entry *entry, struct err *err),
                       void *self, struct err *err)
{
    for (size_t n = 0; n < table->changes.count; n++) {
        bool silent;
        const struct table_entry *changed = table_changed(table, n, &silent);
        struct store_entry entry = {table_key(changed), table_value(changed), changed->timestamp};
        if (!silent && each(self, store, &entry, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int interval_changes(struct store_set *set,
                     int (*each)(void *self, struct store *store, const struct store_entry *entry, struct err *err),
                     void *self, struct err *err)
{
    for (size_t i = 0; i < set->store_count; i++) {
        struct store *store = &set->stores[i];
        for (size_t j = 0; store->changelog && j < store->segment_count; j++) {
            if (visit_table(store, &store->segments[j]->table, each, self, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* The delta. */

static struct delta_writer *begin_delta(struct store_set *set)
{
    size_t before = set->delta_capacity;
    set->deltas = memory_grow(set->deltas, set->delta_count, &set->delta_capacity, sizeof *set->deltas);
    memset(set->deltas + before, 0, (set->delta_capacity - before) * sizeof *set->deltas);
    struct delta_writer *delta = &set->deltas[set->delta_count++];
    delta_begin(delta);
    return delta;
}

static struct delta_writer *encode_table(struct store_set *set, const struct store *store, const struct table *table,
                                         struct delta_writer *delta)
{
    for (size_t n = 0; n < table->changes.count; n++) {
        bool silent;
        const struct table_entry *entry = table_changed(table, n, &silent);
        if (delta->blob.size >= BLOB_BYTES) {
            delta_finish(delta);
            delta = begin_delta(set);
            delta_add_store(delta, store->name, 0);
        }
        delta_add_entry(delta, table_key(entry), table_value(entry), entry->timestamp);
    }
    return delta;
}

static bool has_changes(const struct store *store)
{
    bool changed = store->expired != store->expired_committed;
    for (size_t i = 0; i < store->segment_count && !changed; i++) {
        changed = store->segments[i]->table.changes.count > 0;
    }
    return changed;
}

static void encode(struct store_set *set, const struct store_meta *meta)
{
    struct store_meta complete = meta != NULL ? *meta : (struct store_meta){.app = NULL};
    complete.app = complete.app != NULL ? complete.app : set->app;
    complete.worker = complete.worker != NULL ? complete.worker : set->worker;
    bytes_clear(&set->meta);
    meta_encode(&complete, &set->meta);
    set->delta_count = 0;
    struct delta_writer *delta = begin_delta(set);
    for (size_t i = 0; i < set->store_count; i++) {
        const struct store *store = &set->stores[i];
        if (!has_changes(store)) {
            continue;
        }
        delta_add_store(delta, store->name, store->expired != store->expired_committed ? store->expired : 0);
        for (size_t j = 0; j < store->segment_count; j++) {
            delta = encode_table(set, store, &store->segments[j]->table, delta);
        }
    }
    delta_finish(delta);
}

static int append(struct store_set *set, struct err *err)
{
    struct delta_log_row *rows = memory_alloc(set->delta_count * sizeof *rows);
    int64_t bytes = 0;
    for (size_t i = 0; i < set->delta_count; i++) {
        bool last = i + 1 == set->delta_count;
        rows[i] = (struct delta_log_row){set->seq + 1 + (int64_t)i, last ? bytes_slice(&set->meta) : SLICE_NULL,
                                         bytes_slice(&set->deltas[i].blob)};
        bytes += (int64_t)set->deltas[i].blob.size;
    }
    int failed = delta_log_append(&set->log, rows, set->delta_count, set->merged, err);
    free(rows);
    if (failed == 0) {
        set->seq += (int64_t)set->delta_count;
        set->unmerged_bytes += bytes;
        set->unmerged_count += (int64_t)set->delta_count;
    }
    return failed;
}

static void trim_deltas(struct store_set *set)
{
    for (size_t i = 0; i < set->delta_capacity; i++) {
        if (i > 0 || set->deltas[i].blob.capacity > BUFFER_KEPT) {
            bytes_free(&set->deltas[i].blob);
        }
    }
}

/* The merge. */

static void ask_for_merge(struct store_set *set)
{
    set->phase = PHASE_RUNNING;
    set->checkpointing = false;
    merge_request(set->merge, set->merging_through);
}

static void begin_merge(struct store_set *set)
{
    for (size_t i = 0; i < set->store_count; i++) {
        for (size_t j = 0; j < set->stores[i].segment_count; j++) {
            table_begin_merge(&set->stores[i].segments[j]->table);
        }
    }
    set->merging_through = set->seq;
    set->merging_bytes = set->unmerged_bytes;
    set->unmerged_bytes = 0;
    set->unmerged_count = 0;
    ask_for_merge(set);
}

static void note_failure(struct store_set *set, const struct err *why)
{
    log_event(LOG_WARN, "State can't be merged and is tried again.", log_text("worker", set->worker),
              log_text("reason", why->text));
    set->merge_retry_ns = clock_monotonic_ns(&CLOCK_SYSTEM) + RETRY_NS;
    set->phase = set->checkpointing ? PHASE_IDLE : PHASE_FAILED;
    store_note_damage(set, why);
}

/* Fails only with what the merge failed with. */
static int take_result(struct store_set *set, bool wait, struct err *err)
{
    if (set->phase != PHASE_RUNNING) {
        return 0;
    }
    enum merge_state state = wait ? merge_wait(set->merge, err) : merge_poll(set->merge, err);
    if (state == MERGE_FAILED) {
        note_failure(set, err);
        return -1;
    }
    if (state == MERGE_DONE && set->checkpointing) {
        set->phase = PHASE_IDLE;
    } else if (state == MERGE_DONE) {
        set->phase = PHASE_RETIRING;
        set->merged = set->merging_through;
        set->merging_bytes = 0;
    }
    return 0;
}

static void retire(struct store_set *set, size_t limit)
{
    if (set->phase != PHASE_RETIRING) {
        return;
    }
    for (size_t i = 0; i < set->store_count; i++) {
        for (size_t j = 0; j < set->stores[i].segment_count; j++) {
            struct table *table = &set->stores[i].segments[j]->table;
            limit -= table_retire(table, limit);
            if (!table_retired(table)) {
                return;
            }
        }
    }
    set->phase = PHASE_IDLE;
}

/* At the cap a commit waits, so that opening, which loads what is unmerged, stays quick; and beyond its part of the
 * memory, unless merging fails. */
static bool must_wait(const struct store_set *set)
{
    return set->unmerged_bytes + set->merging_bytes >= set->cap_bytes ||
           (budget_waits(set) && set->phase != PHASE_FAILED && (set->unmerged_bytes > 0 || set->phase != PHASE_IDLE));
}

static int wait_for_room(struct store_set *set, struct err *err)
{
    while (must_wait(set)) {
        if (set->phase == PHASE_IDLE) {
            begin_merge(set);
        } else if (set->phase == PHASE_FAILED) {
            ask_for_merge(set);
        } else if (set->phase == PHASE_RETIRING) {
            retire(set, SIZE_MAX);
        } else if (take_result(set, true, err) != 0) {
            return err_wrap(err, "waiting for the merge of worker %s", set->worker);
        }
    }
    return 0;
}

/* Commits in quick succession may always be ahead of the background; nobody is ahead of the only writer. */
static void bound_wal(struct store_set *set)
{
    struct err err;
    if (set->log.wal_pages >= CHECKPOINT_NOW_PAGES && database_checkpoint(&set->log.database, &err) != 0) {
        store_note_damage(set, &err); /* anything else shows in the next commit */
    }
}

static void keep_merging(struct store_set *set)
{
    if (set->phase == PHASE_IDLE && set->unmerged_count > 0 &&
        (set->unmerged_bytes >= set->merge_bytes || set->unmerged_count >= MERGE_DELTAS || budget_wants_merge(set))) {
        begin_merge(set);
    } else if (set->phase == PHASE_IDLE && set->log.wal_pages >= CHECKPOINT_PAGES) {
        set->phase = PHASE_RUNNING;
        set->checkpointing = true;
        merge_request(set->merge, 0);
    } else if (set->phase == PHASE_FAILED && clock_monotonic_ns(&CLOCK_SYSTEM) >= set->merge_retry_ns) {
        ask_for_merge(set);
    }
}

/* Commit and rollback. */

static int check_damage(const struct store_set *set, struct err *err)
{
    if (set->damage == NULL) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_CORRUPT, "%s Close the worker's state and open it again.", set->damage);
}

static int write_delta(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    struct err merge_err;
    take_result(set, false, &merge_err); /* a failure is logged, and counts when there is no room left */
    retire(set, RETIRED_PER_COMMIT);
    if (check_damage(set, err) != 0 || wait_for_room(set, err) != 0) {
        return -1;
    }
    encode(set, meta);
    int failed = append(set, err);
    trim_deltas(set);
    if (failed != 0) {
        store_note_damage(set, err);
        return err_wrap(err, "committing the state of worker %s", set->worker);
    }
    return 0;
}

int interval_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    bool durable = set->directory != NULL;
    range_close_all(set);
    if (durable && write_delta(set, meta, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < set->store_count; i++) {
        store_commit(&set->stores[i], durable);
    }
    arena_clear(&set->usage.before);
    budget_count(set);
    if (durable) {
        store_evict(set, EVICT_TURNS);
        keep_merging(set);
        bound_wal(set);
    }
    return 0;
}

void interval_tidy(struct store_set *set)
{
    struct err err;
    if (set->directory == NULL) {
        return;
    }
    take_result(set, false, &err); /* a failure is logged */
    retire(set, RETIRED_PER_COMMIT);
    budget_count(set);
    store_evict(set, EVICT_TURNS);
}

int interval_rollback(struct store_set *set, struct err *err)
{
    (void)err;
    range_close_all(set);
    for (size_t i = 0; i < set->store_count; i++) {
        store_rollback(&set->stores[i]);
    }
    arena_clear(&set->usage.before);
    return 0;
}
