#include "base/json.h"

#include "tests/support/unit.h"

#include <math.h>
#include <stdio.h>

#define ck_assert_bytes_eq(bytes, text) ck_assert_str_eq(bytes_text(&(bytes)), text)

START_TEST(commas_are_set_by_the_writer)
{
    struct bytes out = {0};
    struct json_writer writer = json_writer(&out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("empty"));
    json_begin_object(&writer);
    json_end_object(&writer);
    json_name(&writer, slice_text("list"));
    json_begin_array(&writer);
    json_integer(&writer, 1);
    json_text(&writer, NULL);
    json_bool(&writer, true);
    json_bool(&writer, false);
    json_begin_array(&writer);
    json_end_array(&writer);
    json_raw(&writer, slice_text("{\"raw\": 1}"));
    json_end_array(&writer);
    json_name(&writer, slice_text("last"));
    json_null(&writer);
    json_end_object(&writer);
    ck_assert_bytes_eq(out, "{\"empty\":{},\"list\":[1,null,true,false,[],{\"raw\": 1}],\"last\":null}");
    ck_assert(json_check(bytes_slice(&out), NULL));
    bytes_free(&out);
}
END_TEST

START_TEST(strings_are_escaped)
{
    struct bytes out = {0};
    struct json_writer writer = json_writer(&out);
    json_string(&writer, slice_text("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f \xc3\xa9"));
    ck_assert_bytes_eq(out, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xc3\xa9\"");
    bytes_clear(&out);
    writer = json_writer(&out);
    json_string(&writer, slice_of("\0", 1));
    json_string(&writer, slice_text(""));
    json_string(&writer, SLICE_NULL);
    ck_assert_bytes_eq(out, "\"\\u0000\",\"\",\"\"");
    bytes_free(&out);
}
END_TEST

/* A byte of every kind at every place of a longer text. */
START_TEST(strings_read_back)
{
    for (size_t at = 0; at < 20; at++) {
        for (int byte = 0; byte < 0x80; byte++) {
            char text[20];
            memset(text, 'x', sizeof text);
            text[at] = (char)byte;
            struct bytes out = {0};
            struct bytes back = {0};
            struct json_writer writer = json_writer(&out);
            json_string(&writer, slice_of(text, sizeof text));
            ck_assert(json_check(bytes_slice(&out), NULL));
            json_decode_string(bytes_slice(&out), &back);
            ck_assert(slice_equal(bytes_slice(&back), slice_of(text, sizeof text)));
            bytes_free(&back);
            bytes_free(&out);
        }
    }
}
END_TEST

/* A byte of every kind at every place of texts of every length: valid ones come out as json_string writes them. */
START_TEST(checked_strings)
{
    for (size_t size = 0; size < 20; size++) {
        for (int place = 0; place < (int)size * 256; place++) {
            char text[20];
            memset(text, 'x', sizeof text);
            text[place / 256] = (char)(place % 256);
            struct bytes checked = {0};
            struct bytes plain = {0};
            struct json_writer writer = json_writer(&checked);
            bool valid = json_name_checked(&writer, slice_of(text, size));
            ck_assert_int_eq(valid, place % 256 < 0x80);
            ck_assert_int_eq(valid, json_string_checked(&writer, slice_of(text, size)));
            writer = json_writer(&plain);
            if (valid) {
                json_name(&writer, slice_of(text, size));
                json_string(&writer, slice_of(text, size));
            }
            ck_assert(slice_equal(bytes_slice(&checked), bytes_slice(&plain)));
            bytes_free(&checked);
            bytes_free(&plain);
        }
    }
    struct bytes out = {0};
    struct json_writer writer = json_writer(&out);
    ck_assert(json_string_checked(&writer, slice_text("caf\xc3\xa9 \"")));
    ck_assert(json_string_checked(&writer, slice_of(NULL, 0)));
    ck_assert_bytes_eq(out, "\"caf\xc3\xa9 \\\"\",\"\"");
    bytes_free(&out);
}
END_TEST

START_TEST(integers_of_any_size)
{
    static const struct {
        int64_t number;
        const char *text;
    } rows[] = {
        {0, "0"}, {-1, "-1"}, {1000, "1000"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes out = {0};
        struct json_writer writer = json_writer(&out);
        json_integer(&writer, rows[i].number);
        ck_assert_bytes_eq(out, rows[i].text);
        bytes_free(&out);
    }
}
END_TEST

START_TEST(reals_are_short_and_stay_reals)
{
    static const struct {
        double number;
        const char *text;
    } rows[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {5.0, "5.0"},
        {-5.5, "-5.5"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {129.95, "129.95"},
        {259.9, "259.9"},
        {0.000123, "0.000123"},
        {1.0 / 3, "0.3333333333333333"},
        {100.0, "100.0"},
        {1e6 + 0.001, "1000000.001"},
        {123456789.123456, "123456789.123456"},
        {1e9, "1000000000.0"},
        {1e14, "100000000000000.0"},
        {1e22, "1e+22"},
        {1e-7, "1e-07"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {4.9406564584124654e-324, "4.94065645841247e-324"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes out = {0};
        struct json_writer writer = json_writer(&out);
        ck_assert(json_real(&writer, rows[i].number));
        ck_assert_bytes_eq(out, rows[i].text);
        bytes_free(&out);
    }
}
END_TEST

static void check_real(double number)
{
    struct bytes out = {0};
    struct json_writer writer = json_writer(&out);
    int64_t integer;
    double back = 0;
    ck_assert(json_real(&writer, number));
    ck_assert_msg(json_check(bytes_slice(&out), NULL), "%s", bytes_text(&out));
    ck_assert_msg(!json_number(bytes_slice(&out), &integer, &back), "%s is an integer", bytes_text(&out));
    ck_assert_msg(memcmp(&back, &number, sizeof back) == 0, "%s is not %.17g", bytes_text(&out), number);
    bytes_free(&out);
}

START_TEST(reals_read_back)
{
    uint64_t random = 1;
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        double number;
        memcpy(&number, &random, sizeof number);
        if (isfinite(number)) {
            check_real(number);
        }
        check_real((double)(int64_t)random / 1000.0);
        check_real((double)(random >> 40) / 100.0);
        check_real((double)(random >> 40) * 1e-7);
    }
}
END_TEST

/* What the C library finds: the first of 15 to 17 digits that reads back. */
static void check_digits(double number)
{
    struct bytes out = {0};
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number) {
            break;
        }
    }
    if (strpbrk(text, ".e") == NULL) {
        strcat(text, ".0");
    }
    struct json_writer writer = json_writer(&out);
    ck_assert(json_real(&writer, number));
    ck_assert_bytes_eq(out, text);
    bytes_free(&out);
}

START_TEST(reals_are_as_the_c_library_writes_them)
{
    static const double edges[] = {1e-4, 0.001, 0.01, 0.1, 1, 10, 1e5, 1e9, 1e14, 1e15, 1e16, 0.5, 0.25, 1.0 / 1024};
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        check_digits(edges[i]);
        check_digits(nextafter(edges[i], 0));
        check_digits(-nextafter(edges[i], 1e300));
    }
    for (int i = 0; i < 200000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        double share = (double)(random >> 11) / 9007199254740992.0;
        check_digits(share);
        check_digits((share - 0.5) * pow(10, (double)(i % 22) - 4));
        check_digits((double)(random >> 50) / (double)(i + 1));
    }
}
END_TEST

START_TEST(infinities_are_refused)
{
    struct bytes out = {0};
    struct json_writer writer = json_writer(&out);
    ck_assert(!json_real(&writer, (double)INFINITY));
    ck_assert(!json_real(&writer, (double)NAN));
    ck_assert_uint_eq(out.size, 0);
    json_null(&writer);
    ck_assert_bytes_eq(out, "null");
    bytes_free(&out);
}
END_TEST

/* Vectors of RFC 4648. */
START_TEST(base64_of_known_vectors)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xfe\xfd", "//79"},
                                          {"\xfb\xff", "+/8="}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes text = {0};
        struct bytes back = {0};
        json_base64_encode(slice_text(rows[i][0]), &text);
        ck_assert_bytes_eq(text, rows[i][1]);
        ck_assert(json_base64_decode(bytes_slice(&text), &back));
        ck_assert_bytes_eq(back, rows[i][0]);
        bytes_free(&text);
        bytes_free(&back);
    }
}
END_TEST

START_TEST(bad_base64_leaves_the_bytes_alone)
{
    static const char *const bad[] = {"Zg",     "Zg=",  "Zg===", "Z===",     "====",     "Zh==",     "Zm9=",
                                      "Zm9v\n", "Zm 9", "Zm-_",  "Zg==Zm9v", "Zm9vZ===", "Zm9v=m9v", "Zm9\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bytes out = {0};
        bytes_append_text(&out, "before");
        ck_assert_msg(!json_base64_decode(slice_text(bad[i]), &out), "%s", bad[i]);
        ck_assert_bytes_eq(out, "before");
        bytes_free(&out);
    }
}
END_TEST

UNIT_MAIN("json_write", commas_are_set_by_the_writer, strings_are_escaped, strings_read_back, checked_strings,
          integers_of_any_size, reals_are_short_and_stay_reals, reals_read_back, reals_are_as_the_c_library_writes_them,
          infinities_are_refused, base64_of_known_vectors, bad_base64_leaves_the_bytes_alone)
