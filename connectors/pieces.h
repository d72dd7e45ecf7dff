/* The records that a source hands out, while they are put together: their bytes in one growing piece of memory.
 *
 * Ownership: a struct pieces owns its memory; it starts as zeroes. Topics are borrowed. Records are valid until the
 * next pieces_clear or pieces_free.
 */
#ifndef TIDEMILL_CONNECTORS_PIECES_H
#define TIDEMILL_CONNECTORS_PIECES_H

#include "engine/record.h"

#define PIECES_NULL SIZE_MAX /* the size of a key or value that is null */

struct piece {
    size_t key, key_size;
    size_t value, value_size;
    int64_t time_ms;
    const char *topic;
};

struct pieces {
    struct bytes text; /* keys and values, one behind the other */
    struct piece *list;
    size_t count;
    size_t capacity;
    struct record *records;
    size_t record_capacity;
};

/* A record whose key and value were appended to `text` last, the key first. */
void pieces_add(struct pieces *pieces, const char *topic, int64_t time_ms, size_t key_size, size_t value_size);
/* One more with the key of the last, and without a value. */
void pieces_add_tombstone(struct pieces *pieces);
void pieces_clear(struct pieces *pieces);
const struct record *pieces_records(struct pieces *pieces);
bool pieces_full(const struct pieces *pieces); /* as much as a batch of a source holds */
void pieces_free(struct pieces *pieces);

#endif
