/* The bodies behind memory_transport.h, shared by memory_transport.c (the class, topics as a whole), memory_log.c
 * (partitions), memory_group.c (who owns what, positions), memory_session.c and memory_reader.c.
 *
 * Ownership: everything hangs on the transport and ends with it; deleted topics too, because handed-out records name
 * them. Bytes of records live in arenas that are only ever freed with the transport, so a record can be handed out by
 * pointer.
 * @locks one mutex for everything that two sessions share; memory_log and memory_group are called with it held.
 */
#ifndef TIDEMILL_ENGINE_MEMORY_INT_H
#define TIDEMILL_ENGINE_MEMORY_INT_H

#include "base/arena.h"
#include "engine/memory_transport.h"

#include <pthread.h>
#include <regex.h>

#define MEMORY_CHUNK 1024 /* records */

struct memory_transport;
struct memory_topic;

struct memory_partition {
    struct memory_topic *topic;
    int32_t index;
    struct record **chunks; /* record n is chunks[n / MEMORY_CHUNK][n % MEMORY_CHUNK] */
    size_t chunk_count;
    size_t chunk_capacity;
    int64_t low;
    int64_t end; /* read without the lock by known_end and fetch: stored with release */
};

struct memory_topic {
    char *name;
    struct topic_info info;
    struct memory_partition **partitions;
    int32_t count;
    int32_t turn; /* where the next record without a key goes */
    bool deleted;
};

/* A committed offset of a group. */
struct memory_position {
    struct memory_partition *partition;
    int64_t offset;
    char *metadata;
};

struct memory_group {
    char *name;
    struct session **members; /* by thread number */
    size_t member_count;
    size_t member_capacity;
    struct memory_position *positions;
    size_t position_count;
    size_t position_capacity;
    struct session **owners; /* by partition number; NULL: free */
    size_t owner_count;
    size_t rotation;  /* moves with every forced rebalance */
    uint64_t version; /* moves whenever a member should look at its assignment */
};

struct memory_transport {
    struct transport base;
    struct memory_transport_config config;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct memory_topic **topics; /* deleted ones included */
    size_t topic_count;
    size_t topic_capacity;
    struct memory_group **groups;
    size_t group_count;
    size_t group_capacity;
    struct arena payload; /* of records from outside */
    struct arena *kept;   /* of sessions that have ended */
    size_t kept_count;
    size_t kept_capacity;
};

struct memory_subscription {
    char *topic;
    bool pattern;
    regex_t regex;
    enum reset_policy reset;
};

struct input {
    struct session *session;
    struct memory_partition *partition;
    int64_t position;
    bool paused;
};

struct output {
    struct memory_topic *topic;
    int32_t count;         /* partitions as of the opening */
    int32_t sticky;        /* of records without a key; moves with every commit */
    int64_t *acknowledged; /* by partition */
    int64_t *discarded;    /* by partition: records of the open transaction that are only counted */
};

/* A record of the open transaction. */
struct memory_pending {
    struct output *output;
    struct record record;
};

enum memory_session_state { MEMORY_WORKING, MEMORY_MUST_ABORT, MEMORY_MUST_RECOVER };

struct session {
    struct memory_transport *transport;
    struct session_config config; /* its pointers to texts and subscriptions are not used after the opening */
    struct memory_group *group;   /* NULL: only produces */
    struct memory_subscription *subscriptions;
    size_t subscription_count;
    uint64_t seen; /* version of the group that the assignment was made by */
    bool woken;
    bool lost;     /* fenced: everything assigned is gone */
    bool expelled; /* the same, and it is no member any more; with the lock held */
    enum memory_session_state state;
    struct input **inputs;
    size_t input_count;
    size_t input_capacity;
    struct output **outputs;
    size_t output_count;
    size_t output_capacity;
    struct arena payload;     /* of produced records; grows, committed records point into it */
    struct arena_mark before; /* of the open transaction */
    struct memory_pending *pending;
    size_t pending_count;
    size_t pending_capacity;
    bool discarding;      /* the open transaction has records that are only counted */
    struct arena scratch; /* metadata handed out by `committed` */
};

static inline struct memory_transport *memory_of(struct transport *transport)
{
    return (struct memory_transport *)transport;
}

/* ---- memory_log.c ---- */
struct memory_topic *memory_log_topic(const struct memory_transport *memory, const char *name); /* NULL: none */
struct memory_topic *memory_log_create(struct memory_transport *memory, const struct topic_spec *spec);
/* Like memory_log_topic; makes a missing one where the configuration says so, else ERR_TOPIC. */
struct memory_topic *memory_log_need(struct memory_transport *memory, const char *name, struct err *err);
struct memory_partition *memory_log_partition(struct memory_transport *memory, const char *topic, int32_t partition,
                                              struct err *err);
void memory_log_grow(struct memory_transport *memory, struct memory_topic *topic, int32_t total);
/* Takes a record whose bytes last as long as the transport; returns the stored one. */
struct record *memory_log_append(struct memory_partition *partition, const struct record *record);
/* Copies up to `max` records from `offset` on, which must not be below the partition's low end. */
size_t memory_log_read(const struct memory_partition *partition, int64_t offset, struct record *records, size_t max);
void memory_log_delete_before(struct memory_partition *partition, int64_t offset);
int memory_log_check_start(const struct memory_partition *partition, int64_t offset, struct err *err);
void memory_log_free(struct memory_transport *memory);
static inline int64_t memory_log_end(const struct memory_partition *partition)
{
    return __atomic_load_n(&partition->end, __ATOMIC_ACQUIRE);
}
static inline void memory_log_set_end(struct memory_partition *partition, int64_t end)
{
    __atomic_store_n(&partition->end, end, __ATOMIC_RELEASE);
}

/* ---- memory_group.c ---- */
struct memory_group *memory_group_find(struct memory_transport *memory, const char *name); /* NULL: none */
struct memory_group *memory_group_need(struct memory_transport *memory, const char *name);
struct memory_position *memory_group_position(struct memory_group *group, const struct memory_partition *partition);
void memory_group_set_position(struct memory_group *group, struct memory_partition *partition, int64_t offset,
                               const char *metadata);
void memory_group_forget(struct memory_transport *memory, const struct memory_topic *topic);
void memory_group_join(struct memory_group *group, struct session *session);
void memory_group_leave(struct memory_group *group, struct session *session);
void memory_group_expel(struct memory_group *group, int thread);
/* Everybody looks at the assignment again. */
void memory_group_changed(struct memory_transport *memory, struct memory_group *group);
void memory_group_all_changed(struct memory_transport *memory);
/* Who should own a partition number now. */
struct session *memory_group_target(const struct memory_group *group, int32_t partition);
struct session *memory_group_owner(const struct memory_group *group, int32_t partition);
void memory_group_own(struct memory_group *group, int32_t partition, struct session *session);
void memory_group_release(struct memory_group *group, struct session *session, int32_t partition);
void memory_group_free(struct memory_transport *memory);

/* ---- memory_transport.c ---- */
/* What the fault hook wants of a call. Without the lock. */
enum memory_fault memory_transport_ask(struct memory_transport *memory, enum memory_call call);
/* The error of a fault, and what it does to the session (NULL: none); 0 for FAULT_NONE. */
int memory_transport_raise(struct session *session, enum memory_fault fault, struct err *err);
/* Both together. */
static inline int memory_transport_fault(struct memory_transport *memory, struct session *session,
                                         enum memory_call call, struct err *err)
{
    return memory->config.fault == NULL ? 0 : memory_transport_raise(session, memory_transport_ask(memory, call), err);
}
/* Waits for a change until the deadline (monotonic); false: it has passed. With the lock held. */
bool memory_transport_wait(struct memory_transport *memory, const struct timespec *deadline);
struct timespec memory_transport_deadline(int timeout_ms);

/* ---- memory_assign.c ---- */
int memory_assign_poll(struct session *session, int timeout_ms, struct err *err);
/* Gives back everything; `lost`: nothing may be committed any more. */
int memory_assign_release(struct session *session, bool lost, struct err *err);

/* ---- memory_session.c, memory_reader.c: the calls of the class ---- */
int memory_session_open(struct transport *transport, const struct session_config *config, struct session **session,
                        struct err *err);
void memory_session_close(struct session *session);
void memory_session_drop(struct session *session); /* the open transaction; not a call of the class */
void memory_session_wake(struct session *session);
int memory_session_fetch(struct session *session, struct input *input, struct record *records, size_t max,
                         size_t *count, struct err *err);
int64_t memory_session_known_end(struct session *session, struct input *input);
int64_t memory_session_position(struct session *session, struct input *input);
int memory_session_seek(struct session *session, struct input *input, int64_t offset, struct err *err);
int memory_session_pause(struct session *session, struct input *input, bool paused, struct err *err);
int memory_session_output(struct session *session, const char *topic, struct output **output, int32_t *partitions,
                          struct err *err);
int memory_session_produce(struct session *session, struct output *output, int32_t partition,
                           const struct record *record, struct err *err);
int memory_session_commit(struct session *session, const struct position *positions, size_t count, struct err *err);
int memory_session_abort(struct session *session, struct err *err);
int memory_session_recover(struct session *session, struct err *err);
int memory_session_committed(struct session *session, struct position *positions, size_t count, struct err *err);
int64_t memory_session_acknowledged(struct session *session, struct output *output, int32_t partition);

int memory_reader_open(struct transport *transport, const struct reader_config *config, struct reader **reader,
                       struct err *err);
void memory_reader_close(struct reader *reader);
int memory_reader_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                       struct err *err);
int64_t memory_reader_position(struct reader *reader, size_t index);

#endif
