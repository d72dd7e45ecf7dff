/* What the tests of the embedded log share: a data directory of its own for each test, and short ways to write and
 * read.
 *
 * Ownership: a struct log_fixture is begun and ended by the test; texts that log_read returns are freed by the caller.
 */
#ifndef TIDEMILL_TESTS_LOCAL_LOG_FIXTURE_H
#define TIDEMILL_TESTS_LOCAL_LOG_FIXTURE_H

#include "base/memory.h"
#include "local/local.h"
#include "tests/support/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

struct log_fixture {
    char data[64];
    struct local_config config;
    struct transport *transport;
    const struct transport_class *class;
    struct err err;
};

#define log_ok(fixture, call) ck_assert_msg((call) == 0, "%s", (fixture)->err.text)

static inline void log_begin(struct log_fixture *log)
{
    *log = (struct log_fixture){0};
    snprintf(log->data, sizeof log->data, "/tmp/tidemill-log-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(log->data));
    log->config = (struct local_config){.data = log->data, .create = true, .maintenance_ms = -1};
    log_ok(log, local_open(&log->config, &log->transport, &log->err));
    log->class = log->transport->class;
}

static inline void log_reopen(struct log_fixture *log)
{
    log->class->close(log->transport);
    log_ok(log, local_open(&log->config, &log->transport, &log->err));
}

static inline int log_remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void log_end(struct log_fixture *log)
{
    if (log->transport != NULL) {
        log->class->close(log->transport);
    }
    nftw(log->data, log_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void log_create(struct log_fixture *log, const char *topic, int32_t partitions)
{
    struct topic_spec spec = {.name = topic, .partitions = partitions};
    log_ok(log, log->class->create_topic(log->transport, &spec, &log->err));
}

static inline struct session *log_producer(struct log_fixture *log)
{
    struct session *session = NULL;
    struct session_config config = {.threads = 1, .transactional = true};
    log_ok(log, log->class->session_open(log->transport, &config, &session, &log->err));
    return session;
}

static inline struct record log_record(const char *key, const char *value, int64_t timestamp)
{
    return (struct record){.key = key != NULL ? slice_text(key) : SLICE_NULL,
                           .value = value != NULL ? slice_text(value) : SLICE_NULL,
                           .timestamp = timestamp,
                           .offset = -1};
}

static inline void log_put(struct log_fixture *log, struct session *session, const char *topic, int32_t partition,
                           struct record record)
{
    struct output *output = NULL;
    log_ok(log, log->class->output(session, topic, &output, NULL, &log->err));
    log_ok(log, log->class->produce(session, output, partition, &record, &log->err));
}

static inline void log_commit(struct log_fixture *log, struct session *session)
{
    log_ok(log, log->class->commit(session, NULL, 0, &log->err));
}

/* Writes "<prefix><number>" as key and value for the numbers from .. to-1, in one commit. */
static inline void log_put_range(struct log_fixture *log, const char *topic, int32_t partition, int from, int to)
{
    struct session *session = log_producer(log);
    for (int i = from; i < to; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        log_put(log, session, topic, partition, log_record(text, text, i));
    }
    log_commit(log, session);
    log->class->session_close(session);
}

/* Everything a partition holds from an offset on, as "offset:key=value " for each record. */
static inline char *log_read(struct log_fixture *log, const char *topic, int32_t partition, int64_t offset)
{
    struct position start = {topic, partition, offset, NULL};
    struct reader_config config = {.positions = &start, .count = 1};
    struct reader *reader = NULL;
    struct record records[7];
    struct bytes text = {0};
    size_t count = 0;
    log_ok(log, log->class->reader_open(log->transport, &config, &reader, &log->err));
    do {
        log_ok(log, log->class->read(reader, 0, records, 7, &count, &log->err));
        for (size_t i = 0; i < count; i++) {
            bytes_append_format(&text, "%lld:", (long long)records[i].offset);
            bytes_append_slice(&text, slice_is_null(records[i].key) ? slice_text("-") : records[i].key);
            bytes_append_byte(&text, '=');
            bytes_append_slice(&text, slice_is_null(records[i].value) ? slice_text("-") : records[i].value);
            bytes_append_byte(&text, ' ');
        }
    } while (count > 0);
    log->class->reader_close(reader);
    bytes_text(&text);
    return (char *)text.data;
}

static inline void log_expect(struct log_fixture *log, const char *topic, int32_t partition, int64_t offset,
                              const char *expected)
{
    char *text = log_read(log, topic, partition, offset);
    ck_assert_str_eq(text, expected);
    free(text);
}

#endif
