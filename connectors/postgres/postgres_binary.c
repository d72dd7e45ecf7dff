#include "connectors/postgres/postgres_binary.h"

#include "base/clock.h"
#include "base/json.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>

#define ZERO_MS INT64_C(946684800000) /* PostgreSQL's times begin in the year 2000 */
#define FIRST_MS INT64_C(-62135596800000)
#define LAST_MS INT64_C(253402300799999) /* the years 1 to 9999 */
#define DAY_MS INT64_C(86400000)
#define SHORT_TEXT 48

static void append_u16(struct bytes *out, uint16_t value)
{
    value = htobe16(value);
    memcpy(bytes_reserve(out, 2), &value, 2);
    out->size += 2;
}

static void append_u32(struct bytes *out, uint32_t value)
{
    value = htobe32(value);
    memcpy(bytes_reserve(out, 4), &value, 4);
    out->size += 4;
}

static void append_u64(struct bytes *out, uint64_t value)
{
    value = htobe64(value);
    memcpy(bytes_reserve(out, 8), &value, 8);
    out->size += 8;
}

/* ---- numbers ---- */

static bool integer_of(const struct rows_field *field, int64_t least, int64_t most, int64_t *integer)
{
    double real;
    return field->kind == ROWS_INTEGER && json_number(field->text, integer, &real) && *integer >= least &&
           *integer <= most;
}

static bool append_int2(struct bytes *out, const struct rows_field *field)
{
    int64_t integer = 0;
    bool good = integer_of(field, INT16_MIN, INT16_MAX, &integer);
    append_u16(out, (uint16_t)integer);
    return good;
}

static bool append_int4(struct bytes *out, const struct rows_field *field)
{
    int64_t integer = 0;
    bool good = integer_of(field, INT32_MIN, INT32_MAX, &integer);
    append_u32(out, (uint32_t)integer);
    return good;
}

static bool append_int8(struct bytes *out, const struct rows_field *field)
{
    int64_t integer = 0;
    bool good = integer_of(field, INT64_MIN, INT64_MAX, &integer);
    append_u64(out, (uint64_t)integer);
    return good;
}

/* The text of a number or string without escapes, ended by a zero byte, when it is short. */
static bool short_text(const struct rows_field *field, char text[SHORT_TEXT])
{
    struct slice body = field->text;
    if (field->kind == ROWS_STRING && body.size >= 2) {
        body = slice_of(body.data + 1, body.size - 2);
    }
    if (body.size == 0 || body.size >= SHORT_TEXT || memchr(body.data, '\\', body.size)) {
        return false;
    }
    memcpy(text, body.data, body.size);
    text[body.size] = 0;
    return true;
}

static bool is_number(const struct rows_field *field)
{
    return field->kind == ROWS_INTEGER || field->kind == ROWS_REAL;
}

/* What is too large or too small for the type is left to the server, which refuses it; so are signs of zeroes. */
static bool is_zero(struct slice text)
{
    size_t zeroes = 0;
    while (zeroes < text.size && (text.data[zeroes] == '0' || text.data[zeroes] == '.')) {
        zeroes++;
    }
    return zeroes == text.size;
}

static bool append_float4(struct bytes *out, const struct rows_field *field)
{
    char text[SHORT_TEXT];
    if (!is_number(field) || !short_text(field, text)) {
        return false;
    }
    float real = strtof(text, NULL);
    uint32_t bits;
    memcpy(&bits, &real, sizeof(bits));
    append_u32(out, bits);
    return isfinite(real) && (real != 0 || is_zero(field->text));
}

static bool append_float8(struct bytes *out, const struct rows_field *field)
{
    int64_t integer;
    double real;
    if (!is_number(field)) {
        return false;
    }
    if (json_number(field->text, &integer, &real)) {
        real = (double)integer;
    }
    uint64_t bits;
    memcpy(&bits, &real, sizeof(bits));
    append_u64(out, bits);
    return isfinite(real) && (real != 0 || is_zero(field->text));
}

static bool append_bool(struct bytes *out, const struct rows_field *field)
{
    bytes_append_byte(out, field->text.data[0] == 't');
    return field->kind == ROWS_BOOL;
}

/* ---- texts ---- */

/* A string that is decoded to what PostgreSQL's text can hold: no zero byte, which only an escape can bring. */
static bool append_text(struct bytes *out, const struct rows_field *field)
{
    if (field->kind != ROWS_STRING) {
        bytes_append_slice(out, field->text);
        return true;
    }
    struct slice body = slice_of(field->text.data + 1, field->text.size - 2);
    if (!json_has_escape(body)) {
        bytes_append_slice(out, body);
        return true;
    }
    size_t start = out->size;
    json_decode_string(field->text, out);
    return out->size == start || !memchr(out->data + start, 0, out->size - start);
}

static bool append_json(struct bytes *out, const struct rows_field *field)
{
    bytes_append_slice(out, field->text);
    return true;
}

static bool append_jsonb(struct bytes *out, const struct rows_field *field)
{
    bytes_append_byte(out, 1); /* version */
    bytes_append_slice(out, field->text);
    return true;
}

static bool append_bytea(struct bytes *out, const struct rows_field *field)
{
    struct slice body = slice_of(field->text.data + 1, field->text.size - 1);
    if (field->kind != ROWS_STRING || json_has_escape(body)) {
        return false;
    }
    return json_base64_decode(slice_of(body.data, body.size - 1), out);
}

static int hex_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
           : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                        : -1;
}

/* "7c9e6679-7425-40de-944b-e07fc1f90ae7" and no other spelling */
static bool append_uuid(struct bytes *out, const struct rows_field *field)
{
    char text[SHORT_TEXT];
    if (field->kind != ROWS_STRING || !short_text(field, text) || strlen(text) != 36) {
        return false;
    }
    for (size_t i = 0; i < 36; i += 2) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-') {
                return false;
            }
            i++;
        }
        int high = hex_digit((unsigned char)text[i]), low = hex_digit((unsigned char)text[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        bytes_append_byte(out, (unsigned char)(high << 4 | low));
    }
    return true;
}

/* ---- times ---- */

static bool within_years(int64_t ms)
{
    return ms >= FIRST_MS && ms <= LAST_MS;
}

/* Digits four to six of the fraction of a second; false: there are more. */
static bool read_micros(const char *text, int64_t *micros)
{
    const char *point = strchr(text, '.');
    size_t digits = point ? strspn(point + 1, "0123456789") : 0;
    int64_t scale = 100;
    *micros = 0;
    for (size_t i = 3; i < digits && i < 6; i++) {
        *micros += (point[i + 1] - '0') * scale;
        scale /= 10;
    }
    return digits <= 6;
}

/* Milliseconds since 1970, or "2024-05-01T10:15:00Z" with at most six digits of a second. Without a zone it is UTC, as
 * the session's time zone is; other zones mean different things to the two types of timestamps. */
static bool append_timestamp(struct bytes *out, const struct rows_field *field)
{
    char text[SHORT_TEXT];
    int64_t ms = 0, micros = 0;
    if (field->kind == ROWS_STRING) {
        if (!short_text(field, text) || strlen(text) < 19 || text[4] != '-' ||
            text[19 + strspn(text + 19, ".0123456789Z")] || clock_parse_time(text, &ms) ||
            !read_micros(text, &micros)) {
            return false;
        }
    } else if (!integer_of(field, FIRST_MS, LAST_MS, &ms)) {
        return false;
    }
    append_u64(out, (uint64_t)((ms - ZERO_MS) * 1000 + micros));
    return within_years(ms);
}

/* "2024-05-01" */
static bool append_date(struct bytes *out, const struct rows_field *field)
{
    char text[SHORT_TEXT];
    int64_t ms;
    if (field->kind != ROWS_STRING || !short_text(field, text) || strlen(text) != 10 || text[4] != '-' ||
        clock_parse_time(text, &ms)) {
        return false;
    }
    append_u32(out, (uint32_t)(int32_t)((ms - ZERO_MS) / DAY_MS));
    return within_years(ms);
}

/* ---- numeric ---- */

struct digits {
    const char *integer; /* before the point, without leading zeroes */
    size_t integers;
    const char *fraction;
    size_t fractions;
};

static int digit_at(const struct digits *digits, int64_t place) /* 0: just before the point; -1: just behind it */
{
    if (place >= 0) {
        return place < (int64_t)digits->integers ? digits->integer[(int64_t)digits->integers - 1 - place] - '0' : 0;
    }
    return -place <= (int64_t)digits->fractions ? digits->fraction[-place - 1] - '0' : 0;
}

static uint16_t group_at(const struct digits *digits, int64_t group) /* four digits; 0: just before the point */
{
    int value = 0;
    for (int64_t place = group * 4 + 3; place >= group * 4; place--) {
        value = value * 10 + digit_at(digits, place);
    }
    return (uint16_t)value;
}

static void append_digits(struct bytes *out, const struct digits *digits, bool negative)
{
    int64_t high = ((int64_t)digits->integers + 3) / 4 - 1;
    int64_t low = -(((int64_t)digits->fractions + 3) / 4);
    while (high >= low && group_at(digits, high) == 0) {
        high--;
    }
    while (low <= high && group_at(digits, low) == 0) {
        low++;
    }
    bool zero = high < low;
    append_u16(out, zero ? 0 : (uint16_t)(high - low + 1));
    append_u16(out, zero ? 0 : (uint16_t)high); /* weight of the first group */
    append_u16(out, negative && !zero ? 0x4000 : 0);
    append_u16(out, (uint16_t)digits->fractions);
    for (int64_t group = high; group >= low; group--) {
        append_u16(out, group_at(digits, group));
    }
}

/* A number or the text of one; what has an exponent goes as text. */
static bool append_numeric(struct bytes *out, const struct rows_field *field)
{
    char text[SHORT_TEXT];
    if ((!is_number(field) && field->kind != ROWS_STRING) || !short_text(field, text)) {
        return false;
    }
    bool negative = text[0] == '-';
    const char *at = text + negative;
    at += strspn(at, "0");
    struct digits digits = {.integer = at, .integers = strspn(at, "0123456789")};
    at += digits.integers;
    if (*at == '.') {
        digits.fraction = at + 1;
        digits.fractions = strspn(at + 1, "0123456789");
        at += 1 + digits.fractions;
    }
    if (*at || text[negative] < '0' || text[negative] > '9') {
        return false;
    }
    append_digits(out, &digits, negative);
    return true;
}

/* ---- all ---- */

const struct postgres_binary *postgres_binary_find(const char *type)
{
    static const struct postgres_binary list[] = {
        {"int8", "bigint[]", 20, append_int8},
        {"int4", "integer[]", 23, append_int4},
        {"int2", "smallint[]", 21, append_int2},
        {"text", "text[]", POSTGRES_BINARY_TEXT, append_text},
        {"varchar", "text[]", POSTGRES_BINARY_TEXT, append_text},
        {"bpchar", "text[]", POSTGRES_BINARY_TEXT, append_text},
        {"float8", "double precision[]", 701, append_float8},
        {"float4", "real[]", 700, append_float4},
        {"numeric", "numeric[]", 1700, append_numeric},
        {"bool", "boolean[]", 16, append_bool},
        {"timestamptz", "timestamp with time zone[]", 1184, append_timestamp},
        {"timestamp", "timestamp without time zone[]", 1114, append_timestamp},
        {"date", "date[]", 1082, append_date},
        {"uuid", "uuid[]", 2950, append_uuid},
        {"jsonb", "jsonb[]", 3802, append_jsonb},
        {"json", "json[]", 114, append_json},
        {"bytea", "bytea[]", 17, append_bytea},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (strcmp(type, list[i].type) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

bool postgres_binary_append(struct bytes *out, const struct postgres_binary *binary, const struct rows_field *field)
{
    size_t start = out->size;
    append_u32(out, 0);
    if (!binary->append(out, field)) {
        out->size = start;
        return false;
    }
    uint32_t size = htobe32((uint32_t)(out->size - start - 4));
    memcpy(out->data + start, &size, 4);
    return true;
}

void postgres_binary_text(struct bytes *out, struct slice text)
{
    append_u32(out, (uint32_t)text.size);
    bytes_append_slice(out, text);
}

void postgres_binary_null(struct bytes *out)
{
    append_u32(out, UINT32_MAX);
}

void postgres_binary_array_header(unsigned char *at, uint32_t element, size_t count, bool nulls)
{
    /* One dimension whose first index is 1. */
    const uint32_t header[] = {htobe32(1), htobe32(nulls), htobe32(element), htobe32((uint32_t)count), htobe32(1)};
    memcpy(at, header, sizeof(header));
}
