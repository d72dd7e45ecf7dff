#include "tests/crash/protocol.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/store_driver.h"
#include "tests/crash/kept_stores.h"
#include "tests/crash/protocol_pipeline.h"
#include "tests/support/fake_program.h"
#include "tests/support/remove_tree.h"

#define SETTLE_STEPS 20000

static struct protocol *current; /* for the calls of the stores, and for messages */

_Noreturn void protocol_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "protocol FAILED, seed %llu: ", current->seed);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  again with: protocol_simulation 1 %llu%s%s\n", current->seed,
            current->files ? " files; the files are kept: " : "", current->files ? current->directory : "");
    if (!current->files) {
        remove_tree(current->directory);
    }
    exit(1);
}

uint64_t protocol_draw(struct protocol *protocol, uint64_t limit)
{
    protocol->random ^= protocol->random << 13;
    protocol->random ^= protocol->random >> 7;
    protocol->random ^= protocol->random << 17;
    return (protocol->random >> 11) % limit;
}

/* ---- calls of the transport that fail ---- */

const enum memory_fault protocol_faults[MEMORY_CALL_COUNT][4] = {
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

/* Calls that a record or a round makes many times do so more seldom. */
static int percent_of(const struct protocol *protocol, enum memory_call call)
{
    bool seldom = call == MEMORY_POLL || call == MEMORY_FETCH || call == MEMORY_PRODUCE || call == MEMORY_READ;
    return seldom ? (protocol->percent + 5) / 6 : protocol->percent;
}

static bool strikes(struct protocol *protocol, int percent)
{
    return protocol->failing && (int)protocol_draw(protocol, 100) < percent;
}

static void step_member(struct protocol *protocol, int number);

bool protocol_expel(struct protocol *protocol, int number)
{
    const struct stream_thread *thread = protocol->members[number].thread;
    if (!thread || thread->commit.step > COMMIT_TRANSACTION) {
        return false;
    }
    protocol->members[number].expelled = true;
    memory_transport_expel(protocol->transport, number);
    return true;
}

/* While a call of one member is under way: partitions are to move, or it is put out of the group and others take over
 * what it is about to commit. */
static void happen_aside(struct protocol *protocol)
{
    int acting = protocol->acting;
    protocol->nested = true;
    if (protocol_draw(protocol, 2)) {
        memory_transport_rebalance(protocol->transport);
    } else if (protocol_expel(protocol, acting)) {
        protocol->overtaken++;
    }
    for (int i = (int)protocol_draw(protocol, 12); i > 0; i--) {
        clock_advance(&protocol->clock, 1);
        for (int m = 0; m < protocol->member_count; m++) {
            if (m != acting) {
                step_member(protocol, m);
            }
        }
    }
    protocol->acting = acting;
    protocol->nested = false;
}

static enum memory_fault fault(void *self, enum memory_call call)
{
    struct protocol *protocol = self;
    protocol->calls++;
    if (protocol->fail_at > 0 && call == protocol->fail_call && --protocol->fail_at == 0) {
        protocol->faults++;
        return protocol->fail_with;
    }
    if (protocol->failing && !protocol->nested && (int)protocol_draw(protocol, 1000) < protocol->aside) {
        happen_aside(protocol);
    }
    struct protocol_member *member = &protocol->members[protocol->acting];
    if (member->expelled) {
        member->expelled = call != MEMORY_POLL;
        return FAULT_NONE;
    }
    if (protocol_faults[call][0] != FAULT_NONE && strikes(protocol, percent_of(protocol, call))) {
        protocol->faults++;
        return protocol_faults[call][protocol_draw(protocol, 4)];
    }
    return FAULT_NONE;
}

/* ---- stores that fail ---- */

static int refuse(int percent, struct err *err)
{
    if (!strikes(current, percent)) {
        return 0;
    }
    current->faults++;
    return err_set(err, ERR_RETRY, ERR_DISK_FULL, "Injected: no room for state.");
}

int64_t protocol_group_offset(const struct protocol *protocol, const char *topic, int32_t partition)
{
    struct group_position *list;
    size_t count;
    struct err err;
    int64_t offset = OFFSET_NONE;
    protocol->transport->class->group_positions(protocol->transport, "app", &list, &count, &err);
    for (size_t i = 0; i < count; i++) {
        bool wanted = list[i].partition == partition && strcmp(list[i].topic, topic) == 0;
        offset = wanted ? list[i].committed : offset;
        free(list[i].topic);
        free(list[i].metadata);
    }
    free(list);
    return offset;
}

/* State is never ahead of the group: a store commits after the transaction. */
static void check_found(const struct store_config *config, const struct store_meta *meta)
{
    for (size_t i = 0; meta->app && i < meta->input_count; i++) {
        const struct store_position *kept = &meta->inputs[i];
        if (strcmp(kept->topic, STORE_RESTORED_IN_PART) == 0) {
            continue;
        }
        int64_t offset = protocol_group_offset(current, kept->topic, kept->partition);
        if (kept->offset > offset) {
            protocol_fail("the state of %s is at %lld of %s, the group at %lld", config->worker,
                          (long long)kept->offset, kept->topic, (long long)offset);
        }
    }
}

static int store_open(const struct store_config *config, struct store_set **set, struct store_meta *meta, bool *fresh,
                      struct err *err)
{
    if (refuse(current->percent / 2, err) || current->stores->open(config, set, meta, fresh, err)) {
        return -1;
    }
    check_found(config, meta);
    return 0;
}

/* One that fails may have been written all the same. */
static int store_commit(struct store_set *set, const struct store_meta *meta, struct err *err)
{
    struct err ignored;
    if (!refuse(current->percent / 2, err)) {
        return current->stores->commit(set, meta, err);
    }
    if (protocol_draw(current, 2)) {
        current->stores->commit(set, meta, &ignored);
    }
    return -1;
}

static int store_rollback(struct store_set *set, struct err *err)
{
    return refuse(current->percent / 2, err) ? -1 : current->stores->rollback(set, err);
}

static int store_wipe(struct store_set *set, struct err *err)
{
    return refuse(current->percent / 2, err) ? -1 : current->stores->wipe(set, err);
}

static int store_restore(struct store *store, const struct store_entry *entries, size_t count, struct err *err)
{
    return refuse(current->percent / 2, err) ? -1 : current->stores->restore(store, entries, count, err);
}

static int store_get(struct store *store, struct slice key, bool *found, struct store_entry *entry, struct err *err)
{
    return refuse(current->percent / 12, err) ? -1 : current->stores->get(store, key, found, entry, err);
}

static int store_put(struct store *store, struct slice key, struct slice value, int64_t timestamp, struct err *err)
{
    return refuse(current->percent / 6, err) ? -1 : current->stores->put(store, key, value, timestamp, err);
}

static struct store_driver failing_stores;

static void choose_stores(bool files)
{
    current->stores = files ? &sqlite_store_driver : &kept_stores_driver;
    failing_stores = *current->stores;
    failing_stores.open = store_open;
    failing_stores.commit = store_commit;
    failing_stores.rollback = store_rollback;
    failing_stores.wipe = store_wipe;
    failing_stores.restore = store_restore;
    failing_stores.get = store_get;
    failing_stores.put = store_put;
}

static bool puts_off(void)
{
    return protocol_draw(current, 4) == 0;
}

/* ---- members ---- */

void protocol_start(struct protocol *protocol, int number)
{
    struct err err;
    struct protocol_member *member = &protocol->members[number];
    struct stream_thread_config config = {
        .settings = &protocol->settings,
        .program = &fake_program,
        .graph = protocol->described->graph,
        .plan = protocol->plan,
        .stores = &failing_stores,
        .transport = protocol->transport,
        .clock = &protocol->clock,
        .state_directory = member->path,
        .instance = "machine",
        .thread = number,
        .threads = protocol->member_count,
        .restore_inline = true,
    };
    mkdir(member->path, 0700);
    protocol->acting = number;
    if (stream_thread_open(&config, &member->thread, &err) && !protocol->failing) {
        protocol_fail("%s", err.text);
    }
}

int protocol_stop(struct protocol *protocol, int number)
{
    struct err err;
    protocol->acting = number;
    int result = stream_thread_close(protocol->members[number].thread, &err);
    protocol->members[number].thread = NULL;
    protocol->members[number].expelled = false;
    return result;
}

/* As kill -9: nothing is committed, and what a store has not yet written is gone. */
void protocol_kill(struct protocol *protocol, int number)
{
    protocol->members[number].thread->failed = true;
    kept_stores_die(true);
    protocol_stop(protocol, number);
    kept_stores_die(false);
}

void protocol_delete_state(struct protocol *protocol, int number)
{
    if (protocol->files) {
        remove_tree(protocol->members[number].path);
    } else {
        kept_stores_delete(protocol->members[number].path);
    }
}

/* What the faults can lead to; anything else would be a mistake of the engine. */
static bool may_end(const struct err *err)
{
    return err->code == ERR_UNREACHABLE || err->code == ERR_PROTOCOL || err->code == ERR_DISK_FULL ||
           err->code == ERR_IO;
}

/* A thread that gives up is started again by whoever watches the process. */
static void step_member(struct protocol *protocol, int number)
{
    bool worked;
    struct err err;
    struct protocol_member *member = &protocol->members[number];
    if (member->absent > 0) {
        member->absent--;
    } else if (!member->thread) {
        protocol_start(protocol, number);
    } else {
        protocol->acting = number;
        if (stream_thread_step(member->thread, 0, &worked, &err)) {
            if (!protocol->may_end || !may_end(&err)) {
                protocol_fail("member %d ended: %s", number, err.text);
            }
            protocol->ended++;
            protocol_stop(protocol, number);
        }
    }
}

void protocol_step(struct protocol *protocol)
{
    clock_advance(&protocol->clock, 1);
    for (int i = 0; i < protocol->member_count; i++) {
        step_member(protocol, i);
    }
}

static bool all_idle(const struct protocol *protocol)
{
    int workers = 0;
    for (int i = 0; i < protocol->member_count; i++) {
        struct stream_thread *thread = protocol->members[i].thread;
        if (!thread || !stream_thread_idle(thread)) {
            return false;
        }
        workers += stream_thread_worker_count(thread);
    }
    return workers == 2 * PROTOCOL_PARTITIONS;
}

void protocol_settle(struct protocol *protocol)
{
    for (int i = 0; i < SETTLE_STEPS; i++) {
        protocol_step(protocol);
        if (all_idle(protocol)) {
            return;
        }
        clock_advance(&protocol->clock, i > 100 ? 50 : 0); /* rests are over sooner */
    }
    protocol_fail("the members never came to rest");
}

/* ---- the whole ---- */

static void make_directory(struct protocol *protocol)
{
    bool shared = access("/dev/shm", W_OK) == 0; /* SQLite's stores sync a lot */
    snprintf(protocol->directory, sizeof(protocol->directory), "%s/tidemill-protocol-XXXXXX",
             shared ? "/dev/shm" : "/tmp");
    if (!mkdtemp(protocol->directory)) {
        protocol_fail("no directory can be made");
    }
    for (int i = 0; i < PROTOCOL_MEMBERS; i++) {
        snprintf(protocol->members[i].path, sizeof(protocol->members[i].path), "%s/%d", protocol->directory, i);
    }
}

static int make_plan(struct protocol *protocol, struct err *err)
{
    struct memory_transport_config memory = {
        .default_partitions = PROTOCOL_PARTITIONS,
        .create_topics = true,
        .timeless = true,
        .fault = fault,
        .self = protocol,
        .clock = &protocol->clock,
    };
    fake_build = protocol_pipeline_graph;
    option_defaults(&app_options, &protocol->settings);
    protocol->settings.partitions = PROTOCOL_PARTITIONS;
    protocol->settings.drain_ms = 0;
    return option_set(&app_options, &protocol->settings, "id", "app", err) ||
                   memory_transport_open(&memory, &protocol->transport, err) ||
                   fake_load(&fake_program, &protocol->described, err) ||
                   topic_plan_make(protocol->described->graph, &protocol->settings, protocol->transport, true, false,
                                   NULL, &protocol->plan, err)
               ? -1
               : 0;
}

void protocol_open(struct protocol *protocol, int members, bool files, unsigned long long seed)
{
    struct err err;
    *protocol = (struct protocol){.clock = {.manual = true, .manual_ms = 1000}, .files = files, .seed = seed};
    protocol->member_count = members;
    protocol->random = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    current = protocol;
    choose_stores(files);
    kept_stores_puts_off = puts_off;
    make_directory(protocol);
    if (make_plan(protocol, &err)) {
        protocol_fail("%s", err.text);
    }
    for (int i = 0; i < members; i++) {
        protocol_start(protocol, i);
    }
}

void protocol_close(struct protocol *protocol)
{
    for (int i = 0; i < protocol->member_count; i++) {
        if (protocol->members[i].thread) {
            protocol_stop(protocol, i);
        }
    }
    topic_plan_free(protocol->plan);
    fake_unload(protocol->described);
    protocol->transport->class->close(protocol->transport);
    option_free(&app_options, &protocol->settings);
    remove_tree(protocol->directory);
    kept_stores_clear();
}
