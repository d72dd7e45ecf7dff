/* Runs the vectors: pipelines whose outputs were recorded on Apache Kafka Streams. README.md describes the files.
 *
 *   run_vectors DIRECTORY [PATTERN]     PATTERN: only vectors whose name matches ("count_*")
 */
#include <dirent.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/driver.h"
#include "operators/all.h"
#include "scripts/program.h"
#include "store/store_driver.h"

/* Behaviour of Kafka Streams that Tidemill does not share: README.md says what it does instead. */
static const char *const quirks[] = {"default-retention", "windowed-null-value",       "filter-extra-tombstone",
                                     "final-headers",     "session-suppress-boundary", "stream-join-timing"};

/* Pipelines with operators that are not there yet. */
static const struct {
    const char *pattern;
    const char *reason;
} later[] = {
    {"tumbling_*", "windows"},
    {"hopping_*", "windows"},
    {"sliding_*", "windows"},
    {"session_*", "windows"},
    {"two_level_windows", "windows"},
    {"source_timestamp", "windows"},
    {"shop", "windows"},
    {"stream_join*", "stream-stream joins"},
    {"stream_left_join*", "stream-stream joins"},
    {"stream_outer_join*", "stream-stream joins"},
    {"stream_self_join", "stream-stream joins"},
    {"process_*", "processors"},
    {"fk_*", "foreign-key joins"},
    {"global_*", "global tables"},
    {"table_join*", "table-table joins"},
    {"table_left_join*", "table-table joins"},
    {"table_outer_join*", "table-table joins"},
};

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
    struct arena arena;  /* of one vector */
    const char *name;    /* of the vector */
    struct written *written;
    size_t count;
    size_t capacity;
    int passed;
    int failed;
    int skipped;
};

/* ---- JSON ---- */

static struct slice member(struct slice object, const char *name)
{
    struct slice value;
    return json_member(object, slice_text(name), &value) ? json_trim(value) : SLICE_NULL;
}

/* The decoded text of a string; null for anything else. */
static struct slice text_of(struct run *run, struct slice value)
{
    if (!value.data || json_type(value) != JSON_STRING) {
        return SLICE_NULL;
    }
    struct bytes decoded = {0};
    json_decode_string(value, &decoded);
    struct slice text = arena_copy(&run->arena, bytes_slice(&decoded));
    bytes_free(&decoded);
    return text;
}

static const char *name_of(struct run *run, struct slice value)
{
    struct slice text = text_of(run, value);
    char *name = arena_alloc(&run->arena, text.size + 1);
    if (text.size > 0) {
        memcpy(name, text.data, text.size);
    }
    name[text.size] = '\0';
    return name;
}

static int64_t integer_of(struct slice value)
{
    int64_t integer = 0;
    double real;
    return value.data && json_number(value, &integer, &real) ? integer : -1;
}

static bool json_equal(struct run *run, struct slice one, struct slice other);

static size_t members(struct slice object)
{
    struct json_walk walk = json_walk(object);
    struct slice name, value;
    size_t count = 0;
    while (json_next_member(&walk, &name, &value)) {
        count++;
    }
    return count;
}

static bool objects_equal(struct run *run, struct slice one, struct slice other)
{
    struct json_walk walk = json_walk(one);
    struct slice name, value, match;
    while (json_next_member(&walk, &name, &value)) {
        struct slice plain = text_of(run, slice_of(name.data - 1, name.size + 2));
        if (!json_member(other, plain, &match) || !json_equal(run, value, match)) {
            return false;
        }
    }
    return members(one) == members(other);
}

static bool arrays_equal(struct run *run, struct slice one, struct slice other)
{
    struct json_walk walk = json_walk(one), match_walk = json_walk(other);
    struct slice value, match;
    while (json_next_element(&walk, &value)) {
        if (!json_next_element(&match_walk, &match) || !json_equal(run, value, match)) {
            return false;
        }
    }
    return !json_next_element(&match_walk, &match);
}

/* Integers are equal as integers: 5 and 5.0 differ. */
static bool numbers_equal(struct slice one, struct slice other)
{
    int64_t integer, other_integer;
    double real, other_real;
    bool whole = json_number(one, &integer, &real);
    if (whole != json_number(other, &other_integer, &other_real)) {
        return false;
    }
    return whole ? integer == other_integer : real == other_real;
}

static bool json_equal(struct run *run, struct slice one, struct slice other)
{
    enum json_type type = json_type(one);
    if (type != json_type(other)) {
        return false;
    }
    switch (type) {
    case JSON_OBJECT:
        return objects_equal(run, one, other);
    case JSON_ARRAY:
        return arrays_equal(run, one, other);
    case JSON_NUMBER:
        return numbers_equal(one, other);
    case JSON_STRING:
        return slice_equal(text_of(run, one), text_of(run, other));
    default:
        return true;
    }
}

/* ---- what came out against what is expected ---- */

static bool key_matches(struct run *run, struct slice expected, struct slice key)
{
    return slice_equal(text_of(run, expected), key);
}

/* Bytes written or stored against a JSON value; null is a tombstone. Counts in stores are eight bytes. */
static bool value_matches(struct run *run, struct slice expected, struct slice value)
{
    struct json_problem problem;
    if (!value.data) {
        return json_type(expected) == JSON_NULL;
    }
    if (json_check(value, &problem)) {
        return json_type(expected) != JSON_NULL && json_equal(run, expected, value);
    }
    struct bytes_reader reader = bytes_reader_of(value);
    return value.size == sizeof(uint64_t) && (int64_t)bytes_take_u64(&reader) == integer_of(expected);
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
            !slice_equal(text_of(run, name), headers->list[count].name) ||
            !slice_equal(text_of(run, value), headers->list[count].value)) {
            return false;
        }
        count++;
    }
    return count == headers->count;
}

static bool record_matches(struct run *run, struct slice expected, const struct written *written)
{
    const struct record *record = &written->record;
    return integer_of(member(expected, "after_step")) == written->step &&
           key_matches(run, member(expected, "key"), record->key) &&
           value_matches(run, member(expected, "value"), record->value) &&
           integer_of(member(expected, "timestamp")) == record->timestamp &&
           headers_match(run, member(expected, "headers"), &record->headers);
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
    const char *topic = name_of(run, member(expected, "topic"));
    for (size_t i = 0; i < run->count; i++) {
        struct written *written = &run->written[i];
        if (!written->matched && strcmp(written->record.topic, topic) == 0 &&
            (!by_key || key_matches(run, member(expected, "key"), written->record.key))) {
            written->matched = true;
            return written;
        }
    }
    return NULL;
}

static bool compare_records(struct run *run, struct slice vector)
{
    bool by_key = member(vector, "order").data != NULL;
    struct json_walk walk = json_walk(member(vector, "expect"));
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
        if (!json_member(expected, entry.key, &value) || !value_matches(run, value, entry.value)) {
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
    if (stores->range(store, SLICE_NULL, SLICE_NULL, false, &cursor, &err)) {
        return fail(run, err.text);
    }
    bool equal = compare_entries(run, cursor, stores, expected, &count) && count == members(expected);
    stores->end(cursor);
    if (!equal) {
        fail(run, "the content of a store differs");
        printf("    store %s, expected %.*s\n", name, (int)expected.size, (const char *)expected.data);
    }
    return equal;
}

static bool compare_stores(struct run *run, struct driver *driver, struct slice vector)
{
    struct slice stores = member(vector, "stores"), name, content;
    if (!stores.data) {
        return true;
    }
    struct json_walk walk = json_walk(stores);
    while (json_next_member(&walk, &name, &content)) {
        const char *plain = name_of(run, slice_of(name.data - 1, name.size + 2));
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
        headers[count++] = (struct header){text_of(run, name), text_of(run, value)};
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
    struct slice send = member(step, "send");
    if (!send.data) {
        return driver_advance(driver, integer_of(member(step, "advance_wall_ms")), err);
    }
    struct slice value = member(send, "value");
    struct record record = {
        .key = text_of(run, member(send, "key")),
        .value = json_type(value) == JSON_NULL ? SLICE_NULL : value,
        .headers = parse_headers(run, member(send, "headers")),
        .timestamp = integer_of(member(send, "at")),
        .topic = name_of(run, member(send, "topic")),
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
    struct json_walk walk = json_walk(member(vector, "steps"));
    struct slice step;
    struct err err;
    struct record record;
    for (int number = 0; json_next_element(&walk, &step); number++) {
        if (do_step(run, driver, step, &err)) {
            return fail(run, err.text);
        }
        while (driver_take(driver, &record)) {
            keep(run, &record, number);
        }
    }
    return true;
}

static bool run_program(struct run *run, struct program *program, struct slice vector)
{
    struct instance *instance;
    struct driver *driver;
    struct err err;
    if (program->class->load(program, &instance, &err)) {
        return fail(run, err.text);
    }
    struct driver_config config = {program, &sqlite_store_driver, program->class->settings(instance), 1};
    bool passed = false;
    if (driver_open(&config, &driver, &err)) {
        fail(run, err.text);
    } else {
        passed = do_steps(run, driver, vector) && compare_records(run, vector) && compare_stores(run, driver, vector);
        driver_close(driver);
    }
    program->class->unload(instance);
    return passed;
}

static bool run_vector(struct run *run, struct slice vector)
{
    char path[4096];
    struct program *program;
    struct err err;
    run->count = 0;
    snprintf(path, sizeof(path), "%s/topologies/%s", run->directory, name_of(run, member(vector, "topology")));
    if (program_open(path, &operators_all, &program, &err)) {
        return fail(run, err.text);
    }
    bool passed = run_program(run, program, vector);
    program_close(program);
    return passed;
}

/* ---- which ones ---- */

static const char *unshared_quirk(struct run *run, struct slice vector)
{
    struct slice list = member(vector, "quirks"), quirk;
    if (!list.data) {
        return NULL;
    }
    struct json_walk walk = json_walk(list);
    while (json_next_element(&walk, &quirk)) {
        for (size_t i = 0; i < COUNT(quirks); i++) {
            if (strcmp(name_of(run, quirk), quirks[i]) == 0) {
                return quirks[i];
            }
        }
    }
    return NULL;
}

static const char *later_reason(const char *topology)
{
    for (size_t i = 0; i < COUNT(later); i++) {
        if (fnmatch(later[i].pattern, topology, 0) == 0) {
            return later[i].reason;
        }
    }
    return NULL;
}

static void one_vector(struct run *run, struct slice vector)
{
    run->name = name_of(run, member(vector, "name"));
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
    const char *reason = later_reason(topology);
    if (!read_file(path, &content) || !json_check(bytes_slice(&content), &problem)) {
        printf("FAILED %s: the file can't be read\n", path);
        run->failed++;
    } else {
        if (reason) {
            printf("skipped %s: %s are not there yet\n", topology, reason);
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
    if (argc < 2) {
        fprintf(stderr, "usage: run_vectors DIRECTORY [PATTERN]\n");
        return 2;
    }
    log_configure(LOG_ERROR, false);
    struct run run = {.directory = argv[1], .pattern = argc > 2 ? argv[2] : NULL};
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
