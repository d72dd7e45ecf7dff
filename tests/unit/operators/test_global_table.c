#include "running.h"

#define PRODUCTS "local products = app:global_table('products', { store = 'products' })\n"

START_TEST(joins_by_the_key_that_on_gives)
{
    struct pipeline p;
    struct record record;
    pipeline_open(&p, PRODUCTS "local s = app:stream('orders')\n"
                               "local function both(key, order, product) return { order and order.n, product } end\n"
                               "local function on(key, order, rec) return order and order.p end\n"
                               "s:join(products, both, { on = on }):to('inner')\n"
                               "s:left_join(products, both, { on = on }):to('left')\n");
    pipeline_send(&p, "products", "x", "\"X\"", 900);
    pipeline_send(&p, "orders", "a", "{\"p\":\"x\",\"n\":1}", 5);
    pipeline_send(&p, "orders", NULL, "{\"p\":\"x\",\"n\":2}", 6);
    pipeline_send(&p, "orders", "a", "{\"p\":\"y\",\"n\":3}", 7);
    pipeline_send(&p, "orders", "a", "{\"n\":4}", 8);
    pipeline_send(&p, "orders", "a", NULL, 9);
    pipeline_send(&p, "products", "x", NULL, 901);
    pipeline_send(&p, "orders", "a", "{\"p\":\"x\",\"n\":5}", 10);
    ck_assert(driver_take_from(p.driver, "inner", &record));
    ck_assert_int_eq(record.timestamp, 5);
    ck_assert_str_eq(outputs(&p, "inner"), "-:[2,\"X\"]@6");
    ck_assert_str_eq(outputs(&p, "left"), "a:[1,\"X\"]@5 -:[2,\"X\"]@6 a:[3]@7 a:[4]@8 a:{}@9 a:[5]@10");
    pipeline_close(&p);
}
END_TEST

START_TEST(processors_read_it_by_name)
{
    struct pipeline p;
    pipeline_open(&p,
                  PRODUCTS "app:stream('in'):process { stores = { 'products' }, process = function(k, v, rec, ctx)\n"
                           "  local n = 0\n"
                           "  for key in ctx.stores.products:all() do n = n + 1 end\n"
                           "  ctx:forward(k, { n, ctx.stores.products:get(v) or 'none' })\n"
                           "end }:to('out')\n");
    pipeline_send(&p, "in", "a", "\"x\"", 0);
    pipeline_send(&p, "products", "x", "1", 0);
    pipeline_send(&p, "products", "y", "2", 0);
    pipeline_send(&p, "products", NULL, "3", 0);
    pipeline_send(&p, "in", "a", "\"x\"", 0);
    ck_assert_str_eq(outputs(&p, "out"), "a:[0,\"none\"]@0 a:[2,1]@0");
    ck_assert_str_eq(stored(&p, "products", "y"), "2");
    pipeline_close(&p);
}
END_TEST

/* The codecs are the table's, the key's too. */
START_TEST(the_table_has_codecs_of_its_own)
{
    struct pipeline p;
    pipeline_open(&p, "local g = app:global_table('g', { store = 'g', key = tm.json, value = tm.string })\n"
                      "app:stream('in'):join(g, function(k, v, row) return row .. '!' end,\n"
                      "  { on = function(k, v) return v end, value = tm.string }):to('out')\n");
    pipeline_send(&p, "g", "[1,2]", "row", 0);
    pipeline_send(&p, "in", "a", "[1,2]", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:row!@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(an_app_may_write_its_own_global_table)
{
    struct pipeline p;
    pipeline_open(&p, "local g = app:global_table('names', { store = 'names' })\n"
                      "app:stream('users'):to('names')\n"
                      "app:stream('in'):left_join(g, function(k, v, name) return name or 'nobody' end,\n"
                      "  { on = function(k, v) return v end }):to('out')\n");
    pipeline_send(&p, "in", "a", "\"u\"", 0);
    pipeline_send(&p, "users", "u", "\"Ada\"", 0);
    pipeline_send(&p, "in", "a", "\"u\"", 1);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"nobody\"@0 a:\"Ada\"@1");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_stream_may_read_the_topic_of_the_table)
{
    struct pipeline p;
    pipeline_open(&p, PRODUCTS "app:stream('products'):left_join(products, function(k, v, row) return { v, row } end,\n"
                               "  { on = function(k) return k end }):to('out')\n");
    pipeline_send(&p, "products", "x", "1", 0);
    ck_assert_str_eq(outputs(&p, "out"), "x:[1,1]@0");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_bad_row_ends_the_app_or_is_skipped)
{
    struct pipeline p;
    pipeline_open(&p, PRODUCTS "app:stream('in'):to('out')");
    ck_assert_int_eq(pipeline_try_send(&p, "products", "x", "{", 0), -1);
    ck_assert_msg(strstr(p.err.text, "the value is bad") && strstr(p.err.text, "topic products partition 0 offset 0"),
                  "%s", p.err.text);
    pipeline_close(&p);
    pipeline_open(&p, "app:global_table('products', { store = 'products', on_error = 'skip' })\n"
                      "app:stream('in'):to('out')");
    pipeline_send(&p, "products", "x", "{", 0);
    pipeline_send(&p, "products", "x", "1", 0);
    ck_assert_str_eq(stored(&p, "products", "x"), "1");
    pipeline_close(&p);
}
END_TEST

static const struct {
    const char *script;
    const char *part;
} refused[] = {
    {"app:global_table('t')", "app:global_table keeps state and needs a name for it"},
    {"app:global_table(5, { store = 't' })", "needs a topic as a string, got the number 5"},
    {"app:global_table('t', { store = 't', ttl = 5 })", "app:global_table has no option \"ttl\""},
    {"app:global_table('t', { store = 't', on_error = 'dead_letter' })", "on_error is \"fail\" or \"skip\""},
    {PRODUCTS "products:to('out')", "a global table has no method to: it can only be joined with"},
    {PRODUCTS "app:stream('in'):join(products, print)", "join with a global table needs a function as on, got nothing"},
    {PRODUCTS "app:stream('in'):join(products, print, { on = print, store = 's' })", "join has no option \"store\""},
    {PRODUCTS "app:stream('in'):outer_join(products, print, { on = print })",
     "outer_join with a global table is not possible"},
    {PRODUCTS "app:table('t', { store = 'products' })", "Duplicate name: two stores are called \"products\""},
    {PRODUCTS "app:stream('in'):process { process = print, stores = { products = {} } }", "is there already"},
};

START_TEST(is_refused)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        pipeline_refused(refused[i].script, refused[i].part);
    }
}
END_TEST

static const struct {
    const char *script;
    const char *part;
} failing[] = {
    {"app:stream('in'):join(products, print, { on = function() return 5 end })\n", "a key is a string here"},
    {"app:stream('in'):join(products, print, { on = function() error 'no' end })\n", "no"},
    {"app:stream('in'):process { stores = { 'products' }, process = function(k, v, rec, ctx)\n"
     "ctx.stores.products:put(k, v) end }\n",
     "the store \"products\" belongs to a table"},
};

START_TEST(fails_by_name)
{
    for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
        struct pipeline p;
        char script[512];
        snprintf(script, sizeof(script), PRODUCTS "%s", failing[i].script);
        pipeline_open(&p, script);
        ck_assert_int_eq(pipeline_try_send(&p, "in", "a", "1", 0), -1);
        ck_assert_msg(strstr(p.err.text, failing[i].part) != NULL, "%s", p.err.text);
        pipeline_close(&p);
    }
}
END_TEST

/* Four partitions of the stream, three of the table, no common key; the workers of all partitions see all rows, also
 * after restarts with and without local files. */
START_TEST(every_partition_sees_all_rows_after_restarts_too)
{
    for (int kept = 0; kept < 2; kept++) {
        struct running r;
        running_open(&r,
                     PRODUCTS "app:stream('in'):join(products, function(k, v, row) return row end,\n"
                              "  { on = function(k, v) return v end }):to('out')\n",
                     4, kept);
        running_topic(&r, "products", 3);
        running_begin(&r);
        running_send(&r, "products", "x", "1", 0);
        running_send(&r, "products", "y", "2", 0);
        running_send(&r, "products", "z", "3", 0);
        running_until_idle(&r);
        static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
        int count = 0;
        for (size_t i = 0; i < 8; i++) {
            running_send(&r, "in", keys[i], i % 2 ? "\"x\"" : "\"z\"", 1);
            running_until_idle(&r);
            running_restart(&r, kept);
        }
        running_until_idle(&r);
        for (const char *at = running_outputs(&r); (at = strstr(at, "@1")); at++) {
            count++;
        }
        ck_assert_int_eq(count, 8);
        running_close(&r);
    }
}
END_TEST

UNIT_MAIN("global_table", joins_by_the_key_that_on_gives, processors_read_it_by_name, the_table_has_codecs_of_its_own,
          an_app_may_write_its_own_global_table, a_stream_may_read_the_topic_of_the_table,
          a_bad_row_ends_the_app_or_is_skipped, is_refused, fails_by_name,
          every_partition_sees_all_rows_after_restarts_too)
