#include "tests/unit/local/log_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* These stand before the C library's for SQLite too, so that a test can let the disk fail. */
static atomic_long writes_left = -1; /* bytes until the disk is full; -1: never */
static atomic_int syncs_left = -1;   /* syncs until one fails; -1: never */

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at);
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    long left = atomic_load(&writes_left);
    if (left >= 0 && (long)size > left) {
        errno = ENOSPC;
        return -1;
    }
    if (left >= 0) {
        atomic_fetch_sub(&writes_left, (long)size);
    }
    return syscall(SYS_pwrite64, fd, data, size, at);
}

static int sync_or_fail(int fd, long number)
{
    if (atomic_load(&syncs_left) == 0) {
        errno = EIO;
        return -1;
    }
    if (atomic_load(&syncs_left) > 0) {
        atomic_fetch_sub(&syncs_left, 1);
    }
    return (int)syscall(number, fd);
}

int fdatasync(int fd)
{
    return sync_or_fail(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return sync_or_fail(fd, SYS_fsync);
}

#define THREADS 6
#define ROUNDS 30

struct writer {
    struct log_fixture *log;
    int number;
};

/* Writes and checks after each commit that it has got offsets of its own. */
static void *write_rounds(void *self)
{
    struct writer *writer = self;
    struct log_fixture log = *writer->log;
    struct session *session = log_producer(&log);
    struct output *output = NULL;
    int64_t before = 0;
    char key[16];
    log_ok(&log, log.class->output(session, "t", &output, NULL, &log.err));
    snprintf(key, sizeof key, "%d", writer->number);
    for (int i = 0; i < ROUNDS; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        log_put(&log, session, "t", 0, log_record(key, value, i));
        log_commit(&log, session);
        ck_assert_int_gt(log.class->acknowledged(session, output, 0), before);
        before = log.class->acknowledged(session, output, 0);
    }
    log.class->session_close(session);
    return NULL;
}

/* Every writer's values 0 .. ROUNDS-1 are there in order, and offsets have no gap. */
static void expect_rounds(struct log_fixture *log, int writers)
{
    int next[THREADS] = {0};
    char *text = log_read(log, "t", 0, 0);
    char *at = text;
    long long offset = 0;
    for (int total = 0; total < writers * ROUNDS; total++) {
        int key = 0, value = 0, length = 0;
        ck_assert_int_eq(sscanf(at, "%lld:%d=%d %n", &offset, &key, &value, &length), 3);
        ck_assert_int_eq(offset, total);
        ck_assert_int_eq(value, next[key]++);
        at += length;
    }
    ck_assert_str_eq(at, "");
    free(text);
}

START_TEST(threads_commit_together)
{
    struct log_fixture log;
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    log_begin(&log);
    log_create(&log, "t", 1);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){&log, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_rounds, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    expect_rounds(&log, THREADS);
    log_ok(&log, local_check(log.data, &log.err));
    log_end(&log);
}
END_TEST

START_TEST(processes_write_and_read_at_once)
{
    struct log_fixture log;
    pid_t children[3];
    log_begin(&log);
    log_create(&log, "t", 1);
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            unit_in_child();
            struct log_fixture own = log;
            log_ok(&own, local_open(&own.config, &own.transport, &own.err));
            struct writer writer = {&own, i};
            write_rounds(&writer);
            own.class->close(own.transport);
            _exit(0);
        }
    }
    struct position start = {"t", 0, 0, NULL};
    struct reader_config config = {.positions = &start, .count = 1};
    struct reader *reader = NULL;
    struct record records[5];
    log_ok(&log, log.class->reader_open(log.transport, &config, &reader, &log.err));
    for (int64_t expected = 0; expected < 3 * ROUNDS;) {
        size_t count = 0;
        log_ok(&log, log.class->read(reader, -1, records, 5, &count, &log.err));
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(records[i].offset, expected++);
        }
    }
    log.class->reader_close(reader);
    for (int i = 0; i < 3; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    expect_rounds(&log, 3);
    log_end(&log);
}
END_TEST

/* One bad request in a transaction of several leaves the others alone. */
static void *write_to_deleted(void *self)
{
    struct writer *writer = self;
    struct log_fixture log = *writer->log;
    char topic[16];
    for (int i = 0; i < 20; i++) {
        snprintf(topic, sizeof topic, "gone-%d", i);
        log_create(&log, topic, 1);
        struct session *session = log_producer(&log);
        log_put(&log, session, topic, 0, log_record("a", "b", 0));
        log_ok(&log, log.class->delete_topic(log.transport, topic, &log.err));
        ck_assert_int_eq(log.class->commit(session, NULL, 0, &log.err), -1);
        ck_assert_int_eq(log.err.code, ERR_TOPIC);
        log.class->session_close(session);
    }
    return NULL;
}

START_TEST(a_request_that_fails_leaves_the_others_alone)
{
    struct log_fixture log;
    pthread_t threads[3];
    struct writer writers[3];
    log_begin(&log);
    log_create(&log, "t", 1);
    for (int i = 0; i < 3; i++) {
        writers[i] = (struct writer){&log, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i < 2 ? write_rounds : write_to_deleted, &writers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    expect_rounds(&log, 2);
    log_end(&log);
}
END_TEST

/* The child writes batches of three partitions in each commit and tells every acknowledged commit through a pipe. */
static void write_until_killed(struct log_fixture *log, int fd)
{
    log_ok(log, local_open(&log->config, &log->transport, &log->err));
    struct session *session = log_producer(log);
    for (uint32_t commit = 0;; commit++) {
        for (int i = 0; i < 30; i++) {
            char text[200];
            snprintf(text, sizeof text, "%u and some more text, so that pages fill and the log grows", commit);
            log_put(log, session, "t", i % 3, log_record("k", text, commit));
        }
        log_commit(log, session);
        ck_assert_int_eq(write(fd, "x", 1), 1);
    }
}

static int64_t count_acknowledged(int fd)
{
    char buffer[256];
    int64_t total = 0;
    for (ssize_t got = 0; (got = read(fd, buffer, sizeof buffer)) > 0;) {
        total += got;
    }
    return total;
}

/* Offsets of each partition go 0, 1, 2, .. to the end, and the partitions agree: a commit is all or nothing. */
static int64_t expect_whole_commits(struct log_fixture *log)
{
    int64_t ends[3];
    for (int32_t partition = 0; partition < 3; partition++) {
        int64_t low = 0;
        char *text = log_read(log, "t", partition, 0);
        char *at = text;
        long long offset = 0;
        for (int64_t expected = 0; *at != '\0'; expected++) {
            ck_assert_int_eq(sscanf(at, "%lld:", &offset), 1);
            ck_assert_int_eq(offset, expected);
            at = strstr(at, "grows ") + 6;
        }
        log_ok(log, log->class->watermarks(log->transport, "t", partition, &low, &ends[partition], &log->err));
        ck_assert_int_eq(ends[partition], offset + (text[0] != '\0'));
        free(text);
    }
    ck_assert_int_eq(ends[0], ends[1]);
    ck_assert_int_eq(ends[0], ends[2]);
    ck_assert_int_eq(ends[0] % 10, 0);
    return ends[0] / 10;
}

START_TEST(L2_what_was_acknowledged_survives_kill_9)
{
    struct log_fixture log;
    int64_t before = 0;
    log_begin(&log);
    log_create(&log, "t", 3);
    log.class->close(log.transport);
    log.transport = NULL;
    for (int round = 0; round < 12; round++) {
        int fds[2];
        ck_assert_int_eq(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            unit_in_child();
            close(fds[0]);
            write_until_killed(&log, fds[1]);
        }
        close(fds[1]);
        usleep((useconds_t)(2000 + round * 7919 % 40000));
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        int64_t acknowledged = count_acknowledged(fds[0]);
        close(fds[0]);
        log_ok(&log, local_open(&log.config, &log.transport, &log.err));
        int64_t found = expect_whole_commits(&log);
        ck_assert_int_ge(found, before + acknowledged);
        ck_assert_int_le(found, before + acknowledged + 1);
        before = found;
        log_ok(&log, local_check(log.data, &log.err));
        log.class->close(log.transport);
        log.transport = NULL;
    }
    log_end(&log);
}
END_TEST

START_TEST(L7_a_full_disk_is_waited_for)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 1);
    struct session *session = log_producer(&log);
    int unknown = 0, retried = 0;
    for (long room = 0; room < 60000; room += 2048) {
        char *before = log_read(&log, "t", 0, 0);
        for (int i = 0; i < 200; i++) {
            log_put(&log, session, "t", 0,
                    log_record("key", "a value of some length, so that a page is not enough", 0));
        }
        atomic_store(&writes_left, room);
        int result = log.class->commit(session, NULL, 0, &log.err);
        atomic_store(&writes_left, -1);
        if (result != 0) {
            ck_assert_msg(log.err.code == ERR_DISK_FULL, "%s", log.err.text);
            char *after = log_read(&log, "t", 0, 0);
            ck_assert_str_eq(before, after);
            free(after);
        }
        if (result != 0 && log.err.class == ERR_RETRY) {
            retried++;
            log_commit(&log, session); /* the same call again, now that there is room */
        } else if (result != 0) {
            unknown++;
            ck_assert_int_eq(log.err.class, ERR_UNKNOWN);
            log_ok(&log, log.class->recover(session, &log.err));
        }
        free(before);
        /* Each round gave 200 records, unless the outcome was unknown and they were dropped. */
        int64_t low = 0, high = 0;
        log_ok(&log, log.class->watermarks(log.transport, "t", 0, &low, &high, &log.err));
        ck_assert_int_eq(high, (room / 2048 + 1 - unknown) * 200);
    }
    ck_assert_int_gt(retried, 0);
    log_ok(&log, local_check(log.data, &log.err));
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

static struct session *join_app(struct log_fixture *log)
{
    struct session *session = NULL;
    struct subscription subscription = {"in", RESET_EARLIEST};
    struct session_config config = {
        .app = "app", .threads = 1, .subscriptions = &subscription, .subscription_count = 1};
    log_ok(log, log->class->session_open(log->transport, &config, &session, &log->err));
    return session;
}

/* The verdict that the positions give must be that of the output, too. */
static void expect_all_or_nothing(struct log_fixture *log, struct session *session, int64_t *committed)
{
    struct position position = {"in", 0, 0, NULL};
    int64_t low = 0, high = 0;
    log_ok(log, log->class->committed(session, &position, 1, &log->err));
    log_ok(log, log->class->watermarks(log->transport, "out", 0, &low, &high, &log->err));
    int64_t offset = position.offset == OFFSET_NONE ? 0 : position.offset;
    ck_assert_int_eq(offset, high);
    *committed = offset;
}

START_TEST(L3_a_commit_that_fails_is_decided_by_the_positions)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "in", 1);
    log_create(&log, "out", 1);
    log_put_range(&log, "in", 0, 0, 100);
    struct session *session = join_app(&log);
    int unknown = 0;
    int64_t committed = 0;
    for (int syncs = 0; syncs < 12; syncs++) {
        log_put(&log, session, "out", 0, log_record("k", "v", 0));
        struct position position = {"in", 0, committed + 1, NULL};
        atomic_store(&syncs_left, syncs % 4);
        int result = log.class->commit(session, &position, 1, &log.err);
        atomic_store(&syncs_left, -1);
        if (result != 0) {
            ck_assert_int_eq(log.err.class, ERR_UNKNOWN);
            unknown++;
            /* Nobody commits before the recovery. */
            struct session *other = log_producer(&log);
            log_put(&log, other, "in", 0, log_record("k", "v", 0));
            ck_assert_int_eq(log.class->commit(other, NULL, 0, &log.err), -1);
            ck_assert_int_eq(log.err.class, ERR_UNKNOWN);
            log_ok(&log, log.class->recover(session, &log.err));
            log.class->session_close(other);
        }
        expect_all_or_nothing(&log, session, &committed);
    }
    ck_assert_int_gt(unknown, 0);
    log.class->session_close(session);
    log_reopen(&log);
    session = join_app(&log);
    int64_t before = committed;
    expect_all_or_nothing(&log, session, &committed);
    ck_assert_int_eq(committed, before); /* nothing of a commit in doubt came to light later */
    log.class->session_close(session);
    log_ok(&log, local_check(log.data, &log.err));
    log_end(&log);
}
END_TEST

/* A commit whose sync fails is whole in the write-ahead log, and a later process that reads this log anew would take it
 * for committed, if the recovery had not written over it. */
START_TEST(L3_the_verdict_of_a_recovery_holds_after_a_crash)
{
    struct log_fixture log;
    int64_t committed = 0;
    log_begin(&log);
    log_create(&log, "in", 1);
    log_create(&log, "out", 1);
    log_put_range(&log, "in", 0, 0, 10);
    log.class->close(log.transport);
    pid_t child = fork();
    if (child == 0) {
        unit_in_child();
        log_ok(&log, local_open(&log.config, &log.transport, &log.err));
        struct session *session = join_app(&log);
        struct position position = {"in", 0, 1, NULL};
        log_put(&log, session, "out", 0, log_record("k", "v", 0));
        log_ok(&log, log.class->commit(session, &position, 1, &log.err));
        position.offset = 2;
        log_put(&log, session, "out", 0, log_record("k", "v", 0));
        atomic_store(&syncs_left, 0);
        int result = log.class->commit(session, &position, 1, &log.err);
        atomic_store(&syncs_left, -1);
        ck_assert_int_eq(result, -1);
        log_ok(&log, log.class->recover(session, &log.err));
        expect_all_or_nothing(&log, session, &committed);
        _exit((int)committed);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    log_ok(&log, local_open(&log.config, &log.transport, &log.err));
    struct session *session = join_app(&log);
    expect_all_or_nothing(&log, session, &committed);
    ck_assert_int_eq(committed, WEXITSTATUS(status));
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

START_TEST(a_long_load_keeps_the_write_ahead_log_short)
{
    struct log_fixture log;
    log_begin(&log);
    log_create(&log, "t", 2);
    struct session *session = log_producer(&log);
    unsigned char *value = memory_alloc(100000);
    struct record record = {.value = slice_of(value, 100000)};
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 50; k++) {
            log_put(&log, session, "t", k % 2, record);
        }
        log_commit(&log, session);
    }
    char path[128];
    snprintf(path, sizeof path, "%s/log/log.db-wal", log.data);
    int fd = open(path, O_RDONLY);
    ck_assert_int_lt(lseek(fd, 0, SEEK_END), 120 * 1000 * 1000); /* of 200 MB written */
    close(fd);
    free(value);
    log.class->session_close(session);
    log_end(&log);
}
END_TEST

UNIT_MAIN("local_commit", threads_commit_together, processes_write_and_read_at_once,
          a_request_that_fails_leaves_the_others_alone, L2_what_was_acknowledged_survives_kill_9,
          L7_a_full_disk_is_waited_for, L3_a_commit_that_fails_is_decided_by_the_positions,
          L3_the_verdict_of_a_recovery_holds_after_a_crash, a_long_load_keeps_the_write_ahead_log_short)
