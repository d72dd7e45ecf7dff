/* The frame of a unit test: one program per source file, its tests listed once.
 *
 *     START_TEST(empty_slice_is_not_null)
 *     {
 *         ck_assert(...);
 *     }
 *     END_TEST
 *
 *     UNIT_MAIN("bytes", empty_slice_is_not_null, ...)
 *
 * CK_FORK=no runs them in one process, for a debugger.
 */
#ifndef TIDEMILL_TESTS_UNIT_H
#define TIDEMILL_TESTS_UNIT_H

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

#define UNIT_TIMEOUT_S 120 /* for machines under load and sanitizers; no test measures time */

static inline int unit_run(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < count; i++) {
        TCase *tcase = tcase_create(tests[i]->name);
        tcase_set_timeout(tcase, UNIT_TIMEOUT_S);
        tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define UNIT_MAIN(name, ...)                                                                                           \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const TTest *const tests[] = {__VA_ARGS__};                                                                    \
        return unit_run(name, tests, sizeof tests / sizeof tests[0]);                                                  \
    }

#endif
