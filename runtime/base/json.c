#include "base/json.h"

#include "base/json_scan.h"
#include "base/memory.h"

#include <stdlib.h>

/* Walking: the text was checked before, so these functions only look for the ends of things. They stop at the end of
 * the bytes all the same. */

struct slice json_trim(struct slice value)
{
    while (value.size > 0 && json_kinds[value.data[0]] & JSON_WHITE) {
        value.data++;
        value.size--;
    }
    while (value.size > 0 && json_kinds[value.data[value.size - 1]] & JSON_WHITE) {
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
    while (at < end) {
        if (end - at >= 8) {
            uint64_t word = json_scan_load(at);
            uint64_t stops = json_scan_equal(word, '"') | json_scan_equal(word, '\\');
            if (stops == 0) {
                at += 8;
                continue;
            }
            at += json_scan_index(stops);
        }
        if (*at == '"') {
            break;
        }
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    }
    return at;
}

static const unsigned char *skip_container(const unsigned char *at, const unsigned char *end)
{
    unsigned depth = 0;
    for (; at < end; at++) {
        if (!(json_kinds[*at] & JSON_NEST)) {
            continue;
        }
        if (*at == '"') {
            at = find_quote(at + 1, end);
            if (at == end) {
                break;
            }
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (--depth == 0) {
            return at + 1;
        }
    }
    return end;
}

static inline const unsigned char *skip_scalar(const unsigned char *at, const unsigned char *end)
{
    while (at < end && !(json_kinds[*at] & JSON_END)) {
        at++;
    }
    return at;
}

static inline const unsigned char *skip_value(const unsigned char *at, const unsigned char *end)
{
    unsigned char byte = json_scan_peek(at, end);
    if (byte == '"') {
        at = find_quote(at + 1, end);
        return at + (at < end);
    }
    return byte == '{' || byte == '[' ? skip_container(at, end) : skip_scalar(at, end);
}

struct json_walk json_walk(struct slice container)
{
    const unsigned char *end = container.size > 0 ? container.data + container.size : container.data;
    const unsigned char *at = json_scan_skip_white(container.data, end);
    return (struct json_walk){at < end ? at + 1 : at, end};
}

/* To the next element or name, over the comma before it; false at the end of the container. */
static inline bool step(struct json_walk *walk)
{
    walk->at = json_scan_skip_white(walk->at, walk->end);
    if (json_scan_peek(walk->at, walk->end) == ',') {
        walk->at = json_scan_skip_white(walk->at + 1, walk->end);
    }
    unsigned char byte = json_scan_peek(walk->at, walk->end);
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
    walk->at = json_scan_skip_white(quote + (quote < walk->end), walk->end);
    walk->at = json_scan_skip_white(walk->at + (walk->at < walk->end), walk->end);
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
        value = value << 4 | (json_kinds[digit] & JSON_DIGIT ? digit - '0' : ((digit | 0x20) - 'a' + 10) & 0xf);
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
    unsigned char letter = json_scan_peek(*at + 1, end);
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

/* Slow only for names that begin alike and go on with an escape. */
bool json_string_equal(struct slice raw, struct slice text)
{
    const unsigned char *at = raw.data;
    const unsigned char *end = raw.size > 0 ? at + raw.size : at;
    const unsigned char *wanted = text.data;
    size_t left = text.size;
    while (at < end) {
        if (*at != '\\') {
            if (left == 0 || *at != *wanted) {
                return false;
            }
            at++;
            wanted++;
            left--;
            continue;
        }
        unsigned char decoded[4];
        size_t size = take_escape(&at, end, decoded);
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
    for (; json_kinds[json_scan_peek(at, end)] & JSON_DIGIT; at++) {
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
    bool negative = json_scan_peek(at, end) == '-';
    int64_t exponent = 0;
    at += negative || json_scan_peek(at, end) == '+';
    for (; json_kinds[json_scan_peek(at, end)] & JSON_DIGIT && exponent < 100000; at++) {
        exponent = exponent * 10 + (*at - '0');
    }
    return negative ? -exponent : exponent;
}

static struct decimal take_decimal(const unsigned char *at, const unsigned char *end)
{
    struct decimal decimal = {.negative = json_scan_peek(at, end) == '-', .exact = true, .integer = true};
    at = take_mantissa(at + decimal.negative, end, &decimal);
    if (json_scan_peek(at, end) == '.') {
        const unsigned char *fraction = at + 1;
        at = take_mantissa(fraction, end, &decimal);
        decimal.exponent = fraction - at;
        decimal.integer = false;
    }
    if ((json_scan_peek(at, end) | 0x20) == 'e') {
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

/* What most numbers are: up to eighteen bytes, digits and perhaps a point among them. False: this one is more. */
static bool short_decimal(struct slice value, struct decimal *decimal)
{
    const unsigned char *end = value.data + value.size;
    const unsigned char *point = NULL;
    bool negative = value.size > 0 && value.data[0] == '-';
    uint64_t mantissa = 0;
    for (const unsigned char *at = value.data + negative; at < end; at++) {
        unsigned digit = *at - (unsigned)'0';
        if (digit <= 9) {
            mantissa = mantissa * 10 + digit;
        } else if (*at == '.' && point == NULL) {
            point = at;
        } else {
            return false;
        }
    }
    *decimal = (struct decimal){negative, true, point == NULL, mantissa, point != NULL ? point + 1 - end : 0};
    return value.size > negative;
}

bool json_number(struct slice value, int64_t *integer, double *real)
{
    struct decimal decimal;
    if (value.size > 18 || !short_decimal(value, &decimal)) {
        value = json_trim(value);
        decimal = take_decimal(value.data, value.data + value.size);
    }
    uint64_t limit = (uint64_t)INT64_MAX + decimal.negative;
    if (decimal.integer && decimal.exact && decimal.mantissa <= limit) {
        *integer = (int64_t)(decimal.negative ? 0 - decimal.mantissa : decimal.mantissa);
        return true;
    }
    if (!small_real(&decimal, real)) {
        *real = real_of_text(value);
    }
    return false;
}
