#include "kafka/kafka_int.h"

#include <time.h>

void kafka_bell_init(struct kafka_bell *bell)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&bell->lock, NULL);
    pthread_cond_init(&bell->cond, &attributes);
    pthread_condattr_destroy(&attributes);
    bell->rung = false;
}

void kafka_bell_free(struct kafka_bell *bell)
{
    pthread_cond_destroy(&bell->cond);
    pthread_mutex_destroy(&bell->lock);
}

void kafka_bell_ring(struct kafka_bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    if (!bell->rung) {
        bell->rung = true;
        pthread_cond_signal(&bell->cond);
    }
    pthread_mutex_unlock(&bell->lock);
}

void kafka_bell_mute(struct kafka_bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    bell->rung = false;
    pthread_mutex_unlock(&bell->lock);
}

void kafka_bell_wait(struct kafka_bell *bell, int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&bell->lock);
    while (!bell->rung && pthread_cond_timedwait(&bell->cond, &bell->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&bell->lock);
}

/* Runs on a thread of the library, under the queue's lock. */
static void ring(rd_kafka_t *rk, void *bell)
{
    (void)rk;
    kafka_bell_ring(bell);
}

void kafka_bell_hang(struct kafka_bell *bell, rd_kafka_queue_t *queue)
{
    rd_kafka_queue_cb_event_enable(queue, ring, bell);
}
