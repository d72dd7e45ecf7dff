/* A pipeline as an app runs it, step by step: on a transport in memory that outlives its restarts, with state that a
 * restart loses (then it is made again from the changelogs) or, on disk, keeps, and with commits that may fail.
 *
 * Ownership: running_close ends everything; the text of running_outputs lives until its next call.
 */
#ifndef TIDEMILL_TESTS_OPERATORS_RUNNING_H
#define TIDEMILL_TESTS_OPERATORS_RUNNING_H

#include "base/metric.h"
#include "engine/memory_transport.h"
#include "engine/stream_thread.h"
#include "support.h"

struct running {
    struct pipeline script; /* its file and error only */
    struct program *program;
    struct instance *instance;
    struct app_settings settings;
    struct transport *transport;
    struct topic_plan *plan;
    struct stream_thread *thread;
    struct clock clock;
    char directory[64]; /* empty: state is in memory only */
    int aborts;         /* so many of the next commits fail */
    struct bytes outputs;
    struct err err;
};

static inline enum memory_fault running_fault(void *self, enum memory_call call)
{
    struct running *running = self;
    if (call != MEMORY_COMMIT || running->aborts == 0) {
        return FAULT_NONE;
    }
    running->aborts--;
    return FAULT_ABORT;
}

/* Only topics that begin with "out" are looked at. */
static inline void running_committed(void *self, const struct record *record)
{
    struct running *running = self;
    if (strncmp(record->topic, "out", 3) != 0) {
        return;
    }
    if (running->outputs.size > 0) {
        bytes_append_byte(&running->outputs, ' ');
    }
    append_datum(&running->outputs, record->key);
    bytes_append_byte(&running->outputs, ':');
    append_datum(&running->outputs, record->value);
    bytes_append_format(&running->outputs, "@%" PRId64, record->timestamp);
}

static inline void running_must(struct running *running, int result)
{
    if (result) {
        ck_abort_msg("%s", running->err.text);
    }
}

static inline void running_start(struct running *running)
{
    struct stream_thread_config config = {
        .settings = &running->settings,
        .program = running->program,
        .graph = running->program->class->graph(running->instance),
        .plan = running->plan,
        .stores = &sqlite_store_driver,
        .transport = running->transport,
        .clock = &running->clock,
        .state_directory = running->directory[0] ? running->directory : NULL,
        .instance = running->directory[0] ? "0" : NULL,
        .threads = 1,
        .restore_inline = true,
    };
    running_must(running, stream_thread_open(&config, &running->thread, &running->err));
}

/* Topics that nobody names a count for have `partitions`. */
static inline void running_open(struct running *running, const char *script, int partitions, bool on_disk)
{
    char whole[8192];
    *running = (struct running){.clock = {.manual = true}};
    log_configure(LOG_ERROR, false);
    snprintf(whole, sizeof(whole), "%s%s", HEAD, script);
    pipeline_write(&running->script, whole);
    if (on_disk) {
        snprintf(running->directory, sizeof(running->directory), "/tmp/running-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(running->directory));
    }
    running_must(running, program_open(running->script.path, &operators_all, NULL, &running->program, &running->err));
    const struct program_class *class = running->program->class;
    running_must(running, class->load(running->program, &running->instance, &running->err));
    running->settings = *class->settings(running->instance);
    running->settings.commit_min_ms = 0;
    running->settings.partitions = partitions;
    running->settings.threads = 1;
    struct memory_transport_config config = {
        .default_partitions = partitions,
        .create_topics = true,
        .timeless = true,
        .fault = running_fault,
        .committed = running_committed,
        .self = running,
        .clock = &running->clock,
    };
    running_must(running, memory_transport_open(&config, &running->transport, &running->err));
}

/* Creates a topic with a count of its own; before running_begin. */
static inline void running_topic(struct running *running, const char *name, int32_t partitions)
{
    struct topic_spec spec = {.name = name, .partitions = partitions};
    running_must(running, running->transport->class->create_topic(running->transport, &spec, &running->err));
}

static inline void running_begin(struct running *running)
{
    const struct graph *graph = running->program->class->graph(running->instance);
    running_must(running, topic_plan_make(graph, &running->settings, running->transport, true, false, NULL,
                                          &running->plan, &running->err));
    running_start(running);
}

static inline void running_until_idle(struct running *running)
{
    for (int round = 0; round < 100000; round++) {
        bool worked = false;
        running_must(running, stream_thread_step(running->thread, 0, &worked, &running->err));
        if (!worked && stream_thread_joined(running->thread) && stream_thread_idle(running->thread)) {
            return;
        }
        clock_advance(&running->clock, worked ? 0 : 1000); /* after a failed commit the thread rests */
    }
    ck_abort_msg("the pipeline does not come to rest");
}

static inline void running_send(struct running *running, const char *topic, const char *key, const char *value,
                                int64_t at)
{
    struct record record = {
        .key = optional_text(key), .value = optional_text(value), .timestamp = at, .topic = topic, .offset = -1};
    running_must(running, memory_transport_append(running->transport, topic, -1, &record, &running->err));
}

static inline void running_lose_state(struct running *running)
{
    char command[96];
    if (!running->directory[0]) {
        return;
    }
    snprintf(command, sizeof(command), "rm -rf %s/*", running->directory);
    ck_assert_int_eq(system(command), 0);
}

static inline void running_restart(struct running *running, bool keep_state)
{
    running_must(running, stream_thread_close(running->thread, &running->err));
    if (!keep_state) {
        running_lose_state(running);
    }
    running_start(running);
}

/* Records dropped for a reason ("late") since the workers were opened. */
static inline int64_t running_dropped(const char *reason)
{
    struct bytes text = {0};
    char label[64];
    int64_t total = 0;
    snprintf(label, sizeof(label), "reason=\"%s\"", reason);
    metric_print(&text);
    for (const char *line = bytes_text(&text); line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *end = strchr(line, '\n'), *found = strstr(line, label);
        const char *value = end && found && found < end ? memchr(found, ' ', (size_t)(end - found)) : NULL;
        total += value ? strtoll(value, NULL, 10) : 0;
    }
    bytes_free(&text);
    return total;
}

/* What was committed since the last call: "key:value@timestamp" each, a space between; "-" is null. */
static inline const char *running_outputs(struct running *running)
{
    bytes_clear(&running->script.text);
    bytes_append_slice(&running->script.text, bytes_slice(&running->outputs));
    bytes_clear(&running->outputs);
    return bytes_text(&running->script.text);
}

static inline void running_close(struct running *running)
{
    if (running->thread) {
        running_must(running, stream_thread_close(running->thread, &running->err));
    }
    topic_plan_free(running->plan);
    running->transport->class->close(running->transport);
    running->program->class->unload(running->instance);
    program_close(running->program);
    running_lose_state(running);
    if (running->directory[0]) {
        rmdir(running->directory);
    }
    bytes_free(&running->outputs);
    bytes_free(&running->script.text);
    unlink(running->script.path);
}

#endif
