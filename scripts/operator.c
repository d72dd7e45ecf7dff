#include "scripts/operator.h"

#include <string.h>

const struct codec *operator_codec(lua_State *L, int options, const char *field, const struct codec *if_nil)
{
    lua_getfield(L, options, field);
    const struct codec *codec = codec_argument(L, lua_gettop(L), if_nil);
    lua_pop(L, 1);
    return codec;
}

const char *operator_text(lua_State *L, int options, const char *field)
{
    if (lua_getfield(L, options, field) == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        luaL_error(L, "the option %s must be a string, not a %s", field, luaL_typename(L, -1));
    }
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    char *copy = arena_alloc(&host_of(L)->texts, size + 1);
    memcpy(copy, text, size + 1);
    lua_pop(L, 1);
    return copy;
}
