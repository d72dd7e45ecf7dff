/* Windows: which ones a timestamp belongs to, and when they close. Pure.
 *
 * "End" is what a windowed key says (D10): of time windows exclusive, of sliding windows the last timestamp in it, of
 * sessions the time of the last record. Timestamps are milliseconds from 0; sums that pass the largest integer stay
 * there.
 */
#ifndef TIDEMILL_OPERATORS_WINDOW_H
#define TIDEMILL_OPERATORS_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum window_kind { WINDOW_TIME, WINDOW_SLIDING, WINDOW_SESSION };

struct window {
    enum window_kind kind;
    int64_t size;    /* of time windows; sliding windows: the difference; sessions: the gap */
    int64_t advance; /* from one time window to the next; tumbling ones: the size */
    int64_t grace;
    int64_t retention;  /* how long a window can be read from outside; at least window_least_retention */
    int64_t idle_after; /* windows close when there was no record for so long (wall clock); 0: never */
};

static inline int64_t window_add(int64_t one, int64_t other)
{
    int64_t sum;
    return __builtin_add_overflow(one, other, &sum) ? INT64_MAX : sum;
}

/* End of a time or sliding window that begins at `start`. */
static inline int64_t window_end(const struct window *window, int64_t start)
{
    return window_add(start, window->size);
}

/* The first and the last start of the time windows that hold the timestamp; there is always one. */
int64_t window_first_start(const struct window *window, int64_t timestamp);
int64_t window_last_start(const struct window *window, int64_t timestamp);

/* When the operator has seen `time`, windows with an end up to this are closed: they are final, and records for them
 * are late. -1 or less: none are. */
int64_t window_closed_end(const struct window *window, int64_t time);
static inline bool window_is_closed(const struct window *window, int64_t end, int64_t time)
{
    return end <= window_closed_end(window, time);
}
/* The least time at which a window with that end is closed. */
int64_t window_closing_time(const struct window *window, int64_t end);

/* While a window can still change, it and what its changes are computed from must be there. */
int64_t window_least_retention(const struct window *window);
/* Windows that begin (sessions: end) before this may be forgotten when the operator has seen `time`. */
int64_t window_expiry(const struct window *window, int64_t time);

#endif
