/* A transport whose topics live in memory: for the test driver, for benchmarks, and, with its fault hook, for the
 * engine's unit tests, which can make any call fail.
 *
 * Ownership: memory_transport_open's result is closed through its class. Names given are copied.
 */
#ifndef TIDEMILL_ENGINE_MEMORY_TRANSPORT_H
#define TIDEMILL_ENGINE_MEMORY_TRANSPORT_H

#include "engine/transport.h"

enum memory_call {
    MEMORY_POLL,
    MEMORY_FETCH,
    MEMORY_PRODUCE,
    MEMORY_SEND_POSITIONS,
    MEMORY_COMMIT,
    MEMORY_ABORT,
    MEMORY_RECOVER,
    MEMORY_COMMITTED,
    MEMORY_READ,
    MEMORY_DESCRIBE,
    MEMORY_CREATE,
    MEMORY_SEEK,
    MEMORY_CALL_COUNT
};

/* What a call of the fault hook may ask for. */
enum memory_fault {
    FAULT_NONE,
    FAULT_RETRY,           /* ERR_RETRY, nothing happened */
    FAULT_ABORT,           /* ERR_ABORT */
    FAULT_FENCED,          /* ERR_FENCED; the assignment is lost */
    FAULT_REPLACED,        /* the same because another process has this instance id: ERR_LOCKED */
    FAULT_FATAL,           /* ERR_FATAL */
    FAULT_UNKNOWN_DONE,    /* commit only: ERR_UNKNOWN although it was committed */
    FAULT_UNKNOWN_NOT_DONE /* commit only: ERR_UNKNOWN and it was not */
};

struct memory_transport_config {
    int32_t default_partitions; /* of topics created without a count */
    bool create_topics;         /* a missing topic is made when it is read or written */
    bool timeless;              /* poll never waits */
    bool discard_outputs;       /* benchmarks: what sessions produce is counted (watermarks) but not kept */
    enum memory_fault (*fault)(void *self, enum memory_call call);
    /* Called for every record of a session that becomes visible, in order of production over all topics; may be NULL.
     * The record's bytes live until the transport is closed. Runs under the transport's lock: it must not call back. */
    void (*committed)(void *self, const struct record *record);
    void *self;
    const struct clock *clock;
};

int memory_transport_open(const struct memory_transport_config *config, struct transport **transport, struct err *err);
/* Appends a committed record from outside. Partition -1: by key. */
int memory_transport_append(struct transport *transport, const char *topic, int32_t partition,
                            const struct record *record, struct err *err);
/* The same by key, for a record that readers see as one of `origin`, as connectors name where theirs are from. */
int memory_transport_append_from(struct transport *transport, const char *topic, const struct record *record,
                                 const char *origin, struct err *err);
/* Committed record number `offset` of a partition; false: there is none. Valid until the topic grows. */
bool memory_transport_record(struct transport *transport, const char *topic, int32_t partition, int64_t offset,
                             struct record *record);
/* Takes partitions from one session and gives them to another, as a rebalance does; happens in their next polls. */
void memory_transport_rebalance(struct transport *transport);
/* Puts the members with this thread number out of their groups, as brokers do with one that they don't hear of: others
 * may have its partitions at once, what it commits is refused, and its next poll tells it and lets it join again. */
void memory_transport_expel(struct transport *transport, int thread);

#endif
