#include "operators/held.h"

#include <stdio.h>

#include "base/bytes.h"
#include "tests/support/unit.h"

#define NO_LIMIT INT64_MAX

static const struct headers no_headers;

static struct held_entry *note(struct held *held, const char *key, const char *before, int64_t at)
{
    struct item item = {.timestamp = at, .headers = &no_headers};
    return held_note(held, slice_text(key), before != NULL, before ? slice_text(before) : SLICE_NULL, &item);
}

static struct bytes emitted;

static int emit(struct node *node, const struct held_entry *entry)
{
    ck_assert_ptr_null(node);
    bytes_append_format(&emitted, "%.*s<%.*s@%lld ", (int)entry->key.size, (const char *)entry->key.data,
                        entry->existed ? (int)entry->before.size : 1,
                        entry->existed ? (const char *)entry->before.data : "-", (long long)entry->timestamp);
    return 0;
}

static const char *flushed(struct held *held)
{
    bytes_clear(&emitted);
    ck_assert_int_eq(held_flush(held, NULL, emit), 0);
    return bytes_text(&emitted);
}

START_TEST(the_first_change_says_what_was_before_and_the_last_one_when)
{
    struct held *held = held_new(NO_LIMIT);
    note(held, "b", "1", 10);
    note(held, "a", NULL, 11);
    note(held, "b", "2", 12);
    note(held, "a", "3", 13);
    ck_assert_uint_eq(held_count(held), 2);
    ck_assert_str_eq(flushed(held), "b<1@12 a<-@13 ");
    ck_assert_str_eq(flushed(held), "");
    note(held, "a", "4", 14);
    ck_assert_str_eq(flushed(held), "a<4@14 ");
    held_free(held);
    bytes_free(&emitted);
}
END_TEST

START_TEST(many_keys_are_found_again)
{
    struct held *held = held_new(NO_LIMIT);
    char key[32];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5000; i++) {
            snprintf(key, sizeof key, "key-%d", i * (round + 1));
            note(held, key, NULL, i)->value = i;
        }
        for (int i = 0; i < 5000; i++) {
            snprintf(key, sizeof key, "key-%d", i * (round + 1));
            ck_assert_int_eq(held_find(held, slice_text(key))->value, i);
        }
        ck_assert_ptr_null(held_find(held, slice_text("key-")));
        flushed(held);
        ck_assert_ptr_null(held_find(held, slice_text("key-0")));
    }
    held_free(held);
    bytes_free(&emitted);
}
END_TEST

START_TEST(headers_are_those_of_the_last_change)
{
    struct held *held = held_new(NO_LIMIT);
    struct header list[] = {{slice_text("trace"), slice_text("12")}, {slice_text("empty"), SLICE_NULL}};
    struct headers both = {list, 2}, one = {list, 1};
    struct item item = {.timestamp = 1, .headers = &one};
    held_note(held, slice_text("a"), false, SLICE_NULL, &item);
    item.headers = &both;
    struct held_entry *entry = held_note(held, slice_text("a"), false, SLICE_NULL, &item);
    ck_assert_uint_eq(entry->headers.count, 2);
    ck_assert(slice_equal(entry->headers.list[0].value, slice_text("12")));
    ck_assert(entry->headers.list[0].value.data != list[0].value.data);
    ck_assert(slice_equal(entry->headers.list[1].name, slice_text("empty")));
    ck_assert(slice_is_null(entry->headers.list[1].value));
    ck_assert_uint_eq(note(held, "a", NULL, 3)->headers.count, 0);
    held_free(held);
}
END_TEST

START_TEST(what_is_held_is_measured)
{
    struct held *held = held_new(1000);
    int keys = 0;
    while (!held_full(held)) {
        char key[32];
        snprintf(key, sizeof key, "key-%d", keys++);
        note(held, key, "0123456789", 1);
        ck_assert_int_lt(keys, 100);
    }
    ck_assert_int_gt(keys, 2);
    for (int i = 0; i < 2; i++) {
        flushed(held);
        ck_assert(!held_full(held));
        struct held_entry *entry = note(held, "a", NULL, 1);
        ck_assert_ptr_eq(held_at(held, 0), entry);
        held_charge(held, entry, 1000);
        ck_assert(held_full(held));
        held_charge(held, entry, 10);
        ck_assert(!held_full(held));
    }
    held_free(held);
    bytes_free(&emitted);
}
END_TEST

static int refuse(struct node *node, const struct held_entry *entry)
{
    (void)node;
    (void)entry;
    return -1;
}

START_TEST(a_refused_entry_ends_the_flush)
{
    struct held *held = held_new(NO_LIMIT);
    ck_assert_int_eq(held_flush(held, NULL, refuse), 0);
    note(held, "a", NULL, 1);
    ck_assert_int_eq(held_flush(held, NULL, refuse), -1);
    ck_assert_uint_eq(held_count(held), 1);
    held_free(held);
    held_free(NULL);
}
END_TEST

UNIT_MAIN("held", the_first_change_says_what_was_before_and_the_last_one_when, many_keys_are_found_again,
          headers_are_those_of_the_last_change, what_is_held_is_measured, a_refused_entry_ends_the_flush)
