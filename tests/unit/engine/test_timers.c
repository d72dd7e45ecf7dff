#include "engine/timers.h"

#include "tests/support/unit.h"

static int fire(struct node *node, void *data, int64_t now)
{
    (void)node;
    (void)data;
    (void)now;
    return 0;
}

static struct op_timer *add(struct timers *timers, enum op_time kind, int64_t interval)
{
    return timers_add(timers, NULL, kind, interval, fire, NULL, 1000);
}

START_TEST(stream_time_fires_first_with_the_first_record)
{
    struct timers timers;
    timers_init(&timers);
    struct op_timer *timer = add(&timers, TIME_STREAM, 100);
    ck_assert(timers_maybe_due(&timers, TIME_STREAM, 0));
    ck_assert_ptr_eq(timers_due(&timers, TIME_STREAM, 0), timer);
    ck_assert_ptr_null(timers_due(&timers, TIME_STREAM, 99));
    ck_assert_ptr_eq(timers_due(&timers, TIME_STREAM, 100), timer);
    timers_free(&timers);
}
END_TEST

START_TEST(wall_time_fires_first_after_one_interval)
{
    struct timers timers;
    timers_init(&timers);
    struct op_timer *timer = add(&timers, TIME_WALL, 100);
    ck_assert_ptr_null(timers_due(&timers, TIME_WALL, 1099));
    ck_assert_ptr_eq(timers_due(&timers, TIME_WALL, 1100), timer);
    ck_assert_ptr_null(timers_due(&timers, TIME_WALL, 1199));
    timers_free(&timers);
}
END_TEST

START_TEST(after_a_jump_it_fires_once_and_stays_on_the_grid)
{
    struct timers timers;
    timers_init(&timers);
    struct op_timer *timer = add(&timers, TIME_STREAM, 100);
    ck_assert_ptr_eq(timers_due(&timers, TIME_STREAM, 550), timer);
    ck_assert_ptr_null(timers_due(&timers, TIME_STREAM, 599));
    ck_assert_ptr_eq(timers_due(&timers, TIME_STREAM, 600), timer);
    timers_free(&timers);
}
END_TEST

START_TEST(due_at_once_by_scheduled_time_then_by_creation)
{
    struct timers timers;
    timers_init(&timers);
    struct op_timer *slow = add(&timers, TIME_WALL, 300);
    struct op_timer *one = add(&timers, TIME_WALL, 100);
    struct op_timer *two = add(&timers, TIME_WALL, 100);
    ck_assert_ptr_eq(timers_due(&timers, TIME_WALL, 1400), one);
    ck_assert_ptr_eq(timers_due(&timers, TIME_WALL, 1400), two);
    ck_assert_ptr_eq(timers_due(&timers, TIME_WALL, 1400), slow);
    ck_assert_ptr_null(timers_due(&timers, TIME_WALL, 1400));
    timers_free(&timers);
}
END_TEST

START_TEST(a_cancelled_timer_never_fires)
{
    struct timers timers;
    timers_init(&timers);
    timers_opened(&timers);
    op_cancel(add(&timers, TIME_STREAM, 100));
    ck_assert_ptr_null(timers_due(&timers, TIME_STREAM, 1000));
    ck_assert_uint_eq(timers.count, 0);
    ck_assert(!timers_maybe_due(&timers, TIME_STREAM, 1000));
    timers_free(&timers);
}
END_TEST

START_TEST(schedules_go_through_the_metadata)
{
    struct timers timers;
    timers_init(&timers);
    add(&timers, TIME_STREAM, 100);
    add(&timers, TIME_WALL, 100);
    add(&timers, TIME_STREAM, 250);
    timers_due(&timers, TIME_STREAM, 130);
    struct bytes text = {0};
    timers_describe(&timers, 7, 130, &text);
    timers_free(&timers);

    int64_t number = 0, stream_time = 0;
    ck_assert_int_eq(timers_recall(&timers, bytes_text(&text), &number, &stream_time), 0);
    ck_assert_int_eq(number, 7);
    ck_assert_int_eq(stream_time, 130);
    ck_assert_int_eq(add(&timers, TIME_STREAM, 100)->next, 200);
    ck_assert_int_eq(add(&timers, TIME_WALL, 100)->next, 1100);
    ck_assert_int_eq(add(&timers, TIME_STREAM, 250)->next, 0);
    ck_assert_int_eq(add(&timers, TIME_STREAM, 250)->next, 0);
    timers_free(&timers);
    bytes_free(&text);
}
END_TEST

START_TEST(only_timers_made_while_opening_are_kept_and_cancelled_ones_stay_cancelled)
{
    struct timers timers;
    timers_init(&timers);
    struct op_timer *one = add(&timers, TIME_STREAM, 100);
    add(&timers, TIME_STREAM, 250);
    timers_opened(&timers);
    add(&timers, TIME_STREAM, 10);
    op_cancel(one);
    while (timers_due(&timers, TIME_STREAM, 130)) {
    }
    struct bytes text = {0};
    timers_describe(&timers, 1, 130, &text);
    ck_assert_str_eq(bytes_text(&text), "tm1 1 130 -1 250");
    timers_free(&timers);

    int64_t number = 0, stream_time = 0;
    ck_assert_int_eq(timers_recall(&timers, bytes_text(&text), &number, &stream_time), 0);
    ck_assert(add(&timers, TIME_STREAM, 100)->cancelled);
    struct op_timer *two = add(&timers, TIME_STREAM, 250);
    timers_opened(&timers);
    ck_assert_ptr_null(timers_due(&timers, TIME_STREAM, 249));
    ck_assert_ptr_eq(timers_due(&timers, TIME_STREAM, 250), two);
    ck_assert_ptr_null(timers_due(&timers, TIME_STREAM, 250));
    timers_free(&timers);
    bytes_free(&text);
}
END_TEST

START_TEST(foreign_metadata_is_left_alone)
{
    static const char *const texts[] = {NULL,    "",        "AQAAAY",   "tm1",     "tm1 ",      "tm1 x",
                                        "tm1 1", "tm1 1 x", "tm1 1 2x", "tm2 1 2", "tm1 1 2 3x"};
    struct timers timers;
    timers_init(&timers);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t number = 5, stream_time = 6;
        ck_assert_int_eq(timers_recall(&timers, texts[i], &number, &stream_time), -1);
        ck_assert_int_eq(number, 5);
        ck_assert_int_eq(stream_time, 6);
    }
    timers_free(&timers);
}
END_TEST

UNIT_MAIN("timers", stream_time_fires_first_with_the_first_record, wall_time_fires_first_after_one_interval,
          after_a_jump_it_fires_once_and_stays_on_the_grid, due_at_once_by_scheduled_time_then_by_creation,
          a_cancelled_timer_never_fires, schedules_go_through_the_metadata,
          only_timers_made_while_opening_are_kept_and_cancelled_ones_stay_cancelled, foreign_metadata_is_left_alone)
