/* Topics and partitions in memory. Called with the transport's lock held. */
#include "base/memory.h"
#include "engine/memory_int.h"

#include <stdio.h>
#include <stdlib.h>

struct memory_topic *memory_log_topic(const struct memory_transport *memory, const char *name)
{
    for (size_t i = 0; i < memory->topic_count; i++) {
        if (!memory->topics[i]->deleted && strcmp(memory->topics[i]->name, name) == 0) {
            return memory->topics[i];
        }
    }
    return NULL;
}

void memory_log_grow(struct memory_transport *memory, struct memory_topic *topic, int32_t total)
{
    topic->partitions = memory_resize(topic->partitions, sizeof(struct memory_partition *) * (size_t)total);
    while (topic->count < total) {
        struct memory_partition *partition = memory_alloc(sizeof *partition);
        partition->topic = topic;
        partition->index = topic->count;
        topic->partitions[topic->count++] = partition;
    }
    topic->info.partitions = total;
    memory_group_all_changed(memory);
}

struct memory_topic *memory_log_create(struct memory_transport *memory, const struct topic_spec *spec)
{
    struct memory_topic *topic = memory_alloc(sizeof *topic);
    int32_t count = spec->partitions > 0 ? spec->partitions : memory->config.default_partitions;
    topic->name = memory_copy_text(spec->name);
    topic->info = (struct topic_info){
        .exists = true,
        .compacted = spec->compacted,
        .deleted_by_age = !spec->compacted,
        .retention_ms = spec->retention_ms != 0 ? spec->retention_ms : -1,
        .retention_bytes = spec->retention_bytes > 0 ? spec->retention_bytes : -1,
        .delete_retention_ms = spec->delete_retention_ms,
        .config_known = true,
    };
    snprintf(topic->info.id, sizeof topic->info.id, "memory-%zu", memory->topic_count);
    memory->topics =
        memory_grow(memory->topics, memory->topic_count, &memory->topic_capacity, sizeof(struct memory_topic *));
    memory->topics[memory->topic_count++] = topic;
    memory_log_grow(memory, topic, count > 0 ? count : 1);
    return topic;
}

struct memory_topic *memory_log_need(struct memory_transport *memory, const char *name, struct err *err)
{
    struct memory_topic *topic = memory_log_topic(memory, name);
    if (topic == NULL && memory->config.create_topics) {
        topic = memory_log_create(memory, &(struct topic_spec){.name = name});
    }
    if (topic == NULL) {
        err_set(err, ERR_FATAL, ERR_TOPIC, "The topic \"%s\" does not exist.", name);
    }
    return topic;
}

struct memory_partition *memory_log_partition(struct memory_transport *memory, const char *topic, int32_t partition,
                                              struct err *err)
{
    struct memory_topic *found = memory_log_need(memory, topic, err);
    if (found == NULL) {
        return NULL;
    }
    if (partition < 0 || partition >= found->count) {
        err_set(err, ERR_FATAL, ERR_TOPIC, "The topic \"%s\" has no partition %d: it has %d, from 0 on.", topic,
                (int)partition, (int)found->count);
        return NULL;
    }
    return found->partitions[partition];
}

struct record *memory_log_append(struct memory_partition *partition, const struct record *record)
{
    int64_t offset = partition->end;
    size_t chunk = (size_t)(offset / MEMORY_CHUNK);
    while (partition->chunk_count <= chunk) {
        partition->chunks =
            memory_grow(partition->chunks, partition->chunk_count, &partition->chunk_capacity, sizeof(struct record *));
        partition->chunks[partition->chunk_count++] = NULL;
    }
    if (partition->chunks[chunk] == NULL) {
        partition->chunks[chunk] = memory_resize(NULL, sizeof(struct record) * MEMORY_CHUNK);
    }
    struct record *stored = &partition->chunks[chunk][offset % MEMORY_CHUNK];
    *stored = *record;
    stored->topic = partition->topic->name;
    stored->partition = partition->index;
    stored->offset = offset;
    memory_log_set_end(partition, offset + 1);
    return stored;
}

size_t memory_log_read(const struct memory_partition *partition, int64_t offset, struct record *records, size_t max)
{
    size_t count = 0;
    while (count < max && offset < partition->end) {
        size_t within = (size_t)(offset % MEMORY_CHUNK);
        size_t run = MEMORY_CHUNK - within;
        run = run < max - count ? run : max - count;
        run = (int64_t)run < partition->end - offset ? run : (size_t)(partition->end - offset);
        memcpy(records + count, partition->chunks[offset / MEMORY_CHUNK] + within, sizeof(struct record) * run);
        count += run;
        offset += (int64_t)run;
    }
    return count;
}

int memory_log_check_start(const struct memory_partition *partition, int64_t offset, struct err *err)
{
    if (offset >= partition->low) {
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_TOPIC,
                   "Offset %lld of partition %d of the topic \"%s\" is gone: the log starts at %lld.",
                   (long long)offset, (int)partition->index, partition->topic->name, (long long)partition->low);
}

void memory_log_delete_before(struct memory_partition *partition, int64_t offset)
{
    offset = offset == OFFSET_END || offset > partition->end ? partition->end : offset;
    partition->low = offset > partition->low ? offset : partition->low;
    for (size_t i = 0; i < partition->chunk_count && (int64_t)(i + 1) * MEMORY_CHUNK <= partition->low; i++) {
        free(partition->chunks[i]);
        partition->chunks[i] = NULL;
    }
}

static void free_partition(struct memory_partition *partition)
{
    for (size_t i = 0; i < partition->chunk_count; i++) {
        free(partition->chunks[i]);
    }
    free(partition->chunks);
    free(partition);
}

void memory_log_free(struct memory_transport *memory)
{
    for (size_t i = 0; i < memory->topic_count; i++) {
        struct memory_topic *topic = memory->topics[i];
        for (int32_t j = 0; j < topic->count; j++) {
            free_partition(topic->partitions[j]);
        }
        free(topic->partitions);
        free(topic->name);
        free(topic);
    }
    free(memory->topics);
}
