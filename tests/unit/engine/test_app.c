#include "engine/app.h"

#include "engine/op.h"
#include "tests/support/unit.h"

#include <string.h>

START_TEST(defaults_are_the_documented_ones)
{
    struct app_settings settings;
    option_defaults(&app_options, &settings);
    ck_assert_int_eq(settings.commit_ms, 100);
    ck_assert_int_eq(settings.commit_min_ms, 3);
    ck_assert_int_eq(settings.commit_records, 200000);
    ck_assert_int_eq(settings.commit_bytes, 64 << 20);
    ck_assert_int_eq(settings.guarantee, GUARANTEE_EXACTLY_ONCE);
    ck_assert_int_eq(settings.member, MEMBER_STATIC);
    ck_assert_int_eq(settings.reset, RESET_EARLIEST);
    ck_assert_int_eq(settings.on_error, POLICY_FAIL);
    ck_assert_int_eq(settings.max_idle_ms, 0);
    ck_assert_int_eq(settings.partitions, 4);
    ck_assert_int_eq(settings.max_poll_interval_ms, 5 * 60 * 1000);
    ck_assert_int_eq(settings.transaction_timeout_ms, 10000);
    ck_assert(!settings.create_topics && !settings.wait_for_topics);
    ck_assert_ptr_null(settings.id);
    ck_assert_ptr_null(settings.dead_letter);
    option_free(&app_options, &settings);
}
END_TEST

START_TEST(choices_are_in_the_order_of_the_enums)
{
    struct app_settings settings;
    struct err err;
    option_defaults(&app_options, &settings);
    ck_assert_int_eq(option_set(&app_options, &settings, "guarantee", "at_least_once", &err), 0);
    ck_assert_int_eq(option_set(&app_options, &settings, "member", "dynamic", &err), 0);
    ck_assert_int_eq(option_set(&app_options, &settings, "reset", "error", &err), 0);
    ck_assert_int_eq(option_set(&app_options, &settings, "on_error", "dead_letter", &err), 0);
    ck_assert_int_eq(settings.guarantee, GUARANTEE_AT_LEAST_ONCE);
    ck_assert_int_eq(settings.member, MEMBER_DYNAMIC);
    ck_assert_int_eq(settings.reset, RESET_ERROR);
    ck_assert_int_eq(settings.on_error, POLICY_DEAD_LETTER);
    ck_assert_int_eq(option_set(&app_options, &settings, "commit_ms", "0", &err), -1);
    ck_assert_int_eq(option_set(&app_options, &settings, "comit_ms", "5", &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "commit_ms"));
    option_free(&app_options, &settings);
}
END_TEST

START_TEST(every_option_has_a_sentence_and_a_field_of_its_own)
{
    for (size_t i = 0; i < app_options.count; i++) {
        const char *text = app_options.options[i].text;
        ck_assert_int_eq(text[strlen(text) - 1], '.');
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(app_options.options[i].name, app_options.options[j].name);
            ck_assert_uint_ne(app_options.options[i].offset, app_options.options[j].offset);
        }
    }
}
END_TEST

UNIT_MAIN("app", defaults_are_the_documented_ones, choices_are_in_the_order_of_the_enums,
          every_option_has_a_sentence_and_a_field_of_its_own)
