/* One row as the cells of a table's columns, each in binary or in text form.
 *
 * Which columns go as text is remembered until the next reset, so that rows which differ only in the form of a value
 * are written together. Ownership: cells own their memory and borrow the table, which outlives them or the next reset;
 * they start as zeroes and end with postgres_cells_free.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_CELLS_H
#define TIDEMILL_CONNECTORS_POSTGRES_CELLS_H

#include "connectors/postgres/postgres_table.h"

enum postgres_form { POSTGRES_FORM_NONE, POSTGRES_FORM_BINARY, POSTGRES_FORM_TEXT };

struct postgres_cells {
    const struct postgres_table *table;
    const char *table_name;
    bool skip_null;       /* a null for a column that is not there (yet) is no error */
    unsigned char *forms; /* enum postgres_form of the row's cells, by column */
    struct slice *cells;  /* by column: the length in 32 bits and the value; a null is the length -1 alone */
    struct bytes data;    /* what the cells point into */

    /* until the next reset */
    bool *as_text; /* by column: goes as text from now on */
    bool *seen;    /* by column: a row has had it */

    /* of the row at hand */
    const struct rows_field **fields; /* by column; NULL: it has none */
    struct bytes text;                /* of one value */
};

void postgres_cells_reset(struct postgres_cells *cells, const struct postgres_table *table, const char *table_name,
                          bool skip_null);
/* Reads the row's first `count` fields. `whole`: columns that earlier rows had and this one has not are nulls, when
 * that is what the server would put there. ERR_SKIP. */
int postgres_cells_read(struct postgres_cells *cells, const struct rows_row *row, size_t count, bool whole,
                        struct err *err);
static inline bool postgres_cells_null(struct slice cell)
{
    return cell.data[0] == 0xff;
}
/* All cells of rows that are read from now on are texts. */
void postgres_cells_use_text(struct postgres_cells *cells);
void postgres_cells_free(struct postgres_cells *cells);

#endif
