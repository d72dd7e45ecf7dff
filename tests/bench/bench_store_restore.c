/* Filling a store as from a changelog, and opening it again: 1M records of 16 + 64 bytes in random order.
 *
 * Reference: packed blobs written and loaded back by a bare program, 252-387 and 122-189 ns per record.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "store/store_driver.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RECORDS 1000000u
#define BATCH 1000u
#define COMMIT_EVERY 50000u

struct bench {
    const struct store_driver *driver;
    struct store_spec spec;
    struct store_config config;
    struct store_set *set;
    struct store *store;
};

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

static void open_set(struct bench *bench)
{
    struct err err;
    bool fresh;
    check(bench->driver->open(&bench->config, &bench->set, NULL, &fresh, &err), &err);
    bench->store = bench->driver->find(bench->set, "rows");
}

static void make_key(uint64_t number, uint64_t key[2])
{
    key[0] = number * 0x9e3779b97f4a7c15u;
    key[1] = number;
}

static void fill(struct bench *bench)
{
    static uint64_t keys[BATCH][2];
    static unsigned char value[64];
    struct store_entry *entries = memory_alloc(BATCH * sizeof *entries);
    struct err err;
    for (unsigned first = 0; first < RECORDS; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            make_key(first + i, keys[i]);
            entries[i] = (struct store_entry){slice_of(keys[i], 16), slice_of(value, sizeof value), 1700000000000};
        }
        check(bench->driver->restore(bench->store, entries, BATCH, &err), &err);
        if ((first + BATCH) % COMMIT_EVERY == 0) {
            check(bench->driver->commit(bench->set, NULL, &err), &err);
        }
    }
    free(entries);
}

static void read_keys(struct bench *bench, unsigned count)
{
    struct err err;
    struct store_entry entry;
    uint64_t key[2];
    bool found;
    for (unsigned i = 0; i < count; i++) {
        make_key((uint64_t)i * 7919 % RECORDS, key);
        check(bench->driver->get(bench->store, slice_of(key, 16), &found, &entry, &err), &err);
        if (!found) {
            fprintf(stderr, "A key is missing.\n");
            exit(1);
        }
    }
}

static void wait_for_merge(struct bench *bench)
{
    struct err err;
    for (int i = 0; i < 100; i++) {
        check(bench->driver->commit(bench->set, NULL, &err), &err);
        clock_sleep_ms(50);
    }
}

static void remove_directory(const char *directory)
{
    char path[512];
    DIR *files = opendir(directory);
    for (struct dirent *file = readdir(files); file != NULL; file = readdir(files)) {
        snprintf(path, sizeof path, "%s/%s", directory, file->d_name);
        unlink(path);
    }
    closedir(files);
    rmdir(directory);
}

static void run(struct bench *bench)
{
    open_set(bench);
    int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
    fill(bench);
    double ms = ms_since(start);
    printf("restore, committed         %7.0f ns per record\n", ms * 1e6 / RECORDS);
    start = clock_monotonic_ns(&CLOCK_SYSTEM);
    bench->driver->close(bench->set);
    printf("close                      %7.1f ms\n", ms_since(start));
    start = clock_monotonic_ns(&CLOCK_SYSTEM);
    open_set(bench);
    printf("open, not all merged       %7.1f ms\n", ms_since(start));
    wait_for_merge(bench);
    bench->driver->close(bench->set);
    start = clock_monotonic_ns(&CLOCK_SYSTEM);
    open_set(bench);
    printf("open, merged               %7.1f ms\n", ms_since(start));
    start = clock_monotonic_ns(&CLOCK_SYSTEM);
    read_keys(bench, 200000);
    printf("read through to the rows   %7.0f ns per record\n", ms_since(start) * 1e6 / 200000);
    bench->driver->close(bench->set);
}

/* With a path: the directory for the files; without: one under TMPDIR or /tmp. */
int main(int argc, char **argv)
{
    char directory[256];
    const char *parent = argc > 1 ? argv[1] : getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/tidemill-bench-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        return 1;
    }
    struct bench bench = {.driver = &sqlite_store_driver,
                          .spec = {.name = "rows", .kind = STORE_KEY_VALUE, .changelog = true}};
    bench.config = (struct store_config){
        .directory = directory, .app = "bench", .worker = "0_0", .specs = &bench.spec, .spec_count = 1};
    run(&bench);
    remove_directory(directory);
    return 0;
}
