/* The value of a record in the repartition topic of a grouped table: what a row took out of a group, what it put in, or
 * both at once when its group stayed the same.
 *
 * Format, that of Kafka Streams since 3.5 (KIP-904), the last byte first:
 *     0   old value, 0
 *     1   new value, 1
 *     2   length of the new value (zigzag varint), new value, old value, 2
 *
 * Ownership: parsed values borrow the bytes.
 */
#ifndef TIDEMILL_OPERATORS_CHANGE_H
#define TIDEMILL_OPERATORS_CHANGE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

struct change {
    struct slice old_value; /* null: nothing is taken out */
    struct slice new_value; /* null: nothing is put in */
};

/* In the arena; not both are null. */
struct slice change_encode(struct arena *arena, const struct change *change);
/* ERR_SKIP for bytes that are none; then *change is not to be used. */
int change_parse(struct slice bytes, struct change *change, struct err *err);

#endif
