/* Writing JSON: scalars, objects and arrays straight into the caller's bytes. Included by json.h.
 *
 * Ownership: a writer borrows the struct bytes that it appends to.
 */
#ifndef TIDEMILL_BASE_JSON_WRITE_H
#define TIDEMILL_BASE_JSON_WRITE_H

#include "base/bytes.h"

/* Commas are set by the writer; the caller keeps containers within JSON_MAX_DEPTH and matches begin with end. */
struct json_writer {
    struct bytes *out;
    bool comma; /* a value came before at this level */
};
static inline struct json_writer json_writer(struct bytes *out)
{
    return (struct json_writer){out, false};
}
void json_begin_object(struct json_writer *writer);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer);
void json_end_array(struct json_writer *writer);
void json_name(struct json_writer *writer, struct slice name);
/* As json_name and json_string, of bytes that may be anything. False, and nothing is written: they are not UTF-8. */
bool json_name_checked(struct json_writer *writer, struct slice name);
bool json_string_checked(struct json_writer *writer, struct slice text);
void json_string(struct json_writer *writer, struct slice text); /* UTF-8; controls, quote and backslash are escaped */
void json_text(struct json_writer *writer, const char *text);    /* NULL writes null */
void json_integer(struct json_writer *writer, int64_t value);
/* Shortest digits that read back as the same double, always with a point or exponent. NaN and infinities are not JSON:
 * false, and nothing is written. */
bool json_real(struct json_writer *writer, double value);
void json_bool(struct json_writer *writer, bool value);
void json_null(struct json_writer *writer);
void json_raw(struct json_writer *writer, struct slice value); /* already JSON */

void json_base64_encode(struct slice data, struct bytes *out);
/* The standard alphabet with padding (RFC 4648); false: it is not that, and `out` is as before. */
bool json_base64_decode(struct slice text, struct bytes *out);

#endif
