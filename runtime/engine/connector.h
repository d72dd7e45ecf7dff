/* The contract of connectors: sources bring a database or files in, sinks write into one, both exactly once.
 *
 * A task does its I/O on a thread of its own (source_task.c, sink_task.c); the stream thread that owns partition n of
 * the positions topic (source) or of the topic that is read (sink) runs task n and talks with it through mailboxes.
 * All calls of one task come from its own thread, one after the other.
 * Ownership: a task owns its connection. Options, context and what is given to a call are borrowed: the options for as
 * long as the script's instance lives, the context until close, the rest for the call. What a call hands out is valid
 * until the next call of the same task.
 * Connectors see base/ and this header, never Lua and never a transport.
 *
 * Errors say by class what the runner does:
 *   ERR_RETRY   the server is away, a lock could not be had, the disk is full: close, wait (longer each time, with
 *               jitter), open again; for ever, and visible
 *   ERR_SKIP    write only: a record is bad; the others of the batch were not written either
 *   ERR_FENCED  write only: the position in the target is not the expected one: somebody else writes for this task
 *   ERR_FATAL   an option is wrong, a table or a right is missing, the source has lost what was not read yet: the
 *               process ends with the message, which says what to do
 *
 * No call blocks for ever: connects and statements carry time limits of some seconds, and longer waits ask
 * connector_stopping about four times a second.
 */
#ifndef TIDEMILL_ENGINE_CONNECTOR_H
#define TIDEMILL_ENGINE_CONNECTOR_H

#include "base/option.h"
#include "engine/record.h"

#define CONNECTOR_NO_OFFSET INT64_C(-1)

struct connector_task; /* a connector's own */

struct connector_context {
    const char *app;     /* application id */
    const char *name;    /* of the source or sink in the script; with `app` unique among all writers of a target */
    const char *topic;   /* sinks: the topic that is read; sources: NULL */
    int32_t task;        /* from 0; sinks: the partition of `topic` */
    int32_t tasks;       /* how many there are */
    bool json_keys;      /* sinks: keys of records are JSON; else plain text */
    const void *options; /* the class's own options, parsed and checked */
    bool (*stopping)(void *self); /* NULL: never */
    void *self;
};

/* Whether the task is to be closed: whoever waits gives up with ERR_RETRY. */
static inline bool connector_stopping(const struct connector_context *context)
{
    return context->stopping && context->stopping(context->self);
}

/* What `tidemill connect check` finds; `say` and `statement` copy. */
enum connector_finding { FINDING_GOOD, FINDING_WARNING, FINDING_BAD };
struct connector_check {
    void (*say)(void *self, enum connector_finding finding, const char *text); /* a sentence */
    void (*statement)(void *self, const char *sql);                            /* to be run by an administrator */
    void *self;
};

/* ---- sources ---- */

/* Where a long piece of work (a snapshot) stands. */
struct source_progress {
    const char *phase; /* "snapshot of public.orders"; NULL: none is under way */
    int64_t done;      /* rows */
    int64_t total;     /* about; 0: not known */
};

struct source_batch {
    /* Key, value, headers, timestamp (ms since 1970; negative: not known, now) and topic: what the record was taken
     * from ("public.orders", a file), shown to callbacks as rec.topic; NULL: the source's name. */
    const struct record *records;
    size_t count;
    /* Where reading goes on after these records: JSON text (at most SOURCE_POSITION_SIZE), kept in the positions topic
     * in the same transaction as what the records led to. Null data: as before. */
    struct slice position;
    bool at_end; /* everything that was there when the task was opened has been handed out */
    struct source_progress progress;
};

#define SOURCE_POSITION_SIZE 65536
/* A batch is processed as a whole before a commit: it holds at most about this much, one record at least. */
#define SOURCE_BATCH_RECORDS 1000
#define SOURCE_BATCH_BYTES (1 << 20)

struct source_class {
    const struct option_table *options;
    size_t options_size;
    const char *key_codec; /* of its keys and values by name: "json", "string", "bytes" */
    const char *value_codec;
    /* Checks what no single option can: pure, while the script is built. May be NULL. ERR_CONFIG. */
    int (*validate)(const void *options, struct err *err);
    /* How many tasks these options make; NULL: one. Pure. */
    int32_t (*tasks)(const void *options);
    /* Connects and goes to the position; null data: the very beginning. */
    int (*open)(const struct connector_context *context, struct slice position, struct connector_task **task,
                struct err *err);
    /* Waits at most timeout_ms for something to hand out. The caller cleared *batch. */
    int (*poll)(struct connector_task *task, int timeout_ms, struct source_batch *batch, struct err *err);
    /* That position is committed: the database may forget what lies before it. May be NULL. */
    int (*acknowledge)(struct connector_task *task, struct slice position, struct err *err);
    void (*close)(struct connector_task *task);
    /* Looks whether open would work and what is missing; -1: not even connected. May be NULL. */
    int (*check)(const struct connector_context *context, const struct connector_check *check, struct err *err);
};

/* ---- sinks ---- */

struct sink_batch {
    const struct record *records; /* in the order of their offsets; several may have one, and are never torn apart; keys
                                     and values in JSON or plain text */
    size_t count;                 /* 0: only the position moves */
    int64_t from;                 /* the position that the target must have now; CONNECTOR_NO_OFFSET: none */
    int64_t to;                   /* the position that it has afterwards */
};

#define SINK_BAD_UNKNOWN SIZE_MAX
#define CONNECTOR_TOPIC_SIZE 256 /* of a topic's name with its final zero */

struct sink_class {
    const struct option_table *options;
    size_t options_size;
    int32_t tasks; /* how many write at the same time unless told otherwise; 0: as many as the input has partitions */
    /* NULL: a write of no records may move the position back, too. Else a sentence that says how it is put back by
     * hand. */
    const char *put_back;
    int (*validate)(const void *options, struct err *err); /* as for sources */
    int (*open)(const struct connector_context *context, struct connector_task **task, struct err *err);
    /* The offset of the next record to write as the target has it for (app, name, topic, task). *next comes in as what
     * it was after the last write (CONNECTOR_NO_OFFSET before the first one): a target that keeps no position leaves it
     * so, and what was written since the group's last commit is written again by the next owner. */
    int (*position)(struct connector_task *task, int64_t *next, struct err *err);
    /* A topic other than the context's for which the target has positions of (app, name); empty: there is none. A sink
     * with this function may read a topic of the user; NULL: its position knows no topic, so it always has its own. */
    int (*other_topic)(struct connector_task *task, char topic[CONNECTOR_TOPIC_SIZE], struct err *err);
    /* Removes the positions for such topics; NULL: they can't be, and put_back says what to do. */
    int (*forget_others)(struct connector_task *task, struct err *err);
    /* Writes the records and moves the position in ONE transaction of the target, comparing it first. ERR_SKIP sets
     * *bad to the index of the bad record when the target says it, else to SINK_BAD_UNKNOWN; a batch of one needs no
     * index. After ERR_RETRY the outcome may be unknown: the runner opens again and asks for the position. */
    int (*write)(struct connector_task *task, const struct sink_batch *batch, size_t *bad, struct err *err);
    /* Nothing is to be written: called some times a second, for what is to happen in time. May be NULL. */
    int (*idle)(struct connector_task *task, struct err *err);
    void (*close)(struct connector_task *task);
    int (*check)(const struct connector_context *context, const struct connector_check *check, struct err *err);
};

struct connector {
    const char *kind;                  /* "postgres": tm.connect.postgres */
    const char *text;                  /* one sentence for the reference */
    const struct source_class *source; /* NULL: is no source */
    const struct sink_class *sink;     /* NULL: is no sink */
};

struct connector_table {
    const struct connector *const *list;
    size_t count;
};

/* ---- one in a pipeline ---- */

/* What the runner itself does for every connector; connector_options.c has the tables. */
struct connector_runner_options {
    int64_t retry_ms;     /* first wait after a failure */
    int64_t retry_max_ms; /* longest */
    int64_t batch;        /* sinks: most records of one write */
    int64_t linger_ms;    /* sinks: how long to wait for more of them */
    int64_t tasks;        /* 0: the connector's own number */
};
extern const struct option_table connector_source_options;
extern const struct option_table connector_sink_options;

/* A source or a sink of a script; node->connector. Owned by whoever made the node. */
struct connector_use {
    const char *name;
    const struct connector *connector;
    void *options; /* of the source class or of the sink class */
    struct connector_runner_options runner;
    const char *topic;   /* the positions topic of a source, the topic that a sink reads */
    const char *through; /* sinks: the topic that is put in between when the sink does not read one of the pipeline */
    bool sink;
    bool json_keys;
};

/* Whether a sink reads a topic of the pipeline, with the operators behind it, and none in between. */
static inline bool connector_use_direct(const struct connector_use *use)
{
    return use->sink && use->through && strcmp(use->topic, use->through) != 0;
}

#endif
