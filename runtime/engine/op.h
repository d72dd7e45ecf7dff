/* The contract of an operator, and what an operator may ask of its worker.
 *
 * Ownership: the engine owns nodes and calls; an operator owns node->state from its creation (scripts/operator.h) until
 * close. Everything runs on the worker's own thread, inside the one protected entry of a record: a Lua error may jump
 * out of any of these calls, so an operator holds no malloc'ed memory and no lock across a call into Lua or `forward`.
 * Functions that return int: 0, or -1 with the error in op_error(worker).
 */
#ifndef TIDEMILL_ENGINE_OP_H
#define TIDEMILL_ENGINE_OP_H

#include "base/err.h"
#include "engine/record.h"
#include "engine/store.h"

struct node;
struct worker;

struct op {
    const char *kind; /* "filter"; also the first half of the name of a node without one */
    /* Called once when the worker's stores are open and restored, before any record; may be NULL. */
    int (*open)(struct node *node);
    /* One item from parent number `parent` (0 for a node with one parent). Sources get items made by the engine. */
    int (*process)(struct node *node, int parent, struct item *item);
    /* Before each commit: emit what was held back for it (`emit = "commit"`); may be NULL. */
    int (*flush)(struct node *node);
    /* Called once before the worker's Lua state ends, also after a failed open; may be NULL; must not fail. */
    void (*close)(struct node *node);
};

/* What to do with a record that a node can't process. */
enum op_policy { POLICY_FAIL, POLICY_SKIP, POLICY_DEAD_LETTER };

/* Reasons of dropped records; labels of the metric. */
enum op_drop {
    DROP_NULL_KEY,
    DROP_NULL_VALUE,
    DROP_LATE,
    DROP_NEGATIVE_TIME,
    DROP_SKIPPED,
    DROP_DEAD_LETTER,
    DROP_REASON_COUNT
};

/* Hands the item to every child, in the order in which they were attached; stops at the first failure. */
int op_forward(struct node *node, struct item *item);

/* Puts a record into the open transaction. `output` comes from op_output. partition -1: by key as Kafka's Java client
 * places it (a null key: sticky per batch). The record is copied. */
struct output;
struct output *op_output(struct worker *worker, const char *topic); /* NULL: no such topic, see op_error */
int op_produce(struct worker *worker, struct output *output, int32_t partition, const struct record *record);
/* The partition of a record that is placed by another key than its own. */
int32_t op_output_partition(const struct worker *worker, const struct output *output, struct slice key);

/* Whether flush comes with a commit that nobody asked for: the test driver commits after every record, and shows what
 * waits for a commit when the test says so. */
bool op_holds_back(const struct worker *worker);

/* The store of that name; it is declared by this node or by another of the same sub-topology. Never NULL. */
struct store *op_store(struct node *node, const char *name);
/* A hint: for the records of its sources the node reads or writes the row under the record's own key, so that the
 * worker can have it at hand. */
void op_look_ahead(struct node *node, struct store *store);
/* The same for a node that finds its rows in another way: it is told the keys of the next records of its sources.
 * `look` runs outside of any record and only hints; the arena may be used. */
void op_look_ahead_by(struct node *node, void (*look)(struct node *node, const struct slice *keys, size_t count));
const struct store_driver *op_store_driver(struct worker *worker);
/* How that store was declared; NULL: there is none of that name. */
const struct store_spec *op_store_spec(const struct node *node, const char *name);
/* Whether an entry written at `timestamp` is past the ttl of its store (0: it has none), and so as good as deleted. */
bool op_expired(const struct worker *worker, int64_t ttl_ms, int64_t timestamp);

/* Records that will never have an effect: counted per node and reason, logged at a limited rate. */
void op_drop(struct node *node, enum op_drop reason, const struct item *item);
/* Writes the source record of `item` to the dead letter topic in the same transaction, with the context headers of
 * Kafka Connect (__connect.errors.*), and counts it as dropped. */
int op_dead_letter(struct node *node, const struct item *item, const struct err *cause);

/* An operator that changes its store while it is opened says so: then a commit follows without a record. */
void op_touch(struct worker *worker);

/* Sinks of connectors. Gives a row that the record `source` of the connector's topic has led to to its task; both are
 * copied. Where no tasks run, in tests, a row goes to the topic named after the sink. */
int op_sink_put(struct node *node, const struct record *source, const struct record *row);
/* Why the target refuses the record being processed, whose fate the node's policy decides; NULL: it has not been tried.
 */
const struct err *op_sink_refusal(const struct node *node);

/* Timers: `fire` runs inside a protected entry of its own. Stream time: first with the very first record, then on
 * multiples of the interval; wall time: first after one interval. Once per jump. (SEMANTICS of Kafka Streams.) */
enum op_time { TIME_STREAM, TIME_WALL };
struct op_timer;
struct op_timer *op_every(struct node *node, enum op_time kind, int64_t interval_ms,
                          int (*fire)(struct node *node, void *data, int64_t now), void *data);
void op_cancel(struct op_timer *timer); /* also from inside fire; the timer is freed by the worker */

/* Advances stream time to that of a record. The worker does it with the record's own timestamp before a source that
 * does not extract another (node->extracts_time), unless it jumps; sources do it with what they let through. */
void op_observe_time(struct worker *worker, int64_t timestamp);
/* Whether stream time would move further than max_time_jump allows one record. */
bool op_time_jumps(const struct worker *worker, int64_t timestamp);
int64_t op_stream_time(const struct worker *worker); /* largest timestamp taken from any input so far; -1: none */
int64_t op_wall_time(const struct worker *worker);   /* ms since 1970, or the driver's clock */
int32_t op_partition(const struct worker *worker);
struct err *op_error(struct worker *worker);
struct arena *op_arena(struct worker *worker); /* emptied after each record */
void *op_program(struct worker *worker);       /* the instance behind the worker: scripts/host.h's struct host */

#endif
