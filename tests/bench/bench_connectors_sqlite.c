/* The SQLite sink beside a bare client of the same database library.
 *
 * Both write the same JSON records into a table of five columns, in transactions of 1,000 with the row of the position,
 * with a write-ahead log and synchronous = FULL: first all rows are new, then all are changed. The bare client prepares
 * one upsert, knows which members the records have and in which order, converts numbers by strtoll and strtod and binds
 * texts where they stand; it checks nothing. Rounds of both alternate, each on a file of its own; medians count. Keys
 * ascend: scattered over a table larger than a transaction they cost both a page of the log per row, and the device is
 * all that is measured.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "connectors/sqlite/sqlite_sink.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROWS 400000
#define BATCH 1000
#define ROUNDS 5

struct input {
    struct bytes text;
    struct record *records;
};

static void write_record(struct input *input, size_t id, unsigned round)
{
    bytes_append_format(&input->text,
                        "{\"id\":%zu,\"customer\":%zu,\"name\":\"customer number %zu of them\",\"total\":%zu.%02u,"
                        "\"placed\":%zu}",
                        id, id * 2654435761u % 100003, id % 4711, id % 997, round + 10, 1700000000000 + id * 61);
}

static void make_input(struct input *input, unsigned round)
{
    input->records = memory_alloc(ROWS * sizeof *input->records);
    size_t *starts = memory_alloc((ROWS + 1) * sizeof *starts);
    for (size_t i = 0; i < ROWS; i++) {
        starts[i] = input->text.size;
        write_record(input, i, round);
    }
    starts[ROWS] = input->text.size;
    for (size_t i = 0; i < ROWS; i++) {
        input->records[i].value = slice_of(input->text.data + starts[i], starts[i + 1] - starts[i]);
        input->records[i].offset = (int64_t)i;
    }
    free(starts);
}

static void free_input(struct input *input)
{
    bytes_free(&input->text);
    free(input->records);
}

/* Rows per second, first of new rows, then of changed ones. */
struct rates {
    double wall[2];
    double cpu[2];
};

struct watch {
    int64_t wall;
    int64_t cpu;
};

static struct watch watch_now(void)
{
    struct timespec cpu;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    return (struct watch){clock_monotonic_ns(&CLOCK_SYSTEM), (int64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec};
}

static void note(struct rates *rates, int round, struct watch start)
{
    struct watch now = watch_now();
    rates->wall[round] = ROWS * 1e9 / (double)(now.wall - start.wall);
    rates->cpu[round] = ROWS * 1e9 / (double)(now.cpu - start.cpu);
}

static void check(int failed, const char *text)
{
    if (failed) {
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
}

/* ---- the bare client ---- */

static void run_sql(sqlite3 *db, const char *sql)
{
    check(sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK,
          sqlite3_errmsg(db));
    return statement;
}

static void step(sqlite3 *db, sqlite3_stmt *statement)
{
    check(sqlite3_step(statement) != SQLITE_DONE, sqlite3_errmsg(db));
    sqlite3_reset(statement);
}

static void bare_row(sqlite3 *db, sqlite3_stmt *upsert, const char *at)
{
    char *end;
    sqlite3_bind_int64(upsert, 1, strtoll(at + strlen("{\"id\":"), &end, 10));
    sqlite3_bind_int64(upsert, 2, strtoll(end + strlen(",\"customer\":"), &end, 10));
    const char *name = end + strlen(",\"name\":\"");
    end = strchr(name, '"');
    sqlite3_bind_text(upsert, 3, name, (int)(end - name), SQLITE_STATIC);
    sqlite3_bind_double(upsert, 4, strtod(end + strlen("\",\"total\":"), &end));
    sqlite3_bind_int64(upsert, 5, strtoll(end + strlen(",\"placed\":"), &end, 10));
    step(db, upsert);
}

static void run_bare(const char *path, const struct input *inputs, struct rates *rates)
{
    sqlite3 *db = NULL;
    check(sqlite3_open(path, &db) != SQLITE_OK, "open");
    run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE positions (task TEXT PRIMARY KEY, "
                "next INTEGER) WITHOUT ROWID; INSERT INTO positions VALUES ('bench', 0)");
    sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *position = prepare(db, "UPDATE positions SET next = ?2 WHERE task = 'bench' AND next = ?1");
    sqlite3_stmt *upsert = prepare(
        db, "INSERT INTO orders (id, customer, name, total, placed) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET customer = excluded.customer, name = excluded.name, total = excluded.total, placed = excluded.placed");
    for (int round = 0; round < 2; round++) {
        struct watch start = watch_now();
        for (size_t i = 0; i < ROWS; i += BATCH) {
            step(db, begin);
            sqlite3_bind_int64(position, 1, (int64_t)(round * ROWS + i));
            sqlite3_bind_int64(position, 2, (int64_t)(round * ROWS + i + BATCH));
            step(db, position);
            for (size_t j = i; j < i + BATCH; j++) {
                bare_row(db, upsert, (const char *)inputs[round].records[j].value.data);
            }
            step(db, commit);
        }
        note(rates, round, start);
    }
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    sqlite3_finalize(position);
    sqlite3_finalize(upsert);
    sqlite3_close(db);
}

/* ---- the sink ---- */

static void run_sink(const char *path, const struct input *inputs, struct rates *rates)
{
    struct err err;
    struct connector_task *task = NULL;
    void *options = memory_alloc(sqlite_sink.options_size);
    option_defaults(sqlite_sink.options, options);
    option_set(sqlite_sink.options, options, "path", path, &err);
    option_set(sqlite_sink.options, options, "table", "orders", &err);
    option_set(sqlite_sink.options, options, "key", "id", &err);
    struct connector_context context = {.app = "bench", .name = "orders", .topic = "t", .tasks = 1, .options = options};
    check(sqlite_sink.open(&context, &task, &err), err.text);
    int64_t next = CONNECTOR_NO_OFFSET;
    for (int round = 0; round < 2; round++) {
        struct watch start = watch_now();
        for (size_t i = 0; i < ROWS; i += BATCH) {
            size_t bad;
            struct sink_batch batch = {inputs[round].records + i, BATCH, next, (int64_t)(round * ROWS + i + BATCH)};
            check(sqlite_sink.write(task, &batch, &bad, &err), err.text);
            next = batch.to;
        }
        note(rates, round, start);
    }
    sqlite_sink.close(task);
    option_free(sqlite_sink.options, options);
    free(options);
}

/* ---- both ---- */

typedef void run(const char *path, const struct input *inputs, struct rates *rates);

static struct rates run_on_new_file(run *writer, const struct input *inputs)
{
    char path[300], name[320];
    sqlite3 *db = NULL;
    struct rates rates;
    const char *parent = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tidemill-bench-%ld.sqlite", parent ? parent : "/tmp", (long)getpid());
    check(sqlite3_open(path, &db) != SQLITE_OK, "open");
    run_sql(db,
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, name TEXT, total REAL, placed INTEGER)");
    sqlite3_close(db);
    writer(path, inputs, &rates);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    return rates;
}

static int by_size(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return first < second ? -1 : first > second;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_size);
    return values[ROUNDS / 2];
}

static void report(const char *name, const struct rates *bare, const struct rates *sink, int round)
{
    double values[4][ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        values[0][i] = sink[i].wall[round];
        values[1][i] = bare[i].wall[round];
        values[2][i] = sink[i].wall[round] / bare[i].wall[round];
        values[3][i] = sink[i].cpu[round] / bare[i].cpu[round];
    }
    printf("%-27s %8.0f per s, bare client %8.0f per s, ratio %.2f, by processor time %.2f\n", name, median(values[0]),
           median(values[1]), median(values[2]), median(values[3]));
}

int main(void)
{
    struct input inputs[2] = {0};
    struct rates bare[ROUNDS], sink[ROUNDS];
    make_input(&inputs[0], 0);
    make_input(&inputs[1], 1);
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = run_on_new_file(run_bare, inputs);
        sink[i] = run_on_new_file(run_sink, inputs);
    }
    report("upserts of new rows", bare, sink, 0);
    report("upserts of rows that exist", bare, sink, 1);
    free_input(&inputs[0]);
    free_input(&inputs[1]);
    return 0;
}
