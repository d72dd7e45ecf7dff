/* The PostgreSQL sink beside a bare client of the same library, on a real server that flushes its log to the disk.
 *
 * Both write the same JSON records into a table of five columns, one transaction per batch with the row of the
 * position: upserts by arrays and unnest of rows that are new and of rows that all exist, and COPY for rows that are
 * only appended. The bare client sends binary arrays to prepared statements, a transaction at once by pipeline mode; it
 * knows which members the records have and in which order, converts numbers by strtoll and strtod and sends texts where
 * they stand; it checks nothing. Rounds of both alternate, each on an empty table of its own; medians count.
 *
 * usage: bench_connectors_postgres_sink [ROUNDS [NAME [BATCH]]]; TIDEMILL_TEST_POSTGRES: the server's URL.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "connectors/postgres/postgres_position.h"
#include "connectors/postgres/postgres_sink.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS 100000
#define MAX_ROUNDS 25
#define COLUMNS 5
#define TIME_ZERO INT64_C(946684800000) /* of PostgreSQL's times, in milliseconds since 1970 */

static struct record records[ROWS];
static struct bytes texts;
static PGconn *bare;
static struct connector_context context = {.app = "bench", .name = "bench", .topic = "bench", .tasks = 1};

static void check(int failed, const char *text)
{
    if (failed) {
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
}

static void run(const char *sql)
{
    struct err err;
    check(postgres_connection_run(bare, sql, sql, &err), err.text);
}

static void make_records(void)
{
    size_t *starts = memory_alloc((ROWS + 1) * sizeof *starts);
    for (size_t i = 0; i < ROWS; i++) {
        size_t id = i * 7919 % ROWS; /* scattered, as keys of a topic are */
        starts[i] = texts.size;
        bytes_append_format(&texts,
                            "{\"id\":%zu,\"customer\":%zu,\"name\":\"customer number %zu\",\"total\":%zu.25,"
                            "\"placed\":%zu}",
                            id, id * 2654435761u % 100003, id % 4711, id % 997, 1700000000000 + id * 61);
    }
    starts[ROWS] = texts.size;
    bytes_text(&texts);
    for (size_t i = 0; i < ROWS; i++) {
        records[i].value = slice_of(texts.data + starts[i], starts[i + 1] - starts[i]);
        records[i].offset = (int64_t)i;
    }
    free(starts);
}

/* ---- the bare client ---- */

struct row {
    uint64_t id, total, placed; /* as their bits */
    uint32_t customer;
    struct slice name;
};

static const char *value_after(const char *at)
{
    return strchr(at, ':') + 1;
}

static struct row read_row(const struct record *record)
{
    struct row row;
    char *at = (char *)(uintptr_t)record->value.data;
    row.id = strtoull(value_after(at), &at, 10);
    row.customer = (uint32_t)strtoul(value_after(at), &at, 10);
    char *name = strchr(value_after(at), '"') + 1;
    at = strchr(name, '"');
    row.name = slice_of(name, (size_t)(at - name));
    double total = strtod(value_after(at), &at);
    memcpy(&row.total, &total, sizeof(total));
    row.placed = (uint64_t)(strtoll(value_after(at), NULL, 10) - TIME_ZERO) * 1000;
    return row;
}

static void append_long(struct bytes *out, uint64_t value)
{
    bytes_append_u32(out, 8);
    bytes_append_u64(out, value);
}

static void append_int(struct bytes *out, uint32_t value)
{
    bytes_append_u32(out, 4);
    bytes_append_u32(out, value);
}

static void append_name(struct bytes *out, struct slice name)
{
    bytes_append_u32(out, (uint32_t)name.size);
    bytes_append_slice(out, name);
}

static void start_array(struct bytes *out, uint32_t type, size_t rows)
{
    bytes_clear(out);
    bytes_append_u32(out, 1); /* dimensions */
    bytes_append_u32(out, 0); /* no nulls */
    bytes_append_u32(out, type);
    bytes_append_u32(out, (uint32_t)rows);
    bytes_append_u32(out, 1); /* first index */
}

static void send_prepared(const char *name, int count, const struct bytes *parameters)
{
    const char *values[COLUMNS];
    int lengths[COLUMNS], formats[COLUMNS];
    for (int i = 0; i < count; i++) {
        values[i] = (const char *)parameters[i].data;
        lengths[i] = (int)parameters[i].size;
        formats[i] = 1;
    }
    check(!PQsendQueryPrepared(bare, name, count, values, lengths, formats, 0), PQerrorMessage(bare));
}

static void expect_result(void)
{
    PGresult *result = PQgetResult(bare);
    check(PQresultStatus(result) != PGRES_COMMAND_OK, PQerrorMessage(bare));
    PQclear(result);
    check((result = PQgetResult(bare)) != NULL, "one result expected");
}

static void bare_upsert(const struct record *batch, size_t count, int64_t from)
{
    static const uint32_t types[COLUMNS] = {20, 23, 25, 701, 1184};
    static struct bytes arrays[COLUMNS], positions[2];
    for (size_t i = 0; i < COLUMNS; i++) {
        start_array(&arrays[i], types[i], count);
    }
    for (size_t i = 0; i < count; i++) {
        struct row row = read_row(&batch[i]);
        append_long(&arrays[0], row.id);
        append_int(&arrays[1], row.customer);
        append_name(&arrays[2], row.name);
        append_long(&arrays[3], row.total);
        append_long(&arrays[4], row.placed);
    }
    bytes_clear(&positions[0]);
    bytes_append_u64(&positions[0], (uint64_t)from + count);
    bytes_clear(&positions[1]);
    bytes_append_u64(&positions[1], (uint64_t)from);
    PQenterPipelineMode(bare);
    send_prepared("bench_begin", 0, NULL);
    send_prepared("bench_move", 2, positions);
    send_prepared("bench_rows", COLUMNS, arrays);
    send_prepared("bench_commit", 0, NULL);
    PQpipelineSync(bare);
    for (int i = 0; i < 4; i++) {
        expect_result();
    }
    PGresult *end = PQgetResult(bare);
    check(PQresultStatus(end) != PGRES_PIPELINE_SYNC, PQerrorMessage(bare));
    PQclear(end);
    PQexitPipelineMode(bare);
}

static void form_copy(struct bytes *out, const struct record *batch, size_t count)
{
    bytes_clear(out);
    bytes_append(out, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    for (size_t i = 0; i < count; i++) {
        struct row row = read_row(&batch[i]);
        bytes_append_byte(out, 0);
        bytes_append_byte(out, COLUMNS);
        append_long(out, row.id);
        append_int(out, row.customer);
        append_name(out, row.name);
        append_long(out, row.total);
        append_long(out, row.placed);
    }
    bytes_append(out, "\377\377", 2);
}

static void bare_append(const struct record *batch, size_t count, int64_t from)
{
    static struct bytes data;
    char sql[256];
    snprintf(sql, sizeof(sql),
             "BEGIN; UPDATE bench_position SET next = %lld WHERE next = %lld; "
             "COPY bench_bare (id, customer, name, total, placed) FROM STDIN (FORMAT binary); COMMIT",
             (long long)from + (long long)count, (long long)from);
    check(!PQsendQuery(bare, sql), PQerrorMessage(bare));
    form_copy(&data, batch, count);
    for (PGresult *result; (result = PQgetResult(bare)); PQclear(result)) {
        if (PQresultStatus(result) == PGRES_COPY_IN) {
            check(PQputCopyData(bare, (const char *)data.data, (int)data.size) != 1 || PQputCopyEnd(bare, NULL) != 1,
                  PQerrorMessage(bare));
        } else {
            check(PQresultStatus(result) != PGRES_COMMAND_OK, PQerrorMessage(bare));
        }
    }
}

static void prepare_bare(void)
{
    static const char *const statements[][2] = {
        {"bench_begin", "BEGIN"},
        {"bench_move", "UPDATE bench_position SET next = $1 WHERE next = $2"},
        {"bench_rows", "INSERT INTO bench_bare (id, customer, name, total, placed)"
                       " SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::float8[], $5::timestamptz[])"
                       " ON CONFLICT (id) DO UPDATE SET customer = EXCLUDED.customer, name = EXCLUDED.name,"
                       " total = EXCLUDED.total, placed = EXCLUDED.placed"},
        {"bench_commit", "COMMIT"},
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        PGresult *result = PQprepare(bare, statements[i][0], statements[i][1], 0, NULL);
        check(PQresultStatus(result) != PGRES_COMMAND_OK, PQerrorMessage(bare));
        PQclear(result);
    }
}

/* ---- cases ---- */

struct bench {
    const char *name;
    bool append, conflicting;
    size_t batch;
};

static double bare_round(const struct bench *bench)
{
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    for (size_t at = 0; at < ROWS; at += bench->batch) {
        (bench->append ? bare_append : bare_upsert)(records + at, bench->batch, (int64_t)at);
    }
    return ROWS * 1e9 / (double)(clock_monotonic_ns(&CLOCK_SYSTEM) - start);
}

static double sink_round(const struct bench *bench)
{
    struct postgres_sink_options options;
    struct connector_task *task;
    struct err err;
    size_t bad;
    option_defaults(postgres_sink_class.options, &options);
    check(option_set(postgres_sink_class.options, &options, "url", getenv("TIDEMILL_TEST_POSTGRES"), &err) ||
              option_set(postgres_sink_class.options, &options, "table", "bench_sink", &err) ||
              option_set(postgres_sink_class.options, &options, "mode", bench->append ? "insert" : "upsert", &err),
          err.text);
    context.options = &options;
    check(postgres_sink_class.open(&context, &task, &err), err.text);
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    for (size_t at = 0; at < ROWS; at += bench->batch) {
        const struct sink_batch batch = {records + at, bench->batch, at == 0 ? CONNECTOR_NO_OFFSET : (int64_t)at,
                                         (int64_t)(at + bench->batch)};
        check(postgres_sink_class.write(task, &batch, &bad, &err), err.text);
    }
    int64_t end = clock_monotonic_ns(&CLOCK_SYSTEM);
    postgres_sink_class.close(task);
    option_free(postgres_sink_class.options, &options);
    return ROWS * 1e9 / (double)(end - start);
}

static void make_tables(const struct bench *bench)
{
    static const char *const names[] = {"bench_bare", "bench_sink"};
    char sql[512];
    for (size_t i = 0; i < 2; i++) {
        snprintf(sql, sizeof(sql),
                 "DROP TABLE IF EXISTS %s; CREATE TABLE %s (id bigint %s, customer int, name text,"
                 " total double precision, placed timestamptz)",
                 names[i], names[i], bench->append ? "" : "PRIMARY KEY");
        run(sql);
        snprintf(sql, sizeof(sql),
                 "INSERT INTO %s SELECT i, 0, 'customer number 0', 0, now() FROM generate_series(0, %d) AS s(i)",
                 names[i], ROWS - 1);
        if (bench->conflicting) {
            run(sql);
        }
        snprintf(sql, sizeof(sql), "VACUUM ANALYZE %s", names[i]);
        run(sql);
    }
    run("DROP TABLE IF EXISTS " POSTGRES_POSITION_TABLE "; DROP TABLE IF EXISTS bench_position; "
        "CREATE TABLE bench_position (next bigint); INSERT INTO bench_position VALUES (0)");
    run("CHECKPOINT");
}

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one;
    double b = *(const double *)other;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static void measure(const struct bench *bench, size_t rounds)
{
    double bares[MAX_ROUNDS], sinks[MAX_ROUNDS], ratios[MAX_ROUNDS];
    for (size_t i = 0; i < rounds; i++) {
        make_tables(bench);
        PGresult *result = PQexec(bare, "DEALLOCATE ALL");
        PQclear(result);
        prepare_bare();
        if (i % 2) {
            bares[i] = bare_round(bench);
            sinks[i] = sink_round(bench);
        } else {
            sinks[i] = sink_round(bench);
            bares[i] = bare_round(bench);
        }
        ratios[i] = sinks[i] / bares[i];
        run("DO $$ BEGIN IF (SELECT count(*) FROM (SELECT * FROM bench_bare EXCEPT ALL SELECT * FROM bench_sink) AS d)"
            " > 0 THEN RAISE 'the tables differ'; END IF; END $$");
    }
    printf("%-22s %8zu %12.0f %12.0f %8.0f %%\n", bench->name, bench->batch, median(sinks, rounds),
           median(bares, rounds), 100 * median(ratios, rounds));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"upsert, new rows", false, false, 1000},
        {"upsert, all rows exist", false, true, 1000},
        {"append", true, false, 1000},
        {"upsert, new rows", false, false, 10000},
        {"upsert, all rows exist", false, true, 10000},
        {"append", true, false, 10000},
    };
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5;
    const char *url = getenv("TIDEMILL_TEST_POSTGRES");
    struct err err;
    if (!url) {
        fprintf(stderr, "SKIP: TIDEMILL_TEST_POSTGRES does not name a server: tests/bench/run.sh starts one\n");
        return 77;
    }
    bare = postgres_connection_open(&context, url, false, &err);
    check(!bare || rounds == 0 || rounds > MAX_ROUNDS, "no connection, or no number of rounds from 1 to 25");
    make_records();
    printf("rows/s into PostgreSQL    batch         sink  bare client    ratio\n");
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        if ((argc < 3 || strcmp(argv[2], benches[i].name) == 0) &&
            (argc < 4 || strtoul(argv[3], NULL, 10) == benches[i].batch)) {
            measure(&benches[i], rounds);
        }
    }
    PQfinish(bare);
    bytes_free(&texts);
    return 0;
}
