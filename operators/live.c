#include "operators/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph.h"
#include "scripts/view.h"

/* About what Lua needs: the string's own head, a node of a table's hash part, the table. */
#define STRING_BYTES 32
#define FIELD_BYTES 40
#define TABLE_BYTES 64

/* Nobody but the node reads the store's rows or deletes them. */
static bool is_alone(const struct node *node, const char *name)
{
    const struct graph *graph = ((struct host *)op_program(node->worker))->graph;
    bool alone = true;
    for (int i = 0; i < graph_store_count(graph); i++) {
        const struct graph_store *store = graph_store(graph, i);
        if (strcmp(store->spec.name, name) == 0) {
            alone = store->spec.ttl_ms == 0;
            for (int j = 0; j < store->user_count; j++) {
                alone = alone && store->users[j] == node;
            }
        }
    }
    return alone;
}

void live_open(lua_State *L, struct node *node, struct live *live)
{
    const struct table *table = node->state;
    live->allowed = table->held && table->value_codec == &codec_json && node->policy == POLICY_FAIL &&
                    !node->policy_by_function && is_alone(node, table->store_name);
    if (live->allowed) {
        lua_newtable(L);
        live->list = luaL_ref(L, LUA_REGISTRYINDEX);
    }
}

void live_push(lua_State *L, const struct live *live, const struct held_entry *entry)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, live->list);
    lua_rawgeti(L, -1, entry->value);
    lua_remove(L, -2);
}

/* 0: not a scalar that JSON has. */
static int64_t measure_scalar(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return 1;
    case LUA_TNUMBER:
        return lua_isinteger(L, index) || isfinite(lua_tonumber(L, index)) ? 1 : 0;
    case LUA_TSTRING:
        return (int64_t)lua_rawlen(L, index) + STRING_BYTES;
    default:
        return view_is_null(L, index) ? 1 : 0;
    }
}

static int64_t measure_table(lua_State *L, int index)
{
    int64_t bytes = TABLE_BYTES;
    if (lua_getmetatable(L, index)) {
        lua_pop(L, 1);
        return 0;
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
        int64_t field = lua_type(L, -2) == LUA_TSTRING ? measure_scalar(L, -1) : 0;
        lua_pop(L, 1);
        if (field == 0) {
            lua_pop(L, 1);
            return 0;
        }
        bytes += FIELD_BYTES + field;
    }
    return bytes;
}

int64_t live_measure(lua_State *L, int index, bool own)
{
    if (lua_type(L, index) == LUA_TTABLE) {
        return own ? measure_table(L, lua_absindex(L, index)) : 0;
    }
    return measure_scalar(L, index);
}

void live_put(lua_State *L, struct live *live, struct held_entry *entry, int index)
{
    entry->value = entry->value == 0 ? ++live->count : abs(entry->value);
    lua_pushvalue(L, index);
    lua_rawgeti(L, LUA_REGISTRYINDEX, live->list);
    lua_insert(L, -2);
    lua_rawseti(L, -2, entry->value);
    lua_pop(L, 1);
}

void live_drop(lua_State *L, const struct live *live, struct held_entry *entry)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, live->list);
    lua_pushboolean(L, false);
    lua_rawseti(L, -2, entry->value);
    lua_pop(L, 1);
    entry->value = -entry->value;
}

void live_clear(lua_State *L, struct live *live)
{
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, live->list);
    live->count = 0;
}
