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
                                  .topic_id = input->partition->topic->info.id,
                                  .input = input};
    return assigned;
}

/* ---- taking away ---- */

static void end_inputs(struct session *session)
{
    pthread_mutex_lock(&session->transport->lock);
    for (size_t i = 0; i < session->input_count; i++) {
        memory_group_release(session->group, session, session->inputs[i]->partition->index);
        free(session->inputs[i]);
    }
    session->input_count = 0;
    memory_group_changed(session->transport, session->group);
    pthread_mutex_unlock(&session->transport->lock);
}

int memory_assign_release(struct session *session, bool lost, struct err *err)
{
    struct assigned_list list = {0};
    int result = 0;
    if (session->input_count == 0) {
        return 0;
    }
    for (size_t i = 0; i < session->input_count; i++) {
        add_assigned(&list, session->inputs[i]);
    }
    if (session->config.revoked != NULL) {
        result = session->config.revoked(session->config.self, list.list, list.count, lost, err);
    }
    end_inputs(session);
    free(list.list);
    return result;
}

/* ---- who should have what ---- */

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

/* How the group wants the session's assignment. */
struct wanted {
    struct memory_partition **list;
    size_t count;
    size_t capacity;
    bool held; /* it is what the session has */
    bool free; /* nobody else still has any of it */
};

static void want(struct session *session, struct memory_topic *topic, struct wanted *wanted)
{
    for (int32_t i = 0; i < topic->count; i++) {
        struct session *owner = memory_group_owner(session->group, i);
        if (memory_group_target(session->group, i) != session) {
            continue;
        }
        wanted->list = memory_grow(wanted->list, wanted->count, &wanted->capacity, sizeof(struct memory_partition *));
        wanted->list[wanted->count++] = topic->partitions[i];
        wanted->held = wanted->held && has_input(session, topic->partitions[i]);
        wanted->free = wanted->free && (owner == NULL || owner == session);
    }
}

/* With the lock held; the list is freed by the caller. */
static struct wanted find_wanted(struct session *session)
{
    struct memory_transport *memory = session->transport;
    struct wanted wanted = {.held = true, .free = true};
    for (size_t i = 0; i < memory->topic_count; i++) {
        if (!memory->topics[i]->deleted && subscription_of(session, memory->topics[i]->name) != NULL) {
            want(session, memory->topics[i], &wanted);
        }
    }
    wanted.held = wanted.held && wanted.count == session->input_count;
    return wanted;
}

/* ---- giving ---- */

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

static int take(struct session *session, const struct wanted *wanted, struct assigned_list *list, struct err *err)
{
    for (size_t i = 0; i < wanted->count; i++) {
        struct memory_partition *partition = wanted->list[i];
        struct input *input = memory_alloc(sizeof *input);
        input->session = session;
        input->partition = partition;
        session->inputs =
            memory_grow(session->inputs, session->input_count, &session->input_capacity, sizeof(struct input *));
        session->inputs[session->input_count++] = input;
        memory_group_own(session->group, partition->index, session);
        enum reset_policy reset = subscription_of(session, partition->topic->name)->reset;
        if (place(session, add_assigned(list, input), reset, err) != 0) {
            return -1;
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

static int give(struct session *session, struct assigned_list *list, struct err *err)
{
    return session->config.assigned == NULL
               ? 0
               : session->config.assigned(session->config.self, list->list, list->count, err);
}

/* The whole assignment at once, as an eager rebalance gives it; an empty one too, so that the session knows. It waits
 * for other members that still hold a part of it: their release moves the group's version. */
static int assign(struct session *session, struct err *err)
{
    struct assigned_list list = {0};
    struct arena texts = {.chunk_size = 1024};
    pthread_mutex_lock(&session->transport->lock);
    struct wanted wanted = find_wanted(session);
    session->seen = session->group->version;
    bool ready = wanted.free;
    int result = ready ? take(session, &wanted, &list, err) : 0;
    copy_metadata(&list, &texts);
    pthread_mutex_unlock(&session->transport->lock);
    if (ready && result == 0) {
        result = give(session, &list, err);
    }
    if (result != 0) {
        end_inputs(session);
    }
    arena_free(&texts);
    free(wanted.list);
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

/* Whether the group wants another assignment than the session has. */
static bool must_change(struct session *session)
{
    pthread_mutex_lock(&session->transport->lock);
    bool change = false;
    if (group_moved(session)) {
        struct wanted wanted = find_wanted(session);
        change = !wanted.held || session->input_count == 0;
        session->seen = session->group->version;
        free(wanted.list);
    }
    pthread_mutex_unlock(&session->transport->lock);
    return change;
}

/* Who was put out hears of it now, and is a member again. */
static void return_to_group(struct session *session)
{
    pthread_mutex_lock(&session->transport->lock);
    if (session->expelled) {
        session->expelled = false;
        session->lost = true;
        memory_session_drop(session);
        memory_group_join(session->group, session);
    }
    pthread_mutex_unlock(&session->transport->lock);
}

/* Rebalances are eager: everything is given back, then the new assignment comes as a whole. */
static int follow_group(struct session *session, struct err *err)
{
    return_to_group(session);
    if (session->lost) {
        session->lost = false;
        if (memory_assign_release(session, true, err) != 0) {
            return -1;
        }
    }
    while (must_change(session)) {
        if (memory_assign_release(session, false, err) != 0 || assign(session, err) != 0) {
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
