#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define WATCHDOG_ROUND_MS 1000

struct kafka_watch {
    struct kafka_watch *next;
    char what[KAFKA_TEXT_SIZE];
    int64_t limit_ms;
    int64_t until_ms;
    bool network;
    bool asking; /* the watchdog looks whether brokers answer */
};

struct kafka_watchdog {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running;  /* the thread was started */
    bool sleeping; /* it waits for the first watch */
    bool stopping;
    struct clock clock;
    struct kafka_watch *watches;
    bool (*reachable)(void *self);
    void *self;
};

static int64_t now_ms(const struct kafka_watchdog *watchdog)
{
    return clock_monotonic_ns(&watchdog->clock) / 1000000;
}

struct kafka_watchdog *kafka_watchdog_new(const struct clock *clock, bool (*reachable)(void *self), void *self)
{
    struct kafka_watchdog *watchdog = memory_alloc(sizeof *watchdog);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_cond_init(&watchdog->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    watchdog->clock = *clock;
    watchdog->reachable = reachable;
    watchdog->self = self;
    return watchdog;
}

/* Nothing is lost: what was committed is committed, the rest is aborted by the next start or by its timeout. */
static _Noreturn void give_up(const char *what, int64_t limit_ms)
{
    char text[KAFKA_TEXT_SIZE + 256];
    int length = snprintf(text, sizeof text,
                          "tidemill: %s did not end within %lld ms; the process ends here and the next start goes on "
                          "from the last commit.\n",
                          what, (long long)limit_ms);
    ssize_t written = write(STDERR_FILENO, text, (size_t)length);
    (void)written;
    _exit(err_exit_status(ERR_IO));
}

static struct kafka_watch *expired(struct kafka_watchdog *watchdog)
{
    int64_t now = now_ms(watchdog);
    for (struct kafka_watch *watch = watchdog->watches; watch != NULL; watch = watch->next) {
        if (now >= watch->until_ms) {
            return watch;
        }
    }
    return NULL;
}

/* Whether the process must end because of this watch. The lock is given up while the brokers are asked. */
static bool is_hopeless(struct kafka_watchdog *watchdog, struct kafka_watch *watch)
{
    if (!watch->network) {
        return true;
    }
    watch->asking = true;
    pthread_mutex_unlock(&watchdog->lock);
    bool answers = watchdog->reachable(watchdog->self);
    pthread_mutex_lock(&watchdog->lock);
    watch->asking = false;
    pthread_cond_broadcast(&watchdog->changed);
    if (!answers) {
        watch->until_ms = now_ms(watchdog) + watch->limit_ms;
        log_event(LOG_WARN, "No Kafka broker answers; waiting on.", log_text("call", watch->what));
    }
    return answers;
}

static void sleep_round(struct kafka_watchdog *watchdog)
{
    if (watchdog->watches == NULL) {
        watchdog->sleeping = true;
        pthread_cond_wait(&watchdog->changed, &watchdog->lock);
        watchdog->sleeping = false;
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WATCHDOG_ROUND_MS / 1000;
    pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &until);
}

static void *watch_over(void *self)
{
    struct kafka_watchdog *watchdog = self;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->stopping) {
        struct kafka_watch *watch = expired(watchdog);
        if (watch == NULL) {
            sleep_round(watchdog);
            continue;
        }
        bool hopeless = is_hopeless(watchdog, watch);
        if (hopeless && expired(watchdog) == watch) {
            give_up(watch->what, watch->limit_ms);
        }
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

struct kafka_watch *kafka_watchdog_arm(struct kafka_watchdog *watchdog, const char *what, int64_t limit_ms,
                                       bool network)
{
    struct kafka_watch *watch = memory_alloc(sizeof *watch);
    snprintf(watch->what, sizeof watch->what, "%s", what);
    watch->limit_ms = limit_ms;
    watch->until_ms = now_ms(watchdog) + limit_ms;
    watch->network = network;
    pthread_mutex_lock(&watchdog->lock);
    watch->next = watchdog->watches;
    watchdog->watches = watch;
    if (!watchdog->running) {
        watchdog->running = pthread_create(&watchdog->thread, NULL, watch_over, watchdog) == 0;
    } else if (watchdog->sleeping) {
        pthread_cond_broadcast(&watchdog->changed);
    }
    pthread_mutex_unlock(&watchdog->lock);
    return watch;
}

void kafka_watchdog_release(struct kafka_watchdog *watchdog, struct kafka_watch *watch)
{
    pthread_mutex_lock(&watchdog->lock);
    struct kafka_watch **at = &watchdog->watches;
    while (*at != watch) {
        at = &(*at)->next;
    }
    *at = watch->next;
    watch->until_ms = INT64_MAX;
    while (watch->asking) {
        pthread_cond_wait(&watchdog->changed, &watchdog->lock);
    }
    pthread_mutex_unlock(&watchdog->lock);
    free(watch);
}

void kafka_watchdog_free(struct kafka_watchdog *watchdog)
{
    pthread_mutex_lock(&watchdog->lock);
    watchdog->stopping = true;
    pthread_cond_broadcast(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
    if (watchdog->running) {
        pthread_join(watchdog->thread, NULL);
    }
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
    free(watchdog);
}
