/* Records as rows: the JSON object that a value is becomes named fields, key columns first, and the changes of a batch
 * are merged to one per key for databases that take whole sets.
 *
 * Pure, no database in it. Ownership: a struct rows owns its memory; what it hands out is valid until the next
 * rows_read or rows_free of the same struct. Fields may point into the records, which must live as long.
 */
#ifndef TIDEMILL_CONNECTORS_ROWS_H
#define TIDEMILL_CONNECTORS_ROWS_H

#include "base/option.h"
#include "engine/record.h"

#define ROWS_FIELDS 2000 /* most members of one value; no database has more columns */

/* ROWS_INTEGER fits 64 bits; what does not is ROWS_REAL, its exact digits are in the text. */
enum rows_kind { ROWS_NULL, ROWS_BOOL, ROWS_INTEGER, ROWS_REAL, ROWS_STRING, ROWS_NESTED };

struct rows_field {
    struct slice name; /* decoded: not empty, no zero byte in it */
    struct slice text; /* JSON; a string with its quotes and escapes: json_decode_string reads it */
    enum rows_kind kind;
};

struct rows_row {
    const struct rows_field *fields; /* the key columns in the order of the option, then the others in their order */
    size_t count;                    /* of a tombstone: the key columns */
    size_t record;                   /* index in the batch; after rows_merge of the last change */
    bool tombstone;
    bool replaces; /* rows_merge: a tombstone came before what the fields hold, so the old row goes first */
};

struct rows_form {
    const struct option_list *key; /* columns; none: records only append */
    bool json_keys;                /* records' keys are JSON, else plain text */
    bool tombstones;               /* they become rows; else they are passed over */
};

/* A member of the record before: records look alike, so the next one is compared with it first. */
struct rows_member {
    struct slice name;
    size_t field; /* index of its field */
};

struct rows { /* starts as zeroes */
    struct arena arena;
    struct rows_row *list;
    size_t count;
    size_t capacity;
    struct rows_field *fields; /* of the row that is being read */
    size_t field_count;
    size_t field_capacity;
    struct rows_member *members;
    size_t member_count;
    size_t member_capacity;
    struct bytes text; /* for decoding */
};

/* Reads all records, replacing the rows from before. A key column is the value's member of that name; when the value
 * has none, the record's key gives it: the member of a JSON object, the element at its place of an array of as many, or
 * the key itself when there is one key column. ERR_SKIP with *bad, the index: the value is no JSON object, a key column
 * is missing, null or no scalar, a name can't be a column's. */
int rows_read(struct rows *rows, const struct rows_form *form, const struct record *records, size_t count, size_t *bad,
              struct err *err);

/* Leaves one row per key, at the place of its last change: later fields over earlier ones, a tombstone drops what came
 * before it. Keys are the same when their texts are: 1 and "1" are, 1 and 1.0 are not. Needs key columns. */
void rows_merge(struct rows *rows, size_t key_columns);

/* The field of that name, or NULL. */
const struct rows_field *rows_field(const struct rows_row *row, struct slice name);

void rows_free(struct rows *rows); /* and makes it zeroes again */

#endif
