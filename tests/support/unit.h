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
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIT_TIMEOUT_S 300 /* for machines under load and sanitizers; no test measures time */

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

/* To be called in a child that a test forks: check's asserts write into a file that test and runner share, and a child
 * that writes there too, or is killed while it does, spoils their messages. */
static inline void unit_in_child(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 3; fd < 64; fd++) {
        char link[64], path[256] = "";
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, "/check_")) {
            dup2(null, fd);
        }
    }
}

#define UNIT_MAIN(name, ...)                                                                                           \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const TTest *const tests[] = {__VA_ARGS__};                                                                    \
        return unit_run(name, tests, sizeof tests / sizeof tests[0]);                                                  \
    }

#endif
