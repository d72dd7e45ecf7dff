/* Memory of one Lua state: counted, with a limit, and with free lists in front of malloc.
 *
 * Small blocks are cut from slabs and kept in one free list per size class, which is a fifth to a third faster than
 * malloc for what scripts do. Slabs are given back when the pool is freed, not before: what a state once needed it will
 * need again. Under the address sanitizer every block comes from malloc, so that the sanitizer sees its ends.
 * Ownership: a pool belongs to one state and its thread. Blocks end with pool_free at the latest, large ones with their
 * own free.
 */
#ifndef TIDEMILL_SCRIPTS_POOL_H
#define TIDEMILL_SCRIPTS_POOL_H

#include <stddef.h>

#define POOL_GRAIN 16   /* bytes between two size classes */
#define POOL_CLASSES 64 /* blocks of up to 1024 bytes come from slabs */

struct pool_block;
struct pool_slab;

struct pool {
    size_t used;  /* bytes that Lua asked for and has not freed */
    size_t limit; /* 0: none */
    struct pool_block *free[POOL_CLASSES];
    struct pool_slab *slabs;
    unsigned char *at; /* rest of the newest slab */
    unsigned char *end;
};

/* A lua_Alloc whose `data` is a struct pool. NULL: the limit is reached; shrinking never fails. */
void *pool_resize(void *data, void *block, size_t old_size, size_t size);
void pool_free(struct pool *pool); /* after the state is closed */

#endif
