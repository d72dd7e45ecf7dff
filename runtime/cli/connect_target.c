#include "cli/connect_target.h"

#include <inttypes.h>

static int open_task(const struct connect_target *target, struct connector_context *context,
                     struct connector_task **task, struct err *err)
{
    const struct connector_use *use = target->use;
    *context = (struct connector_context){
        .app = target->app,
        .name = use->name,
        .topic = use->topic,
        .task = target->task,
        .tasks = target->tasks,
        .json_keys = use->json_keys,
        .options = use->options,
    };
    return use->connector->sink->open(context, task, err);
}

int connect_target_read(const struct connect_target *target, int64_t *next, struct err *err)
{
    const struct sink_class *class = target->use->connector->sink;
    struct connector_context context;
    struct connector_task *task;
    *next = CONNECTOR_NO_OFFSET;
    if (open_task(target, &context, &task, err) != 0) {
        return -1;
    }
    int result = class->position(task, next, err);
    class->close(task);
    return result;
}

static int move(const struct connect_target *target, struct connector_task *task, int64_t was, int64_t to,
                struct err *err)
{
    const struct sink_class *class = target->use->connector->sink;
    struct sink_batch batch = {.from = was, .to = to};
    size_t bad;
    if (to < was && class->put_back != NULL) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The sink %s stands at %" PRId64 " and can't be put back to %" PRId64 ": %s", target->use->name,
                       was, to, class->put_back);
    }
    return class->write(task, &batch, &bad, err);
}

int connect_target_set(const struct connect_target *target, int64_t to, bool present, int64_t *was, struct err *err)
{
    const struct sink_class *class = target->use->connector->sink;
    struct connector_context context;
    struct connector_task *task;
    *was = CONNECTOR_NO_OFFSET;
    if (open_task(target, &context, &task, err) != 0) {
        return -1;
    }
    int result = class->position(task, was, err);
    bool there = *was == to || (present && *was == CONNECTOR_NO_OFFSET);
    if (result == 0 && !there) {
        result = move(target, task, *was, to, err);
    }
    class->close(task);
    return result;
}
