/* Latency from a commit in one process to the record in another, through the embedded log, at a steady rate; and what
 * an idle reader costs.
 *
 *     bench_local_latency [records per second [records]]
 */
#include "base/memory.h"
#include "local/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDLE_S 15

static int64_t now_ns(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM);
}

static void check(int result, const struct err *err)
{
    if (result != 0) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static struct transport *open_log(const char *directory)
{
    struct local_config config = {.data = directory, .create = true};
    struct transport *log = NULL;
    struct err err = {0};
    check(local_open(&config, &log, &err), &err);
    return log;
}

/* Every record carries the time at which it was produced; each is a commit of its own. */
static void write_records(const char *directory, long rate, long records)
{
    struct transport *log = open_log(directory);
    struct session *session = NULL;
    struct output *output = NULL;
    struct err err = {0};
    struct session_config config = {.threads = 1};
    check(log->class->session_open(log, &config, &session, &err), &err);
    check(log->class->output(session, "bench", &output, NULL, &err), &err);
    int64_t due = now_ns();
    for (long i = 0; i < records; i++) {
        while (now_ns() < due) {
            usleep(50);
        }
        due += 1000000000 / rate;
        int64_t now = now_ns();
        struct record record = {.value = slice_of(&now, sizeof now)};
        check(log->class->produce(session, output, 0, &record, &err), &err);
        check(log->class->commit(session, NULL, 0, &err), &err);
    }
    log->class->session_close(session);
    log->class->close(log);
}

static int compare(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a;
    int64_t second = *(const int64_t *)b;
    return (first > second) - (first < second);
}

static void read_latencies(struct transport *log, struct reader *reader, int64_t *latencies, long records)
{
    struct record found[64];
    struct err err = {0};
    size_t count = 0;
    for (long total = 0; total < records;) {
        check(log->class->read(reader, -1, found, 64, &count, &err), &err);
        int64_t now = now_ns();
        for (size_t i = 0; i < count; i++) {
            int64_t then = 0;
            memcpy(&then, found[i].value.data, sizeof then);
            latencies[total++] = now - then;
        }
    }
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) {
        pages = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void print_idle(struct transport *log, struct reader *reader)
{
    struct record record;
    struct err err = {0};
    size_t count = 0;
    check(log->class->read(reader, IDLE_S * 1000, &record, 1, &count, &err), &err);
    double before = cpu_seconds();
    check(log->class->read(reader, IDLE_S * 1000, &record, 1, &count, &err), &err);
    printf("idle reader: %.3f %% of a core, %ld kB resident\n", (cpu_seconds() - before) / IDLE_S * 100, resident_kb());
}

int main(int argc, char **argv)
{
    long rate = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    long records = argc > 2 ? strtol(argv[2], NULL, 10) : 3000;
    char directory[] = "./bench-log-XXXXXX";
    if (rate <= 0 || records <= 0 || mkdtemp(directory) == NULL) {
        return 2;
    }
    struct transport *log = open_log(directory);
    struct err err = {0};
    struct topic_spec spec = {.name = "bench", .partitions = 1};
    check(log->class->create_topic(log, &spec, &err), &err);
    log->class->close(log);
    pid_t child = fork();
    if (child == 0) {
        write_records(directory, rate, records);
        _exit(0);
    }
    log = open_log(directory);
    struct position start = {"bench", 0, 0, NULL};
    struct reader_config config = {.positions = &start, .count = 1};
    struct reader *reader = NULL;
    check(log->class->reader_open(log, &config, &reader, &err), &err);
    int64_t *latencies = memory_alloc((size_t)records * sizeof *latencies);
    read_latencies(log, reader, latencies, records);
    waitpid(child, NULL, 0);
    qsort(latencies, (size_t)records, sizeof *latencies, compare);
    printf("%ld records at %ld a second, a commit each: p50 %.2f ms, p99 %.2f ms, worst %.2f ms\n", records, rate,
           (double)latencies[records / 2] / 1e6, (double)latencies[records * 99 / 100] / 1e6,
           (double)latencies[records - 1] / 1e6);
    print_idle(log, reader);
    log->class->reader_close(reader);
    log->class->close(log);
    free(latencies);
    char *command = memory_format("rm -r '%s'", directory);
    int removed = system(command);
    free(command);
    return removed;
}
