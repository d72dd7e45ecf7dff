#include "base/failpoint.h"

const struct failpoint_row failpoint_table[FAILPOINT_COUNT] = {
#define X(identifier, name, where, recovery) [FAILPOINT_##identifier] = {name, where, recovery},
    FAILPOINT_LIST(X)
#undef X
};

#ifdef TIDEMILL_FAILPOINTS

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ORDERS_MAX 64

enum action { ACTION_KILL, ACTION_STOP, ACTION_ERROR, ACTION_SLEEP, ACTION_SHIFT };

struct order {
    enum failpoint point;
    long nth;
    enum action action;
    int64_t ms; /* of sleep and shift */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded;
static struct order orders[ORDERS_MAX];
static size_t order_count;
static long hits[FAILPOINT_COUNT];
static int64_t shift_ms;

static _Noreturn void refuse(const char *text)
{
    fprintf(stderr, "TIDEMILL_FAILPOINTS: \"%s\" can't be read: NAME:NTH:ACTION[,...] is wanted.\n", text);
    _exit(2);
}

static enum failpoint find_point(const char *name, const char *text)
{
    for (int i = 0; i < FAILPOINT_COUNT; i++) {
        if (strcmp(failpoint_table[i].name, name) == 0) {
            return (enum failpoint)i;
        }
    }
    refuse(text);
}

static void read_action(struct order *order, const char *action, const char *text)
{
    static const struct {
        const char *name;
        enum action action;
        bool takes_ms;
    } actions[] = {{"kill", ACTION_KILL, false},
                   {"stop", ACTION_STOP, false},
                   {"error", ACTION_ERROR, false},
                   {"sleep=", ACTION_SLEEP, true},
                   {"shift=", ACTION_SHIFT, true}};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        size_t size = strlen(actions[i].name);
        if (actions[i].takes_ms ? strncmp(action, actions[i].name, size) == 0 : strcmp(action, actions[i].name) == 0) {
            order->action = actions[i].action;
            order->ms = actions[i].takes_ms ? strtoll(action + size, NULL, 10) : 0;
            if ((order->action == ACTION_SHIFT) == (order->point == FAILPOINT_CLOCK)) {
                return;
            }
        }
    }
    refuse(text);
}

/* One of the first `limit`, by the seed and the number of the order, so that a list has as many numbers as orders. */
static long draw(long limit)
{
    const char *seed = getenv("TIDEMILL_FAILPOINT_SEED");
    uint64_t number = (seed != NULL ? strtoull(seed, NULL, 10) : 0) + (uint64_t)(order_count + 1) * 0x9e3779b97f4a7c15u;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return 1 + (long)((number ^ number >> 31) % (uint64_t)limit);
}

static void read_order(char *text)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s", text);
    char *nth = strchr(text, ':');
    char *action = nth != NULL ? strchr(nth + 1, ':') : NULL;
    if (action == NULL || order_count == ORDERS_MAX) {
        refuse(whole);
    }
    *nth++ = '\0';
    *action++ = '\0';
    struct order *order = &orders[order_count];
    order->point = find_point(text, whole);
    bool random = nth[0] == '~';
    order->nth = strtol(nth + random, NULL, 10);
    if (order->nth < 1) {
        refuse(whole);
    }
    order->nth = random ? draw(order->nth) : order->nth;
    read_action(order, action, whole);
    order_count++;
}

static void load(void)
{
    const char *given = getenv("TIDEMILL_FAILPOINTS");
    loaded = true;
    if (given == NULL) {
        return;
    }
    char *list = strdup(given);
    char *rest = NULL;
    for (char *text = strtok_r(list, ",", &rest); text != NULL; text = strtok_r(NULL, ",", &rest)) {
        read_order(text);
    }
    free(list);
}

/* The order whose turn this hit is; false: none. */
static bool take_hit(enum failpoint point, struct order *due)
{
    bool found = false;
    pthread_mutex_lock(&lock);
    if (!loaded) {
        load();
    }
    hits[point]++;
    for (size_t i = 0; i < order_count && !found; i++) {
        found = orders[i].point == point && orders[i].nth == hits[point];
        *due = orders[i];
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void act(const struct order *due)
{
    static const char *const texts[] = {"kill", "stop", "error", "sleep", "shift"};
    dprintf(STDERR_FILENO, "failpoint %s: %s\n", failpoint_table[due->point].name, texts[due->action]);
    struct timespec pause = {due->ms / 1000, (long)(due->ms % 1000) * 1000000};
    switch (due->action) {
    case ACTION_KILL:
        kill(getpid(), SIGKILL);
        break;
    case ACTION_STOP:
        raise(SIGSTOP); /* this thread takes the signal itself, and so stops here and not a little later */
        break;
    case ACTION_SLEEP:
        nanosleep(&pause, NULL);
        break;
    case ACTION_SHIFT:
        __atomic_store_n(&shift_ms, due->ms, __ATOMIC_RELAXED);
        break;
    case ACTION_ERROR:
        break;
    }
}

void failpoint_pass(enum failpoint point)
{
    struct order due;
    if (take_hit(point, &due)) {
        act(&due);
    }
}

bool failpoint_fails(enum failpoint point, struct err *err)
{
    struct order due;
    if (!take_hit(point, &due)) {
        return false;
    }
    act(&due);
    if (due.action != ACTION_ERROR) {
        return false;
    }
    err_set(err, ERR_RETRY, ERR_DISK_FULL, "Injected: the failpoint %s.", failpoint_table[point].name);
    return true;
}

int64_t failpoint_number(const char *variable, int64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

int64_t failpoint_shift_ms(void)
{
    failpoint_pass(FAILPOINT_CLOCK);
    return __atomic_load_n(&shift_ms, __ATOMIC_RELAXED);
}

#endif
