/* The bare loop that a whole program is measured against: consume, produce, commit every 100 ms, exactly once, with
 * librdkafka alone and the properties that the Kafka transport sets. tests/bench/kafka.sh runs it in turns with the
 * same relay in Tidemill.
 *
 * bench_kafka_bare MODE BROKERS ...
 *     create TOPIC PARTITIONS
 *
 *     fill TOPIC RECORDS         varied records of 200 bytes, keys of 16 bytes
 *
 *     relay FROM TO GROUP        to the end of FROM, keys, values, headers and timestamps
 *
 *     headless FROM TO GROUP     the same without looking for headers: cheaper, but they are lost
 *
 *     idle FROM TO GROUP         relay, never ending
 *
 *     count TOPIC                committed records
 *
 *     read TOPIC                 records per second, from the first record to the end
 *
 *     read-plain TOPIC           the same with the library's defaults
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMIT_MS 100
#define BATCH 1000
#define VALUE_SIZE 200
#define KEYS 100000
#define PARTITIONS_MAX 64
#define TIMEOUT_MS 30000

struct property {
    const char *name;
    const char *value;
};

/* As runtime/kafka/kafka_conf.c sets them for a session of four partitions. */
static const struct property both[] = {{"socket.nagle.disable", "true"},
                                       {"socket.keepalive.enable", "true"},
                                       {"reconnect.backoff.max.ms", "1000"},
                                       {"allow.auto.create.topics", "false"},
                                       {NULL, NULL}};

static const struct property consuming[] = {
    {"session.timeout.ms", "30000"},       {"heartbeat.interval.ms", "500"},
    {"fetch.wait.max.ms", "50"},           {"fetch.error.backoff.ms", "100"},
    {"fetch.max.bytes", "16777216"},       {"queued.max.messages.kbytes", "16384"},
    {"queued.min.messages", "75000"},      {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"}, {"auto.offset.reset", "earliest"},
    {"enable.partition.eof", "true"},      {"partition.assignment.strategy", "range"},
    {"isolation.level", "read_committed"}, {NULL, NULL}};

/* What a reader to the end can't do without; all else as the library has it. */
static const struct property plain[] = {{"enable.auto.commit", "false"},
                                        {"auto.offset.reset", "earliest"},
                                        {"enable.partition.eof", "true"},
                                        {"isolation.level", "read_committed"},
                                        {NULL, NULL}};

static const struct property producing[] = {{"linger.ms", "5"},
                                            {"compression.type", "lz4"},
                                            {"retry.backoff.ms", "20"},
                                            {"message.max.bytes", "104857600"},
                                            {"queue.buffering.max.messages", "300000"},
                                            {"queue.buffering.max.kbytes", "131072"},
                                            {"enable.idempotence", "true"},
                                            {"delivery.report.only.error", "false"},
                                            {NULL, NULL}};

struct relay {
    rd_kafka_t *consumer;
    rd_kafka_t *producer;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *target; /* NULL: records are only counted */
    bool headers;             /* are relayed too */
    const char *source;
    int partitions;
    int64_t next[PARTITIONS_MAX]; /* offset to commit; -1: nothing read since the last commit */
    bool ended[PARTITIONS_MAX];
    int ended_count;
    int64_t records;
};

static int64_t undelivered;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_kafka_bare: %s: %s\n", what, why);
    exit(1);
}

static void must(rd_kafka_resp_err_t code, const char *what)
{
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(what, rd_kafka_err2str(code));
    }
}

static void must_not(rd_kafka_error_t *error, const char *what)
{
    if (error != NULL) {
        fail(what, rd_kafka_error_string(error));
    }
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- clients ---- */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        fail(name, text);
    }
}

static void set_all(rd_kafka_conf_t *conf, const struct property *properties)
{
    for (; properties->name != NULL; properties++) {
        set(conf, properties->name, properties->value);
    }
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk, (void)opaque;
    undelivered += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_t *open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *brokers,
                               const struct property *properties)
{
    char text[256];
    set(conf, "bootstrap.servers", brokers);
    set_all(conf, properties);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (rk == NULL) {
        fail("client", text);
    }
    return rk;
}

static rd_kafka_t *open_consumer(const char *brokers, const char *group)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", group);
    set_all(conf, both);
    return open_client(RD_KAFKA_CONSUMER, conf, brokers, consuming);
}

static rd_kafka_t *open_producer(const char *brokers, const char *transactional_id)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    if (transactional_id != NULL) {
        set(conf, "transactional.id", transactional_id);
    }
    set_all(conf, both);
    return open_client(RD_KAFKA_PRODUCER, conf, brokers, producing);
}

static int partitions_of(rd_kafka_t *rk, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    must(rd_kafka_metadata(rk, 0, handle, &metadata, TIMEOUT_MS), topic);
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    if (count < 1 || count > PARTITIONS_MAX) {
        fail(topic, "no such topic, or too many partitions");
    }
    return count;
}

/* ---- create and fill ---- */

static void create(const char *brokers, const char *topic, int partitions)
{
    char text[256];
    rd_kafka_t *rk = open_producer(brokers, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, partitions, 1, text, sizeof text);
    rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
    const rd_kafka_CreateTopics_result_t *result = event != NULL ? rd_kafka_event_CreateTopics_result(event) : NULL;
    size_t count = 0;
    const rd_kafka_topic_result_t **topics =
        result != NULL ? rd_kafka_CreateTopics_result_topics(result, &count) : NULL;
    if (count != 1) {
        fail(topic, event != NULL ? rd_kafka_event_error_string(event) : "no answer from the broker");
    }
    must(rd_kafka_topic_result_error(topics[0]), topic);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(wanted);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

static uint64_t draw(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* JSON of exactly VALUE_SIZE bytes, most of it random: repetitive values would make compression too cheap. */
static void make_value(int64_t number, char value[VALUE_SIZE + 1])
{
    static const char hex[] = "0123456789abcdef";
    int length = snprintf(value, VALUE_SIZE, "{\"id\":%" PRId64 ",\"amount\":%d,\"paid\":%s,\"note\":\"", number,
                          (int)(draw() % 10000), draw() % 2 ? "true" : "false");
    while (length < VALUE_SIZE - 2) {
        value[length++] = hex[draw() % 16];
    }
    memcpy(value + VALUE_SIZE - 2, "\"}", 3);
}

static void fill(const char *brokers, const char *topic, int64_t records)
{
    rd_kafka_t *rk = open_producer(brokers, NULL);
    rd_kafka_topic_t *target = rd_kafka_topic_new(rk, topic, NULL);
    int partitions = partitions_of(rk, topic);
    char key[17];
    char value[VALUE_SIZE + 1];
    for (int64_t i = 0; i < records; i++) {
        snprintf(key, sizeof key, "key-%012u", (unsigned)(draw() % KEYS));
        make_value(i, value);
        int32_t partition = rd_kafka_msg_partitioner_murmur2(target, key, 16, partitions, NULL, NULL);
        while (rd_kafka_produce(target, partition, RD_KAFKA_MSG_F_COPY, value, VALUE_SIZE, key, 16, NULL) != 0) {
            must(rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 0 : rd_kafka_last_error(), topic);
            rd_kafka_poll(rk, 10);
        }
    }
    must(rd_kafka_flush(rk, TIMEOUT_MS), "flush");
    rd_kafka_topic_destroy(target);
    rd_kafka_destroy(rk);
    if (undelivered > 0) {
        fail(topic, "records were not delivered");
    }
}

/* ---- relay and count ---- */

static void subscribe(struct relay *relay)
{
    rd_kafka_poll_set_consumer(relay->consumer);
    relay->queue = rd_kafka_queue_get_consumer(relay->consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, relay->source, RD_KAFKA_PARTITION_UA);
    must(rd_kafka_subscribe(relay->consumer, topics), relay->source);
    rd_kafka_topic_partition_list_destroy(topics);
    memset(relay->next, -1, sizeof relay->next);
}

/* A copy of the record's headers, NULL without any. The library parses them when it is asked for them. */
static rd_kafka_headers_t *headers_of(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_cnt(headers) == 0) {
        return NULL;
    }
    return rd_kafka_headers_copy(headers);
}

static void relay_message(struct relay *relay, const rd_kafka_message_t *message)
{
    rd_kafka_resp_err_t code;
    rd_kafka_headers_t *headers = relay->headers ? headers_of(message) : NULL;
    /* The key is the same and both topics have as many partitions, so the partition is the same too. */
    while ((code = rd_kafka_producev(relay->producer, RD_KAFKA_V_RKT(relay->target),
                                     RD_KAFKA_V_PARTITION(message->partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                     RD_KAFKA_V_KEY(message->key, message->key_len),
                                     RD_KAFKA_V_VALUE(message->payload, message->len),
                                     RD_KAFKA_V_TIMESTAMP(rd_kafka_message_timestamp(message, NULL)),
                                     RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(relay->producer, 10);
    }
    must(code, "produce");
}

static void take(struct relay *relay, const rd_kafka_message_t *message)
{
    int32_t partition = message->partition;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        relay->ended_count += !relay->ended[partition];
        relay->ended[partition] = true;
        return;
    }
    must(message->err, relay->source);
    if (relay->target != NULL) {
        relay_message(relay, message);
    }
    relay->next[partition] = message->offset + 1;
    relay->records++;
}

static void take_batch(struct relay *relay)
{
    rd_kafka_message_t *messages[BATCH];
    ssize_t count = rd_kafka_consume_batch_queue(relay->queue, COMMIT_MS, messages, BATCH);
    for (ssize_t i = 0; i < count; i++) {
        take(relay, messages[i]);
        rd_kafka_message_destroy(messages[i]);
    }
}

static void commit(struct relay *relay)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(relay->partitions);
    for (int i = 0; i < relay->partitions; i++) {
        if (relay->next[i] >= 0) {
            rd_kafka_topic_partition_list_add(offsets, relay->source, i)->offset = relay->next[i];
            relay->next[i] = -1;
        }
    }
    if (offsets->cnt > 0) {
        must(rd_kafka_flush(relay->producer, TIMEOUT_MS), "flush");
        if (undelivered > 0) {
            fail("commit", "records were not delivered");
        }
        rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(relay->consumer);
        must_not(rd_kafka_send_offsets_to_transaction(relay->producer, offsets, metadata, TIMEOUT_MS), "offsets");
        rd_kafka_consumer_group_metadata_destroy(metadata);
        must_not(rd_kafka_commit_transaction(relay->producer, TIMEOUT_MS), "commit");
        must_not(rd_kafka_begin_transaction(relay->producer), "begin");
    }
    rd_kafka_topic_partition_list_destroy(offsets);
}

static void close_consumer(struct relay *relay)
{
    rd_kafka_consumer_close(relay->consumer);
    rd_kafka_queue_destroy(relay->queue);
    rd_kafka_destroy(relay->consumer);
}

static void run_relay(const char *mode, const char *brokers, const char *from, const char *to, const char *group)
{
    struct relay relay = {.source = from, .headers = strcmp(mode, "headless") != 0};
    bool endless = strcmp(mode, "idle") == 0;
    relay.producer = open_producer(brokers, group);
    must_not(rd_kafka_init_transactions(relay.producer, TIMEOUT_MS), "init_transactions");
    must_not(rd_kafka_begin_transaction(relay.producer), "begin");
    relay.target = rd_kafka_topic_new(relay.producer, to, NULL);
    relay.consumer = open_consumer(brokers, group);
    relay.partitions = partitions_of(relay.consumer, from);
    subscribe(&relay);
    int64_t committed = now_ms();
    while (endless || relay.ended_count < relay.partitions) {
        take_batch(&relay);
        rd_kafka_poll(relay.producer, 0);
        if (now_ms() - committed >= COMMIT_MS) {
            commit(&relay);
            committed = now_ms();
        }
    }
    commit(&relay);
    must_not(rd_kafka_abort_transaction(relay.producer, TIMEOUT_MS), "abort of the empty transaction");
    rd_kafka_topic_destroy(relay.target);
    rd_kafka_destroy(relay.producer);
    close_consumer(&relay);
    printf("%" PRId64 "\n", relay.records);
}

static rd_kafka_t *open_plain_consumer(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "bench-plain");
    return open_client(RD_KAFKA_CONSUMER, conf, brokers, plain);
}

/* Prints records per second. Joining the group, which the restoring reader does not, is left out. */
static void read_all(rd_kafka_t *consumer, const char *topic)
{
    struct relay relay = {.source = topic, .consumer = consumer};
    relay.partitions = partitions_of(relay.consumer, topic);
    subscribe(&relay);
    int64_t began = 0;
    while (relay.ended_count < relay.partitions) {
        take_batch(&relay);
        began = began == 0 && relay.records > 0 ? now_ms() : began;
    }
    int64_t took = now_ms() - began;
    close_consumer(&relay);
    printf("%" PRId64 "\n", took > 0 ? relay.records * 1000 / took : 0);
}

static void count(const char *brokers, const char *topic)
{
    struct relay relay = {.source = topic};
    relay.consumer = open_consumer(brokers, "bench-count");
    relay.partitions = partitions_of(relay.consumer, topic);
    subscribe(&relay);
    while (relay.ended_count < relay.partitions) {
        take_batch(&relay);
    }
    close_consumer(&relay);
    printf("%" PRId64 "\n", relay.records);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "create") == 0) {
        create(argv[2], argv[3], atoi(argv[4]));
    } else if (argc == 5 && strcmp(argv[1], "fill") == 0) {
        fill(argv[2], argv[3], strtoll(argv[4], NULL, 10));
    } else if (argc == 6 &&
               (strcmp(argv[1], "relay") == 0 || strcmp(argv[1], "headless") == 0 || strcmp(argv[1], "idle") == 0)) {
        run_relay(argv[1], argv[2], argv[3], argv[4], argv[5]);
    } else if (argc == 4 && strcmp(argv[1], "count") == 0) {
        count(argv[2], argv[3]);
    } else if (argc == 4 && strcmp(argv[1], "read") == 0) {
        read_all(open_consumer(argv[2], "bench-read"), argv[3]);
    } else if (argc == 4 && strcmp(argv[1], "read-plain") == 0) {
        read_all(open_plain_consumer(argv[2]), argv[3]);
    } else {
        fprintf(stderr, "usage: bench_kafka_bare create|fill|relay|headless|idle|count|read|read-plain BROKERS ...; "
                        "kafka.sh and kafka_restore.sh call it\n");
        return 2;
    }
    return 0;
}
