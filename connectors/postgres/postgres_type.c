#include "connectors/postgres/postgres_type.h"

#include "base/json.h"

#include <stdlib.h>

/* Oids of pg_type that are the same on every server. */
enum type {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_OID = 26,
    TYPE_JSON = 114,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_TIMESTAMP = 1114,
    TYPE_TIMESTAMPTZ = 1184,
    TYPE_JSONB = 3802,
    TYPE_TEXT = 25,
    TYPE_ANY = 1 /* its text as it is; no oid of a type */
};

/* ---- scalars ---- */

static int hex_digit(unsigned char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static struct envelope_value bytea_value(struct slice text, struct bytes *scratch)
{
    if (text.size < 2 || text.data[0] != '\\' || text.data[1] != 'x' || text.size % 2 != 0) {
        return envelope_text(text);
    }
    bytes_clear(scratch);
    for (size_t i = 2; i < text.size; i += 2) {
        int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0) {
            return envelope_text(text);
        }
        bytes_append_byte(scratch, (unsigned char)(high << 4 | low));
    }
    return (struct envelope_value){.kind = ENVELOPE_BYTES, .text = bytes_slice(scratch)};
}

/* "2026-01-31 10:15:00.5+00" becomes "2026-01-31T10:15:00.5Z"; infinity and years BC stay as they are. */
static struct envelope_value time_value(struct slice text, struct bytes *scratch)
{
    if (text.size < 19 || memchr(text.data, 'B', text.size)) {
        return envelope_text(text);
    }
    bytes_clear(scratch);
    bytes_append_slice(scratch, text);
    unsigned char *space = memchr(scratch->data, ' ', scratch->size);
    if (space) {
        *space = 'T';
    }
    if (memcmp(scratch->data + scratch->size - 3, "+00", 3) == 0) {
        scratch->size -= 3;
        bytes_append_byte(scratch, 'Z');
    }
    return (struct envelope_value){.kind = ENVELOPE_TEXT, .text = bytes_slice(scratch)};
}

static struct envelope_value number_value(struct slice text, bool integer)
{
    char digits[64];
    char *end = digits;
    struct envelope_value value = {.kind = integer ? ENVELOPE_INTEGER : ENVELOPE_REAL};
    if (text.size == 0 || text.size >= sizeof(digits)) {
        return envelope_text(text);
    }
    memcpy(digits, text.data, text.size);
    digits[text.size] = '\0';
    if (integer) {
        value.integer = strtoll(digits, &end, 10);
    } else {
        value.real = strtod(digits, &end);
    }
    return *end == '\0' ? value : envelope_text(text);
}

static struct envelope_value scalar_value(uint32_t type, struct slice text, struct bytes *scratch)
{
    switch (type) {
    case TYPE_BOOL:
        return (struct envelope_value){.kind = ENVELOPE_BOOLEAN, .integer = text.size > 0 && text.data[0] == 't'};
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8:
    case TYPE_OID:
        return number_value(text, true);
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
        return number_value(text, false);
    case TYPE_JSON:
    case TYPE_JSONB:
        return (struct envelope_value){.kind = ENVELOPE_JSON, .text = text};
    case TYPE_BYTEA:
        return bytea_value(text, scratch);
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return time_value(text, scratch);
    default: /* numeric too: exact digits */
        return envelope_text(text);
    }
}

/* ---- arrays ---- */

uint32_t postgres_type_element(uint32_t type)
{
    static const struct {
        uint32_t array, element;
    } list[] = {
        {1000, TYPE_BOOL},      {1005, TYPE_INT2},        {1007, TYPE_INT4}, {1016, TYPE_INT8}, {1028, TYPE_OID},
        {1021, TYPE_FLOAT4},    {1022, TYPE_FLOAT8},      {1231, TYPE_ANY},  {1009, TYPE_ANY},  {1015, TYPE_ANY},
        {1014, TYPE_ANY},       {1003, TYPE_ANY},         {1002, TYPE_ANY},  {1001, TYPE_ANY},  {2951, TYPE_ANY},
        {1115, TYPE_TIMESTAMP}, {1185, TYPE_TIMESTAMPTZ}, {1182, TYPE_ANY},  {1183, TYPE_ANY},  {1270, TYPE_ANY},
        {1187, TYPE_ANY},       {1041, TYPE_ANY},         {651, TYPE_ANY},   {1040, TYPE_ANY},  {775, TYPE_ANY},
        {199, TYPE_ANY},        {3807, TYPE_ANY},         {1561, TYPE_ANY},  {1563, TYPE_ANY},  {3905, TYPE_ANY},
        {3907, TYPE_ANY},       {3909, TYPE_ANY},         {3911, TYPE_ANY},  {3913, TYPE_ANY},  {3927, TYPE_ANY},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (list[i].array == type) {
            return list[i].element;
        }
    }
    return 0;
}

struct array_reader {
    struct slice text;
    size_t at;
    uint32_t element;
    struct json_writer writer;
    struct bytes item, scratch;
};

/* Takes one element; *quoted: it stood in quotes, and is no NULL. */
static void take_item(struct array_reader *reader, bool *quoted)
{
    bytes_clear(&reader->item);
    const unsigned char *data = reader->text.data;
    *quoted = reader->at < reader->text.size && data[reader->at] == '"';
    for (reader->at += *quoted ? 1 : 0; reader->at < reader->text.size; reader->at++) {
        unsigned char byte = data[reader->at];
        if (*quoted ? byte == '"' : byte == ',' || byte == '}') {
            break;
        }
        if (byte == '\\' && reader->at + 1 < reader->text.size) {
            byte = data[++reader->at];
        }
        bytes_append_byte(&reader->item, byte);
    }
    reader->at += *quoted && reader->at < reader->text.size ? 1 : 0;
}

static void write_item(struct array_reader *reader)
{
    bool quoted;
    take_item(reader, &quoted);
    struct slice text = bytes_slice(&reader->item);
    if (!quoted && slice_equal(text, slice_text("NULL"))) {
        json_null(&reader->writer);
        return;
    }
    struct envelope_value value = scalar_value(reader->element, text, &reader->scratch);
    envelope_write_value(&reader->writer, &value);
}

/* False: not the form of an array, as where bounds stand before it. */
static bool write_array(struct array_reader *reader)
{
    size_t depth = 0;
    while (reader->at < reader->text.size) {
        unsigned char byte = reader->text.data[reader->at];
        if (byte == '{' && ++depth <= POSTGRES_TYPE_DEPTH) {
            json_begin_array(&reader->writer);
        } else if (byte == '}' && depth > 0) {
            json_end_array(&reader->writer);
            depth--;
        } else if (byte == '{' || byte == '}' || depth == 0) {
            return false;
        } else if (byte != ',') {
            write_item(reader);
            continue;
        }
        reader->at++;
        if (depth == 0) {
            break;
        }
    }
    return depth == 0 && reader->at == reader->text.size && reader->text.size > 0;
}

static struct envelope_value array_value(uint32_t element, struct slice text, struct bytes *scratch)
{
    struct array_reader reader = {.text = text, .element = element, .writer = json_writer(scratch)};
    bytes_clear(scratch);
    bool good = write_array(&reader);
    bytes_free(&reader.item);
    bytes_free(&reader.scratch);
    return good ? (struct envelope_value){.kind = ENVELOPE_JSON, .text = bytes_slice(scratch)} : envelope_text(text);
}

struct envelope_value postgres_type_value(uint32_t type, uint32_t element, struct slice text, struct bytes *scratch)
{
    return element ? array_value(element, text, scratch) : scalar_value(type, text, scratch);
}
