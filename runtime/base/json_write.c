#include "base/json_write.h"

#include "base/json_check.h"
#include "base/json_real.h"
#include "base/json_scan.h"

#include <math.h>

static void separate(struct json_writer *writer)
{
    if (writer->comma) {
        bytes_append_byte(writer->out, ',');
    }
    writer->comma = true;
}

static void begin(struct json_writer *writer, unsigned char bracket)
{
    separate(writer);
    bytes_append_byte(writer->out, bracket);
    writer->comma = false;
}

static void end(struct json_writer *writer, unsigned char bracket)
{
    bytes_append_byte(writer->out, bracket);
    writer->comma = true;
}

void json_begin_object(struct json_writer *writer)
{
    begin(writer, '{');
}

void json_end_object(struct json_writer *writer)
{
    end(writer, '}');
}

void json_begin_array(struct json_writer *writer)
{
    begin(writer, '[');
}

void json_end_array(struct json_writer *writer)
{
    end(writer, ']');
}

/* The first byte that can't stand in a string as it is. */
static const unsigned char *skip_unescaped(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 8) {
        uint64_t stops = json_scan_special(json_scan_load(at));
        if (stops != 0) {
            return at + json_scan_index(stops);
        }
        at += 8;
    }
    while (at < end && *at >= 0x20 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

static void append_escape(struct bytes *out, unsigned char byte)
{
    static const char letters[256] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    static const char hex[] = "0123456789abcdef";
    if (letters[byte] != 0) {
        const char escape[2] = {'\\', letters[byte]};
        bytes_append(out, escape, 2);
        return;
    }
    const char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 0xf]};
    bytes_append(out, escape, 6);
}

/* Any byte that can't stand in a string as it is, or beyond ASCII. */
static inline uint64_t unusual(uint64_t word)
{
    return (json_scan_special(word) | word) & JSON_SCAN_HIGH;
}

/* Whether the text can stand in a string as it is, and is ASCII: what most names and texts are. */
static bool is_plain(struct slice text)
{
    const unsigned char *at = text.data;
    size_t left = text.size;
    uint64_t found = 0;
    for (; left >= 8; left -= 8, at += 8) {
        found |= unusual(json_scan_load(at));
    }
    if (left > 0 && text.size >= 8) {
        found |= unusual(json_scan_load(at + left - 8)); /* some of it for the second time */
        left = 0;
    }
    for (; left > 0; left--, at++) {
        found |= json_kinds[*at] & JSON_STOP;
    }
    return found == 0;
}

static void append_plain(struct bytes *out, struct slice text)
{
    unsigned char *at = bytes_reserve(out, text.size + 2);
    at[0] = '"';
    memcpy(at + 1, text.size > 0 ? text.data : at, text.size);
    at[text.size + 1] = '"';
    out->size += text.size + 2;
}

static void append_quoted(struct bytes *out, struct slice text)
{
    bytes_reserve(out, text.size + 2);
    bytes_append_byte(out, '"');
    const unsigned char *at = text.data;
    const unsigned char *behind = text.size > 0 ? at + text.size : at;
    while (at < behind) {
        const unsigned char *stop = skip_unescaped(at, behind);
        bytes_append(out, at, (size_t)(stop - at));
        at = stop;
        if (at < behind) {
            append_escape(out, *at++);
        }
    }
    bytes_append_byte(out, '"');
}

void json_name(struct json_writer *writer, struct slice name)
{
    separate(writer);
    append_quoted(writer->out, name);
    bytes_append_byte(writer->out, ':');
    writer->comma = false;
}

void json_string(struct json_writer *writer, struct slice text)
{
    separate(writer);
    append_quoted(writer->out, text);
}

bool json_string_checked(struct json_writer *writer, struct slice text)
{
    bool plain = is_plain(text);
    if (!plain && !json_utf8_valid(text)) {
        return false;
    }
    separate(writer);
    if (plain) {
        append_plain(writer->out, text);
    } else {
        append_quoted(writer->out, text);
    }
    return true;
}

bool json_name_checked(struct json_writer *writer, struct slice name)
{
    if (!json_string_checked(writer, name)) {
        return false;
    }
    bytes_append_byte(writer->out, ':');
    writer->comma = false;
    return true;
}

void json_text(struct json_writer *writer, const char *text)
{
    if (text == NULL) {
        json_null(writer);
    } else {
        json_string(writer, slice_text(text));
    }
}

/* Writes the digits so that they end before `behind`; returns where they start. */
static char *digits_before(char *behind, uint64_t number)
{
    do {
        *--behind = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return behind;
}

void json_integer(struct json_writer *writer, int64_t value)
{
    char text[24];
    char *behind = text + sizeof text;
    char *start = digits_before(behind, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    if (value < 0) {
        *--start = '-';
    }
    separate(writer);
    bytes_append(writer->out, start, (size_t)(behind - start));
}

bool json_real(struct json_writer *writer, double value)
{
    if (!isfinite(value)) {
        return false;
    }
    separate(writer);
    json_real_append(writer->out, value);
    return true;
}

void json_bool(struct json_writer *writer, bool value)
{
    separate(writer);
    bytes_append_text(writer->out, value ? "true" : "false");
}

void json_null(struct json_writer *writer)
{
    separate(writer);
    bytes_append(writer->out, "null", 4);
}

void json_raw(struct json_writer *writer, struct slice value)
{
    separate(writer);
    bytes_append_slice(writer->out, value);
}

static const char base64_letters[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void json_base64_encode(struct slice data, struct bytes *out)
{
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t group = (uint32_t)data.data[i] << 16;
        group |= left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
        group |= left > 2 ? data.data[i + 2] : 0;
        const char text[4] = {base64_letters[group >> 18], base64_letters[group >> 12 & 63],
                              left > 1 ? base64_letters[group >> 6 & 63] : '=',
                              left > 2 ? base64_letters[group & 63] : '='};
        bytes_append(out, text, 4);
    }
}

static int base64_value(unsigned char letter)
{
    if (letter >= 'A' && letter <= 'Z') {
        return letter - 'A';
    }
    if (letter >= 'a' && letter <= 'z') {
        return letter - 'a' + 26;
    }
    if (letter >= '0' && letter <= '9') {
        return letter - '0' + 52;
    }
    return letter == '+' ? 62 : letter == '/' ? 63 : -1;
}

/* Four letters, of which the last `padding` are "=". Bits that no byte needs must be zero, so that there is one text
 * for every byte string. */
static bool decode_group(const unsigned char letters[4], size_t padding, struct bytes *out)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? base64_value(letters[i]) : 0;
        if (value < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)value;
    }
    const unsigned char decoded[3] = {(unsigned char)(group >> 16), (unsigned char)(group >> 8), (unsigned char)group};
    for (size_t i = 3 - padding; i < 3; i++) {
        if (decoded[i] != 0) {
            return false;
        }
    }
    bytes_append(out, decoded, 3 - padding);
    return true;
}

bool json_base64_decode(struct slice text, struct bytes *out)
{
    size_t before = out->size;
    if (text.size % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < text.size; i += 4) {
        size_t padding = 0;
        if (i + 4 == text.size) {
            padding = text.data[i + 3] != '=' ? 0 : text.data[i + 2] != '=' ? 1 : 2;
        }
        if (!decode_group(text.data + i, padding, out)) {
            out->size = before;
            return false;
        }
    }
    return true;
}
