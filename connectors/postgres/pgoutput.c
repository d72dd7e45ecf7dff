#include "connectors/postgres/pgoutput.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EPOCH_2000_MS INT64_C(946684800000) /* PostgreSQL counts microseconds since 2000 */

static int64_t time_of(uint64_t microseconds)
{
    return (int64_t)microseconds / 1000 + EPOCH_2000_MS;
}

static int malformed(struct err *err, const char *what, struct slice bytes)
{
    return err_set(err, ERR_FATAL, ERR_PROTOCOL,
                   "PostgreSQL sent a replication message (%s, %zu bytes) that is cut short, too long or of an unknown "
                   "form; check that the server is PostgreSQL 10 or newer.",
                   what, bytes.size);
}

int pgoutput_frame(struct slice bytes, struct pgoutput_frame *frame, struct err *err)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    uint8_t kind = bytes_take_byte(&reader);
    *frame = (struct pgoutput_frame){0};
    if (kind == PGOUTPUT_DATA) {
        frame->start = bytes_take_u64(&reader);
        frame->end = bytes_take_u64(&reader);
        bytes_take_u64(&reader);
        frame->message = slice_of(reader.at, reader.failed ? 0 : (size_t)(reader.end - reader.at));
    } else if (kind == PGOUTPUT_KEEPALIVE) {
        frame->end = bytes_take_u64(&reader);
        bytes_take_u64(&reader);
        frame->reply = bytes_take_byte(&reader) != 0;
    } else {
        return malformed(err, "frame", bytes);
    }
    frame->kind = (enum pgoutput_frame_kind)kind;
    return reader.failed ? malformed(err, "frame", bytes) : 0;
}

void pgoutput_reply(struct bytes *out, uint64_t written, uint64_t flushed, int64_t now_ms)
{
    bytes_append_byte(out, 'r');
    bytes_append_u64(out, written);
    bytes_append_u64(out, flushed);
    bytes_append_u64(out, flushed);
    bytes_append_u64(out, (uint64_t)((now_ms - EPOCH_2000_MS) * 1000));
    bytes_append_byte(out, 0);
}

static bool take_hex(struct slice text, size_t *at, uint64_t *value)
{
    size_t start = *at;
    for (*value = 0; *at < text.size && *at - start < 8; (*at)++) {
        unsigned char c = text.data[*at];
        if (c >= '0' && c <= '9') {
            *value = *value << 4 | (uint64_t)(c - '0');
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            *value = *value << 4 | (uint64_t)((c | 32) - 'a' + 10);
        } else {
            break;
        }
    }
    return *at > start;
}

bool pgoutput_parse_lsn(struct slice text, uint64_t *lsn)
{
    size_t at = 0;
    uint64_t high, low;
    if (!take_hex(text, &at, &high) || at >= text.size || text.data[at++] != '/' || !take_hex(text, &at, &low) ||
        at != text.size) {
        return false;
    }
    *lsn = high << 32 | low;
    return true;
}

void pgoutput_format_lsn(uint64_t lsn, char text[PGOUTPUT_LSN_SIZE])
{
    snprintf(text, PGOUTPUT_LSN_SIZE, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
}

static uint16_t take_u16(struct bytes_reader *reader)
{
    unsigned high = bytes_take_byte(reader);
    return (uint16_t)(high << 8 | bytes_take_byte(reader));
}

static struct slice take_string(struct bytes_reader *reader)
{
    size_t left = reader->failed ? 0 : (size_t)(reader->end - reader->at);
    const unsigned char *zero = left > 0 ? memchr(reader->at, 0, left) : NULL;
    if (!zero) {
        reader->failed = true;
        return slice_text("");
    }
    struct slice text = slice_of(reader->at, (size_t)(zero - reader->at));
    reader->at = zero + 1;
    return text;
}

static void take_value(struct bytes_reader *reader, struct pgoutput_value *value)
{
    uint8_t kind = bytes_take_byte(reader);
    *value = (struct pgoutput_value){PGOUTPUT_NULL, SLICE_NULL};
    switch (kind) {
    case PGOUTPUT_NULL:
    case PGOUTPUT_UNCHANGED:
        break;
    case PGOUTPUT_TEXT:
    case PGOUTPUT_BINARY:
        value->data = bytes_take(reader, bytes_take_u32(reader));
        break;
    default:
        reader->failed = true;
        return;
    }
    value->kind = (enum pgoutput_value_kind)kind;
}

static void take_row(struct bytes_reader *reader, struct pgoutput_row *row)
{
    size_t count = take_u16(reader);
    for (row->count = 0; row->count < count && !reader->failed; row->count++) {
        row->values = memory_grow(row->values, row->count, &row->capacity, sizeof(*row->values));
        take_value(reader, &row->values[row->count]);
    }
}

static void take_relation(struct bytes_reader *reader, struct pgoutput *message)
{
    message->relation = bytes_take_u32(reader);
    message->space = take_string(reader);
    message->name = take_string(reader);
    message->identity = (char)bytes_take_byte(reader);
    size_t count = take_u16(reader);
    for (message->column_count = 0; message->column_count < count && !reader->failed; message->column_count++) {
        message->columns =
            memory_grow(message->columns, message->column_count, &message->column_capacity, sizeof(*message->columns));
        struct pgoutput_column *column = &message->columns[message->column_count];
        column->key = (bytes_take_byte(reader) & 1) != 0;
        column->name = take_string(reader);
        column->type = bytes_take_u32(reader);
        column->modifier = (int32_t)bytes_take_u32(reader);
    }
}

/* An insert, update or delete: the old row or its key where there is one, then the new one. */
static void take_change(struct bytes_reader *reader, struct pgoutput *message)
{
    message->relation = bytes_take_u32(reader);
    uint8_t tag = bytes_take_byte(reader);
    message->old_kind = PGOUTPUT_NO_OLD;
    message->old.count = message->row.count = 0;
    if (message->kind != PGOUTPUT_INSERT && (tag == PGOUTPUT_OLD_KEY || tag == PGOUTPUT_OLD_ROW)) {
        message->old_kind = (enum pgoutput_old)tag;
        take_row(reader, &message->old);
        tag = message->kind == PGOUTPUT_UPDATE ? bytes_take_byte(reader) : 0;
    } else if (message->kind == PGOUTPUT_DELETE) {
        reader->failed = true;
    }
    if (message->kind != PGOUTPUT_DELETE) {
        reader->failed |= tag != 'N';
        take_row(reader, &message->row);
    }
}

static void take_truncate(struct bytes_reader *reader, struct pgoutput *message)
{
    size_t count = bytes_take_u32(reader);
    uint8_t flags = bytes_take_byte(reader);
    message->cascade = (flags & 1) != 0;
    message->restart = (flags & 2) != 0;
    for (message->relation_count = 0; message->relation_count < count && !reader->failed; message->relation_count++) {
        message->relations = memory_grow(message->relations, message->relation_count, &message->relation_capacity,
                                         sizeof(*message->relations));
        message->relations[message->relation_count] = bytes_take_u32(reader);
    }
}

static void take_message(struct bytes_reader *reader, struct pgoutput *message)
{
    message->transactional = (bytes_take_byte(reader) & 1) != 0;
    message->lsn = bytes_take_u64(reader);
    message->name = take_string(reader);
    message->content = bytes_take(reader, bytes_take_u32(reader));
}

static void take_commit(struct bytes_reader *reader, struct pgoutput *message)
{
    bytes_take_byte(reader);
    message->lsn = bytes_take_u64(reader);
    message->end = bytes_take_u64(reader);
    message->time_ms = time_of(bytes_take_u64(reader));
}

static void take_begin(struct bytes_reader *reader, struct pgoutput *message)
{
    message->lsn = bytes_take_u64(reader);
    message->time_ms = time_of(bytes_take_u64(reader));
    message->xid = bytes_take_u32(reader);
}

static void take_named(struct bytes_reader *reader, struct pgoutput *message)
{
    if (message->kind == PGOUTPUT_ORIGIN) {
        message->lsn = bytes_take_u64(reader);
    } else {
        message->relation = bytes_take_u32(reader);
        message->space = take_string(reader);
    }
    message->name = take_string(reader);
}

static void take_body(struct bytes_reader *reader, struct pgoutput *message)
{
    switch (message->kind) {
    case PGOUTPUT_BEGIN:
        take_begin(reader, message);
        return;
    case PGOUTPUT_COMMIT:
        take_commit(reader, message);
        return;
    case PGOUTPUT_RELATION:
        take_relation(reader, message);
        return;
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        take_change(reader, message);
        return;
    case PGOUTPUT_TRUNCATE:
        take_truncate(reader, message);
        return;
    case PGOUTPUT_MESSAGE:
        take_message(reader, message);
        return;
    case PGOUTPUT_ORIGIN:
    case PGOUTPUT_TYPE:
        take_named(reader, message);
        return;
    }
    reader->failed = true;
}

int pgoutput_decode(struct pgoutput *message, struct slice bytes, struct err *err)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    message->kind = (enum pgoutput_kind)bytes_take_byte(&reader);
    if (!reader.failed) {
        take_body(&reader, message);
    }
    char kind[2] = {bytes.size > 0 && bytes.data[0] > ' ' && bytes.data[0] < 127 ? (char)bytes.data[0] : '?', '\0'};
    return reader.failed || reader.at != reader.end ? malformed(err, kind, bytes) : 0;
}

void pgoutput_free(struct pgoutput *message)
{
    free(message->columns);
    free(message->old.values);
    free(message->row.values);
    free(message->relations);
    *message = (struct pgoutput){0};
}
