/* What the Kafka transport costs on top of librdkafka: records are relayed from one topic to another with exactly-once
 * transactions, by a bare loop on the library and by the transport, in turns, with the same settings.
 *
 *     TIDEMILL_TEST_BROKERS=HOST:PORT bench_kafka_relay [RECORDS]
 *
 * Printed per record: CPU of the whole process (the library's threads included), CPU of the relaying thread, wall time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/hash.h"
#include "kafka/kafka_int.h"

#define PARTITIONS 8
#define BATCH 1000
#define TRANSACTION 100000
#define ROUNDS 5
#define VALUE_SIZE 188

static const char *brokers;
static struct err err;

struct cost {
    double cpu, thread, wall;
};

static void check(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "%s: %s\n", what, err.text);
        exit(1);
    }
}

static double seconds(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct cost now(void)
{
    return (struct cost){seconds(CLOCK_PROCESS_CPUTIME_ID), seconds(CLOCK_THREAD_CPUTIME_ID), seconds(CLOCK_MONOTONIC)};
}

static struct cost since(struct cost start, int records)
{
    struct cost end = now();
    double scale = 1e9 / records;
    return (struct cost){(end.cpu - start.cpu) * scale, (end.thread - start.thread) * scale,
                         (end.wall - start.wall) * scale};
}

/* ---- the transport ---- */

static struct assigned inputs[PARTITIONS];
static size_t input_count;

static int assigned(void *self, const struct assigned *list, size_t count, struct err *why)
{
    (void)self, (void)why;
    memcpy(inputs, list, count * sizeof *list);
    input_count = count;
    return 0;
}

static int revoked(void *self, const struct assigned *list, size_t count, bool lost, struct err *why)
{
    (void)self, (void)list, (void)count, (void)lost, (void)why;
    input_count = 0;
    return 0;
}

static struct session *open_session(struct transport *transport, const char *app, const char *topic)
{
    struct subscription subscription = {topic, RESET_EARLIEST};
    struct session_config config = {.app = app,
                                    .threads = 1,
                                    .instance = "bench",
                                    .transactional = true,
                                    .subscriptions = &subscription,
                                    .subscription_count = app != NULL,
                                    .commit_timeout_ms = 60000,
                                    .max_poll_interval_ms = 300000,
                                    .assigned = assigned,
                                    .revoked = revoked};
    struct session *session = NULL;
    check(transport->class->session_open(transport, &config, &session, &err), "open");
    return session;
}

static void load(struct transport *transport, const char *topic, int records)
{
    struct session *session = open_session(transport, NULL, NULL);
    struct output *output = NULL;
    check(transport->class->output(session, topic, &output, NULL, &err), "output");
    char key[32], value[VALUE_SIZE + 1];
    unsigned state = 1;
    for (int i = 0; i < records; i++) {
        snprintf(key, sizeof key, "key-%012d", i);
        for (int at = 0; at < VALUE_SIZE; at += 4) { /* varied, or compression makes everything cheap */
            state = state * 1664525 + 1013904223;
            snprintf(value + at, 5, "%04x", state >> 16);
        }
        struct record record = {.key = slice_text(key), .value = slice_of(value, VALUE_SIZE), .timestamp = 1 + i};
        check(transport->class->produce(session, output, -1, &record, &err), "produce");
    }
    check(transport->class->commit(session, NULL, 0, &err), "commit");
    transport->class->session_close(session);
}

static void commit_inputs(struct transport *transport, struct session *session)
{
    struct position positions[PARTITIONS];
    for (size_t i = 0; i < input_count; i++) {
        positions[i] = (struct position){inputs[i].topic, inputs[i].partition,
                                         transport->class->position(session, inputs[i].input), NULL};
    }
    check(transport->class->commit(session, positions, input_count, &err), "commit");
}

static struct cost relay_transport(struct transport *transport, const char *app, const char *from, const char *to,
                                   int records)
{
    static struct record batch[BATCH];
    const struct transport_class *class = transport->class;
    struct session *session = open_session(transport, app, from);
    struct output *output = NULL;
    check(class->output(session, to, &output, NULL, &err), "output");
    struct cost start = {0};
    int total = 0, open = 0;
    while (total < records) {
        check(class->poll(session, 100, &err), "poll");
        for (size_t i = 0; i < input_count; i++) {
            size_t count = 0;
            check(class->fetch(session, inputs[i].input, batch, BATCH, &count, &err), "fetch");
            if (total == 0 && count > 0) {
                start = now();
            }
            for (size_t n = 0; n < count; n++) {
                check(class->produce(session, output, -1, &batch[n], &err), "produce");
            }
            total += (int)count;
            open += (int)count;
        }
        if (open >= TRANSACTION || total >= records) {
            commit_inputs(transport, session);
            open = 0;
        }
    }
    struct cost cost = since(start, records);
    class->session_close(session);
    return cost;
}

/* ---- the bare library, with the transport's own settings of both clients ---- */

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk, (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "not delivered: %s\n", rd_kafka_message_errstr(message));
        exit(1);
    }
}

static rd_kafka_t *bare_client(rd_kafka_type_t type, const char *const *settings)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; settings[0] != NULL; settings += 2) {
        if (rd_kafka_conf_set(conf, settings[0], settings[1], text, sizeof text) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", text);
            exit(1);
        }
    }
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (rk == NULL) {
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
    return rk;
}

static void succeed(rd_kafka_error_t *error)
{
    if (error != NULL) {
        fprintf(stderr, "%s\n", rd_kafka_error_string(error));
        exit(1);
    }
}

static void bare_produce(rd_kafka_t *producer, rd_kafka_topic_t *rkt, const rd_kafka_message_t *message)
{
    int32_t partition = hash_partition(slice_of(message->key, message->key_len), PARTITIONS);
    while (rd_kafka_producev(producer, RD_KAFKA_V_RKT(rkt), RD_KAFKA_V_PARTITION(partition),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(message->key, message->key_len),
                             RD_KAFKA_V_VALUE(message->payload, message->len),
                             RD_KAFKA_V_TIMESTAMP(rd_kafka_message_timestamp(message, NULL)),
                             RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(producer, 10);
    }
}

static void bare_commit(rd_kafka_t *producer, rd_kafka_t *consumer, rd_kafka_topic_partition_list_t *list,
                        const char *group)
{
    rd_kafka_position(consumer, list);
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata_new(group);
    succeed(rd_kafka_send_offsets_to_transaction(producer, list, metadata, -1));
    rd_kafka_consumer_group_metadata_destroy(metadata);
    succeed(rd_kafka_commit_transaction(producer, -1));
}

static rd_kafka_t *bare_consumer(const char *group)
{
    const char *settings[] = {"bootstrap.servers",
                              brokers,
                              "group.id",
                              group,
                              "enable.auto.commit",
                              "false",
                              "enable.auto.offset.store",
                              "false",
                              "enable.partition.eof",
                              "true",
                              "socket.nagle.disable",
                              "true",
                              "fetch.wait.max.ms",
                              "50",
                              "fetch.max.bytes",
                              "16777216",
                              "queued.max.messages.kbytes",
                              "8192",
                              "queued.min.messages",
                              "37500",
                              NULL};
    return bare_client(RD_KAFKA_CONSUMER, settings);
}

static rd_kafka_t *bare_producer(const char *group)
{
    const char *settings[] = {"bootstrap.servers",
                              brokers,
                              "transactional.id",
                              group,
                              "socket.nagle.disable",
                              "true",
                              "linger.ms",
                              "5",
                              "compression.type",
                              "lz4",
                              "queue.buffering.max.messages",
                              "300000",
                              "queue.buffering.max.kbytes",
                              "131072",
                              "message.max.bytes",
                              "104857600",
                              "retry.backoff.ms",
                              "20",
                              NULL};
    rd_kafka_t *producer = bare_client(RD_KAFKA_PRODUCER, settings);
    succeed(rd_kafka_init_transactions(producer, 30000));
    return producer;
}

static struct cost relay_bare(const char *group, const char *from, const char *to, int records)
{
    static rd_kafka_message_t *batch[BATCH];
    rd_kafka_t *consumer = bare_consumer(group), *producer = bare_producer(group);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(producer, to, NULL);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++) {
        rd_kafka_topic_partition_list_add(list, from, i)->offset = 0;
    }
    rd_kafka_assign(consumer, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    struct cost start = {0};
    int total = 0, open = 0;
    succeed(rd_kafka_begin_transaction(producer));
    while (total < records) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 10, batch, BATCH);
        if (total == 0 && count > 0) {
            start = now();
        }
        for (ssize_t i = 0; i < count; i++) {
            if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                bare_produce(producer, rkt, batch[i]);
                total++;
                open++;
            }
            rd_kafka_message_destroy(batch[i]);
        }
        rd_kafka_poll(producer, 0);
        if (open >= TRANSACTION || total >= records) {
            bare_commit(producer, consumer, list, group);
            open = 0;
            if (total < records) {
                succeed(rd_kafka_begin_transaction(producer));
            }
        }
    }
    struct cost cost = since(start, records);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(rkt);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    return cost;
}

static int by_cpu(const void *a, const void *b)
{
    double one = ((const struct cost *)a)->cpu, other = ((const struct cost *)b)->cpu;
    return (one > other) - (one < other);
}

static struct cost median(const char *name, struct cost *costs)
{
    qsort(costs, ROUNDS, sizeof *costs, by_cpu);
    struct cost middle = costs[ROUNDS / 2];
    printf("%-10s %6.0f ns CPU [%.0f..%.0f], relaying thread %.0f ns, wall %.0f ns (%.2f M/s)\n", name, middle.cpu,
           costs[0].cpu, costs[ROUNDS - 1].cpu, middle.thread, middle.wall, 1e3 / middle.wall);
    return middle;
}

int main(int argc, char **argv)
{
    brokers = getenv("TIDEMILL_TEST_BROKERS");
    if (brokers == NULL) {
        printf("SKIP: TIDEMILL_TEST_BROKERS names no broker\n");
        return 77;
    }
    int records = argc > 1 ? atoi(argv[1]) : 500000;
    struct kafka_config config = {.client_id = "bench"};
    char *item = memory_format("bootstrap.servers=%s", brokers);
    option_list_add(&config.properties, item);
    struct transport *transport = NULL;
    check(kafka_open(&config, &transport, &err), "open");
    char *from = memory_format("bench-from-%lld", (long long)clock_wall_ms(&CLOCK_SYSTEM));
    char *to = memory_format("bench-to-%lld", (long long)clock_wall_ms(&CLOCK_SYSTEM));
    struct topic_spec spec = {.name = from, .partitions = PARTITIONS, .retention_ms = -1};
    check(transport->class->create_topic(transport, &spec, &err), "create");
    spec.name = to;
    check(transport->class->create_topic(transport, &spec, &err), "create");
    load(transport, from, records);
    struct cost bare[ROUNDS], ours[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        char *group = memory_format("%s-%d", to, i), *app = memory_format("%s-app-%d", to, i);
        bare[i] = relay_bare(group, from, to, records);
        ours[i] = relay_transport(transport, app, from, to, records);
        free(group);
        free(app);
    }
    struct cost reference = median("bare", bare), transported = median("transport", ours);
    printf("ratio of CPU %.3f, of wall time %.3f\n", transported.cpu / reference.cpu,
           transported.wall / reference.wall);
    check(transport->class->delete_topic(transport, from, &err), "delete");
    check(transport->class->delete_topic(transport, to, &err), "delete");
    transport->class->close(transport);
    free(from);
    free(to);
    free(item);
    free(config.properties.items[0]);
    free(config.properties.items);
    return 0;
}
