#include "tests/support/script_host.h"
#include "tests/support/unit.h"

static struct host *host;

/* `checked`: views are made of values whose check has found the members. */
static void setup(bool checked)
{
    host = script_host_open();
    if (checked) {
        lua_getglobal(host->L, "checked_json");
        lua_setglobal(host->L, "json");
    }
}

static void teardown(void)
{
    script_host_close(host);
}

/* Runs the chunk; its result as text, or the text of its error. */
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

#define TEST(name, body)                                                                                               \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        for (int checked = 0; checked < 2; checked++) {                                                                \
            setup(checked);                                                                                            \
            body;                                                                                                      \
            teardown();                                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    END_TEST

TEST(reads_fields, {
    EXPECT("return json('{\"a\":{\"b\":[1,{\"c\":\"x\"}]}}').a.b[2].c", "x");
    EXPECT("local v = json('{\"i\":9007199254740993,\"f\":5.0,\"e\":1e2}') return v.i .. ' ' .. v.f .. ' ' .. v.e",
           "9007199254740993 5.0 100.0");
    EXPECT("return json('{\"a\":1}').b", "nil");
    EXPECT("return json('{\"a\":1}')[1]", "nil");
    EXPECT("return json('[1]').a", "nil");
    EXPECT("return json('{\"a\":null}').a == null", "true");
    EXPECT("return json('null') == null", "true");
    EXPECT("return json(' \"x\" ')", "x");
    EXPECT("return json('{\"t\":true,\"f\":false}').f", "false");
    EXPECT("return json('{\"\":7}')['']", "7");
})

/* What a search in the text could take for a member. */
TEST(reads_no_field_by_mistake, {
    EXPECT("return json('{\"s\":\":x\"}')[':']", "nil");
    EXPECT("return json('{\"a\":\"b\",\"c\":\":1\"}')[',']", "nil");
    EXPECT("return json('{\"a\":[\"b\" , \":1\"]}')[' , ']", "nil");
    EXPECT("return json('{\"d\":{\"a\":1}}').a", "nil");
    EXPECT("return json('{\"a\":1,\"d\":{\"a\":2}}').a", "1");
    EXPECT("return json('{\"d\":{\"a\":2},\"a\":1}').a", "1");
    EXPECT("return json('{\"s\":\"a\",\"xa\":1,\"ax\":2}').a", "nil");
    EXPECT("return json('{\"s\":\"{\",\"a\" : 3 }').a", "3");
    EXPECT("return json('{\"a\":1,\"b\":2}')['a\":1,\"b']", "nil");
})

TEST(reads_escapes, {
    EXPECT("return json('{\"a\":\"x\\\\u00e9\\\\ny\"}').a", "x\xc3\xa9\ny");
    EXPECT("return json('{\"\\\\u0061\\\\n\":1}')['a\\n']", "1");
    EXPECT("return json('{\"\\\\n\":1}')['\\\\n']", "nil");
})

/* Fewer and more fields than are kept on the stack, inside each other. */
TEST(writes_tables_of_any_size, {
    EXPECT("for n = 1, 60 do\n"
           "  local t, parts = {}, {}\n"
           "  for i = n, 1, -1 do t[('f%02d'):format(i)] = { [('g%d'):format(i)] = i, a = 'x' } end\n"
           "  for i = 1, n do parts[i] = ('\"f%02d\":{\"a\":\"x\",\"g%d\":%d}'):format(i, i, i) end\n"
           "  local v = json('{\"t\":0}')\n"
           "  v.t = t\n"
           "  assert(tostring(v) == '{\"t\":{' .. table.concat(parts, ',') .. '}}', tostring(v))\n"
           "end\n"
           "return 'good'",
           "good");
})

TEST(reads_positions, {
    EXPECT("local v = json('[10, 20 ,30]') return #v .. ':' .. v[1] .. ':' .. v[3] .. ':' .. tostring(v[4])",
           "3:10:30:nil");
    EXPECT("return json('[10,20]')[2.0]", "20");
    EXPECT("return json('[10,20]')[1.5]", "nil");
    EXPECT("return tostring(json('[10]')[0]) .. tostring(json('[10]')[-1])", "nilnil");
    EXPECT("return #json('{\"a\":1}')", "0");
    EXPECT("return table.concat(json('[1,2,3]'), '-')", "1-2-3");
    EXPECT("return select('#', table.unpack(json('[1,2,3]')))", "3");
})

TEST(last_of_repeated_names_wins, {
    EXPECT("return json('{\"a\":1,\"b\":2,\"a\":3}').a", "3");
    EXPECT("local s = '' for k, v in pairs(json('{\"a\":1,\"b\":2,\"a\":3}')) do s = s .. k .. v end return s", "b2a3");
    EXPECT("local v = json('{\"a\":1,\"b\":2,\"a\":3}') v.a = 4 return v", "{\"a\":1,\"b\":2,\"a\":4}");
    EXPECT("local v = json('{\"a\":1,\"b\":2,\"a\":3}') v.a = nil return v", "{\"b\":2}");
    EXPECT("local v = json('{\"a\":1,\"a\":2}') v.a = nil return tostring(v) .. tostring(v.a)", "{}nil");
    EXPECT("return copy(json('{\"a\":1,\"a\":2}')).a", "2");
})

TEST(walks_in_order, {
    EXPECT("local s = '' for k, v in pairs(json('{\"z\":1,\"a\":true,\"m\":{\"q\":1}}')) do s = s .. k .. tostring(v) "
           "end return s",
           "z1atruem{\"q\":1}");
    EXPECT("local s = '' for k, v in pairs(json('[5,6]')) do s = s .. k .. v end return s", "1526");
    EXPECT("local s = '' for k, v in ipairs(json('[5,6]')) do s = s .. k .. v end return s", "1526");
    EXPECT("local v = json('{\"a\":1,\"b\":2}') v.c = 3; v.a = nil; v.b = 5 "
           "local s = '' for k, x in pairs(v) do s = s .. k .. x end return s",
           "b5c3");
    EXPECT("for k in pairs(json('{}')) do return k end return 'none'", "none");
    EXPECT("local v = json('{\"a\":1,\"b\":2}') for k in pairs(v) do v[k] = nil end return v", "{}");
})

TEST(names_errors, {
    EXPECT_IN("return next(json('{}'))", "pairs(value)");
    EXPECT("return (next({5}))", "1");
    EXPECT("return type(json('{}'))", "userdata");
    EXPECT_IN("return json('{}') .. 'x'", "attempt to concatenate a JSON value");
    EXPECT_IN("return null.name", "tm.null has no field 'name'");
    EXPECT("return tostring(null) .. tostring(tombstone)", "nulltombstone");
    EXPECT("return getmetatable(json('{}'))", "false");
    EXPECT("return json('{}') == json('{}')", "false");
    EXPECT("local v = json('{\"a\":{}}') return v.a == v.a", "true");
})

TEST(changes_are_spliced, {
    EXPECT("local v = json('{ \"a\" : 1, \"b\":12345678901234567890123 , \"c\":1.50 }') v.a = 2 return v",
           "{ \"a\" : 2, \"b\":12345678901234567890123 , \"c\":1.50 }");
    EXPECT("local v = json('{\"a\":1,\"b\":2}') v.z = 1; v.c = 'x' return v", "{\"a\":1,\"b\":2,\"z\":1,\"c\":\"x\"}");
    EXPECT("local v = json('{}') v.a = 1 return v", "{\"a\":1}");
    EXPECT("local v = json(' { } ') v.a = 1 return v", " {\"a\":1 } ");
    EXPECT("local v = json('{\"a\":1,\"b\":2,\"c\":3}') v.b = nil return v", "{\"a\":1,\"c\":3}");
    EXPECT("local v = json('{\"a\":1,\"b\":2,\"c\":3}') v.a = nil return v", "{\"b\":2,\"c\":3}");
    EXPECT("local v = json('{\"a\":1,\"b\":2}') v.a = nil; v.b = nil return v", "{}");
    EXPECT("local v = json('{\"a\":1,\"b\":2}') v.a = nil; v.b = nil; v.c = 1 return v", "{\"c\":1}");
    EXPECT("local v = json('{\"a\":1}') v.a = nil; v.a = 2 return v", "{\"a\":2}");
    EXPECT("local v = json('{\"a\":1}') v.n = 1; v.n = nil return v", "{\"a\":1}");
    EXPECT("local v = json('{\"a\":1}') v.n = 1; v.n = nil; v.m = 2; v.n = 3 return v", "{\"a\":1,\"n\":3,\"m\":2}");
    EXPECT("local v = json('{\"a\":1}') v.none = nil return v", "{\"a\":1}");
    EXPECT("local v = json('{\"\\\\u0061\":1}') v.a = 2 return v", "{\"\\u0061\":2}");
    EXPECT("local v = json('{\"a\":1}') v.a = null return v", "{\"a\":null}");
    EXPECT("local v = json('{\"a\":1}') v.a = false return tostring(v) .. tostring(v.a)", "{\"a\":false}false");
})

TEST(changes_inside_show, {
    EXPECT("local v = json('{\"a\":{\"b\":[1,2]},\"c\":3}') v.a.b[2] = 5 return v", "{\"a\":{\"b\":[1,5]},\"c\":3}");
    EXPECT("local v = json('{\"a\":{\"b\":1}}') local one = v.a; local two = v.a; one.b = 2 return two.b", "2");
    EXPECT("local v = json('{\"a\":{\"b\":1}}') v.c = v.a; v.a.b = 2 return v", "{\"a\":{\"b\":2},\"c\":{\"b\":2}}");
    EXPECT("local v = json('[{\"n\":1},{\"n\":2}]') for _, x in ipairs(v) do x.n = x.n * 10 end return v",
           "[{\"n\":10},{\"n\":20}]");
    EXPECT("local v = json('{\"a\":[1]}') return { v.a, v } and v", "{\"a\":[1]}");
    EXPECT("local v = json('{\"a\":1}') v.t = { list {}, {} } return v", "{\"a\":1,\"t\":[[],{}]}");
})

TEST(arrays_change, {
    EXPECT("local v = json('[1, 2 , 3]') v[2] = 'x' return v", "[1, \"x\" , 3]");
    EXPECT("local v = json('[1, 2]') v[3] = 3; v[#v + 1] = 4 return v", "[1, 2,3,4]");
    EXPECT("local v = json('[]') v[1] = 1 return v", "[1]");
    EXPECT("local v = json('[1,2,3]') v[3] = nil; v[2] = nil return v", "[1]");
    EXPECT("local v = json('[1,2,3]') v[3] = nil; v[3] = 9 return v", "[1,2,9]");
    EXPECT("local v = json('[1,2,3]') table.remove(v, 1); table.insert(v, 4) return v", "[2,3,4]");
    EXPECT("local v = json('[1]') v[1] = nil return tostring(v) .. #v", "[]0");
    EXPECT("local v = json('[3,1,2]') table.sort(v) return v", "[1,2,3]");
    EXPECT_IN("local v = json('[1,2,3]') v[1] = nil", "position 1 of 3 can't be nil; use tm.null");
    EXPECT_IN("local v = json('[1]') v[3] = 1", "the array has 1 elements");
    EXPECT_IN("local v = json('[1]') v.a = 1", "field 'a' can't be set: the value is a JSON array");
    EXPECT_IN("local v = json('{}') v[1] = 1", "the names of a JSON object are strings");
})

TEST(encodes_tables, {
    EXPECT("local v = json('{}') v.t = { c = 1, a = 2, b = { 1, 2.0, 'x' } } return v",
           "{\"t\":{\"a\":2,\"b\":[1,2.0,\"x\"],\"c\":1}}");
    EXPECT("local v = json('{}') v.t = {} return v", "{\"t\":{}}");
    EXPECT("local v = json('{}') v.t = list {} return v", "{\"t\":[]}");
    EXPECT("local v = json('[]') v[1] = math.mininteger; v[2] = -0.0; v[3] = 1e300 return v",
           "[-9223372036854775808,-0.0,1e+300]");
    EXPECT("local v, t = json('{}'), {} for i = 1, 100 do t['k' .. i] = i end v.t = t "
           "local n, last = 0, '' for k in pairs(json(tostring(v)).t) do assert(last < k); n, last = n + 1, k end "
           "return n",
           "100");
    EXPECT("local v = json('{}') v.a = json('[ 1 ]') return v", "{\"a\":[ 1 ]}");
})

TEST(refuses_what_json_can_not_hold, {
    EXPECT_IN("json('{}').f = print", "field 'f' can't be a function, which JSON can't hold");
    EXPECT_IN("local v = json('{}') v.total = { items = { 1, 2, print } } return tostring(v)",
              "field total.items[3] is a function, which JSON can't hold");
    EXPECT_IN("local v = json('{}') v.total = { ['a b'] = tombstone } return tostring(v)",
              "field total[\"a b\"] is a tombstone");
    EXPECT_IN("local v = json('{}') v.n = 0/0 return tostring(v)", "field n is NaN or infinite");
    EXPECT_IN("local v = json('{}') v.n = '\\xff' return tostring(v)", "field n is not valid UTF-8");
    EXPECT_IN("local v = json('{}') v['\\xff'] = 1 return tostring(v)", "has a name that is not valid UTF-8");
    EXPECT_IN("local v = json('{}') v.t = { 1, nil, 3 } return tostring(v)", "nil between its elements");
    EXPECT_IN("local v = json('{}') v.t = { 1, a = 2 } return tostring(v)", "its keys are 1 to 1 and also a");
    EXPECT_IN("local v = json('{}') v.t = { [5] = 1 } return tostring(v)", "the key 5 is not a string");
    EXPECT_IN("local v, t = json('{}'), {} t.t = { t, t }; v.t = t return tostring(v)", "field t.t[1] contains itself");
    EXPECT_IN("local v = json('{\"a\":{}}') v.a.up = v return tostring(v)", "field a.up contains itself");
})

TEST(depth_is_limited, {
    EXPECT_IN("local t = {} for i = 1, 600 do t = { t } end local v = json('{}') v.t = t return tostring(v)",
              "is nested too deeply");
    EXPECT("local t = {} for i = 1, 510 do t = { t } end local v = json('{}') v.t = t return #tostring(v)", "1028");
    EXPECT_IN("local t = {} for i = 1, 600 do t = { t } end return copy(t)", "nested more than 512 levels");
    EXPECT_IN("local deep = string.rep('[', 512) .. string.rep(']', 512) local v = json('{}') v.t = json(deep) "
              "return tostring(v)",
              "nested too deeply");
    EXPECT("local deep = string.rep('[', 511) .. string.rep(']', 511) local v = json('{}') v.t = json(deep) "
           "return #tostring(v)",
           "1028");
})

TEST(copies_are_plain, {
    EXPECT("local c = copy(json('{\"a\":{\"b\":[1,null]}}')) return type(c) .. type(c.a.b) .. #c.a.b", "tabletable2");
    EXPECT("local v = json('{\"a\":{\"b\":1},\"d\":1}') v.a.b = 2; v.c = { 3 }; v.d = nil local c = copy(v) "
           "return c.a.b .. c.c[1] .. type(c) .. tostring(c.d)",
           "23tablenil");
    EXPECT("local v = json('[1,[2]]') v[3] = 4; v[2][1] = 3 local c = copy(v) return #c .. c[2][1] .. c[3]", "334");
    EXPECT("local v = json('{}') v.e = copy(json('{\"e\":[]}')) return v", "{\"e\":{\"e\":[]}}");
    EXPECT("local t = { a = { 1 } } local c = copy(t) c.a[1] = 2 return t.a[1]", "1");
    EXPECT_IN("local t = {} t.t = t return copy(t)", "contains itself");
})

START_TEST(old_views_raise)
{
    setup(false);
    EXPECT("v = json('{\"a\":{\"b\":1},\"c\":[1]}') w = v.a; step, state = pairs(v) return v.c[1]", "1");
    script_host_next(host);
    static const char *const uses[] = {"return v.a",
                                       "return w.b",
                                       "v.a = 1",
                                       "return #v.c",
                                       "return tostring(v)",
                                       "return copy(v)",
                                       "return copy({ v })",
                                       "for k in pairs(v) do end",
                                       "return step()",
                                       "local n = json('{}') n.v = v return tostring(n)"};
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        EXPECT_IN(uses[i], "this value belongs to a record that is done; keep a copy with tm.copy(value)");
    }
    teardown();
}
END_TEST

START_TEST(large_objects_are_hashed)
{
    setup(false);
    EXPECT("local parts = {} for i = 1, 1000 do parts[i] = string.format('\"k%d\":%d', i, i) end "
           "parts[1001] = '\"k7\":70' "
           "v = json('{' .. table.concat(parts, ',') .. '}') "
           "for i = 1, 1000 do assert(v['k' .. i] == (i == 7 and 70 or i), i) end "
           "assert(v.none == nil) v.k1000 = 0 local n = 0 for k, x in pairs(v) do n = n + 1 end "
           "assert(v.k1000 == 0) return n",
           "1000");
    EXPECT("for i = 1, 500 do v['k' .. i] = nil end v.k501 = nil local s = tostring(v) "
           "return s:sub(1, 23) .. '...' .. s:sub(-23)",
           "{\"k502\":502,\"k503\":503,...8,\"k999\":999,\"k1000\":0}");
    teardown();
}
END_TEST

/* What the caller in C sees. */
START_TEST(bytes_of_untouched_views_only)
{
    setup(false);
    lua_State *L = host->L;
    struct slice text = slice_text(" {\"a\": {\"b\":1}, \"c\": [1, 2]} ");
    view_push(L, text);
    lua_setglobal(L, "v");
    ck_assert(luaL_dostring(L, "local x = v.a.b + v.c[1] + #v.c for k in pairs(v) do end") == LUA_OK);
    lua_getglobal(L, "v");
    ck_assert(slice_equal(view_bytes(L, -1), text));
    ck_assert(!view_touched(L, -1));
    ck_assert(luaL_dostring(L, "v.a.b = 2") == LUA_OK);
    ck_assert(view_touched(L, -1));
    ck_assert(slice_is_null(view_bytes(L, -1)));
    view_fork(L, -1);
    ck_assert(!view_touched(L, -1));
    ck_assert_str_eq(luaL_tolstring(L, -1, NULL), " {\"a\": {\"b\":2}, \"c\": [1, 2]} ");
    script_host_next(host);
    ck_assert(slice_is_null(view_bytes(L, -2)));
    teardown();
}
END_TEST

START_TEST(forks_are_apart)
{
    setup(false);
    lua_State *L = host->L;
    EXPECT("v = json('{\"a\":[1,2]}') local x = v.a return #x", "2");
    lua_getglobal(L, "v");
    view_fork(L, -1);
    lua_setglobal(L, "w");
    EXPECT("w.a[1] = 5; v.a[2] = 7; w.n = 1 return tostring(v) .. tostring(w)", "{\"a\":[1,7]}{\"a\":[5,2],\"n\":1}");
    EXPECT("t = { a = { 1 } } return 0", "0");
    lua_getglobal(L, "t");
    view_fork(L, -1);
    lua_setglobal(L, "u");
    EXPECT("u.a[1] = 2 return t.a[1]", "1");
    teardown();
}
END_TEST

UNIT_MAIN("view", reads_fields, reads_no_field_by_mistake, reads_escapes, writes_tables_of_any_size, reads_positions,
          last_of_repeated_names_wins, walks_in_order, names_errors, changes_are_spliced, changes_inside_show,
          arrays_change, encodes_tables, refuses_what_json_can_not_hold, depth_is_limited, copies_are_plain,
          old_views_raise, large_objects_are_hashed, bytes_of_untouched_views_only, forks_are_apart)
