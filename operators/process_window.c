#include "operators/process_window.h"

#include "engine/store_form.h"
#include "operators/process_context.h"
#include "operators/process_store.h"
#include "scripts/windowed_key.h"

/* Under this key lies the newest time, 8 bytes big-endian; keys so short have no window (store_form.h). */
#define NEWEST_KEY "newest"

static struct err *error_of(const struct process_store *store)
{
    return op_error(store->process->node->worker);
}

static const struct store_driver *driver_of(const struct process_store *store)
{
    return op_store_driver(store->process->node->worker);
}

static struct arena *arena_of(const struct process_store *store)
{
    return op_arena(store->process->node->worker);
}

/* What retention counts by: the start of a window, the end of a session. */
static int64_t time_of(const struct process_store *store, const struct store_window *window)
{
    return store->kind == STORE_SESSION ? window->end : window->start;
}

static bool is_seen(const struct process_store *store, const struct store_window *window)
{
    return store->read_only || store->newest - time_of(store, window) < store->retention_ms;
}

/* ---- the store's time ---- */

int process_window_open(struct process_store *store)
{
    struct store_entry entry;
    bool found;
    store->key_codec = store->inner_codec;
    if (store->read_only) {
        return 0;
    }
    if (driver_of(store)->get(store->store, slice_text(NEWEST_KEY), &found, &entry, error_of(store))) {
        return -1;
    }
    if (found && entry.value.size == sizeof(uint64_t)) {
        struct bytes_reader reader = bytes_reader_of(entry.value);
        store->newest = (int64_t)bytes_take_u64(&reader);
    }
    return 0;
}

static int note_newest(struct process_store *store, int64_t time)
{
    struct bytes value = {arena_alloc(arena_of(store), sizeof(uint64_t)), 0, sizeof(uint64_t)};
    const struct store_driver *driver = driver_of(store);
    store->newest = time;
    bytes_append_u64(&value, (uint64_t)time);
    if (driver->put(store->store, slice_text(NEWEST_KEY), bytes_slice(&value), time, error_of(store))) {
        return -1;
    }
    int64_t oldest = time - store->retention_ms;
    int64_t segment = oldest > 0 ? store_form_segment(store->spec, oldest) : 0;
    if (segment <= store->expired) {
        return 0;
    }
    store->expired = segment;
    return driver->expire(store->store, segment, error_of(store));
}

/* ---- writing ---- */

static int64_t time_argument(lua_State *L, const struct process_store *store, int index, const char *method,
                             const char *part)
{
    int whole = 0;
    int64_t time = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
    if (!whole || time < 0) {
        luaL_error(L, "%s of the store \"%s\" needs the %s in milliseconds from 0, got %s", method, store->name, part,
                   luaL_tolstring(L, index, NULL));
    }
    return time;
}

/* The window that the arguments from `first` on name; its key lies in the arena. */
static struct store_window window_argument(lua_State *L, const struct process_store *store, int first,
                                           const char *method)
{
    struct store_window window = {.key = arena_copy(arena_of(store), process_store_key(L, store, 2, method))};
    window.start = time_argument(L, store, first, method, "start");
    if (store->kind == STORE_SESSION) {
        window.end = time_argument(L, store, first + 1, method, "end");
        if (window.end < window.start) {
            luaL_error(L, "%s of the store \"%s\": the session ends before it starts", method, store->name);
        }
    }
    return window;
}

static void drop_late(const struct process_store *store)
{
    const struct process *process = store->process;
    static const struct headers none = {NULL, 0};
    struct item item = {.timestamp = process_context_time(process), .headers = &none};
    op_drop(process->node, DROP_LATE, process->phase == PROCESS_RECORD ? process->item : &item);
}

static int write_window(lua_State *L, struct process_store *store, const struct store_window *window,
                        struct slice value)
{
    int64_t time = time_of(store, window);
    if (time > store->newest && note_newest(store, time)) {
        return process_store_raise(L, store);
    }
    if (!is_seen(store, window)) {
        drop_late(store);
        return 0;
    }
    struct slice key = store_form_key(store->spec, window, arena_of(store));
    int64_t now = process_context_time(store->process);
    bool failed = driver_of(store)->put(store->store, key, value, now, error_of(store)) != 0;
    return failed ? process_store_raise(L, store) : 0;
}

/* w:put(key, value, start), s:put(key, value, start, end); nil deletes. */
static int put(lua_State *L, const char *type)
{
    struct process_store *store = process_store_argument(L, type, "put", true);
    struct store_window window = window_argument(L, store, 4, "put");
    return write_window(L, store, &window, process_store_value(L, store, 3));
}

/* ---- reading ---- */

/* The value as it was put; false: a table's row that is none. */
static struct slice plain_value(const struct process_store *store, struct slice stored)
{
    struct slice value = stored;
    if (store->spec->headers && !store_form_parse_value(stored, NULL, &value, arena_of(store))) {
        return SLICE_NULL;
    }
    return value;
}

static int push_one(lua_State *L, struct process_store *store, const struct store_window *window)
{
    struct slice key = store_form_key(store->spec, window, arena_of(store));
    struct store_entry entry;
    bool found;
    if (driver_of(store)->get(store->store, key, &found, &entry, error_of(store))) {
        return process_store_raise(L, store);
    }
    found = found && is_seen(store, window);
    process_store_push_value(L, store, found ? plain_value(store, entry.value) : SLICE_NULL);
    return 1;
}

static void push_window(lua_State *L, const struct process_store *store, const struct store_window *window)
{
    store->key_codec->decode(store->key_codec, L, arena_copy(arena_of(store), window->key));
    bool session = store->kind == STORE_SESSION;
    int64_t end;
    if (session || __builtin_add_overflow(window->start, store->size_ms, &end)) {
        end = session ? window->end : INT64_MAX;
    }
    windowed_key_push(L, window->start, end);
}

/* Which windows an iterator shows. */
struct choice {
    struct slice key;     /* null: of all keys */
    int64_t from, to;     /* windows: starts */
    int64_t earliest_end; /* sessions */
    int64_t latest_start; /* sessions */
    bool starts;          /* shows the start in place of the windowed key */
};

static bool is_chosen(const struct process_store *store, const struct choice *choice, const struct store_window *window)
{
    if (choice->key.data && !slice_equal(choice->key, window->key)) {
        return false;
    }
    if (store->kind == STORE_SESSION) {
        return window->end >= choice->earliest_end && window->start <= choice->latest_start;
    }
    return window->start >= choice->from && window->start <= choice->to;
}

static int push_entry(lua_State *L, const struct process_store *store, const struct store_entry *entry,
                      const void *data)
{
    const struct choice *choice = data;
    struct store_window window;
    if (!store_form_window(store->spec, entry->key, &window) || !is_seen(store, &window) ||
        !is_chosen(store, choice, &window)) {
        return 0;
    }
    struct slice value = arena_copy(arena_of(store), plain_value(store, entry->value));
    if (choice->starts) {
        lua_pushinteger(L, window.start);
    } else {
        push_window(L, store, &window);
    }
    process_store_push_value(L, store, value);
    return 2;
}

/* Bounds in the order of the store: all segments between the two times. */
static struct slice bound(const struct process_store *store, int64_t time)
{
    struct bytes key = {arena_alloc(arena_of(store), sizeof(uint64_t)), 0, sizeof(uint64_t)};
    bytes_append_u64(&key, (uint64_t)time);
    return bytes_slice(&key);
}

/* A cursor for each segment of an own store that lies by key: only the windows of that key are looked at, and of those
 * that begin with it. -1: failed; 0 is no failure. */
static int open_segments(struct process_store *store, const struct choice *choice, struct store_cursor **cursors)
{
    bool session = store->kind == STORE_SESSION;
    int64_t oldest = store->newest - store->retention_ms + 1;
    int64_t first = session ? choice->earliest_end : choice->from;
    int64_t last = session || choice->to > store->newest ? store->newest : choice->to;
    int64_t segment = store_form_segment(store->spec, first > oldest ? first : oldest > 0 ? oldest : 0);
    int count = 0;
    for (; segment <= last && count < PROCESS_CURSORS; segment += store->spec->segment_ms) {
        size_t size = sizeof(uint64_t) + choice->key.size;
        struct bytes prefix = {arena_alloc(arena_of(store), size), 0, size};
        bytes_append_u64(&prefix, (uint64_t)segment);
        bytes_append_slice(&prefix, choice->key);
        if (driver_of(store)->prefix(store->store, bytes_slice(&prefix), &cursors[count++], error_of(store))) {
            return -1;
        }
    }
    return count;
}

static int open_range(struct process_store *store, const struct choice *choice, struct store_cursor **cursor)
{
    bool session = store->kind == STORE_SESSION;
    int64_t first = session ? choice->earliest_end : choice->from;
    struct slice from = bound(store, store_form_segment(store->spec, first));
    struct slice to = session || choice->to == INT64_MAX ? SLICE_NULL : bound(store, choice->to + 1);
    return driver_of(store)->range(store->store, from, to, false, cursor, error_of(store)) ? -1 : 1;
}

/* The segments of an own store are half of its retention or longer, so there are few of them. */
static int iterate(lua_State *L, struct process_store *store, const struct choice *choice)
{
    struct store_cursor *cursors[PROCESS_CURSORS];
    bool by_segments = choice->key.data && !store->read_only;
    int count = by_segments ? open_segments(store, choice, cursors) : open_range(store, choice, cursors);
    if (count < 0) {
        return process_store_raise(L, store);
    }
    return process_store_iterate(L, store, cursors, count, push_entry, choice, sizeof(*choice));
}

/* The key of a choice outlives the call: iterators end with the record, as the arena does. */
static struct slice key_argument(lua_State *L, const struct process_store *store, const char *method)
{
    return arena_copy(arena_of(store), process_store_key(L, store, 2, method));
}

/* ---- window stores ---- */

static int window_put(lua_State *L)
{
    return put(L, PROCESS_STORE_WINDOW);
}

/* w:fetch(key, start) -> value; for start, value in w:fetch(key, from, to), both inclusive. */
static int window_fetch(lua_State *L)
{
    struct process_store *store = process_store_argument(L, PROCESS_STORE_WINDOW, "fetch", false);
    struct choice choice = {.key = key_argument(L, store, "fetch"), .starts = true};
    choice.from = time_argument(L, store, 3, "fetch", "start");
    if (lua_isnoneornil(L, 4)) {
        struct store_window window = {choice.key, choice.from, 0};
        return push_one(L, store, &window);
    }
    choice.to = time_argument(L, store, 4, "fetch", "last start");
    return iterate(L, store, &choice);
}

/* for windowed_key, value in w:fetch_all(from, to), both inclusive */
static int window_fetch_all(lua_State *L)
{
    struct process_store *store = process_store_argument(L, PROCESS_STORE_WINDOW, "fetch_all", false);
    struct choice choice = {.from = time_argument(L, store, 2, "fetch_all", "first start"),
                            .to = time_argument(L, store, 3, "fetch_all", "last start")};
    return iterate(L, store, &choice);
}

/* for windowed_key, value in w:all() */
static int window_all(lua_State *L)
{
    struct process_store *store = process_store_argument(L, PROCESS_STORE_WINDOW, "all", false);
    struct choice choice = {.to = INT64_MAX};
    return iterate(L, store, &choice);
}

const luaL_Reg process_window_methods[] = {
    {"put", window_put}, {"fetch", window_fetch}, {"fetch_all", window_fetch_all}, {"all", window_all}, {NULL, NULL}};

/* ---- session stores ---- */

static struct process_store *session_argument(lua_State *L, const char *method, bool changes)
{
    return process_store_argument(L, PROCESS_STORE_SESSION, method, changes);
}

static int session_put(lua_State *L)
{
    return put(L, PROCESS_STORE_SESSION);
}

/* s:remove(key, start, end) */
static int session_remove(lua_State *L)
{
    struct process_store *store = session_argument(L, "remove", true);
    struct store_window window = window_argument(L, store, 3, "remove");
    return write_window(L, store, &window, SLICE_NULL);
}

/* for windowed_key, value in s:fetch(key) */
static int session_fetch(lua_State *L)
{
    struct process_store *store = session_argument(L, "fetch", false);
    struct choice choice = {.key = key_argument(L, store, "fetch"), .latest_start = INT64_MAX};
    return iterate(L, store, &choice);
}

/* for windowed_key, value in s:find_sessions(key, earliest_end, latest_start) */
static int session_find(lua_State *L)
{
    struct process_store *store = session_argument(L, "find_sessions", false);
    struct choice choice = {.key = key_argument(L, store, "find_sessions"),
                            .earliest_end = time_argument(L, store, 3, "find_sessions", "earliest end"),
                            .latest_start = time_argument(L, store, 4, "find_sessions", "latest start")};
    return iterate(L, store, &choice);
}

/* s:fetch_session(key, start, end) -> value */
static int session_fetch_session(lua_State *L)
{
    struct process_store *store = session_argument(L, "fetch_session", false);
    struct store_window window = window_argument(L, store, 3, "fetch_session");
    return push_one(L, store, &window);
}

/* for windowed_key, value in s:all() */
static int session_all(lua_State *L)
{
    struct process_store *store = session_argument(L, "all", false);
    struct choice choice = {.latest_start = INT64_MAX};
    return iterate(L, store, &choice);
}

const luaL_Reg process_session_methods[] = {{"put", session_put},
                                            {"remove", session_remove},
                                            {"fetch", session_fetch},
                                            {"find_sessions", session_find},
                                            {"fetch_session", session_fetch_session},
                                            {"all", session_all},
                                            {NULL, NULL}};
