/* Groups, faults and threads of the transport in memory. */
#include "tests/unit/engine/member.h"

#include <pthread.h>
#include <stdio.h>

/* ---- groups ---- */

static size_t with_partition(const struct member *member, int32_t partition)
{
    size_t count = 0;
    for (size_t i = 0; i < member->count; i++) {
        count += member->inputs[i].partition == partition;
    }
    return count;
}

START_TEST(equal_partitions_of_all_topics_go_together)
{
    begin();
    have("in-a", 4);
    have("in-b", 3);
    have("other", 9);
    struct member one;
    struct member two;
    join_with(&two, 1, true, "^in-", RESET_EARLIEST);
    join_with(&one, 0, true, "^in-", RESET_EARLIEST);
    poll(&two);
    poll(&one);
    ck_assert_uint_eq(one.count + two.count, 7);
    for (int32_t i = 0; i < 4; i++) {
        size_t topics = i < 3 ? 2 : 1;
        ck_assert_uint_eq(with_partition(&one, i), i % 2 == 0 ? topics : 0);
        ck_assert_uint_eq(with_partition(&two, i), i % 2 == 1 ? topics : 0);
    }
    class->session_close(one.session);
    class->session_close(two.session);
    end();
}
END_TEST

START_TEST(nobody_gets_a_partition_that_another_still_holds)
{
    begin();
    struct member one;
    struct member two;
    have("in", 2);
    join(&one, 0);
    poll(&one);
    ck_assert_uint_eq(one.count, 2);
    one.commit_at_revoke = 0;
    join(&two, 1);
    poll(&two);
    ck_assert_int_eq(two.assignments, 0);
    poll(&one);
    ck_assert_int_eq(one.revocations, 1);
    ck_assert_uint_eq(one.count, 1);
    poll(&two);
    ck_assert_uint_eq(two.count, 1);
    ck_assert_int_eq(two.inputs[0].partition, 1);
    memory_transport_rebalance(transport);
    poll(&one);
    poll(&two);
    poll(&one);
    ck_assert_int_eq(one.inputs[0].partition, 1);
    ck_assert_int_eq(two.inputs[0].partition, 0);
    ck_assert_int_eq(two.inputs[0].committed, 0);
    class->session_close(one.session);
    poll(&two);
    ck_assert_uint_eq(two.count, 2);
    class->session_close(two.session);
    end();
}
END_TEST

START_TEST(a_member_without_partitions_is_told)
{
    begin();
    struct member one;
    struct member two;
    have("in", 1);
    join(&one, 0);
    join(&two, 1);
    poll(&one);
    poll(&two);
    ck_assert_uint_eq(one.count, 1);
    ck_assert_int_eq(two.assignments, 1);
    ck_assert_uint_eq(two.count, 0);
    class->session_close(one.session);
    class->session_close(two.session);
    end();
}
END_TEST

START_TEST(new_topics_of_a_pattern_are_assigned)
{
    begin();
    struct member member;
    have("in-a", 1);
    join_with(&member, 0, true, "^in-", RESET_EARLIEST);
    poll(&member);
    ck_assert_uint_eq(member.count, 1);
    append("in-b", 0, "k", "v");
    append("other", 0, "k", "v");
    poll(&member);
    ck_assert_int_eq(member.revocations, 1);
    ck_assert_uint_eq(member.count, 2);
    ck_assert_int_eq(class->delete_topic(transport, "in-a", &err), 0);
    poll(&member);
    ck_assert_uint_eq(member.count, 1);
    ck_assert_str_eq(member.inputs[0].topic, "in-b");
    class->session_close(member.session);
    end();
}
END_TEST

START_TEST(a_refused_assignment_ends_its_inputs)
{
    begin();
    struct member one;
    struct member two;
    have("in", 1);
    join(&one, 0);
    one.refuses = true;
    ck_assert_int_eq(class->poll(one.session, 0, &err), -1);
    ck_assert_str_eq(err.text, "refused");
    class->session_close(one.session);
    ck_assert_int_eq(one.revocations, 0);
    join(&two, 0);
    poll(&two);
    ck_assert_uint_eq(two.count, 1);
    class->session_close(two.session);
    end();
}
END_TEST

START_TEST(a_commit_for_a_foreign_partition_is_fenced)
{
    begin();
    struct member one;
    have("in", 2);
    have("other", 1);
    join(&one, 0);
    poll(&one);
    ck_assert_int_eq(produce(&one, output_of(&one, "out"), "a"), 0);
    struct member two;
    join(&two, 1);
    struct position position = {"in", 1, 5, NULL};
    ck_assert_int_eq(class->commit(two.session, &position, 1, &err), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    ck_assert_int_eq(committed_of(&one, "in", NULL), OFFSET_NONE);
    class->session_close(one.session);
    class->session_close(two.session);
    end();
}
END_TEST

START_TEST(positions_of_a_stopped_group_can_be_set)
{
    begin();
    struct member member;
    have("in", 2);
    struct position positions[] = {{"in", 0, 3, "m"}, {"in", 1, 4, NULL}};
    ck_assert_int_eq(class->set_group_positions(transport, "shop", positions, 2, &err), 0);
    struct position removed = {"in", 1, OFFSET_NONE, NULL};
    ck_assert_int_eq(class->set_group_positions(transport, "shop", &removed, 1, &err), 0);
    struct group_position *list;
    size_t count;
    ck_assert_int_eq(class->group_positions(transport, "shop", &list, &count, &err), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(list[0].topic, "in");
    ck_assert_int_eq(list[0].committed, 3);
    ck_assert_str_eq(list[0].metadata, "m");
    free(list[0].topic);
    free(list[0].metadata);
    free(list);
    join(&member, 0);
    ck_assert_int_eq(class->set_group_positions(transport, "shop", positions, 2, &err), -1);
    ck_assert_int_eq(err.code, ERR_LOCKED);
    class->session_close(member.session);
    end();
}
END_TEST

/* ---- faults ---- */

static void begin_faulty(struct member *member, struct output **output)
{
    begin();
    append("in", 0, "k", "v");
    join(member, 0);
    poll(member);
    *output = output_of(member, "out");
    ck_assert_int_eq(produce(member, *output, "a"), 0);
}

static void end_faulty(struct member *member)
{
    class->session_close(member->session);
    end();
}

START_TEST(retry_means_that_nothing_has_happened)
{
    struct member member;
    struct output *output;
    begin_faulty(&member, &output);
    faults[MEMORY_COMMIT] = FAULT_RETRY;
    ck_assert_int_eq(commit(&member, 1), -1);
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_int_eq(end_of("out"), 0);
    ck_assert_int_eq(commit(&member, 1), 0);
    ck_assert_int_eq(end_of("out"), 1);
    end_faulty(&member);
}
END_TEST

START_TEST(abort_must_come_before_anything_else)
{
    struct member member;
    struct output *output;
    begin_faulty(&member, &output);
    faults[MEMORY_PRODUCE] = FAULT_ABORT;
    ck_assert_int_eq(produce(&member, output, "b"), -1);
    ck_assert_int_eq(err.class, ERR_ABORT);
    ck_assert_int_eq(commit(&member, 1), -1);
    ck_assert_int_eq(err.class, ERR_ABORT);
    ck_assert_int_eq(class->abort(member.session, &err), 0);
    ck_assert_int_eq(commit(&member, 1), 0);
    ck_assert_int_eq(end_of("out"), 0);
    end_faulty(&member);
}
END_TEST

/* P6: what has happened is only known after a recovery, from the committed offsets. */
START_TEST(p6_an_unknown_outcome_needs_recovery)
{
    for (int done = 0; done < 2; done++) {
        struct member member;
        struct output *output;
        begin_faulty(&member, &output);
        faults[MEMORY_COMMIT] = done ? FAULT_UNKNOWN_DONE : FAULT_UNKNOWN_NOT_DONE;
        ck_assert_int_eq(commit(&member, 1), -1);
        ck_assert_int_eq(err.class, ERR_UNKNOWN);
        ck_assert_int_eq(produce(&member, output, "b"), -1);
        ck_assert_int_eq(class->abort(member.session, &err), -1);
        ck_assert_int_eq(err.class, ERR_UNKNOWN);
        ck_assert_int_eq(class->recover(member.session, &err), 0);
        ck_assert_int_eq(committed_of(&member, "in", NULL), done ? 1 : OFFSET_NONE);
        ck_assert_int_eq(end_of("out"), done);
        ck_assert_int_eq(produce(&member, output, "b"), 0);
        ck_assert_int_eq(commit(&member, 1), 0);
        ck_assert_int_eq(end_of("out"), done + 1);
        end_faulty(&member);
    }
}
END_TEST

START_TEST(a_fenced_member_has_lost_everything)
{
    struct member member;
    struct output *output;
    begin_faulty(&member, &output);
    member.commit_at_revoke = 1;
    faults[MEMORY_SEND_POSITIONS] = FAULT_FENCED;
    ck_assert_int_eq(commit(&member, 1), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    poll(&member);
    ck_assert_int_eq(member.losses, 1);
    ck_assert_int_eq(member.assignments, 2);
    ck_assert_int_eq(member.inputs[0].committed, OFFSET_NONE);
    ck_assert_int_eq(commit(&member, 1), 0);
    ck_assert_int_eq(end_of("out"), 0);
    end_faulty(&member);
}
END_TEST

/* As a process that was stopped for too long: it hears of it when another has done its work. */
START_TEST(an_expelled_member_commits_nothing_and_joins_again)
{
    begin();
    struct member one;
    struct member two;
    have("in", 1);
    join(&one, 0);
    join(&two, 1);
    poll(&one);
    poll(&two);
    ck_assert_int_eq(produce(&one, output_of(&one, "out"), "a"), 0);
    memory_transport_expel(transport, 0);
    poll(&two);
    ck_assert_int_eq(commit(&two, 3), 0);
    ck_assert_int_eq(commit(&one, 2), -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    ck_assert_int_eq(committed_of(&two, "in", NULL), 3);
    ck_assert_int_eq(end_of("out"), 0);
    poll(&one);
    ck_assert_int_eq(one.losses, 1);
    poll(&two);
    poll(&one);
    ck_assert_int_eq(one.inputs[0].committed, 3);
    class->session_close(one.session);
    class->session_close(two.session);
    end();
}
END_TEST

START_TEST(every_call_can_fail)
{
    struct member member;
    struct output *output;
    struct record record;
    struct topic_info info;
    struct topic_spec spec = {.name = "x"};
    struct position at = {"in", 0, 0, NULL};
    struct reader_config config = {&at, 1, false};
    struct reader *reader;
    size_t count;
    begin_faulty(&member, &output);
    ck_assert_int_eq(class->reader_open(transport, &config, &reader, &err), 0);
    for (int call = 0; call < MEMORY_CALL_COUNT; call++) {
        faults[call] = FAULT_FATAL;
    }
    ck_assert_int_eq(class->poll(member.session, 0, &err), -1);
    ck_assert_int_eq(class->fetch(member.session, member.inputs[0].input, &record, 1, &count, &err), -1);
    ck_assert_int_eq(produce(&member, output, "b"), -1);
    ck_assert_int_eq(class->seek(member.session, member.inputs[0].input, 0, &err), -1);
    ck_assert_int_eq(class->committed(member.session, &at, 1, &err), -1);
    ck_assert_int_eq(class->abort(member.session, &err), -1);
    ck_assert_int_eq(produce(&member, output, "b"), -1); /* what was not aborted goes with nothing else */
    ck_assert_int_eq(err.class, ERR_ABORT);
    ck_assert_int_eq(class->abort(member.session, &err), 0);
    ck_assert_int_eq(class->recover(member.session, &err), -1);
    ck_assert_int_eq(class->read(reader, 0, &record, 1, &count, &err), -1);
    ck_assert_int_eq(class->describe_topic(transport, "in", &info, &err), -1);
    ck_assert_int_eq(class->create_topic(transport, &spec, &err), -1);
    ck_assert_int_eq(commit(&member, 1), -1);
    ck_assert_int_eq(commit(&member, 1), -1);
    ck_assert_int_eq(err.class, ERR_FATAL);
    for (int call = 0; call < MEMORY_CALL_COUNT; call++) {
        ck_assert_int_eq(faults[call], FAULT_NONE);
    }
    class->reader_close(reader);
    end_faulty(&member);
}
END_TEST

/* ---- threads ---- */

#define THREADS 4
#define RECORDS 20000

/* Copies what it reads; stops when the group has copied everything. */
static void *copy_in_to_out(void *self)
{
    struct member *member = self;
    struct record records[64];
    struct output *output = output_of(member, "out");
    struct err problem;
    for (;;) {
        ck_assert_int_eq(class->poll(member->session, 10, &problem), 0);
        size_t copied = 0;
        for (size_t i = 0; i < member->count; i++) {
            size_t count = 0;
            ck_assert_int_eq(class->fetch(member->session, member->inputs[i].input, records, 64, &count, &problem), 0);
            for (size_t j = 0; j < count; j++) {
                ck_assert_int_eq(class->produce(member->session, output, -1, &records[j], &problem), 0);
            }
            copied += count;
        }
        struct position positions[INPUTS_MAX];
        for (size_t i = 0; i < member->count; i++) {
            positions[i] = (struct position){member->inputs[i].topic, member->inputs[i].partition,
                                             class->position(member->session, member->inputs[i].input), NULL};
        }
        ck_assert_int_eq(class->commit(member->session, positions, member->count, &problem), 0);
        if (copied == 0 && __atomic_load_n(&visible, __ATOMIC_ACQUIRE) >= RECORDS) {
            return NULL;
        }
    }
}

static void count_visible_atomically(void *self, const struct record *record)
{
    (void)self;
    (void)record;
    __atomic_add_fetch(&visible, 1, __ATOMIC_ACQ_REL);
}

START_TEST(threads_share_the_work_and_lose_nothing)
{
    begin_with((struct memory_transport_config){
        .default_partitions = 8, .create_topics = true, .committed = count_visible_atomically});
    struct member members[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        join(&members[i], i);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, copy_in_to_out, &members[i]), 0);
    }
    for (int i = 0; i < RECORDS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        append("in", -1, key, "v");
        if (i % 4000 == 0) {
            memory_transport_rebalance(transport);
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    int64_t total = 0;
    for (int32_t i = 0; i < 8; i++) {
        int64_t low;
        int64_t high;
        ck_assert_int_eq(class->watermarks(transport, "out", i, &low, &high, &err), 0);
        total += high;
    }
    ck_assert_int_eq(total, RECORDS);
    for (int i = 0; i < THREADS; i++) {
        class->session_close(members[i].session);
    }
    end();
}
END_TEST

static void *wake_later(void *self)
{
    struct member *member = self;
    class->wake(member->session);
    return NULL;
}

START_TEST(wake_ends_a_poll)
{
    begin_with((struct memory_transport_config){.default_partitions = 1, .create_topics = true});
    struct member member;
    pthread_t thread;
    have("in", 1);
    join(&member, 0);
    poll(&member);
    ck_assert_int_eq(pthread_create(&thread, NULL, wake_later, &member), 0);
    ck_assert_int_eq(class->poll(member.session, 3600 * 1000, &err), 0); /* without a wake the test times out */
    pthread_join(thread, NULL);
    append("in", 0, "k", "v");
    ck_assert_int_eq(class->poll(member.session, 3600 * 1000, &err), 0);
    class->session_close(member.session);
    end();
}
END_TEST

UNIT_MAIN("memory_group", equal_partitions_of_all_topics_go_together, nobody_gets_a_partition_that_another_still_holds,
          a_member_without_partitions_is_told, new_topics_of_a_pattern_are_assigned,
          a_refused_assignment_ends_its_inputs, a_commit_for_a_foreign_partition_is_fenced,
          positions_of_a_stopped_group_can_be_set, retry_means_that_nothing_has_happened,
          abort_must_come_before_anything_else, p6_an_unknown_outcome_needs_recovery,
          a_fenced_member_has_lost_everything, an_expelled_member_commits_nothing_and_joins_again, every_call_can_fail,
          threads_share_the_work_and_lose_nothing, wake_ends_a_poll)
