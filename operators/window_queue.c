#include "operators/window_queue.h"

#include <stdlib.h>

#include "base/memory.h"

struct waiting {
    int64_t time;
    size_t size;
    unsigned char key[];
};

/* A binary heap, the first one on top. */
struct window_queue {
    struct waiting **heap;
    size_t count;
    size_t capacity;
    struct waiting *popped;
};

struct window_queue *window_queue_new(void)
{
    return memory_alloc(sizeof(struct window_queue));
}

void window_queue_free(struct window_queue *queue)
{
    if (!queue) {
        return;
    }
    for (size_t i = 0; i < queue->count; i++) {
        free(queue->heap[i]);
    }
    free(queue->heap);
    free(queue->popped);
    free(queue);
}

static struct slice key_of(const struct waiting *waiting)
{
    return slice_of(waiting->key, waiting->size);
}

static int compare(const struct waiting *one, const struct waiting *other)
{
    if (one->time != other->time) {
        return one->time < other->time ? -1 : 1;
    }
    return slice_compare(key_of(one), key_of(other));
}

static void swap(struct window_queue *queue, size_t one, size_t other)
{
    struct waiting *kept = queue->heap[one];
    queue->heap[one] = queue->heap[other];
    queue->heap[other] = kept;
}

void window_queue_add(struct window_queue *queue, int64_t time, struct slice key)
{
    struct waiting *added = memory_alloc(sizeof(*added) + key.size);
    added->time = time;
    added->size = key.size;
    if (key.size > 0) {
        memcpy(added->key, key.data, key.size);
    }
    queue->heap = memory_grow(queue->heap, queue->count, &queue->capacity, sizeof(struct waiting *));
    size_t at = queue->count++;
    queue->heap[at] = added;
    while (at > 0 && compare(queue->heap[at], queue->heap[(at - 1) / 2]) < 0) {
        swap(queue, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct window_queue *queue)
{
    size_t at = 0;
    for (;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < queue->count; child++) {
            first = compare(queue->heap[child], queue->heap[first]) < 0 ? child : first;
        }
        if (first == at) {
            return;
        }
        swap(queue, at, first);
        at = first;
    }
}

static struct waiting *take_top(struct window_queue *queue)
{
    struct waiting *top = queue->heap[0];
    queue->heap[0] = queue->heap[--queue->count];
    sift_down(queue);
    return top;
}

bool window_queue_pop(struct window_queue *queue, int64_t last, int64_t *time, struct slice *key)
{
    if (queue->count == 0 || queue->heap[0]->time > last) {
        return false;
    }
    free(queue->popped);
    queue->popped = take_top(queue);
    while (queue->count > 0 && compare(queue->heap[0], queue->popped) == 0) {
        free(take_top(queue));
    }
    *time = queue->popped->time;
    *key = key_of(queue->popped);
    return true;
}
