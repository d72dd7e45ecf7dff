/* The promises of the Kafka transport, on a real broker (TIDEMILL_TEST_BROKERS=HOST:PORT). No test asserts a duration;
 * takeovers print theirs. With "member" as its first argument the program is a group member that other tests kill.
 * One long file, because that member is this very program and shares the fixture with the tests that kill it.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"
#include "kafka/kafka.h"

#define PATIENCE_MS 60000
#define INPUTS_MAX 64
#define RECORDS_MAX 1000
#define PARTITIONS 4

static const char *brokers;
static struct err err;

static int64_t now_ms(void)
{
    return clock_monotonic_ns(&CLOCK_SYSTEM) / 1000000;
}

/* Outside of a test (in a member) check's own assertions do not work. */
static bool in_member;

static void report_failure(const char *call)
{
    if (in_member) {
        printf("%s: %s\n", call, err.text);
        exit(1);
    }
    ck_abort_msg("%s: %s", call, err.text);
}

#define must(call) ((call) == 0 ? (void)0 : report_failure(#call))

static struct transport *open_transport(const char *bootstrap)
{
    struct kafka_config config = {.client_id = "transport-test"};
    char *item = memory_format("bootstrap.servers=%s", bootstrap);
    option_list_add(&config.properties, item);
    option_list_add(&config.properties, "session.timeout.ms=6000");
    struct transport *transport = NULL;
    must(kafka_open(&config, &transport, &err));
    free(item);
    free(config.properties.items[0]);
    free(config.properties.items[1]);
    free(config.properties.items);
    return transport;
}

/* A name that no other run has used. */
static char *unique(const char *what)
{
    return memory_format("%s-%d-%lld", what, (int)getpid(), (long long)clock_monotonic_ns(&CLOCK_SYSTEM));
}

static char *new_topic(struct transport *transport, const char *what, int32_t partitions)
{
    char *name = unique(what);
    struct topic_spec spec = {.name = name, .partitions = partitions, .retention_ms = -1};
    must(transport->class->create_topic(transport, &spec, &err));
    return name;
}

/* ---- a member: the smallest engine that can hold inputs ---- */

struct member {
    struct session *session;
    const struct transport_class *class;
    struct assigned inputs[INPUTS_MAX];
    char *metadata[INPUTS_MAX];
    size_t count;
    int revocations;
    bool lost;
    int (*before_revoke)(struct member *member, struct err *why);
};

static int on_assigned(void *self, const struct assigned *list, size_t count, struct err *why)
{
    (void)why;
    struct member *member = self;
    for (size_t i = 0; i < count; i++) {
        member->inputs[member->count] = list[i];
        member->metadata[member->count++] = memory_copy_text(list[i].metadata);
    }
    return 0;
}

static int on_revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *why)
{
    (void)list, (void)count;
    struct member *member = self;
    int result = member->before_revoke != NULL ? member->before_revoke(member, why) : 0;
    for (size_t i = 0; i < member->count; i++) {
        free(member->metadata[i]);
    }
    member->count = 0;
    member->revocations++;
    member->lost = lost;
    return result;
}

struct plan {
    const char *app;
    const char *topic;
    const char *instance;
    int thread;
    bool at_least_once;
    bool stay;
    enum reset_policy reset;
};

static void join(struct transport *transport, struct member *member, const struct plan *plan)
{
    memset(member, 0, sizeof *member);
    member->class = transport->class;
    struct subscription subscription = {plan->topic, plan->reset};
    struct session_config config = {.app = plan->app,
                                    .thread = plan->thread,
                                    .threads = 1,
                                    .instance = plan->instance,
                                    .transactional = !plan->at_least_once,
                                    .stay = plan->stay,
                                    .subscriptions = &subscription,
                                    .subscription_count = plan->topic != NULL,
                                    .commit_timeout_ms = 10000,
                                    .max_poll_interval_ms = 300000,
                                    .self = member,
                                    .assigned = on_assigned,
                                    .revoked = on_revoked};
    must(transport->class->session_open(transport, &config, &member->session, &err));
}

static void leave(struct member *member)
{
    member->class->session_close(member->session);
}

static void poll_once(struct member *member)
{
    must(member->class->poll(member->session, 20, &err));
}

static void wait_for_inputs(struct member *member, size_t count)
{
    int64_t until = now_ms() + PATIENCE_MS;
    while (member->count != count && now_ms() < until) {
        poll_once(member);
    }
    ck_assert_uint_eq(member->count, count);
}

static struct output *open_output(struct member *member, const char *topic)
{
    struct output *output = NULL;
    must(member->class->output(member->session, topic, &output, NULL, &err));
    return output;
}

static void produce_text(struct member *member, struct output *output, int32_t partition, const char *key,
                         const char *value)
{
    struct record record = {.key = slice_text(key), .value = slice_text(value), .timestamp = 1000, .offset = -1};
    must(member->class->produce(member->session, output, partition, &record, &err));
}

static void commit(struct member *member)
{
    must(member->class->commit(member->session, NULL, 0, &err));
}

/* The library may ask a busy broker for the end of a transaction that it has not told it about. Nobody knows then what
 * the broker makes of it, and the producer is made anew, which aborts it. */
static void abort_transaction(struct member *member)
{
    int result = member->class->abort(member->session, &err);
    while (result && (err.class == ERR_UNKNOWN || err.class == ERR_RETRY)) {
        result = member->class->recover(member->session, &err);
    }
    must(result);
}

/* `count` committed records of one partition, values "0", "1", ... */
static void load(struct transport *transport, const char *topic, int32_t partition, int count)
{
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "loader"});
    struct output *output = open_output(&producer, topic);
    for (int i = 0; i < count; i++) {
        char *value = memory_format("%d", i);
        produce_text(&producer, output, partition, "k", value);
        free(value);
    }
    commit(&producer);
    leave(&producer);
}

/* ---- reading ---- */

struct reading {
    struct reader *reader;
    const struct transport_class *class;
};

static struct reading read_from(struct transport *transport, const char *topic, int32_t partition, int64_t offset,
                                bool uncommitted)
{
    struct position position = {topic, partition, offset, NULL};
    struct reader_config config = {&position, 1, uncommitted};
    struct reading reading = {NULL, transport->class};
    must(transport->class->reader_open(transport, &config, &reading.reader, &err));
    return reading;
}

/* Reads until the position is at least `until`; returns how many records came. */
static int read_until(struct reading *reading, int64_t until)
{
    static struct record records[RECORDS_MAX];
    int total = 0;
    int64_t deadline = now_ms() + PATIENCE_MS;
    while (reading->class->reader_position(reading->reader, 0) < until && now_ms() < deadline) {
        size_t count = 0;
        must(reading->class->read(reading->reader, 100, records, RECORDS_MAX, &count, &err));
        total += (int)count;
    }
    ck_assert_int_ge(reading->class->reader_position(reading->reader, 0), until);
    return total;
}

static int count_records(struct transport *transport, const char *topic, int32_t partition, bool uncommitted)
{
    int64_t low, high;
    must(transport->class->watermarks(transport, topic, partition, &low, &high, &err));
    struct reading reading = read_from(transport, topic, partition, OFFSET_BEGINNING, uncommitted);
    int count = read_until(&reading, high);
    reading.class->reader_close(reading.reader);
    return count;
}

/* ---- tests ---- */

START_TEST(topics_are_made_described_grown_and_deleted)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *name = unique("made");
    struct topic_info info;
    must(class->describe_topic(transport, name, &info, &err));
    ck_assert(!info.exists);

    struct topic_spec spec = {.name = name, .partitions = 3, .compacted = true, .retention_ms = 86400000};
    must(class->create_topic(transport, &spec, &err));
    must(class->create_topic(transport, &spec, &err));
    must(class->describe_topic(transport, name, &info, &err));
    ck_assert(info.exists && info.config_known && info.compacted && info.deleted_by_age);
    ck_assert_int_eq(info.partitions, 3);
    ck_assert_int_eq(info.retention_ms, 86400000);
    ck_assert_int_eq(info.delete_retention_ms, 604800000);

    must(class->add_partitions(transport, name, 5, &err));
    must(class->describe_topic(transport, name, &info, &err));
    ck_assert_int_eq(info.partitions, 5);

    struct option_list names = {0};
    must(class->list_topics(transport, &names, &err));
    bool found = false;
    for (size_t i = 0; i < names.count; i++) {
        found = found || strcmp(names.items[i], name) == 0;
        ck_assert(i == 0 || strcmp(names.items[i - 1], names.items[i]) < 0);
    }
    for (size_t i = 0; i < names.count; i++) {
        free(names.items[i]);
    }
    free(names.items);
    ck_assert(found);

    must(class->delete_topic(transport, name, &err));
    int64_t until = now_ms() + PATIENCE_MS;
    do {
        must(class->describe_topic(transport, name, &info, &err));
    } while (info.exists && now_ms() < until);
    ck_assert(!info.exists);
    ck_assert_int_eq(class->delete_topic(transport, name, &err), -1);
    ck_assert_int_eq(err.code, ERR_TOPIC);
    free(name);
    class->close(transport);
}
END_TEST

START_TEST(records_come_back_as_they_were)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "records", 1);
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "one"});
    struct output *output = open_output(&producer, topic);
    struct header headers[] = {
        {slice_text("a"), slice_text("1")}, {slice_text("a"), SLICE_NULL}, {slice_text("b"), slice_text("")}};
    struct record sent[] = {
        {.key = slice_text("k"), .value = slice_text("v"), .headers = {headers, 3}, .timestamp = 1234567890123},
        {.key = SLICE_NULL, .value = slice_text("no key"), .timestamp = 5},
        {.key = slice_text(""), .value = slice_text(""), .timestamp = 6},
        {.key = slice_text("k"), .value = SLICE_NULL, .timestamp = 7},
        {.key = slice_text("old"), .value = slice_text("1970"), .timestamp = 0},
    };
    for (size_t i = 0; i < 5; i++) {
        must(class->produce(producer.session, output, -1, &sent[i], &err));
    }
    commit(&producer);
    ck_assert_int_eq(class->acknowledged(producer.session, output, 0), 5);

    struct reading reading = read_from(transport, topic, 0, OFFSET_BEGINNING, false);
    struct record got[RECORDS_MAX];
    size_t count = 0;
    for (size_t more = 0; count < 5; count += more) {
        must(class->read(reading.reader, 1000, got + count, RECORDS_MAX - count, &more, &err));
        for (size_t i = count; i < count + more; i++) {
            ck_assert(slice_equal(got[i].key, sent[i].key));
            ck_assert(slice_equal(got[i].value, sent[i].value));
            ck_assert_uint_eq(got[i].headers.count, sent[i].headers.count);
            ck_assert_int_eq(got[i].timestamp, sent[i].timestamp != 0 ? sent[i].timestamp : 1);
            ck_assert_int_eq(got[i].offset, (int64_t)i);
            ck_assert_str_eq(got[i].topic, topic);
            for (size_t h = 0; h < got[i].headers.count; h++) {
                ck_assert(slice_equal(got[i].headers.list[h].name, headers[h].name));
                ck_assert(slice_equal(got[i].headers.list[h].value, headers[h].value));
            }
        }
    }
    ck_assert_int_eq(read_until(&reading, 6), 0); /* the commit marker stands at offset 5 (P8) */
    class->reader_close(reading.reader);
    leave(&producer);
    free(topic);
    class->close(transport);
}
END_TEST

START_TEST(keys_are_placed_like_the_java_client_places_them)
{
    struct transport *transport = open_transport(brokers);
    char *topic = new_topic(transport, "placed", PARTITIONS);
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "one"});
    struct output *output = open_output(&producer, topic);
    int expected[PARTITIONS] = {0};
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        produce_text(&producer, output, -1, key, "v");
        expected[hash_partition(slice_text(key), PARTITIONS)]++;
    }
    commit(&producer);
    for (int i = 0; i < PARTITIONS; i++) {
        ck_assert_int_eq(count_records(transport, topic, i, false), expected[i]);
    }
    leave(&producer);
    free(topic);
    transport->class->close(transport);
}
END_TEST

START_TEST(a_record_too_large_for_its_topic_is_refused_alone)
{
    struct transport *transport = open_transport(brokers);
    char *topic = new_topic(transport, "large", 1);
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "one"});
    struct output *output = open_output(&producer, topic);
    size_t size = 2 << 20;
    struct record record = {.key = SLICE_NULL, .value = slice_of(memory_alloc(size), size), .timestamp = 1};
    produce_text(&producer, output, 0, "k", "before");
    ck_assert_int_eq(transport->class->produce(producer.session, output, 0, &record, &err), -1);
    ck_assert_int_eq(err.class, ERR_SKIP);
    ck_assert_int_eq(err.code, ERR_RECORD);
    produce_text(&producer, output, 0, "k", "behind");
    commit(&producer);
    ck_assert_int_eq(count_records(transport, topic, 0, false), 2);
    leave(&producer);
    free((void *)record.value.data);
    free(topic);
    transport->class->close(transport);
}
END_TEST

START_TEST(aborted_records_are_invisible_and_positions_go_over_them_P8)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "aborted", 1);
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "one"});
    struct output *output = open_output(&producer, topic);
    for (int i = 0; i < 10; i++) {
        produce_text(&producer, output, 0, "k", "aborted");
    }
    abort_transaction(&producer);
    ck_assert_int_eq(class->acknowledged(producer.session, output, 0), OFFSET_NONE);
    for (int i = 0; i < 5; i++) {
        produce_text(&producer, output, 0, "k", "committed");
    }
    commit(&producer);
    for (int i = 0; i < 3; i++) {
        produce_text(&producer, output, 0, "k", "aborted");
    }
    abort_transaction(&producer);
    ck_assert_int_eq(count_records(transport, topic, 0, false), 5); /* reads until position = high watermark */
    leave(&producer);
    free(topic);
    class->close(transport);
}
END_TEST

START_TEST(watermarks_are_high_watermarks_also_behind_an_open_transaction_P7)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "open", 1);
    load(transport, topic, 0, 2); /* offsets 0, 1 and a marker */
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "holder"});
    struct output *output = open_output(&producer, topic);
    for (int i = 0; i < 10; i++) {
        produce_text(&producer, output, 0, "k", "open");
    }
    int64_t low, high = 0, until = now_ms() + PATIENCE_MS;
    while (high < 13 && now_ms() < until) {
        must(class->watermarks(transport, topic, 0, &low, &high, &err));
        must(class->poll(producer.session, 10, &err));
    }
    ck_assert_int_eq(low, 0);
    ck_assert_int_eq(high, 13);

    struct reading committed = read_from(transport, topic, 0, OFFSET_BEGINNING, false);
    ck_assert_int_eq(read_until(&committed, 3), 2);
    struct record records[RECORDS_MAX];
    size_t count = 0;
    must(class->read(committed.reader, 300, records, RECORDS_MAX, &count, &err));
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(class->reader_position(committed.reader, 0), 3); /* the last stable offset */
    struct reading uncommitted = read_from(transport, topic, 0, 3, true);
    ck_assert_int_eq(read_until(&uncommitted, 13), 10);
    commit(&producer);
    ck_assert_int_eq(read_until(&committed, 14), 10);
    class->reader_close(committed.reader);
    class->reader_close(uncommitted.reader);
    leave(&producer);
    free(topic);
    class->close(transport);
}
END_TEST

START_TEST(offsets_are_found_by_time_and_records_deleted)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "times", 1);
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "one"});
    struct output *output = open_output(&producer, topic);
    for (int i = 0; i < 10; i++) {
        struct record record = {.value = slice_text("v"), .timestamp = 1000 * (i + 1)};
        must(class->produce(producer.session, output, 0, &record, &err));
    }
    commit(&producer);
    int64_t offset = -1, low, high;
    must(class->watermarks(transport, topic, 0, &low, &high, &err));
    must(class->offset_for_time(transport, topic, 0, 5000, &offset, &err));
    ck_assert_int_eq(offset, 4);
    must(class->offset_for_time(transport, topic, 0, 4001, &offset, &err));
    ck_assert_int_eq(offset, 4);
    must(class->offset_for_time(transport, topic, 0, -5, &offset, &err));
    ck_assert_int_eq(offset, 0);
    must(class->offset_for_time(transport, topic, 0, INT64_C(4102444800000), &offset, &err));
    must(class->watermarks(transport, topic, 0, &low, &high, &err));
    ck_assert_int_eq(offset, high);
    must(class->delete_records(transport, topic, 0, 4, &err));
    must(class->watermarks(transport, topic, 0, &low, &high, &err));
    ck_assert_int_eq(low, 4);
    ck_assert_int_eq(class->delete_records(transport, topic, 0, 1000, &err), -1);
    leave(&producer);
    free(topic);
    class->close(transport);
}
END_TEST

/* Takes everything that is there; returns the number of records. Positions go to `positions`. */
static int drain(struct member *member, struct position *positions)
{
    static struct record records[RECORDS_MAX];
    int total = 0;
    for (size_t i = 0; i < member->count; i++) {
        size_t count;
        do {
            must(member->class->fetch(member->session, member->inputs[i].input, records, RECORDS_MAX, &count, &err));
            for (size_t n = 1; n < count; n++) {
                ck_assert_int_gt(records[n].offset, records[n - 1].offset);
            }
            total += (int)count;
        } while (count > 0);
        positions[i] = (struct position){member->inputs[i].topic, member->inputs[i].partition,
                                         member->class->position(member->session, member->inputs[i].input), "note: é"};
    }
    return total;
}

static int drain_until(struct member *member, struct position *positions, int wanted)
{
    int total = 0;
    int64_t until = now_ms() + PATIENCE_MS;
    while (total < wanted && now_ms() < until) {
        poll_once(member);
        total += drain(member, positions);
    }
    ck_assert_int_eq(total, wanted);
    return total;
}

static void positions_round_trip(bool at_least_once)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "input", 2), *target = new_topic(transport, "output", 1);
    char *app = unique("app");
    load(transport, topic, 0, 50);
    load(transport, topic, 1, 30);
    struct plan plan = {.app = app, .topic = topic, .instance = "i1", .at_least_once = at_least_once};
    struct member member;
    join(transport, &member, &plan);
    wait_for_inputs(&member, 2);
    ck_assert_int_eq(member.inputs[0].committed, OFFSET_NONE);
    struct position positions[2];
    drain_until(&member, positions, 80);
    struct output *output = open_output(&member, target);
    produce_text(&member, output, -1, "k", "result");
    must(class->commit(member.session, positions, 2, &err));
    struct position read[2] = {{topic, 0, 0, NULL}, {topic, 1, 0, NULL}};
    must(class->committed(member.session, read, 2, &err));
    ck_assert_int_ge(read[0].offset, 50);
    ck_assert_str_eq(read[0].metadata, "note: é");
    ck_assert_int_eq(count_records(transport, target, 0, false), 1);

    struct position change = {topic, 0, 7, NULL};
    ck_assert_int_eq(class->set_group_positions(transport, app, &change, 1, &err), -1);
    leave(&member);

    struct group_position *list = NULL;
    size_t count = 0;
    must(class->group_positions(transport, app, &list, &count, &err));
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(list[i].committed, read[list[i].partition].offset);
        ck_assert_str_eq(list[i].metadata, "note: é");
        free(list[i].topic);
        free(list[i].metadata);
    }
    free(list);
    struct position changes[] = {{topic, 0, 7, "set"}, {topic, 1, OFFSET_NONE, NULL}};
    must(class->set_group_positions(transport, app, changes, 2, &err));

    join(transport, &member, &plan);
    wait_for_inputs(&member, 2);
    for (size_t i = 0; i < 2; i++) {
        bool first = member.inputs[i].partition == 0;
        ck_assert_int_eq(member.inputs[i].committed, first ? 7 : OFFSET_NONE);
        ck_assert_int_eq(class->position(member.session, member.inputs[i].input), first ? 7 : 0);
        ck_assert(first ? strcmp(member.metadata[i], "set") == 0 : member.metadata[i] == NULL);
    }
    drain_until(&member, positions, 43 + 30);
    leave(&member);
    free(topic);
    free(target);
    free(app);
    class->close(transport);
}

START_TEST(positions_and_metadata_are_kept_P3)
{
    positions_round_trip(false);
}
END_TEST

START_TEST(positions_and_metadata_are_kept_at_least_once)
{
    positions_round_trip(true);
}
END_TEST

START_TEST(seek_goes_back_and_pause_holds_back)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "seek", 1), *app = unique("app");
    load(transport, topic, 0, 100);
    struct member member;
    join(transport, &member, &(struct plan){.app = app, .topic = topic, .instance = "i1"});
    wait_for_inputs(&member, 1);
    struct input *input = member.inputs[0].input;
    struct position position;
    drain_until(&member, &position, 100);
    int64_t until = now_ms() + PATIENCE_MS;
    while (class->position(member.session, input) < 101 && now_ms() < until) { /* over the commit marker */
        poll_once(&member);
        ck_assert_int_eq(drain(&member, &position), 0);
    }
    ck_assert_int_eq(class->position(member.session, input), 101);
    ck_assert_int_eq(class->known_end(member.session, input), 101);
    for (int i = 0; i < 20; i++) {
        must(class->seek(member.session, input, 40 + i, &err));
        ck_assert_int_eq(class->position(member.session, input), 40 + i);
        drain_until(&member, &position, 60 - i);
    }
    must(class->pause(member.session, input, true, &err));
    must(class->seek(member.session, input, 0, &err));
    must(class->poll(member.session, 200, &err));
    must(class->pause(member.session, input, false, &err));
    drain_until(&member, &position, 100);
    leave(&member);
    free(topic);
    free(app);
    class->close(transport);
}
END_TEST

START_TEST(reset_policies_decide_where_a_new_group_begins)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "reset", 1), *latest = unique("app"), *error = unique("app");
    load(transport, topic, 0, 10);
    struct member member;
    join(transport, &member, &(struct plan){.app = latest, .topic = topic, .instance = "a", .reset = RESET_LATEST});
    wait_for_inputs(&member, 1);
    ck_assert_int_eq(class->position(member.session, member.inputs[0].input), 11);
    leave(&member);

    join(transport, &member, &(struct plan){.app = error, .topic = topic, .instance = "b", .reset = RESET_ERROR});
    int result = 0;
    int64_t until = now_ms() + PATIENCE_MS;
    while ((result = class->poll(member.session, 20, &err)) == 0 && now_ms() < until) {
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(err.code, ERR_TOPIC);
    ck_assert_ptr_nonnull(strstr(err.text, topic));
    leave(&member);
    struct position start = {topic, 0, 3, NULL}; /* it has left the group, though it never took what it was assigned */
    must(class->set_group_positions(transport, error, &start, 1, &err));
    free(topic);
    free(latest);
    free(error);
    class->close(transport);
}
END_TEST

START_TEST(records_deleted_before_they_were_read_are_skipped_by_policy_or_reported)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "gone", 1), *app = unique("app");
    load(transport, topic, 0, 50);
    struct position start = {topic, 0, 5, NULL};
    must(class->set_group_positions(transport, app, &start, 1, &err));
    must(class->delete_records(transport, topic, 0, 20, &err));
    struct member member;
    join(transport, &member, &(struct plan){.app = app, .topic = topic, .instance = "a"});
    wait_for_inputs(&member, 1);
    struct position position;
    drain_until(&member, &position, 30);
    leave(&member);

    must(class->set_group_positions(transport, app, &start, 1, &err));
    join(transport, &member, &(struct plan){.app = app, .topic = topic, .instance = "a", .reset = RESET_ERROR});
    wait_for_inputs(&member, 1);
    struct record records[RECORDS_MAX];
    size_t count = 0;
    int result = 0;
    int64_t until = now_ms() + PATIENCE_MS;
    while (result == 0 && now_ms() < until) {
        poll_once(&member);
        result = class->fetch(member.session, member.inputs[0].input, records, RECORDS_MAX, &count, &err);
        ck_assert_uint_eq(count, 0);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(err.code, ERR_TOPIC);
    leave(&member);
    free(topic);
    free(app);
    class->close(transport);
}
END_TEST

START_TEST(members_share_partitions_and_take_over_when_one_leaves)
{
    struct transport *transport = open_transport(brokers);
    char *topic = new_topic(transport, "shared", PARTITIONS), *app = unique("app");
    struct member one, other;
    join(transport, &one, &(struct plan){.app = app, .topic = topic, .instance = "x"});
    wait_for_inputs(&one, PARTITIONS);
    join(transport, &other, &(struct plan){.app = app, .topic = topic, .instance = "y"});
    int64_t until = now_ms() + PATIENCE_MS;
    while ((one.count != PARTITIONS / 2 || other.count != PARTITIONS / 2) && now_ms() < until) {
        poll_once(&one);
        poll_once(&other);
    }
    ck_assert_uint_eq(one.count, PARTITIONS / 2);
    ck_assert_uint_eq(other.count, PARTITIONS / 2);
    ck_assert_int_eq(one.revocations, 1);
    ck_assert(!one.lost);
    int64_t left_at = now_ms();
    leave(&one);
    wait_for_inputs(&other, PARTITIONS);
    printf("taken over %lld ms after the other began to leave\n", (long long)(now_ms() - left_at));
    leave(&other);
    free(topic);
    free(app);
    transport->class->close(transport);
}
END_TEST

START_TEST(a_member_that_stays_keeps_its_partitions_for_its_successor)
{
    struct transport *transport = open_transport(brokers);
    char *topic = new_topic(transport, "stay", 2), *app = unique("app");
    struct member one, other;
    join(transport, &one, &(struct plan){.app = app, .topic = topic, .instance = "x", .stay = true});
    wait_for_inputs(&one, 2);
    join(transport, &other, &(struct plan){.app = app, .topic = topic, .instance = "y"});
    while (one.count != 1 || other.count != 1) {
        poll_once(&one);
        poll_once(&other);
    }
    int revocations = other.revocations;
    leave(&one);
    int64_t until = now_ms() + 1500; /* less than the session timeout */
    while (now_ms() < until) {
        poll_once(&other);
    }
    join(transport, &one, &(struct plan){.app = app, .topic = topic, .instance = "x"});
    while (one.count != 1) {
        poll_once(&one);
        poll_once(&other);
    }
    ck_assert_int_eq(other.revocations, revocations);
    ck_assert_uint_eq(other.count, 1);
    leave(&one);
    leave(&other);
    free(topic);
    free(app);
    transport->class->close(transport);
}
END_TEST

static int commit_all(struct member *member, struct err *why)
{
    struct position positions[INPUTS_MAX];
    for (size_t i = 0; i < member->count; i++) {
        positions[i] = (struct position){member->inputs[i].topic, member->inputs[i].partition, 3, NULL};
    }
    return member->class->commit(member->session, positions, member->count, why);
}

START_TEST(the_revoke_callback_may_commit_P4)
{
    struct transport *transport = open_transport(brokers);
    char *topic = new_topic(transport, "revoke", 1), *target = new_topic(transport, "target", 1), *app = unique("app");
    load(transport, topic, 0, 5);
    struct member member;
    join(transport, &member, &(struct plan){.app = app, .topic = topic, .instance = "x"});
    wait_for_inputs(&member, 1);
    member.before_revoke = commit_all;
    produce_text(&member, open_output(&member, target), 0, "k", "last");
    leave(&member);
    ck_assert_int_eq(count_records(transport, target, 0, false), 1);
    struct group_position *list = NULL;
    size_t count = 0;
    must(transport->class->group_positions(transport, app, &list, &count, &err));
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(list[0].committed, 3);
    free(list[0].topic);
    free(list[0].metadata);
    free(list);
    free(topic);
    free(target);
    free(app);
    transport->class->close(transport);
}
END_TEST

START_TEST(recover_fences_the_old_producer_and_drops_its_transaction_P6)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "input", 1), *target = new_topic(transport, "output", 1), *app = unique("app");
    load(transport, topic, 0, 20);
    struct member member;
    join(transport, &member, &(struct plan){.app = app, .topic = topic, .instance = "x"});
    wait_for_inputs(&member, 1);
    struct position position;
    drain_until(&member, &position, 20);
    struct output *output = open_output(&member, target);
    produce_text(&member, output, 0, "k", "dropped");
    must(class->recover(member.session, &err));
    struct position committed = {topic, 0, 0, NULL};
    must(class->committed(member.session, &committed, 1, &err));
    ck_assert_int_eq(committed.offset, OFFSET_NONE);
    produce_text(&member, output, 0, "k", "kept");
    must(class->commit(member.session, &position, 1, &err));
    must(class->committed(member.session, &committed, 1, &err));
    ck_assert_int_eq(committed.offset, position.offset);
    ck_assert_int_eq(count_records(transport, target, 0, false), 1);
    leave(&member);
    free(topic);
    free(target);
    free(app);
    class->close(transport);
}
END_TEST

START_TEST(a_producer_initialized_elsewhere_is_broken_until_recovered)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *target = new_topic(transport, "output", 1), *instance = unique("i");
    struct member old, new;
    join(transport, &old, &(struct plan){.instance = instance});
    struct output *output = open_output(&old, target);
    produce_text(&old, output, 0, "k", "old");
    join(transport, &new, &(struct plan){.instance = instance});
    int result = class->commit(old.session, NULL, 0, &err);
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(err.class, ERR_UNKNOWN);
    ck_assert_int_eq(class->commit(old.session, NULL, 0, &err), -1);
    ck_assert_int_eq(err.class, ERR_UNKNOWN);
    ck_assert_int_eq(class->abort(old.session, &err), -1);
    produce_text(&new, open_output(&new, target), 0, "k", "new");
    commit(&new);
    must(class->recover(old.session, &err));
    produce_text(&old, output, 0, "k", "again");
    commit(&old);
    ck_assert_int_eq(count_records(transport, target, 0, false), 2);
    leave(&old);
    leave(&new);
    free(target);
    free(instance);
    class->close(transport);
}
END_TEST

/* ---- other processes ---- */

/* member APP TOPIC TARGET INSTANCE: says "assigned" and "zombie <class>"; the rest is silence until it is killed. */
static int run_member(char **argv)
{
    in_member = true;
    struct transport *transport = open_transport(brokers);
    struct member member;
    join(transport, &member, &(struct plan){.app = argv[0], .topic = argv[1], .instance = argv[3]});
    while (member.count == 0) {
        poll_once(&member);
    }
    struct output *output = open_output(&member, argv[2]);
    produce_text(&member, output, 0, "k", "zombie");
    struct position positions[INPUTS_MAX];
    size_t count = member.count;
    for (size_t i = 0; i < count; i++) {
        positions[i] = (struct position){member.inputs[i].topic, member.inputs[i].partition, 4, NULL};
    }
    printf("assigned\n");
    fflush(stdout);
    raise(SIGSTOP); /* continued by the parent, or killed */
    member.class->commit(member.session, positions, count, &err);
    printf("zombie %s\n", err.class == ERR_NONE ? "committed" : err_class_name(err.class));
    fflush(stdout);
    _exit(0);
}

struct child {
    pid_t pid;
    FILE *output;
};

static struct child start_child(const char *app, const char *topic, const char *target, const char *instance)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    struct child child = {fork(), NULL};
    if (child.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "transport_test", "member", app, topic, target, instance, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    child.output = fdopen(ends[0], "r");
    return child;
}

static void expect_line(struct child *child, const char *wanted)
{
    char line[256];
    ck_assert_ptr_nonnull(fgets(line, sizeof line, child->output));
    line[strcspn(line, "\n")] = '\0';
    ck_assert_str_eq(line, wanted);
}

static void wait_until_stopped(struct child *child)
{
    int status = 0;
    ck_assert_int_eq(waitpid(child->pid, &status, WUNTRACED), child->pid);
    ck_assert(WIFSTOPPED(status));
}

static void end_child(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    fclose(child->output);
}

START_TEST(a_killed_static_member_is_back_at_once)
{
    struct transport *transport = open_transport(brokers);
    char *topic = new_topic(transport, "killed", 2), *target = new_topic(transport, "target", 1), *app = unique("app");
    struct child child = start_child(app, topic, target, "slot");
    expect_line(&child, "assigned");
    wait_until_stopped(&child);
    end_child(&child);
    int64_t started = now_ms();
    struct member member;
    join(transport, &member, &(struct plan){.app = app, .topic = topic, .instance = "slot"});
    wait_for_inputs(&member, 2);
    printf("back %lld ms after the start\n", (long long)(now_ms() - started));
    ck_assert_int_eq(count_records(transport, target, 0, false), 0); /* its transaction was aborted */
    leave(&member);
    free(topic);
    free(target);
    free(app);
    transport->class->close(transport);
}
END_TEST

START_TEST(a_zombie_is_fenced_P4)
{
    struct transport *transport = open_transport(brokers);
    char *topic = new_topic(transport, "zombie", 1), *target = new_topic(transport, "target", 1), *app = unique("app");
    load(transport, topic, 0, 10);
    struct child child = start_child(app, topic, target, "zombie");
    expect_line(&child, "assigned");
    wait_until_stopped(&child);
    struct member member;
    join(transport, &member, &(struct plan){.app = app, .topic = topic, .instance = "heir"});
    wait_for_inputs(&member, 1); /* once the zombie's session has timed out */
    struct position position;
    drain_until(&member, &position, 10);
    must(member.class->commit(member.session, &position, 1, &err));
    kill(child.pid, SIGCONT);
    expect_line(&child, "zombie fenced");
    struct position committed = {topic, 0, 0, NULL};
    must(member.class->committed(member.session, &committed, 1, &err));
    ck_assert_int_eq(committed.offset, position.offset);
    end_child(&child);
    ck_assert_int_eq(count_records(transport, target, 0, false), 0);
    leave(&member);
    free(topic);
    free(target);
    free(app);
    transport->class->close(transport);
}
END_TEST

START_TEST(a_copied_instance_is_told_that_it_was_replaced)
{
    struct transport *transport = open_transport(brokers);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(transport, "copied", 1), *app = unique("app");
    struct member one, other;
    join(transport, &one, &(struct plan){.app = app, .topic = topic, .instance = "same"});
    wait_for_inputs(&one, 1);
    join(transport, &other, &(struct plan){.app = app, .topic = topic, .instance = "same"});
    int result = 0;
    int64_t until = now_ms() + PATIENCE_MS;
    while (result == 0 && now_ms() < until) {
        poll_once(&other);
        result = class->poll(one.session, 20, &err);
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(err.class, ERR_FENCED);
    leave(&one);
    leave(&other);
    free(topic);
    free(app);
    class->close(transport);
}
END_TEST

START_TEST(patterns_are_subscribed)
{
    struct transport *transport = open_transport(brokers);
    char *prefix = unique("pat");
    struct topic_spec spec = {.partitions = 1};
    for (int i = 0; i < 2; i++) {
        char *name = memory_format("%s-%d", prefix, i);
        spec.name = name;
        must(transport->class->create_topic(transport, &spec, &err));
        free(name);
    }
    char *pattern = memory_format("^%s-[0-9]$", prefix), *app = unique("app");
    struct member member;
    join(transport, &member, &(struct plan){.app = app, .topic = pattern, .instance = "x"});
    wait_for_inputs(&member, 2);
    leave(&member);
    free(prefix);
    free(pattern);
    free(app);
    transport->class->close(transport);
}
END_TEST

static int open_refused(const char *bootstrap, int64_t timeout)
{
    struct kafka_config config = {.start_timeout_ms = timeout};
    char *item = memory_format("bootstrap.servers=%s", bootstrap);
    option_list_add(&config.properties, item);
    struct transport *transport = NULL;
    int result = kafka_open(&config, &transport, &err);
    free(item);
    free(config.properties.items[0]);
    free(config.properties.items);
    return result;
}

START_TEST(what_is_missing_is_named)
{
    ck_assert_int_eq(open_refused("127.0.0.1:1", 1500), -1);
    ck_assert_int_eq(err.code, ERR_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1:1"));

    struct transport *transport = open_transport(brokers);
    struct member member = {.class = transport->class};
    struct subscription subscription = {"no-such-topic", RESET_EARLIEST};
    struct session_config config = {.app = "app",
                                    .threads = 1,
                                    .instance = "x",
                                    .transactional = true,
                                    .subscriptions = &subscription,
                                    .subscription_count = 1,
                                    .commit_timeout_ms = 10000,
                                    .max_poll_interval_ms = 60000};
    ck_assert_int_eq(transport->class->session_open(transport, &config, &member.session, &err), -1);
    ck_assert_int_eq(err.code, ERR_TOPIC);
    ck_assert_ptr_nonnull(strstr(err.text, "no-such-topic"));
    join(transport, &member, &(struct plan){.instance = "one"});
    struct output *output = NULL;
    ck_assert_int_eq(transport->class->output(member.session, "no-such-topic", &output, NULL, &err), -1);
    ck_assert_int_eq(err.code, ERR_TOPIC);
    leave(&member);
    transport->class->close(transport);
}
END_TEST

/* P13: a proxy answers the first Produce request of each topic with error 6 once the second one was passed on. */
START_TEST(records_without_an_offset_abort_the_commit_P13)
{
    const char *proxied = getenv("TIDEMILL_TEST_PROXY");
    if (proxied == NULL) {
        printf("SKIP: no proxy, so P13 was not tested\n");
        return;
    }
    struct transport *direct = open_transport(brokers);
    struct transport *transport = open_transport(proxied);
    const struct transport_class *class = transport->class;
    char *topic = new_topic(direct, "refused-first", 1);
    struct member producer;
    join(transport, &producer, &(struct plan){.instance = "one"});
    struct output *output = open_output(&producer, topic);
    int tries = 0, result = -1;
    while (result != 0 && tries < 10) {
        tries++;
        produce_text(&producer, output, 0, "k", "first");
        clock_sleep_ms(100); /* longer than linger: two requests */
        produce_text(&producer, output, 0, "k", "second");
        result = class->commit(producer.session, NULL, 0, &err);
        if (result != 0) {
            printf("try %d: %s\n", tries, err.text);
            ck_assert(err.class == ERR_ABORT || err.class == ERR_UNKNOWN);
            must(err.class == ERR_ABORT ? class->abort(producer.session, &err)
                                        : class->recover(producer.session, &err));
        }
    }
    must(result);
    ck_assert_int_gt(tries, 1);
    ck_assert_int_eq(count_records(direct, topic, 0, false), 2);
    leave(&producer);
    free(topic);
    class->close(transport);
    direct->class->close(direct);
}
END_TEST

static Suite *suite(void)
{
    const TTest *tests[] = {topics_are_made_described_grown_and_deleted,
                            records_come_back_as_they_were,
                            keys_are_placed_like_the_java_client_places_them,
                            a_record_too_large_for_its_topic_is_refused_alone,
                            aborted_records_are_invisible_and_positions_go_over_them_P8,
                            watermarks_are_high_watermarks_also_behind_an_open_transaction_P7,
                            offsets_are_found_by_time_and_records_deleted,
                            positions_and_metadata_are_kept_P3,
                            positions_and_metadata_are_kept_at_least_once,
                            seek_goes_back_and_pause_holds_back,
                            reset_policies_decide_where_a_new_group_begins,
                            records_deleted_before_they_were_read_are_skipped_by_policy_or_reported,
                            members_share_partitions_and_take_over_when_one_leaves,
                            a_member_that_stays_keeps_its_partitions_for_its_successor,
                            the_revoke_callback_may_commit_P4,
                            recover_fences_the_old_producer_and_drops_its_transaction_P6,
                            a_producer_initialized_elsewhere_is_broken_until_recovered,
                            a_killed_static_member_is_back_at_once,
                            a_zombie_is_fenced_P4,
                            a_copied_instance_is_told_that_it_was_replaced,
                            patterns_are_subscribed,
                            what_is_missing_is_named,
                            records_without_an_offset_abort_the_commit_P13};
    Suite *made = suite_create("kafka transport");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        TCase *tcase = tcase_create(tests[i]->name);
        tcase_set_timeout(tcase, 180);
        tcase_add_test(tcase, tests[i]);
        suite_add_tcase(made, tcase);
    }
    return made;
}

int main(int argc, char **argv)
{
    brokers = getenv("TIDEMILL_TEST_BROKERS");
    if (brokers == NULL) {
        printf("SKIP: TIDEMILL_TEST_BROKERS names no broker; the Kafka transport was not tested\n");
        return 77;
    }
    if (argc > 1 && strcmp(argv[1], "member") == 0) {
        return run_member(argv + 2);
    }
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_VERBOSE);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
