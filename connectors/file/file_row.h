/* What a row of a file becomes, what the source's position looks like, and which columns have a type. Pure.
 *
 * Ownership: records and positions borrow from the row, from the text and from the arena they were given.
 */
#ifndef TIDEMILL_CONNECTORS_FILE_FILE_ROW_H
#define TIDEMILL_CONNECTORS_FILE_FILE_ROW_H

#include "base/csv.h"
#include "base/option.h"
#include "engine/record.h"

enum file_format { FILE_JSON, FILE_CSV };

struct file_position {
    struct slice file; /* JSON string: the path when it was read, for people; the inode says which file it is */
    uint64_t inode;
    int64_t offset; /* where the next row begins, in uncompressed bytes */
    int64_t line;   /* lines before it */
};

/* {"file":...,"inode":...,"offset":...,"line":...}; `file` is JSON. */
void file_row_print_position(const struct file_position *position, struct bytes *out);
/* ERR_CONFIG: it is none. */
int file_row_parse_position(struct slice text, struct file_position *position, struct err *err);

/* Makes columns of "name=type" items, for a file without a header. ERR_CONFIG. */
int file_row_columns(const struct option_list *types, struct csv *csv, struct err *err);
/* Gives columns of a header their types. ERR_CONFIG: there is no such column or type. */
int file_row_types(const struct option_list *types, struct csv *csv, struct err *err);

struct file_row_rules {
    const struct csv *csv; /* NULL: rows are JSON */
    const char *key;       /* field, or a path with dots; NULL: records have no key */
    const char *timestamp; /* the same; NULL: not known */
};

/* Key and value are JSON. ERR_RECORD, without a full stop. */
int file_row_record(const struct file_row_rules *rules, struct slice row, struct arena *arena, struct record *record,
                    struct err *err);

#endif
