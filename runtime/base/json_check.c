#include "base/json_check.h"

#include "base/json_quick.h"
#include "base/json_scan.h"

const unsigned char json_kinds[256] = {
    [0 ... 8] = JSON_STOP,
    ['\t'] = JSON_WHITE | JSON_STOP | JSON_END,
    ['\n'] = JSON_WHITE | JSON_STOP | JSON_END,
    [11 ... 12] = JSON_STOP,
    ['\r'] = JSON_WHITE | JSON_STOP | JSON_END,
    [14 ... 31] = JSON_STOP,
    [' '] = JSON_WHITE | JSON_END,
    ['"'] = JSON_ESCAPE | JSON_STOP | JSON_NEST,
    [','] = JSON_END,
    ['/'] = JSON_ESCAPE,
    ['0' ... '9'] = JSON_DIGIT | JSON_HEX,
    ['A' ... 'F'] = JSON_HEX,
    ['['] = JSON_NEST,
    ['\\'] = JSON_ESCAPE | JSON_STOP,
    [']'] = JSON_NEST | JSON_END,
    ['a'] = JSON_HEX,
    ['b'] = JSON_HEX | JSON_ESCAPE,
    ['c' ... 'e'] = JSON_HEX,
    ['f'] = JSON_HEX | JSON_ESCAPE,
    ['n'] = JSON_ESCAPE,
    ['r'] = JSON_ESCAPE,
    ['t'] = JSON_ESCAPE,
    ['{'] = JSON_NEST,
    ['}'] = JSON_NEST | JSON_END,
    [0x80 ... 0xff] = JSON_STOP,
};

static inline bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the well-formed UTF-8 sequence (RFC 3629) that starts with a byte beyond ASCII, or 0. */
static size_t utf8_sequence(const unsigned char *at, const unsigned char *end)
{
    size_t left = (size_t)(end - at);
    if (left < 2 || at[0] < 0xc2 || at[0] > 0xf4 || !is_continuation(at[1])) {
        return 0;
    }
    if (at[0] < 0xe0) {
        return 2;
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f); /* surrogates, > U+10FFFF */
    if (overlong || beyond || left < 3 || !is_continuation(at[2])) {
        return 0;
    }
    if (at[0] < 0xf0) {
        return 3;
    }
    return left >= 4 && is_continuation(at[3]) ? 4 : 0;
}

bool json_utf8_valid(struct slice text)
{
    const unsigned char *at = text.data;
    const unsigned char *end = text.size > 0 ? at + text.size : at;
    while (at < end) {
        if (end - at >= 8 && (json_scan_load(at) & JSON_SCAN_HIGH) == 0) {
            at += 8;
        } else if (*at < 0x80) {
            at++;
        } else {
            size_t length = utf8_sequence(at, end);
            if (length == 0) {
                return false;
            }
            at += length;
        }
    }
    return true;
}

/* Checking: every check_ function starts at the first byte of its subject and returns the position behind it, or NULL
 * after noting the problem. */

struct checker {
    const unsigned char *start;
    const unsigned char *end;
    struct json_problem *problem;
};

static const unsigned char *fail(const struct checker *checker, const unsigned char *at, const char *reason)
{
    *checker->problem = (struct json_problem){(size_t)(at - checker->start), reason};
    return NULL;
}

static const unsigned char *check_escape(const struct checker *checker, const unsigned char *at)
{
    unsigned char letter = json_scan_peek(at + 1, checker->end);
    if (json_kinds[letter] & JSON_ESCAPE) {
        return at + 2;
    }
    if (letter != 'u') {
        return fail(checker, at, "unknown escape in a string");
    }
    for (int i = 2; i < 6; i++) {
        if (!(json_kinds[json_scan_peek(at + i, checker->end)] & JSON_HEX)) {
            return fail(checker, at, "four hexadecimal digits are expected after \\u");
        }
    }
    return at + 6;
}

/* Anything in a string that is not plain ASCII. */
static const unsigned char *check_special(const struct checker *checker, const unsigned char *at)
{
    if (at == checker->end) {
        return fail(checker, at, "string without closing quote");
    }
    if (*at == '\\') {
        return check_escape(checker, at);
    }
    if (*at < 0x20) {
        return fail(checker, at, "control character in a string");
    }
    size_t length = utf8_sequence(at, checker->end);
    return length > 0 ? at + length : fail(checker, at, "invalid UTF-8");
}

static inline const unsigned char *check_string(const struct checker *checker, const unsigned char *at)
{
    at = json_scan_skip_plain(at + 1, checker->end);
    while (json_scan_peek(at, checker->end) != '"') {
        at = check_special(checker, at);
        if (at == NULL) {
            return NULL;
        }
        at = json_scan_skip_plain(at, checker->end);
    }
    return at + 1;
}

static const unsigned char *check_digits(const struct checker *checker, const unsigned char *at)
{
    const unsigned char *behind = json_scan_skip_digits(at, checker->end);
    return behind > at ? behind : fail(checker, at, "digit expected");
}

static const unsigned char *check_exponent(const struct checker *checker, const unsigned char *at)
{
    unsigned char sign = json_scan_peek(at + 1, checker->end);
    return check_digits(checker, at + (sign == '+' || sign == '-' ? 2 : 1));
}

static inline const unsigned char *check_number(const struct checker *checker, const unsigned char *at)
{
    at += *at == '-';
    const unsigned char *behind = check_digits(checker, at);
    if (behind == NULL) {
        return NULL;
    }
    if (*at == '0' && behind > at + 1) {
        return fail(checker, at, "number with a leading zero");
    }
    if (json_scan_peek(behind, checker->end) == '.') {
        behind = check_digits(checker, behind + 1);
    }
    if (behind != NULL && (json_scan_peek(behind, checker->end) | 0x20) == 'e') {
        behind = check_exponent(checker, behind);
    }
    return behind;
}

static const unsigned char *check_literal(const struct checker *checker, const unsigned char *at, const char *literal,
                                          size_t size)
{
    if ((size_t)(checker->end - at) < size || memcmp(at, literal, size) != 0) {
        return fail(checker, at, "value expected");
    }
    return at + size;
}

static const unsigned char *check_object(const struct checker *checker, const unsigned char *at, unsigned depth);
static const unsigned char *check_array(const struct checker *checker, const unsigned char *at, unsigned depth);

static inline const unsigned char *check_value(const struct checker *checker, const unsigned char *at, unsigned depth)
{
    switch (json_scan_peek(at, checker->end)) {
    case '"':
        return check_string(checker, at);
    case '{':
        return check_object(checker, at, depth);
    case '[':
        return check_array(checker, at, depth);
    case 't':
        return check_literal(checker, at, "true", 4);
    case 'f':
        return check_literal(checker, at, "false", 5);
    case 'n':
        return check_literal(checker, at, "null", 4);
    default:
        if (at < checker->end && (*at == '-' || json_kinds[*at] & JSON_DIGIT)) {
            return check_number(checker, at);
        }
        return fail(checker, at, "value expected");
    }
}

static const unsigned char *check_member(const struct checker *checker, const unsigned char *at, unsigned depth)
{
    if (json_scan_peek(at, checker->end) != '"') {
        return fail(checker, at, "name of a member expected");
    }
    at = check_string(checker, at);
    if (at == NULL) {
        return NULL;
    }
    at = json_scan_skip_white(at, checker->end);
    if (json_scan_peek(at, checker->end) != ':') {
        return fail(checker, at, "colon expected");
    }
    return check_value(checker, json_scan_skip_white(at + 1, checker->end), depth);
}

static const unsigned char *check_object(const struct checker *checker, const unsigned char *at, unsigned depth)
{
    if (depth == JSON_MAX_DEPTH) {
        return fail(checker, at, "nested too deeply");
    }
    at = json_scan_skip_white(at + 1, checker->end);
    if (json_scan_peek(at, checker->end) == '}') {
        return at + 1;
    }
    for (;;) {
        at = check_member(checker, at, depth + 1);
        if (at == NULL) {
            return NULL;
        }
        at = json_scan_skip_white(at, checker->end);
        unsigned char byte = json_scan_peek(at, checker->end);
        if (byte == '}') {
            return at + 1;
        }
        if (byte != ',') {
            return fail(checker, at, "comma or closing brace expected");
        }
        at = json_scan_skip_white(at + 1, checker->end);
    }
}

static const unsigned char *check_array(const struct checker *checker, const unsigned char *at, unsigned depth)
{
    if (depth == JSON_MAX_DEPTH) {
        return fail(checker, at, "nested too deeply");
    }
    at = json_scan_skip_white(at + 1, checker->end);
    if (json_scan_peek(at, checker->end) == ']') {
        return at + 1;
    }
    for (;;) {
        at = check_value(checker, at, depth + 1);
        if (at == NULL) {
            return NULL;
        }
        at = json_scan_skip_white(at, checker->end);
        unsigned char byte = json_scan_peek(at, checker->end);
        if (byte == ']') {
            return at + 1;
        }
        if (byte != ',') {
            return fail(checker, at, "comma or closing bracket expected");
        }
        at = json_scan_skip_white(at + 1, checker->end);
    }
}

bool json_check(struct slice text, struct json_problem *problem)
{
    struct json_members members;
    return json_check_members(text, &members, problem);
}

bool json_check_members(struct slice text, struct json_members *members, struct json_problem *problem)
{
    if (json_quick_check(text, members)) {
        return true;
    }
    members->count = JSON_MEMBERS;
    struct json_problem ignored;
    if (text.data == NULL) {
        text.data = (const unsigned char *)"";
    }
    const struct checker checker = {text.data, text.data + text.size, problem != NULL ? problem : &ignored};
    const unsigned char *at = check_value(&checker, json_scan_skip_white(text.data, checker.end), 0);
    if (at == NULL) {
        return false;
    }
    at = json_scan_skip_white(at, checker.end);
    return at == checker.end || fail(&checker, at, "more text after the value") != NULL;
}
