#include "base/json.h"

#include "base/json_scan.h"
#include "base/memory.h"

#include <stdlib.h>

/* What a byte may be part of. */
enum { WHITE = 1, DIGIT = 2, HEX = 4, ESCAPE = 8, STOP = 16 };

static const unsigned char kinds[256] = {
    [0 ... 8] = STOP,      ['\t'] = WHITE | STOP,
    ['\n'] = WHITE | STOP, [11 ... 12] = STOP,
    ['\r'] = WHITE | STOP, [14 ... 31] = STOP,
    [' '] = WHITE,         ['"'] = ESCAPE | STOP,
    ['/'] = ESCAPE,        ['0' ... '9'] = DIGIT | HEX,
    ['A' ... 'F'] = HEX,   ['\\'] = ESCAPE | STOP,
    ['a'] = HEX,           ['b'] = HEX | ESCAPE,
    ['c' ... 'e'] = HEX,   ['f'] = HEX | ESCAPE,
    ['n'] = ESCAPE,        ['r'] = ESCAPE,
    ['t'] = ESCAPE,        [0x80 ... 0xff] = STOP,
};

/* The byte at `at`, or 0 at the end: outside of strings no JSON contains a zero byte. */
static inline unsigned char peek(const unsigned char *at, const unsigned char *end)
{
    return at < end ? *at : 0;
}

static inline const unsigned char *skip_white(const unsigned char *at, const unsigned char *end)
{
    while (kinds[peek(at, end)] & WHITE) {
        at++;
    }
    return at;
}

static inline const unsigned char *skip_digits(const unsigned char *at, const unsigned char *end)
{
    while (kinds[peek(at, end)] & DIGIT) {
        at++;
    }
    return at;
}

/* The first quote, backslash, control character or byte beyond ASCII. */
static inline const unsigned char *skip_plain(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 8) {
        uint64_t word = json_scan_load(at);
        uint64_t stops = json_scan_special(word) | (word & JSON_SCAN_HIGH);
        if (stops != 0) {
            return at + json_scan_index(stops);
        }
        at += 8;
    }
    while (at < end && !(kinds[*at] & STOP)) {
        at++;
    }
    return at;
}

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
    unsigned char letter = peek(at + 1, checker->end);
    if (kinds[letter] & ESCAPE) {
        return at + 2;
    }
    if (letter != 'u') {
        return fail(checker, at, "unknown escape in a string");
    }
    for (int i = 2; i < 6; i++) {
        if (!(kinds[peek(at + i, checker->end)] & HEX)) {
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
    at = skip_plain(at + 1, checker->end);
    while (peek(at, checker->end) != '"') {
        at = check_special(checker, at);
        if (at == NULL) {
            return NULL;
        }
        at = skip_plain(at, checker->end);
    }
    return at + 1;
}

static const unsigned char *check_digits(const struct checker *checker, const unsigned char *at)
{
    const unsigned char *behind = skip_digits(at, checker->end);
    return behind > at ? behind : fail(checker, at, "digit expected");
}

static const unsigned char *check_exponent(const struct checker *checker, const unsigned char *at)
{
    unsigned char sign = peek(at + 1, checker->end);
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
    if (peek(behind, checker->end) == '.') {
        behind = check_digits(checker, behind + 1);
    }
    if (behind != NULL && (peek(behind, checker->end) | 0x20) == 'e') {
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
    switch (peek(at, checker->end)) {
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
        if (at < checker->end && (*at == '-' || kinds[*at] & DIGIT)) {
            return check_number(checker, at);
        }
        return fail(checker, at, "value expected");
    }
}

static const unsigned char *check_member(const struct checker *checker, const unsigned char *at, unsigned depth)
{
    if (peek(at, checker->end) != '"') {
        return fail(checker, at, "name of a member expected");
    }
    at = check_string(checker, at);
    if (at == NULL) {
        return NULL;
    }
    at = skip_white(at, checker->end);
    if (peek(at, checker->end) != ':') {
        return fail(checker, at, "colon expected");
    }
    return check_value(checker, skip_white(at + 1, checker->end), depth);
}

static const unsigned char *check_object(const struct checker *checker, const unsigned char *at, unsigned depth)
{
    if (depth == JSON_MAX_DEPTH) {
        return fail(checker, at, "nested too deeply");
    }
    at = skip_white(at + 1, checker->end);
    if (peek(at, checker->end) == '}') {
        return at + 1;
    }
    for (;;) {
        at = check_member(checker, at, depth + 1);
        if (at == NULL) {
            return NULL;
        }
        at = skip_white(at, checker->end);
        unsigned char byte = peek(at, checker->end);
        if (byte == '}') {
            return at + 1;
        }
        if (byte != ',') {
            return fail(checker, at, "comma or closing brace expected");
        }
        at = skip_white(at + 1, checker->end);
    }
}

static const unsigned char *check_array(const struct checker *checker, const unsigned char *at, unsigned depth)
{
    if (depth == JSON_MAX_DEPTH) {
        return fail(checker, at, "nested too deeply");
    }
    at = skip_white(at + 1, checker->end);
    if (peek(at, checker->end) == ']') {
        return at + 1;
    }
    for (;;) {
        at = check_value(checker, at, depth + 1);
        if (at == NULL) {
            return NULL;
        }
        at = skip_white(at, checker->end);
        unsigned char byte = peek(at, checker->end);
        if (byte == ']') {
            return at + 1;
        }
        if (byte != ',') {
            return fail(checker, at, "comma or closing bracket expected");
        }
        at = skip_white(at + 1, checker->end);
    }
}

bool json_check(struct slice text, struct json_problem *problem)
{
    struct json_problem ignored;
    if (text.data == NULL) {
        text.data = (const unsigned char *)"";
    }
    const struct checker checker = {text.data, text.data + text.size, problem != NULL ? problem : &ignored};
    const unsigned char *at = check_value(&checker, skip_white(text.data, checker.end), 0);
    if (at == NULL) {
        return false;
    }
    at = skip_white(at, checker.end);
    return at == checker.end || fail(&checker, at, "more text after the value") != NULL;
}

/* Walking: the text was checked before, so these functions only look for the ends of things. They stop at the end of
 * the bytes all the same. */

struct slice json_trim(struct slice value)
{
    while (value.size > 0 && kinds[value.data[0]] & WHITE) {
        value.data++;
        value.size--;
    }
    while (value.size > 0 && kinds[value.data[value.size - 1]] & WHITE) {
        value.size--;
    }
    return value;
}

enum json_type json_type(struct slice value)
{
    switch (json_trim(value).size > 0 ? json_trim(value).data[0] : 0) {
    case 0:
        return JSON_NONE;
    case 'n':
        return JSON_NULL;
    case 'f':
        return JSON_FALSE;
    case 't':
        return JSON_TRUE;
    case '"':
        return JSON_STRING;
    case '[':
        return JSON_ARRAY;
    case '{':
        return JSON_OBJECT;
    default:
        return JSON_NUMBER;
    }
}

/* From the first byte of a string's body to its closing quote. */
static inline const unsigned char *find_quote(const unsigned char *at, const unsigned char *end)
{
    for (;;) {
        at = skip_plain(at, end);
        if (at >= end || *at == '"') {
            return at;
        }
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    }
}

static const unsigned char *skip_container(const unsigned char *at, const unsigned char *end)
{
    unsigned depth = 0;
    while (at < end) {
        unsigned char byte = *at++;
        if (byte == '"') {
            at = find_quote(at, end);
            at += at < end;
        } else if (byte == '{' || byte == '[') {
            depth++;
        } else if ((byte == '}' || byte == ']') && --depth == 0) {
            break;
        }
    }
    return at;
}

static inline const unsigned char *skip_scalar(const unsigned char *at, const unsigned char *end)
{
    while (at < end && *at != ',' && *at != '}' && *at != ']' && !(kinds[*at] & WHITE)) {
        at++;
    }
    return at;
}

static inline const unsigned char *skip_value(const unsigned char *at, const unsigned char *end)
{
    unsigned char byte = peek(at, end);
    if (byte == '"') {
        at = find_quote(at + 1, end);
        return at + (at < end);
    }
    return byte == '{' || byte == '[' ? skip_container(at, end) : skip_scalar(at, end);
}

struct json_walk json_walk(struct slice container)
{
    const unsigned char *end = container.size > 0 ? container.data + container.size : container.data;
    const unsigned char *at = skip_white(container.data, end);
    return (struct json_walk){at < end ? at + 1 : at, end};
}

/* To the next element or name, over the comma before it; false at the end of the container. */
static inline bool step(struct json_walk *walk)
{
    walk->at = skip_white(walk->at, walk->end);
    if (peek(walk->at, walk->end) == ',') {
        walk->at = skip_white(walk->at + 1, walk->end);
    }
    unsigned char byte = peek(walk->at, walk->end);
    return byte != '}' && byte != ']' && byte != '\0';
}

static inline void take_value(struct json_walk *walk, struct slice *value)
{
    const unsigned char *start = walk->at;
    walk->at = skip_value(start, walk->end);
    *value = slice_of(start, (size_t)(walk->at - start));
}

bool json_next_element(struct json_walk *walk, struct slice *value)
{
    if (!step(walk)) {
        return false;
    }
    take_value(walk, value);
    return true;
}

bool json_next_member(struct json_walk *walk, struct slice *name, struct slice *value)
{
    if (!step(walk)) {
        return false;
    }
    const unsigned char *start = walk->at + 1;
    const unsigned char *quote = find_quote(start, walk->end);
    *name = slice_of(start, (size_t)(quote - start));
    walk->at = skip_white(quote + (quote < walk->end), walk->end);
    walk->at = skip_white(walk->at + (walk->at < walk->end), walk->end);
    take_value(walk, value);
    return true;
}

bool json_member(struct slice object, struct slice name, struct slice *value)
{
    struct json_walk walk = json_walk(object);
    struct slice raw;
    struct slice candidate;
    bool found = false;
    while (json_next_member(&walk, &raw, &candidate)) {
        if (json_string_equal(raw, name)) {
            *value = candidate;
            found = true;
        }
    }
    return found;
}

/* Scalars. */

static unsigned hex_value(const unsigned char *at, const unsigned char *end)
{
    unsigned value = 0;
    for (int i = 0; i < 4 && at + i < end; i++) {
        unsigned char digit = at[i];
        value = value << 4 | (kinds[digit] & DIGIT ? digit - '0' : ((digit | 0x20) - 'a' + 10) & 0xf);
    }
    return value;
}

/* The code point of \uXXXX or of a pair of them at `*at`; half a surrogate pair becomes U+FFFD. */
static uint32_t take_code_point(const unsigned char **at, const unsigned char *end)
{
    uint32_t first = hex_value(*at + 2, end);
    *at += end - *at < 6 ? end - *at : 6;
    if (first < 0xd800 || first > 0xdfff) {
        return first;
    }
    if (first < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        uint32_t second = hex_value(*at + 2, end);
        if (second >= 0xdc00 && second <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        }
    }
    return 0xfffd;
}

static size_t encode_utf8(uint32_t code, unsigned char out[4])
{
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (unsigned char)(0xc0 | code >> 6);
        out[1] = (unsigned char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (unsigned char)(0xe0 | code >> 12);
        out[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | code >> 18);
    out[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (code & 0x3f));
    return 4;
}

/* Decodes the escape at `*at` into 1 to 4 bytes. */
static size_t take_escape(const unsigned char **at, const unsigned char *end, unsigned char out[4])
{
    static const unsigned char letters[256] = {['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    unsigned char letter = peek(*at + 1, end);
    if (letter == 'u') {
        return encode_utf8(take_code_point(at, end), out);
    }
    *at += end - *at < 2 ? 1 : 2;
    out[0] = letters[letter] != 0 ? letters[letter] : letter;
    return 1;
}

bool json_has_escape(struct slice raw)
{
    return raw.size > 0 && memchr(raw.data, '\\', raw.size) != NULL;
}

bool json_string_equal(struct slice raw, struct slice text)
{
    if (raw.size < text.size) {
        return false; /* no escape is shorter than what it stands for */
    }
    const unsigned char *at = raw.data;
    const unsigned char *end = raw.size > 0 ? at + raw.size : at;
    const unsigned char *wanted = text.data;
    size_t left = text.size;
    while (at < end) {
        unsigned char decoded[4] = {*at};
        size_t size = 1;
        if (*at == '\\') {
            size = take_escape(&at, end, decoded);
        } else {
            at++;
        }
        if (left < size || memcmp(wanted, decoded, size) != 0) {
            return false;
        }
        wanted += size;
        left -= size;
    }
    return left == 0;
}

void json_decode_string(struct slice value, struct bytes *out)
{
    struct slice trimmed = json_trim(value);
    const unsigned char *at = trimmed.data;
    const unsigned char *end = at;
    if (trimmed.size >= 2) {
        at++;
        end += trimmed.size - 1;
    }
    while (at < end) {
        const unsigned char *backslash = memchr(at, '\\', (size_t)(end - at));
        const unsigned char *plain_end = backslash != NULL ? backslash : end;
        bytes_append(out, at, (size_t)(plain_end - at));
        at = plain_end;
        if (at < end) {
            unsigned char decoded[4];
            size_t size = take_escape(&at, end, decoded);
            bytes_append(out, decoded, size);
        }
    }
}

/* The digits of a number as mantissa * 10^exponent; not exact when there are too many of them. */
struct decimal {
    bool negative;
    bool exact;   /* the mantissa holds all digits */
    bool integer; /* no point, no exponent */
    uint64_t mantissa;
    int64_t exponent;
};

static const unsigned char *take_mantissa(const unsigned char *at, const unsigned char *end, struct decimal *decimal)
{
    for (; kinds[peek(at, end)] & DIGIT; at++) {
        unsigned digit = *at - (unsigned)'0';
        if (decimal->mantissa > (UINT64_MAX - digit) / 10) {
            decimal->exact = false;
        }
        decimal->mantissa = decimal->mantissa * 10 + digit;
    }
    return at;
}

static int64_t take_exponent(const unsigned char *at, const unsigned char *end)
{
    bool negative = peek(at, end) == '-';
    int64_t exponent = 0;
    at += negative || peek(at, end) == '+';
    for (; kinds[peek(at, end)] & DIGIT && exponent < 100000; at++) {
        exponent = exponent * 10 + (*at - '0');
    }
    return negative ? -exponent : exponent;
}

static struct decimal take_decimal(const unsigned char *at, const unsigned char *end)
{
    struct decimal decimal = {.negative = peek(at, end) == '-', .exact = true, .integer = true};
    at = take_mantissa(at + decimal.negative, end, &decimal);
    if (peek(at, end) == '.') {
        const unsigned char *fraction = at + 1;
        at = take_mantissa(fraction, end, &decimal);
        decimal.exponent = fraction - at;
        decimal.integer = false;
    }
    if ((peek(at, end) | 0x20) == 'e') {
        decimal.exponent += take_exponent(at + 1, end);
        decimal.integer = false;
    }
    return decimal;
}

/* Both factors are doubles without rounding, so that one division or multiplication rounds correctly. */
static bool small_real(const struct decimal *decimal, double *real)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!decimal->exact || decimal->mantissa > (uint64_t)1 << 53 || decimal->exponent < -22 || decimal->exponent > 22) {
        return false;
    }
    double mantissa = (double)decimal->mantissa;
    double value = decimal->exponent < 0 ? mantissa / powers[-decimal->exponent] : mantissa * powers[decimal->exponent];
    *real = decimal->negative ? -value : value;
    return true;
}

static double real_of_text(struct slice value)
{
    char small[128];
    char *text = value.size < sizeof small ? small : memory_resize(NULL, value.size + 1);
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    double real = strtod(text, NULL);
    if (text != small) {
        free(text);
    }
    return real;
}

bool json_number(struct slice value, int64_t *integer, double *real)
{
    struct slice trimmed = json_trim(value);
    if (trimmed.size == 0) {
        *real = 0;
        return false;
    }
    struct decimal decimal = take_decimal(trimmed.data, trimmed.data + trimmed.size);
    uint64_t limit = (uint64_t)INT64_MAX + decimal.negative;
    if (decimal.integer && decimal.exact && decimal.mantissa <= limit) {
        *integer = (int64_t)(decimal.negative ? 0 - decimal.mantissa : decimal.mantissa);
        return true;
    }
    if (!small_real(&decimal, real)) {
        *real = real_of_text(trimmed);
    }
    return false;
}
