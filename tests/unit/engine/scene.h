/* A stream thread on a transport in memory whose calls a test may replace, with a clock driven by hand and state in a
 * directory of its own.
 *
 * Ownership: one scene at a time, from scene_open to scene_close.
 */
#ifndef TIDEMILL_TESTS_SCENE_H
#define TIDEMILL_TESTS_SCENE_H

#include <string.h>

#include "base/log.h"
#include "engine/memory_transport.h"
#include "engine/stream_thread_int.h"
#include "engine/worker_int.h"
#include "store/store_driver.h"
#include "tests/support/fake_program.h"
#include "tests/unit/engine/build.h"

static struct {
    struct app_settings settings;
    struct clock clock;
    struct transport *transport;
    struct transport_class class;           /* calls as the scene makes them: a test may replace any */
    const struct transport_class *original; /* and call these */
    struct instance *described;
    struct topic_plan *plan;
    struct stream_thread *thread;
    char directory[64];
    bool restoring_thread; /* restore on a thread of its own, with the system's clock */
    bool no_directory;     /* state in memory */
    const struct position *ends;
    size_t end_count;
    struct store_driver stores;                        /* a test may replace calls of it, too */
    enum memory_fault (*fault)(enum memory_call call); /* NULL: no call fails */
    struct err err;
    struct bytes text;
} scene;

static inline enum memory_fault scene_on_call(void *self, enum memory_call call)
{
    (void)self;
    return scene.fault ? scene.fault(call) : FAULT_NONE;
}

static inline void scene_open_thread(void)
{
    struct stream_thread_config config = {
        .settings = &scene.settings,
        .program = &fake_program,
        .graph = scene.described->graph,
        .plan = scene.plan,
        .stores = &scene.stores,
        .transport = scene.transport,
        .clock = &scene.clock,
        .state_directory = scene.no_directory ? NULL : scene.directory,
        .instance = "0",
        .threads = 1,
        .restore_inline = !scene.restoring_thread,
        .ends = scene.ends,
        .end_count = scene.end_count,
    };
    ck_assert_msg(stream_thread_open(&config, &scene.thread, &scene.err) == 0, "%s", scene.err.text);
}

static inline int scene_close_thread(void)
{
    int result = stream_thread_close(scene.thread, &scene.err);
    scene.thread = NULL;
    return result;
}

/* Everything but the thread. `build` NULL: the counting of fake_program.h. */
static inline void scene_prepare(struct graph *(*build)(void), int32_t partitions)
{
    memset(&scene, 0, sizeof(scene));
    scene.clock.manual = true;
    scene.clock.manual_ms = 1000;
    scene.stores = sqlite_store_driver;
    fake_build = build;
    log_configure(getenv("SCENE_LOG") ? LOG_DEBUG : LOG_ERROR, false);
    strcpy(scene.directory, "/tmp/tidemill-scene-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scene.directory));
    option_defaults(&app_options, &scene.settings);
    ck_assert_int_eq(option_set(&app_options, &scene.settings, "id", "app", &scene.err), 0);
    struct memory_transport_config memory = {.default_partitions = partitions,
                                             .create_topics = true,
                                             .timeless = true,
                                             .clock = &scene.clock,
                                             .fault = scene_on_call};
    ck_assert_int_eq(memory_transport_open(&memory, &scene.transport, &scene.err), 0);
    scene.original = scene.transport->class;
    scene.class = *scene.original;
    scene.transport->class = &scene.class;
    scene.settings.partitions = partitions;
    ck_assert_msg(fake_load(&fake_program, &scene.described, &scene.err) == 0, "%s", scene.err.text);
    ck_assert_msg(topic_plan_make(scene.described->graph, &scene.settings, scene.transport, true, false, NULL,
                                  &scene.plan, &scene.err) == 0,
                  "%s", scene.err.text);
}

static inline void scene_open(struct graph *(*build)(void), int32_t partitions)
{
    scene_prepare(build, partitions);
    scene_open_thread();
}

static inline void scene_delete_state(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s/*", scene.directory);
    ck_assert_int_eq(system(command), 0);
}

static inline void scene_close(void)
{
    if (scene.thread) {
        scene_close_thread();
    }
    topic_plan_free(scene.plan);
    fake_unload(scene.described);
    scene.transport->class->close(scene.transport);
    option_free(&app_options, &scene.settings);
    scene_delete_state();
    remove(scene.directory);
    bytes_free(&scene.text);
}

static inline void scene_send(const char *topic, int32_t partition, const char *key, const char *value, int64_t time)
{
    struct record record = {.key = slice_text(key), .value = slice_text(value), .timestamp = time};
    ck_assert_msg(memory_transport_append(scene.transport, topic, partition, &record, &scene.err) == 0, "%s",
                  scene.err.text);
}

static inline void scene_step(void)
{
    bool worked;
    clock_advance(&scene.clock, scene.clock.manual ? 1 : 0);
    ck_assert_msg(stream_thread_step(scene.thread, 0, &worked, &scene.err) == 0, "%s", scene.err.text);
}

static inline void scene_settle(void)
{
    for (int i = 0; i < 20000; i += !scene.restoring_thread) {
        scene_step();
        if (stream_thread_idle(scene.thread)) {
            return;
        }
        if (scene.restoring_thread) {
            clock_sleep_ms(1); /* the restorer takes its time: check's limit is the only one */
        }
    }
    ck_abort_msg("the thread never came to rest");
}

/* Another member of the thread's group. */
static inline struct session *scene_join(const char *topic)
{
    struct subscription subscription = {topic, RESET_EARLIEST};
    struct session_config config = {.app = "app",
                                    .thread = 1,
                                    .threads = 2,
                                    .transactional = true,
                                    .subscriptions = &subscription,
                                    .subscription_count = 1};
    struct session *other;
    ck_assert_int_eq(scene.original->session_open(scene.transport, &config, &other, &scene.err), 0);
    return other;
}

/* It takes the partitions of the topic from the thread and leaves at once, so that they come back with the next step.
 */
static inline void scene_lend(const char *topic)
{
    struct session *other = scene_join(topic);
    memory_transport_rebalance(scene.transport);
    scene_step();
    ck_assert_int_eq(scene.original->poll(other, 0, &scene.err), 0);
    scene.original->session_close(other);
}

static inline void scene_take_away(const char *topic)
{
    scene_lend(topic);
    scene_step();
}

static inline struct worker *scene_worker(int32_t partition)
{
    for (int i = 0; i < stream_thread_worker_count(scene.thread); i++) {
        if (worker_partition(stream_thread_worker(scene.thread, i)) == partition) {
            return stream_thread_worker(scene.thread, i);
        }
    }
    return NULL;
}

/* Values in a partition, in order, with a blank after each. */
static inline const char *scene_values(const char *topic, int32_t partition)
{
    struct record record;
    int64_t low, high;
    bytes_clear(&scene.text);
    ck_assert_int_eq(scene.original->watermarks(scene.transport, topic, partition, &low, &high, &scene.err), 0);
    for (; memory_transport_record(scene.transport, topic, partition, low, &record); low++) {
        bytes_append_slice(&scene.text, record.value);
        bytes_append_byte(&scene.text, ' ');
    }
    return bytes_text(&scene.text);
}

static inline int64_t scene_committed(const char *topic, int32_t partition, char *metadata, size_t size)
{
    struct group_position *list;
    size_t count;
    int64_t offset = OFFSET_NONE;
    ck_assert_int_eq(scene.original->group_positions(scene.transport, "app", &list, &count, &scene.err), 0);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].topic, topic) == 0 && list[i].partition == partition) {
            offset = list[i].committed;
            if (metadata) {
                snprintf(metadata, size, "%s", list[i].metadata ? list[i].metadata : "");
            }
        }
        free(list[i].topic);
        free(list[i].metadata);
    }
    free(list);
    return offset;
}

#endif
