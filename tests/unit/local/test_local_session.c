#include "tests/unit/local/log_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

/* A session whose callbacks note what happened as text: "+t/0@5(meta) " for assigned, "-t/0 " revoked, "!t/0 " lost. */
struct member {
    struct log_fixture *log;
    struct session *session;
    struct bytes events;
    struct input *inputs[32];
    size_t input_count;
};

static int assigned(void *self, const struct assigned *list, size_t count, struct err *err)
{
    struct member *member = self;
    (void)err;
    if (count == 0) {
        bytes_append_text(&member->events, "+none ");
    }
    for (size_t i = 0; i < count; i++) {
        bytes_append_format(&member->events, "+%s/%d@%lld%s%s ", list[i].topic, (int)list[i].partition,
                            (long long)list[i].committed, list[i].metadata != NULL ? "!" : "",
                            list[i].metadata != NULL ? list[i].metadata : "");
        member->inputs[member->input_count++] = list[i].input;
    }
    return 0;
}

static int revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *err)
{
    struct member *member = self;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        bytes_append_format(&member->events, "%c%s/%d ", lost ? '!' : '-', list[i].topic, (int)list[i].partition);
    }
    return 0;
}

static int join_with(struct log_fixture *log, struct member *member, struct session_config config)
{
    *member = (struct member){.log = log};
    config.app = config.app != NULL ? config.app : "app";
    config.threads = config.threads > 0 ? config.threads : 1;
    config.self = member;
    config.assigned = assigned;
    config.revoked = revoked;
    return log->class->session_open(log->transport, &config, &member->session, &log->err);
}

static void join(struct log_fixture *log, struct member *member, const char *topic, enum reset_policy reset)
{
    struct subscription subscription = {topic, reset};
    struct session_config config = {.subscriptions = &subscription, .subscription_count = 1};
    log_ok(log, join_with(log, member, config));
    log_ok(log, log->class->poll(member->session, 0, &log->err));
}

static void leave(struct member *member)
{
    if (member->session != NULL) {
        member->log->class->session_close(member->session);
        member->session = NULL;
    }
    bytes_free(&member->events);
}

static void expect_events(struct member *member, const char *expected)
{
    ck_assert_str_eq(bytes_text(&member->events), expected);
    bytes_clear(&member->events);
}

/* The keys that an input has now, with a space behind each. */
static void expect_keys(struct member *member, struct input *input, const char *expected)
{
    struct log_fixture *log = member->log;
    struct bytes text = {0};
    struct record records[3];
    size_t count = 0;
    do {
        log_ok(log, log->class->fetch(member->session, input, records, 3, &count, &log->err));
        for (size_t i = 0; i < count; i++) {
            bytes_append_slice(&text, records[i].key);
            bytes_append_byte(&text, ' ');
        }
    } while (count > 0);
    ck_assert_str_eq(bytes_text(&text), expected);
    bytes_free(&text);
}

static void commit_position(struct member *member, const char *topic, int32_t partition, int64_t offset,
                            const char *metadata)
{
    struct position position = {topic, partition, offset, metadata};
    log_ok(member->log, member->log->class->commit(member->session, &position, 1, &member->log->err));
}

START_TEST(threads_share_partitions_by_number)
{
    struct log_fixture log;
    struct member members[3];
    log_begin(&log);
    log_create(&log, "a", 4);
    log_create(&log, "b", 2);
    struct subscription both[] = {{"a", RESET_EARLIEST}, {"b", RESET_EARLIEST}};
    for (int i = 0; i < 3; i++) {
        struct session_config config = {.thread = i, .threads = 3, .subscriptions = both, .subscription_count = 2};
        log_ok(&log, join_with(&log, &members[i], config));
        log_ok(&log, log.class->poll(members[i].session, 0, &log.err));
    }
    expect_events(&members[0], "+a/0@-1 +a/3@-1 +b/0@-1 ");
    expect_events(&members[1], "+a/1@-1 +b/1@-1 ");
    expect_events(&members[2], "+a/2@-1 ");
    for (int i = 0; i < 3; i++) {
        leave(&members[i]);
    }
    log_end(&log);
}
END_TEST

START_TEST(a_thread_without_partitions_is_told_so)
{
    struct log_fixture log;
    struct member member;
    struct subscription subscription = {"t", RESET_EARLIEST};
    struct session_config config = {.thread = 1, .threads = 2, .subscriptions = &subscription, .subscription_count = 1};
    log_begin(&log);
    log_create(&log, "t", 1);
    log_ok(&log, join_with(&log, &member, config));
    log_ok(&log, log.class->poll(member.session, 0, &log.err));
    expect_events(&member, "+none ");
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(reading_goes_on_at_the_committed_position)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 5);
    join(&log, &member, "t", RESET_EARLIEST);
    expect_events(&member, "+t/0@-1 ");
    expect_keys(&member, member.inputs[0], "0 1 2 3 4 ");
    ck_assert_int_eq(log.class->position(member.session, member.inputs[0]), 5);
    ck_assert_int_eq(log.class->known_end(member.session, member.inputs[0]), 5);
    commit_position(&member, "t", 0, 3, "time=7");
    struct position asked[2] = {{"t", 0, 0, NULL}, {"t", 0, 0, NULL}};
    log_ok(&log, log.class->committed(member.session, asked, 2, &log.err));
    ck_assert_int_eq(asked[0].offset, 3);
    ck_assert_str_eq(asked[0].metadata, "time=7");
    ck_assert_str_eq(asked[1].metadata, "time=7");
    log.class->session_close(member.session);
    member.session = NULL;
    expect_events(&member, "-t/0 ");
    leave(&member);
    log_reopen(&log);
    join(&log, &member, "t", RESET_LATEST);
    expect_events(&member, "+t/0@3!time=7 ");
    expect_keys(&member, member.inputs[0], "3 4 ");
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(reset_policies_choose_the_start)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 2);
    join(&log, &member, "t", RESET_LATEST);
    expect_keys(&member, member.inputs[0], "");
    log_put_range(&log, "t", 0, 2, 4);
    log_ok(&log, log.class->poll(member.session, 0, &log.err));
    expect_keys(&member, member.inputs[0], "2 3 ");
    leave(&member);
    struct subscription subscription = {"t", RESET_ERROR};
    struct session_config config = {.subscriptions = &subscription, .subscription_count = 1};
    log_ok(&log, join_with(&log, &member, config));
    ck_assert_int_eq(log.class->poll(member.session, 0, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(output_and_position_are_committed_together)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "in", 1);
    log_create(&log, "out", 1);
    log_put_range(&log, "in", 0, 0, 4);
    join(&log, &member, "in", RESET_EARLIEST);
    expect_keys(&member, member.inputs[0], "0 1 2 3 ");
    log_put(&log, member.session, "out", 0, log_record("x", "1", 0));
    log_ok(&log, log.class->abort(member.session, &log.err));
    log_ok(&log, log.class->seek(member.session, member.inputs[0], 2, &log.err));
    expect_keys(&member, member.inputs[0], "2 3 ");
    log_put(&log, member.session, "out", 0, log_record("y", "2", 0));
    commit_position(&member, "in", 0, 4, NULL);
    log_expect(&log, "out", 0, 0, "0:y=2 ");
    leave(&member);
    struct group_position *list = NULL;
    size_t count = 0;
    log_ok(&log, log.class->group_positions(log.transport, "app", &list, &count, &log.err));
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(list[0].topic, "in");
    ck_assert_int_eq(list[0].committed, 4);
    ck_assert_ptr_null(list[0].metadata);
    free(list[0].topic);
    free(list);
    log_end(&log);
}
END_TEST

START_TEST(paused_inputs_give_nothing_and_lose_nothing)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 2);
    join(&log, &member, "t", RESET_EARLIEST);
    log_ok(&log, log.class->pause(member.session, member.inputs[0], true, &log.err));
    log_ok(&log, log.class->poll(member.session, 1, &log.err));
    expect_keys(&member, member.inputs[0], "");
    log_ok(&log, log.class->pause(member.session, member.inputs[0], false, &log.err));
    expect_keys(&member, member.inputs[0], "0 1 ");
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(patterns_notice_new_topics_and_added_partitions)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "sales-de", 1);
    log_create(&log, "other", 1);
    log_put_range(&log, "sales-de", 0, 0, 1);
    join(&log, &member, "^sales-", RESET_LATEST);
    expect_events(&member, "+sales-de/0@-1 ");
    log_create(&log, "sales-fr", 1);
    log_put_range(&log, "sales-fr", 0, 5, 6);
    log_ok(&log, log.class->poll(member.session, 0, &log.err));
    expect_events(&member, "+sales-fr/0@-1 ");
    expect_keys(&member, member.inputs[1], "5 "); /* written before it was noticed, and not skipped */
    log_ok(&log, log.class->add_partitions(log.transport, "sales-de", 3, &log.err));
    log_ok(&log, log.class->poll(member.session, 0, &log.err));
    expect_events(&member, "+sales-de/1@-1 +sales-de/2@-1 ");
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(a_bad_pattern_is_refused)
{
    struct log_fixture log;
    struct member member;
    struct subscription subscription = {"^a(", RESET_EARLIEST};
    struct session_config config = {.subscriptions = &subscription, .subscription_count = 1};
    log_begin(&log);
    ck_assert_int_eq(join_with(&log, &member, config), -1);
    ck_assert_int_eq(log.err.code, ERR_CONFIG);
    log_end(&log);
}
END_TEST

START_TEST(a_missing_topic_is_an_error)
{
    struct log_fixture log;
    struct member member;
    struct subscription subscription = {"nowhere", RESET_EARLIEST};
    struct session_config config = {.subscriptions = &subscription, .subscription_count = 1};
    log_begin(&log);
    ck_assert_int_eq(join_with(&log, &member, config), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    log_end(&log);
}
END_TEST

START_TEST(inputs_of_a_deleted_topic_are_lost)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "ta", 1);
    log_create(&log, "tb", 1);
    join(&log, &member, "^t", RESET_EARLIEST);
    expect_events(&member, "+ta/0@-1 +tb/0@-1 ");
    log_ok(&log, log.class->delete_topic(log.transport, "ta", &log.err));
    log_ok(&log, log.class->poll(member.session, 0, &log.err));
    expect_events(&member, "!ta/0 ");
    log_put_range(&log, "tb", 0, 0, 1);
    log_ok(&log, log.class->poll(member.session, 1000, &log.err));
    expect_keys(&member, member.inputs[1], "0 ");
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(L6_a_position_below_the_log_start_is_an_error)
{
    struct log_fixture log;
    struct member member;
    struct record record;
    size_t count = 0;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 5);
    join(&log, &member, "t", RESET_EARLIEST);
    commit_position(&member, "t", 0, 1, NULL);
    leave(&member);
    log_ok(&log, log.class->delete_records(log.transport, "t", 0, 3, &log.err));
    join(&log, &member, "t", RESET_EARLIEST);
    ck_assert_int_eq(log.class->fetch(member.session, member.inputs[0], &record, 1, &count, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    ck_assert_ptr_nonnull(strstr(log.err.text, "log start passed"));
    ck_assert_ptr_nonnull(strstr(log.err.text, "topic t partition 0"));
    ck_assert_ptr_nonnull(strstr(log.err.text, "offset 1 and the log begins at 3"));
    log_ok(&log, log.class->seek(member.session, member.inputs[0], OFFSET_BEGINNING, &log.err));
    expect_keys(&member, member.inputs[0], "3 4 ");
    leave(&member);
    log_end(&log);
}
END_TEST

/* Who starts at the beginning follows it while nothing was read; who has read is told. */
START_TEST(L6_retention_while_reading_is_noticed)
{
    struct log_fixture log;
    struct member member;
    struct record record;
    size_t count = 0;
    log_begin(&log);
    log.config.batch_bytes = 1; /* a batch per record, and one batch read ahead */
    log.config.read_ahead_bytes = 1;
    log_reopen(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 9);
    join(&log, &member, "t", RESET_EARLIEST);
    log_ok(&log, log.class->delete_records(log.transport, "t", 0, 2, &log.err));
    log_ok(&log, log.class->fetch(member.session, member.inputs[0], &record, 1, &count, &log.err));
    ck_assert_int_eq(record.offset, 2);
    log_ok(&log, log.class->delete_records(log.transport, "t", 0, 7, &log.err));
    ck_assert_int_eq(log.class->fetch(member.session, member.inputs[0], &record, 1, &count, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(a_position_beyond_the_end_is_an_error)
{
    struct log_fixture log;
    struct member member;
    struct record record;
    size_t count = 0;
    struct position beyond = {"t", 0, 99, NULL};
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 5);
    log_ok(&log, log.class->set_group_positions(log.transport, "app", &beyond, 1, &log.err));
    join(&log, &member, "t", RESET_EARLIEST);
    ck_assert_int_eq(log.class->fetch(member.session, member.inputs[0], &record, 1, &count, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_TOPIC);
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(positions_are_set_and_removed_only_without_members)
{
    struct log_fixture log;
    struct member member;
    struct position position = {"t", 0, 4, "m"};
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 5);
    log_ok(&log, log.class->set_group_positions(log.transport, "app", &position, 1, &log.err));
    join(&log, &member, "t", RESET_EARLIEST);
    expect_events(&member, "+t/0@4!m ");
    ck_assert_int_eq(log.class->set_group_positions(log.transport, "app", &position, 1, &log.err), -1);
    ck_assert_int_eq(log.err.code, ERR_LOCKED);
    leave(&member);
    position.offset = OFFSET_NONE;
    log_ok(&log, log.class->set_group_positions(log.transport, "app", &position, 1, &log.err));
    join(&log, &member, "t", RESET_EARLIEST);
    expect_events(&member, "+t/0@-1 ");
    leave(&member);
    log_end(&log);
}
END_TEST

/* Returns the exit status of a child that tries to join the app: 0 joined, 1 refused as it should be, 2 otherwise. */
static int try_in_a_child(struct log_fixture *log, long holder)
{
    pid_t child = fork();
    if (child == 0) {
        unit_in_child();
        struct log_fixture own = *log;
        struct member member;
        struct subscription subscription = {"t", RESET_EARLIEST};
        struct session_config config = {.subscriptions = &subscription, .subscription_count = 1};
        char pid[32];
        snprintf(pid, sizeof pid, "process %ld", holder);
        if (local_open(&own.config, &own.transport, &own.err) != 0) {
            _exit(2);
        }
        if (join_with(&own, &member, config) == 0) {
            _exit(0);
        }
        _exit(own.err.code == ERR_LOCKED && strstr(own.err.text, pid) != NULL &&
                      strstr(own.err.text, "test_local_session") != NULL
                  ? 1
                  : 2);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

START_TEST(L5_a_second_process_of_an_app_is_refused)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 1);
    int ready[2], hold[2];
    ck_assert_int_eq(pipe(ready) | pipe(hold), 0);
    pid_t holder = fork();
    if (holder == 0) {
        unit_in_child();
        struct log_fixture own = log;
        struct member member;
        log_ok(&own, local_open(&own.config, &own.transport, &own.err));
        join(&own, &member, "t", RESET_EARLIEST);
        ck_assert_int_eq(write(ready[1], "x", 1), 1);
        pause();
    }
    char byte;
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(try_in_a_child(&log, (long)holder), 1);
    kill(holder, SIGKILL);
    ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
    ck_assert_int_eq(try_in_a_child(&log, 0), 0); /* the lock died with its process */
    log_end(&log);
}
END_TEST

START_TEST(other_apps_run_beside)
{
    struct log_fixture log;
    struct member first, second;
    struct subscription subscription = {"t", RESET_EARLIEST};
    struct session_config config = {.app = "other / ä", .subscriptions = &subscription, .subscription_count = 1};
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 2);
    join(&log, &first, "t", RESET_EARLIEST);
    log_ok(&log, join_with(&log, &second, config));
    log_ok(&log, log.class->poll(second.session, 0, &log.err));
    expect_keys(&first, first.inputs[0], "0 1 ");
    expect_keys(&second, second.inputs[0], "0 1 ");
    leave(&first);
    leave(&second);
    log_end(&log);
}
END_TEST

static void *wake_it(void *self)
{
    struct member *member = self;
    member->log->class->wake(member->session);
    return NULL;
}

START_TEST(wake_ends_a_poll_from_another_thread)
{
    struct log_fixture log;
    struct member member;
    pthread_t thread;
    log_begin(&log);
    log_create(&log, "t", 1);
    join(&log, &member, "t", RESET_EARLIEST);
    ck_assert_int_eq(pthread_create(&thread, NULL, wake_it, &member), 0);
    log_ok(&log, log.class->poll(member.session, -1, &log.err)); /* without a wake it would never return */
    pthread_join(thread, NULL);
    leave(&member);
    log_end(&log);
}
END_TEST

static void *write_one(void *self)
{
    log_put_range(self, "t", 0, 0, 1);
    return NULL;
}

START_TEST(poll_returns_when_another_thread_commits)
{
    struct log_fixture log;
    struct member member;
    pthread_t thread;
    log_begin(&log);
    log_create(&log, "t", 1);
    join(&log, &member, "t", RESET_EARLIEST);
    ck_assert_int_eq(pthread_create(&thread, NULL, write_one, &log), 0);
    log_ok(&log, log.class->poll(member.session, -1, &log.err));
    expect_keys(&member, member.inputs[0], "0 ");
    pthread_join(thread, NULL);
    leave(&member);
    log_end(&log);
}
END_TEST

START_TEST(poll_returns_when_another_process_commits)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "t", 1);
    pid_t child = fork();
    if (child == 0) {
        unit_in_child();
        struct log_fixture own = log;
        log_ok(&own, local_open(&own.config, &own.transport, &own.err));
        log_put_range(&own, "t", 0, 0, 1);
        _exit(0);
    }
    join(&log, &member, "t", RESET_EARLIEST);
    log_ok(&log, log.class->poll(member.session, -1, &log.err));
    expect_keys(&member, member.inputs[0], "0 ");
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    leave(&member);
    log_end(&log);
}
END_TEST

/* A thread without room for more waits although there is something; it is told again when more has come or it fetches.
 */
START_TEST(what_was_left_alone_does_not_end_the_next_wait)
{
    struct log_fixture log;
    struct member member;
    pthread_t thread;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 2);
    join(&log, &member, "t", RESET_EARLIEST);
    log_ok(&log, log.class->poll(member.session, -1, &log.err));
    ck_assert_int_eq(pthread_create(&thread, NULL, write_one, &log), 0);
    log_ok(&log, log.class->poll(member.session, -1, &log.err));
    ck_assert_int_eq(log.class->known_end(member.session, member.inputs[0]), 3); /* it has waited for the third */
    pthread_join(thread, NULL);
    expect_keys(&member, member.inputs[0], "0 1 0 ");
    leave(&member);
    log_end(&log);
}
END_TEST

/* What all inputs have is taken at one moment: no input runs ahead of what the last poll has seen. */
START_TEST(fetch_stops_where_the_last_poll_has_looked)
{
    struct log_fixture log;
    struct member member;
    log_begin(&log);
    log_create(&log, "t", 1);
    log_put_range(&log, "t", 0, 0, 2);
    join(&log, &member, "t", RESET_EARLIEST);
    log_put_range(&log, "t", 0, 2, 4);
    expect_keys(&member, member.inputs[0], "0 1 ");
    ck_assert_int_eq(log.class->known_end(member.session, member.inputs[0]), 2);
    log_ok(&log, log.class->poll(member.session, 0, &log.err));
    ck_assert_int_eq(log.class->known_end(member.session, member.inputs[0]), 4);
    expect_keys(&member, member.inputs[0], "2 3 ");
    leave(&member);
    log_end(&log);
}
END_TEST

UNIT_MAIN("local_session", threads_share_partitions_by_number, a_thread_without_partitions_is_told_so,
          reading_goes_on_at_the_committed_position, reset_policies_choose_the_start,
          output_and_position_are_committed_together, paused_inputs_give_nothing_and_lose_nothing,
          patterns_notice_new_topics_and_added_partitions, a_bad_pattern_is_refused, a_missing_topic_is_an_error,
          inputs_of_a_deleted_topic_are_lost, L6_a_position_below_the_log_start_is_an_error,
          L6_retention_while_reading_is_noticed, a_position_beyond_the_end_is_an_error,
          positions_are_set_and_removed_only_without_members, L5_a_second_process_of_an_app_is_refused,
          other_apps_run_beside, wake_ends_a_poll_from_another_thread, poll_returns_when_another_thread_commits,
          poll_returns_when_another_process_commits, what_was_left_alone_does_not_end_the_next_wait,
          fetch_stops_where_the_last_poll_has_looked)
