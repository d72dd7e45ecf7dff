/* count, reduce and aggregate of grouped streams, without windows: one row per key, every change is forwarded. */
#include "operators/all.h"
#include "operators/table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scripts/rec.h"
#include "scripts/view.h"

struct aggregate {
    struct table table;
    struct callback init;
    struct callback add;
    /* Makes the row's new value from the old one and the record; false: the item was dropped. */
    bool (*next)(lua_State *L, struct node *node, struct item *item, const struct table_row *row, struct slice *value);
};

static int aggregate_body(lua_State *L, struct node *node, struct item *item)
{
    const struct aggregate *aggregate = node->state;
    if (item->key.null || item->value.null) {
        op_drop(node, item->key.null ? DROP_NULL_KEY : DROP_NULL_VALUE, item);
        return 0;
    }
    struct slice key, value;
    struct table_row row;
    if (!flow_encode(node, item, &item->key, aggregate->table.key_codec, &key)) {
        return 0;
    }
    if (table_read(node, key, &row)) {
        return -1;
    }
    if (!aggregate->next(L, node, item, &row, &value)) {
        return 0;
    }
    if (row.found && row.timestamp > item->timestamp) {
        item->timestamp = row.timestamp; /* S21 */
    }
    return table_change(node, item, key, value, &row);
}

static int aggregate_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, aggregate_body);
}

/* ---- count: no Lua ---- */

static bool next_count(lua_State *L, struct node *node, struct item *item, const struct table_row *row,
                       struct slice *value)
{
    (void)item;
    uint64_t count = 0;
    if (row->found) {
        if (row->value.bytes.size != sizeof(count)) {
            luaL_error(L, "the store %s has a count of %d bytes where 8 belong; was it an aggregate before?",
                       ((struct table *)node->state)->store_name, (int)row->value.bytes.size);
        }
        struct bytes_reader reader = bytes_reader_of(row->value.bytes);
        count = bytes_take_u64(&reader);
    }
    count++;
    unsigned char *bytes = arena_alloc(op_arena(node->worker), sizeof(count));
    for (size_t i = 0; i < sizeof(count); i++) {
        bytes[i] = (unsigned char)(count >> (8 * (sizeof(count) - 1 - i)));
    }
    *value = slice_of(bytes, sizeof(count));
    return true;
}

/* ---- reduce ---- */

/* add(agg, value, rec); not called for the first value of a key (D16). */
static bool next_reduce(lua_State *L, struct node *node, struct item *item, const struct table_row *row,
                        struct slice *value)
{
    const struct aggregate *aggregate = node->state;
    const struct codec *codec = aggregate->table.value_codec;
    if (!row->found) {
        return flow_encode(node, item, &item->value, codec, value);
    }
    int slot = aggregate->add.parameters > 1 ? datum_slot(L, &item->value) : 0;
    call_push(L, &aggregate->add);
    codec->decode(codec, L, row->value.bytes);
    int arguments = 1;
    if (slot != 0) {
        lua_pushvalue(L, slot);
        arguments++;
    }
    if (aggregate->add.parameters > 2) {
        rec_push(L, item, false);
        arguments++;
    }
    if (!call_run(node, item, arguments, 1)) {
        return false;
    }
    struct datum result = datum_of_value(L, lua_gettop(L), codec);
    return flow_encode(node, item, &result, codec, value);
}

/* ---- aggregate ---- */

/* Pushes the aggregate so far, as a value of its own that add may change: a plain table for JSON, because most of its
 * fields are read and written. False: init failed and the item was dropped. */
static bool push_aggregate(lua_State *L, struct node *node, struct item *item, const struct table_row *row)
{
    const struct aggregate *aggregate = node->state;
    const struct codec *codec = aggregate->table.value_codec;
    if (!row->found) {
        call_push(L, &aggregate->init);
        if (!call_run(node, item, 0, 1)) {
            return false;
        }
        view_fork(L, lua_gettop(L)); /* init may return the same table each time */
        return true;
    }
    codec->decode(codec, L, row->value.bytes);
    if (view_is(L, -1)) {
        view_copy(L, lua_gettop(L));
        lua_remove(L, -2);
    }
    return true;
}

/* add(key, value, agg, rec) */
static bool next_aggregate(lua_State *L, struct node *node, struct item *item, const struct table_row *row,
                           struct slice *value)
{
    const struct aggregate *aggregate = node->state;
    int parameters = aggregate->add.parameters;
    int slots[3] = {0, 0, 0};
    if (parameters > 0) {
        slots[0] = datum_slot(L, &item->key);
    }
    if (parameters > 1) {
        slots[1] = datum_slot(L, &item->value);
    }
    if (!push_aggregate(L, node, item, row)) {
        return false;
    }
    slots[2] = lua_gettop(L);
    call_push(L, &aggregate->add);
    int count = 0;
    for (; count < 3 && count < parameters; count++) {
        lua_pushvalue(L, slots[count]);
    }
    if (parameters > 3) {
        rec_push(L, item, false);
        count++;
    }
    if (!call_run(node, item, count, 1)) {
        return false;
    }
    struct datum result = datum_of_value(L, lua_gettop(L), aggregate->table.value_codec);
    return flow_encode(node, item, &result, aggregate->table.value_codec, value);
}

/* ---- operators ---- */

static void create(lua_State *L, struct node *node, int options,
                   bool (*next)(lua_State *, struct node *, struct item *, const struct table_row *, struct slice *))
{
    struct aggregate *aggregate = memory_alloc(sizeof(*aggregate));
    node->state = aggregate;
    aggregate->next = next;
    table_bind(L, node, options, &aggregate->table);
    call_bind(L, options, "init", next == next_aggregate, &aggregate->init);
    call_bind(L, options, "add", next != next_count, &aggregate->add);
}

static void count_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, next_count);
}

static void reduce_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, next_reduce);
}

static void aggregate_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, next_aggregate);
}

static void aggregate_close(struct node *node)
{
    free(node->state);
}

const struct operator operator_count = {
    .op = {"count", table_open, aggregate_process, NULL, aggregate_close},
    .usage = "grouped:count { store [, changelog, ttl, name, on_error] }",
    .text = "A table with the number of records of each key. Null keys and null values are not counted.",
    .create = count_create,
};

const struct operator operator_reduce = {
    .op = {"reduce", table_open, aggregate_process, NULL, aggregate_close},
    .usage = "grouped:reduce { store, add = function(agg, value, rec) return agg end "
             "[, key, value, changelog, ttl, name, on_error] }",
    .text =
        "A table with one value of each key: the first one, then what add makes of it and each next one. nil deletes "
        "the row.",
    .create = reduce_create,
};

const struct operator operator_aggregate = {
    .op = {"aggregate", table_open, aggregate_process, NULL, aggregate_close},
    .usage =
        "grouped:aggregate { store, init = function() return agg end, add = function(key, value, agg, rec) return agg "
        "end [, key, value, changelog, ttl, name, on_error] }",
    .text =
        "A table with one aggregate of each key, begun by init and carried on by add, which may change agg in place. "
        "nil deletes the row.",
    .create = aggregate_create,
};
