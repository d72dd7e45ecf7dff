/* The main function of tests that need a PostgreSQL server: without one they are skipped, and say so. */
#ifndef TIDEMILL_TESTS_POSTGRES_SERVER_H
#define TIDEMILL_TESTS_POSTGRES_SERVER_H

#include "tests/support/unit.h"

static inline int postgres_main(const char *name, const TTest *const *tests, size_t count)
{
    if (getenv("TIDEMILL_TEST_POSTGRES") == NULL) {
        fprintf(stderr,
                "SKIP: TIDEMILL_TEST_POSTGRES does not name a server: tests/support/with_postgres.sh runs this\n");
        return 77;
    }
    return unit_run(name, tests, count);
}

#define POSTGRES_MAIN(name, ...)                                                                                       \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const TTest *const tests[] = {__VA_ARGS__};                                                                    \
        return postgres_main(name, tests, sizeof tests / sizeof tests[0]);                                             \
    }

#endif
