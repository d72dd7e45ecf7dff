/* The body of a worker, shared by worker.c (life and processing), worker_op.c (what operators ask for) and
 * worker_commit.c (positions, changelog, store). */
#ifndef TIDEMILL_ENGINE_WORKER_INT_H
#define TIDEMILL_ENGINE_WORKER_INT_H

#include "base/arena.h"
#include "engine/timers.h"
#include "engine/worker.h"

#define WORKER_FETCH 512       /* records taken from an input at once */
#define WORKER_MAX_SOURCES 16  /* source nodes of one sub-topology that read the same topic */

struct worker_input {
    const char *topic;
    int32_t partition;
    struct input *handle;
    struct node *sources[WORKER_MAX_SOURCES];
    int source_ids[WORKER_MAX_SOURCES]; /* the same nodes by id, for when the script is loaded anew */
    int source_count;
    struct record *records;     /* borrowed content, valid until the next fetch of this input */
    size_t count;
    size_t next;                /* first one not yet processed */
    int64_t position;           /* next offset to process; OFFSET_NONE until the first record came */
    int64_t committed;          /* as the group has it; OFFSET_NONE: nothing committed */
    int64_t first;              /* where reading began without a committed offset; OFFSET_NONE: not known yet */
    bool blocked;               /* others wait for this input (max_idle) */
    int64_t blocked_since_ns;
};

struct worker_output {
    char *topic;
    struct output *output;
};

/* A store with a changelog. */
struct worker_changelog {
    struct store *store;
    const char *topic;
    struct output *output;      /* opened with the first change */
    int64_t offset;             /* next offset after what the store holds; OFFSET_NONE: from the beginning */
    char *generation;           /* as its marker says; NULL: not known */
};

struct worker_drop {
    int node;
    enum op_drop reason;
    struct metric_value *value;
    int64_t logged_ns;
};

struct worker {
    struct worker_config config;
    enum worker_state state;
    char name[32];
    struct err err;             /* op_error */
    struct arena arena;         /* of the record being processed */

    struct instance *instance;
    struct graph *graph;
    struct node **nodes;        /* of this sub-topology, in order of creation */
    int node_count;

    bool suspended;             /* between a revocation and the next assignment */
    struct worker_input *inputs;
    size_t input_count;
    size_t input_capacity;
    struct worker_output *outputs;
    size_t output_count;
    size_t output_capacity;

    struct store_set *stores;
    struct store_meta found;    /* meta row as it was at open */
    bool fresh;
    struct worker_changelog *changelogs;
    size_t changelog_count;

    struct timers timers;
    int64_t stream_time;        /* -1: none yet */
    int64_t commit_number;      /* of the last commit, as its metadata says */
    struct bytes metadata;      /* of the positions */
    struct bytes committed_metadata;

    bool dirty;
    bool flushed;               /* op->flush ran since the last record */
    int64_t uncommitted_records;
    int64_t uncommitted_bytes;
    int64_t records;

    struct metric_set *metrics;
    struct worker_drop *drops;
    size_t drop_count;
    size_t drop_capacity;
};

/* worker.c */
int worker_load_program(struct worker *worker, struct err *err);
void worker_unload_program(struct worker *worker);
/* worker_commit.c */
void worker_find_changelogs(struct worker *worker);

#endif
