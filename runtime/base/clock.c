#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/failpoint.h"

#define MS_PER_SECOND 1000
#define MS_PER_MINUTE (60 * MS_PER_SECOND)
#define MS_PER_HOUR (60 * MS_PER_MINUTE)
#define MS_PER_DAY (24 * MS_PER_HOUR)
#define NS_PER_MS 1000000

int64_t clock_wall_ms(const struct clock *clock)
{
    if (clock->manual) {
        return clock->manual_ms;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / NS_PER_MS + FAILPOINT_SHIFT_MS();
}

int64_t clock_monotonic_ns(const struct clock *clock)
{
    if (clock->manual) {
        return clock->manual_ms * NS_PER_MS;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void clock_advance(struct clock *clock, int64_t ms)
{
    clock->manual_ms += ms;
}

/* A sleep of no time would cost what the system takes for waking up, some fifty microseconds. */
void clock_sleep_ms(int64_t ms)
{
    if (ms <= 0) {
        return;
    }
    struct timespec left = {ms / MS_PER_SECOND, (long)(ms % MS_PER_SECOND) * NS_PER_MS};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static int parse_whole(const char *text, int64_t *number)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || isspace((unsigned char)text[0]) || text[0] == '+') {
        return -1;
    }
    *number = value;
    return 0;
}

int clock_parse_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        {"", 1}, {"ms", 1}, {"s", MS_PER_SECOND}, {"m", MS_PER_MINUTE}, {"h", MS_PER_HOUR}, {"d", MS_PER_DAY},
    };
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (digits == 0 || errno != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t product;
        if (strcmp(text + digits, units[i].name) == 0) {
            if (__builtin_mul_overflow(number, units[i].ms, &product)) {
                return -1;
            }
            *ms = product;
            return 0;
        }
    }
    return -1;
}

/* Takes exactly `digits` decimal digits; -1 when there are none such. */
static int take_digits(const char **at, int digits)
{
    int number = 0;
    for (int i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)(*at)[i])) {
            return -1;
        }
        number = number * 10 + ((*at)[i] - '0');
    }
    *at += digits;
    return number;
}

static bool take_char(const char **at, char wanted)
{
    if (**at != wanted) {
        return false;
    }
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01 in the Gregorian calendar. Years begin in March so that the leap day comes last; 400 years more
 * keep all numbers positive. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t y = (month > 2 ? year : year - 1) + 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - (719468 + 146097);
}

static int take_date(const char **at, int64_t *days)
{
    int year = take_digits(at, 4);
    if (year < 0 || !take_char(at, '-')) {
        return -1;
    }
    int month = take_digits(at, 2);
    if (month < 1 || month > 12 || !take_char(at, '-')) {
        return -1;
    }
    int day = take_digits(at, 2);
    if (day < 1 || day > days_in_month(year, month)) {
        return -1;
    }
    *days = days_since_epoch(year, month, day);
    return 0;
}

static int take_fraction(const char **at, int64_t *ms)
{
    int scale = 100;
    if (!isdigit((unsigned char)**at)) {
        return -1;
    }
    for (; isdigit((unsigned char)**at); (*at)++) {
        *ms += (**at - '0') * scale;
        scale /= 10;
    }
    return 0;
}

static int take_time(const char **at, int64_t *ms)
{
    int hour = take_digits(at, 2);
    if (hour < 0 || hour > 23 || !take_char(at, ':')) {
        return -1;
    }
    int minute = take_digits(at, 2);
    if (minute < 0 || minute > 59) {
        return -1;
    }
    *ms = (int64_t)hour * MS_PER_HOUR + (int64_t)minute * MS_PER_MINUTE;
    if (!take_char(at, ':')) {
        return 0;
    }
    int second = take_digits(at, 2);
    if (second < 0 || second > 60) { /* 60: a leap second, counted into the next minute as POSIX does */
        return -1;
    }
    *ms += (int64_t)second * MS_PER_SECOND;
    return take_char(at, '.') || take_char(at, ',') ? take_fraction(at, ms) : 0;
}

/* "Z", "+02:00", "+0200", "+02" or nothing, which means UTC. */
static int take_offset(const char **at, int64_t *ms)
{
    if (**at == '\0' || take_char(at, 'Z') || take_char(at, 'z')) {
        return 0;
    }
    bool west = **at == '-';
    if (!take_char(at, '-') && !take_char(at, '+')) {
        return -1;
    }
    int hour = take_digits(at, 2);
    if (hour < 0 || hour > 23) {
        return -1;
    }
    int minute = take_char(at, ':') || **at != '\0' ? take_digits(at, 2) : 0;
    if (minute < 0 || minute > 59) {
        return -1;
    }
    int64_t offset = (int64_t)hour * MS_PER_HOUR + (int64_t)minute * MS_PER_MINUTE;
    *ms = west ? -offset : offset;
    return 0;
}

int clock_parse_time(const char *text, int64_t *ms)
{
    if (parse_whole(text, ms) == 0) {
        return 0;
    }
    int64_t days;
    int64_t time_of_day = 0;
    int64_t offset = 0;
    if (take_date(&text, &days) != 0) {
        return -1;
    }
    if (*text != '\0') {
        if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' ')) {
            return -1;
        }
        if (take_time(&text, &time_of_day) != 0 || take_offset(&text, &offset) != 0 || *text != '\0') {
            return -1;
        }
    }
    *ms = days * MS_PER_DAY + time_of_day - offset;
    return 0;
}

void clock_format_time(int64_t ms, char text[CLOCK_TEXT_SIZE])
{
    int64_t millisecond = ((ms % MS_PER_SECOND) + MS_PER_SECOND) % MS_PER_SECOND;
    time_t seconds = (time_t)(ms / MS_PER_SECOND - (ms % MS_PER_SECOND < 0));
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 9999 - 1900 || tm.tm_year < -1900) {
        snprintf(text, CLOCK_TEXT_SIZE, "%lld", (long long)ms); /* beyond ISO 8601's years; clock_parse_time reads it */
        return;
    }
    /* strftime's year has no leading zeros. */
    int year_length = snprintf(text, CLOCK_TEXT_SIZE, "%04d", tm.tm_year + 1900);
    char *rest = text + year_length + strftime(text + year_length, CLOCK_TEXT_SIZE - 4, "-%m-%dT%H:%M:%S", &tm);
    snprintf(rest, CLOCK_TEXT_SIZE - (size_t)(rest - text), ".%03dZ", (int)millisecond);
}
