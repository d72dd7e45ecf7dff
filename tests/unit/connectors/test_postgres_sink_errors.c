/* What goes wrong between the PostgreSQL sink and a real server, and what becomes of it. */
#include "base/clock.h"
#include "connectors/postgres/postgres.h"
#include "engine/sink_task.h"
#include "tests/support/postgres_sink.h"

#include <semaphore.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void expect(enum err_class class, enum err_code code, const char *text)
{
    ck_assert_msg(err.class == class && err.code == code && strstr(err.text, text), "class %d, code %d: %s", err.class,
                  err.code, err.text);
}

/* ---- the server goes away ---- */

START_TEST(restarted_server_has_each_row_once)
{
    setup("restarted", "CREATE TABLE restarted (n int)");
    set("mode", "insert");
    open_sink();
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1}"), 0);
    control("kill");
    ck_assert_int_eq(WRITE(1, "1", "{\"n\":2}"), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    postgres_sink_class.close(task);
    task = NULL;
    ck_assert_int_eq(postgres_sink_class.open(&context, &task, &err), -1);
    expect(ERR_RETRY, ERR_UNREACHABLE, "connecting");
    control("start");
    open_sink();
    ck_assert_int_eq(where(), 1);
    ck_assert_int_eq(WRITE(1, "1", "{\"n\":2}"), 0);
    PQreset(connection);
    ck_assert_str_eq(ask("SELECT string_agg(n::text, ' ' ORDER BY n) FROM restarted"), "1 2");
    teardown();
}
END_TEST

/* A trigger cuts the connection when the row 666 comes, or only at the commit. */
static void cut_connection(const char *name, const char *mode, const char *when)
{
    char sql[512];
    setup(name, "SELECT 1");
    snprintf(sql, sizeof(sql),
             "CREATE TABLE %s (n int PRIMARY KEY); CREATE FUNCTION cut_%s() RETURNS trigger LANGUAGE plpgsql AS"
             " 'BEGIN IF new.n = 666 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); END IF;"
             " RETURN new; END'; CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON %s %s FOR EACH ROW"
             " EXECUTE FUNCTION cut_%s()",
             name, name, name, when, name);
    run(sql);
    set("mode", mode);
    open_sink();
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1}"), 0);
    ck_assert_int_eq(WRITE(1, "2", "{\"n\":2}", "666", "{\"n\":666}", "3", "{\"n\":3}"), -1);
    expect(ERR_RETRY, ERR_UNREACHABLE, "57P01");
    postgres_sink_class.close(task);
    snprintf(sql, sizeof(sql), "DROP TRIGGER cut ON %s", name);
    run(sql);
    open_sink();
    ck_assert_int_eq(where(), 1);
    ck_assert_int_eq(WRITE(1, "2", "{\"n\":2}", "666", "{\"n\":666}", "3", "{\"n\":3}"), 0);
    snprintf(sql, sizeof(sql), "SELECT string_agg(n::text, ' ' ORDER BY n) FROM %s", name);
    ck_assert_str_eq(ask(sql), "1 2 3 666");
    teardown();
}

START_TEST(connection_cut_in_a_transaction)
{
    cut_connection("cut_upsert", "upsert", "NOT DEFERRABLE");
}
END_TEST

START_TEST(connection_cut_in_a_copy)
{
    cut_connection("cut_copy", "insert", "NOT DEFERRABLE");
}
END_TEST

START_TEST(connection_cut_at_the_commit)
{
    cut_connection("cut_commit", "upsert", "DEFERRABLE INITIALLY DEFERRED");
}
END_TEST

/* ---- something is missing ---- */

START_TEST(missing_table_and_rights_stop_with_advice)
{
    setup("absent", "CREATE TABLE guarded (n int PRIMARY KEY); CREATE ROLE guest LOGIN PASSWORD 'guest';"
                    "CREATE TABLE IF NOT EXISTS _tidemill_offsets (app text, name text, topic text, task int,"
                    " next bigint NOT NULL, PRIMARY KEY (app, name, topic, task))");
    ck_assert_int_eq(postgres_sink_class.open(&context, &task, &err), -1);
    expect(ERR_FATAL, ERR_CONFIG, "There is no table absent");
    ck_assert_msg(strstr(err.text, "auto_create"), "%s", err.text);

    char url[256];
    snprintf(url, sizeof(url), "postgresql://guest:guest@127.0.0.1:%s/postgres", PQport(connection));
    set("url", url);
    set("table", "guarded");
    ck_assert_int_eq(postgres_sink_class.open(&context, &task, &err), 0);
    int64_t next;
    ck_assert_int_eq(postgres_sink_class.position(task, &next, &err), -1);
    expect(ERR_FATAL, ERR_AUTH, "GRANT");
    run("GRANT ALL ON _tidemill_offsets TO guest");
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1}"), -1);
    expect(ERR_FATAL, ERR_AUTH, "permission denied for table guarded");
    run("GRANT INSERT, SELECT, UPDATE ON guarded TO guest");
    ck_assert_msg(WRITE(-1, "1", "{\"n\":1}") == 0, "%s", err.text);
    teardown();
}
END_TEST

START_TEST(positions_without_the_right_to_make_their_table)
{
    setup("unused", "DROP TABLE IF EXISTS _tidemill_offsets; CREATE TABLE IF NOT EXISTS unused (n int PRIMARY KEY);"
                    "CREATE ROLE visitor LOGIN PASSWORD 'visitor'");
    char url[256];
    snprintf(url, sizeof(url), "postgresql://visitor:visitor@127.0.0.1:%s/postgres", PQport(connection));
    set("url", url);
    ck_assert_int_eq(postgres_sink_class.open(&context, &task, &err), -1);
    expect(ERR_FATAL, ERR_AUTH, "CREATE TABLE IF NOT EXISTS _tidemill_offsets (app text");
    teardown();
}
END_TEST

/* ---- the server refuses ---- */

/* What the server says, by its SQLSTATE: a trigger says it. */
START_TEST(states_have_their_classes)
{
    static const struct {
        const char *state;
        enum err_class class;
        enum err_code code;
    } cases[] = {
        {"40001", ERR_RETRY, ERR_UNREACHABLE}, {"40P01", ERR_RETRY, ERR_UNREACHABLE},
        {"55P03", ERR_RETRY, ERR_UNREACHABLE}, {"57014", ERR_RETRY, ERR_UNREACHABLE},
        {"53100", ERR_RETRY, ERR_DISK_FULL},   {"53200", ERR_RETRY, ERR_UNREACHABLE},
        {"25006", ERR_RETRY, ERR_UNREACHABLE}, {"58030", ERR_RETRY, ERR_UNREACHABLE},
        {"22003", ERR_SKIP, ERR_RECORD},       {"23514", ERR_SKIP, ERR_RECORD},
        {"P0001", ERR_SKIP, ERR_RECORD},       {"54000", ERR_SKIP, ERR_RECORD},
        {"42501", ERR_FATAL, ERR_AUTH},        {"42883", ERR_FATAL, ERR_CONFIG},
        {"XX000", ERR_FATAL, ERR_FAILED},
    };
    setup("states", "CREATE TABLE states (id int PRIMARY KEY, state text);"
                    "CREATE FUNCTION say_state() RETURNS trigger LANGUAGE plpgsql AS"
                    " 'BEGIN RAISE EXCEPTION USING ERRCODE = new.state, MESSAGE = ''as asked''; END';"
                    "CREATE TRIGGER say BEFORE INSERT ON states FOR EACH ROW EXECUTE FUNCTION say_state()");
    open_sink();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char value[64];
        snprintf(value, sizeof(value), "{\"state\":\"%s\"}", cases[i].state);
        ck_assert_int_eq(WRITE(-1, "1", value), -1);
        expect(cases[i].class, cases[i].code, "as asked");
        ck_assert_msg(strstr(err.text, cases[i].state), "%s", err.text);
    }
    ck_assert_int_eq(where(), CONNECTOR_NO_OFFSET);
    teardown();
}
END_TEST

/* Writes three records of which the second is bad: nothing is written, and the text says why. */
static void expect_refused(const char *value, const char *text)
{
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1,\"u\":1}", "2", value, "3", "{\"n\":3,\"u\":3}"), -1);
    expect(ERR_SKIP, ERR_RECORD, text);
    ck_assert_msg(bad == 1 || bad == SINK_BAD_UNKNOWN, "%zu", bad);
    ck_assert_str_eq(ask("SELECT count(*) FROM refused"), "1");
    ck_assert_int_eq(where(), CONNECTOR_NO_OFFSET);
}

static void refuse_in_mode(const char *mode)
{
    setup("refused", "DROP TABLE IF EXISTS refused; CREATE TABLE refused (id int PRIMARY KEY, n numeric(4,1) NOT NULL,"
                     " u int UNIQUE, s varchar(3), d date, i int, f real, j jsonb, parent int);"
                     "INSERT INTO refused VALUES (9, 9, 9); ALTER TABLE refused ADD FOREIGN KEY (parent)"
                     " REFERENCES refused DEFERRABLE INITIALLY DEFERRED;"
                     "DROP TABLE IF EXISTS _tidemill_offsets");
    set("mode", mode);
    set("key", "id");
    open_sink();
    expect_refused("{\"n\":2,\"u\":9}", "refused_u_key");
    expect_refused("{\"n\":null}", "not-null");
    expect_refused("{\"s\":\"x\"}", "not-null");
    expect_refused("{\"n\":12345}", "numeric field overflow");
    expect_refused("{\"n\":\"much\"}", "much");
    expect_refused("{\"n\":2,\"i\":2147483648}", "\"i\" of type integer can't take 2147483648");
    expect_refused("{\"n\":2,\"i\":\"2147483648\"}", "out of range");
    expect_refused("{\"n\":2,\"i\":\"two\"}", "\"i\" of type integer can't take \"two\"");
    expect_refused("{\"n\":2,\"i\":2.5}", "\"i\" of type integer can't take 2.5");
    expect_refused("{\"n\":2,\"f\":1e40}", "out of range");
    expect_refused("{\"n\":2,\"s\":\"four\"}", "too long");
    expect_refused("{\"n\":2,\"s\":\"a\\u0000\"}", "\"s\" of type character varying(3) can't take");
    expect_refused("{\"n\":2,\"d\":\"2023-02-29\"}", "2023-02-29");
    expect_refused("{\"n\":2,\"j\":\"\\u0000\"}", "\\u0000");
    expect_refused("{\"n\":2,\"j\":1e1000000}", "numeric");
    expect_refused("{\"n\":2,\"parent\":77}", "foreign key");
    expect_refused("{\"n\":2,\"other\":77}", "Column \"other\" is not in table refused");
    expect_refused("[1]", "not an object");
    expect_refused("{\"n\":", "not JSON");
    ck_assert_msg(WRITE(-1, "1", "{\"n\":1,\"u\":1}", "3", "{\"n\":3,\"u\":3,\"parent\":1}") == 0, "%s", err.text);
    teardown();
}

START_TEST(refused_by_upsert)
{
    refuse_in_mode("upsert");
}
END_TEST

START_TEST(refused_by_copy)
{
    refuse_in_mode("insert");
}
END_TEST

START_TEST(renamed_column_is_named)
{
    setup("renamed", "CREATE TABLE renamed (id int PRIMARY KEY, n int, m int)");
    open_sink();
    ck_assert_int_eq(WRITE(-1, "1", "{\"n\":1,\"m\":1}"), 0);
    run("ALTER TABLE renamed RENAME n TO amount");
    ck_assert_int_eq(WRITE(1, "1", "{\"n\":2,\"m\":2}"), -1);
    expect(ERR_SKIP, ERR_RECORD, "Column \"n\" is not in table renamed");
    ck_assert_uint_eq(bad, 0);
    ck_assert_int_eq(where(), 1);
    run("ALTER TABLE renamed RENAME amount TO n");
    ck_assert_int_eq(WRITE(1, "1", "{\"n\":2,\"m\":2}"), 0);
    run("ALTER TABLE renamed RENAME id TO key");
    ck_assert_int_eq(WRITE(2, "1", "{\"n\":3,\"m\":3}"), 0); /* the primary key says its name */
    ck_assert_str_eq(ask("SELECT concat_ws(' ', key, n, m) FROM renamed"), "1 3 3");
    teardown();
}
END_TEST

/* ---- the disk is full ---- */

static const char *small_disk(void)
{
    return ask("SELECT regexp_replace(current_setting('data_directory'), '/[^/]*$', '/small')");
}

/* Also when the test has failed, since nobody could delete the server's files otherwise. */
static void drop_small_disk(void)
{
    char path[512], home[256] = "";
    snprintf(path, sizeof(path), "%s/home", getenv("TIDEMILL_TEST_POSTGRES_DIR"));
    FILE *file = fopen(path, "r");
    if (file && fgets(home, sizeof(home), file)) {
        home[strcspn(home, "\n")] = 0;
        snprintf(path, sizeof(path), "%s/small", home);
        umount2(path, MNT_DETACH);
    }
    if (file) {
        fclose(file);
    }
}

/* A place for tables of one megabyte, which only root can make. */
static bool make_small_disk(void)
{
    struct stat home;
    char path[4096], sql[5000];
    snprintf(path, sizeof(path), "%s", small_disk());
    if (mkdir(path, 0700) || mount("small", path, "tmpfs", 0, "size=1m")) {
        return false;
    }
    ck_assert_int_eq(stat(ask("SHOW data_directory"), &home), 0);
    ck_assert_int_eq(chown(path, home.st_uid, home.st_gid), 0);
    snprintf(sql, sizeof(sql), "CREATE TABLESPACE small LOCATION '%s'", path);
    run(sql);
    return true;
}

START_TEST(full_disk_is_waited_for)
{
    setup("filled", "SELECT 1");
    if (!make_small_disk()) {
        teardown(); /* states_have_their_classes says the same with less */
        return;
    }
    run("CREATE TABLE filled (id int PRIMARY KEY, t text) TABLESPACE small;"
        "CREATE TABLE ballast TABLESPACE small AS SELECT repeat('x', 7000) FROM generate_series(1, 60)");
    open_sink();
    char id[16], value[4096] = "{\"t\":\"";
    memset(value + strlen(value), 'y', 1500);
    strcat(value, "\"}");
    int64_t next = CONNECTOR_NO_OFFSET;
    int status = 0;
    for (int i = 0; i < 10000 && status == 0; i++) {
        snprintf(id, sizeof(id), "%d", i);
        status = WRITE(next, id, value);
        next = status == 0 ? i + 1 : next;
    }
    expect(ERR_RETRY, ERR_DISK_FULL, "No space left");
    ck_assert_int_eq(where(), next);
    run("DROP TABLE ballast");
    ck_assert_msg(WRITE(next, id, value) == 0, "%s", err.text);
    ck_assert_int_eq(atoi(ask("SELECT count(*) FROM filled")), (int)next + 1);
    teardown();
}
END_TEST

/* ---- several writers ---- */

#define TURNS 150

struct rival {
    pthread_t thread;
    int written, fenced;
    struct err err;
    bool good;
};

/* Takes itself for the only one: writes the next number, and after it was fenced goes on from the position. */
static void *write_as_rival(void *data)
{
    struct rival *rival = data;
    struct connector_task *own;
    size_t unused;
    int64_t next;
    if (postgres_sink_class.open(&context, &own, &rival->err)) {
        return NULL;
    }
    rival->good = postgres_sink_class.position(own, &next, &rival->err) == 0;
    while (rival->good && next < TURNS) {
        char value[32];
        snprintf(value, sizeof(value), "{\"n\":%d}", (int)next + (next < 0));
        const struct record record = {.key = slice_text("1"), .value = slice_text(value)};
        const struct sink_batch batch = {&record, 1, next, next + 1 + (next < 0)};
        if (postgres_sink_class.write(own, &batch, &unused, &rival->err) == 0) {
            next = batch.to;
            rival->written++;
        } else {
            rival->good = rival->err.class == ERR_FENCED && postgres_sink_class.position(own, &next, &rival->err) == 0;
            rival->fenced++;
        }
    }
    postgres_sink_class.close(own);
    return NULL;
}

START_TEST(rivals_write_each_record_once)
{
    struct rival rivals[3] = {0};
    setup("rivals", "CREATE TABLE rivals (n int)");
    set("mode", "insert");
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&rivals[i].thread, NULL, write_as_rival, &rivals[i]), 0);
    }
    int written = 0;
    for (size_t i = 0; i < 3; i++) {
        pthread_join(rivals[i].thread, NULL);
        ck_assert_msg(rivals[i].good, "%s", rivals[i].err.text);
        written += rivals[i].written;
    }
    ck_assert_int_eq(written, TURNS);
    ck_assert_str_eq(ask("SELECT concat_ws(' ', count(*), count(DISTINCT n), min(n), max(n)) FROM rivals"),
                     "150 150 0 149");
    teardown();
}
END_TEST

/* The sink has row 1 and wants row 2, the other session the other way round. A trigger makes the sink pause between the
 * two, so that it is the one who waits last, and whom the server ends. */
static const char deadlock_tables[] =
    "CREATE TABLE deadlocked (id int PRIMARY KEY, n int); INSERT INTO deadlocked VALUES (1, 0), (2, 0);"
    "CREATE FUNCTION pause_before_two() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN IF new.id = 2 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF; RETURN new; END';"
    "CREATE TRIGGER pause BEFORE INSERT ON deadlocked FOR EACH ROW EXECUTE FUNCTION pause_before_two();"
    "SELECT pg_advisory_lock(7)";

static void await_waiting(const char *who, const char *event)
{
    char sql[256];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s' AND wait_event = '%s'", who, event);
    while (strcmp(ask(sql), "1") != 0) {
        clock_sleep_ms(5);
    }
}

static void *write_both_rows(void *status)
{
    *(int *)status = WRITE(0, "1", "{\"n\":10}", "2", "{\"n\":10}");
    return NULL;
}

START_TEST(deadlock_is_tried_again)
{
    pthread_t writer;
    int status = 0;
    char url[512];
    setup("deadlocked", deadlock_tables);
    snprintf(url, sizeof(url), "%s?options=-c%%20deadlock_timeout%%3D20ms", getenv("TIDEMILL_TEST_POSTGRES"));
    set("url", url);
    open_sink();
    const struct sink_batch first_position = {NULL, 0, CONNECTOR_NO_OFFSET, 0};
    ck_assert_msg(postgres_sink_class.write(task, &first_position, &bad, &err) == 0, "%s", err.text);
    PGconn *other = PQconnectdb(getenv("TIDEMILL_TEST_POSTGRES"));
    PQclear(PQexec(other, "SET deadlock_timeout = '1h'; SET application_name = 'other'; BEGIN;"
                          "UPDATE deadlocked SET n = n + 1 WHERE id = 2"));
    ck_assert_int_eq(pthread_create(&writer, NULL, write_both_rows, &status), 0);
    await_waiting("tidemill app deadlocked", "advisory");
    ck_assert_int_eq(PQsendQuery(other, "UPDATE deadlocked SET n = n + 1 WHERE id = 1; COMMIT"), 1);
    await_waiting("other", "transactionid");
    PQclear(PQexec(connection, "SELECT pg_advisory_unlock(7)"));
    pthread_join(writer, NULL);
    ck_assert_int_eq(status, -1);
    expect(ERR_RETRY, ERR_UNREACHABLE, "40P01");
    for (PGresult *result; (result = PQgetResult(other)); PQclear(result)) {
        ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(other));
    }
    PQfinish(other);
    ck_assert_str_eq(ask("SELECT string_agg(n::text, ' ' ORDER BY id) FROM deadlocked"), "1 1");
    ck_assert_int_eq(where(), 0);
    ck_assert_msg(WRITE(0, "1", "{\"n\":10}", "2", "{\"n\":10}") == 0, "%s", err.text);
    ck_assert_str_eq(ask("SELECT string_agg(n::text, ' ' ORDER BY id) FROM deadlocked"), "10 10");
    ck_assert_int_eq(where(), 2);
    teardown();
}
END_TEST

/* ---- a bad record among many ---- */

#define MANY 10000
#define POISON 7321

static int writes;
static sem_t woken;

static int count_write(struct connector_task *own, const struct sink_batch *batch, size_t *index, struct err *error)
{
    writes++;
    return postgres_sink_class.write(own, batch, index, error);
}

static void wake(void *self)
{
    (void)self;
    sem_post(&woken);
}

static void put_all(struct sink_task *sink, int64_t *offset)
{
    for (; *offset < MANY && sink_task_room(sink); (*offset)++) {
        char value[64];
        snprintf(value, sizeof(value), "{\"id\":%d,\"n\":%d}", (int)*offset, *offset == POISON ? -1 : 1);
        struct record record = {.value = slice_text(value), .offset = *offset};
        sink_task_put(sink, &record, &record);
        sink_task_passed(sink, *offset + 1);
    }
    sink_task_flush(sink);
}

START_TEST(bad_record_among_many_is_found)
{
    setup("poisoned", "CREATE TABLE poisoned (id int PRIMARY KEY, n int CHECK (n > 0))");
    struct sink_class counting = postgres_sink_class;
    counting.write = count_write;
    const struct connector connector = {.kind = "postgres", .sink = &counting};
    const struct connector_use use = {.name = "poisoned",
                                      .connector = &connector,
                                      .options = &options,
                                      .topic = "input",
                                      .sink = true,
                                      .runner = {.retry_ms = 1, .retry_max_ms = 4, .batch = MANY}};
    const struct sink_task_config config = {
        .use = &use, .app = "app", .tasks = 1, .next = CONNECTOR_NO_OFFSET, .wake = wake};
    struct sink_task *sink;
    int64_t offset = 0, found, refused = -1;
    sem_init(&woken, 0, 0);
    ck_assert_int_eq(sink_task_open(&config, &sink, &err), 0);
    while (sink_task_acknowledged(sink) < MANY) {
        enum sink_event event = sink_task_look(sink, &found, &err);
        ck_assert_msg(event != SINK_FAILED, "%s", err.text);
        if (event == SINK_REFUSED) {
            ck_assert_msg(strstr(err.text, "poisoned_n_check"), "%s", err.text);
            refused = found;
            sink_task_pass(sink);
        }
        put_all(sink, &offset);
        sem_wait(&woken);
    }
    sink_task_close(sink);
    ck_assert_int_eq(refused, POISON);
    ck_assert_str_eq(ask("SELECT count(*) FROM poisoned"), "9999");
    ck_assert_int_le(writes, 30 + MANY / 4096);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {restarted_server_has_each_row_once,
                                  connection_cut_in_a_transaction,
                                  connection_cut_in_a_copy,
                                  connection_cut_at_the_commit,
                                  missing_table_and_rights_stop_with_advice,
                                  positions_without_the_right_to_make_their_table,
                                  states_have_their_classes,
                                  refused_by_upsert,
                                  refused_by_copy,
                                  renamed_column_is_named,
                                  full_disk_is_waited_for,
                                  rivals_write_each_record_once,
                                  deadlock_is_tried_again,
                                  bad_record_among_many_is_found};
    int status = postgres_main("postgres_sink_errors", tests, sizeof(tests) / sizeof(tests[0]));
    drop_small_disk();
    return status;
}
