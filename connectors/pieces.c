#include "connectors/pieces.h"

#include "base/memory.h"
#include "engine/connector.h"

#include <stdlib.h>

static struct piece *append(struct pieces *pieces)
{
    pieces->list = memory_grow(pieces->list, pieces->count, &pieces->capacity, sizeof(*pieces->list));
    return &pieces->list[pieces->count++];
}

static size_t bytes_of(size_t size)
{
    return size == PIECES_NULL ? 0 : size;
}

void pieces_add(struct pieces *pieces, const char *topic, int64_t time_ms, size_t key_size, size_t value_size)
{
    size_t value = pieces->text.size - bytes_of(value_size);
    *append(pieces) = (struct piece){value - bytes_of(key_size), key_size, value, value_size, time_ms, topic};
}

void pieces_add_tombstone(struct pieces *pieces)
{
    struct piece last = pieces->list[pieces->count - 1];
    last.value_size = PIECES_NULL;
    *append(pieces) = last;
}

void pieces_clear(struct pieces *pieces)
{
    bytes_clear(&pieces->text);
    pieces->count = 0;
}

static struct slice part(const struct pieces *pieces, size_t start, size_t size)
{
    return size == PIECES_NULL ? SLICE_NULL : slice_of(bytes_slice(&pieces->text).data + start, size);
}

const struct record *pieces_records(struct pieces *pieces)
{
    while (pieces->record_capacity < pieces->count) {
        pieces->records =
            memory_grow(pieces->records, pieces->record_capacity, &pieces->record_capacity, sizeof(*pieces->records));
    }
    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->list[i];
        pieces->records[i] = (struct record){.key = part(pieces, piece->key, piece->key_size),
                                             .value = part(pieces, piece->value, piece->value_size),
                                             .timestamp = piece->time_ms,
                                             .offset = -1,
                                             .topic = piece->topic};
    }
    return pieces->records;
}

bool pieces_full(const struct pieces *pieces)
{
    return pieces->count >= SOURCE_BATCH_RECORDS || pieces->text.size >= SOURCE_BATCH_BYTES;
}

void pieces_free(struct pieces *pieces)
{
    bytes_free(&pieces->text);
    free(pieces->list);
    free(pieces->records);
    *pieces = (struct pieces){0};
}
