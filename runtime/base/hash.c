#include "base/hash.h"

static uint32_t load_u32_little(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t hash_murmur2(struct slice bytes)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *at = bytes.data;
    size_t left = bytes.size;
    uint32_t h = 0x9747b28cu ^ (uint32_t)bytes.size;
    for (; left >= 4; at += 4, left -= 4) {
        uint32_t k = load_u32_little(at) * m;
        h = h * m ^ (k ^ k >> 24) * m;
    }
    for (size_t i = left; i > 0; i--) {
        h ^= (uint32_t)at[i - 1] << (8 * (i - 1));
    }
    if (left > 0) {
        h *= m;
    }
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

int32_t hash_partition(struct slice key, int32_t partitions)
{
    return (int32_t)(hash_murmur2(key) & 0x7fffffff) % partitions;
}

/* ---- MurmurHash3_x64_128 ---- */

static const uint64_t murmur_low = 0x87c37b91114253d5u;
static const uint64_t murmur_high = 0x4cf5ad432745937fu;

static uint64_t load_u64_little(const unsigned char *at, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        word |= (uint64_t)at[i] << (8 * i);
    }
    return word;
}

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static uint64_t mix_low(uint64_t word)
{
    return rotate(word * murmur_low, 31) * murmur_high;
}

static uint64_t mix_high(uint64_t word)
{
    return rotate(word * murmur_high, 33) * murmur_low;
}

static uint64_t avalanche(uint64_t word)
{
    word = (word ^ word >> 33) * 0xff51afd7ed558ccdu;
    word = (word ^ word >> 33) * 0xc4ceb9fe1a85ec53u;
    return word ^ word >> 33;
}

struct hash128 hash_murmur3(struct slice bytes)
{
    const unsigned char *at = bytes.data;
    size_t left = bytes.size;
    uint64_t low = 0;
    uint64_t high = 0;
    for (; left >= 16; at += 16, left -= 16) {
        low = (rotate(low ^ mix_low(load_u64_little(at, 8)), 27) + high) * 5 + 0x52dce729;
        high = (rotate(high ^ mix_high(load_u64_little(at + 8, 8)), 31) + low) * 5 + 0x38495ab5;
    }
    if (left > 8) {
        high ^= mix_high(load_u64_little(at + 8, left - 8));
    }
    low ^= mix_low(load_u64_little(at, left < 8 ? left : 8)) ^ bytes.size;
    high ^= bytes.size;
    low += high;
    high += low;
    low = avalanche(low);
    high = avalanche(high);
    low += high;
    return (struct hash128){low, high + low};
}

/* The table's hash multiplies 64 x 64 bits to 128 and folds the halves, 16 bytes at a time. The last 16 bytes are read
 * as one overlapping block, so that keys of 8 to 16 bytes take two loads and two multiplications. */

static const uint64_t seed_low = 0x9e3779b97f4a7c15u;
static const uint64_t seed_high = 0xd6e8feb86659fd93u;
static const uint64_t seed_tail = 0xa0761d6478bd642fu;

static uint64_t load_u64(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

static uint64_t load_u32(const unsigned char *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

__extension__ typedef unsigned __int128 uint128;

static uint64_t fold(uint64_t a, uint64_t b)
{
    uint128 product = (uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_table64(struct slice bytes)
{
    const unsigned char *at = bytes.data;
    size_t size = bytes.size;
    uint64_t state = seed_tail;
    uint64_t a = 0;
    uint64_t b = 0;
    if (size > 16) {
        size_t left = size;
        for (; left > 16; at += 16, left -= 16) {
            state = fold(load_u64(at) ^ seed_low, load_u64(at + 8) ^ state);
        }
        a = load_u64(at + left - 16);
        b = load_u64(at + left - 8);
    } else if (size >= 8) {
        a = load_u64(at);
        b = load_u64(at + size - 8);
    } else if (size >= 4) {
        a = load_u32(at);
        b = load_u32(at + size - 4);
    } else if (size > 0) {
        a = (uint64_t)at[0] << 16 | (uint64_t)at[size >> 1] << 8 | at[size - 1];
    }
    return fold(fold(a ^ seed_low, b ^ state) ^ seed_high, size ^ seed_low);
}
