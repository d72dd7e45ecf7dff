/* Statements that are sent without waiting for each other's results, each prepared once on the connection.
 *
 * Between postgres_pipeline_begin and postgres_pipeline_end the connection takes nothing else. After a statement has
 * failed the server passes over those behind it. COPY is not allowed in there: a script is statements that are gathered
 * and sent as one text, the last of which may be a COPY of rows from here.
 * Ownership: a pipeline owns its list of statements; it starts as zeroes, borrows the connection, and ends with
 * postgres_pipeline_free.
 */
#ifndef TIDEMILL_CONNECTORS_POSTGRES_PIPELINE_H
#define TIDEMILL_CONNECTORS_POSTGRES_PIPELINE_H

#include "connectors/postgres/postgres_connection.h"

struct postgres_pipeline {
    PGconn *connection;
    char **prepared; /* texts of the statements that the connection has, by their number */
    size_t prepared_count;
    size_t prepared_capacity;
    const char **sent; /* what each command is for, in their order, as errors name it */
    size_t sent_count;
    size_t sent_capacity;
    bool open;
    bool gathering; /* a script, which is not sent yet */
    bool awaited;   /* a script is sent, its results are to come */
    struct bytes script;
};

#define POSTGRES_PIPELINE_PARAMETERS 1600 /* the most columns that a table can have */

struct postgres_parameters { /* all in binary form, or all in text ended by a zero byte */
    int count;
    const struct slice *values;
    bool binary;
};

int postgres_pipeline_begin(struct postgres_pipeline *pipeline, struct err *err);
/* Into the pipeline or the script, whichever was begun; a script's parameters are text. `what`: a text that lives for
 * ever. */
int postgres_pipeline_send(struct postgres_pipeline *pipeline, const char *sql,
                           const struct postgres_parameters *parameters, const char *what, struct err *err);
/* Lets the server begin with what has been sent, without waiting for it. */
int postgres_pipeline_flush(struct postgres_pipeline *pipeline, struct err *err);
/* Waits for all results. -1: `err` is of the first command that failed, *failed is its `what` (NULL: not known). */
int postgres_pipeline_end(struct postgres_pipeline *pipeline, const char **failed, struct err *err);

void postgres_pipeline_begin_script(struct postgres_pipeline *pipeline);
/* Sends what was gathered and the COPY behind it, without waiting. */
int postgres_pipeline_send_script(struct postgres_pipeline *pipeline, const char *copy, const char *what,
                                  struct err *err);
/* Sends what was gathered, then waits until the COPY takes rows, or for all results when there is none; nothing to send
 * and nothing to wait for is no error. -1 as postgres_pipeline_end. */
int postgres_pipeline_end_script(struct postgres_pipeline *pipeline, const char **failed, struct err *err);

/* After a failure nobody knows which statements the connection has. */
void postgres_pipeline_forget(struct postgres_pipeline *pipeline);
void postgres_pipeline_free(struct postgres_pipeline *pipeline);

#endif
