/* The loop of a stream thread and the commit protocol on the scripted transport, with faults by hand; by seed they are
 * those of tests/crash/protocol_simulation.c. Whatever fails, each record has its effect exactly once and in order. */
#include "engine/stream_thread.h"

#include "base/log.h"
#include "tests/crash/protocol.h"
#include "tests/support/unit.h"

static struct protocol scene;

static void open_scene(int members)
{
    log_configure(LOG_ERROR, false);
    protocol_open(&scene, members, true, 0);
}

static void send_and_settle(int count)
{
    protocol_send(&scene, count);
    protocol_settle(&scene);
}

static void fail_at(enum memory_call call, enum memory_fault with, int nth)
{
    scene.fail_call = call;
    scene.fail_with = with;
    scene.fail_at = nth;
}

/* Everything sent has come out, once. */
static void close_scene(void)
{
    protocol_check_outputs(&scene, true);
    protocol_close(&scene);
}

START_TEST(every_record_is_counted_and_committed)
{
    open_scene(1);
    send_and_settle(1000);
    close_scene();
}
END_TEST

START_TEST(one_fault_at_every_call_changes_nothing)
{
    static const enum memory_call calls[] = {MEMORY_PRODUCE, MEMORY_COMMIT, MEMORY_SEND_POSITIONS};
    for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
        for (int f = 0; f < 4; f++) {
            for (int at = 1; at < 8; at += 2) {
                open_scene(1);
                send_and_settle(50);
                fail_at(calls[c], protocol_faults[calls[c]][f], at);
                for (int i = 0; i < 8; i++) {
                    send_and_settle(20);
                }
                ck_assert_int_eq(scene.faults, 1);
                close_scene();
            }
        }
    }
}
END_TEST

START_TEST(p6_an_unknown_outcome_is_decided_by_the_committed_offsets)
{
    static const enum memory_fault faults[] = {FAULT_UNKNOWN_DONE, FAULT_UNKNOWN_NOT_DONE};
    for (int f = 0; f < 2; f++) {
        open_scene(1);
        send_and_settle(10);
        fail_at(MEMORY_COMMIT, faults[f], 1);
        send_and_settle(10);
        ck_assert_int_eq(scene.faults, 1);
        close_scene();
    }
}
END_TEST

START_TEST(state_is_reused_after_a_restart_and_restored_without_the_files)
{
    open_scene(1);
    for (int round = 0; round < 4; round++) {
        send_and_settle(100);
        ck_assert_int_eq(protocol_stop(&scene, 0), 0);
        if (round % 2 == 1) {
            protocol_delete_state(&scene, 0);
        }
        protocol_start(&scene, 0);
    }
    protocol_settle(&scene);
    protocol_check_state(&scene);
    close_scene();
}
END_TEST

START_TEST(rebalances_move_the_workers_with_their_counts)
{
    open_scene(2);
    for (int round = 0; round < 5; round++) {
        protocol_send(&scene, 100);
        protocol_step(&scene);
        memory_transport_rebalance(scene.transport);
        protocol_settle(&scene);
    }
    protocol_check_state(&scene);
    close_scene();
}
END_TEST

/* A late answer may say so once; a copied state directory says so for ever. */
START_TEST(p2_a_second_process_with_this_instance_id_ends_the_thread)
{
    open_scene(1);
    struct err err;
    bool worked;
    int result = 0, replaced = 0;
    while (result == 0 && replaced < 10) {
        send_and_settle(20);
        fail_at(MEMORY_POLL, FAULT_REPLACED, 1);
        result = stream_thread_step(scene.members[0].thread, 0, &worked, &err);
        replaced++;
    }
    ck_assert_int_eq(replaced, 3);
    ck_assert_int_eq(err.class, ERR_FATAL);
    ck_assert_int_eq(err.code, ERR_LOCKED);
    ck_assert_msg(strstr(err.text, "0-machine"), "%s", err.text);
    close_scene();
}
END_TEST

START_TEST(a_failing_callback_ends_the_thread_and_commits_nothing_of_its_batch)
{
    open_scene(1);
    send_and_settle(50);
    struct err err;
    struct record poison = {.key = slice_text("key0"), .value = slice_text("!"), .timestamp = 1};
    ck_assert_int_eq(memory_transport_append(scene.transport, "in", -1, &poison, &err), 0);
    bool worked;
    int result = 0;
    for (int i = 0; i < 10 && result == 0; i++) {
        result = stream_thread_step(scene.members[0].thread, 0, &worked, &err);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(err.code, ERR_SCRIPT);
    close_scene();
}
END_TEST

UNIT_MAIN("stream_thread", every_record_is_counted_and_committed, one_fault_at_every_call_changes_nothing,
          p6_an_unknown_outcome_is_decided_by_the_committed_offsets,
          state_is_reused_after_a_restart_and_restored_without_the_files, rebalances_move_the_workers_with_their_counts,
          p2_a_second_process_with_this_instance_id_ends_the_thread,
          a_failing_callback_ends_the_thread_and_commits_nothing_of_its_batch)
