#include "local/local_keys.h"

#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>

#define CAPACITY_MIN 1024

static struct local_keys_entry *find(struct local_keys_entry *entries, size_t capacity, struct slice key, uint32_t hash)
{
    size_t at = hash & (capacity - 1);
    while (entries[at].key != NULL && (entries[at].hash != hash || entries[at].size != key.size ||
                                       memcmp(entries[at].key, key.data, key.size) != 0)) {
        at = (at + 1) & (capacity - 1);
    }
    return &entries[at];
}

static void grow(struct local_keys *keys)
{
    size_t capacity = keys->capacity > 0 ? keys->capacity * 2 : CAPACITY_MIN;
    struct local_keys_entry *entries = memory_alloc(capacity * sizeof *entries);
    for (size_t i = 0; i < keys->capacity; i++) {
        const struct local_keys_entry *entry = &keys->entries[i];
        if (entry->key != NULL) {
            *find(entries, capacity, slice_of(entry->key, entry->size), entry->hash) = *entry;
        }
    }
    free(keys->entries);
    keys->bytes += (capacity - keys->capacity) * sizeof *entries;
    keys->entries = entries;
    keys->capacity = capacity;
}

void local_keys_put(struct local_keys *keys, struct slice key, int64_t offset)
{
    if (keys->count * 4 >= keys->capacity * 3) {
        grow(keys);
    }
    uint32_t hash = (uint32_t)hash_table64(key);
    struct local_keys_entry *entry = find(keys->entries, keys->capacity, key, hash);
    if (entry->key == NULL) {
        *entry = (struct local_keys_entry){arena_copy(&keys->texts, key).data, (uint32_t)key.size, hash, 0};
        keys->bytes += key.size;
        keys->count++;
    }
    entry->offset = offset;
}

int64_t local_keys_get(const struct local_keys *keys, struct slice key)
{
    if (keys->count == 0) {
        return -1;
    }
    const struct local_keys_entry *entry = find(keys->entries, keys->capacity, key, (uint32_t)hash_table64(key));
    return entry->key != NULL ? entry->offset : -1;
}

void local_keys_free(struct local_keys *keys)
{
    free(keys->entries);
    arena_free(&keys->texts);
    *keys = (struct local_keys){0};
}
