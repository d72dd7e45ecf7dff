/* The packed batch: many records of one partition in one string of bytes. Pure functions.
 *
 * Layout, integers big-endian: base offset (8), total size (4), format (1), attributes (1, zero), crc32c of all that
 * follows (4), record count (4), last offset minus base (4), base timestamp (8), largest timestamp (8), records. A
 * record: timestamp minus base (zigzag), offsets skipped since the record before (varint), key and value (zigzag
 * length, -1 for null, then bytes), number of headers (varint), and name and value of each header. The base offset
 * stands outside the checksum, because it is known only when the commit is made. Ownership: records that are read
 * borrow from the batch's bytes, their header lists from the caller's arena.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_BATCH_H
#define TIDEMILL_LOCAL_LOCAL_BATCH_H

#include "base/arena.h"
#include "engine/record.h"

#define LOCAL_BATCH_HEADER ((size_t)42)
#define LOCAL_BATCH_FORMAT 1

/* ---- writing ---- */

struct local_batch_writer {
    struct bytes *out;
    size_t start; /* where the batch begins in `out` */
    uint32_t count;
    int64_t next; /* relative offset after the last record */
    int64_t base_timestamp;
    int64_t max_timestamp;
};

/* Begins a batch at the end of `out`, which must live until local_batch_finish and may hold other batches before. */
void local_batch_begin(struct local_batch_writer *writer, struct bytes *out);
/* `relative` is the record's offset minus the base offset: not less than writer->next. */
void local_batch_append(struct local_batch_writer *writer, const struct record *record, int64_t relative);
/* Completes the batch; it covers the offsets base .. base + relative_end - 1. */
void local_batch_finish(struct local_batch_writer *writer, int64_t relative_end);
static inline size_t local_batch_size(const struct local_batch_writer *writer)
{
    return writer->out->size - writer->start;
}
/* Sets the base offset of a finished batch. */
void local_batch_set_base(unsigned char *batch, int64_t base_offset);
/* Upper bound of what the record takes in a batch. */
size_t local_batch_bound(const struct record *record);

/* ---- reading ---- */

struct local_batch {
    int64_t base_offset;
    int64_t last_offset;
    int64_t base_timestamp;
    int64_t max_timestamp;
    uint32_t count;
    size_t size;
    struct slice records;
};

enum local_batch_verdict {
    LOCAL_BATCH_GOOD,
    LOCAL_BATCH_SHORT,    /* ends before its size says */
    LOCAL_BATCH_NEWER,    /* format or attributes that this version does not know */
    LOCAL_BATCH_CHECKSUM, /* the checksum differs */
    LOCAL_BATCH_BROKEN    /* the checksum holds and the content makes no sense */
};

/* Reads the header of the batch that `bytes` begins with, without its checksum: to step over batches that were made
 * here. */
enum local_batch_verdict local_batch_header(struct slice bytes, struct local_batch *batch);
/* The same with the checksum: for bytes that come from a file. */
enum local_batch_verdict local_batch_check(struct slice bytes, struct local_batch *batch);
const char *local_batch_verdict_text(enum local_batch_verdict verdict);

struct local_batch_reader {
    struct bytes_reader bytes;
    const struct local_batch *batch; /* borrowed */
    uint32_t left;
    int64_t next; /* offset that the next record has at least */
};

struct local_batch_reader local_batch_reader(const struct local_batch *batch);
/* Fills key, value, headers, timestamp and offset. 1: a record; 0: the end; -1: the batch is broken. */
int local_batch_next(struct local_batch_reader *reader, struct record *record, struct arena *arena);

#endif
