#include "operators/window.h"

int64_t window_last_start(const struct window *window, int64_t timestamp)
{
    return timestamp - timestamp % window->advance;
}

int64_t window_first_start(const struct window *window, int64_t timestamp)
{
    int64_t before = timestamp - window->size; /* a window that begins here has just ended */
    return before < 0 ? 0 : before - before % window->advance + window->advance;
}

/* How long after its end a window closes: a time window with the record at that moment, the others behind it, because
 * their ends are inclusive. */
static int64_t closing_delay(const struct window *window)
{
    switch (window->kind) {
    case WINDOW_TIME:
        return window->grace;
    case WINDOW_SLIDING:
        return window_add(window->grace, 1);
    default:
        return window_add(window_add(window->size, window->grace), 1);
    }
}

int64_t window_closed_end(const struct window *window, int64_t time)
{
    return time - closing_delay(window);
}

int64_t window_closing_time(const struct window *window, int64_t end)
{
    return window_add(end, closing_delay(window));
}

int64_t window_least_retention(const struct window *window)
{
    int64_t reach = window->kind == WINDOW_SLIDING ? window_add(window->size, window->size) : window->size;
    return window_add(reach, window->grace);
}

/* Kafka Streams counts from the largest start that there is: of time windows the last one that holds `time`, of sliding
 * ones at least the window that ends with it. */
int64_t window_expiry(const struct window *window, int64_t time)
{
    int64_t from = time;
    if (window->kind == WINDOW_TIME) {
        from = window_last_start(window, time);
    } else if (window->kind == WINDOW_SLIDING) {
        from = time - window->size;
    }
    return from - window->retention;
}
