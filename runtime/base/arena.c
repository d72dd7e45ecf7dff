#include "base/arena.h"

#include "base/memory.h"

#include <stdlib.h>

#define DEFAULT_CHUNK_SIZE ((size_t)64 * 1024)
#define ALIGNMENT 16

struct arena_chunk {
    struct arena_chunk *older;
    size_t used;
    size_t size;
    _Alignas(ALIGNMENT) unsigned char data[];
};

static struct arena_chunk *take_spare(struct arena *arena)
{
    struct arena_chunk *chunk = arena->spare;
    arena->spare = chunk->older;
    arena->spare_bytes -= chunk->size;
    return chunk;
}

static struct arena_chunk *new_chunk(const struct arena *arena, size_t at_least)
{
    size_t size = arena->chunk_size > 0 ? arena->chunk_size : DEFAULT_CHUNK_SIZE;
    if (size < at_least) {
        size = at_least;
    }
    struct arena_chunk *chunk = memory_resize(NULL, sizeof *chunk + size);
    chunk->size = size;
    return chunk;
}

static void push_chunk(struct arena *arena, size_t at_least)
{
    bool fits = arena->spare != NULL && arena->spare->size >= at_least;
    struct arena_chunk *chunk = fits ? take_spare(arena) : new_chunk(arena, at_least);
    chunk->older = arena->chunk;
    chunk->used = 0;
    arena->chunk = chunk;
}

static void release_chunk(struct arena *arena, struct arena_chunk *chunk)
{
    if (chunk->size > arena->keep - arena->spare_bytes) {
        free(chunk);
        return;
    }
    chunk->older = arena->spare;
    arena->spare = chunk;
    arena->spare_bytes += chunk->size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (rounded < size || rounded > SIZE_MAX - sizeof(struct arena_chunk)) {
        return memory_resize(NULL, SIZE_MAX); /* no such block can be had: ends the process */
    }
    if (arena->chunk == NULL || rounded > arena->chunk->size - arena->chunk->used) {
        push_chunk(arena, rounded);
    }
    struct arena_chunk *chunk = arena->chunk;
    void *block = chunk->data + chunk->used;
    chunk->used += rounded;
    return block;
}

struct slice arena_copy(struct arena *arena, struct slice slice)
{
    if (slice_is_null(slice)) {
        return slice;
    }
    unsigned char *data = arena_alloc(arena, slice.size > 0 ? slice.size : 1);
    if (slice.size > 0) {
        memcpy(data, slice.data, slice.size);
    }
    return (struct slice){data, slice.size};
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->chunk, arena->chunk != NULL ? arena->chunk->used : 0};
}

/* A mark of the empty arena has no chunk: then the oldest one is emptied and kept, so that a loop of mark and reset
 * does not allocate in every round. */
void arena_reset(struct arena *arena, struct arena_mark mark)
{
    while (arena->chunk != mark.chunk && arena->chunk->older != NULL) {
        struct arena_chunk *older = arena->chunk->older;
        release_chunk(arena, arena->chunk);
        arena->chunk = older;
    }
    if (arena->chunk != NULL) {
        arena->chunk->used = arena->chunk == mark.chunk ? mark.used : 0;
    }
}

void arena_clear(struct arena *arena)
{
    arena_reset(arena, (struct arena_mark){NULL, 0});
}

void arena_trim(struct arena *arena, size_t most)
{
    arena->keep = most;
    while (arena->spare_bytes > most) {
        free(take_spare(arena));
    }
}

size_t arena_bytes(const struct arena *arena)
{
    size_t bytes = 0;
    for (const struct arena_chunk *chunk = arena->chunk; chunk != NULL; chunk = chunk->older) {
        bytes += chunk->size;
    }
    return bytes;
}

void arena_free(struct arena *arena)
{
    arena_clear(arena);
    arena_trim(arena, 0);
    free(arena->chunk);
    arena->chunk = NULL;
}
