#include "scripts/bind_app.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "scripts/call.h"
#include "scripts/codec.h"
#include "scripts/view.h"

/* ---- settings ---- */

const char *bind_app_push_setting(lua_State *L, int index, const char *method, const char *name)
{
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        lua_pushvalue(L, index);
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        if (lua_tointegerx(L, index, NULL) == lua_tonumber(L, index)) {
            lua_pushfstring(L, "%I", (LUAI_UACINT)lua_tointeger(L, index));
        } else {
            luaL_tolstring(L, index, NULL);
        }
        break;
    default:
        luaL_error(L, "%s: the setting %s can't be a %s", method, name, luaL_typename(L, index));
    }
    return lua_tostring(L, -1);
}

static void set_option(lua_State *L, const char *name, const char *value)
{
    struct err err;
    if (option_set(&app_options, host_of(L)->settings, name, value, &err)) {
        luaL_error(L, "tm.app: %s", err.text);
    }
}

/* kafka = { ["socket.timeout.ms"] = 1000 } */
static void set_properties(lua_State *L, int table)
{
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            luaL_error(L, "tm.app: kafka has properties by name, not a list");
        }
        const char *property = lua_tostring(L, -2);
        const char *value = bind_app_push_setting(L, lua_gettop(L), "tm.app", property);
        set_option(L, "kafka", lua_pushfstring(L, "%s=%s", property, value));
        lua_pop(L, 3);
    }
}

static void set_each(lua_State *L, int table)
{
    lua_pushnil(L);
    while (lua_next(L, table)) {
        int value = lua_gettop(L);
        if (lua_type(L, value - 1) != LUA_TSTRING) {
            luaL_error(L, "tm.app: settings have names: tm.app { id = \"shop\", threads = 2 }");
        }
        const char *name = lua_tostring(L, value - 1);
        if (strcmp(name, "kafka") == 0 && lua_istable(L, value)) {
            set_properties(L, value);
        } else {
            set_option(L, name, bind_app_push_setting(L, value, "tm.app", name));
        }
        lua_settop(L, value - 1);
    }
}

/* "name=value"; a property of the client is "kafka.property=value". */
static void set_overrides(lua_State *L)
{
    const struct option_list *overrides = host_of(L)->overrides;
    for (size_t i = 0; overrides && i < overrides->count; i++) {
        const char *text = overrides->items[i];
        const char *equals = strchr(text, '=');
        if (strncmp(text, "kafka.", 6) == 0) {
            set_option(L, "kafka", text + 6);
        } else if (equals) {
            set_option(L, lua_pushlstring(L, text, (size_t)(equals - text)), equals + 1);
            lua_pop(L, 1);
        } else {
            set_option(L, text, NULL);
        }
    }
}

static void default_dead_letter(lua_State *L)
{
    const struct app_settings *settings = host_of(L)->settings;
    if (!settings->dead_letter) {
        set_option(L, "dead_letter", lua_pushfstring(L, "%s-dead-letter", settings->id));
        lua_pop(L, 1);
    }
}

/* What the DSL needs to know of the settings, the command line's included. [-0, +1, -] */
static void push_settings(lua_State *L)
{
    static const char *const policies[] = {
        [POLICY_FAIL] = "fail", [POLICY_SKIP] = "skip", [POLICY_DEAD_LETTER] = "dead_letter"};
    const struct app_settings *settings = host_of(L)->settings;
    lua_newtable(L);
    lua_pushstring(L, settings->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, settings->dead_letter);
    lua_setfield(L, -2, "dead_letter");
    lua_pushstring(L, policies[settings->on_error]);
    lua_setfield(L, -2, "on_error");
}

/* app(settings) -> { id, dead_letter, on_error } as they are in force */
static int core_app(lua_State *L)
{
    struct host *host = host_of(L);
    host_require_phase(L, HOST_BUILDING, "tm.app");
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!host->settings) {
        return luaL_error(L, "tm.app: this file is no pipeline, so there is no app to build");
    }
    if (host->graph) {
        return luaL_error(L, "tm.app is called twice; a script is one app");
    }
    set_each(L, 1);
    set_overrides(L);
    if (!host->settings->id) {
        return luaL_error(L, "tm.app: the app needs an id: tm.app { id = \"shop\" }");
    }
    default_dead_letter(L);
    host->graph = graph_new(host->settings->id);
    push_settings(L);
    return 1;
}

static int core_app_id(lua_State *L)
{
    const struct app_settings *settings = host_of(L)->settings;
    lua_pushstring(L, settings ? settings->id : NULL);
    return 1;
}

/* ---- values ---- */

int64_t bind_app_duration(lua_State *L, int index)
{
    int64_t ms = -1;
    if (lua_type(L, index) == LUA_TSTRING) {
        if (clock_parse_duration(lua_tostring(L, index), &ms)) {
            luaL_error(L, "\"%s\" is no duration; durations are \"250ms\" \"5s\" \"1m\" \"2h\" \"1d\" or milliseconds",
                       lua_tostring(L, index));
        }
    } else {
        int whole = 0;
        ms = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
        if (!whole) {
            luaL_error(L, "a duration is a text like \"5s\" or a whole number of milliseconds, not %s",
                       luaL_tolstring(L, index, NULL));
        }
    }
    if (ms < 0) {
        luaL_error(L, "a duration can't be negative");
    }
    return ms;
}

/* duration("5s") or duration(5000) -> 5000 */
static int core_duration(lua_State *L)
{
    lua_pushinteger(L, bind_app_duration(L, 1));
    return 1;
}

/* nearest(name, list) -> the entry that was probably meant, or nil */
static int core_nearest(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    size_t count = (size_t)luaL_len(L, 2);
    const char **names = lua_newuserdatauv(L, sizeof(*names) * (count + 1), 0);
    for (size_t i = 0; i < count; i++) {
        lua_geti(L, 2, (lua_Integer)i + 1);
        luaL_checktype(L, -1, LUA_TSTRING);
        names[i] = lua_tostring(L, -1); /* kept alive by the list */
        lua_pop(L, 1);
    }
    lua_pushstring(L, option_nearest(name, names, count));
    return 1;
}

static int core_env(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

static int core_phase(lua_State *L)
{
    static const char *const names[] = {
        [HOST_BUILDING] = "building", [HOST_READY] = "ready", [HOST_CALLBACK] = "callback"};
    lua_pushstring(L, names[host_of(L)->phase]);
    return 1;
}

/* fail(text): the report blames the innermost line of the user's files. */
static int core_fail(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    return lua_error(L);
}

static int core_codec(lua_State *L)
{
    codec_push(L, codec_argument(L, 1, NULL));
    return 1;
}

static int core_copy(lua_State *L)
{
    luaL_checkany(L, 1);
    view_copy(L, 1);
    return 1;
}

/* list(table) -> the same table, written as an array also when it is empty */
static int core_list(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    view_mark_list(L, 1);
    return 1;
}

/* ---- installing ---- */

static const luaL_Reg functions[] = {
    {"app", core_app},
    {"app_id", core_app_id},
    {"duration", core_duration},
    {"nearest", core_nearest},
    {"env", core_env},
    {"phase", core_phase},
    {"fail", core_fail},
    {"codec", core_codec},
    {"copy", core_copy},
    {"list", core_list},
    {NULL, NULL},
};

static void add_codecs(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < codec_count(); i++) {
        codec_push(L, codec_at(i));
        lua_setfield(L, -2, codec_at(i)->name);
    }
    lua_setfield(L, -2, "codecs");
}

void bind_app_install(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
    add_codecs(L);
    view_push_null(L);
    lua_setfield(L, -2, "null");
    view_push_tombstone(L);
    lua_setfield(L, -2, "tombstone");
}
