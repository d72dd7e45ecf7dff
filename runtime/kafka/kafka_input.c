#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define HEADER_CHUNK 4096
#define MOVE_MS 60000 /* a partition just assigned refuses to be moved for a moment */

/* From here on fetch.queue.backoff.ms says how long the library leaves a full queue alone; before, up to a second. */
#define VERSION_WITH_QUEUE_BACKOFF 0x020200ff

/* Runs on a thread of the library: the queue is no longer empty. */
static void became_ready(rd_kafka_t *rk, void *opaque)
{
    (void)rk;
    struct input *input = opaque;
    atomic_store(&input->ready, true);
    kafka_bell_ring(input->bell);
}

static int64_t half_of(rd_kafka_t *consumer, const char *property)
{
    char text[32];
    size_t size = sizeof text;
    rd_kafka_conf_get(rd_kafka_conf(consumer), property, text, &size);
    return strtoll(text, NULL, 10) / 2;
}

static void find_limits(struct input *input)
{
    bool goes_on = rd_kafka_version() >= VERSION_WITH_QUEUE_BACKOFF;
    input->half_messages = goes_on ? INT64_MAX : half_of(input->consumer, "queued.min.messages");
    input->half_bytes = goes_on ? INT64_MAX : half_of(input->consumer, "queued.max.messages.kbytes") * 1024;
}

/* Old versions of the library notice that a queue has room again when the thread of the partition's broker wakes up: by
 * itself once a second, or because there is something to send. A question about an offset is; nobody waits for the
 * answer. It goes out once per half a queue, before the other half is used up. */
static void keep_fetching(struct input *input)
{
    if (input->taken_messages < input->half_messages && input->taken_bytes < input->half_bytes) {
        return;
    }
    input->taken_messages = 0;
    input->taken_bytes = 0;
    input->place->elems[0].offset = RD_KAFKA_OFFSET_END;
    rd_kafka_offsets_for_times(input->consumer, input->place, 0);
}

struct input *kafka_input_new(struct kafka_transport *transport, rd_kafka_t *consumer, const char *topic,
                              int32_t partition, struct kafka_bell *bell)
{
    struct input *input = memory_alloc(sizeof *input);
    input->transport = transport;
    input->consumer = consumer;
    input->topic = topic;
    input->partition = partition;
    input->bell = bell;
    input->position = OFFSET_NONE;
    input->headers.chunk_size = HEADER_CHUNK;
    atomic_init(&input->ready, false);
    input->place = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(input->place, topic, partition);
    input->queue = rd_kafka_queue_get_partition(consumer, topic, partition);
    rd_kafka_queue_forward(input->queue, NULL);
    rd_kafka_queue_cb_event_enable(input->queue, became_ready, input);
    find_limits(input);
    return input;
}

void kafka_input_release(struct input *input)
{
    for (size_t i = 0; i < input->message_count; i++) {
        rd_kafka_message_destroy(input->messages[i]);
    }
    input->message_count = 0;
    arena_clear(&input->headers);
}

void kafka_input_free(struct input *input)
{
    kafka_input_release(input);
    rd_kafka_queue_cb_event_enable(input->queue, NULL, NULL);
    rd_kafka_queue_destroy(input->queue);
    rd_kafka_topic_partition_list_destroy(input->place);
    arena_free(&input->headers);
    free(input->messages);
    free(input);
}

bool kafka_input_ready(struct input *input)
{
    return !input->paused && (atomic_load(&input->ready) || input->failure != RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* Most records have no headers; the library parses them here, when they are asked for. */
static struct headers headers_of(struct input *input, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *parsed;
    if (rd_kafka_message_headers(message, &parsed) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return (struct headers){NULL, 0};
    }
    size_t count = rd_kafka_header_cnt(parsed);
    struct header *list = arena_alloc(&input->headers, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 0;
        rd_kafka_header_get_all(parsed, i, &name, &value, &size);
        list[i] = (struct header){slice_text(name), slice_of(value, size)};
    }
    return (struct headers){list, count};
}

static void fill_record(struct input *input, const rd_kafka_message_t *message, struct record *record)
{
    record->key = slice_of(message->key, message->key_len);
    record->value = slice_of(message->payload, message->len);
    record->headers = headers_of(input, message);
    record->timestamp = rd_kafka_message_timestamp(message, NULL);
    record->offset = message->offset;
    record->topic = input->topic;
    record->partition = input->partition;
}

/* The library reads on at the log's start when its position has left the log. A gap alone means nothing, transactions
 * and compaction leave them; a log that begins behind the position, or a step back, tell the difference. */
static bool has_jumped(struct input *input, int64_t offset)
{
    int64_t low = OFFSET_NONE, high = OFFSET_NONE;
    if (offset == input->position || input->failure != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    rd_kafka_get_watermark_offsets(input->consumer, input->topic, input->partition, &low, &high);
    if (offset > input->position && low <= input->position) {
        return false;
    }
    input->failure = RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    input->found = offset;
    return true;
}

/* Anything in the queue that is not a record: the end of the partition, or an error. */
static void take_event(struct input *input, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (!has_jumped(input, message->offset)) {
            input->at_end = true;
            input->in_step = false;
            input->position = message->offset; /* control and aborted records lie before it (P8) */
        }
    } else if (kafka_error_transient(message->err)) {
        log_event(LOG_INFO, "Fetching is tried again.", log_text("topic", input->topic),
                  log_number("partition", input->partition), log_text("reason", rd_kafka_message_errstr(message)));
    } else if (input->failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
        input->failure = message->err;
        snprintf(input->failure_text, sizeof input->failure_text, "%s", rd_kafka_message_errstr(message));
    }
}

static void reserve(struct input *input, size_t max)
{
    if (max > input->message_capacity) {
        input->messages = memory_resize(input->messages, max * sizeof *input->messages);
        input->message_capacity = max;
    }
}

/* Control records behind the last record move the library's position, often a moment later than the record. */
static void skip_control_records(struct input *input)
{
    input->place->elems[0].offset = RD_KAFKA_OFFSET_INVALID;
    rd_kafka_position(input->consumer, input->place);
    if (input->place->elems[0].offset > input->position) {
        input->position = input->place->elems[0].offset;
    }
}

/* The position is gone from the topic: deleted by retention, or lost with the topic itself. */
static int out_of_range(struct input *input, struct err *err)
{
    int64_t position = input->position;
    int64_t next = input->found;
    if (position > next || input->reset == RESET_ERROR) {
        return err_set(
            err, ERR_FATAL, ERR_TOPIC,
            "%s [%d] has no offset %lld any more (it begins at %lld): records are gone that were not read, or "
            "the topic was made anew. Reset the app's positions to go on.",
            input->topic, input->partition, (long long)position, (long long)next);
    }
    if (input->reset == RESET_LATEST) {
        input->place->elems[0].offset = RD_KAFKA_OFFSET_END;
        if (kafka_admin_offsets(input->transport, input->consumer, input->place, err) != 0) {
            return -1; /* the next fetch tries again */
        }
        next = input->place->elems[0].offset;
    }
    log_event(LOG_ERROR, "Records were deleted by the topic's retention before they were read.",
              log_text("topic", input->topic), log_number("partition", input->partition), log_number("from", position),
              log_number("to", next));
    return kafka_input_move(input, next, err);
}

static int report_failure(struct input *input, struct err *err)
{
    rd_kafka_resp_err_t code = input->failure;
    if (code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        return out_of_range(input, err);
    }
    return kafka_error_set(err, ERR_FATAL, code, input->failure_text, "%s [%d] can't be read at offset %lld",
                           input->topic, input->partition, (long long)input->position);
}

int kafka_input_take(struct input *input, struct record *records, size_t max, size_t *count, struct err *err)
{
    *count = 0;
    kafka_input_release(input);
    if (input->failure != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return report_failure(input, err);
    }
    reserve(input, max);
    atomic_store(&input->ready, false); /* before looking: whatever comes later sets it again */
    ssize_t taken = rd_kafka_consume_batch_queue(input->queue, 0, input->messages, max);
    bool drained = taken < (ssize_t)max;
    if (!drained) {
        atomic_store(&input->ready, true);
    }
    for (ssize_t i = 0; i < taken; i++) {
        rd_kafka_message_t *message = input->messages[i];
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            take_event(input, message);
            rd_kafka_message_destroy(message);
            continue;
        }
        /* What stands behind a failure is not handed out, for it would hide the gap. */
        if (input->failure != RD_KAFKA_RESP_ERR_NO_ERROR || has_jumped(input, message->offset)) {
            rd_kafka_message_destroy(message);
            continue;
        }
        fill_record(input, message, &records[input->message_count]);
        input->taken_bytes += (int64_t)(message->len + message->key_len);
        input->messages[input->message_count++] = message;
        input->position = message->offset + 1;
        input->at_end = false;
        input->in_step = true;
    }
    *count = input->message_count;
    input->taken_messages += taken > 0 ? taken : 0;
    keep_fetching(input);
    if (drained && input->in_step && input->failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
        skip_control_records(input);
    }
    return 0;
}

int kafka_input_move(struct input *input, int64_t offset, struct err *err)
{
    kafka_input_release(input);
    input->position = offset;
    input->at_end = false;
    input->in_step = false;
    input->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!input->started) {
        return 0; /* it will start there */
    }
    int64_t until = kafka_now_ms(input->transport) + MOVE_MS;
    for (;;) {
        input->place->elems[0].offset = offset;
        input->place->elems[0].err = RD_KAFKA_RESP_ERR_NO_ERROR;
        /* Never a finite timeout: 2.0.2 takes it for microseconds. */
        rd_kafka_error_t *error = rd_kafka_seek_partitions(input->consumer, input->place, -1);
        rd_kafka_resp_err_t code = error != NULL ? rd_kafka_error_code(error) : input->place->elems[0].err;
        rd_kafka_error_destroy(error);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            atomic_store(&input->ready, true);
            return 0;
        }
        if (kafka_now_ms(input->transport) >= until) {
            return kafka_error_set(err, ERR_FATAL, code, NULL, "Reading %s [%d] can't go on at offset %lld",
                                   input->topic, input->partition, (long long)offset);
        }
        clock_sleep_ms(KAFKA_NAP_MS);
    }
}

int kafka_input_fetch(struct session *session, struct input *input, struct record *records, size_t max, size_t *count,
                      struct err *err)
{
    (void)session;
    return kafka_input_take(input, records, max, count, err);
}

int64_t kafka_input_known_end(struct session *session, struct input *input)
{
    (void)session;
    if (input->at_end) {
        return input->position;
    }
    /* The cached high watermark may lie behind an open transaction. That holds nobody up: once everything readable was
     * read, the end of the partition is reported and counts. */
    int64_t low = OFFSET_NONE, high = OFFSET_NONE;
    rd_kafka_resp_err_t code =
        rd_kafka_get_watermark_offsets(input->consumer, input->topic, input->partition, &low, &high);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0) {
        return OFFSET_NONE;
    }
    return high > input->position ? high : input->position;
}

int64_t kafka_input_position(struct session *session, struct input *input)
{
    (void)session;
    return input->position;
}

int kafka_input_seek(struct session *session, struct input *input, int64_t offset, struct err *err)
{
    (void)session;
    return kafka_input_move(input, offset, err);
}

/* The library's pause loses or repeats records in some versions; a queue left unread stops by itself once it is full.
 */
int kafka_input_pause(struct session *session, struct input *input, bool paused, struct err *err)
{
    (void)session, (void)err;
    input->paused = paused;
    if (!paused) {
        kafka_bell_ring(input->bell); /* its queue may have filled meanwhile, and says so only once */
    }
    return 0;
}
