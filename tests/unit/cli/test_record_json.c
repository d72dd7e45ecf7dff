#include "cli/record_json.h"

#include "base/json.h"
#include "tests/support/unit.h"

static struct arena scratch;

/* Prints, parses and compares everything that a line keeps. */
static void survives(const struct record *record)
{
    struct bytes line = {0};
    struct record back;
    struct err err;
    record_print(record, &line);
    ck_assert_msg(json_check(bytes_slice(&line), NULL), "%s", bytes_text(&line));
    ck_assert_ptr_null(memchr(line.data, '\n', line.size));
    ck_assert_msg(record_parse(bytes_slice(&line), &scratch, &back, &err) == 0, "%s", err.text);
    ck_assert_msg(slice_equal(back.key, record->key), "%s", bytes_text(&line));
    ck_assert_msg(slice_equal(back.value, record->value), "%s", bytes_text(&line));
    ck_assert_int_eq(back.timestamp, record->timestamp);
    ck_assert_int_eq(back.partition, record->partition);
    ck_assert_uint_eq(back.headers.count, record->headers.count);
    for (size_t i = 0; i < back.headers.count; i++) {
        ck_assert(slice_equal(back.headers.list[i].name, record->headers.list[i].name));
        ck_assert(slice_equal(back.headers.list[i].value, record->headers.list[i].value));
    }
    bytes_free(&line);
    arena_free(&scratch);
}

static struct record record_of(struct slice key, struct slice value)
{
    return (struct record){.key = key, .value = value, .timestamp = 1000, .topic = "t", .partition = 2, .offset = 7};
}

#define BYTES(text) slice_of(text, sizeof(text) - 1)

START_TEST(every_kind_of_bytes_survives)
{
    const struct slice texts[] = {SLICE_NULL,
                                  BYTES(""),
                                  BYTES("text"),
                                  BYTES("null"),
                                  BYTES("17"),
                                  BYTES("{\"a\": 1}"),
                                  BYTES(" {\"a\":1}"),
                                  BYTES("[1,\n2]"),
                                  BYTES("\"x\""),
                                  BYTES("\0\1\2"),
                                  BYTES("\xff\xfe"),
                                  BYTES("{\"a\":"),
                                  BYTES("\xc3\xbc"),
                                  BYTES("a\tb\r\n"),
                                  BYTES("\xed\xa0\x80"),
                                  BYTES("\\u0000"),
                                  BYTES("1 2"),
                                  BYTES("\"\\ud800\""),
                                  BYTES("{\"a\":1,\"a\":2}")};
    size_t count = sizeof texts / sizeof texts[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            struct record record = record_of(texts[i], texts[k]);
            survives(&record);
        }
    }
}
END_TEST

START_TEST(headers_keep_order_and_kind)
{
    const struct header list[] = {{BYTES("a"), BYTES("1")},
                                  {BYTES("a"), SLICE_NULL},
                                  {BYTES(""), BYTES("")},
                                  {BYTES("bin"), BYTES("\xff\0")},
                                  {BYTES("\xff"), BYTES("name")}};
    struct record record = record_of(BYTES("k"), BYTES("1"));
    record.headers = (struct headers){list, sizeof list / sizeof list[0]};
    survives(&record);
}
END_TEST

START_TEST(any_depth_survives)
{
    for (size_t depth = JSON_MAX_DEPTH - 3; depth <= JSON_MAX_DEPTH + 2; depth++) {
        struct bytes value = {0};
        for (size_t i = 0; i < 2 * depth; i++) {
            bytes_append_byte(&value, i < depth ? '[' : ']');
        }
        struct record record = record_of(SLICE_NULL, bytes_slice(&value));
        survives(&record);
        bytes_free(&value);
    }
}
END_TEST

START_TEST(the_form_is_the_documented_one)
{
    struct bytes line = {0};
    struct record record = record_of(BYTES("k"), BYTES("{\"n\":1}"));
    record_print(&record, &line);
    ck_assert_str_eq(bytes_text(&line),
                     "{\"topic\":\"t\",\"partition\":2,\"offset\":7,\"timestamp\":1000,\"key\":\"k\","
                     "\"value\":{\"n\":1},\"headers\":[]}");
    bytes_clear(&line);
    record = record_of(BYTES("\xff"), BYTES("no"));
    record_print(&record, &line);
    ck_assert(strstr(bytes_text(&line), "\"key\":\"/w==\",\"key_encoding\":\"base64\",\"value\":\"no\","
                                        "\"value_encoding\":\"string\"") != NULL);
    bytes_free(&line);
}
END_TEST

START_TEST(a_short_form_is_enough)
{
    struct record record;
    struct err err;
    ck_assert_int_eq(record_parse(slice_text("{\"value\":{\"n\":1}}"), &scratch, &record, &err), 0);
    ck_assert(slice_is_null(record.key));
    ck_assert_int_eq(record.timestamp, -1);
    ck_assert_int_eq(record.partition, -1);
    ck_assert_uint_eq(record.headers.count, 0);
    const char *line = "{\"value\":7,\"key\":{\"a\":1},\"key_encoding\":\"json\",\"headers\":null}";
    ck_assert_int_eq(record_parse(slice_text(line), &scratch, &record, &err), 0);
    ck_assert(slice_equal(record.key, slice_text("{\"a\":1}")));
    arena_free(&scratch);
}
END_TEST

START_TEST(bad_objects_are_refused)
{
    const char *const lines[] = {
        "17",
        "{}",
        "{\"key\":\"a\"}",
        "{\"value\":1,\"key\":7}",
        "{\"value\":1,\"value_encoding\":\"hex\"}",
        "{\"value\":1,\"value_encoding\":7}",
        "{\"value\":1,\"value_encoding\":\"string\"}",
        "{\"value\":\"?\",\"value_encoding\":\"base64\"}",
        "{\"value\":1,\"headers\":{}}",
        "{\"value\":1,\"headers\":[1]}",
        "{\"value\":1,\"headers\":[[\"a\"]]}",
        "{\"value\":1,\"headers\":[[\"a\",1]]}",
        "{\"value\":1,\"headers\":[[\"a\",\"b\",\"c\"]]}",
        "{\"value\":1,\"headers\":[[null,\"b\"]]}",
        "{\"value\":1,\"headers\":[[\"a\",{\"base64\":\"?\"}]]}",
        "{\"value\":1,\"timestamp\":\"now\"}",
        "{\"value\":1,\"timestamp\":1.5}",
        "{\"value\":1,\"partition\":-7}",
        "{\"value\":1,\"partition\":4294967296}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct record record;
        struct err err;
        ck_assert_msg(record_parse(slice_text(lines[i]), &scratch, &record, &err) == -1, "%s", lines[i]);
        ck_assert_int_eq(err.class, ERR_SKIP);
        ck_assert_int_eq(err.code, ERR_RECORD);
    }
    arena_free(&scratch);
}
END_TEST

UNIT_MAIN("record_json", every_kind_of_bytes_survives, headers_keep_order_and_kind, any_depth_survives,
          the_form_is_the_documented_one, a_short_form_is_enough, bad_objects_are_refused)
