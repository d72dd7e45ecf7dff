#include "base/hash.h"

#include "tests/support/unit.h"

#include <stdio.h>

/* Computed with org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey of kafka-clients. */
static const struct {
    const char *key;
    size_t size;
    uint32_t hash;
    int32_t of_7;
    int32_t of_64;
} vectors[] = {
    {"", 0, 0x106e08d9, 2, 25},
    {"\0", 1, 0x166197bc, 0, 60},
    {"a", 1, 0xa2d0b27c, 5, 60},
    {"ab", 2, 0x12d8262a, 0, 42},
    {"abc", 3, 0x1c94221b, 4, 27},
    {"abcd", 4, 0xb11ab5f4, 5, 52},
    {"21", 2, 0xc5f2f8ec, 3, 44},
    {"foobar", 6, 0xd0e47bbe, 0, 62},
    {"a-little-bit-long-string", 24, 0xc53b1da0, 1, 32},
    {"a-little-bit-longer-string", 26, 0xa768c9c3, 0, 3},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 48, 0xfc7d49cd, 3, 13},
    {"\xff\x80\xfe\x81\x90\xff\xc0", 7, 0x1918b04d, 0, 13},
};

START_TEST(murmur2_is_that_of_the_java_client)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct slice key = slice_of(vectors[i].key, vectors[i].size);
        ck_assert_uint_eq(hash_murmur2(key), vectors[i].hash);
        ck_assert_int_eq(hash_partition(key, 7), vectors[i].of_7);
        ck_assert_int_eq(hash_partition(key, 64), vectors[i].of_64);
    }
    ck_assert_uint_eq(hash_murmur2(SLICE_NULL), vectors[0].hash);
}
END_TEST

/* Of the reference implementation. */
START_TEST(murmur3_is_the_published_one)
{
    static const struct {
        const char *text;
        uint64_t low;
        uint64_t high;
    } known[] = {
        {"", 0, 0},
        {"hello", 0xcbd8a7b341bd9b02, 0x5b1e906a48ae1d19},
        {"The quick brown fox jumps over the lazy dog", 0xe34bbc7bbc071b6c, 0x7a433ca9c49a9347},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct hash128 hash = hash_murmur3(slice_text(known[i].text));
        ck_assert_uint_eq(hash.low, known[i].low);
        ck_assert_uint_eq(hash.high, known[i].high);
    }
}
END_TEST

/* Every bit of the key must move about half of the bits of the hash, wherever it stands. */
START_TEST(table_hash_mixes_every_bit)
{
    unsigned char key[70] = {0};
    for (size_t size = 1; size <= sizeof key; size++) {
        uint64_t plain = hash_table64(slice_of(key, size));
        for (size_t bit = 0; bit < size * 8; bit++) {
            key[bit / 8] ^= (unsigned char)(1 << bit % 8);
            uint64_t flipped = hash_table64(slice_of(key, size));
            key[bit / 8] ^= (unsigned char)(1 << bit % 8);
            int moved = __builtin_popcountll(plain ^ flipped);
            ck_assert_msg(moved >= 8 && moved <= 56, "bit %zu of %zu bytes moves %d bits", bit, size, moved);
        }
    }
}
END_TEST

START_TEST(table_hash_tells_lengths_apart)
{
    unsigned char zeros[40] = {0};
    for (size_t a = 0; a < sizeof zeros; a++) {
        for (size_t b = 0; b < a; b++) {
            ck_assert_uint_ne(hash_table64(slice_of(zeros, a)), hash_table64(slice_of(zeros, b)));
        }
    }
    ck_assert_uint_eq(hash_table64(SLICE_NULL), hash_table64(slice_text("")));
}
END_TEST

/* Counted keys, the usual ones, must fill the low bits and the high bits of a table evenly. */
START_TEST(table_hash_spreads_counted_keys)
{
    enum { KEYS = 1 << 16, SLOTS = 1 << 8 };
    unsigned low[SLOTS] = {0};
    unsigned high[SLOTS] = {0};
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        int size = snprintf(key, sizeof key, "customer-%d", i);
        uint64_t hash = hash_table64(slice_of(key, (size_t)size));
        low[hash % SLOTS]++;
        high[hash >> 56]++;
    }
    for (int i = 0; i < SLOTS; i++) {
        ck_assert_uint_gt(low[i], KEYS / SLOTS / 2);
        ck_assert_uint_lt(low[i], KEYS / SLOTS * 2);
        ck_assert_uint_gt(high[i], KEYS / SLOTS / 2);
        ck_assert_uint_lt(high[i], KEYS / SLOTS * 2);
    }
}
END_TEST

UNIT_MAIN("hash", murmur2_is_that_of_the_java_client, murmur3_is_the_published_one, table_hash_mixes_every_bit,
          table_hash_tells_lengths_apart, table_hash_spreads_counted_keys)
