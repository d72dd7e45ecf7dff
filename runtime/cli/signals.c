#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Whoever asks once is often heard twice: `timeout` and supervisors signal the process and then its group, a terminal
 * the group while a wrapper hands its own signal on. */
#define SAME_NS INT64_C(200000000)

static const struct clock system_clock;
static const struct clock *used_clock = &system_clock;
static volatile sig_atomic_t received;
static _Atomic int64_t first_ns; /* when the first signal came */
static int bell[2] = {-1, -1}; /* a pipe: written by the handler, so that no signal between look and sleep is missed */

bool signals_next_ends(void)
{
    return received && clock_monotonic_ns(used_clock) - atomic_load(&first_ns) >= SAME_NS;
}

/* Whoever asks twice does not want to wait for the commit: leaving at once loses nothing that was committed. */
static void on_signal(int number)
{
    if (signals_next_ends()) {
        _exit(128 + number);
    }
    if (received) {
        return;
    }
    atomic_store(&first_ns, clock_monotonic_ns(used_clock));
    received = number;
    int saved = errno;
    ssize_t written = write(bell[1], "", 1);
    (void)written;
    errno = saved;
}

void signals_use_clock(const struct clock *clock)
{
    used_clock = clock;
}

void signals_install(void)
{
    struct sigaction action;
    if (bell[0] < 0 && pipe2(bell, O_CLOEXEC | O_NONBLOCK) != 0) {
        bell[0] = -1; /* then a signal is noticed at the end of a wait */
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

void signals_wait(int timeout_ms)
{
    struct pollfd ready = {.fd = bell[0], .events = POLLIN};
    poll(&ready, 1, timeout_ms);
}

bool signals_received(void)
{
    return received != 0;
}
