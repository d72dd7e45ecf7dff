/* suppress: changes of a table wait in a buffer until their window closes or their time is up, and the last one of each
 * key goes out.
 *
 * The buffer is a store (suppress_entry.h); the order in which its entries are due is kept in memory and made anew when
 * the worker opens. A window whose value is deleted leaves the buffer at once, and its place in the queue is passed
 * over later: sessions that grow do that with every record. */
#include "operators/all.h"
#include "operators/session_aggregate.h"
#include "operators/suppress_entry.h"
#include "operators/table.h"
#include "operators/time_queue.h"
#include "operators/window_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"

#define IDLE_LOOKS 4 /* how often within idle_after the clock is looked at */

/* Shows keys or values of the buffer, to those who look in from outside, as those of the table. */
struct shown_codec {
    struct codec codec;
    const struct codec *inner;
};

struct suppress {
    struct table table;
    struct shown_codec shown_key, shown_value;
    const char *buffer_name;
    struct store *buffer;
    bool until_closed;    /* else until `limit` */
    bool sessions;        /* keys are those of sessions */
    struct window window; /* until_closed */
    int64_t limit;
    int64_t max_records, max_bytes;
    bool stops; /* when it is full */
    struct time_queue queue;
    struct bytes left; /* until_closed: the key that left the buffer last, but not the queue */
    int64_t records, bytes;
    int64_t active_ms;        /* when the last change came, by the wall clock; where idle_after asks for it */
    int64_t time, saved_time; /* largest timestamp seen, and as it is in the store; -1: none */
};

/* ---- the buffer ---- */

static int bad_entry(struct node *node, struct slice key)
{
    const struct suppress *suppress = node->state;
    return err_set(
        op_error(node->worker), ERR_FATAL, ERR_CORRUPT,
        "The store %s has an entry (key of %zu bytes) that is none of a suppress. Its changelog was written by "
        "something else; `tidemill reset` begins anew.",
        suppress->buffer_name, key.size);
}

/* `key` is the store's. *found false: the key is not held. What the entry points to lies in the record's arena. */
static int read_entry(struct node *node, struct slice key, bool *found, struct suppress_entry *entry,
                      int64_t *timestamp, int64_t *bytes)
{
    const struct suppress *suppress = node->state;
    struct arena *arena = op_arena(node->worker);
    struct store_entry stored;
    if (op_store_driver(node->worker)->get(suppress->buffer, key, found, &stored, op_error(node->worker))) {
        return -1;
    }
    if (!*found) {
        return 0;
    }
    *timestamp = stored.timestamp;
    *bytes = (int64_t)(key.size + stored.value.size);
    return suppress_entry_parse(arena_copy(arena, stored.value), entry, arena) ? 0 : bad_entry(node, key);
}

static int put_entry(struct node *node, struct slice key, struct slice value, int64_t timestamp)
{
    const struct suppress *suppress = node->state;
    return op_store_driver(node->worker)->put(suppress->buffer, key, value, timestamp, op_error(node->worker));
}

static int64_t row_time(struct slice value)
{
    struct bytes_reader reader = bytes_reader_of(value);
    int64_t time = (int64_t)bytes_take_u64(&reader);
    return reader.failed ? -1 : time;
}

/* Takes an entry found at opening into the queue. */
static int recall(struct node *node, const struct store_entry *stored)
{
    struct suppress *suppress = node->state;
    struct arena *arena = op_arena(node->worker);
    struct suppress_entry entry;
    if (slice_equal(stored->key, suppress_entry_time_key())) {
        suppress->time = suppress->saved_time = row_time(stored->value);
        return 0;
    }
    struct slice row = suppress_entry_row(stored->key);
    if (slice_is_null(row) || !suppress_entry_parse(stored->value, &entry, arena)) {
        return bad_entry(node, stored->key);
    }
    time_queue_push(&suppress->queue, entry.time, row);
    suppress->records++;
    suppress->bytes += (int64_t)(stored->key.size + stored->value.size);
    arena_clear(arena);
    return 0;
}

static int recall_all(struct node *node)
{
    struct suppress *suppress = node->state;
    const struct store_driver *stores = op_store_driver(node->worker);
    struct err *err = op_error(node->worker);
    struct store_cursor *cursor;
    struct store_entry stored;
    bool found = true;
    suppress->buffer = op_store(node, suppress->buffer_name);
    suppress->time = suppress->saved_time = -1;
    if (stores->once(suppress->buffer, &cursor, err)) {
        return -1;
    }
    int result = 0;
    while (result == 0 && (result = stores->next(cursor, &found, &stored, err)) == 0 && found) {
        result = recall(node, &stored);
    }
    stores->end(cursor);
    return result;
}

/* The time goes with the commit, so that a restart changes no result. */
static int suppress_flush(struct node *node)
{
    struct suppress *suppress = node->state;
    unsigned char bytes[sizeof(uint64_t)];
    if (suppress->time == suppress->saved_time) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)((uint64_t)suppress->time >> (8 * (sizeof(bytes) - 1 - i)));
    }
    suppress->saved_time = suppress->time;
    return put_entry(node, suppress_entry_time_key(), slice_of(bytes, sizeof(bytes)), suppress->time);
}

/* ---- out ---- */

/* Takes the first of the queue out and forwards it, if it is still held. */
static int emit_first(struct node *node, const struct item *cause, struct slice row)
{
    struct suppress *suppress = node->state;
    struct arena *arena = op_arena(node->worker);
    struct slice copy = arena_copy(arena, row);
    struct slice key = suppress_entry_key(copy, arena);
    struct suppress_entry entry;
    int64_t timestamp, bytes;
    bool found;
    time_queue_pop(&suppress->queue);
    if (read_entry(node, key, &found, &entry, &timestamp, &bytes)) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    suppress->records--;
    suppress->bytes -= bytes;
    if (put_entry(node, key, SLICE_NULL, timestamp)) {
        return -1;
    }
    struct item out = {.key = datum_of_bytes(suppress->table.key_codec, copy),
                       .value = datum_of_bytes(suppress->table.value_codec, entry.value),
                       .old = datum_of_bytes(suppress->table.value_codec, entry.before),
                       .change = true,
                       .timestamp = timestamp,
                       .headers = &entry.headers,
                       .source = cause->source};
    return op_forward(node, &out);
}

/* An entry is due when its time is at most this. */
static int64_t due_time(const struct suppress *suppress)
{
    if (!suppress->until_closed) {
        return suppress->time - suppress->limit;
    }
    int64_t closed = window_closed_end(&suppress->window, suppress->time);
    return suppress->sessions ? closed + SESSION_AGGREGATE_EARLY : closed;
}

static bool is_full(const struct suppress *suppress)
{
    return suppress->records > suppress->max_records || suppress->bytes > suppress->max_bytes;
}

static int refuse(struct node *node)
{
    const struct suppress *suppress = node->state;
    return err_set(op_error(node->worker), ERR_FATAL, ERR_SCRIPT,
                   "The buffer %s of %s (%s) is full with %" PRId64 " records and %" PRId64
                   " bytes, and when_full is \"stop\". Raise max_records or max_bytes, or let windows close sooner.",
                   suppress->buffer_name, node->name, node->place ? node->place : "", suppress->records,
                   suppress->bytes);
}

static int emit_due(struct node *node, const struct item *cause)
{
    struct suppress *suppress = node->state;
    int64_t time;
    struct slice row;
    int64_t due = due_time(suppress);
    while (time_queue_first(&suppress->queue, &time, &row) &&
           (time <= due || (is_full(suppress) && !suppress->stops))) {
        if (emit_first(node, cause, row)) {
            return -1;
        }
    }
    return is_full(suppress) && suppress->stops ? refuse(node) : 0;
}

/* The windows above have closed for want of records (idle_after), by the same clock. */
static int close_idle(struct node *node, void *data, int64_t now)
{
    (void)data;
    struct suppress *suppress = node->state;
    static const struct headers none = {NULL, 0};
    const struct item cause = {.headers = &none};
    int64_t time;
    struct slice row;
    if (now - suppress->active_ms < suppress->window.idle_after) {
        return 0;
    }
    while (time_queue_first(&suppress->queue, &time, &row)) {
        if (emit_first(node, &cause, row)) {
            return -1;
        }
    }
    return 0;
}

static int suppress_open(struct node *node)
{
    struct suppress *suppress = node->state;
    int64_t idle_after = suppress->window.idle_after;
    if (recall_all(node)) {
        return -1;
    }
    suppress->active_ms = op_wall_time(node->worker);
    if (idle_after > 0) {
        op_every(node, TIME_WALL, idle_after < IDLE_LOOKS ? 1 : idle_after / IDLE_LOOKS, close_idle, NULL);
    }
    return 0;
}

/* ---- in ---- */

/* From when a new entry waits. */
static int64_t first_time(const struct suppress *suppress, const struct item *item, struct slice row)
{
    struct store_window window = {SLICE_NULL, 0, 0};
    if (!suppress->until_closed) {
        return item->timestamp;
    }
    store_form_parse_windowed(suppress->sessions, row, &window);
    return suppress->sessions ? window.end : window_end(&suppress->window, window.start);
}

/* A window that was deleted: nothing comes out at its end (S44). */
static int leave(struct node *node, struct slice key, struct slice row, int64_t timestamp)
{
    struct suppress *suppress = node->state;
    bytes_clear(&suppress->left);
    bytes_append_slice(&suppress->left, row);
    suppress->records--;
    return put_entry(node, key, SLICE_NULL, timestamp);
}

static int hold(struct node *node, const struct item *item, struct slice row, struct slice value, struct slice before)
{
    struct suppress *suppress = node->state;
    struct arena *arena = op_arena(node->worker);
    struct slice key = suppress_entry_key(row, arena);
    struct suppress_entry entry;
    int64_t timestamp, bytes = 0;
    bool found;
    if (read_entry(node, key, &found, &entry, &timestamp, &bytes)) {
        return -1;
    }
    suppress->bytes -= bytes;
    if (suppress->until_closed && slice_is_null(value)) {
        return found ? leave(node, key, row, item->timestamp) : 0;
    }
    if (!found) {
        entry.time = first_time(suppress, item, row);
        entry.before = before;
        suppress->records++;
        if (suppress->left.size == 0 || !slice_equal(bytes_slice(&suppress->left), row)) {
            time_queue_push(&suppress->queue, entry.time, row);
        }
        bytes_clear(&suppress->left);
    }
    entry.value = value;
    entry.headers = *item->headers;
    struct slice stored = suppress_entry_encode(&entry, arena);
    suppress->bytes += (int64_t)(key.size + stored.size);
    return put_entry(node, key, stored, item->timestamp);
}

static int suppress_body(lua_State *L, struct node *node, struct item *item)
{
    (void)L;
    struct suppress *suppress = node->state;
    struct slice row, value, before = SLICE_NULL;
    if (!flow_encode(node, item, &item->key, suppress->table.key_codec, &row) ||
        !flow_encode(node, item, &item->value, suppress->table.value_codec, &value) ||
        (!suppress->until_closed && !flow_encode(node, item, &item->old, suppress->table.value_codec, &before))) {
        return 0;
    }
    if (item->timestamp > suppress->time) {
        suppress->time = item->timestamp;
    }
    if (suppress->window.idle_after > 0) {
        suppress->active_ms = op_wall_time(node->worker);
    }
    return hold(node, item, row, value, before) ? -1 : emit_due(node, item);
}

static int suppress_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, suppress_body);
}

/* Rows as the table behind has them: not yet with the changes that wait. */
static bool derive(lua_State *L, struct node *node, struct item *item)
{
    const struct suppress *suppress = node->state;
    struct slice row;
    struct suppress_entry entry;
    int64_t timestamp, bytes;
    bool found;
    if (!flow_encode(node, item, &item->key, suppress->table.key_codec, &row)) {
        return false;
    }
    if (read_entry(node, suppress_entry_key(row, op_arena(node->worker)), &found, &entry, &timestamp, &bytes)) {
        call_raise(L, node);
    }
    if (found) {
        item->value = datum_of_bytes(suppress->table.value_codec, entry.before);
    }
    return true;
}

/* ---- looking in from outside ---- */

static int check_key(const struct codec *codec, struct slice bytes, struct err *err)
{
    const struct codec *inner = ((const struct shown_codec *)codec)->inner;
    struct slice row = suppress_entry_row(bytes);
    return slice_is_null(row) ? 0 : inner->check(inner, row, err);
}

static void decode_key(const struct codec *codec, lua_State *L, struct slice bytes)
{
    const struct codec *inner = ((const struct shown_codec *)codec)->inner;
    struct slice row = suppress_entry_row(bytes);
    if (slice_is_null(row)) {
        lua_pushnil(L);
    } else {
        inner->decode(inner, L, row);
    }
}

static void encode_key(const struct codec *codec, lua_State *L, int index, struct bytes *out)
{
    const struct codec *inner = ((const struct shown_codec *)codec)->inner;
    bytes_append_byte(out, suppress_entry_key(slice_text(""), host_of(L)->arena).data[0]);
    inner->encode(inner, L, index, out);
}

static int check_value(const struct codec *codec, struct slice bytes, struct err *err)
{
    const struct codec *inner = ((const struct shown_codec *)codec)->inner;
    struct arena arena = {0};
    struct suppress_entry entry;
    bool read = suppress_entry_parse(bytes, &entry, &arena);
    arena_free(&arena);
    return !read || slice_is_null(entry.value) ? 0 : inner->check(inner, entry.value, err);
}

static void decode_value(const struct codec *codec, lua_State *L, struct slice bytes)
{
    const struct codec *inner = ((const struct shown_codec *)codec)->inner;
    struct suppress_entry entry;
    if (!suppress_entry_parse(bytes, &entry, host_of(L)->arena) || slice_is_null(entry.value)) {
        lua_pushnil(L);
    } else {
        inner->decode(inner, L, entry.value);
    }
}

static void show(struct suppress *suppress, struct host_node *node)
{
    suppress->shown_key =
        (struct shown_codec){{.name = "suppressed key", .check = check_key, .decode = decode_key, .encode = encode_key},
                             suppress->table.key_codec};
    suppress->shown_value = (struct shown_codec){
        {.name = "suppressed value", .check = check_value, .decode = decode_value}, suppress->table.value_codec};
    node->key_codec = &suppress->shown_key.codec;
    node->value_codec = &suppress->shown_value.codec;
}

/* ---- operator ---- */

static int64_t number(lua_State *L, int options, const char *field, int64_t if_nil)
{
    int64_t value = lua_getfield(L, options, field) == LUA_TNIL ? if_nil : (int64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* The session table above, which has to agree about when sessions close. */
static void tell_sessions(struct node *node)
{
    for (; node->parent_count > 0; node = node->parents[0]) {
        if (session_aggregate_is(node)) {
            session_aggregate_close_early(node);
            return;
        }
    }
}

static void take_window(lua_State *L, struct node *node, int options, struct suppress *suppress)
{
    suppress->until_closed = lua_getfield(L, options, "window") != LUA_TNIL;
    if (suppress->until_closed) {
        window_table_bind_window(L, lua_gettop(L), &suppress->window);
        suppress->sessions = suppress->window.kind == WINDOW_SESSION;
    }
    if (suppress->sessions) {
        tell_sessions(node->parents[0]);
    }
    lua_pop(L, 1);
}

static void suppress_create(lua_State *L, struct node *node, int options)
{
    struct suppress *suppress = memory_alloc(sizeof(*suppress));
    const char *full = operator_text(L, options, "when_full");
    node->state = suppress;
    table_bind(L, node, options, &suppress->table);
    suppress->table.derive = derive;
    suppress->buffer_name = operator_text(L, options, "buffer");
    suppress->limit = number(L, options, "limit_ms", 0);
    suppress->max_records = number(L, options, "max_records", INT64_MAX);
    suppress->max_bytes = number(L, options, "max_bytes", INT64_MAX);
    suppress->stops = full && strcmp(full, "stop") == 0;
    take_window(L, node, options, suppress);
    if (!suppress->until_closed) {
        table_want_old(node->parents[0]);
    }
    show(suppress, &host_of(L)->nodes[node->id]);
}

static void suppress_close(struct node *node)
{
    struct suppress *suppress = node->state;
    time_queue_free(&suppress->queue);
    bytes_free(&suppress->left);
    free(suppress);
}

const struct operator operator_suppress = {
    .op = {"suppress", suppress_open, suppress_process, suppress_flush, suppress_close},
    .usage =
        "table:suppress { store, until_window_closes = true | until_time_limit [, max_records, max_bytes, when_full, "
        "changelog, name, on_error] }",
    .text = "Holds changes back in the buffer named by store. until_window_closes: of each window only the last result "
            "goes out, when it closes. until_time_limit: of each key only the last change goes out, when the limit has "
            "passed since the first one that waits, in event time. A buffer with more than max_records or max_bytes "
            "lets the oldest go early (when_full = \"emit_early\") or ends the app (\"stop\", the only one for "
            "windows).",
    .create = suppress_create,
};
