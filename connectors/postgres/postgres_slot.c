#include "connectors/postgres/postgres_slot.h"

#include "base/json.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 250

/* ---- the position ---- */

static bool text_member(struct slice object, const char *name, char *text, size_t size)
{
    struct slice value;
    struct bytes decoded = {0};
    if (!json_member(object, slice_text(name), &value) || json_type(value) != JSON_STRING) {
        return false;
    }
    json_decode_string(value, &decoded);
    int length = snprintf(text, size, "%s", bytes_text(&decoded));
    bytes_free(&decoded);
    return (size_t)length < size;
}

static bool lsn_member(struct slice object, const char *name, uint64_t *lsn)
{
    char text[PGOUTPUT_LSN_SIZE];
    return text_member(object, name, text, sizeof(text)) && pgoutput_parse_lsn(slice_text(text), lsn);
}

static void read_mark(struct slice text, struct postgres_slot_mark *mark)
{
    struct slice value;
    double real;
    if (json_member(text, slice_text("table"), &value) && json_type(value) == JSON_STRING) {
        json_decode_string(value, &mark->table);
    }
    if (json_member(text, slice_text("key"), &value) && json_type(value) == JSON_OBJECT) {
        bytes_append_slice(&mark->key, json_trim(value));
    }
    if (json_member(text, slice_text("rows"), &value) && json_type(value) == JSON_NUMBER) {
        json_number(value, &mark->rows, &real);
    }
}

static bool read_position(struct slice text, struct postgres_slot_position *position)
{
    struct slice value;
    double real;
    char phase[16];
    if (!json_check(text, NULL) || json_type(text) != JSON_OBJECT || !lsn_member(text, "lsn", &position->lsn) ||
        !text_member(text, "snapshot", phase, sizeof(phase)) ||
        !text_member(text, "system", position->system, sizeof(position->system)) ||
        !json_member(text, slice_text("events"), &value) || json_type(value) != JSON_NUMBER ||
        !json_number(value, &position->events, &real) || position->events < 0) {
        return false;
    }
    if (json_member(text, slice_text("timeline"), &value) && json_type(value) == JSON_NUMBER) {
        json_number(value, &position->timeline, &real);
    }
    position->running = strcmp(phase, "running") == 0;
    position->second = json_member(text, slice_text("slot"), &value) && slice_equal(json_trim(value), slice_text("2"));
    return position->events == 0 || lsn_member(text, "commit", &position->commit);
}

int postgres_slot_read_position(struct slice text, struct postgres_slot_position *position,
                                struct postgres_slot_mark *mark, struct err *err)
{
    *position = (struct postgres_slot_position){0};
    postgres_slot_free_mark(mark);
    if (read_position(text, position)) {
        read_mark(text, mark);
        return 0;
    }
    return err_set(err, ERR_FATAL, ERR_CORRUPT,
                   "The stored position of the PostgreSQL source can't be read: %.*s; reset it, and the source begins "
                   "with a new snapshot.",
                   (int)(text.size < 200 ? text.size : 200), (const char *)text.data);
}

void postgres_slot_free_mark(struct postgres_slot_mark *mark)
{
    bytes_free(&mark->table);
    bytes_free(&mark->key);
    mark->rows = 0;
}

static void write_mark(struct json_writer *writer, const struct postgres_slot_mark *mark)
{
    json_name(writer, slice_text("table"));
    json_string(writer, bytes_slice(&mark->table));
    json_name(writer, slice_text("rows"));
    json_integer(writer, mark->rows);
    if (mark->key.size > 0) {
        json_name(writer, slice_text("key"));
        json_raw(writer, bytes_slice(&mark->key));
    }
}

void postgres_slot_write_position(const struct postgres_slot_position *position, const struct postgres_slot_mark *mark,
                                  struct bytes *out)
{
    char lsn[PGOUTPUT_LSN_SIZE], commit[PGOUTPUT_LSN_SIZE];
    pgoutput_format_lsn(position->lsn, lsn);
    pgoutput_format_lsn(position->commit, commit);
    struct json_writer writer = json_writer(out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("lsn"));
    json_text(&writer, lsn);
    json_name(&writer, slice_text("events"));
    json_integer(&writer, position->events);
    if (position->events > 0) {
        json_name(&writer, slice_text("commit"));
        json_text(&writer, commit);
    }
    json_name(&writer, slice_text("snapshot"));
    json_text(&writer, position->running ? "running" : "done");
    if (position->running && mark->table.size > 0) {
        write_mark(&writer, mark);
    }
    json_name(&writer, slice_text("slot"));
    json_integer(&writer, position->second ? 2 : 1);
    json_name(&writer, slice_text("system"));
    json_text(&writer, position->system);
    json_name(&writer, slice_text("timeline"));
    json_integer(&writer, position->timeline);
    json_end_object(&writer);
}

/* ---- the slot ---- */

int postgres_slot_look(PGconn *control, const char *slot, struct postgres_slot_state *state, struct err *err)
{
    PGresult *result = postgres_connection_query_params(
        control,
        "SELECT confirmed_flush_lsn, coalesce(wal_status, '') = 'lost', plugin = 'pgoutput' AND database = "
        "current_database() FROM pg_replication_slots WHERE slot_name = $1",
        1, &slot, "looking for the replication slot", err);
    if (!result) {
        return -1;
    }
    *state = (struct postgres_slot_state){.exists = PQntuples(result) > 0};
    int outcome = 0;
    if (state->exists) {
        pgoutput_parse_lsn(slice_text(PQgetvalue(result, 0, 0)), &state->confirmed);
        state->lost = PQgetvalue(result, 0, 1)[0] == 't';
        if (PQgetvalue(result, 0, 2)[0] != 't') {
            outcome =
                err_set(err, ERR_FATAL, ERR_CONFIG,
                        "The replication slot %s belongs to another database or program; name another `slot`.", slot);
        }
    }
    PQclear(result);
    return outcome;
}

int postgres_slot_drop(PGconn *control, const char *slot, struct err *err)
{
    PGresult *result = postgres_connection_query_params(
        control,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND plugin = "
        "'pgoutput' AND database = current_database()",
        1, &slot, "removing the replication slot of an unfinished snapshot", err);
    PQclear(result);
    return result ? 0 : -1;
}

/* A slot waits for every transaction that is open, which may be long. */
static PGresult *wait_for_result(const struct connector_context *context, PGconn *connection, struct err *err)
{
    while (PQconsumeInput(connection) && PQisBusy(connection)) {
        struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
        poll(&wait, 1, WAIT_MS);
        if (connector_stopping(context)) {
            err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Creating the replication slot was given up: the task is closed");
            return NULL;
        }
    }
    PGresult *result = PQgetResult(connection);
    if (!result || PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        postgres_connection_fail(connection, result, "creating the replication slot", err);
        PQclear(result);
        return NULL;
    }
    PQclear(PQgetResult(connection));
    return result;
}

int postgres_slot_create(const struct connector_context *context, PGconn *stream, const char *slot, uint64_t *lsn,
                         char *snapshot, size_t size, struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "CREATE_REPLICATION_SLOT ");
    postgres_connection_quote(&sql, slice_text(slot));
    bytes_append_text(&sql, " LOGICAL pgoutput EXPORT_SNAPSHOT");
    int sent = PQsendQuery(stream, bytes_text(&sql));
    bytes_free(&sql);
    PGresult *result = sent ? wait_for_result(context, stream, err) : NULL;
    if (!sent) {
        postgres_connection_fail(stream, NULL, "creating the replication slot", err);
    }
    if (!result) {
        return -1;
    }
    bool good = pgoutput_parse_lsn(slice_text(PQgetvalue(result, 0, 1)), lsn);
    snprintf(snapshot, size, "%s", PQgetvalue(result, 0, 2));
    PQclear(result);
    return good ? 0 : err_set(err, ERR_FATAL, ERR_PROTOCOL, "PostgreSQL gave the slot %s no position.", slot);
}

int postgres_slot_identify(PGconn *stream, struct postgres_slot_position *position, struct err *err)
{
    PGresult *result = postgres_connection_query(stream, "IDENTIFY_SYSTEM", "identifying the server", err);
    if (!result) {
        return -1;
    }
    char system[POSTGRES_SLOT_SYSTEM_SIZE];
    bool known = PQntuples(result) > 0;
    snprintf(system, sizeof(system), "%s", known ? PQgetvalue(result, 0, 0) : "");
    int64_t timeline = known ? strtoll(PQgetvalue(result, 0, 1), NULL, 10) : 0;
    PQclear(result);
    if (position->system[0] != '\0' && strcmp(position->system, system) != 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The stored position is of the PostgreSQL system %s, and the url leads to %s: changes would be "
                       "lost or doubled. Name the right server, or reset the source's position for a new snapshot.",
                       position->system, system);
    }
    if (position->timeline != 0 && position->timeline != timeline) {
        return err_set(
            err, ERR_FATAL, ERR_CONFIG,
            "The stored position is of the server's timeline %lld, and the server is on timeline %lld now: a "
            "standby was promoted or a backup restored, and changes may be missing. Reset the source's "
            "position for a new snapshot; if nothing was lost, set the position's timeline to %lld.",
            (long long)position->timeline, (long long)timeline, (long long)timeline);
    }
    memcpy(position->system, system, sizeof(system));
    position->timeline = timeline;
    return 0;
}

int postgres_slot_check(const char *slot, const struct postgres_slot_state *state,
                        const struct postgres_slot_position *position, uint64_t end, struct err *err)
{
    char stored[PGOUTPUT_LSN_SIZE], confirmed[PGOUTPUT_LSN_SIZE], last[PGOUTPUT_LSN_SIZE];
    pgoutput_format_lsn(position->lsn, stored);
    pgoutput_format_lsn(state->confirmed, confirmed);
    pgoutput_format_lsn(end, last);
    if (!state->exists || state->lost) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The replication slot %s %s: the changes after %s are gone. Reset the source's position, and it "
                       "begins with a new snapshot.",
                       slot, state->exists ? "is invalid (max_slot_wal_keep_size)" : "does not exist any more", stored);
    }
    if (state->confirmed > position->lsn) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The replication slot %s was moved to %s by somebody else, and the stored position is %s: the "
                       "changes between them are gone. Reset the source's position, and it begins with a new snapshot.",
                       slot, confirmed, stored);
    }
    if (end < position->lsn) {
        return err_set(
            err, ERR_FATAL, ERR_CONFIG,
            "The server's log ends at %s, before the stored position %s: the server was set back to an older "
            "state. Reset the source's position, and it begins with a new snapshot.",
            last, stored);
    }
    return 0;
}

/* ---- the publication ---- */

static void list_tables(struct bytes *out, const struct option_list *tables, bool literals)
{
    for (size_t i = 0; i < tables->count; i++) {
        struct bytes name = {0};
        postgres_connection_quote_table(&name, tables->items[i]);
        bytes_append_text(out, i > 0 ? ", " : "");
        if (literals) {
            postgres_connection_quote_text(out, bytes_slice(&name));
            bytes_append_text(out, "::regclass");
        } else {
            bytes_append_slice(out, bytes_slice(&name));
        }
        bytes_free(&name);
    }
}

static int create_publication(PGconn *control, const char *publication, const struct option_list *tables,
                              struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, "CREATE PUBLICATION ");
    postgres_connection_quote(&sql, slice_text(publication));
    bytes_append_text(&sql, " FOR TABLE ");
    list_tables(&sql, tables, false);
    if (PQserverVersion(control) >= 130000) {
        bytes_append_text(&sql, " WITH (publish_via_partition_root = true)");
    }
    int result = postgres_connection_run(control, bytes_text(&sql), "creating the publication", err);
    bytes_free(&sql);
    return result;
}

/* Whether it is there; the tables that it lacks; those without a replica identity. With commas between. */
#define TABLES_SQL                                                                                                     \
    "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1), string_agg(c.oid::regclass::text, ', ') FILTER "   \
    "(WHERE NOT EXISTS (SELECT FROM pg_publication_tables p WHERE p.pubname = $1 AND p.schemaname = n.nspname AND "    \
    "p.tablename = c.relname)), string_agg(c.oid::regclass::text, ', ') FILTER (WHERE c.relreplident = 'n' OR "        \
    "c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)) "       \
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY (ARRAY["

static PGresult *look_at_tables(PGconn *control, const char *publication, const struct option_list *tables,
                                struct err *err)
{
    struct bytes sql = {0};
    bytes_append_text(&sql, TABLES_SQL);
    list_tables(&sql, tables, true);
    bytes_append_text(&sql, "]::oid[])");
    PGresult *result = postgres_connection_query_params(control, bytes_text(&sql), 1, &publication,
                                                        "looking for the publication", err);
    bytes_free(&sql);
    return result;
}

int postgres_slot_publish(PGconn *control, const char *publication, const struct option_list *tables, struct err *err)
{
    PGresult *result = look_at_tables(control, publication, tables, err);
    if (!result) {
        return -1;
    }
    int outcome = 0;
    bool exists = PQgetvalue(result, 0, 0)[0] == 't';
    if (exists && !PQgetisnull(result, 0, 1)) {
        outcome = err_set(err, ERR_FATAL, ERR_CONFIG,
                          "The publication %s lacks tables of the source; run: ALTER PUBLICATION \"%s\" ADD TABLE %s; "
                          "(rows that are in them already are not read then).",
                          publication, publication, PQgetvalue(result, 0, 1));
    } else if (!exists && !PQgetisnull(result, 0, 2)) {
        outcome =
            err_set(err, ERR_FATAL, ERR_CONFIG,
                    "No primary key and no other replica identity: %s. Published so, UPDATE and DELETE on it would "
                    "fail: add a primary key, or run ALTER TABLE .. REPLICA IDENTITY FULL; or, when rows are only "
                    "inserted, create the publication \"%s\" yourself.",
                    PQgetvalue(result, 0, 2), publication);
    } else if (!exists) {
        outcome = create_publication(control, publication, tables, err);
    }
    PQclear(result);
    return outcome;
}
