#include "cli/record_json.h"

#include <string.h>

#include "base/json.h"

/* Only a text of this size can nest so deep that an object around it is too deep. */
#define DEEP_SIZE (2 * (JSON_MAX_DEPTH - 1))

/* ---- printing ---- */

/* JSON that may stand in the line as it is: one value, nothing around it, no line end inside. */
static bool stands_as_json(struct slice value)
{
    if (value.size == 0 || !json_check(value, NULL) || memchr(value.data, '\n', value.size) != NULL ||
        memchr(value.data, '\r', value.size) != NULL) {
        return false;
    }
    struct slice trimmed = json_trim(value);
    size_t opening = 0;
    for (size_t i = 0; value.size >= DEEP_SIZE && i < value.size; i++) {
        opening += value.data[i] == '[' || value.data[i] == '{';
    }
    return trimmed.size == value.size && json_type(value) != JSON_NULL && opening < JSON_MAX_DEPTH - 1;
}

static void print_base64(struct json_writer *writer, struct slice data)
{
    struct bytes text = {0};
    json_base64_encode(data, &text);
    json_string(writer, bytes_slice(&text));
    bytes_free(&text);
}

void record_print_datum(struct json_writer *writer, const char *name, const char *encoding_name, bool json,
                        struct slice data)
{
    json_name(writer, slice_text(name));
    if (slice_is_null(data)) {
        json_null(writer);
    } else if (json && stands_as_json(data)) {
        json_raw(writer, data);
    } else if (json_utf8_valid(data)) {
        json_string(writer, data);
        if (json) {
            json_name(writer, slice_text(encoding_name));
            json_text(writer, "string");
        }
    } else {
        print_base64(writer, data);
        json_name(writer, slice_text(encoding_name));
        json_text(writer, "base64");
    }
}

static void print_text_or_base64(struct json_writer *writer, struct slice data)
{
    if (slice_is_null(data)) {
        json_null(writer);
    } else if (json_utf8_valid(data)) {
        json_string(writer, data);
    } else {
        json_begin_object(writer);
        json_name(writer, slice_text("base64"));
        print_base64(writer, data);
        json_end_object(writer);
    }
}

static void print_headers(struct json_writer *writer, const struct headers *headers)
{
    json_name(writer, slice_text("headers"));
    json_begin_array(writer);
    for (size_t i = 0; i < headers->count; i++) {
        json_begin_array(writer);
        print_text_or_base64(writer, headers->list[i].name);
        print_text_or_base64(writer, headers->list[i].value);
        json_end_array(writer);
    }
    json_end_array(writer);
}

void record_print(const struct record *record, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("topic"));
    json_text(&writer, record->topic);
    json_name(&writer, slice_text("partition"));
    json_integer(&writer, record->partition);
    json_name(&writer, slice_text("offset"));
    json_integer(&writer, record->offset);
    json_name(&writer, slice_text("timestamp"));
    json_integer(&writer, record->timestamp);
    record_print_datum(&writer, "key", "key_encoding", false, record->key);
    record_print_datum(&writer, "value", "value_encoding", true, record->value);
    print_headers(&writer, &record->headers);
    json_end_object(&writer);
}

/* ---- parsing ---- */

enum encoding { ENCODING_JSON, ENCODING_STRING, ENCODING_BASE64, ENCODING_COUNT };
static const char *const encoding_names[ENCODING_COUNT] = {"json", "string", "base64"};

static int parse_encoding(struct slice line, const char *name, enum encoding otherwise, enum encoding *encoding,
                          struct err *err)
{
    struct slice value;
    *encoding = otherwise;
    if (!json_member(line, slice_text(name), &value)) {
        return 0;
    }
    for (int i = 0; i < ENCODING_COUNT; i++) {
        if (json_type(value) == JSON_STRING &&
            json_string_equal(slice_of(value.data + 1, value.size - 2), slice_text(encoding_names[i]))) {
            *encoding = (enum encoding)i;
            return 0;
        }
    }
    return err_set(err, ERR_SKIP, ERR_RECORD, "its %s is not \"json\", \"string\" or \"base64\"", name);
}

/* Decoded text of a string, in the scratch memory only when it has escapes. */
static struct slice decode_text(struct slice value, struct arena *scratch)
{
    struct slice raw = slice_of(value.data + 1, value.size - 2);
    if (!json_has_escape(raw)) {
        return raw;
    }
    struct bytes text = {0};
    json_decode_string(value, &text);
    struct slice copy = arena_copy(scratch, bytes_slice(&text));
    bytes_free(&text);
    return copy;
}

static int decode_base64(struct slice value, const char *name, struct arena *scratch, struct slice *data,
                         struct err *err)
{
    struct bytes decoded = {0};
    bool good = json_base64_decode(decode_text(value, scratch), &decoded);
    *data = good ? arena_copy(scratch, bytes_slice(&decoded)) : SLICE_NULL;
    bytes_free(&decoded);
    return good ? 0 : err_set(err, ERR_SKIP, ERR_RECORD, "its %s is not base64", name);
}

static int parse_datum(struct slice line, const char *name, const char *encoding_name, enum encoding otherwise,
                       struct arena *scratch, struct slice *data, struct err *err)
{
    enum encoding encoding;
    struct slice value;
    *data = SLICE_NULL;
    if (parse_encoding(line, encoding_name, otherwise, &encoding, err) != 0) {
        return -1;
    }
    if (!json_member(line, slice_text(name), &value)) {
        return otherwise == ENCODING_STRING ? 0 : err_set(err, ERR_SKIP, ERR_RECORD, "it has no \"%s\"", name);
    }
    if (json_type(value) == JSON_NULL) {
        return 0;
    }
    if (encoding == ENCODING_JSON) {
        *data = value;
        return 0;
    }
    if (json_type(value) != JSON_STRING) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "its %s is not a string although its encoding is \"%s\"", name,
                       encoding_names[encoding]);
    }
    if (encoding == ENCODING_BASE64) {
        return decode_base64(value, name, scratch, data, err);
    }
    *data = decode_text(value, scratch);
    return 0;
}

static int parse_text_or_base64(struct slice value, struct arena *scratch, struct slice *data, struct err *err)
{
    struct slice inner;
    *data = SLICE_NULL;
    switch (json_type(value)) {
    case JSON_NULL:
        return 0;
    case JSON_STRING:
        *data = decode_text(value, scratch);
        return 0;
    case JSON_OBJECT:
        if (json_member(value, slice_text("base64"), &inner) && json_type(inner) == JSON_STRING) {
            return decode_base64(inner, "header", scratch, data, err);
        }
        break;
    default:
        break;
    }
    return err_set(err, ERR_SKIP, ERR_RECORD, "the value of a header is no string, null or {\"base64\": ...}");
}

static int parse_header(struct slice pair, struct arena *scratch, struct header *header, struct err *err)
{
    struct slice name;
    struct slice value;
    struct slice more;
    struct json_walk walk;
    if (json_type(pair) == JSON_ARRAY) {
        walk = json_walk(pair);
        if (json_next_element(&walk, &name) && json_next_element(&walk, &value) && !json_next_element(&walk, &more) &&
            json_type(name) != JSON_NULL) {
            return parse_text_or_base64(name, scratch, &header->name, err) != 0
                       ? -1
                       : parse_text_or_base64(value, scratch, &header->value, err);
        }
    }
    return err_set(err, ERR_SKIP, ERR_RECORD, "a header is not a list of a name and a value");
}

static int parse_headers(struct slice line, struct arena *scratch, struct headers *headers, struct err *err)
{
    struct slice list;
    struct slice pair;
    *headers = (struct headers){NULL, 0};
    if (!json_member(line, slice_text("headers"), &list) || json_type(list) == JSON_NULL) {
        return 0;
    }
    if (json_type(list) != JSON_ARRAY) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "its headers are not a list");
    }
    size_t count = 0;
    for (struct json_walk walk = json_walk(list); json_next_element(&walk, &pair);) {
        count++;
    }
    struct header *parsed = arena_alloc(scratch, count * sizeof *parsed);
    size_t done = 0;
    for (struct json_walk walk = json_walk(list); json_next_element(&walk, &pair); done++) {
        if (parse_header(pair, scratch, &parsed[done], err) != 0) {
            return -1;
        }
    }
    *headers = (struct headers){parsed, count};
    return 0;
}

static int parse_integer(struct slice line, const char *name, int64_t *number, struct err *err)
{
    struct slice value;
    double real;
    *number = -1;
    if (!json_member(line, slice_text(name), &value) || json_type(value) == JSON_NULL) {
        return 0;
    }
    if (json_type(value) != JSON_NUMBER || !json_number(value, number, &real)) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "its %s is not a whole number", name);
    }
    return 0;
}

int record_parse(struct slice line, struct arena *scratch, struct record *record, struct err *err)
{
    int64_t partition = -1;
    *record = (struct record){.offset = -1, .partition = -1, .timestamp = -1};
    if (json_type(line) != JSON_OBJECT) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "it is not an object as `consume --format json` prints them");
    }
    if (parse_datum(line, "key", "key_encoding", ENCODING_STRING, scratch, &record->key, err) != 0 ||
        parse_datum(line, "value", "value_encoding", ENCODING_JSON, scratch, &record->value, err) != 0 ||
        parse_headers(line, scratch, &record->headers, err) != 0 ||
        parse_integer(line, "timestamp", &record->timestamp, err) != 0 ||
        parse_integer(line, "partition", &partition, err) != 0) {
        return -1;
    }
    if (partition < -1 || partition > INT32_MAX) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "its partition is out of range");
    }
    record->partition = (int32_t)partition;
    return 0;
}
