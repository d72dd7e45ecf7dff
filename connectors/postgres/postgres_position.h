/* The positions of sinks, in a table of the database that they write into: one row per (app, name, topic, task).
 *
 * Ownership: a position borrows the context and holds no memory.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_POSITION_H
#define TIDEMILL_CONNECTORS_POSTGRES_POSITION_H

#include "connectors/postgres/postgres_pipeline.h"

#define POSTGRES_POSITION_TABLE "_tidemill_offsets"
#define POSTGRES_POSITION_DDL                                                                                          \
    "CREATE TABLE IF NOT EXISTS " POSTGRES_POSITION_TABLE                                                              \
    " (app text, name text, topic text, task int, next bigint NOT NULL, PRIMARY KEY (app, name, topic, task))"

struct postgres_position {
    const struct connector_context *context;
    char number[16]; /* the task's, as a parameter */
};

void postgres_position_init(struct postgres_position *position, const struct connector_context *context);
/* Makes the table when it is missing. */
int postgres_position_make_table(PGconn *connection, struct err *err);
/* CONNECTOR_NO_OFFSET: there is none yet. */
int postgres_position_read(const struct postgres_position *position, PGconn *connection, int64_t *next,
                           struct err *err);
/* As in the contract of sinks. */
int postgres_position_other_topic(const struct postgres_position *position, PGconn *connection,
                                  char topic[CONNECTOR_TOPIC_SIZE], struct err *err);
int postgres_position_forget_others(const struct postgres_position *position, PGconn *connection, struct err *err);
/* Sends the statement that compares and sets. When the position is not `from` it fails, so that the server does nothing
 * of what was sent behind it. */
int postgres_position_send(const struct postgres_position *position, struct postgres_pipeline *pipeline, int64_t from,
                           int64_t to, struct err *err);
/* After a pipeline has failed at `failed`: makes ERR_FENCED of `err` when it was that statement. Returns -1. */
int postgres_position_explain(const struct postgres_position *position, int64_t from, const char *failed,
                              struct err *err);

#endif
