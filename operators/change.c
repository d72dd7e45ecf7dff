#include "operators/change.h"

#include <inttypes.h>

enum change_form { CHANGE_OLD, CHANGE_NEW, CHANGE_BOTH };

#define LONGEST_VARINT 10

struct slice change_encode(struct arena *arena, const struct change *change)
{
    size_t room = change->old_value.size + change->new_value.size + LONGEST_VARINT + 1;
    struct bytes out = {arena_alloc(arena, room), 0, room};
    enum change_form form = CHANGE_OLD;
    if (change->new_value.data) {
        form = change->old_value.data ? CHANGE_BOTH : CHANGE_NEW;
    }
    if (form == CHANGE_BOTH) {
        bytes_append_zigzag(&out, (int64_t)change->new_value.size);
    }
    bytes_append_slice(&out, change->new_value);
    bytes_append_slice(&out, change->old_value);
    bytes_append_byte(&out, (unsigned char)form);
    return bytes_slice(&out);
}

/* Both values, before the last byte. */
static int parse_both(struct slice bytes, struct change *change, struct err *err)
{
    struct bytes_reader reader = bytes_reader_of(bytes);
    int64_t size = bytes_take_zigzag(&reader);
    size_t left = (size_t)(reader.end - reader.at);
    if (reader.failed || size < 0 || (uint64_t)size > left) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "The change of a group says that its new value has a length of %" PRId64 " "
                       "bytes, and %zu follow.",
                       size, left);
    }
    change->new_value = slice_of(reader.at, (size_t)size);
    change->old_value = slice_of(reader.at + size, left - (size_t)size);
    return 0;
}

int change_parse(struct slice bytes, struct change *change, struct err *err)
{
    *change = (struct change){SLICE_NULL, SLICE_NULL};
    if (slice_is_null(bytes) || bytes.size == 0) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "A change of a group has no bytes.");
    }
    struct slice values = slice_of(bytes.data, bytes.size - 1);
    switch (bytes.data[values.size]) {
    case CHANGE_OLD:
        change->old_value = values;
        return 0;
    case CHANGE_NEW:
        change->new_value = values;
        return 0;
    case CHANGE_BOTH:
        return parse_both(values, change, err);
    default:
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "The change of a group ends with the byte %d, where 0, 1 or 2 belongs.",
                       bytes.data[values.size]);
    }
}
