/* The commit protocol under faults at every call, decided by a seed: a run is one life of a group of one to three
 * members on the scripted transport (protocol.h).
 *
 *     protocol_simulation [RUNS [SEED [files]]]
 *
 * Calls of the transport and of the stores fail, partitions move and members are put out of the group, also in the
 * middle of a call of theirs; members stop, are killed, sleep, and come back with their state, an older one or none.
 * When it is over everything sent must have had its effect once and in order: outputs, stores, changelogs and the
 * group's positions say the same, also after the stores were built anew. With `files` the stores are SQLite's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "tests/crash/kept_stores.h"
#include "tests/crash/protocol.h"

#define ROUNDS 25

static struct totals {
    long long runs, records, calls, faults, stops, kills, states, moves, overtaken, ended;
} totals;

/* Kept stores can go back to an older state; files are only lost. */
static void spoil_state(struct protocol *protocol, int number)
{
    totals.states++;
    if (protocol->files || protocol_draw(protocol, 2)) {
        protocol_delete_state(protocol, number);
    } else {
        kept_stores_put_back(protocol->members[number].path);
    }
}

static void strike_member(struct protocol *protocol, int number)
{
    struct protocol_member *member = &protocol->members[number];
    uint64_t what = protocol_draw(protocol, 12);
    if (member->thread && what == 0) {
        protocol_stop(protocol, number);
        totals.stops++;
    } else if (member->thread && what <= 2) {
        protocol_kill(protocol, number);
        totals.kills++;
    }
    if (!member->thread && protocol_draw(protocol, 3) == 0) {
        spoil_state(protocol, number);
    }
    if (what == 3) {
        kept_stores_keep(member->path);
    }
    if (what <= 4) {
        member->absent = (int)protocol_draw(protocol, 12);
    }
}

static void strike_group(struct protocol *protocol)
{
    uint64_t what = protocol_draw(protocol, 8);
    if (what == 0) {
        memory_transport_rebalance(protocol->transport);
    } else if (what == 1) {
        protocol_expel(protocol, (int)protocol_draw(protocol, (uint64_t)protocol->member_count));
    }
    totals.moves += what < 2;
}

static void run_round(struct protocol *protocol)
{
    for (int i = (int)protocol_draw(protocol, 20); i > 0; i--) {
        protocol_send_key(protocol, (int)protocol_draw(protocol, PROTOCOL_KEYS));
    }
    for (int i = (int)protocol_draw(protocol, 10); i > 0; i--) {
        protocol_step(protocol);
    }
    clock_advance(&protocol->clock, protocol_draw(protocol, 3) ? 0 : (int64_t)protocol_draw(protocol, 6000));
    strike_member(protocol, (int)protocol_draw(protocol, (uint64_t)protocol->member_count));
    strike_group(protocol);
}

/* With the state as it is, and with one built anew. */
static void check_all(struct protocol *protocol)
{
    protocol_settle(protocol);
    protocol_check_outputs(protocol, true);
    protocol_check_state(protocol);
    if (protocol_draw(protocol, 4) == 0) {
        for (int i = 0; i < protocol->member_count; i++) {
            protocol_stop(protocol, i);
            protocol_delete_state(protocol, i);
        }
        protocol_settle(protocol);
        protocol_check_outputs(protocol, true);
        protocol_check_state(protocol);
    }
}

/* How often what fails, how long work lies uncommitted, and how long a member puts up with failures. */
static void choose(struct protocol *protocol)
{
    static const int64_t pauses_ms[] = {0, 5, 50, 500};
    protocol->percent = (int)protocol_draw(protocol, protocol_draw(protocol, 8) ? 12 : 60);
    protocol->aside = (int)protocol_draw(protocol, 3) * 4;
    protocol->settings.commit_min_ms = pauses_ms[protocol_draw(protocol, 4)];
    protocol->settings.commit_ms = 1000;
    protocol->settings.max_poll_interval_ms = 1000 + (int64_t)protocol_draw(protocol, 60000);
}

static void run(unsigned long long seed, bool files)
{
    struct protocol protocol;
    protocol_open(&protocol, 1 + (int)(seed % PROTOCOL_MEMBERS), files, seed);
    protocol_send(&protocol, PROTOCOL_KEYS); /* each input has an offset before a timer writes anything */
    protocol_settle(&protocol);
    choose(&protocol);
    protocol.failing = protocol.may_end = true;
    for (int round = 0; round < ROUNDS; round++) {
        run_round(&protocol);
    }
    protocol.failing = false;
    check_all(&protocol);
    totals.runs++;
    totals.records += protocol.sent;
    totals.calls += protocol.calls;
    totals.faults += protocol.faults;
    totals.overtaken += protocol.overtaken;
    totals.ended += protocol.ended;
    protocol_close(&protocol);
}

int main(int count, char **arguments)
{
    long long runs = count > 1 ? atoll(arguments[1]) : 20000;
    unsigned long long first = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    bool files = count > 3 && strcmp(arguments[3], "files") == 0;
    log_configure(getenv("SIMULATION_LOG") ? LOG_DEBUG : LOG_ERROR, false);
    for (unsigned long long seed = first; totals.runs < runs; seed++) {
        run(seed, files);
    }
    printf("protocol: seeds from %llu, %lld runs, %lld records, %lld calls\n", first, totals.runs, totals.records,
           totals.calls);
    printf("  failing calls %lld, kills %lld, stops %lld, threads that gave up %lld, states lost or older %lld, "
           "rebalances %lld, members overtaken %lld: lost 0, duplicated 0, reordered 0, wrong 0\n",
           totals.faults, totals.kills, totals.stops, totals.ended, totals.states, totals.moves, totals.overtaken);
    return 0;
}
