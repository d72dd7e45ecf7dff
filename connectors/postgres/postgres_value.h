/* JSON values as PostgreSQL's text input of a column's type. Pure.
 *
 * Ownership: nothing is kept; text is appended to the caller's bytes.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_VALUE_H
#define TIDEMILL_CONNECTORS_POSTGRES_VALUE_H

#include "connectors/postgres/postgres_binary.h"

enum postgres_value_kind {
    POSTGRES_VALUE_BOOL,
    POSTGRES_VALUE_INTEGER, /* smallint, integer, bigint */
    POSTGRES_VALUE_NUMBER,  /* numeric, real, double precision, .. */
    POSTGRES_VALUE_TEXT,
    POSTGRES_VALUE_JSON,  /* json, jsonb */
    POSTGRES_VALUE_BYTES, /* bytea; JSON has it in base64 */
    POSTGRES_VALUE_TIME,  /* timestamp with or without time zone; numbers are milliseconds since 1970 */
    POSTGRES_VALUE_ARRAY,
    POSTGRES_VALUE_OTHER /* whatever the type's own text says */
};

struct postgres_column {
    char *name;
    char *type; /* as SQL writes it: "character varying(20)" */
    char *cast; /* without the length, so that what is too long is refused and not cut */
    enum postgres_value_kind kind;
    const struct postgres_binary *binary; /* of a domain: that of its base type; NULL: only text */
    int size;                             /* bytes of an integer type */
    bool required;                        /* not null, and nothing else by default */
    bool json_null;                       /* not null, and JSON: what is null is JSON's null */
    bool generated;                       /* the server computes it */
    bool defaulted;                       /* a row that does not name it may get something else than null there */
};

/* Appends the text of a value that is not null. ERR_SKIP names column, type and value. */
int postgres_value_append(struct bytes *out, const struct postgres_column *column, const struct rows_field *field,
                          struct err *err);

/* Appends an element of an array's text; null data: NULL. `first`: no comma before it. */
void postgres_value_element(struct bytes *out, struct slice text, bool null, bool first);
/* Appends a column of a row of COPY's text form. */
void postgres_value_copy(struct bytes *out, struct slice text, bool null, bool first);

#endif
