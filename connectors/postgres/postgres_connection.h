/* Connections to PostgreSQL, statements, and what their errors mean for the runner.
 *
 * Ownership: a connection belongs to the caller of postgres_connection_open and ends with PQfinish; results that come
 * out belong to the caller and end with PQclear. Messages never contain the URL, since passwords stand in it.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_CONNECTION_H
#define TIDEMILL_CONNECTORS_POSTGRES_CONNECTION_H

#include "engine/connector.h"

#include <libpq-fe.h>

/* Whether the text is a connection URI or a list of keyword=value; pure. ERR_CONFIG. */
int postgres_connection_check_url(const char *url, struct err *err);

/* Connects, for at most the URL's connect_timeout (seconds; 10 unless it says so), UTF-8, time zone UTC, and with
 * limits for statements (30 s) and locks (10 s) that end in ERR_RETRY. `replication`: for a logical replication stream.
 * NULL: `err` is filled. */
PGconn *postgres_connection_open(const struct connector_context *context, const char *url, bool replication,
                                 struct err *err);

/* Runs one or more statements without parameters. NULL: `err` is filled, and names `what` ("the table's columns"). */
PGresult *postgres_connection_query(PGconn *connection, const char *sql, const char *what, struct err *err);
/* The same with parameters in text; NULL is SQL's NULL. */
PGresult *postgres_connection_query_params(PGconn *connection, const char *sql, int count, const char *const *values,
                                           const char *what, struct err *err);
/* A statement whose rows don't matter: 0 or -1. */
int postgres_connection_run(PGconn *connection, const char *sql, const char *what, struct err *err);

/* Fills `err` from a failed result (NULL: from the connection) by its SQLSTATE; returns -1. */
int postgres_connection_fail(const PGconn *connection, const PGresult *result, const char *what, struct err *err);

/* Appends an identifier in quotes; of "schema.table" both parts with a dot between them. */
void postgres_connection_quote(struct bytes *out, struct slice name);
void postgres_connection_quote_table(struct bytes *out, const char *table);
/* Appends text as a literal in quotes. */
void postgres_connection_quote_text(struct bytes *out, struct slice text);

#endif
