#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"

#define LEAVE_GROUP 13 /* ApiKeys */
#define END_TXN 26
#define SYSLOG_WARNING 4 /* as the library numbers its log levels */

/* What is buffered of all partitions of one consumer together: payload, and messages of about 400 bytes each in memory.
 * A full queue makes the library look again only after up to a second, so that less would cost throughput. */
#define BUFFER_KBYTES 65536
#define BUFFER_MESSAGES 300000
#define BUFFER_KBYTES_MIN 1024
#define BUFFER_MESSAGES_MIN 2000
#define BUFFER_PARTITIONS_MIN 4

enum side { SIDE_CONSUMER = 1, SIDE_PRODUCER = 2, SIDE_BOTH = 3 };

struct preset {
    enum side side;
    const char *name;
    const char *value;
    bool newer; /* not known to all supported versions of the library: set when it is */
};

/* Users may change these. */
static const struct preset defaults[] = {
    {SIDE_BOTH, "socket.nagle.disable", "true", false},
    {SIDE_BOTH, "socket.keepalive.enable", "true", false},
    {SIDE_BOTH, "reconnect.backoff.max.ms", "1000", false},
    {SIDE_BOTH, "enable.metrics.push", "false", true},
    {SIDE_BOTH, "log.connection.close", "false", false},
    {SIDE_CONSUMER, "session.timeout.ms", "30000", false},
    {SIDE_CONSUMER, "heartbeat.interval.ms", "500", false},
    {SIDE_CONSUMER, "fetch.wait.max.ms", "100", false},
    {SIDE_CONSUMER, "fetch.error.backoff.ms", "100", false},
    {SIDE_CONSUMER, "fetch.queue.backoff.ms", "20", true},
    {SIDE_CONSUMER, "fetch.max.bytes", "16777216", false},
    {SIDE_PRODUCER, "linger.ms", "5", false},
    {SIDE_PRODUCER, "compression.type", "lz4", false},
    {SIDE_PRODUCER, "retry.backoff.ms", "20", false},
    {SIDE_PRODUCER, "message.max.bytes", "104857600", false},
    {SIDE_PRODUCER, "queue.buffering.max.messages", "300000", false},
    {SIDE_PRODUCER, "queue.buffering.max.kbytes", "131072", false},
};

/* The protocol's own (P1), set last. */
static const struct preset fixed[] = {
    {SIDE_CONSUMER, "enable.auto.commit", "false", false},
    {SIDE_CONSUMER, "enable.auto.offset.store", "false", false},
    {SIDE_CONSUMER, "auto.offset.reset", "earliest", false}, /* noticed and judged in kafka_input.c */
    {SIDE_CONSUMER, "enable.partition.eof", "true", false},
    {SIDE_CONSUMER, "partition.assignment.strategy", "range", false},
    {SIDE_BOTH, "allow.auto.create.topics", "false", false},
    {SIDE_PRODUCER, "enable.idempotence", "true", false},
    {SIDE_PRODUCER, "delivery.report.only.error", "false", false},
};

void kafka_client_init(struct kafka_client *client, struct kafka_transport *transport, struct session *session,
                       const char *name)
{
    client->transport = transport;
    client->session = session;
    snprintf(client->name, sizeof client->name, "%s", name);
    atomic_init(&client->denied, 0);
    atomic_init(&client->end_count, 0);
    pthread_mutex_init(&client->lock, NULL);
    client->reason[0] = '\0';
}

void kafka_client_free(struct kafka_client *client)
{
    pthread_mutex_destroy(&client->lock);
}

void kafka_client_reason(struct kafka_client *client, char text[KAFKA_TEXT_SIZE])
{
    pthread_mutex_lock(&client->lock);
    memcpy(text, client->reason, KAFKA_TEXT_SIZE);
    pthread_mutex_unlock(&client->lock);
}

/* @thread any of the library's. */
static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct kafka_client *client = rd_kafka_opaque(rk);
    if (client != NULL) {
        kafka_log_line(client->transport->log, level, client->name, facility, text);
    }
}

/* Connections that come and go are told here and heal by themselves; what is fatal is asked for where it matters. */
static void note_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    struct kafka_client *client = opaque;
    bool denies = code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL;
    pthread_mutex_lock(&client->lock);
    if (denies || atomic_load(&client->denied) == 0) { /* why it was denied says more than that nobody is left */
        snprintf(client->reason, sizeof client->reason, "%s", reason);
    }
    pthread_mutex_unlock(&client->lock);
    if (denies) {
        atomic_store(&client->denied, code);
    }
    kafka_log_line(client->transport->log, SYSLOG_WARNING, client->name, rd_kafka_err2name((rd_kafka_resp_err_t)code),
                   reason);
}

/* @thread one of the library's: a request was written to its socket. */
static rd_kafka_resp_err_t count_request(rd_kafka_t *rk, int socket, const char *broker, int32_t broker_id, int16_t key,
                                         int16_t version, int32_t correlation, size_t size, void *opaque)
{
    (void)rk, (void)socket, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size;
    if (key == END_TXN || key == LEAVE_GROUP) {
        struct kafka_client *client = opaque;
        atomic_fetch_add(&client->end_count, 1);
        FAILPOINT(ENDING);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t intercept(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *text, size_t size)
{
    (void)conf, (void)text, (void)size;
    return rd_kafka_interceptor_add_on_request_sent(rk, "tidemill", count_request, opaque);
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, bool newer, bool secret, struct err *err)
{
    char text[KAFKA_TEXT_SIZE];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof text);
    if (result == RD_KAFKA_CONF_OK || (newer && result == RD_KAFKA_CONF_UNKNOWN)) {
        return 0;
    }
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "librdkafka %s knows no property %s.", rd_kafka_version_str(), name);
    }
    return err_set(err, ERR_FATAL, ERR_CONFIG, "The Kafka property %s has a bad value: %s.", name,
                   secret ? "it is a secret and not shown" : text);
}

static int set_number(rd_kafka_conf_t *conf, const char *name, int64_t value, struct err *err)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return set(conf, name, text, false, false, err);
}

static int set_presets(rd_kafka_conf_t *conf, enum side side, const struct preset *presets, size_t count,
                       struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if ((presets[i].side & side) != 0 &&
            set(conf, presets[i].name, presets[i].value, presets[i].newer, false, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int64_t at_least(int64_t value, int64_t floor)
{
    return value > floor ? value : floor;
}

static int set_buffers(rd_kafka_conf_t *conf, int32_t partitions, struct err *err)
{
    int64_t shares = at_least(partitions, BUFFER_PARTITIONS_MIN);
    return set_number(conf, "queued.max.messages.kbytes", at_least(BUFFER_KBYTES / shares, BUFFER_KBYTES_MIN), err) ||
                   set_number(conf, "queued.min.messages", at_least(BUFFER_MESSAGES / shares, BUFFER_MESSAGES_MIN), err)
               ? -1
               : 0;
}

static int set_given(rd_kafka_conf_t *conf, const struct kafka_properties *properties, enum side side, struct err *err)
{
    for (size_t i = 0; i < properties->names.count; i++) {
        bool wanted = side == SIDE_CONSUMER ? properties->consumer[i] : properties->producer[i];
        if (wanted && set(conf, properties->names.items[i], properties->values.items[i], false, properties->secret[i],
                          err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int set_consumer(rd_kafka_conf_t *conf, struct kafka_client *client, const struct kafka_client_options *options,
                        struct err *err)
{
    /* Without a group the client never looks for a coordinator. */
    if ((options->group != NULL && set(conf, "group.id", options->group, false, false, err) != 0) ||
        set(conf, "isolation.level", options->uncommitted ? "read_uncommitted" : "read_committed", false, false, err) !=
            0) {
        return -1;
    }
    if (options->instance != NULL && set(conf, "group.instance.id", options->instance, false, false, err) != 0) {
        return -1;
    }
    if (options->max_poll_interval_ms > 0 &&
        set_number(conf, "max.poll.interval.ms", options->max_poll_interval_ms, err) != 0) {
        return -1;
    }
    if (options->role == KAFKA_MEMBER) {
        rd_kafka_conf_set_rebalance_cb(conf, kafka_group_rebalance);
        rd_kafka_conf_interceptor_add_on_new(conf, "tidemill", intercept, client);
    }
    return 0;
}

static int set_producer(rd_kafka_conf_t *conf, struct kafka_client *client, const struct kafka_client_options *options,
                        struct err *err)
{
    rd_kafka_conf_set_dr_msg_cb(conf, kafka_output_delivered);
    if (options->transactional_id == NULL) {
        return 0;
    }
    rd_kafka_conf_interceptor_add_on_new(conf, "tidemill", intercept, client);
    if (set(conf, "transactional.id", options->transactional_id, false, false, err) != 0) {
        return -1;
    }
    return options->transaction_timeout_ms > 0
               ? set_number(conf, "transaction.timeout.ms", options->transaction_timeout_ms, err)
               : 0;
}

static int fill(rd_kafka_conf_t *conf, struct kafka_client *client, const struct kafka_client_options *options,
                struct err *err)
{
    enum side side = options->role == KAFKA_PRODUCER ? SIDE_PRODUCER : SIDE_CONSUMER;
    struct kafka_transport *transport = client->transport;
    if (set(conf, "client.id", transport->client_id, false, false, err) != 0 ||
        set_presets(conf, side, defaults, sizeof defaults / sizeof defaults[0], err) != 0) {
        return -1;
    }
    if (side == SIDE_CONSUMER && set_buffers(conf, options->partitions, err) != 0) {
        return -1;
    }
    /* Whoever restores or reads to the end wants to hear of the end at once. */
    if (options->role == KAFKA_READER && set(conf, "fetch.wait.max.ms", "20", false, false, err) != 0) {
        return -1;
    }
    if (set_given(conf, &transport->properties, side, err) != 0 ||
        set_presets(conf, side, fixed, sizeof fixed / sizeof fixed[0], err) != 0) {
        return -1;
    }
    return side == SIDE_CONSUMER ? set_consumer(conf, client, options, err) : set_producer(conf, client, options, err);
}

rd_kafka_t *kafka_conf_client(struct kafka_client *client, const struct kafka_client_options *options, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_log_cb(conf, log_line);
    rd_kafka_conf_set_error_cb(conf, note_error);
    if (fill(conf, client, options, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    char text[KAFKA_TEXT_SIZE];
    rd_kafka_type_t type = options->role == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_FATAL, ERR_CONFIG, "The Kafka client %s can't be made from its properties: %s.", client->name,
                text);
        return NULL;
    }
    if (type == RD_KAFKA_CONSUMER && options->group != NULL) {
        rd_kafka_poll_set_consumer(rk);
    }
    return rk;
}

void kafka_conf_destroy(struct kafka_client *client, rd_kafka_t *rk)
{
    struct kafka_watchdog *watchdog = client->transport->watchdog;
    struct kafka_watch *watch = kafka_watchdog_arm(watchdog, client->name, KAFKA_CLOSE_MS, false);
    rd_kafka_destroy(rk);
    kafka_watchdog_release(watchdog, watch);
}
