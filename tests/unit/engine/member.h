/* A transport in memory and members of a group on it that remember what they were told, for the tests of both.
 *
 * Ownership: one transport at a time, from begin to end.
 */
#ifndef TIDEMILL_TESTS_MEMBER_H
#define TIDEMILL_TESTS_MEMBER_H

#include "engine/memory_transport.h"
#include "tests/support/unit.h"

#include <string.h>

static struct err err;
static struct transport *transport;
static const struct transport_class *class;
static enum memory_fault faults[MEMORY_CALL_COUNT]; /* taken by the next call of that kind */
static size_t visible;

static inline enum memory_fault take_fault(void *self, enum memory_call call)
{
    (void)self;
    enum memory_fault fault = faults[call];
    faults[call] = FAULT_NONE;
    return fault;
}

static inline void count_visible(void *self, const struct record *record)
{
    (void)self;
    (void)record;
    visible++;
}

static inline void begin_with(struct memory_transport_config config)
{
    visible = 0;
    ck_assert_int_eq(memory_transport_open(&config, &transport, &err), 0);
    class = transport->class;
}

static inline void begin(void)
{
    begin_with((struct memory_transport_config){.default_partitions = 1,
                                                .create_topics = true,
                                                .timeless = true,
                                                .fault = take_fault,
                                                .committed = count_visible});
}

static inline void end(void)
{
    class->close(transport);
}

static inline struct record text_record(const char *key, const char *value, int64_t timestamp)
{
    return (struct record){.key = slice_text(key), .value = slice_text(value), .timestamp = timestamp};
}

static inline void append(const char *topic, int32_t partition, const char *key, const char *value)
{
    struct record record = text_record(key, value, 7);
    ck_assert_msg(memory_transport_append(transport, topic, partition, &record, &err) == 0, "%s", err.text);
}

static inline void have(const char *topic, int32_t partitions)
{
    struct topic_spec spec = {.name = topic, .partitions = partitions};
    ck_assert_int_eq(class->create_topic(transport, &spec, &err), 0);
}

/* ---- a member of a group that remembers what it was told ---- */

#define INPUTS_MAX 64

struct member {
    struct session *session;
    struct assigned inputs[INPUTS_MAX];
    size_t count;
    int assignments;
    int revocations;
    int losses;
    int64_t commit_at_revoke; /* offset; OFFSET_NONE: commits nothing */
    bool refuses;
};

static inline int on_assigned(void *self, const struct assigned *list, size_t count, struct err *problem)
{
    struct member *member = self;
    member->assignments++;
    if (member->refuses) {
        return err_set(problem, ERR_FATAL, ERR_IO, "refused");
    }
    ck_assert_uint_le(count, INPUTS_MAX);
    if (count > 0) {
        memcpy(member->inputs, list, sizeof *list * count);
    }
    member->count = count;
    return 0;
}

static inline int on_revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *problem)
{
    struct member *member = self;
    struct position position = {list[0].topic, list[0].partition, member->commit_at_revoke, NULL};
    (void)count;
    member->revocations++;
    member->losses += lost;
    member->count = 0;
    if (!lost && member->commit_at_revoke != OFFSET_NONE) {
        return class->commit(member->session, &position, 1, problem);
    }
    return 0;
}

static inline void join_with(struct member *member, int thread, bool transactional, const char *topic,
                             enum reset_policy reset)
{
    struct subscription subscription = {topic, reset};
    struct session_config config = {.app = "shop",
                                    .thread = thread,
                                    .transactional = transactional,
                                    .subscriptions = &subscription,
                                    .subscription_count = 1,
                                    .self = member,
                                    .assigned = on_assigned,
                                    .revoked = on_revoked};
    *member = (struct member){.commit_at_revoke = OFFSET_NONE};
    ck_assert_msg(class->session_open(transport, &config, &member->session, &err) == 0, "%s", err.text);
}

static inline void join(struct member *member, int thread)
{
    join_with(member, thread, true, "in", RESET_EARLIEST);
}

static inline void poll(struct member *member)
{
    ck_assert_msg(class->poll(member->session, 0, &err) == 0, "%s", err.text);
}

static inline size_t fetch(struct member *member, size_t input, struct record *records, size_t max)
{
    size_t count = 0;
    ck_assert_msg(class->fetch(member->session, member->inputs[input].input, records, max, &count, &err) == 0, "%s",
                  err.text);
    return count;
}

static inline struct output *output_of(struct member *member, const char *topic)
{
    struct output *output;
    ck_assert_msg(class->output(member->session, topic, &output, NULL, &err) == 0, "%s", err.text);
    return output;
}

static inline int produce(struct member *member, struct output *output, const char *value)
{
    struct record record = text_record("k", value, 9);
    return class->produce(member->session, output, -1, &record, &err);
}

static inline int commit(struct member *member, int64_t offset)
{
    struct position position = {member->inputs[0].topic, member->inputs[0].partition, offset, "here"};
    return class->commit(member->session, &position, 1, &err);
}

static inline int64_t end_of(const char *topic)
{
    int64_t low = -1;
    int64_t high = -1;
    ck_assert_int_eq(class->watermarks(transport, topic, 0, &low, &high, &err), 0);
    return high;
}

static inline int64_t committed_of(struct member *member, const char *topic, const char **metadata)
{
    struct position position = {topic, 0, 0, NULL};
    ck_assert_int_eq(class->committed(member->session, &position, 1, &err), 0);
    if (metadata != NULL) {
        *metadata = position.metadata;
    }
    return position.offset;
}

#endif
