#include "connectors/envelope.h"

#include "base/json.h"

#include <math.h>

struct envelope_value envelope_integer(int64_t value)
{
    return (struct envelope_value){.kind = ENVELOPE_INTEGER, .integer = value};
}

struct envelope_value envelope_text(struct slice text)
{
    return (struct envelope_value){.kind = ENVELOPE_TEXT, .text = text};
}

static void write_bytes(struct json_writer *writer, struct slice data)
{
    struct bytes text = {0};
    json_base64_encode(data, &text);
    json_string(writer, bytes_slice(&text));
    bytes_free(&text);
}

static void write_text(struct json_writer *writer, struct slice text)
{
    if (!json_string_checked(writer, text)) {
        write_bytes(writer, text);
    }
}

static void write_integer(struct json_writer *writer, int64_t value)
{
    if (value >= -ENVELOPE_INTEGER_MAX && value <= ENVELOPE_INTEGER_MAX) {
        json_integer(writer, value);
        return;
    }
    struct bytes digits = {0};
    bytes_append_format(&digits, "%lld", (long long)value);
    json_string(writer, bytes_slice(&digits));
    bytes_free(&digits);
}

static void write_real(struct json_writer *writer, double value)
{
    if (!json_real(writer, value)) {
        json_text(writer, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    }
}

static void write_json(struct json_writer *writer, struct slice text)
{
    if (json_check(text, NULL)) {
        json_raw(writer, json_trim(text));
    } else {
        write_text(writer, text);
    }
}

void envelope_write_value(struct json_writer *writer, const struct envelope_value *value)
{
    switch (value->kind) {
    case ENVELOPE_BOOLEAN:
        json_bool(writer, value->integer != 0);
        return;
    case ENVELOPE_INTEGER:
        write_integer(writer, value->integer);
        return;
    case ENVELOPE_REAL:
        write_real(writer, value->real);
        return;
    case ENVELOPE_JSON:
        write_json(writer, value->text);
        return;
    case ENVELOPE_TEXT:
        write_text(writer, value->text);
        return;
    case ENVELOPE_BYTES:
        write_bytes(writer, value->text);
        return;
    case ENVELOPE_NULL:
    case ENVELOPE_UNAVAILABLE:
    case ENVELOPE_ABSENT:
        break;
    }
    json_null(writer);
}

static void write_name(struct json_writer *writer, struct slice name)
{
    if (!json_name_checked(writer, name)) {
        struct bytes text = {0};
        json_base64_encode(name, &text);
        json_name(writer, bytes_slice(&text));
        bytes_free(&text);
    }
}

static void write_fields(struct json_writer *writer, struct envelope_row row)
{
    for (size_t i = 0; i < row.count; i++) {
        const struct envelope_field *field = &row.fields[i];
        if (field->value.kind < ENVELOPE_UNAVAILABLE) {
            write_name(writer, field->name);
            envelope_write_value(writer, &field->value);
        }
    }
}

static void write_row(struct json_writer *writer, const char *name, struct envelope_row row)
{
    json_name(writer, slice_text(name));
    if (!row.fields) {
        json_null(writer);
        return;
    }
    json_begin_object(writer);
    write_fields(writer, row);
    json_end_object(writer);
}

static void write_unavailable(struct json_writer *writer, struct envelope_row row)
{
    bool open = false;
    for (size_t i = 0; i < row.count; i++) {
        if (row.fields[i].value.kind != ENVELOPE_UNAVAILABLE) {
            continue;
        }
        if (!open) {
            json_name(writer, slice_text("unavailable"));
            json_begin_array(writer);
            open = true;
        }
        write_text(writer, row.fields[i].name);
    }
    if (open) {
        json_end_array(writer);
    }
}

void envelope_write(const struct envelope *envelope, struct bytes *out)
{
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("op"));
    json_string(&writer, slice_of(&envelope->op, 1));
    write_row(&writer, "before", envelope->before);
    write_row(&writer, "after", envelope->after);
    json_name(&writer, slice_text("source"));
    json_begin_object(&writer);
    write_fields(&writer, envelope->source);
    write_unavailable(&writer, envelope->after);
    json_end_object(&writer);
    json_name(&writer, slice_text("ts_ms"));
    json_integer(&writer, envelope->ts_ms);
    json_end_object(&writer);
}

bool envelope_write_key(struct envelope_row key, struct bytes *out)
{
    size_t known = 0;
    for (size_t i = 0; i < key.count; i++) {
        known += key.fields[i].value.kind < ENVELOPE_UNAVAILABLE ? 1 : 0;
    }
    if (known == 0) {
        return false;
    }
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    write_fields(&writer, key);
    json_end_object(&writer);
    return true;
}
