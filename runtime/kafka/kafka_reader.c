#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

struct reader {
    struct kafka_transport *transport;
    struct kafka_client client;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    struct kafka_bell bell;
    struct input **inputs; /* in the order of the config */
    size_t count;
    size_t next;        /* whose turn it is */
    struct input *held; /* its last batch is the caller's until the next read */
};

static rd_kafka_topic_partition_list_t *list_of(const struct reader *reader)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)reader->count);
    for (size_t i = 0; i < reader->count; i++) {
        const struct input *input = reader->inputs[i];
        rd_kafka_topic_partition_list_add(list, input->topic, input->partition)->offset = input->position;
    }
    return list;
}

static int64_t library_offset(int64_t offset)
{
    if (offset == OFFSET_BEGINNING || offset == OFFSET_NONE) {
        return RD_KAFKA_OFFSET_BEGINNING;
    }
    return offset == OFFSET_END ? RD_KAFKA_OFFSET_END : offset;
}

/* Beginning and end become numbers, so that positions are right before anything was read (P8). */
static int resolve_positions(struct reader *reader, const struct reader_config *config, struct err *err)
{
    rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_new((int)reader->count);
    for (size_t i = 0; i < reader->count; i++) {
        reader->inputs[i]->position = config->positions[i].offset;
        if (config->positions[i].offset < 0) {
            rd_kafka_topic_partition_list_add(asked, reader->inputs[i]->topic, reader->inputs[i]->partition)->offset =
                library_offset(config->positions[i].offset);
        }
    }
    int result = asked->cnt > 0 ? kafka_admin_offsets(reader->transport, reader->consumer, asked, err) : 0;
    for (size_t i = 0, at = 0; result == 0 && i < reader->count; i++) {
        if (config->positions[i].offset < 0) {
            reader->inputs[i]->position = asked->elems[at++].offset;
        }
    }
    rd_kafka_topic_partition_list_destroy(asked);
    return result;
}

static int start(struct reader *reader, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(reader);
    rd_kafka_resp_err_t code = rd_kafka_assign(reader->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (size_t i = 0; i < reader->count; i++) {
        reader->inputs[i]->started = true;
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : kafka_error_set(err, ERR_FATAL, code, NULL, "The reader can't start on its partitions");
}

static int open_consumer(struct reader *reader, const struct reader_config *config, struct err *err)
{
    char name[KAFKA_TEXT_SIZE];
    snprintf(name, sizeof name, "%s-reader", reader->transport->client_id);
    kafka_client_init(&reader->client, reader->transport, NULL, name);
    /* The group is never joined; the library wants one for assigning partitions. */
    struct kafka_client_options options = {
        .role = KAFKA_READER, .group = name, .uncommitted = config->uncommitted, .partitions = (int32_t)config->count};
    reader->consumer = kafka_conf_client(&reader->client, &options, err);
    if (reader->consumer == NULL) {
        return -1;
    }
    reader->queue = rd_kafka_queue_get_consumer(reader->consumer);
    kafka_bell_hang(&reader->bell, reader->queue);
    return 0;
}

int kafka_reader_open(struct transport *base, const struct reader_config *config, struct reader **reader,
                      struct err *err)
{
    struct reader *opened = memory_alloc(sizeof *opened);
    opened->transport = kafka_transport(base);
    kafka_bell_init(&opened->bell);
    opened->inputs = memory_alloc(config->count * sizeof *opened->inputs);
    int result = open_consumer(opened, config, err);
    for (size_t i = 0; result == 0 && i < config->count; i++) {
        const char *topic = kafka_name(opened->transport, config->positions[i].topic);
        opened->inputs[opened->count++] =
            kafka_input_new(opened->transport, opened->consumer, topic, config->positions[i].partition, &opened->bell);
        opened->inputs[i]->reset = RESET_ERROR;
    }
    if (result == 0) {
        result = resolve_positions(opened, config, err);
    }
    if (result == 0) {
        result = start(opened, err);
    }
    if (result != 0) {
        kafka_reader_close(opened);
        return -1;
    }
    *reader = opened;
    return 0;
}

void kafka_reader_close(struct reader *reader)
{
    for (size_t i = 0; i < reader->count; i++) {
        kafka_input_release(reader->inputs[i]);
    }
    if (reader->consumer != NULL) {
        struct kafka_watchdog *watchdog = reader->transport->watchdog;
        struct kafka_watch *watch = kafka_watchdog_arm(watchdog, "Closing a reader", KAFKA_CLOSE_MS, false);
        rd_kafka_consumer_close(reader->consumer);
        kafka_watchdog_release(watchdog, watch);
    }
    for (size_t i = 0; i < reader->count; i++) {
        kafka_input_free(reader->inputs[i]);
    }
    if (reader->consumer != NULL) {
        rd_kafka_queue_cb_event_enable(reader->queue, NULL, NULL);
        rd_kafka_queue_destroy(reader->queue);
        kafka_conf_destroy(&reader->client, reader->consumer);
    }
    kafka_client_free(&reader->client);
    kafka_bell_free(&reader->bell);
    free(reader->inputs);
    free(reader);
}

/* Errors that concern no single partition. */
static int serve(struct reader *reader, struct err *err)
{
    rd_kafka_message_t *message;
    int result = 0;
    while (result == 0 && (message = rd_kafka_consumer_poll(reader->consumer, 0)) != NULL) {
        if (kafka_error_code(message->err) == ERR_AUTH &&
            message->err != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
            result = kafka_error_set(err, ERR_FATAL, message->err, rd_kafka_message_errstr(message),
                                     "The partitions can't be read");
        }
        rd_kafka_message_destroy(message);
    }
    return result;
}

/* A batch of the next partition that has something. */
static int read_one(struct reader *reader, struct record *records, size_t max, size_t *count, struct err *err)
{
    for (size_t tried = 0; tried < reader->count; tried++) {
        struct input *input = reader->inputs[reader->next];
        reader->next = (reader->next + 1) % reader->count;
        if (!kafka_input_ready(input)) {
            continue;
        }
        if (kafka_input_take(input, records, max, count, err) != 0) {
            return -1;
        }
        if (*count > 0) {
            reader->held = input;
            return 0;
        }
    }
    return 0;
}

int kafka_reader_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                      struct err *err)
{
    int64_t until = kafka_now_ms(reader->transport) + timeout_ms;
    *count = 0;
    if (reader->held != NULL) {
        kafka_input_release(reader->held);
        reader->held = NULL;
    }
    for (;;) {
        kafka_bell_mute(&reader->bell);
        if (serve(reader, err) != 0 || read_one(reader, records, max, count, err) != 0) {
            return -1;
        }
        int64_t left = until - kafka_now_ms(reader->transport);
        if (*count > 0 || left <= 0) {
            return 0;
        }
        kafka_bell_wait(&reader->bell, left);
    }
}

int64_t kafka_reader_position(struct reader *reader, size_t index)
{
    return index < reader->count ? reader->inputs[index]->position : OFFSET_NONE;
}
