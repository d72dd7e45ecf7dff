#include "operators/time_queue.h"

#include <stdlib.h>

#include "base/memory.h"

struct time_queue_item {
    int64_t time;
    size_t size;
    unsigned char key[];
};

void time_queue_free(struct time_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        free(queue->items[i]);
    }
    free(queue->items);
    *queue = (struct time_queue){NULL, 0, 0};
}

static bool before(const struct time_queue_item *one, const struct time_queue_item *other)
{
    if (one->time != other->time) {
        return one->time < other->time;
    }
    return slice_compare(slice_of(one->key, one->size), slice_of(other->key, other->size)) < 0;
}

/* Lets the item sink from `at` to where it belongs. */
static void sink(struct time_queue *queue, size_t at, struct time_queue_item *item)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < queue->count && before(queue->items[child + 1], queue->items[child])) {
            child++;
        }
        if (child >= queue->count || !before(queue->items[child], item)) {
            break;
        }
        queue->items[at] = queue->items[child];
        at = child;
    }
    queue->items[at] = item;
}

void time_queue_push(struct time_queue *queue, int64_t time, struct slice key)
{
    struct time_queue_item *item = memory_alloc(sizeof(*item) + key.size);
    item->time = time;
    item->size = key.size;
    if (key.size > 0) {
        memcpy(item->key, key.data, key.size);
    }
    queue->items = memory_grow(queue->items, queue->count, &queue->capacity, sizeof(struct time_queue_item *));
    size_t at = queue->count++;
    while (at > 0 && before(item, queue->items[(at - 1) / 2])) {
        queue->items[at] = queue->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->items[at] = item;
}

bool time_queue_first(const struct time_queue *queue, int64_t *time, struct slice *key)
{
    if (queue->count == 0) {
        return false;
    }
    *time = queue->items[0]->time;
    *key = slice_of(queue->items[0]->key, queue->items[0]->size);
    return true;
}

void time_queue_pop(struct time_queue *queue)
{
    free(queue->items[0]);
    struct time_queue_item *last = queue->items[--queue->count];
    if (queue->count > 0) {
        sink(queue, 0, last);
    }
}

void time_queue_postpone(struct time_queue *queue, int64_t time)
{
    struct time_queue_item *item = queue->items[0];
    item->time = time;
    sink(queue, 0, item);
}
