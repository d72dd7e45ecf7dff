#include "scripts/codec_int.h"

#include <lauxlib.h>
#include <string.h>

static int check_eight(const struct codec *codec, struct slice bytes, struct err *err)
{
    if (bytes.size == 8) {
        return 0;
    }
    return err_set(err, ERR_SKIP, ERR_RECORD, "The %s codec reads 8 bytes, and these are %zu.", codec->name,
                   bytes.size);
}

static uint64_t take(struct slice bytes)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    return bytes_take_u64(&reader);
}

static void decode_int64(const struct codec *codec, lua_State *L, struct slice bytes)
{
    (void)codec;
    lua_pushinteger(L, (lua_Integer)take(bytes));
}

static void encode_int64(const struct codec *codec, lua_State *L, int index, struct bytes *out)
{
    int whole = 0;
    lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
    if (whole) {
        bytes_append_u64(out, (uint64_t)value);
    } else if (lua_type(L, index) == LUA_TNUMBER) {
        luaL_error(L, "the int64 codec writes integers, and %f is not one", lua_tonumber(L, index));
    } else {
        codec_refuse(L, codec, index, "integers");
    }
}

static void decode_double(const struct codec *codec, lua_State *L, struct slice bytes)
{
    (void)codec;
    uint64_t bits = take(bytes);
    double value;
    memcpy(&value, &bits, sizeof value);
    lua_pushnumber(L, value);
}

static void encode_double(const struct codec *codec, lua_State *L, int index, struct bytes *out)
{
    if (lua_type(L, index) != LUA_TNUMBER) {
        codec_refuse(L, codec, index, "numbers");
        return;
    }
    double value = lua_tonumber(L, index);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bytes_append_u64(out, bits);
}

const struct codec codec_int64 = {
    .name = "int64",
    .text = "A 64-bit integer in 8 bytes, big-endian, as Kafka's LongSerializer writes it.",
    .check = check_eight,
    .decode = decode_int64,
    .encode = encode_int64,
};

const struct codec codec_double = {
    .name = "double",
    .text = "A floating-point number in 8 bytes, big-endian IEEE 754, as Kafka's DoubleSerializer writes it.",
    .check = check_eight,
    .decode = decode_double,
    .encode = encode_double,
};
