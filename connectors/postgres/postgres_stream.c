#include "connectors/postgres/postgres_stream.h"

#include "base/clock.h"
#include "connectors/postgres/postgres_catalog.h"

#define ALIVE_MS 10000  /* the server is told at least so often that this side lives */
#define CONFIRM_MS 1000 /* and at most so often what it may forget, */
#define ANSWER_MS 100   /* also when it asks: one that shuts down does it again after each answer */

static int64_t monotonic_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

int postgres_stream_start(struct postgres_stream *stream, const char *slot, const char *publication, struct err *err)
{
    struct bytes sql = {0}, name = {0};
    char lsn[PGOUTPUT_LSN_SIZE];
    pgoutput_format_lsn(stream->position.lsn, lsn);
    postgres_connection_quote(&name, slice_text(publication));
    bytes_append_text(&sql, "START_REPLICATION SLOT ");
    postgres_connection_quote(&sql, slice_text(slot));
    bytes_append_format(&sql, " LOGICAL %s (proto_version '1', publication_names ", lsn);
    postgres_connection_quote_text(&sql, bytes_slice(&name));
    bytes_append_text(&sql, ")");
    PGresult *result = postgres_connection_query(stream->connection, bytes_text(&sql), "starting the stream", err);
    PQclear(result);
    bytes_free(&sql);
    bytes_free(&name);
    stream->resume = stream->position;
    stream->seen = stream->told = stream->position.lsn;
    stream->status_ms = monotonic_ms();
    return result ? 0 : -1;
}

int postgres_stream_report(struct postgres_stream *stream, bool now, struct err *err)
{
    int64_t waited = monotonic_ms() - stream->status_ms;
    int64_t pause = stream->asked ? ANSWER_MS : stream->confirmed > stream->told ? CONFIRM_MS : ALIVE_MS;
    if (!now && waited < pause) {
        return 0;
    }
    stream->asked = false;
    struct bytes reply = {0};
    pgoutput_reply(&reply, stream->confirmed, stream->confirmed, clock_wall_ms(&CLOCK_SYSTEM));
    int sent = PQputCopyData(stream->connection, (const char *)reply.data, (int)reply.size) == 1 &&
               PQflush(stream->connection) >= 0;
    bytes_free(&reply);
    stream->status_ms += waited;
    stream->told = stream->confirmed;
    return sent ? 0 : postgres_connection_fail(stream->connection, NULL, "confirming a position", err);
}

const struct postgres_slot_position *postgres_stream_position(const struct postgres_stream *stream)
{
    return stream->resume.events > 0 ? &stream->resume : &stream->position;
}

void postgres_stream_free(struct postgres_stream *stream)
{
    pgoutput_free(&stream->message);
}

/* ---- messages ---- */

static int on_relation(struct postgres_stream *stream, struct err *err)
{
    const struct pgoutput *message = &stream->message;
    struct postgres_table *table =
        postgres_change_define(stream->changes, message->relation, message->space, message->name, message->identity);
    for (size_t i = 0; i < message->column_count; i++) {
        const struct pgoutput_column *column = &message->columns[i];
        postgres_change_add_column(table, column->name, column->type, column->key);
    }
    bool unmarked = message->identity == 'f' || message->identity == 'n';
    return postgres_catalog_resolve(stream->control, table, err) ||
                   (unmarked && postgres_catalog_find_key(stream->control, table, err))
               ? -1
               : 0;
}

/* What an update did not touch stands in the old row when that is sent whole, and key columns in its key. */
static void fill_unchanged(const struct postgres_table *table, struct pgoutput *message)
{
    const struct pgoutput_row *old = &message->old;
    for (size_t i = 0; message->old_kind != PGOUTPUT_NO_OLD && i < message->row.count && i < old->count; i++) {
        bool sent = message->old_kind == PGOUTPUT_OLD_ROW || (i < table->count && table->columns[i].key);
        if (sent && message->row.values[i].kind == PGOUTPUT_UNCHANGED) {
            message->row.values[i] = old->values[i];
        }
    }
}

static int add_change(struct postgres_stream *stream, uint32_t relation, char op, struct err *err)
{
    const struct postgres_table *table = postgres_change_table(stream->changes, relation);
    if (!table) {
        return err_set(err, ERR_FATAL, ERR_PROTOCOL, "PostgreSQL sent a change of an unknown table, number %u.",
                       relation);
    }
    bool admitted = table->wanted;
    if (op == 'u') {
        fill_unchanged(table, &stream->message);
    }
    if (admitted && stream->behind &&
        postgres_snapshot_admit(stream->behind, table, &stream->message, &op, &admitted, err)) {
        return -1;
    }
    return !admitted ? 0 : postgres_change_add(stream->changes, table, op, &stream->origin, &stream->message, err);
}

/* Counts an event of the transaction; those that were read before are passed over. */
static int on_change(struct postgres_stream *stream, char op, struct err *err)
{
    if (stream->skip > 0) {
        stream->skip--;
        return 0;
    }
    stream->position.events++;
    if (op != 't') {
        return add_change(stream, stream->message.relation, op, err);
    }
    int outcome = 0;
    for (size_t i = 0; outcome == 0 && i < stream->message.relation_count; i++) {
        outcome = add_change(stream, stream->message.relations[i], op, err);
    }
    return outcome;
}

static void on_begin(struct postgres_stream *stream)
{
    const struct pgoutput *message = &stream->message;
    if (stream->behind && message->lsn >= stream->until) {
        stream->reached = true;
        return;
    }
    bool again = stream->resume.events > 0 && stream->resume.commit == message->lsn;
    stream->in_transaction = true;
    stream->skip = again ? stream->resume.events : 0;
    stream->position.events = stream->skip;
    stream->position.commit = message->lsn;
    stream->origin.xid = message->xid;
    stream->origin.time_ms = message->time_ms;
    stream->resume.events = 0;
}

static void on_commit(struct postgres_stream *stream)
{
    stream->in_transaction = false;
    stream->position.lsn = stream->seen = stream->message.end;
    stream->position.events = 0;
}

static int on_message(struct postgres_stream *stream, struct err *err)
{
    switch (stream->message.kind) {
    case PGOUTPUT_BEGIN:
        on_begin(stream);
        return 0;
    case PGOUTPUT_COMMIT:
        on_commit(stream);
        return 0;
    case PGOUTPUT_RELATION:
        return on_relation(stream, err);
    case PGOUTPUT_INSERT:
        return on_change(stream, 'c', err);
    case PGOUTPUT_UPDATE:
        return on_change(stream, 'u', err);
    case PGOUTPUT_DELETE:
        return on_change(stream, 'd', err);
    case PGOUTPUT_TRUNCATE:
        return on_change(stream, 't', err);
    case PGOUTPUT_MESSAGE:
    case PGOUTPUT_ORIGIN:
    case PGOUTPUT_TYPE:
        break;
    }
    return 0;
}

/* ---- frames ---- */

/* Between transactions everything up to there has been sent; inside one it says nothing. */
static int on_keepalive(struct postgres_stream *stream, const struct pgoutput_frame *frame, struct err *err)
{
    if (!stream->in_transaction && frame->end > stream->seen) {
        stream->seen = frame->end;
        if (stream->resume.events == 0) {
            stream->position.lsn = frame->end;
        }
        stream->reached = stream->behind && frame->end >= stream->until;
    }
    stream->asked |= frame->reply;
    stream->hurried |= frame->reply;
    return postgres_stream_report(stream, false, err);
}

static int on_frame(struct postgres_stream *stream, struct slice bytes, struct err *err)
{
    struct pgoutput_frame frame;
    if (pgoutput_frame(bytes, &frame, err)) {
        return -1;
    }
    if (frame.kind == PGOUTPUT_KEEPALIVE) {
        return on_keepalive(stream, &frame, err);
    }
    stream->origin.lsn = frame.start;
    return pgoutput_decode(&stream->message, frame.message, err) ? -1 : on_message(stream, err);
}

static int stream_ended(struct postgres_stream *stream, struct err *err)
{
    PGresult *result = PQgetResult(stream->connection);
    postgres_connection_fail(stream->connection, result && PQresultStatus(result) == PGRES_FATAL_ERROR ? result : NULL,
                             "reading the stream", err);
    PQclear(result);
    return -1;
}

int postgres_stream_step(struct postgres_stream *stream, bool *waits, struct err *err)
{
    char *data = NULL;
    int size = PQgetCopyData(stream->connection, &data, 1);
    *waits = size == 0;
    if (size <= 0) {
        return size == 0 ? 0 : stream_ended(stream, err);
    }
    int outcome = on_frame(stream, slice_of(data, (size_t)size), err);
    PQfreemem(data);
    return outcome;
}
