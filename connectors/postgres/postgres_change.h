/* Rows of PostgreSQL as records: tables with their columns, text values by type, change events and their keys.
 *
 * Ownership: a table and its names belong to the struct postgres_changes and live until postgres_change_free. Records
 * are built by postgres_change_list, and end with the next postgres_change_clear.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_CHANGE_H
#define TIDEMILL_CONNECTORS_POSTGRES_CHANGE_H

#include "connectors/postgres/pgoutput.h"
#include "connectors/postgres/postgres_type.h"
#include "engine/record.h"

struct postgres_column {
    char *name;
    uint32_t type;    /* oid; what is not built in is text */
    uint32_t element; /* of an array: as postgres_type_element says */
    bool key;         /* of the primary key */
};

struct postgres_table {
    uint32_t oid;
    char *schema;
    char *name;
    char *topic;   /* "schema.name" */
    char identity; /* as in struct pgoutput */
    bool wanted;   /* the source reads it; a publication may have others */
    size_t place;  /* wanted: in the source's list */
    struct postgres_column *columns;
    size_t count;
    size_t capacity;
};

/* Where events come from. */
struct postgres_origin {
    const char *database;
    uint64_t lsn;
    uint32_t xid; /* 0: none */
    int64_t time_ms;
    bool snapshot;
};

struct postgres_piece {
    size_t key, key_size;     /* key_size 0: no key */
    size_t value, value_size; /* value_size 0: a tombstone */
    const char *header;       /* NULL: none; its value is the other key of a row whose key was changed */
    size_t other, other_size;
    int64_t time_ms;
    const char *topic;
};

struct postgres_changes { /* starts as zeroes */
    bool tombstones;      /* a delete is followed by one */
    struct postgres_table **tables;
    size_t table_count, table_capacity;
    char **names; /* of tables, for records */
    size_t name_count, name_capacity;
    struct bytes text;
    struct postgres_piece *pieces;
    size_t piece_count, piece_capacity;
    struct record *records;
    size_t record_capacity;
    struct header *headers; /* one for each record that has any */
    size_t header_capacity;
    struct envelope_field *fields;
    size_t field_capacity;
};

/* The table of that oid, emptied of its columns and named anew; made when it is not known, and wanted then when it has
 * the name of one that is. */
struct postgres_table *postgres_change_define(struct postgres_changes *changes, uint32_t oid, struct slice schema,
                                              struct slice name, char identity);
void postgres_change_add_column(struct postgres_table *table, struct slice name, uint32_t type, bool key);
struct postgres_table *postgres_change_table(const struct postgres_changes *changes, uint32_t oid); /* or NULL */

/* One event each; op c, u, d, r, t. An update that changes the key is a delete of the old one with the header
 * __debezium.newkey and a creation with __debezium.oldkey. ERR_FATAL: the row does not fit the table. */
int postgres_change_add(struct postgres_changes *changes, const struct postgres_table *table, char op,
                        const struct postgres_origin *origin, const struct pgoutput *message, struct err *err);
/* A line of COPY's text format without its end; `row` is scratch. */
int postgres_change_add_copied(struct postgres_changes *changes, const struct postgres_table *table,
                               const struct postgres_origin *origin, struct slice line, struct pgoutput *scratch,
                               struct bytes *decoded, struct err *err);

/* Whether an update changes the key. */
bool postgres_change_moves_key(const struct postgres_table *table, const struct pgoutput *message);

void postgres_change_clear(struct postgres_changes *changes);
const struct record *postgres_change_list(struct postgres_changes *changes);
void postgres_change_free(struct postgres_changes *changes);

#endif
