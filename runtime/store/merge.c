#include "store/merge.h"

#include "base/memory.h"
#include "store/merge_pass.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

struct merge {
    struct merge_pass_config config;
    char *directory;
    char *app;
    char *worker;
    enum merge_state state;
    struct err err;
    atomic_bool cancelled;
    struct merge *next; /* in the queue */
};

/* Guards everything below and the state, err and next of every merge. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_came = PTHREAD_COND_INITIALIZER;
static pthread_cond_t work_ended = PTHREAD_COND_INITIALIZER;
static struct merge *queue;
static struct merge **queue_end = &queue;
static bool stopping;

/* Guards start and end of the thread; taken before `lock`. */
static pthread_mutex_t lifecycle = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;
static size_t users;

static bool is_cancelled(void *self)
{
    struct merge *merge = self;
    return atomic_load_explicit(&merge->cancelled, memory_order_relaxed);
}

static struct merge *take_work(void)
{
    while (queue == NULL && !stopping) {
        pthread_cond_wait(&work_came, &lock);
    }
    struct merge *merge = queue;
    if (merge != NULL) {
        queue = merge->next;
        queue_end = queue == NULL ? &queue : queue_end;
        merge->state = MERGE_RUNNING;
    }
    return merge;
}

static void *work(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (struct merge *merge = take_work(); merge != NULL; merge = take_work()) {
        pthread_mutex_unlock(&lock);
        struct err err;
        err_clear(&err);
        int failed = merge_pass(&merge->config, &err);
        pthread_mutex_lock(&lock);
        merge->state = failed != 0 ? MERGE_FAILED : MERGE_DONE;
        merge->err = err;
        pthread_cond_broadcast(&work_ended);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Signals are for the program's own threads. */
static void start_thread(void)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, work, NULL) != 0) {
        abort(); /* no thread can be had: as being out of memory, nothing is lost */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void stop_thread(void)
{
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_signal(&work_came);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    stopping = false;
}

struct merge *merge_new(const char *directory, const char *app, const char *worker, int64_t pair)
{
    struct merge *merge = memory_alloc(sizeof *merge);
    merge->directory = memory_copy_text(directory);
    merge->app = memory_copy_text(app);
    merge->worker = memory_copy_text(worker);
    merge->config =
        (struct merge_pass_config){merge->directory, merge->app, merge->worker, pair, 0, is_cancelled, merge};
    atomic_init(&merge->cancelled, false);
    pthread_mutex_lock(&lifecycle);
    if (users++ == 0) {
        start_thread();
    }
    pthread_mutex_unlock(&lifecycle);
    return merge;
}

static void leave_queue(struct merge *merge)
{
    for (struct merge **link = &queue; *link != NULL; link = &(*link)->next) {
        if (*link == merge) {
            *link = merge->next;
            queue_end = *link == NULL ? link : queue_end;
            return;
        }
    }
}

static void give_up(struct merge *merge)
{
    atomic_store_explicit(&merge->cancelled, true, memory_order_relaxed);
    pthread_mutex_lock(&lock);
    if (merge->state == MERGE_WAITING) {
        leave_queue(merge);
    }
    while (merge->state == MERGE_RUNNING) {
        pthread_cond_wait(&work_ended, &lock);
    }
    pthread_mutex_unlock(&lock);
}

void merge_free(struct merge *merge)
{
    if (merge == NULL) {
        return;
    }
    give_up(merge);
    pthread_mutex_lock(&lifecycle);
    if (--users == 0) {
        stop_thread();
    }
    pthread_mutex_unlock(&lifecycle);
    free(merge->directory);
    free(merge->app);
    free(merge->worker);
    free(merge);
}

void merge_request(struct merge *merge, int64_t through)
{
    pthread_mutex_lock(&lock);
    merge->config.through = through;
    merge->state = MERGE_WAITING;
    merge->next = NULL;
    *queue_end = merge;
    queue_end = &merge->next;
    pthread_cond_signal(&work_came);
    pthread_mutex_unlock(&lock);
}

static enum merge_state report(struct merge *merge, struct err *err)
{
    enum merge_state state = merge->state;
    if (state == MERGE_FAILED) {
        *err = merge->err;
    }
    if (state == MERGE_DONE || state == MERGE_FAILED) {
        merge->state = MERGE_IDLE;
    }
    return state;
}

enum merge_state merge_poll(struct merge *merge, struct err *err)
{
    pthread_mutex_lock(&lock);
    enum merge_state state = report(merge, err);
    pthread_mutex_unlock(&lock);
    return state;
}

enum merge_state merge_wait(struct merge *merge, struct err *err)
{
    pthread_mutex_lock(&lock);
    while (merge->state == MERGE_WAITING || merge->state == MERGE_RUNNING) {
        pthread_cond_wait(&work_ended, &lock);
    }
    enum merge_state state = report(merge, err);
    pthread_mutex_unlock(&lock);
    return state;
}
