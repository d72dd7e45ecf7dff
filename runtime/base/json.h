/* JSON without a tree: checking, walking, reading scalars, writing. Pure functions over borrowed bytes.
 *
 * Ownership: slices that come out point into the input and live as long as it does.
 */
#ifndef TIDEMILL_BASE_JSON_H
#define TIDEMILL_BASE_JSON_H

#include "base/bytes.h"
#include "base/json_check.h"
#include "base/json_write.h"

enum json_type { JSON_NONE, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* The functions below expect text that json_check accepted. */
enum json_type json_type(struct slice value); /* by its first byte after white space */
struct slice json_trim(struct slice value);   /* without white space around it */

/* Walks the members of an object or the elements of an array, in order. */
struct json_walk {
    const unsigned char *at;
    const unsigned char *end;
};
struct json_walk json_walk(struct slice container);
bool json_next_element(struct json_walk *walk, struct slice *value);
/* `name` is the raw text between the quotes, escapes still in it. */
bool json_next_member(struct json_walk *walk, struct slice *name, struct slice *value);
/* The member of that (decoded) name; of duplicates the last one wins. False: there is none. */
bool json_member(struct slice object, struct slice name, struct slice *value);
/* Whether a raw name or string body (between the quotes) equals decoded text. */
bool json_string_equal(struct slice raw, struct slice text);

bool json_has_escape(struct slice raw);
/* Appends the decoded text of a string value, quotes included in `value`. */
void json_decode_string(struct slice value, struct bytes *out);
/* True: an integer that fits 64 bits is in *integer. False: *real holds the nearest double. */
bool json_number(struct slice value, int64_t *integer, double *real);

#endif
