/* Entries of a suppress: what is read is written again with the same content. */
#include <stdint.h>
#include <stdlib.h>

#include "operators/suppress_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct suppress_entry entry, again;
    if (suppress_entry_parse(slice_of(data, size), &entry, &arena)) {
        REQUIRE(suppress_entry_parse(suppress_entry_encode(&entry, &arena), &again, &arena));
        REQUIRE(entry.time == again.time && slice_equal(entry.before, again.before) &&
                slice_equal(entry.value, again.value) && entry.headers.count == again.headers.count);
        for (size_t i = 0; i < entry.headers.count; i++) {
            REQUIRE(slice_equal(entry.headers.list[i].name, again.headers.list[i].name));
            REQUIRE(slice_equal(entry.headers.list[i].value, again.headers.list[i].value));
        }
    }
    arena_free(&arena);
    return 0;
}
