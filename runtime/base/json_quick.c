#include "base/json_quick.h"

#include "base/json_scan.h"

#if defined(__SSE2__)
#include <emmintrin.h>

#define BLOCK 64      /* bytes that one word of marks stands for */
#define MAX_TEXT 4096 /* so that the list of strings fits on the stack */
#define MAX_DEPTH 64

/* The cost here is in the jumps, not in the comparisons: laying out the usual way without any saves a third. */
#define LIKELY(condition) __builtin_expect(condition, 1)
#define UNLIKELY(condition) __builtin_expect(condition, 0)
/* What runs once per token: gcc leaves some of it out of line, and then the state of the walk lives in memory. */
#define INLINE static inline __attribute__((always_inline))

/* ---- first pass: where strings end ---- */

struct sums {
    __m128i lowest; /* of the bytes at equal positions */
    __m128i all;    /* bits that are set in any of them */
    __m128i backslashes;
};

/* Bit n: byte n of the block is a quote. */
INLINE uint64_t mark_quotes(const unsigned char *at, struct sums *sums)
{
    uint64_t quotes = 0;
    for (int i = 0; i < BLOCK / 16; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at + i);
        sums->lowest = _mm_min_epu8(sums->lowest, bytes);
        sums->all = _mm_or_si128(sums->all, bytes);
        sums->backslashes = _mm_or_si128(sums->backslashes, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
        quotes |= (uint64_t)mask << (16 * i);
    }
    return quotes;
}

/* The same for the block that the text ends in; it is put together from the text before it, or from blanks. */
static uint64_t mark_last_quotes(struct slice text, size_t base, struct sums *sums)
{
    unsigned char copy[BLOCK];
    if (text.size >= BLOCK) {
        return mark_quotes(text.data + text.size - BLOCK, sums) >> (base + BLOCK - text.size);
    }
    memset(copy, ' ', sizeof copy);
    memcpy(copy, text.data, text.size);
    return mark_quotes(copy, sums);
}

/* Bit n: an odd number of bits is set up to n. */
INLINE uint64_t parity_of_prefixes(uint64_t bits)
{
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    return bits ^ bits << 32;
}

static bool is_plain(const struct sums *sums, struct slice text)
{
    __m128i controls = _mm_cmpeq_epi8(_mm_max_epu8(sums->lowest, _mm_set1_epi8(0x1f)), _mm_set1_epi8(0x1f));
    if (_mm_movemask_epi8(_mm_or_si128(controls, sums->backslashes)) != 0) {
        return false;
    }
    return _mm_movemask_epi8(sums->all) == 0 || json_utf8_valid(text);
}

/* Lists the positions of closing quotes. False: a string does not end, or the text has more than plain strings. */
static bool list_ends(struct slice text, uint16_t *ends)
{
    struct sums sums = {_mm_set1_epi8(' '), _mm_setzero_si128(), _mm_setzero_si128()};
    uint64_t inside = 0; /* all ones: the block begins in a string */
    for (size_t base = 0; base < text.size; base += BLOCK) {
        bool whole = base + BLOCK <= text.size;
        uint64_t quotes = whole ? mark_quotes(text.data + base, &sums) : mark_last_quotes(text, base, &sums);
        inside ^= parity_of_prefixes(quotes);
        for (uint64_t closing = quotes & ~inside; LIKELY(closing != 0); closing &= closing - 1) {
            *ends++ = (uint16_t)(base + (size_t)__builtin_ctzll(closing));
        }
        inside = 0 - (inside >> (BLOCK - 1));
    }
    return inside == 0 && is_plain(&sums, text);
}

/* ---- second pass: the grammar ----
 *
 * The last byte of the text is a bracket or brace, where every function stops: none looks for the end. */

struct walk {
    const unsigned char *start;
    const unsigned char *end;
    const unsigned char *at;
    const uint16_t *string;      /* the end of the next one */
    struct json_member *member;  /* the next one, or the one whose value is walked over */
    struct json_member *members; /* end of the room for them */
    uint64_t objects;            /* bit 0: the innermost container is an object; bit 1: the one around it; ... */
    unsigned depth;
    unsigned char closing; /* of the innermost container */
};

INLINE void skip_blanks(struct walk *walk)
{
    while (UNLIKELY(*walk->at == ' ')) {
        walk->at++;
    }
}

INLINE void skip_string(struct walk *walk)
{
    walk->at = walk->start + *walk->string++ + 1;
}

/* Eight at once, because the lengths of numbers are hard to predict. */
INLINE const unsigned char *skip_digits(const unsigned char *at, const unsigned char *end)
{
    if (LIKELY(end - at >= 8)) {
        uint64_t word = json_scan_load(at) ^ JSON_SCAN_ONES * '0';
        uint64_t others = ((word + JSON_SCAN_ONES * (0x7f - 9)) | word) & JSON_SCAN_HIGH;
        if (LIKELY(others != 0)) {
            return at + json_scan_index(others);
        }
    }
    while ((unsigned char)(*at - '0') < 10) {
        at++;
    }
    return at;
}

INLINE bool skip_number(struct walk *walk)
{
    const unsigned char *digits = walk->at + (*walk->at == '-');
    const unsigned char *at = skip_digits(digits, walk->end);
    if (UNLIKELY(*digits == '0' && at > digits + 1)) {
        return false;
    }
    if (UNLIKELY(*at == '.' && at > digits)) {
        digits = at + 1;
        at = skip_digits(digits, walk->end);
    }
    if (UNLIKELY((*at | 0x20) == 'e' && at > digits)) {
        digits = at + 1 + (at[1] == '+' || at[1] == '-');
        at = skip_digits(digits, walk->end);
    }
    walk->at = at;
    return at > digits;
}

INLINE bool skip_literal(struct walk *walk)
{
    const unsigned char *at = walk->at;
    if (walk->end - at < 5) {
        return false;
    }
    walk->at += *at == 'f' ? 5 : 4;
    return memcmp(at, "true", 4) == 0 || memcmp(at, "null", 4) == 0 || memcmp(at, "false", 5) == 0;
}

/* In an object: over a name and its colon, to the value. */
INLINE bool take_name(struct walk *walk)
{
    if (UNLIKELY(walk->closing == ']')) {
        return true;
    }
    const unsigned char *quote = walk->at;
    if (UNLIKELY(*quote != '"')) {
        return false;
    }
    skip_string(walk);
    uint32_t size = (uint32_t)(walk->at - quote) - 2;
    skip_blanks(walk);
    if (UNLIKELY(*walk->at++ != ':')) {
        return false;
    }
    skip_blanks(walk);
    if (LIKELY(walk->depth == 1 && walk->member < walk->members)) {
        uint32_t start = (uint32_t)(quote - walk->start);
        *walk->member = (struct json_member){quote + 1, size, start, (uint32_t)(walk->at - walk->start), 0};
    }
    return true;
}

/* Behind a value. */
INLINE void finish_value(struct walk *walk)
{
    if (LIKELY(walk->depth == 1 && walk->member < walk->members)) {
        walk->member->value_size = (uint32_t)(walk->at - walk->start) - walk->member->value;
        walk->member++;
    }
    skip_blanks(walk);
}

/* Into a container: to its first name or value, or to its end. */
INLINE bool open_container(struct walk *walk)
{
    bool object = *walk->at++ == '{';
    walk->objects = walk->objects << 1 | object;
    walk->closing = object ? '}' : ']';
    skip_blanks(walk);
    return walk->depth++ < MAX_DEPTH;
}

/* Over the ends of containers. False: over that of the outermost one, or to the end of the text. */
INLINE bool close_containers(struct walk *walk)
{
    while (UNLIKELY(*walk->at == walk->closing)) {
        walk->at++;
        walk->depth--;
        walk->objects >>= 1;
        walk->closing = walk->objects & 1 ? '}' : ']';
        if (walk->depth == 0 || walk->at == walk->end) {
            return false;
        }
        finish_value(walk);
    }
    return true;
}

static bool walk_over(struct walk *walk)
{
    for (;;) {
        unsigned char byte = *walk->at;
        if (LIKELY(byte == '"')) {
            skip_string(walk);
            finish_value(walk);
        } else if (UNLIKELY((byte | 0x20) == '{')) { /* which a bracket becomes, too */
            if (UNLIKELY(!open_container(walk))) {
                return false;
            }
            if (LIKELY(*walk->at != walk->closing)) {
                if (UNLIKELY(!take_name(walk))) {
                    return false;
                }
                continue;
            }
        } else if (LIKELY(byte <= '9' ? skip_number(walk) : skip_literal(walk))) {
            finish_value(walk);
        } else {
            return false;
        }
        if (!close_containers(walk)) {
            return walk->depth == 0 && walk->at == walk->end;
        }
        if (UNLIKELY(*walk->at++ != ',')) {
            return false;
        }
        skip_blanks(walk);
        if (UNLIKELY(!take_name(walk))) {
            return false;
        }
    }
}

bool json_quick_check(struct slice text, struct json_members *members)
{
    uint16_t ends[MAX_TEXT];
    if (text.size < 2 || text.size > MAX_TEXT || (text.data[0] | 0x20) != '{' ||
        (text.data[text.size - 1] | 0x20) != '}' || !list_ends(text, ends)) {
        return false;
    }
    struct walk walk = {
        .start = text.data,
        .end = text.data + text.size,
        .at = text.data,
        .string = ends,
        .members = members->list + JSON_MEMBERS,
        .member = text.data[0] == '{' ? members->list : members->list + JSON_MEMBERS,
    };
    bool good = walk_over(&walk);
    members->count = (size_t)(walk.member - members->list);
    return good;
}

#else

bool json_quick_check(struct slice text, struct json_members *members)
{
    (void)text;
    (void)members;
    return false;
}

#endif
