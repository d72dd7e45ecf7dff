/* Lines of the library: secrets are hidden, and a kind of line is told once per period. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "kafka/kafka_int.h"
#include "tests/support/unit.h"

static char captured[65536];

/* Runs with standard error in a file. */
static const char *capture(void (*run)(struct kafka_log *log))
{
    struct clock clock = {true, 5};
    struct kafka_log *log = kafka_log_new(&clock);
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    run(log);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    captured[fread(captured, 1, sizeof captured - 1, file)] = '\0';
    fclose(file);
    kafka_log_free(log);
    return captured;
}

static void say_secrets(struct kafka_log *log)
{
    kafka_log_hide(log, "hunter2secret");
    kafka_log_hide(log, "x"); /* too short to be replaced everywhere */
    kafka_log_line(log, 3, "client", "FAIL", "hunter2secret and again hunter2secret, exact");
}

START_TEST(secrets_are_hidden)
{
    const char *text = capture(say_secrets);
    ck_assert_ptr_null(strstr(text, "hunter2"));
    ck_assert_ptr_nonnull(strstr(text, "************* and again *************, exact"));
}
END_TEST

static void say_often(struct kafka_log *log)
{
    for (int i = 0; i < 100; i++) {
        kafka_log_line(log, 3, "one", "FAIL", "down");
        kafka_log_line(log, 3, "two", "FAIL", "down");
    }
}

START_TEST(a_kind_of_line_is_told_once_per_period)
{
    const char *text = capture(say_often);
    int lines = 0;
    for (const char *at = strstr(text, "down"); at != NULL; at = strstr(at + 1, "down")) {
        lines++;
    }
    ck_assert_int_eq(lines, 2);
}
END_TEST

static void say_many_kinds(struct kafka_log *log)
{
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "K%d", i);
        kafka_log_line(log, 3, "client", name, "down");
    }
}

START_TEST(kinds_beyond_the_table_share_one_limit)
{
    ck_assert_ptr_nonnull(strstr(capture(say_many_kinds), "down"));
}
END_TEST

UNIT_MAIN("kafka log", secrets_are_hidden, a_kind_of_line_is_told_once_per_period,
          kinds_beyond_the_table_share_one_limit)
