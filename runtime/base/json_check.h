/* Whether bytes are JSON. Pure functions over borrowed bytes. Included by json.h. */
#ifndef TIDEMILL_BASE_JSON_CHECK_H
#define TIDEMILL_BASE_JSON_CHECK_H

#include "base/bytes.h"

#define JSON_MAX_DEPTH 512 /* objects and arrays inside each other */

struct json_problem {
    size_t at;          /* byte position */
    const char *reason; /* static text */
};

/* Whether the bytes are exactly one JSON value (RFC 8259), UTF-8 included, with white space around it allowed.
 * `problem` is filled when they are not; it may be NULL. */
bool json_check(struct slice text, struct json_problem *problem);

bool json_utf8_valid(struct slice text);

#endif
