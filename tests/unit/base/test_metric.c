#include "base/metric.h"

#include "tests/support/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static bool printed(const char *line)
{
    struct bytes out = {0};
    metric_print(&out);
    bool found = strstr(bytes_text(&out), line) != NULL;
    bytes_free(&out);
    return found;
}

START_TEST(values_are_written_and_read)
{
    struct metric_set *set = metric_set_new("app=\"shop\",worker=\"0_3\"");
    metric_add(set, METRIC_RECORDS_IN, 5);
    metric_add(set, METRIC_RECORDS_IN, 2);
    metric_put(set, METRIC_LAG, 100);
    metric_put(set, METRIC_LAG, 40);
    ck_assert_int_eq(metric_get(set, METRIC_RECORDS_IN), 7);
    ck_assert_int_eq(metric_get(set, METRIC_LAG), 40);
    ck_assert_int_eq(metric_get(set, METRIC_COMMITS), 0);
    metric_set_free(set);
}
END_TEST

START_TEST(sets_are_printed_until_they_are_freed)
{
    struct metric_set *first = metric_set_new("worker=\"0_0\"");
    struct metric_set *second = metric_set_new(NULL);
    metric_add(first, METRIC_RECORDS_IN, 1);
    metric_add(second, METRIC_RECORDS_IN, 2);
    metric_put(second, METRIC_WORKERS, 0);
    ck_assert(printed("# TYPE tidemill_records_in_total counter\n"
                      "tidemill_records_in_total 2\n"
                      "tidemill_records_in_total{worker=\"0_0\"} 1\n# HELP "));
    ck_assert(printed("\ntidemill_workers 0\n"));
    ck_assert(!printed("tidemill_workers{worker=\"0_0\"}"));
    ck_assert_int_eq(metric_total(METRIC_RECORDS_IN), 3);
    metric_set_free(first);
    ck_assert(!printed("worker=\"0_0\""));
    ck_assert_int_eq(metric_total(METRIC_RECORDS_IN), 2);
    metric_set_free(second);
    metric_set_free(NULL);
    ck_assert_int_eq(metric_total(METRIC_RECORDS_IN), 0);
}
END_TEST

START_TEST(labelled_values_are_made_once)
{
    struct metric_set *set = metric_set_new("worker=\"0_0\"");
    struct metric_value *dropped = metric_labelled(set, METRIC_DROPPED, "node=\"filter@a.lua:1\",reason=\"null_key\"");
    ck_assert_ptr_eq(metric_labelled(set, METRIC_DROPPED, "node=\"filter@a.lua:1\",reason=\"null_key\""), dropped);
    ck_assert_ptr_ne(metric_labelled(set, METRIC_ERRORS, "node=\"filter@a.lua:1\",reason=\"null_key\""), dropped);
    metric_value_add(dropped, 2);
    metric_value_add(dropped, 3);
    ck_assert_int_eq(metric_value_get(dropped), 5);
    ck_assert_int_eq(metric_total(METRIC_DROPPED), 5);
    ck_assert(
        printed("\ntidemill_dropped_records_total{worker=\"0_0\",node=\"filter@a.lua:1\",reason=\"null_key\"} 5\n"));
    metric_set_free(set);
}
END_TEST

START_TEST(every_metric_has_a_row)
{
    struct bytes out = {0};
    int lines = 0;
    metric_print_markdown(&out);
    for (const char *at = bytes_text(&out); (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    ck_assert_int_eq(lines, 2 + METRIC_COUNT);
    ck_assert_ptr_null(strstr(bytes_text(&out), "(null)"));
    ck_assert_ptr_nonnull(strstr(bytes_text(&out), "\n| `tidemill_lag_records` | gauge |"));
    bytes_free(&out);
}
END_TEST

enum { ROUNDS = 2000 };

static void *write_values(void *worker)
{
    char labels[64];
    snprintf(labels, sizeof labels, "worker=\"%s\"", (const char *)worker);
    struct metric_set *set = metric_set_new(labels);
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(set, METRIC_RECORDS_IN, 1);
        snprintf(labels, sizeof labels, "code=\"%d\"", i % 50);
        metric_value_add(metric_labelled(set, METRIC_ERRORS, labels), 1);
    }
    ck_assert_int_eq(metric_get(set, METRIC_RECORDS_IN), ROUNDS);
    metric_set_free(set);
    return NULL;
}

START_TEST(reading_beside_writers_is_safe)
{
    pthread_t threads[2];
    static char names[2][2] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, write_values, names[i]);
    }
    for (int i = 0; i < 100; i++) {
        struct bytes out = {0};
        metric_print(&out);
        ck_assert_int_le(metric_total(METRIC_ERRORS), 2 * ROUNDS);
        bytes_free(&out);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(metric_total(METRIC_RECORDS_IN), 0);
}
END_TEST

UNIT_MAIN("metric", values_are_written_and_read, sets_are_printed_until_they_are_freed, labelled_values_are_made_once,
          every_metric_has_a_row, reading_beside_writers_is_safe)
