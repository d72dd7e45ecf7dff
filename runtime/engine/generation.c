#include "base/failpoint.h"
#include "engine/generation.h"

#include <string.h>

#include "base/clock.h"
#include "engine/restore.h"
#include "engine/slot.h"

struct marking {
    struct transport *transport;
    const struct clock *clock;
    struct session *session;            /* opened with the first marker */
    char key[RESTORE_MARKER_SIZE + 33]; /* ends with the id */
};

static int open_session(struct marking *marking, struct err *err)
{
    if (marking->session) {
        return 0;
    }
    struct session_config config = {.transactional = false};
    memcpy(marking->key, RESTORE_MARKER_KEY, RESTORE_MARKER_SIZE);
    return slot_random_id(marking->key + RESTORE_MARKER_SIZE, err) ||
                   marking->transport->class->session_open(marking->transport, &config, &marking->session, err)
               ? -1
               : 0;
}

static int mark_partition(struct marking *marking, const char *topic, int32_t partition, struct err *err)
{
    const struct transport_class *class = marking->transport->class;
    int64_t low, high;
    if (class->watermarks(marking->transport, topic, partition, &low, &high, err)) {
        return -1;
    }
    if (high > 0) {
        return 0;
    }
    struct output *output;
    if (open_session(marking, err) || class->output(marking->session, topic, &output, NULL, err)) {
        return -1;
    }
    struct record marker = {
        .key = slice_of(marking->key, sizeof(marking->key) - 1),
        .value = slice_text(marking->key + RESTORE_MARKER_SIZE),
        .timestamp = clock_wall_ms(marking->clock),
        .offset = -1,
    };
    FAILPOINT(MARKER);
    /* At once, before another process that starts at this moment can find the partition empty, too. */
    return class->produce(marking->session, output, partition, &marker, err) ||
                   class->commit(marking->session, NULL, 0, err)
               ? -1
               : 0;
}

static int mark_all(const struct topic_plan *plan, struct marking *marking, struct err *err)
{
    for (int i = 0; i < topic_plan_count(plan); i++) {
        const struct planned_topic *topic = topic_plan_get(plan, i);
        for (int32_t partition = 0; topic->changelog && partition < topic->partitions; partition++) {
            if (mark_partition(marking, topic->name, partition, err)) {
                return err_wrap(err, "marking the changelog topic %s", topic->name);
            }
        }
    }
    return 0;
}

int generation_mark(const struct topic_plan *plan, struct transport *transport, const struct clock *clock,
                    struct err *err)
{
    struct marking marking = {.transport = transport, .clock = clock};
    int result = mark_all(plan, &marking, err);
    if (marking.session) {
        transport->class->session_close(marking.session);
    }
    return result;
}
