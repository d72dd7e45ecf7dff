/* Restarts in the middle: a pipeline reads the same records once in one run and once in many, and gives the same.
 *
 * Ownership: texts are the caller's and are freed with bytes_free.
 */
#ifndef TIDEMILL_TESTS_OPERATORS_RESTARTS_H
#define TIDEMILL_TESTS_OPERATORS_RESTARTS_H

#include "support.h"

#include "engine/memory_transport.h"
#include "engine/stream_thread.h"

/* One record of the topic "in" (or another), a NULL key or value is null. */
struct sent {
    const char *key;
    const char *value;
    int64_t at;
};

enum restart_state {
    RESTART_NEVER,
    RESTART_KEEPS_FILES, /* the state is found in its files */
    RESTART_LOSES_FILES  /* the state comes from the changelogs */
};

struct restarts {
    struct program *program;
    struct transport *transport;
    struct stream_thread *thread;
    struct instance *instance;
    struct topic_plan *plan;
    char directory[64];
    struct clock clock;
    enum restart_state state;
};

static inline void restarts_must(int result, const struct err *err)
{
    if (result) {
        ck_abort_msg("%s", err->text);
    }
}

static inline void restarts_begin(struct restarts *run)
{
    struct err err;
    const struct program_class *class = run->program->class;
    restarts_must(class->load(run->program, &run->instance, &err), &err);
    const struct app_settings *settings = class->settings(run->instance);
    struct graph *graph = class->graph(run->instance);
    restarts_must(topic_plan_make(graph, settings, run->transport, true, false, NULL, &run->plan, &err), &err);
    struct stream_thread_config config = {.settings = settings,
                                          .program = run->program,
                                          .graph = graph,
                                          .plan = run->plan,
                                          .stores = &sqlite_store_driver,
                                          .transport = run->transport,
                                          .clock = &run->clock,
                                          .state_directory = run->state == RESTART_KEEPS_FILES ? run->directory : NULL,
                                          .instance = "0",
                                          .threads = 1,
                                          .restore_inline = true};
    restarts_must(stream_thread_open(&config, &run->thread, &err), &err);
}

static inline void restarts_work(struct restarts *run)
{
    struct err err;
    bool worked;
    do {
        restarts_must(stream_thread_step(run->thread, 1, &worked, &err), &err);
    } while (!stream_thread_joined(run->thread) || stream_thread_worker_count(run->thread) == 0 ||
             !stream_thread_idle(run->thread));
}

static inline void restarts_end(struct restarts *run)
{
    struct err err;
    restarts_must(stream_thread_close(run->thread, &err), &err);
    topic_plan_free(run->plan);
    run->program->class->unload(run->instance);
}

/* What came out on "out", as outputs() shows it; bytes of keys as they are. */
static inline void restarts_take(struct restarts *run, int32_t partitions, struct bytes *text)
{
    struct record record;
    for (int32_t partition = 0; partition < partitions; partition++) {
        for (int64_t i = 0; memory_transport_record(run->transport, "out", partition, i, &record); i++) {
            append_datum(text, record.key);
            bytes_append_byte(text, ':');
            append_datum(text, record.value);
            bytes_append_format(text, "@%" PRId64 " ", record.timestamp);
        }
    }
}

/* The outputs of `script` (behind HEAD) for the records of "in", which come one by one; with restarts after every
 * `every`th. */
static inline void restarts_run(const char *script, const struct sent *records, size_t count, size_t every,
                                enum restart_state state, int32_t partitions, struct bytes *text)
{
    struct err err;
    struct pipeline file = {0};
    char whole[16384];
    struct restarts run = {.directory = "/tmp/tidemill-restarts-XXXXXX", .clock = CLOCK_SYSTEM, .state = state};
    log_configure(LOG_ERROR, false);
    snprintf(whole, sizeof(whole), "%s%s", HEAD, script);
    pipeline_write(&file, whole);
    ck_assert_ptr_nonnull(mkdtemp(run.directory));
    struct memory_transport_config memory = {
        .default_partitions = partitions, .create_topics = true, .timeless = true, .clock = &run.clock};
    restarts_must(memory_transport_open(&memory, &run.transport, &err), &err);
    restarts_must(program_open(file.path, &operators_all, NULL, &run.program, &err), &err);
    restarts_begin(&run);
    for (size_t i = 0; i < count; i++) {
        struct record record = {
            .key = optional_text(records[i].key), .value = optional_text(records[i].value), .timestamp = records[i].at};
        restarts_must(memory_transport_append(run.transport, "in", -1, &record, &err), &err);
        restarts_work(&run);
        if (state != RESTART_NEVER && i % every == every - 1) {
            restarts_end(&run);
            restarts_begin(&run);
        }
    }
    restarts_work(&run);
    restarts_end(&run);
    restarts_take(&run, partitions, text);
    program_close(run.program);
    run.transport->class->close(run.transport);
    snprintf(whole, sizeof(whole), "rm -rf %s", run.directory);
    ck_assert_int_eq(system(whole), 0);
    unlink(file.path);
}

/* Runs without restarts, with kept and with lost files, and all must give the same, something. */
static inline void restarts_change_nothing(const char *script, const struct sent *records, size_t count, size_t every,
                                           int32_t partitions)
{
    struct bytes once = {0}, kept = {0}, lost = {0};
    restarts_run(script, records, count, every, RESTART_NEVER, partitions, &once);
    restarts_run(script, records, count, every, RESTART_KEEPS_FILES, partitions, &kept);
    restarts_run(script, records, count, every, RESTART_LOSES_FILES, partitions, &lost);
    ck_assert_uint_gt(once.size, 0);
    ck_assert_msg(slice_equal(bytes_slice(&once), bytes_slice(&kept)), "once: %s\nkept: %s", bytes_text(&once),
                  bytes_text(&kept));
    ck_assert_msg(slice_equal(bytes_slice(&once), bytes_slice(&lost)), "once: %s\nlost: %s", bytes_text(&once),
                  bytes_text(&lost));
    bytes_free(&once);
    bytes_free(&kept);
    bytes_free(&lost);
}

#endif
