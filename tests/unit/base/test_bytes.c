#include "base/bytes.h"

#include "tests/support/unit.h"

START_TEST(null_and_empty_differ)
{
    ck_assert(slice_is_null(SLICE_NULL));
    ck_assert(slice_is_null(slice_text(NULL)));
    ck_assert(!slice_is_null(slice_text("")));
    ck_assert(!slice_equal(SLICE_NULL, slice_text("")));
    ck_assert(slice_equal(slice_text("ab"), slice_of("abc", 2)));
    ck_assert(!slice_equal(slice_text("ab"), slice_text("ac")));
}
END_TEST

START_TEST(slices_are_ordered_by_unsigned_bytes)
{
    ck_assert_int_lt(slice_compare(slice_text("a"), slice_text("b")), 0);
    ck_assert_int_lt(slice_compare(slice_text("a"), slice_text("aa")), 0);
    ck_assert_int_gt(slice_compare(slice_text("\xff"), slice_text("a")), 0);
    ck_assert_int_eq(slice_compare(slice_text("a"), slice_text("a")), 0);
    ck_assert_int_eq(slice_compare(SLICE_NULL, slice_text("")), 0);
}
END_TEST

START_TEST(append_grows)
{
    struct bytes bytes = {0};
    for (int i = 0; i < 10000; i++) {
        bytes_append_byte(&bytes, (unsigned char)i);
    }
    ck_assert_uint_eq(bytes.size, 10000);
    ck_assert_int_eq(bytes.data[9999], 9999 & 0xff);
    bytes_clear(&bytes);
    bytes_append_text(&bytes, "text");
    bytes_append_slice(&bytes, SLICE_NULL);
    ck_assert_str_eq(bytes_text(&bytes), "text");
    ck_assert_uint_eq(bytes.size, 4);
    bytes_free(&bytes);
    ck_assert(!slice_is_null(bytes_slice(&bytes)));
}
END_TEST

START_TEST(append_format_of_any_length)
{
    for (int length = 0; length < 300; length++) {
        struct bytes bytes = {0};
        bytes_append_text(&bytes, "<");
        bytes_append_format(&bytes, "%.*d", length, 1);
        ck_assert_uint_eq(bytes.size, 1 + (size_t)(length > 0 ? length : 1));
        ck_assert_int_eq(bytes.data[bytes.size - 1], '1');
        bytes_free(&bytes);
    }
}
END_TEST

static const int64_t integers[] = {0,   1,   -1,  63,        64,        -64,       -65,
                                   127, 128, 300, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
#define INTEGER_COUNT (sizeof integers / sizeof integers[0])

START_TEST(integers_survive)
{
    struct bytes bytes = {0};
    for (size_t i = 0; i < INTEGER_COUNT; i++) {
        bytes_append_u32(&bytes, (uint32_t)integers[i]);
        bytes_append_u64(&bytes, (uint64_t)integers[i]);
        bytes_append_varint(&bytes, (uint64_t)integers[i]);
        bytes_append_zigzag(&bytes, integers[i]);
    }
    struct bytes_reader reader = bytes_reader_of(bytes_slice(&bytes));
    for (size_t i = 0; i < INTEGER_COUNT; i++) {
        ck_assert_uint_eq(bytes_take_u32(&reader), (uint32_t)integers[i]);
        ck_assert_uint_eq(bytes_take_u64(&reader), (uint64_t)integers[i]);
        ck_assert_uint_eq(bytes_take_varint(&reader), (uint64_t)integers[i]);
        ck_assert_int_eq(bytes_take_zigzag(&reader), integers[i]);
    }
    ck_assert(!reader.failed);
    ck_assert_ptr_eq(reader.at, reader.end);
    bytes_free(&bytes);
}
END_TEST

START_TEST(integers_have_the_documented_form)
{
    static const unsigned char expected[] = {1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0xac, 0x02, 0x01, 0x80, 0x01};
    struct bytes bytes = {0};
    bytes_append_u32(&bytes, 0x01020304);
    bytes_append_u64(&bytes, 256);
    bytes_append_varint(&bytes, 300);
    bytes_append_zigzag(&bytes, -1);
    bytes_append_zigzag(&bytes, 64);
    ck_assert_uint_eq(bytes.size, sizeof expected);
    ck_assert_mem_eq(bytes.data, expected, sizeof expected);
    bytes_free(&bytes);
}
END_TEST

START_TEST(blobs_tell_null_from_empty)
{
    struct bytes bytes = {0};
    bytes_append_blob(&bytes, SLICE_NULL);
    bytes_append_blob(&bytes, slice_text(""));
    bytes_append_blob(&bytes, slice_text("value"));
    struct bytes_reader reader = bytes_reader_of(bytes_slice(&bytes));
    ck_assert(slice_is_null(bytes_take_blob(&reader)));
    ck_assert(slice_equal(bytes_take_blob(&reader), slice_text("")));
    ck_assert(slice_equal(bytes_take_blob(&reader), slice_text("value")));
    ck_assert(!reader.failed);
    bytes_free(&bytes);
}
END_TEST

START_TEST(reading_past_the_end_fails_for_good)
{
    struct bytes_reader reader = bytes_reader_of(slice_of("\x01\x02\x03", 3));
    ck_assert_uint_eq(bytes_take_u32(&reader), 0);
    ck_assert(reader.failed);
    ck_assert_uint_eq(bytes_take_byte(&reader), 0);
    ck_assert(slice_is_null(bytes_take(&reader, 0)));

    reader = bytes_reader_of(SLICE_NULL);
    ck_assert(slice_equal(bytes_take(&reader, 0), slice_text("")));
    ck_assert_uint_eq(bytes_take_varint(&reader), 0);
    ck_assert(reader.failed);
}
END_TEST

START_TEST(bad_lengths_are_refused)
{
    static const char *const bad[] = {
        "\x05"
        "ab", /* -3 */
        "\x06"
        "ab",                                           /* 3, of which 2 are there */
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",     /* one bit more than 64 */
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",     /* more than 64 bits */
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", /* more than 10 bytes */
        "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",     /* the greatest length */
        "\x80",                                         /* cut */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bytes_reader reader = bytes_reader_of(slice_text(bad[i]));
        ck_assert(slice_is_null(bytes_take_blob(&reader)));
        ck_assert(reader.failed);
    }
}
END_TEST

START_TEST(varints_beyond_64_bits_are_refused)
{
    struct bytes_reader reader = bytes_reader_of(slice_text("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    ck_assert_uint_eq(bytes_take_varint(&reader), UINT64_MAX);
    ck_assert(!reader.failed);
    reader = bytes_reader_of(slice_text("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
    ck_assert_uint_eq(bytes_take_varint(&reader), 0);
    ck_assert(reader.failed);
}
END_TEST

/* Vectors of RFC 3720 and the usual check value. */
START_TEST(crc32c_of_known_vectors)
{
    unsigned char block[32] = {0};
    ck_assert_uint_eq(bytes_crc32c(slice_text("123456789")), 0xe3069283);
    ck_assert_uint_eq(bytes_crc32c(slice_of(block, sizeof block)), 0x8a9136aa);
    memset(block, 0xff, sizeof block);
    ck_assert_uint_eq(bytes_crc32c(slice_of(block, sizeof block)), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof block; i++) {
        block[i] = (unsigned char)i;
    }
    ck_assert_uint_eq(bytes_crc32c(slice_of(block, sizeof block)), 0x46dd794e);
    ck_assert_uint_eq(bytes_crc32c(SLICE_NULL), 0);
}
END_TEST

static uint32_t crc32c_bit_by_bit(struct slice slice)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < slice.size; i++) {
        crc ^= slice.data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
    }
    return ~crc;
}

START_TEST(crc32c_of_every_length_and_alignment)
{
    unsigned char text[128];
    for (unsigned i = 0; i < sizeof text; i++) {
        text[i] = (unsigned char)(i * 31 + 7);
    }
    for (size_t start = 0; start < 8; start++) {
        for (size_t size = 0; size <= sizeof text - start; size++) {
            struct slice slice = slice_of(text + start, size);
            ck_assert_uint_eq(bytes_crc32c(slice), crc32c_bit_by_bit(slice));
            ck_assert_uint_eq(bytes_crc32c_portable(slice), crc32c_bit_by_bit(slice));
        }
    }
}
END_TEST

UNIT_MAIN("bytes", null_and_empty_differ, slices_are_ordered_by_unsigned_bytes, append_grows,
          append_format_of_any_length, integers_survive, integers_have_the_documented_form, blobs_tell_null_from_empty,
          reading_past_the_end_fails_for_good, bad_lengths_are_refused, varints_beyond_64_bits_are_refused,
          crc32c_of_known_vectors, crc32c_of_every_length_and_alignment)
