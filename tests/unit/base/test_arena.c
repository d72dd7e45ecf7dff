#include "base/arena.h"

#include "tests/support/unit.h"

START_TEST(blocks_are_aligned_and_apart)
{
    struct arena arena = {.chunk_size = 256};
    unsigned char *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = arena_alloc(&arena, (size_t)i);
        ck_assert_uint_eq((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], i, (size_t)i);
    }
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < i; k++) {
            ck_assert_int_eq(blocks[i][k], i);
        }
    }
    arena_free(&arena);
}
END_TEST

START_TEST(large_blocks_get_a_chunk_of_their_own)
{
    struct arena arena = {0};
    memset(arena_alloc(&arena, 1 << 20), 1, 1 << 20);
    memset(arena_alloc(&arena, 10), 2, 10);
    arena_free(&arena);
    ck_assert_ptr_null(arena.chunk);
}
END_TEST

START_TEST(copies_keep_null_and_empty)
{
    struct arena arena = {0};
    ck_assert(slice_is_null(arena_copy(&arena, SLICE_NULL)));
    ck_assert(slice_equal(arena_copy(&arena, slice_text("")), slice_text("")));
    ck_assert(slice_equal(arena_copy(&arena, slice_text("abc")), slice_text("abc")));
    arena_free(&arena);
}
END_TEST

START_TEST(reset_goes_back_to_the_mark)
{
    struct arena arena = {.chunk_size = 128};
    struct slice kept = arena_copy(&arena, slice_text("kept"));
    struct arena_mark mark = arena_mark(&arena);
    void *first = arena_alloc(&arena, 16);
    for (int i = 0; i < 50; i++) {
        arena_alloc(&arena, 64);
    }
    arena_reset(&arena, mark);
    ck_assert(slice_equal(kept, slice_text("kept")));
    ck_assert_ptr_eq(arena_alloc(&arena, 16), first);
    arena_free(&arena);
}
END_TEST

START_TEST(rounds_reuse_the_kept_chunk)
{
    struct arena arena = {0};
    struct arena_mark mark = arena_mark(&arena);
    void *first = arena_alloc(&arena, 100);
    arena_reset(&arena, mark);
    ck_assert_ptr_eq(arena_alloc(&arena, 100), first);
    arena_clear(&arena);
    ck_assert_ptr_eq(arena_alloc(&arena, 100), first);
    arena_free(&arena);
    arena_free(&arena);
}
END_TEST

static void fill(struct arena *arena, int chunks)
{
    for (int i = 0; i < chunks; i++) {
        memset(arena_alloc(arena, arena->chunk_size), i, arena->chunk_size);
    }
}

START_TEST(what_is_kept_is_used_again_and_bounded)
{
    struct arena arena = {.chunk_size = 128};
    arena_trim(&arena, 300);
    fill(&arena, 5);
    ck_assert_uint_eq(arena_bytes(&arena), 5 * 128);
    arena_clear(&arena);
    ck_assert_uint_eq(arena_bytes(&arena), 128);
    ck_assert_uint_eq(arena.spare_bytes, 2 * 128);
    fill(&arena, 2);
    ck_assert_uint_eq(arena.spare_bytes, 128);
    arena_alloc(&arena, 1000); /* none of them is large enough */
    ck_assert_uint_eq(arena.spare_bytes, 128);
    fill(&arena, 2);
    ck_assert_uint_eq(arena.spare_bytes, 0);
    arena_clear(&arena);
    arena_trim(&arena, 130);
    ck_assert_uint_eq(arena.spare_bytes, 128);
    arena_free(&arena);
    ck_assert_ptr_null(arena.spare);
    ck_assert_uint_eq(arena.spare_bytes, 0);
}
END_TEST

UNIT_MAIN("arena", blocks_are_aligned_and_apart, large_blocks_get_a_chunk_of_their_own, copies_keep_null_and_empty,
          reset_goes_back_to_the_mark, rounds_reuse_the_kept_chunk, what_is_kept_is_used_again_and_bounded)
