/* The PostgreSQL sink on the server that tests/support/with_postgres.sh started: one sink and a connection of the
 * test's own. */
#ifndef TIDEMILL_TESTS_POSTGRES_SINK_H
#define TIDEMILL_TESTS_POSTGRES_SINK_H

#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_sink.h"

#include "tests/support/postgres_server.h"

static struct postgres_sink_options options;
static struct connector_context context;
static struct connector_task *task;
static PGconn *connection; /* of the test itself */
static struct err err;
static size_t bad;

static inline void run(const char *sql)
{
    ck_assert_msg(postgres_connection_run(connection, sql, sql, &err) == 0, "%s", err.text);
}

/* First column of the first row. */
static inline const char *ask(const char *sql)
{
    static char answer[4096];
    PGresult *result = postgres_connection_query(connection, sql, sql, &err);
    ck_assert_msg(result != NULL, "%s", err.text);
    snprintf(answer, sizeof(answer), "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "nothing");
    PQclear(result);
    return answer;
}

static inline void setup(const char *table, const char *ddl)
{
    option_defaults(postgres_sink_class.options, &options);
    ck_assert_int_eq(option_set(postgres_sink_class.options, &options, "url", getenv("TIDEMILL_TEST_POSTGRES"), &err),
                     0);
    ck_assert_int_eq(option_set(postgres_sink_class.options, &options, "table", table, &err), 0);
    context = (struct connector_context){
        .app = "app", .name = table, .topic = "input", .tasks = 1, .json_keys = true, .options = &options};
    connection = postgres_connection_open(&context, options.url, false, &err);
    ck_assert_msg(connection != NULL, "%s", err.text);
    run(ddl);
}

static inline void set(const char *name, const char *value)
{
    ck_assert_msg(option_set(postgres_sink_class.options, &options, name, value, &err) == 0, "%s", err.text);
}

static inline void open_sink(void)
{
    ck_assert_msg(postgres_sink_class.validate(&options, &err) == 0, "%s", err.text);
    ck_assert_msg(postgres_sink_class.open(&context, &task, &err) == 0, "%s", err.text);
}

static inline void teardown(void)
{
    if (task) {
        postgres_sink_class.close(task);
    }
    PQfinish(connection);
    option_free(postgres_sink_class.options, &options);
}

/* Pairs of key and value, ended by a NULL key; a NULL value is a tombstone. */
static inline int write_pairs(int64_t from, const char *const *pairs)
{
    struct record records[32] = {0};
    size_t count = 0;
    for (; pairs[2 * count]; count++) {
        records[count].key = slice_text(pairs[2 * count]);
        records[count].value = slice_text(pairs[2 * count + 1]);
    }
    int64_t to = (from == CONNECTOR_NO_OFFSET ? 0 : from) + (int64_t)count;
    const struct sink_batch batch = {records, count, from, to};
    return postgres_sink_class.write(task, &batch, &bad, &err);
}
#define WRITE(from, ...) write_pairs(from, (const char *const[]){__VA_ARGS__, NULL})

static inline int64_t where(void)
{
    int64_t next = -2;
    ck_assert_msg(postgres_sink_class.position(task, &next, &err) == 0, "%s", err.text);
    return next;
}

/* kill, stop or start */
static inline void control(const char *command)
{
    const char *program = getenv("TIDEMILL_TEST_POSTGRES_CONTROL");
    const char *dir = getenv("TIDEMILL_TEST_POSTGRES_DIR");
    char line[1024];
    snprintf(line, sizeof(line), "'%s' %s '%s' -c fsync=off > /dev/null", program, command, dir);
    ck_assert_int_eq(system(line), 0);
}

#endif
