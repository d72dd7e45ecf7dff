/* to, and the writing half of repartition: encoding a record into a topic. */
#include "operators/all.h"
#include "operators/flow.h"

#include <stdlib.h>

#include "base/memory.h"
#include "scripts/codec_windowed.h"

struct sink {
    const struct codec *key_codec;
    const struct codec *value_codec;
    const char *topic;     /* NULL: `choose` names it */
    struct output *output; /* of the fixed topic, opened with the first record */
    struct callback choose;
    int outputs; /* registry reference: topic -> output, for chosen topics */
    bool drop_null_keys;
};

/* ---- topics chosen by a function ---- */

/* The output of the topic named at `topic`; NULL: there is none, see op_error. */
static struct output *find_output(lua_State *L, struct node *node, const struct sink *sink, int topic)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, sink->outputs);
    lua_pushvalue(L, topic);
    lua_rawget(L, -2);
    struct output *output = lua_touserdata(L, -1);
    if (!output && (output = op_output(node->worker, lua_tostring(L, topic)))) {
        lua_pushvalue(L, topic);
        lua_pushlightuserdata(L, output);
        lua_rawset(L, -4);
    }
    return output;
}

/* False: the item was dropped. */
static bool choose_output(lua_State *L, struct node *node, struct item *item, struct sink *sink)
{
    if (!call_item(node, item, &sink->choose, 1)) {
        return false;
    }
    int topic = lua_gettop(L);
    if (lua_type(L, topic) != LUA_TSTRING) {
        return call_fail(node, item, "to needs the name of a topic from its function, got a %s",
                         luaL_typename(L, topic));
    }
    sink->output = find_output(L, node, sink, topic);
    if (!sink->output) {
        return call_fail(node, item, "to can't write the topic %s: %s", lua_tostring(L, topic),
                         op_error(node->worker)->text);
    }
    return true;
}

/* ---- writing ---- */

static int sink_body(lua_State *L, struct node *node, struct item *item)
{
    struct sink *sink = node->state;
    if (sink->drop_null_keys && item->key.null) {
        op_drop(node, DROP_NULL_KEY, item);
        return 0;
    }
    if (!sink->topic && !choose_output(L, node, item, sink)) {
        return 0;
    }
    if (!sink->output && !(sink->output = op_output(node->worker, sink->topic))) {
        return -1;
    }
    struct record record = {.headers = *item->headers, .timestamp = item->timestamp, .offset = -1};
    if (!flow_encode(node, item, &item->key, sink->key_codec, &record.key) ||
        !flow_encode(node, item, &item->value, sink->value_codec, &record.value)) {
        return 0;
    }
    struct slice placed = codec_windowed_key(sink->key_codec, record.key);
    bool windowed = placed.size != record.key.size;
    int32_t partition = windowed ? op_output_partition(node->worker, sink->output, placed) : -1;
    if (op_produce(node->worker, sink->output, partition, &record)) {
        return flow_fail(node, item);
    }
    return 0;
}

static int sink_process(struct node *node, int parent, struct item *item)
{
    const struct sink *sink = node->state;
    return flow_run(node, sink->topic ? FLOW_READS_ONLY : parent, item, sink_body);
}

static int sink_open(struct node *node)
{
    struct sink *sink = node->state;
    sink->output = NULL;
    return 0;
}

static void sink_create(lua_State *L, struct node *node, int options)
{
    struct sink *sink = memory_alloc(sizeof(*sink));
    node->state = sink;
    sink->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    sink->value_codec = operator_codec(L, options, "value_codec", &codec_json);
    sink->topic = operator_text(L, options, "topic");
    call_bind(L, options, "choose", !sink->topic, &sink->choose);
    sink->choose.name = "to";
    lua_newtable(L);
    sink->outputs = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, options, "drop_null_keys");
    sink->drop_null_keys = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

static void sink_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_to = {
    .op = {"to", sink_open, sink_process, NULL, sink_close},
    .usage = "stream:to(topic | function(key, value, rec) return topic end [, { name, on_error, key, value }])",
    .text = "Writes the records to a topic, or to the one that the function names for each. On a table: its changes. "
            "through(topic) writes and reads the topic again.",
    .create = sink_create,
};

const struct operator operator_repartition = {
    .op = {"repartition", sink_open, sink_process, NULL, sink_close},
    .usage = "stream:repartition { name [, partitions, key, value, on_error] }",
    .text = "Through the topic <app>-<name>-repartition of the runtime, so that equal keys meet in one partition. "
            "Records without a key are dropped and counted.",
    .create = sink_create,
};
