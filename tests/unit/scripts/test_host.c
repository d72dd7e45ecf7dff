#include <unistd.h>

#include "scripts/call.h"
#include "tests/support/unit.h"

static struct host *host;
static struct err err;

static void open_host(size_t memory)
{
    struct host_config config = {.script = "pipeline.lua", .memory_limit = memory};
    ck_assert_int_eq(host_open(&config, &host, &err), 0);
}

static int run(struct host *inside, void *chunk)
{
    lua_State *L = inside->L;
    if (luaL_loadbufferx(L, chunk, strlen(chunk), "@pipeline.lua", "t")) {
        return lua_error(L);
    }
    lua_call(L, 0, 0);
    return 0;
}

static void holds(const char *expression)
{
    char chunk[1024];
    snprintf(chunk, sizeof(chunk), "if not (%s) then error('does not hold') end", expression);
    if (call_protected(host, run, chunk, &err)) {
        ck_abort_msg("%s: %s", expression, err.text);
    }
}

static void runs(const char *chunk)
{
    if (call_protected(host, run, (void *)(uintptr_t)chunk, &err)) {
        ck_abort_msg("%s: %s", chunk, err.text);
    }
}

static void fails(const char *chunk, const char *part)
{
    if (call_protected(host, run, (void *)(uintptr_t)chunk, &err) == 0) {
        ck_abort_msg("this ran: %s", chunk);
    }
    if (!strstr(err.text, part)) {
        ck_abort_msg("expected \"%s\" in: %s", part, err.text);
    }
}

START_TEST(what_reads_files_or_starts_programs_is_not_there)
{
    open_host(0);
    static const char *const names[] = {"dofile", "loadfile", "collectgarbage", "warn",    "package", "os",
                                        "io",     "debug",    "string.dump",    "getfenv", "unpack",  "module"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char expression[64];
        snprintf(expression, sizeof(expression), "%s == nil", names[i]);
        holds(expression);
    }
    runs("for name in pairs(_G) do\n"
         "  assert(({ _G=1, _VERSION=1, assert=1, coroutine=1, error=1, getmetatable=1, ipairs=1, load=1, math=1, "
         "next=1, pairs=1,\n"
         "    pcall=1, print=1, rawequal=1, rawget=1, rawlen=1, rawset=1, require=1, select=1, setmetatable=1, "
         "string=1, table=1,\n"
         "    tonumber=1, tostring=1, type=1, utf8=1, xpcall=1 })[name], name)\n"
         "end");
    host_close(host);
}
END_TEST

START_TEST(load_takes_text_only)
{
    open_host(0);
    holds("load('return 1 + 1')() == 2");
    holds("load('x = 5; return y', 'n', 'b', { y = 3 })() == 3 and x == nil");
    holds("load('return y', 'n', 't', nil) ~= nil and not pcall(load('return y', 'n', 't', nil))");
    holds("select(2, load('\\27Lua')):find('binary chunk')");
    holds("select(2, load('\\27Lua', 'n', 'b')):find('binary chunk')");
    holds("select(2, load(function() return nil end, 'n', 'b')) == nil");
    host_close(host);
}
END_TEST

START_TEST(metatables_are_guarded)
{
    open_host(0);
    holds("getmetatable('') == false and ('x'):upper() == 'X'");
    fails("setmetatable('x', {})", "bad argument #1 to 'setmetatable'");
    fails("setmetatable({}, { __gc = function() end })", "__gc is not available in scripts");
    fails("setmetatable({}, setmetatable({ __gc = 1 }, {}))", "__gc is not available in scripts");
    fails("setmetatable({})", "nil or table expected");
    holds("setmetatable({}, { __index = function(_, k) return k end }).a == 'a'");
    fails("setmetatable(setmetatable({}, { __metatable = 7 }), nil)", "cannot change a protected metatable");
    host_close(host);
}
END_TEST

START_TEST(one_state_does_not_see_another)
{
    open_host(0);
    struct host *first = host;
    runs("string.upper = nil; shared = 1");
    open_host(0);
    holds("('x'):upper() == 'X' and shared == nil");
    host_close(first);
    host_close(host);
}
END_TEST

static int build_chunk(const char *chunk)
{
    return call_building(host, run, (void *)(uintptr_t)chunk, &err);
}

START_TEST(building_does_not_depend_on_chance)
{
    open_host(0);
    ck_assert_int_eq(build_chunk("math.random()"), -1);
    ck_assert_str_eq(err.text,
                     "pipeline.lua:1: math.random can't be called while the script is being built: every worker "
                     "must build the same.");
    ck_assert_int_eq(err.code, ERR_TOPOLOGY);
    ck_assert_int_eq(build_chunk("math.randomseed(1)"), -1);
    holds("math.random(3) <= 3 and math.random() < 1");
    ck_assert_int_eq(
        build_chunk(
            "local s = ''\n"
            "for k, v in pairs { b = 1, a = 2, [3] = 3, [1.5] = 4, c = 5 } do s = s .. tostring(k) .. v end\n"
            "assert(s == '1.5433a2b1c5', s)\n"
            "local t = { a = 1, b = 2, c = 3 }\n"
            "for k in pairs(t) do t[k] = nil; t.b = nil; s = k end\n"
            "assert(next(t) == nil and s == 'c', s)\n"
            "local mt = { __pairs = function(x) return function(_, k) if not k then return 1, 2 end end, x end }\n"
            "for k, v in pairs(setmetatable({}, mt)) do s = k + v end\n"
            "assert(s == 3)\n"),
        0);
    holds("select('#', pairs({})) == 3");
    fails("pairs()", "bad argument #1 to 'pairs'");
    host_close(host);
}
END_TEST

START_TEST(coroutines_work_as_in_lua)
{
    open_host(0);
    runs("local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b); error('x' .. c, 0) end)\n"
         "local ok, sum = coroutine.resume(co, 1, 2) assert(ok and sum == 3)\n"
         "local ok, message = coroutine.resume(co, 'y') assert(not ok and message == 'xy')\n"
         "local ok, message = coroutine.resume(co) assert(not ok and message == 'cannot resume dead coroutine')\n"
         "assert(coroutine.status(co) == 'dead' and coroutine.close(co) == false or true)\n");
    runs("local f = coroutine.wrap(function(...) for i = 1, select('#', ...) do coroutine.yield(i) end end)\n"
         "assert(f('a', 'b') == 1 and f() == 2 and f() == nil)\n"
         "local ok, message = pcall(f) assert(not ok and message:find('cannot resume dead coroutine'))\n");
    runs("local closed\n"
         "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() closed = "
         "true end })\n"
         "  coroutine.yield() end)\n"
         "coroutine.resume(co) assert(coroutine.close(co) == true and closed)\n");
    fails("coroutine.wrap(function() local x = nil; x.y = 1 end)()", "attempt to index a nil value (local 'x')");
    fails("coroutine.close(coroutine.running())", "cannot close a running coroutine");
    fails("coroutine.resume(5)", "coroutine expected");
    fails("coroutine.wrap(function() coroutine.wrap(error)('deep') end)()", "deep");
    holds("select('#', coroutine.resume(coroutine.create(function() return 1, nil, nil end))) == 4");
    host_close(host);
}
END_TEST

START_TEST(phases_are_checked_by_name)
{
    open_host(0);
    holds("true");
    host->phase = HOST_READY;
    fails("require 'tidemill'.app 'x'", "tm.app builds the topology");
    host_close(host);
}
END_TEST

static int probe_main(lua_State *L)
{
    host_require_main(L, "probe");
    ck_assert_ptr_eq(host_of(L), host);
    return 0;
}

START_TEST(coroutines_know_their_host_and_are_refused_where_they_must)
{
    open_host(0);
    lua_register(host->L, "probe", probe_main);
    runs("probe()");
    fails("coroutine.wrap(probe)()", "probe can't be called inside a coroutine");
    host_close(host);
}
END_TEST

START_TEST(memory_is_counted_and_limited)
{
    open_host(4 << 20);
    size_t before = host->pool.used;
    ck_assert_uint_gt(before, 0);
    fails("local x = ('x'):rep(1 << 30)", "needs more memory than the 4194304 bytes");
    ck_assert_int_eq(err.code, ERR_MEMORY);
    fails("local t = {} for i = 1, 1e9 do t[i] = {} end", "needs more memory");
    fails("local s = 'x' while true do s = s .. s end", "needs more memory");
    fails("string.rep('x', -1, {})", "bad argument");
    runs("local t = {} for i = 1, 1000 do t[i] = { i } end");
    ck_assert_uint_lt(host->pool.used, 4 << 20);
    host_close(host);
}
END_TEST

START_TEST(recursion_without_end_is_an_error)
{
    open_host(256 << 20);
    fails("local function f() return f() + 1 end f()", "stack overflow");
    fails("local function f() return (('x'):gsub('x', f)) end f()", "overflow");
    fails("local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end local x = t.x",
          "overflow");
    fails("local function f() coroutine.wrap(f)() end f()", "pipeline.lua:1: ");
    fails("local function f() return (pcall(f)) and error('x') end f() error('y')", "pipeline.lua:1");
    host_close(host);
}
END_TEST

START_TEST(a_state_that_can_not_be_opened_is_an_error)
{
    for (size_t limit = 1; limit < 40000; limit += 997) {
        struct host_config config = {.script = "pipeline.lua", .memory_limit = limit};
        if (host_open(&config, &host, &err) == 0) {
            host_close(host);
            continue;
        }
        ck_assert_int_eq(err.code, ERR_MEMORY);
        ck_assert_ptr_nonnull(strstr(err.text, "lua_memory"));
    }
}
END_TEST

START_TEST(print_goes_to_the_log)
{
    open_host(0);
    runs("print('a', 1, nil, {})");
    runs("print()");
    host_close(host);
}
END_TEST

UNIT_MAIN("host", what_reads_files_or_starts_programs_is_not_there, load_takes_text_only, metatables_are_guarded,
          one_state_does_not_see_another, building_does_not_depend_on_chance, coroutines_work_as_in_lua,
          phases_are_checked_by_name, coroutines_know_their_host_and_are_refused_where_they_must,
          memory_is_counted_and_limited, recursion_without_end_is_an_error, a_state_that_can_not_be_opened_is_an_error,
          print_goes_to_the_log)
