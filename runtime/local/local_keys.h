/* A table from key to offset, for compaction.
 *
 * Ownership: the table copies the keys and releases them in local_keys_free.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_KEYS_H
#define TIDEMILL_LOCAL_LOCAL_KEYS_H

#include "base/arena.h"

struct local_keys_entry {
    const unsigned char *key; /* NULL: free */
    uint32_t size;
    uint32_t hash;
    int64_t offset;
};

struct local_keys {
    struct local_keys_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    size_t bytes; /* held in all */
    struct arena texts;
};

void local_keys_put(struct local_keys *keys, struct slice key, int64_t offset);
/* The offset put last for the key, or -1. */
int64_t local_keys_get(const struct local_keys *keys, struct slice key);
void local_keys_free(struct local_keys *keys);

#endif
