/* count, reduce and aggregate of grouped streams by sessions: records of a key that are no further apart than the gap.
 *
 * A record that joins sessions makes one of them and itself: the old ones get tombstones, by time, and then the new one
 * comes (S39). The rows are in a store of sessions; which there are is kept in memory (session_index.h). */
#include "operators/session_aggregate.h"
#include "operators/all.h"
#include "operators/session_index.h"
#include "operators/window_table.h"

#include "base/memory.h"

/* Sessions are kept for so long at least after they have closed: a record that joins an open session may join one with
 * it that has closed before. */
#define LEAST_KEEP_MS 60000

struct session_aggregate {
    struct window_table windows;
    struct session_index *index; /* while the operator is open */
    bool early;                  /* a suppress is behind it (session_aggregate.h) */
};

/* A session that the record joins. */
struct joined {
    struct store_window window;
    struct table_row row;
};

/* Updates of sessions have none, as in Kafka Streams; final results have those of the last record (D18). */
static const struct headers no_headers = {NULL, 0};

static int64_t closed_end(const struct session_aggregate *sessions)
{
    return window_closed_end(&sessions->windows.window, sessions->windows.time);
}

/* ---- time ---- */

/* The row of a session that nothing can join any more, and that need not be readable any more. */
static int forget(struct node *node, const struct store_window *window)
{
    const struct session_aggregate *sessions = node->state;
    const struct window_table *windows = &sessions->windows;
    struct worker *worker = node->worker;
    if (table_flush_now(node)) { /* what is held back for the commit looks at the rows */
        return -1;
    }
    struct slice key = store_form_key(windows->spec, window, op_arena(worker));
    return op_store_driver(worker)->put(windows->table.store, key, SLICE_NULL, windows->time, op_error(worker));
}

static int close_sessions(struct node *node, const struct item *cause)
{
    struct session_aggregate *sessions = node->state;
    enum session_event event;
    struct session session;
    struct slice key;
    while ((event = session_index_due(sessions->index, closed_end(sessions), &key, &session)) != SESSION_NONE) {
        struct store_window window = {arena_copy(op_arena(node->worker), key), session.start, session.end};
        if (event == SESSION_CLOSED ? window_table_emit(node, cause, &window) : forget(node, &window)) {
            return -1;
        }
    }
    return 0;
}

/* ---- values ---- */

static struct slice count_sessions(lua_State *L, struct node *node, const struct joined *joined, size_t count)
{
    const struct fold *fold = &((const struct session_aggregate *)node->state)->windows.fold;
    int64_t sum = 1;
    for (size_t i = 0; i < count; i++) {
        sum += fold_count(L, fold, joined[i].row.value.bytes);
    }
    return fold_count_bytes(node, sum);
}

/* add(merge(... merge(init, first) ..., last), record), S40. False: the record was dropped. */
static bool fold_sessions(lua_State *L, struct node *node, struct item *item, const struct joined *joined, size_t count,
                          struct slice *value)
{
    const struct fold *fold = &((const struct session_aggregate *)node->state)->windows.fold;
    if (fold->kind == FOLD_COUNT) {
        *value = count_sessions(L, node, joined, count);
        return true;
    }
    if (fold->kind == FOLD_AGGREGATE) {
        datum_slot(L, &item->key); /* for merge */
    }
    if (!fold_begin(L, node, item, fold)) {
        return false;
    }
    int agg = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        if (joined[i].row.found) {
            fold_load(L, fold, joined[i].row.value.bytes);
            if (!fold_merge(L, node, item, fold, agg)) {
                return false;
            }
        }
    }
    return fold_add(L, node, item, fold, agg) && fold_store(L, node, item, fold, lua_gettop(L), value);
}

/* ---- records ---- */

/* What the record makes of the sessions of the place. */
static struct session merge(const struct session_place *place, int64_t time)
{
    struct session merged = {time, time};
    for (size_t i = 0; i < place->count; i++) {
        struct session session = session_index_at(place, i);
        merged.start = session.start < merged.start ? session.start : merged.start;
        merged.end = session.end > merged.end ? session.end : merged.end;
    }
    return merged;
}

/* Reads the rows of the sessions of the place. */
static int read_joined(struct node *node, struct slice key, const struct session_place *place, struct joined *joined)
{
    for (size_t i = 0; i < place->count; i++) {
        struct session session = session_index_at(place, i);
        joined[i].window = (struct store_window){key, session.start, session.end};
        if (window_table_read(node, &joined[i].window, &joined[i].row)) {
            return -1;
        }
    }
    return 0;
}

/* Whether what the record makes is closed. Where a suppress is behind, sessions that it has let go stay as they are;
 * one that is new to it is not late yet. */
static bool is_late(const struct session_aggregate *sessions, size_t joined, int64_t end)
{
    int64_t early = sessions->early && joined > 0 ? SESSION_AGGREGATE_EARLY : 0;
    return end <= closed_end(sessions) + early;
}

static int bury(struct node *node, const struct item *item, const struct joined *joined)
{
    struct item gone = *item;
    gone.timestamp = joined->window.end; /* S22 */
    gone.headers = &no_headers;
    return window_table_change(node, &gone, &joined->window, SLICE_NULL, &joined->row);
}

/* The old sessions and the new one. One that was and stays a point in time is only changed (S39). */
static int write(struct node *node, struct item *item, const struct joined *joined, size_t count,
                 const struct store_window *window, struct slice value)
{
    const struct session_aggregate *sessions = node->state;
    struct table_row before = {false, datum_null(sessions->windows.table.value_codec), -1};
    if (count > 0 && window->start == window->end) {
        before = joined[0].row;
        count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (bury(node, item, &joined[i])) {
            return -1;
        }
    }
    item->timestamp = window->end;
    if (!sessions->windows.final) {
        item->headers = &no_headers;
    }
    return window_table_change(node, item, window, value, &before);
}

static int session_body(lua_State *L, struct node *node, struct item *item)
{
    struct session_aggregate *sessions = node->state;
    struct slice key, value;
    if (!window_table_take(node, item, &key)) {
        return 0;
    }
    if (window_table_observe(node, item)) {
        return -1;
    }
    struct session_place place = session_index_find(sessions->index, key, item->timestamp);
    struct session merged = merge(&place, item->timestamp);
    if (is_late(sessions, place.count, merged.end)) {
        window_table_late(node, item);
        return 0;
    }
    struct joined *joined = arena_alloc(op_arena(node->worker), (place.count + 1) * sizeof(*joined));
    if (read_joined(node, key, &place, joined)) {
        return -1;
    }
    if (!fold_sessions(L, node, item, joined, place.count, &value)) {
        return 0;
    }
    session_index_replace(sessions->index, key, &place, slice_is_null(value) ? NULL : &merged, closed_end(sessions));
    struct store_window window = {key, merged.start, merged.end};
    return write(node, item, joined, place.count, &window, value);
}

static int session_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, session_body);
}

/* ---- what the next records need ---- */

/* Most records join the last session of their key. */
static void look_ahead(struct node *node, const struct slice *keys, size_t count)
{
    const struct session_aggregate *sessions = node->state;
    struct arena *arena = op_arena(node->worker);
    struct slice *rows = arena_alloc(arena, count * sizeof(*rows));
    struct session session;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        session_index_prefetch(sessions->index, keys[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (session_index_last(sessions->index, keys[i], &session)) {
            struct store_window window = {keys[i], session.start, session.end};
            rows[found++] = store_form_key(sessions->windows.spec, &window, arena);
        }
    }
    op_store_driver(node->worker)->prefetch(sessions->windows.table.store, rows, found);
}

/* ---- life ---- */

static int fill_index(struct node *node, struct store_cursor *cursor)
{
    const struct session_aggregate *sessions = node->state;
    struct worker *worker = node->worker;
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
        if (store_form_window(sessions->windows.spec, entry.key, &window)) {
            struct session session = {window.start, window.end};
            struct session_place place = session_index_find(sessions->index, window.key, window.start);
            session_index_replace(sessions->index, window.key, &place, &session, closed_end(sessions));
        }
    }
}

static int64_t longest(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

static int session_open(struct node *node)
{
    struct session_aggregate *sessions = node->state;
    const struct window *window = &sessions->windows.window;
    struct worker *worker = node->worker;
    if (window_table_open(node)) {
        return -1;
    }
    int64_t readable = window->retention - window_closing_time(window, 0); /* behind their closing */
    int64_t keep = longest(longest(readable, window_add(window->size, window->size)), LEAST_KEEP_MS);
    sessions->index = session_index_new(window->size, keep, sessions->windows.final);
    const struct store_driver *stores = op_store_driver(worker);
    struct store_cursor *cursor;
    if (stores->once(sessions->windows.table.store, &cursor, op_error(worker))) {
        return -1;
    }
    int result = fill_index(node, cursor);
    stores->end(cursor);
    op_look_ahead_by(node, look_ahead);
    return result;
}

static void session_close(struct node *node)
{
    struct session_aggregate *sessions = node->state;
    session_index_free(sessions->index);
    window_table_close(node);
}

bool session_aggregate_is(const struct node *node)
{
    return node->op->process == session_process;
}

void session_aggregate_close_early(struct node *node)
{
    struct session_aggregate *sessions = node->state;
    sessions->early = true;
}

static void create(lua_State *L, struct node *node, int options, enum fold_kind kind)
{
    struct session_aggregate *sessions = memory_alloc(sizeof(*sessions));
    node->state = sessions;
    window_table_bind(L, node, options, kind, &sessions->windows);
    sessions->windows.advance = close_sessions;
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

const struct operator operator_session_count = {
    .op = {.kind = "session_count",
           .open = session_open,
           .process = session_process,
           .flush = window_table_flush,
           .close = session_close},
    .usage = "grouped:windowed_by(tm.session(gap, o)):count { store [, emit, on_late, changelog, name, on_error] }",
    .text =
        "A table with the number of records of each key in each session: records no further apart than gap. Keys of "
        "the table are { key, window_start, window_end } with the times of the first and the last record. A session "
        "that grows or merges with others gets another key: tombstones for the old ones, then the new one. A record "
        "is late when what it would make has ended more than gap + grace ago. What the options say, windows have "
        "too.",
    .create = count_create,
};

const struct operator operator_session_reduce = {
    .op = {.kind = "session_reduce",
           .open = session_open,
           .process = session_process,
           .flush = window_table_flush,
           .close = session_close},
    .usage = "grouped:windowed_by(tm.session(gap, o)):reduce { store, add = function(agg, value, rec) return agg end "
             "[, emit, on_late, key, value, changelog, name, on_error] }",
    .text = "A table with one value of each key in each session; sessions that become one are merged with add. nil "
            "deletes the session.",
    .create = reduce_create,
};

const struct operator operator_session_aggregate = {
    .op = {.kind = "session_aggregate",
           .open = session_open,
           .process = session_process,
           .flush = window_table_flush,
           .close = session_close},
    .usage = "grouped:windowed_by(tm.session(gap, o)):aggregate { store, init = function() return agg end, "
             "add = function(key, value, agg, rec) return agg end, merge = function(key, one, two) return agg end "
             "[, emit, on_late, key, value, changelog, name, on_error] }",
    .text =
        "A table with one aggregate of each key in each session: add(key, value, agg) of what merge makes of init() "
        "and each session that the record joins, by time. nil deletes the session.",
    .create = aggregate_create,
};
