/* A PostgreSQL source as a test drives it: opened, polled, closed and opened again at the position that it gave last.
 *
 * The server is the one of with_postgres.sh; each test has tables, a slot and a publication of its own.
 */
#ifndef TIDEMILL_TESTS_POSTGRES_SOURCE_H
#define TIDEMILL_TESTS_POSTGRES_SOURCE_H

#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_source.h"

#include "tests/support/postgres_server.h"

struct capture {
    struct postgres_source_options options;
    struct connector_context context;
    struct connector_task *task; /* NULL: closed */
    struct bytes position;
    struct bytes seen; /* one line per record: key, space, value, then headers as " name=value" */
    size_t count;      /* of them */
    bool keep;         /* `seen` is written */
    bool at_end;
    struct source_progress progress; /* without the phase */
    char phase[160];
    struct err err; /* of the last call that failed */
};

static inline const char *capture_url(void)
{
    return getenv("TIDEMILL_TEST_POSTGRES");
}

/* kill, stop or start */
static inline void capture_server(const char *command)
{
    char line[256];
    snprintf(line, sizeof(line),
             "\"$TIDEMILL_TEST_POSTGRES_CONTROL\" %s \"$TIDEMILL_TEST_POSTGRES_DIR\" -c fsync=off > /dev/null",
             command);
    ck_assert_int_eq(system(line), 0);
}

static inline PGconn *capture_connect(void)
{
    struct err err;
    struct connector_context context = {.app = "test", .name = "test"};
    PGconn *connection = postgres_connection_open(&context, capture_url(), false, &err);
    ck_assert_msg(connection != NULL, "%s", err.text);
    return connection;
}

static inline void capture_sql(const char *text)
{
    struct err err;
    PGconn *connection = capture_connect();
    ck_assert_msg(postgres_connection_run(connection, text, "test", &err) == 0, "%s", err.text);
    PQfinish(connection);
}

/* First column of the first row. */
static inline const char *capture_ask(const char *query)
{
    static char answer[1024];
    struct err err;
    PGconn *connection = capture_connect();
    PGresult *result = postgres_connection_query(connection, query, "test", &err);
    ck_assert_msg(result != NULL, "%s", err.text);
    snprintf(answer, sizeof(answer), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "nothing");
    PQclear(result);
    PQfinish(connection);
    return answer;
}

static inline void capture_set(struct capture *capture, const char *name, const char *value)
{
    ck_assert_msg(option_set(postgres_source_class.options, &capture->options, name, value, &capture->err) == 0, "%s",
                  capture->err.text);
}

/* The slot and the publication are called by `name`; NULL table: to be added. */
static inline void capture_begin(struct capture *capture, const char *name, const char *table)
{
    *capture = (struct capture){.context = {.app = "test", .name = name, .tasks = 1}, .keep = true};
    option_defaults(postgres_source_class.options, &capture->options);
    capture_set(capture, "url", capture_url());
    capture_set(capture, "slot", name);
    option_list_add(&capture->options.tables, table);
    ck_assert_int_eq(postgres_source_class.validate(&capture->options, &capture->err), 0);
    capture->context.options = &capture->options;
}

static inline int capture_try_open(struct capture *capture)
{
    struct slice position = capture->position.size > 0 ? bytes_slice(&capture->position) : SLICE_NULL;
    return postgres_source_class.open(&capture->context, position, &capture->task, &capture->err);
}

static inline void capture_close(struct capture *capture)
{
    if (capture->task) {
        postgres_source_class.close(capture->task);
    }
    capture->task = NULL;
}

/* The walsender of a connection that was closed may still hold the slot: then again. */
static inline void capture_open(struct capture *capture)
{
    while (capture_try_open(capture)) {
        ck_assert_msg(capture->err.class == ERR_RETRY, "%s", capture->err.text);
        usleep(50000);
    }
}

static inline void capture_expect_fatal(struct capture *capture, const char *text)
{
    int outcome = capture_try_open(capture);
    while (outcome != 0 && capture->err.class == ERR_RETRY) {
        usleep(50000);
        outcome = capture_try_open(capture);
    }
    ck_assert_msg(outcome != 0, "it opened, and should say: %s", text);
    ck_assert_msg(capture->err.class == ERR_FATAL && strstr(capture->err.text, text), "%s", capture->err.text);
}

static inline void capture_note(struct capture *capture, const struct record *record)
{
    bytes_append_slice(&capture->seen, record->key);
    bytes_append_byte(&capture->seen, ' ');
    bytes_append_slice(&capture->seen, record->value);
    for (size_t i = 0; i < record->headers.count; i++) {
        bytes_append_byte(&capture->seen, ' ');
        bytes_append_slice(&capture->seen, record->headers.list[i].name);
        bytes_append_byte(&capture->seen, '=');
        bytes_append_slice(&capture->seen, record->headers.list[i].value);
    }
    bytes_append_byte(&capture->seen, '\n');
}

/* One poll; the records are given to `each` too, when it is not NULL. */
static inline int capture_try_poll(struct capture *capture, void (*each)(void *, const struct record *), void *self)
{
    struct source_batch batch = {0};
    if (postgres_source_class.poll(capture->task, 300, &batch, &capture->err)) {
        return -1;
    }
    if (batch.count > 0 && slice_is_null(batch.position)) {
        ck_abort_msg("records came without a position");
    }
    for (size_t i = 0; i < batch.count; i++) {
        if (capture->keep) {
            capture_note(capture, &batch.records[i]);
        }
        if (each) {
            each(self, &batch.records[i]);
        }
    }
    capture->count += batch.count;
    if (!slice_is_null(batch.position)) {
        bytes_clear(&capture->position);
        bytes_append_slice(&capture->position, batch.position);
    }
    capture->at_end = batch.at_end;
    capture->progress = batch.progress;
    snprintf(capture->phase, sizeof(capture->phase), "%s", batch.progress.phase ? batch.progress.phase : "");
    capture->progress.phase = NULL;
    return 0;
}

/* The same, opened again for as long as it takes. */
static inline void capture_poll_each(struct capture *capture, void (*each)(void *, const struct record *), void *self)
{
    while (capture_try_poll(capture, each, self)) {
        if (capture->err.class != ERR_RETRY) {
            ck_abort_msg("%s", capture->err.text);
        }
        capture_close(capture);
        usleep(50000);
        capture_open(capture);
    }
}

/* How many records came. */
static inline size_t capture_poll(struct capture *capture)
{
    size_t before = capture->count;
    capture_poll_each(capture, NULL, NULL);
    return capture->count - before;
}

static inline void capture_acknowledge(struct capture *capture)
{
    ck_assert_int_eq(postgres_source_class.acknowledge(capture->task, bytes_slice(&capture->position), &capture->err),
                     0);
}

static inline void capture_until(struct capture *capture, const char *text)
{
    while (!strstr(bytes_text(&capture->seen), text)) {
        capture_poll(capture);
    }
}

static inline void capture_to_end(struct capture *capture)
{
    do {
        capture_poll(capture);
    } while (!capture->at_end);
}

static inline void capture_expect(struct capture *capture, const char *text)
{
    ck_assert_msg(strstr(bytes_text(&capture->seen), text) != NULL, "%s is not in:\n%s", text,
                  bytes_text(&capture->seen));
}

static inline void capture_expect_none(struct capture *capture, const char *text)
{
    ck_assert_msg(!strstr(bytes_text(&capture->seen), text), "%s is in:\n%s", text, bytes_text(&capture->seen));
}

/* Closes it; the slot goes, since a server has few. */
static inline void capture_end(struct capture *capture)
{
    struct err err;
    const char *slot = capture->options.slot;
    capture_close(capture);
    PGconn *connection = capture_connect();
    PGresult *result = NULL;
    while (!result) {
        result = postgres_connection_query_params(connection,
                                                  "SELECT pg_drop_replication_slot(slot_name) FROM "
                                                  "pg_replication_slots WHERE slot_name IN ($1::text, $1 || '_2')",
                                                  1, &slot, "test", &err);
        ck_assert_msg(result || err.class == ERR_RETRY, "%s", err.text);
        usleep(result ? 0 : 50000);
    }
    PQclear(result);
    PQfinish(connection);
    option_free(postgres_source_class.options, &capture->options);
    bytes_free(&capture->position);
    bytes_free(&capture->seen);
}

#endif
