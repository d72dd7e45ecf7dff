#include "connectors/postgres/postgres_value.h"

#include "base/clock.h"
#include "base/json.h"

#include <math.h>

#define SHOWN_BYTES 60 /* of a value in a message */

static int refuse(struct err *err, const struct postgres_column *column, const struct rows_field *field,
                  const char *wanted)
{
    size_t size = field->text.size > SHOWN_BYTES ? SHOWN_BYTES : field->text.size;
    return err_set(err, ERR_SKIP, ERR_RECORD, "Column \"%s\" of type %s can't take %.*s%s: it needs %s", column->name,
                   column->type, (int)size, (const char *)field->text.data, size < field->text.size ? ".." : "",
                   wanted);
}

static bool has_zero(struct slice text)
{
    return text.size > 0 && memchr(text.data, 0, text.size) != NULL;
}

/* Decoded text of a string, which must not have the zero byte that PostgreSQL's text can't hold. */
static int append_string(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                         struct err *err)
{
    size_t start = out->size;
    json_decode_string(field->text, out);
    if (has_zero(slice_of(out->data + start, out->size - start))) {
        return refuse(err, column, field, "text without \\u0000");
    }
    return 0;
}

static int append_plain(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                        struct err *err)
{
    if (field->kind == ROWS_STRING) {
        return append_string(out, column, field, err);
    }
    bytes_append_slice(out, field->text);
    return 0;
}

static int append_bool(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                       struct err *err)
{
    if (field->kind != ROWS_BOOL) {
        return refuse(err, column, field, "true or false");
    }
    bytes_append_slice(out, field->text);
    return 0;
}

/* The server checks the range of integers that come as text. */
static int append_integer_text(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                               struct err *err)
{
    size_t start = out->size;
    json_decode_string(field->text, out);
    size_t digits = start + (out->size > start && (out->data[start] == '-' || out->data[start] == '+'));
    bool good = digits < out->size;
    for (size_t i = digits; i < out->size; i++) {
        good = good && out->data[i] >= '0' && out->data[i] <= '9';
    }
    return good ? 0 : refuse(err, column, field, "an integer");
}

static int append_integer(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                          struct err *err)
{
    int64_t integer = 0;
    double real = 0;
    if (field->kind == ROWS_STRING) {
        return append_integer_text(out, column, field, err);
    }
    if (field->kind != ROWS_INTEGER && field->kind != ROWS_REAL) {
        return refuse(err, column, field, "an integer");
    }
    if (!json_number(field->text, &integer, &real)) {
        if (floor(real) != real || !(real >= -9223372036854775808.0 && real < 9223372036854775808.0)) {
            return refuse(err, column, field, "an integer in its range");
        }
        integer = (int64_t)real;
    }
    int64_t high = column->size == 2 ? INT16_MAX : column->size == 4 ? INT32_MAX : INT64_MAX;
    if (integer > high || integer < -high - 1) {
        return refuse(err, column, field, "an integer in its range");
    }
    bytes_append_format(out, "%lld", (long long)integer);
    return 0;
}

static int append_number(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                         struct err *err)
{
    if (field->kind == ROWS_BOOL || field->kind == ROWS_NESTED) {
        return refuse(err, column, field, "a number");
    }
    return append_plain(out, column, field, err);
}

/* jsonb has no zero byte in text either, and says so without naming the record. */
static int append_json(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                       struct err *err)
{
    (void)column;
    (void)err;
    bytes_append_slice(out, field->text);
    return 0;
}

static int append_bytes(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                        struct err *err)
{
    static const char digits[] = "0123456789abcdef";
    struct bytes text = {0}, data = {0};
    bool good = field->kind == ROWS_STRING;
    if (good) {
        json_decode_string(field->text, &text);
        good = json_base64_decode(bytes_slice(&text), &data);
    }
    if (good) {
        bytes_append_text(out, "\\x");
        for (size_t i = 0; i < data.size; i++) {
            bytes_append_byte(out, (unsigned char)digits[data.data[i] >> 4]);
            bytes_append_byte(out, (unsigned char)digits[data.data[i] & 15]);
        }
    }
    bytes_free(&text);
    bytes_free(&data);
    return good ? 0 : refuse(err, column, field, "text in base64");
}

static int append_time(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                       struct err *err)
{
    int64_t ms = 0;
    double real = 0;
    if (field->kind == ROWS_STRING) {
        return append_string(out, column, field, err);
    }
    if (field->kind != ROWS_INTEGER && field->kind != ROWS_REAL) {
        return refuse(err, column, field, "text such as 2024-05-01T10:15:00Z or milliseconds since 1970");
    }
    if (!json_number(field->text, &ms, &real)) {
        ms = fabs(real) < 1e15 ? (int64_t)floor(real) : INT64_MAX;
    }
    /* The years 1 to 9999 */
    if (ms < INT64_C(-62135596800000) || ms > INT64_C(253402300799999)) {
        return refuse(err, column, field, "milliseconds since 1970 within the years 1 to 9999");
    }
    char text[CLOCK_TEXT_SIZE];
    clock_format_time(ms, text);
    bytes_append_text(out, text);
    return 0;
}

/* Elements of an array: nested arrays stay arrays, everything else is its text. */
static bool append_array(struct bytes *out, struct slice array)
{
    struct json_walk walk = json_walk(array);
    struct slice element;
    struct bytes text = {0};
    bool good = true;
    bytes_append_byte(out, '{');
    for (bool first = true; json_next_element(&walk, &element); first = false) {
        element = json_trim(element);
        bytes_clear(&text);
        if (json_type(element) == JSON_ARRAY) {
            bytes_append_text(out, first ? "" : ",");
            good = append_array(out, element) && good;
            continue;
        }
        if (json_type(element) == JSON_STRING) {
            json_decode_string(element, &text);
        } else {
            bytes_append_slice(&text, element);
        }
        good = good && !has_zero(bytes_slice(&text));
        postgres_value_element(out, bytes_slice(&text), json_type(element) == JSON_NULL, first);
    }
    bytes_append_byte(out, '}');
    bytes_free(&text);
    return good;
}

static int append_array_value(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                              struct err *err)
{
    if (field->kind == ROWS_STRING) {
        return append_string(out, column, field, err);
    }
    if (json_type(field->text) != JSON_ARRAY || !append_array(out, field->text)) {
        return refuse(err, column, field, "an array without \\u0000 in its texts");
    }
    return 0;
}

static int append_other(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                        struct err *err)
{
    if (field->kind == ROWS_BOOL || field->kind == ROWS_NESTED) {
        return refuse(err, column, field, "text in the form of its type");
    }
    return append_plain(out, column, field, err);
}

int postgres_value_append(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                          struct err *err)
{
    static int (*const by_kind[])(struct bytes *, const struct postgres_column *, const struct rows_field *,
                                  struct err *) = {
        [POSTGRES_VALUE_BOOL] = append_bool,     [POSTGRES_VALUE_INTEGER] = append_integer,
        [POSTGRES_VALUE_NUMBER] = append_number, [POSTGRES_VALUE_TEXT] = append_plain,
        [POSTGRES_VALUE_JSON] = append_json,     [POSTGRES_VALUE_BYTES] = append_bytes,
        [POSTGRES_VALUE_TIME] = append_time,     [POSTGRES_VALUE_ARRAY] = append_array_value,
        [POSTGRES_VALUE_OTHER] = append_other,
    };
    return by_kind[column->kind](out, column, field, err);
}

void postgres_value_element(struct bytes *out, struct slice text, bool null, bool first)
{
    bytes_append_text(out, first ? "" : ",");
    if (null) {
        bytes_append_text(out, "NULL");
        return;
    }
    bytes_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') {
            bytes_append_byte(out, '\\');
        }
        bytes_append_byte(out, text.data[i]);
    }
    bytes_append_byte(out, '"');
}

void postgres_value_copy(struct bytes *out, struct slice text, bool null, bool first)
{
    bytes_append_text(out, first ? "" : "\t");
    if (null) {
        bytes_append_text(out, "\\N");
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = text.data[i];
        if (byte == '\\' || byte == '\t' || byte == '\n' || byte == '\r') {
            bytes_append_byte(out, '\\');
            byte = byte == '\t' ? 't' : byte == '\n' ? 'n' : byte == '\r' ? 'r' : '\\';
        }
        bytes_append_byte(out, byte);
    }
}
