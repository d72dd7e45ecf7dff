#include "base/log.h"
#include "base/bytes.h"
#include "base/json.h"

#include "tests/support/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Standard error of the test is a pipe; each test runs in a process of its own. */
static int reading_end;

static void capture(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    reading_end = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
}

/* All that was written, terminated; no more can be written afterwards. */
static void captured(char *text, size_t size)
{
    size_t length = 0;
    ssize_t part;
    close(STDERR_FILENO);
    while ((part = read(reading_end, text + length, size - 1 - length)) > 0) {
        length += (size_t)part;
    }
    text[length] = '\0';
    close(reading_end);
}

/* The line without its time, whose form is checked. */
static const char *behind_time(const char *line)
{
    int end = 0;
    ck_assert_int_eq(sscanf(line, "%*4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n", &end), 0);
    ck_assert_int_eq(end, (int)strlen("2026-11-23T03:21:25.123Z "));
    return line + end;
}

START_TEST(fields_follow_the_message)
{
    char text[1000];
    capture();
    log_event(LOG_INFO, "worker opened", log_text("app", "shop"), log_number("partition", 3));
    captured(text, sizeof text);
    ck_assert_str_eq(behind_time(text), "info message=\"worker opened\" app=shop partition=3\n");
}
END_TEST

START_TEST(values_are_quoted_when_needed)
{
    char text[1000];
    capture();
    log_event(LOG_ERROR, "failed", log_text("plain", "a/b:c,d"), log_text("quote", "a\"b"), log_text("line", "a\nb"),
              log_text("equals", "a=b"), log_text("empty", ""), log_text("none", NULL), log_text("bad", "a \xff b"),
              log_number("low", INT64_MIN));
    captured(text, sizeof text);
    ck_assert_str_eq(behind_time(text), "error message=failed plain=a/b:c,d quote=\"a\\\"b\" line=\"a\\nb\" "
                                        "equals=\"a=b\" empty=\"\" none=\"\" bad=\"a ? b\" "
                                        "low=-9223372036854775808\n");
}
END_TEST

START_TEST(json_lines_are_json)
{
    char text[1000];
    capture();
    log_configure(LOG_INFO, true);
    log_event(LOG_WARN, "a \"message\"", log_text("reason", "not\xff utf-8"), log_number("code", -1));
    captured(text, sizeof text);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    ck_assert(json_check(slice_text(text), NULL));
    struct slice value;
    ck_assert(json_member(slice_text(text), slice_text("level"), &value));
    ck_assert(slice_equal(value, slice_text("\"warn\"")));
    ck_assert(json_member(slice_text(text), slice_text("message"), &value));
    ck_assert(slice_equal(value, slice_text("\"a \\\"message\\\"\"")));
    ck_assert(json_member(slice_text(text), slice_text("reason"), &value));
    ck_assert(slice_equal(value, slice_text("\"not? utf-8\"")));
    ck_assert(json_member(slice_text(text), slice_text("code"), &value));
    ck_assert(slice_equal(value, slice_text("-1")));
    ck_assert(json_member(slice_text(text), slice_text("time"), &value));
}
END_TEST

START_TEST(lower_levels_are_left_out)
{
    char text[1000];
    capture();
    log_write(LOG_DEBUG, "left out", NULL, 0);
    log_configure(LOG_ERROR, false);
    log_write(LOG_WARN, "left out", NULL, 0);
    ck_assert(!log_enabled(LOG_WARN));
    ck_assert(log_enabled(LOG_ERROR));
    log_write(LOG_ERROR, "written", NULL, 0);
    captured(text, sizeof text);
    ck_assert_str_eq(behind_time(text), "error message=written\n");
}
END_TEST

START_TEST(levels_are_parsed)
{
    enum log_level level = LOG_INFO;
    ck_assert_int_eq(log_parse_level("debug", &level), 0);
    ck_assert_int_eq(level, LOG_DEBUG);
    ck_assert_int_eq(log_parse_level("error", &level), 0);
    ck_assert_int_eq(level, LOG_ERROR);
    ck_assert_int_eq(log_parse_level("loud", &level), -1);
    ck_assert_int_eq(level, LOG_ERROR);
}
END_TEST

static void *write_many(void *name)
{
    for (int i = 0; i < 100; i++) {
        log_event(LOG_INFO, "one line", log_text("thread", name), log_number("i", i));
    }
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    static char text[60000];
    pthread_t threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    capture();
    log_configure(LOG_INFO, true);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, write_many, names[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    captured(text, sizeof text);
    int lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert(json_check(slice_text(line), NULL));
        lines++;
    }
    ck_assert_int_eq(lines, 400);
}
END_TEST

UNIT_MAIN("log", fields_follow_the_message, values_are_quoted_when_needed, json_lines_are_json,
          lower_levels_are_left_out, levels_are_parsed, lines_of_threads_do_not_mix)
