#include "scripts/pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define SLAB_SIZE ((size_t)32 * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define POOL_PLAIN true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_PLAIN true
#endif
#endif
#ifndef POOL_PLAIN
#define POOL_PLAIN false
#endif

struct pool_block {
    struct pool_block *next;
};

struct pool_slab {
    struct pool_slab *next;
    size_t unused; /* keeps the blocks behind it aligned to 16 bytes */
};

static bool is_small(size_t size)
{
    return !POOL_PLAIN && size <= (size_t)POOL_GRAIN * POOL_CLASSES;
}

static size_t class_of(size_t size)
{
    return (size - 1) / POOL_GRAIN;
}

static void add_slab(struct pool *pool)
{
    struct pool_slab *slab = memory_resize(NULL, SLAB_SIZE);
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->at = (unsigned char *)(slab + 1);
    pool->end = (unsigned char *)slab + SLAB_SIZE;
}

static void *take_small(struct pool *pool, size_t class)
{
    struct pool_block *block = pool->free[class];
    if (block) {
        pool->free[class] = block->next;
        return block;
    }
    size_t size = (class + 1) * POOL_GRAIN;
    if ((size_t)(pool->end - pool->at) < size) {
        add_slab(pool);
    }
    void *fresh = pool->at;
    pool->at += size;
    return fresh;
}

static void give_back(struct pool *pool, void *block, size_t size)
{
    if (!is_small(size)) {
        free(block);
        return;
    }
    struct pool_block *free_block = block;
    size_t class = class_of(size);
    free_block->next = pool->free[class];
    pool->free[class] = free_block;
}

static void *take(struct pool *pool, size_t size)
{
    return is_small(size) ? take_small(pool, class_of(size)) : memory_resize(NULL, size);
}

static void *move(struct pool *pool, void *block, size_t old_size, size_t size)
{
    if (!is_small(old_size) && !is_small(size)) {
        return memory_resize(block, size);
    }
    if (is_small(old_size) && is_small(size) && class_of(old_size) == class_of(size)) {
        return block;
    }
    void *moved = take(pool, size);
    memcpy(moved, block, old_size < size ? old_size : size);
    give_back(pool, block, old_size);
    return moved;
}

static bool over_limit(const struct pool *pool, size_t old_size, size_t size)
{
    return pool->limit > 0 && size > old_size &&
           (pool->used >= pool->limit || size - old_size > pool->limit - pool->used);
}

void *pool_resize(void *data, void *block, size_t old_size, size_t size)
{
    struct pool *pool = data;
    if (block == NULL) {
        old_size = 0; /* Lua passes the kind of object here */
    }
    if (size == 0) {
        if (block) {
            give_back(pool, block, old_size);
        }
        pool->used -= old_size;
        return NULL;
    }
    if (over_limit(pool, old_size, size)) {
        return NULL;
    }
    pool->used = pool->used - old_size + size;
    return old_size > 0 ? move(pool, block, old_size, size) : take(pool, size);
}

void pool_free(struct pool *pool)
{
    while (pool->slabs) {
        struct pool_slab *next = pool->slabs->next;
        free(pool->slabs);
        pool->slabs = next;
    }
    *pool = (struct pool){.limit = pool->limit};
}
