/* The blob of a delta: as it is, and with the checksum put right, so that what lies behind it is reached. */
#include "store/delta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct slice blob)
{
    struct err err;
    struct delta_reader reader;
    enum delta_item item = DELTA_STORE;
    if (delta_open(&reader, blob, &err) != 0) {
        return;
    }
    unsigned char sum = 0;
    while (item != DELTA_END && delta_next(&reader, &item, &err) == 0) {
        for (size_t i = 0; item == DELTA_ENTRY && i < reader.key.size; i++) {
            sum ^= reader.key.data[i];
        }
        for (size_t i = 0; item == DELTA_ENTRY && i < reader.value.size; i++) {
            sum ^= reader.value.data[i];
        }
    }
    __asm__ volatile("" : : "r"(sum)); /* keeps the reads */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(slice_of(data, size));
    struct delta_writer delta = {{NULL, 0, 0}, 0};
    delta_begin(&delta);
    bytes_append(&delta.blob, data, size);
    delta_finish(&delta);
    read_all(bytes_slice(&delta.blob));
    bytes_free(&delta.blob);
    return 0;
}
