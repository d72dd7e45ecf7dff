/* The loop of a stream thread and the commit protocol on the scripted transport: every call can fail, by hand for
 * single cases and by seed for the simulation. Whatever fails, each record has its effect exactly once and in order.
 * The simulation runs two threads, as two processes with a state directory each, stops and kills them, takes their
 * directories away, and moves the partitions between them. */
#include "engine/stream_thread.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/memory_transport.h"
#include "engine/stream_thread_int.h"
#include "store/store_driver.h"
#include "tests/support/fake_program.h"
#include "tests/support/unit.h"

#define PARTITIONS 4 /* what the plan makes of a topic that nobody has made */
#define KEYS 7
#define THREADS 2

struct scene {
    struct app_settings settings;
    struct clock clock;
    struct transport *transport;
    struct instance *described;
    struct topic_plan *plan;
    struct stream_thread *threads[THREADS]; /* NULL: not running */
    int thread_count;                       /* that run when nothing happens to them */
    char directory[64];
    int64_t sent;
    /* faults */
    enum memory_call fail_call;
    enum memory_fault fail_with;
    int fail_at;     /* nth call of that kind from now; 0: none */
    uint64_t random; /* simulation: state of the generator; 0: none */
    int percent;     /* of the calls that fail */
    int64_t faults;
    int64_t deaths; /* of threads that gave up */
    char *paths[THREADS];
};

static struct scene *current;   /* for the calls of the store */
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
    [MEMORY_PRODUCE] = {FAULT_ABORT, FAULT_ABORT, FAULT_FENCED, FAULT_RETRY},
    [MEMORY_COMMIT] = {FAULT_RETRY, FAULT_ABORT, FAULT_UNKNOWN_DONE, FAULT_UNKNOWN_NOT_DONE},
    [MEMORY_SEND_POSITIONS] = {FAULT_ABORT, FAULT_FENCED, FAULT_ABORT, FAULT_ABORT},
    [MEMORY_ABORT] = {FAULT_RETRY, FAULT_ABORT, FAULT_UNKNOWN_NOT_DONE, FAULT_FENCED},
    [MEMORY_RECOVER] = {FAULT_RETRY, FAULT_RETRY, FAULT_FENCED, FAULT_RETRY},
    [MEMORY_COMMITTED] = {FAULT_RETRY, FAULT_RETRY, FAULT_RETRY, FAULT_FENCED},
    [MEMORY_POLL] = {FAULT_RETRY, FAULT_FENCED, FAULT_RETRY, FAULT_RETRY},
    [MEMORY_FETCH] = {FAULT_RETRY, FAULT_RETRY, FAULT_RETRY, FAULT_FENCED},
    [MEMORY_SEEK] = {FAULT_RETRY, FAULT_RETRY, FAULT_RETRY, FAULT_RETRY},
    [MEMORY_READ] = {FAULT_RETRY, FAULT_RETRY, FAULT_RETRY, FAULT_RETRY},
    [MEMORY_DESCRIBE] = {FAULT_RETRY, FAULT_RETRY, FAULT_RETRY, FAULT_RETRY},
};

/* Calls that a record or a round makes many times, or that sleep when they fail, do so more seldom. */
static int percent_of(const struct scene *scene, enum memory_call call)
{
    bool seldom = call == MEMORY_POLL || call == MEMORY_FETCH || call == MEMORY_PRODUCE || call == MEMORY_READ;
    return seldom ? (scene->percent + 5) / 6 : scene->percent;
}

static bool strikes(struct scene *scene, int percent)
{
    return scene->random && (int)(next_random(scene) % 100) < percent;
}

static enum memory_fault fault(void *self, enum memory_call call)
{
    struct scene *scene = self;
    if (scene->fail_at > 0 && call == scene->fail_call && --scene->fail_at == 0) {
        scene->faults++;
        return scene->fail_with;
    }
    if (possible[call][0] != FAULT_NONE && strikes(scene, percent_of(scene, call))) {
        scene->faults++;
        return possible[call][next_random(scene) % 4];
    }
    return FAULT_NONE;
}

/* ---- stores that fail ---- */

static int store_strikes(int percent, struct err *err)
{
    if (!strikes(current, percent)) {
        return 0;
    }
    current->faults++;
    return err_set(err, ERR_RETRY, ERR_DISK_FULL, "Injected: no room for state.");
}

static int store_open(const struct store_config *config, struct store_set **set, struct store_meta *meta, bool *fresh,
                      struct err *err)
{
    return store_strikes(current->percent / 2, err) ? -1 : sqlite_store_driver.open(config, set, meta, fresh, err);
}

static int store_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    return store_strikes(current->percent / 2, err) ? -1 : sqlite_store_driver.commit(set, meta, err);
}

static int store_rollback(struct store_set *set, struct err *err)
{
    return store_strikes(current->percent / 2, err) ? -1 : sqlite_store_driver.rollback(set, err);
}

static int store_put(struct store *store, struct slice key, struct slice value, int64_t timestamp, struct err *err)
{
    return store_strikes(current->percent / 6, err) ? -1 : sqlite_store_driver.put(store, key, value, timestamp, err);
}

static struct store_driver failing_stores;

/* ---- scenes ---- */

static void state_path(const struct scene *scene, int number, char path[80])
{
    snprintf(path, 80, "%s/%d", scene->directory, number);
}

/* 0, or -1 when a fault kept it from opening. */
static int open_thread(struct scene *scene, int number)
{
    struct err err;
    char path[80];
    state_path(scene, number, path);
    mkdir(path, 0700);
    struct stream_thread_config config = {
        .settings = &scene->settings,
        .program = &fake_program,
        .graph = scene->described->graph,
        .plan = scene->plan,
        .stores = &failing_stores,
        .transport = scene->transport,
        .clock = &scene->clock,
        .state_directory = path,
        .instance = "machine",
        .thread = number,
        .threads = scene->thread_count,
        .restore_inline = true,
    };
    scene->paths[number] = strdup(path);
    config.state_directory = scene->paths[number];
    int result = stream_thread_open(&config, &scene->threads[number], &err);
    ck_assert_msg(result == 0 || scene->random, "%s", err.text);
    if (result) {
        free(scene->paths[number]);
        scene->paths[number] = NULL;
    }
    return result;
}

static int close_thread(struct scene *scene, int number)
{
    struct err err;
    int result = stream_thread_close(scene->threads[number], &err);
    scene->threads[number] = NULL;
    free(scene->paths[number]);
    scene->paths[number] = NULL;
    return result;
}

/* As kill -9: nothing is committed. */
static void kill_thread(struct scene *scene, int number)
{
    scene->threads[number]->failed = true;
    close_thread(scene, number);
}

static void delete_state(struct scene *scene, int number)
{
    char command[128], path[80];
    state_path(scene, number, path);
    snprintf(command, sizeof(command), "rm -rf %s", path);
    ck_assert_int_eq(system(command), 0);
}

static void open_threads(struct scene *scene, int count)
{
    struct err err;
    *scene = (struct scene){.clock = {.manual = true}, .thread_count = count};
    bool shared = access("/dev/shm", W_OK) == 0; /* the stores sync a lot */
    snprintf(scene->directory, sizeof(scene->directory), "%s/tidemill-thread-XXXXXX", shared ? "/dev/shm" : "/tmp");
    current = scene;
    failing_stores = sqlite_store_driver;
    failing_stores.open = store_open;
    failing_stores.commit = store_commit;
    failing_stores.rollback = store_rollback;
    failing_stores.put = store_put;
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
    ck_assert_msg(topic_plan_make(scene->described->graph, &scene->settings, scene->transport, true, false, NULL,
                                  &scene->plan, &err) == 0,
                  "%s", err.text);
    for (int i = 0; i < count; i++) {
        open_thread(scene, i);
    }
}

static void open_scene(struct scene *scene)
{
    open_threads(scene, 1);
}

static void close_scene(struct scene *scene)
{
    for (int i = 0; i < scene->thread_count; i++) {
        if (scene->threads[i]) {
            close_thread(scene, i);
        }
    }
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

/* A thread that gives up is started again by whoever watches the process. */
static void step_thread(struct scene *scene, int number)
{
    bool worked;
    struct err err;
    if (!scene->threads[number]) {
        open_thread(scene, number);
        return;
    }
    if (stream_thread_step(scene->threads[number], 0, &worked, &err) == 0) {
        return;
    }
    ck_assert_msg(scene->random && strstr(err.text, "Injected"), "seed %llu: %s", seed, err.text);
    scene->deaths++;
    close_thread(scene, number);
}

static void step(struct scene *scene)
{
    clock_advance(&scene->clock, 1);
    for (int i = 0; i < scene->thread_count; i++) {
        step_thread(scene, i);
    }
}

static bool all_idle(const struct scene *scene)
{
    int workers = 0;
    for (int i = 0; i < scene->thread_count; i++) {
        struct stream_thread *thread = scene->threads[i];
        if (!thread || !stream_thread_idle(thread)) {
            return false;
        }
        workers += stream_thread_worker_count(thread);
    }
    return workers == PARTITIONS;
}

static void run_until_idle(struct scene *scene)
{
    for (int i = 0; i < 20000; i++) {
        step(scene);
        if (all_idle(scene)) {
            return;
        }
        clock_advance(&scene->clock, i > 100 ? 50 : 0); /* rests are over sooner */
    }
    ck_abort_msg("seed %llu: the threads never came to rest", seed);
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

static int64_t count_of(const struct scene *scene, int key)
{
    return scene->sent / KEYS + (key < scene->sent % KEYS);
}

/* The stores and the fold of the changelog hold what was sent. */
static void check_stores(struct scene *scene)
{
    struct err err;
    for (int i = 0; i < scene->thread_count; i++) {
        for (int w = 0; w < stream_thread_worker_count(scene->threads[i]); w++) {
            struct worker *worker = stream_thread_worker(scene->threads[i], w);
            struct store *store = sqlite_store_driver.find(worker_stores(worker), "counts");
            int64_t folded[KEYS] = {0};
            struct record record;
            int32_t p = worker_partition(worker);
            for (int64_t o = 0; memory_transport_record(scene->transport, "app-counts-changelog", p, o, &record); o++) {
                folded[record.key.data[3] - '0'] = strtol((const char *)record.value.data, NULL, 10);
            }
            for (int key = 0; key < KEYS; key++) {
                char name[16];
                struct store_entry entry;
                bool found;
                snprintf(name, sizeof(name), "key%d", key);
                ck_assert_int_eq(sqlite_store_driver.get(store, slice_text(name), &found, &entry, &err), 0);
                int64_t count = found ? strtol((const char *)entry.value.data, NULL, 10) : 0;
                ck_assert_msg(count == 0 || count == count_of(scene, key), "seed %llu, key %d: %lld in the store", seed,
                              key, (long long)count);
                ck_assert_msg(count == folded[key], "seed %llu, key %d: the changelog has %lld, the store %lld", seed,
                              key, (long long)folded[key], (long long)count);
            }
        }
    }
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
        ck_assert_int_eq(close_thread(&scene, 0), 0);
        if (round % 2 == 1) {
            delete_state(&scene, 0);
        }
        open_thread(&scene, 0);
    }
    run_until_idle(&scene);
    check_outputs(&scene);
    check_stores(&scene);
    close_scene(&scene);
}
END_TEST

START_TEST(rebalances_move_the_workers_with_their_counts)
{
    struct scene scene;
    open_threads(&scene, 2);
    for (int round = 0; round < 5; round++) {
        send(&scene, 100);
        step(&scene);
        memory_transport_rebalance(scene.transport);
        run_until_idle(&scene);
    }
    check_outputs(&scene);
    check_stores(&scene);
    close_scene(&scene);
}
END_TEST

/* A late answer may say so once; a copied state directory says so for ever. */
START_TEST(p2_a_second_process_with_this_instance_id_ends_the_thread)
{
    struct scene scene;
    open_scene(&scene);
    struct err err;
    bool worked;
    int result = 0, replaced = 0;
    while (result == 0 && replaced < 10) {
        send(&scene, 20);
        run_until_idle(&scene);
        scene.fail_call = MEMORY_POLL;
        scene.fail_with = FAULT_REPLACED;
        scene.fail_at = 1;
        result = stream_thread_step(scene.threads[0], 0, &worked, &err);
        replaced++;
    }
    ck_assert_int_eq(replaced, 3);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_int_eq(err.code, ERR_LOCKED);
    ck_assert_msg(strstr(err.text, "0-machine"), "%s", err.text);
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
        result = stream_thread_step(scene.threads[0], 0, &worked, &err);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(err.code, ERR_SCRIPT);
    check_outputs(&scene);
    close_scene(&scene);
}
END_TEST

static void strike_thread(struct scene *scene)
{
    int number = (int)(next_random(scene) % (uint64_t)scene->thread_count);
    if (!scene->threads[number]) {
        return;
    }
    switch (next_random(scene) % 12) {
    case 0:
        close_thread(scene, number);
        break;
    case 1:
        kill_thread(scene, number);
        break;
    case 2:
        kill_thread(scene, number);
        delete_state(scene, number);
        break;
    case 3:
        memory_transport_rebalance(scene->transport);
        break;
    default:
        break;
    }
}

/* Random faults at any call, random stops, kills, losses of a directory and rebalances. */
static int64_t simulate(void)
{
    struct scene scene;
    open_threads(&scene, 1 + (int)(seed % 2));
    run_until_idle(&scene);
    scene.settings.drain_ms = 0;
    scene.random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    scene.percent = (int)(next_random(&scene) % 12);
    for (int round = 0; round < 25; round++) {
        send(&scene, (int)(next_random(&scene) % 40));
        for (int i = (int)(next_random(&scene) % 10); i > 0; i--) {
            step(&scene);
        }
        clock_advance(&scene.clock, next_random(&scene) % 3 == 0 ? (int64_t)(next_random(&scene) % 6000) : 0);
        strike_thread(&scene);
    }
    scene.random = 0;
    run_until_idle(&scene);
    check_outputs(&scene);
    check_stores(&scene);
    int64_t faults = scene.faults;
    close_scene(&scene);
    return faults;
}

/* The sanitizers are an order of magnitude slower. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SIMULATION_RUNS 15
#else
#define SIMULATION_RUNS 150
#endif

/* SIMULATION_SEED repeats a failure, SIMULATION_RUNS makes it a campaign. */
START_TEST(simulation_by_seed)
{
    const char *first = getenv("SIMULATION_SEED");
    const char *runs = getenv("SIMULATION_RUNS");
    seed = first ? strtoull(first, NULL, 10) : 1;
    unsigned long long last = seed + (runs ? strtoull(runs, NULL, 10) : SIMULATION_RUNS);
    int64_t faults = 0;
    for (; seed < last; seed++) {
        faults += simulate();
    }
    ck_assert_int_gt(faults, 0);
}
END_TEST

UNIT_MAIN("stream_thread", every_record_is_counted_and_committed, one_fault_at_every_call_changes_nothing,
          p6_an_unknown_outcome_is_decided_by_the_committed_offsets,
          state_is_reused_after_a_restart_and_restored_without_the_files, rebalances_move_the_workers_with_their_counts,
          p2_a_second_process_with_this_instance_id_ends_the_thread,
          a_failing_callback_ends_the_thread_and_commits_nothing_of_its_batch, simulation_by_seed)
