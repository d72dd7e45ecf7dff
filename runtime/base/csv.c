#include "base/csv.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"

#define NAME_SHOWN 100

/* Inside a field two quotes are one; so the number of quotes is even at the end of a row. */
bool csv_open(struct slice row)
{
    bool open = false;
    const unsigned char *end = row.data + row.size;
    for (const unsigned char *at = row.data; (at = memchr(at, '"', (size_t)(end - at))) != NULL; at++) {
        open = !open;
    }
    return open;
}

static struct slice without_return(struct slice row)
{
    return row.size > 0 && row.data[row.size - 1] == '\r' ? slice_of(row.data, row.size - 1) : row;
}

/* Takes the quoted field at `*at`, which stands behind its first quote; its text is appended. */
static int take_quoted(const unsigned char **at, const unsigned char *end, struct bytes *text, struct err *err)
{
    for (;;) {
        const unsigned char *quote = memchr(*at, '"', (size_t)(end - *at));
        if (quote == NULL) {
            return err_set(err, ERR_SKIP, ERR_RECORD, "a quoted field does not end");
        }
        bytes_append(text, *at, (size_t)(quote - *at));
        *at = quote + 1;
        if (*at == end || **at == ',') {
            return 0;
        }
        if (**at != '"') {
            return err_set(err, ERR_SKIP, ERR_RECORD, "text follows the end of a quoted field");
        }
        bytes_append_byte(text, '"');
        ++*at;
    }
}

/* The next field's text; *at ends at the comma or the end of the row. */
static int take_field(const unsigned char **at, const unsigned char *end, struct bytes *text, bool *quoted,
                      struct err *err)
{
    bytes_clear(text);
    *quoted = *at < end && **at == '"';
    if (*quoted) {
        ++*at;
        return take_quoted(at, end, text, err);
    }
    const unsigned char *comma = *at < end ? memchr(*at, ',', (size_t)(end - *at)) : NULL;
    const unsigned char *stop = comma != NULL ? comma : end;
    bytes_append(text, *at, (size_t)(stop - *at));
    *at = stop;
    return 0;
}

static int compare_names(const void *one, const void *other)
{
    return slice_compare(*(const struct slice *)one, *(const struct slice *)other);
}

/* Of two fields with one name an object keeps the last. */
static int check_names(const struct csv *csv, struct err *err)
{
    int result = 0;
    struct slice *sorted = memory_alloc(csv->count * sizeof *sorted);
    memcpy(sorted, csv->names, csv->count * sizeof *sorted);
    qsort(sorted, csv->count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < csv->count && result == 0; i++) {
        if (slice_equal(sorted[i - 1], sorted[i])) {
            int size = (int)(sorted[i].size < NAME_SHOWN ? sorted[i].size : NAME_SHOWN);
            result = err_set(err, ERR_FATAL, ERR_RECORD, "it names the column \"%.*s\" twice", size,
                             (const char *)sorted[i].data);
        }
    }
    free(sorted);
    return result;
}

int csv_header(struct csv *csv, struct slice row, struct err *err)
{
    struct bytes text = {0};
    struct bytes sizes = {0};
    bool quoted;
    row = without_return(row);
    *csv = (struct csv){0};
    int result = row.size > 0 && json_utf8_valid(row) ? 0 : -1;
    if (result != 0) {
        err_set(err, ERR_FATAL, ERR_RECORD, "it is empty or not UTF-8, and must name the columns");
    }
    const unsigned char *end = row.data + row.size;
    for (const unsigned char *at = row.data; result == 0; at++) {
        result = take_field(&at, end, &text, &quoted, err);
        bytes_append_slice(&csv->texts, bytes_slice(&text));
        bytes_append_u64(&sizes, text.size);
        csv->count++;
        if (at >= end) {
            break;
        }
    }
    csv->names = memory_alloc(csv->count * sizeof *csv->names);
    csv->types = memory_alloc(csv->count * sizeof *csv->types);
    struct bytes_reader reader = bytes_reader_of(bytes_slice(&sizes));
    size_t at = 0;
    for (size_t i = 0; i < csv->count; i++) {
        csv->names[i] = slice_of(bytes_text(&csv->texts) + at, (size_t)bytes_take_u64(&reader));
        at += csv->names[i].size;
    }
    bytes_free(&text);
    bytes_free(&sizes);
    return result == 0 ? check_names(csv, err) : result;
}

void csv_free(struct csv *csv)
{
    free(csv->names);
    free(csv->types);
    bytes_free(&csv->texts);
    *csv = (struct csv){0};
}

static bool stays(struct slice text)
{
    enum json_type type = json_type(text);
    return (type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE) && json_trim(text).size == text.size &&
           json_check(text, NULL);
}

static void write_field(struct json_writer *writer, struct slice text, bool quoted)
{
    if (!quoted && text.size == 0) {
        json_null(writer);
    } else if (!quoted && stays(text)) {
        json_raw(writer, text);
    } else {
        json_string(writer, text);
    }
}

static bool is_boolean(struct slice text, bool *value)
{
    static const char *const names[] = {"false", "true", "0", "1", "f", "t"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_equal(text, slice_text(names[i]))) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool is_number(struct slice text, bool integer)
{
    int64_t number;
    double real;
    return stays(text) && json_type(text) == JSON_NUMBER && (!integer || json_number(text, &number, &real));
}

static int write_typed(struct json_writer *writer, const struct csv *csv, size_t column, struct slice text, bool quoted,
                       struct err *err)
{
    static const char *const names[] = CSV_TYPE_NAMES;
    enum csv_type type = csv->types[column];
    bool value;
    if (text.size == 0 && (type != CSV_TEXT || !quoted)) {
        write_field(writer, text, type == CSV_ANY && quoted);
    } else if (type == CSV_ANY) {
        write_field(writer, text, quoted);
    } else if (type == CSV_TEXT) {
        json_string(writer, text);
    } else if (type == CSV_BOOLEAN && is_boolean(text, &value)) {
        json_bool(writer, value);
    } else if (type != CSV_BOOLEAN && is_number(text, type == CSV_INTEGER)) {
        json_raw(writer, text);
    } else {
        return err_set(err, ERR_SKIP, ERR_RECORD, "its column \"%.*s\" is of type %s and the field \"%.*s\"",
                       (int)(csv->names[column].size < 60 ? csv->names[column].size : 60),
                       (const char *)csv->names[column].data, names[type], (int)(text.size < 60 ? text.size : 60),
                       (const char *)text.data);
    }
    return 0;
}

int csv_object(const struct csv *csv, struct slice row, struct bytes *out, struct err *err)
{
    row = without_return(row);
    if (!json_utf8_valid(row)) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "it is not UTF-8");
    }
    struct json_writer writer = json_writer(out);
    struct bytes text = {0};
    bool quoted;
    size_t count = 0;
    int result = 0;
    const unsigned char *end = row.data + row.size;
    json_begin_object(&writer);
    for (const unsigned char *at = row.data;; at++, count++) {
        result = take_field(&at, end, &text, &quoted, err);
        if (result != 0) {
            break;
        }
        if (count < csv->count) {
            json_name(&writer, csv->names[count]);
            result = write_typed(&writer, csv, count, bytes_slice(&text), quoted, err);
        }
        if (result != 0) {
            break;
        }
        if (at >= end) {
            count++;
            break;
        }
    }
    json_end_object(&writer);
    bytes_free(&text);
    if (result == 0 && count != csv->count) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "it has %zu fields and the header %zu", count, csv->count);
    }
    return result;
}

static void append_quoted(struct slice text, struct bytes *out)
{
    bytes_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') {
            bytes_append_byte(out, '"');
        }
        bytes_append_byte(out, text.data[i]);
    }
    bytes_append_byte(out, '"');
}

void csv_text(struct slice text, struct bytes *out)
{
    bool plain = text.size > 0 && !stays(text);
    for (size_t i = 0; plain && i < text.size; i++) {
        plain = memchr("\",\r\n", text.data[i], 4) == NULL;
    }
    if (plain) {
        bytes_append_slice(out, text);
    } else {
        append_quoted(text, out);
    }
}

void csv_field(struct slice value, struct bytes *out)
{
    struct bytes text = {0};
    value = json_trim(value);
    switch (json_type(value)) {
    case JSON_NONE:
    case JSON_NULL:
        break;
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER:
        bytes_append_slice(out, value);
        break;
    case JSON_STRING:
        json_decode_string(value, &text);
        csv_text(bytes_slice(&text), out);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        append_quoted(value, out);
        break;
    }
    bytes_free(&text);
}
