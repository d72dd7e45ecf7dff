/* Borrowed and owned byte strings, and bounds-checked reading and writing of integers.
 *
 * Ownership: a slice borrows; whoever hands it out says until when it is valid. A struct bytes owns its memory; its
 * address may move with every append, so slices of it end at the next append.
 */
#ifndef TIDEMILL_BASE_BYTES_H
#define TIDEMILL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* data == NULL is the null key or value (a tombstone); an empty string has data != NULL and size 0. */
struct slice {
    const unsigned char *data;
    size_t size;
};

#define SLICE_NULL ((struct slice){NULL, 0})

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){data, size};
}
static inline struct slice slice_text(const char *text)
{
    return (struct slice){(const unsigned char *)text, text ? strlen(text) : 0};
}
static inline bool slice_is_null(struct slice slice)
{
    return slice.data == NULL;
}
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.data == NULL) == (b.data == NULL) &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* Order by unsigned bytes, a prefix first: the order of keys in every store. */
int slice_compare(struct slice a, struct slice b);

struct bytes {
    unsigned char *data;
    size_t size;
    size_t capacity;
};

void bytes_free(struct bytes *bytes); /* and makes it empty again */
static inline void bytes_clear(struct bytes *bytes)
{
    bytes->size = 0;
}
static inline struct slice bytes_slice(const struct bytes *bytes)
{
    return (struct slice){bytes->data ? bytes->data : (const unsigned char *)"", bytes->size};
}
unsigned char *bytes_grow(struct bytes *bytes, size_t more); /* for bytes_reserve */
/* Room for `more` bytes at the end; size unchanged. */
static inline unsigned char *bytes_reserve(struct bytes *bytes, size_t more)
{
    bool enough = more <= bytes->capacity - bytes->size && bytes->data != NULL;
    return enough ? bytes->data + bytes->size : bytes_grow(bytes, more);
}
void bytes_append(struct bytes *bytes, const void *data, size_t size);
void bytes_append_slice(struct bytes *bytes, struct slice slice);
void bytes_append_text(struct bytes *bytes, const char *text);
static inline void bytes_append_byte(struct bytes *bytes, unsigned char byte)
{
    *bytes_reserve(bytes, 1) = byte;
    bytes->size++;
}
void bytes_append_format(struct bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *bytes_text(struct bytes *bytes); /* terminated with a zero byte that is not counted */

void bytes_append_u32(struct bytes *bytes, uint32_t value);      /* big-endian */
void bytes_append_u64(struct bytes *bytes, uint64_t value);      /* big-endian */
void bytes_append_varint(struct bytes *bytes, uint64_t value);   /* base 128, low groups first, at most 10 bytes */
void bytes_append_zigzag(struct bytes *bytes, int64_t value);    /* signed: zigzag, then varint */
void bytes_append_blob(struct bytes *bytes, struct slice slice); /* zigzag length, then the bytes; null is length -1 */

/* A cursor over foreign bytes. Every take_ returns zero or null once `failed` is set, so that a parser may check once
 * at the end. */
struct bytes_reader {
    const unsigned char *at;
    const unsigned char *end;
    bool failed;
};

static inline struct bytes_reader bytes_reader_of(struct slice slice)
{
    return (struct bytes_reader){slice.data, slice.size > 0 ? slice.data + slice.size : slice.data, false};
}
uint8_t bytes_take_byte(struct bytes_reader *reader);
uint32_t bytes_take_u32(struct bytes_reader *reader);
uint64_t bytes_take_u64(struct bytes_reader *reader);
uint64_t bytes_take_varint(struct bytes_reader *reader);
int64_t bytes_take_zigzag(struct bytes_reader *reader);
struct slice bytes_take_blob(struct bytes_reader *reader); /* borrowed from the reader's bytes */
struct slice bytes_take(struct bytes_reader *reader, size_t size);

uint32_t bytes_crc32c(struct slice slice); /* Castagnoli, as Kafka's batches use; by the processor's instruction or: */
uint32_t bytes_crc32c_portable(struct slice slice); /* the same by tables, on any processor */

#endif
