#include "store/delta.h"

#define MAGIC 0x544d4431u /* "TMD1" */
#define HEADER_SIZE 8

void delta_begin(struct bytes *blob)
{
    bytes_clear(blob);
    bytes_append_u32(blob, MAGIC);
    bytes_append_u32(blob, 0); /* filled by delta_finish */
}

void delta_add_store(struct bytes *blob, const char *name, uint64_t expired)
{
    bytes_append_byte(blob, 0);
    bytes_append_blob(blob, slice_text(name));
    bytes_append_varint(blob, expired);
}

void delta_add_entry(struct bytes *blob, struct slice key, struct slice value, int64_t timestamp)
{
    bytes_append_varint(blob, (uint64_t)key.size + 1);
    bytes_append_slice(blob, key);
    bytes_append_blob(blob, value);
    bytes_append_zigzag(blob, timestamp);
}

void delta_finish(struct bytes *blob)
{
    uint32_t crc = bytes_crc32c(slice_of(blob->data + HEADER_SIZE, blob->size - HEADER_SIZE));
    for (int i = 0; i < 4; i++) {
        blob->data[4 + i] = (unsigned char)(crc >> (24 - 8 * i));
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
    delta->timestamp = bytes_take_zigzag(&delta->reader);
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
