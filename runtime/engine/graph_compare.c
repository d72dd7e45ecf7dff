/* Whether two runs of the script built the same, and what identifies the meaning of a store. */
#include "engine/graph_int.h"

#define ADVICE "Building must not depend on time, random numbers or the environment (tm.env aside)."
#define HASH_VERSION 1 /* raise it when state of an earlier release can't be used any more */

static bool same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool same_parents(const struct node *one, const struct node *other)
{
    if (one->parent_count != other->parent_count) {
        return false;
    }
    for (int i = 0; i < one->parent_count; i++) {
        if (one->parents[i]->id != other->parents[i]->id) {
            return false;
        }
    }
    return true;
}

static int compare_nodes(const struct node *described, const struct node *bound, struct err *err)
{
    if (strcmp(described->name, bound->name) != 0 || strcmp(described->op->kind, bound->op->kind) != 0 ||
        described->role != bound->role) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The script built another topology in its second run: node %d is %s \"%s\" at %s, and was %s "
                       "\"%s\" at %s. " ADVICE,
                       bound->id, bound->op->kind, bound->name, graph_place(bound), described->op->kind,
                       described->name, graph_place(described));
    }
    if (!same_parents(described, bound) || described->subtopology != bound->subtopology) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The script built another topology in its second run: the node \"%s\" at %s hangs on other "
                       "nodes than before. " ADVICE,
                       bound->name, graph_place(bound));
    }
    return 0;
}

static bool same_topic(const struct graph_topic *one, const struct graph_topic *other)
{
    return strcmp(one->name, other->name) == 0 && one->role == other->role && one->pattern == other->pattern &&
           one->partitions == other->partitions && one->node->id == other->node->id &&
           same_text(one->reset, other->reset);
}

static bool same_users(const struct graph_store *one, const struct graph_store *other)
{
    if (one->user_count != other->user_count || one->owner->id != other->owner->id) {
        return false;
    }
    for (int i = 0; i < one->user_count; i++) {
        if (one->users[i]->id != other->users[i]->id) {
            return false;
        }
    }
    return true;
}

static bool same_store(const struct graph_store *one, const struct graph_store *other)
{
    const struct store_spec *a = &one->spec;
    const struct store_spec *b = &other->spec;
    return strcmp(a->name, b->name) == 0 && a->kind == b->kind && a->changelog == b->changelog &&
           a->segment_ms == b->segment_ms && a->retention_ms == b->retention_ms && a->ttl_ms == b->ttl_ms &&
           a->by_key == b->by_key && a->headers == b->headers && same_users(one, other);
}

static int compare_counts(const struct graph *described, const struct graph *bound, struct err *err)
{
    if (described->node_count != bound->node_count) {
        size_t common = described->node_count < bound->node_count ? described->node_count : bound->node_count;
        const struct graph *longer = described->node_count > common ? described : bound;
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The script built %zu nodes in its second run and %zu in the first; the first one that only one "
                       "of them has is \"%s\" at %s. " ADVICE,
                       bound->node_count, described->node_count, longer->nodes[common]->name,
                       graph_place(longer->nodes[common]));
    }
    if (described->topic_count != bound->topic_count || described->store_count != bound->store_count) {
        return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                       "The script uses %zu topics and %zu stores in its second run, and %zu and %zu in the "
                       "first. " ADVICE,
                       bound->topic_count, bound->store_count, described->topic_count, described->store_count);
    }
    return 0;
}

int graph_compare(const struct graph *described, const struct graph *bound, struct err *err)
{
    size_t common = described->node_count < bound->node_count ? described->node_count : bound->node_count;
    for (size_t i = 0; i < common; i++) {
        if (compare_nodes(described->nodes[i], bound->nodes[i], err) != 0) {
            return -1;
        }
    }
    if (compare_counts(described, bound, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < described->topic_count; i++) {
        if (!same_topic(&described->topics[i], &bound->topics[i])) {
            return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                           "The script uses another topic in its second run: \"%s\" at %s, and was \"%s\". " ADVICE,
                           bound->topics[i].name, graph_place(bound->topics[i].node), described->topics[i].name);
        }
    }
    for (size_t i = 0; i < described->store_count; i++) {
        if (!same_store(&described->stores[i], &bound->stores[i])) {
            return err_set(err, ERR_FATAL, ERR_TOPOLOGY,
                           "The script declares another store in its second run: \"%s\" at %s, and was \"%s\". " ADVICE,
                           bound->stores[i].spec.name, graph_place(bound->stores[i].owner),
                           described->stores[i].spec.name);
        }
    }
    return 0;
}

/* FNV-1a: it is kept in files, so it must never change with a release or a machine. */
static uint64_t add_hash(uint64_t hash, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211U;
    }
    return hash;
}

static uint64_t add_number(uint64_t hash, int64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)((uint64_t)value >> (8 * i));
    }
    return add_hash(hash, bytes, sizeof bytes);
}

/* Not in it: retention and ttl, which may change under existing state, and names of nodes and topics, so that adding an
 * operator or moving a line keeps the state. */
uint64_t graph_store_hash(const struct graph *graph, int store)
{
    const struct graph_store *declared = &graph->stores[store];
    uint64_t hash = 14695981039346656037U;
    hash = add_number(hash, HASH_VERSION);
    hash = add_hash(hash, declared->spec.name, strlen(declared->spec.name) + 1);
    hash = add_hash(hash, declared->owner->op->kind, strlen(declared->owner->op->kind) + 1);
    hash = add_number(hash, declared->spec.kind);
    hash = add_number(hash, declared->spec.changelog);
    hash = add_number(hash, declared->spec.segment_ms);
    if (declared->owner->form != NULL) {
        hash = add_hash(hash, declared->owner->form, strlen(declared->owner->form) + 1);
    }
    bool plain = !declared->spec.by_key && !declared->spec.headers;
    return plain ? hash : add_number(hash, declared->spec.by_key + 2 * declared->spec.headers);
}
