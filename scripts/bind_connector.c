#include "scripts/bind_connector.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/connector.h"
#include "scripts/bind_app.h"
#include "scripts/codec.h"
#include "scripts/lua_connector.h"
#include "scripts/lua_task.h"
#include "scripts/operator.h"

/* ---- options ---- */

struct target {
    const char *method; /* "tm.connect.postgres", for messages */
    const struct option_table *runner;
    const struct option_table *own;
    struct connector_use *use;
};

static void set_option(lua_State *L, const struct target *target, const char *name, const char *value)
{
    bool runner = option_find(target->runner, name) != NULL;
    const struct option_table *table = runner ? target->runner : target->own;
    void *options = runner ? (void *)&target->use->runner : target->use->options;
    struct err err;
    if (option_set(table, options, name, value, &err)) {
        luaL_error(L, "%s: %s", target->method, err.text);
    }
}

/* A list gives the option several times; names with values become "name=value" each. */
static void set_table(lua_State *L, const struct target *target, const char *name, int table)
{
    size_t count = (size_t)luaL_len(L, table);
    for (size_t i = 1; i <= count; i++) {
        lua_geti(L, table, (lua_Integer)i);
        set_option(L, target, name, bind_app_push_setting(L, lua_gettop(L), target->method, name));
        lua_pop(L, 2);
    }
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *value = bind_app_push_setting(L, lua_gettop(L), target->method, name);
            set_option(L, target, name, lua_pushfstring(L, "%s=%s", lua_tostring(L, -3), value));
            lua_pop(L, 2);
        }
        lua_pop(L, 1);
    }
}

static void set_options(lua_State *L, const struct target *target, int options)
{
    lua_pushnil(L);
    while (lua_next(L, options)) {
        int value = lua_gettop(L);
        if (lua_type(L, value - 1) != LUA_TSTRING) {
            luaL_error(L, "%s: options have names", target->method);
        }
        const char *name = lua_tostring(L, value - 1);
        if (lua_istable(L, value)) {
            set_table(L, target, name, value);
        } else {
            set_option(L, target, name, bind_app_push_setting(L, value, target->method, name));
        }
        lua_settop(L, value - 1);
    }
}

/* ---- one in use ---- */

static const struct connector *find_connector(lua_State *L, const char *kind)
{
    const struct connector_table *table = host_of(L)->connectors;
    for (size_t i = 0; table && i < table->count; i++) {
        if (strcmp(table->list[i]->kind, kind) == 0) {
            return table->list[i];
        }
    }
    if (strcmp(lua_connector.kind, kind) == 0) {
        return &lua_connector;
    }
    luaL_error(L, "there is no connector \"%s\"", kind);
    return NULL;
}

static const struct option_table *own_options(const struct connector_use *use)
{
    return use->sink ? use->connector->sink->options : use->connector->source->options;
}

static struct connector_use *add_use(struct host *host, const struct connector *connector, bool sink)
{
    host->uses = memory_grow(host->uses, host->use_count, &host->use_capacity, sizeof(struct connector_use *));
    struct connector_use *use = memory_alloc(sizeof(*use));
    host->uses[host->use_count++] = use;
    use->connector = connector;
    use->sink = sink;
    use->options = memory_alloc(sink ? connector->sink->options_size : connector->source->options_size);
    option_defaults(own_options(use), use->options);
    option_defaults(sink ? &connector_sink_options : &connector_source_options, &use->runner);
    return use;
}

void bind_connector_free(struct host *host)
{
    for (size_t i = 0; i < host->use_count; i++) {
        struct connector_use *use = host->uses[i];
        option_free(own_options(use), use->options);
        free(use->options);
        free(use);
    }
    free(host->uses);
}

static int32_t count_tasks(const struct connector_use *use)
{
    if (use->runner.tasks > 0) {
        return (int32_t)use->runner.tasks;
    }
    if (use->sink) {
        return use->connector->sink->tasks;
    }
    const struct source_class *source = use->connector->source;
    return source->tasks ? source->tasks(use->options) : 1;
}

static void check_use(lua_State *L, const struct target *target)
{
    const struct connector_use *use = target->use;
    int (*validate)(const void *options, struct err *err) =
        use->sink ? use->connector->sink->validate : use->connector->source->validate;
    struct err err;
    if (validate && validate(use->options, &err)) {
        luaL_error(L, "%s: %s", target->method, err.text);
    }
}

/* The functions of tm.source and tm.sink, found again by the connector's number in an instance of the task's own. */
static void bind_functions(lua_State *L, struct connector_use *use)
{
    struct lua_options *options = use->options;
    struct host *host = host_of(L);
    options->program = host->program;
    options->number = host->use_count - 1;
    options->key = operator_codec(L, 1, "key_codec", &codec_json);
    options->value = operator_codec(L, 1, "value_codec", &codec_json);
    lua_getfield(L, 1, "functions");
    luaL_checktype(L, -1, LUA_TTABLE);
    options->functions = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* connector { kind, sink, name, topic, json_keys, method, options [, functions, key_codec, value_codec] } -> number of
 * the connector in use, tasks (0: as many as there are partitions) */
static int core_connector(lua_State *L)
{
    struct host *host = host_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    const char *kind = operator_text(L, 1, "kind");
    const struct connector *connector = find_connector(L, kind);
    lua_getfield(L, 1, "sink");
    lua_getfield(L, 1, "json_keys");
    lua_getfield(L, 1, "options");
    struct connector_use *use = add_use(host, connector, lua_toboolean(L, 2));
    use->json_keys = lua_toboolean(L, 3);
    use->name = operator_text(L, 1, "name");
    use->topic = operator_text(L, 1, "topic");
    use->through = use->sink ? use->topic : NULL;
    lua_getfield(L, 1, "method");
    struct target target = {.method = luaL_checkstring(L, -1),
                            .runner = use->sink ? &connector_sink_options : &connector_source_options,
                            .own = own_options(use),
                            .use = use};
    set_options(L, &target, 4);
    if (connector == &lua_connector) {
        bind_functions(L, use);
    }
    check_use(L, &target);
    lua_pushinteger(L, (lua_Integer)host->use_count - 1);
    lua_pushinteger(L, count_tasks(use));
    return 2;
}

/* use_connector(node, number): the node is the connector's. */
static int core_use_connector(lua_State *L)
{
    struct host *host = host_of(L);
    lua_Integer id = luaL_checkinteger(L, 1), number = luaL_checkinteger(L, 2);
    luaL_argcheck(L, host->graph && id >= 0 && id < graph_node_count(host->graph), 1, "no such node");
    luaL_argcheck(L, number >= 0 && (size_t)number < host->use_count, 2, "no such connector");
    struct connector_use *use = host->uses[number];
    struct node *node = graph_node(host->graph, (int)id);
    node->connector = use;
    return 0;
}

static struct node *sink_argument(lua_State *L, int index)
{
    const struct host *host = host_of(L);
    lua_Integer id = luaL_checkinteger(L, index);
    luaL_argcheck(L, host->graph && id >= 0 && id < graph_node_count(host->graph), index, "no such node");
    return graph_node(host->graph, (int)id);
}

/* direct_topic(sink) -> the topic that the sink may read itself, or nil: it needs one of its own. `tasks` asks for as
 * many writers as the topic in between gets partitions; who can't say which topic a position is for always has one. */
static int core_direct_topic(lua_State *L)
{
    const struct node *node = sink_argument(L, 1);
    const struct connector_use *use = node->connector;
    bool may = use && use->sink && use->runner.tasks == 0 && use->connector->sink->other_topic;
    lua_pushstring(L, may ? graph_direct_topic(host_of(L)->graph, node) : NULL);
    return 1;
}

/* read_directly(number of the connector, topic) */
static int core_read_directly(lua_State *L)
{
    struct host *host = host_of(L);
    lua_Integer number = luaL_checkinteger(L, 1);
    size_t size;
    const char *topic = luaL_checklstring(L, 2, &size);
    luaL_argcheck(L, number >= 0 && (size_t)number < host->use_count, 1, "no such connector");
    host->uses[number]->topic = (const char *)arena_copy(&host->texts, slice_of(topic, size + 1)).data;
    return 0;
}

/* put_between(sink, writer, reader) */
static int core_put_between(lua_State *L)
{
    graph_put_between(sink_argument(L, 1), sink_argument(L, 2), sink_argument(L, 3));
    return 0;
}

static void push_codec(lua_State *L, const char *name, const char *field)
{
    codec_push(L, codec_find(name));
    lua_setfield(L, -2, field);
}

/* Sets its field in the table on top of the stack. */
static void describe(lua_State *L, const struct connector *connector)
{
    lua_newtable(L);
    lua_pushboolean(L, connector->source != NULL);
    lua_setfield(L, -2, "source");
    lua_pushboolean(L, connector->sink != NULL);
    lua_setfield(L, -2, "sink");
    if (connector->source) {
        push_codec(L, connector->source->key_codec, "key_codec");
        push_codec(L, connector->source->value_codec, "value_codec");
    }
    lua_setfield(L, -2, connector->kind);
}

/* connectors() -> kind -> { source, sink, key_codec, value_codec }; the codecs are those of a source's records */
static int core_connectors(lua_State *L)
{
    const struct connector_table *table = host_of(L)->connectors;
    lua_newtable(L);
    for (size_t i = 0; table && i < table->count; i++) {
        describe(L, table->list[i]);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"connector", core_connector},
    {"use_connector", core_use_connector},
    {"connectors", core_connectors},
    {"direct_topic", core_direct_topic},
    {"read_directly", core_read_directly},
    {"put_between", core_put_between},
    {NULL, NULL},
};

void bind_connector_install(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
}
