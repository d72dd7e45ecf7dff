/* The loop of a stream thread and the commit protocol on the scripted transport: every call can fail, by hand for
 * single cases and by seed for the simulation. Whatever fails, each record has its effect exactly once and in order. */
#include "engine/stream_thread.h"

#include <unistd.h>

#include "base/log.h"
#include "engine/memory_transport.h"
#include "store/store_driver.h"
#include "tests/support/fake_program.h"
#include "tests/support/unit.h"

#define PARTITIONS 4 /* what the plan makes of a topic that nobody has made */
#define KEYS 7

struct scene {
    struct app_settings settings;
    struct clock clock;
    struct transport *transport;
    struct instance *described;
    struct topic_plan *plan;
    struct stream_thread *thread;
    char directory[64];
    int64_t sent;
    /* faults */
    enum memory_call fail_call;
    enum memory_fault fail_with;
    int fail_at;     /* nth call of that kind from now; 0: none */
    uint64_t random; /* simulation: state of the generator; 0: none */
    int percent;     /* of the calls that fail */
    int64_t faults;
};

static unsigned long long seed; /* of the simulation under way, for the message of a failure */

static uint64_t next_random(struct scene *scene)
{
    scene->random ^= scene->random << 13;
    scene->random ^= scene->random >> 7;
    scene->random ^= scene->random << 17;
    return scene->random;
}

/* What may happen to which call. */
static const enum memory_fault possible[MEMORY_CALL_COUNT][4] = {
    [MEMORY_PRODUCE] = {FAULT_ABORT, FAULT_ABORT, FAULT_FENCED, FAULT_ABORT},
    [MEMORY_COMMIT] = {FAULT_RETRY, FAULT_ABORT, FAULT_UNKNOWN_DONE, FAULT_UNKNOWN_NOT_DONE},
    [MEMORY_SEND_POSITIONS] = {FAULT_ABORT, FAULT_FENCED, FAULT_ABORT, FAULT_ABORT},
    [MEMORY_RECOVER] = {FAULT_RETRY, FAULT_RETRY, FAULT_FENCED, FAULT_RETRY},
    [MEMORY_COMMITTED] = {FAULT_RETRY, FAULT_RETRY, FAULT_RETRY, FAULT_RETRY},
};

static enum memory_fault fault(void *self, enum memory_call call)
{
    struct scene *scene = self;
    if (scene->fail_at > 0 && call == scene->fail_call && --scene->fail_at == 0) {
        scene->faults++;
        return scene->fail_with;
    }
    if (scene->random && possible[call][0] != FAULT_NONE && (int)(next_random(scene) % 100) < scene->percent) {
        scene->faults++;
        return possible[call][next_random(scene) % 4];
    }
    return FAULT_NONE;
}

static void open_thread(struct scene *scene)
{
    struct err err;
    struct stream_thread_config config = {
        .settings = &scene->settings,
        .program = &fake_program,
        .graph = scene->described->graph,
        .plan = scene->plan,
        .stores = &sqlite_store_driver,
        .transport = scene->transport,
        .clock = &scene->clock,
        .state_directory = scene->directory,
        .instance = "0",
        .threads = 1,
        .restore_inline = true,
    };
    ck_assert_msg(stream_thread_open(&config, &scene->thread, &err) == 0, "%s", err.text);
}

static void open_scene(struct scene *scene)
{
    struct err err;
    *scene = (struct scene){.clock = {.manual = true}, .directory = "/tmp/tidemill-thread-XXXXXX"};
    log_configure(LOG_ERROR, false);
    ck_assert_ptr_nonnull(mkdtemp(scene->directory));
    option_defaults(&app_options, &scene->settings);
    ck_assert_int_eq(option_set(&app_options, &scene->settings, "id", "app", &err), 0);
    struct memory_transport_config memory = {
        .default_partitions = PARTITIONS,
        .create_topics = true,
        .timeless = true,
        .fault = fault,
        .self = scene,
        .clock = &scene->clock,
    };
    ck_assert_int_eq(memory_transport_open(&memory, &scene->transport, &err), 0);
    ck_assert_msg(fake_load(&fake_program, &scene->described, &err) == 0, "%s", err.text);
    ck_assert_msg(topic_plan_make(scene->described->graph, &scene->settings, scene->transport, true, false,
                                  &scene->plan, &err) == 0,
                  "%s", err.text);
    open_thread(scene);
}

static void close_scene(struct scene *scene)
{
    struct err err;
    stream_thread_close(scene->thread, &err);
    topic_plan_free(scene->plan);
    fake_unload(scene->described);
    scene->transport->class->close(scene->transport);
    option_free(&app_options, &scene->settings);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", scene->directory);
    ck_assert_int_eq(system(command), 0);
}

/* Records carry a number per key, so that a gap, a duplicate or a swap shows. */
static void send(struct scene *scene, int count)
{
    struct err err;
    for (int i = 0; i < count; i++, scene->sent++) {
        char key[16], value[32];
        snprintf(key, sizeof(key), "key%d", (int)(scene->sent % KEYS));
        snprintf(value, sizeof(value), "%d", (int)(scene->sent / KEYS) + 1);
        struct record record = {.key = slice_text(key), .value = slice_text(value), .timestamp = scene->sent};
        ck_assert_int_eq(memory_transport_append(scene->transport, "in", -1, &record, &err), 0);
    }
}

static void step(struct scene *scene)
{
    bool worked;
    struct err err;
    clock_advance(&scene->clock, 1);
    ck_assert_msg(stream_thread_step(scene->thread, 0, &worked, &err) == 0, "%s", err.text);
}

static void run_until_idle(struct scene *scene)
{
    for (int i = 0; i < 20000; i++) {
        step(scene);
        if (stream_thread_joined(scene->thread) && stream_thread_worker_count(scene->thread) == PARTITIONS &&
            stream_thread_idle(scene->thread)) {
            return;
        }
    }
    ck_abort_msg("seed %llu: the thread never came to rest", seed);
}

/* Every committed output: per key "1 1", "2 2", ... up to what was sent. */
static void check_outputs(struct scene *scene)
{
    int64_t total = 0;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        int counts[KEYS] = {0};
        struct record record;
        for (int64_t offset = 0; memory_transport_record(scene->transport, "out", p, offset, &record); offset++) {
            int key = record.key.data[3] - '0';
            char expected[64];
            counts[key]++;
            snprintf(expected, sizeof(expected), "%d %d", counts[key], counts[key]);
            ck_assert_msg(slice_equal(record.value, slice_text(expected)), "seed %llu, key %d: expected %s, found %.*s",
                          seed, key, expected, (int)record.value.size, (const char *)record.value.data);
            total++;
        }
    }
    ck_assert_msg(total == scene->sent, "seed %llu: %lld results of %lld records", seed, (long long)total,
                  (long long)scene->sent);
}

START_TEST(every_record_is_counted_and_committed)
{
    struct scene scene;
    open_scene(&scene);
    send(&scene, 1000);
    run_until_idle(&scene);
    check_outputs(&scene);
    close_scene(&scene);
}
END_TEST

START_TEST(one_fault_at_every_call_changes_nothing)
{
    static const enum memory_call calls[] = {MEMORY_PRODUCE, MEMORY_COMMIT, MEMORY_SEND_POSITIONS};
    for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
        for (int f = 0; f < 4; f++) {
            for (int at = 1; at < 8; at += 2) {
                struct scene scene;
                open_scene(&scene);
                send(&scene, 50);
                run_until_idle(&scene);
                scene.fail_call = calls[c];
                scene.fail_with = possible[calls[c]][f];
                scene.fail_at = at;
                for (int i = 0; i < 8; i++) {
                    send(&scene, 20);
                    run_until_idle(&scene);
                }
                ck_assert_int_eq(scene.faults, 1);
                check_outputs(&scene);
                close_scene(&scene);
            }
        }
    }
}
END_TEST

START_TEST(p6_an_unknown_outcome_is_decided_by_the_committed_offsets)
{
    static const enum memory_fault faults[] = {FAULT_UNKNOWN_DONE, FAULT_UNKNOWN_NOT_DONE};
    for (int f = 0; f < 2; f++) {
        struct scene scene;
        open_scene(&scene);
        send(&scene, 10);
        run_until_idle(&scene);
        scene.fail_call = MEMORY_COMMIT;
        scene.fail_with = faults[f];
        scene.fail_at = 1;
        send(&scene, 10);
        run_until_idle(&scene);
        ck_assert_int_eq(scene.faults, 1);
        check_outputs(&scene);
        close_scene(&scene);
    }
}
END_TEST

START_TEST(state_is_reused_after_a_restart_and_restored_without_the_files)
{
    struct scene scene;
    open_scene(&scene);
    for (int round = 0; round < 4; round++) {
        send(&scene, 100);
        run_until_idle(&scene);
        struct err err;
        ck_assert_int_eq(stream_thread_close(scene.thread, &err), 0);
        if (round % 2 == 1) {
            char command[128];
            snprintf(command, sizeof(command), "rm -rf %s/*", scene.directory);
            ck_assert_int_eq(system(command), 0);
        }
        open_thread(&scene);
    }
    run_until_idle(&scene);
    check_outputs(&scene);
    close_scene(&scene);
}
END_TEST

START_TEST(a_rebalance_keeps_the_workers_and_their_counts)
{
    struct scene scene;
    open_scene(&scene);
    for (int round = 0; round < 5; round++) {
        send(&scene, 100);
        step(&scene);
        memory_transport_rebalance(scene.transport);
        run_until_idle(&scene);
    }
    check_outputs(&scene);
    close_scene(&scene);
}
END_TEST

START_TEST(a_failing_callback_ends_the_thread_and_commits_nothing_of_its_batch)
{
    struct scene scene;
    open_scene(&scene);
    send(&scene, 50);
    run_until_idle(&scene);
    struct err err;
    struct record poison = {.key = slice_text("key0"), .value = slice_text("!"), .timestamp = 1};
    ck_assert_int_eq(memory_transport_append(scene.transport, "in", -1, &poison, &err), 0);
    bool worked;
    int result = 0;
    for (int i = 0; i < 10 && result == 0; i++) {
        result = stream_thread_step(scene.thread, 0, &worked, &err);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(err.code, ERR_SCRIPT);
    check_outputs(&scene);
    close_scene(&scene);
}
END_TEST

/* Random faults at any call, random stops, restarts and rebalances. */
static int64_t simulate(void)
{
    struct scene scene;
    open_scene(&scene);
    run_until_idle(&scene);
    scene.random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    scene.percent = (int)(next_random(&scene) % 12);
    for (int round = 0; round < 25; round++) {
        send(&scene, (int)(next_random(&scene) % 40));
        for (int i = (int)(next_random(&scene) % 10); i > 0; i--) {
            step(&scene);
        }
        if (next_random(&scene) % 8 == 0) {
            memory_transport_rebalance(scene.transport);
        }
    }
    scene.random = 0;
    run_until_idle(&scene);
    check_outputs(&scene);
    int64_t faults = scene.faults;
    close_scene(&scene);
    return faults;
}

/* SIMULATION_SEED repeats a failure, SIMULATION_RUNS makes it a campaign. */
START_TEST(simulation_by_seed)
{
    const char *first = getenv("SIMULATION_SEED");
    const char *runs = getenv("SIMULATION_RUNS");
    seed = first ? strtoull(first, NULL, 10) : 1;
    unsigned long long last = seed + (runs ? strtoull(runs, NULL, 10) : 200);
    int64_t faults = 0;
    for (; seed < last; seed++) {
        faults += simulate();
    }
    ck_assert_int_gt(faults, 0);
}
END_TEST

UNIT_MAIN("stream_thread", every_record_is_counted_and_committed, one_fault_at_every_call_changes_nothing,
          p6_an_unknown_outcome_is_decided_by_the_committed_offsets,
          state_is_reused_after_a_restart_and_restored_without_the_files,
          a_rebalance_keeps_the_workers_and_their_counts,
          a_failing_callback_ends_the_thread_and_commits_nothing_of_its_batch, simulation_by_seed)
