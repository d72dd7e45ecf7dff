#include "cli/connect_offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/connect_target.h"
#include "engine/connector.h"

#define POSITION_KEY "position"
#define TAIL_RECORDS 1000 /* of a positions topic that is looked at first */
#define READ_RECORDS 100
#define READ_MS 1000

void connect_offsets_begin(struct connect_offsets *offsets)
{
    columns_begin(&offsets->columns, offsets->target ? "connector side task position in-target behind"
                                                     : "connector side task position behind");
}

void connect_offsets_free(struct connect_offsets *offsets)
{
    columns_free(&offsets->columns);
    bytes_free(&offsets->out);
}

/* ---- reading a positions topic ---- */

static void keep_position(const struct record *records, size_t count, struct bytes *position, bool *found)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(records[i].key, slice_text(POSITION_KEY))) {
            *found = true;
            bytes_clear(position);
            bytes_append_slice(position, records[i].value);
        }
    }
}

/* The last position from an offset on; *found also when it is a tombstone, which leaves `position` empty. */
static int read_from(struct transport *transport, const struct position *from, int64_t high, struct bytes *position,
                     bool *found, struct err *err)
{
    struct reader *reader;
    struct reader_config config = {from, 1, false};
    if (transport->class->reader_open(transport, &config, &reader, err) != 0) {
        return -1;
    }
    int result = 0;
    while (result == 0 && transport->class->reader_position(reader, 0) < high) {
        struct record records[READ_RECORDS];
        size_t count = 0;
        result = transport->class->read(reader, READ_MS, records, READ_RECORDS, &count, err);
        keep_position(records, result == 0 ? count : 0, position, found);
    }
    transport->class->reader_close(reader);
    return result;
}

static int read_position(struct transport *transport, const char *topic, int32_t partition, struct bytes *position,
                         struct err *err)
{
    int64_t low;
    int64_t high;
    bool found = false;
    bytes_clear(position);
    if (transport->class->watermarks(transport, topic, partition, &low, &high, err) != 0) {
        return -1;
    }
    int64_t tail = high - TAIL_RECORDS > low ? high - TAIL_RECORDS : low;
    struct position from = {topic, partition, tail, NULL};
    if (low < high && read_from(transport, &from, high, position, &found, err) != 0) {
        return -1;
    }
    from.offset = low;
    return found || tail == low ? 0 : read_from(transport, &from, high, position, &found, err);
}

/* ---- the group ---- */

static int read_group(const struct connect_offsets *offsets, struct group_position **list, size_t *count,
                      struct err *err)
{
    return offsets->transport->class->group_positions(offsets->transport, offsets->app, list, count, err);
}

static void free_group(struct group_position *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].topic);
        free(list[i].metadata);
    }
    free(list);
}

static const struct group_position *find_group(const struct group_position *list, size_t count, const char *topic,
                                               int32_t partition)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].partition == partition && strcmp(list[i].topic, topic) == 0 && list[i].committed >= 0) {
            return &list[i];
        }
    }
    return NULL;
}

/* ---- showing ---- */

/* One task as it is found. */
struct place {
    const struct connector_use *use;
    int32_t task;
    struct slice position; /* sources; size 0: none */
    int64_t committed;     /* sinks; OFFSET_NONE: none */
    int64_t end;           /* sinks */
    int64_t target;        /* sinks; CONNECTOR_NO_OFFSET: none or not asked */
    const char *problem;   /* why the target does not say it; NULL: it does */
};

static void write_offset(struct json_writer *writer, const char *name, int64_t offset)
{
    json_name(writer, slice_text(name));
    if (offset >= 0) {
        json_integer(writer, offset);
    } else {
        json_null(writer);
    }
}

static void write_place(struct connect_offsets *offsets, const struct place *place)
{
    struct json_writer writer = json_writer(&offsets->out);
    json_begin_object(&writer);
    json_name(&writer, slice_text("connector"));
    json_text(&writer, place->use->name);
    json_name(&writer, slice_text("side"));
    json_text(&writer, place->use->sink ? "sink" : "source");
    json_name(&writer, slice_text("task"));
    json_integer(&writer, place->task);
    if (place->use->sink) {
        write_offset(&writer, "committed", place->committed);
        write_offset(&writer, "end", place->end);
        if (offsets->target) {
            write_offset(&writer, "target", place->target);
        }
    } else {
        json_name(&writer, slice_text("position"));
        bool known = place->position.size > 0 && json_check(place->position, NULL);
        json_raw(&writer, known ? place->position : slice_text("null"));
    }
    json_end_object(&writer);
    bytes_append_byte(&offsets->out, '\n');
}

static void append_offset(struct columns *columns, int64_t offset)
{
    if (offset >= 0) {
        columns_integer(columns, offset);
    } else {
        columns_text(columns, "-");
    }
}

static void add_place(struct connect_offsets *offsets, const struct place *place)
{
    struct columns *columns = &offsets->columns;
    bool sink = place->use->sink;
    if (offsets->json) {
        write_place(offsets, place);
        return;
    }
    columns_text(columns, place->use->name);
    columns_text(columns, sink ? "sink" : "source");
    columns_integer(columns, place->task);
    if (sink) {
        append_offset(columns, place->committed);
    } else {
        columns_add(columns, place->position.size > 0 ? place->position : slice_text("-"));
    }
    if (offsets->target && place->problem != NULL) {
        columns_text(columns, place->problem);
    } else if (offsets->target) {
        append_offset(columns, place->target);
    }
    int64_t known = place->target > place->committed ? place->target : place->committed;
    append_offset(columns, sink ? place->end - (known > 0 ? known : 0) : -1);
}

/* What the target itself says; a target that can't be asked is no failure of the command. */
static void ask_target(const struct connect_offsets *offsets, struct place *place, int32_t tasks, struct err *err)
{
    struct connect_target target = {place->use, offsets->app, place->task, tasks};
    if (connect_target_read(&target, &place->target, err) != 0) {
        place->problem = err->text;
    }
}

static int show_sink(struct connect_offsets *offsets, const struct connector_use *use, int32_t tasks, struct err *err)
{
    struct group_position *list = NULL;
    size_t count = 0;
    int result = read_group(offsets, &list, &count, err);
    for (int32_t i = 0; i < tasks && result == 0; i++) {
        const struct group_position *at = find_group(list, count, use->topic, i);
        struct place place = {.use = use, .task = i, .target = CONNECTOR_NO_OFFSET};
        struct err asking;
        int64_t low;
        place.committed = at != NULL ? at->committed : OFFSET_NONE;
        result = offsets->transport->class->watermarks(offsets->transport, use->topic, i, &low, &place.end, err);
        if (result == 0 && offsets->target) {
            ask_target(offsets, &place, tasks, &asking);
        }
        if (result == 0) {
            add_place(offsets, &place);
        }
    }
    free_group(list, count);
    return result;
}

static int show_source(struct connect_offsets *offsets, const struct connector_use *use, int32_t tasks, struct err *err)
{
    struct bytes position = {0};
    int result = 0;
    for (int32_t i = 0; i < tasks && result == 0; i++) {
        result = read_position(offsets->transport, use->topic, i, &position, err);
        struct place place = {.use = use, .task = i, .position = bytes_slice(&position), .target = CONNECTOR_NO_OFFSET};
        if (result == 0) {
            add_place(offsets, &place);
        }
    }
    bytes_free(&position);
    return result;
}

static int find_topic(const struct connect_offsets *offsets, const struct connector_use *use, int32_t *tasks,
                      struct err *err)
{
    struct topic_info info = {0};
    if (offsets->transport->class->describe_topic(offsets->transport, use->topic, &info, err) != 0) {
        return -1;
    }
    *tasks = info.exists ? info.partitions : 0;
    return 0;
}

int connect_offsets_show(struct connect_offsets *offsets, const struct connector_use *use, struct err *err)
{
    int32_t tasks;
    if (find_topic(offsets, use, &tasks, err) != 0) {
        return -1;
    }
    return use->sink ? show_sink(offsets, use, tasks, err) : show_source(offsets, use, tasks, err);
}

/* ---- setting ---- */

static int check_task(const struct connector_use *use, int64_t task, int32_t tasks, struct err *err)
{
    return task < tasks ? 0
                        : err_set(err, ERR_FATAL, ERR_USAGE, "%s has the tasks 0 to %d, and no task %" PRId64 ".",
                                  use->name, (int)tasks - 1, task);
}

static int write_record(struct transport *transport, const char *topic, int32_t partition, struct slice position,
                        int64_t *next, struct err *err)
{
    const struct transport_class *class = transport->class;
    struct session_config config = {.transactional = false};
    struct session *session;
    struct output *output;
    struct record record = {
        .key = slice_text(POSITION_KEY), .value = position, .timestamp = clock_wall_ms(&CLOCK_SYSTEM), .offset = -1};
    if (class->session_open(transport, &config, &session, err) != 0) {
        return -1;
    }
    int result = class->output(session, topic, &output, NULL, err);
    if (result == 0) {
        result = class->produce(session, output, partition, &record, err);
    }
    if (result == 0) {
        result = class->commit(session, NULL, 0, err);
    }
    *next = result == 0 ? class->acknowledged(session, output, partition) : OFFSET_NONE;
    class->session_close(session);
    return result;
}

/* Something that the group has is set once more: that is refused while the app runs, before anything is written. */
static int refuse_running(const struct connect_offsets *offsets, struct err *err)
{
    struct group_position *list = NULL;
    size_t count = 0;
    size_t i = 0;
    int result = read_group(offsets, &list, &count, err);
    while (i < count && list[i].committed < 0) {
        i++;
    }
    if (result == 0 && i < count) {
        struct position same = {list[i].topic, list[i].partition, list[i].committed, list[i].metadata};
        result = offsets->transport->class->set_group_positions(offsets->transport, offsets->app, &same, 1, err);
    }
    free_group(list, count);
    return result;
}

static int set_task(const struct connect_offsets *offsets, const struct connector_use *use,
                    const struct group_position *at, int32_t task, struct slice position, struct err *err)
{
    struct transport *transport = offsets->transport;
    struct position group = {use->topic, task, 0, at != NULL ? at->metadata : NULL};
    if (write_record(transport, use->topic, task, position, &group.offset, err) != 0) {
        return -1;
    }
    if (transport->class->set_group_positions(transport, offsets->app, &group, 1, err) != 0) {
        return err_wrap(err,
                        "setting the position of %s, which is now half done: run the same command again before "
                        "the app",
                        use->name);
    }
    return 0;
}

static int set_tasks(struct connect_offsets *offsets, const struct connector_use *use, int32_t from, int32_t to,
                     struct slice position, struct err *err)
{
    struct group_position *list = NULL;
    size_t count = 0;
    int result = read_group(offsets, &list, &count, err);
    for (int32_t i = from; i < to && result == 0; i++) {
        result = set_task(offsets, use, find_group(list, count, use->topic, i), i, position, err);
        if (result == 0 && position.data != NULL) {
            bytes_append_format(&offsets->out, "%s task %d stands at %.*s.\n", use->name, (int)i, (int)position.size,
                                (const char *)position.data);
        } else if (result == 0) {
            bytes_append_format(&offsets->out, "%s task %d begins from the very beginning.\n", use->name, (int)i);
        }
    }
    free_group(list, count);
    return result;
}

/* ---- sinks ---- */

static int set_target(struct connect_offsets *offsets, const struct connect_target *target, int64_t to, bool present,
                      struct err *err)
{
    bool moved;
    if (connect_target_set(target, to, present, &moved, err) != 0) {
        return -1;
    }
    if (!moved) {
        bytes_append_format(&offsets->out, "%s task %d has no position in its target.\n", target->use->name,
                            (int)target->task);
    } else {
        bytes_append_format(&offsets->out, "%s task %d goes on at offset %" PRId64 "; the rows in its target stay.\n",
                            target->use->name, (int)target->task, to);
    }
    return 0;
}

/* The first record that the topic still has; 0 when it is not there. */
static int first_offset(const struct connect_offsets *offsets, const char *topic, int32_t partition, bool exists,
                        int64_t *low, struct err *err)
{
    int64_t high;
    *low = 0;
    return exists ? offsets->transport->class->watermarks(offsets->transport, topic, partition, low, &high, err) : 0;
}

static int set_sink_task(struct connect_offsets *offsets, const struct connect_target *target, bool exists,
                         struct slice position, struct err *err)
{
    int64_t to;
    double real;
    if (position.data == NULL) {
        return first_offset(offsets, target->use->topic, target->task, exists, &to, err) != 0
                   ? -1
                   : set_target(offsets, target, to, true, err);
    }
    if (json_type(position) != JSON_NUMBER || !json_number(json_trim(position), &to, &real) || to < 0) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "%s is a sink: its position is the offset in %s of the next record to write, such as 0.",
                       target->use->name, target->use->topic);
    }
    return set_target(offsets, target, to, false, err);
}

/* A topic that was deleted says nothing of how many tasks there were: those that the sink asks for are taken. */
static int set_sink(struct connect_offsets *offsets, const struct connector_use *use, int64_t task, int32_t partitions,
                    struct slice position, struct err *err)
{
    int32_t wished = use->runner.tasks > 0 ? (int32_t)use->runner.tasks : use->connector->sink->tasks;
    int32_t tasks = partitions > 0 ? partitions : wished > 0 ? wished : 1;
    if (task >= 0 && task >= tasks && partitions == 0) {
        tasks = (int32_t)task + 1;
    }
    if (check_task(use, task, tasks, err) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < tasks; i++) {
        struct connect_target target = {use, offsets->app, i, tasks};
        if ((task < 0 || task == i) && set_sink_task(offsets, &target, partitions > 0, position, err) != 0) {
            return -1;
        }
    }
    struct connect_target target = {use, offsets->app, 0, tasks};
    return connect_target_settle(&target, tasks, err);
}

int connect_offsets_set(struct connect_offsets *offsets, const struct connector_use *use, int64_t task,
                        struct slice position, struct err *err)
{
    int32_t tasks;
    if (find_topic(offsets, use, &tasks, err) != 0 || refuse_running(offsets, err) != 0) {
        return -1;
    }
    if (use->sink) {
        return set_sink(offsets, use, task, tasks, position, err);
    }
    if (tasks == 0) {
        return err_set(err, ERR_FATAL, ERR_TOPIC,
                       "The topic %s is not there: the app %s has not run yet. Start it once, and stop it.", use->topic,
                       offsets->app);
    }
    if (check_task(use, task, tasks, err) != 0) {
        return -1;
    }
    int32_t from = task < 0 ? 0 : (int32_t)task;
    return set_tasks(offsets, use, from, task < 0 ? tasks : from + 1, position, err);
}
