#include "engine/store_form.h"
#include "tests/support/unit.h"

static struct arena arena;

static const struct store_spec windows = {.name = "w", .kind = STORE_WINDOW};
static const struct store_spec by_key = {.name = "k", .kind = STORE_WINDOW, .by_key = true, .segment_ms = 100};
static const struct store_spec sessions = {.name = "s", .kind = STORE_SESSION, .segment_ms = 100};
static const struct store_spec finals = {.name = "f", .kind = STORE_WINDOW, .headers = true};

#define BYTES(text) slice_of(text, sizeof(text) - 1)

static void check_key(const struct store_spec *spec, struct store_window window, struct slice expected)
{
    struct slice key = store_form_key(spec, &window, &arena);
    struct store_window back;
    ck_assert(slice_equal(key, expected));
    ck_assert(store_form_window(spec, key, &back));
    ck_assert(slice_equal(back.key, window.key));
    ck_assert_int_eq(back.start, window.start);
    ck_assert_int_eq(back.end, window.end);
}

START_TEST(keys_begin_with_the_time_of_their_segment)
{
    check_key(&windows, (struct store_window){slice_text("ab"), 258, 0}, BYTES("\0\0\0\0\0\0\1\2ab"));
    check_key(&windows, (struct store_window){slice_text(""), 0, 0}, BYTES("\0\0\0\0\0\0\0\0"));
    check_key(&by_key, (struct store_window){slice_text("ab"), 258, 0},
              BYTES("\0\0\0\0\0\0\0\xc8"
                    "ab\0\0\0\0\0\0\1\2"));
    check_key(&sessions, (struct store_window){slice_text("ab"), 99, 258},
              BYTES("\0\0\0\0\0\0\0\xc8"
                    "ab\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0\x63"));
    arena_free(&arena);
}
END_TEST

START_TEST(the_operators_own_keys_have_no_window)
{
    struct store_window window;
    ck_assert(!store_form_window(&windows, slice_text("t"), &window));
    ck_assert(!store_form_window(&by_key, slice_text("t"), &window));
    ck_assert(!store_form_window(&sessions, slice_text("t"), &window));
    ck_assert(!store_form_window(&by_key, BYTES("123456789012345"), &window));
}
END_TEST

static void check_round(const struct store_spec *spec, struct store_window window, struct slice key)
{
    struct store_entry entry = {store_form_key(spec, &window, &arena), slice_text("v"), 7}, back;
    struct record record = store_form_record(spec, &entry, &arena);
    struct err err;
    ck_assert(slice_equal(record.key, key));
    ck_assert(slice_equal(record.value, slice_text("v")));
    ck_assert_int_eq(record.timestamp, 7);
    ck_assert_int_eq(store_form_entry(spec, &record, &back, &arena, &err), 0);
    ck_assert(slice_equal(back.key, entry.key) && slice_equal(back.value, entry.value));
    ck_assert_int_eq(back.timestamp, 7);
}

START_TEST(changelogs_have_the_form_of_kafka_streams)
{
    check_round(&windows, (struct store_window){slice_text("a"), 258, 0}, BYTES("a\0\0\0\0\0\0\1\2\0\0\0\0"));
    check_round(&by_key, (struct store_window){slice_text("a"), 258, 0}, BYTES("a\0\0\0\0\0\0\1\2\0\0\0\0"));
    check_round(&sessions, (struct store_window){slice_text("a"), 1, 258}, BYTES("a\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0\1"));
    arena_free(&arena);
}
END_TEST

START_TEST(own_keys_and_deletions_pass)
{
    struct store_entry own = {slice_text("t"), slice_text("\1"), 5}, back;
    struct record record = store_form_record(&finals, &own, &arena);
    struct err err;
    ck_assert(slice_equal(record.key, own.key) && slice_equal(record.value, own.value));
    ck_assert_int_eq(store_form_entry(&finals, &record, &back, &arena, &err), 0);
    ck_assert(slice_equal(back.key, own.key) && slice_equal(back.value, own.value));
    struct store_window window = {slice_text("a"), 5, 0};
    struct store_entry deleted = {store_form_key(&finals, &window, &arena), SLICE_NULL, 5};
    record = store_form_record(&finals, &deleted, &arena);
    ck_assert(slice_is_null(record.value));
    ck_assert_int_eq(store_form_entry(&finals, &record, &back, &arena, &err), 0);
    ck_assert(slice_equal(back.key, deleted.key) && slice_is_null(back.value));
    arena_free(&arena);
}
END_TEST

START_TEST(headers_are_those_of_the_changelogs_record)
{
    struct header list[] = {{slice_text("a"), slice_text("1")}, {slice_text(""), SLICE_NULL}};
    struct headers headers = {list, 2}, none = {NULL, 0};
    struct store_window window = {slice_text("k"), 5, 0};
    struct store_entry entry = {store_form_key(&finals, &window, &arena),
                                store_form_value(&headers, slice_text("v"), &arena), 5},
                       back;
    struct record record = store_form_record(&finals, &entry, &arena);
    struct err err;
    ck_assert(slice_equal(record.value, slice_text("v")));
    ck_assert_uint_eq(record.headers.count, 2);
    ck_assert(slice_equal(record.headers.list[0].value, slice_text("1")));
    ck_assert(slice_is_null(record.headers.list[1].value) && record.headers.list[1].name.size == 0);
    ck_assert_int_eq(store_form_entry(&finals, &record, &back, &arena, &err), 0);
    ck_assert(slice_equal(back.value, entry.value));
    struct slice value;
    ck_assert(store_form_parse_value(store_form_value(&none, slice_text(""), &arena), &headers, &value, &arena));
    ck_assert(headers.count == 0 && value.size == 0 && !slice_is_null(value));
    ck_assert(store_form_parse_value(entry.value, NULL, &value, NULL));
    ck_assert(slice_equal(value, slice_text("v")));
    arena_free(&arena);
}
END_TEST

START_TEST(foreign_bytes_are_refused)
{
    struct record record = {.key = slice_text("elevenbytes"), .value = slice_text("v"), .offset = 3};
    struct store_entry entry;
    struct headers headers;
    struct slice value;
    struct err err;
    ck_assert_int_eq(store_form_entry(&windows, &record, &entry, &arena, &err), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_ptr_nonnull(strstr(err.text, "store w has a key of 11 bytes at offset 3"));
    ck_assert(!store_form_parse_value(BYTES(""), &headers, &value, &arena));
    ck_assert(!store_form_parse_value(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), &headers, &value, &arena));
    ck_assert(!store_form_parse_value(BYTES("\2\2a\2b\2c"), &headers, &value, &arena));
    ck_assert(!store_form_parse_value(BYTES("\1\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1"), &headers, &value, &arena));
    struct store_window window;
    ck_assert(!store_form_parse_windowed(false, BYTES("1234567"), &window));
    ck_assert(!store_form_parse_windowed(true, BYTES("123456789012345"), &window));
    arena_free(&arena);
}
END_TEST

UNIT_MAIN("store_form", keys_begin_with_the_time_of_their_segment, the_operators_own_keys_have_no_window,
          changelogs_have_the_form_of_kafka_streams, own_keys_and_deletions_pass,
          headers_are_those_of_the_changelogs_record, foreign_bytes_are_refused)
