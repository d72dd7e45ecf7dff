/* Rows appended to a table by COPY: binary, or text when a value has no binary form.
 *
 * Ownership: a copy owns its memory and borrows the writer; it starts as zeroes but for the writer and ends with
 * postgres_copy_free, which also ends what is under way.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_COPY_H
#define TIDEMILL_CONNECTORS_POSTGRES_COPY_H

#include "connectors/postgres/postgres_write.h"

/* One COPY at a time: rows that follow each other with the same columns. */
struct postgres_copy {
    struct postgres_writer *writer;
    bool commits;       /* set by the owner: one COPY is expected to do, which is sent together with the COMMIT */
    bool split;         /* it does not: the transaction is to be tried again without that expectation */
    bool committed;     /* postgres_copy_end has done it */
    const char *failed; /* when what was sent before the first rows has failed: what it was for */
    bool open;
    bool text;
    unsigned char *forms; /* by column */
    size_t *records;      /* by line: index of its record */
    size_t count;
    size_t capacity;
    struct bytes out; /* what is sent next */
};

/* Appends the rows in their order, inside the caller's transaction, which the pipeline's script may begin: it is sent
 * together with the first COPY. The connection takes nothing else before postgres_copy_end. ERR_SKIP sets *bad to the
 * index of the record when it is known. */
int postgres_copy_rows(struct postgres_copy *copy, const struct rows *rows, size_t *bad, struct err *err);
/* Before something else than rows: false when the COPY under way ends with the COMMIT; then `split` and `err` are set.
 */
bool postgres_copy_may_stop(struct postgres_copy *copy, struct err *err);
/* Waits until the server has all of them. */
int postgres_copy_end(struct postgres_copy *copy, size_t *bad, struct err *err);
void postgres_copy_free(struct postgres_copy *copy);

#endif
