#include "store/table.h"

#include "base/hash.h"
#include "base/memory.h"
#include "store/pages.h"

#include <stdlib.h>

/* A slot is 0 (ends a search), REMOVED, or the address of an entry in the low 48 bits under 16 bits of its hash. User
 * addresses have at most 48 bits on every 64-bit system that Tidemill is built for; insert_slot checks it. */
#define REMOVED 1
#define ADDRESS_BITS 48
#define ADDRESS_MASK (((uint64_t)1 << ADDRESS_BITS) - 1)

#define LEAST_SLOTS 16
#define PREFETCH 8 /* entries ahead, in loops over many */

#define CACHE_LINE 64
#define SMALL_BYTES (INT64_C(256) * 1024)

#define SLOT_COST 12 /* what an entry takes of the slots, on average */

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

static void count(struct table *table, int64_t bytes, int64_t clean_bytes, int64_t live)
{
    table->counts.bytes += bytes;
    table->counts.clean_bytes += clean_bytes;
    table->counts.live += live;
    table->usage->counts.bytes += bytes;
    table->usage->counts.clean_bytes += clean_bytes;
    table->usage->counts.live += live;
}

static struct table_entry *make_entry(struct table *table, struct slice key, struct slice value, int64_t timestamp)
{
    struct table_entry *entry = slab_alloc(&table->slab, sizes_room(key.size, value));
    count(table, (int64_t)sizes_room(key.size, value) + SLOT_COST, 0, 0);
    entry->timestamp = timestamp;
    entry->state = 0;
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
    count(table, (int64_t)room + SLOT_COST, 0, 0);
    return memcpy(slab_alloc(&table->slab, room), entry, room);
}

/* One after the other, where the next commit takes all of them back: most of the cost of a change is memory. */
static struct table_entry *copy_aside(struct table *table, const struct table_entry *entry)
{
    size_t room = entry_room(entry);
    return memcpy(arena_alloc(&table->usage->before, room), entry, room);
}

static void release_entry(struct table *table, struct table_entry *entry)
{
    size_t room = entry_room(entry);
    count(table, -(int64_t)room - SLOT_COST, 0, 0);
    slab_release(&table->slab, entry, room);
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

static bool slot_has_key(uint64_t slot, struct slice key, uint64_t tag)
{
    if (((slot ^ tag) & ~ADDRESS_MASK) != 0 || slot <= REMOVED) {
        return false;
    }
    const struct table_entry *entry = slot_entry(slot);
    __builtin_prefetch(&entry->data[key.size]); /* most entries lie in two cache lines */
    return entry_has_key(entry, key);
}

/* SIZE_MAX: not there. A change mostly follows a look at the same key, so the slot found last is tried first. */
static size_t find_slot(const struct table *table, struct slice key, uint64_t hash)
{
    if (table->capacity == 0) {
        return SIZE_MAX;
    }
    uint64_t tag = hash << ADDRESS_BITS;
    size_t slot = table->recent;
    if (table->recent_hash == hash && slot < table->capacity && slot_has_key(table->slots[slot], key, tag)) {
        return slot;
    }
    for (slot = first_slot(table, hash); table->slots[slot] != 0; slot = next_slot(table, slot)) {
        if (slot_has_key(table->slots[slot], key, tag)) {
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
    table->slots = pages_alloc(capacity * sizeof *table->slots);
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
    pages_free(old, old_capacity * sizeof *old);
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
    count(table, 0, 0, !table_deleted(entry));
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
    count(table, 0, 0, -(int64_t)!table_deleted(entry));
}

static void remove_entry(struct table *table, struct table_entry *entry)
{
    struct slice key = table_key(entry);
    remove_slot(table, find_slot(table, key, hash_table64(key)));
    release_entry(table, entry);
}

/* States. */

static bool is_clean(const struct table_entry *entry)
{
    return (entry->state & ~TABLE_USED) == 0;
}

static uint32_t unmerged_bits(const struct table_entry *entry)
{
    return entry->state & (TABLE_UNMERGED(0) | TABLE_UNMERGED(1));
}

static void list_add(struct table_list *list, struct table_entry *entry)
{
    list->items = memory_grow(list->items, list->count, &list->capacity, sizeof(struct table_entry *));
    list->items[list->count++] = entry;
}

static void list_free(struct table_list *list)
{
    free(list->items);
    *list = (struct table_list){NULL, 0, 0};
}

/* Memory of a burst is given back when the burst is over. */
static bool is_excessive(size_t capacity, size_t used)
{
    return capacity > 1024 && capacity / 4 > used;
}

static void add_unmerged(struct table *table, struct table_entry *entry, int epoch)
{
    if ((entry->state & TABLE_UNMERGED(epoch)) == 0) {
        entry->state |= TABLE_UNMERGED(epoch);
        list_add(&table->unmerged[epoch], entry);
    }
}

/* A block that is no entry any more: the lists of unmerged entries that point to it release it. */
static void leave_entry(struct table *table, struct table_entry *entry)
{
    if (unmerged_bits(entry) == 0) {
        release_entry(table, entry);
    } else {
        entry->state = unmerged_bits(entry) | TABLE_LEFT;
    }
}

/* A deletion that nobody needs any more leaves the table. */
static void become_clean(struct table *table, struct table_entry *entry)
{
    if (table_deleted(entry)) {
        remove_entry(table, entry);
    } else {
        count(table, 0, entry_cost(entry), 0);
    }
}

static struct table_changed *add_change(struct table *table, struct table_entry *entry, enum table_change change)
{
    struct table_changes *changes = &table->changes;
    changes->items = memory_grow(changes->items, changes->count, &changes->capacity, sizeof *changes->items);
    struct table_changed *changed = &changes->items[changes->count];
    bool restored = change == TABLE_RESTORED;
    *changed = (struct table_changed){.entry = entry, .restored = restored, .silent = restored};
    entry->state = (entry->state & ~TABLE_PLACE) | TABLE_DIRTY | (uint32_t)changes->count++;
    return changed;
}

static void end_changes(struct table *table)
{
    struct table_changes *changes = &table->changes;
    if (is_excessive(changes->capacity, changes->count)) {
        free(changes->items);
        *changes = (struct table_changes){NULL, 0, 0};
    }
    changes->count = 0;
}

/* The public side. */

void table_init(struct table *table, struct table_usage *usage)
{
    memset(table, 0, sizeof *table);
    table->usage = usage;
}

void table_free(struct table *table)
{
    count(table, -table->counts.bytes, -table->counts.clean_bytes, -table->counts.live);
    slab_free(&table->slab);
    pages_free(table->slots, table->capacity * sizeof *table->slots);
    free(table->changes.items);
    list_free(&table->unmerged[0]);
    list_free(&table->unmerged[1]);
    table_init(table, table->usage);
}

struct table_entry *table_find(struct table *table, struct slice key, uint64_t hash)
{
    size_t slot = find_slot(table, key, hash);
    table->recent = slot;
    table->recent_hash = hash;
    return slot != SIZE_MAX ? slot_entry(table->slots[slot]) : NULL;
}

void table_prefetch(const struct table *table, uint64_t hash)
{
    if (table->capacity > 0) {
        __builtin_prefetch(&table->slots[first_slot(table, hash)]);
    }
}

void table_prefetch_entry(const struct table *table, uint64_t hash)
{
    if (table->capacity == 0) {
        return;
    }
    uint64_t tag = hash << ADDRESS_BITS;
    for (size_t slot = first_slot(table, hash); table->slots[slot] != 0; slot = next_slot(table, slot)) {
        if (((table->slots[slot] ^ tag) & ~ADDRESS_MASK) == 0 && table->slots[slot] > REMOVED) {
            const struct table_entry *entry = slot_entry(table->slots[slot]);
            __builtin_prefetch(entry, 1);
            __builtin_prefetch((const char *)entry + CACHE_LINE, 1); /* most entries lie in two lines */
            return;
        }
    }
}

bool table_is_small(const struct table *table)
{
    return table->counts.bytes < SMALL_BYTES;
}

struct table_entry *table_use(struct table *table, struct slice key, uint64_t hash)
{
    struct table_entry *entry = table_find(table, key, hash);
    if (entry != NULL) {
        entry->state |= TABLE_USED;
    }
    return entry;
}

static struct table_entry *insert(struct table *table, struct slice key, uint64_t hash, struct slice value,
                                  int64_t timestamp, enum table_change change)
{
    struct table_entry *entry = make_entry(table, key, value, timestamp);
    insert_slot(table, entry, hash);
    if (change == TABLE_CLEAN) {
        entry->state |= TABLE_USED;
        count(table, 0, entry_cost(entry), 0);
    } else if (change == TABLE_COMMITTED) {
        add_unmerged(table, entry, table->epoch);
    } else {
        add_change(table, entry, change);
    }
    return entry;
}

/* `value` may lie in the entry itself. */
static void overwrite(struct table *table, struct table_entry *entry, struct slice value, int64_t timestamp)
{
    size_t key_size = table_key(entry).size;
    count(table, 0, 0, table_deleted(entry) - slice_is_null(value));
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

/* In another block. The old one is left to the caller. */
static struct table_entry *move(struct table *table, size_t slot, struct slice value, int64_t timestamp)
{
    struct table_entry *old = slot_entry(table->slots[slot]);
    struct table_entry *entry = make_entry(table, table_key(old), value, timestamp);
    entry->state = old->state & ~(TABLE_UNMERGED(0) | TABLE_UNMERGED(1));
    table->slots[slot] = (table->slots[slot] & ~ADDRESS_MASK) | (uint64_t)(uintptr_t)entry;
    count(table, 0, 0, table_deleted(old) - slice_is_null(value));
    if (table->order != NULL) {
        order_replace(table->order, entry);
    }
    return entry;
}

static struct table_entry *rewrite(struct table *table, size_t slot, struct slice value, int64_t timestamp,
                                   enum table_change change)
{
    struct table_entry *entry = slot_entry(table->slots[slot]);
    struct table_changed *changed = &table->changes.items[entry->state & TABLE_PLACE];
    changed->silent = changed->silent && change == TABLE_RESTORED;
    if (fits(entry, table_key(entry).size, value)) {
        overwrite(table, entry, value, timestamp);
        return entry;
    }
    changed->entry = move(table, slot, value, timestamp);
    leave_entry(table, entry);
    return changed->entry;
}

static struct table_entry *change_first(struct table *table, size_t slot, struct slice value, int64_t timestamp,
                                        enum table_change change)
{
    struct table_entry *entry = slot_entry(table->slots[slot]);
    count(table, 0, is_clean(entry) ? -entry_cost(entry) : 0, 0);
    if (!fits(entry, table_key(entry).size, value)) {
        struct table_entry *moved = move(table, slot, value, timestamp);
        add_change(table, moved, change)->before = entry;
        entry->state |= TABLE_DIRTY; /* still in use: what retires meanwhile must not take it for clean */
        return moved;
    }
    struct table_entry *before = copy_aside(table, entry);
    struct table_changed *changed = add_change(table, entry, change);
    changed->before = before;
    changed->copied = true;
    overwrite(table, entry, value, timestamp);
    return entry;
}

static struct table_entry *load_again(struct table *table, size_t slot, struct slice value, int64_t timestamp)
{
    struct table_entry *entry = slot_entry(table->slots[slot]);
    count(table, 0, is_clean(entry) ? -entry_cost(entry) : 0, 0);
    if (fits(entry, table_key(entry).size, value)) {
        overwrite(table, entry, value, timestamp);
    } else {
        struct table_entry *old = entry;
        entry = move(table, slot, value, timestamp);
        leave_entry(table, old);
    }
    add_unmerged(table, entry, table->epoch);
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
    if (change == TABLE_COMMITTED) {
        return load_again(table, slot, value, timestamp);
    }
    return (entry->state & TABLE_DIRTY) != 0 ? rewrite(table, slot, value, timestamp, change)
                                             : change_first(table, slot, value, timestamp, change);
}

bool table_forget(struct table *table, struct slice key, uint64_t hash)
{
    struct table_entry *entry = table_find(table, key, hash);
    if (entry == NULL || (entry->state & TABLE_DIRTY) == 0) {
        return false;
    }
    struct table_changed *changed = &table->changes.items[entry->state & TABLE_PLACE];
    if (changed->before != NULL || changed->restored) { /* what was restored is in the changelog */
        return false;
    }
    const struct table_changed *last = &table->changes.items[--table->changes.count];
    last->entry->state = (last->entry->state & ~TABLE_PLACE) | (entry->state & TABLE_PLACE);
    *changed = *last;
    remove_entry(table, entry);
    return true;
}

struct table_entry *table_changed(const struct table *table, size_t n, bool *silent)
{
    const struct table_changed *changed = &table->changes.items[n];
    if (n + PREFETCH < table->changes.count) {
        __builtin_prefetch(changed[PREFETCH].entry);
    }
    *silent = changed->silent;
    return changed->entry;
}

void table_commit(struct table *table, bool merges)
{
    for (size_t i = 0; i < table->changes.count; i++) {
        const struct table_changed *changed = &table->changes.items[i];
        if (i + PREFETCH < table->changes.count) {
            __builtin_prefetch(changed[PREFETCH].entry);
        }
        if (changed->before != NULL && !changed->copied) {
            leave_entry(table, changed->before);
        }
        changed->entry->state &= ~(TABLE_DIRTY | TABLE_PLACE);
        if (merges) {
            add_unmerged(table, changed->entry, table->epoch);
        } else {
            become_clean(table, changed->entry);
        }
    }
    end_changes(table);
}

/* A copy takes the place of the original in the lists of unmerged entries, too. */
static void restore_before(struct table *table, const struct table_changed *changed)
{
    struct table_entry *entry = changed->entry;
    struct table_entry *before = changed->copied ? copy_entry(table, changed->before) : changed->before;
    struct slice key = table_key(entry);
    size_t slot = find_slot(table, key, hash_table64(key));
    table->slots[slot] = (table->slots[slot] & ~ADDRESS_MASK) | (uint64_t)(uintptr_t)before;
    count(table, 0, 0, table_deleted(entry) - table_deleted(before));
    uint32_t bits = changed->copied ? unmerged_bits(before) : 0;
    before->state &= ~(bits | TABLE_DIRTY);
    for (int epoch = 0; epoch < 2; epoch++) {
        if ((bits & TABLE_UNMERGED(epoch)) != 0) {
            add_unmerged(table, before, epoch);
        }
    }
    leave_entry(table, entry);
    if (is_clean(before)) {
        become_clean(table, before);
    }
}

void table_rollback(struct table *table)
{
    for (size_t i = 0; i < table->changes.count; i++) {
        const struct table_changed *changed = &table->changes.items[i];
        if (changed->before == NULL) {
            remove_entry(table, changed->entry);
        } else {
            restore_before(table, changed);
        }
    }
    end_changes(table);
}

void table_begin_merge(struct table *table)
{
    table->epoch ^= 1;
}

static void retire_entry(struct table *table, struct table_entry *entry, int epoch)
{
    entry->state &= ~TABLE_UNMERGED(epoch);
    if ((entry->state & TABLE_LEFT) != 0) {
        leave_entry(table, entry);
    } else if (is_clean(entry)) {
        become_clean(table, entry);
    }
}

size_t table_retire(struct table *table, size_t limit)
{
    int epoch = table->epoch ^ 1;
    struct table_list *list = &table->unmerged[epoch];
    size_t done = 0;
    for (; done < limit && list->count > 0; done++) {
        list->count--;
        if (list->count >= PREFETCH) {
            __builtin_prefetch(list->items[list->count - PREFETCH]);
        }
        retire_entry(table, list->items[list->count], epoch);
    }
    if (list->count == 0 && is_excessive(list->capacity, table->unmerged[table->epoch].count)) {
        list_free(list);
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
        if (entry == NULL || entry == keep || !is_clean(entry)) {
            continue;
        }
        if (entry->state != 0) {
            entry->state = 0;
            continue;
        }
        int64_t cost = entry_cost(entry);
        count(table, 0, -cost, 0);
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
    size_t lists = table->unmerged[0].capacity + table->unmerged[1].capacity;
    return table->slab.bytes + table->capacity * sizeof *table->slots +
           table->changes.capacity * sizeof *table->changes.items + lists * sizeof(struct table_entry *);
}
