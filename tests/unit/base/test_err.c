#include "base/err.h"

#include "tests/support/unit.h"

#include <string.h>

START_TEST(set_fills_and_returns_minus_one)
{
    struct err err;
    ck_assert_int_eq(err_set(&err, ERR_RETRY, ERR_IO, "The file %s can't be read.", "a.txt"), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_int_eq(err.code, ERR_IO);
    ck_assert_str_eq(err.text, "The file a.txt can't be read.");
}
END_TEST

START_TEST(set_may_quote_its_own_text)
{
    struct err err;
    err_set(&err, ERR_FATAL, ERR_IO, "No space.");
    err_set(&err, ERR_FATAL, ERR_IO, "Commit failed: %s", err.text);
    ck_assert_str_eq(err.text, "Commit failed: No space.");
}
END_TEST

START_TEST(wrap_keeps_one_sentence)
{
    struct err err;
    err_set(&err, ERR_FATAL, ERR_IO, "The disk is gone.");
    ck_assert_int_eq(err_wrap(&err, "opening store %s", "counts"), -1);
    err_wrap(&err, "starting worker %d.", 3);
    ck_assert_str_eq(err.text, "The disk is gone, while opening store counts, while starting worker 3.");
    ck_assert_int_eq(err.class, ERR_FATAL);
}
END_TEST

START_TEST(long_texts_are_cut_and_terminated)
{
    char text[2 * ERR_TEXT_SIZE];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct err err;
    err_set(&err, ERR_FATAL, ERR_IO, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERR_TEXT_SIZE - 1);
    err_wrap(&err, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERR_TEXT_SIZE - 1);
}
END_TEST

START_TEST(clear_empties)
{
    struct err err;
    err_set(&err, ERR_FATAL, ERR_IO, "Text.");
    err_clear(&err);
    ck_assert_int_eq(err.class, ERR_NONE);
    ck_assert_int_eq(err.code, ERR_OK);
    ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(every_code_has_a_row)
{
    for (int code = 0; code < ERR_CODE_COUNT; code++) {
        ck_assert_str_ne(err_code_name((enum err_code)code), "");
        const char *advice = err_code_advice((enum err_code)code);
        ck_assert_int_eq(advice[strlen(advice) - 1], '.');
        ck_assert_int_le(err_exit_status((enum err_code)code), 5);
    }
    for (int class = ERR_NONE; class <= ERR_FATAL; class ++) {
        ck_assert_ptr_nonnull(err_class_name((enum err_class) class));
    }
}
END_TEST

START_TEST(exit_statuses_are_the_documented_ones)
{
    ck_assert_int_eq(err_exit_status(ERR_OK), 0);
    ck_assert_int_eq(err_exit_status(ERR_FAILED), 1);
    ck_assert_int_eq(err_exit_status(ERR_USAGE), 2);
    ck_assert_int_eq(err_exit_status(ERR_TOPOLOGY), 3);
    ck_assert_int_eq(err_exit_status(ERR_UNREACHABLE), 4);
    ck_assert_int_eq(err_exit_status(ERR_DISK_FULL), 5);
    ck_assert_int_eq(err_exit_status((enum err_code)999), 5);
}
END_TEST

UNIT_MAIN("err", set_fills_and_returns_minus_one, set_may_quote_its_own_text, wrap_keeps_one_sentence,
          long_texts_are_cut_and_terminated, clear_empties, every_code_has_a_row, exit_statuses_are_the_documented_ones)
