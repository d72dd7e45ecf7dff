#include "base/memory.h"

#include "tests/support/unit.h"

#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(alloc_is_zeroed)
{
    unsigned char *block = memory_alloc(100);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(block[i], 0);
    }
    free(block);
    block = memory_alloc(0);
    ck_assert_ptr_nonnull(block);
    free(block);
}
END_TEST

START_TEST(copy_text_keeps_null)
{
    ck_assert_ptr_null(memory_copy_text(NULL));
    char *copy = memory_copy_text("text");
    ck_assert_str_eq(copy, "text");
    free(copy);
}
END_TEST

START_TEST(format_allocates_what_it_needs)
{
    char *text = memory_format("%0500d", 7);
    ck_assert_uint_eq(strlen(text), 500);
    free(text);
}
END_TEST

START_TEST(grow_doubles_only_when_full)
{
    int *numbers = NULL;
    size_t capacity = 0;
    for (size_t count = 0; count < 1000; count++) {
        numbers = memory_grow(numbers, count, &capacity, sizeof *numbers);
        ck_assert_uint_gt(capacity, count);
        numbers[count] = (int)count;
    }
    ck_assert_uint_le(capacity, 2000);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(numbers[i], i);
    }
    free(numbers);
}
END_TEST

/* In a child of its own, since the process ends. */
START_TEST(running_out_ends_with_status_5)
{
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        size_t capacity = SIZE_MAX / 4;
        memory_grow(NULL, capacity, &capacity, 16);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 5);
}
END_TEST

UNIT_MAIN("memory", alloc_is_zeroed, copy_text_keeps_null, format_allocates_what_it_needs, grow_doubles_only_when_full,
          running_out_ends_with_status_5)
