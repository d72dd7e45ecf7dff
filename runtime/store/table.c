#include "store/table.h"

#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>

/* A slot is 0 (ends a search), REMOVED, or the address of an entry in the low 48 bits under 16 bits of its hash. User
 * addresses have at most 48 bits on every 64-bit system that Tidemill is built for; insert_slot checks it. */
#define REMOVED 1
#define ADDRESS_BITS 48
#define ADDRESS_MASK (((uint64_t)1 << ADDRESS_BITS) - 1)

#define LEAST_SLOTS 16
#define PREFETCH 8 /* entries ahead, in loops over many */

#define SLOT_COST 12 /* what an entry takes of the slots, on average */

#define DIRTY 1u
#define SILENT 2u /* dirty, but only by restoring */
#define UNMERGED(epoch) (4u << (epoch))

struct table_track {
    struct table_entry *entry;
    struct table_entry *before; /* of a dirty one: as of the last commit; NULL: was not in memory */
    uint32_t flags;             /* 0: free */
    uint32_t next_free;
};

/* Entries. */

static size_t sizes_room(size_t key_size, struct slice value)
{
    bool is_long = key_size >= TABLE_LONG || value.size >= TABLE_DELETED;
    return slab_room(sizeof(struct table_entry) + (is_long ? 8 : 0) + key_size + value.size);
}

static size_t entry_room(const struct table_entry *entry)
{
    size_t lengths = entry->key_size == TABLE_LONG ? 8 : 0;
    return slab_room(sizeof *entry + lengths + table_key(entry).size + table_value(entry).size);
}

static int64_t entry_cost(const struct table_entry *entry)
{
    return (int64_t)entry_room(entry) + SLOT_COST;
}

static void write_sizes(struct table_entry *entry, size_t key_size, struct slice value)
{
    if (key_size < TABLE_LONG && value.size < TABLE_DELETED) {
        entry->key_size = (uint16_t)key_size;
        entry->value_size = slice_is_null(value) ? TABLE_DELETED : (uint16_t)value.size;
        return;
    }
    uint32_t sizes[2] = {(uint32_t)key_size, slice_is_null(value) ? UINT32_MAX : (uint32_t)value.size};
    entry->key_size = TABLE_LONG;
    entry->value_size = 0;
    memcpy(entry->data, sizes, sizeof sizes);
}

static struct table_entry *make_entry(struct table *table, struct slice key, struct slice value, int64_t timestamp)
{
    struct table_entry *entry = slab_alloc(&table->slab, sizes_room(key.size, value));
    entry->timestamp = timestamp;
    entry->track = 0;
    write_sizes(entry, key.size, value);
    unsigned char *at = (unsigned char *)table_key(entry).data;
    if (key.size > 0) {
        memcpy(at, key.data, key.size);
    }
    if (value.size > 0) {
        memcpy(at + key.size, value.data, value.size);
    }
    return entry;
}

static struct table_entry *copy_entry(struct table *table, const struct table_entry *entry)
{
    size_t room = entry_room(entry);
    return memcpy(slab_alloc(&table->slab, room), entry, room);
}

static void release_entry(struct table *table, struct table_entry *entry)
{
    slab_release(&table->slab, entry, entry_room(entry));
}

/* Slots. */

static size_t first_slot(const struct table *table, uint64_t hash)
{
    return (size_t)((hash >> 32) * table->capacity >> 32);
}

static size_t next_slot(const struct table *table, size_t slot)
{
    slot++;
    return slot == table->capacity ? 0 : slot;
}

static struct table_entry *slot_entry(uint64_t slot)
{
    return slot > REMOVED ? (struct table_entry *)(uintptr_t)(slot & ADDRESS_MASK) : NULL;
}

static uint64_t slot_value(const struct table_entry *entry, uint64_t hash)
{
    return (uint64_t)(uintptr_t)entry | hash << ADDRESS_BITS;
}

static bool entry_has_key(const struct table_entry *entry, struct slice key)
{
    struct slice own = table_key(entry);
    return own.size == key.size && (key.size == 0 || memcmp(own.data, key.data, key.size) == 0);
}

/* SIZE_MAX: not there. */
static size_t find_slot(const struct table *table, struct slice key, uint64_t hash)
{
    if (table->capacity == 0) {
        return SIZE_MAX;
    }
    uint64_t tag = hash << ADDRESS_BITS;
    for (size_t slot = first_slot(table, hash); table->slots[slot] != 0; slot = next_slot(table, slot)) {
        uint64_t value = table->slots[slot];
        if (((value ^ tag) & ~ADDRESS_MASK) == 0 && value != REMOVED && entry_has_key(slot_entry(value), key)) {
            return slot;
        }
    }
    return SIZE_MAX;
}

static void place_entry(struct table *table, struct table_entry *entry, uint64_t hash)
{
    size_t slot = first_slot(table, hash);
    while (table->slots[slot] > REMOVED) {
        slot = next_slot(table, slot);
    }
    table->used += table->slots[slot] == 0;
    table->slots[slot] = slot_value(entry, hash);
}

static void resize(struct table *table, size_t capacity)
{
    uint64_t *old = table->slots;
    size_t old_capacity = table->capacity;
    table->slots = memory_alloc(capacity * sizeof *table->slots);
    table->capacity = capacity;
    table->used = 0;
    table->hand = 0;
    for (size_t i = 0; i < old_capacity; i++) {
        if (i + PREFETCH < old_capacity) {
            __builtin_prefetch(slot_entry(old[i + PREFETCH]));
        }
        struct table_entry *entry = slot_entry(old[i]);
        if (entry != NULL) {
            place_entry(table, entry, hash_table64(table_key(entry)));
        }
    }
    free(old);
}

/* Four fifths of the slots are in use at most; a new size leaves them about half full. */
static void insert_slot(struct table *table, struct table_entry *entry, uint64_t hash)
{
    if (((uint64_t)(uintptr_t)entry & ~ADDRESS_MASK) != 0) {
        abort();
    }
    if ((table->used + 1) * 5 > table->capacity * 4) {
        size_t capacity = (table->entries + 1) * 15 / 8;
        resize(table, capacity < LEAST_SLOTS ? LEAST_SLOTS : capacity);
    }
    place_entry(table, entry, hash);
    table->entries++;
    table->usage->live += !table_deleted(entry);
    if (table->order != NULL) {
        order_insert(table->order, entry);
    }
}

/* Without releasing the entry. */
static void remove_slot(struct table *table, size_t slot)
{
    struct table_entry *entry = slot_entry(table->slots[slot]);
    if (table->order != NULL) {
        order_remove(table->order, table_key(entry));
    }
    bool last = table->slots[next_slot(table, slot)] == 0;
    table->slots[slot] = last ? 0 : REMOVED;
    table->used -= last;
    table->entries--;
    table->usage->live -= !table_deleted(entry);
}

static void remove_entry(struct table *table, struct table_entry *entry)
{
    struct slice key = table_key(entry);
    remove_slot(table, find_slot(table, key, hash_table64(key)));
    release_entry(table, entry);
}

/* Tracks. */

static void list_add(struct table_list *list, uint32_t item)
{
    list->items = memory_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = item;
}

static void list_free(struct table_list *list)
{
    free(list->items);
    *list = (struct table_list){NULL, 0, 0};
}

/* Memory of a burst is given back when the burst is over. */
static void list_clear(struct table_list *list, size_t used)
{
    list->count = 0;
    if (list->capacity > 1024 && list->capacity / 4 > used) {
        list_free(list);
    }
}

static uint32_t new_track(struct table *table)
{
    uint32_t index = table->free_track;
    if (index != 0) {
        table->free_track = table->tracks[index].next_free;
        return index;
    }
    if (table->track_count == 0) {
        table->track_count = 1;
    }
    table->tracks = memory_grow(table->tracks, table->track_count, &table->track_capacity, sizeof *table->tracks);
    return (uint32_t)table->track_count++;
}

static struct table_track *track_of(const struct table *table, const struct table_entry *entry)
{
    uint32_t index = entry->track & ~TABLE_USED;
    return index != 0 ? &table->tracks[index] : NULL;
}

/* `is_new`: the entry did not count as clean. */
static struct table_track *track(struct table *table, struct table_entry *entry, bool is_new)
{
    struct table_track *known = track_of(table, entry);
    if (known != NULL) {
        return known;
    }
    if (!is_new) {
        table->usage->clean_bytes -= entry_cost(entry);
    }
    uint32_t index = new_track(table);
    entry->track |= index;
    table->tracks[index] = (struct table_track){entry, NULL, 0, 0};
    return &table->tracks[index];
}

static void release_track(struct table *table, struct table_track *done)
{
    done->flags = 0;
    done->next_free = table->free_track;
    table->free_track = (uint32_t)(done - table->tracks);
}

/* A deletion that nobody needs any more leaves the table. */
static void become_clean(struct table *table, struct table_track *done)
{
    struct table_entry *entry = done->entry;
    release_track(table, done);
    entry->track &= TABLE_USED;
    if (table_deleted(entry)) {
        remove_entry(table, entry);
    } else {
        table->usage->clean_bytes += entry_cost(entry);
    }
}

static void mark_dirty(struct table *table, struct table_track *tracked, enum table_change change)
{
    if ((tracked->flags & DIRTY) == 0) {
        tracked->flags |= DIRTY | (change == TABLE_RESTORED ? SILENT : 0);
        list_add(&table->dirty, (uint32_t)(tracked - table->tracks));
    } else if (change == TABLE_CHANGED) {
        tracked->flags &= ~SILENT;
    }
}

static void mark_unmerged(struct table *table, struct table_track *tracked)
{
    if ((tracked->flags & UNMERGED(table->epoch)) == 0) {
        tracked->flags |= UNMERGED(table->epoch);
        list_add(&table->unmerged[table->epoch], (uint32_t)(tracked - table->tracks));
    }
}

static void mark(struct table *table, struct table_track *tracked, enum table_change change)
{
    if (change == TABLE_COMMITTED) {
        mark_unmerged(table, tracked);
    } else {
        mark_dirty(table, tracked, change);
    }
}

/* The public side. */

void table_init(struct table *table, struct table_usage *usage)
{
    memset(table, 0, sizeof *table);
    table->usage = usage;
}

void table_free(struct table *table)
{
    size_t at = 0;
    for (struct table_entry *entry = table_each(table, &at); entry != NULL; entry = table_each(table, &at)) {
        if (table->order != NULL) {
            order_remove(table->order, table_key(entry));
        }
        table->usage->live -= !table_deleted(entry);
        table->usage->clean_bytes -= (entry->track & ~TABLE_USED) == 0 ? entry_cost(entry) : 0;
    }
    slab_free(&table->slab);
    free(table->slots);
    free(table->tracks);
    list_free(&table->dirty);
    list_free(&table->unmerged[0]);
    list_free(&table->unmerged[1]);
    table_init(table, table->usage);
}

struct table_entry *table_find(const struct table *table, struct slice key, uint64_t hash)
{
    size_t slot = find_slot(table, key, hash);
    return slot != SIZE_MAX ? slot_entry(table->slots[slot]) : NULL;
}

struct table_entry *table_use(struct table *table, struct slice key, uint64_t hash)
{
    struct table_entry *entry = table_find(table, key, hash);
    if (entry != NULL) {
        entry->track |= TABLE_USED;
    }
    return entry;
}

static struct table_entry *insert(struct table *table, struct slice key, uint64_t hash, struct slice value,
                                  int64_t timestamp, enum table_change change)
{
    struct table_entry *entry = make_entry(table, key, value, timestamp);
    insert_slot(table, entry, hash);
    if (change == TABLE_CLEAN) {
        entry->track |= TABLE_USED;
        table->usage->clean_bytes += entry_cost(entry);
    } else {
        mark(table, track(table, entry, true), change);
    }
    return entry;
}

/* `value` may lie in the entry itself. */
static void overwrite(struct table *table, struct table_entry *entry, struct slice value, int64_t timestamp)
{
    size_t key_size = table_key(entry).size;
    table->usage->live += table_deleted(entry) - slice_is_null(value);
    if (value.size > 0) {
        memmove((unsigned char *)table_key(entry).data + key_size, value.data, value.size);
    }
    write_sizes(entry, key_size, value);
    entry->timestamp = timestamp;
}

static bool fits(const struct table_entry *entry, size_t key_size, struct slice value)
{
    bool is_long = key_size >= TABLE_LONG || value.size >= TABLE_DELETED;
    return is_long == (entry->key_size == TABLE_LONG) && sizes_room(key_size, value) == entry_room(entry);
}

static struct table_entry *replace(struct table *table, size_t slot, struct table_track *tracked, struct slice value,
                                   int64_t timestamp)
{
    struct table_entry *old = slot_entry(table->slots[slot]);
    struct table_entry *entry = make_entry(table, table_key(old), value, timestamp);
    entry->track = old->track;
    tracked->entry = entry;
    table->slots[slot] = (table->slots[slot] & ~ADDRESS_MASK) | (uint64_t)(uintptr_t)entry;
    table->usage->live += table_deleted(old) - slice_is_null(value);
    if (table->order != NULL) {
        order_replace(table->order, entry);
    }
    return entry;
}

struct table_entry *table_put(struct table *table, struct slice key, uint64_t hash, struct slice value,
                              int64_t timestamp, enum table_change change)
{
    size_t slot = find_slot(table, key, hash);
    if (slot == SIZE_MAX) {
        return insert(table, key, hash, value, timestamp, change);
    }
    struct table_entry *entry = slot_entry(table->slots[slot]);
    if (change == TABLE_CLEAN) {
        return entry;
    }
    struct table_track *tracked = track(table, entry, false);
    bool keep_before = change != TABLE_COMMITTED && (tracked->flags & DIRTY) == 0;
    mark(table, tracked, change);
    if (fits(entry, key.size, value)) {
        if (keep_before) {
            tracked->before = copy_entry(table, entry);
        }
        overwrite(table, entry, value, timestamp);
        return entry;
    }
    struct table_entry *moved = replace(table, slot, tracked, value, timestamp);
    if (keep_before) {
        tracked->before = entry;
    } else {
        release_entry(table, entry);
    }
    return moved;
}

struct table_entry *table_dirty(const struct table *table, size_t n, bool *silent)
{
    if (n + PREFETCH < table->dirty.count) {
        __builtin_prefetch(table->tracks[table->dirty.items[n + PREFETCH]].entry);
    }
    const struct table_track *tracked = &table->tracks[table->dirty.items[n]];
    *silent = (tracked->flags & SILENT) != 0;
    return tracked->entry;
}

void table_commit(struct table *table, bool merges)
{
    for (size_t i = 0; i < table->dirty.count; i++) {
        struct table_track *tracked = &table->tracks[table->dirty.items[i]];
        if (tracked->before != NULL) {
            release_entry(table, tracked->before);
            tracked->before = NULL;
        }
        tracked->flags &= ~(DIRTY | SILENT);
        if (merges) {
            mark_unmerged(table, tracked);
        } else {
            become_clean(table, tracked);
        }
    }
    list_clear(&table->dirty, table->dirty.count);
}

static void restore_before(struct table *table, struct table_track *tracked)
{
    struct table_entry *entry = tracked->entry;
    struct table_entry *before = tracked->before;
    struct slice key = table_key(entry);
    size_t slot = find_slot(table, key, hash_table64(key));
    table->slots[slot] = (table->slots[slot] & ~ADDRESS_MASK) | (uint64_t)(uintptr_t)before;
    table->usage->live += table_deleted(entry) - table_deleted(before);
    before->track = entry->track;
    tracked->entry = before;
    tracked->before = NULL;
    release_entry(table, entry);
}

void table_rollback(struct table *table)
{
    for (size_t i = 0; i < table->dirty.count; i++) {
        struct table_track *tracked = &table->tracks[table->dirty.items[i]];
        tracked->flags &= ~(DIRTY | SILENT);
        if (tracked->before == NULL) {
            remove_entry(table, tracked->entry);
            release_track(table, tracked);
            continue;
        }
        restore_before(table, tracked);
        if (tracked->flags == 0) {
            become_clean(table, tracked);
        }
    }
    list_clear(&table->dirty, table->dirty.count);
}

void table_begin_merge(struct table *table)
{
    table->epoch ^= 1;
}

size_t table_retire(struct table *table, size_t limit)
{
    int epoch = table->epoch ^ 1;
    struct table_list *list = &table->unmerged[epoch];
    size_t done = 0;
    for (; done < limit && list->count > 0; done++) {
        if (list->count > PREFETCH) {
            __builtin_prefetch(table->tracks[list->items[list->count - 1 - PREFETCH]].entry);
        }
        struct table_track *tracked = &table->tracks[list->items[--list->count]];
        tracked->flags &= ~UNMERGED(epoch);
        if (tracked->flags == 0) {
            become_clean(table, tracked);
        }
    }
    if (list->count == 0) {
        list_clear(list, 0);
    }
    return done;
}

bool table_retired(const struct table *table)
{
    return table->unmerged[table->epoch ^ 1].count == 0;
}

int64_t table_evict(struct table *table, size_t limit, int64_t target, const struct table_entry *keep)
{
    int64_t dropped = 0;
    for (size_t i = 0; i < limit && table->capacity > 0 && dropped < target; i++) {
        size_t slot = table->hand;
        struct table_entry *entry = slot_entry(table->slots[slot]);
        table->hand = next_slot(table, slot);
        if (entry == NULL || entry == keep || (entry->track & ~TABLE_USED) != 0) {
            continue;
        }
        if (entry->track != 0) {
            entry->track = 0;
            continue;
        }
        int64_t cost = entry_cost(entry);
        table->usage->clean_bytes -= cost;
        dropped += cost;
        remove_slot(table, slot);
        release_entry(table, entry);
    }
    return dropped;
}

struct table_entry *table_each(const struct table *table, size_t *at)
{
    while (*at < table->capacity) {
        struct table_entry *entry = slot_entry(table->slots[(*at)++]);
        if (entry != NULL) {
            return entry;
        }
    }
    return NULL;
}

size_t table_bytes(const struct table *table)
{
    size_t lists = table->dirty.capacity + table->unmerged[0].capacity + table->unmerged[1].capacity;
    return table->slab.bytes + table->capacity * sizeof *table->slots + table->track_capacity * sizeof *table->tracks +
           lists * sizeof(uint32_t);
}
