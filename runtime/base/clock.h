/* Time as an object, so that tests drive it by hand.
 *
 * Ownership: a clock is borrowed by everything that reads it and must outlive it. Wall time is milliseconds since 1970
 * UTC; monotonic time is nanoseconds from an arbitrary start and never goes back.
 */
#ifndef TIDEMILL_BASE_CLOCK_H
#define TIDEMILL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock {
    bool manual;       /* false: the system's clocks */
    int64_t manual_ms; /* both clocks of a manual one */
};

#define CLOCK_SYSTEM ((struct clock){false, 0})

int64_t clock_wall_ms(const struct clock *clock);
int64_t clock_monotonic_ns(const struct clock *clock);
void clock_advance(struct clock *clock, int64_t ms); /* manual clocks only */
/* Sleeps on the system's clock whatever the kind of clock; `ms` >= 0. */
void clock_sleep_ms(int64_t ms);

/* "250ms" "5s" "1m" "2h" "1d" or a plain number of milliseconds; returns 0 or -1 when the text is none of these. */
int clock_parse_duration(const char *text, int64_t *ms);
/* ISO 8601 ("2013-01-01T10:15:00Z", with fraction or offset, or a date) or milliseconds since 1970; 0 or -1. */
int clock_parse_time(const char *text, int64_t *ms);
/* "2013-01-01T10:15:00.000Z", or the number itself for years beyond 0 to 9999. */
#define CLOCK_TEXT_SIZE 32
void clock_format_time(int64_t ms, char text[CLOCK_TEXT_SIZE]);

#endif
