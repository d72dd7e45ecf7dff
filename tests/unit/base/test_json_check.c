#include "base/json_check.h"

#include "tests/support/unit.h"

#include <stdlib.h>

/* From a block of exactly that size, so that a sanitizer sees every read past the end. */
static bool check_exact(const char *text, size_t size, struct json_problem *problem)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    if (size > 0) {
        memcpy(copy, text, size);
    }
    bool valid = json_check(slice_of(copy, size), problem);
    free(copy);
    return valid;
}

static const char *const good[] = {
    "null",
    "true",
    "false",
    " \t\r\n1 \t\r\n",
    "0",
    "-0",
    "-1",
    "10",
    "1.5",
    "0.0",
    "1e5",
    "1E+5",
    "1.25e-10",
    "\"\"",
    "\"text\"",
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[1,2 , 3]",
    "{\"a\":1}",
    "{ \"a\" : 1 , \"b\" : [ {} ] }",
    "{\"a\":1,\"a\":2}",
    "{\"\":0}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\x7f\"",
    "\"\xc3\xa9\"",
    "\"\xe2\x82\xac\"",
    "\"\xf0\x9f\x98\x80\"",
    "\"\xf4\x8f\xbf\xbf\"",
    "\"\xed\x9f\xbf\xee\x80\x80\"",
    "\"seven77\"",
    "\"eight888\"",
    "\"nine99999\"",
    "123456789012345678901234567890",
    "1e999",
};

START_TEST(valid_texts_are_accepted)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct json_problem problem = {0, ""};
        ck_assert_msg(check_exact(good[i], strlen(good[i]), &problem), "%s: %s at %zu", good[i], problem.reason,
                      problem.at);
    }
}
END_TEST

/* Every proper beginning of a container or string is invalid. */
START_TEST(cut_texts_are_refused)
{
    static const char text[] =
        "{\"name\":\"v\\u00e9lo \xc3\xa9 \\n\",\"list\":[1.5e+3,-2,true,false,null,{}],\"x\":[]}";
    for (size_t size = 0; size < sizeof text - 1; size++) {
        ck_assert_msg(!check_exact(text, size, NULL), "%.*s", (int)size, text);
    }
    ck_assert(check_exact(text, sizeof text - 1, NULL));
}
END_TEST

START_TEST(invalid_texts_are_refused_with_position_and_reason)
{
    static const struct {
        const char *text;
        size_t at;
        const char *reason;
    } rows[] = {
        {"", 0, "value expected"},
        {"  ", 2, "value expected"},
        {"nul", 0, "value expected"},
        {"True", 0, "value expected"},
        {"NaN", 0, "value expected"},
        {"'a'", 0, "value expected"},
        {"1 2", 2, "more text after the value"},
        {"truex", 4, "more text after the value"},
        {"01", 0, "number with a leading zero"},
        {"-01", 1, "number with a leading zero"},
        {"-", 1, "digit expected"},
        {"1.", 2, "digit expected"},
        {"1.e5", 2, "digit expected"},
        {"1e", 2, "digit expected"},
        {"1e+", 3, "digit expected"},
        {"+1", 0, "value expected"},
        {".5", 0, "value expected"},
        {"0x1", 1, "more text after the value"},
        {"\"a", 2, "string without closing quote"},
        {"\"a\nb\"", 2, "control character in a string"},
        {"\"\\x\"", 1, "unknown escape in a string"},
        {"\"\\u12g4\"", 1, "four hexadecimal digits are expected after \\u"},
        {"\"\\u123\"", 1, "four hexadecimal digits are expected after \\u"},
        {"\"12345678\x01\"", 9, "control character in a string"},
        {"\"\x80\"", 1, "invalid UTF-8"},
        {"\"\xc0\x80\"", 1, "invalid UTF-8"},
        {"\"\xc1\xbf\"", 1, "invalid UTF-8"},
        {"\"\xe0\x9f\xbf\"", 1, "invalid UTF-8"},
        {"\"\xed\xa0\x80\"", 1, "invalid UTF-8"},
        {"\"\xf0\x8f\xbf\xbf\"", 1, "invalid UTF-8"},
        {"\"\xf4\x90\x80\x80\"", 1, "invalid UTF-8"},
        {"\"\xf5\x80\x80\x80\"", 1, "invalid UTF-8"},
        {"\"\xe2\x82\"", 1, "invalid UTF-8"},
        {"\"\xc3", 1, "invalid UTF-8"},
        {"[1,]", 3, "value expected"},
        {"[,1]", 1, "value expected"},
        {"[1 2]", 3, "comma or closing bracket expected"},
        {"[1}", 2, "comma or closing bracket expected"},
        {"{\"a\":1,}", 7, "name of a member expected"},
        {"{a:1}", 1, "name of a member expected"},
        {"{\"a\" 1}", 5, "colon expected"},
        {"{\"a\":}", 5, "value expected"},
        {"{\"a\":1]", 6, "comma or closing brace expected"},
        {"\xef\xbb\xbf{}", 0, "value expected"},
        {"/**/1", 0, "value expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_problem problem = {0, ""};
        ck_assert_msg(!check_exact(rows[i].text, strlen(rows[i].text), &problem), "%s", rows[i].text);
        ck_assert_str_eq(problem.reason, rows[i].reason);
        ck_assert_msg(problem.at == rows[i].at, "%s: position %zu", rows[i].text, problem.at);
    }
    ck_assert(!json_check(SLICE_NULL, NULL));
    ck_assert(!json_check(slice_of("1\0", 2), NULL));
}
END_TEST

START_TEST(all_control_characters_are_refused_at_every_place)
{
    for (size_t at = 1; at <= 20; at++) {
        for (int byte = 0; byte < 0x20; byte++) {
            char text[23];
            memset(text, 'x', sizeof text);
            text[0] = text[21] = '"';
            ck_assert(check_exact(text, 22, NULL));
            text[at] = (char)byte;
            ck_assert(!check_exact(text, 22, NULL));
        }
    }
}
END_TEST

static bool check_depth(int depth, char open, char close)
{
    size_t size = 2 * (size_t)depth;
    char *text = malloc(size);
    memset(text, open, (size_t)depth);
    memset(text + depth, close, (size_t)depth);
    bool valid = check_exact(text, size, NULL);
    free(text);
    return valid;
}

START_TEST(depth_is_limited)
{
    ck_assert(check_depth(JSON_MAX_DEPTH, '[', ']'));
    ck_assert(!check_depth(JSON_MAX_DEPTH + 1, '[', ']'));
    ck_assert(!check_depth(1000000, '[', ']'));

    struct bytes text = {0};
    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        bytes_append_text(&text, "{\"a\":");
    }
    bytes_append_text(&text, "{}");
    struct json_problem problem;
    ck_assert(!json_check(bytes_slice(&text), &problem));
    ck_assert_str_eq(problem.reason, "nested too deeply");
    bytes_free(&text);
}
END_TEST

START_TEST(utf8_of_every_code_point)
{
    for (uint32_t code = 0x80; code < 0x110000; code++) {
        unsigned char text[4];
        size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        for (size_t i = size; i-- > 1;) {
            text[i] = (unsigned char)(0x80 | (code >> 6 * (size - 1 - i) & 0x3f));
        }
        static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
        text[0] = (unsigned char)(first[size] | code >> 6 * (size - 1));
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        ck_assert_int_eq(json_utf8_valid(slice_of(text, size)), !surrogate);
        ck_assert(!json_utf8_valid(slice_of(text, size - 1)));
        ck_assert(!json_utf8_valid(slice_of(text + 1, size - 1)));
    }
    ck_assert(json_utf8_valid(SLICE_NULL));
    ck_assert(json_utf8_valid(slice_of("a\0b", 3)));
    ck_assert(json_utf8_valid(slice_text("only plain ASCII text here")));
    ck_assert(!json_utf8_valid(slice_text("only plain ASCII text\xff here")));
}
END_TEST

UNIT_MAIN("json_check", valid_texts_are_accepted, cut_texts_are_refused,
          invalid_texts_are_refused_with_position_and_reason, all_control_characters_are_refused_at_every_place,
          depth_is_limited, utf8_of_every_code_point)
