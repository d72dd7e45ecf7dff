#include "scripts/limits.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "scripts/call.h"

#define LOOK_MS 100   /* between two looks of the watchdog; less when a limit is short */
#define END_FACTOR 10 /* times the limit: the process ends */
#define EXIT_STUCK 5
#define INTERRUPT SIGURG

static const struct clock system_clock = {false, 0};

static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    struct limits *first;
} watchdog = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

/* The states that are entered on this thread, the innermost first. Read by the signal handler. */
static _Thread_local struct limits *_Atomic innermost;
static _Thread_local int thread_id;

bool limits_expired(const struct limits *limits)
{
    return atomic_load_explicit(&limits->asked, memory_order_relaxed) ==
           atomic_load_explicit(&limits->sequence, memory_order_relaxed);
}

/* ---- on the state's own thread ---- */

int limits_raise(lua_State *L)
{
    lua_pushfstring(L, "the %s runs longer than %d ms, the limit set by the option callback_ms",
                    host_of(L)->phase == HOST_BUILDING ? "script" : "callback",
                    (int)atomic_load(&host_of(L)->limits.callback_ms));
    return call_raise_final(L);
}

static void stop(lua_State *L, lua_Debug *record)
{
    (void)record;
    if (limits_expired(&host_of(L)->limits)) {
        limits_raise(L);
    }
    lua_sethook(L, NULL, 0, 0); /* the callback that was meant has ended meanwhile */
}

/* lua_sethook is the one function of Lua that a signal handler may call; the thread that is interrupted is the only one
 * that may run it, because it walks the frames of the calls in progress. */
static void on_interrupt(int number)
{
    (void)number;
    for (struct limits *limits = innermost; limits; limits = limits->outer) {
        if (limits_expired(limits)) {
            lua_sethook(atomic_load(&limits->running), stop, LUA_MASKCOUNT, 1);
        }
    }
}

/* A thread that blocks the signal could not be interrupted. */
static void prepare_thread(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, INTERRUPT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    thread_id = (int)syscall(SYS_gettid);
}

void limits_enter(struct limits *limits)
{
    if (thread_id == 0) {
        prepare_thread();
    }
    atomic_store_explicit(&limits->thread, thread_id, memory_order_relaxed);
    limits->outer = atomic_load_explicit(&innermost, memory_order_relaxed);
    atomic_store_explicit(&innermost, limits, memory_order_release);
}

void limits_leave(struct limits *limits)
{
    atomic_store_explicit(&innermost, limits->outer, memory_order_release);
}

/* ---- the watchdog's thread ---- */

static _Noreturn void end_process(const struct limits *limits, int64_t ran_ms)
{
    char text[320];
    int length =
        snprintf(text, sizeof text,
                 "tidemill: a callback has been running for %" PRId64 " ms, inside a C function where it can't be "
                 "stopped (callback_ms is %" PRId64 "); the process ends, and work goes on from the last commit.\n",
                 ran_ms, (int64_t)atomic_load(&limits->callback_ms));
    ssize_t written = write(STDERR_FILENO, text, (size_t)length);
    (void)written;
    _exit(EXIT_STUCK);
}

static void look_at(struct limits *limits, int64_t now_ns)
{
    uint64_t sequence = atomic_load_explicit(&limits->sequence, memory_order_relaxed);
    int64_t limit_ms = atomic_load_explicit(&limits->callback_ms, memory_order_relaxed);
    if ((sequence & 1) == 0 || sequence != limits->seen || limit_ms <= 0) {
        limits->seen = sequence;
        limits->seen_ns = now_ns;
        return;
    }
    int64_t ran_ms = (now_ns - limits->seen_ns) / 1000000;
    if (ran_ms >= limit_ms * END_FACTOR) {
        end_process(limits, ran_ms);
    }
    if (ran_ms >= limit_ms) {
        /* By the thread's number, not by its pthread_t: one that has ended meanwhile is an error, not undefined. */
        atomic_store(&limits->asked, sequence);
        syscall(SYS_tgkill, getpid(), atomic_load(&limits->thread), INTERRUPT);
    }
}

static int64_t look_at_all(void)
{
    int64_t pause_ms = LOOK_MS;
    int64_t now_ns = clock_monotonic_ns(&system_clock);
    for (struct limits *limits = watchdog.first; limits; limits = limits->next) {
        look_at(limits, now_ns);
        int64_t limit_ms = atomic_load_explicit(&limits->callback_ms, memory_order_relaxed);
        if (limit_ms > 0 && limit_ms / 4 < pause_ms) {
            pause_ms = limit_ms / 4 > 0 ? limit_ms / 4 : 1;
        }
    }
    return pause_ms;
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&watchdog.lock);
    for (;;) {
        while (!watchdog.first) {
            pthread_cond_wait(&watchdog.opened, &watchdog.lock);
        }
        int64_t pause_ms = look_at_all();
        pthread_mutex_unlock(&watchdog.lock);
        clock_sleep_ms(pause_ms);
        pthread_mutex_lock(&watchdog.lock);
    }
    return NULL;
}

static void start(void)
{
    pthread_cond_init(&watchdog.opened, NULL);
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread inherits the mask: no signal is ever its business */
    pthread_t thread;
    if (sigaction(INTERRUPT, &action, NULL) || pthread_create(&thread, &attributes, watch, NULL)) {
        fputs("tidemill: the watchdog thread can't be started; raise the limit on threads.\n", stderr);
        _exit(EXIT_STUCK);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

void limits_open(struct limits *limits, lua_State *L, int64_t callback_ms)
{
    atomic_store(&limits->running, L);
    atomic_store(&limits->callback_ms, callback_ms);
    atomic_store(&limits->asked, 1); /* a number that never stands for user code */
    atomic_store(&limits->sequence, 2);
    pthread_once(&watchdog.once, start);
    pthread_mutex_lock(&watchdog.lock);
    limits->next = watchdog.first;
    if (limits->next) {
        limits->next->previous = limits;
    }
    watchdog.first = limits;
    pthread_cond_signal(&watchdog.opened);
    pthread_mutex_unlock(&watchdog.lock);
}

void limits_close(struct limits *limits)
{
    pthread_mutex_lock(&watchdog.lock);
    if (limits->previous) {
        limits->previous->next = limits->next;
    } else {
        watchdog.first = limits->next;
    }
    if (limits->next) {
        limits->next->previous = limits->previous;
    }
    pthread_mutex_unlock(&watchdog.lock);
}
