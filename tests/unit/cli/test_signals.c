#include "cli/signals.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/support/unit.h"

#define LIVED 7

/* The exit status of a process that gets these signals, each so many milliseconds after the one before. */
static int status_of(const int *signals, const int64_t *pauses_ms, size_t count)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct clock clock = {.manual = true, .manual_ms = 1000};
        unit_in_child();
        signals_use_clock(&clock);
        signals_install();
        for (size_t i = 0; i < count; i++) {
            clock_advance(&clock, pauses_ms[i]);
            raise(signals[i]);
        }
        _exit(signals_received() ? LIVED + signals_next_ends() : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "killed by %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

START_TEST(one_signal_is_noted)
{
    ck_assert_int_eq(status_of(NULL, NULL, 0), 0);
    ck_assert_int_eq(status_of((int[]){SIGTERM}, (int64_t[]){500}, 1), LIVED);
}
END_TEST

START_TEST(signals_heard_together_are_one)
{
    const int signals[] = {SIGTERM, SIGTERM, SIGHUP, SIGINT, SIGTERM};
    const int64_t pauses_ms[] = {0, 0, 1, 100, 98};
    ck_assert_int_eq(status_of(signals, pauses_ms, 5), LIVED);
}
END_TEST

START_TEST(a_later_one_ends_the_process_with_its_number)
{
    ck_assert_int_eq(status_of((int[]){SIGTERM, SIGTERM}, (int64_t[]){0, 200}, 2), 128 + SIGTERM);
    ck_assert_int_eq(status_of((int[]){SIGTERM, SIGINT}, (int64_t[]){0, 3600000}, 2), 128 + SIGINT);
    /* One that was passed over begins no new span. */
    ck_assert_int_eq(status_of((int[]){SIGHUP, SIGHUP, SIGHUP}, (int64_t[]){0, 150, 50}, 3), 128 + SIGHUP);
}
END_TEST

UNIT_MAIN("signals", one_signal_is_noted, signals_heard_together_are_one, a_later_one_ends_the_process_with_its_number)
