/* Looking at eight bytes of a JSON string at once; shared by the reader and the writer of JSON. Pure. */
#ifndef TIDEMILL_BASE_JSON_SCAN_H
#define TIDEMILL_BASE_JSON_SCAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define JSON_SCAN_ONES 0x0101010101010101u
#define JSON_SCAN_HIGH 0x8080808080808080u

/* The first byte at the lowest bits, whatever the machine. */
static inline uint64_t json_scan_load(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

/* In the results below only the lowest set bit is exact: it is the high bit of the first byte that matches. */

static inline uint64_t json_scan_below(uint64_t word, unsigned char limit)
{
    return (word - JSON_SCAN_ONES * limit) & ~word & JSON_SCAN_HIGH;
}

static inline uint64_t json_scan_equal(uint64_t word, unsigned char byte)
{
    return json_scan_below(word ^ (JSON_SCAN_ONES * byte), 1);
}

/* A quote, a backslash or a control character. */
static inline uint64_t json_scan_special(uint64_t word)
{
    return json_scan_below(word, 0x20) | json_scan_equal(word, '"') | json_scan_equal(word, '\\');
}

/* Index of the byte that the lowest bit of a result stands for; the result is not 0. */
static inline unsigned json_scan_index(uint64_t matches)
{
    return (unsigned)__builtin_ctzll(matches) / 8;
}

#endif
