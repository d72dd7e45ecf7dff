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

/* The topic of the positions that the target has in the place of the sink's; empty: there are none. */
static int find_other(const struct connect_target *target, struct connector_task *task,
                      char other[CONNECTOR_TOPIC_SIZE], struct err *err)
{
    const struct sink_class *class = target->use->connector->sink;
    other[0] = '\0';
    return class->other_topic ? class->other_topic(task, other, err) : 0;
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
    char other[CONNECTOR_TOPIC_SIZE];
    int result = class->position(task, next, err) != 0 || find_other(target, task, other, err) != 0 ? -1 : 0;
    if (result == 0 && other[0] != '\0') {
        result = err_set(err, ERR_FATAL, ERR_CONFIG, "its position is for %s", other);
    }
    class->close(task);
    return result;
}

int connect_target_settle(const struct connect_target *target, int32_t tasks, struct err *err)
{
    const struct sink_class *class = target->use->connector->sink;
    int64_t next = 0;
    for (int32_t i = 0; class->forget_others && i < tasks && next != CONNECTOR_NO_OFFSET; i++) {
        struct connect_target one = *target;
        struct connector_context context;
        struct connector_task *task;
        one.task = i;
        next = CONNECTOR_NO_OFFSET;
        if (open_task(&one, &context, &task, err) != 0) {
            return -1;
        }
        int result = class->position(task, &next, err);
        if (result == 0 && next != CONNECTOR_NO_OFFSET && i == tasks - 1) {
            result = class->forget_others(task, err);
        }
        class->close(task);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
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

int connect_target_set(const struct connect_target *target, int64_t to, bool present, bool *moved, struct err *err)
{
    const struct sink_class *class = target->use->connector->sink;
    int64_t was = CONNECTOR_NO_OFFSET;
    struct connector_context context;
    struct connector_task *task;
    if (open_task(target, &context, &task, err) != 0) {
        return -1;
    }
    char other[CONNECTOR_TOPIC_SIZE];
    int result = class->position(task, &was, err) != 0 || find_other(target, task, other, err) != 0 ? -1 : 0;
    if (result == 0 && other[0] != '\0' && class->put_back != NULL) {
        result = err_set(err, ERR_FATAL, ERR_CONFIG,
                         "The sink %s has its position for the topic %s and not for %s, which can't be changed: %s",
                         target->use->name, other, target->use->topic, class->put_back);
    }
    bool there = result != 0 || was == to || (present && was == CONNECTOR_NO_OFFSET && other[0] == '\0');
    *moved = !there || was == to;
    if (result == 0 && !there) {
        result = move(target, task, was, to, err);
    }
    class->close(task);
    return result;
}
