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

/* A member of an object in its text. */
struct json_member {
    const unsigned char *name; /* decoded, without quotes */
    uint32_t name_size;
    uint32_t start;      /* offset of the name's opening quote */
    uint32_t value;      /* offset */
    uint32_t value_size; /* not 0 */
};

#define JSON_MEMBERS 32

struct json_members {
    size_t count; /* JSON_MEMBERS: there may be more, or they are not known */
    struct json_member list[JSON_MEMBERS];
};

/* The same, and lists the members of the object that the text is, in their order, when that is cheap to do. */
bool json_check_members(struct slice text, struct json_members *members, struct json_problem *problem);

bool json_utf8_valid(struct slice text);

#endif
