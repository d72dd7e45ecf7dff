#include "engine/purger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

struct partition {
    char *topic;
    int32_t number;
    int64_t committed;
    int64_t purged; /* everything before is deleted, by this purger */
};

struct purger {
    struct transport *transport;
    int64_t interval_ms;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool stopping;
    struct partition *partitions; /* @locks lock; only added to */
    size_t count;
    size_t capacity;
    bool threaded;
    pthread_t thread;
};

/* With the lock held. */
static struct partition *find(struct purger *purger, const struct position *position)
{
    for (size_t i = 0; i < purger->count; i++) {
        struct partition *partition = &purger->partitions[i];
        if (partition->number == position->partition && strcmp(partition->topic, position->topic) == 0) {
            return partition;
        }
    }
    purger->partitions = memory_grow(purger->partitions, purger->count, &purger->capacity, sizeof(*purger->partitions));
    struct partition *added = &purger->partitions[purger->count++];
    *added = (struct partition){.topic = memory_copy_text(position->topic), .number = position->partition};
    return added;
}

void purger_note(struct purger *purger, const struct position *committed)
{
    pthread_mutex_lock(&purger->lock);
    struct partition *partition = find(purger, committed);
    partition->committed = committed->offset;
    pthread_mutex_unlock(&purger->lock);
}

/* The next partition from `*index` on that has something to delete. */
static bool next(struct purger *purger, size_t *index, struct partition *partition)
{
    bool found = false;
    pthread_mutex_lock(&purger->lock);
    for (; *index < purger->count && !found && !purger->stopping; (*index)++) {
        *partition = purger->partitions[*index];
        found = partition->committed > partition->purged;
    }
    pthread_mutex_unlock(&purger->lock);
    return found;
}

static void note_purged(struct purger *purger, size_t index, int64_t offset)
{
    pthread_mutex_lock(&purger->lock);
    purger->partitions[index].purged = offset;
    pthread_mutex_unlock(&purger->lock);
}

int purger_sweep(struct purger *purger)
{
    struct partition partition;
    struct err err;
    int purged = 0;
    for (size_t index = 0; next(purger, &index, &partition);) {
        if (purger->transport->class->delete_records(purger->transport, partition.topic, partition.number,
                                                     partition.committed, &err)) {
            log_event(LOG_WARN, "processed records can't be deleted, trying again later",
                      log_text("topic", partition.topic), log_number("partition", partition.number),
                      log_text("reason", err.text));
            continue;
        }
        note_purged(purger, index - 1, partition.committed);
        purged++;
    }
    return purged;
}

/* ---- the thread ---- */

static bool rest(struct purger *purger)
{
    int64_t until = clock_monotonic_ns(&CLOCK_SYSTEM) + purger->interval_ms * NS_PER_MS;
    struct timespec time = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    pthread_mutex_lock(&purger->lock);
    while (!purger->stopping && pthread_cond_timedwait(&purger->stopped, &purger->lock, &time) == 0) {
    }
    bool go_on = !purger->stopping;
    pthread_mutex_unlock(&purger->lock);
    return go_on;
}

static void *work(void *self)
{
    while (rest(self)) {
        purger_sweep(self);
    }
    return NULL;
}

int purger_open(struct transport *transport, int64_t interval_ms, struct purger **result, struct err *err)
{
    struct purger *purger = memory_alloc(sizeof(*purger));
    pthread_condattr_t attributes;
    purger->transport = transport;
    purger->interval_ms = interval_ms;
    pthread_mutex_init(&purger->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&purger->stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    purger->threaded = interval_ms > 0;
    if (purger->threaded && pthread_create(&purger->thread, NULL, work, purger)) {
        purger->threaded = false;
        purger_close(purger);
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "The thread that deletes processed records can't be started.");
    }
    *result = purger;
    return 0;
}

void purger_close(struct purger *purger)
{
    if (!purger) {
        return;
    }
    pthread_mutex_lock(&purger->lock);
    purger->stopping = true;
    pthread_cond_signal(&purger->stopped);
    pthread_mutex_unlock(&purger->lock);
    if (purger->threaded) {
        pthread_join(purger->thread, NULL);
    }
    for (size_t i = 0; i < purger->count; i++) {
        free(purger->partitions[i].topic);
    }
    free(purger->partitions);
    pthread_cond_destroy(&purger->stopped);
    pthread_mutex_destroy(&purger->lock);
    free(purger);
}
