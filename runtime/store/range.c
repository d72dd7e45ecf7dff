#include "store/range.h"

#include "base/memory.h"
#include "store/store.h"

#include <stdlib.h>

/* What a cursor has copied of the entries in memory. */
struct copied {
    struct store_entry *entries; /* in the cursor's direction; a null value hides a row */
    size_t count;
    size_t capacity;
    size_t at;
    struct arena arena;
};

struct store_cursor {
    struct store *store;
    struct store_cursor *next;
    struct store_cursor **link; /* what points here */
    bool backwards;
    uint64_t expired; /* as of the call */
    struct bytes low; /* low <= key < high */
    struct bytes high;
    bool bounded; /* `high` counts */

    bool once;     /* the order was made for it alone */
    bool detached; /* `copied` counts, not the order */
    struct copied copied;
    struct order_place place; /* of the next entry; backwards: the one before it */
    uint64_t version;         /* of the order when `place` was found */
    struct bytes passed;      /* key of the last entry or row taken */
    bool started;             /* `passed` counts */

    struct rows_range rows; /* statement NULL: no rows, or no more */
    bool row_ready;
    struct store_entry row;
};

/* Entries in memory. */

static void find_place(struct store_cursor *cursor, const struct order *order)
{
    if (cursor->started) {
        cursor->place = order_seek(order, bytes_slice(&cursor->passed), !cursor->backwards);
    } else if (!cursor->backwards) {
        cursor->place = order_seek(order, bytes_slice(&cursor->low), false);
    } else {
        cursor->place = cursor->bounded ? order_seek(order, bytes_slice(&cursor->high), false) : order_end(order);
    }
    cursor->version = order->version;
}

static bool is_inside(const struct store_cursor *cursor, struct slice key)
{
    if (cursor->backwards) {
        return slice_compare(key, bytes_slice(&cursor->low)) >= 0;
    }
    return !cursor->bounded || slice_compare(key, bytes_slice(&cursor->high)) < 0;
}

static bool peek_order(struct store_cursor *cursor, struct store_entry *entry)
{
    const struct order *order = cursor->store->order;
    if (cursor->version != order->version) {
        find_place(cursor, order);
    }
    struct order_place place = cursor->place;
    if (cursor->backwards && !order_previous(order, &place)) {
        return false;
    }
    const struct table_entry *found = order_entry(order, place);
    if (found == NULL || !is_inside(cursor, table_key(found))) {
        return false;
    }
    *entry = (struct store_entry){table_key(found), table_value(found), found->timestamp};
    return true;
}

/* Of rows, too: reading one through may put it into the order behind the cursor's place. */
static void pass(struct store_cursor *cursor, struct slice key)
{
    bytes_clear(&cursor->passed);
    bytes_append_slice(&cursor->passed, key);
    cursor->started = true;
}

static void step_order(struct store_cursor *cursor)
{
    if (cursor->backwards) {
        order_previous(cursor->store->order, &cursor->place);
    } else {
        cursor->place = order_next(cursor->store->order, cursor->place);
    }
}

static bool peek_memory(struct store_cursor *cursor, struct store_entry *entry)
{
    if (!cursor->detached) {
        return peek_order(cursor, entry);
    }
    if (cursor->copied.at == cursor->copied.count) {
        return false;
    }
    *entry = cursor->copied.entries[cursor->copied.at];
    return true;
}

static void step_memory(struct store_cursor *cursor)
{
    if (cursor->detached) {
        cursor->copied.at++;
    } else {
        step_order(cursor);
    }
}

static void detach(struct store_cursor *cursor)
{
    struct copied *copied = &cursor->copied;
    struct store_entry entry;
    while (peek_order(cursor, &entry)) {
        struct store_entry copy = {arena_copy(&copied->arena, entry.key), arena_copy(&copied->arena, entry.value),
                                   entry.timestamp};
        copied->entries = memory_grow(copied->entries, copied->count, &copied->capacity, sizeof *copied->entries);
        copied->entries[copied->count++] = copy;
        step_order(cursor);
    }
    cursor->detached = true;
}

void range_detach(struct store *store)
{
    for (struct store_cursor *cursor = store->set->cursors; cursor != NULL; cursor = cursor->next) {
        if (cursor->store == store && !cursor->detached) {
            detach(cursor);
        }
    }
}

/* Rows. */

/* The snapshot of the rows begins with the first step, which must therefore be part of the call that opens. */
static int peek_row(struct store_cursor *cursor, bool *found, struct err *err)
{
    *found = cursor->row_ready;
    if (cursor->row_ready || cursor->rows.statement == NULL) {
        return 0;
    }
    if (rows_range_step(&cursor->store->set->rows, &cursor->rows, &cursor->row_ready, &cursor->row, err) != 0) {
        store_note_damage(cursor->store->set, err);
        return err_wrap(err, "reading the store %s", cursor->store->name);
    }
    if (!cursor->row_ready) {
        rows_release_range(&cursor->rows);
    }
    *found = cursor->row_ready;
    return 0;
}

static int open_rows(struct store_cursor *cursor, struct err *err)
{
    struct store *store = cursor->store;
    bool found;
    if (!store_needs_rows(store, bytes_slice(&cursor->low))) {
        return 0;
    }
    struct slice high = cursor->bounded ? bytes_slice(&cursor->high) : SLICE_NULL;
    if (rows_range(&store->set->rows, store->rows, bytes_slice(&cursor->low), high, cursor->backwards, &cursor->rows,
                   err) != 0) {
        return err_wrap(err, "reading the store %s", store->name);
    }
    return peek_row(cursor, &found, err);
}

/* Both together. */

static bool is_expired(const struct store_cursor *cursor, struct slice key)
{
    struct bytes_reader reader = bytes_reader_of(key);
    return cursor->expired > 0 && key.size >= 8 && bytes_take_u64(&reader) < cursor->expired;
}

/* The one that comes first, or the one in memory if both have the key. A null value: deleted. */
static int take(struct store_cursor *cursor, bool *found, struct store_entry *entry, struct err *err)
{
    struct store_entry memory;
    bool has_memory = peek_memory(cursor, &memory);
    bool has_row;
    if (peek_row(cursor, &has_row, err) != 0) {
        return -1;
    }
    *found = has_memory || has_row;
    if (!*found) {
        return 0;
    }
    int order = !has_row ? -1 : !has_memory ? 1 : slice_compare(memory.key, cursor->row.key);
    if (has_row && has_memory && cursor->backwards) {
        order = -order;
    }
    *entry = order <= 0 ? memory : cursor->row;
    if (!cursor->detached) {
        pass(cursor, entry->key);
    }
    if (order <= 0) {
        step_memory(cursor);
    }
    if (order >= 0) {
        cursor->row_ready = false; /* its bytes stay until the next step */
    }
    return 0;
}

int range_next(struct store_cursor *cursor, bool *found, struct store_entry *entry, struct err *err)
{
    do {
        if (take(cursor, found, entry, err) != 0) {
            return -1;
        }
    } while (*found && (slice_is_null(entry->value) || is_expired(cursor, entry->key)));
    return 0;
}

/* Life. */

static struct store_cursor *make(struct store *store, struct slice low, bool backwards)
{
    struct store_set *set = store->set;
    struct store_cursor *cursor = memory_alloc(sizeof *cursor);
    cursor->store = store;
    cursor->backwards = backwards;
    cursor->expired = store->expired;
    cursor->next = set->cursors;
    cursor->link = &set->cursors;
    if (cursor->next != NULL) {
        cursor->next->link = &cursor->next;
    }
    set->cursors = cursor;
    store->open_cursors++;
    bytes_append_slice(&cursor->low, low);
    return cursor;
}

static int start(struct store_cursor *cursor, struct store_cursor **out, struct err *err)
{
    find_place(cursor, store_order(cursor->store));
    if (open_rows(cursor, err) != 0) {
        range_close(cursor);
        return -1;
    }
    *out = cursor;
    return 0;
}

int range_open(struct store *store, struct slice from, struct slice to, bool backwards, struct store_cursor **cursor,
               struct err *err)
{
    struct store_cursor *made = make(store, from, backwards);
    if (!slice_is_null(to)) {
        made->bounded = true;
        bytes_append_slice(&made->high, to);
        bytes_append_byte(&made->high, 0); /* the least key greater than `to` */
    }
    return start(made, cursor, err);
}

int range_open_once(struct store *store, struct store_cursor **cursor, struct err *err)
{
    bool once = store->order == NULL;
    if (range_open(store, SLICE_NULL, SLICE_NULL, false, cursor, err) != 0) {
        return -1;
    }
    (*cursor)->once = once;
    return 0;
}

int range_open_prefix(struct store *store, struct slice prefix, struct store_cursor **cursor, struct err *err)
{
    struct store_cursor *made = make(store, prefix, false);
    bytes_append_slice(&made->high, prefix);
    while (made->high.size > 0 && made->high.data[made->high.size - 1] == 0xff) {
        made->high.size--;
    }
    if (made->high.size > 0) {
        made->high.data[made->high.size - 1]++;
        made->bounded = true;
    }
    return start(made, cursor, err);
}

void range_close(struct store_cursor *cursor)
{
    if (cursor == NULL) {
        return;
    }
    *cursor->link = cursor->next;
    if (cursor->next != NULL) {
        cursor->next->link = cursor->link;
    }
    cursor->store->open_cursors--;
    if (cursor->once && cursor->store->open_cursors == 0) {
        store_drop_order(cursor->store);
    }
    rows_release_range(&cursor->rows);
    arena_free(&cursor->copied.arena);
    free(cursor->copied.entries);
    bytes_free(&cursor->low);
    bytes_free(&cursor->high);
    bytes_free(&cursor->passed);
    free(cursor);
}

void range_close_all(struct store_set *set)
{
    while (set->cursors != NULL) {
        range_close(set->cursors);
    }
}
