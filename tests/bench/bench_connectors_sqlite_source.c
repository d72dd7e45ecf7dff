/* What the change log of a SQLite source costs those who write, and how fast it is read.
 *
 * Upserts in transactions of 1,000 into a table of five columns, new rows and then changed ones, with a write-ahead log
 * and synchronous = FULL, without and with the triggers; then the log that this left: by a bare loop that steps through
 * its rows and looks at each value, and by the source, which makes change events with old and new rows of them. At last
 * the snapshot of the table, beside a bare SELECT. Medians of rounds, each on a file of its own.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "connectors/sqlite/sqlite_source.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROWS 200000
#define BATCH 1000
#define ROUNDS 3

static struct err err;
static char path[300];
static void *options;
static struct connector_context context;

static void check(int failed, const char *text)
{
    if (failed) {
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
}

static sqlite3 *open_file(void)
{
    sqlite3 *db = NULL;
    check(sqlite3_open(path, &db) != SQLITE_OK, "open");
    check(sqlite3_exec(db,
                       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS orders (id "
                       "INTEGER PRIMARY KEY, customer INTEGER, name TEXT, total REAL, placed INTEGER)",
                       NULL, NULL, NULL) != SQLITE_OK,
          sqlite3_errmsg(db));
    return db;
}

static void remove_file(void)
{
    char name[320];
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK, sqlite3_errmsg(db));
    return statement;
}

/* Of this program on a processor: reading waits for nothing, and others that run have no part in it. */
static int64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double seconds_since(int64_t start)
{
    return (double)(clock_monotonic_ns(&CLOCK_SYSTEM) - start) / 1e9;
}

/* Upserts per second over both rounds. */
static double run_writer(void)
{
    sqlite3 *db = open_file();
    sqlite3_stmt *upsert = prepare(
        db, "INSERT INTO orders (id, customer, name, total, placed) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET customer = excluded.customer, name = excluded.name, total = excluded.total, placed = excluded.placed");
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    for (int i = 0; i < 2 * ROWS; i++) {
        char name[60];
        int size = snprintf(name, sizeof name, "customer number %d of them", i % 4711);
        if (i % BATCH == 0) {
            sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        }
        sqlite3_bind_int(upsert, 1, i % ROWS);
        sqlite3_bind_int(upsert, 2, i % 100003);
        sqlite3_bind_text(upsert, 3, name, size, SQLITE_STATIC);
        sqlite3_bind_double(upsert, 4, i / 4.0);
        sqlite3_bind_int64(upsert, 5, 1700000000000 + i);
        check(sqlite3_step(upsert) != SQLITE_DONE, sqlite3_errmsg(db));
        sqlite3_reset(upsert);
        if (i % BATCH == BATCH - 1) {
            sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        }
    }
    double rate = 2 * ROWS / seconds_since(start);
    sqlite3_finalize(upsert);
    sqlite3_close(db);
    return rate;
}

/* Steps through all rows and looks at each value. */
static double run_select(const char *sql)
{
    sqlite3 *db = open_file();
    sqlite3_stmt *rows = prepare(db, sql);
    long count = 0, sum = 0;
    int64_t start = processor_ns();
    while (sqlite3_step(rows) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(rows); i++) {
            if (sqlite3_column_type(rows, i) == SQLITE_TEXT) {
                sum += sqlite3_column_text(rows, i)[0];
            } else {
                sum += sqlite3_column_int64(rows, i);
            }
        }
        count++;
    }
    double rate = (double)count * 1e9 / (double)(processor_ns() - start);
    __asm__ volatile("" : : "r"(sum)); /* keeps the reads */
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return rate;
}

static void poll_once(struct connector_task *task, struct source_batch *batch)
{
    *batch = (struct source_batch){0};
    check(sqlite_source.poll(task, 0, batch, &err), err.text);
}

/* A log that is there is forgotten with the position: the empty table is watched anew. */
static void watch(struct bytes *position)
{
    struct connector_task *task = NULL;
    struct source_batch batch;
    check(sqlite_source.open(&context, SLICE_NULL, &task, &err), err.text);
    do {
        poll_once(task, &batch);
        if (batch.position.data) {
            bytes_clear(position);
            bytes_append_slice(position, batch.position);
        }
    } while (!batch.at_end);
    sqlite_source.close(task);
}

static double run_source(struct slice position)
{
    struct connector_task *task = NULL;
    struct source_batch batch;
    long count = 0;
    check(sqlite_source.open(&context, position, &task, &err), err.text);
    int64_t start = processor_ns();
    do {
        poll_once(task, &batch);
        count += (long)batch.count;
    } while (!batch.at_end);
    double rate = (double)count * 1e9 / (double)(processor_ns() - start);
    sqlite_source.close(task);
    return rate;
}

enum { PLAIN, LOGGED, LOG_BARE, LOG_SOURCE, TABLE_BARE, TABLE_SOURCE, FIGURES };

static void run_round(double *figures)
{
    struct bytes position = {0};
    remove_file();
    figures[PLAIN] = run_writer();
    remove_file();
    sqlite3_close(open_file());
    watch(&position);
    figures[LOGGED] = run_writer();
    figures[LOG_BARE] = run_select("SELECT * FROM \"_tidemill_log:bench:orders\" ORDER BY seq");
    figures[LOG_SOURCE] = run_source(bytes_slice(&position));
    figures[TABLE_BARE] = run_select("SELECT * FROM orders ORDER BY id");
    figures[TABLE_SOURCE] = run_source(SLICE_NULL);
    remove_file();
    bytes_free(&position);
}

static int by_size(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return first < second ? -1 : first > second;
}

int main(void)
{
    double rounds[ROUNDS][FIGURES], medians[FIGURES];
    const char *parent = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tidemill-bench-%ld.sqlite", parent ? parent : "/tmp", (long)getpid());
    options = memory_alloc(sqlite_source.options_size);
    option_defaults(sqlite_source.options, options);
    check(option_set(sqlite_source.options, options, "path", path, &err), err.text);
    check(option_set(sqlite_source.options, options, "tables", "orders", &err), err.text);
    context = (struct connector_context){.app = "bench", .name = "orders", .tasks = 1, .options = options};
    for (int i = 0; i < ROUNDS; i++) {
        run_round(rounds[i]);
    }
    for (int figure = 0; figure < FIGURES; figure++) {
        double values[ROUNDS];
        for (int i = 0; i < ROUNDS; i++) {
            values[i] = rounds[i][figure];
        }
        qsort(values, ROUNDS, sizeof *values, by_size);
        medians[figure] = values[ROUNDS / 2];
    }
    printf("upserts                     %8.0f per s, with the change log %8.0f per s, cost %.1f times\n",
           medians[PLAIN], medians[LOGGED], medians[PLAIN] / medians[LOGGED]);
    printf("change log                  %8.0f rows per s of processor time read, %8.0f change events per s\n",
           medians[LOG_BARE], medians[LOG_SOURCE]);
    printf("snapshot                    %8.0f rows per s of processor time read, %8.0f change events per s\n",
           medians[TABLE_BARE], medians[TABLE_SOURCE]);
    option_free(sqlite_source.options, options);
    free(options);
    return 0;
}
