/* filter, filter_not and map_values of tables, with and without a store of their own. */
#include "operators/all.h"
#include "operators/table.h"

#include "base/memory.h"

struct table_map {
    struct table table;
    struct callback fn;
    bool keep; /* filters: what the predicate must say */
};

/* Callbacks of tables are not called for tombstones (S50, D20). */
static bool derive_filter(lua_State *L, struct node *node, struct item *item)
{
    const struct table_map *map = node->state;
    if (item->value.null) {
        return true;
    }
    if (!call_item(node, item, &map->fn, 1)) {
        return false;
    }
    bool passes = lua_toboolean(L, -1) == map->keep;
    lua_pop(L, 1);
    if (!passes) {
        item->value = datum_null(item->value.codec);
    }
    return true;
}

static bool derive_map_values(lua_State *L, struct node *node, struct item *item)
{
    const struct table_map *map = node->state;
    if (item->value.null) {
        item->value = datum_null(map->table.value_codec);
        return true;
    }
    if (!call_item(node, item, &map->fn, 1)) {
        return false;
    }
    item->value = datum_of_value(L, lua_gettop(L), map->table.value_codec);
    return true;
}

/* ---- without a store ---- */

/* What the old value was in this table. False: dropped. */
static bool derive_old(lua_State *L, struct node *node, struct item *item, struct datum *old)
{
    const struct table_map *map = node->state;
    struct item before = *item;
    before.value = item->old;
    if (!map->table.derive(L, node, &before)) {
        return false;
    }
    *old = before.value;
    return true;
}

static int derived_body(lua_State *L, struct node *node, struct item *item, bool needless_tombstones)
{
    const struct table_map *map = node->state;
    struct datum old = datum_null(map->table.value_codec);
    if (map->table.old_wanted && !derive_old(L, node, item, &old)) {
        return 0;
    }
    if (!map->table.derive(L, node, item)) {
        return 0;
    }
    if (!needless_tombstones && item->value.null && old.null) {
        return 0;
    }
    item->old = old;
    return op_forward(node, item);
}

/* ---- with a store ---- */

static int stored_body(lua_State *L, struct node *node, struct item *item, bool needless_tombstones)
{
    const struct table_map *map = node->state;
    struct slice key, value;
    struct table_row before;
    if (!map->table.derive(L, node, item) || !flow_encode(node, item, &item->key, map->table.key_codec, &key) ||
        !flow_encode(node, item, &item->value, map->table.value_codec, &value)) {
        return 0;
    }
    if (table_wants_before(&map->table) && table_read(node, key, &before)) {
        return -1;
    }
    if (!needless_tombstones && !value.data && !before.found) {
        return 0;
    }
    return table_change(node, item, key, value, &before);
}

/* ---- operators ---- */

static int filter_body(lua_State *L, struct node *node, struct item *item)
{
    const struct table_map *map = node->state;
    return map->table.store_name ? stored_body(L, node, item, false) : derived_body(L, node, item, false);
}

static int filter_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, filter_body);
}

static int map_values_body(lua_State *L, struct node *node, struct item *item)
{
    const struct table_map *map = node->state;
    return map->table.store_name ? stored_body(L, node, item, true) : derived_body(L, node, item, true);
}

static int map_values_process(struct node *node, int parent, struct item *item)
{
    return flow_run(node, parent, item, map_values_body);
}

static struct table_map *create(lua_State *L, struct node *node, int options, const char *name)
{
    struct table_map *map = memory_alloc(sizeof(*map));
    node->state = map;
    table_bind(L, node, options, &map->table);
    call_bind(L, options, "fn", true, &map->fn);
    map->fn.name = name;
    return map;
}

/* A filter has to know whether a row passed before, to send a tombstone for those only (S51). */
static void create_filter(lua_State *L, struct node *node, int options, const char *name, bool keep)
{
    struct table_map *map = create(L, node, options, name);
    map->keep = keep;
    map->table.derive = derive_filter;
    table_want_old(node);
}

static void filter_create(lua_State *L, struct node *node, int options)
{
    create_filter(L, node, options, "filter", true);
}

static void filter_not_create(lua_State *L, struct node *node, int options)
{
    create_filter(L, node, options, "filter_not", false);
}

static void map_values_create(lua_State *L, struct node *node, int options)
{
    create(L, node, options, "map_values")->table.derive = derive_map_values;
}

const struct operator operator_table_filter = {
    .op = {"table_filter", table_open, filter_process, table_flush, table_close},
    .usage = "table:filter(function(key, value, rec) return boolean end [, { store, emit, changelog, ttl, name, "
             "on_error }])",
    .text = "The rows for which the function holds. A row that passed and no longer does becomes a tombstone. With a "
            "store the result is kept and readable.",
    .create = filter_create,
};

const struct operator operator_table_filter_not = {
    .op = {"table_filter_not", table_open, filter_process, table_flush, table_close},
    .usage = "table:filter_not(function(key, value, rec) return boolean end [, { store, emit, changelog, ttl, name, "
             "on_error }])",
    .text = "The rows for which the function does not hold.",
    .create = filter_not_create,
};

const struct operator operator_table_map_values = {
    .op = {"table_map_values", table_open, map_values_process, table_flush, table_close},
    .usage = "table:map_values(function(key, value, rec) return new_value end "
             "[, { store, value, emit, changelog, ttl, name, on_error }])",
    .text = "The table with other values; nil deletes the row. Not called for tombstones.",
    .create = map_values_create,
};
