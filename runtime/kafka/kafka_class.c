#include "kafka/kafka_int.h"

#include <stdlib.h>

#define START_TIMEOUT_MS 30000

const char *kafka_name(struct kafka_transport *transport, const char *name)
{
    pthread_mutex_lock(&transport->lock);
    const char *kept = NULL;
    for (size_t i = 0; kept == NULL && i < transport->names.count; i++) {
        if (strcmp(transport->names.items[i], name) == 0) {
            kept = transport->names.items[i];
        }
    }
    if (kept == NULL) {
        option_list_add(&transport->names, name);
        kept = transport->names.items[transport->names.count - 1];
    }
    pthread_mutex_unlock(&transport->lock);
    return kept;
}

int64_t kafka_now_ms(const struct kafka_transport *transport)
{
    return clock_monotonic_ns(&transport->clock) / 1000000;
}

static void close_transport(struct transport *base)
{
    struct kafka_transport *transport = kafka_transport(base);
    if (transport->admin != NULL) {
        kafka_conf_destroy(transport->admin_client, transport->admin);
    }
    if (transport->watchdog != NULL) {
        kafka_watchdog_free(transport->watchdog);
    }
    if (transport->admin_client != NULL) {
        kafka_client_free(transport->admin_client);
        free(transport->admin_client);
    }
    kafka_log_free(transport->log);
    kafka_properties_free(&transport->properties);
    for (size_t i = 0; i < transport->names.count; i++) {
        free(transport->names.items[i]);
    }
    free(transport->names.items);
    pthread_mutex_destroy(&transport->lock);
    free(transport->client_id);
    free(transport);
}

static const struct transport_class kafka_class = {
    .name = "kafka",
    .close = close_transport,
    .describe_topic = kafka_admin_describe_topic,
    .create_topic = kafka_admin_create_topic,
    .delete_topic = kafka_admin_delete_topic,
    .add_partitions = kafka_admin_add_partitions,
    .list_topics = kafka_admin_list_topics,
    .watermarks = kafka_admin_watermarks,
    .offset_for_time = kafka_admin_offset_for_time,
    .delete_records = kafka_groups_delete_records,
    .group_positions = kafka_groups_positions,
    .set_group_positions = kafka_groups_set_positions,
    .session_open = kafka_session_open,
    .session_close = kafka_session_close,
    .poll = kafka_session_poll,
    .wake = kafka_session_wake,
    .fetch = kafka_input_fetch,
    .known_end = kafka_input_known_end,
    .position = kafka_input_position,
    .seek = kafka_input_seek,
    .pause = kafka_input_pause,
    .output = kafka_output_open,
    .produce = kafka_output_produce,
    .commit = kafka_producer_commit,
    .abort = kafka_producer_abort,
    .recover = kafka_producer_recover,
    .committed = kafka_group_committed,
    .acknowledged = kafka_output_acknowledged,
    .reader_open = kafka_reader_open,
    .reader_close = kafka_reader_close,
    .read = kafka_reader_read,
    .reader_position = kafka_reader_position,
};

static int open_admin(struct kafka_transport *transport, const struct kafka_config *config, struct err *err)
{
    if (kafka_properties_load(&transport->properties, &config->properties, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < transport->properties.values.count; i++) {
        if (transport->properties.secret[i]) {
            kafka_log_hide(transport->log, transport->properties.values.items[i]);
        }
    }
    if (kafka_properties_get(&transport->properties, "bootstrap.servers") == NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "No brokers are named. Give --brokers HOST:PORT, or bootstrap.servers in a file.");
    }
    transport->admin_client = memory_alloc(sizeof *transport->admin_client);
    kafka_client_init(transport->admin_client, transport, NULL, "admin");
    struct kafka_client_options options = {.role = KAFKA_ADMIN, .uncommitted = true};
    transport->admin = kafka_conf_client(transport->admin_client, &options, err);
    if (transport->admin == NULL) {
        return -1;
    }
    return kafka_admin_reach(transport, transport->start_timeout_ms, err);
}

int kafka_open(const struct kafka_config *config, struct transport **opened, struct err *err)
{
    struct kafka_transport *transport = memory_alloc(sizeof *transport);
    transport->answering = -1;
    transport->base.class = &kafka_class;
    transport->clock = config->clock != NULL ? *config->clock : CLOCK_SYSTEM;
    transport->client_id = memory_copy_text(config->client_id != NULL ? config->client_id : "tidemill");
    transport->start_timeout_ms = config->start_timeout_ms > 0 ? config->start_timeout_ms : START_TIMEOUT_MS;
    pthread_mutex_init(&transport->lock, NULL);
    transport->log = kafka_log_new(&transport->clock);
    transport->watchdog = kafka_watchdog_new(&transport->clock, kafka_admin_answers, transport);
    if (open_admin(transport, config, err) != 0) {
        close_transport(&transport->base);
        return -1;
    }
    *opened = &transport->base;
    return 0;
}
