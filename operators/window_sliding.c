#include "operators/window_sliding.h"

/* A window of the record's key as it was before the record. */
struct seen {
    int64_t start;
    struct table_row row;
    struct headers headers; /* of the record that wrote it, where the store has them */
};

/* One record on its way into its windows. */
struct slide {
    struct node *node;
    struct item *item;
    struct slice key;
    int64_t time;       /* of the record */
    int64_t difference; /* of the windows */
    struct seen *list;  /* windows that begin from time - 2 * difference to time + 1, in order */
    size_t count;
    bool taken;   /* some window took the record */
    bool dropped; /* a callback failed, and the policy dropped the record */
};

/* ---- what is there ---- */

static void add_seen(struct slide *slide, size_t *capacity, const struct seen *seen)
{
    if (slide->count == *capacity) {
        size_t larger = *capacity > 0 ? 2 * *capacity : 8;
        struct seen *list = arena_alloc(op_arena(slide->node->worker), larger * sizeof(*list));
        if (slide->count > 0) {
            memcpy(list, slide->list, slide->count * sizeof(*list));
        }
        slide->list = list;
        *capacity = larger;
    }
    slide->list[slide->count++] = *seen;
}

static struct seen seen_of(const struct window_table *windows, int64_t start, const struct store_entry *entry,
                           struct arena *arena)
{
    struct seen seen = {.start = start};
    struct slice value = arena_copy(arena, entry->value);
    if (windows->table.headers) {
        store_form_parse_value(value, &seen.headers, &value, arena);
    }
    seen.row = (struct table_row){true, datum_of_bytes(windows->table.value_codec, value), entry->timestamp};
    return seen;
}

/* Keys of other records may lie between those of this one. */
static int take_entries(struct slide *slide, size_t *capacity, struct store_cursor *cursor)
{
    const struct window_table *windows = slide->node->state;
    struct worker *worker = slide->node->worker;
    struct store_window window;
    struct store_entry entry;
    bool found;
    for (;;) {
        if (op_store_driver(worker)->next(cursor, &found, &entry, op_error(worker))) {
            return -1;
        }
        if (!found) {
            return 0;
        }
        if (store_form_window(windows->spec, entry.key, &window) && slice_equal(window.key, slide->key)) {
            struct seen seen = seen_of(windows, window.start, &entry, op_arena(worker));
            add_seen(slide, capacity, &seen);
        }
    }
}

/* Windows of the key that begin from `first` to `last`, which lie in one segment of the store. */
static int look_into_segment(struct slide *slide, size_t *capacity, int64_t first, int64_t last)
{
    const struct window_table *windows = slide->node->state;
    struct worker *worker = slide->node->worker;
    const struct store_driver *stores = op_store_driver(worker);
    struct store_window from = {slide->key, first, 0}, to = {slide->key, last, 0};
    struct arena *arena = op_arena(worker);
    struct store_cursor *cursor;
    if (stores->range(windows->table.store, store_form_key(windows->spec, &from, arena),
                      store_form_key(windows->spec, &to, arena), false, &cursor, op_error(worker))) {
        return -1;
    }
    int result = take_entries(slide, capacity, cursor);
    stores->end(cursor);
    return result;
}

static int look(struct slide *slide)
{
    const struct window_table *windows = slide->node->state;
    int64_t first = slide->time - slide->difference - slide->difference;
    int64_t last = window_add(slide->time, 1);
    size_t capacity = 0;
    first = first < 0 ? 0 : first;
    while (first <= last) {
        int64_t end = window_add(store_form_segment(windows->spec, first), windows->spec->segment_ms - 1);
        if (look_into_segment(slide, &capacity, first, end < last ? end : last)) {
            return -1;
        }
        if (end == INT64_MAX) {
            return 0;
        }
        first = end + 1;
    }
    return 0;
}

static bool is_seen(const struct slide *slide, int64_t start)
{
    for (size_t i = 0; i < slide->count; i++) {
        if (slide->list[i].start == start) {
            return true;
        }
    }
    return false;
}

/* ---- putting the record in ---- */

/* Makes the window's row of `base` and the record. `exists`: the window is there, with `base` as its row. */
static int put_in(lua_State *L, struct slide *slide, int64_t start, const struct table_row *base, bool exists)
{
    const struct window_table *windows = slide->node->state;
    if (slide->dropped || window_table_is_closed(windows, window_end(&windows->window, start))) {
        return 0;
    }
    int top = lua_gettop(L);
    struct item item = *slide->item;
    struct store_window window = {slide->key, start, 0};
    struct table_row before = exists ? *base : (struct table_row){false, datum_null(windows->table.value_codec), -1};
    struct slice value;
    slide->dropped = !fold_next(L, slide->node, &item, &windows->fold, base ? base->value.bytes : SLICE_NULL, &value);
    if (slide->dropped) {
        return 0;
    }
    if (exists && base->timestamp > item.timestamp) {
        item.timestamp = base->timestamp;
    }
    slide->taken = true;
    int result = window_table_change(slide->node, &item, &window, value, &before);
    lua_settop(L, top);
    return result;
}

/* The window that begins right after the record's time and holds what is already later, as `later` does: no record is
 * added to it. */
static int make_right(struct slide *slide, const struct seen *later)
{
    const struct window_table *windows = slide->node->state;
    struct item item = *slide->item;
    struct store_window window = {slide->key, window_add(slide->time, 1), 0};
    struct table_row before = {false, datum_null(windows->table.value_codec), -1};
    if (slide->dropped) {
        return 0;
    }
    item.timestamp = later->row.timestamp;
    item.headers = windows->final ? &later->headers : item.headers;
    return window_table_change(slide->node, &item, &window, later->row.value.bytes, &before);
}

/* The window that begins right after the record before this one, when this one is the first in it. */
static int make_right_of_previous(lua_State *L, struct slide *slide, int64_t previous)
{
    int64_t start = previous + 1;
    if (previous < 0 || is_seen(slide, start) || window_add(start, slide->difference) < slide->time) {
        return 0;
    }
    return put_in(L, slide, start, NULL, false);
}

/* ---- in general ---- */

/* What the windows that are there say about the record's neighbours. */
struct neighbours {
    int64_t previous;             /* time of the record before; -1: none */
    const struct table_row *left; /* of the last window that ends before the record */
    const struct seen *right;     /* the last window that holds it and ends after it */
    bool left_exists;             /* the window that ends with the record */
    bool right_exists;            /* the window that begins after it */
};

static int visit(lua_State *L, struct slide *slide, const struct seen *seen, struct neighbours *near)
{
    int64_t end = window_add(seen->start, slide->difference);
    if (seen->start > slide->time) {
        near->right_exists = true;
        return 0;
    }
    if (end < slide->time) {
        near->left = &seen->row;
        near->previous = seen->row.timestamp;
        return 0;
    }
    if (end > slide->time) {
        near->right = seen;
    } else {
        near->left_exists = true;
        near->previous = seen->row.timestamp < slide->time ? seen->row.timestamp : near->previous;
    }
    return put_in(L, slide, seen->start, &seen->row, true);
}

static int slide_through(lua_State *L, struct slide *slide)
{
    struct neighbours near = {.previous = -1};
    for (size_t i = 0; i < slide->count; i++) {
        if (visit(L, slide, &slide->list[i], &near)) {
            return -1;
        }
    }
    if (make_right_of_previous(L, slide, near.previous)) {
        return -1;
    }
    if (!near.left_exists) {
        int64_t start = slide->time - slide->difference;
        bool filled = near.left && start <= near.previous;
        if (put_in(L, slide, start, filled ? near.left : NULL, false)) {
            return -1;
        }
    }
    bool later = near.right && near.right->row.timestamp > slide->time;
    return !near.right_exists && later ? make_right(slide, near.right) : 0;
}

/* ---- near the beginning of time ---- */

/* Records before `difference` share one window that begins at 0. */
static int slide_early(lua_State *L, struct slide *slide)
{
    const struct seen *combined = NULL, *right = NULL;
    bool right_exists = false;
    for (size_t i = 0; i < slide->count; i++) {
        const struct seen *seen = &slide->list[i];
        if (seen->start == 0) {
            combined = seen;
        } else if (seen->start > slide->time) {
            right_exists = true;
        } else {
            right = seen;
            if (put_in(L, slide, seen->start, &seen->row, true)) {
                return -1;
            }
        }
    }
    if (!right && combined && combined->row.timestamp > slide->time) {
        right = combined;
    }
    if (!right_exists && right && right->row.timestamp > slide->time && make_right(slide, right)) {
        return -1;
    }
    bool previous = combined && combined->row.timestamp < slide->time;
    if (previous && make_right_of_previous(L, slide, combined->row.timestamp)) {
        return -1;
    }
    return put_in(L, slide, 0, combined ? &combined->row : NULL, combined != NULL);
}

/* ---- a record ---- */

int window_sliding_body(lua_State *L, struct node *node, struct item *item)
{
    const struct window_table *windows = node->state;
    struct slide slide = {.node = node, .item = item, .time = item->timestamp, .difference = windows->window.size};
    if (!window_table_take(node, item, &slide.key) || !window_table_share(L, node, item)) {
        return 0;
    }
    if (window_table_observe(node, item)) {
        return -1;
    }
    if (window_table_is_closed(windows, window_add(slide.time, slide.difference))) {
        window_table_late(node, item);
        return 0;
    }
    if (look(&slide) || (slide.time < slide.difference ? slide_early(L, &slide) : slide_through(L, &slide))) {
        return -1;
    }
    if (!slide.taken && !slide.dropped) {
        window_table_late(node, item);
    }
    return 0;
}
