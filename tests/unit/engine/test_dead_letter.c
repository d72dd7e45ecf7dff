#include "engine/dead_letter.h"

#include "tests/support/unit.h"

START_TEST(the_letter_keeps_the_record_and_says_what_happened)
{
    struct header own = {slice_text("trace"), slice_text("1")};
    struct record source = {
        .key = slice_text("k"),
        .value = slice_text("{bad"),
        .headers = {&own, 1},
        .timestamp = 5,
        .offset = 17,
        .topic = "in",
        .partition = 2,
    };
    struct err cause;
    err_set(&cause, ERR_SKIP, ERR_RECORD, "Not JSON.");
    struct dead_letter_context context = {"app", "0_2", "filter@pipeline.lua:3", &cause};
    struct arena arena = {0};
    struct record letter = dead_letter_make(&source, &context, &arena);
    ck_assert(slice_equal(letter.key, source.key));
    ck_assert(slice_equal(letter.value, source.value));
    ck_assert_int_eq(letter.timestamp, 5);
    ck_assert_uint_eq(letter.headers.count, 10);
    ck_assert(slice_equal(letter.headers.list[0].name, slice_text("trace")));
    ck_assert(slice_equal(letter.headers.list[1].name, slice_text("__connect.errors.topic")));
    ck_assert(slice_equal(letter.headers.list[1].value, slice_text("in")));
    ck_assert(slice_equal(letter.headers.list[3].name, slice_text("__connect.errors.offset")));
    ck_assert(slice_equal(letter.headers.list[3].value, slice_text("17")));
    ck_assert(slice_equal(letter.headers.list[9].value, slice_text("Not JSON.")));
    arena_free(&arena);
}
END_TEST

UNIT_MAIN("dead_letter", the_letter_keeps_the_record_and_says_what_happened)
