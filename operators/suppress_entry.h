/* Entries in the buffer of a suppress: a change of a table that waits.
 *
 * In its store and changelog, where a key begins with a byte that says what it is:
 *     1, key of the row    headers as in front of values (engine/store_form.h), time (64 bits, big-endian), what the
 * table behind has (blob), value (blob; null: a tombstone waits) 0                    the largest timestamp seen (64
 * bits, big-endian) The entry's timestamp is that of the change.
 *
 * Pure. Ownership: encoded bytes lie in the given arena, parsed ones borrow from the bytes, the list of headers lies in
 * the arena.
 */
#ifndef TIDEMILL_OPERATORS_SUPPRESS_ENTRY_H
#define TIDEMILL_OPERATORS_SUPPRESS_ENTRY_H

#include "base/arena.h"
#include "engine/record.h"

struct suppress_entry {
    int64_t time;        /* from which it waits: of the first change, or the end of its window */
    struct slice before; /* what the table behind has; null: no row, or nobody wants to know */
    struct slice value;  /* null: a tombstone */
    struct headers headers;
};

struct slice suppress_entry_key(struct slice key, struct arena *arena);
struct slice suppress_entry_time_key(void);
/* The key of the row; null: it is no entry's. */
struct slice suppress_entry_row(struct slice key);

struct slice suppress_entry_encode(const struct suppress_entry *entry, struct arena *arena);
bool suppress_entry_parse(struct slice bytes, struct suppress_entry *entry, struct arena *arena); /* false: malformed */

#endif
