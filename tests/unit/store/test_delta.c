#include "store/delta.h"

#include "tests/support/unit.h"

#include <stdlib.h>

static const struct slice no_value = {NULL, 0};

static struct slice text(const char *chars)
{
    return slice_text(chars);
}

static void make(struct delta_writer *delta)
{
    delta_begin(delta);
    delta_add_store(delta, "counts", 0);
    delta_add_entry(delta, text("a"), text("1"), 1000);
    delta_add_entry(delta, text("b"), no_value, INT64_MIN);
    delta_add_entry(delta, text(""), text(""), INT64_MAX);
    delta_add_store(delta, "windows", 77);
    delta_add_entry(delta, text("long key with more than sixteen bytes"), text("x"), -1);
    delta_finish(delta);
}

/* Reads to the end; 0 or -1. */
static int read_all(struct slice blob)
{
    struct err err;
    struct delta_reader reader;
    enum delta_item item = DELTA_STORE;
    if (delta_open(&reader, blob, &err) != 0) {
        ck_assert_int_eq(err.code, ERR_CORRUPT);
        return -1;
    }
    while (item != DELTA_END) {
        if (delta_next(&reader, &item, &err) != 0) {
            ck_assert_int_eq(err.code, ERR_CORRUPT);
            return -1;
        }
    }
    return 0;
}

static void expect(struct delta_reader *reader, enum delta_item expected)
{
    struct err err;
    enum delta_item item;
    ck_assert_int_eq(delta_next(reader, &item, &err), 0);
    ck_assert_int_eq(item, expected);
}

static void expect_entry(struct delta_reader *reader, struct slice key, struct slice value, int64_t timestamp)
{
    expect(reader, DELTA_ENTRY);
    ck_assert(slice_equal(reader->key, key));
    ck_assert(slice_equal(reader->value, value));
    ck_assert_int_eq(reader->timestamp, timestamp);
}

START_TEST(what_is_written_is_read)
{
    struct delta_writer delta = {{NULL, 0, 0}, 0};
    struct delta_reader reader;
    struct err err;
    make(&delta);
    ck_assert_int_eq(delta_open(&reader, bytes_slice(&delta.blob), &err), 0);
    expect(&reader, DELTA_STORE);
    ck_assert(slice_equal(reader.store, text("counts")));
    ck_assert_uint_eq(reader.expired, 0);
    expect_entry(&reader, text("a"), text("1"), 1000);
    expect_entry(&reader, text("b"), no_value, INT64_MIN);
    expect_entry(&reader, text(""), text(""), INT64_MAX);
    expect(&reader, DELTA_STORE);
    ck_assert(slice_equal(reader.store, text("windows")));
    ck_assert_uint_eq(reader.expired, 77);
    expect_entry(&reader, text("long key with more than sixteen bytes"), text("x"), -1);
    expect(&reader, DELTA_END);
    expect(&reader, DELTA_END);
    bytes_free(&delta.blob);
}
END_TEST

START_TEST(empty_delta_is_valid)
{
    struct delta_writer delta = {{NULL, 0, 0}, 0};
    delta_begin(&delta);
    delta_finish(&delta);
    ck_assert_int_eq(read_all(bytes_slice(&delta.blob)), 0);
    bytes_free(&delta.blob);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct delta_writer delta = {{NULL, 0, 0}, 0};
    make(&delta);
    for (size_t size = 0; size < delta.blob.size; size++) {
        unsigned char *exact = malloc(size + 1); /* so that a sanitizer sees a read beyond it */
        memcpy(exact, delta.blob.data, size);
        ck_assert_int_eq(read_all(slice_of(exact, size)), -1);
        free(exact);
    }
    bytes_free(&delta.blob);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
    struct delta_writer delta = {{NULL, 0, 0}, 0};
    make(&delta);
    for (size_t bit = 0; bit < delta.blob.size * 8; bit++) {
        delta.blob.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_int_eq(read_all(bytes_slice(&delta.blob)), -1);
        delta.blob.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    ck_assert_int_eq(read_all(bytes_slice(&delta.blob)), 0);
    bytes_free(&delta.blob);
}
END_TEST

/* The checksum is right, what it covers is not. */
static int read_body(const char *body, size_t size)
{
    struct delta_writer delta = {{NULL, 0, 0}, 0};
    delta_begin(&delta);
    bytes_append(&delta.blob, body, size);
    delta_finish(&delta);
    int result = read_all(bytes_slice(&delta.blob));
    bytes_free(&delta.blob);
    return result;
}

START_TEST(nonsense_under_a_right_checksum_is_refused)
{
    ck_assert_int_eq(read_body("\0\2s\0", 4), 0);
    ck_assert_int_eq(read_body("\0\1", 2), -1);          /* a store whose name is null */
    ck_assert_int_eq(read_body("\2k\2v\0", 5), -1);      /* an entry before any store */
    ck_assert_int_eq(read_body("\0\2s\0\2k\2v", 8), -1); /* no timestamp */
    ck_assert_int_eq(read_body("\0\2s\0\2k\2v\0", 9), 0);
    ck_assert_int_eq(read_body("\0\2s\0\xff", 5), -1);     /* a size that is cut off */
    ck_assert_int_eq(read_body("\0\2s\0\2k\3v\0", 9), -1); /* a value of size -2 */
    ck_assert_int_eq(read_body("\0\2s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 14), -1);
}
END_TEST

UNIT_MAIN("delta", what_is_written_is_read, empty_delta_is_valid, every_truncation_is_refused,
          every_flipped_bit_is_refused, nonsense_under_a_right_checksum_is_refused)
