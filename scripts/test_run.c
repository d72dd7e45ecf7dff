#include "scripts/test_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scripts/bind_test.h"

#define MEMORY_LIMIT ((size_t)512 * 1024 * 1024)
#define TEST_LIMIT_MS 60000 /* a test that runs this long without a call of its pipeline loops for ever */

/* ---- the report ---- */

static void add_result(const struct test_config *config, struct test_report *report, const char *name,
                       const char *message, int64_t ns)
{
    report->list = memory_grow(report->list, report->count, &report->capacity, sizeof *report->list);
    report->list[report->count++] = (struct test_outcome){.name = memory_copy_text(name),
                                                          .file = memory_copy_text(config->file),
                                                          .status = message != NULL ? TEST_FAILED : TEST_PASSED,
                                                          .message = memory_copy_text(message),
                                                          .ns = ns};
    report->failed += message != NULL;
}

void test_report_free(struct test_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free(report->list[i].name);
        free(report->list[i].file);
        free(report->list[i].message);
    }
    free(report->list);
    *report = (struct test_report){NULL, 0, 0, 0};
}

/* ---- one file ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int run_chunk(struct host *host, void *data)
{
    struct err *err = data;
    lua_State *L = host->L;
    if (host_load_file(L, host->script, file_name(host->script), err)) {
        lua_pushstring(L, err->text);
        return call_raise_final(L);
    }
    uint64_t before = limits_begin(&host->limits);
    lua_call(L, 0, 0);
    limits_restore(&host->limits, before);
    return 0;
}

/* A test on its way through the protected entry. */
struct test_call {
    size_t number;
    char *message; /* NULL: passed */
};

static int run_test(struct host *host, void *data)
{
    struct test_call *call = data;
    uint64_t before = limits_begin(&host->limits);
    bind_test_run(host->L, call->number);
    limits_restore(&host->limits, before);
    call->message = memory_copy_text(lua_tostring(host->L, -1));
    lua_pop(host->L, 1);
    return 0;
}

static void run_and_report(const struct test_config *config, struct host *host, struct bind_test *tests, size_t number,
                           struct test_report *report)
{
    struct clock clock = CLOCK_SYSTEM;
    int64_t start = clock_monotonic_ns(&clock);
    struct test_call call = {number, NULL};
    struct err err;
    bool ended = call_protected(host, run_test, &call, &err) == 0;
    bind_test_close_drivers(tests);
    int64_t ns = clock_monotonic_ns(&clock) - start;
    add_result(config, report, tests->names.items[number], ended ? call.message : err.text, ns);
    free(call.message);
}

static bool is_chosen(const struct test_config *config, const char *name)
{
    return config->filter == NULL || strstr(name, config->filter) != NULL;
}

static int run_file(const struct test_config *config, struct host *host, struct bind_test *tests,
                    struct test_report *report, struct err *err)
{
    bind_test_attach(host->L, tests);
    struct err load_err;
    err_clear(&load_err);
    if (call_protected(host, run_chunk, &load_err, err)) {
        if (load_err.class != ERR_NONE) {
            *err = load_err;
        }
        return -1;
    }
    if (tests->names.count == 0) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The file %s declares no test; write local t = require \"tidemill.test\" and t.test(\"NAME\", "
                       "function() ... end).",
                       config->file);
    }
    for (size_t i = 0; i < tests->names.count; i++) {
        if (is_chosen(config, tests->names.items[i])) {
            run_and_report(config, host, tests, i, report);
        }
    }
    return 0;
}

int test_run_file(const struct test_config *config, struct test_report *report, struct err *err)
{
    struct host_config host_config = {.script = config->file,
                                      .operators = config->operators,
                                      .connectors = config->connectors,
                                      .memory_limit = MEMORY_LIMIT,
                                      .callback_ms = TEST_LIMIT_MS,
                                      .test_module = bind_test_open};
    struct bind_test tests = {
        .operators = config->operators,
        .connectors = config->connectors,
        .stores = config->stores,
        .coverage = config->coverage,
        .seed = config->seed,
    };
    struct host *host;
    if (host_open(&host_config, &host, err)) {
        return -1;
    }
    int result = run_file(config, host, &tests, report, err);
    host_close(host);
    bind_test_free(&tests);
    return result;
}
