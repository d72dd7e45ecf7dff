/* Readers in memory: partitions outside of any group. */
#include "base/memory.h"
#include "engine/memory_int.h"

#include <stdlib.h>

struct reader_place {
    struct memory_partition *partition;
    int64_t offset;
};

struct reader {
    struct memory_transport *transport;
    struct reader_place *places;
    size_t count;
    size_t turn; /* the place that is read first next time, so that none starves */
};

static int open_place(struct memory_transport *memory, const struct position *position, struct reader_place *place,
                      struct err *err)
{
    place->partition = memory_log_partition(memory, position->topic, position->partition, err);
    if (place->partition == NULL) {
        return -1;
    }
    place->offset = position->offset;
    if (position->offset == OFFSET_BEGINNING) {
        place->offset = place->partition->low;
    } else if (position->offset == OFFSET_END) {
        place->offset = place->partition->end;
    }
    return memory_log_check_start(place->partition, place->offset, err);
}

int memory_reader_open(struct transport *transport, const struct reader_config *config, struct reader **reader,
                       struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    struct reader *opened = memory_alloc(sizeof *opened);
    opened->transport = memory;
    opened->count = config->count;
    opened->places = memory_alloc(sizeof *opened->places * config->count);
    int result = 0;
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < config->count && result == 0; i++) {
        result = open_place(memory, &config->positions[i], &opened->places[i], err);
    }
    pthread_mutex_unlock(&memory->lock);
    if (result != 0) {
        memory_reader_close(opened);
        return -1;
    }
    *reader = opened;
    return 0;
}

void memory_reader_close(struct reader *reader)
{
    free(reader->places);
    free(reader);
}

static int read_places(struct reader *reader, struct record *records, size_t max, size_t *count, struct err *err)
{
    for (size_t i = 0; i < reader->count && *count < max; i++) {
        struct reader_place *place = &reader->places[(reader->turn + i) % reader->count];
        if (memory_log_check_start(place->partition, place->offset, err) != 0) {
            return -1;
        }
        size_t taken = memory_log_read(place->partition, place->offset, records + *count, max - *count);
        place->offset += (int64_t)taken;
        *count += taken;
    }
    reader->turn = reader->count > 0 ? (reader->turn + 1) % reader->count : 0;
    return 0;
}

int memory_reader_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                       struct err *err)
{
    struct memory_transport *memory = reader->transport;
    *count = 0;
    if (memory_transport_fault(memory, NULL, MEMORY_READ, err) != 0) {
        return -1;
    }
    struct timespec deadline = memory_transport_deadline(timeout_ms);
    bool waiting = timeout_ms > 0 && !memory->config.timeless;
    pthread_mutex_lock(&memory->lock);
    int result = read_places(reader, records, max, count, err);
    while (result == 0 && *count == 0 && waiting) {
        waiting = memory_transport_wait(memory, &deadline);
        result = read_places(reader, records, max, count, err);
    }
    pthread_mutex_unlock(&memory->lock);
    return result;
}

int64_t memory_reader_position(struct reader *reader, size_t index)
{
    return reader->places[index].offset;
}
