#include "cli/reset_targets.h"

#include "cli/connect_target.h"

static const struct connector_use *sink_at(const struct graph *graph, int id)
{
    const struct connector_use *use = graph_node(graph, id)->connector;
    return use != NULL && use->sink ? use : NULL;
}

void reset_targets_show(const struct graph *graph, struct bytes *out)
{
    for (int id = 0; id < graph_node_count(graph); id++) {
        const struct connector_use *use = sink_at(graph, id);
        if (use != NULL) {
            bytes_append_format(out, "put back sink %s (%s); its rows stay\n", use->name, use->connector->kind);
        }
    }
}

/* Where a sink begins: a topic of its own is going to be made again, and one of the pipeline is read from where the
 * group is put. */
static int64_t beginning(const struct reset_targets *targets, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < targets->position_count; i++) {
        const struct position *at = &targets->positions[i];
        if (at->partition == partition && strcmp(at->topic, topic) == 0 && at->offset > 0) {
            return at->offset;
        }
    }
    return 0;
}

static int put_back(const struct reset_targets *targets, const struct connector_use *use, int32_t tasks,
                    struct err *err)
{
    int result = 0;
    for (int32_t i = 0; i < tasks && result == 0; i++) {
        struct connect_target target = {use, targets->app, i, tasks};
        bool moved;
        result = connect_target_set(&target, beginning(targets, use->topic, i), true, &moved, err);
    }
    struct connect_target first = {use, targets->app, 0, tasks};
    if (result != 0 || connect_target_settle(&first, tasks, err) != 0) {
        return err_wrap(err, "putting the sink %s back (with --app %s in the place of the script it is left as it is)",
                        use->name, targets->app);
    }
    return 0;
}

int reset_targets_put_back(const struct reset_targets *targets, struct transport *transport, struct err *err)
{
    const struct graph *graph = targets->graph;
    for (int id = 0; id < graph_node_count(graph); id++) {
        const struct connector_use *use = sink_at(graph, id);
        struct topic_info info = {0};
        if (use == NULL) {
            continue;
        }
        if (transport->class->describe_topic(transport, use->topic, &info, err) != 0 ||
            (info.exists && put_back(targets, use, info.partitions, err) != 0)) {
            return -1;
        }
    }
    return 0;
}
