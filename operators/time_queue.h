/* Keys that wait for their time: a binary heap, by time and then by the bytes of the key.
 *
 * Ownership: the queue copies keys; what time_queue_first gives is valid until the next push or pop.
 */
#ifndef TIDEMILL_OPERATORS_TIME_QUEUE_H
#define TIDEMILL_OPERATORS_TIME_QUEUE_H

#include "base/bytes.h"

struct time_queue_item;

/* All zero is an empty queue. */
struct time_queue {
    struct time_queue_item **items;
    size_t count;
    size_t capacity;
};

void time_queue_free(struct time_queue *queue); /* and makes it empty again */
/* A key may be in the queue several times. */
void time_queue_push(struct time_queue *queue, int64_t time, struct slice key);
/* The first key; false: the queue is empty. */
bool time_queue_first(const struct time_queue *queue, int64_t *time, struct slice *key);
void time_queue_pop(struct time_queue *queue); /* takes out the first one, which is there */
/* Gives the first one, which is there, a later time. */
void time_queue_postpone(struct time_queue *queue, int64_t time);

#endif
