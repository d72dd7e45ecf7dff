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
#define RETIRED_PER_COMMIT ((size_t)64 * 1024) /* entries */
#define EVICT_TURNS 1024
#define RETRY_NS INT64_C(1000000000)

/* What is not enough for a merge is merged in a pause, so that others find it among the rows; and without one some
 * time.
 */
#define PAUSE_NS INT64_C(1000000000)         /* without a commit: the worker rests */
#define REST_MERGE_NS INT64_C(10000000000)   /* after the last merge, so that rare commits are not a merge each */
#define LATEST_MERGE_NS INT64_C(60000000000) /* after the last merge, also of a worker that does not rest */

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

static struct delta_writer *encode_table(struct store_set *set, const struct store *store, const struct table *table,
                                         struct delta_writer *delta)
{
    for (size_t n = 0; n < table->changes.count; n++) {
        bool silent;
        const struct table_entry *entry = table_changed(table, n, &silent);
        if (delta->blob.size >= BLOB_BYTES) {
            delta = append_add(&set->append);
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
    append_clear(&set->append);
    meta_encode(&complete, &set->append.meta);
    struct delta_writer *delta = append_add(&set->append);
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
}

static void note_appended(struct store_set *set)
{
    set->seq += (int64_t)set->append.count;
    set->unmerged_bytes += append_bytes(&set->append);
    set->unmerged_count += (int64_t)set->append.count;
    append_trim(&set->append, budget_kept(set, append_bytes(&set->append)));
    append_clear(&set->append);
}

/* The merge. */

static void ask_for_merge(struct store_set *set)
{
    int64_t now = clock_monotonic_ns(&CLOCK_SYSTEM);
    set->rest_merge_ns = now + REST_MERGE_NS;
    set->latest_merge_ns = now + LATEST_MERGE_NS;
    set->phase = PHASE_RUNNING;
    set->checkpointing = false;
    merge_request(set->merge, set->merging_through, budget_merge_batch(set));
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
    enum background_state state = wait ? merge_wait(set->merge, err) : merge_poll(set->merge, err);
    if (state == BACKGROUND_FAILED) {
        note_failure(set, err);
        return -1;
    }
    if (state == BACKGROUND_DONE && set->checkpointing) {
        set->phase = PHASE_IDLE;
    } else if (state == BACKGROUND_DONE) {
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

/* Only with all commits in the log: what begins here takes every entry that is not dirty for one that is there. */
static void keep_merging(struct store_set *set)
{
    if (set->append.state != APPEND_DONE) {
        return;
    }
    if (set->phase == PHASE_IDLE && set->unmerged_count > 0 &&
        (set->unmerged_bytes >= set->merge_bytes || set->unmerged_count >= MERGE_DELTAS || budget_wants_merge(set))) {
        begin_merge(set);
    } else if (set->phase == PHASE_IDLE && set->log.wal_pages >= CHECKPOINT_PAGES) {
        set->phase = PHASE_RUNNING;
        set->checkpointing = true;
        merge_request(set->merge, 0, 0);
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

/* Takes up what became of the last commit, if it was left to another thread. */
static int take_append(struct store_set *set, bool wait, struct err *err)
{
    if (set->append.state != APPEND_RUNNING) {
        return 0;
    }
    int failed = append_take(&set->append, wait, err);
    if (failed != 0) {
        log_event(LOG_WARN, "A commit of state can't be written and is tried again with the next one.",
                  log_text("worker", set->worker), log_text("reason", err->text));
        store_note_damage(set, err);
    } else if (set->append.state == APPEND_DONE) {
        store_note_damage(set, &set->append.checkpoint_err); /* anything else shows in the next commit */
        note_appended(set);
        keep_merging(set);
    }
    return failed;
}

/* The commit before comes first: the log takes one after the other, and the merge none that is not in it. */
static int end_last_commit(struct store_set *set, struct err *err)
{
    struct err taken;
    take_append(set, true, &taken); /* a failure is logged, and counts when it fails again */
    if (set->append.state != APPEND_FAILED) {
        return 0;
    }
    if (check_damage(set, err) != 0 || append_again(&set->append, err) != 0) {
        return -1;
    }
    note_appended(set);
    keep_merging(set);
    return 0;
}

static int write_or_leave(struct store_set *set, struct err *err)
{
    if (append_bytes(&set->append) >= set->background_bytes) {
        append_start(&set->append, set->seq, set->merged);
        return 0;
    }
    if (append_write(&set->append, set->seq, set->merged, err) != 0) {
        return -1;
    }
    note_appended(set);
    return 0;
}

static int write_delta(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    if (check_damage(set, err) != 0 || wait_for_room(set, err) != 0) {
        return -1;
    }
    encode(set, meta);
    return write_or_leave(set, err);
}

static int append_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    struct err merge_err;
    take_result(set, false, &merge_err); /* a failure is logged, and counts when there is no room left */
    retire(set, RETIRED_PER_COMMIT);
    if (end_last_commit(set, err) == 0 && write_delta(set, meta, err) == 0) {
        return 0;
    }
    store_note_damage(set, err);
    return err_wrap(err, "committing the state of worker %s", set->worker);
}

/* The next interval will take as much: to give memory back and to ask for it again may wait for other threads that do
 * the same, longer than all the rest of a commit takes. */
static void release_before(struct store_set *set)
{
    struct arena *before = &set->usage.before;
    arena_trim(before, budget_kept(set, (int64_t)arena_bytes(before)));
    arena_clear(before);
}

int interval_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    bool durable = set->directory != NULL;
    range_close_all(set);
    if (durable && append_commit(set, meta, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < set->store_count; i++) {
        store_commit(&set->stores[i], durable);
    }
    release_before(set);
    budget_count(set);
    if (durable) {
        store_evict(set, EVICT_TURNS);
        keep_merging(set);
        append_bound_wal(&set->append);
    }
    return 0;
}

static bool merge_is_due(struct store_set *set)
{
    int64_t now = clock_monotonic_ns(&CLOCK_SYSTEM);
    if (set->pause_seq != set->seq || set->pause_ns == 0) {
        set->pause_seq = set->seq;
        set->pause_ns = now;
        set->latest_merge_ns = set->latest_merge_ns != 0 ? set->latest_merge_ns : now + LATEST_MERGE_NS;
    }
    return now >= set->latest_merge_ns || (now - set->pause_ns >= PAUSE_NS && now >= set->rest_merge_ns);
}

static void merge_at_rest(struct store_set *set)
{
    if (!merge_is_due(set) || set->append.state != APPEND_DONE || set->damage != NULL) {
        return;
    }
    if (set->phase == PHASE_IDLE && set->unmerged_count > 0) {
        begin_merge(set);
    } else if (set->phase == PHASE_FAILED) {
        ask_for_merge(set);
    }
}

void interval_tidy(struct store_set *set)
{
    struct err err;
    if (set->directory == NULL) {
        return;
    }
    take_result(set, false, &err); /* failures are logged */
    retire(set, RETIRED_PER_COMMIT);
    take_append(set, false, &err);
    if (set->over_budget && set->append.state == APPEND_DONE) {
        append_trim(&set->append, 0);
        arena_trim(&set->usage.before, 0);
    }
    merge_at_rest(set);
    budget_count(set);
    store_evict(set, EVICT_TURNS);
}

bool interval_settle(struct store_set *set)
{
    interval_tidy(set);
    if (set->directory == NULL || set->damage != NULL || set->phase == PHASE_FAILED ||
        set->append.state == APPEND_FAILED) {
        return true;
    }
    if (set->append.state == APPEND_RUNNING && set->settle_through == 0) {
        return false;
    }
    /* Commits may go on: of a source, say, whose position moves with the clock. */
    set->settle_through = set->settle_through == 0 ? set->seq : set->settle_through;
    if (set->merged >= set->settle_through || (set->unmerged_count == 0 && set->phase != PHASE_RUNNING)) {
        return true;
    }
    if (set->phase != PHASE_RUNNING && set->append.state != APPEND_RUNNING) {
        retire(set, SIZE_MAX);
        begin_merge(set);
    }
    return false;
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

void interval_end(struct store_set *set)
{
    struct err err;
    if (set->append.count > 0) {
        take_append(set, true, &err); /* a failure is logged: the store is behind and follows when it is opened */
    }
}
