#include "tests/support/script_host.h"
#include "tests/support/unit.h"

static struct host *host;

/* Encodes the value of the expression; bytes in hexadecimal, or the text of the error. */
static const char *encoded(const struct codec *codec, const char *expression);

static const struct codec *codec_in_use;

static int encode_argument(lua_State *L)
{
    struct bytes *out = &host->scratch;
    bytes_clear(out);
    codec_in_use->encode(codec_in_use, L, 1, out);
    lua_pushlstring(L, (const char *)bytes_slice(out).data, out->size);
    return 1;
}

static const char *encoded(const struct codec *codec, const char *expression)
{
    codec_in_use = codec;
    lua_register(host->L, "encode", encode_argument);
    lua_settop(host->L, 0);
    lua_pushfstring(host->L, "return (encode(%s):gsub('.', function(c) return ('%%02x'):format(c:byte()) end))",
                    expression);
    (void)luaL_dostring(host->L, lua_tostring(host->L, -1));
    return lua_tostring(host->L, -1);
}

/* What the bytes decode to, as text, or the text of the check's error. */
static const char *decoded(const struct codec *codec, struct slice bytes)
{
    static struct err err;
    if (codec->check(codec, bytes, &err) != 0) {
        ck_assert_int_eq(err.class, ERR_SKIP);
        return err.text;
    }
    codec->decode(codec, host->L, bytes);
    return luaL_tolstring(host->L, -1, NULL);
}

#define EXPECT(have, want) ck_assert_str_eq(have, want)
#define EXPECT_IN(have, part)                                                                                          \
    do {                                                                                                               \
        const char *text_ = (have);                                                                                    \
        ck_assert_msg(strstr(text_, part) != NULL, "\"%s\" is not in \"%s\"", part, text_);                            \
    } while (0)
#define BYTES(text) slice_of(text, sizeof(text) - 1)

START_TEST(strings)
{
    host = script_host_open();
    EXPECT(encoded(&codec_string, "'a\\0\\xff'"), "6100ff");
    EXPECT(decoded(&codec_string, BYTES("abc")), "abc");
    EXPECT(decoded(&codec_bytes, BYTES("")), "");
    EXPECT_IN(encoded(&codec_string, "5"), "the string codec writes strings, and this is a number");
    EXPECT_IN(encoded(&codec_bytes, "{}"), "the bytes codec writes strings, and this is a table");
    EXPECT_IN(encoded(&codec_string, "json('{}')"), "and this is a JSON value");
    EXPECT_IN(encoded(&codec_string, "null"), "and this is a JSON null");
    script_host_close(host);
}
END_TEST

START_TEST(integers)
{
    host = script_host_open();
    EXPECT(encoded(&codec_int64, "1"), "0000000000000001");
    EXPECT(encoded(&codec_int64, "-2"), "fffffffffffffffe");
    EXPECT(encoded(&codec_int64, "math.mininteger"), "8000000000000000");
    EXPECT(encoded(&codec_int64, "3.0"), "0000000000000003");
    EXPECT_IN(encoded(&codec_int64, "3.5"), "the int64 codec writes integers, and 3.5 is not one");
    EXPECT_IN(encoded(&codec_int64, "'7'"), "the int64 codec writes integers, and this is a string");
    EXPECT(decoded(&codec_int64, BYTES("\xff\xff\xff\xff\xff\xff\xff\xfe")), "-2");
    EXPECT_IN(decoded(&codec_int64, BYTES("1234567")), "reads 8 bytes, and these are 7");
    EXPECT_IN(decoded(&codec_int64, BYTES("")), "and these are 0");
    script_host_close(host);
}
END_TEST

START_TEST(doubles)
{
    host = script_host_open();
    EXPECT(encoded(&codec_double, "1.5"), "3ff8000000000000");
    EXPECT(encoded(&codec_double, "-2"), "c000000000000000");
    EXPECT_IN(encoded(&codec_double, "true"), "the double codec writes numbers, and this is a boolean");
    EXPECT(decoded(&codec_double, BYTES("\x3f\xf8\0\0\0\0\0\0")), "1.5");
    EXPECT_IN(decoded(&codec_double, BYTES("123456789")), "reads 8 bytes");
    script_host_close(host);
}
END_TEST

START_TEST(json)
{
    host = script_host_open();
    EXPECT(encoded(&codec_json, "json(' [1, 2]')"), "205b312c20325d");
    EXPECT(encoded(&codec_json, "null"), "6e756c6c");
    EXPECT(encoded(&codec_json, "'x'"), "227822");
    EXPECT_IN(encoded(&codec_json, "print"), "the value is a function, which JSON can't hold");
    EXPECT(decoded(&codec_json, BYTES(" 5 ")), "5");
    EXPECT(decoded(&codec_json, BYTES("{\"a\":1}")), "{\"a\":1}");
    EXPECT_IN(decoded(&codec_json, BYTES("{\"a\":}")), "This is not JSON: value expected at byte 5 of 6.");
    EXPECT_IN(decoded(&codec_json, BYTES("")), "at byte 0 of 0");
    script_host_close(host);
}
END_TEST

START_TEST(found_by_name)
{
    ck_assert_uint_eq(codec_count(), 5);
    for (size_t i = 0; i < codec_count(); i++) {
        ck_assert_ptr_eq(codec_find(codec_at(i)->name), codec_at(i));
    }
    ck_assert_ptr_null(codec_find("avro"));
    ck_assert_ptr_null(codec_at(codec_count()));
}
END_TEST

static int take_codec(lua_State *L)
{
    codec_push(L, codec_argument(L, 1, lua_toboolean(L, 2) ? &codec_json : NULL));
    return 1;
}

START_TEST(arguments)
{
    host = script_host_open();
    lua_State *L = host->L;
    static const struct codec own = {.name = "own"};
    lua_register(L, "take", take_codec);
    codec_push(L, &own);
    lua_setglobal(L, "own");
    codec_push(L, &codec_int64);
    lua_setglobal(L, "int64");
    ck_assert(luaL_dostring(L, "return take(own) == own and take(int64) == int64 and take('int64') == int64 and "
                               "take(nil, true) == take('json')") == LUA_OK);
    ck_assert(lua_toboolean(L, -1));
    static const char *const wrong[] = {"take(null)", "take(nil)", "take('avro')", "take({})", "take(5)"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert(luaL_dostring(L, wrong[i]) != LUA_OK);
        EXPECT_IN(lua_tostring(L, -1), "a codec is expected");
    }
    script_host_close(host);
}
END_TEST

UNIT_MAIN("codec", strings, integers, doubles, json, found_by_name, arguments)
