/* The meta row: as it is, and with the checksum put right. */
#include "store/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct slice bytes)
{
    struct arena arena = {0};
    struct store_meta meta;
    struct err err;
    meta_decode(bytes, &arena, &meta, &err);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {NULL, 0, 0};
    decode(slice_of(data, size));
    bytes_append(&bytes, data, size);
    bytes_append_u32(&bytes, bytes_crc32c(slice_of(data, size)));
    decode(bytes_slice(&bytes));
    bytes_free(&bytes);
    return 0;
}
