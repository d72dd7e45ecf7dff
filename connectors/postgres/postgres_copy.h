/* Rows appended to a table by COPY: binary, or text when a value has no binary form.
 *
 * Ownership: everything is borrowed for the call.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_COPY_H
#define TIDEMILL_CONNECTORS_POSTGRES_COPY_H

#include "connectors/postgres/postgres_write.h"

/* Appends all rows in their order, inside the caller's transaction. ERR_SKIP sets *bad to the index of the record when
 * it is known. */
int postgres_copy_rows(struct postgres_writer *writer, const struct rows *rows, size_t *bad, struct err *err);

#endif
