#include "engine/timers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define METADATA_VERSION "tm1"
/* Kafka keeps 4096 bytes of metadata with an offset; further timers start on the grid again. */
#define METADATA_TIMERS 64
#define CANCELLED (-1) /* in place of a schedule */

void timers_init(struct timers *timers)
{
    *timers = (struct timers){.next = {INT64_MAX, INT64_MAX}};
}

void timers_free(struct timers *timers)
{
    for (size_t i = 0; i < timers->count; i++) {
        free(timers->list[i]);
    }
    free(timers->list);
    free(timers->saved);
    timers_init(timers);
}

static void refresh(struct timers *timers, enum op_time kind)
{
    timers->next[kind] = INT64_MAX;
    for (size_t i = 0; i < timers->count; i++) {
        const struct op_timer *timer = timers->list[i];
        if (timer->kind == kind && !timer->cancelled && timer->next < timers->next[kind]) {
            timers->next[kind] = timer->next;
        }
    }
}

static int64_t first_time(struct timers *timers, enum op_time kind, int64_t interval_ms, int64_t wall_ms)
{
    if (kind == TIME_WALL) {
        return wall_ms + interval_ms;
    }
    return timers->saved_used < timers->saved_count ? timers->saved[timers->saved_used++] : 0;
}

struct op_timer *timers_add(struct timers *timers, struct node *node, enum op_time kind, int64_t interval_ms,
                            int (*fire)(struct node *node, void *data, int64_t now), void *data, int64_t wall_ms)
{
    struct op_timer *timer = memory_alloc(sizeof(*timer));
    *timer = (struct op_timer){.node = node, .fire = fire, .data = data, .kind = kind, .interval = interval_ms};
    timer->next = first_time(timers, kind, interval_ms, wall_ms);
    timer->initial = !timers->opened;
    timer->cancelled = timer->next == CANCELLED;
    timers->list = memory_grow(timers->list, timers->count, &timers->capacity, sizeof(*timers->list));
    timers->list[timers->count++] = timer;
    refresh(timers, kind);
    return timer;
}

void timers_opened(struct timers *timers)
{
    timers->opened = true;
    timers->saved_used = timers->saved_count;
}

static void sweep(struct timers *timers)
{
    size_t kept = 0;
    for (size_t i = 0; i < timers->count; i++) {
        if (timers->list[i]->cancelled && !timers->list[i]->initial) {
            free(timers->list[i]);
        } else {
            timers->list[kept++] = timers->list[i];
        }
    }
    timers->count = kept;
}

static void move_on(struct op_timer *timer, int64_t now)
{
    int64_t missed = (now - timer->next) / timer->interval;
    timer->next += (missed + 1) * timer->interval;
}

struct op_timer *timers_due(struct timers *timers, enum op_time kind, int64_t now)
{
    sweep(timers);
    struct op_timer *due = NULL;
    for (size_t i = 0; i < timers->count; i++) {
        struct op_timer *timer = timers->list[i];
        if (timer->kind == kind && !timer->cancelled && timer->next <= now && (!due || timer->next < due->next)) {
            due = timer;
        }
    }
    if (due) {
        move_on(due, now);
    }
    refresh(timers, kind);
    return due;
}

void timers_describe(const struct timers *timers, int64_t commit_number, int64_t stream_time, struct bytes *out)
{
    bytes_clear(out);
    bytes_append_format(out, METADATA_VERSION " %" PRId64 " %" PRId64, commit_number, stream_time);
    int written = 0;
    for (size_t i = 0; i < timers->count && written < METADATA_TIMERS; i++) {
        const struct op_timer *timer = timers->list[i];
        if (timer->kind == TIME_STREAM && timer->initial) {
            bytes_append_format(out, " %" PRId64, timer->cancelled ? CANCELLED : timer->next);
            written++;
        }
    }
}

static bool take_number(const char **at, int64_t *number)
{
    char *end;
    *number = strtoll(*at, &end, 10);
    bool taken = end != *at && (*end == ' ' || *end == '|' || *end == '\0');
    *at = end;
    return taken;
}

int64_t timers_commit_number(const char *metadata)
{
    size_t prefix = strlen(METADATA_VERSION " ");
    return metadata && strncmp(metadata, METADATA_VERSION " ", prefix) == 0 ? strtoll(metadata + prefix, NULL, 10) : 0;
}

int timers_recall(struct timers *timers, const char *metadata, int64_t *commit_number, int64_t *stream_time)
{
    size_t prefix = strlen(METADATA_VERSION " ");
    if (!metadata || strncmp(metadata, METADATA_VERSION " ", prefix) != 0) {
        return -1;
    }
    const char *at = metadata + prefix;
    int64_t number, time;
    if (!take_number(&at, &number) || !take_number(&at, &time)) {
        return -1;
    }
    int64_t schedules[METADATA_TIMERS];
    size_t count = 0;
    while (count < METADATA_TIMERS && *at == ' ' && take_number(&at, &schedules[count])) {
        count++;
    }
    if ((*at && *at != '|') || number < *commit_number) {
        return -1;
    }
    *commit_number = number;
    *stream_time = time;
    free(timers->saved);
    timers->saved = memory_alloc((count + 1) * sizeof(*timers->saved));
    memcpy(timers->saved, schedules, count * sizeof(*schedules));
    timers->saved_count = count;
    timers->saved_used = 0;
    return 0;
}
