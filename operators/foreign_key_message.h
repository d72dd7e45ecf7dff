/* What the two sides of a foreign-key join tell each other through internal topics.
 *
 * Registration topic, keyed by the foreign key: which row of the left table wants which row of the right one.
 *     version 0 (8 bits), instruction (8), whether there is a hash (8), hash (128 if so), partition (32), primary key
 * Response topic, keyed by the primary key, in the partition of the left row: what the right row is.
 *     version 0 (8 bits), whether there is a hash (8), hash (128 if so), what is found (8), value
 * Numbers are big-endian. The subscription store has registrations without the primary key, under
 *     length of the foreign key (32), foreign key, primary key
 *
 * Ownership: what is made lies in the given arena; what is parsed borrows the bytes.
 */
#ifndef TIDEMILL_OPERATORS_FOREIGN_KEY_MESSAGE_H
#define TIDEMILL_OPERATORS_FOREIGN_KEY_MESSAGE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

enum foreign_key_instruction {
    SUBSCRIBE_QUIETLY,  /* that there is no right row is news only where there is a result */
    SUBSCRIBE,          /* that there is no right row is a result */
    UNSUBSCRIBE_ANSWER, /* answer that there is no right row */
    UNSUBSCRIBE,        /* no answer: another registration brings it */
    FOREIGN_KEY_INSTRUCTIONS
};

/* Which version of the left row a message is about: an answer to an earlier one is stale. */
struct foreign_key_version {
    bool exists; /* false: the row was deleted */
    struct hash128 hash;
};

struct foreign_key_registration {
    enum foreign_key_instruction instruction;
    struct foreign_key_version version;
    int32_t partition; /* of the left row */
    struct slice primary_key;
};

enum foreign_key_found {
    FOUND_NOTHING,
    FOUND_ROW,
    FOUND_NOTHING_QUIETLY, /* to be forgotten where there is no result */
    FOREIGN_KEY_FOUND
};

struct foreign_key_response {
    struct foreign_key_version version;
    enum foreign_key_found found;
    struct slice value; /* of the right row; null: there is none */
};

/* `value` null: the row was deleted. */
struct foreign_key_version foreign_key_version_of(struct slice value);
bool foreign_key_version_equal(const struct foreign_key_version *one, const struct foreign_key_version *other);

struct slice foreign_key_registration_encode(struct arena *arena, const struct foreign_key_registration *registration);
struct slice foreign_key_response_encode(struct arena *arena, const struct foreign_key_response *response);
/* ERR_SKIP for bytes that are none. */
int foreign_key_registration_parse(struct slice bytes, struct foreign_key_registration *registration, struct err *err);
int foreign_key_response_parse(struct slice bytes, struct foreign_key_response *response, struct err *err);

/* Key in the subscription store; `primary_key` null: what all of the foreign key's begin with. */
struct slice foreign_key_subscription_key(struct arena *arena, struct slice foreign_key, struct slice primary_key);

#endif
