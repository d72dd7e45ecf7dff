#include "local/local_output.h"

#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>

/* SQLite keeps blobs up to a billion bytes; a batch counts its size in 32 bits. */
#define RECORD_MAX ((size_t)256 * 1024 * 1024)

static int load_partitions(struct output *output, struct local_db *db, const struct local_topic *topic, struct err *err)
{
    int64_t *ids = memory_alloc((size_t)topic->partitions * sizeof *ids);
    if (local_topic_partition_ids(db, topic, ids, err) != 0) {
        free(ids);
        return -1;
    }
    output->slots = memory_resize(output->slots, (size_t)topic->partitions * sizeof *output->slots);
    for (int32_t i = output->partitions; i < topic->partitions; i++) {
        output->slots[i] = (struct local_slot){.partition_id = ids[i], .acknowledged = OFFSET_NONE};
    }
    /* The writers point into slots that may have moved. */
    for (int32_t i = 0; i < output->partitions; i++) {
        output->slots[i].writer.out = &output->slots[i].batches;
    }
    output->partitions = topic->partitions;
    free(ids);
    return 0;
}

int local_output_refresh(struct output *output, struct local_db *db, struct err *err)
{
    struct local_topic topic;
    int found = local_topic_find(db, output->topic, &topic, err);
    if (found <= 0) {
        return found < 0 ? -1 : local_topic_missing(output->topic, err);
    }
    return topic.partitions > output->partitions ? load_partitions(output, db, &topic, err) : 0;
}

int local_output_open(struct local *local, struct local_db *db, const char *topic, struct output **output,
                      struct err *err)
{
    struct output *made = memory_alloc(sizeof *made);
    made->topic = local_name(local, topic);
    if (local_output_refresh(made, db, err) != 0) {
        local_output_free(made);
        return -1;
    }
    /* Threads begin with different partitions, so that few records without a key spread too. */
    made->sticky = (int32_t)(((uintptr_t)made >> 6) % (uintptr_t)made->partitions);
    *output = made;
    return 0;
}

void local_output_free(struct output *output)
{
    for (int32_t i = 0; i < output->partitions; i++) {
        bytes_free(&output->slots[i].batches);
    }
    free(output->slots);
    free(output);
}

static int32_t choose_partition(struct output *output, int32_t partition, const struct record *record)
{
    if (partition >= 0) {
        return partition;
    }
    if (!slice_is_null(record->key)) {
        return hash_partition(record->key, output->partitions);
    }
    output->sticky_used = true;
    return output->sticky;
}

static void finish(struct local_slot *slot)
{
    if (slot->open) {
        local_batch_finish(&slot->writer, slot->writer.next);
        slot->open = false;
    }
}

int local_output_put(struct output *output, int32_t partition, const struct record *record, size_t batch_size,
                     struct err *err)
{
    size_t bound = local_batch_bound(record);
    if (bound > RECORD_MAX) {
        return err_set(
            err, ERR_SKIP, ERR_RECORD,
            "A record of %zu bytes is too large for topic %s: the embedded log takes %zu. Write it in parts.", bound,
            output->topic, RECORD_MAX);
    }
    struct local_slot *slot = &output->slots[choose_partition(output, partition, record)];
    if (slot->open && local_batch_size(&slot->writer) + bound > batch_size) {
        finish(slot);
    }
    if (!slot->open) {
        local_batch_begin(&slot->writer, &slot->batches);
        slot->open = true;
    }
    local_batch_append(&slot->writer, record, slot->writer.next);
    return 0;
}

void local_output_collect(struct output *output, struct local_append **list, size_t *count, size_t *capacity)
{
    for (int32_t i = 0; i < output->partitions; i++) {
        struct local_slot *slot = &output->slots[i];
        if (slot->batches.size > 0) {
            finish(slot);
            *list = memory_grow(*list, *count, capacity, sizeof **list);
            (*list)[(*count)++] = (struct local_append){slot->partition_id, output->topic, &slot->batches, 0};
        }
    }
}

static void rotate(struct output *output)
{
    if (output->sticky_used) {
        output->sticky = (output->sticky + 1) % output->partitions;
        output->sticky_used = false;
    }
}

size_t local_output_committed(struct output *output, const struct local_append *list)
{
    size_t count = 0;
    for (int32_t i = 0; i < output->partitions; i++) {
        struct local_slot *slot = &output->slots[i];
        if (slot->batches.size > 0) {
            slot->acknowledged = list[count++].end;
            bytes_clear(&slot->batches);
        }
    }
    rotate(output);
    return count;
}

void local_output_abort(struct output *output)
{
    for (int32_t i = 0; i < output->partitions; i++) {
        bytes_clear(&output->slots[i].batches);
        output->slots[i].open = false;
    }
    rotate(output);
}

void local_output_shrink(struct output *output)
{
    for (int32_t i = 0; i < output->partitions; i++) {
        if (output->slots[i].batches.size == 0) {
            bytes_free(&output->slots[i].batches);
        }
    }
}
