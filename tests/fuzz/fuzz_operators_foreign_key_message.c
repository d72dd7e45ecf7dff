/* Messages of foreign-key joins: what is read is written again as it was. */
#include <stdint.h>
#include <stdlib.h>

#include "operators/foreign_key_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_equal(struct slice written, const uint8_t *data, size_t size)
{
    if (!slice_equal(written, slice_of(data, size))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct foreign_key_registration registration;
    struct foreign_key_response response;
    struct err err;
    if (foreign_key_registration_parse(slice_of(data, size), &registration, &err) == 0) {
        check_equal(foreign_key_registration_encode(&arena, &registration), data, size);
    }
    if (foreign_key_response_parse(slice_of(data, size), &response, &err) == 0) {
        check_equal(foreign_key_response_encode(&arena, &response), data, size);
    }
    arena_free(&arena);
    return 0;
}
