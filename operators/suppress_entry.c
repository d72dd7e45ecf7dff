#include "operators/suppress_entry.h"

#include "engine/store_form.h"

#define ENTRY_MARK 1
#define LONGEST_VARINT ((size_t)10)

struct slice suppress_entry_key(struct slice key, struct arena *arena)
{
    unsigned char *bytes = arena_alloc(arena, key.size + 1);
    bytes[0] = ENTRY_MARK;
    if (key.size > 0) {
        memcpy(bytes + 1, key.data, key.size);
    }
    return slice_of(bytes, key.size + 1);
}

struct slice suppress_entry_time_key(void)
{
    return slice_of("", 1);
}

struct slice suppress_entry_row(struct slice key)
{
    return key.size > 0 && key.data[0] == ENTRY_MARK ? slice_of(key.data + 1, key.size - 1) : SLICE_NULL;
}

struct slice suppress_entry_encode(const struct suppress_entry *entry, struct arena *arena)
{
    size_t room = sizeof(uint64_t) + entry->before.size + entry->value.size + 2 * LONGEST_VARINT;
    struct bytes out = {arena_alloc(arena, room), 0, room};
    bytes_append_u64(&out, (uint64_t)entry->time);
    bytes_append_blob(&out, entry->before);
    bytes_append_blob(&out, entry->value);
    return store_form_value(&entry->headers, bytes_slice(&out), arena);
}

bool suppress_entry_parse(struct slice bytes, struct suppress_entry *entry, struct arena *arena)
{
    struct slice body;
    if (!store_form_parse_value(bytes, &entry->headers, &body, arena)) {
        return false;
    }
    struct bytes_reader reader = bytes_reader_of(body);
    entry->time = (int64_t)bytes_take_u64(&reader);
    entry->before = bytes_take_blob(&reader);
    entry->value = bytes_take_blob(&reader);
    return !reader.failed && reader.at == reader.end && entry->time >= 0;
}
