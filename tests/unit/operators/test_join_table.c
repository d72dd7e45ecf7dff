#include "support.h"

#define USERS "local users = app:table('users', { store = 'users' })\n"

START_TEST(inner_and_left)
{
    struct pipeline p;
    pipeline_open(&p, USERS "local s = app:stream('s')\n"
                            "local function both(k, v, u) return { v = v, u = u, k = k } end\n"
                            "s:join(users, both):to('inner')\n"
                            "s:left_join(users, both):to('left')\n");
    pipeline_send(&p, "s", "a", "1", 5);
    pipeline_send(&p, "users", "a", "\"Ada\"", 900);
    pipeline_send(&p, "s", "a", "2", 4);
    pipeline_send(&p, "s", NULL, "3", 6);
    pipeline_send(&p, "s", "a", NULL, 7);
    struct record record;
    ck_assert(driver_take_from(p.driver, "inner", &record));
    ck_assert_int_eq(record.timestamp, 4);
    ck_assert(!driver_take_from(p.driver, "inner", &record));
    int count = 0;
    while (driver_take_from(p.driver, "left", &record)) {
        count++;
    }
    ck_assert_int_eq(count, 3);
    pipeline_close(&p);
}
END_TEST

START_TEST(the_joiner_may_leave_arguments_out)
{
    struct pipeline p;
    pipeline_open(&p, USERS "local s = app:stream('s')\n"
                            "s:join(users, function() return 0 end):to('none')\n"
                            "s:join(users, function(k, v) return v end):to('two')\n"
                            "s:join(users, function(...) return select('#', ...) end):to('all')\n"
                            "s:join(users, function(k, v, u, rec) return rec.topic end):to('rec')\n");
    pipeline_send(&p, "users", "a", "{\"n\":1}", 0);
    pipeline_send(&p, "s", "a", "{ \"m\":1}", 1);
    ck_assert_str_eq(outputs(&p, "none"), "a:0@1");
    ck_assert_str_eq(outputs(&p, "two"), "a:{ \"m\":1}@1");
    ck_assert_str_eq(outputs(&p, "all"), "a:4@1");
    ck_assert_str_eq(outputs(&p, "rec"), "a:\"s\"@1");
    pipeline_close(&p);
}
END_TEST

/* The rows of a table without a store come from the one above, through what lies between. */
START_TEST(a_table_without_a_store_is_asked_through_its_parents)
{
    struct pipeline p;
    pipeline_open(&p, USERS
                  "local names = users:filter(function(k, u) return u.age > 17 end)\n"
                  "  :map_values(function(k, u) return u.name end)\n"
                  "app:stream('s'):left_join(names, function(k, v, name) return name or 'nobody' end):to('out')\n");
    pipeline_send(&p, "users", "a", "{\"name\":\"Ada\",\"age\":36}", 0);
    pipeline_send(&p, "users", "b", "{\"name\":\"Bob\",\"age\":3}", 0);
    pipeline_send(&p, "s", "a", "1", 1);
    pipeline_send(&p, "s", "b", "1", 2);
    pipeline_send(&p, "s", "c", "1", 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"Ada\"@1 b:\"nobody\"@2 c:\"nobody\"@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_count_is_joined_as_a_number)
{
    struct pipeline p;
    pipeline_open(&p, "local c = app:stream('clicks'):group_by_key():count { store = 'clicks' }\n"
                      "app:stream('s'):left_join(c, function(k, v, n) return (n or 0) + v end):to('out')\n");
    pipeline_send(&p, "s", "a", "10", 1);
    pipeline_send(&p, "clicks", "a", "0", 2);
    pipeline_send(&p, "clicks", "a", "0", 3);
    pipeline_send(&p, "s", "a", "10", 4);
    ck_assert_str_eq(outputs(&p, "out"), "a:10@1 a:12@4");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_changed_key_goes_through_a_topic_once_per_name)
{
    struct pipeline p;
    pipeline_open(&p,
                  USERS "local s = app:stream('s'):select_key(function(k, v) return v.u end)\n"
                        "s:join(users, function(k, v, u, rec) return rec.topic end):to('one')\n"
                        "s:join(users, function(k, v, u, rec) return rec.topic end, { name = 'second' }):to('two')\n");
    pipeline_send(&p, "users", "x", "1", 0);
    pipeline_send(&p, "s", "a", "{\"u\":\"x\"}", 1);
    ck_assert_str_eq(outputs(&p, "one"), "x:\"test-users-join-repartition\"@1");
    ck_assert_str_eq(outputs(&p, "two"), "x:\"test-second-repartition\"@1");
    pipeline_close(&p);
    pipeline_refused(USERS "local s = app:stream('s'):select_key(function(k, v) return v.u end)\n"
                           "s:join(users, function() end):to('one')\n"
                           "s:join(users, function() end):to('two')\n",
                     "test-users-join-repartition");
}
END_TEST

UNIT_MAIN("join_table", inner_and_left, the_joiner_may_leave_arguments_out,
          a_table_without_a_store_is_asked_through_its_parents, a_count_is_joined_as_a_number,
          a_changed_key_goes_through_a_topic_once_per_name)
