#include "connectors/postgres/postgres_snapshot.h"

#include "base/clock.h"
#include "connectors/postgres/postgres_catalog.h"

#include <stdio.h>
#include <stdlib.h>

static struct slice cell(const PGresult *result, int row, int column)
{
    return slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

static uint32_t oid_cell(const PGresult *result, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(result, row, column), NULL, 10);
}

static int look_at(struct postgres_snapshot *snapshot, const char *name, struct err *err)
{
    PGresult *result = postgres_connection_query_params(
        snapshot->connection,
        "SELECT has_table_privilege(c.oid, 'SELECT'), current_user, c.oid, n.nspname, c.relname, c.relkind FROM "
        "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass",
        1, &name, "looking at a table", err);
    if (!result) {
        return -1;
    }
    int outcome = 0;
    if (PQntuples(result) != 1 || !strchr("rp", PQgetvalue(result, 0, 5)[0])) {
        outcome = err_set(err, ERR_FATAL, ERR_CONFIG, "%s is no table: only changes of tables can be read.", name);
    } else if (PQgetvalue(result, 0, 0)[0] != 't') {
        outcome = err_set(err, ERR_FATAL, ERR_AUTH, "The user may not read %s; run: GRANT SELECT ON %s TO \"%s\";",
                          name, name, PQgetvalue(result, 0, 1));
    } else {
        postgres_change_define(snapshot->changes, oid_cell(result, 0, 2), cell(result, 0, 3), cell(result, 0, 4), 'd')
            ->wanted = true;
    }
    PQclear(result);
    return outcome;
}

int postgres_snapshot_look(struct postgres_snapshot *snapshot, struct err *err)
{
    int outcome = 0;
    for (size_t i = 0; outcome == 0 && i < snapshot->tables->count; i++) {
        struct bytes name = {0};
        postgres_connection_quote_table(&name, snapshot->tables->items[i]);
        outcome = look_at(snapshot, bytes_text(&name), err);
        bytes_free(&name);
    }
    return outcome;
}

int postgres_snapshot_begin(struct postgres_snapshot *snapshot, const char *name, uint64_t lsn, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
                            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT ");
    postgres_connection_quote_text(&sql, slice_text(name));
    snapshot->origin.snapshot = true;
    snapshot->origin.lsn = lsn;
    snapshot->origin.time_ms = clock_wall_ms(&CLOCK_SYSTEM);
    int outcome = postgres_connection_run(snapshot->connection, bytes_text(&sql), "taking the snapshot", err);
    bytes_free(&sql);
    return outcome;
}

/* ---- one table ---- */

/* The columns as the stream will have them: without generated ones, keys as the replica identity says. */
#define COLUMNS_SQL                                                                                                    \
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, a.attname, a.atttypid, "                           \
    "coalesce(a.attnum = ANY (i.indkey), false), greatest(c.reltuples, 0)::int8 FROM pg_class c "                      \
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "        \
    "AND NOT a.attisdropped AND a.attgenerated = '' LEFT JOIN pg_index i ON i.indrelid = c.oid "                       \
    "AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END "                                \
    "WHERE c.oid = $1::regclass ORDER BY a.attnum"

static void define_table(struct postgres_snapshot *snapshot, const PGresult *result)
{
    snapshot->copied = postgres_change_define(snapshot->changes, oid_cell(result, 0, 0), cell(result, 0, 1),
                                              cell(result, 0, 2), PQgetvalue(result, 0, 4)[0]);
    for (int i = 0; i < PQntuples(result); i++) {
        postgres_change_add_column(snapshot->copied, cell(result, i, 5), oid_cell(result, i, 6),
                                   PQgetvalue(result, i, 7)[0] == 't');
    }
    snprintf(snapshot->phase, sizeof(snapshot->phase), "snapshot of %s", snapshot->copied->topic);
    snapshot->progress = (struct source_progress){snapshot->phase, 0, strtoll(PQgetvalue(result, 0, 8), NULL, 10)};
}

static void append_copy(struct bytes *sql, const struct postgres_table *table, bool partitioned)
{
    bytes_append_text(sql, "COPY (SELECT ");
    for (size_t i = 0; i < table->count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        postgres_connection_quote(sql, slice_text(table->columns[i].name));
    }
    bytes_append_text(sql, partitioned ? " FROM " : " FROM ONLY ");
    postgres_connection_quote(sql, slice_text(table->schema));
    bytes_append_byte(sql, '.');
    postgres_connection_quote(sql, slice_text(table->name));
    bytes_append_text(sql, ") TO STDOUT");
}

static int begin_copy(struct postgres_snapshot *snapshot, struct err *err)
{
    struct bytes name = {0}, sql = {0};
    postgres_connection_quote_table(&name, snapshot->tables->items[snapshot->table]);
    const char *text = bytes_text(&name);
    PGresult *result =
        postgres_connection_query_params(snapshot->connection, COLUMNS_SQL, 1, &text, "reading a table's columns", err);
    int outcome = -1;
    if (result && PQntuples(result) == 0) {
        err_set(err, ERR_FATAL, ERR_CONFIG, "The table %s has no columns to read.", text);
    } else if (result) {
        define_table(snapshot, result);
        append_copy(&sql, snapshot->copied, PQgetvalue(result, 0, 3)[0] == 'p');
        outcome = postgres_catalog_resolve(snapshot->connection, snapshot->copied, err) ||
                          postgres_connection_run(snapshot->connection, bytes_text(&sql), snapshot->phase, err)
                      ? -1
                      : 0;
    }
    PQclear(result);
    bytes_free(&name);
    bytes_free(&sql);
    return outcome;
}

static int end_copy(struct postgres_snapshot *snapshot, struct err *err)
{
    PGresult *result = PQgetResult(snapshot->connection);
    int outcome = PQresultStatus(result) == PGRES_COMMAND_OK
                      ? 0
                      : postgres_connection_fail(snapshot->connection, result, snapshot->phase, err);
    PQclear(result);
    PQclear(PQgetResult(snapshot->connection));
    snapshot->table++;
    snapshot->copied = NULL;
    return outcome;
}

static int end_snapshot(struct postgres_snapshot *snapshot, struct err *err)
{
    snapshot->progress = (struct source_progress){0};
    return postgres_connection_run(snapshot->connection, "COMMIT; SET statement_timeout = '30s'", "ending the snapshot",
                                   err);
}

static int copy_row(struct postgres_snapshot *snapshot, bool *waits, struct err *err)
{
    char *line = NULL;
    int size = PQgetCopyData(snapshot->connection, &line, 1);
    *waits = size == 0;
    if (size <= 0) {
        return size == 0 ? 0 : end_copy(snapshot, err);
    }
    snapshot->progress.done++;
    struct slice text = slice_of(line, (size_t)size - (line[size - 1] == '\n' ? 1 : 0));
    int outcome = postgres_change_add_copied(snapshot->changes, snapshot->copied, &snapshot->origin, text,
                                             &snapshot->row, &snapshot->decoded, err);
    PQfreemem(line);
    return outcome;
}

int postgres_snapshot_step(struct postgres_snapshot *snapshot, bool *waits, bool *done, struct err *err)
{
    *waits = *done = false;
    if (snapshot->copied) {
        return copy_row(snapshot, waits, err);
    }
    *done = snapshot->table == snapshot->tables->count;
    return *done ? end_snapshot(snapshot, err) : begin_copy(snapshot, err);
}

void postgres_snapshot_free(struct postgres_snapshot *snapshot)
{
    pgoutput_free(&snapshot->row);
    bytes_free(&snapshot->decoded);
}
