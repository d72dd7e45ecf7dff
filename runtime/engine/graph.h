/* The topology: nodes and edges, split into sub-topologies at topics.
 *
 * Ownership: the graph owns its nodes and copies every text given to it. node->state belongs to the node's operator.
 * A graph is built once by running the script (scripts/program.c), checked by graph_finish, and constant from then on.
 */
#ifndef TIDEMILL_ENGINE_GRAPH_H
#define TIDEMILL_ENGINE_GRAPH_H

#include "engine/op.h"

#define GRAPH_NAME_MAX 249 /* Kafka's limit for the name of a topic */

struct graph;

enum node_role { NODE_OPERATOR, NODE_SOURCE, NODE_SINK };

struct node {
    const struct op *op;
    void *state;           /* the operator's own */
    struct worker *worker; /* set when a worker binds the graph */
    struct node **children;
    int *child_parents; /* child_parents[i]: which parent number this node is for children[i] */
    int child_count;
    struct node **parents;
    int parent_count;
    int id;          /* dense, in order of creation */
    int subtopology; /* set by graph_finish; -1: belongs to a global table, in every worker that uses it */
    enum node_role role;
    enum op_policy policy;   /* on_error of the node, or of the app */
    bool policy_by_function; /* on_error is a Lua function; scripts/call.c asks it */
    const char *name;        /* given, or "filter@pipeline.lua:17"; unique */
    bool named;              /* given by the user */
    bool per_record;         /* keeps nothing from one record to the next and has no effect but what it forwards */
    bool extracts_time;      /* a source with a timestamp function: it calls op_observe_time itself */
    const char *place;       /* "pipeline.lua:17" */
    const char *detail;      /* topics or stores for pictures, may be NULL */
    const char *form;        /* of its keys and values: codecs, windows; in the hash of its stores; may be NULL */
    const struct connector_use *connector; /* a source or sink beyond topics; NULL: none */
};

/* A repartition topic is declared twice with one role: by the sink that writes it and by the source that reads it. A
 * positions topic (compacted, read and written by one source node) remembers where the tasks of a connector stand. */
enum topic_role { TOPIC_INPUT, TOPIC_OUTPUT, TOPIC_REPARTITION, TOPIC_GLOBAL, TOPIC_POSITIONS };

/* One topic that a node reads or writes. */
struct graph_topic {
    const char *name; /* the real one: "<app>-by-user-repartition" for internal ones */
    enum topic_role role;
    bool pattern;       /* name is a POSIX extended regular expression, role TOPIC_INPUT */
    int32_t partitions; /* wished for; 0: derived */
    struct node *node;
    const char *reset; /* "earliest", "latest", "error", or NULL for the app's */
};

/* One store and who uses it. */
struct graph_store {
    struct store_spec spec;
    struct node *owner;
    struct node **users;
    int user_count;
    const char *changelog; /* topic "<app>-<store>-changelog", or NULL when there is none */
    int subtopology;       /* -1: of a global table; each worker with a node among the users keeps a copy */
};

struct graph *graph_new(const char *app);
void graph_free(struct graph *graph);
const char *graph_app(const struct graph *graph);

/* Adds a node behind `parents`. `name` NULL: derived from the operator's kind and `place`. Fails on a duplicate name.
 */
struct node *graph_add(struct graph *graph, const struct op *op, enum node_role role, const char *name,
                       const char *place, struct node *const *parents, int parent_count, struct err *err);
int graph_add_topic(struct graph *graph, struct node *node, const char *name, enum topic_role role, bool pattern,
                    int32_t partitions, const char *reset, struct err *err);
/* Declares a store owned by `node`; a second declaration of the name is the "duplicate name" error. */
int graph_add_store(struct graph *graph, struct node *node, const struct store_spec *spec, struct err *err);
/* Lets `node` use the store of another node; both end in one sub-topology, unless the store is a global table's. */
int graph_use_store(struct graph *graph, struct node *node, const char *store, struct err *err);
/* Two nodes (sides of a join) whose topics must have equal partition counts. */
void graph_copartition(struct graph *graph, struct node *one, struct node *other);
/* "<app>-<name>-<suffix>", kept by the graph. */
const char *graph_internal_name(struct graph *graph, const char *name, const char *suffix);
/* Text for pictures; copied. */
void graph_set_detail(struct graph *graph, struct node *node, const char *detail);

/* What the keys and values in the node's stores are made of: state of another form is refused. Copied. */
void graph_set_form(struct graph *graph, struct node *node, const char *form);

/* Whether a sink's connector may read the topic before it: its sub-topology has one source, of one topic that is named,
 * and between the two nothing but nodes that are per_record; so going back to an offset that the target has replays
 * nothing else. The topic's name, or NULL. To be asked before graph_finish, when all nodes are there. graph_direct.c */
const char *graph_direct_topic(struct graph *graph, const struct node *sink);
/* Puts a topic in front of a sink with one parent: `writer` stands behind that parent, `reader` is the sink's new one.
 */
void graph_put_between(struct node *sink, struct node *writer, struct node *reader);

/* Splits into sub-topologies and numbers them by their lowest node. Sources that read one topic, by name or by pattern,
 * end in one sub-topology. Refuses two things that give one internal name, a topic with two reset policies, and a
 * cycle through internal topics; a user's own loop (`to(x)` and `stream(x)`) is legal. */
int graph_finish(struct graph *graph, struct err *err);

/* Whether it can name a topic, a store, an app or an instance: 1 to GRAPH_NAME_MAX letters, digits, points, underscores
 * and hyphens, but neither "." nor "..". So it is also one component of a path. */
bool graph_name_valid(const char *name);

int graph_node_count(const struct graph *graph);
struct node *graph_node(const struct graph *graph, int id);
struct node *graph_find(const struct graph *graph, const char *name); /* NULL: none */
int graph_subtopology_count(const struct graph *graph);
int graph_topic_count(const struct graph *graph);
const struct graph_topic *graph_topic(const struct graph *graph, int index);
int graph_store_count(const struct graph *graph);
/* Whether a worker of that sub-topology has the store: its own, or a global table's that one of its nodes uses. */
bool graph_store_needed(const struct graph *graph, const struct graph_store *store, int subtopology);
const struct graph_store *graph_store(const struct graph *graph, int index);
/* Pairs given to graph_copartition, as node ids. */
int graph_copartition_count(const struct graph *graph);
void graph_copartition_pair(const struct graph *graph, int index, const struct node **one, const struct node **other);

/* Same nodes, names, kinds, topics and stores? Says the first difference. (Building must be deterministic.) */
int graph_compare(const struct graph *described, const struct graph *bound, struct err *err);
/* Hash of everything that the kind and meaning of one store depends on, for its meta row. */
uint64_t graph_store_hash(const struct graph *graph, int store);

enum graph_format { GRAPH_TEXT, GRAPH_DOT, GRAPH_MERMAID, GRAPH_JSON };
void graph_print(const struct graph *graph, enum graph_format format,
                 struct bytes *out); /* graph_print.c; text is Kafka Streams' describe() */

#endif
