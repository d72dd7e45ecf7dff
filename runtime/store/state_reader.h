/* The state of a worker as somebody else finds it: read only, while its process runs or when it does not.
 *
 * A reader sees one commit, the last one when it was opened: the rows, and over them the deltas that are not merged
 * yet. Nothing is changed, locked or put into quarantine. A reader that stays open keeps WALs of a running app from
 * being emptied, so it is not for watching.
 *
 * Ownership: texts and specs belong to the reader; an entry is valid until the next call on it.
 */
#ifndef TIDEMILL_STORE_STATE_READER_H
#define TIDEMILL_STORE_STATE_READER_H

#include "engine/store.h"

struct state_reader;

/* ERR_CONFIG: there is no state in the directory. ERR_CORRUPT: damaged, or of another version. */
int state_reader_open(const char *directory, struct state_reader **reader, struct err *err);
void state_reader_close(struct state_reader *reader); /* NULL is allowed */

const struct store_meta *state_reader_meta(const struct state_reader *reader); /* app NULL: nothing was committed yet */
size_t state_reader_count(const struct state_reader *reader);
/* Name, kind, by_key and headers are filled. */
const struct store_spec *state_reader_spec(const struct state_reader *reader, size_t index);

/* Entries of a store with from <= key < to (null: no bound), in order, until the next scan. */
int state_reader_scan(struct state_reader *reader, size_t index, struct slice from, struct slice to, struct err *err);
int state_reader_next(struct state_reader *reader, bool *found, struct store_entry *entry, struct err *err);

#endif
