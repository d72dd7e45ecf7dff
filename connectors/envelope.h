/* Change events in JSON as Debezium writes them: {"op","before","after","source","ts_ms"}, and their keys.
 *
 * Pure, no database in it. Integers beyond 2^53 and NUMERIC are strings, since a reader's doubles would change them;
 * so are NaN and infinities. Bytes are base64. A value that is not known is left out of the row and its name is listed
 * in source.unavailable.
 * Ownership: everything is borrowed for the call; output is appended to the caller's bytes.
 */
#ifndef TIDEMILL_CONNECTORS_ENVELOPE_H
#define TIDEMILL_CONNECTORS_ENVELOPE_H

#include "base/json_write.h"

#define ENVELOPE_INTEGER_MAX (INT64_C(1) << 53) /* larger ones, either side of zero, are strings */

enum envelope_kind {
    ENVELOPE_NULL,
    ENVELOPE_BOOLEAN,     /* integer: 0 or 1 */
    ENVELOPE_INTEGER,     /* integer */
    ENVELOPE_REAL,        /* real */
    ENVELOPE_JSON,        /* text: JSON; as a string when it is not */
    ENVELOPE_TEXT,        /* text: UTF-8; as base64 when it is not */
    ENVELOPE_BYTES,       /* text: any bytes */
    ENVELOPE_UNAVAILABLE, /* not known: an unchanged large value */
    ENVELOPE_ABSENT       /* left out, and nothing is said about it: what is no key column in a key's row */
};

struct envelope_value {
    enum envelope_kind kind;
    int64_t integer;
    double real;
    struct slice text;
};

struct envelope_field {
    struct slice name;
    struct envelope_value value;
};

struct envelope_row {
    const struct envelope_field *fields; /* NULL: no row, null */
    size_t count;
};

struct envelope {
    char op;                    /* c create, u update, d delete, r read by a snapshot, t truncate */
    struct envelope_row before; /* null for c, r, t */
    struct envelope_row after;  /* null for d, t */
    struct envelope_row source; /* where it comes from: connector, table, position */
    int64_t ts_ms;              /* when the change was made, ms since 1970 */
};

void envelope_write(const struct envelope *envelope, struct bytes *out);
/* An object of these fields. False, and nothing is written: there are none. */
bool envelope_write_key(struct envelope_row key, struct bytes *out);

/* One value, as it stands in a row; what is not known is null. */
void envelope_write_value(struct json_writer *writer, const struct envelope_value *value);

struct envelope_value envelope_integer(int64_t value);
struct envelope_value envelope_text(struct slice text);

#endif
