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

static int put_back(const struct connector_use *use, const char *app, int32_t tasks, struct err *err)
{
    for (int32_t i = 0; i < tasks; i++) {
        struct connect_target target = {use, app, i, tasks};
        int64_t was;
        if (connect_target_set(&target, 0, true, &was, err) != 0) {
            return err_wrap(err,
                            "putting the sink %s back (with --app %s in the place of the script it is left as it is)",
                            use->name, app);
        }
    }
    return 0;
}

int reset_targets_put_back(const struct graph *graph, const char *app, struct transport *transport, struct err *err)
{
    for (int id = 0; id < graph_node_count(graph); id++) {
        const struct connector_use *use = sink_at(graph, id);
        struct topic_info info = {0};
        if (use == NULL) {
            continue;
        }
        if (transport->class->describe_topic(transport, use->topic, &info, err) != 0 ||
            (info.exists && put_back(use, app, info.partitions, err) != 0)) {
            return -1;
        }
    }
    return 0;
}
