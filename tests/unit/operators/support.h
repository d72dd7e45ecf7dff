/* Pipelines for the operators' tests: a script as text on the test driver, outputs as text.
 *
 * Ownership: a pipeline is closed with pipeline_close; texts that outputs returns live until the next call of it.
 */
#ifndef TIDEMILL_TESTS_OPERATORS_SUPPORT_H
#define TIDEMILL_TESTS_OPERATORS_SUPPORT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/driver.h"
#include "operators/all.h"
#include "scripts/program.h"
#include "store/store_driver.h"
#include "tests/support/unit.h"

struct pipeline {
    char path[64];
    struct program *program;
    struct instance *instance;
    struct driver *driver;
    struct bytes text;
    struct err err; /* of the last call that failed */
};

#ifndef PIPELINE_CONNECTORS
#define PIPELINE_CONNECTORS NULL /* what tm.connect knows */
#endif

#define HEAD "local tm = require 'tidemill'\nlocal app = tm.app 'test'\n"

static inline void pipeline_write(struct pipeline *pipeline, const char *script)
{
    snprintf(pipeline->path, sizeof(pipeline->path), "/tmp/pipeline-XXXXXX.lua");
    int file = mkstemps(pipeline->path, 4);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, script, strlen(script)), (ssize_t)strlen(script));
    close(file);
}

static inline void pipeline_close(struct pipeline *pipeline)
{
    if (pipeline->driver) {
        driver_close(pipeline->driver);
    }
    if (pipeline->instance) {
        pipeline->program->class->unload(pipeline->instance);
    }
    if (pipeline->program) {
        program_close(pipeline->program);
    }
    bytes_free(&pipeline->text);
    unlink(pipeline->path);
}

/* 0, or -1 with the error in pipeline->err. */
static inline int pipeline_try_partitions(struct pipeline *pipeline, const char *script, int32_t partitions)
{
    *pipeline = (struct pipeline){0};
    log_configure(LOG_ERROR, false);
    pipeline_write(pipeline, script);
    if (program_open(pipeline->path, &operators_all, PIPELINE_CONNECTORS, &pipeline->program, &pipeline->err) ||
        program_override(pipeline->program, "callback_ms", "1h", &pipeline->err)) { /* slow machines */
        return -1;
    }
    const struct program_class *class = pipeline->program->class;
    if (class->load(pipeline->program, &pipeline->instance, &pipeline->err)) {
        return -1;
    }
    struct driver_config config = {pipeline->program, &sqlite_store_driver, class->settings(pipeline->instance),
                                   partitions};
    return driver_open(&config, &pipeline->driver, &pipeline->err);
}

static inline int pipeline_try_whole(struct pipeline *pipeline, const char *script)
{
    return pipeline_try_partitions(pipeline, script, 1);
}

/* `script` follows the lines of HEAD: its first line is line 3. */
static inline int pipeline_try(struct pipeline *pipeline, const char *script)
{
    char whole[16384];
    snprintf(whole, sizeof(whole), "%s%s", HEAD, script);
    return pipeline_try_whole(pipeline, whole);
}

static inline void pipeline_open(struct pipeline *pipeline, const char *script)
{
    if (pipeline_try(pipeline, script)) {
        ck_abort_msg("%s", pipeline->err.text);
    }
}

/* With that many partitions of every topic. */
static inline void pipeline_open_partitions(struct pipeline *pipeline, const char *script, int32_t partitions)
{
    char whole[16384];
    snprintf(whole, sizeof(whole), "%s%s", HEAD, script);
    if (pipeline_try_partitions(pipeline, whole, partitions)) {
        ck_abort_msg("%s", pipeline->err.text);
    }
}

/* Building the script fails with a text that contains all of `parts`. */
static inline void pipeline_refused(const char *script, const char *part)
{
    struct pipeline pipeline;
    if (pipeline_try(&pipeline, script) == 0) {
        ck_abort_msg("this was built: %s", script);
    }
    if (!strstr(pipeline.err.text, part)) {
        ck_abort_msg("expected \"%s\" in: %s", part, pipeline.err.text);
    }
    pipeline_close(&pipeline);
}

static inline struct slice optional_text(const char *text)
{
    return text ? slice_text(text) : SLICE_NULL;
}

/* 0, or -1 with the error in pipeline->err. NULL: no key, a tombstone. */
static inline int pipeline_try_send(struct pipeline *pipeline, const char *topic, const char *key, const char *value,
                                    int64_t at)
{
    struct record record = {
        .key = optional_text(key), .value = optional_text(value), .timestamp = at, .topic = topic, .offset = -1};
    return driver_send(pipeline->driver, &record, &pipeline->err);
}

static inline void pipeline_send(struct pipeline *pipeline, const char *topic, const char *key, const char *value,
                                 int64_t at)
{
    if (pipeline_try_send(pipeline, topic, key, value, at)) {
        ck_abort_msg("%s", pipeline->err.text);
    }
}

static inline void append_datum(struct bytes *out, struct slice slice)
{
    if (slice.data) {
        bytes_append_slice(out, slice);
    } else {
        bytes_append_text(out, "-");
    }
}

/* What came out on a topic since the last call: "key:value@timestamp" each, a space between; "-" is null. */
static inline const char *outputs(struct pipeline *pipeline, const char *topic)
{
    struct record record;
    bytes_clear(&pipeline->text);
    while (driver_take_from(pipeline->driver, topic, &record)) {
        if (pipeline->text.size > 0) {
            bytes_append_byte(&pipeline->text, ' ');
        }
        append_datum(&pipeline->text, record.key);
        bytes_append_byte(&pipeline->text, ':');
        append_datum(&pipeline->text, record.value);
        bytes_append_format(&pipeline->text, "@%" PRId64, record.timestamp);
    }
    return bytes_text(&pipeline->text);
}

/* Value of a key in a store of a partition's worker, "-" when there is none. */
static inline const char *stored_in(struct pipeline *pipeline, const char *store, const char *key, int32_t partition)
{
    const struct store_driver *stores = driver_store_driver(pipeline->driver);
    struct store_entry entry;
    bool found = false;
    bytes_clear(&pipeline->text);
    ck_assert_int_eq(
        stores->get(driver_store(pipeline->driver, store, partition), slice_text(key), &found, &entry, &pipeline->err),
        0);
    append_datum(&pipeline->text, found ? entry.value : SLICE_NULL);
    return bytes_text(&pipeline->text);
}

static inline const char *stored(struct pipeline *pipeline, const char *store, const char *key)
{
    return stored_in(pipeline, store, key, 0);
}

#endif
