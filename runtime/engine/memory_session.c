/* Sessions in memory: fetching, and transactions that are a list of records until they are committed. */
#include "base/hash.h"
#include "base/memory.h"
#include "engine/memory_int.h"

#include <stdlib.h>

static int open_subscription(struct memory_subscription *subscription, const struct subscription *wanted,
                             struct err *err)
{
    subscription->reset = wanted->reset;
    subscription->pattern = wanted->topic[0] == '^';
    if (subscription->pattern && regcomp(&subscription->regex, wanted->topic, REG_EXTENDED | REG_NOSUB) != 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG, "The topic pattern \"%s\" is not a regular expression.",
                       wanted->topic);
    }
    subscription->topic = memory_copy_text(wanted->topic);
    return 0;
}

static void free_subscriptions(struct session *session)
{
    for (size_t i = 0; i < session->subscription_count; i++) {
        if (session->subscriptions[i].pattern) {
            regfree(&session->subscriptions[i].regex);
        }
        free(session->subscriptions[i].topic);
    }
    free(session->subscriptions);
}

static int subscribe(struct session *session, const struct session_config *config, struct err *err)
{
    session->subscriptions = memory_alloc(sizeof(struct memory_subscription) * config->subscription_count);
    for (size_t i = 0; i < config->subscription_count; i++) {
        if (open_subscription(&session->subscriptions[i], &config->subscriptions[i], err) != 0) {
            return -1;
        }
        session->subscription_count++;
    }
    return 0;
}

int memory_session_open(struct transport *transport, const struct session_config *config, struct session **session,
                        struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    struct session *opened = memory_alloc(sizeof *opened);
    opened->transport = memory;
    opened->config = *config;
    if (subscribe(opened, config, err) != 0) {
        free_subscriptions(opened);
        free(opened);
        return -1;
    }
    opened->before = arena_mark(&opened->payload);
    if (config->app != NULL) {
        pthread_mutex_lock(&memory->lock);
        opened->group = memory_group_need(memory, config->app);
        memory_group_join(opened->group, opened);
        pthread_mutex_unlock(&memory->lock);
    }
    *session = opened;
    return 0;
}

/* The arena goes to the transport: committed records point into it. */
static void keep_payload(struct session *session)
{
    struct memory_transport *memory = session->transport;
    memory->kept = memory_grow(memory->kept, memory->kept_count, &memory->kept_capacity, sizeof(struct arena));
    memory->kept[memory->kept_count++] = session->payload;
}

void memory_session_drop(struct session *session)
{
    session->pending_count = 0;
    session->discarding = false;
    arena_reset(&session->payload, session->before);
    for (size_t i = 0; i < session->output_count; i++) {
        struct output *output = session->outputs[i];
        memset(output->discarded, 0, sizeof(int64_t) * (size_t)output->count);
    }
}

static void free_outputs(struct session *session)
{
    for (size_t i = 0; i < session->output_count; i++) {
        free(session->outputs[i]->acknowledged);
        free(session->outputs[i]->discarded);
        free(session->outputs[i]);
    }
    free(session->outputs);
}

void memory_session_close(struct session *session)
{
    struct err ignored;
    if (session->group != NULL) {
        memory_assign_release(session, session->lost || session->expelled, &ignored);
    }
    memory_session_drop(session);
    pthread_mutex_lock(&session->transport->lock);
    if (session->group != NULL) {
        memory_group_leave(session->group, session);
    }
    keep_payload(session);
    pthread_mutex_unlock(&session->transport->lock);
    free_outputs(session);
    free_subscriptions(session);
    free(session->inputs);
    free(session->pending);
    arena_free(&session->scratch);
    free(session);
}

void memory_session_wake(struct session *session)
{
    pthread_mutex_lock(&session->transport->lock);
    session->woken = true;
    pthread_cond_broadcast(&session->transport->changed);
    pthread_mutex_unlock(&session->transport->lock);
}

/* ---- reading ---- */

int memory_session_fetch(struct session *session, struct input *input, struct record *records, size_t max,
                         size_t *count, struct err *err)
{
    *count = 0;
    if (memory_transport_fault(session->transport, session, MEMORY_FETCH, err) != 0) {
        return -1;
    }
    if (input->paused || input->position >= memory_log_end(input->partition)) {
        return 0;
    }
    pthread_mutex_lock(&session->transport->lock);
    int result = memory_log_check_start(input->partition, input->position, err);
    if (result == 0) {
        *count = memory_log_read(input->partition, input->position, records, max);
        input->position += (int64_t)*count;
    }
    pthread_mutex_unlock(&session->transport->lock);
    return result;
}

int64_t memory_session_known_end(struct session *session, struct input *input)
{
    (void)session;
    return memory_log_end(input->partition);
}

int64_t memory_session_position(struct session *session, struct input *input)
{
    (void)session;
    return input->position;
}

int memory_session_seek(struct session *session, struct input *input, int64_t offset, struct err *err)
{
    if (memory_transport_fault(session->transport, session, MEMORY_SEEK, err) != 0) {
        return -1;
    }
    pthread_mutex_lock(&session->transport->lock);
    const struct memory_partition *partition = input->partition;
    int result = 0;
    if (offset == OFFSET_BEGINNING) {
        input->position = partition->low;
    } else if (offset == OFFSET_END) {
        input->position = partition->end;
    } else if (offset >= 0 && offset <= partition->end) {
        input->position = offset;
    } else {
        result =
            err_set(err, ERR_FATAL, ERR_TOPIC, "Partition %d of the topic \"%s\" has no offset %lld; it ends at %lld.",
                    (int)partition->index, partition->topic->name, (long long)offset, (long long)partition->end);
    }
    pthread_mutex_unlock(&session->transport->lock);
    return result;
}

int memory_session_pause(struct session *session, struct input *input, bool paused, struct err *err)
{
    (void)session;
    (void)err;
    input->paused = paused;
    return 0;
}

/* ---- writing ---- */

int memory_session_output(struct session *session, const char *topic, struct output **output, int32_t *partitions,
                          struct err *err)
{
    pthread_mutex_lock(&session->transport->lock);
    struct memory_topic *found = memory_log_need(session->transport, topic, err);
    pthread_mutex_unlock(&session->transport->lock);
    if (found == NULL) {
        return -1;
    }
    struct output *opened = memory_alloc(sizeof *opened);
    opened->topic = found;
    opened->count = found->count;
    opened->acknowledged = memory_alloc(sizeof(int64_t) * (size_t)found->count);
    opened->discarded = memory_alloc(sizeof(int64_t) * (size_t)found->count);
    for (int32_t i = 0; i < opened->count; i++) {
        opened->acknowledged[i] = OFFSET_NONE;
    }
    session->outputs =
        memory_grow(session->outputs, session->output_count, &session->output_capacity, sizeof(struct output *));
    session->outputs[session->output_count++] = opened;
    *output = opened;
    if (partitions != NULL) {
        *partitions = opened->count;
    }
    return 0;
}

/* What an earlier failure demands first. */
static int check_state(const struct session *session, struct err *err)
{
    switch (session->state) {
    case MEMORY_WORKING:
        return 0;
    case MEMORY_MUST_ABORT:
        return err_set(err, ERR_ABORT, ERR_PROTOCOL, "The transaction has failed and must be aborted first.");
    case MEMORY_MUST_RECOVER:
        return err_set(err, ERR_UNKNOWN, ERR_PROTOCOL,
                       "The outcome of the last commit is not known; the producer must be made anew first.");
    }
    return 0;
}

static int choose_partition(struct output *output, int32_t wanted, const struct record *record, int32_t *partition,
                            struct err *err)
{
    if (wanted >= output->count) {
        return err_set(err, ERR_SKIP, ERR_RECORD, "The topic \"%s\" has no partition %d: it has %d, from 0 on.",
                       output->topic->name, (int)wanted, (int)output->count);
    }
    if (wanted >= 0) {
        *partition = wanted;
    } else if (slice_is_null(record->key)) {
        *partition = output->sticky;
    } else {
        *partition = output->count > 1 ? hash_partition(record->key, output->count) : 0;
    }
    return 0;
}

static void add_pending(struct session *session, struct output *output, int32_t partition, const struct record *record)
{
    if (session->transport->config.discard_outputs) {
        output->discarded[partition]++;
        session->discarding = true;
        return;
    }
    session->pending = memory_grow(session->pending, session->pending_count, &session->pending_capacity,
                                   sizeof(struct memory_pending));
    struct memory_pending *pending = &session->pending[session->pending_count++];
    pending->output = output;
    pending->record = record_copy(&session->payload, record);
    pending->record.partition = partition;
}

static void publish_discarded(struct session *session)
{
    for (size_t i = 0; session->discarding && i < session->output_count; i++) {
        struct output *output = session->outputs[i];
        for (int32_t j = 0; j < output->count; j++) {
            struct memory_partition *partition = output->topic->partitions[j];
            if (output->discarded[j] == 0) {
                continue;
            }
            memory_log_set_end(partition, partition->end + output->discarded[j]);
            partition->low = partition->end;
            output->acknowledged[j] = partition->end;
            output->discarded[j] = 0;
        }
    }
    session->discarding = false;
}

/* Makes the open transaction visible. With the lock held. */
static void publish(struct session *session)
{
    const struct memory_transport_config *config = &session->transport->config;
    publish_discarded(session);
    for (size_t i = 0; i < session->pending_count; i++) {
        const struct memory_pending *pending = &session->pending[i];
        int32_t index = pending->record.partition;
        const struct record *stored = memory_log_append(pending->output->topic->partitions[index], &pending->record);
        pending->output->acknowledged[index] = stored->offset + 1;
        if (config->committed != NULL) {
            config->committed(config->self, stored);
        }
    }
    session->pending_count = 0;
    session->before = arena_mark(&session->payload);
    for (size_t i = 0; i < session->output_count; i++) {
        session->outputs[i]->sticky = (session->outputs[i]->sticky + 1) % session->outputs[i]->count;
    }
    pthread_cond_broadcast(&session->transport->changed);
}

int memory_session_produce(struct session *session, struct output *output, int32_t partition,
                           const struct record *record, struct err *err)
{
    int32_t chosen = 0;
    if (memory_transport_fault(session->transport, session, MEMORY_PRODUCE, err) != 0 ||
        check_state(session, err) != 0 || choose_partition(output, partition, record, &chosen, err) != 0) {
        return -1;
    }
    add_pending(session, output, chosen, record);
    if (!session->config.transactional) {
        pthread_mutex_lock(&session->transport->lock);
        publish(session);
        pthread_mutex_unlock(&session->transport->lock);
    }
    return 0;
}

/* P3: a transaction of a group without positions fences nobody, so it is refused as the mistake that it is. */
static int check_positions(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    bool wrote = session->pending_count > 0 || session->discarding;
    if (session->group != NULL && session->config.transactional && wrote && count == 0) {
        return err_set(err, ERR_FATAL, ERR_INTERNAL, "A transaction was to be committed without input positions.");
    }
    for (size_t i = 0; i < count; i++) {
        struct memory_partition *partition =
            memory_log_partition(session->transport, positions[i].topic, positions[i].partition, err);
        if (partition == NULL) {
            return -1;
        }
        if (session->group == NULL || memory_group_owner(session->group, partition->index) != session) {
            session->lost = true;
            memory_session_drop(session);
            return err_set(err, ERR_FENCED, ERR_PROTOCOL,
                           "Partition %d of the topic \"%s\" belongs to another member of the group now.",
                           (int)partition->index, partition->topic->name);
        }
    }
    return 0;
}

static int commit(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    if (check_positions(session, positions, count, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        struct memory_partition *partition =
            memory_log_topic(session->transport, positions[i].topic)->partitions[positions[i].partition];
        memory_group_set_position(session->group, partition, positions[i].offset, positions[i].metadata);
    }
    publish(session);
    return 0;
}

int memory_session_commit(struct session *session, const struct position *positions, size_t count, struct err *err)
{
    struct memory_transport *memory = session->transport;
    if (check_state(session, err) != 0 || memory_transport_fault(memory, session, MEMORY_SEND_POSITIONS, err) != 0) {
        return -1;
    }
    enum memory_fault fault = memory_transport_ask(memory, MEMORY_COMMIT);
    int result = 0;
    if (fault == FAULT_NONE || fault == FAULT_UNKNOWN_DONE) {
        pthread_mutex_lock(&memory->lock);
        result = commit(session, positions, count, err);
        pthread_mutex_unlock(&memory->lock);
    }
    return result == 0 ? memory_transport_raise(session, fault, err) : -1;
}

int memory_session_abort(struct session *session, struct err *err)
{
    if (session->state == MEMORY_MUST_RECOVER) {
        return check_state(session, err);
    }
    if (memory_transport_fault(session->transport, session, MEMORY_ABORT, err) != 0) {
        session->state = session->state == MEMORY_WORKING ? MEMORY_MUST_ABORT : session->state;
        return -1;
    }
    memory_session_drop(session);
    session->state = MEMORY_WORKING;
    return 0;
}

int memory_session_recover(struct session *session, struct err *err)
{
    if (memory_transport_fault(session->transport, session, MEMORY_RECOVER, err) != 0) {
        return -1;
    }
    memory_session_drop(session);
    session->state = MEMORY_WORKING;
    return 0;
}

int memory_session_committed(struct session *session, struct position *positions, size_t count, struct err *err)
{
    if (memory_transport_fault(session->transport, session, MEMORY_COMMITTED, err) != 0) {
        return -1;
    }
    int result = 0;
    arena_clear(&session->scratch);
    pthread_mutex_lock(&session->transport->lock);
    for (size_t i = 0; i < count && result == 0; i++) {
        struct memory_partition *partition =
            memory_log_partition(session->transport, positions[i].topic, positions[i].partition, err);
        const struct memory_position *found =
            partition != NULL && session->group != NULL ? memory_group_position(session->group, partition) : NULL;
        const char *metadata = found != NULL ? found->metadata : NULL;
        result = partition != NULL ? 0 : -1;
        positions[i].offset = found != NULL ? found->offset : OFFSET_NONE;
        positions[i].metadata =
            metadata == NULL
                ? NULL
                : (const char *)arena_copy(&session->scratch, slice_of(metadata, strlen(metadata) + 1)).data;
    }
    pthread_mutex_unlock(&session->transport->lock);
    return result;
}

int64_t memory_session_acknowledged(struct session *session, struct output *output, int32_t partition)
{
    (void)session;
    return partition >= 0 && partition < output->count ? output->acknowledged[partition] : OFFSET_NONE;
}
