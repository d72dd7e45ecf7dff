/* Stream-stream joins: each record with those of the other stream that have its key and lie within the window. On an
 * outer side a record without a match comes out alone, once, as soon as none can come any more (join_window.h). */
#include "operators/all.h"
#include "operators/join_window.h"
#include "operators/joiner.h"

#include <stdlib.h>

#include "base/memory.h"

struct join_streams {
    struct joiner joiner;
    struct join_window window;
    const struct codec *key_codec;
    const struct codec *codecs[2]; /* of the values, by side */
    bool outer[2];                 /* by side: records without a match come out too */
};

/* ---- results ---- */

/* A result of `mine`, which is of `side`, and `theirs`. A pair for which the function fails is treated by policy; that
 * is no reason to lose others. [-0, +0, e] */
static int emit(lua_State *L, struct node *node, struct item *item, enum join_side side, const struct datum *mine,
                const struct datum *theirs, int64_t timestamp)
{
    const struct join_streams *join = node->state;
    struct datum one = *mine, other = *theirs;
    struct item result = *item;
    int top = lua_gettop(L);
    int outcome = 0;
    if (joiner_call(L, node, &result, &join->joiner, side == JOIN_LEFT ? &one : &other,
                    side == JOIN_LEFT ? &other : &one, &result.value)) {
        result.timestamp = timestamp;
        result.change = false;
        outcome = op_forward(node, &result);
    }
    lua_settop(L, top);
    return outcome;
}

/* A record of an outer side by itself. */
static int emit_alone(lua_State *L, struct node *node, struct item *item, enum join_side side,
                      const struct datum *value)
{
    const struct join_streams *join = node->state;
    struct datum nothing = datum_null(join->codecs[side == JOIN_LEFT ? JOIN_RIGHT : JOIN_LEFT]);
    return emit(L, node, item, side, value, &nothing, item->timestamp);
}

/* One whose window is closed. Should the function fail for it, it is what goes to the dead letter topic, not the record
 * that closed the window. */
static int emit_unmatched(lua_State *L, struct node *node, const struct item *item, struct join_record *unmatched)
{
    const struct join_streams *join = node->state;
    if (join_window_read(node, &join->window, unmatched)) {
        return -1;
    }
    struct item alone = *item;
    struct record origin;
    struct datum value = datum_of_bytes(join->codecs[unmatched->side], unmatched->value);
    alone.key = datum_of_bytes(join->key_codec, unmatched->key);
    alone.timestamp = unmatched->time;
    if (item->source) {
        origin = *item->source;
        origin.key = unmatched->key;
        origin.value = unmatched->value;
        origin.timestamp = unmatched->time;
        origin.headers = (struct headers){NULL, 0};
        alone.source = &origin;
    }
    return emit_alone(L, node, &alone, unmatched->side, &value);
}

static int advance(lua_State *L, struct node *node, const struct item *item)
{
    struct join_streams *join = node->state;
    struct join_record *due;
    size_t count;
    if (join_window_advance(node, &join->window, item->timestamp, &due, &count)) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (emit_unmatched(L, node, item, &due[i])) {
            return -1;
        }
    }
    return 0;
}

/* ---- one record ---- */

/* Whether the function looks at the value of a side: what it looks at is decoded once for all matches. */
static bool looks_at(const struct join_streams *join, enum join_side side)
{
    return join->joiner.fn.parameters > (side == JOIN_LEFT ? 1 : 2);
}

static int emit_matches(lua_State *L, struct node *node, struct item *item, const struct join_record *record,
                        const struct join_record *matches, size_t count)
{
    const struct join_streams *join = node->state;
    struct datum mine = datum_of_bytes(join->codecs[record->side], record->value);
    if (count > 1 && join->joiner.fn.parameters > 0) {
        datum_slot(L, &item->key);
    }
    if (count > 1 && looks_at(join, record->side)) {
        datum_slot(L, &mine);
    }
    for (size_t i = 0; i < count; i++) {
        struct datum theirs = datum_of_bytes(join->codecs[matches[i].side], matches[i].value);
        int64_t timestamp = matches[i].time > record->time ? matches[i].time : record->time; /* S24 */
        if (emit(L, node, item, record->side, &mine, &theirs, timestamp)) {
            return -1;
        }
    }
    return 0;
}

/* Keeps the record and what is known of matches now, before any result can start something else. */
static int keep(struct node *node, struct join_record *record, struct join_record **matches, size_t *count)
{
    struct join_streams *join = node->state;
    struct join_window *window = &join->window;
    if (join_window_find(node, window, record, matches, count) || join_window_add(node, window, record)) {
        return -1;
    }
    if (*count == 0) {
        return join->outer[record->side] ? join_window_wait(node, window, record) : 0;
    }
    for (size_t i = 0; i < *count && join->outer[(*matches)[i].side]; i++) {
        if (join_window_matched(node, window, &(*matches)[i])) {
            return -1;
        }
    }
    return 0;
}

static int join_record(lua_State *L, struct node *node, struct item *item, enum join_side side)
{
    struct join_streams *join = node->state;
    struct join_record record = {.side = side, .time = item->timestamp};
    struct join_record *matches;
    size_t count;
    if (!flow_encode(node, item, &item->key, join->key_codec, &record.key) ||
        !flow_encode(node, item, &item->value, join->codecs[side], &record.value)) {
        return 0;
    }
    if (advance(L, node, item)) {
        return -1;
    }
    if (join_window_closed(&join->window, side, record.time)) {
        op_drop(node, DROP_LATE, item);
        return 0;
    }
    if (keep(node, &record, &matches, &count)) {
        return -1;
    }
    return emit_matches(L, node, item, &record, matches, count);
}

static int take_record(lua_State *L, struct node *node, struct item *item, enum join_side side)
{
    const struct join_streams *join = node->state;
    if (item->value.null) {
        op_drop(node, DROP_NULL_VALUE, item);
        return 0;
    }
    if (item->key.null && join->outer[side]) {
        return emit_alone(L, node, item, side, &item->value); /* S9 */
    }
    if (item->key.null || item->timestamp < 0) {
        op_drop(node, item->key.null ? DROP_NULL_KEY : DROP_NEGATIVE_TIME, item);
        return 0;
    }
    return join_record(L, node, item, side);
}

static int left_body(lua_State *L, struct node *node, struct item *item)
{
    return take_record(L, node, item, JOIN_LEFT);
}

static int right_body(lua_State *L, struct node *node, struct item *item)
{
    return take_record(L, node, item, JOIN_RIGHT);
}

static int join_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, parent == JOIN_LEFT ? left_body : right_body);
}

/* ---- operators ---- */

static int join_open(struct node *node)
{
    struct join_streams *join = node->state;
    return join_window_open(node, &join->window);
}

static int join_flush(struct node *node)
{
    struct join_streams *join = node->state;
    return join_window_flush(node, &join->window);
}

static void join_close(struct node *node)
{
    free(node->state);
}

static int64_t duration(lua_State *L, int options, const char *field)
{
    lua_getfield(L, options, field);
    int64_t ms = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return ms;
}

static void create(lua_State *L, struct node *node, int options, bool outer_left, bool outer_right)
{
    struct join_streams *join = memory_alloc(sizeof(*join));
    node->state = join;
    joiner_bind(L, node, options, &join->joiner);
    join->window.records_name = operator_text(L, options, "store");
    join->window.unmatched_name = operator_text(L, options, "unmatched");
    join->window.before = duration(L, options, "before");
    join->window.after = duration(L, options, "after");
    join->window.grace = duration(L, options, "grace");
    join->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    join->codecs[JOIN_LEFT] = operator_codec(L, options, "left_codec", &codec_json);
    join->codecs[JOIN_RIGHT] = operator_codec(L, options, "right_codec", &codec_json);
    join->outer[JOIN_LEFT] = outer_left;
    join->outer[JOIN_RIGHT] = outer_right;
}

static void join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, false, false);
}

static void left_join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, true, false);
}

static void outer_join_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, true, true);
}

const struct operator operator_stream_join = {
    .op = {"stream_join", join_open, join_process, join_flush, join_close},
    .usage = "stream:join(stream, function(key, left, right, rec) return value end, { within | before, after, store "
             "[, grace, value, changelog, name, on_error] })",
    .text =
        "Joins each record with those of the other stream that have its key and are at most `within` apart in time, or "
        "at most `before` earlier and `after` later than the left one, both ends included. A record is late, dropped "
        "and "
        "counted when the join has seen a time beyond its own + after (right side: + before) + grace. Records without "
        "a "
        "key or value are dropped and counted. A pair for which the function fails is dropped by on_error, other "
        "pairs of the same record are not. Both topics need the same number of partitions.",
    .create = join_create,
};

const struct operator operator_stream_left_join = {
    .op = {"stream_left_join", join_open, join_process, join_flush, join_close},
    .usage =
        "stream:left_join(stream, function(key, left, right, rec) return value end, { within | before, after, store "
        "[, grace, value, changelog, name, on_error] })",
    .text =
        "As join; a record of the left stream without a match is joined with nil as soon as it would be late, once, "
        "with its own timestamp. That takes a later record on either side: time goes by records. A right record that "
        "is not late itself still joins it afterwards. Left records without a key are joined with nil at once.",
    .create = left_join_create,
};

const struct operator operator_stream_outer_join = {
    .op = {"stream_outer_join", join_open, join_process, join_flush, join_close},
    .usage = "stream:outer_join(stream, function(key, left, right, rec) return value end, { within | before, after, "
             "store [, grace, value, changelog, name, on_error] })",
    .text = "As left_join, for the records of both streams.",
    .create = outer_join_create,
};
