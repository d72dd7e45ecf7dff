#include "connectors/postgres/postgres_position.h"

#include <stdlib.h>

static const char moving[] = "moving the position";

void postgres_position_init(struct postgres_position *position, const struct connector_context *context)
{
    position->context = context;
    snprintf(position->number, sizeof(position->number), "%d", (int)context->task);
}

/* Tasks that start together take turns, since CREATE TABLE IF NOT EXISTS alone fails when two do it at once. Who may
 * not create tables finds the one that an administrator made. */
int postgres_position_make_table(PGconn *connection, struct err *err)
{
    PGresult *result =
        postgres_connection_query(connection, "SELECT to_regclass('" POSTGRES_POSITION_TABLE "') IS NULL",
                                  "looking for the table " POSTGRES_POSITION_TABLE, err);
    bool missing = result && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    if (!missing) {
        return result ? 0 : -1;
    }
    return postgres_connection_run(
        connection,
        "BEGIN; SELECT pg_advisory_xact_lock(hashtext('" POSTGRES_POSITION_TABLE "')); " POSTGRES_POSITION_DDL
        "; COMMIT",
        "making the table " POSTGRES_POSITION_TABLE " (an administrator may run: " POSTGRES_POSITION_DDL ")", err);
}

int postgres_position_read(const struct postgres_position *position, PGconn *connection, int64_t *next, struct err *err)
{
    const struct connector_context *context = position->context;
    const char *values[] = {context->app, context->name, context->topic, position->number};
    PGresult *result = postgres_connection_query_params(connection,
                                                        "SELECT next FROM " POSTGRES_POSITION_TABLE
                                                        " WHERE app = $1 AND name = $2 AND topic = $3 AND task = $4",
                                                        4, values, "reading the position", err);
    *next = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : CONNECTOR_NO_OFFSET;
    PQclear(result);
    return result ? 0 : -1;
}

int postgres_position_other_topic(const struct postgres_position *position, PGconn *connection,
                                  char topic[CONNECTOR_TOPIC_SIZE], struct err *err)
{
    const struct connector_context *context = position->context;
    const char *values[] = {context->app, context->name, context->topic};
    PGresult *result = postgres_connection_query_params(connection,
                                                        "SELECT topic FROM " POSTGRES_POSITION_TABLE
                                                        " WHERE app = $1 AND name = $2 AND topic <> $3 LIMIT 1",
                                                        3, values, "reading positions", err);
    snprintf(topic, CONNECTOR_TOPIC_SIZE, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return result ? 0 : -1;
}

int postgres_position_forget_others(const struct postgres_position *position, PGconn *connection, struct err *err)
{
    const struct connector_context *context = position->context;
    const char *values[] = {context->app, context->name, context->topic};
    PGresult *result = postgres_connection_query_params(
        connection, "DELETE FROM " POSTGRES_POSITION_TABLE " WHERE app = $1 AND name = $2 AND topic <> $3", 3, values,
        "removing positions", err);
    PQclear(result);
    return result ? 0 : -1;
}

/* A conversion that fails, with a text for the server's log, unless exactly one row has moved. */
#define ONE_ROW                                                                                                        \
    " RETURNING 1) SELECT CASE count(*) WHEN 1 THEN 1 ELSE"                                                            \
    " ('another process writes for this sink: rows moved: ' || count(*))::int END FROM moved"

int postgres_position_send(const struct postgres_position *position, struct postgres_pipeline *pipeline, int64_t from,
                           int64_t to, struct err *err)
{
    static const char insert[] = "WITH moved AS (INSERT INTO " POSTGRES_POSITION_TABLE
                                 " (app, name, topic, task, next) VALUES ($1, $2, $3, $4, $5)"
                                 " ON CONFLICT DO NOTHING" ONE_ROW;
    static const char update[] = "WITH moved AS (UPDATE " POSTGRES_POSITION_TABLE
                                 " SET next = $5 WHERE app = $1 AND name = $2 AND topic = $3 AND task = $4"
                                 " AND next = $6" ONE_ROW;
    const struct connector_context *context = position->context;
    bool first = from == CONNECTOR_NO_OFFSET;
    char old[24], new[24];
    snprintf(old, sizeof(old), "%lld", (long long)from);
    snprintf(new, sizeof(new), "%lld", (long long)to);
    const struct slice values[] = {
        slice_text(context->app),     slice_text(context->name), slice_text(context->topic),
        slice_text(position->number), slice_text(new),           slice_text(old),
    };
    const struct postgres_parameters parameters = {.count = first ? 5 : 6, .values = values};
    return postgres_pipeline_send(pipeline, first ? insert : update, &parameters, moving, err);
}

int postgres_position_explain(const struct postgres_position *position, int64_t from, const char *failed,
                              struct err *err)
{
    if (failed != moving || err->class != ERR_SKIP) {
        return -1;
    }
    char expected[24] = "empty";
    if (from != CONNECTOR_NO_OFFSET) {
        snprintf(expected, sizeof(expected), "%lld", (long long)from);
    }
    return err_set(err, ERR_FENCED, ERR_PROTOCOL,
                   "The position of sink %s, task %s, in table " POSTGRES_POSITION_TABLE
                   " is not %s any more: another process writes for it",
                   position->context->name, position->number, expected);
}
