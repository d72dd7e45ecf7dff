#include "engine/memory_transport.h"

#include "base/hash.h"
#include "base/memory.h"
#include "engine/memory_int.h"

#include <stdlib.h>
#include <time.h>

/* ---- faults and waiting ---- */

enum memory_fault memory_transport_ask(struct memory_transport *memory, enum memory_call call)
{
    return memory->config.fault == NULL ? FAULT_NONE : memory->config.fault(memory->config.self, call);
}

static int fence(struct session *session, enum err_code code, struct err *err)
{
    if (session != NULL) {
        session->lost = true;
        memory_session_drop(session);
    }
    return err_set(err, ERR_FENCED, code, "Injected: this member has been fenced.");
}

static void enter(struct session *session, enum memory_session_state state)
{
    if (session != NULL) {
        session->state = state;
    }
}

int memory_transport_raise(struct session *session, enum memory_fault fault, struct err *err)
{
    switch (fault) {
    case FAULT_NONE:
        return 0;
    case FAULT_RETRY:
        return err_set(err, ERR_RETRY, ERR_UNREACHABLE, "Injected: the call did not happen.");
    case FAULT_ABORT:
        enter(session, MEMORY_MUST_ABORT);
        return err_set(err, ERR_ABORT, ERR_PROTOCOL, "Injected: the transaction must be aborted.");
    case FAULT_FENCED:
        return fence(session, ERR_PROTOCOL, err);
    case FAULT_REPLACED:
        return fence(session, ERR_LOCKED, err);
    case FAULT_FATAL:
        return err_set(err, ERR_FATAL, ERR_IO, "Injected: the call can't be served.");
    case FAULT_UNKNOWN_DONE:
    case FAULT_UNKNOWN_NOT_DONE:
        enter(session, MEMORY_MUST_RECOVER);
        return err_set(err, ERR_UNKNOWN, ERR_IO, "Injected: the outcome is not known.");
    }
    return 0;
}

struct timespec memory_transport_deadline(int timeout_ms)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    int64_t nanoseconds = deadline.tv_nsec + (int64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000;
    deadline.tv_sec += nanoseconds / 1000000000;
    deadline.tv_nsec = nanoseconds % 1000000000;
    return deadline;
}

bool memory_transport_wait(struct memory_transport *memory, const struct timespec *deadline)
{
    return pthread_cond_timedwait(&memory->changed, &memory->lock, deadline) == 0;
}

/* ---- topics ---- */

static int describe_topic(struct transport *transport, const char *topic, struct topic_info *info, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    if (memory_transport_fault(memory, NULL, MEMORY_DESCRIBE, err) != 0) {
        return -1;
    }
    pthread_mutex_lock(&memory->lock);
    const struct memory_topic *found = memory_log_topic(memory, topic);
    if (found != NULL) {
        *info = found->info;
    } else {
        memset(info, 0, sizeof *info);
    }
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int create_topic(struct transport *transport, const struct topic_spec *spec, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    if (memory_transport_fault(memory, NULL, MEMORY_CREATE, err) != 0) {
        return -1;
    }
    pthread_mutex_lock(&memory->lock);
    if (memory_log_topic(memory, spec->name) == NULL) {
        memory_log_create(memory, spec);
    }
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int missing(const char *topic, struct err *err)
{
    return err_set(err, ERR_FATAL, ERR_TOPIC, "The topic \"%s\" does not exist.", topic);
}

static int delete_topic(struct transport *transport, const char *topic, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    struct memory_topic *found = memory_log_topic(memory, topic);
    if (found != NULL) {
        found->deleted = true;
        memory_group_forget(memory, found);
        memory_group_all_changed(memory);
    }
    pthread_mutex_unlock(&memory->lock);
    return found != NULL ? 0 : missing(topic, err);
}

static int add_partitions(struct transport *transport, const char *topic, int32_t total, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    int result = 0;
    pthread_mutex_lock(&memory->lock);
    struct memory_topic *found = memory_log_topic(memory, topic);
    if (found == NULL) {
        result = missing(topic, err);
    } else if (total < found->count) {
        result = err_set(err, ERR_FATAL, ERR_TOPIC, "The topic \"%s\" has %d partitions; it can't be reduced to %d.",
                         topic, (int)found->count, (int)total);
    } else {
        memory_log_grow(memory, found, total);
    }
    pthread_mutex_unlock(&memory->lock);
    return result;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static int list_topics(struct transport *transport, struct option_list *names, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    (void)err;
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < memory->topic_count; i++) {
        if (!memory->topics[i]->deleted) {
            option_list_add(names, memory->topics[i]->name);
        }
    }
    pthread_mutex_unlock(&memory->lock);
    if (names->count > 0) {
        qsort(names->items, names->count, sizeof names->items[0], compare_names);
    }
    return 0;
}

static int watermarks(struct transport *transport, const char *topic, int32_t partition, int64_t *low, int64_t *high,
                      struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    const struct memory_partition *found = memory_log_partition(memory, topic, partition, err);
    if (found != NULL) {
        *low = found->low;
        *high = found->end;
    }
    pthread_mutex_unlock(&memory->lock);
    return found != NULL ? 0 : -1;
}

static int offset_for_time(struct transport *transport, const char *topic, int32_t partition, int64_t timestamp,
                           int64_t *offset, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    struct record record;
    pthread_mutex_lock(&memory->lock);
    const struct memory_partition *found = memory_log_partition(memory, topic, partition, err);
    if (found != NULL) {
        *offset = found->low;
        while (memory_log_read(found, *offset, &record, 1) == 1 && record.timestamp < timestamp) {
            (*offset)++;
        }
    }
    pthread_mutex_unlock(&memory->lock);
    return found != NULL ? 0 : -1;
}

static int delete_records(struct transport *transport, const char *topic, int32_t partition, int64_t before,
                          struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    struct memory_partition *found = memory_log_partition(memory, topic, partition, err);
    if (found != NULL) {
        memory_log_delete_before(found, before);
    }
    pthread_mutex_unlock(&memory->lock);
    return found != NULL ? 0 : -1;
}

/* ---- groups ---- */

static int group_positions(struct transport *transport, const char *app, struct group_position **list, size_t *count,
                           struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    (void)err;
    pthread_mutex_lock(&memory->lock);
    const struct memory_group *group = memory_group_find(memory, app);
    *count = group != NULL ? group->position_count : 0;
    *list = memory_alloc(sizeof **list * *count);
    for (size_t i = 0; i < *count; i++) {
        const struct memory_position *position = &group->positions[i];
        (*list)[i] = (struct group_position){.topic = memory_copy_text(position->partition->topic->name),
                                             .partition = position->partition->index,
                                             .committed = position->offset,
                                             .metadata = memory_copy_text(position->metadata)};
    }
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int set_positions(struct memory_transport *memory, const char *app, const struct position *positions,
                         size_t count, struct err *err)
{
    struct memory_group *group = memory_group_need(memory, app);
    if (group->member_count > 0) {
        return err_set(err, ERR_FATAL, ERR_LOCKED,
                       "The group \"%s\" is running; stop the app before its positions are changed.", app);
    }
    for (size_t i = 0; i < count; i++) {
        if (memory_log_partition(memory, positions[i].topic, positions[i].partition, err) == NULL) {
            return -1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct position *position = &positions[i];
        struct memory_topic *topic = memory_log_topic(memory, position->topic);
        memory_group_set_position(group, topic->partitions[position->partition], position->offset, position->metadata);
    }
    return 0;
}

static int set_group_positions(struct transport *transport, const char *app, const struct position *positions,
                               size_t count, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    int result = set_positions(memory, app, positions, count, err);
    pthread_mutex_unlock(&memory->lock);
    return result;
}

/* ---- the whole ---- */

static void close_transport(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);
    memory_group_free(memory);
    memory_log_free(memory);
    for (size_t i = 0; i < memory->kept_count; i++) {
        arena_free(&memory->kept[i]);
    }
    free(memory->kept);
    arena_free(&memory->payload);
    pthread_cond_destroy(&memory->changed);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct transport_class class = {
    .name = "memory",
    .close = close_transport,
    .describe_topic = describe_topic,
    .create_topic = create_topic,
    .delete_topic = delete_topic,
    .add_partitions = add_partitions,
    .list_topics = list_topics,
    .watermarks = watermarks,
    .offset_for_time = offset_for_time,
    .delete_records = delete_records,
    .group_positions = group_positions,
    .set_group_positions = set_group_positions,
    .session_open = memory_session_open,
    .session_close = memory_session_close,
    .poll = memory_assign_poll,
    .wake = memory_session_wake,
    .fetch = memory_session_fetch,
    .known_end = memory_session_known_end,
    .position = memory_session_position,
    .seek = memory_session_seek,
    .pause = memory_session_pause,
    .output = memory_session_output,
    .produce = memory_session_produce,
    .commit = memory_session_commit,
    .abort = memory_session_abort,
    .recover = memory_session_recover,
    .committed = memory_session_committed,
    .acknowledged = memory_session_acknowledged,
    .reader_open = memory_reader_open,
    .reader_close = memory_reader_close,
    .read = memory_reader_read,
    .reader_position = memory_reader_position,
};

int memory_transport_open(const struct memory_transport_config *config, struct transport **transport, struct err *err)
{
    (void)err;
    struct memory_transport *memory = memory_alloc(sizeof *memory);
    pthread_condattr_t attributes;
    memory->base.class = &class;
    memory->config = *config;
    pthread_mutex_init(&memory->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&memory->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *transport = &memory->base;
    return 0;
}

/* With the lock held. NULL on failure. */
static struct record *append(struct memory_transport *memory, const char *topic, int32_t partition,
                             const struct record *record, struct err *err)
{
    struct memory_topic *found = memory_log_need(memory, topic, err);
    if (found == NULL) {
        return NULL;
    }
    if (partition < 0 && slice_is_null(record->key)) {
        partition = found->turn;
        found->turn = (found->turn + 1) % found->count;
    } else if (partition < 0) {
        partition = hash_partition(record->key, found->count);
    }
    struct memory_partition *target = memory_log_partition(memory, topic, partition, err);
    if (target == NULL) {
        return NULL;
    }
    struct record copy = record_copy(&memory->payload, record);
    struct record *stored = memory_log_append(target, &copy);
    pthread_cond_broadcast(&memory->changed);
    return stored;
}

int memory_transport_append(struct transport *transport, const char *topic, int32_t partition,
                            const struct record *record, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    struct record *stored = append(memory, topic, partition, record, err);
    pthread_mutex_unlock(&memory->lock);
    return stored != NULL ? 0 : -1;
}

int memory_transport_append_from(struct transport *transport, const char *topic, const struct record *record,
                                 const char *origin, struct err *err)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    struct record *stored = append(memory, topic, -1, record, err);
    if (stored != NULL) {
        stored->topic = (const char *)arena_copy(&memory->payload, slice_of(origin, strlen(origin) + 1)).data;
    }
    pthread_mutex_unlock(&memory->lock);
    return stored != NULL ? 0 : -1;
}

bool memory_transport_record(struct transport *transport, const char *topic, int32_t partition, int64_t offset,
                             struct record *record)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    const struct memory_topic *found = memory_log_topic(memory, topic);
    bool there = found != NULL && partition >= 0 && partition < found->count && offset >= 0 &&
                 offset >= found->partitions[partition]->low &&
                 memory_log_read(found->partitions[partition], offset, record, 1) == 1;
    pthread_mutex_unlock(&memory->lock);
    return there;
}

void memory_transport_expel(struct transport *transport, int thread)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < memory->group_count; i++) {
        memory_group_expel(memory->groups[i], thread);
    }
    pthread_mutex_unlock(&memory->lock);
}

void memory_transport_rebalance(struct transport *transport)
{
    struct memory_transport *memory = memory_of(transport);
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < memory->group_count; i++) {
        memory->groups[i]->rotation++;
        memory_group_changed(memory, memory->groups[i]);
    }
    pthread_mutex_unlock(&memory->lock);
}
