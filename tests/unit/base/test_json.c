#include "base/json.h"

#include "tests/support/unit.h"

#define ck_assert_slice_eq(slice, text)                                                                                \
    ck_assert_msg(slice_equal(slice, slice_text(text)), "%.*s instead of %s", (int)(slice).size,                       \
                  (const char *)(slice).data, text)

START_TEST(types_are_known_by_the_first_byte)
{
    static const struct {
        const char *text;
        enum json_type type;
    } rows[] = {
        {"", JSON_NONE},     {"  ", JSON_NONE},     {"null", JSON_NULL},  {"false", JSON_FALSE},  {"true", JSON_TRUE},
        {"-1", JSON_NUMBER}, {"\"\"", JSON_STRING}, {" [1]", JSON_ARRAY}, {"\n{} ", JSON_OBJECT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(json_type(slice_text(rows[i].text)), rows[i].type);
    }
    ck_assert_int_eq(json_type(SLICE_NULL), JSON_NONE);
}
END_TEST

START_TEST(elements_come_in_order)
{
    static const char *const expected[] = {"1", "\"a,]\\\"\"", "{\"x\":[1,\"}\"]}", "[[],[]]", "-2.5e3", "null"};
    struct json_walk walk = json_walk(slice_text(" [ 1 ,\"a,]\\\"\",{\"x\":[1,\"}\"]} , [[],[]],\n-2.5e3 , null ] "));
    struct slice value;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert(json_next_element(&walk, &value));
        ck_assert_slice_eq(value, expected[i]);
    }
    ck_assert(!json_next_element(&walk, &value));
    ck_assert(!json_next_element(&walk, &value));
}
END_TEST

START_TEST(members_come_in_order)
{
    static const char *const expected[][2] = {
        {"a", "1"}, {"b\\\"", "\"x\""}, {"", "{}"}, {"long name of a member", "[1]"}};
    struct json_walk walk =
        json_walk(slice_text("{\"a\":1,\"b\\\"\" : \"x\" ,\"\":{}, \"long name of a member\":[1] }"));
    struct slice name;
    struct slice value;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert(json_next_member(&walk, &name, &value));
        ck_assert_slice_eq(name, expected[i][0]);
        ck_assert_slice_eq(value, expected[i][1]);
    }
    ck_assert(!json_next_member(&walk, &name, &value));
}
END_TEST

START_TEST(empty_containers_have_no_members)
{
    struct slice name;
    struct slice value;
    struct json_walk walk = json_walk(slice_text(" { } "));
    ck_assert(!json_next_member(&walk, &name, &value));
    walk = json_walk(slice_text("[]"));
    ck_assert(!json_next_element(&walk, &value));
    walk = json_walk(SLICE_NULL);
    ck_assert(!json_next_element(&walk, &value));
}
END_TEST

START_TEST(member_is_found_by_decoded_name)
{
    struct slice object = slice_text("{\"a\":1,\"\\u0062\":2,\"caf\\u00e9\":3,\"nested\":{\"c\":4},\"a\":5}");
    struct slice value;
    ck_assert(json_member(object, slice_text("a"), &value));
    ck_assert_slice_eq(value, "5");
    ck_assert(json_member(object, slice_text("b"), &value));
    ck_assert_slice_eq(value, "2");
    ck_assert(json_member(object, slice_text("caf\xc3\xa9"), &value));
    ck_assert_slice_eq(value, "3");
    ck_assert(!json_member(object, slice_text("c"), &value));
    ck_assert(!json_member(object, slice_text(""), &value));
}
END_TEST

START_TEST(raw_text_equals_decoded_text)
{
    static const struct {
        const char *raw;
        const char *text;
        bool equal;
    } rows[] = {
        {"", "", true},
        {"a", "a", true},
        {"a", "b", false},
        {"a", "", false},
        {"", "a", false},
        {"ab", "a", false},
        {"\\n", "\n", true},
        {"\\n", "n", false},
        {"\\\\", "\\", true},
        {"x\\/y", "x/y", true},
        {"\\u0041", "A", true},
        {"\\u20AC", "\xe2\x82\xac", true},
        {"\\u20ac", "\xe2\x82", false},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80", true},
        {"\\ud83d", "\xef\xbf\xbd", true},
        {"\\u0041bc", "AbC", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(json_string_equal(slice_text(rows[i].raw), slice_text(rows[i].text)) == rows[i].equal, "%s",
                      rows[i].raw);
    }
    ck_assert(json_string_equal(slice_text("\\u0000"), slice_of("\0", 1)));
    ck_assert(json_has_escape(slice_text("a\\n")));
    ck_assert(!json_has_escape(slice_text("an")));
    ck_assert(!json_has_escape(SLICE_NULL));
}
END_TEST

START_TEST(strings_are_decoded)
{
    static const char *const rows[][2] = {
        {"\"\"", ""},
        {" \"plain\" ", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20ac\"", "A\xc3\xa9\xe2\x82\xac"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ude00x\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes text = {0};
        json_decode_string(slice_text(rows[i][0]), &text);
        ck_assert_slice_eq(bytes_slice(&text), rows[i][1]);
        ck_assert(json_utf8_valid(bytes_slice(&text)));
        bytes_free(&text);
    }
}
END_TEST

START_TEST(integers_keep_64_bits)
{
    static const struct {
        const char *text;
        int64_t number;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {" 42 ", 42},
        {"-7", -7},
        {"9007199254740993", 9007199254740993},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t integer = -1;
        double real;
        ck_assert_msg(json_number(slice_text(rows[i].text), &integer, &real), "%s", rows[i].text);
        ck_assert_int_eq(integer, rows[i].number);
    }
}
END_TEST

START_TEST(other_numbers_are_the_nearest_double)
{
    static const char *const rows[] = {
        "5.0",
        "-0.0",
        "1e3",
        "1E-3",
        "0.1",
        "129.95",
        "-129.95",
        "3.141592653589793",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "123456789012345678901234567890",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "1e-400",
        "1.7976931348623157e308",
        "1e22",
        "1e23",
        "9007199254740993.0",
        "0.00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000012345",
        "0.1000000000000000055511151231257827021181583404541015625000000000000000000000000000000000000000001",
        "1e999999999999",
        "0e999999999999",
        "0.30000000000000004",
        "179769313486231580793e289",
        "8.5e-10",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t integer;
        double real = 7;
        double expected = strtod(rows[i], NULL);
        ck_assert_msg(!json_number(slice_text(rows[i]), &integer, &real), "%s", rows[i]);
        ck_assert_msg(memcmp(&real, &expected, sizeof real) == 0, "%s is %.17g", rows[i], real);
    }
}
END_TEST

UNIT_MAIN("json", types_are_known_by_the_first_byte, elements_come_in_order, members_come_in_order,
          empty_containers_have_no_members, member_is_found_by_decoded_name, raw_text_equals_decoded_text,
          strings_are_decoded, integers_keep_64_bits, other_numbers_are_the_nearest_double)
