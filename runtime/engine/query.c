#include "engine/query.h"

#include <ck_pr.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* What a thread has to do with the question that is being asked. */
enum seat { SEAT_IDLE, SEAT_ASKED, SEAT_ANSWERING, SEAT_GONE };

struct query_desk {
    int threads;
    void (*wake)(void *self, int thread);
    void *self;
    uint32_t asked;        /* ck_pr: threads in SEAT_ASKED, for a look without the lock */
    pthread_mutex_t lock;  /* guards everything below */
    pthread_cond_t served; /* a seat has changed */
    enum seat *seats;
    int (*each)(void *self, struct worker *worker, struct err *err);
    void *each_self;
    int result;
    struct err err;
};

struct query_desk *query_desk_new(int threads, void (*wake)(void *self, int thread), void *self)
{
    struct query_desk *desk = memory_alloc(sizeof(*desk));
    pthread_condattr_t attributes;
    desk->threads = threads;
    desk->wake = wake;
    desk->self = self;
    desk->seats = memory_alloc(sizeof(*desk->seats) * (size_t)threads);
    pthread_mutex_init(&desk->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&desk->served, &attributes);
    pthread_condattr_destroy(&attributes);
    return desk;
}

void query_desk_free(struct query_desk *desk)
{
    if (!desk) {
        return;
    }
    pthread_cond_destroy(&desk->served);
    pthread_mutex_destroy(&desk->lock);
    free(desk->seats);
    free(desk);
}

static int count(const struct query_desk *desk, enum seat seat)
{
    int found = 0;
    for (int i = 0; i < desk->threads; i++) {
        found += desk->seats[i] == seat;
    }
    return found;
}

/* With the lock held. */
static void wait_for_answers(struct query_desk *desk, int timeout_ms)
{
    int64_t until = clock_monotonic_ns(&CLOCK_SYSTEM) + timeout_ms * NS_PER_MS;
    struct timespec time = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    int waited = 0;
    while (waited == 0 && count(desk, SEAT_ASKED) + count(desk, SEAT_ANSWERING) > 0) {
        waited = pthread_cond_timedwait(&desk->served, &desk->lock, &time);
    }
}

/* With the lock held: takes the question back from those that have not begun. */
static int take_back(struct query_desk *desk, struct err *err)
{
    int late = count(desk, SEAT_ASKED);
    for (int i = 0; i < desk->threads; i++) {
        desk->seats[i] = desk->seats[i] == SEAT_ASKED ? SEAT_IDLE : desk->seats[i];
    }
    ck_pr_store_32(&desk->asked, 0);
    while (count(desk, SEAT_ANSWERING) > 0) {
        pthread_cond_wait(&desk->served, &desk->lock);
    }
    if (desk->result) {
        *err = desk->err;
        return -1;
    }
    return late == 0 ? 0
                     : err_set(err, ERR_RETRY, ERR_UNREACHABLE,
                               "%d of the app's threads are too busy to answer now; ask again.", late);
}

int query_ask(struct query_desk *desk, int timeout_ms, int (*each)(void *self, struct worker *worker, struct err *err),
              void *each_self, struct err *err)
{
    pthread_mutex_lock(&desk->lock);
    desk->each = each;
    desk->each_self = each_self;
    desk->result = 0;
    for (int i = 0; i < desk->threads; i++) {
        desk->seats[i] = desk->seats[i] == SEAT_IDLE ? SEAT_ASKED : desk->seats[i];
    }
    ck_pr_store_32(&desk->asked, (uint32_t)count(desk, SEAT_ASKED));
    pthread_mutex_unlock(&desk->lock);
    for (int i = 0; i < desk->threads; i++) {
        desk->wake(desk->self, i);
    }
    pthread_mutex_lock(&desk->lock);
    wait_for_answers(desk, timeout_ms);
    int result = take_back(desk, err);
    pthread_mutex_unlock(&desk->lock);
    return result;
}

static bool begin(struct query_desk *desk, int thread)
{
    pthread_mutex_lock(&desk->lock);
    bool asked = desk->seats[thread] == SEAT_ASKED;
    if (asked) {
        desk->seats[thread] = SEAT_ANSWERING;
        ck_pr_dec_32(&desk->asked);
    }
    pthread_mutex_unlock(&desk->lock);
    return asked;
}

/* One thread at a time, so that answers need no lock of their own. */
void query_serve(struct query_desk *desk, int thread, struct stream_thread *workers)
{
    if (ck_pr_load_32(&desk->asked) == 0 || !begin(desk, thread)) {
        return;
    }
    struct err err;
    int result = 0;
    pthread_mutex_lock(&desk->lock);
    for (int i = 0; i < stream_thread_worker_count(workers) && result == 0; i++) {
        struct worker *worker = stream_thread_worker(workers, i);
        if (worker_state(worker) == WORKER_RUNNING) {
            result = desk->each(desk->each_self, worker, &err);
        }
    }
    if (result && desk->result == 0) {
        desk->result = -1;
        desk->err = err;
    }
    desk->seats[thread] = SEAT_IDLE;
    pthread_cond_broadcast(&desk->served);
    pthread_mutex_unlock(&desk->lock);
}

void query_leave(struct query_desk *desk, int thread)
{
    pthread_mutex_lock(&desk->lock);
    desk->seats[thread] = SEAT_GONE;
    pthread_cond_broadcast(&desk->served);
    pthread_mutex_unlock(&desk->lock);
}
