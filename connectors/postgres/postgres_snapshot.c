#include "connectors/postgres/postgres_snapshot.h"

#include "base/clock.h"
#include "base/json.h"
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

static int look_at(struct postgres_snapshot *snapshot, size_t place, const char *name, struct err *err)
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
        struct postgres_table *table = postgres_change_define(snapshot->changes, oid_cell(result, 0, 2),
                                                              cell(result, 0, 3), cell(result, 0, 4), 'd');
        table->wanted = true;
        table->place = place;
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
        outcome = look_at(snapshot, i, bytes_text(&name), err);
        bytes_free(&name);
    }
    return outcome;
}

/* Without sorts the rows come by the index, from the first one on and without room on the server's disk. */
static const char settings_sql[] = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SELECT "
                                   "set_config(name, 'off', false) FROM "
                                   "pg_settings WHERE name IN ('enable_sort', 'enable_incremental_sort')";

int postgres_snapshot_begin(struct postgres_snapshot *snapshot, const char *name, uint64_t lsn, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT ");
    postgres_connection_quote_text(&sql, slice_text(name));
    snapshot->origin.snapshot = true;
    snapshot->origin.lsn = lsn;
    snapshot->origin.time_ms = clock_wall_ms(&CLOCK_SYSTEM);
    int outcome = postgres_connection_run(snapshot->connection, settings_sql, "settings of the snapshot", err) ||
                          postgres_connection_run(snapshot->connection, bytes_text(&sql), "taking the snapshot", err)
                      ? -1
                      : 0;
    bytes_free(&sql);
    return outcome;
}

/* ---- one table ---- */

/* The columns as the stream will have them: without generated ones, keys as the replica identity says. */
#define COLUMNS_SQL                                                                                                    \
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, a.attname, a.atttypid, "                           \
    "coalesce(a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]), false), greatest(c.reltuples, 0)::int8 FROM "  \
    "pg_class c "                                                                                                      \
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
    snapshot->progress =
        (struct source_progress){snapshot->phase, snapshot->mark.rows, strtoll(PQgetvalue(result, 0, 8), NULL, 10)};
}

static void append_copy(struct bytes *sql, const struct postgres_snapshot *snapshot, bool partitioned)
{
    const struct postgres_table *table = snapshot->copied;
    bytes_append_text(sql, "COPY (SELECT ");
    for (size_t i = 0; i < table->count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        postgres_connection_quote(sql, slice_text(table->columns[i].name));
    }
    bytes_append_text(sql, partitioned ? " FROM " : " FROM ONLY ");
    postgres_connection_quote(sql, slice_text(table->schema));
    bytes_append_byte(sql, '.');
    postgres_connection_quote(sql, slice_text(table->name));
    postgres_key_append_order(&snapshot->key, bytes_slice(&snapshot->mark.key), sql);
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
    } else if (result && postgres_key_load(&snapshot->key, snapshot->connection, text, err) == 0) {
        define_table(snapshot, result);
        append_copy(&sql, snapshot, PQgetvalue(result, 0, 3)[0] == 'p');
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
    postgres_slot_free_mark(&snapshot->mark);
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
    snapshot->mark.rows++;
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

/* ---- going on ---- */

const struct postgres_slot_mark *postgres_snapshot_mark(struct postgres_snapshot *snapshot)
{
    struct postgres_slot_mark *mark = &snapshot->mark;
    bytes_clear(&mark->table);
    if (snapshot->table < snapshot->tables->count) {
        bytes_append_text(&mark->table, snapshot->tables->items[snapshot->table]);
    }
    if (snapshot->copied && snapshot->row.row.count > 0 && mark->rows > 0) {
        postgres_key_write(&snapshot->key, snapshot->copied, &snapshot->row.row, &mark->key);
    }
    return mark;
}

static int changed_tables(const struct postgres_snapshot *snapshot, const char *what, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_CONFIG,
                   "The snapshot was interrupted in the table %.*s, and since then %s: it can't go on. Reset the "
                   "source's position, and it begins with a new snapshot.",
                   (int)snapshot->mark.table.size, (const char *)snapshot->mark.table.data, what);
}

int postgres_snapshot_resume(struct postgres_snapshot *snapshot, struct err *err)
{
    const char *name = bytes_text(&snapshot->mark.table);
    for (snapshot->table = 0; snapshot->table < snapshot->tables->count; snapshot->table++) {
        if (strcmp(snapshot->tables->items[snapshot->table], name) == 0) {
            break;
        }
    }
    if (snapshot->table == snapshot->tables->count) {
        return changed_tables(snapshot, "it was taken out of `tables`", err);
    }
    if (snapshot->mark.key.size == 0) {
        snapshot->mark.rows = 0;
    }
    struct bytes quoted = {0};
    postgres_connection_quote_table(&quoted, name);
    int outcome = postgres_key_load(&snapshot->key, snapshot->connection, bytes_text(&quoted), err);
    bytes_free(&quoted);
    for (size_t i = 0; outcome == 0 && snapshot->mark.key.size > 0 && i < snapshot->key.names.count; i++) {
        struct slice value;
        if (!json_member(bytes_slice(&snapshot->mark.key), slice_text(snapshot->key.names.items[i]), &value)) {
            outcome = changed_tables(snapshot, "its key has other columns", err);
        }
    }
    return outcome == 0 && snapshot->mark.key.size > 0 && snapshot->key.names.count == 0
               ? changed_tables(snapshot, "it has lost its key", err)
               : outcome;
}

/* Whether a row of the table with the mark is up to it. */
static int covers(struct postgres_snapshot *snapshot, const struct postgres_table *table,
                  const struct pgoutput_row *row, bool *covered, struct err *err)
{
    struct bytes key = {0};
    int outcome = postgres_key_write(&snapshot->key, table, row, &key)
                      ? postgres_key_reached(&snapshot->key, snapshot->connection, bytes_slice(&key),
                                             bytes_slice(&snapshot->mark.key), covered, err)
                      : changed_tables(snapshot, "its key has other columns", err);
    bytes_free(&key);
    return outcome;
}

int postgres_snapshot_admit(struct postgres_snapshot *snapshot, const struct postgres_table *table,
                            const struct pgoutput *message, char *op, bool *admitted, struct err *err)
{
    *admitted = table->place < snapshot->table;
    if (table->place != snapshot->table || snapshot->mark.key.size == 0) {
        return 0;
    }
    bool moved = *op == 'u' && postgres_change_moves_key(table, message);
    bool before = true, after = true;
    if (((*op == 'd' || moved) && covers(snapshot, table, &message->old, &before, err)) ||
        ((*op == 'c' || *op == 'u') && covers(snapshot, table, &message->row, &after, err))) {
        return -1;
    }
    *admitted = moved ? before || after : before && after;
    if (moved && before != after) {
        *op = before ? 'd' : 'c';
    }
    return 0;
}

void postgres_snapshot_free(struct postgres_snapshot *snapshot)
{
    pgoutput_free(&snapshot->row);
    bytes_free(&snapshot->decoded);
    postgres_key_free(&snapshot->key);
    postgres_slot_free_mark(&snapshot->mark);
}
