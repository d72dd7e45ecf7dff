/* Comma-separated values (RFC 4180) as JSON objects. Pure.
 *
 * Ownership: what csv_header fills is released with csv_free; nothing else is kept.
 */
#ifndef TIDEMILL_CLI_CSV_H
#define TIDEMILL_CLI_CSV_H

#include "base/bytes.h"
#include "base/err.h"

struct csv {
    struct slice *names; /* of the columns */
    size_t count;
    struct bytes texts;
};

/* Whether the row goes on with the next line: a quoted field is still open. */
bool csv_open(struct slice row);
/* Takes the first row as the names of the columns. ERR_RECORD. */
int csv_header(struct csv *csv, struct slice row, struct err *err);
/* Appends the row as an object. Quoted fields are strings; of the others numbers, true and false stay what they are, an
 * empty one is null, the rest are strings. ERR_RECORD, without a full stop. */
int csv_object(const struct csv *csv, struct slice row, struct bytes *out, struct err *err);
void csv_free(struct csv *csv);

#endif
