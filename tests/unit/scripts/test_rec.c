#include "tests/support/script_host.h"
#include "tests/support/unit.h"

static struct host *host;
static struct header list[3];
static struct headers headers;
static struct record source;
static struct item item;

static void setup(bool writable)
{
    host = script_host_open();
    list[0] = (struct header){slice_text("trace"), slice_text("1")};
    list[1] = (struct header){slice_text("skip"), SLICE_NULL};
    list[2] = (struct header){slice_text("trace"), slice_text("2")};
    headers = (struct headers){list, 3};
    source = (struct record){.timestamp = 5, .offset = 42, .topic = "orders", .partition = 3};
    item = (struct item){.timestamp = 7, .headers = &headers, .source = &source};
    rec_push(host->L, &item, writable);
    lua_setglobal(host->L, "rec");
}

static const char *result(const char *chunk)
{
    lua_settop(host->L, 0);
    if (luaL_dostring(host->L, chunk) == LUA_OK) {
        luaL_tolstring(host->L, -1, NULL);
    }
    return lua_tostring(host->L, -1);
}

#define EXPECT(chunk, text) ck_assert_str_eq(result(chunk), text)
#define EXPECT_IN(chunk, part)                                                                                         \
    ck_assert_msg(strstr(result(chunk), part) != NULL, "\"%s\" is not in \"%s\"", part, lua_tostring(host->L, -1))

/* All headers as text. */
#define ALL "local s = '' for n, v in rec.headers:each() do s = s .. n .. '=' .. tostring(v) .. ';' end return s"

START_TEST(fields)
{
    setup(false);
    EXPECT("return rec.timestamp .. rec.topic .. rec.partition .. '/' .. rec.offset", "7orders3/42");
    EXPECT("return rec.headers == rec.headers", "true");
    EXPECT_IN("return rec.key", "rec has no field 'key'; it has timestamp");
    EXPECT_IN("rec.topic = 'x'", "rec is read-only: field 'topic' can't be set");
    EXPECT("return rec", "rec of orders [3] offset 42");
    script_host_close(host);
}
END_TEST

START_TEST(without_record)
{
    setup(false);
    item.source = NULL;
    rec_push(host->L, &item, false);
    lua_setglobal(host->L, "rec");
    EXPECT("return tostring(rec.topic) .. tostring(rec.offset) .. tostring(rec.partition) .. rec.timestamp",
           "nilnilnil7");
    script_host_close(host);
}
END_TEST

START_TEST(reads_headers)
{
    setup(false);
    EXPECT("return rec.headers:get('trace')", "2");
    EXPECT("return rec.headers:get('none')", "nil");
    EXPECT("return rec.headers:get('skip') == null", "true");
    EXPECT("return table.concat(rec.headers:all('trace'), ',')", "1,2");
    EXPECT("return #rec.headers:all('none')", "0");
    EXPECT("return #rec.headers", "3");
    EXPECT(ALL, "trace=1;skip=null;trace=2;");
    EXPECT_IN("return rec.headers.trace", "headers are read with rec.headers:get(name), not as field 'trace'");
    EXPECT_IN("rec.headers.trace = 1", "headers are set with rec.headers:set(name, value)");
    EXPECT_IN("return rec.headers.get('trace')", "write rec.headers:get(...), with a colon");
    EXPECT_IN("return rec.headers:get(5)", "the name of a header is a string, and this is a number");
    EXPECT_IN("rec.headers:add('a', 'b')", "rec.headers can be changed inside process only");
    script_host_close(host);
}
END_TEST

START_TEST(changes_headers)
{
    setup(true);
    EXPECT("rec.headers:add('a', 'x') " ALL, "trace=1;skip=null;trace=2;a=x;");
    EXPECT("rec.headers:set('trace', '3') " ALL, "skip=null;a=x;trace=3;");
    EXPECT("rec.headers:remove('skip') rec.headers:add('n', null) " ALL, "a=x;trace=3;n=null;");
    EXPECT("for n in rec.headers:each() do rec.headers:remove(n) end " ALL, "");
    EXPECT("rec.headers:set('bytes', '\\0\\xff') return #rec.headers:get('bytes')", "2");
    EXPECT_IN("rec.headers:add('a', 5)", "a string of bytes or tm.null, and this is a number");
    ck_assert_uint_eq(headers.count, 3); /* the item's own list is as it was */
    ck_assert_ptr_eq(headers.list, list);
    lua_getglobal(host->L, "rec");
    const struct headers *now = rec_headers(host->L, -1);
    ck_assert_uint_eq(now->count, 1);
    ck_assert(slice_equal(now->list[0].name, slice_text("bytes")));
    script_host_close(host);
}
END_TEST

START_TEST(old_rec_raises)
{
    setup(true);
    EXPECT("h = rec.headers; step = h:each() return step()", "1");
    script_host_next(host);
    EXPECT_IN("return rec.timestamp", "this rec belongs to a record that is done");
    EXPECT_IN("return rec.headers", "this rec belongs to a record that is done");
    EXPECT_IN("return h:get('trace')", "this rec.headers belongs to a record that is done");
    EXPECT_IN("h:add('a', 'b')", "belongs to a record that is done");
    EXPECT_IN("return step()", "belongs to a record that is done");
    lua_getglobal(host->L, "rec");
    ck_assert_uint_eq(rec_headers(host->L, -1)->count, 0);
    script_host_close(host);
}
END_TEST

UNIT_MAIN("rec", fields, without_record, reads_headers, changes_headers, old_rec_raises)
