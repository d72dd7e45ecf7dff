#include "cli/run_status.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "cli/run_connectors.h"
#include "cli/run_stores.h"

static bool healthy(void *self)
{
    return runner_healthy(self);
}

static bool ready(void *self)
{
    return runner_ready(self);
}

static void topology(void *self, enum graph_format format, struct bytes *out)
{
    graph_print(runner_graph(self), format, out);
}

static void write_integer(struct json_writer *writer, const char *name, int64_t number)
{
    json_name(writer, slice_text(name));
    json_integer(writer, number);
}

static void write_worker(struct json_writer *writer, const struct runner_worker_status *status)
{
    static const char *const states[] = {[WORKER_CREATED] = "created",
                                         [WORKER_RESTORING] = "restoring",
                                         [WORKER_RUNNING] = "running",
                                         [WORKER_CLOSED] = "closed"};
    json_begin_object(writer);
    json_name(writer, slice_text("worker"));
    json_text(writer, status->name);
    json_name(writer, slice_text("state"));
    json_text(writer, states[status->state]);
    write_integer(writer, "thread", status->thread);
    write_integer(writer, "records", status->records);
    write_integer(writer, "lag", status->lag);
    write_integer(writer, "state_bytes", status->state_bytes);
    write_integer(writer, "state_entries", status->state_entries);
    write_integer(writer, "restore_remaining", status->restore_remaining);
    json_end_object(writer);
}

static void workers(void *self, struct bytes *out)
{
    size_t room = runner_workers(self, NULL, 0) + 16; /* some may come up meanwhile */
    struct runner_worker_status *list = memory_alloc(room * sizeof *list);
    size_t count = runner_workers(self, list, room);
    struct json_writer writer = json_writer(out);
    json_begin_array(&writer);
    for (size_t i = 0; i < count && i < room; i++) {
        write_worker(&writer, &list[i]);
    }
    json_end_array(&writer);
    bytes_append_byte(out, '\n');
    free(list);
}

static int connectors(void *self, struct bytes *out, struct err *err)
{
    return run_connectors(self, out, err);
}

static int stores(void *self, const struct http_stores *request, struct bytes *out, struct err *err)
{
    return run_stores(self, request, out, err);
}

struct http_source run_source(struct runner *runner)
{
    return (struct http_source){runner, healthy, ready, topology, workers, connectors, stores};
}
