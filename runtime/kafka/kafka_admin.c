#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

#define REACH_ROUND_MS 1000
#define ANSWER_MS 2000
#define METADATA_MS 10000
#define CONFIG_MS 5000                /* the configuration of topics is good to know, not needed */
#define DELETE_RETENTION_MS 604800000 /* seven days: longer than anybody leaves a state directory alone */

static const char *const hidden_topics[] = {"__consumer_offsets", "__transaction_state", "__share_group_state",
                                            "__cluster_metadata"};

static int retry_class(rd_kafka_resp_err_t code)
{
    return kafka_error_transient(code) ? ERR_RETRY : ERR_FATAL;
}

static int unreachable(struct kafka_transport *transport, rd_kafka_resp_err_t code, struct err *err)
{
    char reason[KAFKA_TEXT_SIZE];
    kafka_client_reason(transport->admin_client, reason);
    const char *brokers = kafka_properties_get(&transport->properties, "bootstrap.servers");
    int denied = atomic_load(&transport->admin_client->denied);
    if (denied != 0) {
        return kafka_error_set(err, ERR_FATAL, (rd_kafka_resp_err_t)denied, reason,
                               "The Kafka brokers at %s refuse this client", brokers);
    }
    return err_set(err, ERR_FATAL, ERR_UNREACHABLE, "No Kafka broker answers at %s: %s.", brokers,
                   reason[0] != '\0' ? reason : rd_kafka_err2str(code));
}

int kafka_admin_reach(struct kafka_transport *transport, int64_t timeout_ms, struct err *err)
{
    int64_t until = kafka_now_ms(transport) + timeout_ms;
    for (;;) {
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_resp_err_t code = rd_kafka_metadata(transport->admin, 0, NULL, &metadata, REACH_ROUND_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            return 0;
        }
        rd_kafka_poll(transport->admin, 0); /* serves the error callback */
        if (atomic_load(&transport->admin_client->denied) != 0 || kafka_now_ms(transport) >= until) {
            return unreachable(transport, code, err);
        }
    }
}

/* A connection that came about by bootstrap.servers may not know yet which broker it leads to. */
static void note_answering(struct kafka_transport *transport, const struct rd_kafka_metadata *metadata)
{
    int32_t any = metadata->broker_cnt > 0 ? metadata->brokers[0].id : -1;
    atomic_store(&transport->answering, metadata->orig_broker_id >= 0 ? metadata->orig_broker_id : any);
}

bool kafka_admin_answers(void *self)
{
    struct kafka_transport *transport = self;
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(transport->admin, 0, NULL, &metadata, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    note_answering(transport, metadata);
    rd_kafka_metadata_destroy(metadata);
    return true;
}

/* Metadata of one topic (or all, for NULL); the caller destroys it. */
static int get_metadata(struct kafka_transport *transport, const char *topic, const struct rd_kafka_metadata **metadata,
                        struct err *err)
{
    rd_kafka_topic_t *rkt = NULL;
    if (topic != NULL && (rkt = rd_kafka_topic_new(transport->admin, topic, NULL)) == NULL) {
        return err_set(err, ERR_FATAL, ERR_TOPIC, "\"%s\" is not the name of a topic.", topic);
    }
    rd_kafka_resp_err_t code = rd_kafka_metadata(transport->admin, topic == NULL, rkt, metadata, METADATA_MS);
    if (rkt != NULL) {
        rd_kafka_topic_destroy(rkt);
    }
    rd_kafka_poll(transport->admin, 0);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error_set(err, ERR_RETRY, code, NULL, "The brokers did not describe %s",
                               topic != NULL ? topic : "their topics");
    }
    note_answering(transport, *metadata);
    return 0;
}

static bool has_leaders(const struct rd_kafka_metadata_topic *topic)
{
    for (int i = 0; i < topic->partition_cnt; i++) {
        if (topic->partitions[i].leader < 0) {
            return false;
        }
    }
    return topic->partition_cnt > 0;
}

/* Partition count (0: there is no such topic) and whether every partition has a leader. */
static int partitions_and_leaders(struct kafka_transport *transport, const char *topic, int32_t *count, bool *led,
                                  struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    *count = 0;
    *led = false;
    if (get_metadata(transport, topic, &metadata, err) != 0) {
        return -1;
    }
    const struct rd_kafka_metadata_topic *found = metadata->topic_cnt > 0 ? &metadata->topics[0] : NULL;
    rd_kafka_resp_err_t code = found != NULL ? found->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    int result = 0;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        *count = found->partition_cnt;
        *led = has_leaders(found);
    } else if (code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        result =
            kafka_error_set(err, retry_class(code), code, NULL, "The brokers did not describe the topic %s", topic);
    }
    rd_kafka_metadata_destroy(metadata);
    return result;
}

int kafka_admin_partitions(struct kafka_transport *transport, const char *topic, int32_t *count, struct err *err)
{
    bool led;
    return partitions_and_leaders(transport, topic, count, &led, err);
}

int kafka_admin_matching(struct kafka_transport *transport, const regex_t *pattern, int32_t *count, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    *count = 0;
    if (get_metadata(transport, NULL, &metadata, err) != 0) {
        return -1;
    }
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (regexec(pattern, metadata->topics[i].topic, 0, NULL, 0) == 0) {
            *count += metadata->topics[i].partition_cnt;
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

static bool is_hidden(const char *topic)
{
    for (size_t i = 0; i < sizeof hidden_topics / sizeof hidden_topics[0]; i++) {
        if (strcmp(topic, hidden_topics[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int kafka_admin_list_topics(struct transport *base, struct option_list *names, struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (get_metadata(kafka_transport(base), NULL, &metadata, err) != 0) {
        return -1;
    }
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (!is_hidden(metadata->topics[i].topic)) {
            option_list_add(names, metadata->topics[i].topic);
        }
    }
    rd_kafka_metadata_destroy(metadata);
    if (names->count > 0) {
        qsort(names->items, names->count, sizeof *names->items, by_name);
    }
    return 0;
}

/* ---- topic configuration ---- */

static const char *config_value(const rd_kafka_ConfigResource_t *resource, const char *name)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0) {
            return rd_kafka_ConfigEntry_value(entries[i]);
        }
    }
    return NULL;
}

/* -1 when it is not there, which is also how Kafka writes "no limit". */
static int64_t config_number(const rd_kafka_ConfigResource_t *resource, const char *name)
{
    const char *value = config_value(resource, name);
    return value != NULL ? strtoll(value, NULL, 10) : -1;
}

/* The topic's configuration in the event of `request`, or NULL when the brokers don't tell; kafka_request_end follows.
 */
static const rd_kafka_ConfigResource_t *get_config(struct kafka_transport *transport, struct kafka_request *request,
                                                   const char *topic)
{
    struct err ignored;
    rd_kafka_ConfigResource_t *wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    kafka_request_begin(request, transport->admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, CONFIG_MS);
    rd_kafka_DescribeConfigs(transport->admin, &wanted, 1, request->options, request->queue);
    rd_kafka_ConfigResource_destroy(wanted);
    if (kafka_request_wait(request, &ignored, "Describing the topic", topic) != 0) {
        return NULL;
    }
    size_t count = 0;
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(request->event);
    const rd_kafka_ConfigResource_t **found =
        result != NULL ? rd_kafka_DescribeConfigs_result_resources(result, &count) : NULL;
    bool good = count == 1 && rd_kafka_ConfigResource_error(found[0]) == RD_KAFKA_RESP_ERR_NO_ERROR;
    return good ? found[0] : NULL;
}

static void fill_config(const rd_kafka_ConfigResource_t *config, struct topic_info *info)
{
    const char *policy = config_value(config, "cleanup.policy");
    info->compacted = policy != NULL && strstr(policy, "compact") != NULL;
    info->deleted_by_age = policy != NULL && strstr(policy, "delete") != NULL;
    info->retention_ms = config_number(config, "retention.ms");
    info->retention_bytes = config_number(config, "retention.bytes");
    info->delete_retention_ms = config_number(config, "delete.retention.ms");
    info->config_known = true;
}

int kafka_admin_describe_topic(struct transport *base, const char *topic, struct topic_info *info, struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    memset(info, 0, sizeof *info);
    if (kafka_admin_partitions(transport, topic, &info->partitions, err) != 0) {
        return -1;
    }
    info->exists = info->partitions > 0;
    if (!info->exists) {
        return 0;
    }
    struct kafka_topic_id id = {.topic = topic};
    struct kafka_request request, id_request;
    bool asked = kafka_topic_id_ask(transport, &id, 1, &id_request); /* on its way while the configuration is */
    const rd_kafka_ConfigResource_t *config = get_config(transport, &request, topic);
    if (config != NULL) {
        fill_config(config, info);
    }
    kafka_request_end(&request);
    if (asked) {
        kafka_topic_id_answer(&id_request, &id, 1);
    }
    memcpy(info->id, id.id, sizeof info->id);
    return 0;
}

int64_t kafka_admin_record_limit(struct kafka_transport *transport, const char *topic)
{
    struct kafka_request request;
    const rd_kafka_ConfigResource_t *config = get_config(transport, &request, topic);
    int64_t limit = config != NULL ? config_number(config, "max.message.bytes") : -1;
    kafka_request_end(&request);
    return limit;
}

/* ---- creating, growing, deleting ---- */

static void set_config(rd_kafka_NewTopic_t *topic, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    rd_kafka_NewTopic_set_config(topic, name, text);
}

static rd_kafka_NewTopic_t *new_topic(const struct topic_spec *spec, struct err *err)
{
    char text[KAFKA_TEXT_SIZE];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(
        spec->name, spec->partitions, spec->replication > 0 ? spec->replication : -1, text, sizeof text);
    if (topic == NULL) {
        err_set(err, ERR_FATAL, ERR_TOPIC, "The topic %s can't be created: %s.", spec->name, text);
        return NULL;
    }
    if (spec->compacted) {
        rd_kafka_NewTopic_set_config(topic, "cleanup.policy", spec->retention_ms > 0 ? "compact,delete" : "compact");
        set_config(topic, "delete.retention.ms",
                   spec->delete_retention_ms > 0 ? spec->delete_retention_ms : DELETE_RETENTION_MS);
    }
    if (spec->retention_ms != 0) {
        set_config(topic, "retention.ms", spec->retention_ms);
    }
    if (spec->retention_bytes > 0) {
        set_config(topic, "retention.bytes", spec->retention_bytes);
    }
    return topic;
}

/* The verdict on the one topic of a request to create, delete or grow. */
static int topic_verdict(const rd_kafka_topic_result_t **results, size_t count, rd_kafka_resp_err_t accepted,
                         const char *what, struct err *err)
{
    if (count != 1) {
        return err_set(err, ERR_FATAL, ERR_PROTOCOL, "%s a topic got an answer without a verdict.", what);
    }
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == accepted) {
        return 0;
    }
    return kafka_error_set(err, code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ? ERR_FATAL : retry_class(code), code,
                           rd_kafka_topic_result_error_string(results[0]), "%s the topic %s failed", what,
                           rd_kafka_topic_result_name(results[0]));
}

/* A topic is of use once every partition has a leader and this client has heard of it. */
static int wait_for_leaders(struct kafka_transport *transport, const char *topic, int32_t partitions, struct err *err)
{
    int64_t until = kafka_now_ms(transport) + KAFKA_REQUEST_MS;
    for (;;) {
        int32_t count = 0;
        bool led = false;
        int result = partitions_and_leaders(transport, topic, &count, &led, err);
        if (result == 0 && led && count >= partitions) {
            return 0;
        }
        if (kafka_now_ms(transport) >= until) {
            return result != 0 ? result
                               : err_set(err, ERR_RETRY, ERR_UNREACHABLE,
                                         "The topic %s was made, but not all of its partitions have a leader.", topic);
        }
        clock_sleep_ms(KAFKA_NAP_MS);
    }
}

int kafka_admin_create_topic(struct transport *base, const struct topic_spec *spec, struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    rd_kafka_NewTopic_t *topic = new_topic(spec, err);
    if (topic == NULL) {
        return -1;
    }
    struct kafka_request request;
    kafka_request_begin(&request, transport->admin, RD_KAFKA_ADMIN_OP_CREATETOPICS, KAFKA_REQUEST_MS);
    rd_kafka_CreateTopics(transport->admin, &topic, 1, request.options, request.queue);
    int result = kafka_request_wait(&request, err, "Creating the topic", spec->name);
    if (result == 0) {
        size_t count = 0;
        const rd_kafka_topic_result_t **verdicts =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(request.event), &count);
        result = topic_verdict(verdicts, count, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, "Creating", err);
    }
    kafka_request_end(&request);
    rd_kafka_NewTopic_destroy(topic);
    return result == 0 ? wait_for_leaders(transport, spec->name, 1, err) : result;
}

int kafka_admin_delete_topic(struct transport *base, const char *name, struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    struct kafka_request request;
    kafka_request_begin(&request, transport->admin, RD_KAFKA_ADMIN_OP_DELETETOPICS, KAFKA_REQUEST_MS);
    rd_kafka_DeleteTopics(transport->admin, &topic, 1, request.options, request.queue);
    int result = kafka_request_wait(&request, err, "Deleting the topic", name);
    if (result == 0) {
        size_t count = 0;
        const rd_kafka_topic_result_t **verdicts =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(request.event), &count);
        result = topic_verdict(verdicts, count, RD_KAFKA_RESP_ERR_NO_ERROR, "Deleting", err);
    }
    kafka_request_end(&request);
    rd_kafka_DeleteTopic_destroy(topic);
    return result;
}

int kafka_admin_add_partitions(struct transport *base, const char *name, int32_t total, struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    char text[KAFKA_TEXT_SIZE];
    rd_kafka_NewPartitions_t *partitions = rd_kafka_NewPartitions_new(name, (size_t)total, text, sizeof text);
    if (partitions == NULL) {
        return err_set(err, ERR_FATAL, ERR_TOPIC, "The topic %s can't get %d partitions: %s.", name, total, text);
    }
    struct kafka_request request;
    kafka_request_begin(&request, transport->admin, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, KAFKA_REQUEST_MS);
    rd_kafka_CreatePartitions(transport->admin, &partitions, 1, request.options, request.queue);
    int result = kafka_request_wait(&request, err, "Adding partitions to the topic", name);
    if (result == 0) {
        size_t count = 0;
        const rd_kafka_topic_result_t **verdicts =
            rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(request.event), &count);
        result = topic_verdict(verdicts, count, RD_KAFKA_RESP_ERR_NO_ERROR, "Adding partitions to", err);
    }
    kafka_request_end(&request);
    rd_kafka_NewPartitions_destroy(partitions);
    return result == 0 ? wait_for_leaders(transport, name, total, err) : result;
}

/* ---- offsets ---- */

static rd_kafka_resp_err_t first_error(const rd_kafka_topic_partition_list_t *list, int *at)
{
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            *at = i;
            return list->elems[i].err;
        }
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int kafka_admin_offsets(struct kafka_transport *transport, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                        struct err *err)
{
    int64_t until = kafka_now_ms(transport) + KAFKA_REQUEST_MS;
    for (;;) {
        rd_kafka_topic_partition_list_t *answer = rd_kafka_topic_partition_list_copy(list);
        int at = 0;
        rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rk, answer, METADATA_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = first_error(answer, &at);
        }
        for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
            list->elems[i].offset = answer->elems[i].offset;
        }
        rd_kafka_topic_partition_list_destroy(answer);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return 0;
        }
        if (!kafka_error_transient(code) || kafka_now_ms(transport) >= until) {
            return kafka_error_set(err, retry_class(code), code, NULL, "The offsets of %s [%d] can't be read",
                                   list->elems[at].topic, list->elems[at].partition);
        }
        clock_sleep_ms(KAFKA_NAP_MS);
    }
}

static int one_offset(struct transport *base, const char *topic, int32_t partition, int64_t wanted, int64_t *offset,
                      struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = wanted;
    int result = kafka_admin_offsets(transport, transport->admin, list, err);
    *offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int kafka_admin_watermarks(struct transport *base, const char *topic, int32_t partition, int64_t *low, int64_t *high,
                           struct err *err)
{
    if (one_offset(base, topic, partition, RD_KAFKA_OFFSET_BEGINNING, low, err) != 0) {
        return -1;
    }
    return one_offset(base, topic, partition, RD_KAFKA_OFFSET_END, high, err);
}

int kafka_admin_offset_for_time(struct transport *base, const char *topic, int32_t partition, int64_t timestamp,
                                int64_t *offset, struct err *err)
{
    /* Negative numbers have another meaning in the request; no record is older than 1970 to Kafka. */
    if (one_offset(base, topic, partition, timestamp > 0 ? timestamp : 0, offset, err) != 0) {
        return -1;
    }
    return *offset >= 0 ? 0 : one_offset(base, topic, partition, RD_KAFKA_OFFSET_END, offset, err);
}
