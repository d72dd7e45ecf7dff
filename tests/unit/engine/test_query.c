#include "engine/query.h"

#include <ck_pr.h>

#include "tests/support/unit.h"

static void count_wakes(void *self, int thread)
{
    ck_pr_add_32(self, 1u << (8 * thread));
}

static int never(void *self, struct worker *worker, struct err *err)
{
    (void)self;
    (void)worker;
    (void)err;
    ck_abort_msg("nobody serves");
    return 0;
}

START_TEST(threads_that_do_not_come_are_not_waited_for)
{
    uint32_t woken = 0;
    struct err err;
    struct query_desk *desk = query_desk_new(2, count_wakes, &woken);
    ck_assert_int_eq(query_ask(desk, 1, never, NULL, &err), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(err.text, "2 of the app's threads"));
    ck_assert_uint_eq(woken, 0x101);
    query_leave(desk, 0);
    ck_assert_int_eq(query_ask(desk, 1, never, NULL, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "1 of the app's threads"));
    query_desk_free(desk);
}
END_TEST

START_TEST(threads_that_have_ended_are_not_asked)
{
    uint32_t woken = 0;
    struct err err;
    struct query_desk *desk = query_desk_new(2, count_wakes, &woken);
    query_leave(desk, 0);
    query_leave(desk, 1);
    ck_assert_int_eq(query_ask(desk, 100000, never, NULL, &err), 0);
    query_desk_free(desk);
    query_desk_free(NULL);
}
END_TEST

START_TEST(without_a_question_there_is_nothing_to_serve)
{
    uint32_t woken = 0;
    struct query_desk *desk = query_desk_new(1, count_wakes, &woken);
    query_serve(desk, 0, NULL);
    ck_assert_uint_eq(woken, 0);
    query_desk_free(desk);
}
END_TEST

UNIT_MAIN("query", threads_that_do_not_come_are_not_waited_for, threads_that_have_ended_are_not_asked,
          without_a_question_there_is_nothing_to_serve)
