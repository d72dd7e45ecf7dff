/* What JSON costs a callback: views against lua-cjson (Debian's package lua-cjson) in the same run, in nanoseconds per
 * record of about 200 bytes. Each figure is the median of the runs. */
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
static struct slice value;
static size_t total; /* of bytes written, so that nothing is optimized away */

/* ---- what is measured: one record each ---- */

static void call(int arguments)
{
    if (lua_pcall(host->L, arguments, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(host->L, -1));
        exit(1);
    }
}

static void run_empty(const char *function)
{
    lua_getglobal(host->L, function);
    call(0);
    lua_settop(host->L, 0);
}

static void run_check(const char *function)
{
    (void)function;
    struct err err;
    total += (size_t)codec_json.check(&codec_json, value, &err) + 1;
}

static void run_filter(const char *function)
{
    lua_State *L = host->L;
    struct datum datum = datum_of_bytes(&codec_json, value);
    int slot = datum_slot(L, &datum);
    lua_getglobal(L, function);
    lua_pushvalue(L, slot);
    call(1);
    total += lua_toboolean(L, -1) ? datum_bytes(L, &datum, &codec_json).size : 0;
    lua_settop(L, 0);
    script_host_next(host);
}

static void run_map(const char *function)
{
    lua_State *L = host->L;
    struct datum datum = datum_of_bytes(&codec_json, value);
    int slot = datum_slot(L, &datum);
    lua_getglobal(L, function);
    lua_pushvalue(L, slot);
    call(1);
    struct datum result = datum_of_value(L, -1, &codec_json);
    total += datum_bytes(L, &result, &codec_json).size;
    lua_settop(L, 0);
    script_host_next(host);
}

static void run_cjson(const char *function)
{
    lua_State *L = host->L;
    lua_getglobal(L, function);
    lua_pushlstring(L, (const char *)value.data, value.size);
    call(1);
    total += lua_isstring(L, -1) ? lua_rawlen(L, -1) : 1;
    lua_settop(L, 0);
}

/* ---- measuring ---- */

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one;
    double b = *(const double *)other;
    return (a > b) - (a < b);
}

static double measure(void (*run)(const char *function), const char *function)
{
    struct clock clock = CLOCK_SYSTEM;
    double results[RUNS];
    for (int i = 0; i < RUNS; i++) {
        int64_t start = clock_monotonic_ns(&clock);
        for (int record = 0; record < RECORDS; record++) {
            run(function);
        }
        results[i] = (double)(clock_monotonic_ns(&clock) - start) / RECORDS;
    }
    qsort(results, RUNS, sizeof results[0], compare);
    return results[RUNS / 2];
}

static void compare_with_cjson(const char *what, void (*run)(const char *function), const char *function,
                               const char *cjson_function)
{
    double views = measure(run, function);
    printf("%-34s %8.0f", what, views);
    lua_getglobal(host->L, "decode");
    bool available = lua_isfunction(host->L, -1);
    lua_settop(host->L, 0);
    if (available) {
        double cjson = measure(run_cjson, cjson_function);
        printf(" %8.0f %7.1fx\n", cjson, cjson / views);
    } else {
        printf("     SKIP (lua-cjson is not installed)\n");
    }
}

int main(void)
{
    host = script_host_open();
    value = slice_of(text, sizeof text - 1);
    if (luaL_dostring(host->L, script) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(host->L, -1));
        return 1;
    }
    printf("JSON of %zu bytes, ns/record         views    cjson   ratio\n", value.size);
    printf("%-34s %8.0f\n", "call of an empty function", measure(run_empty, "empty"));
    printf("%-34s %8.0f\n", "full check of the bytes", measure(run_check, ""));
    compare_with_cjson("filter on one field", run_filter, "filter", "cjson_filter");
    compare_with_cjson("filter on three fields", run_filter, "filter_three", "cjson_filter_three");
    compare_with_cjson("change one field, encode", run_map, "edit", "cjson_edit");
    compare_with_cjson("new table of three fields, encode", run_map, "reshape", "cjson_reshape");
    printf("(%zu bytes in all)\n", total);
    script_host_close(host);
    return 0;
}
