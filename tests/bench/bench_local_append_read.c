/* Nanoseconds per record of appending to and reading from the embedded log, beside the same bytes written with write()
 * and fdatasync() and read with pread().
 *
 *     bench_local_append_read [records per commit [commits [record size [page size [batch bytes]]]]]
 *
 * The figures of the log contain everything a pipeline pays: encoding, checksums, SQLite, the sync of each commit, and
 * the copying of the write-ahead log into the file.
 */
#include "base/memory.h"
#include "local/local.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TAKE 1024
#define KEYS 100000
#define KEY_SIZE 10

struct plan {
    long commits;
    long per_commit;
    size_t size; /* of a value */
    char directory[64];
};

static char keys[KEYS][KEY_SIZE + 1]; /* made beforehand: printing them costs a tenth of appending */

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

static double per_record(const struct plan *plan, int64_t ns)
{
    return (double)ns / (double)(plan->commits * plan->per_commit);
}

static void produce_commit(const struct plan *plan, struct transport *log, struct session *session,
                           struct output *output, const unsigned char *value, struct err *err)
{
    for (long i = 0; i < plan->per_commit; i++) {
        struct record record = {
            .key = slice_of(keys[i % KEYS], KEY_SIZE), .value = slice_of(value, plan->size), .timestamp = i};
        check(log->class->produce(session, output, (int32_t)(i & 3), &record, err), err);
    }
    check(log->class->commit(session, NULL, 0, err), err);
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* `cpu` gets the CPU of all threads, that which copies the write-ahead log into the file included. */
static double append(const struct plan *plan, struct transport *log, const unsigned char *value, double *cpu)
{
    struct err err = {0};
    struct session *session = NULL;
    struct output *output = NULL;
    struct session_config config = {.threads = 1};
    struct topic_spec spec = {.name = "bench", .partitions = 4};
    check(log->class->create_topic(log, &spec, &err), &err);
    check(log->class->session_open(log, &config, &session, &err), &err);
    check(log->class->output(session, "bench", &output, NULL, &err), &err);
    int64_t start = now_ns();
    int64_t start_cpu = cpu_ns();
    for (long i = 0; i < plan->commits; i++) {
        produce_commit(plan, log, session, output, value, &err);
    }
    int64_t taken = now_ns() - start;
    *cpu = per_record(plan, cpu_ns() - start_cpu);
    log->class->session_close(session);
    return per_record(plan, taken);
}

static double read_all(const struct plan *plan, struct transport *log)
{
    static struct record records[TAKE];
    struct position starts[4];
    struct reader_config config = {.positions = starts, .count = 4};
    struct reader *reader = NULL;
    struct err err = {0};
    size_t count = 0;
    long total = 0;
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        starts[i] = (struct position){"bench", i, OFFSET_BEGINNING, NULL};
    }
    int64_t start = now_ns();
    check(log->class->reader_open(log, &config, &reader, &err), &err);
    do {
        check(log->class->read(reader, 0, records, TAKE, &count, &err), &err);
        for (size_t i = 0; i < count; i++) {
            sum += records[i].value.data[0] + records[i].value.size;
        }
        total += (long)count;
    } while (count > 0);
    int64_t taken = now_ns() - start;
    log->class->reader_close(reader);
    if (total != plan->commits * plan->per_commit || sum == 0) {
        fprintf(stderr, "%ld records came back\n", total);
        exit(1);
    }
    return per_record(plan, taken);
}

static double plain_write(const struct plan *plan, const char *path, const unsigned char *value)
{
    size_t size = (size_t)plan->per_commit * plan->size;
    unsigned char *block = memory_alloc(size);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    int64_t start = now_ns();
    for (long i = 0; i < plan->commits; i++) {
        for (long k = 0; k < plan->per_commit; k++) {
            memcpy(block + (size_t)k * plan->size, value, plan->size);
        }
        if (write(fd, block, size) != (ssize_t)size || fdatasync(fd) != 0) {
            perror(path);
            exit(1);
        }
    }
    int64_t taken = now_ns() - start;
    close(fd);
    free(block);
    return per_record(plan, taken);
}

static double plain_read(const struct plan *plan, const char *path)
{
    size_t size = 256 * 1024;
    unsigned char *block = memory_alloc(size);
    unsigned char *copy = memory_alloc(size);
    int fd = open(path, O_RDONLY);
    int64_t start = now_ns();
    off_t at = 0;
    for (ssize_t got = 0; (got = pread(fd, block, size, at)) > 0; at += got) {
        memcpy(copy, block, (size_t)got);
    }
    int64_t taken = now_ns() - start;
    close(fd);
    free(block);
    free(copy);
    return per_record(plan, taken);
}

static long argument(int argc, char **argv, int index, long otherwise)
{
    return argc > index ? strtol(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct plan plan = {.per_commit = argument(argc, argv, 1, 100000),
                        .commits = argument(argc, argv, 2, 10),
                        .size = (size_t)argument(argc, argv, 3, 200)};
    const char *where = getenv("BENCH_DIRECTORY");
    snprintf(plan.directory, sizeof plan.directory, "%.32s/bench-log-XXXXXX", where != NULL ? where : ".");
    if (mkdtemp(plan.directory) == NULL) {
        perror(plan.directory);
        return 1;
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%06d", i);
    }
    unsigned char *value = memory_alloc(plan.size);
    memset(value, 'v', plan.size);
    struct local_config config = {.data = plan.directory,
                                  .create = true,
                                  .page_size = argument(argc, argv, 4, 0),
                                  .batch_bytes = argument(argc, argv, 5, 0)};
    struct transport *log = NULL;
    struct err err = {0};
    char *path = memory_format("%s/plain", plan.directory);
    int64_t start = now_ns();
    check(local_open(&config, &log, &err), &err);
    double open_ms = (double)(now_ns() - start) / 1e6;
    double append_cpu = 0;
    double appended = append(&plan, log, value, &append_cpu);
    double read_ns = read_all(&plan, log);
    start = now_ns();
    log->class->close(log);
    double close_ms = (double)(now_ns() - start) / 1e6;
    double written = plain_write(&plan, path, value);
    double pread_ns = plain_read(&plan, path);
    printf("%ld commits of %ld records of %zu bytes; new log opened in %.1f ms, closed in %.1f ms\n", plan.commits,
           plan.per_commit, plan.size, open_ms, close_ms);
    printf("append  %7.1f ns/record   write+fdatasync %7.1f   ratio %.2f   CPU %.1f ns/record\n", appended, written,
           appended / written, append_cpu);
    printf("read    %7.1f ns/record   pread+memcpy    %7.1f   ratio %.2f\n", read_ns, pread_ns, read_ns / pread_ns);
    char *command = memory_format("rm -r '%s'", plan.directory);
    int removed = system(command);
    free(command);
    free(path);
    free(value);
    return removed;
}
