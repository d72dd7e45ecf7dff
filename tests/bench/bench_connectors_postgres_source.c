/* Changes of PostgreSQL through the source, beside a bare client that takes the same stream and counts its messages.
 *
 * A transaction of 1M rows, then a backlog of one-row transactions, each read in turns from the same position of the
 * same slot; the clock runs from the first event, since the server looks through its log before that.
 * Then the snapshot of the table, beside the same COPY into a client that counts lines.
 * Arguments: rows, transactions, rounds. TIDEMILL_TEST_POSTGRES: the server's URL, as run.sh gives it.
 */
#include "base/clock.h"
#include "connectors/postgres/pgoutput.h"
#include "connectors/postgres/postgres_connection.h"
#include "connectors/postgres/postgres_source.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define MOST_ROUNDS 16

struct reading {
    long records;
    long at_first; /* of them, when the clock started */
    int64_t start, end;
    double cpu;
};

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

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void count(struct reading *reading, long records)
{
    int64_t now = clock_monotonic_ns(&CLOCK_SYSTEM);
    if (reading->records == 0) {
        reading->start = now;
        reading->at_first = records;
        reading->cpu = cpu_s();
    }
    reading->records += records;
    reading->end = now;
}

static double rate(struct reading *reading)
{
    reading->cpu = cpu_s() - reading->cpu;
    return (double)(reading->records - reading->at_first) * 1e9 / (double)(reading->end - reading->start);
}

static void run(const char *sql)
{
    PGconn *connection = postgres_connection_open(&bare_context, url, false, &err);
    check(!connection);
    check(postgres_connection_run(connection, "SET statement_timeout = 0; SET synchronous_commit = off", "preparing",
                                  &err));
    check(postgres_connection_run(connection, sql, "preparing", &err));
    PQfinish(connection);
}

/* ---- the bare client ---- */

static PGconn *start_bare(const char *slot)
{
    char sql[256];
    snprintf(sql, sizeof sql, "START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names '%s')", slot,
             slot);
    for (;;) { /* the reader before may still be leaving */
        PGconn *connection = postgres_connection_open(&bare_context, url, true, &err);
        check(!connection);
        if (postgres_connection_run(connection, sql, "starting", &err) == 0) {
            return connection;
        }
        check(err.class != ERR_RETRY);
        PQfinish(connection);
        poll(NULL, 0, 100);
    }
}

static void read_bare(const char *slot, long rows, struct reading *reading)
{
    PGconn *connection = start_bare(slot);
    *reading = (struct reading){0};
    while (reading->records < rows) {
        char *data;
        int size = PQgetCopyData(connection, &data, 1);
        if (size == 0) {
            struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
            poll(&wait, 1, 1000);
            check(!PQconsumeInput(connection) && postgres_connection_fail(connection, NULL, "reading", &err));
            continue;
        }
        check(size < 0 && postgres_connection_fail(connection, NULL, "reading", &err));
        if (data[0] == PGOUTPUT_DATA && size > 25 && data[25] == PGOUTPUT_INSERT) {
            if (reading->records == 0 || reading->records == rows - 1) {
                count(reading, 1);
            } else {
                reading->records++;
            }
        }
        PQfreemem(data);
    }
    PQfinish(connection);
}

static void read_bare_copy(const char *slot, long rows, struct reading *reading)
{
    char sql[128];
    PGconn *connection = postgres_connection_open(&bare_context, url, false, &err);
    snprintf(sql, sizeof sql, "COPY (SELECT * FROM %s ORDER BY id) TO STDOUT", slot);
    check(!connection || postgres_connection_run(connection, "SET enable_sort = off", "copying", &err) ||
          postgres_connection_run(connection, sql, "copying", &err));
    *reading = (struct reading){0};
    while (reading->records < rows) {
        char *data;
        int size = PQgetCopyData(connection, &data, 0);
        check(size < 0 && postgres_connection_fail(connection, NULL, "reading", &err));
        if (reading->records == 0 || reading->records == rows - 1) {
            count(reading, 1);
        } else {
            reading->records++;
        }
        PQfreemem(data);
    }
    PQfinish(connection);
}

/* ---- the source ---- */

static void set(struct postgres_source_options *options, const char *name, const char *value)
{
    check(option_set(postgres_source_class.options, options, name, value, &err));
}

static void read_as(const char *slot, const char *snapshot, long rows, struct reading *reading)
{
    struct postgres_source_options options;
    char table[64];
    snprintf(table, sizeof table, "public.%s", slot);
    option_defaults(postgres_source_class.options, &options);
    set(&options, "url", url);
    set(&options, "tables", table);
    set(&options, "slot", slot);
    set(&options, "publication", table + strlen("public."));
    set(&options, "snapshot", snapshot);
    const struct connector_context context = {.app = "bench", .name = "source", .tasks = 1, .options = &options};
    struct connector_task *task;
    bool opened = false;
    *reading = (struct reading){0};
    while (reading->records < rows) {
        struct source_batch batch = {0};
        if (!opened) {
            check(postgres_source_class.open(&context, SLICE_NULL, &task, &err));
            opened = true;
        }
        if (postgres_source_class.poll(task, 1000, &batch, &err)) { /* the reader before may still be leaving */
            check(err.class != ERR_RETRY || reading->records > 0);
            postgres_source_class.close(task);
            opened = false;
            poll(NULL, 0, 100);
        } else if (batch.count > 0) {
            count(reading, (long)batch.count);
        }
    }
    postgres_source_class.close(task);
    option_free(postgres_source_class.options, &options);
}

static void read_source(const char *slot, long rows, struct reading *reading)
{
    read_as(slot, "never", rows, reading);
}

/* Each time from the beginning, with the same slot made anew. */
static void read_snapshot(const char *slot, long rows, struct reading *reading)
{
    read_as(slot, "initial", rows, reading);
}

/* ---- both ---- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, int number)
{
    qsort(values, (size_t)number, sizeof *values, compare);
    return values[number / 2];
}

static void measure(const char *slot, const char *what, long rows, int rounds, bool copy)
{
    double bare[MOST_ROUNDS], source[MOST_ROUNDS];
    struct reading reading;
    double bare_cpu = 0, source_cpu = 0;
    for (int i = 0; i < rounds; i++) {
        (copy ? read_bare_copy : read_bare)(slot, rows, &reading);
        bare[i] = rate(&reading);
        bare_cpu += reading.cpu;
        (copy ? read_snapshot : read_source)(slot, rows, &reading);
        source[i] = rate(&reading);
        source_cpu += reading.cpu;
    }
    double reference = median(bare, rounds), reached = median(source, rounds);
    printf("%-22s source %8.0f/s   bare client %8.0f/s   ratio %.2f   CPU %.2f us each, bare %.2f\n", what, reached,
           reference, reached / reference, source_cpu * 1e6 / (double)rows / rounds,
           bare_cpu * 1e6 / (double)rows / rounds);
}

static void prepare(const char *slot)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "CREATE TABLE %s (id bigint PRIMARY KEY, customer int, name text, total float8, at timestamptz);"
             "CREATE PUBLICATION %s FOR TABLE %s",
             slot, slot, slot);
    run(sql);
    snprintf(sql, sizeof sql, "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", slot);
    run(sql);
}

int main(int argc, char **argv)
{
    long rows = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    long transactions = argc > 2 ? strtol(argv[2], NULL, 10) : 200000;
    int rounds = argc > 3 ? atoi(argv[3]) : 3;
    char sql[1024];
    struct rusage usage;
    url = getenv("TIDEMILL_TEST_POSTGRES");
    if (!url) {
        fprintf(stderr, "SKIP: TIDEMILL_TEST_POSTGRES does not name a server; tests/support/with_postgres.sh does\n");
        return 77;
    }
    prepare("big");
    rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
    snprintf(
        sql, sizeof sql,
        "INSERT INTO big SELECT i, i %% 1000, 'customer ' || i, i * 0.5, '2026-01-31 10:15:00Z'::timestamptz + i * "
        "interval '1 second' FROM generate_series(1, %ld) i",
        rows);
    run(sql);
    measure("big", "one big transaction", rows, rounds, false);
    measure("big", "snapshot", rows, rounds, true);
    prepare("small");
    snprintf(sql, sizeof sql,
             "DO $$ BEGIN FOR i IN 1..%ld LOOP INSERT INTO small VALUES (i, i %% 1000, 'customer ' || i, i * 0.5, "
             "now()); COMMIT; END LOOP; END $$",
             transactions);
    run(sql);
    measure("small", "one-row transactions", transactions, rounds, false);
    getrusage(RUSAGE_SELF, &usage);
    printf("%-22s %.1f MB\n", "largest RSS", (double)usage.ru_maxrss / 1024);
    return 0;
}
