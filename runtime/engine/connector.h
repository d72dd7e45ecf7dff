/* The contract of connectors: sources bring a database or file in, sinks write into one, both exactly once.
 *
 * A task's client I/O runs on a thread of its own; mailboxes connect it to the stream thread that owns partition n of
 * the positions topic (source) or of the topic read (sink). All calls of one task come from its own thread.
 * Ownership: a task owns its connection; records and positions it hands out are borrowed until its next call.
 * Connectors see base/ and this header, never Lua and never a transport.
 */
#ifndef TIDEMILL_ENGINE_CONNECTOR_H
#define TIDEMILL_ENGINE_CONNECTOR_H

#include "base/option.h"
#include "engine/record.h"

struct connector_task;

/* One record a source brings in; `position` is where reading goes on after it, opaque JSON text kept in the positions
 * topic in the same transaction as the record. */
struct source_record {
    struct record record;
    struct slice position;
};

struct source_class {
    /* How many tasks this configuration makes: partitions of the positions topic. */
    int (*plan)(const void *options, int *tasks, struct err *err);
    int (*open)(const void *options, int task, struct slice position, struct connector_task **state, struct err *err);
    /* Waits up to the timeout; ERR_RETRY reconnects with backoff. */
    int (*poll)(struct connector_task *state, int timeout_ms, struct source_record *records, size_t max, size_t *count,
                struct err *err);
    /* That position is committed: the database may forget what lies before it. */
    int (*acknowledge)(struct connector_task *state, struct slice position, struct err *err);
    void (*close)(struct connector_task *state);
};

struct sink_class {
    /* `position` gets the offset kept in the target for this topic and partition, or OFFSET_NONE. */
    int (*open)(const void *options, const char *topic, int32_t partition, int64_t *position,
                struct connector_task **state, struct err *err);
    /* Writes the records and the next offset in one transaction of the target. ERR_SKIP names the bad record in *bad.
     */
    int (*write)(struct connector_task *state, const struct record *records, size_t count, int64_t next_offset,
                 size_t *bad, struct err *err);
    void (*close)(struct connector_task *state);
};

struct connector {
    const char *kind; /* "postgres" */
    const char *text; /* one sentence for the reference */
    const struct option_table *options;
    size_t options_size;
    const struct source_class *source; /* NULL: is no source */
    const struct sink_class *sink;     /* NULL: is no sink */
};

#endif
