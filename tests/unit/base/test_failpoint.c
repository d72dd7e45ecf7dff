#include "base/failpoint.h"

#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(every_failpoint_has_a_name_of_its_own_and_says_what_recovery_does)
{
    for (int i = 0; i < FAILPOINT_COUNT; i++) {
        const struct failpoint_row *row = &failpoint_table[i];
        ck_assert_ptr_nonnull(row->name);
        ck_assert_uint_gt(strlen(row->where), 0);
        ck_assert_uint_gt(strlen(row->recovery), 0);
        ck_assert_ptr_null(strpbrk(row->name, ":,~"));
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(row->name, failpoint_table[j].name);
        }
    }
}
END_TEST

/* How a process that passes c1 five times ends: 100 + its passes, or 200 + the signal that ended it. */
static int passes(const char *list)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        unit_in_child();
        setenv("TIDEMILL_FAILPOINTS", list, 1);
        setenv("TIDEMILL_FAILPOINT_SEED", "7", 1);
        int failures = 0;
        for (int i = 0; i < 5; i++) {
            struct err err;
            FAILPOINT(POLLED);
            failures += FAILPOINT_FAILS(STORE_COMMIT, &err);
        }
        _exit(100 + failures + (FAILPOINT_SHIFT_MS() == 1000 ? 50 : 0));
    }
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 200 + WTERMSIG(status) : WEXITSTATUS(status);
}

#ifdef TIDEMILL_FAILPOINTS

START_TEST(a_failpoint_acts_at_the_hit_that_the_environment_names)
{
    ck_assert_int_eq(passes(""), 100);
    ck_assert_int_eq(passes("c1:5:kill"), 209);
    ck_assert_int_eq(passes("c1:6:kill"), 100);
    ck_assert_int_eq(passes("c1:~5:kill"), 209);
    ck_assert_int_eq(passes("c9:2:error,c9:4:error"), 102);
    ck_assert_int_eq(passes("c1:1:sleep=1"), 100);
    ck_assert_int_eq(passes("clock:1:shift=1000"), 150);
}
END_TEST

START_TEST(a_list_that_cant_be_read_ends_the_process)
{
    static const char *const lists[] = {"c1", "c1:1", "none:1:kill", "c1:0:kill", "c1:1:die", "c1:1:shift=3"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        ck_assert_int_eq(passes(lists[i]), 2);
    }
}
END_TEST

UNIT_MAIN("failpoint", every_failpoint_has_a_name_of_its_own_and_says_what_recovery_does,
          a_failpoint_acts_at_the_hit_that_the_environment_names, a_list_that_cant_be_read_ends_the_process)

#else

START_TEST(without_the_build_option_nothing_happens)
{
    ck_assert_int_eq(passes("c1:1:kill,none:0:die"), 100);
}
END_TEST

UNIT_MAIN("failpoint", every_failpoint_has_a_name_of_its_own_and_says_what_recovery_does,
          without_the_build_option_nothing_happens)

#endif
