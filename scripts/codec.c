#include "scripts/codec.h"

#include <lauxlib.h>
#include <string.h>

static const struct codec *const codecs[] = {&codec_json, &codec_string, &codec_bytes, &codec_int64, &codec_double};

#define CODEC_COUNT (sizeof codecs / sizeof codecs[0])

/* Registry key of the set of codecs that are not in the table above (tm.windowed makes such). */
static const char made_key;

size_t codec_count(void)
{
    return CODEC_COUNT;
}

const struct codec *codec_at(size_t index)
{
    return index < CODEC_COUNT ? codecs[index] : NULL;
}

const struct codec *codec_find(const char *name)
{
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        if (strcmp(codecs[i]->name, name) == 0) {
            return codecs[i];
        }
    }
    return NULL;
}

static bool built_in(const struct codec *codec)
{
    for (size_t i = 0; i < CODEC_COUNT; i++) {
        if (codecs[i] == codec) {
            return true;
        }
    }
    return false;
}

/* Remembers a codec that was made for this state, so that other light userdata can't be taken for one. [-0, +0, e] */
static void remember(lua_State *L, const struct codec *codec)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &made_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &made_key);
    }
    lua_pushboolean(L, true);
    lua_rawsetp(L, -2, codec);
    lua_pop(L, 1);
}

static bool remembered(lua_State *L, const void *pointer)
{
    bool known = lua_rawgetp(L, LUA_REGISTRYINDEX, &made_key) == LUA_TTABLE;
    if (known) {
        known = lua_rawgetp(L, -1, pointer) != LUA_TNIL;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return known;
}

void codec_push(lua_State *L, const struct codec *codec)
{
    if (!built_in(codec)) {
        remember(L, codec);
    }
    lua_pushlightuserdata(L, (void *)codec);
}

const struct codec *codec_argument(lua_State *L, int index, const struct codec *if_nil)
{
    if (if_nil != NULL && lua_isnoneornil(L, index)) {
        return if_nil;
    }
    const struct codec *codec = NULL;
    if (lua_islightuserdata(L, index)) {
        codec = lua_touserdata(L, index);
        codec = built_in(codec) || remembered(L, codec) ? codec : NULL;
    } else if (lua_type(L, index) == LUA_TSTRING) {
        codec = codec_find(lua_tostring(L, index));
    }
    if (codec == NULL) {
        luaL_error(
            L,
            "a codec is expected (tm.json, tm.string, tm.bytes, tm.int64, tm.double or one made by tm.windowed), "
            "got %s",
            luaL_tolstring(L, index, NULL));
    }
    return codec;
}
