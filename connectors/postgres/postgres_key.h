/* The key that a snapshot goes by, so that it can go on behind the last row that was read.
 *
 * Keys are JSON objects of the columns' texts, {"id":"7"}; the server compares them in the order of its index.
 * Ownership: a struct postgres_key owns its memory; connections and tables are borrowed.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_KEY_H
#define TIDEMILL_CONNECTORS_POSTGRES_KEY_H

#include "connectors/postgres/postgres_change.h"
#include "connectors/postgres/postgres_connection.h"

struct postgres_key {         /* starts as zeroes */
    struct option_list names; /* in the order of the index; none: the table has no key */
    struct bytes columns;     /* "a", "b" */
    struct bytes definition;  /* "a" integer, "b" text COLLATE .. */
};

/* `table`: its name with quotes. The index is that of the replica identity, else the primary key. */
int postgres_key_load(struct postgres_key *key, PGconn *connection, const char *table, struct err *err);
/* Replaces `out` by the row's key. False, and it is empty: the row or the table lacks a column of it. */
bool postgres_key_write(const struct postgres_key *key, const struct postgres_table *table,
                        const struct pgoutput_row *row, struct bytes *out);
/* Appends WHERE (unless `last` is empty) and ORDER BY: the rows behind the last one. */
void postgres_key_append_order(const struct postgres_key *key, struct slice last, struct bytes *sql);
/* Whether `row` is not behind `last`. */
int postgres_key_reached(const struct postgres_key *key, PGconn *connection, struct slice row, struct slice last,
                         bool *reached, struct err *err);
void postgres_key_free(struct postgres_key *key);

#endif
