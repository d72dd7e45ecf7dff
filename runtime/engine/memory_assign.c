/* Poll: brings a session's assignment in line with its group, then waits for something to fetch.
 *
 * The callbacks run without the transport's lock, because they commit, produce and seek.
 */
#include "base/memory.h"
#include "engine/memory_int.h"

#include <stdlib.h>

struct assigned_list {
    struct assigned *list;
    size_t count;
    size_t capacity;
};

static struct assigned *add_assigned(struct assigned_list *list, struct input *input)
{
    list->list = memory_grow(list->list, list->count, &list->capacity, sizeof(struct assigned));
    struct assigned *assigned = &list->list[list->count++];
    *assigned = (struct assigned){.topic = input->partition->topic->name,
                                  .partition = input->partition->index,
                                  .committed = OFFSET_NONE,
                                  .input = input};
    return assigned;
}

static bool listed(const struct assigned_list *list, const struct input *input)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->list[i].input == input) {
            return true;
        }
    }
    return false;
}

/* ---- taking away ---- */

static void end_inputs(struct session *session, const struct assigned_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < session->input_count; i++) {
        struct input *input = session->inputs[i];
        if (!listed(list, input)) {
            session->inputs[kept++] = input;
            continue;
        }
        memory_group_release(session->group, session, input->partition->index);
        free(input);
    }
    session->input_count = kept;
    for (size_t i = 0; i < kept; i++) {
        memory_group_own(session->group, session->inputs[i]->partition->index, session);
    }
    memory_group_changed(session->transport, session->group);
}

static int revoke(struct session *session, struct assigned_list *list, bool lost, struct err *err)
{
    if (list->count == 0) {
        return 0;
    }
    int result = 0;
    if (session->config.revoked != NULL) {
        result = session->config.revoked(session->config.self, list->list, list->count, lost, err);
    }
    pthread_mutex_lock(&session->transport->lock);
    end_inputs(session, list);
    pthread_mutex_unlock(&session->transport->lock);
    return result;
}

int memory_assign_release(struct session *session, bool lost, struct err *err)
{
    struct assigned_list list = {0};
    for (size_t i = 0; i < session->input_count; i++) {
        add_assigned(&list, session->inputs[i]);
    }
    int result = revoke(session, &list, lost, err);
    free(list.list);
    return result;
}

static int revoke_moved(struct session *session, struct err *err)
{
    struct assigned_list list = {0};
    pthread_mutex_lock(&session->transport->lock);
    for (size_t i = 0; i < session->input_count; i++) {
        struct input *input = session->inputs[i];
        bool mine = memory_group_target(session->group, input->partition->index) == session;
        if (!mine || input->partition->topic->deleted) {
            add_assigned(&list, input);
        }
    }
    pthread_mutex_unlock(&session->transport->lock);
    int result = revoke(session, &list, false, err);
    free(list.list);
    return result;
}

/* ---- giving ---- */

static const struct memory_subscription *subscription_of(const struct session *session, const char *topic)
{
    for (size_t i = 0; i < session->subscription_count; i++) {
        const struct memory_subscription *subscription = &session->subscriptions[i];
        if (subscription->pattern ? regexec(&subscription->regex, topic, 0, NULL, 0) == 0
                                  : strcmp(subscription->topic, topic) == 0) {
            return subscription;
        }
    }
    return NULL;
}

static bool has_input(const struct session *session, const struct memory_partition *partition)
{
    for (size_t i = 0; i < session->input_count; i++) {
        if (session->inputs[i]->partition == partition) {
            return true;
        }
    }
    return false;
}

/* Where reading starts, and what is said about the committed offset. */
static int place(struct session *session, struct assigned *assigned, enum reset_policy reset, struct err *err)
{
    struct input *input = assigned->input;
    const struct memory_partition *partition = input->partition;
    const struct memory_position *position = memory_group_position(session->group, partition);
    if (position != NULL) {
        assigned->committed = position->offset;
        assigned->metadata = position->metadata;
        input->position = position->offset;
        return 0;
    }
    if (reset == RESET_ERROR) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The group \"%s\" has no committed offset in partition %d of the topic \"%s\", and reset = "
                       "\"error\" says not to choose one.",
                       session->group->name, (int)partition->index, partition->topic->name);
    }
    input->position = reset == RESET_LATEST ? partition->end : partition->low;
    return 0;
}

static int take_partition(struct session *session, struct memory_partition *partition, enum reset_policy reset,
                          struct assigned_list *list, struct err *err)
{
    struct session *owner = memory_group_owner(session->group, partition->index);
    if (memory_group_target(session->group, partition->index) != session || (owner != NULL && owner != session) ||
        has_input(session, partition)) {
        return 0;
    }
    struct input *input = memory_alloc(sizeof *input);
    input->session = session;
    input->partition = partition;
    session->inputs =
        memory_grow(session->inputs, session->input_count, &session->input_capacity, sizeof(struct input *));
    session->inputs[session->input_count++] = input;
    memory_group_own(session->group, partition->index, session);
    return place(session, add_assigned(list, input), reset, err);
}

static int take_targets(struct session *session, struct assigned_list *list, struct err *err)
{
    struct memory_transport *memory = session->transport;
    for (size_t i = 0; i < memory->topic_count; i++) {
        struct memory_topic *topic = memory->topics[i];
        const struct memory_subscription *subscription = subscription_of(session, topic->name);
        if (topic->deleted || subscription == NULL) {
            continue;
        }
        for (int32_t j = 0; j < topic->count; j++) {
            if (take_partition(session, topic->partitions[j], subscription->reset, list, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* The metadata texts are copied: another session's commit may replace them during the callback. */
static void copy_metadata(struct assigned_list *list, struct arena *arena)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *metadata = list->list[i].metadata;
        if (metadata != NULL) {
            list->list[i].metadata = (const char *)arena_copy(arena, slice_of(metadata, strlen(metadata) + 1)).data;
        }
    }
}

static int assign_new(struct session *session, struct err *err)
{
    struct assigned_list list = {0};
    struct arena texts = {.chunk_size = 1024};
    pthread_mutex_lock(&session->transport->lock);
    session->seen = session->group->version;
    int result = take_targets(session, &list, err);
    copy_metadata(&list, &texts);
    pthread_mutex_unlock(&session->transport->lock);
    if (result == 0 && list.count > 0 && session->config.assigned != NULL) {
        result = session->config.assigned(session->config.self, list.list, list.count, err);
    }
    if (result != 0) {
        pthread_mutex_lock(&session->transport->lock);
        end_inputs(session, &list);
        pthread_mutex_unlock(&session->transport->lock);
    }
    arena_free(&texts);
    free(list.list);
    return result;
}

/* ---- waiting ---- */

static bool something_to_fetch(const struct session *session)
{
    for (size_t i = 0; i < session->input_count; i++) {
        const struct input *input = session->inputs[i];
        if (!input->paused && input->position < input->partition->end) {
            return true;
        }
    }
    return false;
}

static bool group_moved(const struct session *session)
{
    return session->group != NULL && session->seen != session->group->version;
}

static void wait_for_something(struct session *session, int timeout_ms)
{
    struct memory_transport *memory = session->transport;
    struct timespec deadline = memory_transport_deadline(timeout_ms);
    bool waiting = timeout_ms > 0 && !memory->config.timeless;
    pthread_mutex_lock(&memory->lock);
    while (waiting && !session->woken && !group_moved(session) && !something_to_fetch(session)) {
        waiting = memory_transport_wait(memory, &deadline);
    }
    session->woken = false;
    pthread_mutex_unlock(&memory->lock);
}

static bool must_look(struct session *session)
{
    pthread_mutex_lock(&session->transport->lock);
    bool moved = group_moved(session);
    pthread_mutex_unlock(&session->transport->lock);
    return moved;
}

static int follow_group(struct session *session, struct err *err)
{
    if (session->lost) {
        session->lost = false;
        if (memory_assign_release(session, true, err) != 0) {
            return -1;
        }
    }
    while (must_look(session)) {
        if (revoke_moved(session, err) != 0 || assign_new(session, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int memory_assign_poll(struct session *session, int timeout_ms, struct err *err)
{
    if (memory_transport_fault(session->transport, session, MEMORY_POLL, err) != 0) {
        return -1;
    }
    if (session->group != NULL && follow_group(session, err) != 0) {
        return -1;
    }
    wait_for_something(session, timeout_ms);
    return session->group != NULL ? follow_group(session, err) : 0;
}
