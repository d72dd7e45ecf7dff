/* Kinds of bytes and looking at eight bytes of a string at once; shared by the files that read and write JSON. Pure. */
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

/* What a byte may be part of. */
enum {
    JSON_WHITE = 1,
    JSON_DIGIT = 2,
    JSON_HEX = 4,
    JSON_ESCAPE = 8, /* behind a backslash */
    JSON_STOP = 16,  /* in a string: not plain ASCII text */
    JSON_NEST = 32,  /* a bracket, a brace or a quote */
    JSON_END = 64    /* behind a number or literal */
};

extern const unsigned char json_kinds[256]; /* of the bits above, by byte */

/* The byte at `at`, or 0 at the end: outside of strings no JSON contains a zero byte. */
static inline unsigned char json_scan_peek(const unsigned char *at, const unsigned char *end)
{
    return at < end ? *at : 0;
}

static inline const unsigned char *json_scan_skip_white(const unsigned char *at, const unsigned char *end)
{
    while (at < end && *at <= ' ' && json_kinds[*at] & JSON_WHITE) {
        at++;
    }
    return at;
}

static inline const unsigned char *json_scan_skip_digits(const unsigned char *at, const unsigned char *end)
{
    while (json_kinds[json_scan_peek(at, end)] & JSON_DIGIT) {
        at++;
    }
    return at;
}

/* The first quote, backslash, control character or byte beyond ASCII. */
static inline const unsigned char *json_scan_skip_plain(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 8) {
        uint64_t word = json_scan_load(at);
        /* Cheaper than json_scan_special, as bytes beyond ASCII may count as matches of everything. */
        uint64_t quotes = (word ^ JSON_SCAN_ONES * '"') - JSON_SCAN_ONES;
        uint64_t backslashes = (word ^ JSON_SCAN_ONES * '\\') - JSON_SCAN_ONES;
        uint64_t controls = word - JSON_SCAN_ONES * 0x20;
        uint64_t stops = (quotes | backslashes | controls | word) & JSON_SCAN_HIGH;
        if (stops != 0) {
            return at + json_scan_index(stops);
        }
        at += 8;
    }
    while (at < end && !(json_kinds[*at] & JSON_STOP)) {
        at++;
    }
    return at;
}

#endif
