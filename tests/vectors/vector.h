/* The JSON of a vector file, and comparing with it.
 *
 * Ownership: slices borrow the file's text, decoded texts lie in the given arena.
 */
#ifndef TIDEMILL_TESTS_VECTOR_H
#define TIDEMILL_TESTS_VECTOR_H

#include "base/arena.h"

struct slice vector_member(struct slice object, const char *name); /* null: there is none */
struct slice vector_text(struct arena *arena, struct slice value); /* decoded; null for anything but a string */
const char *vector_name(struct arena *arena, struct slice value);
int64_t vector_integer(struct slice value); /* -1 for anything but an integer */
size_t vector_members(struct slice object);
bool vector_equal(struct arena *arena, struct slice one, struct slice other);
/* Bytes written or stored against a JSON value; null is a tombstone. Counts in stores are eight bytes. */
bool vector_value_matches(struct arena *arena, struct slice expected, struct slice value);

#endif
