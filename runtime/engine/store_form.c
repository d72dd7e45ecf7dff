#include "engine/store_form.h"

#include <inttypes.h>

#define TIME_BYTES sizeof(uint64_t)
#define SEQUENCE_BYTES sizeof(uint32_t)
#define LONGEST_VARINT ((size_t)10)

/* ---- putting together and taking apart ---- */

static unsigned char *put_time(unsigned char *at, int64_t time)
{
    for (size_t i = 0; i < TIME_BYTES; i++) {
        at[i] = (unsigned char)((uint64_t)time >> (8 * (TIME_BYTES - 1 - i)));
    }
    return at + TIME_BYTES;
}

static unsigned char *put_slice(unsigned char *at, struct slice slice)
{
    if (slice.size > 0) {
        memcpy(at, slice.data, slice.size);
    }
    return at + slice.size;
}

static int64_t time_at(struct slice bytes, size_t offset)
{
    struct bytes_reader reader = bytes_reader_of(slice_of(bytes.data + offset, TIME_BYTES));
    return (int64_t)bytes_take_u64(&reader);
}

/* The last bytes of a key with `tail` bytes behind the record's own key. */
static bool take_tail(struct slice bytes, bool sessions, size_t before, size_t after, struct store_window *window)
{
    size_t times = sessions ? 2 * TIME_BYTES : TIME_BYTES;
    if (bytes.size < before + times + after) {
        return false;
    }
    size_t tail = bytes.size - times - after;
    window->key = slice_of(bytes.data + before, tail - before);
    window->end = sessions ? time_at(bytes, tail) : 0;
    window->start = time_at(bytes, sessions ? tail + TIME_BYTES : tail);
    return true;
}

/* key, times, and room for more behind it. */
static struct slice put_tail(bool sessions, const struct store_window *window, size_t before, size_t after,
                             struct arena *arena)
{
    size_t times = sessions ? 2 * TIME_BYTES : TIME_BYTES;
    size_t size = before + window->key.size + times + after;
    unsigned char *data = arena_alloc(arena, size);
    unsigned char *at = put_slice(data + before, window->key);
    at = sessions ? put_time(at, window->end) : at;
    at = put_time(at, window->start);
    memset(at, 0, after);
    return slice_of(data, size);
}

/* ---- keys in the store ---- */

struct slice store_form_key(const struct store_spec *spec, const struct store_window *window, struct arena *arena)
{
    bool sessions = spec->kind == STORE_SESSION;
    if (!sessions && !spec->by_key) {
        size_t size = TIME_BYTES + window->key.size;
        unsigned char *data = arena_alloc(arena, size);
        put_slice(put_time(data, window->start), window->key);
        return slice_of(data, size);
    }
    struct slice key = put_tail(sessions, window, TIME_BYTES, 0, arena);
    put_time((unsigned char *)key.data, store_form_segment(spec, sessions ? window->end : window->start));
    return key;
}

bool store_form_window(const struct store_spec *spec, struct slice key, struct store_window *window)
{
    bool sessions = spec->kind == STORE_SESSION;
    if (sessions || spec->by_key) {
        return take_tail(key, sessions, TIME_BYTES, 0, window);
    }
    if (key.size < TIME_BYTES) {
        return false;
    }
    *window = (struct store_window){slice_of(key.data + TIME_BYTES, key.size - TIME_BYTES), time_at(key, 0), 0};
    return true;
}

/* ---- windowed keys ---- */

struct slice store_form_windowed(bool sessions, const struct store_window *window, struct arena *arena)
{
    return put_tail(sessions, window, 0, 0, arena);
}

bool store_form_parse_windowed(bool sessions, struct slice bytes, struct store_window *window)
{
    return take_tail(bytes, sessions, 0, 0, window);
}

/* ---- values ---- */

static size_t headers_room(const struct headers *headers)
{
    size_t room = LONGEST_VARINT;
    for (size_t i = 0; i < headers->count; i++) {
        room += headers->list[i].name.size + headers->list[i].value.size + 2 * LONGEST_VARINT;
    }
    return room;
}

struct slice store_form_value(const struct headers *headers, struct slice value, struct arena *arena)
{
    size_t room = headers_room(headers) + value.size;
    struct bytes out = {arena_alloc(arena, room), 0, room};
    bytes_append_varint(&out, headers->count);
    for (size_t i = 0; i < headers->count; i++) {
        bytes_append_blob(&out, headers->list[i].name);
        bytes_append_blob(&out, headers->list[i].value);
    }
    bytes_append_slice(&out, value);
    return bytes_slice(&out);
}

bool store_form_parse_value(struct slice bytes, struct headers *headers, struct slice *value, struct arena *arena)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    uint64_t count = bytes_take_varint(&reader);
    if (reader.failed || count > bytes.size) {
        return false;
    }
    struct header *list = headers && count > 0 ? arena_alloc(arena, (size_t)count * sizeof(*list)) : NULL;
    for (uint64_t i = 0; i < count; i++) {
        struct header header = {bytes_take_blob(&reader), SLICE_NULL};
        header.value = bytes_take_blob(&reader);
        if (list) {
            list[i] = header;
        }
    }
    if (headers) {
        *headers = (struct headers){list, (size_t)count};
    }
    *value = slice_of(reader.at, (size_t)(reader.end - reader.at));
    return !reader.failed;
}

/* ---- the changelog ---- */

struct record store_form_record(const struct store_spec *spec, const struct store_entry *entry, struct arena *arena)
{
    struct record record = {.key = entry->key, .value = entry->value, .timestamp = entry->timestamp, .offset = -1};
    struct store_window window;
    if (spec->kind != STORE_KEY_VALUE && store_form_window(spec, entry->key, &window)) {
        bool sessions = spec->kind == STORE_SESSION;
        record.key = put_tail(sessions, &window, 0, sessions ? 0 : SEQUENCE_BYTES, arena);
    }
    if (spec->headers && record.key.data != entry->key.data && !slice_is_null(entry->value)) {
        store_form_parse_value(entry->value, &record.headers, &record.value, arena);
    }
    return record;
}

int store_form_entry(const struct store_spec *spec, const struct record *record, struct store_entry *entry,
                     struct arena *arena, struct err *err)
{
    *entry = (struct store_entry){record->key, record->value, record->timestamp};
    if (spec->kind == STORE_KEY_VALUE || record->key.size < TIME_BYTES) {
        return 0;
    }
    struct store_window window;
    bool sessions = spec->kind == STORE_SESSION;
    if (!take_tail(record->key, sessions, 0, sessions ? 0 : SEQUENCE_BYTES, &window)) {
        return err_set(err, ERR_FATAL, ERR_CORRUPT,
                       "The changelog of the store %s has a key of %zu bytes at offset %" PRId64
                       ", which is none of a window. It was written by something else; `tidemill reset` begins anew.",
                       spec->name, record->key.size, record->offset);
    }
    entry->key = store_form_key(spec, &window, arena);
    if (spec->headers && !slice_is_null(record->value)) {
        entry->value = store_form_value(&record->headers, record->value, arena);
    }
    return 0;
}
