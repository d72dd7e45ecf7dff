#include "store/delta.h"

#define MAGIC 0x544d4431u /* "TMD1" */
#define HEADER_SIZE 8
#define ENTRY_OVERHEAD 30 /* three integers of at most ten bytes */

void delta_begin(struct delta_writer *delta)
{
    bytes_clear(&delta->blob);
    bytes_append_u32(&delta->blob, MAGIC);
    bytes_append_u32(&delta->blob, 0); /* filled by delta_finish */
    delta->timestamp = 0;
}

void delta_add_store(struct delta_writer *delta, const char *name, uint64_t expired)
{
    bytes_append_byte(&delta->blob, 0);
    bytes_append_blob(&delta->blob, slice_text(name));
    bytes_append_varint(&delta->blob, expired);
}

static unsigned char *put_varint(unsigned char *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (unsigned char)value;
    return at;
}

static unsigned char *put_zigzag(unsigned char *at, int64_t value)
{
    return put_varint(at, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

static unsigned char *put_slice(unsigned char *at, struct slice slice)
{
    return slice.size > 0 ? (unsigned char *)memcpy(at, slice.data, slice.size) + slice.size : at;
}

/* The appending functions of base/bytes.h look for room four times; here this is most of the work of a commit. */
void delta_add_entry(struct delta_writer *delta, struct slice key, struct slice value, int64_t timestamp)
{
    unsigned char *start = bytes_reserve(&delta->blob, key.size + value.size + ENTRY_OVERHEAD);
    unsigned char *at = put_varint(start, (uint64_t)key.size + 1);
    at = put_slice(at, key);
    at = put_zigzag(at, slice_is_null(value) ? -1 : (int64_t)value.size);
    at = put_slice(at, value);
    at = put_zigzag(at, (int64_t)((uint64_t)timestamp - (uint64_t)delta->timestamp));
    delta->blob.size += (size_t)(at - start);
    delta->timestamp = timestamp;
}

void delta_finish(struct delta_writer *delta)
{
    unsigned char *data = delta->blob.data;
    uint32_t crc = bytes_crc32c(slice_of(data + HEADER_SIZE, delta->blob.size - HEADER_SIZE));
    for (int i = 0; i < 4; i++) {
        data[4 + i] = (unsigned char)(crc >> (24 - 8 * i));
    }
}

static int damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_FATAL, ERR_CORRUPT, "A delta has %s.", what);
}

int delta_open(struct delta_reader *delta, struct slice blob, struct err *err)
{
    *delta = (struct delta_reader){.reader = bytes_reader_of(blob)};
    uint32_t magic = bytes_take_u32(&delta->reader);
    uint32_t crc = bytes_take_u32(&delta->reader);
    if (delta->reader.failed || magic != MAGIC) {
        return damaged(err, "no valid header");
    }
    if (crc != bytes_crc32c(slice_of(delta->reader.at, (size_t)(delta->reader.end - delta->reader.at)))) {
        return damaged(err, "a wrong checksum");
    }
    return 0;
}

static int take_store(struct delta_reader *delta, struct err *err)
{
    delta->store = bytes_take_blob(&delta->reader);
    delta->expired = bytes_take_varint(&delta->reader);
    if (delta->reader.failed || slice_is_null(delta->store)) {
        return damaged(err, "a store without a name");
    }
    return 0;
}

static int take_entry(struct delta_reader *delta, uint64_t key_size, struct err *err)
{
    delta->key = bytes_take(&delta->reader, (size_t)key_size);
    delta->value = bytes_take_blob(&delta->reader);
    delta->timestamp = (int64_t)((uint64_t)delta->timestamp + (uint64_t)bytes_take_zigzag(&delta->reader));
    if (delta->reader.failed || slice_is_null(delta->store)) {
        return damaged(err, "an entry that is cut off or belongs to no store");
    }
    return 0;
}

int delta_next(struct delta_reader *delta, enum delta_item *item, struct err *err)
{
    if (delta->reader.at == delta->reader.end) {
        *item = DELTA_END;
        return 0;
    }
    uint64_t first = bytes_take_varint(&delta->reader);
    if (delta->reader.failed) {
        return damaged(err, "an item that is cut off");
    }
    *item = first == 0 ? DELTA_STORE : DELTA_ENTRY;
    return first == 0 ? take_store(delta, err) : take_entry(delta, first - 1, err);
}
