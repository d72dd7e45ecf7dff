/* Stored positions of a SQLite source, and what its table of shapes holds: text that anybody may have changed. What was
 * read is written and read again. */
#include "connectors/sqlite/sqlite_position.h"
#include "connectors/sqlite/sqlite_shape.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_position(struct slice text)
{
    struct err err;
    struct sqlite_position position = {0};
    struct bytes written = {0};
    if (sqlite_position_read(&position, text, &err) == 0) {
        sqlite_position_write(&position, &written);
        if (sqlite_position_read(&position, bytes_slice(&written), &err) != 0) {
            abort();
        }
    }
    sqlite_position_free(&position);
    bytes_free(&written);
}

static void read_shape(struct slice text)
{
    struct bytes written = {0};
    struct sqlite_shape *shape = sqlite_shape_read("t", text);
    if (shape) {
        sqlite_shape_values(shape, "NEW.", &written);
        for (int place = 1; place <= (int)shape->keys; place++) {
            if (sqlite_shape_key(shape, place) >= shape->count) {
                abort();
            }
        }
    }
    sqlite_shape_free(shape);
    bytes_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_position(slice_of(data, size));
    read_shape(slice_of(data, size));
    return 0;
}
