/* Calls that never return end the process; those that return, or wait for brokers that are away, do not. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kafka/kafka_int.h"
#include "tests/support/unit.h"

static _Atomic int asked;

static bool answers(void *self)
{
    atomic_fetch_add(&asked, 1);
    return self != NULL;
}

/* The exit status of a process whose call takes `call_ms` under a limit of 50 ms. */
static int status_of(bool reachable, bool network, int64_t call_ms)
{
    pid_t pid = fork();
    if (pid == 0) {
        static int yes;
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(9);
        }
        struct kafka_watchdog *watchdog = kafka_watchdog_new(&CLOCK_SYSTEM, answers, reachable ? &yes : NULL);
        struct kafka_watch *watch = kafka_watchdog_arm(watchdog, "The call", 50, network);
        clock_sleep_ms(call_ms);
        kafka_watchdog_release(watchdog, watch);
        kafka_watchdog_free(watchdog);
        _exit(!network || atomic_load(&asked) > 0 || call_ms < 50 ? 0 : 8);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(a_call_without_end_ends_the_process)
{
    ck_assert_int_eq(status_of(true, false, 60000), 5);
    ck_assert_int_eq(status_of(true, true, 60000), 5);
}
END_TEST

START_TEST(brokers_that_are_away_are_waited_for)
{
    ck_assert_int_eq(status_of(false, true, 1500), 0);
}
END_TEST

START_TEST(calls_that_return_leave_no_trace)
{
    struct kafka_watchdog *watchdog = kafka_watchdog_new(&CLOCK_SYSTEM, answers, NULL);
    for (int i = 0; i < 10000; i++) {
        struct kafka_watch *one = kafka_watchdog_arm(watchdog, "One", 60000, true);
        struct kafka_watch *other = kafka_watchdog_arm(watchdog, "Other", 60000, false);
        kafka_watchdog_release(watchdog, one);
        kafka_watchdog_release(watchdog, other);
    }
    kafka_watchdog_free(watchdog);
    kafka_watchdog_free(kafka_watchdog_new(&CLOCK_SYSTEM, answers, NULL));
}
END_TEST

UNIT_MAIN("kafka watchdog", a_call_without_end_ends_the_process, brokers_that_are_away_are_waited_for,
          calls_that_return_leave_no_trace)
