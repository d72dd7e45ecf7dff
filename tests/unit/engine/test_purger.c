#include "engine/purger.h"

#include "base/log.h"
#include "engine/memory_transport.h"
#include "tests/support/unit.h"

#define TOPIC "by-user"

static const struct clock real_clock = CLOCK_SYSTEM;
static struct transport *transport;
static struct purger *purger;

static void open_log(int records)
{
    struct err err;
    struct memory_transport_config config = {.default_partitions = 2, .create_topics = true, .clock = &real_clock};
    log_configure(LOG_ERROR, false);
    ck_assert_int_eq(memory_transport_open(&config, &transport, &err), 0);
    for (int i = 0; i < records; i++) {
        struct record record = {.key = slice_text("k"), .value = slice_text("v"), .timestamp = 1};
        ck_assert_int_eq(memory_transport_append(transport, TOPIC, 1, &record, &err), 0);
    }
    ck_assert_int_eq(purger_open(transport, 0, &purger, &err), 0);
}

static void close_log(void)
{
    purger_close(purger);
    transport->class->close(transport);
}

static int64_t first_offset(void)
{
    struct err err;
    int64_t low, high;
    ck_assert_int_eq(transport->class->watermarks(transport, TOPIC, 1, &low, &high, &err), 0);
    return low;
}

START_TEST(what_is_committed_is_deleted_once)
{
    open_log(10);
    purger_note(purger, &(struct position){TOPIC, 1, 4, NULL});
    ck_assert_int_eq(purger_sweep(purger), 1);
    ck_assert_int_eq(first_offset(), 4);
    ck_assert_int_eq(purger_sweep(purger), 0);
    purger_note(purger, &(struct position){TOPIC, 1, 9, NULL});
    ck_assert_int_eq(purger_sweep(purger), 1);
    ck_assert_int_eq(first_offset(), 9);
    close_log();
}
END_TEST

START_TEST(a_group_that_went_back_gets_nothing_deleted)
{
    open_log(10);
    purger_note(purger, &(struct position){TOPIC, 1, 6, NULL});
    ck_assert_int_eq(purger_sweep(purger), 1);
    purger_note(purger, &(struct position){TOPIC, 1, 3, NULL});
    ck_assert_int_eq(purger_sweep(purger), 0);
    ck_assert_int_eq(first_offset(), 6);
    close_log();
}
END_TEST

START_TEST(what_fails_is_tried_again)
{
    open_log(3);
    purger_note(purger, &(struct position){"no-such-topic", 7, 2, NULL});
    purger_note(purger, &(struct position){TOPIC, 1, 2, NULL});
    ck_assert_int_eq(purger_sweep(purger), 1);
    ck_assert_int_eq(first_offset(), 2);
    ck_assert_int_eq(purger_sweep(purger), 0);
    close_log();
}
END_TEST

START_TEST(the_thread_ends_when_it_is_told)
{
    struct err err;
    open_log(1);
    purger_close(purger);
    ck_assert_int_eq(purger_open(transport, 1, &purger, &err), 0);
    purger_note(purger, &(struct position){TOPIC, 1, 1, NULL});
    while (first_offset() == 0) {
        clock_sleep_ms(1);
    }
    close_log();
}
END_TEST

UNIT_MAIN("purger", what_is_committed_is_deleted_once, a_group_that_went_back_gets_nothing_deleted,
          what_fails_is_tried_again, the_thread_ends_when_it_is_told)
