/* The body of a worker, shared by worker.c (life and processing), worker_input.c (what it reads), worker_op.c (what
 * operators ask for), worker_commit.c (positions, changelog, store), worker_topic_id.c (whether inputs are still the
 * same topics) and worker_task.c (connectors).
 *
 * Ownership: everything here belongs to the worker.
 */
#ifndef TIDEMILL_ENGINE_WORKER_INT_H
#define TIDEMILL_ENGINE_WORKER_INT_H

#include "base/arena.h"
#include "engine/sink_task.h"
#include "engine/source_task.h"
#include "engine/timers.h"
#include "engine/worker.h"
#include "engine/worker_ttl.h"

/* What becomes of a record that a sink's target refuses. */
enum refusal {
    REFUSAL_NONE,
    REFUSAL_FOUND,  /* the node's policy is still to be asked */
    REFUSAL_TREATED /* it is, and the task may pass over the record once that is committed */
};

/* A connector of the sub-topology: the task of a source stands in for its positions topic, that of a sink takes what
 * its topic brings. */
struct worker_task {
    const struct connector_use *use; /* of the described graph, which outlives the worker */
    int node;

    struct source_task *source;      /* NULL: not open */
    struct source_task_batch *batch; /* the last one taken; NULL: none */
    bool processed;                  /* all of the batch is, and its position is in the store */
    int64_t taken;                   /* records so far: what they have in place of offsets */
    struct bytes position;           /* the last one put into the store */
    bool moved;                      /* it is not committed yet */

    struct sink_task *sink;
    bool opened;          /* the target has said what it has */
    bool begun;           /* and the group has an offset: only then the target may get one */
    bool placed;          /* reading has been compared with what the target needs */
    int64_t acknowledged; /* as of the last look */
    enum refusal refusal;
    struct err reason; /* of the refusal */
};

struct worker_input {
    const char *topic;
    int32_t partition;
    char id_mark[24];      /* what the metadata says of the topic's id; "": it is not known */
    struct input *handle;  /* NULL while the worker is suspended */
    struct node **sources; /* nodes that read the topic, in order of creation */
    int source_count;
    struct record *records; /* borrowed content, valid until the next fetch of this input */
    size_t count;
    size_t next;              /* first one not yet processed */
    size_t ahead;             /* first one whose rows have not been asked for ahead of its turn */
    struct worker_task *task; /* of the connector that stands in for the topic, or reads it; NULL: a topic only */
    int64_t position;         /* next offset to process; OFFSET_NONE until the first record came */
    int64_t committed;        /* as the group has it; OFFSET_NONE: nothing committed */
    int64_t first;            /* where reading began without a committed offset; OFFSET_NONE: not known yet */
    int64_t stop;             /* --until-end: nothing from this offset on is processed; INT64_MAX: no end */
    int64_t idle_since_ns;    /* since when others could have gone on without it (max_idle); 0: they could not */
    bool asked;               /* this round has found it empty */
    bool paused;              /* the transport does not wake the thread for it */
};

struct worker_output {
    char *topic;
    struct output *output;
    int32_t partitions; /* as it was opened */
};

/* A store with a changelog. */
struct worker_changelog {
    struct store *store;
    const struct store_spec *spec;
    const char *topic;
    struct output *output; /* opened with the first change */
    int64_t offset;        /* next offset after what the store holds; OFFSET_NONE: from the beginning */
    char *generation;      /* as its marker says; NULL: not known */
};

/* A store whose row under its own key each record of a source needs (op_look_ahead). */
struct worker_ahead {
    const struct node *source;
    struct store *store;
    struct node *node; /* op_look_ahead_by: who looks, in place of the store */
    void (*look)(struct node *node, const struct slice *keys, size_t count);
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
    struct err err;     /* op_error */
    struct arena arena; /* of the record being processed */

    struct instance *instance;
    struct graph *graph;
    struct node **nodes; /* of this sub-topology, in order of creation */
    int node_count;

    bool suspended;           /* between a revocation and the next assignment */
    int64_t blocked_until_ns; /* has records, and waits for those of another input; INT64_MAX: known ones; 0: no */
    struct worker_input *inputs;
    size_t input_count;
    size_t input_capacity;
    struct worker_output *outputs;
    size_t output_count;
    size_t output_capacity;

    struct store_set *stores;
    char *directory;          /* of the stores, claimed; NULL: in memory, or there are none */
    struct store_meta found;  /* meta row as it was at open */
    int64_t restored_in_part; /* as the meta row says now; see worker_restored_in_part */
    bool fresh;
    struct worker_ttl *ttl; /* NULL: the sub-topology has no stores */
    struct worker_changelog *changelogs;
    size_t changelog_count;

    struct worker_task *tasks; /* one per connector of the sub-topology */
    size_t task_count;

    struct worker_ahead *aheads;
    size_t ahead_count;
    size_t ahead_capacity;

    struct timers timers;
    int64_t stream_time;   /* -1: none yet */
    int64_t commit_number; /* of the last commit, as its metadata says */
    struct bytes metadata; /* of the positions */
    struct bytes committed_metadata;

    bool dirty;
    bool flushed;  /* op->flush ran since the last record */
    bool released; /* until the next flush: worker_release */
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
/* worker_input.c */
void worker_find_sources(struct worker *worker, struct worker_input *input);
void worker_begin_round(struct worker *worker);
/* The input whose next record has the lowest timestamp; NULL: there is none, or it has to wait for another input. */
int worker_take(struct worker *worker, struct worker_input **input, struct err *err);
/* Drops what is buffered and goes back to the committed offset. */
int worker_seek_back(struct worker *worker, struct worker_input *input, struct err *err);
/* Where the group's offset goes with the next commit; negative: nothing is known of this input yet. */
int64_t worker_next_offset(const struct worker *worker, const struct worker_input *input);
/* worker_ahead.c */
void worker_ask_ahead(struct worker *worker, struct worker_input *input);
/* Before a record of the input is processed: asks for the rows of the next ones when none are on their way. */
static inline void worker_look_ahead(struct worker *worker, struct worker_input *input)
{
    if (worker->ahead_count > 0 && input->next >= input->ahead) {
        worker_ask_ahead(worker, input);
    }
}
/* worker_task.c */
void worker_find_tasks(struct worker *worker);
void worker_close_tasks(struct worker *worker);
/* The task behind a topic; NULL: there is none. */
struct worker_task *worker_task_of(struct worker *worker, const char *topic);
static inline bool worker_task_feeds(const struct worker_input *input)
{
    return input->task && !input->task->use->sink;
}
static inline bool worker_task_drains(const struct worker_input *input)
{
    return input->task && input->task->use->sink;
}
/* Whether a batch of a source has been begun: it is processed as a whole, because its position stands at its end. */
static inline bool worker_task_inside(const struct worker_input *input)
{
    return worker_task_feeds(input) && input->next > 0 && input->next < input->count;
}
/* The next batch of a source's task as the input's records. */
int worker_task_refill(struct worker *worker, struct worker_input *input, struct err *err);
/* After each record: behind the last one of a source's batch the position goes into the store, and a sink's task learns
 * that the record has no more rows. */
int worker_task_advance(struct worker *worker, struct worker_input *input, struct err *err);
bool worker_task_ready(const struct worker_task *task); /* a batch can be taken at once */
/* Whether nothing is left: the source is at its end, the target has everything that was read. */
bool worker_task_done(const struct worker_input *input);
/* Where the group's offset goes. For a sink never beyond what the target has, not even over control records: what lies
 * before it is deleted from a topic that nobody else reads. */
int64_t worker_task_next_offset(const struct worker *worker, const struct worker_input *input);
/* The task begins anew where the stores stand. */
void worker_task_rewind(struct worker_task *task);
/* Before records are taken: opens tasks, and treats what they have to say. *room false: no record may be taken now. */
int worker_tasks_look(struct worker *worker, bool *room, struct err *err);
bool worker_tasks_have_room(const struct worker *worker);
void worker_tasks_flush(struct worker *worker);     /* at the end of a round */
void worker_tasks_produced(struct worker *worker);  /* a record is in the transaction */
void worker_tasks_committed(struct worker *worker); /* after a commit */
/* worker_input.c */
/* Goes on reading at that offset and drops what is buffered. */
int worker_seek(struct worker *worker, struct worker_input *input, int64_t offset, struct err *err);
/* worker_topic_id.c */
/* Keeps what the metadata is to say of the topic's id. Where the id is not known now (NULL or ""), that is what the
 * committed metadata (may be NULL) says. */
void worker_topic_id_note(struct worker_input *input, const char *id, const char *metadata);
void worker_topic_id_append(const struct worker *worker, struct bytes *metadata);
/* Whether the metadata (may be NULL) was written when the topic had another id. Without an id on either side: false. */
bool worker_topic_id_changed(const struct worker_input *input, const char *metadata);
/* worker_commit.c */
void worker_find_changelogs(struct worker *worker);

#endif
