#include "kafka/kafka_int.h"

#include <stdlib.h>

static enum err_class retry_class(rd_kafka_resp_err_t code)
{
    return kafka_error_transient(code) ? ERR_RETRY : ERR_FATAL;
}

/* The first partition that was refused becomes `err`. */
static int partitions_verdict(const rd_kafka_topic_partition_list_t *list, const char *what, struct err *err)
{
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        rd_kafka_resp_err_t code = list->elems[i].err;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return kafka_error_set(err, retry_class(code), code, NULL, "%s of %s [%d] failed", what,
                                   list->elems[i].topic, list->elems[i].partition);
        }
    }
    return 0;
}

int kafka_groups_delete_records(struct transport *base, const char *topic, int32_t partition, int64_t before,
                                struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = before;
    rd_kafka_DeleteRecords_t *deletion = rd_kafka_DeleteRecords_new(list);
    struct kafka_request request;
    kafka_request_begin(&request, transport->admin, RD_KAFKA_ADMIN_OP_DELETERECORDS, KAFKA_REQUEST_MS);
    rd_kafka_DeleteRecords(transport->admin, &deletion, 1, request.options, request.queue);
    int result = kafka_request_wait(&request, err, "Deleting records of the topic", topic);
    if (result == 0) {
        result = partitions_verdict(
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(request.event)),
            "Deleting records", err);
    }
    kafka_request_end(&request);
    rd_kafka_DeleteRecords_destroy(deletion);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* The verdict on the one group of a request. */
static int group_verdict(const rd_kafka_group_result_t **results, size_t count, const char *what, struct err *err)
{
    if (count != 1) {
        return err_set(err, ERR_FATAL, ERR_PROTOCOL, "%s of a group got an answer without a verdict.", what);
    }
    const rd_kafka_error_t *error = rd_kafka_group_result_error(results[0]);
    if (error != NULL) {
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        return kafka_error_set(err, retry_class(code), code, rd_kafka_error_string(error), "%s of the group %s failed",
                               what, rd_kafka_group_result_name(results[0]));
    }
    return partitions_verdict(rd_kafka_group_result_partitions(results[0]), what, err);
}

static void copy_positions(const rd_kafka_topic_partition_list_t *list, struct group_position **copies, size_t *count)
{
    *copies = memory_alloc((size_t)(list != NULL ? list->cnt : 0) * sizeof **copies);
    *count = 0;
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &list->elems[i];
        (*copies)[(*count)++] = (struct group_position){
            .topic = memory_copy_text(at->topic),
            .partition = at->partition,
            .committed = at->offset >= 0 ? at->offset : OFFSET_NONE,
            .metadata =
                at->metadata != NULL ? memory_format("%.*s", (int)at->metadata_size, (const char *)at->metadata) : NULL,
        };
    }
}

static int ask_for_positions(rd_kafka_t *asker, const char *app, struct group_position **list, size_t *count,
                             struct err *err)
{
    rd_kafka_ListConsumerGroupOffsets_t *question = rd_kafka_ListConsumerGroupOffsets_new(app, NULL);
    struct kafka_request request;
    kafka_request_begin(&request, asker, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, KAFKA_REQUEST_MS);
    rd_kafka_ListConsumerGroupOffsets(asker, &question, 1, request.options, request.queue);
    int result = kafka_request_wait(&request, err, "Reading the positions of the group", app);
    if (result == 0) {
        size_t groups = 0;
        const rd_kafka_group_result_t **answers = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(request.event), &groups);
        result = group_verdict(answers, groups, "Reading the positions", err);
        if (result == 0) {
            copy_positions(rd_kafka_group_result_partitions(answers[0]), list, count);
        }
    }
    kafka_request_end(&request);
    rd_kafka_ListConsumerGroupOffsets_destroy(question);
    return result;
}

/* A coordinator that is loading or has moved makes librdkafka (2.0 to 2.15) look for the asking client's own
 * coordinator, and a client without a group.id crashes over that. So one asks that has the group's name; it never
 * joins. */
int kafka_groups_positions(struct transport *base, const char *app, struct group_position **list, size_t *count,
                           struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    struct kafka_client client;
    kafka_client_init(&client, transport, NULL, "positions");
    struct kafka_client_options options = {.role = KAFKA_ADMIN, .group = app, .uncommitted = true};
    rd_kafka_t *asker = kafka_conf_client(&client, &options, err);
    int result = -1;
    if (asker != NULL) {
        int64_t until = kafka_now_ms(transport) + KAFKA_REQUEST_MS;
        while ((result = ask_for_positions(asker, app, list, count, err)) != 0 && err->class == ERR_RETRY &&
               kafka_now_ms(transport) < until) {
            clock_sleep_ms(KAFKA_NAP_MS);
        }
        kafka_conf_destroy(&client, asker);
    }
    kafka_client_free(&client);
    return result;
}

static int alter(struct kafka_transport *transport, const char *app, const rd_kafka_topic_partition_list_t *list,
                 struct err *err)
{
    rd_kafka_AlterConsumerGroupOffsets_t *change = rd_kafka_AlterConsumerGroupOffsets_new(app, list);
    struct kafka_request request;
    kafka_request_begin(&request, transport->admin, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, KAFKA_REQUEST_MS);
    rd_kafka_AlterConsumerGroupOffsets(transport->admin, &change, 1, request.options, request.queue);
    int result = kafka_request_wait(&request, err, "Setting the positions of the group", app);
    if (result == 0) {
        size_t groups = 0;
        const rd_kafka_group_result_t **answers = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(request.event), &groups);
        result = group_verdict(answers, groups, "Setting the positions", err);
    }
    kafka_request_end(&request);
    rd_kafka_AlterConsumerGroupOffsets_destroy(change);
    return result;
}

static int forget(struct kafka_transport *transport, const char *app, const rd_kafka_topic_partition_list_t *list,
                  struct err *err)
{
    rd_kafka_DeleteConsumerGroupOffsets_t *change = rd_kafka_DeleteConsumerGroupOffsets_new(app, list);
    struct kafka_request request;
    kafka_request_begin(&request, transport->admin, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS, KAFKA_REQUEST_MS);
    rd_kafka_DeleteConsumerGroupOffsets(transport->admin, &change, 1, request.options, request.queue);
    int result = kafka_request_wait(&request, err, "Removing positions of the group", app);
    if (result == 0) {
        size_t groups = 0;
        const rd_kafka_group_result_t **answers = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
            rd_kafka_event_DeleteConsumerGroupOffsets_result(request.event), &groups);
        result = group_verdict(answers, groups, "Removing the positions", err);
    }
    kafka_request_end(&request);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(change);
    return result;
}

/* The positions that are set (or those that are removed) as the library's list. */
static rd_kafka_topic_partition_list_t *choose(const struct position *positions, size_t count, bool removed)
{
    struct position *chosen = memory_alloc(count * sizeof *chosen);
    size_t chosen_count = 0;
    for (size_t i = 0; i < count; i++) {
        if ((positions[i].offset == OFFSET_NONE) == removed) {
            chosen[chosen_count++] = positions[i];
        }
    }
    rd_kafka_topic_partition_list_t *list = kafka_group_list(chosen, chosen_count);
    free(chosen);
    return list;
}

int kafka_groups_set_positions(struct transport *base, const char *app, const struct position *positions, size_t count,
                               struct err *err)
{
    struct kafka_transport *transport = kafka_transport(base);
    rd_kafka_topic_partition_list_t *kept = choose(positions, count, false);
    rd_kafka_topic_partition_list_t *removed = choose(positions, count, true);
    int result = kept->cnt > 0 ? alter(transport, app, kept, err) : 0;
    if (result == 0 && removed->cnt > 0) {
        result = forget(transport, app, removed, err);
    }
    if (result != 0 && (err->code == ERR_LOCKED || err->code == ERR_PROTOCOL)) {
        err_wrap(err, "setting positions of %s, which needs every process of the app to be stopped", app);
    }
    rd_kafka_topic_partition_list_destroy(kept);
    rd_kafka_topic_partition_list_destroy(removed);
    return result;
}
