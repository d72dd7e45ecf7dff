/* Whole pipelines on the transport in memory: script, operators, state on disk, changelog made, commits included. What
 * is measured is the engine and the script side; the transport only hands out pointers and counts what is written.
 *
 * Beside each stands a bare loop over the same records in the same run: it reads each key and value and copies them, as
 * any transport has to. Times are CPU times of the one thread that works.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/memory_transport.h"
#include "engine/stream_thread.h"
#include "operators/all.h"
#include "scripts/program.h"
#include "store/store_driver.h"

struct pipeline {
    const char *name;
    const char *script;
    int records;
    int keys;
    int goal_ns;
    void (*value)(int number, char *text, size_t size);
    int per_ms; /* records in a millisecond of event time */
    int rows;   /* of the topic "rows", one of each key, loaded before the clock starts */
    bool pairs; /* records go to "in" and "right" in turns, two and two with one key */
};

static void json_value(int number, char *text, size_t size)
{
    snprintf(text, size,
             "{\"id\":%d,\"user_id\":\"u%07d\",\"amount\":%d,\"currency\":\"EUR\",\"items\":[1,2,3],\"address\":{"
             "\"city\":\"Porto\","
             "\"zip\":\"4000-%03d\",\"street\":\"Rua das Flores %d\"},\"note\":\"please ring twice\",\"paid\":true}",
             number, number % 9973, (number * 7919) % 200, number % 1000, number % 97);
}

static void flight_value(int number, char *text, size_t size)
{
    snprintf(text, size,
             "{\"carrier\":\"C%d\",\"flight\":%d,\"tailnum\":\"N%05d\",\"origin\":\"EWR\",\"dest\":\"IAH\","
             "\"scheduled\":\"2013-01-01T10:15:00Z\","
             "\"departure_delay\":%d,\"arrival_delay\":%d,\"air_time\":227,\"distance\":1400}",
             number % 16, number, number % 99999, number % 90 - 10, number % 70);
}

/* What a table of facts, or one side of a pair, mostly has. */
static void fact_value(int number, char *text, size_t size)
{
    snprintf(text, size, "{\"id\":%d,\"name\":\"user %d\",\"tier\":%d}", number, number % 9973, number % 5);
}

static const struct pipeline pipelines[] = {
    {"pass-through, bytes",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):to('out')\n",
     2000000, 100000, 100, json_value, .per_ms = 1},
    {"pass-through, JSON checked",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in'):to('out')\n",
     2000000, 100000, 0, json_value, .per_ms = 1},
    {"filter on one JSON field",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in'):filter(function(k, v) return v.amount > 100 end):to('out')\n",
     2000000, 100000, 300, json_value, .per_ms = 1},
    {"count, 1M keys",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key():count { store = 'counts' }\n",
     4000000, 1000000, 400, json_value, .per_ms = 1},
    {"count, 100k keys",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key():count { store = 'counts' }\n",
     2000000, 100000, 0, json_value, .per_ms = 1},
    {"count by sessions, 100k keys",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key():windowed_by(tm.session('10m'))\n"
     "  :count { store = 'counts' }\n",
     2000000, 100000, 1000, json_value, .per_ms = 1},
    {"final counts by sessions, 100k",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key():windowed_by(tm.session('10m'))\n"
     "  :count { store = 'counts', emit = 'final' }:to('out')\n",
     2000000, 100000, 1000, json_value, .per_ms = 1},
    {"flights-like aggregate in Lua",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in'):group_by_key():aggregate { store = 'sums',\n"
     "  init = function() return { flights = 0, cancelled = 0, delay = 0, late = 0 } end,\n"
     "  add = function(k, v, sum)\n"
     "    sum.flights = sum.flights + 1\n"
     "    if v.departure_delay == tm.null then sum.cancelled = sum.cancelled + 1\n"
     "    else sum.delay = sum.delay + v.departure_delay\n"
     "      if v.departure_delay > 15 then sum.late = sum.late + 1 end end\n"
     "    return sum end }:to('out')\n",
     1000000, 16, 2500, flight_value, .per_ms = 1},
    {"count, 100k keys",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key():count { store = 'counts' }\n",
     4000000, 100000, 0, json_value, .per_ms = 10},
    {"tumbling count, 100k keys, 1m",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key()\n"
     "  :windowed_by(tm.tumbling('1m')):count { store = 'counts' }\n",
     4000000, 100000, 500, json_value, .per_ms = 10},
    {"tumbling final, 100k keys, 1m",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key()\n"
     "  :windowed_by(tm.tumbling('1m')):count { store = 'counts', emit = 'final' }:to('out')\n",
     4000000, 100000, 0, json_value, .per_ms = 10},
    {"hopping count, 5 windows",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key()\n"
     "  :windowed_by(tm.hopping('5m', '1m')):count { store = 'counts' }\n",
     2000000, 100000, 1500, json_value, .per_ms = 10},
    {"stream-table join, 1M keys",
     "local tm = require 'tidemill'\n"
     "local app = tm.app 'bench'\n"
     "local rows = app:table('rows', { store = 'rows', value = tm.bytes })\n"
     "app:stream('in', { value = tm.bytes }):join(rows, function(k, v, row) return row end):to('out')\n",
     2000000, 1000000, 400, fact_value, .per_ms = 1, .rows = 1000000},
    {"stream join, 10k in the window",
     "local tm = require 'tidemill'\n"
     "local app = tm.app 'bench'\n"
     "local right = app:stream('right', { value = tm.bytes })\n"
     "app:stream('in', { value = tm.bytes }):join(right, function(k, l, r) return r end,\n"
     "  { within = '5s', store = 'pairs' }):to('out')\n",
     2000000, 1000000, 1200, fact_value, .per_ms = 1, .pairs = true},
    {"stream left join, 10k in it",
     "local tm = require 'tidemill'\n"
     "local app = tm.app 'bench'\n"
     "local right = app:stream('right', { value = tm.bytes })\n"
     "app:stream('in', { value = tm.bytes }):left_join(right, function(k, l, r) return r end,\n"
     "  { within = '5s', store = 'pairs' }):to('out')\n",
     2000000, 1000000, 0, fact_value, .per_ms = 1, .pairs = true},
    {"sliding count, 10k keys",
     "local tm = require 'tidemill'\n"
     "tm.app('bench'):stream('in', { value = tm.bytes }):group_by_key()\n"
     "  :windowed_by(tm.sliding('10s')):count { store = 'counts' }\n",
     500000, 10000, 0, json_value, .per_ms = 1},
};

static int64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void must(int result, const struct err *err)
{
    if (result) {
        fprintf(stderr, "bench: %s\n", err->text);
        exit(1);
    }
}

static void append(struct transport *transport, const struct pipeline *pipeline, const char *topic, uint32_t key_number,
                   int number, int64_t timestamp)
{
    struct err err;
    char key[32], value[512];
    snprintf(key, sizeof(key), "key-%012u", key_number % (uint32_t)pipeline->keys);
    pipeline->value(number, value, sizeof(value));
    struct record record = {.key = slice_text(key), .value = slice_text(value), .timestamp = timestamp};
    must(memory_transport_append(transport, topic, 0, &record, &err), &err);
}

static void fill_rows(struct transport *transport, const struct pipeline *pipeline)
{
    for (int i = 0; i < pipeline->rows; i++) {
        append(transport, pipeline, "rows", (uint32_t)i, i, 0);
    }
}

static void fill(struct transport *transport, const struct pipeline *pipeline)
{
    for (int i = 0; i < pipeline->records; i++) {
        uint32_t random = (uint32_t)(pipeline->pairs ? i / 2 : i) * UINT32_C(2654435761);
        append(transport, pipeline, pipeline->pairs && i % 2 ? "right" : "in", random, i, i / pipeline->per_ms);
    }
}

/* The bare loop: every record read and copied once. */
static double reference(struct transport *transport, const struct pipeline *pipeline)
{
    static unsigned char buffer[1024];
    int64_t began = cpu_ns();
    struct record record;
    for (int64_t i = 0; memory_transport_record(transport, "in", 0, i, &record); i++) {
        memcpy(buffer, record.key.data, record.key.size);
        memcpy(buffer + record.key.size, record.value.data, record.value.size);
        __asm__ volatile("" : : "r"(buffer) : "memory");
    }
    return (double)(cpu_ns() - began) / (pipeline->pairs ? pipeline->records / 2 : pipeline->records);
}

static void run_until_idle(struct stream_thread *thread)
{
    struct err err;
    bool worked;
    do {
        must(stream_thread_step(thread, 1, &worked, &err), &err);
    } while (!stream_thread_joined(thread) || stream_thread_worker_count(thread) == 0 || !stream_thread_idle(thread));
}

static double run(struct transport *transport, struct program *program, const char *directory,
                  const struct pipeline *pipeline)
{
    struct err err;
    struct clock clock = CLOCK_SYSTEM;
    struct instance *instance;
    must(program->class->load(program, &instance, &err), &err);
    struct topic_plan *plan;
    const struct app_settings *settings = program->class->settings(instance);
    struct graph *graph = program->class->graph(instance);
    must(topic_plan_make(graph, settings, transport, true, false, NULL, &plan, &err), &err);
    struct stream_thread_config config = {
        .settings = settings,
        .program = program,
        .graph = graph,
        .plan = plan,
        .stores = &sqlite_store_driver,
        .transport = transport,
        .clock = &clock,
        .state_directory = directory,
        .instance = "0",
        .threads = 1,
        .restore_inline = true,
    };
    struct stream_thread *thread;
    must(stream_thread_open(&config, &thread, &err), &err);
    if (pipeline->rows > 0) {
        run_until_idle(thread);
        fill(transport, pipeline);
    }
    int64_t began = cpu_ns();
    run_until_idle(thread);
    double ns = (double)(cpu_ns() - began) / pipeline->records;
    must(stream_thread_close(thread, &err), &err);
    topic_plan_free(plan);
    program->class->unload(instance);
    return ns;
}

static void measure(const struct pipeline *pipeline)
{
    char directory[] = "/tmp/tidemill-bench-XXXXXX";
    if (!mkdtemp(directory)) {
        exit(1);
    }
    char path[64];
    snprintf(path, sizeof(path), "%s/pipeline.lua", directory);
    FILE *file = fopen(path, "w");
    fputs(pipeline->script, file);
    fclose(file);

    struct err err;
    struct transport *transport;
    struct clock clock = CLOCK_SYSTEM;
    struct memory_transport_config memory = {
        .default_partitions = 1, .create_topics = true, .timeless = true, .discard_outputs = true, .clock = &clock};
    must(memory_transport_open(&memory, &transport, &err), &err);
    struct program *program;
    must(program_open(path, &operators_all, NULL, &program, &err), &err);
    fill_rows(transport, pipeline);
    if (pipeline->rows == 0) {
        fill(transport, pipeline);
    }
    double ns = run(transport, program, directory, pipeline);
    double bare = reference(transport, pipeline);
    printf("%-32s %8.0f ns/record  bare loop %4.0f ns  ratio %6.1f", pipeline->name, ns, bare, ns / bare);
    printf(pipeline->goal_ns ? "  goal %d ns\n" : "\n", pipeline->goal_ns);
    fflush(stdout);
    program_close(program);
    transport->class->close(transport);
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    if (system(command) != 0) {
        exit(1);
    }
}

int main(int argc, char **argv)
{
    log_configure(LOG_ERROR, false);
    for (size_t i = 0; i < sizeof(pipelines) / sizeof(pipelines[0]); i++) {
        if (argc < 2 || strstr(pipelines[i].name, argv[1])) {
            measure(&pipelines[i]);
        }
    }
    return 0;
}
