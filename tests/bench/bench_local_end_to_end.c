/* What somebody notices who runs programs on the embedded log. tests/bench/bench_embedded.sh says with what.
 *
 *     bench_local_end_to_end start DATA TOPIC PROGRAM [ARGUMENT...]
 *         milliseconds from starting the program to the first record committed to the topic; it is stopped then
 *     bench_local_end_to_end latency DATA TOPIC RATE RECORDS PROGRAM [ARGUMENT...]
 *         another process produces so many records a second into the topic, each committed at once, with its time in
 * it; the program prints one value a line: p50, p99 and worst of the time in between, in milliseconds
 *     bench_local_end_to_end once DATA TOPIC
 *         produces one record and ends
 *     bench_local_end_to_end idle DATA TOPIC
 *         waits for records of the topic until it is stopped; these two show what the log alone needs
 */
#include "base/memory.h"
#include "local/local.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK "\"ns\":"
#define SETTLE_MS 1500 /* until a program just started has found its place */
#define WARM 200       /* records that are not counted */
#define LIMIT_S 120

static int64_t now_ns(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM);
}

static void check(int result, const struct err *err)
{
    if (result != 0) {
        fprintf(stderr, "bench_local_end_to_end: %s\n", err->text);
        exit(1);
    }
}

static struct transport *open_log(const char *data)
{
    struct local_config config = {.data = data, .create = true};
    struct transport *log = NULL;
    struct err err = {0};
    check(local_open(&config, &log, &err), &err);
    return log;
}

static struct reader *open_reader(struct transport *log, const char *topic)
{
    struct err err = {0};
    struct topic_info info;
    struct reader *reader = NULL;
    check(log->class->describe_topic(log, topic, &info, &err), &err);
    struct position *positions = memory_alloc((size_t)info.partitions * sizeof *positions);
    for (int32_t i = 0; i < info.partitions; i++) {
        positions[i] = (struct position){topic, i, OFFSET_BEGINNING, NULL};
    }
    struct reader_config config = {.positions = positions, .count = (size_t)info.partitions};
    check(log->class->reader_open(log, &config, &reader, &err), &err);
    free(positions);
    return reader;
}

/* A child that ends with this process. */
static pid_t start_child(void)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) {
            _exit(1);
        }
    }
    return child;
}

static void execute(char **arguments)
{
    execv(arguments[0], arguments);
    perror(arguments[0]);
    _exit(127);
}

/* 0: it ended well, or by the signal sent here. */
static int stop_child(pid_t child)
{
    int status = 0;
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) != SIGTERM;
}

/* ---- start ---- */

static int measure_start(const char *data, const char *topic, char **arguments)
{
    struct transport *log = open_log(data);
    struct reader *reader = open_reader(log, topic);
    struct record record;
    struct err err = {0};
    size_t count = 0;
    int64_t began = now_ns();
    pid_t child = start_child();
    if (child == 0) {
        execute(arguments);
    }
    while (count == 0 && now_ns() - began < LIMIT_S * INT64_C(1000000000)) {
        check(log->class->read(reader, 0, &record, 1, &count, &err), &err);
        usleep(100);
    }
    double ms = (double)(now_ns() - began) / 1e6;
    int status = stop_child(child);
    log->class->reader_close(reader);
    log->class->close(log);
    if (count == 0 || status != 0) {
        fprintf(stderr, "bench_local_end_to_end: %s ended with %d, %zu records came\n", arguments[0], status, count);
        return 1;
    }
    printf("%.1f\n", ms);
    return 0;
}

/* ---- latency ---- */

static void produce_one(struct transport *log, struct session *session, struct output *output, long number, int64_t due)
{
    char key[32];
    char value[256];
    struct err err = {0};
    snprintf(key, sizeof key, "key-%ld", number % 100);
    int length =
        snprintf(value, sizeof value, "{\"id\":%ld,\"amount\":%ld," MARK "%lld}", number, number % 977, (long long)due);
    struct record record = {
        .key = slice_text(key), .value = slice_of(value, (size_t)length), .timestamp = due / 1000000};
    check(log->class->produce(session, output, -1, &record, &err), &err);
}

/* Commits each record at once; what became due during a commit goes into the next one. */
static void produce_steadily(const char *data, const char *topic, long rate, long records)
{
    struct transport *log = open_log(data);
    struct session *session = NULL;
    struct output *output = NULL;
    struct err err = {0};
    struct session_config config = {.threads = 1};
    check(log->class->session_open(log, &config, &session, &err), &err);
    check(log->class->output(session, topic, &output, NULL, &err), &err);
    usleep(SETTLE_MS * 1000);
    int64_t due = now_ns();
    for (long i = 0; i < records;) {
        while (now_ns() < due) {
            usleep(50);
        }
        for (int64_t now = now_ns(); i < records && due <= now; i++) {
            produce_one(log, session, output, i, due);
            due += 1000000000 / rate;
        }
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

static long read_lines(FILE *lines, int64_t *latencies, long records)
{
    char line[512];
    long count = 0;
    while (count < records && fgets(line, sizeof line, lines) != NULL) {
        const char *mark = strstr(line, MARK);
        if (mark != NULL) {
            latencies[count++] = now_ns() - strtoll(mark + strlen(MARK), NULL, 10);
        }
    }
    return count;
}

static int measure_latency(const char *data, const char *topic, long rate, long records, char **arguments)
{
    int ends[2];
    if (rate <= 0 || records <= WARM || pipe(ends) != 0) {
        return 2;
    }
    pid_t consumer = start_child();
    if (consumer == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execute(arguments);
    }
    close(ends[1]);
    pid_t producer = start_child();
    if (producer == 0) {
        close(ends[0]);
        produce_steadily(data, topic, rate, records);
        _exit(0);
    }
    int64_t *latencies = memory_alloc((size_t)records * sizeof *latencies);
    FILE *lines = fdopen(ends[0], "r");
    alarm(LIMIT_S);
    long count = read_lines(lines, latencies, records);
    fclose(lines);
    waitpid(producer, NULL, 0);
    stop_child(consumer);
    if (count < records) {
        fprintf(stderr, "bench_local_end_to_end: %ld of %ld records came\n", count, records);
        return 1;
    }
    qsort(latencies + WARM, (size_t)(records - WARM), sizeof *latencies, compare);
    int64_t *sorted = latencies + WARM;
    count -= WARM;
    printf("%.2f %.2f %.2f\n", (double)sorted[count / 2] / 1e6, (double)sorted[count * 99 / 100] / 1e6,
           (double)sorted[count - 1] / 1e6);
    free(latencies);
    return 0;
}

/* ---- the log alone ---- */

static void produce_once(const char *data, const char *topic)
{
    struct transport *log = open_log(data);
    struct session *session = NULL;
    struct output *output = NULL;
    struct err err = {0};
    struct session_config config = {.threads = 1};
    check(log->class->session_open(log, &config, &session, &err), &err);
    check(log->class->output(session, topic, &output, NULL, &err), &err);
    produce_one(log, session, output, 0, now_ns());
    check(log->class->commit(session, NULL, 0, &err), &err);
    log->class->session_close(session);
    log->class->close(log);
}

static _Noreturn void wait_for_ever(const char *data, const char *topic)
{
    struct transport *log = open_log(data);
    struct reader *reader = open_reader(log, topic);
    struct record records[64];
    struct err err = {0};
    size_t count = 0;
    for (;;) {
        check(log->class->read(reader, 1000, records, 64, &count, &err), &err);
    }
}

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "start") == 0) {
        return measure_start(argv[2], argv[3], argv + 4);
    }
    if (argc >= 7 && strcmp(argv[1], "latency") == 0) {
        return measure_latency(argv[2], argv[3], strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10), argv + 6);
    }
    if (argc == 4 && strcmp(argv[1], "once") == 0) {
        produce_once(argv[2], argv[3]);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "idle") == 0) {
        wait_for_ever(argv[2], argv[3]);
    }
    fprintf(stderr,
            "usage: bench_local_end_to_end start|latency|once|idle DATA TOPIC ...; bench_embedded.sh calls it\n");
    return 77;
}
