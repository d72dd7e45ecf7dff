/* A record as it comes from a topic or goes to one, and the item that operators hand to each other.
 *
 * Ownership: a struct record borrows everything it points to. A record that a transport hands out is valid until the
 * next fetch on the same input; a record given to a produce call is copied by the call. An item and its data live as
 * long as the call of `process` that received them; its Lua values live on the worker's Lua stack.
 */
#ifndef TIDEMILL_ENGINE_RECORD_H
#define TIDEMILL_ENGINE_RECORD_H

#include "base/arena.h"

struct header {
    struct slice name;
    struct slice value; /* may be null */
};

struct headers {
    const struct header *list;
    size_t count;
};

struct record {
    struct slice key;       /* null: no key */
    struct slice value;     /* null: a tombstone */
    struct headers headers; /* in order; names may repeat */
    int64_t timestamp;      /* ms since 1970 */
    int64_t offset;         /* -1 for one that is not in a topic yet */
    const char *topic;      /* lives as long as the process's topic names do */
    int32_t partition;
};

/* Key, value and headers go into the arena, in one piece; the topic's name stays borrowed. */
struct record record_copy(struct arena *arena, const struct record *record);

struct codec; /* scripts/codec.h: bytes <-> Lua value */

/* A key or value on its way through the operators: bytes, a decoded value, or both. Never neither, unless it is null.
 */
struct datum {
    const struct codec *codec; /* what `bytes` is in, and what a decoded value will be written with by default */
    struct slice bytes;        /* encoded form; data == NULL: there is none yet, or the datum is null */
    int slot;                  /* index of the decoded value on the worker's Lua stack; 0: not decoded yet */
    bool null;                 /* null key, or tombstone */
};

struct item {
    struct datum key;
    struct datum value;
    struct datum old; /* tables only: what the value was before this change */
    bool change;      /* true: an update of a table, `old` counts; false: a record of a stream */
    int64_t timestamp;
    const struct headers *headers; /* never NULL */
    const struct record *source;   /* the record being processed; NULL in a punctuation */
};

#endif
