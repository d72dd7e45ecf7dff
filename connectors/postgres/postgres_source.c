#include "connectors/postgres/postgres_source.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "connectors/postgres/postgres_check.h"
#include "connectors/postgres/postgres_snapshot.h"
#include "connectors/postgres/postgres_stream.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_POSITION_MS 10000 /* without changes the position follows the log so often, so that it can be removed */
#define WAIT_MS 250            /* between two looks whether the task is to be closed */
#define LINGER_MS 10           /* a batch that is not full waits for more at most so long, */
#define NAP_MS 1               /* and only while something has come within that: the server is woken seldom */
#define STEPS_PER_LOOK 64      /* at the clock */

/* Compiling a query of the catalog takes seconds, running it milliseconds. */
#define SETTINGS_SQL                                                                                                   \
    "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET IntervalStyle = 'postgres'; "                           \
    "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'jit'"

/* A snapshot that was interrupted begins with the changes of what it has read already. */
enum phase { PHASE_CATCH_UP, PHASE_SNAPSHOT, PHASE_START, PHASE_STREAM };

struct connector_task {
    const struct connector_context *context;
    const struct postgres_source_options *options;
    char slots[2][POSTGRES_OPTIONS_NAME], publication[POSTGRES_OPTIONS_NAME];
    PGconn *replication; /* the slot's commands, then the stream */
    PGconn *control;     /* the catalog, the snapshot */
    enum phase phase;
    struct postgres_snapshot snapshot;
    struct postgres_stream stream;
    uint64_t target; /* the log's end at opening */
    bool position_due;
    bool drop_due; /* of the slot that is not used any more, when a position of the other one is committed */
    int64_t position_ms;
    uint64_t position_lsn; /* handed out last */
    struct postgres_changes changes;
    struct bytes position_text;
};

static int64_t monotonic_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

/* ---- opening ---- */

static int name_slots(struct connector_task *task, struct err *err)
{
    if (postgres_options_names(task->context, task->slots[0], task->publication, err)) {
        return -1;
    }
    snprintf(task->slots[1], POSTGRES_OPTIONS_NAME, "%.*s_2", POSTGRES_OPTIONS_NAME - 3, task->slots[0]);
    return 0;
}

static const char *used_slot(const struct connector_task *task)
{
    return task->slots[task->stream.position.second];
}

static const char *other_slot(const struct connector_task *task)
{
    return task->slots[!task->stream.position.second];
}

/* Where the log ends; standbys and servers without logical decoding are refused. */
static int read_server(struct connector_task *task, struct err *err)
{
    PGresult *result =
        postgres_connection_query(task->control,
                                  "SELECT current_setting('wal_level') = 'logical', pg_is_in_recovery(), "
                                  "CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END",
                                  "looking at the server", err);
    if (!result) {
        return -1;
    }
    bool logical = PQgetvalue(result, 0, 0)[0] == 't', standby = PQgetvalue(result, 0, 1)[0] == 't';
    bool known = pgoutput_parse_lsn(slice_text(PQgetvalue(result, 0, 2)), &task->target);
    PQclear(result);
    if (standby || !known) {
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE,
                       "The server is a standby: name the primary in the url, or several hosts and "
                       "target_session_attrs=read-write.");
    }
    return logical ? 0
                   : err_set(err, ERR_FATAL, ERR_CONFIG,
                             "The server's wal_level does not allow change data capture; run: ALTER SYSTEM SET "
                             "wal_level = 'logical'; and restart PostgreSQL.");
}

/* From the very beginning; a slot that is there is one of a snapshot of which nothing was kept. */
static int open_new(struct connector_task *task, const struct postgres_slot_state *state, struct err *err)
{
    char name[128];
    uint64_t *lsn = &task->stream.position.lsn;
    bool never = task->options->snapshot == POSTGRES_SNAPSHOT_NEVER;
    if (never && state->exists) {
        *lsn = state->confirmed;
        return 0;
    }
    if (postgres_slot_drop(task->control, task->slots[0], err) ||
        postgres_slot_drop(task->control, task->slots[1], err) ||
        postgres_slot_create(task->context, task->replication, used_slot(task), lsn, name, sizeof(name), err)) {
        return -1;
    }
    FAILPOINT(SOURCE_SLOT);
    task->stream.position.running = !never;
    task->phase = never ? PHASE_START : PHASE_SNAPSHOT;
    return never ? 0 : postgres_snapshot_begin(&task->snapshot, name, *lsn, err);
}

/* The database itself let the user in. */
static int refused_replication(const struct connector_task *task, struct err *err)
{
    char *reason = memory_copy_text(err->text);
    err_set(err, ERR_FATAL, ERR_AUTH,
            "The user %s may not open a replication stream; run: ALTER ROLE \"%s\" REPLICATION; (or look into "
            "pg_hba.conf). %s",
            PQuser(task->control), PQuser(task->control), reason);
    free(reason);
    return -1;
}

/* A second snapshot with a slot of its own, and the changes between the first one and that. */
static int open_resumed(struct connector_task *task, struct err *err)
{
    char name[128];
    struct postgres_stream *stream = &task->stream;
    if (postgres_snapshot_resume(&task->snapshot, err) || postgres_slot_drop(task->control, other_slot(task), err) ||
        postgres_slot_create(task->context, task->replication, other_slot(task), &stream->until, name, sizeof(name),
                             err) ||
        postgres_snapshot_begin(&task->snapshot, name, stream->until, err)) {
        return -1;
    }
    stream->behind = &task->snapshot;
    task->phase = PHASE_CATCH_UP;
    return postgres_stream_start(stream, used_slot(task), task->publication, err);
}

static int connect_replication(struct connector_task *task, struct err *err)
{
    task->replication = task->stream.connection =
        postgres_connection_open(task->context, task->options->url, true, err);
    if (!task->replication) {
        return err->code == ERR_AUTH ? refused_replication(task, err) : -1;
    }
    return postgres_connection_run(task->replication, SETTINGS_SQL, "settings of the connection", err);
}

static int connect_both(struct connector_task *task, struct err *err)
{
    task->control = postgres_connection_open(task->context, task->options->url, false, err);
    if (!task->control) {
        return -1;
    }
    task->stream.control = task->snapshot.connection = task->control;
    task->stream.origin.database = task->snapshot.origin.database = PQdb(task->control);
    return postgres_connection_run(task->control, SETTINGS_SQL, "settings of the connection", err) ||
                   connect_replication(task, err)
               ? -1
               : 0;
}

/* Goes on at a position that was kept. */
static int open_known(struct connector_task *task, const struct postgres_slot_state *state, struct err *err)
{
    const struct postgres_slot_position *at = &task->stream.position;
    if (postgres_slot_check(used_slot(task), state, at, task->target, err)) {
        return -1;
    }
    return at->running ? open_resumed(task, err) : postgres_slot_drop(task->control, other_slot(task), err);
}

static int open_task(struct connector_task *task, struct slice position, struct err *err)
{
    struct postgres_slot_state state;
    struct postgres_slot_position *at = &task->stream.position;
    bool known = !slice_is_null(position);
    if ((known && postgres_slot_read_position(position, at, &task->snapshot.mark, err)) || connect_both(task, err) ||
        read_server(task, err) || postgres_slot_identify(task->replication, at, err) ||
        postgres_snapshot_look(&task->snapshot, err) ||
        postgres_slot_publish(task->control, task->publication, &task->options->tables, err) ||
        postgres_slot_look(task->control, used_slot(task), &state, err)) {
        return -1;
    }
    task->phase = PHASE_START;
    const struct postgres_slot_mark *mark = &task->snapshot.mark;
    bool begun = known && (!at->running || mark->rows > 0 ||
                           !slice_equal(bytes_slice(&mark->table), slice_text(task->options->tables.items[0])));
    return begun ? open_known(task, &state, err) : open_new(task, &state, err);
}

/* What is committed is told to the server once more, so that the next one finds it there. */
static void close_source(struct connector_task *task)
{
    struct err ignored;
    if (task->phase == PHASE_STREAM && task->stream.confirmed > task->stream.told) {
        postgres_stream_report(&task->stream, true, &ignored);
    }
    PQfinish(task->replication);
    PQfinish(task->control);
    postgres_snapshot_free(&task->snapshot);
    postgres_stream_free(&task->stream);
    postgres_change_free(&task->changes);
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
    task->stream.changes = task->snapshot.changes = &task->changes;
    task->snapshot.tables = &task->options->tables;
    if (name_slots(task, err) || open_task(task, position, err)) {
        close_source(task);
        return -1;
    }
    task->stream.confirmed = task->stream.position.lsn;
    task->position_due = true;
    *opened = task;
    return 0;
}

/* ---- reading ---- */

static bool streams(const struct connector_task *task)
{
    return task->phase == PHASE_STREAM || task->phase == PHASE_CATCH_UP;
}

static bool batch_full(const struct connector_task *task)
{
    return task->changes.piece_count >= SOURCE_BATCH_RECORDS || task->changes.text.size >= SOURCE_BATCH_BYTES;
}

static int start_stream(struct connector_task *task, struct err *err)
{
    task->phase = PHASE_STREAM;
    task->position_ms = monotonic_ms();
    return (!task->replication && connect_replication(task, err)) ||
                   postgres_stream_start(&task->stream, used_slot(task), task->publication, err)
               ? -1
               : 0;
}

static int snapshot_step(struct connector_task *task, bool *waits, struct err *err)
{
    bool done;
    if (postgres_snapshot_step(&task->snapshot, waits, &done, err)) {
        return -1;
    }
    if (done) {
        FAILPOINT(SOURCE_SNAPSHOT);
        task->phase = PHASE_START;
        task->stream.position.running = false;
        task->position_due = true;
    }
    return 0;
}

/* From here on the second slot is used, behind what the second snapshot will give. */
static int catch_up_step(struct connector_task *task, bool *waits, struct err *err)
{
    struct postgres_stream *stream = &task->stream;
    if (postgres_stream_step(stream, waits, err)) {
        return -1;
    }
    if (stream->reached) {
        PQfinish(task->replication);
        task->replication = stream->connection = NULL;
        stream->behind = NULL;
        stream->reached = stream->in_transaction = false;
        stream->resume.events = stream->position.events = 0;
        stream->position.lsn = stream->confirmed = stream->told = stream->until;
        stream->position.second = !stream->position.second;
        task->phase = PHASE_SNAPSHOT;
        task->position_due = task->drop_due = true;
    }
    return 0;
}

static int step(struct connector_task *task, bool *waits, struct err *err)
{
    *waits = false;
    switch (task->phase) {
    case PHASE_CATCH_UP:
        return catch_up_step(task, waits, err);
    case PHASE_SNAPSHOT:
        return snapshot_step(task, waits, err);
    case PHASE_START:
        return start_stream(task, err);
    case PHASE_STREAM:
        break;
    }
    return postgres_stream_step(&task->stream, waits, err);
}

static int take_input(PGconn *connection, struct err *err)
{
    return PQconsumeInput(connection) ? 0 : postgres_connection_fail(connection, NULL, "reading", err);
}

static void wait_for_input(PGconn *connection, int64_t timeout_ms)
{
    struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
    poll(&wait, 1, (int)(timeout_ms < WAIT_MS ? timeout_ms : WAIT_MS));
}

/* One wait in a batch: how long, and whether it was in vain. */
struct patience {
    int64_t end;    /* of the call */
    int64_t linger; /* of a batch that has begun; 0: none has */
    bool looked;    /* what had come was taken, and nothing came out of it */
    bool napped;
};

/* Nothing is there: false says that the batch goes out as it is. */
static bool wait_more(struct connector_task *task, struct patience *patience)
{
    PGconn *connection = task->phase == PHASE_SNAPSHOT ? task->control : task->replication;
    int64_t now = monotonic_ms();
    if (task->changes.piece_count == 0) {
        if (now >= patience->end || connector_stopping(task->context)) {
            return false;
        }
        wait_for_input(connection, patience->end - now);
        return true;
    }
    if (!patience->looked) {
        return patience->looked = true;
    }
    patience->linger = patience->linger ? patience->linger : now + LINGER_MS;
    if (patience->napped || now >= patience->linger || now >= patience->end) {
        return false;
    }
    poll(NULL, 0, NAP_MS);
    return patience->napped = true;
}

static int read_batch(struct connector_task *task, struct patience *patience, struct err *err)
{
    bool waits;
    enum phase phase = task->phase == PHASE_START ? PHASE_STREAM : task->phase;
    for (unsigned steps = 1; !batch_full(task); steps++) {
        if (step(task, &waits, err)) {
            return -1;
        }
        if (task->phase != phase) {
            return 0; /* its position goes out at once */
        }
        if (!waits) {
            patience->looked = patience->napped = false;
            if (steps % STEPS_PER_LOOK == 0 && monotonic_ms() >= patience->end) {
                return 0;
            }
        } else if (!wait_more(task, patience)) {
            return 0;
        } else if (take_input(task->phase == PHASE_SNAPSHOT ? task->control : task->replication, err)) {
            return -1;
        }
    }
    return 0;
}

static void write_position(struct connector_task *task, struct postgres_slot_position position)
{
    const struct postgres_slot_mark *mark = postgres_snapshot_mark(&task->snapshot);
    position.running = position.running && mark->table.size > 0;
    bytes_clear(&task->position_text);
    postgres_slot_write_position(&position, mark, &task->position_text);
}

static void hand_out(struct connector_task *task, struct source_batch *batch)
{
    const struct postgres_slot_position *position = postgres_stream_position(&task->stream);
    int64_t now = monotonic_ms();
    batch->records = postgres_change_list(&task->changes);
    batch->count = task->changes.piece_count;
    int64_t idle_ms = task->stream.hurried ? 0 : IDLE_POSITION_MS;
    if (batch->count > 0 || task->position_due ||
        (position->lsn > task->position_lsn && now - task->position_ms >= idle_ms)) {
        write_position(task, *position);
        batch->position = bytes_slice(&task->position_text);
        task->position_due = task->stream.hurried = false;
        task->position_lsn = position->lsn;
        task->position_ms = now;
    }
    batch->at_end = task->phase == PHASE_STREAM && !task->stream.in_transaction && task->stream.seen >= task->target;
    batch->progress = task->snapshot.progress;
}

static int poll_source(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    struct patience patience = {.end = monotonic_ms() + timeout_ms};
    postgres_change_clear(&task->changes);
    if ((streams(task) && postgres_stream_report(&task->stream, false, err)) || read_batch(task, &patience, err)) {
        return -1;
    }
    hand_out(task, batch);
    return 0;
}

static int acknowledge(struct connector_task *task, struct slice position, struct err *err)
{
    struct postgres_slot_position committed;
    struct postgres_slot_mark mark = {0};
    int outcome = postgres_slot_read_position(position, &committed, &mark, err);
    postgres_slot_free_mark(&mark);
    if (outcome || committed.second != task->stream.position.second) {
        return outcome;
    }
    if (committed.lsn > task->stream.confirmed) {
        task->stream.confirmed = committed.lsn;
    }
    if (task->drop_due && task->phase == PHASE_STREAM) { /* before, the connection has a snapshot to read */
        task->drop_due = false;
        outcome = postgres_slot_drop(task->control, other_slot(task), err);
    }
    return outcome == 0 && streams(task) ? postgres_stream_report(&task->stream, false, err) : outcome;
}

const struct source_class postgres_source_class = {
    .options = &postgres_options_source,
    .options_size = sizeof(struct postgres_source_options),
    .key_codec = "json",
    .value_codec = "json",
    .validate = postgres_options_validate,
    .open = open_source,
    .poll = poll_source,
    .acknowledge = acknowledge,
    .close = close_source,
    .check = postgres_check_source,
};
