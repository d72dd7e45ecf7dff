#include "scripts/bind_topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "scripts/bind_app.h"
#include "scripts/bind_connector.h"
#include "scripts/bind_log.h"
#include "scripts/codec_windowed.h"
#include "scripts/dsl.h"
#include "scripts/operator.h"

/* ---- arguments ---- */

static struct host *building(lua_State *L, const char *function)
{
    host_require_phase(L, HOST_BUILDING, function);
    struct host *host = host_of(L);
    if (!host->graph) {
        luaL_error(L, "%s is called before tm.app; a script begins with local app = tm.app \"name\"", function);
    }
    return host;
}

static struct node *node_argument(lua_State *L, int index)
{
    struct graph *graph = host_of(L)->graph;
    lua_Integer id = luaL_checkinteger(L, index);
    luaL_argcheck(L, id >= 0 && id < graph_node_count(graph), index, "no such node");
    return graph_node(graph, (int)id);
}

static int raise_err(lua_State *L, const struct err *err)
{
    return luaL_error(L, "%s", err->text);
}

/* An integer of the table at `table`, or the default when the field is nil. [-0, +0, e] */
static lua_Integer integer_field(lua_State *L, int table, const char *field, lua_Integer low, lua_Integer if_nil)
{
    lua_Integer value = if_nil;
    if (lua_getfield(L, table, field) != LUA_TNIL) {
        int whole;
        value = lua_tointegerx(L, -1, &whole);
        if (!whole || value < low) {
            luaL_error(L, "%s must be a whole number from %I on", field, (LUAI_UACINT)low);
        }
    }
    lua_pop(L, 1);
    return value;
}

static bool flag_field(lua_State *L, int table, const char *field)
{
    lua_getfield(L, table, field);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Index of a text among the names; raises when it is none of them. [-0, +0, e] */
static int choice(lua_State *L, const char *what, const char *text, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (names[i] && strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return luaL_error(L, "%s can't be \"%s\"", what, text);
}

#define CHOICE(L, what, text, names) choice(L, what, text, names, (int)(sizeof(names) / sizeof((names)[0])))

/* ---- nodes ---- */

static const struct operator* find_operator(lua_State *L, const char *kind)
{
    const struct operator_table *table = host_of(L)->operators;
    for (size_t i = 0; table && i < table->count; i++) {
        if (strcmp(table->list[i]->op.kind, kind) == 0) {
            return table->list[i];
        }
    }
    luaL_error(L, "there is no operator \"%s\"", kind);
    return NULL;
}

static enum node_role role_of(lua_State *L, int options)
{
    static const char *const names[] = {[NODE_SOURCE] = "source", [NODE_SINK] = "sink"};
    const char *role = operator_text(L, options, "role");
    return role ? (enum node_role)CHOICE(L, "role", role, names) : NODE_OPERATOR;
}

/* on_error of the node, or else of the app. */
static void set_policy(lua_State *L, struct node *node, int options)
{
    static const char *const names[] = {
        [POLICY_FAIL] = "fail", [POLICY_SKIP] = "skip", [POLICY_DEAD_LETTER] = "dead_letter"};
    struct host *host = host_of(L);
    int type = lua_getfield(L, options, "on_error");
    if (type == LUA_TFUNCTION) {
        node->policy_by_function = true;
        host->nodes[node->id].policy = luaL_ref(L, LUA_REGISTRYINDEX);
        return;
    }
    if (type == LUA_TNIL) {
        node->policy = (enum op_policy)host->settings->on_error;
    } else {
        node->policy = (enum op_policy)CHOICE(L, "on_error", luaL_checkstring(L, -1), names);
    }
    lua_pop(L, 1);
}

/* The list at `index` as an array of nodes that the collector owns. [-0, +1, e] */
static struct node **push_parents(lua_State *L, int index, int *count)
{
    luaL_checktype(L, index, LUA_TTABLE);
    *count = (int)luaL_len(L, index);
    struct node **parents = lua_newuserdatauv(L, sizeof(*parents) * (size_t)(*count + 1), 0);
    for (int i = 0; i < *count; i++) {
        lua_geti(L, index, i + 1);
        parents[i] = node_argument(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    return parents;
}

/* First line of the function on top of the stack when it stands in `chunk` at or behind the line; else `best`. [-1, +0,
 * -] */
static int nearer_line(lua_State *L, const lua_Debug *call, int best)
{
    lua_Debug function;
    lua_getinfo(L, ">S", &function);
    bool inside = function.linedefined >= call->currentline && strcmp(function.source, call->source) == 0;
    return inside && (best == 0 || function.linedefined < best) ? function.linedefined : best;
}

/* The first line of the first function in the table that is written where the call is; 0: none. */
static int function_line(lua_State *L, int table, const lua_Debug *call)
{
    int best = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_istable(L, -1)) {
            lua_rawgeti(L, -1, 1);
            lua_replace(L, -2);
        }
        if (lua_isfunction(L, -1)) {
            best = nearer_line(L, call, best);
        } else {
            lua_pop(L, 1);
        }
    }
    return best;
}

/* Lua gives all calls of a chain the line where the chain begins, so the callback's own line says better which call it
 * is. */
static const char *node_place(lua_State *L, int options, char place[HOST_PLACE_SIZE])
{
    lua_Debug call;
    if (!host_user_frame(L, &call)) {
        return NULL;
    }
    int line = function_line(L, options, &call);
    snprintf(place, HOST_PLACE_SIZE, "%s:%d", call.short_src, line > 0 ? line : call.currentline);
    return place;
}

/* [-0, +0, e] */
static const struct codec *codec_option(lua_State *L, int options, const char *field)
{
    bool named = lua_getfield(L, options, field) != LUA_TNIL;
    const struct codec *codec = named ? codec_argument(L, lua_gettop(L), NULL) : NULL;
    lua_pop(L, 1);
    return codec;
}

/* The graph numbers its nodes from 0 without gaps, so the new node's entry is the next one. */
static void add_host_node(lua_State *L, struct host *host, int options)
{
    host->nodes = memory_grow(host->nodes, host->node_count, &host->node_capacity, sizeof(*host->nodes));
    struct host_node *added = &host->nodes[host->node_count++];
    *added = (struct host_node){LUA_NOREF, NULL, NULL};
    added->key_codec = codec_option(L, options, "key_codec");
    added->value_codec = codec_option(L, options, "value_codec");
}

/* node(kind, name or nil, parents, options) -> id */
/* Codecs and windows: what a store of the node would be misread with others. The gap of sessions may change. */
static void note_form(lua_State *L, struct node *node, int options)
{
    char form[192];
    const struct codec *key = operator_codec(L, options, "key_codec", &codec_string);
    const struct codec *value = operator_codec(L, options, "value_codec", &codec_json);
    int length = snprintf(form, sizeof(form), "%s %s", key->name, value->name);
    if (lua_getfield(L, options, "window") == LUA_TTABLE) {
        int window = lua_gettop(L);
        const char *kind = operator_text(L, window, "kind");
        if (kind && strcmp(kind, "session") != 0) {
            snprintf(form + length, sizeof(form) - (size_t)length, " %s %" PRId64 " %" PRId64, kind,
                     (int64_t)integer_field(L, window, "size", 0, 0),
                     (int64_t)integer_field(L, window, "advance", 0, 0));
        }
    }
    lua_pop(L, 1);
    graph_set_form(host_of(L)->graph, node, form);
}

static int core_node(lua_State *L)
{
    struct host *host = building(L, "core.node");
    const char *kind = luaL_checkstring(L, 1);
    const char *name = luaL_optstring(L, 2, NULL);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    const struct operator* found = find_operator(L, kind);
    enum node_role role = role_of(L, 4);
    int count;
    struct node **parents = push_parents(L, 3, &count);
    char place[HOST_PLACE_SIZE];
    struct err err;
    struct node *node = graph_add(host->graph, &found->op, role, name, node_place(L, 4, place), parents, count, &err);
    if (!node) {
        return raise_err(L, &err);
    }
    node->per_record = found->per_record;
    add_host_node(L, host, 4);
    set_policy(L, node, 4);
    found->create(L, node, 4);
    note_form(L, node, 4);
    lua_pushinteger(L, node->id);
    return 1;
}

/* at_end(function): it is called when the script has run, before the graph is finished. */
static int core_at_end(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    host_of(L)->at_end = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* detail(id, text) */
static int core_detail(lua_State *L)
{
    struct host *host = building(L, "core.detail");
    graph_set_detail(host->graph, node_argument(L, 1), luaL_checkstring(L, 2));
    return 0;
}

/* ---- topics and stores ---- */

/* topic(id, name, role, { pattern, partitions, reset }) */
static int core_topic(lua_State *L)
{
    static const char *const roles[] = {[TOPIC_INPUT] = "input",
                                        [TOPIC_OUTPUT] = "output",
                                        [TOPIC_REPARTITION] = "repartition",
                                        [TOPIC_GLOBAL] = "global",
                                        [TOPIC_POSITIONS] = "positions"};
    struct host *host = building(L, "core.topic");
    struct node *node = node_argument(L, 1);
    const char *name = luaL_checkstring(L, 2);
    enum topic_role role = (enum topic_role)CHOICE(L, "the role of a topic", luaL_checkstring(L, 3), roles);
    if (lua_isnoneornil(L, 4)) {
        lua_settop(L, 3);
        lua_newtable(L);
    }
    luaL_checktype(L, 4, LUA_TTABLE);
    bool pattern = flag_field(L, 4, "pattern");
    lua_Integer partitions = integer_field(L, 4, "partitions", 0, 0);
    luaL_argcheck(L, partitions <= INT32_MAX, 4, "too many partitions");
    const char *reset = operator_text(L, 4, "reset");
    struct err err;
    if (graph_add_topic(host->graph, node, name, role, pattern, (int32_t)partitions, reset, &err)) {
        return raise_err(L, &err);
    }
    return 0;
}

static int64_t time_field(lua_State *L, const char *field)
{
    return integer_field(L, 2, field, 0, 0);
}

/* store(id, { name, kind, changelog, positions, by_key, headers, ttl_ms, segment_ms, retention_ms }) */
static int core_store(lua_State *L)
{
    static const char *const kinds[] = {
        [STORE_KEY_VALUE] = "key_value", [STORE_WINDOW] = "window", [STORE_SESSION] = "session"};
    struct host *host = building(L, "core.store");
    struct node *node = node_argument(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    const char *name = operator_text(L, 2, "name");
    luaL_argcheck(L, name, 2, "a store needs a name");
    const char *kind = operator_text(L, 2, "kind");
    struct store_spec spec = {.name = name,
                              .kind = kind ? (enum store_kind)CHOICE(L, "the kind of a store", kind, kinds)
                                           : STORE_KEY_VALUE,
                              .changelog = flag_field(L, 2, "changelog"),
                              .positions = flag_field(L, 2, "positions"),
                              .by_key = flag_field(L, 2, "by_key"),
                              .headers = flag_field(L, 2, "headers"),
                              .ttl_ms = time_field(L, "ttl_ms"),
                              .segment_ms = time_field(L, "segment_ms"),
                              .retention_ms = time_field(L, "retention_ms")};
    struct err err;
    return graph_add_store(host->graph, node, &spec, &err) ? raise_err(L, &err) : 0;
}

/* use_store(id, name) */
static int core_use_store(lua_State *L)
{
    struct host *host = building(L, "core.use_store");
    struct err err;
    bool failed = graph_use_store(host->graph, node_argument(L, 1), luaL_checkstring(L, 2), &err) != 0;
    return failed ? raise_err(L, &err) : 0;
}

/* copartition(id, id) */
static int core_copartition(lua_State *L)
{
    struct host *host = building(L, "core.copartition");
    graph_copartition(host->graph, node_argument(L, 1), node_argument(L, 2));
    return 0;
}

/* internal_name(name, suffix) -> "<app>-<name>-<suffix>" */
static int core_internal_name(lua_State *L)
{
    struct host *host = building(L, "core.internal_name");
    lua_pushstring(L, graph_internal_name(host->graph, luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* ---- the module ---- */

static const luaL_Reg functions[] = {
    {"node", core_node},
    {"at_end", core_at_end},
    {"detail", core_detail},
    {"topic", core_topic},
    {"store", core_store},
    {"use_store", core_use_store},
    {"copartition", core_copartition},
    {"internal_name", core_internal_name},
    {NULL, NULL},
};

void bind_topology_open(lua_State *L)
{
    luaL_newlib(L, functions);
    bind_app_install(L);
    bind_connector_install(L);
    bind_log_install(L);
    codec_windowed_install(L);
    dsl_run(L);
}
