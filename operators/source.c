#include "operators/source.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "operators/all.h"

void source_bind(lua_State *L, struct node *node, int options, struct source *source)
{
    source->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    source->value_codec = operator_codec(L, options, "value_codec", &codec_json);
    call_bind(L, options, "timestamp", false, &source->timestamp);
    node->extracts_time = call_given(&source->timestamp);
    lua_getfield(L, options, "internal");
    source->internal = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

static bool check(struct node *node, struct item *item, const struct codec *codec, struct slice bytes, const char *part)
{
    struct err *err = op_error(node->worker);
    struct host *host = op_program(node->worker);
    if (!bytes.data ||
        (codec->check_ahead ? codec->check_ahead(codec, host, bytes, err) : codec->check(codec, bytes, err)) == 0) {
        return true;
    }
    return call_fail_record(node, item, "the %s is bad: %s", part, err->text);
}

/* Event time by the user's function. */
static bool extract_time(lua_State *L, struct node *node, const struct source *source, struct item *item)
{
    if (!call_item(node, item, &source->timestamp, 1)) {
        return false;
    }
    int whole;
    lua_Integer timestamp = lua_tointegerx(L, -1, &whole);
    if (!whole || lua_type(L, -1) != LUA_TNUMBER) {
        return call_fail(node, item, "timestamp must return milliseconds as an integer, got %s",
                         luaL_tolstring(L, -1, NULL));
    }
    item->timestamp = timestamp;
    return true;
}

__attribute__((cold)) static bool refuse_time(struct node *node, struct item *item)
{
    struct worker *worker = node->worker;
    char time[CLOCK_TEXT_SIZE], before[CLOCK_TEXT_SIZE];
    clock_format_time(item->timestamp, time);
    clock_format_time(op_stream_time(worker), before);
    return call_fail_record(node, item,
                            "its time %s (%lld) is %lld ms after the latest before it, %s, and max_time_jump allows "
                            "%lld ms",
                            time, (long long)item->timestamp, (long long)(item->timestamp - op_stream_time(worker)),
                            before, (long long)((struct host *)op_program(worker))->settings->max_time_jump_ms);
}

bool source_take(lua_State *L, struct node *node, const struct source *source, struct item *item)
{
    const struct record *record = item->source;
    item->key = datum_of_bytes(source->key_codec, record->key);
    item->value = datum_of_bytes(source->value_codec, record->value);
    item->change = false;
    item->timestamp = record->timestamp;
    if (!source->internal && (!check(node, item, source->key_codec, record->key, "key") ||
                              !check(node, item, source->value_codec, record->value, "value"))) {
        return false;
    }
    if (node->extracts_time && !extract_time(L, node, source, item)) {
        return false;
    }
    if (item->timestamp < 0) {
        op_drop(node, DROP_NEGATIVE_TIME, item);
        return false;
    }
    /* One record with a time far ahead would close every window; what comes from a topic of the app was checked. */
    if (!source->internal && op_time_jumps(node->worker, item->timestamp) && !refuse_time(node, item)) {
        return false;
    }
    op_observe_time(node->worker, item->timestamp);
    return true;
}

static int source_body(lua_State *L, struct node *node, struct item *item)
{
    return source_take(L, node, node->state, item) ? op_forward(node, item) : 0;
}

static int source_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, source_body);
}

static void source_create(lua_State *L, struct node *node, int options)
{
    struct source *source = memory_alloc(sizeof(*source));
    node->state = source;
    source_bind(L, node, options, source);
}

static void source_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_source = {
    .op = {"source", NULL, source_process, NULL, source_close},
    .usage = "app:stream(topic | { topics } | \"^pattern\" [, { key, value, timestamp, reset, name, on_error }])",
    .text = "A stream of the records of one or more topics. Keys are strings and values JSON unless codecs are named; "
            "timestamp = function(key, value, rec) gives event time in milliseconds (negative: the record is dropped).",
    .create = source_create,
};

const struct operator operator_connector_source = {
    .op = {"connector_source", NULL, source_process, NULL, source_close},
    .usage = "app:source(name, tm.connect.KIND { ... } [, { timestamp, on_error }])",
    .text = "A stream of what a connector brings in: rows, changes, lines. Where reading stands is committed together "
            "with what the records lead to.",
    .create = source_create,
};
