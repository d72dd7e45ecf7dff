/* Blocks of memory for the entries of one table: free lists by size over growing chunks, released all at once.
 *
 * A block has no header of its own, so the caller says its size again when it gives the block back.
 * Ownership: blocks belong to the slab; slab_free ends them all.
 */
#ifndef TIDEMILL_STORE_SLAB_H
#define TIDEMILL_STORE_SLAB_H

#include <stddef.h>

#define SLAB_UNIT 8       /* blocks are multiples of this, and aligned to it */
#define SLAB_LARGEST 1024 /* larger blocks come from the heap one by one */
#define SLAB_CLASSES (SLAB_LARGEST / SLAB_UNIT + 1)

struct slab_chunk;
struct slab_large;

/* All zero is an empty slab. */
struct slab {
    struct slab_chunk *chunks;
    struct slab_large *large;
    unsigned char *at; /* unused rest of the newest chunk */
    size_t left;
    size_t bytes; /* taken from the heap */
    void *released[SLAB_CLASSES];
};

/* What a block of `size` bytes really has room for. */
static inline size_t slab_room(size_t size)
{
    return (size + SLAB_UNIT - 1) & ~(size_t)(SLAB_UNIT - 1);
}

void *slab_alloc(struct slab *slab, size_t size); /* size > 0; not zeroed */
void slab_release(struct slab *slab, void *block, size_t size);
void slab_free(struct slab *slab); /* and makes it empty again */

#endif
