/* Global tables: a copy of the whole topic in every stream thread (engine/globals.h), and joins of streams with it. */
#include "operators/all.h"
#include "operators/joiner.h"
#include "operators/source.h"

#include <stdlib.h>

#include "base/memory.h"

/* ---- the table ---- */

struct global_table {
    struct source source; /* of the topic */
    const char *store_name;
    struct store *store;
};

static int global_table_open(struct node *node)
{
    struct global_table *table = node->state;
    table->store = op_store(node, table->store_name);
    return 0;
}

static int global_table_body(lua_State *L, struct node *node, struct item *item)
{
    const struct global_table *table = node->state;
    struct worker *worker = node->worker;
    if (!source_take(L, node, &table->source, item)) {
        return 0;
    }
    if (item->key.null) {
        op_drop(node, DROP_NULL_KEY, item);
        return 0;
    }
    bool failed = op_store_driver(worker)->put(table->store, item->key.bytes, item->value.bytes, item->timestamp,
                                               op_error(worker)) != 0;
    return failed ? flow_fail(node, item) : 0;
}

static int global_table_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, global_table_body);
}

static void global_table_create(lua_State *L, struct node *node, int options)
{
    struct global_table *table = memory_alloc(sizeof(*table));
    node->state = table;
    source_bind(L, node, options, &table->source);
    table->store_name = operator_text(L, options, "store");
}

static void free_state(struct node *node)
{
    free(node->state);
}

/* ---- joins with it ---- */

struct global_join {
    struct joiner joiner;
    struct callback on; /* key of the row, from the stream's record */
    const char *store_name;
    struct store *store;
    const struct codec *key_codec; /* of the table */
    const struct codec *value_codec;
    bool left; /* records without a row are joined with nil */
};

static int global_join_open(struct node *node)
{
    struct global_join *join = node->state;
    join->store = op_store(node, join->store_name);
    return 0;
}

/* The row's value in `row`; null: there is none. -1, 0: the record was dropped, or 1. */
static int find_row(lua_State *L, struct node *node, struct item *item, struct datum *row)
{
    const struct global_join *join = node->state;
    struct worker *worker = node->worker;
    struct item lookup = *item;
    struct store_entry entry;
    struct slice key;
    bool found;
    *row = datum_null(join->value_codec);
    if (!call_item(node, item, &join->on, 1) || !flow_set_key(node, &lookup, lua_gettop(L), join->key_codec)) {
        return 0;
    }
    if (lookup.key.null) {
        return 1;
    }
    if (!flow_encode(node, &lookup, &lookup.key, join->key_codec, &key)) {
        return 0;
    }
    if (op_store_driver(worker)->get(join->store, key, &found, &entry, op_error(worker))) {
        return -1;
    }
    if (found) {
        *row = datum_of_bytes(join->value_codec, arena_copy(op_arena(worker), entry.value));
    }
    return 1;
}

/* The result has the stream record's time and headers (S25). */
static int global_join_body(lua_State *L, struct node *node, struct item *item)
{
    const struct global_join *join = node->state;
    struct datum row, result;
    int found = find_row(L, node, item, &row);
    if (found <= 0) {
        return found;
    }
    if ((row.null && !join->left) || !joiner_call(L, node, item, &join->joiner, &item->value, &row, &result)) {
        return 0;
    }
    item->value = result;
    return op_forward(node, item);
}

static int global_join_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, global_join_body);
}

static void create_join(lua_State *L, struct node *node, int options, bool left)
{
    struct global_join *join = memory_alloc(sizeof(*join));
    node->state = join;
    join->left = left;
    joiner_bind(L, node, options, &join->joiner);
    call_bind(L, options, "on", true, &join->on);
    join->store_name = operator_text(L, options, "store");
    join->key_codec = operator_codec(L, options, "table_key_codec", &codec_string);
    join->value_codec = operator_codec(L, options, "table_value_codec", &codec_json);
}

static void global_join_create(lua_State *L, struct node *node, int options)
{
    create_join(L, node, options, false);
}

static void global_left_join_create(lua_State *L, struct node *node, int options)
{
    create_join(L, node, options, true);
}

const struct operator operator_global_table = {
    .op = {"global_table", global_table_open, global_table_process, NULL, free_state},
    .usage = "app:global_table(topic, { store [, key, value, name, on_error] })",
    .text =
        "A table of the last value of each key in all partitions of the topic. Every stream thread of every process "
        "has the whole of it, loaded before anything is processed and followed from then on, so a join with it needs "
        "no common key and no equal number of partitions. It can be joined with and read from processors, no more. "
        "on_error is \"fail\" or \"skip\".",
    .create = global_table_create,
};

const struct operator operator_global_join = {
    .op = {"global_join", global_join_open, global_join_process, NULL, free_state},
    .usage = "stream:join(global_table, function(key, left, right, rec) return value end, { on = function(key, value, "
             "rec) return key_of_the_row end [, value, name, on_error] })",
    .text = "Joins each record with the row of a global table whose key `on` gives; without a row, or when `on` gives "
            "nil, there is no result. The key stays the stream's.",
    .create = global_join_create,
};

const struct operator operator_global_left_join = {
    .op = {"global_left_join", global_join_open, global_join_process, NULL, free_state},
    .usage = "stream:left_join(global_table, function(key, left, right, rec) return value end, { on = function(key, "
             "value, rec) return key_of_the_row end [, value, name, on_error] })",
    .text = "As join, but a record without a row is joined with nil.",
    .create = global_left_join_create,
};
