/* Running one test file of the user (lua-api.md, "Testing without a broker"): what `tidemill test` is made of.
 *
 * The file runs in a state of its own, in the sandbox of scripts, with the module "tidemill.test" (test.lua on top of
 * bind_test.c). Its tests run one after the other, in the order in which they were declared.
 * Ownership: a report owns its results until test_report_free. A config borrows everything.
 */
#ifndef TIDEMILL_SCRIPTS_TEST_RUN_H
#define TIDEMILL_SCRIPTS_TEST_RUN_H

#include "scripts/operator.h"

struct test_config {
    const char *file; /* path of the test file; pipelines are named relative to its folder */
    const struct operator_table *operators;
    const struct connector_table *connectors;
    const struct store_driver *stores; /* of the pipelines under test; they keep their state in memory */
    const char *filter;                /* only tests whose name contains this text; NULL: all */
    struct coverage *coverage;         /* of the pipelines' lines; NULL: not counted */
    int64_t seed;                      /* of t.for_all */
};

enum test_status { TEST_PASSED, TEST_FAILED };

struct test_outcome {
    char *name;
    char *file; /* as in the config */
    enum test_status status;
    char *message; /* why it failed: several lines, the first one begins with the place; NULL: passed */
    int64_t ns;    /* how long it took */
};

/* Several files may be collected in one report; begin with an empty one. */
struct test_report {
    struct test_outcome *list;
    size_t count;
    size_t capacity;
    size_t failed;
};

/* Appends one result per test. Fails when the file itself can't be read, doesn't parse or raises an error outside of
 * its tests (ERR_TOPOLOGY or ERR_SCRIPT), or declares no test; failing tests are no failure of the call. */
int test_run_file(const struct test_config *config, struct test_report *report, struct err *err);
void test_report_free(struct test_report *report);

#endif
