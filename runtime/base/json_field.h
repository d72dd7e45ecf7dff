/* Fields of JSON values by the names that users give in options. Pure.
 *
 * Ownership: slices that come out point into the input and live as long as it does.
 */
#ifndef TIDEMILL_BASE_JSON_FIELD_H
#define TIDEMILL_BASE_JSON_FIELD_H

#include "base/bytes.h"

/* A field of an object by its name, or by a path with dots when there is none of the whole name. */
bool json_field(struct slice object, const char *path, struct slice *value);
/* A time since 1970: a number of milliseconds, or a string as clock_parse_time reads it. False: it is none. */
bool json_field_time(struct slice value, int64_t *ms);

#endif
