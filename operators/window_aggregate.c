/* count, reduce and aggregate of grouped streams by tumbling, hopping and sliding windows. */
#include "operators/all.h"
#include "operators/window_sliding.h"
#include "operators/window_table.h"

#include "base/memory.h"

/* ---- tumbling and hopping windows ---- */

/* False with *result 0: a callback failed, and the policy dropped the record. */
static bool add_to_window(lua_State *L, struct node *node, const struct item *record, const struct store_window *window,
                          int *result)
{
    const struct window_table *windows = node->state;
    struct item item = *record;
    struct table_row row;
    struct slice value;
    int top = lua_gettop(L);
    *result = window_table_read(node, window, &row);
    if (*result || !fold_next(L, node, &item, &windows->fold, row.value.bytes, &value)) {
        return false;
    }
    if (row.found && row.timestamp > item.timestamp) {
        item.timestamp = row.timestamp; /* S22 */
    }
    *result = window_table_change(node, &item, window, value, &row);
    lua_settop(L, top);
    return *result == 0;
}

static int time_body(lua_State *L, struct node *node, struct item *item)
{
    const struct window_table *windows = node->state;
    const struct window *window = &windows->window;
    struct store_window at = {0};
    if (!window_table_take(node, item, &at.key)) {
        return 0;
    }
    if (window_table_observe(node, item)) {
        return -1;
    }
    at.start = window_first_start(window, item->timestamp);
    int64_t last = window_last_start(window, item->timestamp);
    if (at.start != last && !window_table_share(L, node, item)) {
        return 0;
    }
    if (window_table_is_closed(windows, window_end(window, last))) {
        window_table_late(node, item);
        return 0;
    }
    for (;; at.start += window->advance) {
        int result;
        if (!window_table_is_closed(windows, window_end(window, at.start)) &&
            !add_to_window(L, node, item, &at, &result)) {
            return result;
        }
        if (at.start == last) {
            return 0;
        }
    }
}

/* ---- operators ---- */

static int process(struct node *node, int parent, struct item *item)
{
    const struct window_table *windows = node->state;
    return flow_run(node, parent, item, windows->window.kind == WINDOW_SLIDING ? window_sliding_body : time_body);
}

static void create(lua_State *L, struct node *node, int options, enum fold_kind kind)
{
    struct window_table *windows = memory_alloc(sizeof(*windows));
    node->state = windows;
    window_table_bind(L, node, options, kind, windows);
}

static void count_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, FOLD_COUNT);
}

static void reduce_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, FOLD_REDUCE);
}

static void aggregate_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, FOLD_AGGREGATE);
}

const struct operator operator_window_count = {
    .op = {.kind = "window_count",
           .open = window_table_open,
           .process = process,
           .flush = window_table_flush,
           .close = window_table_close},
    .usage = "grouped:windowed_by(window):count { store [, emit, on_late, changelog, name, on_error] }",
    .text =
        "A table with the number of records of each key in each window: window is tm.tumbling(size, o), "
        "tm.hopping(size, advance, o) or tm.sliding(difference, o), with grace, retention and idle_after in o. Keys "
        "of the table are { key, window_start, window_end }. emit is \"update\" (each change), \"commit\" (the last "
        "change of each window at the commit) or \"final\" (once, when the window closes). Late records are dropped "
        "and counted, or given to on_late = function(key, value, rec).",
    .create = count_create,
};

const struct operator operator_window_reduce = {
    .op = {.kind = "window_reduce",
           .open = window_table_open,
           .process = process,
           .flush = window_table_flush,
           .close = window_table_close},
    .usage = "grouped:windowed_by(window):reduce { store, add = function(agg, value, rec) return agg end "
             "[, emit, on_late, key, value, changelog, name, on_error] }",
    .text = "A table with one value of each key in each window: the first one, then what add makes of it and each next "
            "one. nil deletes the row.",
    .create = reduce_create,
};

const struct operator operator_window_aggregate = {
    .op = {.kind = "window_aggregate",
           .open = window_table_open,
           .process = process,
           .flush = window_table_flush,
           .close = window_table_close},
    .usage = "grouped:windowed_by(window):aggregate { store, init = function() return agg end, "
             "add = function(key, value, agg, rec) return agg end [, emit, on_late, key, value, changelog, name, "
             "on_error] }",
    .text = "A table with one aggregate of each key in each window, begun by init and carried on by add. nil deletes "
            "the row.",
    .create = aggregate_create,
};
