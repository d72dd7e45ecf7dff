/* Random topologies over random records: whatever the number of partitions, each key has the same results in the same
 * order. What differs between partitions is only which worker has made them.
 */
#include "support.h"

#define RUNS 30
#define RECORDS 60
#define STEPS_MAX 5
#define PARTITIONS_MAX 4

static uint64_t seed;

static int pick(int count)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (int)((seed >> 33) % (uint64_t)count);
}

/* ---- topologies ---- */

static void add_step(struct bytes *script, int number)
{
    switch (pick(6)) {
    case 0:
        bytes_append_format(script, "s = s:filter(function(k, v) return v.n %% %d ~= 0 end)\n", 2 + pick(4));
        break;
    case 1:
        bytes_append_format(script, "s = s:map_values(function(k, v) return { n = v.n * %d + 1, g = v.g } end)\n",
                            1 + pick(3));
        break;
    case 2:
        bytes_append_format(script, "s = s:select_key(function(k, v) return 'k' .. v.n %% %d end)\n", 2 + pick(6));
        break;
    case 3:
        bytes_append_format(script,
                            "s = s:%s(users, function(k, v, u) return { n = v.n + (u and u.n or 0), g = v.g } end, "
                            "{ name = 'join%d' })\n",
                            pick(2) ? "join" : "left_join", number);
        break;
    case 4:
        bytes_append_format(script, "s = s:repartition { name = 'turn%d' }\n", number);
        break;
    default:
        bytes_append_format(script, "s = s:map(function(k, v) return k .. 'x', v end)\n");
    }
}

static const char *const ends[] = {
    "s:group_by_key():count { store = 'end' }",
    "s:group_by(function(k, v) return v.g end):count { store = 'end' }",
    "s:group_by_key():aggregate { store = 'end', init = function() return 0 end, "
    "add = function(k, v, sum) return sum + v.n end }",
    "s:group_by(function(k, v) return v.g end):reduce { store = 'end', "
    "add = function(old, v) return { n = old.n * 3 + v.n, g = v.g } end }",
    "s",
};

static const char *make_script(struct bytes *script)
{
    bytes_clear(script);
    bytes_append_text(script, "local users = app:table('users', { store = 'users' })\nlocal s = app:stream('in')\n");
    int steps = 1 + pick(STEPS_MAX);
    for (int i = 0; i < steps; i++) {
        add_step(script, i);
    }
    bytes_append_format(script, "%s:to('out')\n", ends[pick((int)(sizeof ends / sizeof ends[0]))]);
    return bytes_text(script);
}

/* ---- records ---- */

static void send_one(struct pipeline *p, int time)
{
    char key[16], value[64];
    bool user = pick(3) == 0;
    snprintf(key, sizeof(key), "k%d", pick(6));
    snprintf(value, sizeof(value), "{\"n\":%d,\"g\":\"g%d\"}", pick(50), pick(3));
    pipeline_send(p, user ? "users" : "in", key, user && pick(4) == 0 ? NULL : value, time);
}

/* ---- results ---- */

static int by_key(const void *one, const void *other)
{
    const char *const a = *(const char *const *)one, *const b = *(const char *const *)other;
    size_t length = strcspn(a, ":"), other_length = strcspn(b, ":");
    int order = strncmp(a, b, length < other_length ? length : other_length);
    order = order != 0 ? order : (int)length - (int)other_length;
    return order != 0 ? order : (a > b) - (a < b); /* of one key: as they came */
}

/* "key:value@time" each, in the order of the keys and, of each, of the results. */
static char *results_of(struct pipeline *p)
{
    static const char *list[RECORDS * 4];
    char *text = strdup(outputs(p, "out"));
    size_t count = 0;
    for (char *at = strtok(text, " "); at; at = strtok(NULL, " ")) {
        ck_assert_uint_lt(count, sizeof list / sizeof list[0]);
        list[count++] = at;
    }
    qsort(list, count, sizeof *list, by_key);
    struct bytes sorted = {0};
    for (size_t i = 0; i < count; i++) {
        bytes_append_format(&sorted, "%s\n", list[i]);
    }
    char *result = strdup(bytes_text(&sorted));
    bytes_free(&sorted);
    free(text);
    return result;
}

static char *run(const char *script, int partitions, uint64_t records)
{
    struct pipeline p;
    pipeline_open_partitions(&p, script, partitions);
    seed = records;
    for (int i = 0; i < RECORDS; i++) {
        send_one(&p, i);
    }
    char *results = results_of(&p);
    pipeline_close(&p);
    return results;
}

START_TEST(each_key_has_the_same_results_for_any_number_of_partitions)
{
    struct bytes script = {0};
    size_t with_results = 0;
    for (uint64_t i = 0; i < RUNS; i++) {
        seed = i * 7919 + 1;
        make_script(&script);
        char *expected = run(bytes_text(&script), 1, i);
        with_results += expected[0] != '\0';
        for (int partitions = 2; partitions <= PARTITIONS_MAX; partitions++) {
            char *got = run(bytes_text(&script), partitions, i);
            ck_assert_msg(strcmp(got, expected) == 0, "run %d, %d partitions:\n%s\nresults:\n%s\ninstead of:\n%s",
                          (int)i, partitions, bytes_text(&script), got, expected);
            free(got);
        }
        free(expected);
    }
    ck_assert_uint_gt(with_results, RUNS * 3 / 4);
    bytes_free(&script);
}
END_TEST

UNIT_MAIN("partitions", each_key_has_the_same_results_for_any_number_of_partitions)
