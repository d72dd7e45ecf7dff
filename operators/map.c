/* map, map_values, flat_map, flat_map_values, select_key: a record becomes another, or several. */
#include "operators/all.h"
#include "operators/flow.h"

#include <stdlib.h>

#include "base/memory.h"
#include "scripts/view.h"

struct map {
    struct callback fn;
    const struct codec *key_codec;
    const struct codec *value_codec;
};

static void map_create(lua_State *L, struct node *node, int options)
{
    struct map *map = memory_alloc(sizeof(*map));
    node->state = map;
    call_bind(L, options, "fn", true, &map->fn);
    map->fn.name = node->op->kind;
    map->key_codec = operator_codec(L, options, "key_codec", &codec_string);
    map->value_codec = operator_codec(L, options, "value_codec", &codec_json);
}

static void map_close(struct node *node)
{
    free(node->state);
}

/* ---- one record becomes one ---- */

static int map_body(lua_State *L, struct node *node, struct item *item)
{
    const struct map *map = node->state;
    if (!call_item(node, item, &map->fn, 2)) {
        return 0;
    }
    int value = lua_gettop(L);
    if (!flow_set_key(node, item, value - 1, map->key_codec)) {
        return 0;
    }
    item->value = datum_of_value(L, value, map->value_codec);
    return op_forward(node, item);
}

static int map_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, map_body);
}

static int map_values_body(lua_State *L, struct node *node, struct item *item)
{
    const struct map *map = node->state;
    if (!call_item(node, item, &map->fn, 1)) {
        return 0;
    }
    item->value = datum_of_value(L, lua_gettop(L), map->value_codec);
    return op_forward(node, item);
}

static int map_values_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, map_values_body);
}

static int select_key_body(lua_State *L, struct node *node, struct item *item)
{
    const struct map *map = node->state;
    if (!call_item(node, item, &map->fn, 1)) {
        return 0;
    }
    int key = lua_gettop(L);
    if (!flow_set_key(node, item, key, map->key_codec)) {
        return 0;
    }
    return op_forward(node, item);
}

static int select_key_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, select_key_body);
}

/* ---- one record becomes several ---- */

/* The length of the list on top of the stack, a table or a view; -1 when it is neither and the item was dropped. */
static lua_Integer list_length(lua_State *L, struct node *node, struct item *item, const char *expected)
{
    if (lua_isnil(L, -1)) {
        return 0;
    }
    if (!lua_istable(L, -1) && !view_is(L, -1)) {
        call_fail(node, item, "%s must return %s, got a %s", node->op->kind, expected, luaL_typename(L, -1));
        return -1;
    }
    return luaL_len(L, -1);
}

static int forward_value(lua_State *L, struct node *node, const struct item *item, int list, lua_Integer index)
{
    const struct map *map = node->state;
    struct item result = *item;
    lua_geti(L, list, index);
    result.value = datum_of_value(L, lua_gettop(L), map->value_codec);
    return op_forward(node, &result);
}

static int flat_map_values_body(lua_State *L, struct node *node, struct item *item)
{
    const struct map *map = node->state;
    if (!call_item(node, item, &map->fn, 1)) {
        return 0;
    }
    int list = lua_gettop(L);
    lua_Integer length = list_length(L, node, item, "a list of values");
    for (lua_Integer i = 1; i <= length; i++) {
        if (forward_value(L, node, item, list, i)) {
            return -1;
        }
        lua_settop(L, list);
    }
    return 0;
}

static int flat_map_values_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, flat_map_values_body);
}

/* *valid false: the pair was no pair and the policy dropped the item. */
static int forward_pair(lua_State *L, struct node *node, const struct item *item, int list, lua_Integer index,
                        bool *valid)
{
    const struct map *map = node->state;
    struct item result = *item;
    lua_geti(L, list, index);
    int pair = lua_gettop(L);
    *valid = false;
    if (!lua_istable(L, pair) && !view_is(L, pair)) {
        call_fail(node, &result, "flat_map must return a list of pairs { key, value }; element %d is a %s", (int)index,
                  luaL_typename(L, pair));
        return 0;
    }
    lua_geti(L, pair, 1);
    lua_geti(L, pair, 2);
    if (!flow_set_key(node, &result, pair + 1, map->key_codec)) {
        return 0;
    }
    *valid = true;
    result.value = datum_of_value(L, pair + 2, map->value_codec);
    return op_forward(node, &result);
}

static int flat_map_body(lua_State *L, struct node *node, struct item *item)
{
    const struct map *map = node->state;
    if (!call_item(node, item, &map->fn, 1)) {
        return 0;
    }
    int list = lua_gettop(L);
    lua_Integer length = list_length(L, node, item, "a list of pairs { key, value }");
    bool valid = true;
    for (lua_Integer i = 1; i <= length && valid; i++) {
        if (forward_pair(L, node, item, list, i, &valid)) {
            return -1;
        }
        lua_settop(L, list);
    }
    return 0;
}

static int flat_map_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, flat_map_body);
}

const struct operator operator_map = {
    .op = {"map", NULL, map_process, NULL, map_close},
    .usage = "stream:map(function(key, value, rec) return new_key, new_value end [, { name, on_error, key, value }])",
    .text = "Makes another record of each one. The key counts as changed: what needs it next repartitions.",
    .create = map_create,
    .per_record = true,
};

const struct operator operator_map_values = {
    .op = {"map_values", NULL, map_values_process, NULL, map_close},
    .usage = "stream:map_values(function(key, value, rec) return new_value end [, { name, on_error, value }])",
    .text = "Replaces the value and keeps the key. Called for null values too; nil is a tombstone.",
    .create = map_create,
    .per_record = true,
};

const struct operator operator_flat_map = {
    .op = {"flat_map", NULL, flat_map_process, NULL, map_close},
    .usage = "stream:flat_map(function(key, value, rec) return { { key, value }, ... } end "
             "[, { name, on_error, key, value }])",
    .text = "Makes any number of records of each one, in order, all with its timestamp and headers.",
    .create = map_create,
    .per_record = true,
};

const struct operator operator_flat_map_values = {
    .op = {"flat_map_values", NULL, flat_map_values_process, NULL, map_close},
    .usage =
        "stream:flat_map_values(function(key, value, rec) return { value, ... } end [, { name, on_error, value }])",
    .text = "Makes any number of values of each one, all under its key.",
    .create = map_create,
    .per_record = true,
};

const struct operator operator_select_key = {
    .op = {"select_key", NULL, select_key_process, NULL, map_close},
    .usage = "stream:select_key(function(key, value, rec) return new_key end [, { name, on_error, key }])",
    .text = "Replaces the key and keeps the value; nil is a null key. What needs the key next repartitions.",
    .create = map_create,
    .per_record = true,
};

const struct operator operator_group_by = {
    .op = {"group_by", NULL, select_key_process, NULL, map_close},
    .usage = "stream:group_by(function(key, value, rec) return group end [, { name, on_error, key, value }])",
    .text = "Groups by what the function returns, through a topic of the runtime; count, reduce or aggregate follow. "
            "Records whose group is nil are dropped and counted. group_by_key() groups by the key there is.",
    .create = map_create,
};
