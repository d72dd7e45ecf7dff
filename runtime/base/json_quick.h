/* The check of the usual JSON: plain text in one pass over sixteen bytes at a time and one over its tokens, which also
 * finds the members of an object. It takes half the time of json_check.c, whose grammar it must never go beyond.
 *
 * Pure functions over borrowed bytes. Without SSE2 nothing is usual. For json_check.c only.
 */
#ifndef TIDEMILL_BASE_JSON_QUICK_H
#define TIDEMILL_BASE_JSON_QUICK_H

#include "base/json_check.h"

/* True: the text is JSON, and `members` is filled as json_check_members says. False: it is bad, or it is unusual: a
 * backslash or control characters in it, line ends included, a scalar, nested deeply, long. */
bool json_quick_check(struct slice text, struct json_members *members);

#endif
