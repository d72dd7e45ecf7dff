#include "cli/consume_latest.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"

struct latest_entry {
    uint64_t hash;
    struct slice key;
    struct record *record; /* with its bytes in one block; NULL: taken away */
};

static struct slice place(unsigned char **at, struct slice data)
{
    if (slice_is_null(data)) {
        return data;
    }
    struct slice copy = slice_of(*at, data.size);
    memcpy(*at, data.data, data.size);
    *at += data.size;
    return copy;
}

static struct record *copy_record(const struct record *record)
{
    size_t count = record->headers.count;
    size_t size = sizeof(struct record) + count * sizeof(struct header) + record->key.size + record->value.size;
    for (size_t i = 0; i < count; i++) {
        size += record->headers.list[i].name.size + record->headers.list[i].value.size;
    }
    struct record *copy = memory_alloc(size + 1);
    struct header *headers = (struct header *)(copy + 1);
    unsigned char *at = (unsigned char *)(headers + count);
    *copy = *record;
    copy->key = place(&at, record->key);
    copy->value = place(&at, record->value);
    for (size_t i = 0; i < count; i++) {
        headers[i].name = place(&at, record->headers.list[i].name);
        headers[i].value = place(&at, record->headers.list[i].value);
    }
    copy->headers.list = headers;
    return copy;
}

static uint32_t *find_slot(const struct consume_latest *latest, uint64_t hash, struct slice key)
{
    size_t mask = latest->slot_count - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint32_t *slot = &latest->slots[i];
        const struct latest_entry *entry = *slot > 0 ? &latest->entries[*slot - 1] : NULL;
        if (entry == NULL || (entry->hash == hash && slice_equal(entry->key, key))) {
            return slot;
        }
    }
}

static void grow(struct consume_latest *latest)
{
    latest->slot_count = latest->slot_count > 0 ? 2 * latest->slot_count : 256;
    free(latest->slots);
    latest->slots = memory_alloc(latest->slot_count * sizeof *latest->slots);
    for (size_t i = 0; i < latest->count; i++) {
        *find_slot(latest, latest->entries[i].hash, latest->entries[i].key) = (uint32_t)(i + 1);
    }
}

static struct latest_entry *add_entry(struct consume_latest *latest, uint64_t hash, struct slice key)
{
    latest->entries = memory_grow(latest->entries, latest->count, &latest->capacity, sizeof *latest->entries);
    struct latest_entry *entry = &latest->entries[latest->count++];
    unsigned char *copy = memory_alloc(key.size + 1);
    if (key.size > 0) {
        memcpy(copy, key.data, key.size);
    }
    *entry = (struct latest_entry){hash, slice_of(copy, key.size), NULL};
    return entry;
}

bool consume_latest_put(struct consume_latest *latest, const struct record *record)
{
    if (slice_is_null(record->key)) {
        return false;
    }
    if (2 * (latest->count + 1) > latest->slot_count) {
        grow(latest);
    }
    uint64_t hash = hash_table64(record->key);
    uint32_t *slot = find_slot(latest, hash, record->key);
    struct latest_entry *entry = *slot > 0 ? &latest->entries[*slot - 1] : add_entry(latest, hash, record->key);
    *slot = (uint32_t)(entry - latest->entries + 1);
    free(entry->record);
    entry->record = slice_is_null(record->value) ? NULL : copy_record(record);
    return true;
}

const struct record *consume_latest_get(const struct consume_latest *latest, size_t index)
{
    return latest->entries[index].record;
}

void consume_latest_free(struct consume_latest *latest)
{
    for (size_t i = 0; i < latest->count; i++) {
        free((void *)latest->entries[i].key.data);
        free(latest->entries[i].record);
    }
    free(latest->entries);
    free(latest->slots);
    *latest = (struct consume_latest){0};
}
