#include "base/bytes.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){NULL, 0, 0};
}

unsigned char *bytes_grow(struct bytes *bytes, size_t more)
{
    size_t needed = bytes->size + more;
    if (needed < more) {
        needed = SIZE_MAX; /* can't be had: memory_resize ends the process */
    }
    size_t capacity = bytes->capacity > 0 ? bytes->capacity + bytes->capacity / 2 : 64;
    if (capacity < needed) {
        capacity = needed;
    }
    bytes->data = memory_resize(bytes->data, capacity);
    bytes->capacity = capacity;
    return bytes->data + bytes->size;
}

void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(bytes_reserve(bytes, size), data, size);
        bytes->size += size;
    }
}

void bytes_append_slice(struct bytes *bytes, struct slice slice)
{
    bytes_append(bytes, slice.data, slice.size);
}

void bytes_append_text(struct bytes *bytes, const char *text)
{
    bytes_append(bytes, text, strlen(text));
}

void bytes_append_format(struct bytes *bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    size_t room = 64;
    int length = vsnprintf((char *)bytes_reserve(bytes, room), room, format, arguments);
    va_end(arguments);
    if (length >= (int)room) {
        room = (size_t)length + 1;
        length = vsnprintf((char *)bytes_reserve(bytes, room), room, format, again);
    }
    va_end(again);
    if (length > 0) {
        bytes->size += (size_t)length;
    }
}

const char *bytes_text(struct bytes *bytes)
{
    *bytes_reserve(bytes, 1) = '\0';
    return (const char *)bytes->data;
}

static void store_big_endian(unsigned char *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (unsigned char)(value >> (8 * (size - 1 - i)));
    }
}

void bytes_append_u32(struct bytes *bytes, uint32_t value)
{
    store_big_endian(bytes_reserve(bytes, 4), value, 4);
    bytes->size += 4;
}

void bytes_append_u64(struct bytes *bytes, uint64_t value)
{
    store_big_endian(bytes_reserve(bytes, 8), value, 8);
    bytes->size += 8;
}

void bytes_append_varint(struct bytes *bytes, uint64_t value)
{
    unsigned char *at = bytes_reserve(bytes, 10);
    unsigned char *start = at;
    while (value >= 0x80) {
        *at++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (unsigned char)value;
    bytes->size += (size_t)(at - start);
}

void bytes_append_zigzag(struct bytes *bytes, int64_t value)
{
    bytes_append_varint(bytes, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

void bytes_append_blob(struct bytes *bytes, struct slice slice)
{
    bytes_append_zigzag(bytes, slice_is_null(slice) ? -1 : (int64_t)slice.size);
    bytes_append_slice(bytes, slice);
}

struct slice bytes_take(struct bytes_reader *reader, size_t size)
{
    if (reader->failed || size > (size_t)(reader->end - reader->at)) {
        reader->failed = true;
        return SLICE_NULL;
    }
    /* Reading nothing from a null slice must still give an empty string, not null. */
    struct slice slice = {reader->at != NULL ? reader->at : (const unsigned char *)"", size};
    if (size > 0) {
        reader->at += size;
    }
    return slice;
}

static uint64_t take_big_endian(struct bytes_reader *reader, size_t size)
{
    struct slice slice = bytes_take(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; i < slice.size; i++) {
        value = value << 8 | slice.data[i];
    }
    return value;
}

uint8_t bytes_take_byte(struct bytes_reader *reader)
{
    return (uint8_t)take_big_endian(reader, 1);
}

uint32_t bytes_take_u32(struct bytes_reader *reader)
{
    return (uint32_t)take_big_endian(reader, 4);
}

uint64_t bytes_take_u64(struct bytes_reader *reader)
{
    return take_big_endian(reader, 8);
}

uint64_t bytes_take_varint(struct bytes_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !reader->failed && reader->at != reader->end; shift += 7) {
        unsigned char byte = *reader->at++;
        if (shift == 63 && byte > 1) {
            break; /* more than 64 bits */
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    reader->failed = true;
    return 0;
}

int64_t bytes_take_zigzag(struct bytes_reader *reader)
{
    uint64_t value = bytes_take_varint(reader);
    return (int64_t)((value >> 1) ^ (value & 1 ? UINT64_MAX : 0));
}

struct slice bytes_take_blob(struct bytes_reader *reader)
{
    int64_t size = bytes_take_zigzag(reader);
    if (reader->failed || size == -1) {
        return SLICE_NULL;
    }
    if (size < 0) {
        reader->failed = true;
        return SLICE_NULL;
    }
    return bytes_take(reader, (size_t)size);
}

#define CRC32C_POLYNOMIAL 0x82f63b78u /* Castagnoli's, bits reversed */

static uint32_t crc_table[8][256]; /* [n][b]: byte b followed by n zero bytes */
static pthread_once_t crc_table_once = PTHREAD_ONCE_INIT;

static void fill_crc_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
        }
        crc_table[0][byte] = crc;
    }
    for (int zeros = 1; zeros < 8; zeros++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = crc_table[zeros - 1][byte];
            crc_table[zeros][byte] = crc >> 8 ^ crc_table[0][crc & 0xff];
        }
    }
}

static uint32_t crc32c_by_table(uint32_t crc, const unsigned char *at, size_t size)
{
    pthread_once(&crc_table_once, fill_crc_table);
    for (; size >= 8; at += 8, size -= 8) {
        crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        crc = crc_table[7][crc & 0xff] ^ crc_table[6][crc >> 8 & 0xff] ^ crc_table[5][crc >> 16 & 0xff] ^
              crc_table[4][crc >> 24] ^ crc_table[3][at[4]] ^ crc_table[2][at[5]] ^ crc_table[1][at[6]] ^
              crc_table[0][at[7]];
    }
    for (; size > 0; at++, size--) {
        crc = crc >> 8 ^ crc_table[0][(crc ^ *at) & 0xff];
    }
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_instruction(uint32_t crc, const unsigned char *at,
                                                                        size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size > 0; at++, size--) {
        crc = __builtin_ia32_crc32qi(crc, *at);
    }
    return crc;
}
#endif

uint32_t bytes_crc32c_portable(struct slice slice)
{
    return ~crc32c_by_table(~0u, slice.data, slice.size);
}

uint32_t bytes_crc32c(struct slice slice)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc32c_by_instruction(~0u, slice.data, slice.size);
    }
#endif
    return bytes_crc32c_portable(slice);
}
