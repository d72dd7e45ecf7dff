/* Values as the rows of a table: fields of JSON objects in columns, sorted.
 *
 * Ownership: what the rows need is copied; the texts given to consume_table_begin are borrowed until
 * consume_table_free.
 */
#ifndef TIDEMILL_CLI_CONSUME_TABLE_H
#define TIDEMILL_CLI_CONSUME_TABLE_H

#include "base/arena.h"
#include "base/option.h"
#include "cli/consume_show.h"

struct consume_table {
    struct option_list columns; /* names; empty until the first record when none were given */
    struct option_list fields;  /* of the first object */
    bool *found;                /* per column, and then of the sort: a record has it */
    const char *sort;           /* "c", "-c" for the largest first, or NULL */
    enum consume_codec key_codec, value_codec;
    struct table_row *rows;
    size_t count;
    size_t capacity;
    struct arena arena;
};

/* `columns`: names separated by commas, or NULL for the key and the fields of the first value. Besides fields there
 * are key, value, timestamp, partition and offset. */
void consume_table_begin(struct consume_table *table, const char *columns, const char *sort);
void consume_table_add(struct consume_table *table, const struct record *record);
void consume_table_print(struct consume_table *table, struct bytes *out);
/* Says on standard error which columns, or sort, no record has, each with the nearest name; nothing without records. */
void consume_table_note_missing(const struct consume_table *table);
void consume_table_free(struct consume_table *table);

#endif
