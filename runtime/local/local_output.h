/* What a session has produced and not committed yet: per topic and partition, packed batches in memory.
 *
 * Ownership: outputs belong to their session and live until local_output_free.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_OUTPUT_H
#define TIDEMILL_LOCAL_LOCAL_OUTPUT_H

#include "local/local_batch.h"
#include "local/local_commit.h"
#include "local/local_topic.h"

struct local_slot {
    int64_t partition_id;
    struct bytes batches;
    struct local_batch_writer writer;
    bool open;            /* `writer` has a batch to finish */
    int64_t acknowledged; /* offset after the last committed record, or OFFSET_NONE */
};

struct output {
    struct output *next;
    const char *topic;
    int32_t partitions;
    int32_t sticky; /* where records without a key go until the next commit */
    bool sticky_used;
    struct local_slot *slots; /* one per partition */
};

/* ERR_TOPIC: there is no such topic. */
int local_output_open(struct local *local, struct local_db *db, const char *topic, struct output **output,
                      struct err *err);
void local_output_free(struct output *output);
/* Notices partitions that were added; keeps what is buffered. */
int local_output_refresh(struct output *output, struct local_db *db, struct err *err);
/* Appends a copy of the record; `partition` is one of the output's or -1. ERR_SKIP: the record is too large. */
int local_output_put(struct output *output, int32_t partition, const struct record *record, size_t batch_size,
                     struct err *err);

/* Adds the filled slots of the output, their batches finished, to a growing list. */
void local_output_collect(struct output *output, struct local_append **list, size_t *count, size_t *capacity);
/* After a commit: keeps the offsets of `list`, which begins with this output's slots, empties these; returns how many.
 */
size_t local_output_committed(struct output *output, const struct local_append *list);
void local_output_abort(struct output *output);
void local_output_shrink(struct output *output); /* gives back empty buffers */

#endif
