#include "base/json_quick.h"

#include "base/json.h"
#include "base/memory.h"
#include "tests/support/unit.h"

#include <stdio.h>
#include <stdlib.h>

/* A blank in front makes every text unusual, so json_check.c's own grammar decides. */
static bool is_good(struct slice text)
{
    struct bytes blank = {0};
    bytes_append_byte(&blank, ' ');
    bytes_append_slice(&blank, text);
    bool good = json_check(bytes_slice(&blank), NULL);
    bytes_free(&blank);
    return good;
}

static void expect_members(struct slice text, const struct json_members *members)
{
    struct json_walk walk = json_walk(text);
    struct slice name;
    struct slice value;
    size_t count = 0;
    for (; json_next_member(&walk, &name, &value); count++) {
        if (members->count < JSON_MEMBERS) {
            const struct json_member *member = &members->list[count];
            ck_assert(count < members->count);
            ck_assert(slice_equal(slice_of(member->name, member->name_size), name));
            ck_assert_ptr_eq(text.data + member->start + 1, name.data);
            ck_assert_ptr_eq(text.data + member->value, value.data);
            ck_assert_uint_eq(member->value_size, value.size);
        }
    }
    ck_assert(members->count == JSON_MEMBERS || members->count == count);
}

/* Whether the quick check takes the text, which is good then, with its members. */
static bool take(const char *bytes, size_t size)
{
    unsigned char *copy = memory_alloc(size); /* so that a sanitizer sees every read past the end */
    struct slice text = slice_of(memcpy(copy, bytes, size), size);
    struct json_members members;
    bool taken = json_quick_check(text, &members);
    if (taken) {
        ck_assert_msg(is_good(text), "%.*s", (int)size, bytes);
        ck_assert(bytes[0] == '{' || members.count == JSON_MEMBERS);
        if (bytes[0] == '{') {
            expect_members(text, &members);
        }
    }
    free(copy);
    return taken;
}

static const char *const usual[] = {
    "{}",
    "[ ]",
    "{\"a\":1}",
    "{ \"a\" : [ ] , \"b\" : { } }",
    "[1,-2,0,0.5,-1.25e10,3E-7,12345678,123456789012345678901]",
    "[true,false,null]",
    "[[[[1],2],3],{\"a\":{\"b\":{\"c\":[]}}}]",
    "{\"\":\"\",\"a\":\"\",\"a\":2}",
    "{\"city\":\"S\xc3\xa3o Jo\xc3\xa3o\",\"sign\":\"\xe2\x82\xac\",\"face\":\"\xf0\x9f\x98\x80\"}",
    "{\"id\":17,\"user_id\":\"u0000017\",\"amount\":120,\"currency\":\"EUR\",\"items\":[1,2,3],\"address\":{\"city\":"
    "\"Porto\",\"zip\":\"4000-017\",\"street\":\"Rua das Flores 17\"},\"note\":\"please ring twice\",\"paid\":true}",
};

START_TEST(usual_texts_are_taken)
{
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        ck_assert_msg(take(usual[i], strlen(usual[i])), "%s", usual[i]);
    }
}
END_TEST

START_TEST(bad_texts_are_refused)
{
    static const char *const bad[] = {
        "{]",           "[}",        "[1",          "{\"a\":1",    "[1]]",           "[1],[2]",    "{},5}",
        "[,1]",         "[1,]",      "{,}",         "{\"a\"}",     "{\"a\":}",       "{\"a\":1,}", "{1:2}",
        "[1 2]",        "[01]",      "[-]",         "[1.]",        "[.5]",           "[1e]",       "[1e+]",
        "[+1]",         "[tru]",     "[truee]",     "[nul]",       "[falsee]",       "[True]",     "[\"a]",
        "[\"a\"\"b\"]", "{\"a\" 1}", "{\"a\":1:2}", "[1]x]",       "[\xc3\xa9]",     "[\"\xc3\"]", "[\"\xed\xa0\x80\"]",
        "[\"\x01\"]",   "[\"\n\"]",  "[\"\\x\"]",   "[12345678x]", "[123456789.e1]", "[1;2]",      "[1]]]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!take(bad[i], strlen(bad[i])), "%s", bad[i]);
        ck_assert_msg(!json_check(slice_text(bad[i]), NULL), "%s", bad[i]);
    }
}
END_TEST

/* Strings that begin and end at every position of the blocks that are looked at together. */
START_TEST(strings_of_all_lengths)
{
    char text[600];
    for (int before = 0; before < 140; before++) {
        for (int length = 0; length < 140; length++) {
            int size = snprintf(text, sizeof text, "{%*s\"%0*d\":\"%0*d\",\"b\":[{},\"%d\"]}", before, "", length + 1,
                                7, length + 1, 8, length);
            ck_assert(take(text, (size_t)size));
        }
    }
}
END_TEST

START_TEST(deep_and_long_texts_are_left_alone)
{
    struct bytes text = {0};
    for (int depth = 1; depth <= 70; depth++) {
        bytes_clear(&text);
        for (int i = 0; i < depth; i++) {
            bytes_append_text(&text, i % 2 ? "[" : "{\"a\":");
        }
        bytes_append_byte(&text, '0');
        for (int i = depth; i-- > 0;) {
            bytes_append_text(&text, i % 2 ? "]" : "}");
        }
        ck_assert(take((const char *)text.data, text.size) == (depth <= 64));
        ck_assert(json_check(bytes_slice(&text), NULL));
    }
    bytes_clear(&text);
    bytes_append_byte(&text, '[');
    for (int i = 0; i < 4094; i++) {
        bytes_append_text(&text, i % 2 ? "," : i % 4 ? "1" : "2");
    }
    text.data[text.size - 1] = ']';
    ck_assert_uint_eq(text.size, 4095);
    ck_assert(take((const char *)text.data, text.size));
    bytes_append_text(&text, "  ");
    text.data[4094] = ' ';
    text.data[4096] = ']';
    ck_assert(!take((const char *)text.data, text.size));
    ck_assert(json_check(bytes_slice(&text), NULL));
    bytes_free(&text);
}
END_TEST

START_TEST(more_members_than_are_listed)
{
    struct bytes text = {0};
    for (int count = 1; count < 40; count++) {
        bytes_clear(&text);
        for (int i = 0; i < count; i++) {
            bytes_append_format(&text, "%c\"name%d\":%d", i == 0 ? '{' : ',', i, i);
        }
        bytes_append_byte(&text, '}');
        struct json_members members;
        ck_assert(json_check_members(bytes_slice(&text), &members, NULL));
        ck_assert_uint_eq(members.count, count < JSON_MEMBERS ? count : JSON_MEMBERS);
        ck_assert(take((const char *)text.data, text.size));
    }
    bytes_free(&text);
}
END_TEST

/* Damaged texts: what the quick check takes is good, and what it refuses though it is good has an excuse. */
START_TEST(damaged_texts)
{
    static const char tokens[] = "{}[]:,\"0123456789-.eE+ truefalsenull\xc3\xa9\x01\\";
    uint64_t random = 42;
    size_t taken = 0;
    for (int round = 0; round < 200000; round++) {
        char text[400];
        const char *from = usual[round % (int)(sizeof usual / sizeof usual[0])];
        size_t size = strlen(from);
        memcpy(text, from, size);
        for (int change = 0; change < 1 + round % 3; change++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            text[(random >> 33) % size] = tokens[(random >> 50) % (sizeof tokens - 1)];
        }
        bool quick = take(text, size);
        bool plain = memchr(text, '\\', size) == NULL && (text[0] == '{' || text[0] == '[') && text[size - 1] != ' ';
        ck_assert_msg(quick || !plain || !is_good(slice_of(text, size)), "%.*s", (int)size, text);
        taken += quick;
    }
    ck_assert_uint_gt(taken, 10000);
}
END_TEST

UNIT_MAIN("json_quick", usual_texts_are_taken, bad_texts_are_refused, strings_of_all_lengths,
          deep_and_long_texts_are_left_alone, more_members_than_are_listed, damaged_texts)
