/* What JSON costs a callback: views in Tidemill's state against lua-cjson (Debian's package lua-cjson) in a stock Lua
 * state and in Tidemill's, in the same run, in nanoseconds per record of about 200 bytes. Medians of the runs. */
#include "tests/support/script_host.h"

#include "base/clock.h"
#include "base/json.h"

#define RECORDS 100000
#define RUNS 7

static const char text[] = "{\"id\":\"0190f5c2-7b1e-7cc3\",\"user\":\"u-48213\",\"amount\":149.95,\"currency\":\"EUR\","
                           "\"country\":\"DE\",\"ok\":true,\"items\":3,\"device\":{\"os\":\"linux\",\"browser\":"
                           "\"firefox\",\"build\":10245}}";

static const char script[] = "local ok, cjson = pcall(require, 'cjson')\n"
                             "decode, encode = ok and cjson.decode, ok and cjson.encode\n"
                             "function empty() return true end\n"
                             "function filter(value) return value.amount > 100 end\n"
                             "function filter_three(value) return value.amount > 100 and value.country == 'DE' and "
                             "value.items > 2 end\n"
                             "function edit(value) value.amount = value.amount * 2 return value end\n"
                             "function reshape(value) return { user = value.user, total = value.amount, "
                             "n = value.items } end\n"
                             "function cjson_filter(text) return filter(decode(text)) end\n"
                             "function cjson_filter_three(text) return filter_three(decode(text)) end\n"
                             "function cjson_edit(text) return encode(edit(decode(text))) end\n"
                             "function cjson_reshape(text) return encode(reshape(decode(text))) end\n";

static struct host *host;
static lua_State *stock; /* Lua as it comes, with its own allocator */
static struct slice value;
static size_t total; /* of bytes written, so that nothing is optimized away */

/* ---- what is measured: one record each; the function is on the stack at 1, as a bound callback would be at hand ----
 */

static void call(lua_State *L, int arguments)
{
    if (lua_pcall(L, arguments, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
}

static void run_empty(void)
{
    lua_pushvalue(host->L, 1);
    call(host->L, 0);
    lua_settop(host->L, 1);
}

static void run_check(void)
{
    struct err err;
    total += (size_t)codec_json.check(&codec_json, value, &err) + 1;
}

static void run_filter(void)
{
    lua_State *L = host->L;
    struct datum datum = datum_of_bytes(&codec_json, value);
    int slot = datum_slot(L, &datum);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, slot);
    call(L, 1);
    total += lua_toboolean(L, -1) ? datum_bytes(L, &datum, &codec_json).size : 0;
    lua_settop(L, 1);
    script_host_next(host);
}

static void run_map(void)
{
    lua_State *L = host->L;
    struct datum datum = datum_of_bytes(&codec_json, value);
    int slot = datum_slot(L, &datum);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, slot);
    call(L, 1);
    struct datum result = datum_of_value(L, -1, &codec_json);
    total += datum_bytes(L, &result, &codec_json).size;
    lua_settop(L, 1);
    script_host_next(host);
}

static void run_cjson(lua_State *L)
{
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)value.data, value.size);
    call(L, 1);
    total += lua_isstring(L, -1) ? lua_rawlen(L, -1) : 1;
    lua_settop(L, 1);
}

static void run_cjson_stock(void)
{
    run_cjson(stock);
}

static void run_cjson_host(void)
{
    run_cjson(host->L);
}

/* ---- measuring ---- */

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one;
    double b = *(const double *)other;
    return (a > b) - (a < b);
}

static double measure(lua_State *L, void (*run)(void), const char *function)
{
    lua_settop(L, 0);
    lua_getglobal(L, function);
    struct clock clock = CLOCK_SYSTEM;
    double results[RUNS];
    for (int i = 0; i < RUNS; i++) {
        int64_t start = clock_monotonic_ns(&clock);
        for (int record = 0; record < RECORDS; record++) {
            run();
        }
        results[i] = (double)(clock_monotonic_ns(&clock) - start) / RECORDS;
    }
    qsort(results, RUNS, sizeof results[0], compare);
    return results[RUNS / 2];
}

static void compare_with_cjson(const char *what, void (*run)(void), const char *function, const char *cjson_function)
{
    double views = measure(host->L, run, function);
    printf("%-34s %8.0f", what, views);
    lua_getglobal(stock, "decode");
    bool available = lua_isfunction(stock, -1);
    lua_settop(stock, 0);
    if (!available) {
        printf("     SKIP (lua-cjson is not installed)\n");
        return;
    }
    double in_stock = measure(stock, run_cjson_stock, cjson_function);
    double in_host = measure(host->L, run_cjson_host, cjson_function);
    printf(" %8.0f %7.1fx %8.0f %7.1fx\n", in_stock, in_stock / views, in_host, in_host / views);
}

static void load(lua_State *L)
{
    if (luaL_dostring(L, script) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
}

int main(void)
{
    host = script_host_open();
    stock = luaL_newstate();
    luaL_openlibs(stock);
    load(host->L);
    load(stock);
    value = slice_of(text, sizeof text - 1);
    printf("JSON of %zu bytes, ns/record         views    cjson, stock Lua    cjson, same state\n", value.size);
    printf("%-34s %8.0f\n", "call of an empty function", measure(host->L, run_empty, "empty"));
    printf("%-34s %8.0f\n", "full check of the bytes", measure(host->L, run_check, "empty"));
    compare_with_cjson("filter on one field", run_filter, "filter", "cjson_filter");
    compare_with_cjson("filter on three fields", run_filter, "filter_three", "cjson_filter_three");
    compare_with_cjson("change one field, encode", run_map, "edit", "cjson_edit");
    compare_with_cjson("new table of three fields, encode", run_map, "reshape", "cjson_reshape");
    printf("(%zu bytes in all)\n", total);
    lua_close(stock);
    script_host_close(host);
    return 0;
}
