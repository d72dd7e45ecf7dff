/* JSON values in the binary form of PostgreSQL's types, which the server reads fastest. Pure.
 *
 * Only what has one plain meaning is taken; for everything else the text form (postgres_value.h) is asked, which knows
 * all spellings and says what is wrong.
 * Ownership: nothing is kept; bytes are appended to the caller's.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_BINARY_H
#define TIDEMILL_CONNECTORS_POSTGRES_BINARY_H

#include "connectors/rows.h"

struct postgres_binary {
    const char *type;  /* pg_type.typname */
    const char *array; /* type of a statement's parameter that holds many, as SQL writes it */
    uint32_t element;  /* oid of the elements of that array */
    /* Appends the value without its length; false: what was appended means nothing. */
    bool (*append)(struct bytes *out, const struct rows_field *field);
};

/* NULL: values of that type go as text. */
const struct postgres_binary *postgres_binary_find(const char *type);
/* Appends the length in 32 bits and the value, which is not null. False, and nothing is appended: it has to go as text.
 */
bool postgres_binary_append(struct bytes *out, const struct postgres_binary *binary, const struct rows_field *field);
/* Appends a text, or a null, as an element or column. */
void postgres_binary_text(struct bytes *out, struct slice text);
void postgres_binary_null(struct bytes *out);

#define POSTGRES_BINARY_TEXT 25         /* oid of text */
#define POSTGRES_BINARY_ARRAY_HEADER 20 /* bytes before an array's first element */
/* Writes the header over the array's first bytes. */
void postgres_binary_array_header(unsigned char *at, uint32_t element, size_t count, bool nulls);

#endif
