/* A record as one line of JSON and back, without loss: what `consume --format json` prints and `produce --format json`
 * takes.
 *
 *     {"topic":"t","partition":0,"offset":7,"timestamp":1000,"key":"k","value":{"n":1},"headers":[["name","text"]]}
 *
 * A key is a string and a value JSON, unless "key_encoding" or "value_encoding" says "json", "string" or "base64". A
 * value of null is a tombstone, a key of null no key. A header's value is a string, null or {"base64":"..."}.
 * Pure. Ownership: what record_parse fills borrows from the line and from the scratch memory given.
 */
#ifndef TIDEMILL_CLI_RECORD_JSON_H
#define TIDEMILL_CLI_RECORD_JSON_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "engine/record.h"

/* Appends the object without a line end. */
void record_print(const struct record *record, struct bytes *out);

/* One datum under its name, and its encoding under the other when that is not the default: JSON if `json`, else a
 * string.
 */
void record_print_datum(struct json_writer *writer, const char *name, const char *encoding_name, bool json,
                        struct slice data);

/* The line must be a JSON value that json_check accepted. Missing: timestamp -1, partition -1, no key, no headers; a
 * missing value is refused. ERR_RECORD. */
int record_parse(struct slice line, struct arena *scratch, struct record *record, struct err *err);

#endif
