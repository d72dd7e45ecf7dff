#include "operators/window_table.h"

#include <stdlib.h>

#include "base/memory.h"

/* Shorter than 8 bytes, so that it never expires (engine/store.h). */
#define TIME_KEY slice_of("t", 1)

#define IDLE_LOOKS 4 /* how often within idle_after the clock is looked at */

/* ---- options ---- */

static enum window_kind kind_of(lua_State *L, int options)
{
    static const char *const names[] = {
        [WINDOW_TIME] = "time", [WINDOW_SLIDING] = "sliding", [WINDOW_SESSION] = "session"};
    const char *kind = operator_text(L, options, "kind");
    for (int i = 0; kind && i <= WINDOW_SESSION; i++) {
        if (strcmp(kind, names[i]) == 0) {
            return (enum window_kind)i;
        }
    }
    luaL_error(L, "there are no windows of the kind %s", kind ? kind : "nil");
    return WINDOW_TIME;
}

static int64_t time_option(lua_State *L, int options, const char *field)
{
    lua_getfield(L, options, field);
    int64_t time = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return time;
}

/* What the DSL has checked. */
void window_table_bind_window(lua_State *L, int options, struct window *window)
{
    luaL_checktype(L, options, LUA_TTABLE);
    *window = (struct window){
        .kind = kind_of(L, options),
        .size = time_option(L, options, "size"),
        .advance = time_option(L, options, "advance"),
        .grace = time_option(L, options, "grace"),
        .retention = time_option(L, options, "retention"),
        .idle_after = time_option(L, options, "idle_after"),
    };
}

static struct slice place(struct node *node, struct slice key)
{
    const struct window_table *windows = node->state;
    return window_key_place(windows->spec, key, op_arena(node->worker));
}

void window_table_bind(lua_State *L, struct node *node, int options, enum fold_kind kind, struct window_table *windows)
{
    struct table *table = &windows->table;
    table_bind(L, node, options, table);
    table->place = place;
    fold_bind(L, options, kind, table->value_codec, table->store_name, &windows->fold);
    windows->record_codec = operator_codec(L, options, "record_codec", &codec_string);
    call_bind(L, options, "on_late", false, &windows->on_late);
    const char *emit = operator_text(L, options, "emit");
    windows->final = emit && strcmp(emit, "final") == 0;
    table->headers = windows->final;
    lua_getfield(L, options, "window");
    window_table_bind_window(L, lua_gettop(L), &windows->window);
    lua_pop(L, 1);
}

/* ---- final results ---- */

static bool is_session(const struct window_table *windows)
{
    return windows->spec->kind == STORE_SESSION;
}

static int64_t end_of(const struct window_table *windows, const struct store_window *window)
{
    return is_session(windows) ? window->end : window_end(&windows->window, window->start);
}

/* `cause` is what closed the window. */
static int emit_final(struct node *node, const struct item *cause, struct slice key, const struct store_entry *entry)
{
    const struct window_table *windows = node->state;
    struct arena *arena = op_arena(node->worker);
    struct headers headers = {NULL, 0};
    struct slice value = arena_copy(arena, entry->value);
    store_form_parse_value(value, &headers, &value, arena);
    struct item item = {.key = datum_of_bytes(windows->table.key_codec, key),
                        .value = datum_of_bytes(windows->table.value_codec, value),
                        .old = datum_null(windows->table.value_codec),
                        .change = true,
                        .timestamp = entry->timestamp,
                        .headers = &headers,
                        .source = cause->source};
    return op_forward(node, &item);
}

static struct slice start_key(struct node *node, int64_t start)
{
    struct store_window window = {slice_of("", 0), start, 0};
    const struct window_table *windows = node->state;
    return store_form_key(windows->spec, &window, op_arena(node->worker));
}

static int emit_range(struct node *node, const struct item *cause, struct store_cursor *cursor, int64_t last)
{
    const struct window_table *windows = node->state;
    struct worker *worker = node->worker;
    struct store_window window;
    struct store_entry entry;
    bool found;
    for (;;) {
        if (op_store_driver(worker)->next(cursor, &found, &entry, op_error(worker))) {
            return -1;
        }
        if (!found || !store_form_window(windows->spec, entry.key, &window) || window.start > last) {
            return 0;
        }
        struct slice key = store_form_windowed(false, &window, op_arena(worker));
        if (emit_final(node, cause, key, &entry)) {
            return -1;
        }
    }
}

/* Windows that lie by their start, with an end in (after, last]: in order of start, then key (S42). */
static int emit_starts(struct node *node, const struct item *cause, int64_t after, int64_t last)
{
    const struct window_table *windows = node->state;
    int64_t advance = windows->window.advance;
    int64_t last_start = last - windows->window.size;
    int64_t first_start = after - windows->window.size + 1;
    first_start = first_start < 0 ? 0 : (first_start - 1 + advance) / advance * advance;
    if (last_start < 0 || first_start > last_start) {
        return 0;
    }
    struct worker *worker = node->worker;
    const struct store_driver *stores = op_store_driver(worker);
    struct store_cursor *cursor;
    if (stores->range(windows->table.store, start_key(node, first_start), start_key(node, last_start + 1), false,
                      &cursor, op_error(worker))) {
        return -1;
    }
    int result = emit_range(node, cause, cursor, last_start);
    stores->end(cursor);
    return result;
}

int window_table_emit(struct node *node, const struct item *cause, const struct store_window *window)
{
    const struct window_table *windows = node->state;
    struct worker *worker = node->worker;
    struct slice key = store_form_windowed(is_session(windows), window, op_arena(worker));
    struct store_entry entry;
    bool found;
    if (op_store_driver(worker)->get(windows->table.store, place(node, key), &found, &entry, op_error(worker))) {
        return -1;
    }
    return found ? emit_final(node, cause, key, &entry) : 0;
}

/* Takes the first window out that ends at `last` or before; one that waits several times comes once. False: there is
 * none. */
static bool take_waiting(struct window_table *windows, int64_t last, struct arena *arena, struct slice *key)
{
    int64_t end;
    struct slice first;
    if (!time_queue_first(&windows->queue, &end, &first) || end > last) {
        return false;
    }
    *key = arena_copy(arena, first);
    do {
        time_queue_pop(&windows->queue);
    } while (time_queue_first(&windows->queue, &end, &first) && slice_equal(first, *key));
    return true;
}

/* Windows that lie by key. */
static int emit_waiting(struct node *node, const struct item *cause, int64_t last)
{
    struct window_table *windows = node->state;
    struct worker *worker = node->worker;
    struct store_entry entry;
    struct slice key;
    bool found;
    while (take_waiting(windows, last, op_arena(worker), &key)) {
        if (op_store_driver(worker)->get(windows->table.store, place(node, key), &found, &entry, op_error(worker)) ||
            (found && emit_final(node, cause, key, &entry))) {
            return -1;
        }
    }
    return 0;
}

static int emit_finals(struct node *node, const struct item *cause, int64_t before)
{
    const struct window_table *windows = node->state;
    int64_t last = window_closed_end(&windows->window, windows->time);
    if (windows->queued) {
        return emit_waiting(node, cause, last);
    }
    return emit_starts(node, cause, window_closed_end(&windows->window, before), last);
}

/* ---- time ---- */

/* What is held back for the commit goes out before its rows are dropped. */
static int expire(struct node *node)
{
    struct window_table *windows = node->state;
    int64_t boundary = window_expiry(&windows->window, windows->time);
    boundary = boundary > 0 ? store_form_segment(windows->spec, boundary) : 0;
    if (boundary <= windows->expired) {
        return 0;
    }
    windows->expired = boundary;
    struct worker *worker = node->worker;
    if (table_flush_now(node)) {
        return -1;
    }
    return op_store_driver(worker)->expire(windows->table.store, boundary, op_error(worker));
}

static int move_time(struct node *node, const struct item *cause, int64_t time)
{
    struct window_table *windows = node->state;
    int64_t before = windows->time;
    windows->time = time;
    if (windows->advance) {
        return windows->advance(node, cause);
    }
    if (windows->final && emit_finals(node, cause, before)) {
        return -1;
    }
    return expire(node);
}

int window_table_observe(struct node *node, const struct item *item)
{
    struct window_table *windows = node->state;
    if (windows->window.idle_after > 0) {
        windows->active_ms = op_wall_time(node->worker);
    }
    windows->latest = item->timestamp > windows->latest ? item->timestamp : windows->latest;
    return item->timestamp > windows->time ? move_time(node, item, item->timestamp) : 0;
}

/* The time at which every window is closed that there can be now. */
static int64_t idle_time(const struct window_table *windows)
{
    const struct window *window = &windows->window;
    switch (window->kind) {
    case WINDOW_TIME:
        return window_closing_time(window, window_end(window, window_last_start(window, windows->latest)));
    case WINDOW_SLIDING:
        return window_closing_time(window, window_end(window, windows->latest));
    default:
        return window_closing_time(window, windows->latest);
    }
}

/* From then on records for these windows are late: there is one boundary. */
static int close_idle(struct node *node, void *data, int64_t now)
{
    const struct window_table *windows = data;
    static const struct headers none = {NULL, 0};
    const struct item cause = {.headers = &none};
    if (windows->time < 0 || now - windows->active_ms < windows->window.idle_after) {
        return 0;
    }
    int64_t time = idle_time(windows);
    return time > windows->time ? move_time(node, &cause, time) : 0;
}

/* ---- life ---- */

static int read_time(struct node *node)
{
    struct window_table *windows = node->state;
    struct worker *worker = node->worker;
    struct store_entry entry;
    bool found;
    if (op_store_driver(worker)->get(windows->table.store, TIME_KEY, &found, &entry, op_error(worker))) {
        return -1;
    }
    windows->time = windows->latest = -1;
    if (found) {
        struct bytes_reader reader = bytes_reader_of(entry.value);
        windows->time = (int64_t)bytes_take_u64(&reader);
        windows->latest = (int64_t)bytes_take_u64(&reader);
    }
    windows->saved_time = windows->time;
    windows->saved_latest = windows->latest;
    return 0;
}

static int save_time(struct node *node)
{
    struct window_table *windows = node->state;
    struct worker *worker = node->worker;
    unsigned char room[2 * sizeof(uint64_t)];
    struct bytes value = {room, 0, sizeof(room)};
    bytes_append_u64(&value, (uint64_t)windows->time);
    bytes_append_u64(&value, (uint64_t)windows->latest);
    windows->saved_time = windows->time;
    windows->saved_latest = windows->latest;
    return op_store_driver(worker)->put(windows->table.store, TIME_KEY, bytes_slice(&value), windows->time,
                                        op_error(worker));
}

/* The windows that are open go into the queue. */
static int fill_queue(struct node *node, struct store_cursor *cursor)
{
    struct window_table *windows = node->state;
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
        if (store_form_window(windows->spec, entry.key, &window) &&
            !window_table_is_closed(windows, end_of(windows, &window))) {
            struct slice key = store_form_windowed(is_session(windows), &window, op_arena(worker));
            time_queue_push(&windows->queue, end_of(windows, &window), key);
        }
    }
}

static int open_queue(struct node *node)
{
    struct window_table *windows = node->state;
    struct worker *worker = node->worker;
    const struct store_driver *stores = op_store_driver(worker);
    struct store_cursor *cursor;
    windows->queued = true;
    if (stores->once(windows->table.store, &cursor, op_error(worker))) {
        return -1;
    }
    int result = fill_queue(node, cursor);
    stores->end(cursor);
    return result;
}

int window_table_open(struct node *node)
{
    struct window_table *windows = node->state;
    if (table_open(node)) {
        return -1;
    }
    windows->spec = op_store_spec(node, windows->table.store_name);
    windows->active_ms = op_wall_time(node->worker);
    if (read_time(node) || (windows->time >= 0 && !windows->advance && expire(node))) {
        return -1;
    }
    int64_t idle_after = windows->window.idle_after;
    if (idle_after > 0) {
        int64_t interval = idle_after < IDLE_LOOKS ? 1 : idle_after / IDLE_LOOKS;
        op_every(node, TIME_WALL, interval, close_idle, windows);
    }
    return windows->final && windows->spec->by_key ? open_queue(node) : 0;
}

int window_table_flush(struct node *node)
{
    const struct window_table *windows = node->state;
    bool moved = windows->time != windows->saved_time || windows->latest != windows->saved_latest;
    if (moved && save_time(node)) {
        return -1;
    }
    return table_flush(node);
}

void window_table_close(struct node *node)
{
    struct window_table *windows = node->state;
    time_queue_free(&windows->queue);
    table_close(node);
}

/* ---- records ---- */

bool window_table_take(struct node *node, struct item *item, struct slice *key)
{
    const struct window_table *windows = node->state;
    if (item->key.null || item->value.null) {
        op_drop(node, item->key.null ? DROP_NULL_KEY : DROP_NULL_VALUE, item);
        return false;
    }
    if (item->timestamp < 0) {
        op_drop(node, DROP_NEGATIVE_TIME, item);
        return false;
    }
    return flow_encode(node, item, &item->key, windows->record_codec, key);
}

/* A table that an operator before made has no protection against changes, a view has (datum_slot). */
bool window_table_share(lua_State *L, struct node *node, struct item *item)
{
    const struct fold *fold = &((const struct window_table *)node->state)->fold;
    if (fold->kind == FOLD_COUNT) {
        return true;
    }
    if (item->value.slot != 0 && lua_istable(L, item->value.slot)) {
        struct slice bytes;
        if (!flow_encode(node, item, &item->value, item->value.codec, &bytes)) {
            return false;
        }
        item->value.slot = 0;
    }
    if (fold->add.parameters > 1) {
        datum_slot(L, &item->value);
    }
    if (fold->kind == FOLD_AGGREGATE && fold->add.parameters > 0) {
        datum_slot(L, &item->key);
    }
    return true;
}

void window_table_late(struct node *node, struct item *item)
{
    const struct window_table *windows = node->state;
    if (call_given(&windows->on_late)) {
        call_item(node, item, &windows->on_late, 0);
    } else {
        op_drop(node, DROP_LATE, item);
    }
}

int window_table_read(struct node *node, const struct store_window *window, struct table_row *row)
{
    const struct window_table *windows = node->state;
    return table_read(node, store_form_windowed(is_session(windows), window, op_arena(node->worker)), row);
}

/* Kept with the headers of the record until its window closes. */
static int keep_final(struct node *node, const struct item *item, const struct store_window *window, struct slice value,
                      const struct table_row *before)
{
    struct window_table *windows = node->state;
    struct worker *worker = node->worker;
    struct arena *arena = op_arena(worker);
    if (!slice_is_null(value)) {
        value = store_form_value(item->headers, value, arena);
    }
    if (windows->queued && !before->found && !slice_is_null(value)) {
        time_queue_push(&windows->queue, end_of(windows, window),
                        store_form_windowed(is_session(windows), window, arena));
    }
    return op_store_driver(worker)->put(windows->table.store, store_form_key(windows->spec, window, arena), value,
                                        item->timestamp, op_error(worker));
}

int window_table_change(struct node *node, struct item *item, const struct store_window *window, struct slice value,
                        const struct table_row *before)
{
    const struct window_table *windows = node->state;
    if (windows->final) {
        return keep_final(node, item, window, value, before);
    }
    struct slice key = store_form_windowed(is_session(windows), window, op_arena(node->worker));
    item->key = datum_of_bytes(windows->table.key_codec, key);
    return table_change(node, item, key, value, before);
}
