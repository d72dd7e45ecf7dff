/* Runs the vectors: pipelines whose outputs were recorded on Apache Kafka Streams. README.md describes the files.
 *
 *   run_vectors DIRECTORY [PATTERN]     PATTERN: only vectors whose name matches ("count_*")
 *   run_vectors --restart N ...         ends the pipeline and starts it anew before every Nth step: the same must come
 *                                       out, from state that was restored from changelogs
 *   run_vectors --agree N ...           runs every vector without and with such restarts: both must write the same;
 *                                       what the vector expects does not matter
 */
#include <dirent.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/driver.h"
#include "operators/all.h"
#include "scripts/program.h"
#include "store/store_driver.h"
#include "tests/vectors/vector.h"
#include "tests/vectors/vector_windows.h"

/* Behaviour of Kafka Streams that Tidemill does not share: README.md says what it does instead. */
static const char *const quirks[] = {"default-retention", "windowed-null-value",       "filter-extra-tombstone",
                                     "final-headers",     "session-suppress-boundary", "stream-join-timing"};

/* Pipelines whose results may differ after a restart: wall clocks begin anew, and variables of the script are no state.
 */
static const char *const not_restarted[] = {"process_punctuate_wall", "process_punctuate_two"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* A record that came out. */
struct written {
    struct record record; /* copied into the run's arena */
    int step;
    bool matched;
};

struct run {
    const char *directory;
    const char *pattern; /* NULL: all */
    int restart;         /* the pipeline is ended and started anew before each step of this number; 0: never */
    bool agree;          /* with and without restarts the same must come out, whatever it is */
    struct arena arena;  /* of one vector */
    const char *name;    /* of the vector */
    struct driver *driver;
    struct written *written;
    size_t count;
    size_t capacity;
    int passed;
    int failed;
    int skipped;
};

/* ---- what came out against what is expected ---- */

static bool key_matches(struct run *run, const char *topic, struct slice expected, struct slice key)
{
    if (json_type(expected) == JSON_OBJECT) {
        return vector_windows_key_matches(&run->arena, run->driver, topic, expected, key);
    }
    return slice_equal(vector_text(&run->arena, expected), key);
}

static bool headers_match(struct run *run, struct slice expected, const struct headers *headers)
{
    if (!expected.data) {
        return headers->count == 0;
    }
    struct json_walk walk = json_walk(expected);
    struct slice pair, name, value;
    size_t count = 0;
    while (json_next_element(&walk, &pair)) {
        struct json_walk parts = json_walk(pair);
        if (count == headers->count || !json_next_element(&parts, &name) || !json_next_element(&parts, &value) ||
            !slice_equal(vector_text(&run->arena, name), headers->list[count].name) ||
            !slice_equal(vector_text(&run->arena, value), headers->list[count].value)) {
            return false;
        }
        count++;
    }
    return count == headers->count;
}

static bool record_matches(struct run *run, struct slice expected, const struct written *written)
{
    const struct record *record = &written->record;
    return vector_integer(vector_member(expected, "after_step")) == written->step &&
           key_matches(run, record->topic, vector_member(expected, "key"), record->key) &&
           vector_value_matches(&run->arena, vector_member(expected, "value"), record->value) &&
           vector_integer(vector_member(expected, "timestamp")) == record->timestamp &&
           headers_match(run, vector_member(expected, "headers"), &record->headers);
}

static void print_written(const struct written *written)
{
    const struct record *record = &written->record;
    printf("      after_step %d, %s: key %.*s, value %.*s, timestamp %" PRId64, written->step, record->topic,
           record->key.data ? (int)record->key.size : 4, record->key.data ? (const char *)record->key.data : "null",
           record->value.data ? (int)record->value.size : 4,
           record->value.data ? (const char *)record->value.data : "null", record->timestamp);
    for (size_t i = 0; i < record->headers.count; i++) {
        const struct header *header = &record->headers.list[i];
        printf(", header %.*s=%.*s", (int)header->name.size, (const char *)header->name.data, (int)header->value.size,
               header->value.data ? (const char *)header->value.data : "");
    }
    printf("\n");
}

static bool fail(struct run *run, const char *what)
{
    printf("FAILED %s: %s\n", run->name, what);
    return false;
}

/* The next one not yet looked at of that topic, and of that key where only the order within a key counts. */
static struct written *next_written(struct run *run, struct slice expected, bool by_key)
{
    const char *topic = vector_name(&run->arena, vector_member(expected, "topic"));
    for (size_t i = 0; i < run->count; i++) {
        struct written *written = &run->written[i];
        if (!written->matched && strcmp(written->record.topic, topic) == 0 &&
            (!by_key || key_matches(run, topic, vector_member(expected, "key"), written->record.key))) {
            written->matched = true;
            return written;
        }
    }
    return NULL;
}

static bool compare_records(struct run *run, struct slice vector)
{
    bool by_key = vector_member(vector, "order").data != NULL;
    struct json_walk walk = json_walk(vector_member(vector, "expect"));
    struct slice expected;
    while (json_next_element(&walk, &expected)) {
        struct written *written = next_written(run, expected, by_key);
        if (!written || !record_matches(run, expected, written)) {
            fail(run, written ? "a record differs" : "a record did not come out");
            printf("    expected:\n      %.*s\n", (int)expected.size, (const char *)expected.data);
            if (written) {
                printf("    got:\n");
                print_written(written);
            }
            return false;
        }
    }
    for (size_t i = 0; i < run->count; i++) {
        if (!run->written[i].matched) {
            fail(run, "a record came out that should not");
            print_written(&run->written[i]);
            return false;
        }
    }
    return true;
}

/* ---- stores ---- */

/* Every entry of the store against the object; *count gets how many there are. */
static bool compare_entries(struct run *run, struct store_cursor *cursor, const struct store_driver *stores,
                            struct slice expected, size_t *count)
{
    struct err err;
    struct store_entry entry;
    struct slice value;
    bool found;
    *count = 0;
    while (stores->next(cursor, &found, &entry, &err) == 0 && found) {
        ++*count;
        if (!json_member(expected, entry.key, &value) || !vector_value_matches(&run->arena, value, entry.value)) {
            printf("    store entry %.*s: %.*s\n", (int)entry.key.size, (const char *)entry.key.data,
                   (int)entry.value.size, (const char *)entry.value.data);
            return false;
        }
    }
    return true;
}

static bool compare_store(struct run *run, struct driver *driver, const char *name, struct slice expected)
{
    const struct store_driver *stores = driver_store_driver(driver);
    struct store *store = driver_store(driver, name, 0);
    struct store_cursor *cursor;
    struct err err;
    size_t count;
    if (!store) {
        return fail(run, "a store is missing");
    }
    if (vector_windows_in(driver, name)) {
        return vector_windows_store_matches(&run->arena, driver, name, expected) ||
               fail(run, "the content of a store differs");
    }
    if (stores->range(store, SLICE_NULL, SLICE_NULL, false, &cursor, &err)) {
        return fail(run, err.text);
    }
    bool equal = compare_entries(run, cursor, stores, expected, &count) && count == vector_members(expected);
    stores->end(cursor);
    if (!equal) {
        fail(run, "the content of a store differs");
        printf("    store %s, expected %.*s\n", name, (int)expected.size, (const char *)expected.data);
    }
    return equal;
}

static bool compare_stores(struct run *run, struct driver *driver, struct slice vector)
{
    struct slice stores = vector_member(vector, "stores"), name, content;
    if (!stores.data) {
        return true;
    }
    struct json_walk walk = json_walk(stores);
    while (json_next_member(&walk, &name, &content)) {
        const char *plain = vector_name(&run->arena, slice_of(name.data - 1, name.size + 2));
        if (!compare_store(run, driver, plain, json_trim(content))) {
            return false;
        }
    }
    return true;
}

/* ---- driving ---- */

static struct headers parse_headers(struct run *run, struct slice list)
{
    if (!list.data) {
        return (struct headers){NULL, 0};
    }
    struct header *headers = NULL;
    size_t count = 0, capacity = 0;
    struct json_walk walk = json_walk(list);
    struct slice pair;
    while (json_next_element(&walk, &pair)) {
        struct json_walk parts = json_walk(pair);
        struct slice name = SLICE_NULL, value = SLICE_NULL;
        json_next_element(&parts, &name);
        json_next_element(&parts, &value);
        headers = memory_grow(headers, count, &capacity, sizeof(*headers));
        headers[count++] = (struct header){vector_text(&run->arena, name), vector_text(&run->arena, value)};
    }
    struct header *kept = arena_alloc(&run->arena, (count + 1) * sizeof(*kept));
    if (count > 0) {
        memcpy(kept, headers, count * sizeof(*kept));
    }
    free(headers);
    return (struct headers){kept, count};
}

static int do_step(struct run *run, struct driver *driver, struct slice step, struct err *err)
{
    struct slice send = vector_member(step, "send");
    if (!send.data) {
        return driver_advance(driver, vector_integer(vector_member(step, "advance_wall_ms")), err);
    }
    struct slice value = vector_member(send, "value");
    struct record record = {
        .key = vector_text(&run->arena, vector_member(send, "key")),
        .value = json_type(value) == JSON_NULL ? SLICE_NULL : value,
        .headers = parse_headers(run, vector_member(send, "headers")),
        .timestamp = vector_integer(vector_member(send, "at")),
        .topic = vector_name(&run->arena, vector_member(send, "topic")),
    };
    return driver_send(driver, &record, err);
}

static void keep(struct run *run, const struct record *record, int step)
{
    struct written written = {*record, step, false};
    struct arena *arena = &run->arena;
    written.record.key = arena_copy(arena, record->key);
    written.record.value = arena_copy(arena, record->value);
    written.record.topic = (const char *)arena_copy(arena, slice_of(record->topic, strlen(record->topic) + 1)).data;
    struct header *headers = arena_alloc(arena, (record->headers.count + 1) * sizeof(*headers));
    for (size_t i = 0; i < record->headers.count; i++) {
        headers[i].name = arena_copy(arena, record->headers.list[i].name);
        headers[i].value = arena_copy(arena, record->headers.list[i].value);
    }
    written.record.headers.list = headers;
    run->written = memory_grow(run->written, run->count, &run->capacity, sizeof(*run->written));
    run->written[run->count++] = written;
}

static bool do_steps(struct run *run, struct driver *driver, struct slice vector)
{
    struct json_walk walk = json_walk(vector_member(vector, "steps"));
    struct slice step;
    struct err err;
    struct record record;
    for (int number = 0; json_next_element(&walk, &step); number++) {
        bool restart = run->restart > 0 && number % run->restart == run->restart - 1;
        if (restart && driver_restart(driver, &err)) {
            return fail(run, err.text);
        }
        if (do_step(run, driver, step, &err)) {
            return fail(run, err.text);
        }
        while (driver_take(driver, &record)) {
            keep(run, &record, number);
        }
    }
    return true;
}

static bool as_expected(struct run *run, struct slice vector)
{
    return compare_records(run, vector) && compare_stores(run, run->driver, vector);
}

/* Runs the steps on a new driver and lets `judge` look at what came out; NULL: nobody does. */
static bool drive(struct run *run, struct program *program, struct slice vector,
                  bool (*judge)(struct run *run, struct slice vector))
{
    struct instance *instance;
    struct driver *driver;
    struct err err;
    run->count = 0;
    if (program->class->load(program, &instance, &err)) {
        return fail(run, err.text);
    }
    struct driver_config config = {program, &sqlite_store_driver, program->class->settings(instance), 1};
    bool passed = false;
    if (driver_open(&config, &driver, &err)) {
        fail(run, err.text);
    } else {
        run->driver = driver;
        passed = do_steps(run, driver, vector) && (!judge || judge(run, vector));
        driver_close(driver);
    }
    program->class->unload(instance);
    return passed;
}

static bool headers_equal(const struct headers *one, const struct headers *other)
{
    bool equal = one->count == other->count;
    for (size_t i = 0; i < one->count && equal; i++) {
        equal = slice_equal(one->list[i].name, other->list[i].name) &&
                slice_equal(one->list[i].value, other->list[i].value);
    }
    return equal;
}

static bool written_equal(const struct written *one, const struct written *other)
{
    return one->step == other->step && strcmp(one->record.topic, other->record.topic) == 0 &&
           slice_equal(one->record.key, other->record.key) && slice_equal(one->record.value, other->record.value) &&
           one->record.timestamp == other->record.timestamp &&
           headers_equal(&one->record.headers, &other->record.headers);
}

static bool compare_runs(struct run *run, const struct written *without, size_t count)
{
    for (size_t i = 0; i < count || i < run->count; i++) {
        if (i >= count || i >= run->count || !written_equal(&without[i], &run->written[i])) {
            fail(run, "restarts change what comes out");
            printf("    without:\n");
            if (i < count) {
                print_written(&without[i]);
            }
            printf("    with:\n");
            if (i < run->count) {
                print_written(&run->written[i]);
            }
            return false;
        }
    }
    return true;
}

static bool run_twice(struct run *run, struct program *program, struct slice vector)
{
    int restart = run->restart;
    run->restart = 0;
    bool passed = drive(run, program, vector, NULL);
    run->restart = restart;
    struct written *without = run->written;
    size_t count = run->count;
    run->written = NULL;
    run->capacity = 0;
    passed = passed && drive(run, program, vector, NULL) && compare_runs(run, without, count);
    free(without);
    return passed;
}

static bool run_vector(struct run *run, struct slice vector)
{
    char path[4096];
    struct program *program;
    struct err err;
    const char *topology = vector_name(&run->arena, vector_member(vector, "topology"));
    snprintf(path, sizeof(path), "%s/topologies/%s", run->directory, topology);
    if (access(path, F_OK) != 0) { /* own vectors are about the same pipelines */
        snprintf(path, sizeof(path), "%s/../topologies/%s", run->directory, topology);
    }
    if (program_open(path, &operators_all, NULL, &program, &err)) {
        return fail(run, err.text);
    }
    bool passed = run->agree ? run_twice(run, program, vector) : drive(run, program, vector, as_expected);
    program_close(program);
    return passed;
}

/* ---- which ones ---- */

static bool sends_null(struct slice vector)
{
    struct json_walk walk = json_walk(vector_member(vector, "steps"));
    struct slice step;
    while (json_next_element(&walk, &step)) {
        struct slice send = vector_member(step, "send");
        if (send.data && json_type(vector_member(send, "key")) != JSON_NULL &&
            json_type(vector_member(send, "value")) == JSON_NULL) {
            return true;
        }
    }
    return false;
}

/* Windows of a day count null values in some vectors that do not name the quirk. */
static const char *unnamed_quirk(struct run *run, struct slice vector)
{
    const char *topology = vector_name(&run->arena, vector_member(vector, "topology"));
    return strcmp(topology, "tumbling_day.lua") == 0 && sends_null(vector) ? "windowed-null-value" : NULL;
}

static const char *unshared_quirk(struct run *run, struct slice vector)
{
    struct slice list = vector_member(vector, "quirks"), quirk;
    if (!list.data) {
        return unnamed_quirk(run, vector);
    }
    struct json_walk walk = json_walk(list);
    while (json_next_element(&walk, &quirk)) {
        for (size_t i = 0; i < COUNT(quirks); i++) {
            if (strcmp(vector_name(&run->arena, quirk), quirks[i]) == 0) {
                return quirks[i];
            }
        }
    }
    return NULL;
}

static const char *skip_reason(const struct run *run, const char *topology)
{
    for (size_t i = 0; i < COUNT(not_restarted) && run->restart > 0; i++) {
        if (strcmp(not_restarted[i], topology) == 0) {
            return "restarts change its results";
        }
    }
    return NULL;
}

static void one_vector(struct run *run, struct slice vector)
{
    run->name = vector_name(&run->arena, vector_member(vector, "name"));
    if (run->pattern && fnmatch(run->pattern, run->name, 0) != 0) {
        return;
    }
    const char *quirk = unshared_quirk(run, vector);
    if (quirk) {
        printf("skipped %s: quirk %s\n", run->name, quirk);
        run->skipped++;
    } else if (run_vector(run, vector)) {
        run->passed++;
    } else {
        run->failed++;
    }
}

static void run_list(struct run *run, struct slice list, const char *reason)
{
    struct json_walk walk = json_walk(list);
    struct slice vector;
    int count = 0;
    while (json_next_element(&walk, &vector)) {
        count++;
        if (!reason) {
            one_vector(run, vector);
            arena_clear(&run->arena);
        }
    }
    run->skipped += reason ? count : 0;
}

static bool read_file(const char *path, struct bytes *content)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return false;
    }
    size_t size;
    do {
        size = fread(bytes_reserve(content, 65536), 1, 65536, file);
        content->size += size;
    } while (size > 0);
    fclose(file);
    return true;
}

static void run_file(struct run *run, const char *name)
{
    char path[4096], topology[256];
    struct bytes content = {0};
    struct json_problem problem;
    snprintf(path, sizeof(path), "%s/vectors/%s", run->directory, name);
    snprintf(topology, sizeof(topology), "%.*s", (int)(strlen(name) - strlen(".json")), name);
    const char *reason = skip_reason(run, topology);
    if (!read_file(path, &content) || !json_check(bytes_slice(&content), &problem)) {
        printf("FAILED %s: the file can't be read\n", path);
        run->failed++;
    } else {
        if (reason) {
            printf("skipped %s: %s\n", topology, reason);
        }
        run_list(run, bytes_slice(&content), reason);
    }
    bytes_free(&content);
}

static int is_vector_file(const struct dirent *entry)
{
    return fnmatch("*.json", entry->d_name, 0) == 0;
}

int main(int argc, char **argv)
{
    char path[4096];
    struct dirent **files;
    struct run run = {0};
    if (argc > 2 && (strcmp(argv[1], "--restart") == 0 || strcmp(argv[1], "--agree") == 0)) {
        run.agree = strcmp(argv[1], "--agree") == 0;
        run.restart = atoi(argv[2]);
        argc -= 2;
        argv += 2;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: run_vectors [--restart N | --agree N] DIRECTORY [PATTERN]\n");
        return 2;
    }
    log_configure(LOG_ERROR, false);
    run.directory = argv[1];
    run.pattern = argc > 2 ? argv[2] : NULL;
    snprintf(path, sizeof(path), "%s/vectors", run.directory);
    int count = scandir(path, &files, is_vector_file, alphasort);
    if (count <= 0) {
        fprintf(stderr, "There are no vectors in %s.\n", path);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        run_file(&run, files[i]->d_name);
        free(files[i]);
    }
    free(files);
    free(run.written);
    arena_free(&run.arena);
    printf("%d passed, %d failed, %d skipped\n", run.passed, run.failed, run.skipped);
    return run.failed > 0;
}
