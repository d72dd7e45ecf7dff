#include "store/pages.h"

#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

static size_t round_up(size_t size)
{
    return (size + PAGES_HUGE - 1) & ~(PAGES_HUGE - 1);
}

/* Aligned to a huge page: what the system gives too much on both sides goes back at once. */
static void *map_aligned(size_t size)
{
    unsigned char *start = mmap(NULL, size + PAGES_HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        return memory_resize(NULL, SIZE_MAX); /* ends the process, as every allocation that fails does */
    }
    size_t before = (PAGES_HUGE - ((uintptr_t)start & (PAGES_HUGE - 1))) & (PAGES_HUGE - 1);
    if (before > 0) {
        munmap(start, before);
    }
    munmap(start + before + size, PAGES_HUGE - before);
    return start + before;
}

void *pages_alloc(size_t size)
{
    if (size < PAGES_HUGE) {
        return memory_alloc(size);
    }
    void *block = map_aligned(round_up(size));
    madvise(block, round_up(size), MADV_HUGEPAGE); /* only a wish */
    return block;
}

void pages_free(void *block, size_t size)
{
    if (size < PAGES_HUGE) {
        free(block);
    } else {
        munmap(block, round_up(size));
    }
}
