#include "cli/run_connectors.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "engine/worker.h"

#define TIMEOUT_MS 5000

struct task {
    struct worker_connector connector;
    char worker[64];
    int32_t number;
};

struct tasks {
    struct task *list;
    size_t count;
    size_t capacity;
};

static int visit(void *self, struct worker *worker, struct err *err)
{
    struct tasks *tasks = self;
    (void)err;
    for (size_t i = 0; i < worker_connector_count(worker); i++) {
        tasks->list = memory_grow(tasks->list, tasks->count, &tasks->capacity, sizeof *tasks->list);
        struct task *task = &tasks->list[tasks->count++];
        *task = (struct task){.number = worker_partition(worker)};
        strncpy(task->worker, worker_name(worker), sizeof task->worker - 1);
        worker_connector(worker, i, &task->connector);
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct task *one = a;
    const struct task *other = b;
    int order = strcmp(one->connector.name, other->connector.name);
    return order != 0 ? order : (one->number > other->number) - (one->number < other->number);
}

/* ---- writing ---- */

static void write_text(struct json_writer *writer, const char *name, const char *text)
{
    json_name(writer, slice_text(name));
    if (!json_string_checked(writer, slice_text(text))) { /* cut within a character, or a database's own encoding */
        json_text(writer, "?");
    }
}

static void write_integer(struct json_writer *writer, const char *name, int64_t number)
{
    json_name(writer, slice_text(name));
    json_integer(writer, number);
}

static void write_progress(struct json_writer *writer, const struct connector_report *report)
{
    write_text(writer, "phase", report->phase);
    write_integer(writer, "done", report->done);
    if (report->total > 0) {
        double share = (double)report->done / (double)report->total;
        write_integer(writer, "total", report->total);
        json_name(writer, slice_text("share"));
        json_real(writer, share < 1 ? share : 1);
    }
    write_integer(writer, "rows_per_s", report->rows_per_s);
}

static void write_task(struct json_writer *writer, const struct task *task)
{
    const struct worker_connector *connector = &task->connector;
    const struct connector_report *report = &connector->report;
    json_begin_object(writer);
    write_text(writer, "connector", connector->name);
    write_text(writer, "kind", connector->kind);
    write_text(writer, "side", connector->sink ? "sink" : "source");
    write_integer(writer, "task", task->number);
    write_text(writer, "worker", task->worker);
    write_text(writer, "state", connector_state_name(report->state));
    write_integer(writer, "records", report->records);
    write_integer(writer, "failures", report->failures);
    if (report->reason[0] != '\0') {
        write_text(writer, "reason", report->reason);
    }
    if (report->phase[0] != '\0') {
        write_progress(writer, report);
    }
    json_end_object(writer);
}

int run_connectors(struct runner *runner, struct bytes *out, struct err *err)
{
    struct tasks tasks = {0};
    struct json_writer writer = json_writer(out);
    int result = runner_ask(runner, TIMEOUT_MS, visit, &tasks, err);
    if (tasks.count > 0) {
        qsort(tasks.list, tasks.count, sizeof *tasks.list, compare);
    }
    json_begin_array(&writer);
    for (size_t i = 0; i < tasks.count; i++) {
        write_task(&writer, &tasks.list[i]);
    }
    json_end_array(&writer);
    bytes_append_byte(out, '\n');
    free(tasks.list);
    return result;
}
