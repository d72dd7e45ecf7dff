#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define COMMITTED_MS 5000 /* one try of reading committed offsets */

rd_kafka_topic_partition_list_t *kafka_group_list(const struct position *positions, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_add(list, positions[i].topic, positions[i].partition);
        at->offset = positions[i].offset;
        if (positions[i].metadata != NULL) {
            at->metadata = memory_copy_text(positions[i].metadata); /* freed with the list */
            at->metadata_size = strlen(positions[i].metadata);
        }
    }
    return list;
}

static rd_kafka_resp_err_t list_error(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return list->elems[i].err;
        }
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int kafka_group_committed_list(struct session *session, rd_kafka_topic_partition_list_t *list, struct err *err)
{
    int64_t started = kafka_now_ms(session->transport);
    int64_t told = started;
    while (list->cnt > 0) {
        rd_kafka_resp_err_t code = rd_kafka_committed(session->consumer, list, COMMITTED_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = list_error(list);
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return 0;
        }
        bool transient = kafka_error_transient(code);
        if (!transient || kafka_session_stopping(session)) {
            return kafka_error_set(err, transient ? ERR_RETRY : ERR_FATAL, code, NULL,
                                   "The committed offsets of the group %s can't be read", session->app);
        }
        if (kafka_now_ms(session->transport) - told >= COMMITTED_MS) {
            told = kafka_now_ms(session->transport);
            log_event(LOG_WARN, "The group's committed offsets can't be read yet.", log_text("group", session->app),
                      log_text("reason", rd_kafka_err2str(code)), log_number("since_ms", told - started));
        }
        clock_sleep_ms(KAFKA_NAP_MS);
    }
    return 0;
}

static char *metadata_text(const rd_kafka_topic_partition_t *at)
{
    return at->metadata_size > 0 ? memory_format("%.*s", (int)at->metadata_size, (const char *)at->metadata) : NULL;
}

int kafka_group_committed(struct session *session, struct position *positions, size_t count, struct err *err)
{
    if (session->consumer == NULL) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "A session without a group has no committed offsets.");
    }
    if (session->committed != NULL) {
        rd_kafka_topic_partition_list_destroy(session->committed);
    }
    session->committed = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(session->committed, positions[i].topic, positions[i].partition);
    }
    if (kafka_group_committed_list(session, session->committed, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *at = &session->committed->elems[i];
        char *text = metadata_text(at); /* the library's own is not terminated */
        free(at->metadata);
        at->metadata = text; /* freed with the list */
        positions[i].offset = at->offset >= 0 ? at->offset : OFFSET_NONE;
        positions[i].metadata = text;
    }
    return 0;
}

/* ---- P4 ---- */

#define MAGIC "CGMDv2:"
#define MAGIC_SIZE 7

/* The generation in the library's own serialized form, which is the only way to see it in 2.0.2; 0 when the form is one
 * that is not known here: then the library's flag of a lost assignment has to do. */
static int32_t generation_of(const rd_kafka_consumer_group_metadata_t *metadata)
{
    void *buffer = NULL;
    size_t size = 0;
    int32_t generation = 0;
    rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(metadata, &buffer, &size);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
        return 0;
    }
    if (size >= MAGIC_SIZE + sizeof generation && memcmp(buffer, MAGIC, MAGIC_SIZE) == 0) {
        memcpy(&generation, (char *)buffer + MAGIC_SIZE, sizeof generation);
    }
    rd_kafka_mem_free(NULL, buffer);
    return generation;
}

rd_kafka_consumer_group_metadata_t *kafka_group_metadata(struct session *session)
{
    if (session->subscription_count == 0) {
        return rd_kafka_consumer_group_metadata_new(session->app); /* no member: only an empty group takes it */
    }
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(session->consumer);
    /* Looked at after the metadata was taken: a member evicted before has the flag set. */
    bool member = metadata != NULL && !rd_kafka_assignment_lost(session->consumer) && generation_of(metadata) >= 0;
    if (metadata != NULL && !member) {
        rd_kafka_consumer_group_metadata_destroy(metadata);
    }
    return member ? metadata : NULL;
}

/* ---- subscription and assignment ---- */

int kafka_group_subscribe(struct session *session, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)session->subscription_count);
    for (size_t i = 0; i < session->subscription_count; i++) {
        rd_kafka_topic_partition_list_add(list, session->subscriptions[i].topic, RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(session->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : kafka_error_set(err, ERR_FATAL, code, NULL, "The group %s can't subscribe to its topics",
                                 session->app);
}

static enum reset_policy reset_of(const struct session *session, const char *topic)
{
    for (size_t i = 0; i < session->subscription_count; i++) {
        const struct kafka_subscription *subscription = &session->subscriptions[i];
        if (!subscription->pattern && strcmp(subscription->topic, topic) == 0) {
            return subscription->reset;
        }
    }
    for (size_t i = 0; i < session->subscription_count; i++) {
        const struct kafka_subscription *subscription = &session->subscriptions[i];
        if (subscription->pattern && regexec(&subscription->regex, topic, 0, NULL, 0) == 0) {
            return subscription->reset;
        }
    }
    return RESET_ERROR;
}

static void add_input(struct session *session, const char *topic, int32_t partition)
{
    const char *name = kafka_name(session->transport, topic);
    session->inputs =
        memory_grow(session->inputs, session->input_count, &session->input_capacity, sizeof *session->inputs);
    struct input *input = kafka_input_new(session->transport, session->consumer, name, partition, &session->bell);
    input->reset = reset_of(session, name);
    session->inputs[session->input_count++] = input;
}

static void drop_inputs(struct session *session)
{
    for (size_t i = 0; i < session->input_count; i++) {
        kafka_input_free(session->inputs[i]);
    }
    session->input_count = 0;
}

/* Where a partition without a committed offset begins. */
static int place_without_commit(struct session *session, rd_kafka_topic_partition_list_t *list, struct err *err)
{
    rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_new(list->cnt);
    for (size_t i = 0; i < session->input_count; i++) {
        const struct input *input = session->inputs[i];
        if (list->elems[i].offset >= 0) {
            continue;
        }
        if (input->reset == RESET_ERROR) {
            rd_kafka_topic_partition_list_destroy(asked);
            return err_set(err, ERR_FATAL, ERR_TOPIC,
                           "The group %s has no committed offset for %s [%d], and its reset option is \"error\".",
                           session->app, input->topic, input->partition);
        }
        rd_kafka_topic_partition_list_add(asked, input->topic, input->partition)->offset =
            input->reset == RESET_LATEST ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
    }
    int result = 0;
    while (asked->cnt > 0 && (result = kafka_admin_offsets(session->transport, session->consumer, asked, err)) != 0 &&
           err->class == ERR_RETRY && !kafka_session_stopping(session)) {
        log_event(LOG_WARN, "The first offsets of new partitions can't be read yet.", log_text("reason", err->text));
    }
    for (size_t i = 0; result == 0 && i < session->input_count; i++) {
        const rd_kafka_topic_partition_t *found =
            rd_kafka_topic_partition_list_find(asked, session->inputs[i]->topic, session->inputs[i]->partition);
        session->inputs[i]->position = found != NULL ? found->offset : list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(asked);
    return result;
}

static struct kafka_topic_id *find_topic(struct kafka_topic_id *ids, size_t count, const struct input *input)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i].topic == input->topic) { /* both are kafka_name's */
            return &ids[i];
        }
    }
    return NULL;
}

/* One request for all topics. Asked for after the committed offsets: a topic that was made anew meanwhile has another
 * id than they were committed under. */
static void find_topic_ids(struct session *session)
{
    struct kafka_topic_id *ids = memory_alloc(session->input_count * sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < session->input_count; i++) {
        if (find_topic(ids, count, session->inputs[i]) == NULL) {
            ids[count++].topic = session->inputs[i]->topic;
        }
    }
    struct kafka_request request;
    if (kafka_topic_id_offered() && kafka_admin_answers(session->transport) &&
        kafka_topic_id_ask(session->transport, ids, count, &request)) {
        kafka_topic_id_answer(&request, ids, count);
    }
    for (size_t i = 0; i < session->input_count; i++) {
        struct input *input = session->inputs[i];
        memcpy(input->topic_id, find_topic(ids, count, input)->id, sizeof input->topic_id);
    }
    free(ids);
}

/* Tells the engine of all inputs: assigned (list given) or revoked. */
static int tell(struct session *session, const rd_kafka_topic_partition_list_t *list, bool lost, struct err *err)
{
    size_t count = session->input_count;
    struct assigned *told = memory_alloc(count * sizeof *told);
    for (size_t i = 0; i < count; i++) {
        struct input *input = session->inputs[i];
        bool committed = list != NULL && list->elems[i].offset >= 0;
        told[i] = (struct assigned){
            .topic = input->topic,
            .partition = input->partition,
            .committed = committed ? list->elems[i].offset : OFFSET_NONE,
            .metadata = committed ? metadata_text(&list->elems[i]) : NULL,
            .topic_id = input->topic_id,
            .input = input,
        };
    }
    int result = list != NULL ? session->config.assigned(session->config.self, told, count, err)
                              : session->config.revoked(session->config.self, told, count, lost, err);
    for (size_t i = 0; i < count; i++) {
        free((char *)told[i].metadata);
    }
    free(told);
    return result;
}

static void keep_failure(struct session *session, const struct err *err)
{
    if (!session->failed) {
        session->failed = true;
        session->failure = *err;
    }
}

static int start_inputs(struct session *session, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)session->input_count);
    for (size_t i = 0; i < session->input_count; i++) {
        struct input *input = session->inputs[i];
        rd_kafka_topic_partition_list_add(list, input->topic, input->partition)->offset = input->position;
        input->started = true;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(session->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : kafka_error_set(err, ERR_FATAL, code, NULL, "The group %s can't start on its partitions",
                                 session->app);
}

/* Inputs first: their queues must be taken from the consumer's before the partitions are started. */
static int assign(struct session *session, const rd_kafka_topic_partition_list_t *partitions, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions->cnt);
    for (int i = 0; i < partitions->cnt; i++) {
        add_input(session, partitions->elems[i].topic, partitions->elems[i].partition);
        rd_kafka_topic_partition_list_add(list, partitions->elems[i].topic, partitions->elems[i].partition);
    }
    int result = kafka_group_committed_list(session, list, err);
    if (result == 0) {
        result = place_without_commit(session, list, err);
    }
    if (result == 0) {
        find_topic_ids(session);
        result = tell(session, list, false, err);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (result == 0 && (result = start_inputs(session, err)) != 0) {
        struct err ignored;
        tell(session, NULL, true, &ignored);
    }
    return result;
}

static void revoke(struct session *session)
{
    struct err err;
    if (session->input_count > 0 && tell(session, NULL, rd_kafka_assignment_lost(session->consumer), &err) != 0) {
        keep_failure(session, &err);
    }
    for (size_t i = 0; i < session->input_count; i++) {
        kafka_input_release(session->inputs[i]);
    }
    rd_kafka_assign(session->consumer, NULL);
    drop_inputs(session);
}

/* What was assigned is not taken. An empty list ends the rebalance to the library; without a list it would wait on for
 * one, and put off leaving the group until then. */
static void decline(struct session *session, rd_kafka_t *rk)
{
    rd_kafka_topic_partition_list_t *nothing = rd_kafka_topic_partition_list_new(0);
    rd_kafka_assign(rk, nothing);
    rd_kafka_topic_partition_list_destroy(nothing);
    drop_inputs(session);
}

/* A process that is leaving may be given partitions, too, when the group was about to share them out anew. */
static void take_assignment(struct session *session, rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *partitions)
{
    struct err err;
    if (session->closing) {
        decline(session, rk);
        return;
    }
    log_event(LOG_INFO, "Partitions were assigned.", log_text("client", session->consumer_client.name),
              log_number("count", partitions->cnt));
    if (assign(session, partitions, &err) != 0) {
        keep_failure(session, &err);
        decline(session, rk);
    }
}

void kafka_group_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                           void *opaque)
{
    struct session *session = ((struct kafka_client *)opaque)->session;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        take_assignment(session, rk, partitions);
    } else {
        log_event(LOG_INFO, "Partitions were revoked.", log_text("client", session->consumer_client.name),
                  log_number("count", partitions->cnt));
        revoke(session);
    }
}
