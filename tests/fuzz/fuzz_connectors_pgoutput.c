/* The replication stream: frames, and messages as they stand in them, one after the other with the same lists. */
#include "connectors/postgres/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t touch(const struct pgoutput *message)
{
    size_t sum = message->content.size;
    if (message->kind == PGOUTPUT_RELATION) {
        for (size_t i = 0; i < message->column_count; i++) {
            sum += message->columns[i].name.size;
        }
    }
    for (size_t i = 0; i < message->row.count; i++) {
        struct slice value = message->row.values[i].data;
        sum += value.size > 0 ? value.data[value.size - 1] : 0;
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct pgoutput message = {0};
    struct pgoutput_frame frame;
    uint64_t lsn;
    size_t sum = 0;
    if (pgoutput_frame(slice_of(data, size), &frame, &err) == 0 && frame.kind == PGOUTPUT_DATA &&
        pgoutput_decode(&message, frame.message, &err) == 0) {
        sum += touch(&message);
    }
    for (int i = 0; i < 2; i++) {
        if (pgoutput_decode(&message, slice_of(data, size), &err) == 0) {
            sum += touch(&message);
        }
    }
    sum += pgoutput_parse_lsn(slice_of(data, size), &lsn) ? 1 : 0;
    __asm__ volatile("" : : "r"(sum)); /* keeps the reads */
    pgoutput_free(&message);
    return 0;
}
