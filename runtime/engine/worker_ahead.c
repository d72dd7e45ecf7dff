/* Rows that the next records will need are on their way from memory to the processor while those before are processed:
 * in large stores that wait is what a record costs. */
#include "base/memory.h"
#include "engine/worker_int.h"

#define AHEAD_RECORDS 16

static void add(struct worker *worker, const struct worker_ahead *ahead)
{
    for (size_t i = 0; i < worker->ahead_count; i++) {
        const struct worker_ahead *known = &worker->aheads[i];
        if (known->source == ahead->source && known->store == ahead->store && known->node == ahead->node) {
            return;
        }
    }
    worker->aheads = memory_grow(worker->aheads, worker->ahead_count, &worker->ahead_capacity, sizeof(*worker->aheads));
    worker->aheads[worker->ahead_count++] = *ahead;
}

/* For all sources above `node`. */
static void add_sources(struct node *node, struct worker_ahead ahead)
{
    if (node->role == NODE_SOURCE) {
        ahead.source = node;
        add(node->worker, &ahead);
    }
    for (int i = 0; i < node->parent_count; i++) {
        add_sources(node->parents[i], ahead);
    }
}

void op_look_ahead(struct node *node, struct store *store)
{
    add_sources(node, (struct worker_ahead){.store = store});
}

void op_look_ahead_by(struct node *node, void (*look)(struct node *node, const struct slice *keys, size_t count))
{
    add_sources(node, (struct worker_ahead){.node = node, .look = look});
}

static bool reads(const struct worker_input *input, const struct node *source)
{
    for (int i = 0; i < input->source_count; i++) {
        if (input->sources[i] == source) {
            return true;
        }
    }
    return false;
}

void worker_ask_ahead(struct worker *worker, struct worker_input *input)
{
    struct slice keys[AHEAD_RECORDS];
    size_t count = 0;
    for (input->ahead = input->next; input->ahead < input->count && count < AHEAD_RECORDS; input->ahead++) {
        struct slice key = input->records[input->ahead].key;
        if (!slice_is_null(key)) {
            keys[count++] = key;
        }
    }
    for (size_t i = 0; i < worker->ahead_count; i++) {
        const struct worker_ahead *ahead = &worker->aheads[i];
        if (!reads(input, ahead->source)) {
            continue;
        }
        if (ahead->look) {
            ahead->look(ahead->node, keys, count);
        } else {
            worker->config.stores->prefetch(ahead->store, keys, count);
        }
    }
}
