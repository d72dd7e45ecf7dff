/* Counts per key through the store, beside the same loop over a bare table.
 *
 * 1M uniform keys of 16 bytes, a value of 8 bytes read and written per record, a commit with its visited changes per
 * 50,000 records. The merge runs on its own thread at the same time; its share of the machine is in the wall time.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "store/store_driver.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define KEYS 1000000u
#define RECORDS 10000000u
#define COMMIT_EVERY 50000u
#define SLOTS (1u << 21)

struct bare_slot {
    unsigned char key[16];
    uint64_t count;
    bool used;
};

struct visited {
    uint64_t entries;
    uint64_t sum;
};

static uint64_t random_state = 88172645463325252u;

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void make_key(uint64_t number, unsigned char key[16])
{
    uint64_t words[2] = {number * 0x9e3779b97f4a7c15u, number};
    memcpy(key, words, sizeof words);
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double run_bare(void)
{
    struct bare_slot *slots = memory_alloc(SLOTS * sizeof *slots);
    random_state = 88172645463325252u;
    int64_t start = cpu_ns();
    for (unsigned i = 0; i < RECORDS; i++) {
        unsigned char key[16];
        make_key(draw() % KEYS, key);
        size_t at = hash_table64(slice_of(key, sizeof key)) & (SLOTS - 1);
        while (slots[at].used && memcmp(slots[at].key, key, sizeof key) != 0) {
            at = (at + 1) & (SLOTS - 1);
        }
        if (!slots[at].used) {
            slots[at].used = true;
            memcpy(slots[at].key, key, sizeof key);
        }
        slots[at].count++;
    }
    double ns = (double)(cpu_ns() - start) / RECORDS;
    free(slots);
    return ns;
}

static void check(int failed, const struct err *err)
{
    if (failed != 0) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static int visit(void *self, struct store *store, const struct store_entry *entry, struct err *err)
{
    struct visited *visited = self;
    (void)store;
    (void)err;
    visited->entries++;
    visited->sum += entry->key.data[0] + entry->value.data[0];
    return 0;
}

static void count_record(struct store *store)
{
    const struct store_driver *driver = &sqlite_store_driver;
    struct err err;
    struct store_entry entry;
    unsigned char bytes[16];
    bool found;
    uint64_t count = 0;
    make_key(draw() % KEYS, bytes);
    struct slice key = slice_of(bytes, sizeof bytes);
    check(driver->get(store, key, &found, &entry, &err), &err);
    if (found) {
        memcpy(&count, entry.value.data, sizeof count);
    }
    count++;
    check(driver->put(store, key, slice_of(&count, sizeof count), 1700000000000, &err), &err);
}

struct result {
    double cpu;
    double wall;
    double operations; /* get and put only */
    double worst_commit_ms;
};

static void run_store(const char *directory, struct result *result)
{
    const struct store_driver *driver = &sqlite_store_driver;
    struct err err;
    struct store_spec spec = {.name = "counts", .kind = STORE_KEY_VALUE, .changelog = true};
    struct store_config config = {
        .directory = directory, .app = "bench", .worker = "0_0", .specs = &spec, .spec_count = 1};
    struct store_set *set;
    struct visited visited = {0, 0};
    bool fresh;
    check(driver->open(&config, &set, NULL, &fresh, &err), &err);
    struct store *store = driver->find(set, "counts");
    random_state = 88172645463325252u;
    int64_t cpu = cpu_ns();
    int64_t wall = clock_monotonic_ns(&CLOCK_SYSTEM);
    int64_t committing = 0;
    for (unsigned i = 1; i <= RECORDS; i++) {
        count_record(store);
        if (i % COMMIT_EVERY == 0) {
            int64_t start = clock_monotonic_ns(&CLOCK_SYSTEM);
            int64_t start_cpu = cpu_ns();
            check(driver->changes(set, visit, &visited, &err), &err);
            check(driver->commit(set, NULL, &err), &err);
            committing += cpu_ns() - start_cpu;
            double ms = (double)(clock_monotonic_ns(&CLOCK_SYSTEM) - start) / 1e6;
            result->worst_commit_ms = ms > result->worst_commit_ms ? ms : result->worst_commit_ms;
        }
    }
    cpu = cpu_ns() - cpu;
    result->wall = (double)(clock_monotonic_ns(&CLOCK_SYSTEM) - wall) / RECORDS;
    result->cpu = (double)cpu / RECORDS;
    result->operations = (double)(cpu - committing) / RECORDS;
    driver->close(set);
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
    struct result result = {0};
    double bare = run_bare();
    run_store(directory, &result);
    remove_directory(directory);
    printf("bare table                 %7.0f ns per record\n", bare);
    printf("store, get and put         %7.0f ns per record\n", result.operations);
    printf("store, everything, CPU     %7.0f ns per record\n", result.cpu);
    printf("store, everything, wall    %7.0f ns per record\n", result.wall);
    printf("ratio of CPU to bare       %7.2f\n", result.cpu / bare);
    printf("worst commit               %7.1f ms\n", result.worst_commit_ms);
    return 0;
}
