#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define LEAVE_MS 5000 /* how long leaving the group is waited for; later the session timeout does it */
#define LEAVE_ROUND_MS 5
#define MISSING_MS 10000 /* a topic just made may be unknown to some broker for a moment */

static int copy_subscription(struct kafka_subscription *copy, const struct subscription *given, struct err *err)
{
    copy->topic = memory_copy_text(given->topic);
    copy->reset = given->reset;
    copy->pattern = false;
    if (given->topic[0] == '^') {
        int code = regcomp(&copy->regex, given->topic, REG_EXTENDED | REG_NOSUB);
        if (code != 0) {
            char text[KAFKA_TEXT_SIZE];
            regerror(code, &copy->regex, text, sizeof text);
            return err_set(err, ERR_FATAL, ERR_CONFIG, "The topic pattern %s is no regular expression: %s.",
                           given->topic, text);
        }
        copy->pattern = true;
    }
    return 0;
}

/* Counts the partitions that may be assigned, for the size of the buffers; a missing topic is found out here. */
static int count_partitions(struct session *session, const struct kafka_subscription *subscription, struct err *err)
{
    int32_t count = 0;
    if (subscription->pattern) {
        if (kafka_admin_matching(session->transport, &subscription->regex, &count, err) != 0) {
            return -1;
        }
    } else {
        if (kafka_admin_partitions(session->transport, subscription->topic, &count, err) != 0) {
            return -1;
        }
        if (count == 0) {
            return err_set(err, ERR_FATAL, ERR_TOPIC,
                           "The topic %s does not exist. Create it, with the partitions you want.",
                           subscription->topic);
        }
    }
    session->partitions += count;
    return 0;
}

static int copy_config(struct session *session, const struct session_config *config, struct err *err)
{
    session->config = *config;
    session->app = memory_copy_text(config->app);
    session->instance = memory_copy_text(config->instance);
    session->config.app = session->app;
    session->config.instance = session->instance;
    session->config.subscriptions = NULL;
    session->subscriptions = memory_alloc(config->subscription_count * sizeof *session->subscriptions);
    for (size_t i = 0; i < config->subscription_count; i++) {
        session->subscription_count = i + 1;
        if (copy_subscription(&session->subscriptions[i], &config->subscriptions[i], err) != 0 ||
            count_partitions(session, &session->subscriptions[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int open_consumer(struct session *session, struct err *err)
{
    int threads = session->config.threads > 0 ? session->config.threads : 1;
    char name[KAFKA_TEXT_SIZE];
    snprintf(name, sizeof name, "%s-%d-consumer", session->transport->client_id, session->config.thread);
    kafka_client_init(&session->consumer_client, session->transport, session, name);
    bool is_static = session->instance != NULL && !session->config.dynamic_member && session->subscription_count > 0;
    char *instance = is_static ? memory_format("%d-%s", session->config.thread, session->instance) : NULL;
    struct kafka_client_options options = {.role = KAFKA_MEMBER,
                                           .group = session->app,
                                           .instance = instance,
                                           .max_poll_interval_ms = session->config.max_poll_interval_ms,
                                           .partitions = session->partitions / threads};
    session->consumer = kafka_conf_client(&session->consumer_client, &options, err);
    free(instance);
    if (session->consumer == NULL) {
        return -1;
    }
    session->consumer_queue = rd_kafka_queue_get_consumer(session->consumer);
    kafka_bell_hang(&session->bell, session->consumer_queue);
    return 0;
}

/* The producer first: its start ends what a predecessor left open, which the committed offsets wait for (P7). */
static int open_clients(struct session *session, struct err *err)
{
    if (kafka_producer_open(session, err) != 0) {
        return -1;
    }
    if (session->app == NULL) {
        return 0;
    }
    if (open_consumer(session, err) != 0) {
        return -1;
    }
    return session->subscription_count > 0 ? kafka_group_subscribe(session, err) : 0;
}

int kafka_session_open(struct transport *base, const struct session_config *config, struct session **session,
                       struct err *err)
{
    struct session *opened = memory_alloc(sizeof *opened);
    opened->transport = kafka_transport(base);
    kafka_bell_init(&opened->bell);
    atomic_init(&opened->woken, false);
    if (copy_config(opened, config, err) != 0 || open_clients(opened, err) != 0) {
        kafka_session_close(opened);
        return -1;
    }
    *session = opened;
    return 0;
}

bool kafka_session_stopping(const struct session *session)
{
    return session->config.stopping != NULL && session->config.stopping(session->config.self);
}

static bool is_member(struct session *session)
{
    rd_kafka_consumer_group_metadata_t *metadata = kafka_group_metadata(session);
    if (metadata != NULL) {
        rd_kafka_consumer_group_metadata_destroy(metadata);
    }
    return metadata != NULL && session->subscription_count > 0;
}

/* Closing alone keeps a static member in the group, so it unsubscribes, and waits until that was sent to the broker. */
static void leave_group(struct session *session)
{
    bool member = is_member(session);
    int64_t until = kafka_now_ms(session->transport) + LEAVE_MS;
    atomic_store(&session->consumer_client.end_count, 0);
    rd_kafka_unsubscribe(session->consumer);
    while (member && atomic_load(&session->consumer_client.end_count) == 0 &&
           (session->input_count > 0 || kafka_now_ms(session->transport) < until)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(session->consumer, LEAVE_ROUND_MS);
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
}

static void close_consumer(struct session *session)
{
    bool leave = !session->config.stay || session->config.dynamic_member;
    struct kafka_watchdog *watchdog = session->transport->watchdog;
    session->closing = true;
    struct kafka_watch *watch =
        kafka_watchdog_arm(watchdog, "Leaving the group", KAFKA_CLOSE_MS + session->config.commit_timeout_ms, true);
    if (leave) {
        leave_group(session);
    }
    rd_kafka_consumer_close(session->consumer);
    kafka_watchdog_release(watchdog, watch);
    for (size_t i = 0; i < session->input_count; i++) {
        kafka_input_free(session->inputs[i]);
    }
    session->input_count = 0;
}

void kafka_session_close(struct session *session)
{
    if (session->consumer != NULL) {
        close_consumer(session);
    }
    if (session->producer.client.transport != NULL) {
        kafka_producer_close(session);
    }
    if (session->consumer != NULL) {
        rd_kafka_queue_cb_event_enable(session->consumer_queue, NULL, NULL);
        rd_kafka_queue_destroy(session->consumer_queue);
        if (session->committed != NULL) {
            rd_kafka_topic_partition_list_destroy(session->committed);
        }
        kafka_conf_destroy(&session->consumer_client, session->consumer);
    }
    if (session->consumer_client.transport != NULL) {
        kafka_client_free(&session->consumer_client);
    }
    for (size_t i = 0; i < session->subscription_count; i++) {
        free(session->subscriptions[i].topic);
        if (session->subscriptions[i].pattern) {
            regfree(&session->subscriptions[i].regex);
        }
    }
    kafka_bell_free(&session->bell);
    free(session->subscriptions);
    free(session->inputs);
    free(session->missing_topic);
    free(session->app);
    free(session->instance);
    free(session);
}

/* ---- poll ---- */

static void fail(struct session *session, enum err_class class, rd_kafka_resp_err_t code, const char *reason)
{
    if (!session->failed) {
        session->failed = true;
        kafka_error_set(&session->failure, class, code, reason, "The group %s can't go on", session->app);
    }
}

static void note_missing(struct session *session, const char *topic)
{
    if (session->missing_topic == NULL && topic != NULL) {
        session->missing_topic = memory_copy_text(topic);
        session->missing_until = kafka_now_ms(session->transport) + MISSING_MS;
    }
}

/* The code of the fatal error is what caused it: RD_KAFKA_RESP_ERR__FATAL of an event does not tell. */
static void check_fatal(struct session *session)
{
    char reason[KAFKA_TEXT_SIZE];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(session->consumer, reason, sizeof reason);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(session, ERR_FENCED, code, reason);
    }
}

/* Errors of the group and of subscribed topics; records come by their partitions' own queues. */
static void take_group_event(struct session *session, const rd_kafka_message_t *message)
{
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : NULL;
    if (kafka_error_code(message->err) == ERR_AUTH) {
        fail(session, ERR_FATAL, message->err, rd_kafka_message_errstr(message));
    } else if (message->err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) {
        fail(session, ERR_FENCED, message->err, rd_kafka_message_errstr(message));
    } else if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
        check_fatal(session);
    } else if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
               message->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        note_missing(session, topic);
    } else {
        log_event(LOG_WARN, "The group reports a problem.", log_text("group", session->app), log_text("topic", topic),
                  log_text("reason", rd_kafka_message_errstr(message)));
    }
}

static void look_for_missing(struct session *session)
{
    if (session->missing_topic == NULL || kafka_now_ms(session->transport) < session->missing_until) {
        return;
    }
    struct err ignored;
    int32_t count = 0;
    if (session->missing_topic[0] != '^' &&
        kafka_admin_partitions(session->transport, session->missing_topic, &count, &ignored) == 0 && count == 0 &&
        !session->failed) {
        session->failed = true;
        err_set(&session->failure, ERR_FATAL, ERR_TOPIC,
                "The topic %s does not exist any more. Create it and reset the app's positions of it.",
                session->missing_topic);
    }
    free(session->missing_topic);
    session->missing_topic = NULL;
}

static void serve(struct session *session)
{
    rd_kafka_poll(session->producer.rk, 0);
    if (session->consumer == NULL) {
        return;
    }
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(session->consumer, 0)) != NULL) {
        take_group_event(session, message);
        rd_kafka_message_destroy(message);
    }
    check_fatal(session);
    look_for_missing(session);
}

static bool has_work(struct session *session)
{
    for (size_t i = 0; i < session->input_count; i++) {
        if (kafka_input_ready(session->inputs[i])) {
            return true;
        }
    }
    return false;
}

int kafka_session_poll(struct session *session, int timeout_ms, struct err *err)
{
    int64_t until = kafka_now_ms(session->transport) + timeout_ms;
    for (;;) {
        kafka_bell_mute(&session->bell);
        if (session->producer.rk != NULL) {
            serve(session);
        }
        if (session->failed) {
            session->failed = false;
            *err = session->failure;
            return -1;
        }
        if (atomic_exchange(&session->woken, false) || has_work(session)) {
            return 0;
        }
        int64_t left = until - kafka_now_ms(session->transport);
        if (left <= 0) {
            return 0;
        }
        kafka_bell_wait(&session->bell, left);
    }
}

void kafka_session_wake(struct session *session)
{
    atomic_store(&session->woken, true);
    kafka_bell_ring(&session->bell);
}
