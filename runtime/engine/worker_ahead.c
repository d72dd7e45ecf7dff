/* Rows that the next records will need are on their way from memory to the processor while those before are processed:
 * in large stores that wait is what a record costs. */
#include "base/memory.h"
#include "engine/worker_int.h"

#define AHEAD_RECORDS 16

static void add(struct worker *worker, const struct node *source, struct store *store)
{
    for (size_t i = 0; i < worker->ahead_count; i++) {
        if (worker->aheads[i].source == source && worker->aheads[i].store == store) {
            return;
        }
    }
    worker->aheads = memory_grow(worker->aheads, worker->ahead_count, &worker->ahead_capacity, sizeof(*worker->aheads));
    worker->aheads[worker->ahead_count++] = (struct worker_ahead){source, store};
}

void op_look_ahead(struct node *node, struct store *store)
{
    if (node->role == NODE_SOURCE) {
        add(node->worker, node, store);
    }
    for (int i = 0; i < node->parent_count; i++) {
        op_look_ahead(node->parents[i], store);
    }
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
        if (reads(input, worker->aheads[i].source)) {
            worker->config.stores->prefetch(worker->aheads[i].store, keys, count);
        }
    }
}
