#include "connectors/postgres/postgres_poll.h"

#include "base/clock.h"
#include "base/memory.h"
#include "connectors/poll.h"
#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_poll_check.h"
#include "connectors/postgres/postgres_type.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define DOING "polling"
#define FETCH_ROWS 50000 /* of one statement; they come as they are wanted */
#define FILL_MS 20       /* how long a batch that has rows waits for more */
#define NAP_MS 250       /* how long a wait goes without looking whether it is to stop */

static const char *const cursors[] = {"commit", "id", "time+id", NULL};

static const struct option options[] = {
    {.name = "url",
     .type = OPTION_TEXT,
     .offset = offsetof(struct poll_options, place),
     .text = "The database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE; the user needs SELECT."},
    {.name = "cursor",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct poll_options, cursor),
     .default_text = "commit",
     .choices = cursors,
     .text = "What tells new rows: commit: a column with the number of the transaction that wrote them, which loses "
             "none; id: a column that grows; time+id: a column with the time of the last change. The last two pass "
             "over rows that are committed late."},
    {.name = "commit",
     .type = OPTION_TEXT,
     .offset = offsetof(struct poll_options, commit),
     .default_text = "tx",
     .argument = "COLUMN",
     .text = "For the cursor commit: the column of type xid8 with the transaction's number; tidemill connect check "
             "prints the statements that add it."},
    POLL_OPTIONS,
};

static int validate(const void *self, struct err *err)
{
    const struct poll_options *given = self;
    if (poll_validate(given, "postgres_poll", "url", err) != 0) {
        return -1;
    }
    if (!given->commit || !given->commit[0]) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The option commit of a postgres_poll source names a column");
    }
    return postgres_connection_check_url(given->place, err);
}

struct column {
    char *name;
    uint32_t type;
    uint32_t element; /* of an array */
};

struct connector_task {
    const struct connector_context *context;
    const struct poll_options *options;
    PGconn *connection;
    const char *columns[POLL_COLUMNS]; /* of the cursor */
    size_t column_count;
    struct poll_position position;
    struct column *row; /* the columns that records have */
    size_t row_count;
    const char **names;
    size_t *keys;
    size_t key_count;
    struct envelope_field *fields, *key_fields;
    struct pieces pieces;
    struct arena arena;
    struct bytes scratch, last, position_text; /* last: the cursor's values of the last row, a zero byte behind each */
    bool copying;
    int64_t fetched;       /* by the statement that is under way */
    int64_t wait_until_ms; /* monotonic; nothing is read before */
    bool at_end;
};

static int64_t now_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

static void forget_columns(struct connector_task *task)
{
    for (size_t i = 0; i < task->row_count; i++) {
        free(task->row[i].name);
    }
    free(task->row);
    free(task->names);
    free(task->keys);
    free(task->fields);
    free(task->key_fields);
    task->row = NULL;
    task->names = NULL;
    task->keys = NULL;
    task->fields = task->key_fields = NULL;
    task->row_count = task->key_count = 0;
}

static void close_source(struct connector_task *task)
{
    PQfinish(task->connection);
    forget_columns(task);
    option_list_free(&task->position.after);
    pieces_free(&task->pieces);
    arena_free(&task->arena);
    bytes_free(&task->scratch);
    bytes_free(&task->last);
    bytes_free(&task->position_text);
    free(task);
}

/* ---- statements ---- */

static void choose_columns(struct connector_task *task)
{
    const struct poll_options *given = task->options;
    task->column_count = given->cursor == POLL_ID ? 1 : 2;
    task->columns[0] = given->cursor == POLL_COMMIT ? given->commit
                       : given->cursor == POLL_ID   ? given->id
                                                    : given->time;
    task->columns[1] = given->id;
}

static void append_column(struct bytes *sql, const char *name)
{
    bytes_append_text(sql, "q.");
    postgres_connection_quote(sql, slice_text(name));
}

static void append_names(const struct connector_task *task, struct bytes *sql)
{
    const struct option_list *wanted = &task->options->columns;
    bool known = task->row_count > 0;
    size_t count = known ? task->row_count : wanted->count;
    bytes_append_text(sql, count == 0 ? "q.*" : "");
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        append_column(sql, known ? task->row[i].name : wanted->items[i]);
    }
}

/* With the columns that are known, or before that with those that the options want. */
static void append_select(const struct connector_task *task, struct bytes *sql)
{
    bytes_append_text(sql, "SELECT ");
    append_names(task, sql);
    for (size_t i = 0; i < task->column_count; i++) {
        bytes_append_text(sql, ", ");
        append_column(sql, task->columns[i]);
        bytes_append_text(sql, "::text");
    }
    bytes_append_text(sql, " FROM ");
    if (task->options->table && task->options->table[0]) {
        postgres_connection_quote_table(sql, task->options->table);
    } else {
        bytes_append_format(sql, "(%s)", task->options->query);
    }
    bytes_append_text(sql, " AS q");
}

static void append_cursor(const struct connector_task *task, struct bytes *sql)
{
    for (size_t i = 0; i < task->column_count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        append_column(sql, task->columns[i]);
    }
}

static void append_where(const struct connector_task *task, struct bytes *sql)
{
    bytes_append_text(sql, " WHERE ");
    if (task->options->cursor == POLL_COMMIT) {
        append_column(sql, task->columns[0]);
        bytes_append_text(sql, " < pg_snapshot_xmin(pg_current_snapshot())");
    } else if (task->options->cursor == POLL_TIME_ID) {
        append_column(sql, task->columns[0]);
        bytes_append_format(sql, " <= now() - interval '%lld milliseconds'", (long long)task->options->delay_ms);
    } else {
        append_column(sql, task->columns[0]);
        bytes_append_text(sql, " IS NOT NULL");
    }
    if (task->position.after.count == 0) {
        return;
    }
    bytes_append_text(sql, " AND (");
    append_cursor(task, sql);
    bytes_append_text(sql, ") > (");
    for (size_t i = 0; i < task->column_count; i++) {
        bytes_append_text(sql, i > 0 ? ", " : "");
        postgres_connection_quote_text(sql, slice_text(task->position.after.items[i]));
    }
    bytes_append_text(sql, ")");
}

/* ---- opening ---- */

static void take_columns(struct connector_task *task, const PGresult *result)
{
    size_t count = (size_t)PQnfields(result) - task->column_count;
    task->row = memory_alloc(count * sizeof(*task->row));
    task->names = memory_alloc(count * sizeof(*task->names));
    task->fields = memory_alloc(count * sizeof(*task->fields));
    task->key_fields = memory_alloc((task->options->key.count + 1) * sizeof(*task->key_fields));
    for (size_t i = 0; i < count; i++) {
        task->row[i] = (struct column){memory_copy_text(PQfname(result, (int)i)), PQftype(result, (int)i),
                                       postgres_type_element(PQftype(result, (int)i))};
        task->names[i] = task->row[i].name;
    }
    task->row_count = count;
}

/* What `*` stands for, and whether everything is there that the options name. */
static int describe(struct connector_task *task, struct err *err)
{
    struct bytes sql = {0};
    forget_columns(task);
    append_select(task, &sql);
    append_where(task, &sql);
    bytes_append_text(&sql, " LIMIT 0");
    PGresult *result = postgres_connection_query(task->connection, bytes_text(&sql), "looking at the columns", err);
    bytes_free(&sql);
    if (!result) {
        return -1;
    }
    take_columns(task, result);
    PQclear(result);
    return poll_find_keys(task->options, task->names, task->row_count, &task->keys, &task->key_count, err);
}

static int prepare_task(struct connector_task *task, struct slice position, struct err *err)
{
    choose_columns(task);
    if (!slice_is_null(position) &&
        poll_position_read(&task->position, position, task->columns, task->column_count, err) != 0) {
        return -1;
    }
    task->connection = postgres_connection_open(task->context, task->options->place, false, err);
    if (!task->connection ||
        postgres_connection_run(task->connection,
                                "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET IntervalStyle = 'postgres'",
                                "settings of the connection", err) != 0 ||
        describe(task, err) != 0) {
        return -1;
    }
    /* Rows wait in the connection while what they lead to is processed, however long that takes. */
    return postgres_connection_run(task->connection, "SET statement_timeout = 0", "settings of the connection", err);
}

static int open_source(const struct connector_context *context, struct slice position, struct connector_task **opened,
                       struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    task->context = context;
    task->options = context->options;
    if (prepare_task(task, position, err) != 0) {
        close_source(task);
        return -1;
    }
    const char *weakness = postgres_poll_weakness(task->options);
    if (weakness) {
        poll_warn(context, weakness);
    }
    *opened = task;
    return 0;
}

/* ---- rows ---- */

static char unescape(char c)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    const char *at = memchr(from, c, sizeof(from) - 1);
    return at ? to[at - from] : c;
}

/* Takes escapes out where they stand; null data: NULL. */
static struct slice decode_cell(char *cell, size_t size)
{
    if (!memchr(cell, '\\', size)) {
        return slice_of(cell, size);
    }
    if (size == 2 && cell[1] == 'N') {
        return SLICE_NULL;
    }
    size_t kept = 0;
    for (size_t i = 0; i < size; i++) {
        bool escape = cell[i] == '\\' && i + 1 < size;
        i += escape;
        cell[kept++] = escape ? unescape(cell[i]) : cell[i];
    }
    return slice_of(cell, kept);
}

/* The next cell of a line of COPY's text format. */
static struct slice take_cell(char **at, const char *end)
{
    char *start = *at;
    char *tab = memchr(start, '\t', (size_t)(end - start));
    *at = tab ? tab + 1 : start + (end - start);
    return decode_cell(start, (size_t)((tab ? tab : end) - start));
}

static struct envelope_value value_of(struct connector_task *task, const struct column *column, struct slice cell)
{
    if (slice_is_null(cell)) {
        return (struct envelope_value){.kind = ENVELOPE_NULL};
    }
    struct envelope_value value = postgres_type_value(column->type, column->element, cell, &task->scratch);
    if (task->scratch.data && value.text.data == task->scratch.data) {
        value.text = arena_copy(&task->arena, value.text);
    }
    return value;
}

static void add_line(struct connector_task *task, char *line, const char *end)
{
    arena_clear(&task->arena);
    for (size_t i = 0; i < task->row_count; i++) {
        task->fields[i].name = slice_text(task->row[i].name);
        task->fields[i].value = value_of(task, &task->row[i], take_cell(&line, end));
    }
    const char *table = task->options->table;
    poll_add_row(&task->pieces, table && table[0] ? table : NULL, (struct envelope_row){task->fields, task->row_count},
                 task->keys, task->key_count, task->key_fields);
    bytes_clear(&task->last);
    for (size_t i = 0; i < task->column_count; i++) {
        bytes_append_slice(&task->last, take_cell(&line, end));
        bytes_append_byte(&task->last, 0);
    }
}

/* ---- reading ---- */

/* Columns may have come and gone since the last time. */
static int start_copy(struct connector_task *task, struct err *err)
{
    struct bytes sql = {0};
    if (describe(task, err) != 0) {
        return -1;
    }
    bytes_append_text(&sql, "COPY (");
    append_select(task, &sql);
    append_where(task, &sql);
    bytes_append_text(&sql, " ORDER BY ");
    append_cursor(task, &sql);
    bytes_append_format(&sql, " LIMIT %d) TO STDOUT", FETCH_ROWS);
    int result = postgres_connection_run(task->connection, bytes_text(&sql), DOING, err);
    bytes_free(&sql);
    task->copying = result == 0;
    task->fetched = 0;
    return result;
}

static int end_copy(struct connector_task *task, struct err *err)
{
    PGresult *result = PQgetResult(task->connection);
    int outcome =
        PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : postgres_connection_fail(task->connection, result, DOING, err);
    PQclear(result);
    PQclear(PQgetResult(task->connection));
    task->copying = false;
    if (task->fetched < FETCH_ROWS) {
        task->at_end = true;
        task->wait_until_ms = now_ms() + task->options->poll_ms;
    }
    return outcome;
}

/* *waits: nothing has come yet. */
static int take_line(struct connector_task *task, bool *waits, struct err *err)
{
    char *line = NULL;
    int size = PQgetCopyData(task->connection, &line, 1);
    *waits = size == 0;
    if (size <= 0) {
        return size == 0 ? 0 : end_copy(task, err);
    }
    add_line(task, line, line + size - (line[size - 1] == '\n' ? 1 : 0));
    PQfreemem(line);
    task->fetched++;
    return 0;
}

static int wait_for_input(struct connector_task *task, int64_t ms, struct err *err)
{
    struct pollfd wait = {.fd = PQsocket(task->connection), .events = POLLIN};
    poll(&wait, 1, (int)(ms < NAP_MS ? ms : NAP_MS));
    return PQconsumeInput(task->connection) ? 0 : postgres_connection_fail(task->connection, NULL, DOING, err);
}

/* Rows of the statement that is under way, until the batch is full or the time is over. */
static int read_lines(struct connector_task *task, int64_t end_ms, struct err *err)
{
    int64_t limit_ms = now_ms() + FILL_MS;
    while (task->copying && !pieces_full(&task->pieces)) {
        bool waits = false;
        if (take_line(task, &waits, err) != 0) {
            return -1;
        }
        if (!waits) {
            continue;
        }
        int64_t left = (task->pieces.count > 0 ? limit_ms : end_ms) - now_ms();
        if (left <= 0 || connector_stopping(task->context)) {
            return 0;
        }
        if (wait_for_input(task, left, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void wait_for_turn(const struct connector_task *task, int64_t end_ms)
{
    int64_t until = task->wait_until_ms < end_ms ? task->wait_until_ms : end_ms;
    for (int64_t left = until - now_ms(); left > 0 && !connector_stopping(task->context); left = until - now_ms()) {
        clock_sleep_ms(left < NAP_MS ? left : NAP_MS);
    }
}

static void note_position(struct connector_task *task)
{
    const char *at = bytes_text(&task->last);
    option_list_free(&task->position.after);
    for (size_t i = 0; i < task->column_count; i++) {
        option_list_add(&task->position.after, at);
        at += strlen(at) + 1;
    }
    bytes_clear(&task->position_text);
    poll_position_write(&task->position, task->columns, task->column_count, &task->position_text);
}

static int poll_source(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err)
{
    int64_t end_ms = now_ms() + timeout_ms;
    pieces_clear(&task->pieces);
    if (!task->copying) {
        wait_for_turn(task, end_ms);
    }
    if (!task->copying && now_ms() >= task->wait_until_ms && start_copy(task, err) != 0) {
        return -1;
    }
    if (read_lines(task, end_ms, err) != 0) {
        return -1;
    }
    batch->records = pieces_records(&task->pieces);
    batch->count = task->pieces.count;
    batch->at_end = task->at_end;
    if (batch->count > 0) {
        note_position(task);
        batch->position = bytes_slice(&task->position_text);
    }
    return 0;
}

static int check_source(const struct connector_context *context, const struct connector_check *check, struct err *err)
{
    struct connector_task *task = memory_alloc(sizeof(*task));
    struct err problem;
    task->context = context;
    task->options = context->options;
    int result = 0;
    if (prepare_task(task, SLICE_NULL, &problem) == 0) {
        check->say(check->self, FINDING_GOOD, "The rows can be read, and have the columns that the options name.");
    } else if (PQstatus(task->connection) == CONNECTION_OK) {
        check->say(check->self, FINDING_BAD, problem.text);
    } else {
        *err = problem;
        result = -1;
    }
    if (result == 0) {
        postgres_poll_check(task->connection, task->options, check);
    }
    close_source(task);
    return result;
}

static const struct source_class source = {
    .options = &(const struct option_table){"postgres_poll", options, sizeof(options) / sizeof(options[0])},
    .options_size = sizeof(struct poll_options),
    .key_codec = "json",
    .value_codec = "json",
    .validate = validate,
    .open = open_source,
    .poll = poll_source,
    .close = close_source,
    .check = check_source,
};

const struct connector postgres_poll_connector = {
    .kind = "postgres_poll",
    .text = "Reads new rows of a table or query of PostgreSQL, which it asks again and again.",
    .source = &source,
};
