#include "connectors/postgres/postgres_pipeline.h"

#include "base/memory.h"

#include <stdlib.h>

#define PREPARED 64 /* at most; each costs memory on the server */

static int fail(const struct postgres_pipeline *pipeline, const char *what, struct err *err)
{
    return postgres_connection_fail(pipeline->connection, NULL, what, err);
}

int postgres_pipeline_begin(struct postgres_pipeline *pipeline, struct err *err)
{
    pipeline->sent_count = 0;
    pipeline->open = PQenterPipelineMode(pipeline->connection) == 1;
    return pipeline->open ? 0 : fail(pipeline, "beginning a transaction", err);
}

static void note_sent(struct postgres_pipeline *pipeline, const char *what)
{
    pipeline->sent =
        memory_grow(pipeline->sent, pipeline->sent_count, &pipeline->sent_capacity, sizeof(*pipeline->sent));
    pipeline->sent[pipeline->sent_count++] = what;
}

static void note_prepared(struct postgres_pipeline *pipeline, const char *sql)
{
    pipeline->prepared = memory_grow(pipeline->prepared, pipeline->prepared_count, &pipeline->prepared_capacity,
                                     sizeof(*pipeline->prepared));
    pipeline->prepared[pipeline->prepared_count++] = memory_copy_text(sql);
}

/* A statement without a name is prepared for one time only. */
static int prepare(struct postgres_pipeline *pipeline, const char *name, const char *sql, const char *what,
                   struct err *err)
{
    if (name[0]) {
        note_prepared(pipeline, sql);
    }
    if (PQsendPrepare(pipeline->connection, name, sql, 0, NULL) != 1) {
        return fail(pipeline, what, err);
    }
    note_sent(pipeline, what);
    return 0;
}

/* Number of the statement among those that the connection has; their count: it is new. */
static size_t find_prepared(const struct postgres_pipeline *pipeline, const char *sql)
{
    size_t number = 0;
    while (number < pipeline->prepared_count && strcmp(pipeline->prepared[number], sql) != 0) {
        number++;
    }
    return number;
}

static int send_prepared(struct postgres_pipeline *pipeline, const char *name,
                         const struct postgres_parameters *parameters)
{
    const char *values[POSTGRES_PIPELINE_PARAMETERS];
    int lengths[POSTGRES_PIPELINE_PARAMETERS], formats[POSTGRES_PIPELINE_PARAMETERS];
    for (int i = 0; i < parameters->count; i++) {
        values[i] = (const char *)parameters->values[i].data;
        lengths[i] = (int)parameters->values[i].size;
        formats[i] = parameters->binary;
    }
    return PQsendQueryPrepared(pipeline->connection, name, parameters->count, values, lengths, formats, 0);
}

static void append_values(struct bytes *script, const struct postgres_parameters *parameters)
{
    for (int i = 0; i < parameters->count; i++) {
        bytes_append_text(script, i ? ", " : "(");
        postgres_connection_quote_text(script, parameters->values[i]);
    }
    bytes_append_text(script, parameters->count ? ")" : "");
}

/* Statements without parameters, such as BEGIN, stand as they are. */
static void gather(struct postgres_pipeline *pipeline, const char *sql, const struct postgres_parameters *parameters,
                   const char *what)
{
    struct bytes *script = &pipeline->script;
    size_t number = find_prepared(pipeline, sql);
    if (parameters->count == 0) {
        bytes_append_text(script, sql);
    } else {
        if (number == pipeline->prepared_count) {
            bytes_append_format(script, "PREPARE tidemill_%zu AS %s; ", number, sql);
            note_prepared(pipeline, sql);
            note_sent(pipeline, what);
        }
        bytes_append_format(script, "EXECUTE tidemill_%zu", number);
        append_values(script, parameters);
    }
    bytes_append_text(script, "; ");
    note_sent(pipeline, what);
}

int postgres_pipeline_send(struct postgres_pipeline *pipeline, const char *sql,
                           const struct postgres_parameters *parameters, const char *what, struct err *err)
{
    if (pipeline->gathering) {
        gather(pipeline, sql, parameters, what);
        return 0;
    }
    char name[32] = "";
    size_t number = find_prepared(pipeline, sql);
    bool known = number < pipeline->prepared_count;
    if (number < PREPARED) {
        snprintf(name, sizeof(name), "tidemill_%zu", number);
    }
    if (!known && prepare(pipeline, name, sql, what, err)) {
        return -1;
    }
    if (send_prepared(pipeline, name, parameters) != 1) {
        return fail(pipeline, what, err);
    }
    note_sent(pipeline, what);
    return 0;
}

int postgres_pipeline_flush(struct postgres_pipeline *pipeline, struct err *err)
{
    return PQflush(pipeline->connection) < 0 ? fail(pipeline, "sending", err) : 0;
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_PIPELINE_SYNC;
}

/* Results come one for each command, a NULL behind each, the sync's last; a lost connection ends them earlier. */
static int receive(struct postgres_pipeline *pipeline, const char **failed, struct err *err)
{
    int status = 0;
    size_t command = 0;
    for (bool synced = false; !synced;) {
        PGresult *result = PQgetResult(pipeline->connection);
        if (!result && (PQstatus(pipeline->connection) == CONNECTION_BAD || command == pipeline->sent_count)) {
            return status ? status : fail(pipeline, "writing", err);
        }
        synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (result && status == 0 && !is_good(result)) {
            *failed = command < pipeline->sent_count ? pipeline->sent[command] : NULL;
            status = postgres_connection_fail(pipeline->connection, result, *failed ? *failed : "writing", err);
        }
        command += !result;
        PQclear(result);
    }
    return status;
}

int postgres_pipeline_end(struct postgres_pipeline *pipeline, const char **failed, struct err *err)
{
    *failed = NULL;
    int status =
        PQpipelineSync(pipeline->connection) == 1 ? receive(pipeline, failed, err) : fail(pipeline, "writing", err);
    if (PQexitPipelineMode(pipeline->connection) != 1 && status == 0) {
        status = fail(pipeline, "writing", err);
    }
    pipeline->open = false;
    return status;
}

/* ---- scripts ---- */

void postgres_pipeline_begin_script(struct postgres_pipeline *pipeline)
{
    bytes_clear(&pipeline->script);
    pipeline->sent_count = 0;
    pipeline->gathering = true;
}

int postgres_pipeline_send_script(struct postgres_pipeline *pipeline, const char *copy, const char *what,
                                  struct err *err)
{
    bytes_append_text(&pipeline->script, copy);
    note_sent(pipeline, what);
    pipeline->gathering = false;
    pipeline->awaited = PQsendQuery(pipeline->connection, bytes_text(&pipeline->script)) == 1;
    return pipeline->awaited ? 0 : fail(pipeline, what, err);
}

/* One result for each statement. Behind one that failed there are none but the NULL. */
static int receive_script(struct postgres_pipeline *pipeline, const char **failed, struct err *err)
{
    int status = 0;
    size_t command = 0;
    bool copying = false;
    PGresult *result = NULL;
    while (!copying && (result = PQgetResult(pipeline->connection))) {
        copying = PQresultStatus(result) == PGRES_COPY_IN;
        if (!copying && status == 0 && !is_good(result)) {
            *failed = command < pipeline->sent_count ? pipeline->sent[command] : NULL;
            status = postgres_connection_fail(pipeline->connection, result, *failed ? *failed : "writing", err);
        }
        command++;
        PQclear(result);
    }
    return status;
}

int postgres_pipeline_end_script(struct postgres_pipeline *pipeline, const char **failed, struct err *err)
{
    *failed = NULL;
    if (pipeline->gathering && postgres_pipeline_send_script(pipeline, "", "writing", err)) {
        return -1;
    }
    if (!pipeline->awaited) {
        return 0;
    }
    pipeline->awaited = false;
    return receive_script(pipeline, failed, err);
}

void postgres_pipeline_forget(struct postgres_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->prepared_count; i++) {
        free(pipeline->prepared[i]);
    }
    pipeline->prepared_count = 0;
}

void postgres_pipeline_free(struct postgres_pipeline *pipeline)
{
    postgres_pipeline_forget(pipeline);
    free(pipeline->prepared);
    free(pipeline->sent);
    bytes_free(&pipeline->script);
    *pipeline = (struct postgres_pipeline){0};
}
