/* Change data capture on a real server: tests/support/with_postgres.sh gives its URL. */
#include "connectors/postgres/postgres_source.h"

#include "connectors/postgres/postgres_connection.h"
#include "../../support/unit.h"

static const char *url;

struct fixture {
    struct postgres_source_options options;
    struct connector_context context;
    struct connector_task *task;
    struct bytes position;
    struct bytes seen; /* one line per record: key, space, value */
    bool at_end;
};

static void sql(const char *text)
{
    struct err err;
    struct connector_context context = {.app = "test", .name = "test"};
    PGconn *connection = postgres_connection_open(&context, url, false, &err);
    ck_assert_msg(connection && postgres_connection_run(connection, text, "test", &err) == 0, "%s", err.text);
    PQfinish(connection);
}

static void begin(struct fixture *fixture, const char *name, const char *table)
{
    struct err err;
    *fixture = (struct fixture){.context = {.app = "App-1", .name = name, .tasks = 1}};
    option_defaults(postgres_source_class.options, &fixture->options);
    ck_assert_int_eq(option_set(postgres_source_class.options, &fixture->options, "url", url, &err), 0);
    ck_assert_int_eq(option_set(postgres_source_class.options, &fixture->options, "tables", table, &err), 0);
    ck_assert_int_eq(postgres_source_class.validate(&fixture->options, &err), 0);
    fixture->context.options = &fixture->options;
}

static int try_open(struct fixture *fixture, struct err *err)
{
    struct slice position = fixture->position.size > 0 ? bytes_slice(&fixture->position) : SLICE_NULL;
    return postgres_source_class.open(&fixture->context, position, &fixture->task, err);
}

/* The walsender of a connection that was closed may still hold the slot: then again. */
static void open_source(struct fixture *fixture)
{
    struct err err;
    while (try_open(fixture, &err)) {
        ck_assert_msg(err.class == ERR_RETRY, "%s", err.text);
        usleep(100000);
    }
}

static void close_source(struct fixture *fixture)
{
    postgres_source_class.close(fixture->task);
}

static size_t poll_once(struct fixture *fixture)
{
    struct source_batch batch = {0};
    struct err err;
    while (postgres_source_class.poll(fixture->task, 300, &batch, &err)) {
        ck_assert_msg(err.class == ERR_RETRY, "%s", err.text);
        close_source(fixture);
        usleep(100000);
        open_source(fixture);
    }
    for (size_t i = 0; i < batch.count; i++) {
        const struct record *record = &batch.records[i];
        bytes_append_slice(&fixture->seen, record->key);
        bytes_append_byte(&fixture->seen, ' ');
        bytes_append_slice(&fixture->seen, record->value);
        bytes_append_byte(&fixture->seen, '\n');
    }
    if (!slice_is_null(batch.position)) {
        bytes_clear(&fixture->position);
        bytes_append_slice(&fixture->position, batch.position);
    }
    fixture->at_end = batch.at_end;
    return batch.count;
}

static void read_until(struct fixture *fixture, const char *text)
{
    while (!strstr(bytes_text(&fixture->seen), text)) {
        poll_once(fixture);
    }
}

static void expect(struct fixture *fixture, const char *text)
{
    ck_assert_msg(strstr(bytes_text(&fixture->seen), text) != NULL, "%s is not in:\n%s", text,
                  bytes_text(&fixture->seen));
}

static void finish(struct fixture *fixture)
{
    option_free(postgres_source_class.options, &fixture->options);
    bytes_free(&fixture->position);
    bytes_free(&fixture->seen);
}

static size_t lines(struct fixture *fixture)
{
    size_t count = 0;
    for (const char *at = bytes_text(&fixture->seen); (at = strchr(at, '\n')) != NULL; at++) {
        count++;
    }
    return count;
}

START_TEST(snapshot_then_changes)
{
    struct fixture f;
    sql("CREATE TABLE t (id bigint PRIMARY KEY, b bool, n numeric, j jsonb, at timestamptz, raw bytea, d text, f "
        "float8);"
        "INSERT INTO t VALUES (1, true, 1.10, '{\"a\": 1}', '2026-01-31 10:15:00.5Z', '\\x6869', E'a\\tb\\\\N', 0.5),"
        "(9007199254740993, null, null, null, null, null, null, 'NaN')");
    begin(&f, "changes", "public.t");
    open_source(&f);
    read_until(&f, "9007199254740993");
    expect(&f,
           "{\"id\":1} {\"op\":\"r\",\"before\":null,\"after\":{\"id\":1,\"b\":true,\"n\":\"1.10\",\"j\":{\"a\": 1},"
           "\"at\":\"2026-01-31T10:15:00.5Z\",\"raw\":\"aGk=\",\"d\":\"a\\tb\\\\N\",\"f\":0.5}");
    expect(&f, "{\"id\":\"9007199254740993\"} ");
    sql("INSERT INTO t (id, d) SELECT 2, string_agg(md5(i::text), '') FROM generate_series(1, 1000) i;"
        "UPDATE t SET b = false WHERE id = 2; UPDATE t SET id = 3 WHERE id = 1; DELETE FROM t WHERE id = 3;"
        "TRUNCATE t");
    read_until(&f, "\"op\":\"t\"");
    expect(&f, "{\"id\":2} {\"op\":\"u\",\"before\":null,\"after\":{\"id\":2,\"b\":false,");
    expect(&f, "\"unavailable\":[\"d\"]");
    expect(&f, "{\"id\":1} {\"op\":\"d\",\"before\":{\"id\":1},\"after\":null");
    expect(&f, "{\"id\":1} \n{\"id\":3} {\"op\":\"c\"");
    expect(&f, "{\"id\":3} \n");
    close_source(&f);
    finish(&f);
}
END_TEST

START_TEST(goes_on_inside_a_transaction)
{
    struct fixture f;
    sql("CREATE TABLE big (id int PRIMARY KEY)");
    begin(&f, "big", "public.big");
    open_source(&f);
    while (!f.at_end) {
        poll_once(&f);
    }
    sql("INSERT INTO big SELECT generate_series(1, 3500)");
    while (lines(&f) < 3500) { /* a batch, then the connection is lost before anything is acknowledged */
        if (poll_once(&f) > 0) {
            close_source(&f);
            open_source(&f);
        }
    }
    sql("INSERT INTO big VALUES (5000)");
    read_until(&f, "{\"id\":5000}");
    ck_assert_uint_eq(lines(&f), 3501);
    expect(&f, "{\"id\":1} ");
    expect(&f, "{\"id\":3500} ");
    close_source(&f);
    finish(&f);
}
END_TEST

START_TEST(a_slot_beyond_the_position_is_fatal)
{
    struct fixture f;
    struct err err;
    sql("CREATE TABLE moved (id int PRIMARY KEY)");
    begin(&f, "moved", "public.moved");
    open_source(&f);
    while (!f.at_end) {
        poll_once(&f);
    }
    struct bytes old = {0};
    bytes_append_slice(&old, bytes_slice(&f.position));
    sql("INSERT INTO moved VALUES (1)");
    read_until(&f, "{\"id\":1}");
    poll_once(&f);
    sql("INSERT INTO moved VALUES (2)");
    read_until(&f, "{\"id\":2}");
    ck_assert_int_eq(postgres_source_class.acknowledge(f.task, bytes_slice(&f.position), &err), 0);
    close_source(&f);
    open_source(&f); /* the slot's own position is good */
    close_source(&f);
    bytes_clear(&f.position);
    bytes_append_slice(&f.position, bytes_slice(&old));
    while (try_open(&f, &err) == 0) { /* the server takes the acknowledgement in its own time */
        close_source(&f);
        usleep(100000);
    }
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_msg(strstr(err.text, "was moved to") != NULL, "%s", err.text);
    bytes_clear(&f.position);
    bytes_append_text(&f.position, "{\"lsn\":\"0/1\",\"events\":0,\"snapshot\":\"done\",\"system\":\"17\"}");
    ck_assert_int_eq(try_open(&f, &err), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    bytes_free(&old);
    finish(&f);
}
END_TEST

static void note(void *self, enum connector_finding finding, const char *text)
{
    bytes_append_format(self, "%d %s\n", (int)finding, text);
}

static void note_statement(void *self, const char *text)
{
    bytes_append_format(self, "> %s\n", text);
}

START_TEST(check_says_what_is_missing)
{
    struct fixture f;
    struct err err;
    const struct connector_check check = {note, note_statement, &f.seen};
    sql("CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE keyless (id int)");
    begin(&f, "check", "public.keyed");
    option_list_add(&f.options.tables, "public.keyless");
    option_list_add(&f.options.tables, "public.nowhere");
    ck_assert_msg(postgres_source_class.check(&f.context, &check, &err) == 0, "%s", err.text);
    expect(&f, "0 wal_level is logical");
    expect(&f, "1 max_slot_wal_keep_size is unlimited");
    expect(&f, "0 \"public\".\"keyed\" can be read");
    expect(&f, "2 \"public\".\"keyless\" has no primary key");
    expect(&f, "> ALTER TABLE \"public\".\"keyless\" REPLICA IDENTITY FULL;");
    expect(&f, "2 \"public\".\"nowhere\" does not exist.");
    finish(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {snapshot_then_changes, goes_on_inside_a_transaction,
                                  a_slot_beyond_the_position_is_fatal, check_says_what_is_missing};
    url = getenv("TIDEMILL_TEST_POSTGRES");
    if (!url) {
        fprintf(stderr,
                "SKIP: TIDEMILL_TEST_POSTGRES does not name a server: tests/support/with_postgres.sh runs this\n");
        return 77;
    }
    return unit_run("postgres_source", tests, sizeof(tests) / sizeof(tests[0]));
}
