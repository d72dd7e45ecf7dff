#include "engine/record.h"

static unsigned char *copy_slice(unsigned char *at, struct slice from, struct slice *to)
{
    *to = slice_is_null(from) ? from : slice_of(at, from.size);
    if (from.size > 0) {
        memcpy(at, from.data, from.size);
    }
    return at + from.size;
}

struct record record_copy(struct arena *arena, const struct record *record)
{
    size_t count = record->headers.count;
    size_t size = sizeof(struct header) * count + record->key.size + record->value.size;
    for (size_t i = 0; i < count; i++) {
        size += record->headers.list[i].name.size + record->headers.list[i].value.size;
    }
    struct record copy = *record;
    struct header *headers = arena_alloc(arena, size > 0 ? size : 1);
    unsigned char *at = (unsigned char *)(headers + count);
    at = copy_slice(at, record->key, &copy.key);
    at = copy_slice(at, record->value, &copy.value);
    for (size_t i = 0; i < count; i++) {
        at = copy_slice(at, record->headers.list[i].name, &headers[i].name);
        at = copy_slice(at, record->headers.list[i].value, &headers[i].value);
    }
    copy.headers.list = count > 0 ? headers : NULL;
    return copy;
}
