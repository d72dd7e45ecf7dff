#include "local/local_batch.h"

#define AT_SIZE 8
#define AT_FORMAT 12
#define AT_ATTRIBUTES 13
#define AT_CRC 14
#define AT_COUNT 18
#define VARINT_MAX 10
#define RECORD_MIN 5 /* five numbers of one byte each */
#define HEADER_MIN 2 /* two lengths */

static void store_u32(unsigned char *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, sizeof value);
}

static void store_u64(unsigned char *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof value);
}

/* ---- writing ---- */

void local_batch_begin(struct local_batch_writer *writer, struct bytes *out)
{
    *writer = (struct local_batch_writer){.out = out, .start = out->size};
    memset(bytes_reserve(out, LOCAL_BATCH_HEADER), 0, LOCAL_BATCH_HEADER);
    out->size += LOCAL_BATCH_HEADER;
}

size_t local_batch_bound(const struct record *record)
{
    size_t size = 5 * VARINT_MAX + record->key.size + record->value.size;
    for (size_t i = 0; i < record->headers.count; i++) {
        size += 2 * VARINT_MAX + record->headers.list[i].name.size + record->headers.list[i].value.size;
    }
    return size;
}

/* The bytes_append_ functions look for room with every number; here the room for a whole record is there already. */
static inline unsigned char *put_varint(unsigned char *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (unsigned char)value;
    return at;
}

static inline unsigned char *put_zigzag(unsigned char *at, int64_t value)
{
    return put_varint(at, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

static inline unsigned char *put_blob(unsigned char *at, struct slice blob)
{
    if (slice_is_null(blob)) {
        *at++ = 1; /* zigzag of -1 */
        return at;
    }
    at = put_zigzag(at, (int64_t)blob.size);
    if (blob.size > 0) {
        memcpy(at, blob.data, blob.size);
    }
    return at + blob.size;
}

void local_batch_append(struct local_batch_writer *writer, const struct record *record, int64_t relative)
{
    struct bytes *out = writer->out;
    if (writer->count == 0) {
        writer->base_timestamp = record->timestamp;
        writer->max_timestamp = record->timestamp;
    } else if (record->timestamp > writer->max_timestamp) {
        writer->max_timestamp = record->timestamp;
    }
    unsigned char *at = bytes_reserve(out, local_batch_bound(record));
    at = put_zigzag(at, (int64_t)((uint64_t)record->timestamp - (uint64_t)writer->base_timestamp));
    at = put_varint(at, (uint64_t)(relative - writer->next));
    at = put_blob(at, record->key);
    at = put_blob(at, record->value);
    at = put_varint(at, record->headers.count);
    for (size_t i = 0; i < record->headers.count; i++) {
        at = put_blob(at, record->headers.list[i].name);
        at = put_blob(at, record->headers.list[i].value);
    }
    out->size = (size_t)(at - out->data);
    writer->next = relative + 1;
    writer->count++;
}

void local_batch_finish(struct local_batch_writer *writer, int64_t relative_end)
{
    unsigned char *batch = writer->out->data + writer->start;
    size_t size = local_batch_size(writer);
    store_u32(batch + AT_SIZE, (uint32_t)size);
    batch[AT_FORMAT] = LOCAL_BATCH_FORMAT;
    batch[AT_ATTRIBUTES] = 0;
    store_u32(batch + AT_COUNT, writer->count);
    store_u32(batch + AT_COUNT + 4, (uint32_t)(relative_end - 1));
    store_u64(batch + AT_COUNT + 8, (uint64_t)writer->base_timestamp);
    store_u64(batch + AT_COUNT + 16, (uint64_t)writer->max_timestamp);
    store_u32(batch + AT_CRC, bytes_crc32c(slice_of(batch + AT_COUNT, size - AT_COUNT)));
}

void local_batch_set_base(unsigned char *batch, int64_t base_offset)
{
    store_u64(batch, (uint64_t)base_offset);
}

/* ---- reading ---- */

static bool header_makes_sense(const struct local_batch *batch)
{
    return batch->base_offset >= 0 && batch->last_offset >= batch->base_offset &&
           batch->count <= (uint64_t)(batch->last_offset - batch->base_offset) + 1 &&
           (uint64_t)batch->count * RECORD_MIN <= batch->records.size;
}

enum local_batch_verdict local_batch_header(struct slice bytes, struct local_batch *batch)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    uint64_t base = bytes_take_u64(&reader);
    uint32_t size = bytes_take_u32(&reader);
    uint8_t format = bytes_take_byte(&reader);
    uint8_t attributes = bytes_take_byte(&reader);
    bytes_take_u32(&reader);
    batch->count = bytes_take_u32(&reader);
    uint32_t last = bytes_take_u32(&reader);
    batch->base_timestamp = (int64_t)bytes_take_u64(&reader);
    batch->max_timestamp = (int64_t)bytes_take_u64(&reader);
    if (reader.failed || size > bytes.size || size < LOCAL_BATCH_HEADER) {
        return LOCAL_BATCH_SHORT;
    }
    if (format != LOCAL_BATCH_FORMAT || attributes != 0) {
        return LOCAL_BATCH_NEWER;
    }
    if (base > INT64_MAX - (uint64_t)last) {
        return LOCAL_BATCH_BROKEN;
    }
    batch->base_offset = (int64_t)base;
    batch->last_offset = (int64_t)base + (int64_t)last;
    batch->size = size;
    batch->records = slice_of(bytes.data + LOCAL_BATCH_HEADER, size - LOCAL_BATCH_HEADER);
    return header_makes_sense(batch) ? LOCAL_BATCH_GOOD : LOCAL_BATCH_BROKEN;
}

enum local_batch_verdict local_batch_check(struct slice bytes, struct local_batch *batch)
{
    enum local_batch_verdict verdict = local_batch_header(bytes, batch);
    if (verdict == LOCAL_BATCH_SHORT || verdict == LOCAL_BATCH_NEWER) {
        return verdict;
    }
    struct bytes_reader reader = bytes_reader_of(slice_of(bytes.data + AT_SIZE, 4));
    size_t size = bytes_take_u32(&reader);
    reader = bytes_reader_of(slice_of(bytes.data + AT_CRC, 4));
    uint32_t crc = bytes_take_u32(&reader);
    if (crc != bytes_crc32c(slice_of(bytes.data + AT_COUNT, size - AT_COUNT))) {
        return LOCAL_BATCH_CHECKSUM;
    }
    return verdict;
}

const char *local_batch_verdict_text(enum local_batch_verdict verdict)
{
    static const char *const texts[] = {
        [LOCAL_BATCH_GOOD] = "is good",
        [LOCAL_BATCH_SHORT] = "is cut short",
        [LOCAL_BATCH_NEWER] = "has a format that this version does not know",
        [LOCAL_BATCH_CHECKSUM] = "does not fit its checksum",
        [LOCAL_BATCH_BROKEN] = "has contents that make no sense",
    };
    return texts[verdict];
}

struct local_batch_reader local_batch_reader(const struct local_batch *batch)
{
    return (struct local_batch_reader){bytes_reader_of(batch->records), batch, batch->count, batch->base_offset};
}

/* Nearly every number of a record has one byte. */
static inline uint64_t take_varint(struct bytes_reader *reader)
{
    if (reader->at != reader->end && *reader->at < 0x80) {
        return *reader->at++;
    }
    return bytes_take_varint(reader);
}

static inline int64_t take_zigzag(struct bytes_reader *reader)
{
    uint64_t value = take_varint(reader);
    return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

static inline struct slice take_blob(struct bytes_reader *reader)
{
    int64_t size = take_zigzag(reader);
    if (size >= 0 && size <= reader->end - reader->at) {
        struct slice blob = {reader->at, (size_t)size};
        reader->at += size;
        return blob;
    }
    reader->failed = reader->failed || size != -1;
    return SLICE_NULL;
}

static bool take_headers(struct bytes_reader *reader, struct headers *headers, struct arena *arena)
{
    uint64_t count = take_varint(reader);
    *headers = (struct headers){NULL, 0};
    if (reader->failed || count > (uint64_t)(reader->end - reader->at) / HEADER_MIN) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    struct header *list = arena_alloc(arena, count * sizeof *list);
    for (uint64_t i = 0; i < count; i++) {
        list[i].name = take_blob(reader);
        list[i].value = take_blob(reader);
    }
    *headers = (struct headers){list, count};
    return !reader->failed;
}

int local_batch_next(struct local_batch_reader *reader, struct record *record, struct arena *arena)
{
    struct bytes_reader *bytes = &reader->bytes;
    if (reader->left == 0) {
        return bytes->at == bytes->end ? 0 : -1;
    }
    int64_t timestamp = take_zigzag(bytes);
    uint64_t skipped = take_varint(bytes);
    if (bytes->failed || reader->next > reader->batch->last_offset ||
        skipped > (uint64_t)(reader->batch->last_offset - reader->next)) {
        return -1;
    }
    record->timestamp = (int64_t)((uint64_t)timestamp + (uint64_t)reader->batch->base_timestamp);
    record->offset = reader->next + (int64_t)skipped;
    record->key = take_blob(bytes);
    record->value = take_blob(bytes);
    if (bytes->failed || !take_headers(bytes, &record->headers, arena)) {
        return -1;
    }
    reader->next = record->offset + 1;
    reader->left--;
    return 1;
}
