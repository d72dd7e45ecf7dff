/* Processors over restarts: timers on stream time, and stores of every kind, as if there had been none. */
#include "base/memory.h"
#include "running.h"

#define SCRIPT                                                                                                         \
    "app:stream('in'):process { stores = { 'kv', t = { ttl = '5s' },\n"                                                \
    "    w = { kind = 'window', size = '1s', retention = '10s' }, s = { kind = 'session', retention = '20s' } },\n"    \
    "  init = function(ctx)\n"                                                                                         \
    "    ctx:every('3s', 'stream', function(ts)\n"                                                                     \
    "      local sum = 0\n"                                                                                            \
    "      for k, v in ctx.stores.kv:all() do sum = sum + v end\n"                                                     \
    "      ctx:forward('sum', { sum, ts })\n"                                                                          \
    "    end)\n"                                                                                                       \
    "    local two\n"                                                                                                  \
    "    two = ctx:every('2s', 'stream', function(ts)\n"                                                               \
    "      ctx:forward('two', ts) if ts >= 15000 then two:cancel() end\n"                                              \
    "    end)\n"                                                                                                       \
    "    ctx:every('7s', 'stream', function(ts)\n"                                                                     \
    "      for k in ctx.stores.kv:range('c') do ctx.stores.kv:delete(k) end\n"                                         \
    "    end)\n"                                                                                                       \
    "  end,\n"                                                                                                         \
    "  process = function(k, v, rec, ctx)\n"                                                                           \
    "    local kv, t, w, s = ctx.stores.kv, ctx.stores.t, ctx.stores.w, ctx.stores.s\n"                                \
    "    local before, n, m, c = t:get(k), 0, 0, 0\n"                                                                  \
    "    t:put(k, v) kv:put(k, (kv:get(k) or 0) + v)\n"                                                                \
    "    w:put(k, v, rec.timestamp // 1000 * 1000)\n"                                                                  \
    "    s:put(k, v, rec.timestamp, rec.timestamp + v)\n"                                                              \
    "    for start, x in w:fetch(k, 0, 1 << 40) do n = n + x end\n"                                                    \
    "    for wk, x in s:fetch(k) do m = m + 1 end\n"                                                                   \
    "    for key in t:all() do c = c + 1 end\n"                                                                        \
    "    ctx:forward(k, { before or 'none', kv:get(k), n, m, c })\n"                                                   \
    "  end }:to('out')\n"

enum upset { NONE, KEEP_STATE, LOSE_STATE, ABORT };

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

/* What comes out of a scenario, sorted when there are several partitions, whose order among each other is free. */
static int compare_texts(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static char *sort_words(char *text)
{
    char *words[4000];
    size_t count = 0;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        words[count++] = word;
    }
    qsort(words, count, sizeof(words[0]), compare_texts);
    struct bytes sorted = {0};
    for (size_t i = 0; i < count; i++) {
        bytes_append_format(&sorted, "%s ", words[i]);
    }
    char *result = memory_copy_text(bytes_text(&sorted));
    bytes_free(&sorted);
    free(text);
    return result;
}

static char *play(uint32_t seed, int partitions, enum upset upset)
{
    static const char *const keys[] = {"a", "b", "c", "d", "e"};
    struct running r;
    uint32_t random = seed, when = seed + 1;
    int64_t time = 0;
    running_open(&r, SCRIPT, partitions, upset == KEEP_STATE);
    running_begin(&r);
    for (int i = 0; i < 60; i++) {
        char value[16];
        time += next_random(&random) % 900;
        int64_t late = next_random(&random) % 4 == 0 ? next_random(&random) % 3000 : 0;
        snprintf(value, sizeof(value), "%d", (int)(next_random(&random) % 50));
        running_send(&r, "in", keys[next_random(&random) % 5], value, time > late ? time - late : 0);
        bool upsets = upset != NONE && next_random(&when) % 4 == 0;
        r.aborts = upsets && upset == ABORT;
        running_until_idle(&r);
        if (upsets && upset != ABORT) {
            running_restart(&r, upset == KEEP_STATE);
        }
    }
    char *result = memory_copy_text(running_outputs(&r));
    running_close(&r);
    return partitions > 1 ? sort_words(result) : result;
}

static void check(int partitions, enum upset upset)
{
    for (uint32_t seed = 1; seed <= 4; seed++) {
        char *undisturbed = play(seed, partitions, NONE);
        char *upset_one = play(seed, partitions, upset);
        ck_assert_str_eq(undisturbed, upset_one);
        ck_assert_uint_gt(strlen(undisturbed), 1000);
        free(undisturbed);
        free(upset_one);
    }
}

START_TEST(restarts_with_state_change_nothing)
{
    check(1, KEEP_STATE);
    check(3, KEEP_STATE);
}
END_TEST

START_TEST(restarts_from_the_changelog_change_nothing)
{
    check(1, LOSE_STATE);
    check(3, LOSE_STATE);
}
END_TEST

START_TEST(aborted_commits_change_nothing)
{
    check(1, ABORT);
    check(3, ABORT);
}
END_TEST

/* A tombstone says to the changelog what the ttl has deleted: a rebuilt store does not have it either. */
START_TEST(what_is_past_its_ttl_does_not_come_back)
{
    struct running r;
    running_open(&r,
                 "app:stream('in'):process { stores = { t = { ttl = '5s' } }, process = function(k, v, rec, ctx)\n"
                 "  ctx.stores.t:put(k, v) end }\n",
                 1, false);
    running_begin(&r);
    running_send(&r, "in", "a", "1", 1000);
    running_until_idle(&r);
    running_send(&r, "in", "b", "1", 6000);
    running_until_idle(&r);
    struct record record, last = {0};
    for (int64_t offset = 0; memory_transport_record(r.transport, "test-t-changelog", 0, offset, &record); offset++) {
        last = slice_equal(record.key, slice_text("a")) ? record : last;
    }
    ck_assert(slice_equal(last.key, slice_text("a")));
    ck_assert(slice_is_null(last.value));
    running_close(&r);
}
END_TEST

/* What init puts into a store is committed, though there is no record, and also after a commit that was aborted. */
START_TEST(what_init_puts_is_committed)
{
    struct running r;
    struct record record;
    running_open(&r,
                 "app:stream('in'):process { stores = { 's' },\n"
                 "  init = function(ctx) local s = ctx.stores.s s:put('n', (s:get('n') or 0) + 1) end,\n"
                 "  process = function(k, v, rec, ctx) ctx:forward(k, ctx.stores.s:get('n')) end }:to('out')\n",
                 1, false);
    running_begin(&r);
    r.aborts = 1;
    running_until_idle(&r);
    ck_assert(memory_transport_record(r.transport, "test-s-changelog", 0, 0, &record));
    ck_assert(slice_equal(record.value, slice_text("1")));
    running_restart(&r, false);
    running_send(&r, "in", "a", "0", 0);
    running_until_idle(&r);
    ck_assert_str_eq(running_outputs(&r), "a:2@0");
    running_close(&r);
}
END_TEST

UNIT_MAIN("process_restart", restarts_with_state_change_nothing, restarts_from_the_changelog_change_nothing,
          aborted_commits_change_nothing, what_is_past_its_ttl_does_not_come_back, what_init_puts_is_committed)
