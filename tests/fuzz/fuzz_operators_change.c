/* Records of grouped tables: what is read is written again as it was. */
#include <stdint.h>
#include <stdlib.h>

#include "operators/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct change change, again;
    struct err err;
    if (change_parse(slice_of(data, size), &change, &err) == 0) {
        struct slice bytes = change_encode(&arena, &change);
        if (change_parse(bytes, &again, &err) || !slice_equal(change.old_value, again.old_value) ||
            !slice_equal(change.new_value, again.new_value) || bytes.size > size) {
            abort();
        }
    }
    arena_free(&arena);
    return 0;
}
