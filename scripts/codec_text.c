#include "scripts/codec_int.h"

#include <lauxlib.h>

#include "scripts/view.h"

void codec_refuse(lua_State *L, const struct codec *codec, int index, const char *expected)
{
    const char *found = luaL_typename(L, index);
    if (view_is(L, index)) {
        found = "JSON value";
    } else if (view_is_null(L, index)) {
        found = "JSON null";
    }
    luaL_error(L, "the %s codec writes %s, and this is a %s", codec->name, expected, found);
}

static int check(const struct codec *codec, struct slice bytes, struct err *err)
{
    (void)codec;
    (void)bytes;
    (void)err;
    return 0; /* a Lua string holds any bytes */
}

static void decode(const struct codec *codec, lua_State *L, struct slice bytes)
{
    (void)codec;
    lua_pushlstring(L, (const char *)bytes.data, bytes.size);
}

/* A number is not converted: that would make a key of 5 and a key of "5" the same by accident. */
static void encode(const struct codec *codec, lua_State *L, int index, struct bytes *out)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        codec_refuse(L, codec, index, "strings");
        return;
    }
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    bytes_append(out, text, size);
}

const struct codec codec_string = {
    .name = "string",
    .text = "A string, as it is. Numbers are refused, not converted.",
    .check = check,
    .decode = decode,
    .encode = encode,
};

const struct codec codec_bytes = {
    .name = "bytes",
    .text = "Bytes that mean nothing to Tidemill, as a Lua string.",
    .check = check,
    .decode = decode,
    .encode = encode,
};
