/* A table for a terminal: a row of names, rows of cells, columns as wide as they need.
 *
 * Ownership: cells are copied; columns_free releases everything.
 */
#ifndef TIDEMILL_CLI_COLUMNS_H
#define TIDEMILL_CLI_COLUMNS_H

#include "base/bytes.h"

struct columns {
    size_t count; /* columns */
    char **cells; /* row after row, the names first */
    size_t cell_count;
    size_t capacity;
};

/* `names` separated by spaces: "topic partition lag". */
void columns_begin(struct columns *columns, const char *names);
void columns_add(struct columns *columns, struct slice cell);
void columns_text(struct columns *columns, const char *text);
void columns_integer(struct columns *columns, int64_t number); /* with commas between thousands */
/* Numbers stand at the right of their column: one in which every cell is a number, "-" or empty. */
void columns_print(const struct columns *columns, struct bytes *out);
void columns_free(struct columns *columns);

#endif
