/* Reading one partition in order: batches are read ahead in one statement, records are decoded in place.
 *
 * Ownership: a cursor belongs to its session or reader. Records borrow from the cursor's buffer until the next call of
 * local_cursor_take, local_cursor_seek or local_cursor_free.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_CURSOR_H
#define TIDEMILL_LOCAL_LOCAL_CURSOR_H

#include "local/local_batch.h"
#include "local/local_topic.h"

struct local_cursor {
    const char *topic; /* lives as long as the transport */
    int32_t partition;
    int64_t partition_id;
    size_t limit; /* bytes read ahead; at least one batch */

    int64_t position; /* next offset to hand out */
    int64_t low;      /* watermarks as they were seen last */
    int64_t high;
    bool from_start; /* nothing was read yet and the start is wherever the log begins */

    struct bytes buffer; /* batches, one after the other */
    size_t at;           /* where the batch after the current one begins */
    bool inside;         /* `batch` and `records` are in use */
    struct local_batch batch;
    struct local_batch_reader records;
    struct arena headers;
};

/* Places the cursor: `offset` is an offset, OFFSET_BEGINNING or OFFSET_END. Reads the watermarks; ERR_TOPIC if missing.
 */
int local_cursor_open(struct local_cursor *cursor, struct local_db *db, int64_t offset, struct err *err);
void local_cursor_free(struct local_cursor *cursor);
/* Reads the watermarks anew. 1: done; 0: the partition is gone; -1. */
int local_cursor_refresh(struct local_cursor *cursor, struct local_db *db, struct err *err);
/* Up to `max` next records below the high watermark as it was seen last. ERR_TOPIC: the position is below the log start
 * or beyond the end; ERR_CORRUPT: a batch is damaged. */
int local_cursor_take(struct local_cursor *cursor, struct local_db *db, struct record *records, size_t max,
                      size_t *count, struct err *err);
void local_cursor_seek(struct local_cursor *cursor, int64_t offset); /* as `offset` of local_cursor_open */
/* Whether local_cursor_take would find something. */
bool local_cursor_ready(const struct local_cursor *cursor);
/* Gives back the buffer when nothing in it is still to be handed out. */
void local_cursor_shrink(struct local_cursor *cursor);

#endif
