/* The last record of each key.
 *
 * Ownership: records are copied; what consume_latest_get gives lives until the next put or free.
 */
#ifndef TIDEMILL_CLI_CONSUME_LATEST_H
#define TIDEMILL_CLI_CONSUME_LATEST_H

#include "engine/record.h"

struct consume_latest {
    struct latest_entry *entries; /* in the order in which their keys came up */
    size_t count;
    size_t capacity;
    uint32_t *slots; /* index + 1 into entries, by hash; 0: free */
    size_t slot_count;
};

/* A tombstone takes the key away; a record without a key is not kept: false. */
bool consume_latest_put(struct consume_latest *latest, const struct record *record);
/* NULL for a key that was taken away. */
const struct record *consume_latest_get(const struct consume_latest *latest, size_t index);
void consume_latest_free(struct consume_latest *latest);

#endif
