#include "connectors/sqlite/sqlite_sink.h"

#include "tests/support/unit.h"

#include "base/memory.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- a sink on a file of its own ---- */

struct fixture {
    char path[64];
    void *options;
    struct connector_context context;
    struct connector_task *task;
    size_t bad;
    int64_t next;
    struct err err;
};

static void run_sql(const struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &message);
    ck_assert_msg(!message, "%s", message);
    sqlite3_close(db);
}

/* The first column of the first row as text. */
static void check_sql(const struct fixture *f, const char *sql, const char *expected)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    ck_assert_str_eq(text ? text : "null", expected);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void option(struct fixture *f, const char *name, const char *value)
{
    ck_assert_msg(option_set(sqlite_sink.options, f->options, name, value, &f->err) == 0, "%s", f->err.text);
}

static void start(struct fixture *f, const char *sql)
{
    *f = (struct fixture){.path = "/tmp/tidemill-sqlite-sink-XXXXXX"};
    int fd = mkstemp(f->path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    run_sql(f, sql);
    f->options = memory_alloc(sqlite_sink.options_size);
    option_defaults(sqlite_sink.options, f->options);
    option(f, "path", f->path);
    option(f, "table", "t");
    f->context = (struct connector_context){
        .app = "app", .name = "out", .topic = "in", .tasks = 1, .json_keys = true, .options = f->options};
}

static void open_sink(struct fixture *f)
{
    ck_assert_msg(sqlite_sink.validate(f->options, &f->err) == 0, "%s", f->err.text);
    ck_assert_msg(sqlite_sink.open(&f->context, &f->task, &f->err) == 0, "%s", f->err.text);
    ck_assert_msg(sqlite_sink.position(f->task, &f->next, &f->err) == 0, "%s", f->err.text);
}

static void start_keyed(struct fixture *f, const char *sql)
{
    start(f, sql);
    option(f, "key", "id");
}

static void end(struct fixture *f)
{
    if (f->task) {
        sqlite_sink.close(f->task);
    }
    char path[80];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
        unlink(path);
    }
    option_free(sqlite_sink.options, f->options);
    free(f->options);
}

/* Pairs of key and value; NULL is null. */
static int write_pairs(struct fixture *f, const char *const *pairs, size_t count)
{
    struct record records[8] = {0};
    for (size_t i = 0; i < count; i++) {
        records[i] = (struct record){.key = slice_text(pairs[2 * i]), .value = slice_text(pairs[2 * i + 1])};
    }
    int64_t to = (f->next == CONNECTOR_NO_OFFSET ? 0 : f->next) + (int64_t)count;
    struct sink_batch batch = {records, count, f->next, to};
    int result = sqlite_sink.write(f->task, &batch, &f->bad, &f->err);
    f->next = result == 0 ? to : f->next;
    return result;
}

#define WRITE(f, ...)                                                                                                  \
    write_pairs(f, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *) / 2)
#define WRITTEN(f, ...) ck_assert_msg(WRITE(f, __VA_ARGS__) == 0, "%s", (f)->err.text)

static void check_bad(const struct fixture *f, size_t index, const char *named)
{
    ck_assert_msg(f->err.class == ERR_SKIP, "%s: %s", err_class_name(f->err.class), f->err.text);
    ck_assert_uint_eq(f->bad, index);
    ck_assert_msg(strstr(f->err.text, named) != NULL, "%s", f->err.text);
}

#define TABLE "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL, c INTEGER NOT NULL DEFAULT 7)"
#define ROWS "SELECT group_concat(id || ':' || ifnull(a, '-') || ':' || ifnull(b, '-'), ' ') FROM t"

/* ---- modes ---- */

START_TEST(upsert_changes_only_the_columns_given)
{
    struct fixture f;
    start_keyed(&f, TABLE);
    open_sink(&f);
    ck_assert_int_eq(f.next, CONNECTOR_NO_OFFSET);
    WRITTEN(&f, "1", "{\"id\":1,\"a\":\"x\\u00e9\",\"b\":1.5}", "2", "{\"a\":\"y\"}", "1", "{\"id\":1,\"b\":2.5}");
    check_sql(&f, ROWS, "1:x\xc3\xa9:2.5 2:y:-");
    check_sql(&f, "SELECT next FROM _tidemill_offsets", "3");
    end(&f);
}
END_TEST

START_TEST(upsert_of_a_row_that_exists_needs_no_not_null_columns)
{
    struct fixture f;
    start_keyed(&f,
                "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT NOT NULL, b INTEGER); INSERT INTO t VALUES (1, 'x', 0)");
    open_sink(&f);
    WRITTEN(&f, NULL, "{\"id\":\"1\",\"b\":5}");
    check_sql(&f, ROWS, "1:x:5");
    ck_assert_int_eq(WRITE(&f, NULL, "{\"id\":\"1\",\"b\":6}", NULL, "{\"id\":\"2\",\"b\":5}"), -1);
    check_bad(&f, 1, "t.a");
    check_sql(&f, ROWS, "1:x:5");
    end(&f);
}
END_TEST

START_TEST(insert_appends)
{
    struct fixture f;
    start(&f, "CREATE TABLE t (id INTEGER, a TEXT, b REAL)");
    open_sink(&f);
    WRITTEN(&f, NULL, "{\"id\":1,\"a\":true}", NULL, "{\"id\":1,\"a\":[1, 2]}", NULL, NULL);
    check_sql(&f, ROWS, "1:1:- 1:[1, 2]:-");
    end(&f);
}
END_TEST

START_TEST(update_makes_no_rows)
{
    struct fixture f;
    start_keyed(&f, TABLE "; INSERT INTO t (id, a) VALUES (1, 'old')");
    option(&f, "mode", "update");
    open_sink(&f);
    WRITTEN(&f, "1", "{\"a\":\"new\"}", "2", "{\"a\":\"none\"}", "1", "{}");
    check_sql(&f, ROWS, "1:new:-");
    end(&f);
}
END_TEST

START_TEST(tombstones_delete_when_asked)
{
    struct fixture f;
    start_keyed(&f, TABLE);
    option(&f, "delete", "true");
    open_sink(&f);
    WRITTEN(&f, "1", "{\"a\":\"x\"}", "{\"id\":2}", "{\"a\":\"y\"}", "1", NULL, "[3]", "{}", "[3]", NULL);
    check_sql(&f, ROWS, "2:y:-");
    WRITTEN(&f, "2", NULL, "2", "{\"b\":1}");
    check_sql(&f, ROWS, "2:-:1.0");
    ck_assert_int_eq(WRITE(&f, NULL, NULL), -1);
    check_bad(&f, 0, "\"id\"");
    end(&f);
}
END_TEST

START_TEST(tombstones_are_passed_over_otherwise)
{
    struct fixture f;
    start_keyed(&f, TABLE);
    f.context.json_keys = false;
    open_sink(&f);
    WRITTEN(&f, "1", "{\"a\":\"x\"}", "1", NULL);
    check_sql(&f, ROWS, "1:x:-");
    end(&f);
}
END_TEST

/* ---- positions ---- */

START_TEST(position_survives_and_moves_alone)
{
    struct fixture f;
    start_keyed(&f, TABLE);
    open_sink(&f);
    WRITTEN(&f, "1", "{}", "2", "{}");
    struct sink_batch batch = {NULL, 0, 2, 10};
    ck_assert_int_eq(sqlite_sink.write(f.task, &batch, &f.bad, &f.err), 0);
    sqlite_sink.close(f.task);
    open_sink(&f);
    ck_assert_int_eq(f.next, 10);
    end(&f);
}
END_TEST

START_TEST(second_writer_is_fenced)
{
    struct fixture f;
    start_keyed(&f, TABLE);
    open_sink(&f);
    struct fixture other = f;
    open_sink(&other);
    WRITTEN(&f, "1", "{\"a\":\"first\"}");
    ck_assert_int_eq(WRITE(&other, "1", "{\"a\":\"second\"}"), -1);
    ck_assert_int_eq(other.err.class, ERR_FENCED);
    check_sql(&f, ROWS, "1:first:-");
    ck_assert_int_eq(sqlite_sink.position(other.task, &other.next, &other.err), 0);
    ck_assert_int_eq(other.next, 1);
    WRITTEN(&other, "1", "{\"a\":\"second\"}");
    ck_assert_int_eq(WRITE(&f, "1", "{\"a\":\"third\"}"), -1);
    ck_assert_int_eq(f.err.class, ERR_FENCED);
    check_sql(&f, ROWS, "1:second:-");
    sqlite_sink.close(other.task);
    end(&f);
}
END_TEST

static bool always(void *self)
{
    (void)self;
    return true;
}

START_TEST(lock_of_another_program_is_retried)
{
    struct fixture f;
    start_keyed(&f, TABLE);
    open_sink(&f);
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(f.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    f.context.stopping = always;
    ck_assert_int_eq(WRITE(&f, "1", "{}"), -1);
    ck_assert_int_eq(f.err.class, ERR_RETRY);
    sqlite3_close(db);
    WRITTEN(&f, "1", "{}");
    end(&f);
}
END_TEST

/* ---- bad records ---- */

START_TEST(bad_records_are_named)
{
    struct fixture f;
    start_keyed(&f, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER CHECK (b > 0)) STRICT");
    open_sink(&f);
    const char *good = "{\"id\":1,\"a\":\"x\"}";
    ck_assert_int_eq(WRITE(&f, "1", good, "2", "{\"b\":\"many\"}"), -1);
    check_bad(&f, 1, "t.b");
    ck_assert_int_eq(WRITE(&f, "1", good, "2", "{\"a\":\"x\"}"), -1);
    check_bad(&f, 1, "t.a");
    ck_assert_int_eq(WRITE(&f, "1", "{\"b\":0}", "1", good), -1);
    check_bad(&f, 0, "b > 0");
    ck_assert_int_eq(WRITE(&f, "\"k\"", "{}"), -1);
    check_bad(&f, 0, "id");
    ck_assert_int_eq(WRITE(&f, "1", good, "1", "{\"d\":1}"), -1);
    check_bad(&f, 1, "\"d\"");
    ck_assert_int_eq(WRITE(&f, "1", good, "1", "[1]"), -1);
    check_bad(&f, 1, "object");
    ck_assert_int_eq(WRITE(&f, "1", good, "1", "{\"a\":"), -1);
    check_bad(&f, 1, "not JSON");
    ck_assert_int_eq(WRITE(&f, "null", "{\"a\":\"y\"}"), -1);
    check_bad(&f, 0, "\"id\"");
    check_sql(&f, "SELECT count(*) FROM t", "0");
    check_sql(&f, "SELECT count(*) FROM _tidemill_offsets", "0");
    WRITTEN(&f, "1", good);
    end(&f);
}
END_TEST

/* ---- tables ---- */

START_TEST(missing_tables_are_created_and_widened)
{
    struct fixture f;
    start_keyed(&f, "SELECT 1");
    option(&f, "auto_create", "true");
    option(&f, "auto_evolve", "true");
    option(&f, "delete", "true");
    open_sink(&f);
    WRITTEN(&f, "1", NULL, "\"k\"", "{\"n\":1,\"later\":null}", "\"l\"", "{\"later\":\"x\",\"o\":{\"p\":1}}");
    check_sql(&f, "SELECT group_concat(name || ' ' || type || ' ' || pk) FROM pragma_table_info('t')",
              "id TEXT 1,n INTEGER 0,later TEXT 0,o TEXT 0");
    ck_assert_int_eq(WRITE(&f, "\"k\"", "{\"gone\":1}", "\"k\"", "{"), -1);
    WRITTEN(&f, "\"k\"", "{\"gone\":2}");
    check_sql(&f, "SELECT gone FROM t WHERE id = 'k'", "2");
    end(&f);
}
END_TEST

START_TEST(columns_of_a_failed_batch_are_added_again)
{
    struct fixture f;
    start_keyed(&f, "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    option(&f, "auto_evolve", "true");
    open_sink(&f);
    ck_assert_int_eq(WRITE(&f, "1", "{\"new\":1}", "\"no number\"", "{}"), -1);
    check_bad(&f, 1, "id");
    WRITTEN(&f, "1", "{\"new\":3}");
    check_sql(&f, "SELECT new FROM t", "3");
    end(&f);
}
END_TEST

START_TEST(unfit_tables_are_fatal)
{
    struct fixture f;
    start_keyed(&f, "CREATE TABLE t (id INTEGER, a TEXT)");
    ck_assert_int_eq(sqlite_sink.open(&f.context, &f.task, &f.err), -1);
    ck_assert_int_eq(f.err.class, ERR_FATAL);
    run_sql(&f, "DROP TABLE t");
    ck_assert_int_eq(sqlite_sink.open(&f.context, &f.task, &f.err), -1);
    ck_assert_msg(strstr(f.err.text, "auto_create") != NULL, "%s", f.err.text);
    option(&f, "table", "_tidemill_offsets");
    ck_assert_int_eq(sqlite_sink.validate(f.options, &f.err), -1);
    f.task = NULL;
    end(&f);
}
END_TEST

struct findings {
    enum connector_finding last;
    char text[256];
};

static void note_finding(void *self, enum connector_finding finding, const char *text)
{
    struct findings *findings = self;
    findings->last = finding;
    snprintf(findings->text, sizeof(findings->text), "%s", text);
}

START_TEST(check_says_what_is_missing)
{
    struct fixture f;
    start_keyed(&f, "CREATE TABLE t (id INTEGER, a TEXT)");
    struct findings findings = {0};
    struct connector_check check = {.say = note_finding, .self = &findings};
    ck_assert_int_eq(sqlite_sink.check(&f.context, &check, &f.err), 0);
    ck_assert_int_eq(findings.last, FINDING_BAD);
    run_sql(&f, "CREATE UNIQUE INDEX i ON t (id)");
    ck_assert_int_eq(sqlite_sink.check(&f.context, &check, &f.err), 0);
    ck_assert_msg(findings.last == FINDING_GOOD, "%s", findings.text);
    option(&f, "path", "/nowhere/at/all.db");
    ck_assert_int_eq(sqlite_sink.check(&f.context, &check, &f.err), -1);
    option(&f, "auto_create", "true");
    ck_assert_int_eq(sqlite_sink.check(&f.context, &check, &f.err), 0);
    ck_assert_int_eq(findings.last, FINDING_WARNING);
    end(&f);
}
END_TEST

/* ---- a full disk ---- */

/* A limit on the size of files is to SQLite what a full disk is. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_full_disk_is_tried_again)
{
    struct fixture f;
    start_keyed(&f, TABLE);
    open_sink(&f);
    struct bytes value = {0};
    bytes_append_text(&value, "{\"id\":1,\"a\":\"");
    memset(bytes_reserve(&value, 200000), 'x', 200000);
    value.size += 200000;
    bytes_append_text(&value, "\"}");
    WRITTEN(&f, "1", "{\"id\":1,\"a\":\"short\"}");
    limit_files(128 << 10);
    ck_assert_int_eq(WRITE(&f, "1", bytes_text(&value)), -1);
    limit_files(RLIM_INFINITY);
    ck_assert_msg(f.err.class == ERR_RETRY && strstr(f.err.text, "full"), "%s", f.err.text);
    check_sql(&f, "SELECT a FROM t", "short");
    sqlite_sink.close(f.task);
    open_sink(&f);
    ck_assert_int_eq(f.next, 1);
    WRITTEN(&f, "1", bytes_text(&value));
    check_sql(&f, "SELECT length(a) FROM t", "200000");
    bytes_free(&value);
    end(&f);
}
END_TEST

/* ---- killed ---- */

/* As the runner does: after an error the position is asked again. */
static void write_for_ever(struct fixture *f)
{
    unit_in_child();
    char values[7][40];
    struct record records[7];
    for (;;) {
        int64_t next = CONNECTOR_NO_OFFSET;
        if (!f->task && sqlite_sink.open(&f->context, &f->task, &f->err) != 0) {
            continue;
        }
        if (sqlite_sink.position(f->task, &next, &f->err) != 0) {
            continue;
        }
        int64_t first = next < 0 ? 0 : next;
        for (size_t i = 0; i < 7; i++) {
            snprintf(values[i], sizeof(values[i]), "{\"id\":%lld,\"x\":1}", (long long)(first + (int64_t)i) % 50);
            records[i] = (struct record){.value = slice_text(values[i]), .offset = first + (int64_t)i};
        }
        struct sink_batch batch = {records, 7, next, first + 7};
        if (sqlite_sink.write(f->task, &batch, &f->bad, &f->err) != 0 && f->err.class != ERR_FENCED &&
            f->err.class != ERR_RETRY) {
            _exit(1);
        }
    }
}

/* Every write of a row is counted, so that doing it twice is noticed, and two write at the same time. */
START_TEST(killed_at_any_time_every_record_is_written_once)
{
    struct fixture f;
    start_keyed(&f, "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER); CREATE TABLE total (n); INSERT INTO "
                    "total VALUES (0); CREATE TRIGGER i AFTER INSERT ON t BEGIN UPDATE total SET n = n + 1; END; "
                    "CREATE TRIGGER u AFTER UPDATE ON t BEGIN UPDATE total SET n = n + 1; END");
    pid_t children[2] = {0, 0};
    for (int i = 0; i < 40; i++) {
        pid_t *child = &children[i % 2];
        if (*child > 0) {
            int status;
            kill(*child, SIGKILL);
            ck_assert_int_eq(waitpid(*child, &status, 0), *child);
            ck_assert_msg(WIFSIGNALED(status), "status %d", WEXITSTATUS(status));
        }
        *child = fork();
        if (*child == 0) {
            write_for_ever(&f);
        }
        usleep((useconds_t)(3000 + i * 937));
    }
    for (int i = 0; i < 2; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    open_sink(&f);
    char expected[32];
    snprintf(expected, sizeof(expected), "%lld", (long long)(f.next < 0 ? 0 : f.next));
    check_sql(&f, "SELECT n FROM total", expected);
    end(&f);
}
END_TEST

UNIT_MAIN("sqlite_sink", a_full_disk_is_tried_again, killed_at_any_time_every_record_is_written_once,
          upsert_changes_only_the_columns_given, upsert_of_a_row_that_exists_needs_no_not_null_columns, insert_appends,
          update_makes_no_rows, tombstones_delete_when_asked, tombstones_are_passed_over_otherwise,
          position_survives_and_moves_alone, second_writer_is_fenced, lock_of_another_program_is_retried,
          bad_records_are_named, missing_tables_are_created_and_widened, columns_of_a_failed_batch_are_added_again,
          unfit_tables_are_fatal, check_says_what_is_missing)
