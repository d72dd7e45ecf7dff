#include "store/meta.h"

#include "tests/support/unit.h"

#include <stdlib.h>

static void make(struct bytes *bytes)
{
    static const struct store_position inputs[] = {{"orders", 3, 41, "v1;170000"}, {"users", 3, INT64_MAX, NULL}};
    static const struct store_position changelogs[] = {{"shop-counts-changelog", 3, 12, "f00d"}};
    struct store_meta meta = {.app = "shop",
                              .worker = "0_3",
                              .partitions = 8,
                              .inputs = inputs,
                              .input_count = 2,
                              .changelogs = changelogs,
                              .changelog_count = 1,
                              .committed_ms = 1700000000123};
    meta_encode(&meta, bytes);
}

static int decode(struct slice bytes)
{
    struct arena arena = {0};
    struct store_meta meta;
    struct err err;
    int result = meta_decode(bytes, &arena, &meta, &err);
    ck_assert(result == 0 || err.code == ERR_CORRUPT);
    arena_free(&arena);
    return result;
}

START_TEST(what_is_written_is_read)
{
    struct bytes bytes = {NULL, 0, 0};
    struct arena arena = {0};
    struct store_meta meta;
    struct err err;
    make(&bytes);
    ck_assert_int_eq(meta_decode(bytes_slice(&bytes), &arena, &meta, &err), 0);
    ck_assert_str_eq(meta.app, "shop");
    ck_assert_str_eq(meta.worker, "0_3");
    ck_assert_int_eq(meta.partitions, 8);
    ck_assert_int_eq(meta.committed_ms, 1700000000123);
    ck_assert_uint_eq(meta.input_count, 2);
    ck_assert_str_eq(meta.inputs[0].topic, "orders");
    ck_assert_int_eq(meta.inputs[0].partition, 3);
    ck_assert_int_eq(meta.inputs[0].offset, 41);
    ck_assert_str_eq(meta.inputs[0].metadata, "v1;170000");
    ck_assert_int_eq(meta.inputs[1].offset, INT64_MAX);
    ck_assert_ptr_null(meta.inputs[1].metadata);
    ck_assert_uint_eq(meta.changelog_count, 1);
    ck_assert_str_eq(meta.changelogs[0].topic, "shop-counts-changelog");
    ck_assert_str_eq(meta.changelogs[0].metadata, "f00d");
    arena_free(&arena);
    bytes_free(&bytes);
}
END_TEST

START_TEST(every_truncation_and_flipped_bit_is_refused)
{
    struct bytes bytes = {NULL, 0, 0};
    make(&bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        ck_assert_int_eq(decode(slice_of(bytes.data, size)), -1);
    }
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_int_eq(decode(bytes_slice(&bytes)), -1);
        bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    ck_assert_int_eq(decode(bytes_slice(&bytes)), 0);
    bytes_free(&bytes);
}
END_TEST

UNIT_MAIN("meta", what_is_written_is_read, every_truncation_and_flipped_bit_is_refused)
