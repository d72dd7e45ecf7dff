/* Polling PostgreSQL by the cursor "commit", beside a bare client that has the same rows sent by the same statement.
 *
 * The bare client knows the columns and their types, cuts the lines at tabs, and writes the same JSON by copying what
 * needs no quotes and quoting the rest; it looks for no escapes and keeps no position. Rounds alternate; medians count.
 * TIDEMILL_TEST_POSTGRES: the server's URL, as run.sh gives it.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_poll.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROWS 500000
#define FETCH 50000
#define ROUNDS 3
#define SOURCE (postgres_poll_connector.source)

static struct err err;
static const char *url;
static const struct connector_context bare_context = {.app = "bench", .name = "bare"};

static void check(bool failed)
{
    if (failed) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static PGconn *connect_to(void)
{
    PGconn *connection = postgres_connection_open(&bare_context, url, false, &err);
    check(!connection);
    return connection;
}

static void make_table(void)
{
    PGconn *connection = connect_to();
    check(postgres_connection_run(connection,
                                  "SET statement_timeout = 0; DROP TABLE IF EXISTS bench_poll; CREATE TABLE bench_poll "
                                  "(id bigint PRIMARY KEY, customer int, name text, total float8, placed timestamptz, "
                                  "tx xid8 NOT NULL DEFAULT pg_current_xact_id())",
                                  "bench", &err));
    for (int i = 0; i < 50; i++) { /* as many transactions */
        char sql[300];
        snprintf(
            sql, sizeof sql,
            "INSERT INTO bench_poll SELECT i, i %% 1000, 'customer number ' || i, i / 4.0, to_timestamp(1700000000 "
            "+ i) FROM generate_series(%d, %d) i",
            i * (ROWS / 50), (i + 1) * (ROWS / 50) - 1);
        check(postgres_connection_run(connection, sql, "bench", &err));
    }
    check(postgres_connection_run(connection, "CREATE INDEX ON bench_poll (tx, id)", "bench", &err));
    check(postgres_connection_run(connection, "VACUUM ANALYZE bench_poll", "bench", &err));
    PQfinish(connection);
}

/* ---- the bare client ---- */

static const char *append_cell(struct bytes *out, const char *name, const char *at, const char *quote)
{
    const char *tab = strpbrk(at, "\t\n");
    bytes_append_text(out, name);
    bytes_append_text(out, quote);
    bytes_append(out, at, (size_t)(tab - at));
    bytes_append_text(out, quote);
    return tab + 1;
}

static const char *write_row(struct bytes *out, const char *line)
{
    append_cell(out, "{\"id\":", line, "");
    bytes_append_byte(out, '}');
    const char *at = append_cell(out, "{\"id\":", line, "");
    at = append_cell(out, ",\"customer\":", at, "");
    at = append_cell(out, ",\"name\":", at, "\"");
    at = append_cell(out, ",\"total\":", at, "");
    at = append_cell(out, ",\"placed\":", at, "\"");
    bytes_append_byte(out, '}');
    return at;
}

static long bare_fetch(PGconn *connection, struct bytes *out, char *tx, char *id)
{
    char sql[500];
    char *line;
    long rows = 0;
    int size;
    snprintf(sql, sizeof sql,
             "COPY (SELECT id, customer, name, total, placed, tx::text, id::text FROM bench_poll WHERE tx < "
             "pg_snapshot_xmin(pg_current_snapshot()) AND (tx, id) > ('%s', '%s') ORDER BY bench_poll.tx, "
             "bench_poll.id LIMIT %d) TO STDOUT",
             tx, id, FETCH);
    check(postgres_connection_run(connection, sql, "bench", &err));
    while ((size = PQgetCopyData(connection, &line, 0)) > 0) {
        if (rows % SOURCE_BATCH_RECORDS == 0) {
            bytes_clear(out);
        }
        sscanf(write_row(out, line), "%19s %19s", tx, id);
        PQfreemem(line);
        rows++;
    }
    PQclear(PQgetResult(connection));
    PQclear(PQgetResult(connection));
    return rows;
}

static long run_bare(void)
{
    PGconn *connection = connect_to();
    struct bytes out = {0};
    char tx[20] = "0", id[20] = "0";
    long all = 0, rows;
    do {
        rows = bare_fetch(connection, &out, tx, id);
        all += rows;
    } while (rows == FETCH);
    bytes_free(&out);
    PQfinish(connection);
    return all;
}

/* ---- the source ---- */

static long run_source(void)
{
    struct connector_task *task = NULL;
    void *options = memory_alloc(SOURCE->options_size);
    option_defaults(SOURCE->options, options);
    static const char *const given[][2] = {{"table", "bench_poll"}, {"columns", "id"},    {"columns", "customer"},
                                           {"columns", "name"},     {"columns", "total"}, {"columns", "placed"}};
    check(option_set(SOURCE->options, options, "url", url, &err));
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        check(option_set(SOURCE->options, options, given[i][0], given[i][1], &err));
    }
    struct connector_context context = {.app = "bench", .name = "poll", .tasks = 1, .options = options};
    check(SOURCE->open(&context, SLICE_NULL, &task, &err));
    struct source_batch batch;
    long rows = 0;
    do {
        batch = (struct source_batch){0};
        check(SOURCE->poll(task, 1000, &batch, &err));
        rows += (long)batch.count;
    } while (!batch.at_end);
    SOURCE->close(task);
    option_free(SOURCE->options, options);
    free(options);
    return rows;
}

/* ---- both ---- */

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double measure(long (*run)(void), double *cpu_us)
{
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    double cpu = cpu_s();
    long rows = run();
    *cpu_us = (cpu_s() - cpu) * 1e6 / ROWS;
    if (rows < ROWS - 1) { /* the bare client begins behind the number 0 */
        fprintf(stderr, "only %ld rows\n", rows);
        exit(1);
    }
    return ROWS * 1e9 / (double)(clock_monotonic_ns(&CLOCK_SYSTEM) - start);
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

int main(void)
{
    double bare[ROUNDS], polled[ROUNDS], bare_cpu[ROUNDS], polled_cpu[ROUNDS];
    url = getenv("TIDEMILL_TEST_POSTGRES");
    if (!url) {
        fprintf(stderr, "TIDEMILL_TEST_POSTGRES is not set\n");
        return 1;
    }
    make_table();
    run_bare(); /* warms the server's memory */
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = measure(run_bare, &bare_cpu[i]);
        polled[i] = measure(run_source, &polled_cpu[i]);
    }
    printf("rows polled                 %8.0f per s, bare client %8.0f per s, ratio %.2f; processor %.2f and %.2f us a "
           "row\n",
           median(polled), median(bare), median(polled) / median(bare), median(polled_cpu), median(bare_cpu));
    return 0;
}
