#include "operators/window.h"
#include "tests/support/unit.h"

static struct window time_window(int64_t size, int64_t advance, int64_t grace)
{
    struct window window = {.kind = WINDOW_TIME, .size = size, .advance = advance, .grace = grace};
    window.retention = window_least_retention(&window);
    return window;
}

static struct window other_window(enum window_kind kind, int64_t size, int64_t grace)
{
    struct window window = {.kind = kind, .size = size, .advance = size, .grace = grace};
    window.retention = window_least_retention(&window);
    return window;
}

START_TEST(a_timestamp_is_in_one_tumbling_window)
{
    struct window window = time_window(10, 10, 0);
    for (int64_t time = 0; time < 100; time++) {
        ck_assert_int_eq(window_first_start(&window, time), time / 10 * 10);
        ck_assert_int_eq(window_last_start(&window, time), time / 10 * 10);
    }
}
END_TEST

/* Against the definition: starts are multiples of the advance, and start <= time < start + size. */
START_TEST(hopping_windows_are_those_that_hold_the_timestamp)
{
    for (int64_t size = 1; size <= 12; size++) {
        for (int64_t advance = 1; advance <= size; advance++) {
            struct window window = time_window(size, advance, 0);
            for (int64_t time = 0; time < 40; time++) {
                int64_t first = -1, last = -1;
                for (int64_t start = 0; start <= time; start += advance) {
                    if (start + size > time) {
                        first = first < 0 ? start : first;
                        last = start;
                    }
                }
                ck_assert_int_eq(window_first_start(&window, time), first);
                ck_assert_int_eq(window_last_start(&window, time), last);
            }
        }
    }
}
END_TEST

START_TEST(one_boundary_for_late_and_final)
{
    struct window window = time_window(10, 10, 5);
    ck_assert(!window_is_closed(&window, 10, 14));
    ck_assert(window_is_closed(&window, 10, 15)); /* S33 */
    ck_assert_int_eq(window_closing_time(&window, 10), 15);
    window = other_window(WINDOW_SLIDING, 10, 5);
    ck_assert(!window_is_closed(&window, 10, 15));
    ck_assert(window_is_closed(&window, 10, 16)); /* S34 */
    ck_assert_int_eq(window_closing_time(&window, 10), 16);
    window = other_window(WINDOW_SESSION, 10, 5);
    ck_assert(!window_is_closed(&window, 10, 25));
    ck_assert(window_is_closed(&window, 10, 26)); /* S35 */
    ck_assert_int_eq(window_closing_time(&window, 10), 26);
}
END_TEST

START_TEST(nothing_is_closed_before_the_first_record)
{
    struct window window = time_window(10, 10, 0);
    ck_assert(!window_is_closed(&window, 0, -1));
    ck_assert_int_lt(window_expiry(&window, 0), 1);
}
END_TEST

START_TEST(sums_stay_at_the_largest_integer)
{
    struct window window = time_window(10, 10, 5);
    int64_t start = window_last_start(&window, INT64_MAX);
    ck_assert_int_ge(start, INT64_MAX - 10);
    ck_assert_int_eq(window_end(&window, start), INT64_MAX);
    ck_assert_int_eq(window_closing_time(&window, INT64_MAX), INT64_MAX);
    ck_assert_int_gt(window_expiry(&window, INT64_MAX), 0);
}
END_TEST

/* A window that is not closed, and all that its changes are computed from, is never forgotten. */
START_TEST(what_can_change_is_kept)
{
    for (int64_t time = 0; time < 200; time++) {
        struct window hopping = time_window(12, 5, 7), sliding = other_window(WINDOW_SLIDING, 6, 7);
        for (int64_t start = 0; start <= time; start++) {
            if (start % 5 == 0 && !window_is_closed(&hopping, start + 12, time)) {
                ck_assert_int_ge(start, window_expiry(&hopping, time));
            }
            if (!window_is_closed(&sliding, start + 6, time)) {
                ck_assert_int_ge(start - 6, window_expiry(&sliding, time));
            }
        }
    }
}
END_TEST

UNIT_MAIN("window", a_timestamp_is_in_one_tumbling_window, hopping_windows_are_those_that_hold_the_timestamp,
          one_boundary_for_late_and_final, nothing_is_closed_before_the_first_record, sums_stay_at_the_largest_integer,
          what_can_change_is_kept)
