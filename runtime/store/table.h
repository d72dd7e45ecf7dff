/* Entries in memory: an open-addressing hash table that knows what changed since the last commit, what is committed but
 * not merged into the rows yet, and what is clean and may be evicted.
 *
 * An entry costs 16 bytes beside its key and value, and about 12 in the slots. A change costs a place in the list of
 * changes and an entry as of the last commit, so that rollback is exact; an unmerged commit costs a pointer in a list.
 * So commit, rollback and retirement touch only what they concern.
 *
 * Lists point to entries. One that moves because its size changed may leave its old block to a list of unmerged
 * entries: the block is marked as left, and released when that list is worked off.
 * Ownership: the table owns its entries; a pointer to one is valid until the next call that is not const. `usage` and
 * `order` are borrowed; the table keeps both up to date.
 */
#ifndef TIDEMILL_STORE_TABLE_H
#define TIDEMILL_STORE_TABLE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "store/order.h"
#include "store/slab.h"

#define TABLE_LARGEST ((size_t)256 * 1024 * 1024) /* key and value together */

#define TABLE_LONG UINT16_MAX    /* key_size: both sizes stand in 8 bytes before the key */
#define TABLE_DELETED UINT16_MAX /* value_size of a short entry */

/* Bits of `state`. The others are the place in the list of changes, if the entry is dirty. */
#define TABLE_USED (1u << 31)  /* since the clock hand came by */
#define TABLE_DIRTY (1u << 30) /* changed since the last commit */
#define TABLE_UNMERGED(epoch) (1u << (28 + (epoch)))
#define TABLE_LEFT (1u << 27) /* no entry any more, only something that a list points to */
#define TABLE_PLACE ((1u << 27) - 1)
#define TABLE_MOST_CHANGES ((size_t)TABLE_PLACE)

struct table_entry {
    int64_t timestamp;
    uint32_t state; /* 0 but for TABLE_USED: clean */
    uint16_t key_size;
    uint16_t value_size;
    unsigned char data[]; /* key, then value */
};

static inline uint32_t table_long_size(const struct table_entry *entry, size_t index)
{
    uint32_t size;
    memcpy(&size, entry->data + index * sizeof size, sizeof size);
    return size;
}

static inline struct slice table_key(const struct table_entry *entry)
{
    if (entry->key_size == TABLE_LONG) {
        return slice_of(entry->data + 8, table_long_size(entry, 0));
    }
    return slice_of(entry->data, entry->key_size);
}

/* Null for a deletion that the rows, the changelog or a rollback may still need. */
static inline struct slice table_value(const struct table_entry *entry)
{
    if (entry->key_size == TABLE_LONG) {
        uint32_t size = table_long_size(entry, 1);
        return size == UINT32_MAX ? SLICE_NULL : slice_of(entry->data + 8 + table_long_size(entry, 0), size);
    }
    return entry->value_size == TABLE_DELETED ? SLICE_NULL : slice_of(entry->data + entry->key_size, entry->value_size);
}

static inline bool table_deleted(const struct table_entry *entry)
{
    return entry->key_size == TABLE_LONG ? table_long_size(entry, 1) == UINT32_MAX : entry->value_size == TABLE_DELETED;
}

/* What entries come to. */
struct table_counts {
    int64_t bytes;       /* memory of all entries */
    int64_t clean_bytes; /* of entries that may be evicted */
    int64_t live;        /* entries that are no deletions */
};

/* Shared by the tables of a set. All zero to begin with; the arena is freed by its owner. */
struct table_usage {
    struct table_counts counts;
    struct arena before; /* entries as of the last commit; the set empties it after each commit and rollback */
};

struct table_changed {
    struct table_entry *entry;
    struct table_entry *before; /* as of the last commit; NULL: it was not in memory */
    bool restored;              /* it came by restoring */
    bool silent;                /* and has not changed otherwise */
    bool copied;                /* `before` is a copy in usage->before */
};

struct table_changes {
    struct table_changed *items;
    size_t count;
    size_t capacity;
};

struct table_list {
    struct table_entry **items;
    size_t count;
    size_t capacity;
};

struct table {
    uint64_t *slots;
    size_t capacity;
    size_t used; /* slots that end no search: entries and removed ones */
    size_t entries;
    size_t hand;   /* of the clock */
    size_t recent; /* slot that table_find gave last, for this hash */
    uint64_t recent_hash;
    struct slab slab;
    struct table_changes changes;  /* in order of the first change */
    struct table_list unmerged[2]; /* committed before and after the running merge began */
    int epoch;                     /* which one commits go to */
    struct table_counts counts;    /* this table's part of `usage` */
    struct table_usage *usage;
    struct order *order; /* NULL: nobody asked for a range yet */
};

enum table_change {
    TABLE_CHANGED,   /* by an operator */
    TABLE_RESTORED,  /* from a changelog: dirty, but not to be reported as a change */
    TABLE_COMMITTED, /* from the delta log: committed, not merged */
    TABLE_CLEAN      /* from the rows: only if the key is not there */
};

void table_init(struct table *table, struct table_usage *usage);
/* Takes time by its memory, not by its entries; an `order` must have forgotten them already. */
void table_free(struct table *table);

struct table_entry *table_find(struct table *table, struct slice key, uint64_t hash);
/* Brings the slot where a search will begin into the cache: for loops over many known keys. */
void table_prefetch(const struct table *table, uint64_t hash);
/* Brings the entry there into the cache, when the slot is in it. */
void table_prefetch_entry(const struct table *table, uint64_t hash);
bool table_is_small(const struct table *table); /* in the cache anyhow */
/* For tables that evict: table_find that also tells the clock. */
struct table_entry *table_use(struct table *table, struct slice key, uint64_t hash);
/* Removes an entry that was put since the last commit, with all of its changes; false: it was not, or there is none. */
bool table_forget(struct table *table, struct slice key, uint64_t hash);
/* `value` null: deletion. Key and value together are at most TABLE_LARGEST. Both may be slices of this table's entries.
 */
struct table_entry *table_put(struct table *table, struct slice key, uint64_t hash, struct slice value,
                              int64_t timestamp, enum table_change change);

/* The nth entry changed since the last commit, 0 <= n < changes.count; `silent` if it was only restored. */
struct table_entry *table_changed(const struct table *table, size_t n, bool *silent);
/* What is dirty becomes unmerged (`merges`), or clean. */
void table_commit(struct table *table, bool merges);
/* Back to the last commit. The table must have no order: entries move. */
void table_rollback(struct table *table);

/* Commits from now on belong to the next merge. The one before must be retired completely. */
void table_begin_merge(struct table *table);
/* What was merged becomes clean, at most `limit` entries; returns how many there were. */
size_t table_retire(struct table *table, size_t limit);
bool table_retired(const struct table *table);

/* Moves the clock hand over at most `limit` slots and drops clean entries not used lately, until `target` bytes are
 * dropped. Never `keep`. Returns the bytes dropped. */
int64_t table_evict(struct table *table, size_t limit, int64_t target, const struct table_entry *keep);

/* All entries, deletions too, in any order: `*at` starts at 0; NULL at the end. */
struct table_entry *table_each(const struct table *table, size_t *at);
size_t table_bytes(const struct table *table);

#endif
