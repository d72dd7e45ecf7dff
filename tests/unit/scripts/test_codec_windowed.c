#include "scripts/codec_windowed.h"
#include "scripts/windowed_key.h"
#include "tests/support/script_host.h"
#include "tests/support/unit.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)

static struct host *host;
static const struct codec *codec_in_use;

static int encode_argument(lua_State *L)
{
    bytes_clear(&host->scratch);
    codec_in_use->encode(codec_in_use, L, 1, &host->scratch);
    lua_pushlstring(L, (const char *)bytes_slice(&host->scratch).data, host->scratch.size);
    return 1;
}

static void begin(void)
{
    host = script_host_open();
    windowed_key_install(host->L);
    lua_register(host->L, "encode", encode_argument);
}

/* What the chunk gives, as text, or the text of its error; `wk` is the windowed key of the bytes. */
static const char *result(const struct codec *codec, struct slice bytes, const char *chunk)
{
    codec_in_use = codec;
    codec->decode(codec, host->L, bytes);
    lua_setglobal(host->L, "wk");
    (void)luaL_dostring(host->L, chunk);
    return luaL_tolstring(host->L, -1, NULL);
}

#define EXPECT_IN(have, part)                                                                                          \
    do {                                                                                                               \
        const char *text_ = (have);                                                                                    \
        ck_assert_msg(strstr(text_, part) != NULL, "\"%s\" is not in \"%s\"", part, text_);                            \
    } while (0)

#define KEY BYTES("ab\0\0\0\0\0\0\1\2")
#define SESSION BYTES("ab\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0\5")

START_TEST(a_key_shows_its_window)
{
    begin();
    const struct codec *codec = codec_windowed(host->L, &codec_string, false, 100);
    const char *show = "return wk.key .. ' ' .. wk.window_start .. ' ' .. wk.window_end";
    ck_assert_str_eq(result(codec, KEY, show), "ab 258 358");
    ck_assert_str_eq(result(codec_windowed(host->L, &codec_string, true, 0), SESSION, show), "ab 5 258");
    ck_assert_str_eq(result(codec, KEY, "return tostring(wk)"), "ab@258-358");
    ck_assert_str_eq(result(codec, KEY,
                            "local n = '' for k, v in pairs(wk) do n = n .. k .. '=' .. v .. ' ' end "
                            "return n"),
                     "key=ab window_start=258 window_end=358 ");
    const struct codec *numbers = codec_windowed(host->L, &codec_int64, false, 1);
    ck_assert_str_eq(result(numbers, BYTES("\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0"), "return math.type(wk.key)"), "integer");
    script_host_close(host);
}
END_TEST

START_TEST(keys_are_equal_in_content)
{
    begin();
    const struct codec *codec = codec_windowed(host->L, &codec_string, false, 100);
    result(codec, KEY, "one = wk");
    ck_assert_str_eq(result(codec, KEY, "return tostring(one == wk) .. tostring(rawequal(one, wk))"), "truefalse");
    ck_assert_str_eq(result(codec, BYTES("ac\0\0\0\0\0\0\1\2"), "return one == wk"), "false");
    ck_assert_str_eq(result(codec, BYTES("ab\0\0\0\0\0\0\1\3"), "return one == wk"), "false");
    script_host_close(host);
}
END_TEST

START_TEST(keys_are_read_only)
{
    begin();
    const struct codec *codec = codec_windowed(host->L, &codec_string, false, 100);
    EXPECT_IN(result(codec, KEY, "wk.key = 'b'"), "a windowed key is read-only: field 'key' can't be set");
    EXPECT_IN(result(codec, KEY, "wk.other = 'b'"), "field 'other' can't be set");
    EXPECT_IN(result(codec, KEY, "return wk.start"), "a windowed key has no field 'start'; it has key, window_start");
    ck_assert_str_eq(result(codec, KEY, "return getmetatable(wk)"), "false");
    script_host_close(host);
}
END_TEST

START_TEST(keys_and_their_copies_are_written_back)
{
    begin();
    const struct codec *codec = codec_windowed(host->L, &codec_string, false, 100);
    const char *chunk = "return encode(wk) == encode({ key = 'ab', window_start = 258, window_end = 358 }) "
                        "and encode(copy(wk)) == encode(wk) and encode(wk)";
    size_t size;
    (void)result(codec, KEY, chunk);
    const char *bytes = lua_tolstring(host->L, -1, &size);
    ck_assert(slice_equal(slice_of(bytes, size), KEY));
    (void)result(codec_windowed(host->L, &codec_string, true, 0), SESSION, "return encode(wk)");
    bytes = lua_tolstring(host->L, -1, &size);
    ck_assert(slice_equal(slice_of(bytes, size), SESSION));
    EXPECT_IN(result(codec, KEY, "return encode('ab')"), "writes windowed keys { key, window_start, window_end }");
    EXPECT_IN(result(codec, KEY, "return encode({ key = 'a', window_start = 1 })"), "writes windowed keys");
    EXPECT_IN(result(codec, KEY, "return encode({ key = 'a', window_start = 1, window_end = 2 })"),
              "can't write the window from 1 to 2; its windows are 100 ms long");
    script_host_close(host);
}
END_TEST

START_TEST(keys_are_json_too)
{
    begin();
    const struct codec *codec = codec_windowed(host->L, &codec_string, false, 100);
    codec->decode(codec, host->L, KEY);
    lua_createtable(host->L, 0, 1);
    lua_insert(host->L, -2);
    lua_setfield(host->L, -2, "from");
    struct bytes out = {0};
    view_encode(host->L, -1, &out);
    ck_assert_str_eq(bytes_text(&out), "{\"from\":{\"key\":\"ab\",\"window_start\":258,\"window_end\":358}}");
    bytes_free(&out);
    script_host_close(host);
}
END_TEST

START_TEST(bytes_from_outside_are_checked)
{
    struct err err;
    begin();
    const struct codec *codec = codec_windowed(host->L, &codec_int64, false, 100);
    ck_assert_int_eq(codec->check(codec, BYTES("1234567"), &err), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    EXPECT_IN(err.text, "windowed(int64, 100) reads keys of at least 8 bytes, and this one has 7");
    ck_assert_int_eq(codec->check(codec, BYTES("123456789"), &err), -1);
    EXPECT_IN(err.text, "int64 codec reads 8 bytes");
    ck_assert_int_eq(codec->check(codec, BYTES("1234567812345678"), &err), 0);
    script_host_close(host);
}
END_TEST

START_TEST(equal_codecs_are_the_same)
{
    begin();
    const struct codec *codec = codec_windowed(host->L, &codec_string, false, 100);
    ck_assert_ptr_eq(codec_windowed(host->L, &codec_string, false, 100), codec);
    ck_assert_ptr_ne(codec_windowed(host->L, &codec_string, false, 101), codec);
    ck_assert_ptr_ne(codec_windowed(host->L, &codec_json, false, 100), codec);
    ck_assert_ptr_ne(codec_windowed(host->L, &codec_string, true, 0), codec);
    ck_assert_ptr_eq(codec_windowed(host->L, &codec_string, true, 5), codec_windowed(host->L, &codec_string, true, 0));
    ck_assert_ptr_eq(codec_windowed_inner(codec), &codec_string);
    ck_assert_ptr_null(codec_windowed_inner(&codec_string));
    script_host_close(host);
}
END_TEST

UNIT_MAIN("codec_windowed", a_key_shows_its_window, keys_are_equal_in_content, keys_are_read_only,
          keys_and_their_copies_are_written_back, keys_are_json_too, bytes_from_outside_are_checked,
          equal_codecs_are_the_same)
