/* Comma-separated values (RFC 4180) as JSON objects, and JSON values as fields. Pure.
 *
 * Ownership: what csv_header fills is released with csv_free; nothing else is kept.
 */
#ifndef TIDEMILL_BASE_CSV_H
#define TIDEMILL_BASE_CSV_H

#include "base/bytes.h"
#include "base/err.h"

/* What a column's fields are; CSV_ANY: each as it looks. */
enum csv_type { CSV_ANY, CSV_INTEGER, CSV_REAL, CSV_TEXT, CSV_BOOLEAN };
#define CSV_TYPE_NAMES                                                                                                 \
    {                                                                                                                  \
        "any", "integer", "real", "text", "boolean"                                                                    \
    }

struct csv {
    struct slice *names;  /* of the columns */
    enum csv_type *types; /* one per column, CSV_ANY by default */
    size_t count;
    struct bytes texts;
};

/* Whether the row goes on with the next line: a quoted field is still open. */
bool csv_open(struct slice row);
/* Takes the first row as the names of the columns, which must differ. ERR_RECORD, without a full stop. */
int csv_header(struct csv *csv, struct slice row, struct err *err);
/* Appends the row as an object. Quoted fields are strings; of the others numbers, true and false stay what they are, an
 * empty one is null, the rest are strings. A column with a type has values of this type and nulls, quoted or not; text
 * that is none is refused. ERR_RECORD, without a full stop. */
int csv_object(const struct csv *csv, struct slice row, struct bytes *out, struct err *err);
/* Appends a JSON value as a field that csv_object reads as the same value; an array or an object becomes a string. */
void csv_field(struct slice value, struct bytes *out);
/* Appends a text as a field; it is quoted where it would be read as something else. */
void csv_text(struct slice text, struct bytes *out);
void csv_free(struct csv *csv);

#endif
