#include <pthread.h>

#include "scripts/call.h"
#include "tests/support/unit.h"

/* The thread sanitizer holds signals back until the thread calls something that it intercepts; a loop of Lua never
 * does. */
#if defined(__SANITIZE_THREAD__)
#define HAVE_SIGNALS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_SIGNALS 0
#endif
#endif
#ifndef HAVE_SIGNALS
#define HAVE_SIGNALS 1
#endif

static struct host *open_host(int64_t callback_ms)
{
    struct host *host;
    struct err err;
    struct host_config config = {.script = "pipeline.lua", .callback_ms = callback_ms};
    ck_assert_int_eq(host_open(&config, &host, &err), 0);
    return host;
}

static int run(struct host *host, void *chunk)
{
    lua_State *L = host->L;
    if (luaL_loadbufferx(L, chunk, strlen(chunk), "@pipeline.lua", "t")) {
        return lua_error(L);
    }
    uint64_t before = limits_begin(&host->limits);
    lua_call(L, 0, 0);
    limits_restore(&host->limits, before);
    return 0;
}

static void is_stopped(struct host *host, const char *chunk)
{
    struct err err;
    ck_assert_int_eq(call_protected(host, run, (void *)(uintptr_t)chunk, &err), -1);
    if (!strstr(err.text, "the callback runs longer than") || !strstr(err.text, "(pipeline.lua:")) {
        ck_abort_msg("%s: %s", chunk, err.text);
    }
    ck_assert_int_eq(err.code, ERR_SCRIPT);
    ck_assert_int_eq(
        call_protected(host, run, (void *)(uintptr_t) "local n = 0 for i = 1, 1000 do n = n + i end", &err), 0);
}

#if HAVE_SIGNALS

static const char *const endless[] = {
    "while true do end",
    "local function f() return f() end f()",
    "repeat local s = ('x'):rep(10) until false",
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(error) end",
    "while true do xpcall(function() while true do end end, function(m) while true do end end) end",
    "while true do pcall(pcall, pcall, pcall, function() while true do end end) end",
    "coroutine.wrap(function() while true do end end)()",
    "local co = coroutine.create(function() while true do coroutine.yield() end end) while true do "
    "coroutine.resume(co) end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "while true do pcall(coroutine.wrap(function() pcall(function() while true do end end) end)) end",
    "local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end",
    "local t = setmetatable({}, { __close = function() while true do end end }) local x <close> = t error 'x'",
    "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() while true do "
    "end end })\n"
    "coroutine.yield() end) coroutine.resume(co) while true do coroutine.close(co) end",
    "local t = {} for i = 1, 100 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end",
    "while true do ('aaa'):gsub('a', function() while true do end end) end",
    "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do pcall(function() "
    "return t[1] end) end",
};

START_TEST(endless_callbacks_are_stopped)
{
    struct host *host = open_host(100);
    is_stopped(host, endless[_i]);
    host_close(host);
}
END_TEST

#endif

/* Many short callbacks in one entry are not one long one. */
static int run_many(struct host *host, void *data)
{
    static const char chunk[] = "local n = 0 for i = 1, 100 do n = n + i end";
    struct clock clock = CLOCK_SYSTEM;
    int64_t end = clock_monotonic_ns(&clock) + INT64_C(700000000);
    while (clock_monotonic_ns(&clock) < end) {
        run(host, (void *)(uintptr_t)chunk);
    }
    /* Nor is waiting in the engine, whether inside of a callback or not. */
    clock_sleep_ms(600);
    uint64_t callback = limits_begin(&host->limits);
    uint64_t engine = limits_pause(&host->limits);
    clock_sleep_ms(600);
    run(host, (void *)(uintptr_t)chunk);
    limits_restore(&host->limits, engine);
    run(host, (void *)(uintptr_t)chunk);
    limits_restore(&host->limits, callback);
    *(bool *)data = true;
    return 0;
}

START_TEST(many_callbacks_and_waiting_are_not_stopped)
{
    struct host *host = open_host(500);
    struct err err;
    bool done = false;
    ck_assert_int_eq(call_protected(host, run_many, &done, &err), 0);
    ck_assert(done);
    host_close(host);
}
END_TEST

START_TEST(sequences_nest)
{
    struct host *host = open_host(0);
    struct limits *limits = &host->limits;
    uint64_t outside = limits_begin(limits);
    ck_assert_uint_eq(outside & 1, 0);
    uint64_t last = atomic_load(&limits->sequence);
    ck_assert_uint_eq(last & 1, 1);
    uint64_t inside = limits_begin(limits);
    ck_assert_uint_ne(atomic_load(&limits->sequence), last);
    ck_assert_uint_eq(atomic_load(&limits->sequence) & 1, 1);
    limits_restore(limits, inside);
    ck_assert_uint_eq(atomic_load(&limits->sequence) & 1, 1);
    uint64_t paused = limits_pause(limits);
    ck_assert_uint_eq(atomic_load(&limits->sequence) & 1, 0);
    limits_restore(limits, paused);
    ck_assert_uint_eq(atomic_load(&limits->sequence) & 1, 1);
    limits_restore(limits, outside);
    ck_assert_uint_eq(atomic_load(&limits->sequence) & 1, 0);
    ck_assert(!limits_expired(limits));
    host_close(host);
}
END_TEST

/* No hook can stop these; the process ends with status 5. */
static const char *const stuck[] = {
    "(''):rep(1 << 62)",
    "(('a'):rep(3000)):find(('a-'):rep(40) .. 'b')",
    "table.move({}, 1, 1 << 60, 2, {})",
};

START_TEST(a_c_function_without_end_ends_the_process)
{
    struct host *host = open_host(10);
    struct err err;
    for (;;) { /* on a slow machine the limit may pass before the function is called */
        call_protected(host, run, (void *)(uintptr_t)stuck[_i], &err);
    }
}
END_TEST

static void *work(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        struct host *host = open_host(60000);
        struct err err;
        ck_assert_int_eq(
            call_protected(host, run, (void *)(uintptr_t) "local n = 0 for i = 1, 1e5 do n = n + i end", &err), 0);
        host_close(host);
    }
    return NULL;
}

START_TEST(hosts_of_many_threads_come_and_go)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}
END_TEST

START_TEST(blocks_keep_their_content_and_are_counted)
{
    static const size_t sizes[] = {1, 16, 17, 100, 1024, 1025, 5000, 40000, 1000, 24, 3};
    struct pool pool = {.limit = 100000};
    unsigned char *blocks[50] = {NULL};
    size_t current[50] = {0}, total = 0;
    for (size_t round = 0; round < 2000; round++) {
        size_t at = round * 7 % 50, size = at == 0 ? 0 : sizes[(round * 31 + at) % 11] % 2500;
        unsigned char *moved = pool_resize(&pool, blocks[at], current[at], size);
        if (size > 0) {
            ck_assert_ptr_nonnull(moved);
            for (size_t i = 0; i < current[at] && i < size; i++) {
                ck_assert_uint_eq(moved[i], (unsigned char)at);
            }
            ck_assert_uint_eq((uintptr_t)moved % 16, 0);
            memset(moved, (int)at, size);
        }
        total = total - current[at] + size;
        blocks[at] = moved;
        current[at] = size;
        ck_assert_uint_eq(pool.used, total);
    }
    for (size_t at = 0; at < 50; at++) {
        pool_resize(&pool, blocks[at], current[at], 0);
    }
    ck_assert_uint_eq(pool.used, 0);
    pool_free(&pool);
}
END_TEST

START_TEST(growing_beyond_the_limit_is_refused_and_shrinking_is_not)
{
    struct pool pool = {.limit = 1000};
    char *one = pool_resize(&pool, NULL, LUA_TTABLE, 600);
    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_null(pool_resize(&pool, NULL, 0, 401));
    ck_assert_ptr_null(pool_resize(&pool, one, 600, SIZE_MAX));
    char *other = pool_resize(&pool, NULL, 0, 400);
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_null(pool_resize(&pool, NULL, 0, 1));
    pool.limit = 10; /* lowered below what is used */
    one = pool_resize(&pool, one, 600, 599);
    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_null(pool_resize(&pool, one, 599, 600));
    ck_assert_uint_eq(pool.used, 999);
    ck_assert_ptr_null(pool_resize(&pool, one, 599, 0));
    ck_assert_ptr_null(pool_resize(&pool, other, 400, 0));
    pool_free(&pool);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tcase = tcase_create("limits");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_S);
#if HAVE_SIGNALS
    tcase_add_loop_test(tcase, endless_callbacks_are_stopped, 0, COUNT(endless));
#endif
    tcase_add_test(tcase, many_callbacks_and_waiting_are_not_stopped);
    tcase_add_test(tcase, sequences_nest);
    tcase_add_loop_exit_test(tcase, a_c_function_without_end_ends_the_process, 5, 0, COUNT(stuck));
    tcase_add_test(tcase, hosts_of_many_threads_come_and_go);
    tcase_add_test(tcase, blocks_keep_their_content_and_are_counted);
    tcase_add_test(tcase, growing_beyond_the_limit_is_refused_and_shrinking_is_not);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
