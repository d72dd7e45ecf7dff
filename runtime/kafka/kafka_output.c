#include "kafka/kafka_int.h"

#include <stdlib.h>

#include "base/hash.h"

#define STICKY_BYTES 16384  /* records without a key change their partition after so many bytes */
#define RECORD_OVERHEAD 128 /* of a record in a batch of its own, at most, without headers */
#define HEADER_OVERHEAD 16
#define FULL_QUEUE_WAIT_MS 10

/* Runs for every record, inside poll, flush and commit on the session's thread. */
void kafka_output_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct output *output = message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset >= 0) {
        output->delivered[message->partition] = message->offset + 1;
        output->touched = true;
        return;
    }
    /* P13: without an offset it is not in the log, whatever the library says. */
    struct kafka_producer *producer = &((struct kafka_client *)opaque)->session->producer;
    if (producer->failed++ == 0 || producer->failed_code == RD_KAFKA_RESP_ERR__PURGE_QUEUE) {
        producer->failed_code = /* a purge is the consequence of another record's failure */
            message->err != RD_KAFKA_RESP_ERR_NO_ERROR ? message->err : RD_KAFKA_RESP_ERR__NO_OFFSET;
        producer->failed_output = output;
        producer->failed_partition = message->partition;
    }
}

int kafka_output_attach(struct output *output, struct err *err)
{
    /* A handle made before the first record spares it a second of waiting for metadata. */
    output->rkt = rd_kafka_topic_new(output->session->producer.rk, output->topic, NULL);
    return output->rkt != NULL ? 0
                               : kafka_error_set(err, ERR_FATAL, rd_kafka_last_error(), NULL,
                                                 "The topic %s can't be written", output->topic);
}

void kafka_output_settle(struct output *output, bool committed)
{
    if (output->touched) {
        for (int32_t i = 0; i < output->partitions; i++) {
            if (committed && output->delivered[i] != OFFSET_NONE) {
                output->acknowledged[i] = output->delivered[i];
            }
            output->delivered[i] = OFFSET_NONE;
        }
        output->touched = false;
    }
}

void kafka_output_free(struct output *output)
{
    if (output->rkt != NULL) {
        rd_kafka_topic_destroy(output->rkt);
    }
    free(output->delivered);
    free(output->acknowledged);
    free(output);
}

static int64_t *new_offsets(int32_t partitions)
{
    int64_t *offsets = memory_alloc((size_t)partitions * sizeof *offsets);
    for (int32_t i = 0; i < partitions; i++) {
        offsets[i] = OFFSET_NONE;
    }
    return offsets;
}

int kafka_output_open(struct session *session, const char *topic, struct output **output, int32_t *partitions,
                      struct err *err)
{
    struct kafka_producer *producer = &session->producer;
    for (size_t i = 0; i < producer->output_count; i++) {
        if (strcmp(producer->outputs[i]->topic, topic) == 0) {
            *output = producer->outputs[i];
            if (partitions != NULL) {
                *partitions = (*output)->partitions;
            }
            return 0;
        }
    }
    int32_t count = 0;
    if (kafka_admin_partitions(session->transport, topic, &count, err) != 0) {
        return -1;
    }
    if (count == 0) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The topic %s does not exist. Create it, with the partitions you want.", topic);
    }
    struct output *opened = memory_alloc(sizeof *opened);
    opened->session = session;
    opened->topic = kafka_name(session->transport, topic);
    opened->partitions = count;
    opened->record_limit = kafka_admin_record_limit(session->transport, topic);
    opened->sticky = session->config.thread % count;
    opened->delivered = new_offsets(count);
    opened->acknowledged = new_offsets(count);
    if (kafka_output_attach(opened, err) != 0) {
        kafka_output_free(opened);
        return -1;
    }
    producer->outputs =
        memory_grow(producer->outputs, producer->output_count, &producer->output_capacity, sizeof *producer->outputs);
    producer->outputs[producer->output_count++] = *output = opened;
    if (partitions != NULL) {
        *partitions = count;
    }
    return 0;
}

static size_t size_of(const struct record *record)
{
    size_t size = record->key.size + record->value.size + RECORD_OVERHEAD;
    for (size_t i = 0; i < record->headers.count; i++) {
        size += record->headers.list[i].name.size + record->headers.list[i].value.size + HEADER_OVERHEAD;
    }
    return size;
}

static int32_t choose_partition(struct output *output, const struct record *record, size_t size)
{
    if (!slice_is_null(record->key)) {
        return hash_partition(record->key, output->partitions);
    }
    if (output->sticky_bytes >= STICKY_BYTES) {
        output->sticky = (output->sticky + 1) % output->partitions;
        output->sticky_bytes = 0;
    }
    output->sticky_bytes += size;
    return output->sticky;
}

static rd_kafka_headers_t *make_headers(const struct headers *headers)
{
    rd_kafka_headers_t *made = rd_kafka_headers_new(headers->count);
    for (size_t i = 0; i < headers->count; i++) {
        const struct header *header = &headers->list[i];
        rd_kafka_header_add(made, (const char *)header->name.data, (ssize_t)header->name.size, header->value.data,
                            (ssize_t)header->value.size);
    }
    return made;
}

static rd_kafka_resp_err_t enqueue(struct output *output, int32_t partition, const struct record *record)
{
    rd_kafka_t *rk = output->session->producer.rk;
    /* The library takes 0 for "now"; 1970 begins one millisecond late instead. */
    int64_t timestamp = record->timestamp != 0 ? record->timestamp : 1;
    rd_kafka_headers_t *headers = record->headers.count > 0 ? make_headers(&record->headers) : NULL;
    rd_kafka_resp_err_t code = rd_kafka_producev(
        rk, RD_KAFKA_V_RKT(output->rkt), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(record->key.data, record->key.size),
        RD_KAFKA_V_VALUE((void *)record->value.data, record->value.size), RD_KAFKA_V_TIMESTAMP(timestamp),
        RD_KAFKA_V_OPAQUE(output), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL) {
        rd_kafka_headers_destroy(headers); /* taken only on success */
    }
    return code;
}

static int refused(struct output *output, int32_t partition, const struct record *record, rd_kafka_resp_err_t code,
                   struct err *err)
{
    struct kafka_producer *producer = &output->session->producer;
    char reason[KAFKA_TEXT_SIZE];
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "A record of %zu bytes is too large for the topic %s; raise message.max.bytes.", size_of(record),
                       output->topic);
    }
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(producer->rk, reason, sizeof reason);
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        producer->state = PRODUCER_BROKEN;
        return kafka_error_set(err, ERR_UNKNOWN, fatal, reason, "The producer has failed");
    }
    /* A transaction that failed before answers every record like this; the commit would say why. */
    enum err_class class = code == RD_KAFKA_RESP_ERR__STATE || kafka_error_transient(code) ? ERR_ABORT : ERR_FATAL;
    return kafka_error_set(err, class, code, NULL, "A record for %s [%d] can't be produced", output->topic, partition);
}

int kafka_output_produce(struct session *session, struct output *output, int32_t partition, const struct record *record,
                         struct err *err)
{
    size_t size = size_of(record);
    if (output->record_limit >= 0 && size > (size_t)output->record_limit) {
        return err_set(err, ERR_SKIP, ERR_RECORD,
                       "A record of %zu bytes is too large for the topic %s, whose max.message.bytes is %lld.", size,
                       output->topic, (long long)output->record_limit);
    }
    if (partition >= output->partitions) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "The topic %s has no partition %d, only %d of them.", output->topic,
                       partition, output->partitions);
    }
    if (session->producer.state != PRODUCER_OPEN && kafka_producer_begin(session, err) != 0) {
        return -1;
    }
    if (partition < 0) {
        partition = choose_partition(output, record, size);
    }
    rd_kafka_resp_err_t code;
    while ((code = enqueue(output, partition, record)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(session->producer.rk, FULL_QUEUE_WAIT_MS);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : refused(output, partition, record, code, err);
}

int64_t kafka_output_acknowledged(struct session *session, struct output *output, int32_t partition)
{
    (void)session;
    return partition >= 0 && partition < output->partitions ? output->acknowledged[partition] : OFFSET_NONE;
}
