/* A SQLite source on a file of its own, for tests of one file; a test runs in a process of its own. */
#ifndef TIDEMILL_TESTS_SQLITE_SOURCE_H
#define TIDEMILL_TESTS_SQLITE_SOURCE_H

#include "connectors/sqlite/sqlite_source.h"

#include "tests/support/unit.h"

#include "base/json.h"
#include "base/memory.h"

#include <sqlite3.h>

static char path[64];
static void *options;
static struct connector_context context;
static struct connector_task *task;
static struct bytes position; /* of the last batch; empty: from the beginning */
static struct source_batch batch;
static struct err err;
static sqlite3 *db; /* the application's connection */

static inline void sql(const char *text)
{
    char *message = NULL;
    sqlite3_exec(db, text, NULL, NULL, &message);
    ck_assert_msg(!message, "%s: %s", text, message);
}

static inline int64_t number(const char *text)
{
    sqlite3_stmt *statement = NULL;
    ck_assert_msg(sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static inline void option(const char *name, const char *value)
{
    ck_assert_msg(option_set(sqlite_source.options, options, name, value, &err) == 0, "%s", err.text);
}

static inline void start(const char *schema)
{
    strcpy(path, "/tmp/tidemill-sqlite-source-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 20000);
    sql("PRAGMA journal_mode = WAL");
    sql(schema);
    options = memory_alloc(sqlite_source.options_size);
    option_defaults(sqlite_source.options, options);
    option("path", path);
    context = (struct connector_context){.app = "app", .name = "in", .tasks = 1, .options = options};
}

static inline int try_open(void)
{
    ck_assert_msg(sqlite_source.validate(options, &err) == 0, "%s", err.text);
    return sqlite_source.open(&context, position.size > 0 ? bytes_slice(&position) : SLICE_NULL, &task, &err);
}

static inline void open_source(void)
{
    ck_assert_msg(try_open() == 0, "%s", err.text);
}

static inline void close_source(void)
{
    if (task) {
        sqlite_source.close(task);
    }
    task = NULL;
}

static inline void refused(enum err_class class, const char *reason)
{
    ck_assert_int_eq(try_open(), -1);
    ck_assert_msg(err.class == class, "%s: %s", err_class_name(err.class), err.text);
    ck_assert_msg(strstr(err.text, reason) != NULL, "%s", err.text);
}

static inline int try_poll(int timeout_ms)
{
    batch = (struct source_batch){0};
    if (sqlite_source.poll(task, timeout_ms, &batch, &err) != 0) {
        return -1;
    }
    if (batch.position.data) {
        bytes_clear(&position);
        bytes_append_slice(&position, batch.position);
    }
    return 0;
}

/* Polls until a batch has records or nothing more is there. */
static inline void poll_records(void)
{
    do {
        ck_assert_msg(try_poll(0) == 0, "%s", err.text);
    } while (batch.count == 0 && batch.position.data);
}

/* "op key" of each record of the batch, and "-" for a tombstone. */
static inline void check_ops(const char *expected)
{
    struct bytes text = {0};
    struct slice op;
    poll_records();
    for (size_t i = 0; i < batch.count; i++) {
        const struct record *record = &batch.records[i];
        bytes_append_text(&text, i > 0 ? " " : "");
        if (slice_is_null(record->value)) {
            bytes_append_text(&text, "-");
        } else {
            ck_assert(json_member(record->value, slice_text("op"), &op));
            bytes_append_byte(&text, op.data[1]);
        }
        bytes_append_slice(&text, record->key);
    }
    ck_assert_str_eq(bytes_text(&text), expected);
    bytes_free(&text);
}

static inline void check_member(size_t record, const char *name, const char *expected)
{
    struct slice value;
    ck_assert(json_member(batch.records[record].value, slice_text(name), &value));
    ck_assert_msg(value.size == strlen(expected) && memcmp(value.data, expected, value.size) == 0, "%s: %.*s", name,
                  (int)value.size, (const char *)value.data);
}

static inline void end(void)
{
    close_source();
    sqlite3_close(db);
    char name[80];
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
    option_free(sqlite_source.options, options);
    free(options);
    bytes_free(&position);
}

#define ORDERS "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL)"

#endif
