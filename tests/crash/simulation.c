/* The embedded log, the stores and the real engine on a disk that fails, dies, and loses what was not synced: many
 * short lives after one another in each simulated world, in one process, all of it decided by a seed.
 *
 *     crash_simulation [LIVES [SEED]]
 *
 * A life opens what the last one left, checks it, gets new records, and runs until its fault strikes (or nothing
 * does). What must hold, whatever struck: the outputs are the records 1, 2, 3, ... of each key, none missing, none
 * twice; what was readable before a power cut is readable after it; no file is ever damaged; at the end of a world the
 * stores and the fold of their changelogs hold what was sent, also when the stores are built anew.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/generation.h"
#include "engine/stream_thread.h"
#include "local/local.h"
#include "store/background.h"
#include "store/store_driver.h"
#include "tests/crash/disk.h"
#include "tests/support/fake_program.h"
#include "tests/support/remove_tree.h"

#define PARTITIONS 2
#define KEYS 5      /* of each partition */
#define LIVES 40    /* of one world */
#define RECORDS 400 /* of one partition in one world, at most */
#define STEPS 40    /* of one life */

struct world {
    uint64_t random;
    unsigned long long seed;
    int life;
    struct app_settings settings;
    struct clock clock;
    char directory[64];
    char state[96];
    char older[96];
    struct transport *transport;
    struct instance *described;
    struct topic_plan *plan;
    struct stream_thread *thread;
    int64_t sent[PARTITIONS];     /* in the input */
    int64_t verified[PARTITIONS]; /* of the output */
};

static struct totals {
    long long lives, kills, cuts, failures, records, rebuilds, aside;
} totals;

static int64_t merge_bytes, background_bytes; /* of this world's stores */
static const struct world *now;

/* ---- failing ---- */

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "simulation FAILED, seed %llu, life %d: ", now->seed, now->life);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n  again with: crash_simulation 1 %llu; the files are kept: %s\n", now->seed, now->directory);
    va_end(arguments);
    exit(1);
}

static uint64_t draw(struct world *world, uint64_t limit)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random % limit;
}

/* ---- directories ---- */

static const char *copy_from, *copy_to;

static int copy_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)place;
    char target[512];
    snprintf(target, sizeof target, "%s%s", copy_to, path + strlen(copy_from));
    if (kind == FTW_D) {
        return mkdir(target, 0700);
    }
    int in = open(path, O_RDONLY), out = open(target, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t size = sendfile(out, in, NULL, (size_t)status->st_size);
    close(in);
    close(out);
    return size == status->st_size ? 0 : -1;
}

static void copy_tree(const char *from, const char *to)
{
    struct stat status;
    copy_from = from;
    copy_to = to;
    remove_tree(to);
    if (stat(from, &status) == 0 && nftw(from, copy_one, 16, FTW_PHYS)) {
        fail("%s can't be copied", from);
    }
}

static int count_aside(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind;
    const char *name = path + place->base;
    totals.aside += strncmp(name, "deltas.db.quarantine-", 21) == 0 && strchr(name + 21, '-') == NULL;
    return 0;
}

/* ---- what is done in the background, on the caller's thread, so that a seed decides everything (instead of
 * store/background.c): merges when they are asked for, commits then or when somebody must wait for them ---- */

static uint64_t background_random;

static bool is_put_off(void)
{
    background_random = background_random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (background_random >> 33) % 2 == 0;
}

static void run_job(struct background_job *job)
{
    job->state = job->run(job->self, &job->err) != 0 ? BACKGROUND_FAILED : BACKGROUND_DONE;
}

void background_join(enum background_thread thread)
{
    (void)thread;
}

void background_leave(enum background_thread thread)
{
    (void)thread;
}

void background_start(enum background_thread thread, struct background_job *job)
{
    job->state = BACKGROUND_WAITING;
    if (thread == BACKGROUND_MERGES || !is_put_off()) {
        run_job(job);
    }
}

enum background_state background_poll(struct background_job *job, struct err *err)
{
    if (job->state == BACKGROUND_WAITING && !is_put_off()) {
        run_job(job);
    }
    enum background_state state = job->state;
    if (state == BACKGROUND_FAILED) {
        *err = job->err;
    }
    if (state == BACKGROUND_DONE || state == BACKGROUND_FAILED) {
        job->state = BACKGROUND_IDLE;
    }
    return state;
}

enum background_state background_wait(struct background_job *job, struct err *err)
{
    if (job->state == BACKGROUND_WAITING) {
        run_job(job);
    }
    return background_poll(job, err);
}

bool background_withdraw(struct background_job *job)
{
    bool waited = job->state == BACKGROUND_WAITING;
    job->state = waited ? BACKGROUND_IDLE : job->state;
    return waited;
}

static struct store_driver stores;

static int open_store(const struct store_config *config, struct store_set **set, struct store_meta *meta, bool *fresh,
                      struct err *err)
{
    struct store_config small = *config;
    small.merge_bytes = merge_bytes;
    small.background_bytes = background_bytes;
    return sqlite_store_driver.open(&small, set, meta, fresh, err);
}

/* ---- records: a function of their place, so that it does not matter which attempt to send them succeeded ---- */

static int key_at(int32_t partition, int64_t offset)
{
    uint64_t mixed = ((uint64_t)offset * 2 + (uint64_t)partition + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return (int)((mixed >> 33) % KEYS);
}

static int number_at(int32_t partition, int64_t offset)
{
    int number = 0;
    for (int64_t o = 0; o <= offset; o++) {
        number += key_at(partition, o) == key_at(partition, offset);
    }
    return number;
}

static void expected_text(int32_t partition, int64_t offset, char key[16], char value[32])
{
    int number = number_at(partition, offset);
    snprintf(key, 16, "key%d", key_at(partition, offset));
    snprintf(value, 32, "%d %d", number, number);
}

static int64_t high_of(const struct world *world, const char *topic, int32_t partition)
{
    int64_t low = 0, high = 0;
    struct err err;
    if (world->transport->class->watermarks(world->transport, topic, partition, &low, &high, &err)) {
        return -1;
    }
    return high;
}

static int put_records(struct world *world, struct session *session, int32_t partition, struct err *err)
{
    const struct transport_class *class = world->transport->class;
    struct output *output;
    if (class->output(session, "in", &output, NULL, err)) {
        return -1;
    }
    int64_t begin = high_of(world, "in", partition);
    int64_t end = begin < 0 ? begin : begin + (int64_t)draw(world, 12);
    for (int64_t offset = begin; offset < end && offset < RECORDS; offset++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "key%d", key_at(partition, offset));
        snprintf(value, sizeof value, "%d", number_at(partition, offset));
        struct record record = {.key = slice_text(key), .value = slice_text(value), .timestamp = offset, .offset = -1};
        if (class->produce(session, output, partition, &record, err)) {
            return -1;
        }
    }
    return class->commit(session, NULL, 0, err);
}

/* One that fails may have sent them: the next life looks. */
static void send_records(struct world *world)
{
    struct err err;
    struct session *session;
    struct session_config config = {.threads = 1, .transactional = true, .commit_timeout_ms = 1000};
    if (world->transport->class->session_open(world->transport, &config, &session, &err)) {
        return;
    }
    for (int32_t p = 0; p < PARTITIONS; p++) {
        if (put_records(world, session, p, &err)) {
            break;
        }
    }
    world->transport->class->session_close(session);
}

/* ---- checking ---- */

static void check_record(struct world *world, int32_t partition, const struct record *record)
{
    char key[16], value[32];
    int64_t offset = world->verified[partition];
    expected_text(partition, offset, key, value);
    if (record->offset != offset || !slice_equal(record->key, slice_text(key)) ||
        !slice_equal(record->value, slice_text(value))) {
        fail("out [%d] %lld: %s %s is missing, there is %.*s %.*s at %lld", (int)partition, (long long)offset, key,
             value, (int)record->key.size, (const char *)record->key.data, (int)record->value.size,
             (const char *)record->value.data, (long long)record->offset);
    }
    world->verified[partition]++;
}

/* Everything of a partition from an offset on; the disk is without a fault. */
static void read_partition(struct world *world, const char *topic, int32_t partition, int64_t from,
                           void (*each)(struct world *world, int32_t partition, const struct record *record))
{
    const struct transport_class *class = world->transport->class;
    struct err err;
    struct position position = {topic, partition, from, NULL};
    struct reader_config config = {&position, 1, false};
    struct reader *reader;
    struct record records[64];
    int64_t high = high_of(world, topic, partition);
    if (from >= high) {
        return;
    }
    if (class->reader_open(world->transport, &config, &reader, &err)) {
        fail("%s can't be read: %s", topic, err.text);
    }
    while (class->reader_position(reader, 0) < high) {
        size_t count = 0;
        if (class->read(reader, 0, records, 64, &count, &err)) {
            fail("%s can't be read: %s", topic, err.text);
        }
        for (size_t i = 0; i < count; i++) {
            each(world, partition, &records[i]);
        }
    }
    class->reader_close(reader);
}

static void check_outputs(struct world *world)
{
    for (int32_t p = 0; p < PARTITIONS; p++) {
        int64_t in = high_of(world, "in", p), out = high_of(world, "out", p);
        if (in >= 0 && in < world->sent[p]) {
            fail("in [%d] has lost records: %lld of %lld are left", (int)p, (long long)in, (long long)world->sent[p]);
        }
        world->sent[p] = in >= 0 ? in : 0;
        if (out >= 0 && (out < world->verified[p] || out > world->sent[p])) {
            fail("out [%d] ends at %lld; %lld were seen, %lld sent", (int)p, (long long)out,
                 (long long)world->verified[p], (long long)world->sent[p]);
        }
        read_partition(world, "out", p, world->verified[p], check_record);
    }
}

/* What a reader saw must be there after a power cut: looks before the disk is taken away. */
static void see_outputs(struct world *world)
{
    if (!disk_struck()) {
        check_outputs(world);
    }
}

static long folded[PARTITIONS][KEYS];

static void fold_record(struct world *world, int32_t partition, const struct record *record)
{
    (void)world;
    if (record->key.size == 4 && memcmp(record->key.data, "key", 3) == 0) {
        folded[partition][record->key.data[3] - '0'] = strtol((const char *)record->value.data, NULL, 10);
    }
}

static void check_count(const struct store *store, int32_t partition, int key, int64_t sent)
{
    char name[16];
    struct store_entry entry;
    bool found;
    struct err err;
    long expected = 0;
    for (int64_t o = 0; o < sent; o++) {
        expected += key_at(partition, o) == key;
    }
    snprintf(name, sizeof name, "key%d", key);
    if (stores.get((struct store *)store, slice_text(name), &found, &entry, &err)) {
        fail("the store can't be read: %s", err.text);
    }
    long count = found ? strtol((const char *)entry.value.data, NULL, 10) : 0;
    if (count != expected || folded[partition][key] != expected) {
        fail("%s [%d]: %ld were sent, the store has %ld, the changelog %ld", name, (int)partition, expected, count,
             folded[partition][key]);
    }
}

static void check_stores(struct world *world)
{
    memset(folded, 0, sizeof folded);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        read_partition(world, "app-counts-changelog", p, 0, fold_record);
    }
    for (int w = 0; w < stream_thread_worker_count(world->thread); w++) {
        struct worker *worker = stream_thread_worker(world->thread, w);
        for (int key = 0; key < KEYS; key++) {
            check_count(stores.find(worker_stores(worker), "counts"), worker_partition(worker), key,
                        world->sent[worker_partition(worker)]);
        }
    }
}

/* A disk that loses what was not synced damages nothing. Pairs of state files that a fault left half-made are put aside
 * and made anew; those are counted, for they should be few. */
static void check_no_damage(const struct world *world)
{
    struct err err;
    nftw(world->directory, count_aside, 16, FTW_PHYS);
    if (local_check(world->directory, &err)) {
        fail("%s", err.text);
    }
}

/* ---- a life ---- */

static int open_thread(struct world *world, struct err *err)
{
    if (topic_plan_make(world->described->graph, &world->settings, world->transport, true, false, NULL, &world->plan,
                        err) ||
        generation_mark(world->plan, world->transport, &world->clock, err)) {
        return -1;
    }
    mkdir(world->state, 0700);
    struct stream_thread_config config = {
        .settings = &world->settings,
        .program = &fake_program,
        .graph = world->described->graph,
        .plan = world->plan,
        .stores = &stores,
        .transport = world->transport,
        .clock = &world->clock,
        .state_directory = world->state,
        .instance = "0",
        .threads = 1,
        .restore_inline = true,
    };
    return stream_thread_open(&config, &world->thread, err);
}

static void close_thread(struct world *world)
{
    struct err ignored;
    if (world->thread) {
        stream_thread_close(world->thread, &ignored);
    }
    topic_plan_free(world->plan);
    world->thread = NULL;
    world->plan = NULL;
}

static int open_log(struct world *world, struct err *err)
{
    struct local_config config = {
        .data = world->directory, .create = true, .clock = &world->clock, .maintenance_ms = -1, .page_size = 1024};
    return local_open(&config, &world->transport, err);
}

static void close_log(struct world *world)
{
    if (world->transport) {
        world->transport->class->close(world->transport);
    }
    world->transport = NULL;
}

/* Whether something failed although the disk did not. */
static void expect_fault(const struct err *err)
{
    if (!disk_struck()) {
        fail("without a fault of the disk: %s", err->text);
    }
}

static void arm(struct world *world)
{
    static const enum disk_fault faults[] = {DISK_DIES, DISK_DIES, DISK_DIES, DISK_DIES, DISK_FULL, DISK_FAILS};
    enum disk_fault fault = faults[draw(world, 6)];
    int64_t nth = 1 + (int64_t)draw(world, UINT64_C(4) << draw(world, 7));
    int64_t times = draw(world, 2) ? 1 : 1 + (int64_t)draw(world, 30);
    disk_arm(draw(world, 12) == 0 ? 0 : nth, fault == DISK_DIES ? INT64_MAX / 2 : times, fault);
}

static void step(struct world *world)
{
    struct err err;
    bool worked;
    clock_advance(&world->clock, draw(world, 5) == 0 ? (int64_t)draw(world, 3000) : 1);
    if (!world->thread) {
        if (open_thread(world, &err)) {
            expect_fault(&err);
            close_thread(world);
        }
    } else if (stream_thread_step(world->thread, 0, &worked, &err)) {
        expect_fault(&err);
        close_thread(world);
    }
}

static void live(struct world *world)
{
    struct err err;
    for (int i = 0; i < STEPS && !disk_dead(); i++) {
        if (i % 20 == 0) {
            send_records(world);
        }
        step(world);
        if (draw(world, 40) == 0 && local_maintain(world->transport, &err)) {
            expect_fault(&err);
        }
        if (draw(world, 15) == 0) {
            see_outputs(world);
        }
    }
}

static void count_fault(bool power_cut, bool died)
{
    totals.lives++;
    totals.kills += died && !power_cut;
    totals.cuts += power_cut;
    totals.failures += disk_struck() && !disk_dead();
}

/* All that is open is closed on a dead disk: nothing more is written, as after kill -9; then the power may be cut. */
static void die(struct world *world)
{
    bool stops = !disk_struck() && draw(world, 3) == 0;
    bool power_cut = !stops && draw(world, 2);
    bool died = !stops;
    if (died && !disk_dead()) {
        bool failed = disk_struck();
        count_fault(power_cut, true);
        totals.failures += failed;
        disk_arm(1, INT64_MAX / 2, DISK_DIES);
    } else {
        count_fault(power_cut, died);
    }
    close_thread(world);
    close_log(world);
    disk_revive(power_cut, world->random);
}

/* What may happen to the state between two lives. */
static void spoil_state(struct world *world)
{
    switch (draw(world, 16)) {
    case 0:
        remove_tree(world->state);
        totals.rebuilds++;
        break;
    case 1:
        copy_tree(world->state, world->older);
        break;
    case 2:
        if (access(world->older, F_OK) == 0) {
            copy_tree(world->older, world->state);
            totals.rebuilds++;
        }
        break;
    default:
        break;
    }
}

static void open_and_check(struct world *world)
{
    struct err err;
    if (open_log(world, &err)) {
        fail("the log can't be opened: %s", err.text);
    }
    check_outputs(world);
}

/* Without a fault everything comes out. */
static void run_until_idle(struct world *world)
{
    for (int i = 0; i < 3000; i++) {
        step(world);
        clock_advance(&world->clock, i > 100 ? 100 : 0);
        if (world->thread && stream_thread_idle(world->thread)) {
            check_outputs(world);
            for (int32_t p = 0; p < PARTITIONS; p++) {
                if (world->verified[p] != world->sent[p]) {
                    fail("out [%d] ends with %lld of %lld", (int)p, (long long)world->verified[p],
                         (long long)world->sent[p]);
                }
            }
            return;
        }
    }
    fail("the thread never comes to rest");
}

/* With the state as it is, and with one built anew. */
static void finish(struct world *world)
{
    for (int i = 0; i < 2; i++) {
        open_and_check(world);
        send_records(world);
        run_until_idle(world);
        check_stores(world);
        close_thread(world);
        close_log(world);
        check_no_damage(world);
        disk_revive(false, 1);
        remove_tree(world->state);
    }
}

/* ---- worlds ---- */

static void begin(struct world *world, unsigned long long seed)
{
    struct err err;
    *world = (struct world){.seed = seed, .clock = {.manual = true, .manual_ms = 1000}};
    now = world;
    world->random = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    bool shared = access("/dev/shm", W_OK) == 0;
    snprintf(world->directory, sizeof world->directory, "%s/tidemill-world-XXXXXX", shared ? "/dev/shm" : "/tmp");
    if (!mkdtemp(world->directory)) {
        fail("no directory can be made");
    }
    snprintf(world->state, sizeof world->state, "%s/state", world->directory);
    snprintf(world->older, sizeof world->older, "%s/older", world->directory);
    merge_bytes = draw(world, 2) ? 1 + (int64_t)draw(world, 500) : 0;
    background_bytes = draw(world, 4) ? 1 + (int64_t)draw(world, 150) : 0;
    background_random = world->random;
    option_defaults(&app_options, &world->settings);
    if (option_set(&app_options, &world->settings, "id", "app", &err) ||
        option_set(&app_options, &world->settings, "partitions", "2", &err) ||
        fake_load(&fake_program, &world->described, &err)) {
        fail("%s", err.text);
    }
    world->settings.drain_ms = 0;
}

static void end(struct world *world)
{
    for (int32_t p = 0; p < PARTITIONS; p++) {
        totals.records += world->sent[p];
    }
    fake_unload(world->described);
    option_free(&app_options, &world->settings);
    remove_tree(world->directory);
}

static void run_world(unsigned long long seed, long long lives)
{
    struct world world;
    begin(&world, seed);
    for (world.life = 0; world.life < LIVES && world.life < lives; world.life++) {
        open_and_check(&world);
        arm(&world);
        live(&world);
        die(&world);
        spoil_state(&world);
    }
    finish(&world);
    end(&world);
}

/* ---- violations that were found once ---- */

static struct store_set *open_set(const struct world *world, struct store_meta *meta)
{
    static const struct store_spec spec = {.name = "counts", .changelog = true};
    struct store_config config = {
        .directory = world->state, .app = "app", .worker = "0_0", .specs = &spec, .spec_count = 1};
    struct store_set *set;
    struct err err;
    bool fresh;
    mkdir(world->state, 0700);
    if (stores.open(&config, &set, meta, &fresh, &err)) {
        fail("%s", err.text);
    }
    return set;
}

static void put_and_commit(struct store_set *set)
{
    struct err err;
    struct store_meta meta = {.app = "app", .worker = "0_0", .committed_ms = 7};
    if (stores.put(stores.find(set, "counts"), slice_text("key"), slice_text("value"), 1, &err) ||
        stores.commit(set, &meta, &err)) {
        fail("%s", err.text);
    }
}

/* 1: of new files a power cut kept the first commit in deltas.db, and lost the store in rows.db: the store was then
 * taken for one that is newer than the commit, and was empty where its meta said that it had everything. */
static void regression_1(struct world *world)
{
    struct store_meta meta;
    struct store_entry entry;
    struct err err;
    for (uint64_t cut = 1; cut <= 100; cut++) {
        struct store_set *set = open_set(world, &meta);
        put_and_commit(set);
        disk_arm(1, INT64_MAX / 2, DISK_DIES);
        stores.close(set);
        disk_revive(true, cut * UINT64_C(0x9E3779B97F4A7C15));
        set = open_set(world, &meta);
        bool found = false;
        if (stores.get(stores.find(set, "counts"), slice_text("key"), &found, &entry, &err) || (meta.app && !found)) {
            fail("regression 1: the store says that it has a commit and does not have it");
        }
        stores.close(set);
        disk_revive(false, 1);
        remove_tree(world->state);
    }
}

static void run_regressions(void)
{
    struct world world;
    begin(&world, 0);
    regression_1(&world);
    end(&world);
}

int main(int count, char **arguments)
{
    long long lives = count > 1 ? atoll(arguments[1]) : 20000;
    unsigned long long first = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    log_configure(getenv("SIMULATION_LOG") ? LOG_DEBUG : LOG_ERROR, false);
    stores = sqlite_store_driver;
    stores.open = open_store;
    disk_install();
    run_regressions();
    for (unsigned long long seed = first; totals.lives < lives; seed++) {
        run_world(seed, LIVES);
    }
    printf("simulation: seeds from %llu, %lld lives, %lld records, %lld disk operations\n", first, totals.lives,
           totals.records, (long long)disk_operations());
    printf("  kills %lld, power cuts %lld, failing operations %lld, states lost or older %lld, half-made %lld: "
           "lost 0, duplicated 0, reordered 0, wrong 0\n",
           totals.kills, totals.cuts, totals.failures, totals.rebuilds, totals.aside);
    return 0;
}
