#include "local/local_batch.h"

#include "base/memory.h"
#include "tests/support/unit.h"

#include <stdio.h>

static const struct header some_headers[] = {
    {{(const unsigned char *)"name", 4}, {(const unsigned char *)"value", 5}},
    {{(const unsigned char *)"null", 4}, {NULL, 0}},
    {{(const unsigned char *)"", 0}, {(const unsigned char *)"", 0}},
};

static struct record make_record(int number)
{
    static char texts[64][32];
    int length = snprintf(texts[number % 64], sizeof texts[0], "record %d", number);
    struct record record = {.timestamp = 1000000 + number * (number % 3 == 0 ? -7 : 900)};
    record.key = number % 5 == 0 ? SLICE_NULL : slice_of(texts[number % 64], (size_t)length);
    record.value = number % 7 == 0 ? SLICE_NULL : slice_of(texts[number % 64], (size_t)(number % 4));
    record.headers = number % 6 == 0 ? (struct headers){some_headers, 3} : (struct headers){NULL, 0};
    return record;
}

/* Records 0 .. count-1 with every third offset left out. */
static void make_batch(struct bytes *out, int count, int64_t base)
{
    struct local_batch_writer writer;
    local_batch_begin(&writer, out);
    for (int i = 0; i < count; i++) {
        struct record record = make_record(i);
        local_batch_append(&writer, &record, i + i / 2);
    }
    local_batch_finish(&writer, writer.next + 5);
    local_batch_set_base(out->data + writer.start, base);
}

static void assert_same(const struct record *found, const struct record *expected)
{
    ck_assert(slice_equal(found->key, expected->key));
    ck_assert(slice_equal(found->value, expected->value));
    ck_assert_int_eq(found->timestamp, expected->timestamp);
    ck_assert_uint_eq(found->headers.count, expected->headers.count);
    for (size_t i = 0; i < found->headers.count; i++) {
        ck_assert(slice_equal(found->headers.list[i].name, expected->headers.list[i].name));
        ck_assert(slice_equal(found->headers.list[i].value, expected->headers.list[i].value));
    }
}

START_TEST(records_come_back_as_they_were)
{
    struct bytes out = {0};
    struct arena arena = {0};
    bytes_append_text(&out, "before");
    make_batch(&out, 60, 5000000000);
    struct local_batch batch;
    struct slice bytes = slice_of(out.data + 6, out.size - 6);
    ck_assert_int_eq(local_batch_check(bytes, &batch), LOCAL_BATCH_GOOD);
    ck_assert_int_eq(batch.base_offset, 5000000000);
    ck_assert_int_eq(batch.last_offset, 5000000000 + 59 + 29 + 5);
    ck_assert_uint_eq(batch.count, 60);
    struct local_batch_reader reader = local_batch_reader(&batch);
    struct record record;
    for (int i = 0; i < 60; i++) {
        struct record expected = make_record(i);
        ck_assert_int_eq(local_batch_next(&reader, &record, &arena), 1);
        ck_assert_int_eq(record.offset, 5000000000 + i + i / 2);
        ck_assert_int_le(record.timestamp, batch.max_timestamp);
        assert_same(&record, &expected);
    }
    ck_assert_int_eq(local_batch_next(&reader, &record, &arena), 0);
    arena_free(&arena);
    bytes_free(&out);
}
END_TEST

START_TEST(extreme_timestamps_come_back)
{
    static const int64_t times[] = {INT64_MAX, INT64_MIN, 0, -1, INT64_MAX, 1};
    struct bytes out = {0};
    struct arena arena = {0};
    struct local_batch_writer writer;
    local_batch_begin(&writer, &out);
    for (int i = 0; i < 6; i++) {
        struct record record = {.timestamp = times[i]};
        local_batch_append(&writer, &record, i);
    }
    local_batch_finish(&writer, 6);
    struct local_batch batch;
    struct record record;
    ck_assert_int_eq(local_batch_check(bytes_slice(&out), &batch), LOCAL_BATCH_GOOD);
    struct local_batch_reader reader = local_batch_reader(&batch);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(local_batch_next(&reader, &record, &arena), 1);
        ck_assert_int_eq(record.timestamp, times[i]);
    }
    bytes_free(&out);
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
    struct bytes out = {0};
    make_batch(&out, 20, 0);
    for (size_t size = 0; size < out.size; size++) {
        struct local_batch batch;
        unsigned char *copy = memory_alloc(size); /* of that very size, so that the sanitizer sees a step too far */
        memcpy(copy, out.data, size);
        ck_assert_int_eq(local_batch_check(slice_of(copy, size), &batch), LOCAL_BATCH_SHORT);
        free(copy);
    }
    bytes_free(&out);
}
END_TEST

START_TEST(every_flipped_bit_is_noticed)
{
    struct bytes out = {0};
    make_batch(&out, 20, 3);
    for (size_t bit = 8 * 8; bit < out.size * 8; bit++) {
        struct local_batch batch;
        out.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        ck_assert_int_ne(local_batch_check(bytes_slice(&out), &batch), LOCAL_BATCH_GOOD);
        out.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    bytes_free(&out);
}
END_TEST

/* Behind a checksum that fits, contents may still be anything: a fuzzer's question, asked here for every bit. */
START_TEST(broken_contents_never_crash)
{
    struct bytes out = {0};
    make_batch(&out, 20, 3);
    for (size_t bit = 8 * 8; bit < out.size * 8; bit++) {
        struct local_batch batch;
        struct record record;
        struct arena arena = {0};
        unsigned char *copy = memory_alloc(out.size);
        memcpy(copy, out.data, out.size);
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (local_batch_header(slice_of(copy, out.size), &batch) == LOCAL_BATCH_GOOD) {
            struct local_batch_reader reader = local_batch_reader(&batch);
            int64_t before = -1;
            while (local_batch_next(&reader, &record, &arena) == 1) {
                ck_assert_int_gt(record.offset, before);
                ck_assert_int_le(record.offset, batch.last_offset);
                before = record.offset;
            }
        }
        arena_free(&arena);
        free(copy);
    }
    bytes_free(&out);
}
END_TEST

START_TEST(an_empty_batch_covers_its_offsets)
{
    struct bytes out = {0};
    struct local_batch_writer writer;
    struct local_batch batch;
    struct record record;
    local_batch_begin(&writer, &out);
    local_batch_finish(&writer, 10);
    local_batch_set_base(out.data, 7);
    ck_assert_int_eq(local_batch_check(bytes_slice(&out), &batch), LOCAL_BATCH_GOOD);
    ck_assert_int_eq(batch.last_offset, 16);
    struct local_batch_reader reader = local_batch_reader(&batch);
    ck_assert_int_eq(local_batch_next(&reader, &record, NULL), 0);
    bytes_free(&out);
}
END_TEST

UNIT_MAIN("local_batch", records_come_back_as_they_were, extreme_timestamps_come_back, every_truncation_is_noticed,
          every_flipped_bit_is_noticed, broken_contents_never_crash, an_empty_batch_covers_its_offsets)
