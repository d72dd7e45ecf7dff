#include "base/clock.h"

#include "tests/support/unit.h"

START_TEST(manual_clock_moves_by_hand_only)
{
    struct clock clock = {.manual = true, .manual_ms = 1000};
    ck_assert_int_eq(clock_wall_ms(&clock), 1000);
    ck_assert_int_eq(clock_monotonic_ns(&clock), 1000000000);
    clock_advance(&clock, 500);
    ck_assert_int_eq(clock_wall_ms(&clock), 1500);
}
END_TEST

START_TEST(system_clock_goes_forward)
{
    struct clock clock = CLOCK_SYSTEM;
    int64_t before = clock_monotonic_ns(&clock);
    clock_sleep_ms(1);
    ck_assert_int_ge(clock_monotonic_ns(&clock) - before, 1000000);
    ck_assert_int_gt(clock_wall_ms(&clock), 1600000000000);
}
END_TEST

struct time_row {
    const char *text;
    int64_t ms;
};

START_TEST(durations_are_read)
{
    static const struct time_row rows[] = {{"0", 0},      {"250", 250},    {"250ms", 250},  {"5s", 5000},
                                           {"1m", 60000}, {"2h", 7200000}, {"1d", 86400000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        ck_assert_msg(clock_parse_duration(rows[i].text, &ms) == 0, "%s", rows[i].text);
        ck_assert_int_eq(ms, rows[i].ms);
    }
}
END_TEST

START_TEST(other_durations_are_refused)
{
    static const char *const bad[] = {"",
                                      "s",
                                      "-5s",
                                      "5 s",
                                      " 5s",
                                      "5s ",
                                      "1.5s",
                                      "5S",
                                      "5sec",
                                      "+5",
                                      "ms5",
                                      "99999999999999999999",
                                      "9223372036854775807d"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = 7;
        ck_assert_msg(clock_parse_duration(bad[i], &ms) == -1, "%s", bad[i]);
        ck_assert_int_eq(ms, 7);
    }
}
END_TEST

START_TEST(times_are_read)
{
    static const struct time_row rows[] = {
        {"0", 0},
        {"-1", -1},
        {"1357035300000", 1357035300000},
        {"2013-01-01T10:15:00Z", 1357035300000},
        {"2013-01-01T10:15:00.250Z", 1357035300250},
        {"2013-01-01T10:15:00.2506789Z", 1357035300250},
        {"2013-01-01 10:15", 1357035300000},
        {"2013-01-01T10:15:00", 1357035300000},
        {"2013-01-01T12:15:00+02:00", 1357035300000},
        {"2013-01-01T08:45:00-0130", 1357035300000},
        {"2013-01-01T11:15:00+01", 1357035300000},
        {"1970-01-01", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2000-02-29", 951782400000},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"0000-01-01", -62167219200000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = 7;
        ck_assert_msg(clock_parse_time(rows[i].text, &ms) == 0, "%s", rows[i].text);
        ck_assert_msg(ms == rows[i].ms, "%s is %lld", rows[i].text, (long long)ms);
    }
}
END_TEST

START_TEST(other_times_are_refused)
{
    static const char *const bad[] = {
        "",
        " 1",
        "1 ",
        "+1",
        "99999999999999999999",
        "13-01-01",
        "2013-1-1",
        "2013-13-01",
        "2013-00-01",
        "2013-02-29",
        "2013-01-01T",
        "2013-01-01T10",
        "1900-02-29",
        "2013-01-01X",
        "2013-01-01Z",
        "2013-01-32",
        "2013-01-01T24:00:00Z",
        "2013-01-01T10:60:00Z",
        "2013-01-01T10:15:61Z",
        "2013-01-01T10:15:00.Z",
        "2013-01-01T10:15:00ZZ",
        "2013-01-01T10:15:00+2",
        "2013-01-01T10:15:00+02:",
        "2013-01-01T10:15:00+24:00",
        "2013-01-01T10:15:00 Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms;
        ck_assert_msg(clock_parse_time(bad[i], &ms) == -1, "%s", bad[i]);
    }
}
END_TEST

START_TEST(formatted_times_read_back)
{
    static const int64_t times[] = {0, -1, 999, 1357035300250, 253402300799999, -62167219200000, INT64_MAX, INT64_MIN};
    char text[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int64_t ms = 7;
        clock_format_time(times[i], text);
        ck_assert_msg(clock_parse_time(text, &ms) == 0, "%s", text);
        ck_assert_int_eq(ms, times[i]);
    }
    clock_format_time(1357035300250, text);
    ck_assert_str_eq(text, "2013-01-01T10:15:00.250Z");
}
END_TEST

UNIT_MAIN("clock", manual_clock_moves_by_hand_only, system_clock_goes_forward, durations_are_read,
          other_durations_are_refused, times_are_read, other_times_are_refused, formatted_times_read_back)
