#include "store/store.h"

#include "base/hash.h"
#include "base/memory.h"
#include "store/budget.h"
#include "store/range.h"

#include <stdlib.h>

#define LEAST_SEGMENT_MS 60000
#define PREFETCH 8        /* entries ahead */
#define AHEAD 16          /* keys of one look ahead */
#define EVICT_SLOTS 64    /* slots of a table that one turn visits */
#define TURNS_PER_READ 64 /* eviction that one read-through pays for, at most */
#define TURNS_PER_WRITE 2

/* Segments. */

static bool take_time(const struct store *store, struct slice key, uint64_t *time)
{
    if (store->kind == STORE_KEY_VALUE || key.size < 8) {
        return false;
    }
    uint64_t word;
    memcpy(&word, key.data, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    *time = word;
    return true;
}

bool store_is_expired(const struct store *store, struct slice key)
{
    uint64_t time;
    return store->expired > 0 && take_time(store, key, &time) && time < store->expired;
}

bool store_needs_rows(const struct store *store, struct slice low)
{
    uint64_t time;
    return store->rows_needed && (!take_time(store, low, &time) || time <= store->rows_last_time);
}

/* Keys of window and session stores without a time are always in memory. */
static bool may_have_row(const struct store *store, struct slice key)
{
    return store_needs_rows(store, key) && (store->kind == STORE_KEY_VALUE || key.size >= 8);
}

static uint64_t segment_number(const struct store *store, struct slice key)
{
    uint64_t time;
    if (store->kind == STORE_KEY_VALUE) {
        return 0;
    }
    return take_time(store, key, &time) ? time / store->segment_ms : STORE_TIMELESS;
}

/* Index of the first segment with a number >= `number`. */
static size_t find_segment(const struct store *store, uint64_t number)
{
    size_t low = 0;
    size_t high = store->segment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->segments[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct store_segment *add_segment(struct store *store, size_t at, uint64_t number)
{
    store->segments =
        memory_grow(store->segments, store->segment_count, &store->segment_capacity, sizeof *store->segments);
    memmove(&store->segments[at + 1], &store->segments[at], (store->segment_count - at) * sizeof *store->segments);
    struct store_segment *segment = memory_alloc(sizeof *segment);
    segment->number = number;
    table_init(&segment->table, &store->set->usage);
    segment->table.order = store->order;
    store->segments[at] = segment;
    store->segment_count++;
    return segment;
}

/* NULL only if `make` is false. */
static struct store_segment *segment_of(struct store *store, struct slice key, bool make)
{
    uint64_t number = segment_number(store, key);
    if (store->recent != NULL && store->recent->number == number) {
        return store->recent;
    }
    size_t at = find_segment(store, number);
    if (at < store->segment_count && store->segments[at]->number == number) {
        store->recent = store->segments[at];
    } else if (make) {
        store->recent = add_segment(store, at, number);
    } else {
        return NULL;
    }
    return store->recent;
}

static void free_segment(struct store_segment *segment)
{
    table_free(&segment->table);
    free(segment);
}

static void free_doomed(struct store *store)
{
    for (size_t i = 0; i < store->doomed_count; i++) {
        free_segment(store->doomed[i]);
    }
    store->doomed_count = 0;
}

static void set_order(struct store *store, struct order *order)
{
    store->order = order;
    for (size_t i = 0; i < store->segment_count; i++) {
        store->segments[i]->table.order = order;
    }
}

void store_drop_order(struct store *store)
{
    order_free(store->order);
    set_order(store, NULL);
}

struct order *store_order(struct store *store)
{
    if (store->order != NULL) {
        return store->order;
    }
    struct table_entry **entries = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < store->segment_count; i++) {
        size_t at = 0;
        struct table_entry *entry;
        while ((entry = table_each(&store->segments[i]->table, &at)) != NULL) {
            entries = memory_grow(entries, count, &capacity, sizeof(struct table_entry *));
            entries[count++] = entry;
        }
    }
    /* What is doomed stays out: it is invisible already, and gone with the commit. */
    set_order(store, order_new(entries, count));
    free(entries);
    return store->order;
}

/* Life. */

/* Kafka Streams' rule for stores that don't say it: half of the retention, and a minute at least. */
static uint64_t segment_length(const struct store_spec *spec)
{
    if (spec->segment_ms > 0) {
        return (uint64_t)spec->segment_ms;
    }
    int64_t half = spec->retention_ms / 2;
    return half > LEAST_SEGMENT_MS ? (uint64_t)half : LEAST_SEGMENT_MS;
}

void store_init(struct store *store, struct store_set *set, const struct store_spec *spec)
{
    *store = (struct store){
        .set = set,
        .name = memory_copy_text(spec->name),
        .kind = spec->kind,
        .changelog = spec->changelog,
        .segment_ms = segment_length(spec),
    };
}

void store_clear(struct store *store)
{
    store_drop_order(store);
    free_doomed(store);
    for (size_t i = 0; i < store->segment_count; i++) {
        free_segment(store->segments[i]);
    }
    store->segment_count = 0;
    store->recent = NULL;
    store->hand = 0;
    store->expired = 0;
    store->expired_committed = 0;
    store->rows = NULL;
    store->rows_needed = false;
    store->rows_last_time = 0;
}

void store_free(struct store *store)
{
    store_clear(store);
    free(store->segments);
    free(store->doomed);
    free(store->name);
}

/* Eviction. What is dropped here must be looked for in the rows from now on. */

static void note_eviction(struct store *store, const struct store_segment *segment)
{
    store->rows_needed = true;
    if (store->kind != STORE_KEY_VALUE) {
        uint64_t last = segment->number * store->segment_ms + (store->segment_ms - 1);
        store->rows_last_time = store->rows_last_time > last ? store->rows_last_time : last;
    }
}

static void next_turn(struct store_set *set)
{
    struct store *store = &set->stores[set->clock_store];
    store->hand++;
    if (store->hand >= store->segment_count) {
        store->hand = 0;
        set->clock_store = (set->clock_store + 1) % set->store_count;
    }
}

/* Cursors may rely on what is in memory, so a store with open ones is passed over. */
static void evict(struct store_set *set, int turns, const struct table_entry *keep)
{
    for (int turn = 0; turn < turns && budget_surplus(set) > 0; turn++) {
        struct store *store = &set->stores[set->clock_store];
        struct store_segment *segment = store->hand < store->segment_count ? store->segments[store->hand] : NULL;
        if (segment != NULL && segment->number != STORE_TIMELESS && store->open_cursors == 0) {
            if (table_evict(&segment->table, EVICT_SLOTS, budget_surplus(set), keep) > 0) {
                note_eviction(store, segment);
            }
        }
        next_turn(set);
    }
}

void store_evict(struct store_set *set, int turns)
{
    evict(set, turns, NULL);
}

/* Reading and writing. */

static bool fill(struct store_entry *entry, const struct table_entry *found)
{
    if (found == NULL || table_deleted(found)) {
        return false;
    }
    *entry = (struct store_entry){table_key(found), table_value(found), found->timestamp};
    return true;
}

static int read_through(struct store *store, struct slice key, uint64_t hash, bool *found, struct store_entry *entry,
                        struct err *err)
{
    struct store_set *set = store->set;
    struct slice value;
    int64_t timestamp;
    if (rows_get(&set->rows, store->rows, key, found, &value, &timestamp, err) != 0) {
        return -1;
    }
    struct table_entry *loaded = NULL;
    if (*found) {
        struct store_segment *segment = segment_of(store, key, true);
        loaded = table_put(&segment->table, key, hash, value, timestamp, TABLE_CLEAN);
        fill(entry, loaded);
    }
    rows_release_get(store->rows);
    evict(set, TURNS_PER_READ, loaded);
    return 0;
}

void store_note_damage(struct store_set *set, const struct err *err)
{
    if (err->code == ERR_CORRUPT && set->damage == NULL) {
        set->damage = memory_copy_text(err->text);
    }
}

int store_get(struct store *store, struct slice key, bool *found, struct store_entry *entry, struct err *err)
{
    *found = false;
    if (store_is_expired(store, key)) {
        return 0;
    }
    uint64_t hash = hash_table64(key);
    struct store_segment *segment = segment_of(store, key, false);
    struct table_entry *known = NULL;
    if (segment != NULL) {
        known = store->set->budget->limit > 0 ? table_use(&segment->table, key, hash)
                                              : table_find(&segment->table, key, hash);
    }
    if (known != NULL || !may_have_row(store, key)) {
        *found = fill(entry, known);
        return 0;
    }
    if (read_through(store, key, hash, found, entry, err) != 0) {
        store_note_damage(store->set, err);
        return err_wrap(err, "reading the store %s", store->name);
    }
    return 0;
}

static int check_entry(const struct store *store, struct slice key, struct slice value, struct err *err)
{
    if (slice_is_null(key)) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "A null key can't be put into the store %s.", store->name);
    }
    if (value.size > TABLE_LARGEST || key.size > TABLE_LARGEST - value.size) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "An entry of %zu bytes can't be put into the store %s; the limit is %zu bytes.",
                       key.size + value.size, store->name, TABLE_LARGEST);
    }
    return 0;
}

/* Deletes without a trace what neither the changelog nor the rows know of: a key that is not there, or an entry that
 * has come since the last commit (sessions grow so, from one key to the next). False: a deletion has to be written. */
static bool is_deleted_at_once(const struct store *store, struct table *table, struct slice key, uint64_t hash)
{
    const struct table_entry *known = table_find(table, key, hash);
    if (known != NULL && table_deleted(known)) {
        return true;
    }
    return !may_have_row(store, key) && (known == NULL || table_forget(table, key, hash));
}

static int change(struct store *store, struct slice key, struct slice value, int64_t timestamp, enum table_change how,
                  struct err *err)
{
    if (check_entry(store, key, value, err) != 0) {
        return -1;
    }
    if (store_is_expired(store, key)) {
        return 0;
    }
    if (store->open_cursors > 0) {
        range_detach(store);
    }
    uint64_t hash = hash_table64(key);
    struct table *table = &segment_of(store, key, true)->table;
    if (table->changes.count + 1 >= TABLE_MOST_CHANGES) {
        return err_set(err, ERR_FATAL, ERR_MEMORY, "The store %s has too many changes without a commit.", store->name);
    }
    if (!slice_is_null(value) || !is_deleted_at_once(store, table, key, hash)) {
        struct table_entry *entry = table_put(table, key, hash, value, timestamp, how);
        evict(store->set, TURNS_PER_WRITE, entry);
    }
    return 0;
}

int store_put(struct store *store, struct slice key, struct slice value, int64_t timestamp, struct err *err)
{
    return change(store, key, value, timestamp, TABLE_CHANGED, err);
}

/* Keys of windows lie in several segments. */
static void prefetch_windows(struct store *store, const struct slice *keys, size_t count)
{
    for (int entries = 0; entries < 2; entries++) {
        for (size_t i = 0; i < count; i++) {
            struct store_segment *segment = segment_of(store, keys[i], false);
            if (segment == NULL || table_is_small(&segment->table)) {
                continue;
            }
            if (entries) {
                table_prefetch_entry(&segment->table, hash_table64(keys[i]));
            } else {
                table_prefetch(&segment->table, hash_table64(keys[i]));
            }
        }
    }
}

/* First all slots, then all entries that they name: each is one trip to memory, and the trips overlap. */
void store_prefetch(struct store *store, const struct slice *keys, size_t count)
{
    uint64_t hashes[AHEAD];
    if (store->kind != STORE_KEY_VALUE) {
        prefetch_windows(store, keys, count);
        return;
    }
    if (store->recent == NULL || table_is_small(&store->recent->table)) {
        return;
    }
    for (size_t from = 0; from < count; from += AHEAD) {
        size_t some = count - from < AHEAD ? count - from : AHEAD;
        for (size_t i = 0; i < some; i++) {
            hashes[i] = hash_table64(keys[from + i]);
            table_prefetch(&store->recent->table, hashes[i]);
        }
        for (size_t i = 0; i < some; i++) {
            table_prefetch_entry(&store->recent->table, hashes[i]);
        }
    }
}

static void prefetch(struct store *store, struct slice key)
{
    if (store->recent != NULL && !slice_is_null(key)) {
        table_prefetch(&store->recent->table, hash_table64(key));
    }
}

int store_restore(struct store *store, const struct store_entry *entries, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_entry *entry = &entries[i];
        if (i + PREFETCH < count) {
            prefetch(store, entries[i + PREFETCH].key);
        }
        if (change(store, entry->key, entry->value, entry->timestamp, TABLE_RESTORED, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void store_load(struct store *store, const struct store_entry *entry, bool merged)
{
    if (!store_is_expired(store, entry->key)) {
        struct table *table = &segment_of(store, entry->key, true)->table;
        table_put(table, entry->key, hash_table64(entry->key), entry->value, entry->timestamp,
                  merged ? TABLE_CLEAN : TABLE_COMMITTED);
    }
}

void store_load_all(struct store *store, const struct store_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        prefetch(store, entries[i].key);
    }
    for (size_t i = 0; i < count; i++) {
        store_load(store, &entries[i], false);
    }
}

/* Expiry. Segments stay until the commit, for a rollback; single entries stay, unseen, until their segment goes. */

/* Keys without a time may lie among those that go, and stay. */
static void keep_timeless(struct store *store)
{
    size_t last = store->segment_count - 1;
    if (store->segment_count == 0 || store->segments[last]->number != STORE_TIMELESS) {
        return;
    }
    size_t at = 0;
    struct table_entry *entry;
    while ((entry = table_each(&store->segments[last]->table, &at)) != NULL) {
        struct slice key = table_key(entry);
        struct table_entry *found = order_entry(store->order, order_seek(store->order, key, false));
        if (found == NULL || !slice_equal(table_key(found), key)) {
            order_insert(store->order, entry);
        }
    }
}

/* What is doomed is invisible already, so the order forgets it at once: all of it in one piece. */
static void cut_order(struct store *store, uint64_t number)
{
    unsigned char first[8];
    uint64_t time = number * store->segment_ms;
    for (int i = 0; i < 8; i++) {
        first[i] = (unsigned char)(time >> (56 - 8 * i));
    }
    if (store->order != NULL) {
        order_remove_below(store->order, slice_of(first, sizeof first));
        keep_timeless(store);
    }
}

static void doom_segments(struct store *store, uint64_t time)
{
    size_t count = find_segment(store, time / store->segment_ms);
    if (count == 0) {
        return;
    }
    if (store->open_cursors > 0) {
        range_detach(store);
    }
    cut_order(store, time / store->segment_ms);
    for (size_t i = 0; i < count; i++) {
        store->doomed = memory_grow(store->doomed, store->doomed_count, &store->doomed_capacity, sizeof *store->doomed);
        store->segments[i]->table.order = NULL;
        store->doomed[store->doomed_count++] = store->segments[i];
    }
    store->segment_count -= count;
    memmove(store->segments, store->segments + count, store->segment_count * sizeof(struct store_segment *));
    store->recent = NULL;
    store->hand = 0;
}

int store_expire(struct store *store, int64_t time, struct err *err)
{
    if (store->kind == STORE_KEY_VALUE) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "The store %s has no time to expire by.", store->name);
    }
    if (time > 0 && (uint64_t)time > store->expired) {
        store->expired = (uint64_t)time;
        doom_segments(store, store->expired);
    }
    return 0;
}

void store_load_expiry(struct store *store, uint64_t time)
{
    if (time > store->expired && store->kind != STORE_KEY_VALUE) {
        store->expired = time;
        store->expired_committed = time;
        doom_segments(store, time);
        free_doomed(store);
    }
}

/* Ends of a commit interval. */

void store_commit(struct store *store, bool merges)
{
    free_doomed(store);
    store->expired_committed = store->expired;
    for (size_t i = 0; i < store->segment_count; i++) {
        table_commit(&store->segments[i]->table, merges);
    }
}

static void revive_doomed(struct store *store)
{
    for (size_t i = 0; i < store->doomed_count; i++) {
        struct store_segment *segment = store->doomed[i];
        size_t at = find_segment(store, segment->number);
        store->segments =
            memory_grow(store->segments, store->segment_count, &store->segment_capacity, sizeof *store->segments);
        memmove(&store->segments[at + 1], &store->segments[at], (store->segment_count - at) * sizeof *store->segments);
        store->segments[at] = segment;
        store->segment_count++;
    }
    store->doomed_count = 0;
}

void store_rollback(struct store *store)
{
    store_drop_order(store);
    revive_doomed(store);
    store->expired = store->expired_committed;
    for (size_t i = 0; i < store->segment_count; i++) {
        table_rollback(&store->segments[i]->table);
    }
}
