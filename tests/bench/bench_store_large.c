/* State that is larger than its cache: what it costs, what memory it takes, how it opens, how long a commit holds up.
 *
 *   bench_store_large [memory | larger | pause | expire | open [KEYS]]    without: all of it, with 1 and 10 million
 * keys
 *
 * Keys have 16 bytes, values 64. The cache has 64 MB, and the state is four times as large. Each part runs in a process
 * of its own, so that its resident memory is its own. Reference for the record rate: the same loop with no limit on
 * the cache, so that everything is in memory.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "store/store_driver.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CACHE_BYTES (INT64_C(64) << 20)
#define ENTRY_COST 108 /* memory of an entry of 16 and 64 bytes */
#define RECORDS 1000000u
#define BATCH 1000u
#define COMMIT_EVERY 20000u
#define DIRTY_KEYS 100000u
#define COMMITS 120 /* of fewer the 99th percentile is the worst one */
#define SCANNED 100000u

struct bench {
    struct store_spec spec;
    struct store_config config;
    struct store_set *set;
    struct store *store;
    uint64_t random;
};

static const struct store_driver *const driver = &sqlite_store_driver;

static void check(int failed, const struct err *err)
{
    if (failed != 0) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static double ms_since(int64_t start)
{
    return (double)(clock_monotonic_ns(&CLOCK_SYSTEM) - start) / 1e6;
}

static uint64_t draw(struct bench *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

static void make_key(uint64_t number, uint64_t key[2])
{
    key[0] = number * 0x9e3779b97f4a7c15u;
    key[1] = number;
}

/* "VmRSS" or "VmHWM" of this process, in MB. */
static double memory_mb(const char *which)
{
    char line[128];
    double kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, which, strlen(which)) == 0) {
            kb = atof(line + strlen(which) + 1);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kb / 1024;
}

static void open_set(struct bench *bench, const char *directory, int64_t cache_bytes)
{
    struct err err;
    bool fresh;
    bench->random = 88172645463325252u;
    bench->spec = (struct store_spec){.name = "rows", .kind = STORE_KEY_VALUE, .changelog = true};
    bench->config = (struct store_config){.directory = directory,
                                          .app = "bench",
                                          .worker = "0_0",
                                          .cache_bytes = cache_bytes,
                                          .specs = &bench->spec,
                                          .spec_count = 1};
    check(driver->open(&bench->config, &bench->set, NULL, &fresh, &err), &err);
    bench->store = driver->find(bench->set, "rows");
}

static void open_windows(struct bench *bench, const char *directory)
{
    struct err err;
    bool fresh;
    bench->spec = (struct store_spec){.name = "rows", .kind = STORE_WINDOW, .changelog = true, .segment_ms = 3600000};
    bench->config = (struct store_config){
        .directory = directory, .app = "bench", .worker = "0_0", .specs = &bench->spec, .spec_count = 1};
    check(driver->open(&bench->config, &bench->set, NULL, &fresh, &err), &err);
    bench->store = driver->find(bench->set, "rows");
}

static void fill(struct bench *bench, uint64_t keys)
{
    static uint64_t batch[BATCH][2];
    static unsigned char value[64];
    struct store_entry *entries = memory_alloc(BATCH * sizeof *entries);
    struct err err;
    for (uint64_t first = 0; first < keys; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            make_key(first + i, batch[i]);
            entries[i] = (struct store_entry){slice_of(batch[i], 16), slice_of(value, sizeof value), 1700000000000};
        }
        check(driver->restore(bench->store, entries, BATCH, &err), &err);
        if ((first + BATCH) % (2 * COMMIT_EVERY) == 0) {
            check(driver->commit(bench->set, NULL, &err), &err);
        }
    }
    check(driver->commit(bench->set, NULL, &err), &err);
    free(entries);
}

/* One record of a pipeline that counts: read, change, write back. */
static void work(struct bench *bench, uint64_t keys)
{
    struct err err;
    struct store_entry entry;
    uint64_t key[2];
    unsigned char value[64] = {0};
    bool found;
    make_key(draw(bench) % keys, key);
    check(driver->get(bench->store, slice_of(key, 16), &found, &entry, &err), &err);
    if (!found) {
        fprintf(stderr, "A key is missing.\n");
        exit(1);
    }
    memcpy(value, entry.value.data, sizeof value);
    value[0]++;
    check(driver->put(bench->store, slice_of(key, 16), slice_of(value, sizeof value), 1700000000000, &err), &err);
}

static void work_long(struct bench *bench, uint64_t keys, unsigned records)
{
    struct err err;
    for (unsigned i = 1; i <= records; i++) {
        work(bench, keys);
        if (i % COMMIT_EVERY == 0) {
            check(driver->commit(bench->set, NULL, &err), &err);
        }
    }
}

/* ---- the parts, each in a process of its own ---- */

static void scan(struct bench *bench)
{
    struct err err;
    struct store_cursor *cursor;
    struct store_entry entry;
    uint64_t from[2];
    bool found = true;
    make_key(draw(bench), from);
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    check(driver->range(bench->store, slice_of(from, 8), SLICE_NULL, false, &cursor, &err), &err);
    check(driver->next(cursor, &found, &entry, &err), &err);
    double first = ms_since(start);
    for (unsigned i = 0; i < SCANNED && found; i++) {
        check(driver->next(cursor, &found, &entry, &err), &err);
    }
    driver->end(cursor);
    printf("scan: first entry after %.2f ms, then %.0f ns an entry\n", first,
           (ms_since(start) - first) * 1e6 / SCANNED);
}

static void part_larger(const char *directory, uint64_t keys)
{
    struct bench bench;
    open_set(&bench, directory, CACHE_BYTES);
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    fill(&bench, keys);
    printf("larger than memory: %llu keys, %.0f MB in a cache of %.0f MB\n", (unsigned long long)keys,
           (double)keys * ENTRY_COST / 1e6, (double)CACHE_BYTES / 1e6);
    printf("filled: %.0f ns an entry, resident %.0f MB, at most %.0f MB\n", ms_since(start) * 1e6 / (double)keys,
           memory_mb("VmRSS:"), memory_mb("VmHWM:"));
    for (int round = 0; round < 3; round++) {
        start = clock_monotonic_ns(&CLOCK_SYSTEM);
        work_long(&bench, keys, RECORDS);
        printf("uniform random read and write: %.0f records/s, resident %.0f MB, at most %.0f MB\n",
               RECORDS / ms_since(start) * 1e3, memory_mb("VmRSS:"), memory_mb("VmHWM:"));
    }
    scan(&bench);
    printf("after the scan: resident %.0f MB\n", memory_mb("VmRSS:"));
    driver->close(bench.set);
}

static void part_in_memory(const char *directory, uint64_t keys)
{
    struct bench bench;
    open_set(&bench, directory, 0);
    fill(&bench, keys);
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    work_long(&bench, keys, RECORDS);
    printf("reference, all in memory: %.0f records/s, resident %.0f MB\n", RECORDS / ms_since(start) * 1e3,
           memory_mb("VmRSS:"));
    driver->close(bench.set);
}

/* Fills, and works until it is killed. */
static void part_work(const char *directory, uint64_t keys)
{
    struct bench bench;
    open_set(&bench, directory, CACHE_BYTES);
    fill(&bench, keys);
    puts("");
    fflush(stdout); /* the parent kills from here on */
    for (;;) {
        work_long(&bench, keys, COMMIT_EVERY);
    }
}

static void part_open(const char *directory, uint64_t keys)
{
    struct bench bench;
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    open_set(&bench, directory, CACHE_BYTES);
    printf("open after kill -9, %llu keys: %.0f ms", (unsigned long long)keys, ms_since(start));
    work_long(&bench, keys, 1000);
    printf(", with 1000 records more %.0f ms, resident %.0f MB\n", ms_since(start), memory_mb("VmRSS:"));
    driver->close(bench.set);
}

static int compare(const void *a, const void *b)
{
    double one = *(const double *)a;
    double other = *(const double *)b;
    return (one > other) - (one < other);
}

static int visit(void *self, struct store *store, const struct store_entry *entry, struct err *err)
{
    (void)store;
    (void)err;
    *(uint64_t *)self += entry->value.size;
    return 0;
}

static void make_dirty(struct bench *bench, uint64_t keys, uint64_t first)
{
    struct err err;
    uint64_t key[2];
    static unsigned char value[64];
    for (uint64_t i = 0; i < DIRTY_KEYS; i++) {
        make_key((first + i * 7919) % keys, key);
        check(driver->put(bench->store, slice_of(key, 16), slice_of(value, sizeof value), 1700000000000, &err), &err);
    }
}

static void part_pause(const char *directory, uint64_t keys)
{
    struct bench bench;
    struct err err;
    double pauses[COMMITS];
    uint64_t sum = 0;
    open_set(&bench, directory, CACHE_BYTES);
    fill(&bench, keys);
    for (unsigned i = 0; i < COMMITS; i++) {
        make_dirty(&bench, keys, i);
        clock_sleep_ms(700);
        int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
        check(driver->changes(bench.set, visit, &sum, &err), &err);
        check(driver->commit(bench.set, NULL, &err), &err);
        pauses[i] = ms_since(start);
    }
    qsort(pauses, COMMITS, sizeof pauses[0], compare);
    printf("commit of %u dirty keys of %llu, %d times: median %.1f ms, p99 %.1f ms, worst %.1f ms; at most %.0f MB\n",
           DIRTY_KEYS, (unsigned long long)keys, COMMITS, pauses[COMMITS / 2], pauses[COMMITS * 99 / 100],
           pauses[COMMITS - 1], memory_mb("VmHWM:"));
    driver->close(bench.set);
}

/* A window store from which a segment with all those entries goes; a range has made the order of the rest. */
static void part_expire(const char *directory, uint64_t keys)
{
    struct bench bench;
    struct err err;
    struct store_cursor *cursor;
    unsigned char key[24];
    open_windows(&bench, directory);
    for (uint64_t i = 0; i < keys + 1000; i++) {
        uint64_t time = i < keys ? i % 3600000 : 7200000;
        for (int b = 0; b < 8; b++) {
            key[b] = (unsigned char)(time >> (56 - 8 * b));
        }
        make_key(i, (uint64_t *)(void *)(key + 8));
        check(driver->put(bench.store, slice_of(key, sizeof key), slice_text("12345678"), 1700000000000, &err), &err);
        if (i % COMMIT_EVERY == 0) {
            check(driver->commit(bench.set, NULL, &err), &err);
        }
    }
    check(driver->commit(bench.set, NULL, &err), &err);
    check(driver->range(bench.store, SLICE_NULL, SLICE_NULL, false, &cursor, &err), &err);
    driver->end(cursor);
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    check(driver->expire(bench.store, 3600000, &err), &err);
    double expired = ms_since(start);
    start = clock_monotonic_ns(&CLOCK_SYSTEM);
    check(driver->commit(bench.set, NULL, &err), &err);
    printf("expiry of %llu windows: %.1f ms, and %.1f ms of the commit\n", (unsigned long long)keys, expired,
           ms_since(start));
    start = clock_monotonic_ns(&CLOCK_SYSTEM);
    driver->close(bench.set);
    printf("close %.1f ms\n", ms_since(start));
}

/* ---- around them ---- */

static void remove_directory(const char *directory)
{
    char path[512];
    DIR *files = opendir(directory);
    for (struct dirent *file = files != NULL ? readdir(files) : NULL; file != NULL; file = readdir(files)) {
        snprintf(path, sizeof path, "%s/%s", directory, file->d_name);
        unlink(path);
    }
    if (files != NULL) {
        closedir(files);
    }
    rmdir(directory);
}

static pid_t start(void (*part)(const char *directory, uint64_t keys), const char *directory, uint64_t keys, int output)
{
    fflush(stdout);
    pid_t child = fork();
    if (child != 0) {
        return child;
    }
    if (output >= 0) {
        dup2(output, STDOUT_FILENO);
    }
    part(directory, keys);
    exit(0);
}

static void run(void (*part)(const char *directory, uint64_t keys), const char *directory, uint64_t keys)
{
    int status;
    waitpid(start(part, directory, keys, -1), &status, 0);
    if (status != 0) {
        exit(1);
    }
}

static void run_and_kill(const char *directory, uint64_t keys)
{
    int ends[2];
    char byte;
    if (pipe(ends) != 0) {
        exit(1);
    }
    pid_t child = start(part_work, directory, keys, ends[1]);
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 1) {
        exit(1);
    }
    clock_sleep_ms(3000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
}

static const char *make_directory(char *path, size_t size)
{
    const char *parent = getenv("TMPDIR");
    snprintf(path, size, "%s/tidemill-bench-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(path) == NULL) {
        perror(path);
        exit(1);
    }
    return path;
}

static void run_alone(void (*part)(const char *directory, uint64_t keys), uint64_t keys)
{
    char directory[256];
    run(part, make_directory(directory, sizeof directory), keys);
    remove_directory(directory);
}

static void run_open(uint64_t keys)
{
    char directory[256];
    run_and_kill(make_directory(directory, sizeof directory), keys);
    run(part_open, directory, keys);
    remove_directory(directory);
}

static bool is_wanted(int argc, char **argv, const char *part)
{
    return argc < 2 || strcmp(argv[1], part) == 0;
}

int main(int argc, char **argv)
{
    uint64_t keys = CACHE_BYTES * 4 / ENTRY_COST / BATCH * BATCH;
    memory_return_large();
    if (is_wanted(argc, argv, "memory")) {
        run_alone(part_in_memory, keys);
    }
    if (is_wanted(argc, argv, "larger")) {
        run_alone(part_larger, keys);
    }
    if (is_wanted(argc, argv, "pause")) {
        run_alone(part_pause, 1000000);
    }
    if (is_wanted(argc, argv, "expire")) {
        run_alone(part_expire, 1000000);
    }
    if (is_wanted(argc, argv, "open")) {
        run_open(argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000);
    }
    if (argc < 2) {
        run_open(10000000);
    }
    return 0;
}
