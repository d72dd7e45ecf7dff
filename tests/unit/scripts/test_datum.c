#include "tests/support/script_host.h"
#include "tests/support/unit.h"

static struct host *host;
static lua_State *L;

static void setup(void)
{
    host = script_host_open();
    L = host->L;
}

/* Runs the chunk with the value at `slot` as the global v. */
static void run(int slot, const char *chunk)
{
    lua_pushvalue(L, slot);
    lua_setglobal(L, "v");
    int status = luaL_dostring(L, chunk);
    ck_assert_msg(status == LUA_OK, "%s", lua_tostring(L, -1));
}

static void expect_text(int slot, const char *text)
{
    ck_assert_str_eq(luaL_tolstring(L, slot, NULL), text);
    lua_pop(L, 1);
}

static void expect_bytes(struct datum *datum, const char *text)
{
    int top = lua_gettop(L);
    ck_assert(slice_equal(datum_bytes(L, datum, datum->codec), slice_text(text)));
    ck_assert_int_eq(lua_gettop(L), top);
}

START_TEST(decodes_once)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_json, slice_text("{\"a\": 1}"));
    int slot = datum_slot(L, &datum);
    ck_assert_int_eq(slot, 1);
    ck_assert_int_eq(datum_slot(L, &datum), slot);
    ck_assert_int_eq(lua_gettop(L), 1);
    run(slot, "local x = v.a");
    ck_assert_ptr_eq(datum_bytes(L, &datum, &codec_json).data, datum.bytes.data);
    script_host_close(host);
}
END_TEST

START_TEST(null_is_nil)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_json, SLICE_NULL);
    ck_assert(datum.null);
    ck_assert(lua_isnil(L, datum_slot(L, &datum)));
    ck_assert(slice_is_null(datum_bytes(L, &datum, &codec_string)));
    lua_pushnil(L);
    ck_assert(datum_of_value(L, -1, &codec_json).null);
    view_push_null(L);
    datum = datum_of_value(L, -1, &codec_json);
    ck_assert(!datum.null);
    expect_bytes(&datum, "null");
    script_host_close(host);
}
END_TEST

/* A filter changes the value and returns true: nobody sees the change. */
START_TEST(change_that_is_not_returned_is_not_seen)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_json, slice_text("{\"a\":{\"b\":1}}"));
    run(datum_slot(L, &datum), "v.a.b = 2");
    expect_text(datum_slot(L, &datum), "{\"a\":{\"b\":1}}");
    expect_bytes(&datum, "{\"a\":{\"b\":1}}");
    script_host_close(host);
}
END_TEST

START_TEST(change_that_is_returned_is_carried)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_json, slice_text("{\"a\":1,\"b\":2}"));
    run(datum_slot(L, &datum), "v.a = 5");
    struct datum mapped = datum_of_value(L, datum.slot, &codec_json);
    expect_text(datum_slot(L, &datum), "{\"a\":1,\"b\":2}"); /* a sibling branch */
    /* The next node changes it too and does not return it. */
    run(datum_slot(L, &mapped), "assert(v.a == 5) v.b = 7");
    expect_text(datum_slot(L, &mapped), "{\"a\":5,\"b\":2}");
    expect_bytes(&mapped, "{\"a\":5,\"b\":2}");
    script_host_close(host);
}
END_TEST

/* Two branches behind a map that changed the value: each has a copy of the item, as op_forward hands it on. */
START_TEST(siblings_see_the_original)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_json, slice_text("{\"a\":1}"));
    run(datum_slot(L, &datum), "v.a = 5");
    struct datum mapped = datum_of_value(L, datum.slot, &codec_json);
    int top = lua_gettop(L);
    struct datum one = mapped;
    run(datum_slot(L, &one), "v.a = 6");
    lua_settop(L, top);
    struct datum other = mapped;
    expect_text(datum_slot(L, &other), "{\"a\":5}");
    script_host_close(host);
}
END_TEST

START_TEST(untouched_child_keeps_its_bytes)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_json, slice_text("{\"a\":{\"n\": 1.50 }}"));
    run(datum_slot(L, &datum), "w = v.a");
    lua_getglobal(L, "w");
    struct datum child = datum_of_value(L, -1, &codec_json);
    ck_assert(!slice_is_null(child.bytes));
    expect_bytes(&child, "{\"n\": 1.50 }");
    script_host_close(host);
}
END_TEST

START_TEST(other_codec_encodes_anew)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_int64, slice_of("\0\0\0\0\0\0\0\x07", 8));
    int top = lua_gettop(L);
    ck_assert(slice_equal(datum_bytes(L, &datum, &codec_json), slice_text("7")));
    ck_assert_int_eq(lua_gettop(L), top);
    ck_assert_int_eq(datum.slot, 0);
    ck_assert_uint_eq(datum_bytes(L, &datum, &codec_int64).size, 8);
    script_host_close(host);
}
END_TEST

static int read_datum(lua_State *state)
{
    datum_slot(state, lua_touserdata(state, 1));
    return 0;
}

START_TEST(kept_view_raises)
{
    setup();
    struct datum datum = datum_of_bytes(&codec_json, slice_text("{\"a\":1}"));
    datum_slot(L, &datum);
    script_host_next(host);
    struct datum late = datum_of_value(L, datum.slot, &codec_json);
    ck_assert(slice_is_null(late.bytes));
    lua_pushcfunction(L, read_datum);
    lua_pushlightuserdata(L, &late);
    late.slot = 3; /* in the stack of the call below, where the view is argument 3 */
    lua_pushnil(L);
    lua_pushvalue(L, datum.slot);
    ck_assert(lua_pcall(L, 3, 0, 0) != LUA_OK);
    ck_assert_ptr_nonnull(strstr(lua_tostring(L, -1), "belongs to a record that is done"));
    script_host_close(host);
}
END_TEST

UNIT_MAIN("datum", decodes_once, null_is_nil, change_that_is_not_returned_is_not_seen,
          change_that_is_returned_is_carried, siblings_see_the_original, untouched_child_keeps_its_bytes,
          other_codec_encodes_anew, kept_view_raises)
