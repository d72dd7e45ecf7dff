#include "store/slab.h"

#include "base/memory.h"
#include "store/pages.h"

#include <stdlib.h>
#include <string.h>

/* Chunks grow from small to large, so that a store with three keys stays small. */
#define FIRST_CHUNK ((size_t)1024)
#define LAST_CHUNK PAGES_HUGE

struct slab_chunk {
    struct slab_chunk *older;
    size_t size; /* with this header */
    unsigned char data[];
};

struct slab_large {
    struct slab_large *next;
    struct slab_large **link; /* what points here */
    unsigned char data[];
};

static void release_small(struct slab *slab, void *block, size_t room)
{
    memcpy(block, &slab->released[room / SLAB_UNIT], sizeof(void *));
    slab->released[room / SLAB_UNIT] = block;
}

static void add_chunk(struct slab *slab)
{
    if (slab->left > 0) {
        release_small(slab, slab->at, slab->left);
    }
    size_t size = slab->chunks == NULL ? FIRST_CHUNK : slab->chunks->size * 2;
    if (size > LAST_CHUNK) {
        size = LAST_CHUNK;
    }
    struct slab_chunk *chunk = pages_alloc(size);
    chunk->older = slab->chunks;
    chunk->size = size;
    slab->chunks = chunk;
    slab->at = chunk->data;
    slab->left = size - sizeof *chunk;
    slab->bytes += size;
}

static void *alloc_large(struct slab *slab, size_t room)
{
    struct slab_large *large = memory_resize(NULL, sizeof *large + room);
    large->next = slab->large;
    large->link = &slab->large;
    if (large->next != NULL) {
        large->next->link = &large->next;
    }
    slab->large = large;
    slab->bytes += sizeof *large + room;
    return large->data;
}

static void release_large(struct slab *slab, void *block, size_t room)
{
    struct slab_large *large = (struct slab_large *)((unsigned char *)block - offsetof(struct slab_large, data));
    *large->link = large->next;
    if (large->next != NULL) {
        large->next->link = large->link;
    }
    slab->bytes -= sizeof *large + room;
    free(large);
}

void *slab_alloc(struct slab *slab, size_t size)
{
    size_t room = slab_room(size);
    if (room > SLAB_LARGEST) {
        return alloc_large(slab, room);
    }
    void *block = slab->released[room / SLAB_UNIT];
    if (block != NULL) {
        memcpy(&slab->released[room / SLAB_UNIT], block, sizeof(void *));
        return block;
    }
    while (room > slab->left) { /* the first chunk may be too small for the block */
        add_chunk(slab);
    }
    block = slab->at;
    slab->at += room;
    slab->left -= room;
    return block;
}

void slab_release(struct slab *slab, void *block, size_t size)
{
    size_t room = slab_room(size);
    if (room > SLAB_LARGEST) {
        release_large(slab, block, room);
    } else {
        release_small(slab, block, room);
    }
}

void slab_free(struct slab *slab)
{
    while (slab->chunks != NULL) {
        struct slab_chunk *older = slab->chunks->older;
        pages_free(slab->chunks, slab->chunks->size);
        slab->chunks = older;
    }
    while (slab->large != NULL) {
        struct slab_large *next = slab->large->next;
        free(slab->large);
        slab->large = next;
    }
    memset(slab, 0, sizeof *slab);
}
