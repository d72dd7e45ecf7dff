#include "running.h"

#define BOTH "local l, r = app:stream('l'), app:stream('r')\n"
#define PAIR "function(k, l, r) return (l or '-') .. (r or '-') end"

/* ---- what a join means, without stores and cleverness ---- */

struct window {
    const char *method;
    int64_t before;
    int64_t after;
    int64_t grace;
};

struct past {
    char key[8];
    char value[16];
    int64_t at;
    bool left;
    bool known; /* matched, or out alone */
};

struct model {
    const struct window *window;
    struct past past[512];
    int count;
    int64_t now;
    int late;
    struct bytes out;
};

static bool is_outer(const struct model *model, bool left)
{
    return strcmp(model->window->method, "outer_join") == 0 ||
           (strcmp(model->window->method, "left_join") == 0 && left);
}

static bool is_closed(const struct model *model, const struct past *past)
{
    const struct window *window = model->window;
    return past->at + (past->left ? window->after : window->before) + window->grace < model->now;
}

static void result(struct model *model, const char *key, const char *left, const char *right, int64_t at)
{
    if (model->out.size > 0) {
        bytes_append_byte(&model->out, ' ');
    }
    bytes_append_format(&model->out, "%s:\"%s%s\"@%" PRId64, key ? key : "-", left ? left : "-", right ? right : "-",
                        at);
}

/* By time, right before left, key, arrival. */
static bool goes_first(const struct past *one, const struct past *other)
{
    if (!other || one->at != other->at) {
        return !other || one->at < other->at;
    }
    return one->left != other->left ? !one->left : strcmp(one->key, other->key) < 0;
}

static void emit_closed(struct model *model)
{
    for (;;) {
        struct past *first = NULL;
        for (int i = 0; i < model->count; i++) {
            struct past *past = &model->past[i];
            if (is_outer(model, past->left) && !past->known && is_closed(model, past) && goes_first(past, first)) {
                first = past;
            }
        }
        if (!first) {
            return;
        }
        first->known = true;
        result(model, first->key, first->left ? first->value : NULL, first->left ? NULL : first->value, first->at);
    }
}

static bool in_window(const struct model *model, const struct past *one, const struct past *other)
{
    int64_t distance = one->left ? other->at - one->at : one->at - other->at; /* right - left */
    return one->left != other->left && strcmp(one->key, other->key) == 0 && distance >= -model->window->before &&
           distance <= model->window->after;
}

static void emit_pairs(struct model *model, struct past *record)
{
    bool done[512] = {false};
    for (;;) {
        int best = -1;
        for (int i = 0; i < model->count; i++) {
            if (!done[i] && in_window(model, record, &model->past[i]) &&
                (best < 0 || model->past[i].at < model->past[best].at)) {
                best = i;
            }
        }
        if (best < 0) {
            return;
        }
        struct past *other = &model->past[best];
        done[best] = true;
        other->known = record->known = true;
        result(model, record->key, record->left ? record->value : other->value,
               record->left ? other->value : record->value, other->at > record->at ? other->at : record->at);
    }
}

static void model_send(struct model *model, bool left, const char *key, const char *value, int64_t at)
{
    struct past record = {.at = at, .left = left};
    if (!value) {
        return;
    }
    if (!key) {
        if (is_outer(model, left)) {
            result(model, NULL, left ? value : NULL, left ? NULL : value, at);
        }
        return;
    }
    snprintf(record.key, sizeof(record.key), "%s", key);
    snprintf(record.value, sizeof(record.value), "%s", value);
    model->now = at > model->now ? at : model->now;
    emit_closed(model);
    if (is_closed(model, &record)) {
        model->late++;
        return;
    }
    emit_pairs(model, &record);
    model->past[model->count++] = record;
}

/* ---- random scenarios against it ---- */

static const struct window windows[] = {
    {"join", 10000, 10000, 5000},     {"join", 0, 0, 3000},
    {"join", 5000, 2000, 0},          {"left_join", 10000, 10000, 5000},
    {"left_join", 5000, 0, 2000},     {"left_join", 0, 7000, 0},
    {"left_join", 0, 0, 0},           {"outer_join", 5000, 5000, 0},
    {"outer_join", 8000, 1000, 4000}, {"outer_join", 0, 6000, 20000},
    {"outer_join", 0, 0, 1000},       {"outer_join", 3000, 3000, 100000},
};

static uint32_t next_random(uint32_t *state, uint32_t below)
{
    *state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (*state >> 8) % below;
}

struct step {
    bool left;
    char key[8];
    char value[16];
    int64_t at;
    bool has_key;
    bool has_value;
};

/* Times mostly go on by a little, sometimes far back or forth, often equal. */
static struct step make_step(uint32_t *state, int number, int64_t *time)
{
    static const int64_t leaps[] = {0, 0, 1, 500, 1000, 1000, 2500, 7000, 30000};
    struct step step = {.left = next_random(state, 2) == 0,
                        .has_key = next_random(state, 25) > 0,
                        .has_value = next_random(state, 25) > 0};
    *time += leaps[next_random(state, sizeof(leaps) / sizeof(leaps[0]))];
    int64_t back = next_random(state, 3) == 0 ? (int64_t)next_random(state, 16) * 1000 : 0;
    step.at = *time > back ? *time - back : 0;
    snprintf(step.key, sizeof(step.key), "%c", 'a' + (int)next_random(state, 3));
    snprintf(step.value, sizeof(step.value), "%c%d", step.left ? 'L' : 'R', number);
    return step;
}

static void open_join(struct running *running, const struct window *window, bool on_disk)
{
    char script[512];
    snprintf(script, sizeof(script),
             BOTH "l:%s(r, " PAIR ", { before = %" PRId64 ", after = %" PRId64 ", grace = %" PRId64
                  ", store = 'lr' }):to('out')\n",
             window->method, window->before, window->after, window->grace);
    running_open(running, script, 1, on_disk);
    running_begin(running);
}

/* Restarts with and without the state on disk, and commits that fail, must not be seen in the results. */
enum restarts { NONE, IN_MEMORY, ON_DISK };

static void run_scenario(const struct window *window, uint32_t seed, enum restarts restarts)
{
    uint32_t state = seed;
    int64_t time = 0;
    static struct model model;
    struct running running;
    model = (struct model){.window = window, .now = -1};
    open_join(&running, window, restarts == ON_DISK);
    for (int number = 0; number < 60; number++) {
        struct step step = make_step(&state, number, &time);
        char quoted[32];
        snprintf(quoted, sizeof(quoted), "\"%s\"", step.value);
        const char *key = step.has_key ? step.key : NULL;
        running.aborts = restarts && next_random(&state, 8) == 0;
        running_send(&running, step.left ? "l" : "r", key, step.has_value ? quoted : NULL, step.at);
        running_until_idle(&running);
        running.aborts = 0;
        model_send(&model, step.left, key, step.has_value ? step.value : NULL, step.at);
        if (restarts && next_random(&state, 6) == 0) {
            running_restart(&running, next_random(&state, 2) == 0);
        }
    }
    running_until_idle(&running);
    ck_assert(restarts || running_dropped("late") == model.late);
    if (strcmp(running_outputs(&running), bytes_text(&model.out)) != 0) {
        ck_abort_msg("%s, before %d, after %d, grace %d, seed %u%s:\nexpected %s\ngot      %s", window->method,
                     (int)window->before, (int)window->after, (int)window->grace, seed, restarts ? ", restarts" : "",
                     bytes_text(&model.out), bytes_text(&running.script.text));
    }
    bytes_free(&model.out);
    running_close(&running);
}

#define WINDOWS (sizeof(windows) / sizeof(windows[0]))

static void run_scenarios(uint32_t seeds, size_t every, enum restarts restarts)
{
    for (size_t i = 0; i < WINDOWS; i += every) {
        for (uint32_t seed = 1; seed <= seeds; seed++) {
            run_scenario(&windows[i], seed * 7919 + (uint32_t)i, restarts);
        }
    }
}

START_TEST(results_are_those_of_the_plain_meaning)
{
    run_scenarios(12, 1, NONE);
}
END_TEST

START_TEST(restarts_and_failed_commits_change_nothing)
{
    run_scenarios(4, 1, IN_MEMORY);
    run_scenarios(1, 5, ON_DISK);
}
END_TEST

/* ---- single cases ---- */

START_TEST(bounds_are_inclusive_and_every_duplicate_counts)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "l:join(r, " PAIR ", { before = '5s', after = 2000, store = 'lr' }):to('out')\n");
    pipeline_send(&p, "r", "a", "\"-\"", 999);
    pipeline_send(&p, "r", "a", "\"x\"", 1000);
    pipeline_send(&p, "r", "a", "\"y\"", 1000);
    pipeline_send(&p, "r", "b", "\"-\"", 6000);
    pipeline_send(&p, "l", "a", "\"1\"", 6000);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"1x\"@6000 a:\"1y\"@6000");
    pipeline_send(&p, "l", "a", "\"1\"", 6000);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"1x\"@6000 a:\"1y\"@6000");
    pipeline_send(&p, "r", "a", "\"z\"", 8000);
    pipeline_send(&p, "r", "a", "\"-\"", 8001);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"1z\"@8000 a:\"1z\"@8000");
    pipeline_close(&p);
}
END_TEST

START_TEST(an_outer_record_without_a_key_is_out_at_once)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "l:select_key(function(k) return nil end)\n"
                           "  :left_join(r, function(k, l, r) return { k = k == nil, l = l, r = r == nil } end,\n"
                           "    { within = 5, store = 'lr' }):to('out')\n");
    pipeline_send(&p, "l", "a", "1", 10);
    pipeline_send(&p, "r", NULL, "1", 11);
    ck_assert_str_eq(outputs(&p, "out"), "-:{\"k\":true,\"l\":1,\"r\":true}@10");
    pipeline_close(&p);
}
END_TEST

START_TEST(many_records_of_one_key_are_all_found)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "local n = 0\n"
                           "l:join(r, function(k, l, r) n = n + r; return n end, { within = 100, store = 'lr' })\n"
                           "  :filter(function(k, v) return v % 100 == 50 end):to('out')\n");
    for (int i = 0; i < 300; i++) {
        pipeline_send(&p, "r", "a", "1", i);
    }
    pipeline_send(&p, "l", "a", "0", 200);
    ck_assert_str_eq(outputs(&p, "out"), "a:50@200 a:150@249");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_changed_value_is_not_what_the_next_pair_sees)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "l:map_values(function(k, v) return { n = v } end)\n"
                           "  :join(r, function(k, l, r) l.n = l.n + r; return l end, { within = 100, store = 'lr' })\n"
                           "  :to('out')\n");
    pipeline_send(&p, "r", "a", "1", 1);
    pipeline_send(&p, "r", "a", "2", 2);
    pipeline_send(&p, "l", "a", "10", 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":11}@3 a:{\"n\":12}@3");
    pipeline_send(&p, "r", "a", "5", 4);
    ck_assert_str_eq(outputs(&p, "out"), "a:{\"n\":15}@4");
    pipeline_close(&p);
}
END_TEST

START_TEST(a_joiner_that_fails_loses_its_pair_only)
{
    struct pipeline p;
    pipeline_open(&p, BOTH "l:left_join(r, function(k, l, r) return r + l end,\n"
                           "  { within = 10, store = 'lr', on_error = 'dead_letter' }):to('out')\n");
    pipeline_send(&p, "r", "a", "1", 1);
    pipeline_send(&p, "r", "a", "{}", 2);
    pipeline_send(&p, "r", "a", "3", 3);
    pipeline_send(&p, "l", "a", "10", 4);
    ck_assert_str_eq(outputs(&p, "out"), "a:11@4 a:13@4");
    ck_assert_str_eq(outputs(&p, "test-dead-letter"), "a:10@4");
    pipeline_send(&p, "l", "b", "7", 5);
    pipeline_send(&p, "r", "c", "8", 100); /* b has no match, and nil can't be added */
    ck_assert_str_eq(outputs(&p, "test-dead-letter"), "b:7@5");
    pipeline_close(&p);
    pipeline_open(&p, BOTH "l:join(r, function(k, l, r) error('bad pair') end, { within = 10, store = 'lr' })\n"
                           "  :to('out')\n");
    pipeline_send(&p, "r", "a", "1", 1);
    ck_assert_int_eq(pipeline_try_send(&p, "l", "a", "10", 4), -1);
    ck_assert_ptr_nonnull(strstr(p.err.text, "bad pair"));
    pipeline_close(&p);
}
END_TEST

START_TEST(rekeyed_sides_go_through_topics_of_their_own)
{
    struct pipeline p;
    pipeline_open(&p,
                  "local function key(k, v) return v.k end\n"
                  "local l, r = app:stream('l'):select_key(key), app:stream('r'):select_key(key)\n"
                  "l:join(r, function(k, l, r, rec) return rec.topic end, { within = 5, store = 'lr' }):to('out')\n");
    pipeline_send(&p, "l", "1", "{\"k\":\"a\"}", 1);
    pipeline_send(&p, "r", "2", "{\"k\":\"a\"}", 2);
    pipeline_send(&p, "l", "3", "{\"k\":\"a\"}", 3);
    ck_assert_str_eq(outputs(&p, "out"), "a:\"test-lr-right-repartition\"@2 a:\"test-lr-left-repartition\"@3");
    pipeline_close(&p);
}
END_TEST

START_TEST(sides_meet_in_every_partition)
{
    struct running running;
    running_open(&running, BOTH "l:join(r, " PAIR ", { within = 5, store = 'lr' }):to('out')\n", 3, false);
    running_begin(&running);
    for (int i = 0; i < 20; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        running_send(&running, "l", key, "\"1\"", 10);
        running_send(&running, "r", key, "\"2\"", 11);
    }
    running_until_idle(&running);
    int count = 0;
    for (const char *at = running_outputs(&running); (at = strstr(at, ":\"12\"@11")); at++) {
        count++;
    }
    ck_assert_int_eq(count, 20);
    running_close(&running);
}
END_TEST

START_TEST(options_are_checked)
{
    static const struct {
        const char *options;
        const char *part;
    } cases[] = {
        {"nil", "join keeps state and needs a name for it"},
        {"{ within = '5s' }", "join keeps state and needs a name for it"},
        {"{ store = 's' }", "join of two streams needs a window"},
        {"{ store = 's', within = '5s', before = 1 }", "join takes either within, for both directions, or before and"},
        {"{ store = 's', within = -1 }", "join: within: a duration can't be negative"},
        {"{ store = 's', within = '5s', grace = -5 }", "join: grace: a duration can't be negative"},
        {"{ store = 's', before = '5x' }", "join: before: \"5x\" is no duration"},
        {"{ store = 's', after = 1e30 }", "join: after: a duration is"},
        {"{ store = 's', after = math.maxinteger }", "join: after is too long"},
        {"{ store = 's', widthin = 5 }", "did you mean \"within\"?"},
        {"{ store = 's', within = 5, changelog = 1 }", "join: changelog is true or false, got the number 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char script[512];
        snprintf(script, sizeof(script), BOTH "l:join(r, print, %s)\n", cases[i].options);
        pipeline_refused(script, cases[i].part);
    }
    pipeline_refused(BOTH "l:join(r, 5, { within = 1, store = 's' })", "join needs a function as its second argument");
    pipeline_refused("local l, r = app:stream('l', { key = tm.int64 }), app:stream('r')\n"
                     "l:join(r, print, { within = 1, store = 's' })",
                     "the keys of the left side are written as int64 and those of the right side as string");
    pipeline_refused("app:stream('l'):outer_join(app:table('t', { store = 't' }), print)",
                     "outer_join of a stream and a table is not possible");
}
END_TEST

START_TEST(unequal_partition_counts_are_refused_by_name)
{
    struct running running;
    running_open(&running, BOTH "l:join(r, " PAIR ", { within = 5, store = 'lr' }):to('out')\n", 1, false);
    running_topic(&running, "l", 2);
    running_topic(&running, "r", 3);
    const struct graph *graph = running.program->class->graph(running.instance);
    ck_assert_int_eq(
        topic_plan_make(graph, &running.settings, running.transport, true, false, NULL, &running.plan, &running.err),
        -1);
    ck_assert_ptr_nonnull(
        strstr(running.err.text, "The topics \"l\" (2 partitions) and \"r\" (3 partitions) are joined"));
    running_close(&running);
}
END_TEST

UNIT_MAIN("join_streams", results_are_those_of_the_plain_meaning, restarts_and_failed_commits_change_nothing,
          bounds_are_inclusive_and_every_duplicate_counts, an_outer_record_without_a_key_is_out_at_once,
          many_records_of_one_key_are_all_found, a_changed_value_is_not_what_the_next_pair_sees,
          a_joiner_that_fails_loses_its_pair_only, rekeyed_sides_go_through_topics_of_their_own,
          sides_meet_in_every_partition, options_are_checked, unequal_partition_counts_are_refused_by_name)
