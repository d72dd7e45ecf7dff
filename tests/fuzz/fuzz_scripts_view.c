/* JSON views: whatever is read from a view or assigned to it, nothing is read outside of its bytes, what it encodes to
 * is JSON, and a view that was only read encodes to its very bytes. The input is the JSON, a zero byte, and one byte
 * per operation. */
#include "base/json.h"
#include "tests/support/script_host.h"

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* operate(value, operations): walks down and up the value as the bytes say; an error of one operation ends it. */
static const char script[] =
    "local function keys(v)\n"
    "  local list = {}\n"
    "  for k in pairs(v) do list[#list + 1] = k; if #list > 40 then break end end\n"
    "  return list\n"
    "end\n"
    "local function value(op, v)\n"
    "  local n = op // 16\n"
    "  if n < 2 then return nil elseif n < 4 then return op elseif n < 6 then return op / 7\n"
    "  elseif n < 8 then return 'text\\0\"' .. op elseif n < 10 then return { op, { x = 'y' }, list {} }\n"
    "  elseif n < 12 then return { b = null, a = false } elseif n < 14 then return v end\n"
    "  return #tostring(v) < 1000 and copy(v) or 1\n"
    "end\n"
    "local function operate(root, operations, writes)\n"
    "  local v = root\n"
    "  for i = 1, #operations do\n"
    "    local op = operations:byte(i)\n"
    "    local list = keys(v)\n"
    "    local key = list[op % (#list + 1) + 1] or (#v > 0 and #v + 1) or 'new' .. op % 3\n"
    "    local what = op % 8\n"
    "    if what < 3 then\n"
    "      local child = v[key]\n"
    "      if type(child) == 'userdata' and child ~= null then v = child end\n"
    "    elseif what == 3 then v = root\n"
    "    elseif what == 4 then for k, x in pairs(v) do assert(v[k] == x or x ~= x) end\n"
    "    elseif what == 5 then if #tostring(v) < 10000 then assert(type(copy(v)) == 'table') end\n"
    "    elseif writes then pcall(function() v[key] = value(op, root) end) end\n"
    "  end\n"
    "end\n"
    "function read(v, operations) operate(v, operations, false) return v end\n"
    "function write(v, operations) operate(v, operations, true) return v end\n";

static void run(struct host *host, const char *function, struct slice json, struct slice operations, bool untouched)
{
    lua_State *L = host->L;
    lua_settop(L, 0);
    struct datum datum = datum_of_bytes(&codec_json, json);
    int slot = datum_slot(L, &datum);
    lua_getglobal(L, function);
    lua_pushvalue(L, slot);
    lua_pushlstring(L, (const char *)operations.data, operations.size);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
        REQUIRE(!untouched);
        return;
    }
    REQUIRE(slice_equal(datum_bytes(L, &datum, &codec_json), json));
    if (untouched) {
        REQUIRE(slice_equal(view_bytes(L, -1), json));
    }
    lua_getglobal(L, "tostring");
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) { /* it may contain itself now */
        struct slice text;
        text.data = (const unsigned char *)lua_tolstring(L, -1, &text.size);
        REQUIRE(json_check(text, NULL));
    }
}

/* The field of a fresh view, which has no index yet. */
static void check_field(struct host *host, struct slice json, struct slice name)
{
    lua_State *L = host->L;
    struct slice value;
    lua_settop(L, 0);
    view_push(L, json);
    lua_pushlstring(L, (const char *)name.data, name.size);
    lua_gettable(L, 1);
    if (!json_member(json, name, &value)) {
        REQUIRE(lua_isnil(L, 2));
        return;
    }
    view_push(L, value);
    REQUIRE(lua_type(L, 2) == lua_type(L, 3));
    if (view_is(L, 2)) {
        REQUIRE(slice_equal(view_bytes(L, 2), value));
    } else {
        REQUIRE(lua_rawequal(L, 2, 3) || lua_tonumber(L, 2) != lua_tonumber(L, 2));
    }
}

/* All names, and pieces of the text that the operations choose. */
static void check_fields(struct host *host, struct slice json, struct slice operations)
{
    struct json_walk walk = json_walk(json);
    struct slice name;
    struct slice value;
    for (int i = 0; i < 30 && json_next_member(&walk, &name, &value); i++) {
        struct bytes decoded = {0};
        json_decode_string(slice_of(name.data - 1, name.size + 2), &decoded);
        check_field(host, json, bytes_slice(&decoded));
        bytes_free(&decoded);
    }
    for (size_t i = 0; i + 1 < operations.size; i += 2) {
        size_t start = operations.data[i] % json.size;
        size_t length = operations.data[i + 1] % 20;
        check_field(host, json, slice_of(json.data + start, length < json.size - start ? length : json.size - start));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct host *host;
    if (host == NULL) {
        host = script_host_open();
        REQUIRE(luaL_dostring(host->L, script) == LUA_OK);
    }
    const uint8_t *zero = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t json_size = zero != NULL ? (size_t)(zero - data) : size;
    struct slice operations = slice_of(zero != NULL ? zero + 1 : data, zero != NULL ? size - json_size - 1 : 0);
    operations.size = operations.size > 200 ? 200 : operations.size;
    struct slice json = arena_copy(host->arena, slice_of(data, json_size));
    enum json_type type = json_type(json);
    bool good = size % 2 == 0 ? json_check(json, NULL) : view_check(host, json, NULL); /* which finds the members */
    if (good && (type == JSON_OBJECT || type == JSON_ARRAY)) {
        if (type == JSON_OBJECT) {
            check_fields(host, json, operations);
        }
        run(host, "read", json, operations, true);
        run(host, "write", json, operations, false);
    }
    lua_settop(host->L, 0);
    script_host_next(host);
    lua_gc(host->L, LUA_GCCOLLECT); /* or the fuzzer takes what waits for the collector for a leak */
    return 0;
}
