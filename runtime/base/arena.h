/* Memory with one lifetime: allocate bit by bit, release everything at once.
 *
 * Ownership: what arena_alloc returns belongs to the arena and ends with arena_reset to an earlier mark or arena_free.
 */
#ifndef TIDEMILL_BASE_ARENA_H
#define TIDEMILL_BASE_ARENA_H

#include "base/bytes.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /* the one being filled; older ones behind it */
    size_t chunk_size;         /* 0 means 64 KiB */
    size_t keep;               /* most bytes that stay for the next round, beside the one chunk */
    struct arena_chunk *spare; /* what has stayed */
    size_t spare_bytes;
};

struct arena_mark {
    struct arena_chunk *chunk;
    size_t used;
};

void *arena_alloc(struct arena *arena, size_t size);              /* aligned to 16 bytes, not zeroed */
struct slice arena_copy(struct arena *arena, struct slice slice); /* null stays null */
struct arena_mark arena_mark(const struct arena *arena);
void arena_reset(struct arena *arena, struct arena_mark mark); /* keeps one chunk for the next round */
void arena_clear(struct arena *arena);                         /* everything; keeps one chunk */
void arena_trim(struct arena *arena, size_t most);             /* sets `keep`, and gives back what is more */
size_t arena_bytes(const struct arena *arena);                 /* memory of the chunks in use */
void arena_free(struct arena *arena);

#endif
