#include "connectors/postgres/postgres_source.h"

#include "base/clock.h"
#include "base/memory.h"
#include "connectors/postgres/postgres_slot.h"

#include <ctype.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_SIZE 64           /* of a slot, with its end */
#define STATUS_MS 10000        /* the server is told at least so often that this side lives */
#define IDLE_POSITION_MS 10000 /* without changes the position follows the log so often, so that it can be removed */

enum phase { PHASE_SNAPSHOT, PHASE_COPYING, PHASE_START, PHASE_STREAM };

struct connector_task {
    const struct connector_context *context;
    const struct postgres_source_options *options;
    char slot[NAME_SIZE], publication[NAME_SIZE];
    PGconn *stream;  /* replication commands, then the stream */
    PGconn *control; /* the catalog, the snapshot */
    enum phase phase;
    size_t table; /* of the options, being copied */
    struct postgres_table *copied;
    int64_t rows, rows_total;
    char phase_text[160];
    struct postgres_slot_position position; /* behind what was handed out */
    struct postgres_slot_position resume;   /* what to skip after opening */
    bool in_transaction;
    int64_t skip; /* events of this transaction that were handed out before */
    struct postgres_origin origin;
    uint64_t acknowledged;
    uint64_t seen;   /* the server's log up to there has been looked through */
    uint64_t target; /* the log's end at opening */
    int64_t status_ms, position_ms;
    uint64_t position_lsn; /* handed out last */
    struct pgoutput message;
    struct postgres_changes changes;
    struct bytes decoded, position_text;
};

static int64_t monotonic_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

/* ---- opening ---- */

/* Slots have names of small letters, digits and underscores. */
static int name_slot(struct connector_task *task, struct err *err)
{
    char name[NAME_SIZE];
    const struct connector_context *context = task->context;
    int length = task->options->slot ? snprintf(name, sizeof(name), "%s", task->options->slot)
                                     : snprintf(name, sizeof(name), "tidemill_%s_%s", context->app, context->name);
    if (length >= NAME_SIZE) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The replication slot's name would have %d characters, and PostgreSQL allows 63; set `slot`.",
                       length);
    }
    if (!task->options->slot) {
        for (char *at = name; *at; at++) {
            *at = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '_';
        }
    }
    memcpy(task->slot, name, sizeof(name));
    snprintf(task->publication, sizeof(task->publication), "%s",
             task->options->publication ? task->options->publication : name);
    return 0;
}

static int read_server(struct connector_task *task, struct err *err)
{
    PGresult *result = postgres_connection_query(
        task->control, "SELECT current_setting('wal_level'), pg_current_wal_flush_lsn()", "looking at the server", err);
    if (!result) {
        return -1;
    }
    bool logical = strcmp(PQgetvalue(result, 0, 0), "logical") == 0;
    pgoutput_parse_lsn(slice_text(PQgetvalue(result, 0, 1)), &task->target);
    PQclear(result);
    return logical ? 0
                   : err_set(err, ERR_FATAL, ERR_CONFIG,
                             "The server's wal_level does not allow change data capture; run: ALTER SYSTEM SET "
                             "wal_level = 'logical'; and restart PostgreSQL.");
}

static int begin_snapshot(struct connector_task *task, const char *snapshot, struct err *err)
{
    char sql[256];
    snprintf(
        sql, sizeof(sql),
        "SET statement_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '%s'",
        snapshot);
    task->origin.snapshot = true;
    task->origin.lsn = task->position.lsn;
    task->origin.time_ms = clock_wall_ms(&CLOCK_SYSTEM);
    return postgres_connection_run(task->control, sql, "taking the snapshot", err);
}

/* From the very beginning; a slot that is there is one of a snapshot that did not end. */
static int open_new(struct connector_task *task, const struct postgres_slot_state *state, struct err *err)
{
    char snapshot[128];
    bool never = task->options->snapshot == POSTGRES_SNAPSHOT_NEVER;
    if (never && state->exists) {
        task->position.lsn = state->confirmed;
        return 0;
    }
    if ((state->exists && postgres_slot_drop(task->control, task->slot, err)) ||
        postgres_slot_create(task->context, task->stream, task->slot, &task->position.lsn, snapshot, sizeof(snapshot),
                             err)) {
        return -1;
    }
    task->position.running = !never;
    task->phase = never ? PHASE_START : PHASE_SNAPSHOT;
    return never ? 0 : begin_snapshot(task, snapshot, err);
}

static int connect_both(struct connector_task *task, struct err *err)
{
    task->stream = postgres_connection_open(task->context, task->options->url, true, err);
    task->control = task->stream ? postgres_connection_open(task->context, task->options->url, false, err) : NULL;
    if (!task->control) {
        return -1;
    }
    const char *settings = "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET IntervalStyle = 'postgres'";
    task->origin.database = PQdb(task->control);
    return postgres_connection_run(task->stream, settings, "settings of the connection", err) ||
                   postgres_connection_run(task->control, settings, "settings of the connection", err)
               ? -1
               : 0;
}

static int open_task(struct connector_task *task, struct slice position, struct err *err)
{
    struct postgres_slot_state state;
    bool known = !slice_is_null(position);
    if ((known && postgres_slot_read_position(position, &task->position, err)) || connect_both(task, err) ||
        read_server(task, err) || postgres_slot_identify(task->stream, &task->position, err) ||
        postgres_slot_publish(task->control, task->publication, &task->options->tables, err) ||
        postgres_slot_look(task->control, task->slot, &state, err)) {
        return -1;
    }
    task->phase = PHASE_START;
    if (known && !task->position.running) {
        return postgres_slot_check(task->slot, &state, &task->position, err);
    }
    return open_new(task, &state, err);
}

static void close_source(struct connector_task *task)
{
    PQfinish(task->stream);
    PQfinish(task->control);
    pgoutput_free(&task->message);
    postgres_change_free(&task->changes);
    bytes_free(&task->decoded);
    bytes_free(&task->position_text);
    free(task);
}

static int open_source(const struct connector_context *context, struct slice position, struct connector_task **opened,
                       struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    task->context = context;
    task->options = context->options;
    task->changes.tombstones = task->options->tombstones;
    if (name_slot(task, err) || open_task(task, position, err)) {
        close_source(task);
        return -1;
    }
    task->acknowledged = task->seen = task->position.lsn;
    task->resume = task->position;
    *opened = task;
    return 0;
}

/* ---- the snapshot ---- */

/* The columns as the stream will have them: without generated ones, keys as the replica identity says. */
#define COLUMNS_SQL                                                                                                    \
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, a.attname, a.atttypid, "                           \
    "coalesce(a.attnum = ANY (i.indkey), false), greatest(c.reltuples, 0)::int8 FROM pg_class c "                      \
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "        \
    "AND NOT a.attisdropped AND a.attgenerated = '' LEFT JOIN pg_index i ON i.indrelid = c.oid "                       \
    "AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END "                                \
    "WHERE c.oid = $1::regclass ORDER BY a.attnum"

static struct slice cell(const PGresult *result, int row, int column)
{
    return slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

static void start_copy_sql(struct connector_task *task, const PGresult *result, struct bytes *sql)
{
    uint32_t oid = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
    bool partitioned = PQgetvalue(result, 0, 3)[0] == 'p';
    task->copied = postgres_change_define(&task->changes, oid, cell(result, 0, 1), cell(result, 0, 2),
                                          PQgetvalue(result, 0, 4)[0]);
    task->rows = 0;
    task->rows_total = strtoll(PQgetvalue(result, 0, 8), NULL, 10);
    bytes_append_text(sql, "COPY (SELECT ");
    for (int i = 0; i < PQntuples(result); i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        postgres_connection_quote(sql, cell(result, i, 5));
        postgres_change_add_column(task->copied, cell(result, i, 5),
                                   (uint32_t)strtoul(PQgetvalue(result, i, 6), NULL, 10),
                                   PQgetvalue(result, i, 7)[0] == 't');
    }
    bytes_append_text(sql, partitioned ? " FROM " : " FROM ONLY ");
    postgres_connection_quote(sql, cell(result, 0, 1));
    bytes_append_byte(sql, '.');
    postgres_connection_quote(sql, cell(result, 0, 2));
    bytes_append_text(sql, ") TO STDOUT");
}

static int begin_copy(struct connector_task *task, struct err *err)
{
    struct bytes name = {0}, sql = {0};
    postgres_connection_quote_table(&name, task->options->tables.items[task->table]);
    const char *text = bytes_text(&name);
    PGresult *result =
        postgres_connection_query_params(task->control, COLUMNS_SQL, 1, &text, "reading a table's columns", err);
    int outcome = -1;
    if (result && PQntuples(result) == 0) {
        err_set(err, ERR_FATAL, ERR_CONFIG, "The table %s has no columns to read.", text);
    } else if (result) {
        start_copy_sql(task, result, &sql);
        snprintf(task->phase_text, sizeof(task->phase_text), "snapshot of %s", task->copied->topic);
        outcome = postgres_connection_run(task->control, bytes_text(&sql), task->phase_text, err);
        task->phase = PHASE_COPYING;
    }
    PQclear(result);
    bytes_free(&name);
    bytes_free(&sql);
    return outcome;
}

static int end_copy(struct connector_task *task, struct err *err)
{
    PGresult *result = PQgetResult(task->control);
    int outcome = PQresultStatus(result) == PGRES_COMMAND_OK
                      ? 0
                      : postgres_connection_fail(task->control, result, task->phase_text, err);
    PQclear(result);
    PQclear(PQgetResult(task->control));
    task->table++;
    task->phase = PHASE_SNAPSHOT;
    return outcome;
}

static int end_snapshot(struct connector_task *task, struct err *err)
{
    task->phase = PHASE_START;
    task->position.running = false;
    task->origin.snapshot = false;
    return postgres_connection_run(task->control, "COMMIT; SET statement_timeout = '30s'", "ending the snapshot", err);
}

static bool batch_full(const struct connector_task *task)
{
    return task->changes.piece_count >= SOURCE_BATCH_RECORDS || task->changes.text.size >= SOURCE_BATCH_BYTES;
}

static int wait_for_input(PGconn *connection, int64_t timeout_ms, const char *what, struct err *err)
{
    struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
    poll(&wait, 1, (int)(timeout_ms < 250 ? timeout_ms : 250));
    return PQconsumeInput(connection) ? 0 : postgres_connection_fail(connection, NULL, what, err);
}

/* One row of the snapshot, or the next table; *waits: nothing has come yet. */
static int snapshot_step(struct connector_task *task, bool *waits, struct err *err)
{
    if (task->phase == PHASE_SNAPSHOT) {
        return task->table < task->options->tables.count ? begin_copy(task, err) : end_snapshot(task, err);
    }
    char *line = NULL;
    int size = PQgetCopyData(task->control, &line, 1);
    if (size < 0) {
        return end_copy(task, err);
    }
    *waits = size == 0;
    if (size == 0) {
        return 0;
    }
    task->rows++;
    int outcome = postgres_change_add_copied(&task->changes, task->copied, &task->origin,
                                             slice_of(line, (size_t)size - (line[size - 1] == '\n' ? 1 : 0)),
                                             &task->message, &task->decoded, err);
    PQfreemem(line);
    return outcome;
}

/* ---- the stream ---- */

static int start_stream(struct connector_task *task, struct err *err)
{
    struct bytes sql = {0}, name = {0};
    char lsn[PGOUTPUT_LSN_SIZE];
    pgoutput_format_lsn(task->position.lsn, lsn);
    postgres_connection_quote(&name, slice_text(task->publication));
    bytes_append_text(&sql, "START_REPLICATION SLOT ");
    postgres_connection_quote(&sql, slice_text(task->slot));
    bytes_append_format(&sql, " LOGICAL %s (proto_version '1', publication_names ", lsn);
    postgres_connection_quote_text(&sql, bytes_slice(&name));
    bytes_append_text(&sql, ")");
    PGresult *result = postgres_connection_query(task->stream, bytes_text(&sql), "starting the stream", err);
    PQclear(result);
    bytes_free(&sql);
    bytes_free(&name);
    task->phase = PHASE_STREAM;
    task->status_ms = task->position_ms = monotonic_ms();
    return result ? 0 : -1;
}

static int send_status(struct connector_task *task, struct err *err)
{
    struct bytes reply = {0};
    pgoutput_reply(&reply, task->acknowledged, task->acknowledged, clock_wall_ms(&CLOCK_SYSTEM));
    int sent =
        PQputCopyData(task->stream, (const char *)reply.data, (int)reply.size) == 1 && PQflush(task->stream) >= 0;
    bytes_free(&reply);
    task->status_ms = monotonic_ms();
    return sent ? 0 : postgres_connection_fail(task->stream, NULL, "confirming a position", err);
}

/* With the whole row as its identity a table marks every column: the catalog knows the primary key. */
static int find_key(struct connector_task *task, struct postgres_table *table, struct err *err)
{
    char oid[16];
    const char *value = oid;
    snprintf(oid, sizeof(oid), "%u", table->oid);
    PGresult *result = postgres_connection_query_params(
        task->control,
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) "
        "WHERE i.indisprimary AND i.indrelid = $1::oid",
        1, &value, "reading a primary key", err);
    for (size_t i = 0; result && i < table->count; i++) {
        table->columns[i].key = false;
        for (int row = 0; row < PQntuples(result); row++) {
            table->columns[i].key |= strcmp(PQgetvalue(result, row, 0), table->columns[i].name) == 0;
        }
    }
    PQclear(result);
    return result ? 0 : -1;
}

static int on_relation(struct connector_task *task, struct err *err)
{
    const struct pgoutput *message = &task->message;
    struct postgres_table *table =
        postgres_change_define(&task->changes, message->relation, message->space, message->name, message->identity);
    for (size_t i = 0; i < message->column_count; i++) {
        const struct pgoutput_column *column = &message->columns[i];
        postgres_change_add_column(table, column->name, column->type, column->key);
    }
    return message->identity == 'f' ? find_key(task, table, err) : 0;
}

/* What an update did not touch stands in the old row when that is sent whole. */
static void fill_unchanged(struct pgoutput *message)
{
    for (size_t i = 0; message->old_kind == PGOUTPUT_OLD_ROW && i < message->row.count && i < message->old.count; i++) {
        if (message->row.values[i].kind == PGOUTPUT_UNCHANGED) {
            message->row.values[i] = message->old.values[i];
        }
    }
}

static int add_change(struct connector_task *task, uint32_t relation, char op, struct err *err)
{
    const struct postgres_table *table = postgres_change_table(&task->changes, relation);
    if (!table) {
        return err_set(err, ERR_FATAL, ERR_PROTOCOL, "PostgreSQL sent a change of an unknown table, number %u.",
                       relation);
    }
    if (op == 'u') {
        fill_unchanged(&task->message);
    }
    return postgres_change_add(&task->changes, table, op, &task->origin, &task->message, err);
}

/* Counts an event of the transaction; those that were handed out before are passed over. */
static int on_change(struct connector_task *task, char op, struct err *err)
{
    if (task->skip > 0) {
        task->skip--;
        return 0;
    }
    task->position.events++;
    if (op != 't') {
        return add_change(task, task->message.relation, op, err);
    }
    int outcome = 0;
    for (size_t i = 0; outcome == 0 && i < task->message.relation_count; i++) {
        outcome = add_change(task, task->message.relations[i], op, err);
    }
    return outcome;
}

static void on_begin(struct connector_task *task)
{
    const struct pgoutput *message = &task->message;
    bool again = task->resume.events > 0 && task->resume.commit == message->lsn;
    task->in_transaction = true;
    task->skip = again ? task->resume.events : 0;
    task->position.events = task->skip;
    task->position.commit = message->lsn;
    task->origin.xid = message->xid;
    task->origin.time_ms = message->time_ms;
    task->resume.events = 0;
}

static int on_message(struct connector_task *task, struct err *err)
{
    switch (task->message.kind) {
    case PGOUTPUT_BEGIN:
        on_begin(task);
        return 0;
    case PGOUTPUT_COMMIT:
        task->in_transaction = false;
        task->position.lsn = task->seen = task->message.end;
        task->position.events = 0;
        return 0;
    case PGOUTPUT_RELATION:
        return on_relation(task, err);
    case PGOUTPUT_INSERT:
        return on_change(task, 'c', err);
    case PGOUTPUT_UPDATE:
        return on_change(task, 'u', err);
    case PGOUTPUT_DELETE:
        return on_change(task, 'd', err);
    case PGOUTPUT_TRUNCATE:
        return on_change(task, 't', err);
    case PGOUTPUT_MESSAGE:
    case PGOUTPUT_ORIGIN:
    case PGOUTPUT_TYPE:
        break;
    }
    return 0;
}

/* Between transactions everything up to there has been sent; inside one it says nothing. */
static int on_keepalive(struct connector_task *task, const struct pgoutput_frame *frame, struct err *err)
{
    if (!task->in_transaction && frame->end > task->seen) {
        task->seen = frame->end;
        if (task->resume.events == 0) {
            task->position.lsn = frame->end;
        }
    }
    return frame->reply ? send_status(task, err) : 0;
}

static int on_frame(struct connector_task *task, struct slice bytes, struct err *err)
{
    struct pgoutput_frame frame;
    if (pgoutput_frame(bytes, &frame, err)) {
        return -1;
    }
    if (frame.kind == PGOUTPUT_KEEPALIVE) {
        return on_keepalive(task, &frame, err);
    }
    task->origin.lsn = frame.start;
    return pgoutput_decode(&task->message, frame.message, err) ? -1 : on_message(task, err);
}

static int stream_ended(struct connector_task *task, struct err *err)
{
    PGresult *result = PQgetResult(task->stream);
    postgres_connection_fail(task->stream, result && PQresultStatus(result) == PGRES_FATAL_ERROR ? result : NULL,
                             "reading the stream", err);
    PQclear(result);
    return -1;
}

static int stream_step(struct connector_task *task, bool *waits, struct err *err)
{
    char *data = NULL;
    if (monotonic_ms() - task->status_ms >= STATUS_MS && send_status(task, err)) {
        return -1;
    }
    int size = PQgetCopyData(task->stream, &data, 1);
    if (size < 0) {
        return stream_ended(task, err);
    }
    *waits = size == 0;
    int outcome = size > 0 ? on_frame(task, slice_of(data, (size_t)size), err) : 0;
    PQfreemem(data);
    return outcome;
}

/* ---- the calls ---- */

static int step(struct connector_task *task, bool *waits, struct err *err)
{
    if (task->phase == PHASE_START) {
        return start_stream(task, err);
    }
    return task->phase == PHASE_STREAM ? stream_step(task, waits, err) : snapshot_step(task, waits, err);
}

static void hand_out(struct connector_task *task, struct source_batch *batch)
{
    bool snapshot = task->phase == PHASE_SNAPSHOT || task->phase == PHASE_COPYING;
    int64_t now = monotonic_ms();
    batch->records = postgres_change_list(&task->changes);
    batch->count = task->changes.piece_count;
    if (batch->count > 0 || task->position_lsn == 0 ||
        (task->position.lsn > task->position_lsn && now - task->position_ms >= IDLE_POSITION_MS)) {
        bytes_clear(&task->position_text);
        /* Until its transaction comes, what is to be skipped stays part of the position. */
        postgres_slot_write_position(task->resume.events > 0 ? &task->resume : &task->position, &task->position_text);
        batch->position = bytes_slice(&task->position_text);
        task->position_lsn = task->position.lsn;
        task->position_ms = now;
    }
    batch->at_end = task->phase == PHASE_STREAM && !task->in_transaction && task->seen >= task->target;
    batch->progress = (struct source_progress){snapshot ? task->phase_text : NULL, task->rows, task->rows_total};
}

static int poll_source(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    int64_t end = monotonic_ms() + timeout_ms;
    postgres_change_clear(&task->changes);
    while (!batch_full(task)) {
        bool waits = false;
        enum phase phase = task->phase;
        if (step(task, &waits, err)) {
            return -1;
        }
        int64_t left = end - monotonic_ms();
        bool ended = phase == PHASE_SNAPSHOT && task->phase == PHASE_START; /* its position goes out at once */
        if (ended) {
            task->position_lsn = 0;
        }
        if (ended || (waits && (task->changes.piece_count > 0 || left <= 0))) {
            break;
        }
        if (left <= 0 || (waits && connector_stopping(task->context))) {
            break;
        }
        PGconn *connection = task->phase == PHASE_STREAM ? task->stream : task->control;
        if (waits && wait_for_input(connection, left, "reading", err)) {
            return -1;
        }
    }
    hand_out(task, batch);
    return 0;
}

static int acknowledge(struct connector_task *task, struct slice position, struct err *err)
{
    struct postgres_slot_position committed;
    if (postgres_slot_read_position(position, &committed, err)) {
        return -1;
    }
    if (committed.lsn > task->acknowledged) {
        task->acknowledged = committed.lsn;
    }
    return task->phase == PHASE_STREAM ? send_status(task, err) : 0;
}

static int validate(const void *given, struct err *err)
{
    const struct postgres_source_options *options = given;
    if (options->tables.count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "A PostgreSQL source needs `tables`, a list such as { \"public.orders\" }.");
    }
    return postgres_connection_check_url(options->url, err);
}

/* ---- what is missing ---- */

/* Rows of finding (as enum connector_finding), sentence, statement or null. */
#define CHECK_SERVER_SQL                                                                                               \
    "SELECT CASE current_setting('wal_level') WHEN 'logical' THEN 0 ELSE 2 END, "                                      \
    "'wal_level is ' || current_setting('wal_level') || '; it must be logical.', "                                     \
    "CASE current_setting('wal_level') WHEN 'logical' THEN NULL ELSE "                                                 \
    "'ALTER SYSTEM SET wal_level = ''logical''; -- and restart the server' END "                                       \
    "UNION ALL SELECT CASE WHEN rolreplication OR rolsuper THEN 0 ELSE 2 END, "                                        \
    "format('The user %s %s open a replication stream.', rolname, "                                                    \
    "CASE WHEN rolreplication OR rolsuper THEN 'may' ELSE 'may not' END), "                                            \
    "CASE WHEN rolreplication OR rolsuper THEN NULL ELSE format('ALTER ROLE %I REPLICATION;', rolname) END "           \
    "FROM pg_roles WHERE rolname = current_user UNION ALL SELECT 1, 'max_slot_wal_keep_size is unlimited: while the '" \
    " || 'source is stopped, the server keeps its log until the disk is full.', "                                      \
    "'ALTER SYSTEM SET max_slot_wal_keep_size = ''50GB''; SELECT pg_reload_conf();' "                                  \
    "FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting = '-1'"
#define CHECK_TABLE_SQL                                                                                                \
    "SELECT CASE WHEN c.oid IS NULL OR NOT has_table_privilege(c.oid, 'SELECT') OR NOT identified THEN 2 ELSE 0 END, " \
    "t.name || CASE WHEN c.oid IS NULL THEN ' does not exist.' WHEN NOT has_table_privilege(c.oid, 'SELECT') "         \
    "THEN ' can''t be read.' WHEN NOT identified THEN ' has no primary key: once it is published, UPDATE and '"        \
    " || 'DELETE on it fail.' ELSE ' can be read and has a replica identity.' END, "                                   \
    "CASE WHEN c.oid IS NULL THEN NULL WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN "                            \
    "format('GRANT SELECT ON %s TO %I;', t.name, current_user) WHEN NOT identified THEN "                              \
    "format('ALTER TABLE %s REPLICA IDENTITY FULL;', t.name) END FROM (SELECT $1::text AS name) t "                    \
    "LEFT JOIN pg_class c ON c.oid = to_regclass(t.name) LEFT JOIN LATERAL (SELECT c.relreplident IN ('f', 'i') OR "   \
    "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS identified) k ON true"

static int say_findings(PGconn *control, const struct connector_check *check, const char *query, const char *table,
                        struct err *err)
{
    PGresult *result = postgres_connection_query_params(control, query, table ? 1 : 0, &table, "checking", err);
    for (int row = 0; result && row < PQntuples(result); row++) {
        check->say(check->self, (enum connector_finding)atoi(PQgetvalue(result, row, 0)), PQgetvalue(result, row, 1));
        if (!PQgetisnull(result, row, 2)) {
            check->statement(check->self, PQgetvalue(result, row, 2));
        }
    }
    PQclear(result);
    return result ? 0 : -1;
}

static int check_source(const struct connector_context *context, const struct connector_check *check, struct err *err)
{
    const struct postgres_source_options *options = context->options;
    PGconn *control = postgres_connection_open(context, options->url, false, err);
    if (!control) {
        return -1;
    }
    int outcome = say_findings(control, check, CHECK_SERVER_SQL, NULL, err);
    for (size_t i = 0; outcome == 0 && i < options->tables.count; i++) {
        struct bytes name = {0};
        postgres_connection_quote_table(&name, options->tables.items[i]);
        outcome = say_findings(control, check, CHECK_TABLE_SQL, bytes_text(&name), err);
        bytes_free(&name);
    }
    PQfinish(control);
    return outcome;
}

#define FIELD(field) offsetof(struct postgres_source_options, field)

static const char *const snapshots[] = {"initial", "never", NULL};

static const struct option option_list[] = {
    {.name = "url",
     .type = OPTION_TEXT,
     .offset = FIELD(url),
     .text =
         "The database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE; the user needs the attribute REPLICATION and "
         "SELECT on the tables."},
    {.name = "tables",
     .type = OPTION_LIST,
     .offset = FIELD(tables),
     .text = "The tables whose changes are read, as \"schema.table\"."},
    {.name = "slot",
     .type = OPTION_TEXT,
     .offset = FIELD(slot),
     .text = "The replication slot, at most 63 small letters, digits and underscores; made when it is missing, by "
             "default tidemill_APPLICATION_SOURCE."},
    {.name = "publication",
     .type = OPTION_TEXT,
     .offset = FIELD(publication),
     .text = "The publication, made for the tables when it is missing; by default named as the slot."},
    {.name = "snapshot",
     .type = OPTION_CHOICE,
     .offset = FIELD(snapshot),
     .default_text = "initial",
     .choices = snapshots,
     .text = "initial: the rows that are there come first, with op \"r\"; never: only changes from now on."},
    {.name = "tombstones",
     .type = OPTION_FLAG,
     .offset = FIELD(tombstones),
     .default_text = "true",
     .text =
         "Whether a delete is followed by a record with the same key and no value, for compacted topics and tables."},
};

static const struct option_table options_table = {"postgres source", option_list,
                                                  sizeof(option_list) / sizeof(option_list[0])};

const struct source_class postgres_source_class = {
    .options = &options_table,
    .options_size = sizeof(struct postgres_source_options),
    .key_codec = "json",
    .value_codec = "json",
    .validate = validate,
    .open = open_source,
    .poll = poll_source,
    .acknowledge = acknowledge,
    .close = close_source,
    .check = check_source,
};
