#include "operators/held.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/memory.h"

#define FIRST_PLACES ((size_t)64)

struct kept {
    struct held_entry entry;
    uint32_t hash;
    size_t headers_room; /* bytes at entry.headers.list */
};

/* Open addressing: places[] holds numbers of entries + 1, never more than half of them used. */
struct held {
    struct kept *list;
    size_t count;
    size_t capacity;
    uint32_t *places;
    size_t place_count; /* a power of two; 0: none yet */
    struct arena texts;
    int64_t bytes;
    int64_t limit;
};

struct held *held_new(int64_t limit)
{
    struct held *held = memory_alloc(sizeof(*held));
    held->limit = limit;
    return held;
}

void held_free(struct held *held)
{
    if (!held) {
        return;
    }
    arena_free(&held->texts);
    free(held->list);
    free(held->places);
    free(held);
}

size_t held_count(const struct held *held)
{
    return held->count;
}

struct held_entry *held_at(const struct held *held, size_t index)
{
    return &held->list[index].entry;
}

/* ---- finding ---- */

/* The place of the key, or the free one where it belongs. */
static uint32_t *find_place(const struct held *held, struct slice key, uint32_t hash)
{
    size_t mask = held->place_count - 1;
    size_t at = hash & mask;
    for (; held->places[at] != 0; at = (at + 1) & mask) {
        const struct kept *kept = &held->list[held->places[at] - 1];
        if (kept->hash == hash && slice_equal(kept->entry.key, key)) {
            break;
        }
    }
    return &held->places[at];
}

struct held_entry *held_find(const struct held *held, struct slice key)
{
    if (held->count == 0) {
        return NULL;
    }
    uint32_t place = *find_place(held, key, (uint32_t)hash_table64(key));
    return place != 0 ? &held->list[place - 1].entry : NULL;
}

static void make_places(struct held *held, size_t count)
{
    free(held->places);
    held->places = memory_alloc(sizeof(*held->places) * count);
    held->place_count = count;
    for (size_t i = 0; i < held->count; i++) {
        *find_place(held, held->list[i].entry.key, held->list[i].hash) = (uint32_t)i + 1;
    }
}

/* ---- noting ---- */

static void *keep(struct held *held, size_t size)
{
    held->bytes += (int64_t)size;
    return arena_alloc(&held->texts, size);
}

static struct slice keep_slice(struct held *held, struct slice slice)
{
    held->bytes += (int64_t)slice.size;
    return arena_copy(&held->texts, slice);
}

static struct kept *add(struct held *held, struct slice key, uint32_t hash)
{
    if (held->count * 2 >= held->place_count) {
        make_places(held, held->place_count ? held->place_count * 2 : FIRST_PLACES);
    }
    held->list = memory_grow(held->list, held->count, &held->capacity, sizeof(*held->list));
    *find_place(held, key, hash) = (uint32_t)held->count + 1;
    struct kept *kept = &held->list[held->count++];
    *kept = (struct kept){.entry.key = keep_slice(held, key), .hash = hash};
    held->bytes += (int64_t)sizeof(*kept);
    return kept;
}

static struct slice put_text(unsigned char **end, struct slice text)
{
    if (slice_is_null(text)) {
        return text;
    }
    struct slice copy = slice_of(*end, text.size);
    if (text.size > 0) {
        memcpy(*end, text.data, text.size);
    }
    *end += text.size;
    return copy;
}

/* In the place of the headers that were there, when they fit. */
static void copy_headers(struct held *held, struct kept *kept, const struct headers *headers)
{
    size_t size = sizeof(struct header) * headers->count;
    for (size_t i = 0; i < headers->count; i++) {
        size += headers->list[i].name.size + headers->list[i].value.size;
    }
    if (size > kept->headers_room) {
        kept->headers_room = size;
        kept->entry.headers.list = keep(held, size);
    }
    struct header *list = (struct header *)kept->entry.headers.list;
    unsigned char *end = (unsigned char *)(list + headers->count);
    for (size_t i = 0; i < headers->count; i++) {
        list[i].name = put_text(&end, headers->list[i].name);
        list[i].value = put_text(&end, headers->list[i].value);
    }
    kept->entry.headers.count = headers->count;
}

struct held_entry *held_note(struct held *held, struct slice key, bool existed, struct slice before,
                             const struct item *item)
{
    uint32_t hash = (uint32_t)hash_table64(key);
    uint32_t place = held->count > 0 ? *find_place(held, key, hash) : 0;
    struct kept *kept = place != 0 ? &held->list[place - 1] : add(held, key, hash);
    if (place == 0) {
        kept->entry.existed = existed;
        kept->entry.before = keep_slice(held, before);
    }
    kept->entry.timestamp = item->timestamp;
    if (kept->entry.headers.count > 0 || item->headers->count > 0) {
        copy_headers(held, kept, item->headers);
    }
    return &kept->entry;
}

void held_charge(struct held *held, struct held_entry *entry, int64_t bytes)
{
    held->bytes += bytes - entry->charged;
    entry->charged = bytes;
}

bool held_full(const struct held *held)
{
    return held->bytes > held->limit;
}

/* ---- flushing ---- */

static void forget(struct held *held)
{
    held->count = 0;
    held->bytes = 0;
    arena_clear(&held->texts);
    if (held->place_count > 0) {
        memset(held->places, 0, sizeof(*held->places) * held->place_count);
    }
}

int held_flush(struct held *held, struct node *node, int (*emit)(struct node *node, const struct held_entry *entry))
{
    for (size_t i = 0; i < held->count; i++) {
        if (emit(node, &held->list[i].entry)) {
            return -1;
        }
    }
    forget(held);
    return 0;
}
