#include "operators/window_queue.h"
#include "tests/support/unit.h"

static const char *popped(struct window_queue *queue, int64_t last)
{
    static char text[64];
    int64_t time;
    struct slice key;
    if (!window_queue_pop(queue, last, &time, &key)) {
        return "-";
    }
    snprintf(text, sizeof(text), "%d%.*s", (int)time, (int)key.size, (const char *)key.data);
    return text;
}

START_TEST(comes_out_by_time_then_key)
{
    struct window_queue *queue = window_queue_new();
    window_queue_add(queue, 5, slice_text("b"));
    window_queue_add(queue, 3, slice_text("c"));
    window_queue_add(queue, 5, slice_text("a"));
    window_queue_add(queue, 5, slice_text(""));
    window_queue_add(queue, 7, slice_text("a"));
    ck_assert_str_eq(popped(queue, 2), "-");
    ck_assert_str_eq(popped(queue, 6), "3c");
    ck_assert_str_eq(popped(queue, 6), "5");
    ck_assert_str_eq(popped(queue, 6), "5a");
    ck_assert_str_eq(popped(queue, 6), "5b");
    ck_assert_str_eq(popped(queue, 6), "-");
    ck_assert_str_eq(popped(queue, 7), "7a");
    window_queue_free(queue);
    window_queue_free(NULL);
}
END_TEST

START_TEST(what_was_added_twice_comes_out_once)
{
    struct window_queue *queue = window_queue_new();
    for (int i = 0; i < 3; i++) {
        window_queue_add(queue, 1, slice_text("a"));
        window_queue_add(queue, 1, slice_text("ab"));
    }
    ck_assert_str_eq(popped(queue, 9), "1a");
    window_queue_add(queue, 1, slice_text("a"));
    ck_assert_str_eq(popped(queue, 9), "1a");
    ck_assert_str_eq(popped(queue, 9), "1ab");
    ck_assert_str_eq(popped(queue, 9), "-");
    window_queue_free(queue);
}
END_TEST

START_TEST(many_come_out_in_order)
{
    struct window_queue *queue = window_queue_new();
    unsigned random = 7;
    for (int i = 0; i < 5000; i++) {
        char key[16];
        random = random * 1103515245u + 12345u;
        snprintf(key, sizeof(key), "%u", random >> 20);
        window_queue_add(queue, random >> 8 & 255, slice_text(key));
    }
    int64_t before = -1, time;
    struct slice key;
    char last[16] = "";
    while (window_queue_pop(queue, 1000, &time, &key)) {
        ck_assert(time > before || (time == before && slice_compare(slice_text(last), key) < 0));
        before = time;
        snprintf(last, sizeof(last), "%.*s", (int)key.size, (const char *)key.data);
    }
    ck_assert_int_eq(before, 255);
    window_queue_free(queue);
}
END_TEST

UNIT_MAIN("window_queue", comes_out_by_time_then_key, what_was_added_twice_comes_out_once, many_come_out_in_order)
