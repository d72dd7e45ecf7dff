/* Stored positions of sources that poll: text that anybody may have changed. What was read is written and read again,
 * and the values of SQLite in it are decoded. */
#include "connectors/poll.h"
#include "connectors/sqlite/sqlite_position.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const columns[] = {"tx", "id"};
    struct err err;
    struct poll_position position = {0};
    struct sqlite_position_value value = {0};
    struct bytes written = {0};
    if (poll_position_read(&position, slice_of(data, size), columns, 2, &err) == 0) {
        for (size_t i = 0; i < position.after.count; i++) {
            sqlite_position_take(position.after.items[i], &value);
        }
        poll_position_write(&position, columns, 2, &written);
        if (poll_position_read(&position, bytes_slice(&written), columns, 2, &err) != 0) {
            abort();
        }
    }
    option_list_free(&position.after);
    bytes_free(&value.text);
    bytes_free(&written);
    return 0;
}
