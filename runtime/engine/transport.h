/* The contract between the engine and a log of topics: Apache Kafka, the embedded log, or memory.
 *
 * A transport is the connection of a process; a session is what one stream thread uses (a group member and a
 * transactional producer); a reader reads partitions outside of any group (changelogs, `consume`).
 * Ownership: whoever opens closes. Sessions and readers are used by one thread at a time; the transport itself may be
 * used by any thread. Records handed out are borrowed until the next fetch on the same input (next read on the same
 * reader). Error classes are the caller's next move: ERR_RETRY, ERR_ABORT, ERR_UNKNOWN, ERR_FENCED, ERR_FATAL
 * (base/err.h).
 */
#ifndef TIDEMILL_ENGINE_TRANSPORT_H
#define TIDEMILL_ENGINE_TRANSPORT_H

#include "base/clock.h"
#include "base/err.h"
#include "base/option.h"
#include "engine/record.h"

#define OFFSET_NONE (-1) /* no committed offset */
#define OFFSET_BEGINNING (-2)
#define OFFSET_END (-3)
#define TOPIC_ID_SIZE 64

struct transport;
struct session;
struct input;  /* one assigned partition of a session */
struct output; /* one topic that a session writes */
struct reader;

/* A place in a partition. `metadata` is the text committed with the offset, or NULL. */
struct position {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *metadata;
};

struct topic_info {
    bool exists;
    int32_t partitions;
    char id[TOPIC_ID_SIZE];      /* another one when the topic is deleted and made again; "": not known */
    bool compacted;              /* cleanup.policy contains compact */
    bool deleted_by_age;         /* cleanup.policy contains delete */
    int64_t retention_ms;        /* -1: for ever */
    int64_t retention_bytes;     /* per partition; -1: no limit */
    int64_t delete_retention_ms; /* how long tombstones of a compacted topic stay */
    bool config_known;           /* the fields from `compacted` on are filled */
};

struct topic_spec {
    const char *name;
    int32_t partitions;
    int32_t replication; /* 0: the cluster's default */
    bool compacted;
    int64_t retention_ms;        /* -1: for ever; 0: the transport's default */
    int64_t retention_bytes;     /* -1 or 0: no limit */
    int64_t delete_retention_ms; /* 0: default (7 days for changelogs) */
};

enum reset_policy { RESET_EARLIEST, RESET_LATEST, RESET_ERROR };

struct subscription {
    const char *topic; /* or a POSIX extended regular expression that begins with ^ */
    enum reset_policy reset;
};

/* A partition handed to a session. `committed` is the group's stable offset or OFFSET_NONE. */
struct assigned {
    const char *topic; /* lives as long as the transport */
    int32_t partition;
    int64_t committed;
    const char *metadata; /* of the committed offset, or NULL; valid during the call */
    const char *topic_id; /* of the topic as it is now; NULL or "": not known; valid during the call */
    struct input *input;
};

struct session_config {
    const char *app;      /* group id; NULL: a session that only produces */
    int thread;           /* 0 .. threads-1 */
    int threads;          /* of this process */
    const char *instance; /* persistent id of the process's slot; may be NULL for a producing session */
    bool transactional;   /* exactly once; false: at least once */
    bool dynamic_member;  /* member = "dynamic" */
    bool stay;            /* keep the membership when closing */
    const struct subscription *subscriptions;
    size_t subscription_count;
    int64_t commit_timeout_ms; /* bound of one transaction */
    int64_t max_poll_interval_ms;
    /* Called inside poll or close, on the session's thread. `assigned` opens workers; reading starts at the committed
     * offset (or by reset policy) once it returned 0. `revoked` must commit or abort before it returns; `lost`:
     * ownership is gone already, nothing may be committed. The inputs end when revoked returns. */
    void *self;
    int (*assigned)(void *self, const struct assigned *list, size_t count, struct err *err);
    int (*revoked)(void *self, const struct assigned *list, size_t count, bool lost, struct err *err);
    /* Whether the session is going to be closed: then no call waits for a server any more, it ends with ERR_RETRY. May
     * be NULL. */
    bool (*stopping)(void *self);
};

struct reader_config {
    const struct position *positions; /* where to start: an offset, OFFSET_BEGINNING or OFFSET_END */
    size_t count;
    bool uncommitted; /* read_uncommitted; the default is read_committed */
};

/* A group as `lag` and `reset` see it. */
struct group_position {
    char *topic;
    int32_t partition;
    int64_t committed; /* OFFSET_NONE: none */
    char *metadata;
};

struct transport_class {
    const char *name; /* "kafka", "local", "memory" */

    /* ---- whole process ---- */
    void (*close)(struct transport *transport);
    int (*describe_topic)(struct transport *transport, const char *topic, struct topic_info *info, struct err *err);
    int (*create_topic)(struct transport *transport, const struct topic_spec *spec,
                        struct err *err); /* exists already: 0 */
    int (*delete_topic)(struct transport *transport, const char *topic, struct err *err);
    int (*add_partitions)(struct transport *transport, const char *topic, int32_t total, struct err *err);
    /* Names in order; the caller frees each with option_list rules (struct option_list). */
    int (*list_topics)(struct transport *transport, struct option_list *names, struct err *err);
    /* First offset that exists and the offset after the last one: the high watermark, not the last stable offset. */
    int (*watermarks)(struct transport *transport, const char *topic, int32_t partition, int64_t *low, int64_t *high,
                      struct err *err);
    /* First offset whose record has at least that timestamp; the high watermark when there is none. */
    int (*offset_for_time)(struct transport *transport, const char *topic, int32_t partition, int64_t timestamp,
                           int64_t *offset, struct err *err);
    int (*delete_records)(struct transport *transport, const char *topic, int32_t partition, int64_t before,
                          struct err *err);
    int (*group_positions)(struct transport *transport, const char *app, struct group_position **list, size_t *count,
                           struct err *err); /* free() each topic and metadata, then the list */
    /* Sets the positions of a group that has no member now; offset OFFSET_NONE removes one. */
    int (*set_group_positions)(struct transport *transport, const char *app, const struct position *positions,
                               size_t count, struct err *err);

    /* ---- one stream thread ---- */
    /* Waits for the coordinator, a bounded time: ERR_RETRY and ERR_UNREACHABLE after it. */
    int (*session_open)(struct transport *transport, const struct session_config *config, struct session **session,
                        struct err *err);
    /* Calls revoked for what is still assigned, leaves the group (unless `stay`), drops what is uncommitted. */
    void (*session_close)(struct session *session);
    /* Serves group events and waits until an input has something to fetch, `wake` is called, or the timeout passes. */
    int (*poll)(struct session *session, int timeout_ms, struct err *err);
    void (*wake)(struct session *session); /* @thread any */

    /* Takes up to `max` next records of an input without waiting; 0 records: nothing there now. Left alone, an input
     * buffers a bounded number of bytes and then stops reading: that is the back-pressure. */
    int (*fetch)(struct session *session, struct input *input, struct record *records, size_t max, size_t *count,
                 struct err *err);
    /* End of the partition as far as known (records before it exist and are readable), for max_idle and for lag; -1:
     * not known yet. */
    int64_t (*known_end)(struct session *session, struct input *input);
    /* Offset after the last thing read, also over control and aborted records (P8). */
    int64_t (*position)(struct session *session, struct input *input);
    int (*seek)(struct session *session, struct input *input, int64_t offset,
                struct err *err); /* drops what is buffered */
    int (*pause)(struct session *session, struct input *input, bool paused, struct err *err);

    /* Opens a topic for writing; kept until the session closes. `partitions` (may be NULL) gets the count. */
    int (*output)(struct session *session, const char *topic, struct output **output, int32_t *partitions,
                  struct err *err);
    /* Begins a transaction when none is open. Partition -1: hash_partition of the key, sticky for null keys. Copies. */
    int (*produce)(struct session *session, struct output *output, int32_t partition, const struct record *record,
                   struct err *err);
    /* P3-P6, P13 and L1: everything produced since the last commit and these positions, together. ERR_RETRY: nothing
     * has happened (disk full); ERR_ABORT: call abort, then rewind; ERR_UNKNOWN: call recover, then compare
     * `committed`. */
    int (*commit)(struct session *session, const struct position *positions, size_t count, struct err *err);
    /* One that fails leaves nothing that a later commit could take along: until abort or recover has succeeded, produce
     * and commit fail. */
    int (*abort)(struct session *session, struct err *err);
    /* After ERR_UNKNOWN or a fatal producer error: a new producer that has fenced the old one. */
    int (*recover)(struct session *session, struct err *err);
    /* Stable committed offsets of the group: fills offset (OFFSET_NONE: none) and metadata (valid until the next call).
     */
    int (*committed)(struct session *session, struct position *positions, size_t count, struct err *err);
    /* Offset after the last record that the last successful commit put into that partition; OFFSET_NONE: none (P9). */
    int64_t (*acknowledged)(struct session *session, struct output *output, int32_t partition);

    /* ---- reading outside a group ---- */
    int (*reader_open)(struct transport *transport, const struct reader_config *config, struct reader **reader,
                       struct err *err);
    void (*reader_close)(struct reader *reader);
    /* Waits up to the timeout for records of any of its partitions. */
    int (*read)(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                struct err *err);
    /* Position of partition number `index` of the config: counts over control and aborted records (P8). */
    int64_t (*reader_position)(struct reader *reader, size_t index);
};

/* Every implementation begins with this. */
struct transport {
    const struct transport_class *class;
};

#endif
