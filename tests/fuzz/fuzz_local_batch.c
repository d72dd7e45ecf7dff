/* The batch decoder on any bytes: first as they come, then with the checksum and size made right, so that the records
 * themselves are reached. */
#include "local/local_batch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct slice bytes)
{
    struct local_batch batch;
    struct record record;
    struct arena arena = {0};
    if (local_batch_check(bytes, &batch) == LOCAL_BATCH_GOOD) {
        struct local_batch_reader reader = local_batch_reader(&batch);
        int64_t before = -1;
        while (local_batch_next(&reader, &record, &arena) == 1) {
            if (record.offset <= before || record.offset > batch.last_offset) {
                abort();
            }
            before = record.offset;
        }
    }
    arena_free(&arena);
}

static void put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned char)(value >> (24 - 8 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(slice_of(data, size));
    if (size >= LOCAL_BATCH_HEADER) {
        unsigned char *copy = malloc(size);
        memcpy(copy, data, size);
        put_u32(copy + 8, (uint32_t)size);
        copy[12] = LOCAL_BATCH_FORMAT;
        copy[13] = 0;
        put_u32(copy + 14, bytes_crc32c(slice_of(copy + 18, size - 18)));
        decode(slice_of(copy, size));
        free(copy);
    }
    return 0;
}
