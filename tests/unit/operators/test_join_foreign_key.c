#include "base/hash.h"
#include "operators/foreign_key_message.h"
#include "running.h"

#define TABLES "local o, u = app:table('o', { store = 'o' }), app:table('u', { store = 'u' })\n"
#define KEY "foreign_key = function(k, v) return v.u end"
#define FOREIGN "{ " KEY ", store = 'x' }"
#define PAIR "function(k, o, u) return o.n .. (u or '-') end"

START_TEST(both_sides_bring_results)
{
    struct pipeline p;
    pipeline_open(&p, TABLES "o:join(u, " PAIR ", " FOREIGN "):to('out')\n");
    pipeline_send(&p, "o", "1", "{\"u\":\"a\",\"n\":1}", 10);
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_send(&p, "u", "a", "\"A\"", 20);
    pipeline_send(&p, "o", "2", "{\"u\":\"a\",\"n\":2}", 30);
    pipeline_send(&p, "u", "a", "\"B\"", 40);
    ck_assert_str_eq(outputs(&p, "out"), "1:\"1A\"@20 2:\"2A\"@30 1:\"1B\"@40 2:\"2B\"@40");
    ck_assert_str_eq(stored(&p, "x", "2"), "\"2B\"");
    pipeline_send(&p, "o", "1", "{\"u\":\"c\",\"n\":1}", 50);
    pipeline_send(&p, "u", "a", NULL, 60);
    ck_assert_str_eq(outputs(&p, "out"), "1:-@50 2:-@60");
    ck_assert_str_eq(stored(&p, "x", "2"), "-");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_left_join_has_rows_without_a_right_one)
{
    struct pipeline p;
    pipeline_open(&p, TABLES "o:left_join(u, " PAIR ", " FOREIGN "):to('out')\n");
    pipeline_send(&p, "o", "1", "{\"n\":1}", 10);
    pipeline_send(&p, "o", "1", "{\"u\":\"a\",\"n\":1}", 11);
    pipeline_send(&p, "u", "a", "\"A\"", 12);
    pipeline_send(&p, "o", "1", NULL, 13);
    pipeline_send(&p, "o", "1", NULL, 14);
    ck_assert_str_eq(outputs(&p, "out"), "1:\"1-\"@10 1:\"1-\"@11 1:\"1A\"@12 1:-@13");
    pipeline_close(&p);
}
END_TEST

/* Employees and their managers: one table, one topic, one sub-topology. */
START_TEST(a_table_is_joined_with_itself)
{
    struct pipeline p;
    pipeline_open(&p, "local e = app:table('e', { store = 'e' })\n"
                      "e:join(e, function(k, one, boss) return boss.n end, { store = 'x',\n"
                      "  foreign_key = function(k, v) return v.boss end }):to('out')\n");
    pipeline_send(&p, "e", "a", "{\"n\":1}", 1);
    pipeline_send(&p, "e", "b", "{\"n\":2,\"boss\":\"a\"}", 2);
    pipeline_send(&p, "e", "a", "{\"n\":3,\"boss\":\"a\"}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "b:1@2 b:3@3 a:3@3");
    pipeline_close(&p);
}
END_TEST

/* The rows of derived tables are made when they are asked for, and equal ones have equal versions. */
START_TEST(tables_without_a_store_are_joined)
{
    struct pipeline p;
    pipeline_open(&p, TABLES
                  "local orders = o:map_values(function(k, v) return { n = v[1], u = v[2], more = { 1, 2 } } end)\n"
                  "local users = u:filter(function(k, v) return v ~= 'x' end)\n"
                  "orders:join(users, " PAIR ", " FOREIGN ")\n"
                  "  :filter(function(k, v) return v ~= '1B' end):to('out')\n");
    pipeline_send(&p, "u", "a", "\"A\"", 1);
    pipeline_send(&p, "o", "1", "[1,\"a\"]", 2);
    pipeline_send(&p, "u", "a", "\"B\"", 3);
    pipeline_send(&p, "u", "a", "\"x\"", 4);
    pipeline_send(&p, "u", "a", "\"C\"", 5);
    ck_assert_str_eq(outputs(&p, "out"), "1:\"1A\"@2 1:-@3 1:\"1C\"@5");
    pipeline_close(&p);
}
END_TEST

/* ---- errors ---- */

START_TEST(a_row_that_was_dropped_does_not_keep_its_successor_away)
{
    struct pipeline p;
    pipeline_open(&p, TABLES "u:filter(function() return true end)\n"
                             "o:join(u, " PAIR ", { store = 'x', on_error = 'dead_letter', " KEY " }):to('out')\n");
    pipeline_send(&p, "u", "a", "\"A\"", 1);
    pipeline_send(&p, "o", "1", "5", 2); /* a number has no field u */
    pipeline_send(&p, "o", "2", "{\"u\":7}", 3);
    ck_assert_str_eq(outputs(&p, "test-dead-letter"), "1:5@2 2:{\"u\":7}@3");
    pipeline_send(&p, "o", "1", "{\"u\":\"a\",\"n\":1}", 4);
    pipeline_send(&p, "o", "2", "{\"u\":\"a\",\"n\":2}", 5);
    ck_assert_str_eq(outputs(&p, "out"), "1:\"1A\"@4 2:\"2A\"@5");
    pipeline_send(&p, "o", "1", "{\"u\":\"a\",\"n\":{}}", 6); /* the joiner can't use it */
    ck_assert_str_eq(outputs(&p, "out"), "");
    pipeline_close(&p);
}
END_TEST

START_TEST(errors_end_the_app_by_default)
{
    struct pipeline p;
    pipeline_open(&p, TABLES "o:join(u, " PAIR ", " FOREIGN "):to('out')\n");
    ck_assert_int_eq(pipeline_try_send(&p, "o", "1", "{\"u\":7}", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "foreign_key gave a number; a key is a string here"));
    pipeline_close(&p);
    pipeline_open(&p, TABLES "o:join(u, function() error('no pair') end, " FOREIGN "):to('out')\n");
    pipeline_send(&p, "u", "a", "\"A\"", 1);
    ck_assert_int_eq(pipeline_try_send(&p, "o", "1", "{\"u\":\"a\"}", 1), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "no pair"));
    pipeline_close(&p);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    pipeline_refused(TABLES "o:join(u, print, { " KEY " })", "join keeps state and needs a name for it");
    pipeline_refused(TABLES "o:join(u, print, { store = 'x', foreign_key = 'u' })",
                     "join needs a function as foreign_key");
    pipeline_refused(TABLES "o:outer_join(u, print, " FOREIGN ")", "outer_join has no foreign_key");
    pipeline_refused(TABLES "o:join(app:stream('s'), print, " FOREIGN ")", "join of a table needs another table");
    pipeline_refused(TABLES "o:join(u, print, " FOREIGN ") o:join(u, print, " FOREIGN ")", "x-registration");
}
END_TEST

/* ---- partitions and restarts, against the plain meaning ---- */

#define ORDERS 12
#define USERS 4

struct facts {
    int user[ORDERS]; /* that the order names; -1: none; -2: no order */
    int number[ORDERS];
    int version[USERS]; /* 0: no user */
};

static uint32_t next_random(uint32_t *state, uint32_t below)
{
    *state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (*state >> 8) % below;
}

static void send_order(struct running *running, struct facts *facts, uint32_t *state, int number)
{
    char key[16], value[64];
    int order = (int)next_random(state, ORDERS), kind = (int)next_random(state, 8);
    snprintf(key, sizeof(key), "o%d", order);
    facts->user[order] = kind == 0 ? -2 : kind == 1 ? -1 : (int)next_random(state, USERS);
    facts->number[order] = number;
    snprintf(value, sizeof(value), facts->user[order] == -1 ? "{\"n\":%d}" : "{\"n\":%d,\"u\":\"u%d\"}", number,
             facts->user[order]);
    running_send(running, "o", key, kind == 0 ? NULL : value, number);
}

static void send_user(struct running *running, struct facts *facts, uint32_t *state, int number)
{
    char key[16], value[16];
    int user = (int)next_random(state, USERS);
    snprintf(key, sizeof(key), "u%d", user);
    facts->version[user] = next_random(state, 5) == 0 ? 0 : number;
    snprintf(value, sizeof(value), "\"%d\"", number);
    running_send(running, "u", key, facts->version[user] ? value : NULL, number);
}

/* The last result of a key among the outputs; "-": none, or a tombstone. */
static void last_result(const char *outputs, const char *key, char *value, size_t size)
{
    char prefix[32];
    snprintf(value, size, "-");
    int length = snprintf(prefix, sizeof(prefix), "%s:", key);
    for (const char *at = strstr(outputs, prefix); at; at = strstr(at + 1, prefix)) {
        if (at == outputs || at[-1] == ' ') {
            snprintf(value, size, "%.*s", (int)strcspn(at + length, "@"), at + length);
        }
    }
}

static void check_results(const struct facts *facts, const char *outputs, bool left, uint32_t seed)
{
    for (int i = 0; i < ORDERS; i++) {
        char key[16], expected[64] = "-", got[64];
        int user = facts->user[i], version = user >= 0 ? facts->version[user] : 0;
        snprintf(key, sizeof(key), "o%d", i);
        if (version > 0) {
            snprintf(expected, sizeof(expected), "\"%d/%d\"", facts->number[i], version);
        } else if (left && user > -2) {
            snprintf(expected, sizeof(expected), "\"%d/-\"", facts->number[i]);
        }
        last_result(outputs, key, got, sizeof(got));
        ck_assert_msg(strcmp(got, expected) == 0, "seed %u, %s: expected %s, got %s", seed, key, expected, got);
    }
}

/* Many changes of both sides cross on their way between differently partitioned topics. */
static void run_random(bool left, uint32_t seed)
{
    struct facts facts;
    struct running running;
    char script[512];
    uint32_t state = seed;
    snprintf(script, sizeof(script),
             TABLES "o:%s(u, function(k, o, u) return o.n .. '/' .. (u or '-') end, " FOREIGN "):to('out')\n",
             left ? "left_join" : "join");
    running_open(&running, script, 1, false);
    running_topic(&running, "o", 3);
    running_topic(&running, "u", 2);
    running_topic(&running, "out", 3);
    running_begin(&running);
    memset(&facts, 0, sizeof(facts));
    for (int i = 0; i < ORDERS; i++) {
        facts.user[i] = -2;
    }
    for (int number = 1; number <= 200; number++) {
        if (next_random(&state, 3) > 0) {
            send_order(&running, &facts, &state, number);
        } else {
            send_user(&running, &facts, &state, number);
        }
        running.aborts += next_random(&state, 20) == 0;
        if (next_random(&state, 4) == 0) {
            running_until_idle(&running);
        }
        if (next_random(&state, 25) == 0) {
            running.aborts = 0;
            running_restart(&running, false);
        }
    }
    running.aborts = 0;
    running_until_idle(&running);
    check_results(&facts, running_outputs(&running), left, seed);
    running_close(&running);
}

START_TEST(results_end_as_the_plain_join_whatever_crosses)
{
    for (uint32_t seed = 1; seed <= 10; seed++) {
        run_random(seed % 2 == 0, seed * 7919);
    }
}
END_TEST

/* A name whose registrations go to a partition of two. */
static void user_in(int32_t partition, char name[16])
{
    for (int i = 0;; i++) {
        snprintf(name, 16, "u%d", i);
        if (hash_partition(slice_text(name), 2) == partition) {
            return;
        }
    }
}

/* The row is pointed from one partition to the other before any of them answers, in both directions, so that once the
 * answer about the earlier version comes last. */
START_TEST(an_answer_about_an_earlier_version_is_dropped)
{
    for (int32_t first = 0; first < 2; first++) {
        struct running running;
        char one[16], other[16], row[64], last[64];
        running_open(&running, TABLES "o:left_join(u, " PAIR ", " FOREIGN "):to('out')\n", 1, false);
        running_topic(&running, "u", 2);
        running_begin(&running);
        user_in(first, one);
        user_in(1 - first, other);
        running_send(&running, "u", one, "\"A\"", 1);
        running_send(&running, "u", other, "\"B\"", 2);
        running_until_idle(&running);
        snprintf(row, sizeof(row), "{\"u\":\"%s\",\"n\":1}", one);
        running_send(&running, "o", "x", row, 3);
        snprintf(row, sizeof(row), "{\"u\":\"%s\",\"n\":2}", other);
        running_send(&running, "o", "x", row, 4);
        running_until_idle(&running);
        last_result(running_outputs(&running), "x", last, sizeof(last));
        ck_assert_str_eq(last, "\"2B\"");
        running_close(&running);
    }
}
END_TEST

/* ---- messages ---- */

START_TEST(messages_are_read_as_they_were_written)
{
    struct arena arena = {0};
    struct err err;
    struct foreign_key_registration registration = {SUBSCRIBE, foreign_key_version_of(slice_text("v")), 7,
                                                    slice_text("k")};
    struct foreign_key_registration again;
    struct slice bytes = foreign_key_registration_encode(&arena, &registration);
    ck_assert_int_eq(foreign_key_registration_parse(bytes, &again, &err), 0);
    ck_assert_int_eq(again.instruction, SUBSCRIBE);
    ck_assert_int_eq(again.partition, 7);
    ck_assert(foreign_key_version_equal(&again.version, &registration.version));
    ck_assert(slice_equal(again.primary_key, slice_text("k")));
    for (size_t size = 0; size < bytes.size - 1; size++) {
        ck_assert_int_eq(foreign_key_registration_parse(slice_of(bytes.data, size), &again, &err), -1);
    }
    struct foreign_key_response response = {foreign_key_version_of(SLICE_NULL), FOUND_NOTHING, SLICE_NULL}, answer;
    ck_assert_int_eq(foreign_key_response_parse(foreign_key_response_encode(&arena, &response), &answer, &err), 0);
    ck_assert(slice_is_null(answer.value) && !answer.version.exists);
    response.found = FOUND_ROW;
    response.value = slice_of("", 0);
    ck_assert_int_eq(foreign_key_response_parse(foreign_key_response_encode(&arena, &response), &answer, &err), 0);
    ck_assert(!slice_is_null(answer.value) && answer.value.size == 0);
    ck_assert_int_eq(foreign_key_response_parse(slice_text("\x01"), &answer, &err), -1);
    ck_assert_int_eq(foreign_key_response_parse(SLICE_NULL, &answer, &err), -1);
    arena_free(&arena);
}
END_TEST

UNIT_MAIN("join_foreign_key", both_sides_bring_results, a_left_join_has_rows_without_a_right_one,
          a_table_is_joined_with_itself, tables_without_a_store_are_joined,
          a_row_that_was_dropped_does_not_keep_its_successor_away, errors_end_the_app_by_default, bad_calls_are_refused,
          results_end_as_the_plain_join_whatever_crosses, an_answer_about_an_earlier_version_is_dropped,
          messages_are_read_as_they_were_written)
