/* Windows that wait for their end, of operators whose store has them by key: in order of time, then key.
 *
 * It is in memory only and made anew from the store when the operator opens. A window may be in it more than once, and
 * may be gone from the store by the time it comes out.
 * Ownership: the queue copies keys; what pop gives is valid until the next call.
 */
#ifndef TIDEMILL_OPERATORS_WINDOW_QUEUE_H
#define TIDEMILL_OPERATORS_WINDOW_QUEUE_H

#include "base/bytes.h"

struct window_queue;

struct window_queue *window_queue_new(void);
void window_queue_free(struct window_queue *queue); /* NULL is fine */

/* `time` is not negative. */
void window_queue_add(struct window_queue *queue, int64_t time, struct slice key);
/* Takes out the first one unless its time is greater than `last`; false: there is none. A window that was added several
 * times comes out once, if it was not taken out in between. */
bool window_queue_pop(struct window_queue *queue, int64_t last, int64_t *time, struct slice *key);

#endif
