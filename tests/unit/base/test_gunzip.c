#include "base/gunzip.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/memory.h"
#include "tests/support/unit.h"

static struct bytes packed;

/* One more member with that text. */
static void add_member(const unsigned char *text, size_t size)
{
    z_stream stream = {0};
    ck_assert_int_eq(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    bytes_reserve(&packed, deflateBound(&stream, size));
    stream.next_in = (unsigned char *)(uintptr_t)text;
    stream.avail_in = (uInt)size;
    stream.next_out = packed.data + packed.size;
    stream.avail_out = (uInt)deflateBound(&stream, size);
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.size += stream.total_out;
    deflateEnd(&stream);
}

/* Unpacks what there is in steps of that size. False: it is damaged; *complete: the end was at an end. */
static bool unpack(size_t step, struct bytes *text, bool *complete)
{
    struct gunzip *gunzip = gunzip_open();
    size_t at = 0;
    bool good = true;
    while (good && (at < packed.size || !gunzip_hungry(gunzip))) {
        if (gunzip_hungry(gunzip)) {
            size_t size = packed.size - at < step ? packed.size - at : step;
            bytes_append(gunzip_input(gunzip), packed.data + at, size);
            at += size;
        }
        good = gunzip_some(gunzip, text);
    }
    *complete = gunzip_between(gunzip);
    gunzip_close(gunzip);
    return good;
}

START_TEST(members_follow_each_other_in_any_pieces)
{
    static unsigned char large[3000000]; /* more than one step gives */
    bool complete;
    for (size_t i = 0; i < sizeof(large); i++) {
        large[i] = (unsigned char)(i / 1000);
    }
    add_member((const unsigned char *)"first\n", 6);
    add_member(large, sizeof(large));
    add_member((const unsigned char *)"", 0);
    add_member((const unsigned char *)"last\n", 5);
    bytes_append(&packed, "\0\0\0", 3); /* padding */
    ck_assert(gunzip_recognizes(packed.data, packed.size));
    for (size_t step = 1; step < packed.size * 2; step *= 3) {
        struct bytes text = {0};
        ck_assert(unpack(step, &text, &complete));
        ck_assert(complete);
        ck_assert_uint_eq(text.size, 6 + sizeof(large) + 5);
        ck_assert_int_eq(memcmp(text.data + 6, large, sizeof(large)), 0);
        ck_assert_int_eq(memcmp(text.data + 6 + sizeof(large), "last\n", 5), 0);
        bytes_free(&text);
    }
    bytes_free(&packed);
}
END_TEST

START_TEST(what_is_cut_or_damaged_is_told)
{
    struct bytes text = {0};
    bool complete;
    add_member((const unsigned char *)"some text, some text", 20);
    size_t size = packed.size;
    packed.size = size - 3;
    ck_assert(unpack(7, &text, &complete));
    ck_assert(!complete);
    packed.size = size;
    packed.data[size - 5] ^= 1; /* of the check sum */
    ck_assert(!unpack(7, &text, &complete));
    ck_assert(!gunzip_recognizes((const unsigned char *)"\x1f", 1));
    ck_assert(!gunzip_recognizes((const unsigned char *)"{}", 2));
    bytes_free(&packed);
    bytes_free(&text);
}
END_TEST

UNIT_MAIN("gunzip", members_follow_each_other_in_any_pieces, what_is_cut_or_damaged_is_told)
